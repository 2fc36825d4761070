/*
 * Runs of the garbage collection as rows: asked for by servers, done by the
 * worker, seen by everybody, kept as history.
 */
#ifndef DB_GCRUNS_H
#define DB_GCRUNS_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct db;
struct err;

enum gcrun_kind {
	GCRUN_COLLECT,
	GCRUN_DRY_RUN, /* tells what GCRUN_COLLECT would do */
	GCRUN_DELETE   /* takes one closure away */
};

struct gcrun_params {
	enum gcrun_kind kind;
	int64_t older_than_us, pending_older_than_us;
	int force;
	/* Stops when a larger share of the live objects would go: per cent, or
	 * GCRUN_SHARE_DEFAULT for what the worker is set to. */
	int max_share;
	/* Of GCRUN_DELETE: the key of the closure's narinfo, and whether the
	 * objects that only it needs go at once. Else NULL. */
	const char *target;
	int at_once;
};
#define GCRUN_SHARE_DEFAULT (-1)

/* "collect", "dry-run", "delete" */
const char *gcrun_kind_name(enum gcrun_kind kind);

struct gcrun {
	int64_t id;
	const char *state; /* queued, running, succeeded, failed */
	const char *phase;
	const char *error, *error_kind, *error_hint; /* or NULL */
	struct gcrun_params params;
	int resumed; /* by gcruns_take only */
	/* Found by marking: live objects; what no root needs; its bytes, which
	 * only a dry run knows. */
	int64_t objects_live, objects_garbage, bytes_garbage;
	/* Of a dry run: tombstones of earlier runs that would be deleted now. */
	int64_t objects_due, bytes_due;
	int64_t failed_uploads_deleted, old_closures_deleted, objects_marked,
	    objects_revived, objects_deleted, bytes_deleted, objects_failed;
	int64_t created_us, started_us, updated_us,
	    finished_us; /* 0: not yet */
};

/*
 * Queues a run, or joins the one that is queued or running when its parameters
 * are the same; else CONFLICT, with *out filled all the same.
 */
int gcruns_start(struct db *db, const struct gcrun_params *p, struct arena *a,
    struct gcrun *out, struct err *e);
/* id 0: the latest. NOT_FOUND. */
int gcruns_get(struct db *db, int64_t id, struct arena *a, struct gcrun *out,
    struct err *e);
/* The latest collection that succeeded without force; id 0 when there is none. */
int gcruns_latest(
    struct db *db, struct arena *a, struct gcrun *out, struct err *e);
/* The latest, newest first, at most max of those before run before (0: all). */
int gcruns_list(struct db *db, int64_t before, size_t max, struct arena *a,
    struct gcrun **out, size_t *n, struct err *e);

/* Those that have ended after run after did, oldest first, at most max. There is
 * one run at a time: who goes on from the last one misses none. */
int gcruns_finished(struct db *db, int64_t after, size_t max, struct arena *a,
    struct gcrun **out, size_t *n, struct err *e);

/* Of a dry run: what would go with each root. store_path is "" for what no root
 * needs already. */
struct gcrun_root {
	int64_t object_id;
	const char *store_path;
	int64_t updated_us; /* 0: not known */
	int64_t objects, bytes;
};
#define GCRUN_ROOTS_MAX 10000 /* that are kept of one run */
/* Most bytes first. */
int gcruns_roots(struct db *db, int64_t run, struct arena *a,
    struct gcrun_root **out, size_t *n, struct err *e);

/* ---- for the worker ---- */

/* The run to work on: one that is running (its worker died: resumed is set) or
 * queued. out->id is 0 when there is none. Marks it running. */
int gcruns_take(
    struct db *db, struct arena *a, struct gcrun *out, struct err *e);
/*
 * What a batch did is added to the figures of its run by the transaction of the
 * batch itself, so that they are exact whoever is killed when.
 */
struct gcrun_tally {
	int64_t failed_uploads_deleted, old_closures_deleted, objects_marked,
	    objects_revived, objects_deleted, bytes_deleted, objects_failed;
};
int gcruns_add(
    struct db *db, int64_t run, const struct gcrun_tally *t, struct err *e);
/* Of a dry run: its roots, and how many uploads and closures would end. */
int gcruns_set_roots(struct db *db, int64_t run, const struct gcrun_root *roots,
    size_t n, const struct gcrun_tally *t, struct err *e);

/* Writes the phase and what was found; not the figures. */
int gcruns_progress(struct db *db, const struct gcrun *r, struct err *e);
/* failure NULL: succeeded. */
int gcruns_finish(struct db *db, const struct gcrun *r,
    const struct err *failure, struct err *e);
/* Forgets all but the latest GCRUNS_KEPT runs, and the roots of all but the
 * latest dry runs. */
#define GCRUNS_KEPT 10000
int gcruns_prune(struct db *db, struct err *e);

#endif
