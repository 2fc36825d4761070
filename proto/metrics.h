/*
 * The figures of the processes that have no HTTP, declared once: each keeps its
 * own, and tells them to a server that asks (CALL_figures). The server shows them
 * with the labels "process", which is the role, and "process_id", which names the
 * one process. The table is a part of the schema's version, so both sides always
 * mean the same by a number.
 */
#ifndef PROTO_METRICS_H
#define PROTO_METRICS_H

#include "../libcommon/core/metric.h"

enum gc_phase {
#define P(name, text) GC_PHASE_##name,
#include "gc_phases.def"
#undef P
	GC_PHASE__MAX
};
const char *gc_phase_name(unsigned phase);

enum daemon_metric {
	DAEMON_CPU,
	DAEMON_STARTED,
	DAEMON_RESIDENT,
	DAEMON_FDS,
	DAEMON_FDS_MAX,
	DAEMON_CALLS,
	DAEMON_CALL_TIME,
	DAEMON_CALLS_UNDER_WAY,
	DAEMON_S3_REQUESTS,
	DAEMON_S3_TIME,
	DAEMON_S3_RETRIES,
	DAEMON_S3_THROTTLED,
	DAEMON_S3_RATE,
	DAEMON_S3_SENT,
	DAEMON_S3_RECEIVED,
	DAEMON_S3_WAITING,
	DAEMON_SIGNATURES,
	DAEMON_SIGN_KEYS,
	DAEMON_GC_PHASE_TIME,
	DAEMON__MAX
};
extern const struct metric daemon_metrics[DAEMON__MAX];
/* For one in this role. */
struct metrics *daemon_metrics_new(unsigned role);

/* ---- labels ---- */

/* The kind of error that something ended with: "ok" for none. */
#define METRIC_RESULT(label)                   \
	{                                      \
		label, ERR__MAX, metric_result \
	}
const char *metric_result(unsigned kind);
/* Of an enum call: "refused" for 0, a request that was none of them. */
#define METRIC_CALL(label)                    \
	{                                     \
		label, CALL__MAX, metric_call \
	}
const char *metric_call(unsigned call);
#define METRIC_ROLE(label)                    \
	{                                     \
		label, ROLE__MAX, metric_role \
	}
const char *metric_role(unsigned role);

/* Buckets in microseconds: of requests that one waits for, as Prometheus'
 * libraries have them, and of what may take a minute. */
#define METRIC_QUICK_BOUNDS 11
extern const int64_t metric_quick[METRIC_QUICK_BOUNDS];
#define METRIC_SLOW_BOUNDS 15
extern const int64_t metric_slow[METRIC_SLOW_BOUNDS];
/* 1, 2, 4 ... 4096 seconds. */
#define METRIC_LONG_BOUNDS 13
extern const int64_t metric_long[METRIC_LONG_BOUNDS];

#endif
