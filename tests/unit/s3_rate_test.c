#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../libcommon/s3/s3_internal.h"

#define SECOND ((int64_t)1000000)

static struct s3_rate rate;
static int64_t now;

static void
start(double initial)
{
	s3_rate_init(&rate, initial);
	now = 1000 * SECOND;
}

static int64_t
take(void)
{
	return s3_rate_take(&rate, now, INT64_MAX);
}

/* Asks evenly for a second. */
static void
ask(unsigned a_second)
{
	for (unsigned i = 0; i < a_second; i++) {
		(void)take();
		now += SECOND / a_second;
	}
}

#define assert_rate(want)                                             \
	do {                                                          \
		double got_ = s3_rate_get(&rate);                     \
		if (got_ < (want)*0.98 || got_ > (want)*1.02)         \
			fail_msg("%g, not %g", got_, (double)(want)); \
	} while (0)

static void
is_off_at_first(void **state)
{
	(void)state;
	start(0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(take(), 0);
	s3_rate_raise(&rate);
	assert_int_equal(take(), 0);
	assert_true(s3_rate_get(&rate) == 0);
	s3_rate_done(&rate);
}

static void
paces(void **state)
{
	int64_t wait;

	(void)state;
	start(100);
	/* Bursts of a quarter of a second at most, whatever was saved. */
	now += 60 * SECOND;
	for (int i = 0; i < 25; i++)
		assert_int_equal(take(), 0);
	/* Then each gets its own place, 10 ms behind the one before it. */
	for (int i = 1; i <= 50; i++) {
		wait = take();
		assert_in_range(wait, i * 10000 - 10, i * 10000 + 10);
	}
	now += wait + 10000;
	assert_int_equal(take(), 0);
	assert_in_range(take(), 9990, 10010);
	s3_rate_done(&rate);
}

static void
refuses_to_wait_too_long(void **state)
{
	(void)state;
	start(10);
	for (int i = 0; i < 20; i++) {
		int64_t wait = s3_rate_take(&rate, now, 500000);
		assert_in_range(wait + 1, 0, 500001);
	}
	assert_int_equal(s3_rate_take(&rate, now, 500000), -1);
	assert_int_equal(s3_rate_take(&rate, now, 0), -1);
	/* Those who were refused took nothing. */
	now += 500000;
	assert_in_range(s3_rate_take(&rate, now, 500000), 0, 200000);
	s3_rate_done(&rate);
}

static void
starts_below_what_was_asked(void **state)
{
	(void)state;
	start(0);
	ask(1000);
	ask(1000);
	s3_rate_lower(&rate, now - 1000, now);
	assert_rate(700);
	assert_in_range(take(), 1, SECOND / 700 + 1);
	s3_rate_done(&rate);
}

static void
lowers_once_for_many_refusals(void **state)
{
	int64_t begun;

	(void)state;
	start(0);
	ask(1000);
	begun = now;
	now += 1000;
	for (int i = 0; i < 50; i++)
		s3_rate_lower(&rate, begun, now + i);
	assert_rate(700);
	/* A request that was sent at the lower rate does count. */
	now += 1000;
	s3_rate_lower(&rate, now, now + 1000);
	assert_rate(490);
	s3_rate_done(&rate);
}

static void
has_a_floor(void **state)
{
	(void)state;
	start(0);
	(void)take();
	for (int i = 0; i < 100; i++) {
		now += 1000;
		s3_rate_lower(&rate, now, now + 1);
	}
	assert_rate(S3_RATE_MIN);
	s3_rate_done(&rate);
}

/* A limit far above what is asked for is no limit: lowering must be felt. */
static void
lowers_from_what_is_used(void **state)
{
	(void)state;
	start(4000);
	ask(100);
	ask(100);
	s3_rate_lower(&rate, now, now);
	assert_rate(70);
	s3_rate_done(&rate);
}

static void
grows_until_it_is_off(void **state)
{
	int seconds = 0;

	(void)state;
	start(100);
	/* A tenth a second while all succeeds. */
	for (int i = 0; i < 100; i++)
		s3_rate_raise(&rate);
	assert_rate(110);
	while (s3_rate_get(&rate) > 0 && seconds++ < 1000)
		for (int i = s3_rate_get(&rate); i > 0; i--)
			s3_rate_raise(&rate);
	assert_in_range(seconds, 30, 60);
	assert_int_equal(take(), 0);
	s3_rate_done(&rate);
}

static void
forgets_old_requests(void **state)
{
	(void)state;
	start(0);
	ask(1000);
	now += 10 * SECOND;
	s3_rate_lower(&rate, now, now);
	assert_rate(S3_RATE_MIN);
	s3_rate_done(&rate);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_off_at_first),
		cmocka_unit_test(paces),
		cmocka_unit_test(refuses_to_wait_too_long),
		cmocka_unit_test(starts_below_what_was_asked),
		cmocka_unit_test(lowers_once_for_many_refusals),
		cmocka_unit_test(has_a_floor),
		cmocka_unit_test(lowers_from_what_is_used),
		cmocka_unit_test(grows_until_it_is_off),
		cmocka_unit_test(forgets_old_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
