/*
 * niks3-server: what it counts, and what it tells Prometheus.
 *
 * The first dozen have the names and labels of the Go server, so that existing
 * dashboards go on. No label comes from outside: a method that is unknown is
 * "other", a route is one of ours or "unmatched".
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <stdint.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/metric.h"
#include "../../libcommon/http/server.h"
#include "../../proto/messages.h"

enum server_metric {
	SERVER_CACHE_OBJECTS,
	SERVER_CACHE_LOGICAL,
	SERVER_PENDING_CLOSURES,
	SERVER_DB_IN_USE,
	SERVER_DB_MAX,
	SERVER_HTTP_REQUESTS,
	SERVER_HTTP_TIME,
	SERVER_HTTP_ACTIVE,
	SERVER_GC_RUNS,
	SERVER_GC_TIME,
	SERVER_GC_DELETED,
	SERVER_GC_LAST,
	SERVER_SKIPPED_PATHS,
	SERVER_SKIPPED_BYTES,
	/* Ours. */
	SERVER_AUTH,
	SERVER_HTTP_WAITING,
	SERVER_DB_WAITING,
	SERVER_DB_WAITS,
	SERVER_CACHE_STORED,
	SERVER_CLOSURES,
	SERVER_PINS,
	SERVER_UPLOADS,
	SERVER_UPLOADS_OVERDUE,
	SERVER_UPLOADS_TOTAL,
	SERVER_UPLOAD_BYTES,
	SERVER_GC_RUNNING,
	SERVER_GC_MARKED,
	SERVER_GC_DELETED_BYTES,
	SERVER_GC_NOT_DELETED,
	SERVER_GC_CLOSURES,
	SERVER_GC_UPLOADS,
	SERVER_IPC_REQUESTS,
	SERVER_IPC_TIME,
	SERVER_IPC_WAITING,
	SERVER_PEERS,
	SERVER_CENSUS_AT,
	SERVER_BUILD,
	SERVER_CPU,
	SERVER_STARTED,
	SERVER_RESIDENT,
	SERVER_VIRTUAL,
	SERVER_FDS,
	SERVER_FDS_MAX,
	SERVER__MAX
};

enum metrics_event { /* of an upload; the gc worker counts those that expire */
	METRICS_BEGUN,
	METRICS_COMMITTED,
	METRICS_ABORTED,
	METRICS_EVENT__MAX
};

enum metrics_stage {
	METRICS_AUTHORIZED, /* somebody may write so many bytes */
	METRICS_STORED,     /* they are in the bucket, and live */
	METRICS_STAGE__MAX
};

struct server;

/* For the routes that there are. Never NULL; metrics_free frees it. */
struct metrics *server_metrics_new(const struct http_route *routes);

/* For http_server_options.done. */
void server_metrics_request(struct metrics *m, const struct http_req *q,
    const struct http_route *route, int status, int64_t us);
/* For ipc_client_options.done. */
void server_metrics_call(
    void *m, enum role peer, enum call id, enum err_kind kind, int64_t us);

/* One upload more, and bytes of uploads. */
void metrics_upload(struct server *s, enum metrics_event event);
void metrics_bytes(struct server *s, enum metrics_stage stage, uint64_t n);
/* What a client says that it left out, for being too large. */
void metrics_skipped(struct server *s, uint64_t paths, uint64_t nar_bytes);

#endif
