/*
 * Deleting: expired roots, claims, and what comes after S3's answer.
 */
#ifndef DB_REAP_H
#define DB_REAP_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct db;
struct err;

/* ---- roots that run out ---- */

/* Ends open uploads whose lease has been gone for older_than_us. Takes the roots
 * lock exclusively for the batch. *n gets how many; call until 0. */
int reap_uploads(
    struct db *db, int64_t older_than_us, uint64_t *n, struct err *e);
/* Deletes unpinned closures that are older, in batches; call until 0. */
int reap_closures(
    struct db *db, int64_t older_than_us, uint64_t *n, struct err *e);
/* Forgets ended uploads after a day and folds the statistics. */
int reap_history(struct db *db, struct err *e);

/* Multipart uploads of ended uploads, to be aborted. */
struct reap_multipart {
	int64_t id;
	const char *key, *s3_id; /* s3_id NULL: S3 may never have begun it */
};
int reap_multiparts(struct db *db, struct arena *a, struct reap_multipart **out,
    size_t *n, struct err *e);
int reap_multipart_done(struct db *db, int64_t id, struct err *e);
/* Is this one, found in the bucket, nobody's? 1 when no open upload owns it and
 * none has an open intent for the key. */
int reap_multipart_orphan(struct db *db, const char *key, const char *s3_id,
    int *orphan, struct err *e);

/* ---- objects ---- */

#define REAP_BATCH 1000

struct reap_object {
	int64_t id;
	const char *key;
	int64_t size; /* 0 when not known */
};

/*
 * Claims up to REAP_BATCH tombstones that are at least grace_us old and that no
 * root needs: narinfos first, and never in one batch with what they name. Grace
 * and roots are checked in the claiming statement, which holds the roots lock
 * exclusively (rule R4). after, in and out, is a cursor {rank, id}, so that one
 * run asks for each object once. *n is 0 at the end.
 */
struct reap_cursor {
	int rank;
	int64_t id;
};
int reap_claim(struct db *db, int64_t run, int64_t grace_us,
    struct reap_cursor *after, struct arena *a, struct reap_object **out,
    size_t *n, struct err *e);
/*
 * Claims pending objects that no open upload needs (rolled back, expired);
 * without grace, for they never were part of the cache: those that were are
 * tombstones besides, and wait. What may yet be written is claimed twice: at
 * once, and when that time has passed.
 */
int reap_claim_pending(struct db *db, int64_t run, struct reap_cursor *after,
    struct arena *a, struct reap_object **out, size_t *n, struct err *e);
/* Claims left by a worker that died, or that S3 gave no clear answer to; to be
 * called until *n is 0, each comes once. Those younger than age_us are left
 * alone: the delete that was sent for them may still be on its way, and must not
 * arrive after the key was given free. */
int reap_leftover(struct db *db, int64_t run, int64_t age_us, struct arena *a,
    struct reap_object **out, size_t *n, struct err *e);

/* What the bucket said about a claimed object. */
enum reap_answer {
	REAP_UNKNOWN,
	REAP_GONE,
	REAP_REFUSED
};

/*
 * After the answers, in one transaction under the exclusive lock: what is gone
 * loses its rows, unless an upload needs it again (it becomes pending) or may
 * still write it (its row stays pending until that time); what was refused
 * keeps its first tombstone time and loses the claim; what is unknown stays
 * claimed, for the next run to ask again.
 */
int reap_finish(struct db *db, const struct reap_object *objects,
    const enum reap_answer *answers, size_t n, struct err *e);

#endif
