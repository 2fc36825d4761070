/*
 * niks3 gc: asks the server for a garbage collection and follows it.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/core/opt.h"
#include "../../proto/bodies.h"
#include "command.h"
#include "remote.h"

#define POLL_MS     500
#define POLL_MAX_MS 2000
#define QUEUED_MS   60000 /* a worker takes a run up within seconds */
#define MEMORY_MAX  ((size_t)1 << 20)

struct config {
	struct opt_common common;
	struct remote_config remote;
	int64_t older_than, pending_older_than;
	int force, no_wait;
};

#define O(field)   offsetof(struct config, field)
#define AGE_MAX_MS (API_AGE_MAX * 1000)

static const struct opt options[] = {
	REMOTE_OPTIONS(O(remote)),
	{ "older-than", NULL, OPT_DURATION, O(older_than), 0, "720h",
	    "DURATION", "closures that were not pushed for so long go", 0,
	    AGE_MAX_MS },
	{ "pending-older-than", NULL, OPT_DURATION, O(pending_older_than), 0,
	    "6h", "DURATION",
	    "uploads whose lease is gone for so long are ended; also the grace",
	    0, AGE_MAX_MS },
	{ "failed-uploads-older-than", NULL, OPT_DURATION,
	    O(pending_older_than), OPT_HIDDEN, NULL, "DURATION",
	    "the same as --pending-older-than", 0, AGE_MAX_MS },
	{ "force", NULL, OPT_BOOL, O(force), 0, NULL, NULL,
	    "delete at once, without the grace period", 0, 0 },
	{ "no-wait", NULL, OPT_BOOL, O(no_wait), 0, NULL, NULL,
	    "do not wait for the end", 0, 0 },
	{ NULL },
};

static const struct opt_program program = {
	.name = "niks3 gc",
	.synopsis = "niks3 gc [OPTION]...",
	.summary = "Deletes what no closure, pin or upload needs any more.",
	.opts = options,
};

static void
tell_progress(const struct gc_status *s)
{
	log_info("Garbage collection progress", LOG_S("phase", s->phase),
	    LOG_U("failed_uploads_deleted", s->failed_uploads_deleted),
	    LOG_U("old_closures_deleted", s->old_closures_deleted),
	    LOG_U("objects_marked", s->objects_marked),
	    LOG_U("objects_deleted", s->objects_deleted),
	    LOG_U("objects_failed", s->objects_failed));
}

static void
tell_end(const struct gc_status *s)
{
	log_info("Garbage collection completed successfully",
	    LOG_U("failed-uploads-deleted", s->failed_uploads_deleted),
	    LOG_U("old-closures-deleted", s->old_closures_deleted),
	    LOG_U("objects-marked-for-deletion", s->objects_marked),
	    LOG_U("objects-deleted-after-grace-period", s->objects_deleted),
	    LOG_U("objects-failed-to-delete", s->objects_failed));
}

/* Asks about run id until it has ended. */
static int
follow(struct remote_conn *conn, uint64_t id, struct arena *a, struct err *e)
{
	deadline_t taken = deadline_in(QUEUED_MS);
	char path[64], phase[64] = "";
	struct gc_status s;

	snprintf(path, sizeof path, "/api/v2/gc/%llu", (unsigned long long)id);
	for (int64_t pause = POLL_MS / 5;; pause = pause * 3 / 2) {
		arena_reset(a);
		if (remote_call(conn,
		        &(struct remote_call){
		            .method = "GET",
		            .path = path,
		            .reply_desc = &gc_status_desc,
		            .reply = &s,
		            .deadline = deadline_in(REMOTE_CALL_MS),
		        },
		        a, e) != 0)
			return -1;
		if (strcmp(s.state, "succeeded") == 0) {
			tell_end(&s);
			return 0;
		}
		if (strcmp(s.state, "failed") == 0)
			return err_set(e, ERR_INTERNAL,
			    "garbage collection %llu failed: %s",
			    (unsigned long long)id,
			    s.error != NULL ? s.error : "no reason given");
		if (strcmp(s.state, "queued") == 0 &&
		    deadline_left(taken) == 0) {
			err_set(e, ERR_UNAVAILABLE,
			    "garbage collection %llu is queued, but no worker "
			    "takes it up",
			    (unsigned long long)id);
			return err_hint(
			    e, "is niks3-gc running? the run stays queued");
		}
		if (s.phase != NULL && strcmp(s.phase, phase) != 0) {
			snprintf(phase, sizeof phase, "%s", s.phase);
			tell_progress(&s);
		}
		clock_sleep(pause < POLL_MAX_MS ? pause : POLL_MAX_MS,
		    deadline_in(POLL_MAX_MS));
	}
}

static int
gc(const struct config *c, struct remote_conn *conn, struct arena *a,
    struct err *e)
{
	struct gc_request body = {
		.older_than_s = c->older_than / 1000000,
		.pending_older_than_s = c->pending_older_than / 1000000,
		.force = c->force,
	};
	char older[NUM_DURATION_MAX], pending[NUM_DURATION_MAX];
	struct gc_status s;

	log_info("Starting garbage collection",
	    LOG_S("older-than", num_fmt_duration(older, c->older_than)),
	    LOG_S("pending-older-than",
	        num_fmt_duration(pending, c->pending_older_than)),
	    LOG_S("force", c->force ? "true" : "false"));
	if (c->force)
		log_warn("Force: objects are deleted at once. Whoever copies "
		         "from the cache just now may find a part gone");
	if (remote_call(conn,
	        &(struct remote_call){
	            .method = "POST",
	            .path = "/api/v2/gc",
	            .request_desc = &gc_request_desc,
	            .request = &body,
	            .reply_desc = &gc_status_desc,
	            .reply = &s,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        a, e) != 0)
		return -1;
	log_info("Garbage collection started", LOG_U("run", s.id));
	return c->no_wait ? 0 : follow(conn, s.id, a, e);
}

int
command_gc(int argc, char **argv)
{
	struct config c = { 0 };
	struct remote *remote = NULL;
	struct remote_conn *conn = NULL;
	struct arena *a = arena_new(MEMORY_MAX);
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(&program, &c, argc, argv, &args, &nargs)) < 0) {
		if (remote_new(&c.remote, &remote, &e) == 0 &&
		    !c.common.check) {
			conn = remote_conn_new(remote);
			gc(&c, conn, a, &e);
		}
		status = e.kind == ERR_NONE ? 0 : command_fail(&e);
		remote_conn_free(conn);
		remote_free(remote);
		opt_done(&program, &c);
	}
	arena_free(a);
	return status;
}
