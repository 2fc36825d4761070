#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/metric.h"
#include "../../proto/metrics.h"
#include "../../proto/messages.h"

static const int64_t bounds[] = { 500, 1000, 2500000 };

static const char *
color(unsigned i)
{
	static const char *const names[] = { "red", NULL, "a\"b\\c\nd" };

	return names[i];
}

static const char *
size(unsigned i)
{
	return i == 0 ? "small" : "large";
}

enum {
	PLAIN,
	LABELED,
	GAUGE,
	TIMES,
	SPARSE,
	OURS,
	N
};

static const struct metric table[N] = {
	[PLAIN] = { "plain_total", METRIC_COUNTER, 0, "A \"plain\"\\\nhelp." },
	[LABELED] = { "labeled_total", METRIC_COUNTER, 0, "Labels.",
	    .labels = { { "color", 3, color }, { "size", 2, size } } },
	[GAUGE] = { "gauge_seconds", METRIC_GAUGE, 0, "Units.",
	    .unit = 1000000 },
	[TIMES] = { "times_seconds", METRIC_HISTOGRAM, METRIC_SPARSE, "Times.",
	    .unit = 1000000, .labels = { { "size", 2, size } },
	    .bounds = bounds, .nbounds = 3 },
	[SPARSE] = { "sparse_total", METRIC_COUNTER, METRIC_SPARSE, "Few.",
	    .labels = { { "size", 2, size } } },
	[OURS] = { "ours", METRIC_GAUGE, 0, "Of some.", .who = 4 },
};

static struct buf text;

static const char *
written(const struct metric_source *sources, size_t n)
{
	struct err e = ERR_INIT;

	buf_done(&text);
	buf_init(&text, 1 << 20);
	if (metrics_write(sources, n, &text, &e) != 0)
		fail_msg("%s", e.msg);
	return buf_str(&text);
}

static const char *
all(const struct metrics *m)
{
	return written(&(struct metric_source){ .metrics = m }, 1);
}

static void
test_text(void **state)
{
	struct metrics *m = metrics_new(table, N, 1);

	(void)state;
	metric_add(m, PLAIN, AT(0), 2);
	metric_add(m, PLAIN, AT(0), 40);
	metric_add(m, LABELED, AT(0, 1), 7);
	metric_add(m, LABELED, AT(2, 0), 1);
	metric_add(m, LABELED, AT(1, 0), 5); /* a series that is none */
	metric_set(m, GAUGE, AT(0), -1500001);
	/* Exactly at a bound is in its bucket. */
	metric_observe(m, TIMES, AT(1), 500);
	metric_observe(m, TIMES, AT(1), 501);
	metric_observe(m, TIMES, AT(1), 2500001);
	metric_add(m, SPARSE, AT(1), 3);
	metric_add(m, OURS, AT(0), 3);
	assert_string_equal(all(m),
	    "# HELP plain_total A \"plain\"\\\\\\nhelp.\n"
	    "# TYPE plain_total counter\n"
	    "plain_total 42\n"
	    "# HELP labeled_total Labels.\n"
	    "# TYPE labeled_total counter\n"
	    "labeled_total{color=\"red\",size=\"small\"} 0\n"
	    "labeled_total{color=\"red\",size=\"large\"} 7\n"
	    "labeled_total{color=\"a\\\"b\\\\c\\nd\",size=\"small\"} 1\n"
	    "labeled_total{color=\"a\\\"b\\\\c\\nd\",size=\"large\"} 0\n"
	    "# HELP gauge_seconds Units.\n"
	    "# TYPE gauge_seconds gauge\n"
	    "gauge_seconds -1.500001\n"
	    "# HELP times_seconds Times.\n"
	    "# TYPE times_seconds histogram\n"
	    "times_seconds_bucket{size=\"large\",le=\"0.0005\"} 1\n"
	    "times_seconds_bucket{size=\"large\",le=\"0.001\"} 2\n"
	    "times_seconds_bucket{size=\"large\",le=\"2.5\"} 2\n"
	    "times_seconds_bucket{size=\"large\",le=\"+Inf\"} 3\n"
	    "times_seconds_sum{size=\"large\"} 2.501002\n"
	    "times_seconds_count{size=\"large\"} 3\n"
	    "# HELP sparse_total Few.\n"
	    "# TYPE sparse_total counter\n"
	    "sparse_total{size=\"large\"} 3\n");
	assert_int_equal(metric_get(m, PLAIN, AT(0)), 42);
	assert_int_equal(metric_get(m, TIMES, AT(1)), 3);
	assert_int_equal(metric_get(m, TIMES, AT(0)), 0);
	metrics_free(m);
	metrics_free(NULL);
}

static void
test_numbers(void **state)
{
	static const struct {
		int64_t value;
		const char *line;
	} cases[] = {
		{ 0, "\ngauge_seconds 0\n" },
		{ 1, "\ngauge_seconds 0.000001\n" },
		{ -1, "\ngauge_seconds -0.000001\n" },
		{ 100000, "\ngauge_seconds 0.1\n" },
		{ 1000000, "\ngauge_seconds 1\n" },
		{ 1010100, "\ngauge_seconds 1.0101\n" },
		{ INT64_MAX, "\ngauge_seconds 9223372036854.775807\n" },
		{ INT64_MIN, "\ngauge_seconds -9223372036854.775808\n" },
	};
	struct metrics *m = metrics_new(table, N, 1);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		metric_set(m, GAUGE, AT(0), cases[i].value);
		if (strstr(all(m), cases[i].line) == NULL)
			fail_msg("%s", cases[i].line);
	}
	metrics_free(m);
}

/* A gauge is set; a counter is only raised; who has it not does not show it. */
static void
test_set(void **state)
{
	struct metrics *m = metrics_new(table, N, 1 | 4);

	(void)state;
	metric_set(m, PLAIN, AT(0), 10);
	metric_set(m, PLAIN, AT(0), 9);
	assert_int_equal(metric_get(m, PLAIN, AT(0)), 10);
	metric_set(m, PLAIN, AT(0), 11);
	assert_int_equal(metric_get(m, PLAIN, AT(0)), 11);
	metric_set(m, OURS, AT(0), 10);
	metric_set(m, OURS, AT(0), 9);
	assert_int_equal(metric_get(m, OURS, AT(0)), 9);
	assert_non_null(strstr(all(m), "\nours 9\n"));
	metrics_free(m);

	m = metrics_new(table, N, 2);
	metric_set(m, OURS, AT(0), 10);
	assert_int_equal(metric_get(m, OURS, AT(0)), 0);
	assert_null(strstr(all(m), "ours"));
	metrics_free(m);
	/* Nothing is kept, and nothing breaks. */
	metric_add(NULL, PLAIN, AT(0), 1);
	metric_set(NULL, PLAIN, AT(0), 1);
	metric_observe(NULL, TIMES, AT(0), 1);
	assert_int_equal(metric_get(NULL, PLAIN, AT(0)), 0);
}

/* Several processes: all of a metric together, each with its own labels. */
static void
test_sources(void **state)
{
	static const char *const a[][2] = { { "id", "x\"" } };
	static const char *const b[][2] = { { "id", "y" }, { "more", "z" } };
	struct metrics *one = metrics_new(table, N, 1);
	struct metrics *two = metrics_new(table, N, 4);
	struct metric_source sources[] = { { one, a, 1 }, { two, b, 2 } };
	const char *got;

	(void)state;
	metric_add(one, PLAIN, AT(0), 1);
	metric_add(two, PLAIN, AT(0), 2);
	metric_add(two, SPARSE, AT(0), 3);
	metric_observe(one, TIMES, AT(0), 1);
	metric_set(two, OURS, AT(0), 4);
	got = written(sources, 2);
	assert_non_null(strstr(got,
	    "# TYPE plain_total counter\n"
	    "plain_total{id=\"x\\\"\"} 1\n"
	    "plain_total{id=\"y\",more=\"z\"} 2\n"));
	assert_non_null(strstr(got,
	    "# TYPE sparse_total counter\n"
	    "sparse_total{size=\"small\",id=\"y\",more=\"z\"} 3\n"));
	assert_non_null(strstr(got,
	    "times_seconds_bucket{size=\"small\",id=\"x\\\"\",le=\"0.0005\"}"
	    " 1\n"));
	assert_non_null(
	    strstr(got, "# TYPE ours gauge\nours{id=\"y\",more=\"z\"} 4\n"));
	assert_string_equal(written(sources, 0), "");
	metrics_free(one);
	metrics_free(two);
}

static void
test_too_long(void **state)
{
	struct metrics *m = metrics_new(table, N, 1);
	struct err e = ERR_INIT;
	struct buf small;

	(void)state;
	buf_init(&small, 100);
	assert_int_equal(metrics_write(&(struct metric_source){ .metrics = m },
	                     1, &small, &e),
	    -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_done(&small);
	metrics_free(m);
}

/* ---- what a table must not say ---- */

static int
dies(const struct metric *t, unsigned at)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct metrics *m;

		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		m = metrics_new(t, 1, 0);
		metric_add(m, 0, AT(at), 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status);
}

static void
test_wrong_tables(void **state)
{
	static const int64_t falling[] = { 2, 1 };
	static const struct metric good = { "x_total", METRIC_COUNTER, 0, "X.",
		.labels = { { "size", 2, size } } };
	struct metric t = good;

	(void)state;
	assert_false(dies(&t, 1));
	assert_true(dies(&t, 2));
	t.name = "X total";
	assert_true(dies(&t, 0));
	t = good;
	t.name = "2x";
	assert_true(dies(&t, 0));
	t = good;
	t.help = NULL;
	assert_true(dies(&t, 0));
	t = good;
	t.unit = 60;
	assert_true(dies(&t, 0));
	t = good;
	t.bounds = bounds;
	t.nbounds = 3;
	assert_true(dies(&t, 0));
	t = good;
	t.type = METRIC_HISTOGRAM;
	assert_true(dies(&t, 0));
	t.bounds = falling;
	t.nbounds = 2;
	assert_true(dies(&t, 0));
	t = good;
	t.labels[0].name = "le";
	assert_true(dies(&t, 0));
	t = good;
	t.labels[0].n = 0;
	assert_true(dies(&t, 0));
	t = good;
	t.labels[0].n = METRIC_CELLS_MAX + 1;
	assert_true(dies(&t, 0));
	t = good;
	t.labels[1] = t.labels[0];
	t.labels[0] = (struct metric_label){ 0 };
	assert_true(dies(&t, 0));
}

/* ---- many threads ---- */

#define THREADS 8
#define ROUNDS  20000

static struct metrics *shared;
static int begun;

static void *
update(void *arg)
{
	unsigned n = (uintptr_t)arg;

	__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&begun, __ATOMIC_SEQ_CST) < THREADS)
		;
	for (int i = 0; i < ROUNDS; i++) {
		metric_add(shared, PLAIN, AT(0), 1);
		metric_add(shared, LABELED, AT(2 * (n & 1), i & 1), 2);
		metric_observe(shared, TIMES, AT(n & 1), i);
		metric_set(shared, SPARSE, AT(0), i);
	}
	return NULL;
}

/* Nothing is lost, and whoever reads meanwhile sees counters rise and buckets
 * that add up. */
static void
test_concurrent(void **state)
{
	pthread_t threads[THREADS];
	int64_t last = 0, sum = 0;

	(void)state;
	shared = metrics_new(table, N, 1);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, update, (void *)i), 0);
	for (int i = 0; i < 200; i++) {
		const char *t = all(shared), *inf, *count;
		int64_t now =
		    strtoll(strstr(t, "\nplain_total ") + 13, NULL, 10);

		assert_true(now >= last);
		last = now;
		inf = strstr(t, "size=\"large\",le=\"+Inf\"} ");
		count = strstr(t, "times_seconds_count{size=\"large\"} ");
		if (inf == NULL)
			continue;
		assert_non_null(count);
		assert_int_equal(strtoll(inf + 24, NULL, 10),
		    strtoll(strstr(count, "} ") + 2, NULL, 10));
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metric_get(shared, PLAIN, AT(0)), THREADS * ROUNDS);
	for (unsigned c = 0; c <= 2; c += 2)
		for (unsigned s = 0; s < 2; s++)
			sum += metric_get(shared, LABELED, AT(c, s));
	assert_int_equal(sum, 2 * THREADS * ROUNDS);
	assert_int_equal(
	    metric_get(shared, TIMES, AT(0)) + metric_get(shared, TIMES, AT(1)),
	    THREADS * ROUNDS);
	assert_int_equal(metric_get(shared, SPARSE, AT(0)), ROUNDS - 1);
	metrics_free(shared);
}

/* ---- between processes ---- */

static void
test_cells(void **state)
{
	struct metrics *from = metrics_new(table, N, 1);
	struct metrics *to = metrics_new(table, N, 1);
	char *want;

	(void)state;
	metric_add(from, PLAIN, AT(0), 1);
	metric_observe(from, TIMES, AT(1), 700);
	metric_set(from, GAUGE, AT(0), -5);
	assert_int_equal(metrics_cells(from), metrics_cells(to));
	for (size_t i = 0; i < metrics_cells(from); i++)
		metrics_cell_set(to, i, metrics_cell(from, i));
	want = xstrdup(all(from));
	assert_string_equal(all(to), want);
	free(want);
	metrics_free(from);
	metrics_free(to);
}

/* The hash sees every change that gives a number another meaning. */
static void
test_hash(void **state)
{
	static const int64_t other[] = { 500, 1001, 2500000 };
	uint64_t h = metric_table_hash(table, N, 1);
	struct metric t[N];

	(void)state;
	assert_true(h == metric_table_hash(table, N, 1));
	assert_true(h != metric_table_hash(table, N, 2));
	assert_true(h != metric_table_hash(table, N - 1, 1));
#define CHANGED(change)                                       \
	do {                                                  \
		memcpy(t, table, sizeof t);                   \
		change;                                       \
		assert_true(h != metric_table_hash(t, N, 1)); \
	} while (0)
	CHANGED(t[PLAIN].name = "plain2_total");
	CHANGED(t[PLAIN].type = METRIC_GAUGE);
	CHANGED(t[GAUGE].unit = 1000);
	CHANGED(t[TIMES].bounds = other);
	CHANGED(t[TIMES].nbounds = 2);
	CHANGED(t[LABELED].labels[0].n = 2);
	CHANGED(t[LABELED].labels[1].name = "siz");
	CHANGED(t[LABELED].labels[1].value = color);
}

/* ---- the figures of our processes ---- */

static void
test_daemons(void **state)
{
	(void)state;
	for (unsigned role = 0; role < ROLE__MAX; role++) {
		struct metrics *m = daemon_metrics_new(role);

		assert_in_range(metrics_cells(m), 1, MSG_CELLS_MAX);
		for (size_t i = 0; i < metrics_cells(m); i++)
			metrics_cell_set(m, i, 1);
		all(m);
		metrics_free(m);
	}
	for (size_t i = 0; i < DAEMON__MAX; i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(
			    daemon_metrics[i].name, daemon_metrics[k].name);
	assert_string_equal(metric_result(ERR_NONE), "ok");
	assert_string_equal(metric_result(ERR_NOT_FOUND), "not_found");
	assert_string_equal(metric_call(CALL_nar_sign), "nar_sign");
	assert_string_equal(gc_phase_name(GC_PHASE_TIDY), "tidy");
}

static int
done(void **state)
{
	(void)state;
	buf_done(&text);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_wrong_tables),
		cmocka_unit_test(test_concurrent),
		cmocka_unit_test(test_cells),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_daemons),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
