/*
 * Deleting objects: claims, and what comes after S3's answer.
 */
#ifndef DB_REAP_H
#define DB_REAP_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct db;
struct err;

/* The id of an object. NOT_FOUND. */
int reap_object_id(struct db *db, const char *key, int64_t *id, struct err *e);
/* The database's clock, in microseconds: that of all times below. */
int reap_clock(struct db *db, int64_t *now_us, struct err *e);
/* Tombstones that are as old as this, or older, and their bytes. */
int reap_due(struct db *db, int64_t until_us, int64_t *objects, int64_t *bytes,
    struct err *e);

#define REAP_BATCH 1000

struct reap_object {
	int64_t id;
	const char *key;
	int64_t size;       /* 0 when not known */
	int64_t claimed_us; /* names the claim */
	int64_t run;        /* that claimed it first; 0: none */
};

/*
 * Where claiming has come to; begins as zeros. A batch is of one rank, and narinfos
 * (the first) come before what they name: a bucket deletes those of one batch in
 * any order. What is named by a narinfo that may still be in the bucket is not
 * claimed (rule R10).
 */
struct reap_cursor {
	int rank;
	int64_t id;
};

/*
 * Claims up to REAP_BATCH tombstones that were made at until_us or before, and
 * that no root needs. Both are checked in the claiming statement, which holds the
 * roots lock exclusively (rule R4). One run asks for each object once, always
 * with the same time: by rule R8 a narinfo is never younger than what it names.
 * *n is 0 at the end.
 */
/* Only what graph_hasten has put before all times. */
#define REAP_AT_ONCE 1000000
int reap_claim(struct db *db, int64_t run, int64_t until_us,
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
/*
 * Claims left by a worker that died, or that S3 gave no clear answer to, that
 * were made at until_us or before; to be called with the same time until *n is 0,
 * each comes once, in no order. Younger ones are left alone: the delete that was
 * sent for them may still be on its way, and must not arrive after the key was
 * given free (rule R6).
 */
int reap_leftover(struct db *db, int64_t run, int64_t until_us, struct arena *a,
    struct reap_object **out, size_t *n, struct err *e);

/* What the bucket said about a claimed object. */
enum reap_answer {
	REAP_UNKNOWN,
	REAP_GONE,
	REAP_REFUSED
};

/*
 * After the answers, in transactions under the exclusive lock: what is gone
 * loses its rows, unless an upload needs it again (it becomes pending) or could
 * still write it when it was claimed (its row stays pending until that time);
 * what was refused keeps its first tombstone time and loses the claim; what is
 * unknown stays claimed, for the next run to ask again. Rows that another worker
 * has claimed since are left alone. All is counted for the runs that claimed.
 *
 * leftover: they were claimed by reap_leftover, and a delete before may have been
 * carried out. What is refused then may be there or not: it becomes pending as
 * well, and is written anew by whoever needs it.
 *
 * *done, 0 at first, tells how many are written down: after a failure the call is
 * repeated with it.
 */
int reap_finish(struct db *db, const struct reap_object *objects,
    const enum reap_answer *answers, size_t n, int leftover, size_t *done,
    struct err *e);

#endif
