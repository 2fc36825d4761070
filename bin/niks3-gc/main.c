/*
 * niks3-gc: the worker of the garbage collection. It decides in the database
 * what may go, and has the uploader delete it; it has no network and no
 * secret but its access to the database. Runs are asked for by rows; a wake
 * only saves the wait.
 */
#include <pthread.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/metric.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/ipc/ipc_daemon.h"
#include "../../proto/metrics.h"
#include "gc.h"
#include "sandbox.h"

#define POLL_MS       5000  /* a wake may be lost; the row is not */
#define SWEEP_MS      60000 /* looks at all pending objects */
#define LOCK_TRIES    100
#define REST_TIMES    2
#define REST_MAX_MS   200
#define LOCK_PAUSE_MS 100
#define RUN_MEMORY    ((size_t)1 << 20)

struct config {
	struct opt_common common;
	struct sandbox_config sandbox;
	struct secret db;
	const char *listen, *uploads;
	struct opt_list peers;
	uint64_t max_share, share_floor;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	{ "db", "NIKS3_DB", OPT_SECRET, O(db), OPT_REQUIRED, NULL, "CONNINFO",
	    "PostgreSQL connection string", 0, 0 },
	{ "listen", "NIKS3_GC_SOCKET", OPT_STR, O(listen), 0,
	    "ipc:///run/niks3/gc.sock", "ADDRESS", "where servers wake us", 0,
	    0 },
	{ "upload-socket", "NIKS3_GC_UPLOAD_SOCKET", OPT_STR, O(uploads), 0,
	    "ipc:///run/niks3/gc-upload.sock", "ADDRESS",
	    "where we listen for uploaders", 0, 0 },
	{ "peer", "NIKS3_PEERS", OPT_LIST, O(peers), 0, NULL, "ROLE=USER",
	    "who may be there; repeat (default: our own user)", 0, 0 },
	{ "max-share", "NIKS3_GC_MAX_SHARE", OPT_U64, O(max_share), 0, "50",
	    "PERCENT", "a run that would take more of the live objects stops",
	    0, 100 },
	{ "max-share-floor", "NIKS3_GC_MAX_SHARE_FLOOR", OPT_U64,
	    O(share_floor), 0, "1000", "OBJECTS",
	    "but so many may always go: the cache is small", 0, INT64_MAX },
	SANDBOX_OPTIONS(offsetof(struct config, sandbox)),
	{ NULL },
};

static const struct opt_program program = {
	.name = "niks3-gc",
	.synopsis = "niks3-gc --db CONNINFO [OPTION]...",
	.summary = "Collects the garbage of a Nix binary cache.",
	.opts = options,
};

/* Wakes of the servers, and the stop, for the thread that works. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int woken;
} bell = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
bell_ring(void)
{
	pthread_mutex_lock(&bell.lock);
	bell.woken = 1;
	pthread_cond_signal(&bell.changed);
	pthread_mutex_unlock(&bell.lock);
}

/* Returns 1 when it was rung. */
static int
bell_wait(int64_t ms)
{
	struct timespec until;
	int woken;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	pthread_mutex_lock(&bell.lock);
	while (!bell.woken && !service_stopped())
		if (pthread_cond_timedwait(&bell.changed, &bell.lock, &until) !=
		    0)
			break;
	woken = bell.woken;
	bell.woken = 0;
	pthread_mutex_unlock(&bell.lock);
	return woken;
}

static int
handle_wake(void *worker, const void *request, void *reply, struct arena *a,
    deadline_t d, struct err *e)
{
	(void)worker;
	(void)request;
	(void)reply;
	(void)a;
	(void)d;
	(void)e;
	bell_ring();
	return 0;
}

static ipc_handler *const handlers[CALL__MAX] = {
	[CALL_ping] = ipc_daemon_ping,
	[CALL_gc_wake] = handle_wake,
	[CALL_gc_why] = gc_handle_why,
};

int
gc_check(struct gc *g, struct err *e)
{
	if (service_stopped())
		return err_set(e, ERR_CANCELED, "asked to stop");
	db_deadline(g->db, deadline_in(GC_DB_MS));
	db_deadline(g->lock, deadline_in(GC_DB_MS));
	return db_alive(g->lock, e);
}

int
gc_again(unsigned *tries, const struct err *e)
{
	if (e->kind != ERR_CONFLICT || ++*tries > LOCK_TRIES)
		return 0;
	clock_sleep(LOCK_PAUSE_MS, deadline_in(LOCK_PAUSE_MS));
	return 1;
}

void
gc_rest(int64_t took_ms)
{
	int64_t ms = took_ms * REST_TIMES;

	ms = ms < REST_MAX_MS ? ms : REST_MAX_MS;
	clock_sleep(ms, deadline_in(ms));
}

/* One run, if one is asked for; and the leavings of uploads that ended. */
static int
work(struct gc *g, int sweep, struct arena *a, struct err *e)
{
	struct gcrun run;
	int rc;

	if (gc_check(g, e) != 0 || pins_settle(g, e) != 0)
		return -1;
	if (gcruns_take(g->db, a, &run, e) != 0)
		return -1;
	if (run.id == 0)
		return uploads_abort_parts(g, 0, e) != 0 ||
		        reap_leftovers(g, GC_NO_RUN, e) != 0 ||
		        (sweep && reap_pending(g, GC_NO_RUN, e) != 0)
		    ? -1
		    : 0;
	log_notice("garbage collection", LOG_I("run", run.id),
	    LOG_S("kind", gcrun_kind_name(run.params.kind)),
	    LOG_T("older-than", run.params.older_than_us),
	    LOG_I("force", run.params.force));
	rc = run_all(g, &run, e);
	/* A worker that is told to stop, or that lost its lock, leaves the run
	 * to the next one. */
	if (rc != 0 && gc_check(g, NULL) != 0)
		return -1;
	db_deadline(g->db, deadline_in(GC_DB_MS));
	if (rc != 0) {
		log_err(LOG_LEVEL_ERROR, "garbage collection failed", e);
		return gcruns_finish(g->db, &run, e, &(struct err)ERR_INIT);
	}
	/* The figures are those of all workers that had a part in it. */
	if (gcruns_finish(g->db, &run, NULL, e) != 0 ||
	    gcruns_get(g->db, run.id, a, &run, e) != 0)
		return -1;
	log_notice("garbage collection done", LOG_I("run", run.id),
	    LOG_I("failed-uploads-deleted", run.failed_uploads_deleted),
	    LOG_I("old-closures-deleted", run.old_closures_deleted),
	    LOG_I("objects-marked-for-deletion", run.objects_marked),
	    LOG_I("objects-deleted-after-grace-period", run.objects_deleted),
	    LOG_I("objects-failed-to-delete", run.objects_failed));
	return 0;
}

/* Connects, takes the lock of the one worker and works until something breaks
 * or we are to stop. */
static int
work_connected(struct gc *g, const char *conninfo, struct err *e)
{
	deadline_t d = deadline_in(GC_DB_MS);
	struct arena *a = arena_new(RUN_MEMORY);
	deadline_t next_sweep = 0;
	int got, rc = -1;

	if (db_open(conninfo, program.name, d, &g->lock, e) != 0 ||
	    db_open(conninfo, program.name, d, &g->db, e) != 0 ||
	    db_schema_check(g->lock, e) != 0)
		goto out;
	for (;;) {
		db_deadline(g->lock, deadline_in(GC_DB_MS));
		if (db_gc_lock(g->lock, &got, e) != 0)
			goto out;
		if (got || service_stopped())
			break;
		service_status("another worker is active");
		bell_wait(POLL_MS);
	}
	for (int woken = 1; !service_stopped(); woken = bell_wait(POLL_MS)) {
		int sweep = woken || deadline_left(next_sweep) == 0;

		service_status("idle");
		arena_reset(a);
		err_clear(e);
		if (work(g, sweep, a, e) != 0)
			goto out;
		if (sweep)
			next_sweep = deadline_in(SWEEP_MS);
	}
	rc = 0;
out:
	arena_free(a);
	db_close(g->db);
	db_close(g->lock);
	g->db = g->lock = NULL;
	return rc;
}

struct worker {
	struct gc gc;
	const char *conninfo;
	struct err error;
};

static void *
worker_thread(void *arg)
{
	struct worker *w = arg;
	struct err *e = &w->error;

	for (unsigned n = 0; !service_stopped(); n++) {
		int64_t began = clock_mono_ms();

		err_clear(e);
		if (work_connected(&w->gc, w->conninfo, e) == 0)
			break;
		if (e->kind == ERR_CANCELED)
			break;
		if (e->kind == ERR_VERSION)
			service_stop();
		log_err(LOG_LEVEL_WARN, "starting over", e);
		if (clock_mono_ms() - began > 60000)
			n = 0;
		bell_wait(1000 + clock_backoff(n, 200, 10000));
	}
	return NULL;
}

static int
serve(struct worker *w, const struct config *c, const struct ipc_peers *peers,
    struct sandbox *box, struct err *e)
{
	struct ipc_server *server = NULL;
	pthread_t thread;

	if (sandbox_begin(box, e) != 0 ||
	    ipc_client_new(
	        &(struct ipc_client_options){
	            .self = ROLE_GC,
	            .peer = ROLE_UPLOADER,
	            .address = c->uploads,
	            .listen = 1,
	            .mode = 0660,
	            .peers = peers,
	        },
	        &w->gc.uploader, e) != 0 ||
	    ipc_server_new(
	        &(struct ipc_server_options){
	            .self = ROLE_GC,
	            .addresses = &c->listen,
	            .naddresses = 1,
	            .listen = 1,
	            .mode = 0660,
	            .peers = peers,
	            .workers = 2, /* one may be busy with a question */
	            .handlers = handlers,
	            .ctx = (void *)(uintptr_t)w->conninfo,
	            .worker_new = gc_why_worker,
	            .done = ipc_daemon_log,
	            .metrics = w->gc.metrics,
	        },
	        &server, e) != 0 ||
	    service_seal(box, e) != 0)
		return -1;
	if (pthread_create(&thread, NULL, worker_thread, w) != 0)
		err_die("cannot start a thread");
	log_info("ready", LOG_S("address", c->listen));
	service_ready("idle");
	while (!service_stopped() &&
	    service_wait(deadline_in(1000), ipc_server_alive, server) != 0)
		;
	service_stopping();
	bell_ring();
	pthread_join(thread, NULL);
	ipc_daemon_stop(server);
	if (w->error.kind == ERR_VERSION) {
		*e = w->error;
		return -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct config c = { 0 };
	struct worker w = { 0 };
	struct sandbox box;
	struct ipc_peers *peers = NULL;
	struct err e = ERR_INIT;
	pthread_condattr_t attr;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(&program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	service_init(program.name, c.common.log_level);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&bell.changed, &attr);
	w.conninfo = c.db.data;
	w.gc.max_share = c.max_share;
	w.gc.share_floor = c.share_floor;
	gc_sandbox(&box, c.db.data, c.listen, c.uploads);
	box.required = c.sandbox.required;
	w.gc.metrics = daemon_metrics_new(ROLE_GC);
	if (ipc_peers_parse(c.peers.items, c.peers.n, &peers, &e) == 0 &&
	    !c.common.check)
		serve(&w, &c, peers, &box, &e);
	if (e.kind != ERR_NONE)
		log_err(LOG_LEVEL_ERROR, "cannot go on", &e);
	ipc_client_free(w.gc.uploader);
	metrics_free(w.gc.metrics);
	ipc_peers_free(peers);
	sandbox_done(&box);
	opt_done(&program, &c);
	return err_exit(e.kind);
}
