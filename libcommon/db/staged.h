/*
 * Uploads of the compatible API. They are uploads like all others (uploads.h,
 * commit.h), but their clients write narinfos themselves, and need not say what
 * they have written before they ask for the commit. So what they write is staged
 * beside the cache (objkey.h), and the commit learns from there what an upload of
 * the native API tells at its beginning.
 *
 * Functions with token and owner fail as those in uploads.h do.
 */
#ifndef DB_STAGED_H
#define DB_STAGED_H

#include <stddef.h>
#include <stdint.h>

#include "uploads.h"

struct arena;
struct db;
struct err;

/* How long a client may write what it was given URLs for. */
#define STAGED_LIFETIME_S (5 * 3600)

enum staged_state {
	STAGED_OPEN,
	STAGED_COMMITTED,
	STAGED_ENDED
};
/* By the number that its client knows it by. NOT_FOUND when there is none, or it
 * is another's, or of the native API. */
int staged_find(struct db *db, int64_t id, const char *owner, struct arena *a,
    const char **token, enum staged_state *state, struct err *e);
/* The open upload of this owner that has this multipart upload. NOT_FOUND. */
int staged_find_part(struct db *db, const char *key, const char *s3_id,
    const char *owner, struct arena *a, const char **token, struct err *e);
/* The newest open upload of this owner that may write the key: *token is NULL
 * when there is none. *live: the object is. */
int staged_find_key(struct db *db, const char *key, const char *owner,
    struct arena *a, const char **token, int *live, struct err *e);
/* Other multipart uploads of the key, of open uploads of this kind. */
int staged_rivals(struct db *db, const char *key, const char *s3_id,
    struct arena *a, struct upload_multipart **out, size_t *n, struct err *e);

/* The bucket has lost these live objects: the upload may write them. */
int staged_lost(struct db *db, const char *token, const char *owner,
    const char *const *keys, size_t n, struct err *e);

/* What the upload may write, and has to, in the order of keys. */
struct staged_object {
	int64_t id;
	const char *key;
	int kind;         /* enum objkey_kind */
	int64_t nar_size; /* of a NAR; -1 when its client did not say */
	int written;      /* it is in its place, and recorded */
	int repair;       /* live, but lost */
};
/* Renews the lease. Those that another upload has stored meanwhile are left
 * out. */
int staged_missing(struct db *db, const char *token, const char *owner,
    int64_t lease_us, struct arena *a, struct staged_object **out, size_t *n,
    struct err *e);

/* Of narinfos that the upload needs, by their keys: the keys that each refers to,
 * without itself; id is 0 for what it does not need. */
struct staged_refs {
	int64_t id;
	const char **keys; /* sorted */
	const int64_t *ids;
	size_t n;
};
int staged_refs(struct db *db, const char *token, const char *owner,
    const char *const *keys, size_t n, struct arena *a, struct staged_refs *out,
    struct err *e);

/* The upload needs these of its missing objects no more, and nothing of it refers
 * to them: a log that its client could not read. */
int staged_forgo(struct db *db, const char *token, const char *owner,
    const int64_t *ids, size_t n, struct err *e);

/* What the narinfos say that the commit is to write. Each of paths has the key of
 * its narinfo and of its NAR among objects, whose ids are known; names of the
 * objects and store paths of the roots follow from them. */
int staged_set_paths(struct db *db, const char *token, const char *owner,
    const struct upload_object *objects, const struct upload_path *paths,
    size_t n, struct err *e);

/* What was brought back, with what the bucket holds now. */
int staged_repaired(struct db *db, const char *token, const char *owner,
    const struct upload_write *writes, size_t n, struct err *e);

/* Keys of all that a live narinfo refers to, itself included; *keys is NULL when
 * the key has no live object. TOO_LARGE over max. O(objects it needs). */
int staged_closure(struct db *db, const char *key, size_t max, struct arena *a,
    const char ***keys, size_t *n, struct err *e);

/* Of an upload whose staged objects lie in the bucket: nobody can write there any
 * more, or needs what is there. */
int staged_over(struct db *db, const char *token, int *over, struct err *e);

#endif
