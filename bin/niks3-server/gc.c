/* POST /api/v2/gc asks for a garbage collection, GET tells how it goes. The
 * runs are rows: any server answers for them. */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/gcruns.h"
#include "../../proto/bodies.h"
#include "server.h"

static const char *
time_text(struct arena *a, int64_t us)
{
	char text[CLOCK_RFC3339_MAX];

	return us == 0 ? NULL : arena_str(a, clock_fmt_rfc3339(text, us));
}

static int
encode_run(const struct http_req *q, struct http_res *r, int status,
    const struct gcrun *run, struct err *e)
{
	struct gc_status body = {
		.id = run->id,
		.state = run->state,
		.phase = run->phase,
		.error = run->error,
		.older_than_s = run->params.older_than_us / 1000000,
		.pending_older_than_s =
		    run->params.pending_older_than_us / 1000000,
		.force = run->params.force,
		.failed_uploads_deleted = run->failed_uploads_deleted,
		.old_closures_deleted = run->old_closures_deleted,
		.objects_marked = run->objects_marked,
		.objects_deleted = run->objects_deleted,
		.objects_failed = run->objects_failed,
		.started_at = time_text(q->arena, run->started_us),
		.updated_at = time_text(q->arena, run->updated_us),
		.finished_at = time_text(q->arena, run->finished_us),
	};

	return server_encode(r, status, &gc_status_desc, &body, e);
}

int
handle_gc_start(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct gc_request body;
	struct gcrun run;
	struct db *db;
	int rc;

	if (server_decode(q, &gc_request_desc, &body, e) != 0 ||
	    server_db(s, &db, e) != 0)
		return -1;
	rc = gcruns_start(db,
	    &(struct gcrun_params){
	        .older_than_us = body.older_than_s * 1000000,
	        .pending_older_than_us = body.pending_older_than_s * 1000000,
	        .force = body.force,
	    },
	    q->arena, &run, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	log_notice("garbage collection asked for", LOG_I("run", run.id),
	    LOG_U("older-than-s", body.older_than_s),
	    LOG_I("force", body.force));
	server_wake_gc(s, q->arena);
	return encode_run(q, r, 202, &run, e);
}

int
handle_gc_status(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	const char *id = q->params[0];
	struct gcrun run;
	struct db *db;
	uint64_t n = 0;
	int rc;

	if (strcmp(id, "latest") != 0 &&
	    num_parse_u64(id, strlen(id), INT64_MAX, &n, e) != 0)
		return err_prefix(e, "id of a run");
	if (server_db(s, &db, e) != 0)
		return -1;
	rc = gcruns_get(db, n, q->arena, &run, e);
	db_put(s->pool, db);
	return rc == 0 ? encode_run(q, r, 200, &run, e) : -1;
}
