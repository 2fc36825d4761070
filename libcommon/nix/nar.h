/*
 * NAR, Nix's archive (Nix manual, "Nix Archive (NAR) format"): a deterministic
 * serialisation of a file system object.
 *
 * nar_dump walks a tree and writes its NAR, byte-equal to `nix-store --dump`;
 * nar_read checks a NAR and reports what is in it. Both are streaming: memory
 * does not grow with the size of files, only with the entries of one directory.
 */
#ifndef NIX_NAR_H
#define NIX_NAR_H

#include <stddef.h>
#include <stdint.h>

struct err;

#define NAR_DEPTH_MAX   256 /* directories in directories */
#define NAR_NAME_MAX    255
#define NAR_TARGET_MAX  4095
#define NAR_ENTRIES_MAX 4000000 /* of one directory */

/* Takes n bytes; 0, or -1 with e filled, which ends the walk. */
typedef int nar_sink(void *ctx, const void *p, size_t n, struct err *e);

enum nar_type {
	NAR_REGULAR,
	NAR_EXECUTABLE,
	NAR_DIRECTORY,
	NAR_SYMLINK
};

/*
 * What a walk meets, in the order of the archive. NULL members are skipped.
 * name is "" for the root and lives for the call only.
 */
struct nar_visit {
	/* A directory: its entries come next, until leave. */
	int (*enter)(void *ctx, const char *name, struct err *e);
	int (*leave)(void *ctx, struct err *e);
	/* offset is that of the first byte of the content in the NAR. */
	int (*file)(void *ctx, const char *name, int executable, uint64_t size,
	    uint64_t offset, struct err *e);
	int (*symlink)(
	    void *ctx, const char *name, const char *target, struct err *e);
};

struct nar_dumper; /* buffers for one walk at a time; reused for speed */

struct nar_dumper *nar_dumper_new(void);    /* never NULL */
void nar_dumper_free(struct nar_dumper *d); /* takes NULL */

/*
 * Writes the NAR of path (which may be a file, a symlink or a directory) to
 * sink in large pieces. visit may be NULL. Symlinks are not followed, so path's
 * last component may be one. A file that changes its size meanwhile, a socket,
 * device or FIFO is ERR_CORRUPT; what is over the limits above, ERR_TOO_LARGE.
 * Errors name the file; those of sink and visit come out as they are. *size
 * (size may be NULL) gets the bytes written. Besides the directories on the way
 * to a file it keeps some dozens of descriptors for a moment.
 */
int nar_dump(struct nar_dumper *d, const char *path, nar_sink *sink,
    void *sink_ctx, const struct nar_visit *visit, void *visit_ctx,
    uint64_t *size, struct err *e);

/*
 * A push parser for NARs: feed it pieces in order, then end it. Rejects
 * everything that Nix would not write: wrong padding, names unsorted or
 * repeated, ".", "..", "/" or NUL in a name (ERR_CORRUPT), or over the limits
 * above (ERR_TOO_LARGE). What it rejects does not depend on the pieces, and two
 * different NARs never report the same. content gets file bytes as they pass,
 * straight from what is fed. visit and content may be NULL; their errors come
 * out as they are. After an error it takes no more.
 */
struct nar_reader;
struct nar_reader *nar_reader_new(const struct nar_visit *visit, void *ctx,
    nar_sink *content, void *content_ctx);  /* never NULL */
void nar_reader_free(struct nar_reader *r); /* takes NULL */
int nar_reader_feed(
    struct nar_reader *r, const void *p, size_t n, struct err *e);
/* ERR_CORRUPT unless the NAR is complete. */
int nar_reader_end(struct nar_reader *r, struct err *e);

#endif
