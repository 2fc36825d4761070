/*
 * niks3-gc: what the phases of a run share.
 */
#ifndef GC_GC_H
#define GC_GC_H

#include <stddef.h>
#include <stdint.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/db/gcruns.h"
#include "../../proto/messages.h"

struct arena;
struct db;
struct err;
struct ipc_client;

struct graph;
struct metrics;

/* One thread works; the other only waits for signals and wakes it. */
struct gc {
	struct db *db;   /* for the work */
	struct db *lock; /* holds the lock of the one worker */
	struct ipc_client *uploader;
	/* A run that would take a larger share of the live objects (per cent),
	 * and more than this many, stops unless it was told to go on. */
	int64_t max_share, share_floor;
	struct metrics *metrics; /* of daemon_metrics */

	/* Of the run under way: what was read, and what of it may go at once. */
	struct graph *graph;
	int64_t *purge;
	size_t npurge;
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

/* Leaves the database to the uploads, in proportion to what was just done. */
void gc_rest(int64_t took_ms);

/* run.c: the phases of one run, each idempotent: a run that a dead worker left
 * is simply done again. The figures are kept in its row, not in r. */
int run_all(struct gc *g, struct gcrun *r, struct err *e);

/* uploads.c: ends uploads without a lease, aborts what they left in S3. */
int uploads_expire(struct gc *g, struct gcrun *r, struct err *e);
/* Aborts multipart uploads whose upload has ended; those that nobody knows too
 * when all is set (it lists the bucket's). */
int uploads_abort_parts(struct gc *g, int all, struct err *e);

/* pins.c: writes pins/NAME once more where an older write may have come last. */
int pins_settle(struct gc *g, struct err *e);

/* mark.c: reads all objects and finds what no root needs; stops a run that
 * would take too much. The graph stays until mark_done, whatever happened. */
int mark_read(struct gc *g, struct gcrun *r, struct err *e);
/* Old closures are no roots any more; what no root reaches becomes a tombstone,
 * and a tombstone that one does is revived. */
int mark_expire(struct gc *g, struct gcrun *r, struct err *e);
int mark_tombstones(struct gc *g, struct gcrun *r, struct err *e);
/* Of the deletion of a closure: takes away the grace of what may go at once. It is
 * written down, so that another worker can go on. */
int mark_at_once(struct gc *g, struct gcrun *r, struct err *e);
/* Of a dry run: writes down what would go. */
int mark_report(struct gc *g, struct gcrun *r, struct err *e);
void mark_done(struct gc *g);

/* reap.c: deletes tombstones that are due, and pending objects that nobody
 * needs. */
int reap_tombstones(struct gc *g, struct gcrun *r, struct err *e);
/* Of the deletion of a closure: those that mark_at_once has marked. */
int reap_at_once(struct gc *g, struct gcrun *r, struct err *e);
int reap_pending(struct gc *g, int64_t run, struct err *e);
/* Asks again about what a dead worker had claimed. */
int reap_leftovers(struct gc *g, int64_t run, struct err *e);

/*
 * why.c: answers CALL_gc_why, one at a time. Reading all objects takes much
 * memory: whoever does it enters first, waiting until d, and leaves when the
 * graph is freed. ERR_UNAVAILABLE, or ERR_CANCELED when we are to stop.
 */
int gc_graph_enter(deadline_t d, struct err *e);
void gc_graph_leave(void);
int gc_handle_why(void *conninfo, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e);
/* For the options of the server that answers: ctx is the connection string. */
void *gc_why_worker(void *conninfo);

#endif
