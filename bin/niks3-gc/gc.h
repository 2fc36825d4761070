/*
 * niks3-gc: what the phases of a run share.
 */
#ifndef GC_GC_H
#define GC_GC_H

#include <stddef.h>
#include <stdint.h>

#include "../../libcommon/db/gcruns.h"
#include "../../proto/messages.h"

struct db;
struct err;
struct ipc_client;

/* One thread works; the other only waits for signals and wakes it. */
struct gc {
	struct db *db;   /* for the work */
	struct db *lock; /* holds the lock of the one worker */
	struct ipc_client *uploader;
};

/* Claims of pending garbage outside of any run. */
#define GC_NO_RUN 0

/* How long one answer of the uploader, and one batch in the database, may
 * take. */
#define GC_IPC_MS 120000
#define GC_DB_MS  60000
/* One delete, and when it is surely over although its worker died. */
#define GC_DELETE_MS 30000
#define GC_LATE_MS   45000
#define GC_QUERY_MS  3600000 /* reading all objects */

/* ERR_UNAVAILABLE when the lock is lost, ERR_CANCELED when we are to stop;
 * asked between batches. Renews the deadline of gc->db. */
int gc_check(struct gc *g, struct err *e);

/*
 * After a batch that failed: 1 when it is to be tried again, because uploads that
 * are just beginning hold the roots lock and go first. *tries starts at 0.
 */
int gc_again(unsigned *tries, const struct err *e);

/* run.c: the phases of one run, each idempotent: a run that a dead worker left
 * is simply done again. r's figures are added to and written. */
int run_all(struct gc *g, struct gcrun *r, struct err *e);

/* uploads.c: ends uploads without a lease, aborts what they left in S3. */
int uploads_expire(struct gc *g, struct gcrun *r, struct err *e);
/* Aborts multipart uploads whose upload has ended; those that nobody knows too
 * when all is set (it lists the bucket's). */
int uploads_abort_parts(struct gc *g, int all, struct err *e);

/* mark.c: tombstones what no root reaches, revives what one does. */
int mark(struct gc *g, struct gcrun *r, struct err *e);

/* reap.c: deletes tombstones that are due, and pending objects that nobody
 * needs. */
int reap_tombstones(struct gc *g, struct gcrun *r, struct err *e);
int reap_pending(struct gc *g, int64_t run, struct gcrun *r, struct err *e);
/* Asks again about what a dead worker had claimed. */
int reap_leftovers(struct gc *g, int64_t run, struct gcrun *r, struct err *e);

#endif
