#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../bin/niks3-server/read_header.h"

static void
entity_tags(void **state)
{
	static const struct {
		const char *from_s3, *etag;
	} written[] = {
		{ "\"abc\"", "\"abc\"" },
		{ "abc-3", "\"abc-3\"" },
		{ "W/\"abc\"", "W/\"abc\"" },
		{ "", "" },
	};
	static const struct {
		const char *list;
		int match; /* of "b" */
	} lists[] = {
		{ "\"b\"", 1 },
		{ "W/\"b\"", 1 },
		{ "\"a\", \"b\"", 1 },
		{ "\"a\",W/\"b\",\"c\"", 1 },
		{ " ,, \"b\" ,", 1 },
		{ "*", 1 },
		{ " * ", 1 },
		{ "\"a\", *", 0 },
		{ "\"a\"", 0 },
		{ "\"bb\"", 0 },
		{ "\"\"", 0 },
		{ "b", 0 },
		{ "\"b", 0 },
		{ "\"a,b\"", 0 },
		{ "\"a, \"b\"", 0 },
		{ "", 0 },
		{ "w/\"b\"", 0 },
	};
	char out[READ_ETAG_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
		read_etag(out, written[i].from_s3);
		assert_string_equal(out, written[i].etag);
	}
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		if (read_etag_listed(lists[i].list, "\"b\"") != lists[i].match)
			fail_msg("%s", lists[i].list);
		assert_int_equal(
		    read_etag_listed(lists[i].list, "W/\"b\""), lists[i].match);
	}
}

static void
dates(void **state)
{
	static const char *const same[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT" };

	(void)state;
	assert_true(read_not_modified_since(same[0], same[1]));
	assert_true(
	    read_not_modified_since("Sun, 06 Nov 1994 08:49:38 GMT", same[0]));
	assert_false(
	    read_not_modified_since("Sun, 06 Nov 1994 08:49:36 GMT", same[0]));
	assert_false(read_not_modified_since("soon", same[0]));
	assert_false(read_not_modified_since(same[0], ""));
}

static void
if_range(void **state)
{
	const char *date = "Sun, 06 Nov 1994 08:49:37 GMT";

	(void)state;
	assert_true(read_if_range("\"b\"", "\"b\"", date));
	assert_true(read_if_range(date, "\"b\"", date));
	assert_false(read_if_range("\"a\"", "\"b\"", date));
	assert_false(read_if_range("W/\"b\"", "\"b\"", date));
	assert_false(read_if_range("W/\"b\"", "W/\"b\"", date));
	assert_false(read_if_range("", "", ""));
	assert_false(
	    read_if_range("Sun, 06 Nov 1994 08:49:38 GMT", "\"b\"", date));
}

static void
accepts_zstd(void **state)
{
	static const char *const yes[] = { "zstd", "gzip, zstd",
		"deflate, gzip, br, zstd", "ZSTD;q=0.5", "zstd ; q=1.0",
		"zstd;q=0.001, gzip" };
	static const char *const no[] = { "", "gzip", "identity", "*", "zstdx",
		"xzstd", "zstd;q=0", "zstd; q=0.000, gzip", "gzip;q=zstd" };

	(void)state;
	assert_false(read_accepts_zstd(NULL));
	for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
		if (!read_accepts_zstd(yes[i]))
			fail_msg("%s", yes[i]);
	for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
		if (read_accepts_zstd(no[i]))
			fail_msg("%s", no[i]);
}

static void
ranges(void **state)
{
	static const struct {
		const char *text;
		int kind;
		uint64_t from, to;
	} good[] = {
		{ "bytes=0-0", RANGE_FROM, 0, 0 },
		{ "bytes=5-9", RANGE_FROM, 5, 9 },
		{ "bytes=5-", RANGE_FROM, 5, UINT64_MAX },
		{ "Bytes= 5-9 ", RANGE_FROM, 5, 9 },
		{ "bytes=007-08", RANGE_FROM, 7, 8 },
		{ "bytes=-500", RANGE_SUFFIX, 500, 0 },
		{ "bytes=-0", RANGE_SUFFIX, 0, 0 },
	};
	static const char *const none[] = { "", "bytes", "bytes=", "bytes=-",
		"bytes=5", "bytes=9-5", "bytes=0-1,3-4", "bytes=a-b",
		"bytes=1-2-3", "bytes=--1", "lines=0-5", "bytes=+1-2",
		"bytes=0x0-1", "bytes=99999999999999999999-" };

	(void)state;
	assert_int_equal(read_range(NULL).kind, RANGE_NONE);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct read_range r = read_range(good[i].text);

		assert_int_equal(r.kind, good[i].kind);
		assert_int_equal(r.from, good[i].from);
		if (r.kind == RANGE_FROM)
			assert_int_equal(r.to, good[i].to);
	}
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		if (read_range(none[i]).kind != RANGE_NONE)
			fail_msg("%s", none[i]);
}

static void
content_ranges(void **state)
{
	static const char *const bad[] = { "", "bytes", "bytes 5-9",
		"bytes 9-5/100", "bytes 5-100/100", "bytes 5-9/x",
		"bytes -/100", "lines 5-9/100", "bytes 5-9/", "bytes /100" };
	uint64_t from = 1, to = 2, size = 3;

	(void)state;
	assert_int_equal(
	    read_content_range("bytes 5-9/100", &from, &to, &size), 0);
	assert_int_equal(from, 5);
	assert_int_equal(to, 9);
	assert_int_equal(size, 100);
	assert_int_equal(
	    read_content_range("bytes */77", &from, &to, &size), 0);
	assert_int_equal(from, 5);
	assert_int_equal(size, 77);
	assert_int_equal(
	    read_content_range("bytes 0-9/*", &from, &to, &size), 0);
	assert_int_equal(size, UINT64_MAX);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (read_content_range(bad[i], &from, &to, &size) != -1)
			fail_msg("%s", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entity_tags),
		cmocka_unit_test(dates),
		cmocka_unit_test(if_range),
		cmocka_unit_test(accepts_zstd),
		cmocka_unit_test(ranges),
		cmocka_unit_test(content_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
