/*
 * Narinfos: a store path's metadata as text (Nix manual, "binary cache
 * format"; order of lines as niks3 writes them).
 *
 *	StorePath: /nix/store/<base>
 *	URL: nar/<nix32>.nar.zst
 *	Compression: zstd
 *	FileHash: sha256:<nix32>
 *	FileSize: <bytes>
 *	NarHash: sha256:<nix32>
 *	NarSize: <bytes>
 *	References: <base> <base> ...        ("References: " when there are none)
 *	Deriver: <base>                      optional
 *	Sig: <name>:<base64>                 any number, sorted bytewise
 *	CA: <text>                           optional
 */
#ifndef NIX_NARINFO_H
#define NIX_NARINFO_H

#include <stddef.h>
#include <stdint.h>

#include "hash.h"

struct arena;
struct buf;
struct err;

#define NARINFO_MAX             (1 << 20) /* bytes of text */
#define NARINFO_REFS_MAX        10000
#define NARINFO_SIGS_MAX        64
#define NARINFO_CA_MAX          512
#define NARINFO_URL_MAX         1024
#define NARINFO_COMPRESSION_MAX 16

struct narinfo {
	const char *store_dir; /* "/nix/store" */
	const char *base;      /* of the store path */
	const char *url;       /* printable ASCII, no more is promised */
	const char *compression;
	int has_file; /* file_hash and file_size are known */
	struct hash file_hash;
	uint64_t file_size;
	struct hash nar_hash;
	uint64_t nar_size;
	const char **refs; /* base names, sorted bytewise, no duplicates */
	size_t nrefs;
	const char *deriver; /* base name or NULL */
	const char **sigs;   /* sorted bytewise */
	size_t nsigs;
	const char *ca; /* NULL when input-addressed */
};

/*
 * Every field checked; unknown fields are skipped; fields that stand there
 * twice are errors. Reads what other tools write, too: without Compression it
 * is "bzip2", as for Nix; FileHash and FileSize may be missing; the deriver
 * "unknown-deriver" is none. ERR_INVALID, or ERR_TOO_LARGE over a limit.
 */
int narinfo_parse(const char *text, size_t len, struct arena *a,
    struct narinfo *out, struct err *e);
/*
 * Appends the text; refs and sigs in the order they have. The fields are checked
 * as narinfo_parse does it, so foreign text cannot forge a line.
 */
int narinfo_fmt(const struct narinfo *n, struct buf *out, struct err *e);
/* A content address: "text:<hash>" or "fixed:<method><hash>". */
int narinfo_check_ca(const char *ca, struct err *e);

/*
 * What a signature is over (Nix, ValidPathInfo::fingerprint):
 * 1;<path>;<nar hash>;<nar size>;<full reference paths, sorted, by commas>
 *
 * Appended; every part is checked. refs that are not sorted or not unique are
 * ERR_INVALID: there is one fingerprint of a path.
 */
int narinfo_fingerprint(const char *store_dir, const char *base,
    const struct hash *nar_hash, uint64_t nar_size, const char *const *refs,
    size_t nrefs, struct buf *out, struct err *e);

/* Sorts base names bytewise and drops duplicates; returns how many are left. */
size_t narinfo_sort(const char **names, size_t n);

#endif
