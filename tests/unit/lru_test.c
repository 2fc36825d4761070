#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/lru.h"

#define FOREVER INT64_MAX

/* What the cache has under key, NULL for nothing. */
static const char *
got(struct lru *c, const char *key)
{
	static struct buf b;

	buf_done(&b);
	buf_init(&b, 1000);
	return lru_get(c, key, &b) ? buf_str(&b) : NULL;
}

static void
put(struct lru *c, const char *key, const char *value, deadline_t until)
{
	lru_put(c, key, value, strlen(value), until);
}

static void
keeps_and_replaces(void **state)
{
	struct lru *c = lru_new(10000);
	struct lru_counts n;

	(void)state;
	assert_null(got(c, "a"));
	put(c, "a", "one", FOREVER);
	put(c, "b", "", FOREVER);
	assert_string_equal(got(c, "a"), "one");
	assert_string_equal(got(c, "b"), "");
	put(c, "a", "two", FOREVER);
	assert_string_equal(got(c, "a"), "two");
	lru_del(c, "a");
	lru_del(c, "a");
	assert_null(got(c, "a"));
	lru_counts(c, &n);
	assert_int_equal(n.entries, 1);
	assert_int_equal(n.bytes, 1 + LRU_OVERHEAD);
	assert_int_equal(n.hits, 3);
	assert_int_equal(n.misses, 2);
	lru_free(c);
	lru_free(NULL);
}

static void
forgets_what_is_past_its_time(void **state)
{
	struct lru *c = lru_new(10000);
	struct lru_counts n;

	(void)state;
	put(c, "a", "one", deadline_in(0));
	put(c, "b", "two", deadline_in(60000));
	assert_null(got(c, "a"));
	assert_string_equal(got(c, "b"), "two");
	lru_counts(c, &n);
	assert_int_equal(n.entries, 1);
	lru_free(c);
}

/* Ten entries have room; which go is a matter of who was asked for. */
static void
drops_the_one_asked_for_longest_ago(void **state)
{
	struct lru *c = lru_new(10 * (1 + 4 + LRU_OVERHEAD));
	char key[2] = "0";
	struct lru_counts n;

	(void)state;
	for (; key[0] <= '9'; key[0]++)
		put(c, key, "text", FOREVER);
	assert_non_null(got(c, "0"));
	put(c, "a", "text", FOREVER);
	assert_null(got(c, "1"));
	assert_non_null(got(c, "0"));
	put(c, "b", "longer than text", FOREVER);
	assert_null(got(c, "2"));
	assert_null(got(c, "3"));
	assert_non_null(got(c, "4"));
	lru_counts(c, &n);
	assert_true(n.bytes <= 10 * (1 + 4 + LRU_OVERHEAD));
	lru_free(c);
}

static void
keeps_nothing_that_is_too_large(void **state)
{
	struct lru *c = lru_new(8000), *none = lru_new(0);
	char value[1001];

	(void)state;
	memset(value, 'x', sizeof value);
	put(c, "a", "small", FOREVER);
	lru_put(c, "a", value, 1001, FOREVER);
	assert_null(got(c, "a"));
	lru_put(c, "a", value, 1000, FOREVER);
	assert_non_null(got(c, "a"));
	put(none, "a", "", FOREVER);
	assert_null(got(none, "a"));
	lru_free(c);
	lru_free(none);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_and_replaces),
		cmocka_unit_test(forgets_what_is_past_its_time),
		cmocka_unit_test(drops_the_one_asked_for_longest_ago),
		cmocka_unit_test(keeps_nothing_that_is_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
