#include "metrics.h"

#include "../libcommon/core/err.h"
#include "messages.h"

#define SECOND 1000000

const int64_t metric_quick[METRIC_QUICK_BOUNDS] = { 5000, 10000, 25000, 50000,
	100000, 250000, 500000, SECOND, 2500000, 5 * SECOND, 10 * SECOND };
const int64_t metric_slow[METRIC_SLOW_BOUNDS] = { 500, 1000, 2500, 5000, 10000,
	25000, 50000, 100000, 250000, 500000, SECOND, 2500000, 5 * SECOND,
	15 * SECOND, 60 * SECOND };
const int64_t metric_long[METRIC_LONG_BOUNDS] = { 1 * SECOND, 2 * SECOND,
	4 * SECOND, 8 * SECOND, 16 * SECOND, 32 * SECOND, 64 * SECOND,
	128 * SECOND, 256 * SECOND, 512 * SECOND, 1024LL * SECOND,
	2048LL * SECOND, 4096LL * SECOND };

static const char *const phases[GC_PHASE__MAX] = {
#define P(name, text) [GC_PHASE_##name] = text,
#include "gc_phases.def"
#undef P
};

static const char *const operations[] = {
#define O(name, text) text,
#include "s3_ops.def"
#undef O
};
#define OPERATIONS (sizeof operations / sizeof operations[0])

const char *
gc_phase_name(unsigned phase)
{
	return phases[phase];
}

static const char *
operation_name(unsigned op)
{
	return operations[op];
}

const char *
metric_result(unsigned kind)
{
	return kind == ERR_NONE ? "ok" : err_name(kind);
}

const char *
metric_call(unsigned call)
{
	return call == 0 ? "refused" : call_table[call].name;
}

const char *
metric_role(unsigned role)
{
	return role_names[role];
}

/* clang-format off */
const struct metric daemon_metrics[DAEMON__MAX] = {
	[DAEMON_CPU] = { "niks3_process_cpu_seconds_total", METRIC_COUNTER, 0,
	    "User and system time of a process.", .unit = SECOND },
	[DAEMON_STARTED] = { "niks3_process_start_time_seconds", METRIC_GAUGE,
	    0, "When a process began, since 1970.", .unit = SECOND },
	[DAEMON_RESIDENT] = { "niks3_process_resident_memory_bytes",
	    METRIC_GAUGE, 0, "Memory of a process." },
	[DAEMON_FDS] = { "niks3_process_open_fds", METRIC_GAUGE, 0,
	    "Open file descriptors of a process." },
	[DAEMON_FDS_MAX] = { "niks3_process_max_fds", METRIC_GAUGE, 0,
	    "How many file descriptors it may open." },
	[DAEMON_CALLS] = { "niks3_ipc_calls_total", METRIC_COUNTER,
	    METRIC_SPARSE, "Calls answered by a process, by result.",
	    .labels = { METRIC_CALL("call"), METRIC_RESULT("result") } },
	[DAEMON_CALL_TIME] = { "niks3_ipc_call_duration_seconds",
	    METRIC_HISTOGRAM, METRIC_SPARSE,
	    "What a process took to answer a call.", .unit = SECOND,
	    .labels = { METRIC_CALL("call") },
	    .bounds = metric_slow, .nbounds = METRIC_SLOW_BOUNDS },
	[DAEMON_CALLS_UNDER_WAY] = { "niks3_ipc_calls_in_flight", METRIC_GAUGE,
	    0, "Calls that a process is working on." },
	[DAEMON_S3_REQUESTS] = { "niks3_s3_requests_total", METRIC_COUNTER,
	    METRIC_SPARSE,
	    "Requests sent to S3, each try counted, by what S3 said to it.",
	    .labels = { { "operation", OPERATIONS, operation_name },
	        METRIC_RESULT("result") },
	    .who = BY_UPLOADER },
	[DAEMON_S3_TIME] = { "niks3_s3_request_duration_seconds",
	    METRIC_HISTOGRAM, METRIC_SPARSE, "What one try took.",
	    .unit = SECOND,
	    .labels = { { "operation", OPERATIONS, operation_name } },
	    .bounds = metric_slow, .nbounds = METRIC_SLOW_BOUNDS,
	    .who = BY_UPLOADER },
	[DAEMON_S3_RETRIES] = { "niks3_s3_retries_total", METRIC_COUNTER, 0,
	    "Tries that followed another one of the same request.",
	    .who = BY_UPLOADER },
	[DAEMON_S3_THROTTLED] = { "niks3_s3_throttled_total", METRIC_COUNTER, 0,
	    "Answers of S3 that ask to slow down.", .who = BY_UPLOADER },
	[DAEMON_S3_RATE] = { "niks3_s3_rate_limit", METRIC_GAUGE, 0,
	    "Requests a second that an uploader allows itself; 0: any number.",
	    .unit = 1000, .who = BY_UPLOADER },
	[DAEMON_S3_SENT] = { "niks3_s3_sent_bytes_total", METRIC_COUNTER, 0,
	    "Bytes of the bodies sent to S3.", .who = BY_UPLOADER },
	[DAEMON_S3_RECEIVED] = { "niks3_s3_received_bytes_total",
	    METRIC_COUNTER, 0, "Bytes of the bodies that S3 answered with.",
	    .who = BY_UPLOADER },
	[DAEMON_S3_WAITING] = { "niks3_uploader_requests_waiting", METRIC_GAUGE,
	    0, "Requests of batches that wait for a connection to S3.",
	    .who = BY_UPLOADER },
	[DAEMON_SIGNATURES] = { "niks3_signer_signatures_total", METRIC_COUNTER,
	    0, "Signatures made: one for each narinfo and key.",
	    .who = BY_SIGNER },
	[DAEMON_SIGN_KEYS] = { "niks3_signer_keys", METRIC_GAUGE, 0,
	    "Keys that the signer holds.", .who = BY_SIGNER },
	[DAEMON_GC_PHASE_TIME] = { "niks3_gc_phase_duration_seconds",
	    METRIC_HISTOGRAM, METRIC_SPARSE,
	    "What the phases of garbage collections took.", .unit = SECOND,
	    .labels = { { "phase", GC_PHASE__MAX, gc_phase_name } },
	    .bounds = metric_long, .nbounds = METRIC_LONG_BOUNDS,
	    .who = BY_GC },
};
/* clang-format on */

struct metrics *
daemon_metrics_new(unsigned role)
{
	return metrics_new(daemon_metrics, DAEMON__MAX, 1u << role);
}
