/* Who may hold a graph of all objects in niks3-gc: one at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "../../bin/niks3-gc/gc.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/service.h"

#define NO_DATABASE "host=/nonexistent"

static void
test_one(void **state)
{
	struct err e = ERR_INIT;
	int64_t began = clock_mono_ms();

	(void)state;
	assert_int_equal(gc_graph_enter(deadline_in(1000), &e), 0);
	assert_int_equal(gc_graph_enter(deadline_in(200), &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(e.hint, "again"));
	assert_in_range(clock_mono_ms() - began, 200, 5000);
	gc_graph_leave();
	assert_int_equal(gc_graph_enter(deadline_in(0), &e), 0);
	gc_graph_leave();
}

static void *
leave_soon(void *arg)
{
	(void)arg;
	clock_sleep(100, deadline_in(1000));
	gc_graph_leave();
	return NULL;
}

static void
test_waits(void **state)
{
	struct err e = ERR_INIT;
	int64_t began = clock_mono_ms();
	pthread_t t;

	(void)state;
	assert_int_equal(gc_graph_enter(deadline_in(1000), &e), 0);
	assert_int_equal(pthread_create(&t, NULL, leave_soon, NULL), 0);
	assert_int_equal(gc_graph_enter(deadline_in(20000), &e), 0);
	/* Told, and not by looking every second. */
	assert_in_range(clock_mono_ms() - began, 90, 900);
	gc_graph_leave();
	pthread_join(t, NULL);
}

struct question {
	struct err e;
	int64_t wait_ms, took_ms;
	int rc;
};

static void *
ask(void *arg)
{
	struct question *q = arg;
	struct arena *a = arena_new(1 << 20);
	struct gc_why request = { .key = "x.narinfo" };
	struct gc_why_told reply = { 0 };
	int64_t began = clock_mono_ms();

	q->rc = gc_handle_why((char[]){ NO_DATABASE }, &request, &reply, a,
	    deadline_in(q->wait_ms), &q->e);
	q->took_ms = clock_mono_ms() - began;
	arena_free(a);
	return NULL;
}

/* While the worker marks: the first question waits, for half of its time; the
 * second would take the last thread. */
static void
test_questions(void **state)
{
	struct question first = { .wait_ms = 1000 };
	struct question second = { .wait_ms = 10000 };
	struct err e = ERR_INIT;
	pthread_t t;

	(void)state;
	assert_int_equal(gc_graph_enter(deadline_in(1000), &e), 0);
	assert_int_equal(pthread_create(&t, NULL, ask, &first), 0);
	clock_sleep(100, deadline_in(1000));
	ask(&second);
	assert_int_equal(second.rc, -1);
	assert_int_equal(second.e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(second.e.msg, "another question"));
	assert_in_range(second.took_ms, 0, 300);
	pthread_join(t, NULL);
	assert_int_equal(first.rc, -1);
	assert_int_equal(first.e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(first.e.msg, "marking"));
	assert_in_range(first.took_ms, 450, 950);
	gc_graph_leave();

	/* One that fails leaves everything as it was. */
	ask(&second);
	assert_int_equal(second.e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(second.e.msg, "database"));
	assert_int_equal(gc_graph_enter(deadline_in(0), &e), 0);
	gc_graph_leave();
}

static void
test_stop(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(gc_graph_enter(deadline_in(1000), &e), 0);
	service_stop();
	assert_int_equal(gc_graph_enter(deadline_in(20000), &e), -1);
	assert_int_equal(e.kind, ERR_CANCELED);
	gc_graph_leave();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
