/*
 * DELETE /api/closures starts a garbage collection, GET /api/gc/status tells how it
 * goes, DELETE /api/pending_closures ends uploads that were given up.
 */
#include <stdatomic.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/expire.h"
#include "../../libcommon/db/gcruns.h"
#include "../../proto/compat.h"
#include "compat.h"

#define FAILED_UPLOADS "6h" /* the default of failed-uploads-older-than */
#define PENDING        "1h" /* and of DELETE /api/pending_closures */
#define HISTORY        1000 /* runs that are looked at for the latest */
/* The oldest clients wait for the end of a collection: so many at once, so long. */
#define WAITING_MAX 2
#define WAITING_MS  (30 * 60 * 1000)
#define PAUSE_MS    500

/* The phases that clients know. */
static const char *
phase_of(const char *phase)
{
	static const struct {
		const char *ours, *theirs;
	} names[] = {
		{ "finish-deletes", "cleanup_pending_uploads" },
		{ "expire-uploads", "cleanup_pending_uploads" },
		{ "read", "cleanup_old_closures" },
		{ "expire-closures", "cleanup_old_closures" },
		{ "tidy", "vacuum_tables" },
	};

	if (phase[0] == '\0')
		return NULL;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i].ours, phase) == 0)
			return names[i].theirs;
	return "cleanup_orphan_objects";
}

static const char *
duration(struct arena *a, int64_t us)
{
	char text[NUM_DURATION_MAX];

	return arena_str(a, num_fmt_duration(text, us));
}

static struct compat_gc
status_of(const struct gcrun *run, struct arena *a)
{
	int64_t started =
	    run->started_us > 0 ? run->started_us : run->created_us;

	return (struct compat_gc){
		.state = strcmp(run->state, "queued") == 0 ? "running"
		                                           : run->state,
		.phase = phase_of(run->phase),
		.params = {
			.older_than = duration(a, run->params.older_than_us),
			.failed_uploads_older_than =
			    duration(a, run->params.pending_older_than_us),
			.force = run->params.force,
		},
		.stats = {
			.failed_uploads_deleted = run->failed_uploads_deleted,
			.old_closures_deleted = run->old_closures_deleted,
			.objects_marked_for_deletion = run->objects_marked,
			.objects_deleted_after_grace_period =
			    run->objects_deleted,
			.objects_failed_to_delete = run->objects_failed,
		},
		.error = run->error,
		.started_at = server_time(a, started),
		.updated_at = server_time(a, run->updated_us),
		.finished_at = server_time(a, run->finished_us),
	};
}

/* A duration in the query; fallback when it is not there (or empty). what is said
 * of one that is none. */
static int
query_age(const struct http_req *q, const char *name, const char *fallback,
    const char *what, int64_t *us, struct err *e)
{
	const char *text = http_req_query(q, name);

	if (text == NULL || text[0] == '\0')
		text = fallback;
	if (text[0] == '-')
		return err_set(e, ERR_INVALID, "%s must not be negative", name);
	return num_parse_duration(text, us, e) == 0 ? 0
	                                            : err_prefix(e, "%s", what);
}

/* Ends when the run does, for clients that know no other way. */
static int
wait_for(struct server *s, const struct http_req *q, int64_t id,
    struct http_res *r, struct err *e)
{
	static atomic_int waiting;
	deadline_t until = deadline_in(WAITING_MS);
	struct gcrun run = { .state = "running" };
	int rc = 0;

	if (atomic_fetch_add(&waiting, 1) >= WAITING_MAX)
		rc = err_set(e, ERR_UNAVAILABLE,
		    "too many clients wait for garbage collections");
	while (rc == 0 && run.finished_us == 0 && deadline_left(until) > 0) {
		struct db *db;

		clock_sleep(PAUSE_MS, until);
		if ((rc = server_db(s, &db, e)) != 0)
			break;
		rc = gcruns_get(db, id, q->arena, &run, e);
		db_put(s->pool, db);
	}
	atomic_fetch_sub(&waiting, 1);
	if (rc != 0)
		return -1;
	if (run.finished_us == 0)
		return err_set(e, ERR_TIMEOUT, "it has not ended yet");
	if (run.error != NULL)
		return err_set(e, ERR_INTERNAL, "%s", run.error);
	r->status = 204;
	return 0;
}

static int
answer_busy(const struct http_req *q, const struct gcrun *run,
    struct http_res *r, struct err *e)
{
	struct compat_gc_busy body = {
		.error = "a different garbage collection is already running",
		.active_task = status_of(run, q->arena),
	};

	return server_encode(r, 409, &compat_gc_busy_desc, &body, e);
}

int
handle_compat_gc_start(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	const char *age = http_req_query(q, "older-than");
	const char *failed = http_req_query(q, "failed-uploads-older-than");
	const char *old = http_req_query(q, "pending-older-than");
	const char *force = http_req_query(q, "force");
	/* Its name tells the clients that wait for the end. */
	int oldest = old != NULL && (failed == NULL || failed[0] == '\0');
	struct gcrun_params p = {
		.kind = GCRUN_COLLECT,
		.force = force != NULL && strcmp(force, "true") == 0,
		.max_share = GCRUN_SHARE_DEFAULT,
	};
	struct err why = ERR_INIT;
	struct compat_gc body;
	struct gcrun run;

	if (age == NULL || age[0] == '\0')
		return err_set(e, ERR_INVALID, "missing age");
	if (query_age(q, "older-than", "", "failed to parse age",
	        &p.older_than_us, e) != 0 ||
	    query_age(q,
	        oldest ? "pending-older-than" : "failed-uploads-older-than",
	        FAILED_UPLOADS, "failed to parse failed-uploads-older-than",
	        &p.pending_older_than_us, e) != 0)
		return -1;
	if (server_queue_run(worker, q->arena, &p, &run, &why) != 0) {
		if (why.kind == ERR_CONFLICT && run.id != 0)
			return answer_busy(q, &run, r, e);
		*e = why;
		return -1;
	}
	if (oldest)
		return wait_for(worker, q, run.id, r, e);
	body = status_of(&run, q->arena);
	return server_encode(r, 202, &compat_gc_desc, &body, e);
}

/* The latest that these clients could have started. */
int
handle_compat_gc_status(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct compat_gc body;
	struct gcrun *runs;
	struct db *db;
	size_t n;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = gcruns_list(db, 0, HISTORY, q->arena, &runs, &n, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (runs[i].params.kind != GCRUN_COLLECT)
			continue;
		body = status_of(&runs[i], q->arena);
		return server_encode(r, 200, &compat_gc_desc, &body, e);
	}
	return err_set(e, ERR_NOT_FOUND, "no garbage collection has run yet");
}

/* Uploads live by their lease: what is asked for is how long that is gone. */
int
handle_compat_cleanup(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct db *db;
	uint64_t n;
	int64_t us;
	int rc;

	if (query_age(q, "older-than", PENDING, "invalid duration", &us, e) !=
	        0 ||
	    server_db(s, &db, e) != 0)
		return -1;
	do
		rc = expire_uploads(db, us, EXPIRE_NO_RUN, &n, e);
	while (rc == 0 && n > 0);
	db_put(s->pool, db);
	if (rc != 0)
		return err_prefix(e, "cleanup failed");
	server_wake_gc(s, q->arena);
	r->status = 204;
	return 0;
}
