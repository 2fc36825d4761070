#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/num.h"

#define N(a)   (sizeof(a) / sizeof((a)[0]))

#define US     INT64_C(1)
#define MS     (1000 * US)
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static void
test_u64(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "01",
		"00", "1a", "0x10", "1.0", "1e3", "18446744073709551616",
		"99999999999999999999999", "\xd9\xa1" /* an Arabic digit */ };
	struct err e = ERR_INIT;
	uint64_t n = 77;

	(void)state;
	for (size_t i = 0; i < N(bad); i++) {
		assert_int_equal(
		    num_parse_u64(bad[i], strlen(bad[i]), UINT64_MAX, &n, &e),
		    -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(n, 77);
	}
	assert_int_equal(num_parse_u64("0", 1, UINT64_MAX, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(
	    num_parse_u64("18446744073709551615", 20, UINT64_MAX, &n, &e), 0);
	assert_true(n == UINT64_MAX);
	/* Only len bytes count, and a NUL among them is no digit. */
	assert_int_equal(num_parse_u64("123", 2, UINT64_MAX, &n, &e), 0);
	assert_int_equal(n, 12);
	assert_int_equal(num_parse_u64("1\0", 2, UINT64_MAX, &n, &e), -1);
	assert_int_equal(num_parse_u64("255", 3, 255, &n, &e), 0);
	assert_int_equal(num_parse_u64("256", 3, 255, &n, &e), -1);
	assert_string_equal(e.msg, "larger than 255");
	assert_int_equal(num_parse_u64("0", 1, 0, &n, NULL), 0);
	assert_int_equal(num_parse_u64("1", 1, 0, &n, NULL), -1);
}

static void
test_i64(void **state)
{
	static const struct {
		const char *text;
		int64_t n;
	} good[] = {
		{ "0", 0 },
		{ "-1", -1 },
		{ "42", 42 },
		{ "9223372036854775807", INT64_MAX },
		{ "-9223372036854775808", INT64_MIN },
	};
	static const char *const bad[] = { "", "-", "--1", "-0", "-01", "+1",
		"9223372036854775808", "-9223372036854775809", "1-" };
	int64_t n = 77;

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		assert_int_equal(
		    num_parse_i64(good[i].text, strlen(good[i].text), &n, NULL),
		    0);
		assert_true(n == good[i].n);
	}
	n = 77;
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(
		    num_parse_i64(bad[i], strlen(bad[i]), &n, NULL), -1);
	assert_int_equal(n, 77);
}

static void
test_bool(void **state)
{
	static const char *const yes[] = { "true", "1", "yes", "on", "True",
		"TRUE", "t" };
	static const char *const no[] = { "false", "0", "no", "off", "FALSE",
		"f" };
	static const char *const bad[] = { "", "2", "true ", "tru", "y", "01" };
	struct err e = ERR_INIT;
	int b = 77;

	(void)state;
	for (size_t i = 0; i < N(bad); i++)
		assert_int_equal(num_parse_bool(bad[i], &b, &e), -1);
	assert_int_equal(b, 77);
	for (size_t i = 0; i < N(yes); i++) {
		b = 77;
		assert_int_equal(num_parse_bool(yes[i], &b, &e), 0);
		assert_int_equal(b, 1);
	}
	for (size_t i = 0; i < N(no); i++) {
		b = 77;
		assert_int_equal(num_parse_bool(no[i], &b, &e), 0);
		assert_int_equal(b, 0);
	}
}

static void
test_parse_duration(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} good[] = {
		{ "0", 0 },
		{ "+0", 0 },
		{ "0s", 0 },
		{ "+5s", 5 * SECOND },
		{ "30s", 30 * SECOND },
		{ "1478s", 1478 * SECOND },
		{ "007s", 7 * SECOND },
		{ "5.0s", 5 * SECOND },
		{ "5.6s", 5600 * MS },
		{ "5.s", 5 * SECOND },
		{ ".5s", 500 * MS },
		{ "1.000000s", SECOND },
		{ "100.00100s", 100 * SECOND + MS },
		{ "10ns", 0 },
		{ "1999ns", 1 },
		{ "600ns600ns", 1 }, /* summed before it is cut off */
		{ "11us", 11 },
		{ "12\u00b5s", 12 },
		{ "12\u03bcs", 12 },
		{ "13ms", 13 * MS },
		{ "14s", 14 * SECOND },
		{ "15m", 15 * MINUTE },
		{ "16h", 16 * HOUR },
		{ "720h", 30 * DAY },
		{ "3h30m", 3 * HOUR + 30 * MINUTE },
		{ "10.5s4m", 4 * MINUTE + 10500 * MS },
		{ "1h1h", 2 * HOUR },
		{ "1h2m3s4ms5us6ns",
		    HOUR + 2 * MINUTE + 3 * SECOND + 4 * MS + 5 },
		{ "39h9m14.425s", 39 * HOUR + 9 * MINUTE + 14425 * MS },
		{ "7d", 7 * DAY },
		{ "2w", 14 * DAY },
		{ "1w1d", 8 * DAY },
		{ "1.5d", 36 * HOUR },
		{ "0.5w", 84 * HOUR },
		{ "0.3333333333333333333h", 20 * MINUTE - 1 },
		{ "0.1000000000000000000000000000000000000s", 100 * MS },
		{ "9223372036854775807us", INT64_MAX },
		{ "9223372036854775.807ms", INT64_MAX },
		{ "9223372036854.775807s", INT64_MAX },
		{ "106751991d", 106751991 * DAY },
	};
	static const char *const bad[] = { "", "3", "-", "+", "s", ".", "-.",
		".s", "+.s", "1", "1.", "1.5", "-5s", "-0", "-0s", "+-1s", "1x",
		"1S", "1H", "1hour", "1 h", " 1h", "1h ", "1h 30m", "1h30",
		"1..5s", "1.5.5s", "1e3s", "0x1s", "1y", "1M", "1\xb5s",
		"9223372036854775808us", "9223372036854775807us1us",
		"9223372036854.775808s", "106751992d", "15250285w",
		"99999999999999999999ns", "9223372036854775807w",
		"9223372036854775807w9223372036854775807w" };
	struct err e = ERR_INIT;
	int64_t us;

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		us = -1;
		if (num_parse_duration(good[i].text, &us, &e) == -1)
			fail_msg("%s: %s", good[i].text, e.msg);
		if (us != good[i].us)
			fail_msg("%s: %lld", good[i].text, (long long)us);
	}
	us = 77;
	for (size_t i = 0; i < N(bad); i++) {
		if (num_parse_duration(bad[i], &us, &e) == 0)
			fail_msg("%s: accepted", bad[i]);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(us, 77);
	}
	num_parse_duration("-5s", &us, &e);
	assert_string_equal(e.msg, "a negative duration");
}

static void
test_fmt_duration(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = {
		{ 0, "0s" },
		{ 1, "1us" },
		{ 999, "999us" },
		{ 1000, "1ms" },
		{ 1100, "1.1ms" },
		{ 1001, "1.001ms" },
		{ 250 * MS, "250ms" },
		{ SECOND, "1s" },
		{ 1500 * MS, "1.5s" },
		{ SECOND + 1, "1.000001s" },
		{ 90 * SECOND, "1m30s" },
		{ MINUTE, "1m" },
		{ 10 * MINUTE, "10m" },
		{ HOUR, "1h" },
		{ HOUR + 30 * MINUTE, "1h30m" },
		{ HOUR + SECOND, "1h1s" },
		{ HOUR + MINUTE + SECOND + 10 * MS, "1h1m1.01s" },
		{ 720 * HOUR, "720h" },
		{ -90 * SECOND, "-1m30s" },
		{ INT64_MAX, "2562047788h54.775807s" },
		{ INT64_MIN, "-2562047788h54.775808s" },
	};
	char out[NUM_DURATION_MAX];
	int64_t us;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		assert_string_equal(
		    num_fmt_duration(out, cases[i].us), cases[i].text);
		if (cases[i].us < 0)
			continue;
		/* Exact: what is printed reads as the same. */
		assert_int_equal(num_parse_duration(out, &us, NULL), 0);
		assert_true(us == cases[i].us);
	}
}

static void
test_parse_size(void **state)
{
	static const struct {
		const char *text;
		uint64_t n;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "4096B", 4096 },
		{ "1K", 1024 },
		{ "1k", 1024 },
		{ "1KB", 1024 },
		{ "1KiB", 1024 },
		{ "64K", 65536 },
		{ "16M", 16 << 20 },
		{ "16MiB", 16 << 20 },
		{ "2G", UINT64_C(2) << 30 },
		{ "1T", UINT64_C(1) << 40 },
		{ "1P", UINT64_C(1) << 50 },
		{ "15E", UINT64_C(15) << 60 },
		{ "18446744073709551615", UINT64_MAX },
		{ "16777215T", UINT64_C(16777215) << 40 },
	};
	static const char *const bad[] = { "", "B", "K", "-1", "+1", "1 K",
		"1.5G", "1Ki", "1iB", "1KBB", "1KK", "1m", "1X", "1KiBx", "01K",
		"16E", "16777216T", "18446744073709551616", "1\nK" };
	struct err e = ERR_INIT;
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < N(good); i++) {
		if (num_parse_size(good[i].text, &n, &e) == -1)
			fail_msg("%s: %s", good[i].text, e.msg);
		if (n != good[i].n)
			fail_msg(
			    "%s: %llu", good[i].text, (unsigned long long)n);
	}
	n = 77;
	for (size_t i = 0; i < N(bad); i++) {
		if (num_parse_size(bad[i], &n, &e) == 0)
			fail_msg("%s: accepted", bad[i]);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(n, 77);
	}
}

static void
test_fmt_size(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },
		{ 999, "999 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 1024 * 1024 - 1, "1.0 MiB" }, /* not 1024.0 KiB */
		{ 1023 * 1024, "1023.0 KiB" },
		{ 12897485, "12.3 MiB" },
		{ UINT64_C(1) << 30, "1.0 GiB" },
		{ UINT64_C(5) << 40, "5.0 TiB" },
		{ UINT64_C(1) << 50, "1.0 PiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char out[NUM_SIZE_MAX];

	(void)state;
	for (size_t i = 0; i < N(cases); i++)
		assert_string_equal(
		    num_fmt_size(out, cases[i].n), cases[i].text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_i64),
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_parse_duration),
		cmocka_unit_test(test_fmt_duration),
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_fmt_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
