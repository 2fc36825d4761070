/*
 * Nix's own database of the store at hand (src/libstore/schema.sql), read-only.
 *
 * Nix keeps it in WAL mode. Who may not write to its directory cannot open such a
 * database while nobody else has it open; it is then read as a file that does not
 * change, and what was read is good only if it has not: nixdb_still tells. So
 * readers ask, and begin again when it is not.
 */
#ifndef LOCAL_NIXDB_H
#define LOCAL_NIXDB_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct nixdb;
struct sqlite3;

#define NIXDB_TRIES 10 /* so often a reader begins again */

int nixdb_open(const char *store_dir, struct nixdb **out, struct err *e);
void nixdb_close(struct nixdb *db); /* takes NULL */
/* Fails with UNAVAILABLE when what was read since nixdb_open may be torn. */
int nixdb_still(const struct nixdb *db, struct err *e);
struct sqlite3 *nixdb_handle(struct nixdb *db);
/* Fills e with what SQLite says. Returns -1. */
int nixdb_fail(struct nixdb *db, struct err *e);

/* Store paths have ids, which grow and are never given again. */
struct nixdb_path {
	int64_t id;
	const char *base;
	const char *sigs; /* "name:base64 name:base64", or "" */
};

/* The largest id that was given, also to a path that is gone; 0: none was. */
int nixdb_last_id(struct nixdb *db, int64_t *id, struct err *e);
/* Valid paths with ids after this one, in their order, at most max. */
int nixdb_after(struct nixdb *db, const char *store_dir, int64_t id, size_t max,
    struct arena *a, struct nixdb_path **out, size_t *n, struct err *e);
/* Sets out->base to NULL when the path is not valid. */
int nixdb_path(struct nixdb *db, const char *store_dir, const char *base,
    struct arena *a, struct nixdb_path *out, struct err *e);
/* Valid paths that this derivation made, at most max, the newest first. */
int nixdb_made_by(struct nixdb *db, const char *store_dir, const char *drv_base,
    size_t max, struct arena *a, struct nixdb_path **out, size_t *n,
    struct err *e);

#endif
