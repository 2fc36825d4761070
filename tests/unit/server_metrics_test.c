#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../bin/niks3-server/metrics.h"
#include "../../bin/niks3-server/server.h"
#include "../../libcommon/core/buf.h"
#include "../../proto/metrics.h"

/* The routes of the server itself are another matter. */
static const struct http_route table[] = {
	{ "GET", "/health" },
	{ "POST", "/api/pending_closures/{id}/sign" },
	{ NULL },
};

static struct metrics *m;
static struct buf text;

static int
setup(void **state)
{
	(void)state;
	m = server_metrics_new(table);
	buf_init(&text, 1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	metrics_free(m);
	buf_done(&text);
	return 0;
}

static void
request(
    const char *method, const struct http_route *route, int status, int64_t us)
{
	struct http_req q = { .method = method };

	server_metrics_request(m, &q, route, status, us);
}

/* Is this a line of what Prometheus gets? */
static int
says(const char *line)
{
	struct err e = ERR_INIT;
	char want[256];

	buf_reset(&text);
	if (metrics_write(
	        &(struct metric_source){ .metrics = m }, 1, &text, &e) != 0)
		fail_msg("%s", e.msg);
	snprintf(want, sizeof want, "\n%s\n", line);
	return strstr(buf_str(&text), want) != NULL;
}

#define REQUESTS "niks3_http_requests_total"
#define TIMES    "niks3_http_request_duration_seconds"

static void
test_requests(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		request("GET", &table[0], 200, 5000);
	request("HEAD", &table[0], 200, 5001);
	request("POST", &table[1], 503, 20000000);
	assert_true(says(REQUESTS
	    "{method=\"GET\",route=\"GET /health\",status=\"200\"} 3"));
	assert_true(says(REQUESTS
	    "{method=\"HEAD\",route=\"GET /health\",status=\"200\"} 1"));
	assert_true(says(REQUESTS
	    "{method=\"POST\",route=\"POST /api/pending_closures/{id}/sign\","
	    "status=\"503\"} 1"));
	/* The buckets of the contract. */
	assert_true(says(TIMES
	    "_bucket{method=\"GET\",route=\"GET /health\",le=\"0.005\"} 3"));
	assert_true(says(TIMES
	    "_bucket{method=\"HEAD\",route=\"GET /health\",le=\"0.005\"} 0"));
	assert_true(says(TIMES
	    "_bucket{method=\"HEAD\",route=\"GET /health\",le=\"0.01\"} 1"));
	assert_true(
	    says(TIMES "_sum{method=\"GET\",route=\"GET /health\"} 0.015"));
	assert_true(says(TIMES
	    "_bucket{method=\"POST\","
	    "route=\"POST /api/pending_closures/{id}/sign\",le=\"10\"} 0"));
	assert_true(
	    says(TIMES "_count{method=\"POST\","
	               "route=\"POST /api/pending_closures/{id}/sign\"} 1"));
}

/* Whatever comes from outside, there is a series for it already. */
static void
test_strangers(void **state)
{
	(void)state;
	request("BREW", NULL, 404, 1);
	request("GET\"} 1\nx 2", NULL, 404, 1);
	request("", NULL, 418, 1);
	request("get", &table[0], 405, 1);
	assert_true(says(REQUESTS
	    "{method=\"other\",route=\"unmatched\",status=\"404\"} 2"));
	assert_true(says(REQUESTS
	    "{method=\"other\",route=\"unmatched\",status=\"other\"} 1"));
	assert_true(says(REQUESTS
	    "{method=\"other\",route=\"GET /health\",status=\"405\"} 1"));
	assert_null(strstr(buf_str(&text), "BREW"));
}

/* Of a kind of error that we can answer with, the status has a name. */
static void
test_statuses(void **state)
{
	(void)state;
	for (int kind = ERR_NONE + 1; kind < ERR__MAX; kind++)
		request("GET", NULL, err_http(kind), 1);
	assert_false(says(REQUESTS
	    "{method=\"GET\",route=\"unmatched\",status=\"other\"} 1"));
	assert_null(strstr(buf_str(&text), "status=\"other\""));
}

static void
test_calls(void **state)
{
	(void)state;
	server_metrics_call(m, ROLE_SIGNER, CALL_nar_sign, ERR_NONE, 600);
	server_metrics_call(m, ROLE_SIGNER, CALL_nar_sign, ERR_TIMEOUT, 1);
	assert_true(says("niks3_ipc_requests_total{peer=\"signer\","
	                 "call=\"nar_sign\",result=\"ok\"} 1"));
	assert_true(says("niks3_ipc_requests_total{peer=\"signer\","
	                 "call=\"nar_sign\",result=\"timeout\"} 1"));
	assert_true(says("niks3_ipc_request_duration_seconds_sum{"
	                 "peer=\"signer\",call=\"nar_sign\"} 0.000601"));
}

/* A client may claim any number; no counter falls for it. */
static void
test_claims(void **state)
{
	struct server s = { .metrics = m };

	(void)state;
	metrics_skipped(&s, 3, 1000);
	assert_true(says("niks3_upload_skipped_paths_total 3"));
	assert_true(says("niks3_upload_skipped_nar_bytes_total 1000"));
	for (int i = 0; i < 100; i++) {
		metrics_skipped(&s, UINT64_MAX, UINT64_MAX);
		metrics_bytes(&s, METRICS_AUTHORIZED, INT64_MAX);
	}
	assert_true(metric_get(m, SERVER_SKIPPED_PATHS, AT(0)) > 3);
	assert_true(metric_get(m, SERVER_SKIPPED_BYTES, AT(0)) > 1000);
	assert_true(
	    metric_get(m, SERVER_UPLOAD_BYTES, AT(METRICS_AUTHORIZED)) > 0);
	metrics_upload(&s, METRICS_BEGUN);
	assert_true(says("niks3_uploads_total{event=\"begun\"} 1"));
	assert_true(says("niks3_uploads_total{event=\"committed\"} 0"));
}

/* What the contract names is there from the start, but for the time of a
 * collection that never was; and no other process has a figure of that name. */
static void
test_names(void **state)
{
	static const char *const lines[] = { "niks3_cache_objects 0",
		"niks3_cache_logical_bytes 0", "niks3_pending_closures 0",
		"niks3_db_connections_in_use 0", "niks3_db_connections_max 0",
		"niks3_http_requests_in_flight 0",
		"niks3_gc_runs_total{result=\"succeeded\"} 0",
		"niks3_gc_runs_total{result=\"failed\"} 0",
		"niks3_gc_duration_seconds_bucket{le=\"1\"} 0",
		"niks3_gc_duration_seconds_bucket{le=\"4096\"} 0",
		"niks3_gc_duration_seconds_count 0",
		"niks3_gc_objects_deleted_total 0",
		"niks3_upload_skipped_paths_total 0",
		"niks3_upload_skipped_nar_bytes_total 0",
		"niks3_uploads{state=\"open\"} 0" };

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
		if (!says(lines[i]))
			fail_msg("%s", lines[i]);
	assert_null(
	    strstr(buf_str(&text), "niks3_gc_last_run_timestamp_seconds"));
	for (size_t i = 0; i < DAEMON__MAX; i++) {
		char type[128];

		snprintf(
		    type, sizeof type, "# TYPE %s ", daemon_metrics[i].name);
		assert_null(strstr(buf_str(&text), type));
	}
	metric_set(m, SERVER_GC_LAST, AT(0), 1700000000250000);
	assert_true(says("niks3_gc_last_run_timestamp_seconds 1700000000.25"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_requests),
		TEST(test_strangers),
		TEST(test_statuses),
		TEST(test_calls),
		TEST(test_claims),
		TEST(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
