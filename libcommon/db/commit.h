/*
 * Committing an upload: what must be confirmed in the bucket, what narinfos have
 * to be written, and the transaction that makes it all live. See uploads.h for
 * the rules.
 */
#ifndef DB_COMMIT_H
#define DB_COMMIT_H

#include <stddef.h>
#include <stdint.h>

#include "../nix/hash.h"

struct arena;
struct db;
struct err;

/* A missing object that the client had to upload. */
struct commit_object {
	int64_t id;
	const char *key;
	int kind;
	/* size and sha256 are those that were authorised. The caller may set it
	 * and them when it has learned them otherwise. */
	int written;
	int64_t size;
	int hashed; /* else nobody knows sha256 */
	uint8_t sha256[32];
};

/* A narinfo to be signed and written. */
struct commit_path {
	int64_t id;
	const char *key;
	const char *base;
	struct hash nar_hash;
	int64_t nar_size;
	const char *nar_key;
	/* The stored NAR, of an older path that has the same. has_file is 0
	 * when it is one of the objects above, which tell of it. */
	int has_file;
	int hashed; /* else nobody knows file_sha256 */
	uint8_t file_sha256[32];
	int64_t file_size;
	const char **refs;
	size_t nrefs;
	const char *deriver, *ca;
	const char **sigs;
	size_t nsigs;
	/* Ids of the narinfos it refers to and that are to be written too. */
	const int64_t *needs;
	size_t nneeds;
	/* To be filled by the caller before commit_finish: what was stored. */
	int64_t size;
	uint8_t sha256[32];
	/* A write of it may still be under way, though its answer was lost. Set
	 * by commit_publish for earlier tries, and by the caller for its own. */
	int unsure;
};

struct commit {
	int64_t upload_id;
	const char *store_dir;
	int already; /* committed before: nothing else is filled but narinfos */
	uint64_t narinfos;
	struct commit_object *objects;
	size_t nobjects;
	struct commit_path *paths;
	size_t npaths;
};

/* Reads all that is needed, and renews the lease. Errors as in uploads.h. */
int commit_load(struct db *db, const char *token, const char *owner,
    int64_t lease_us, struct arena *a, struct commit *out, struct err *e);

/*
 * Rule R9: one upload at a time writes a narinfo. Two that push one store path
 * with different contents would otherwise leave the text of the last writer in
 * the bucket, whichever of them commits.
 *
 * Claims all narinfos of c for COMMIT_LATE_MS, or none of them. The caller's
 * writes must end within COMMIT_WRITE_MS of the call, which may be repeated; what
 * S3 has been sent by then has arrived, or never will, after COMMIT_LATE_MS.
 */
#define COMMIT_WRITE_MS 30000
#define COMMIT_LATE_MS  45000
enum commit_claim {
	COMMIT_CLAIMED,
	COMMIT_BUSY,   /* another upload is writing one: to be asked again */
	COMMIT_CHANGED /* one is live by now: c is to be loaded again */
};
int commit_publish(
    struct db *db, struct commit *c, enum commit_claim *out, struct err *e);

/*
 * Makes it live, in one transaction: re-checks that the upload is open and that
 * everything it needs is live or in c and written (ERR_CONFLICT, and *missing
 * gets the keys, otherwise), that it is still the one writer of its narinfos
 * (else ERR_UNAVAILABLE: to be begun again), records contents, refreshes or adds
 * the roots, ends the upload. Rows are locked in the order of ids. Idempotent.
 */
int commit_finish(struct db *db, const struct commit *c, struct arena *a,
    const char ***missing, size_t *nmissing, struct err *e);

#endif
