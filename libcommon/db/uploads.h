/*
 * Uploads, from their beginning to their commit or end.
 *
 * The rules that keep live objects from being deleted (ARCHITECTURE.md has all)
 * and that are kept here:
 *
 *	R1 roots first: uploads_begin writes what the upload needs, new or already
 *	   there, before it looks at any state, holding the roots lock shared;
 *	R2 revive: in the same transaction it takes away the tombstones of what
 *	   is needed; those that are claimed it waits for, outside;
 *	R3 re-check: commit_finish refuses unless everything needed is live or was
 *	   written by this upload;
 *	R7 authorised: uploads_authorize writes down until when an object may be
 *	   written, before anybody is told that he may.
 *
 * Together they keep one invariant: all that a live object refers to is live. An
 * object becomes live by a commit (R3), or by R2 if all it refers to is live,
 * else it has to be written anew; it becomes a tombstone before what it refers to
 * (graph.h). So what is found live can be trusted without looking further, though
 * it refers to other things than this upload believes.
 */
#ifndef DB_UPLOADS_H
#define DB_UPLOADS_H

#include <stddef.h>
#include <stdint.h>

#include "../core/clock.h"
#include "../nix/hash.h"

struct arena;
struct db;
struct db_pool;
struct err;

#define UPLOAD_TOKEN_MAX 33 /* 32 hex digits and a NUL */

struct upload_object {
	const char *key;
	int kind;         /* enum objkey_kind */
	const char *name; /* of a narinfo, behind the hash; else NULL */
	int64_t nar_size; /* of a NAR; else -1 */
	/* Positions in objects; itself left out. What nothing else refers to,
	 * such as a build log, hangs on the narinfo it belongs to. */
	const uint32_t *refs;
	size_t nrefs;
	/* Out: */
	int64_t id;
	int missing; /* to be stored: nobody is known to have done it */
};

/* Of each narinfo, whether it turns out to be new or not. */
struct upload_path {
	uint32_t object; /* position of the narinfo */
	uint32_t nar;    /* position of the NAR */
	const char *base;
	struct hash nar_hash;
	int64_t nar_size;
	const char **refs; /* base names, sorted */
	size_t nrefs;
	const char *deriver, *ca; /* or NULL */
	const char **sigs;
	size_t nsigs;
};

struct upload_root {
	uint32_t object;
	const char *store_path;
};

struct upload_begin {
	const char *owner; /* who: the credential's name */
	const char *store_dir;
	int64_t lease_us;
	struct upload_object *objects; /* keys unique */
	size_t nobjects;
	const struct upload_path *paths;
	size_t npaths;
	const struct upload_root *roots;
	size_t nroots;
	int staged; /* of the compatible API: see staged.h */
	/* Out: */
	int64_t id;
	int64_t began_us; /* by the database's clock */
};

/*
 * Begins an upload. token gets its unguessable name. Objects that are being
 * deleted just now are waited for (outside of any transaction, until the
 * connection's deadline: ERR_UNAVAILABLE; the upload is then ended). O(n log n)
 * in the objects, a fixed number of statements.
 */
int uploads_begin(struct db *db, struct upload_begin *b,
    char token[UPLOAD_TOKEN_MAX], struct err *e);

/*
 * Below, token and owner must belong together and the upload be open:
 * NOT_FOUND for an unknown token or another's, CONFLICT with its state when it
 * has ended. Each renews the lease by lease_us.
 */
struct upload_write {
	const char *key;
	uint64_t size;
	uint8_t sha256[32]; /* of the whole object */
	int whole;          /* 0: a part; size and sha256 are not recorded */
	int unhashed;       /* sha256 is not known */
	const char *s3_id;  /* of a part: the multipart upload it belongs to */
};
/*
 * Records that the upload may write these objects until auth_us from now.
 * FORBIDDEN, naming the key, when one was not missing at the beginning of this
 * upload, or is a narinfo that the server writes, or a part's multipart upload is
 * not this upload's. An object that another upload has committed meanwhile is no
 * error: NARs are only ever created.
 */
int uploads_authorize(struct db *db, const char *token, const char *owner,
    const struct upload_write *writes, size_t n, int64_t auth_us,
    int64_t lease_us, struct err *e);

/* Writes the intent, before S3 is asked; *id names the row. */
int uploads_multipart_intend(struct db *db, const char *token,
    const char *owner, const char *key, int64_t lease_us, int64_t *id,
    struct err *e);
int uploads_multipart_begun(
    struct db *db, int64_t id, const char *s3_id, struct err *e);
/* The multipart upload is this upload's; records the whole object's facts. */
int uploads_multipart_completing(struct db *db, const char *token,
    const char *owner, const char *key, const char *s3_id, uint64_t size,
    const uint8_t sha256[32], int64_t auth_us, int64_t lease_us, struct err *e);
/* Forgets it: completed or aborted in S3. */
int uploads_multipart_done(
    struct db *db, const char *key, const char *s3_id, struct err *e);
/* Completions of one key exclude each other: holds an advisory lock on the key
 * for the transaction that is open. */
int uploads_key_lock(struct db *db, const char *key, struct err *e);

/* What the bucket holds of missing objects, in place of what was authorised. */
int uploads_record(struct db *db, const char *token, const char *owner,
    const struct upload_write *writes, size_t n, struct err *e);

struct upload_multipart {
	const char *key, *s3_id;
};
/*
 * Ends it without a commit: its needs, writes and paths go, pending objects keep
 * the time until which they may still be written. *out gets the multipart
 * uploads to abort in S3; their rows stay until uploads_multipart_done. A second
 * abort is 0; a committed upload is CONFLICT.
 */
int uploads_abort(struct db *db, const char *token, const char *owner,
    struct arena *a, struct upload_multipart **out, size_t *n, struct err *e);

#endif
