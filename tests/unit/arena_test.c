#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"

static int
is_zero(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return 0;
	return 1;
}

static void
test_zeroed_and_aligned(void **state)
{
	struct arena *a = arena_new(1 << 20);

	(void)state;
	for (size_t n = 0; n < 300; n++) {
		unsigned char *p = arena_alloc(a, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		assert_true(is_zero(p, n));
		memset(p, 0xaa, n); /* nobody else's bytes */
	}
	arena_free(a);
	arena_free(NULL);
}

static void
test_reset_zeroes_what_it_reuses(void **state)
{
	struct arena *a = arena_new(1 << 20);
	void *kept;

	(void)state;
	for (int i = 0; i < 50; i++)
		memset(arena_alloc(a, 1000), 0xaa, 1000);
	assert_true(arena_used(a) >= 50000);
	arena_reset(a);
	assert_int_equal(arena_used(a), 0);
	kept = arena_alloc(a, 1);
	for (int i = 0; i < 50; i++)
		assert_true(is_zero(arena_alloc(a, 1000), 1000));
	arena_reset(a);
	/* In the steady state no memory is taken from the system. */
	arena_reset(a);
	arena_reset(a);
	assert_non_null(kept);
	arena_free(a);

	a = arena_new(100); /* nothing was ever given out */
	arena_reset(a);
	assert_non_null(arena_alloc(a, 1));
	arena_free(a);
}

static void
test_limit(void **state)
{
	struct arena *a = arena_new(10000);
	struct err e = ERR_INIT;

	(void)state;
	assert_null(arena_alloc(a, 10001));
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX - 15));
	assert_null(arena_array(a, SIZE_MAX / 2, 3));
	assert_null(arena_strn(a, "", SIZE_MAX));
	assert_non_null(arena_alloc(a, 9984));
	assert_non_null(arena_alloc(a, 16));
	assert_null(arena_alloc(a, 1));
	assert_null(arena_str(a, ""));
	assert_null(arena_printf(a, "%d", 1));
	assert_null(arena_dup(a, "x", 1));
	assert_int_equal(arena_full(a, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_non_null(strstr(e.msg, "10000"));
	arena_reset(a); /* the limit is for what is in use */
	assert_non_null(arena_alloc(a, 10000));
	arena_free(a);

	a = arena_new(SIZE_MAX); /* sums do not wrap round either */
	assert_non_null(arena_alloc(a, 1));
	assert_null(arena_alloc(a, SIZE_MAX - 16));
	arena_free(a);
}

static void
test_texts(void **state)
{
	struct arena *a = arena_new(1 << 20);
	char bytes[3000], *s;
	uint32_t *n;

	(void)state;
	assert_string_equal(arena_str(a, "abc"), "abc");
	assert_string_equal(arena_strn(a, "abcdef", 2), "ab");
	assert_string_equal(arena_strn(a, "", 0), "");
	assert_string_equal(arena_printf(a, "%s-%05d", "x", 7), "x-00007");
	memset(bytes, 'y', sizeof bytes);
	s = arena_printf(a, "%.*s", (int)sizeof bytes, bytes);
	assert_int_equal(strlen(s), sizeof bytes);
	assert_memory_equal(arena_dup(a, "a\0b", 3), "a\0b", 3);
	assert_non_null(arena_dup(a, NULL, 0));
	n = arena_array(a, 1000, sizeof *n);
	assert_true(is_zero((unsigned char *)n, 1000 * sizeof *n));
	arena_free(a);
}

/* A block of its own for what is larger than a block, and on it goes. */
static void
test_large_and_small(void **state)
{
	struct arena *a = arena_new((size_t)64 << 20);
	char *small[100], text[32];

	(void)state;
	for (int i = 0; i < 100; i++) {
		small[i] = arena_printf(a, "text %d", i);
		memset(
		    arena_alloc(a, (size_t)i * 1000), 0xff, (size_t)i * 1000);
	}
	memset(arena_alloc(a, (size_t)8 << 20), 0xff, (size_t)8 << 20);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof text, "text %d", i);
		assert_string_equal(small[i], text);
	}
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed_and_aligned),
		cmocka_unit_test(test_reset_zeroes_what_it_reuses),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_large_and_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
