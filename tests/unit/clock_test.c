#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "../../libcommon/core/clock.h"

#define FOREVER INT64_MAX

static void
test_clocks(void **state)
{
	int64_t a = clock_mono_us(), ms = clock_mono_ms();
	int64_t b = clock_mono_us();

	(void)state;
	assert_true(b >= a);
	assert_true(ms >= a / 1000 && ms <= b / 1000);
	/* After 2024 and before 2100: microseconds, not another unit. */
	assert_true(clock_wall_us() > INT64_C(1704067200000000));
	assert_true(clock_wall_us() < INT64_C(4102444800000000));
}

static void
test_deadlines(void **state)
{
	int64_t left;

	(void)state;
	left = deadline_left(deadline_in(5000));
	assert_true(left > 4000 && left <= 5000);
	assert_int_equal(deadline_left(deadline_in(0)), 0);
	assert_int_equal(deadline_left(deadline_in(-5)), 0);
	assert_int_equal(deadline_left(INT64_MIN), 0);
	/* Never does not wrap round into the past. */
	assert_true(deadline_in(FOREVER) == INT64_MAX);
	assert_true(deadline_in(FOREVER - 1) == INT64_MAX);
	assert_true(deadline_left(deadline_in(FOREVER)) > INT64_MAX / 2);
	assert_int_equal(deadline_min(3, 5), 3);
	assert_int_equal(deadline_min(5, 3), 3);
	assert_int_equal(deadline_min(-1, INT64_MAX), -1);
}

static int64_t
slept(int64_t ms, deadline_t d)
{
	int64_t before = clock_mono_ms();

	clock_sleep(ms, d);
	return clock_mono_ms() - before;
}

static void
test_sleep(void **state)
{
	(void)state;
	assert_true(slept(30, deadline_in(FOREVER)) >= 29);
	assert_in_range(slept(60000, deadline_in(30)), 28, 20000);
	assert_in_range(slept(60000, deadline_in(-1)), 0, 20000);
	assert_in_range(slept(0, deadline_in(60000)), 0, 20000);
	assert_in_range(slept(-5, deadline_in(60000)), 0, 20000);
}

static void
nothing(int sig)
{
	(void)sig;
}

static void
test_signal_ends_sleep(void **state)
{
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	struct itimerval in = { .it_value.tv_usec = 20000 };

	(void)state;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &in, NULL);
	assert_in_range(slept(60000, deadline_in(FOREVER)), 15, 20000);
}

/* The largest and smallest of many pauses before try n. */
static void
pauses(unsigned n, int64_t base, int64_t cap, int64_t *least, int64_t *most)
{
	*least = INT64_MAX;
	*most = INT64_MIN;
	for (int i = 0; i < 2000; i++) {
		int64_t ms = clock_backoff(n, base, cap);

		if (ms < *least)
			*least = ms;
		if (ms > *most)
			*most = ms;
	}
}

static void
test_backoff(void **state)
{
	int64_t least, most;

	(void)state;
	/* Exponential, and jittered over the whole range. */
	pauses(0, 100, 10000, &least, &most);
	assert_in_range(least, 0, 10);
	assert_in_range(most, 90, 100);
	pauses(3, 100, 10000, &least, &most);
	assert_in_range(least, 0, 80);
	assert_in_range(most, 720, 800);
	/* Capped, whatever n is. */
	pauses(7, 100, 10000, &least, &most);
	assert_in_range(most, 9000, 10000);
	pauses(4000000000, 100, 10000, &least, &most);
	assert_in_range(most, 9000, 10000);
	pauses(4000000000, 1, INT64_MAX, &least, &most);
	assert_true(least >= 0 && most > INT64_MAX / 2);
	pauses(0, 500, 20, &least, &most);
	assert_in_range(most, 10, 20);
	assert_int_equal(clock_backoff(5, 0, 1000), 0);
	assert_int_equal(clock_backoff(5, 10, 0), 0);
	assert_int_equal(clock_backoff(5, -10, 1000), 0);
}

static void
test_rfc3339(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ INT64_C(1782820800000000), "2026-06-30T12:00:00Z" },
		{ INT64_C(1782820800000001), "2026-06-30T12:00:00.000001Z" },
		{ INT64_C(1782820800500000), "2026-06-30T12:00:00.500000Z" },
		{ INT64_C(951782400000000), "2000-02-29T00:00:00Z" },
		{ -1, "1969-12-31T23:59:59.999999Z" },
		{ -1000000, "1969-12-31T23:59:59Z" },
	};
	char out[CLOCK_RFC3339_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(
		    clock_fmt_rfc3339(out, cases[i].us), cases[i].text);
	/* The ends of the range still fit. */
	assert_true(strlen(clock_fmt_rfc3339(out, INT64_MAX)) > 20);
	assert_true(strlen(clock_fmt_rfc3339(out, INT64_MIN)) > 20);
	assert_int_equal(out[strlen(out) - 1], 'Z');
}

static void
test_parse_rfc3339(void **state)
{
	static const struct {
		const char *text;
		int64_t us; /* -1: refused */
	} table[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-06-30T12:00:00Z", 1782820800000000 },
		{ "2026-06-30t12:00:00z", 1782820800000000 },
		{ "2026-06-30T14:30:00+02:30", 1782820800000000 },
		{ "2026-06-30T11:00:00-01:00", 1782820800000000 },
		{ "2026-06-30T12:00:00.5Z", 1782820800500000 },
		{ "2026-06-30T12:00:00.1234567Z", 1782820800123456 },
		{ "2026-06-30T12:00:00", -1 },
		{ "2026-06-30T12:00:00.Z", -1 },
		{ "2026-06-30T12:00:00Z ", -1 },
		{ "2026-13-30T12:00:00Z", -1 },
		{ "2026-06-30T24:00:00Z", -1 },
		{ "2026-06-30T12:00:00+2:00", -1 },
		{ "2026-6-30T12:00:00Z", -1 },
		{ " 2026-06-30T12:00:00Z", -1 },
		{ "", -1 },
	};
	char text[CLOCK_RFC3339_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		int64_t us = -2;
		int rc = clock_parse_rfc3339(table[i].text, &us);

		if ((rc == 0) != (table[i].us != -1) ||
		    us != (rc == 0 ? table[i].us : -2))
			fail_msg("%s: %lld", table[i].text, (long long)us);
		if (rc == 0)
			assert_int_equal(clock_parse_rfc3339(
			                     clock_fmt_rfc3339(text, us), &us),
			    0);
		if (rc == 0)
			assert_int_equal(us, table[i].us);
	}
}

static void
test_parse_http(void **state)
{
	static const char *const same[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" };
	static const char *const none[] = { "", "yesterday",
		"Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT+1",
		"784111777" };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(clock_parse_http(same[i]), 784111777);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(clock_parse_http(none[i]), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_rfc3339),
		cmocka_unit_test(test_parse_http),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_sleep),
		cmocka_unit_test(test_signal_ends_sleep),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_rfc3339),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
