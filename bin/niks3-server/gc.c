/*
 * POST /api/v2/gc asks for a garbage collection, GET tells how it goes and what
 * was before. The runs are rows: any server answers for them.
 */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/gcruns.h"
#include "../../proto/bodies.h"
#include "server.h"

#define HISTORY_DEFAULT 100

static struct gc_status
status_of(const struct gcrun *run, struct arena *a)
{
	const struct gcrun_params *p = &run->params;

	return (struct gc_status){
		.id = run->id,
		.kind = gcrun_kind_name(p->kind),
		.state = run->state,
		.phase = run->phase[0] != '\0' ? run->phase : NULL,
		.error = run->error,
		.error_kind = run->error_kind,
		.error_hint = run->error_hint,
		.older_than_s = p->older_than_us / 1000000,
		.pending_older_than_s = p->pending_older_than_us / 1000000,
		.force = p->force,
		.max_share = p->max_share > 0 ? p->max_share : 0,
		.target = p->target,
		.at_once = p->at_once,
		.objects_live = run->objects_live,
		.objects_garbage = run->objects_garbage,
		.bytes_garbage = run->bytes_garbage,
		.objects_due = run->objects_due,
		.bytes_due = run->bytes_due,
		.failed_uploads_deleted = run->failed_uploads_deleted,
		.old_closures_deleted = run->old_closures_deleted,
		.objects_marked = run->objects_marked,
		.objects_revived = run->objects_revived,
		.objects_deleted = run->objects_deleted,
		.bytes_deleted = run->bytes_deleted,
		.objects_failed = run->objects_failed,
		.created_at = server_time(a, run->created_us),
		.started_at = server_time(a, run->started_us),
		.updated_at = server_time(a, run->updated_us),
		.finished_at = server_time(a, run->finished_us),
	};
}

static int
encode_run(const struct http_req *q, struct http_res *r, int status,
    const struct gcrun *run, struct err *e)
{
	struct gc_status body = status_of(run, q->arena);

	return server_encode(r, status, &gc_status_desc, &body, e);
}

/* Names the run in our way, so that the client can wait for it. */
static int
answer_busy(struct http_res *r, const struct gcrun *run, const struct err *why,
    struct err *e)
{
	struct api_error body = {
		.error = {
		    .kind = err_name(why->kind),
		    .message = why->msg,
		    .hint = why->hint[0] != '\0' ? why->hint : NULL,
		    .run = run->id,
		},
	};

	return server_encode(r, err_http(why->kind), &api_error_desc, &body, e);
}

int
server_queue_run(struct server *s, struct arena *a,
    const struct gcrun_params *p, struct gcrun *run, struct err *e)
{
	struct db *db;
	int rc;

	run->id = 0;
	if (server_db(s, &db, e) != 0)
		return -1;
	rc = gcruns_start(db, p, a, run, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	log_notice("garbage collection asked for", LOG_I("run", run->id),
	    LOG_S("kind", gcrun_kind_name(p->kind)),
	    LOG_T("older-than", p->older_than_us), LOG_I("force", p->force),
	    LOG_S("target", p->target != NULL ? p->target : ""));
	server_wake_gc(s, a);
	return 0;
}

int
server_start_run(struct server *s, const struct http_req *q, struct http_res *r,
    const struct gcrun_params *p, struct err *e)
{
	struct gcrun run;
	struct err why = ERR_INIT;

	if (server_queue_run(s, q->arena, p, &run, &why) == 0)
		return encode_run(q, r, 202, &run, e);
	if (why.kind == ERR_CONFLICT && run.id != 0)
		return answer_busy(r, &run, &why, e);
	*e = why;
	return -1;
}

int
handle_gc_start(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct gc_request body;

	if (server_decode(q, &gc_request_desc, &body, e) != 0)
		return -1;
	return server_start_run(worker, q, r,
	    &(struct gcrun_params){
	        .kind = body.dry_run ? GCRUN_DRY_RUN : GCRUN_COLLECT,
	        .older_than_us = body.older_than_s * 1000000,
	        .pending_older_than_us = body.pending_older_than_s * 1000000,
	        .force = body.force,
	        .max_share = body.max_share > 0 ? (int)body.max_share
	                                        : GCRUN_SHARE_DEFAULT,
	    },
	    e);
}

/* The run that the path names. */
static int
get_run(
    struct db *db, const struct http_req *q, struct gcrun *out, struct err *e)
{
	const char *id = q->params[0];
	uint64_t n = 0;

	if (strcmp(id, "latest") != 0) {
		if (num_parse_u64(id, strlen(id), INT64_MAX, &n, e) != 0)
			return err_prefix(e, "id of a run");
		/* The database takes 0 for the latest. */
		if (n == 0)
			return err_set(
			    e, ERR_INVALID, "id of a run: they begin with 1");
	}
	return gcruns_get(db, n, q->arena, out, e);
}

int
handle_gc_status(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct gcrun run;
	struct db *db;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = get_run(db, q, &run, e);
	db_put(s->pool, db);
	return rc == 0 ? encode_run(q, r, 200, &run, e) : -1;
}

int
handle_gc_history(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct gc_history body = { 0 };
	uint64_t before, limit;
	struct gcrun *runs;
	struct db *db;
	size_t n;
	int rc;

	if (server_query_u64(q, "before", 0, 0, INT64_MAX, &before, e) != 0 ||
	    server_query_u64(
	        q, "limit", HISTORY_DEFAULT, 1, API_RUNS_MAX, &limit, e) != 0 ||
	    server_db(s, &db, e) != 0)
		return -1;
	rc = gcruns_list(db, before, limit, q->arena, &runs, &n, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	body.runs.n = n;
	body.runs.items = arena_array(q->arena, n, sizeof *body.runs.items);
	if (body.runs.items == NULL)
		return arena_full(q->arena, e);
	for (size_t i = 0; i < n; i++)
		body.runs.items[i] = status_of(&runs[i], q->arena);
	return server_encode(r, 200, &gc_history_desc, &body, e);
}

int
handle_gc_roots(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct gc_plan body = { 0 };
	struct gcrun_root *roots;
	struct gcrun run;
	struct db *db;
	size_t n;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = get_run(db, q, &run, e);
	if (rc == 0)
		rc = gcruns_roots(db, run.id, q->arena, &roots, &n, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	body.run = status_of(&run, q->arena);
	body.roots.n = n;
	body.roots.items = arena_array(q->arena, n, sizeof *body.roots.items);
	if (body.roots.items == NULL)
		return arena_full(q->arena, e);
	for (size_t i = 0; i < n; i++)
		body.roots.items[i] = (struct gc_root){
			.store_path = roots[i].store_path[0] != '\0'
			    ? roots[i].store_path
			    : NULL,
			.updated_at =
			    server_time(q->arena, roots[i].updated_us),
			.objects = roots[i].objects,
			.bytes = roots[i].bytes,
		};
	return server_encode(r, 200, &gc_plan_desc, &body, e);
}
