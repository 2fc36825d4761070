/*
 * GET /metrics. What it costs a request to be counted: three atomic additions and
 * a search of the status among forty (tests/bench/metric_bench.c measures it).
 */
#include "metrics.h"

#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/process.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/stats.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../proto/metrics.h"
#include "auth.h"
#include "peers.h"
#include "server.h"

#define ROUTES_MAX 127
#define ROUTE_MAX  96 /* bytes of a method and a pattern */
#define SECOND     1000000
/* What clients say may be anything; a sum of these does not overflow. */
#define CLAIM_MAX ((uint64_t)1 << 50)

/* ---- labels ---- */

static const char *const methods[] = { "other", "GET", "HEAD", "POST", "PUT",
	"DELETE", "PATCH", "OPTIONS" };
#define METHODS (sizeof methods / sizeof methods[0])

static const char *
method_name(unsigned i)
{
	return methods[i];
}

static unsigned
method_number(const char *method)
{
	for (unsigned i = 1; i < METHODS; i++)
		if (strcmp(methods[i], method) == 0)
			return i;
	return 0;
}

/* The statuses that we, and libmicrohttpd, answer with. */
static const struct {
	int status;
	const char *name;
} statuses[] = {
#define S(n)          \
	{             \
		n, #n \
	}
	{ 0, "other" },
	S(200),
	S(201),
	S(202),
	S(204),
	S(206),
	S(301),
	S(302),
	S(303),
	S(304),
	S(307),
	S(308),
	S(400),
	S(401),
	S(403),
	S(404),
	S(405),
	S(406),
	S(408),
	S(409),
	S(410),
	S(411),
	S(412),
	S(413),
	S(414),
	S(415),
	S(416),
	S(417),
	S(422),
	S(429),
	S(431),
	S(499),
	S(500),
	S(501),
	S(502),
	S(503),
	S(504),
	S(507),
#undef S
};
#define STATUSES (sizeof statuses / sizeof statuses[0])

static const char *
status_name(unsigned i)
{
	return statuses[i].name;
}

static unsigned
status_number(int status)
{
	for (unsigned i = 1; i < STATUSES; i++)
		if (statuses[i].status == status)
			return i;
	return 0;
}

static const char *const auth_results[] = {
#define X(name) #name,
	AUTH_RESULTS(X)
#undef X
};
#define AUTH_RESULTS_N (sizeof auth_results / sizeof auth_results[0])

static const char *
auth_result_name(unsigned i)
{
	return auth_results[i];
}

/* Of the one table of routes; filled before there is any request. */
static struct {
	const struct http_route *first;
	unsigned n;
	char names[ROUTES_MAX][ROUTE_MAX];
} routes_known;

static const char *
route_name(unsigned i)
{
	if (i == 0)
		return "unmatched";
	return i <= routes_known.n ? routes_known.names[i - 1] : NULL;
}

static unsigned
route_number(const struct http_route *route)
{
	return route != NULL ? (unsigned)(route - routes_known.first) + 1 : 0;
}

static const char *
gc_result_name(unsigned i)
{
	return i == 0 ? "succeeded" : "failed";
}

/* Nobody calls a server. */
static const char *
peer_name(unsigned role)
{
	return role == ROLE_SERVER ? NULL : metric_role(role);
}

static const char *
event_name(unsigned i)
{
	static const char *const names[METRICS_EVENT__MAX] = {
		[METRICS_BEGUN] = "begun",
		[METRICS_COMMITTED] = "committed",
		[METRICS_ABORTED] = "aborted",
	};

	return names[i];
}

static const char *
stage_name(unsigned i)
{
	return i == METRICS_AUTHORIZED ? "authorized" : "stored";
}

static const char *
version_name(unsigned i)
{
	(void)i;
	return NIKS3_VERSION;
}

/* ---- the table ---- */

#define METHOD                                 \
	{                                      \
		"method", METHODS, method_name \
	}
#define ROUTE                                       \
	{                                           \
		"route", ROUTES_MAX + 1, route_name \
	}

/* clang-format off */
static const struct metric server_metrics[SERVER__MAX] = {
	[SERVER_CACHE_OBJECTS] = { "niks3_cache_objects", METRIC_GAUGE, 0,
	    "Live objects in the cache." },
	[SERVER_CACHE_LOGICAL] = { "niks3_cache_logical_bytes", METRIC_GAUGE, 0,
	    "Bytes of all live NARs, before compression." },
	[SERVER_PENDING_CLOSURES] = { "niks3_pending_closures", METRIC_GAUGE, 0,
	    "Uploads that are open." },
	[SERVER_DB_IN_USE] = { "niks3_db_connections_in_use", METRIC_GAUGE, 0,
	    "Connections to the database in use." },
	[SERVER_DB_MAX] = { "niks3_db_connections_max", METRIC_GAUGE, 0,
	    "Connections to the database that there may be." },
	[SERVER_HTTP_REQUESTS] = { "niks3_http_requests_total", METRIC_COUNTER,
	    METRIC_SPARSE, "HTTP requests answered.",
	    .labels = { METHOD, ROUTE, { "status", STATUSES, status_name } } },
	[SERVER_HTTP_TIME] = { "niks3_http_request_duration_seconds",
	    METRIC_HISTOGRAM, METRIC_SPARSE,
	    "From the head of a request to the end of its answer.",
	    .unit = SECOND, .labels = { METHOD, ROUTE },
	    .bounds = metric_quick, .nbounds = METRIC_QUICK_BOUNDS },
	[SERVER_HTTP_ACTIVE] = { "niks3_http_requests_in_flight", METRIC_GAUGE,
	    0, "HTTP requests not answered yet, this one among them." },
	[SERVER_GC_RUNS] = { "niks3_gc_runs_total", METRIC_COUNTER, 0,
	    "Garbage collections that ended.",
	    .labels = { { "result", 2, gc_result_name } } },
	[SERVER_GC_TIME] = { "niks3_gc_duration_seconds", METRIC_HISTOGRAM, 0,
	    "What garbage collections took.", .unit = SECOND,
	    .bounds = metric_long, .nbounds = METRIC_LONG_BOUNDS },
	[SERVER_GC_DELETED] = { "niks3_gc_objects_deleted_total",
	    METRIC_COUNTER, 0, "Objects deleted from the bucket." },
	[SERVER_GC_LAST] = { "niks3_gc_last_run_timestamp_seconds",
	    METRIC_GAUGE, METRIC_SPARSE,
	    "When the last garbage collection that succeeded ended, since"
	    " 1970. Absent until one did.", .unit = SECOND },
	[SERVER_SKIPPED_PATHS] = { "niks3_upload_skipped_paths_total",
	    METRIC_COUNTER, 0,
	    "Store paths that clients left out for their size." },
	[SERVER_SKIPPED_BYTES] = { "niks3_upload_skipped_nar_bytes_total",
	    METRIC_COUNTER, 0, "Bytes of the NARs of these." },

	[SERVER_AUTH] = { "niks3_auth_total", METRIC_COUNTER, 0,
	    "Checks of credentials by what came of them; those that are cached"
	    " are good, too.",
	    .labels = { { "result", AUTH_RESULTS_N, auth_result_name } } },
	[SERVER_HTTP_WAITING] = { "niks3_http_requests_waiting", METRIC_GAUGE,
	    0, "HTTP requests that wait for a worker." },
	[SERVER_DB_WAITING] = { "niks3_db_connections_waiting", METRIC_GAUGE, 0,
	    "Who waits for a connection to the database." },
	[SERVER_DB_WAITS] = { "niks3_db_connection_waits_total", METRIC_COUNTER,
	    0, "How often all connections to the database were in use." },
	[SERVER_CACHE_STORED] = { "niks3_cache_stored_bytes", METRIC_GAUGE, 0,
	    "Bytes of all live objects, as they are stored." },
	[SERVER_CLOSURES] = { "niks3_closures", METRIC_GAUGE, 0,
	    "Closures that were pushed and are kept." },
	[SERVER_PINS] = { "niks3_pins", METRIC_GAUGE, 0, "Pins." },
	[SERVER_UPLOADS] = { "niks3_uploads", METRIC_GAUGE, 0,
	    "Uploads by state; those that have ended for a day.",
	    .labels = { { "state", STATS_UPLOAD__MAX, stats_upload_name } } },
	[SERVER_UPLOADS_OVERDUE] = { "niks3_uploads_overdue", METRIC_GAUGE, 0,
	    "Open uploads whose lease has run out." },
	[SERVER_UPLOADS_TOTAL] = { "niks3_uploads_total", METRIC_COUNTER, 0,
	    "Uploads begun, committed and aborted by their clients.",
	    .labels = { { "event", METRICS_EVENT__MAX, event_name } } },
	[SERVER_UPLOAD_BYTES] = { "niks3_upload_bytes_total", METRIC_COUNTER, 0,
	    "Bytes that clients were allowed to write, and that commits found"
	    " stored or wrote.",
	    .labels = { { "stage", METRICS_STAGE__MAX, stage_name } } },
	[SERVER_GC_RUNNING] = { "niks3_gc_running", METRIC_GAUGE, 0,
	    "Garbage collections under way." },
	[SERVER_GC_MARKED] = { "niks3_gc_objects_marked_total", METRIC_COUNTER,
	    0, "Objects found to be garbage." },
	[SERVER_GC_DELETED_BYTES] = { "niks3_gc_bytes_deleted_total",
	    METRIC_COUNTER, 0, "Bytes of the objects deleted." },
	[SERVER_GC_NOT_DELETED] = { "niks3_gc_objects_failed_total",
	    METRIC_COUNTER, 0, "Deletes that the bucket refused." },
	[SERVER_GC_CLOSURES] = { "niks3_gc_closures_deleted_total",
	    METRIC_COUNTER, 0, "Closures whose time was over." },
	[SERVER_GC_UPLOADS] = { "niks3_gc_uploads_expired_total",
	    METRIC_COUNTER, 0, "Uploads ended for their lease." },
	[SERVER_IPC_REQUESTS] = { "niks3_ipc_requests_total", METRIC_COUNTER,
	    METRIC_SPARSE, "What the server asked other processes.",
	    .labels = { METRIC_ROLE("peer"), METRIC_CALL("call"),
	        METRIC_RESULT("result") } },
	[SERVER_IPC_TIME] = { "niks3_ipc_request_duration_seconds",
	    METRIC_HISTOGRAM, METRIC_SPARSE,
	    "What they took to answer, with all waiting.", .unit = SECOND,
	    .labels = { METRIC_ROLE("peer"), METRIC_CALL("call") },
	    .bounds = metric_slow, .nbounds = METRIC_SLOW_BOUNDS },
	[SERVER_IPC_WAITING] = { "niks3_ipc_requests_waiting", METRIC_GAUGE, 0,
	    "Requests to other processes that are not answered yet.",
	    .labels = { { "peer", ROLE__MAX, peer_name } } },
	[SERVER_PEERS] = { "niks3_peers_connected", METRIC_GAUGE, 0,
	    "Processes that are connected to this server.",
	    .labels = { { "peer", ROLE__MAX, peer_name } } },
	[SERVER_CENSUS_AT] = { "niks3_database_figures_timestamp_seconds",
	    METRIC_GAUGE, METRIC_SPARSE,
	    "When the figures of the database were refreshed, since 1970.",
	    .unit = SECOND },
	[SERVER_BUILD] = { "niks3_build_info", METRIC_GAUGE, 0,
	    "1, with the version.",
	    .labels = { { "version", 1, version_name } } },
	[SERVER_CPU] = { "process_cpu_seconds_total", METRIC_COUNTER, 0,
	    "User and system time.", .unit = SECOND },
	[SERVER_STARTED] = { "process_start_time_seconds", METRIC_GAUGE, 0,
	    "When the process began, since 1970.", .unit = SECOND },
	[SERVER_RESIDENT] = { "process_resident_memory_bytes", METRIC_GAUGE, 0,
	    "Resident memory." },
	[SERVER_VIRTUAL] = { "process_virtual_memory_bytes", METRIC_GAUGE, 0,
	    "Virtual memory." },
	[SERVER_FDS] = { "process_open_fds", METRIC_GAUGE, 0,
	    "Open file descriptors." },
	[SERVER_FDS_MAX] = { "process_max_fds", METRIC_GAUGE, 0,
	    "File descriptors that may be open." },
};
/* clang-format on */

struct metrics *
server_metrics_new(const struct http_route *table)
{
	struct metrics *m;

	routes_known.first = table;
	routes_known.n = 0;
	for (const struct http_route *r = table; r->method != NULL; r++) {
		if (routes_known.n == ROUTES_MAX)
			err_die("over %d routes", ROUTES_MAX);
		snprintf(routes_known.names[routes_known.n++], ROUTE_MAX,
		    "%s %s", r->method, r->pattern);
	}
	m = metrics_new(server_metrics, SERVER__MAX, 0);
	metric_set(m, SERVER_BUILD, AT(0), 1);
	return m;
}

/* ---- counting ---- */

void
server_metrics_request(struct metrics *m, const struct http_req *q,
    const struct http_route *route, int status, int64_t us)
{
	unsigned method = method_number(q->method);
	unsigned number = route_number(route);

	metric_add(m, SERVER_HTTP_REQUESTS,
	    AT(method, number, status_number(status)), 1);
	metric_observe(m, SERVER_HTTP_TIME, AT(method, number), us);
}

void
server_metrics_call(
    void *m, enum role peer, enum call id, enum err_kind kind, int64_t us)
{
	metric_add(m, SERVER_IPC_REQUESTS, AT(peer, id, kind), 1);
	metric_observe(m, SERVER_IPC_TIME, AT(peer, id), us);
}

void
metrics_upload(struct server *s, enum metrics_event event)
{
	metric_add(s->metrics, SERVER_UPLOADS_TOTAL, AT(event), 1);
}

static int64_t
claim(uint64_t n)
{
	return n < CLAIM_MAX ? n : CLAIM_MAX;
}

void
metrics_bytes(struct server *s, enum metrics_stage stage, uint64_t n)
{
	metric_add(s->metrics, SERVER_UPLOAD_BYTES, AT(stage), claim(n));
}

void
metrics_skipped(struct server *s, uint64_t paths, uint64_t nar_bytes)
{
	metric_add(s->metrics, SERVER_SKIPPED_PATHS, AT(0), claim(paths));
	metric_add(s->metrics, SERVER_SKIPPED_BYTES, AT(0), claim(nar_bytes));
}

/* ---- telling ---- */

static void
collect_process(struct metrics *m)
{
	struct process p;

	process_read(&p);
	metric_set(m, SERVER_CPU, AT(0), p.cpu_us);
	metric_set(m, SERVER_STARTED, AT(0), p.started_us);
	metric_set(m, SERVER_RESIDENT, AT(0), p.resident_bytes);
	metric_set(m, SERVER_VIRTUAL, AT(0), p.virtual_bytes);
	metric_set(m, SERVER_FDS, AT(0), p.open_fds);
	metric_set(m, SERVER_FDS_MAX, AT(0), p.max_fds);
}

static void
collect_peer(struct metrics *m, enum role role, struct ipc_client *c)
{
	metric_set(m, SERVER_PEERS, AT(role), ipc_client_peers(c));
	metric_set(m, SERVER_IPC_WAITING, AT(role), ipc_client_calls(c));
}

static void
collect_auth(struct metrics *m, struct auth *a)
{
	struct auth_counters *c = auth_counters(a);
	unsigned i = 0;

#define X(name) metric_set(m, SERVER_AUTH, AT(i++), c->name);
	AUTH_RESULTS(X)
#undef X
}

/* What is kept elsewhere. */
static void
collect(struct server *s)
{
	struct http_server *http = s->http;
	struct metrics *m = s->metrics;
	struct db_pool_use pool;

	collect_process(m);
	collect_auth(m, s->auth);
	collect_peer(m, ROLE_SIGNER, s->signer);
	collect_peer(m, ROLE_UPLOADER, s->uploader);
	collect_peer(m, ROLE_GC, s->gc);
	db_pool_use(s->pool, &pool);
	metric_set(m, SERVER_DB_IN_USE, AT(0), pool.in_use);
	metric_set(m, SERVER_DB_MAX, AT(0), pool.max);
	metric_set(m, SERVER_DB_WAITING, AT(0), pool.waiting);
	metric_set(m, SERVER_DB_WAITS, AT(0), pool.waits);
	if (http ==
	    NULL) /* a request may be faster than the end of the start */
		return;
	metric_set(m, SERVER_HTTP_ACTIVE, AT(0), http_server_active(http));
	metric_set(m, SERVER_HTTP_WAITING, AT(0), http_server_waiting(http));
}

int
handle_metrics(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;

	(void)q;
	collect(s);
	r->content_type = METRIC_CONTENT_TYPE;
	if (metrics_write(&(struct metric_source){ .metrics = s->metrics }, 1,
	        &r->body, e) != 0)
		return -1;
	return peers_write(s->peers, &r->body, e);
}
