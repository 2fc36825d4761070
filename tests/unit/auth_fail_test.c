#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "../../bin/niks3-server/auth_fail.h"

static int
setup(void **state)
{
	*state = auth_fail_new();
	return 0;
}

static int
teardown(void **state)
{
	auth_fail_free(*state);
	return 0;
}

/* Some for free, then doubled up to a maximum. */
static void
test_grows(void **state)
{
	int64_t want = AUTH_FAIL_FIRST_MS;

	for (int i = 0; i < AUTH_FAIL_FREE; i++)
		assert_int_equal(auth_fail_note(*state, "10.0.0.1", 1000), 0);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(
		    auth_fail_note(*state, "10.0.0.1", 1000), want);
		if ((want *= 2) > AUTH_FAIL_MOST_MS)
			want = AUTH_FAIL_MOST_MS;
	}
	/* Nobody else is meant. */
	assert_int_equal(auth_fail_note(*state, "10.0.0.2", 1000), 0);
	assert_int_equal(auth_fail_note(*state, "local", 1000), 0);
}

static void
test_forgives(void **state)
{
	int64_t now = 1000, worst = 0;

	for (int i = 0; i < 100; i++)
		worst = auth_fail_note(*state, "10.0.0.1", now);
	assert_int_equal(worst, AUTH_FAIL_MOST_MS);
	now += AUTH_FAIL_FORGIVE_MS;
	assert_true(auth_fail_note(*state, "10.0.0.1", now) > 0);
	/* Not even the worst lasts for ever. */
	now += 20 * AUTH_FAIL_FORGIVE_MS;
	assert_int_equal(auth_fail_note(*state, "10.0.0.1", now), 0);
	/* What was good is no store for later. */
	now += 1000 * AUTH_FAIL_FORGIVE_MS;
	for (int i = 0; i < AUTH_FAIL_FREE; i++)
		assert_int_equal(auth_fail_note(*state, "10.0.0.1", now), 0);
	assert_true(auth_fail_note(*state, "10.0.0.1", now) > 0);
}

/* Addresses of one customer are one. */
static void
test_ipv6(void **state)
{
	char text[64];

	for (int i = 0; i < AUTH_FAIL_FREE; i++) {
		snprintf(text, sizeof text, "2001:db8:1:2::%x", i);
		assert_int_equal(auth_fail_note(*state, text, 0), 0);
	}
	assert_true(auth_fail_note(*state, "2001:db8:1:2:a:b:c:d", 0) > 0);
	assert_int_equal(auth_fail_note(*state, "2001:db8:1:3::1", 0), 0);
}

static void
test_full(void **state)
{
	char text[64];

	for (int i = 0; i <= AUTH_FAIL_FREE; i++)
		auth_fail_note(*state, "192.0.2.1", 5000);
	for (int i = 0; i < AUTH_FAIL_MAX - 1; i++) {
		snprintf(text, sizeof text, "10.1.%d.%d", i / 256, i % 256);
		auth_fail_note(*state, text, 6000 + i);
	}
	assert_true(auth_fail_note(*state, "192.0.2.1", 5500) > 0);
	/* One more, and the one that failed longest ago goes. */
	auth_fail_note(*state, "192.0.2.2", 9000);
	assert_int_equal(auth_fail_note(*state, "192.0.2.1", 9000), 0);
	auth_fail_free(NULL);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_grows),
		T(test_forgives),
		T(test_ipv6),
		T(test_full),
	};

	return cmocka_run_group_tests_name("auth_fail", tests, NULL, NULL);
}
