/*
 * What it costs to count: a request of HTTP, by the very function that the server
 * calls after each, and an update from several threads that meet on one series.
 * And what a scrape of the server's own figures costs.
 *
 *	metric_bench [THREADS]
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../bin/niks3-server/metrics.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../proto/metrics.h"

#define ROUNDS      5000000
#define THREADS_MAX 64

static const struct http_route routes[] = {
	{ "GET", "/health" },
	{ "POST", "/api/v2/uploads/{id}/authorize" },
	{ NULL },
};

static void
count_requests(struct metrics *m)
{
	static const int statuses[] = { 200, 201, 404, 503 };
	static const char *const methods[] = { "GET", "POST", "DELETE",
		"OPTIONS" };
	struct http_req q = { 0 };
	int64_t begun = clock_mono_us();

	for (unsigned i = 0; i < ROUNDS; i++) {
		q.method = methods[i & 3];
		server_metrics_request(
		    m, &q, &routes[i & 1], statuses[i & 3], i % 100000);
	}
	printf("%.1f ns for a request\n",
	    (clock_mono_us() - begun) * 1000.0 / ROUNDS);
}

static void
scrape(struct metrics *m)
{
	int64_t begun = clock_mono_us();
	struct buf out;

	buf_init(&out, (size_t)1 << 24);
	metrics_write(&(struct metric_source){ .metrics = m }, 1, &out, NULL);
	printf("%lld us for a scrape of %zu bytes\n",
	    (long long)(clock_mono_us() - begun), out.len);
	buf_done(&out);
}

static void *
count_calls(void *m)
{
	for (int64_t i = 0; i < ROUNDS; i++) {
		metric_add(m, DAEMON_CALLS, AT(CALL_nar_sign, 0), 1);
		metric_observe(
		    m, DAEMON_CALL_TIME, AT(CALL_nar_sign), i % 100000);
	}
	return NULL;
}

static void
meet(struct metrics *m, unsigned n)
{
	pthread_t threads[THREADS_MAX];
	int64_t begun = clock_mono_us();

	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, count_calls, m) != 0)
			err_die("cannot start a thread");
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("%.1f ns for an update, %u threads\n",
	    (clock_mono_us() - begun) * 1000.0 / ROUNDS / n, n);
}

int
main(int argc, char **argv)
{
	struct metrics *server = server_metrics_new(routes);
	struct metrics *daemon = daemon_metrics_new(ROLE_UPLOADER);
	unsigned n = argc > 1 ? atoi(argv[1]) : 4;

	count_requests(server);
	scrape(server);
	meet(daemon, 1);
	meet(daemon, n > 0 && n < THREADS_MAX ? n : THREADS_MAX);
	metrics_free(server);
	metrics_free(daemon);
	return 0;
}
