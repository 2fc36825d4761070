/*
 * Runs of the garbage collection as rows: asked for by servers, done by the
 * worker, seen by everybody, kept as history.
 */
#ifndef DB_GCRUNS_H
#define DB_GCRUNS_H

#include <stdint.h>

struct arena;
struct db;
struct err;

struct gcrun_params {
	int64_t older_than_us, pending_older_than_us;
	int force;
};

struct gcrun {
	int64_t id;
	const char *state; /* queued, running, succeeded, failed */
	const char *phase;
	const char *error; /* or NULL */
	struct gcrun_params params;
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

/* ---- for the worker ---- */

/* The run to work on: one that is running (its worker died) or queued. out->id
 * is 0 when there is none. Marks it running. */
int gcruns_take(
    struct db *db, struct arena *a, struct gcrun *out, struct err *e);
/* Writes phase and all figures. */
int gcruns_progress(struct db *db, const struct gcrun *r, struct err *e);
/* error NULL: succeeded. */
int gcruns_finish(
    struct db *db, const struct gcrun *r, const char *error, struct err *e);

#endif
