#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"

static void
test_append(void **state)
{
	struct buf b;
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&b, 1000);
	assert_string_equal(buf_str(&b), "");
	assert_int_equal(buf_append(&b, "ab\0c", 4, &e), 0);
	assert_int_equal(buf_puts(&b, "de", &e), 0);
	assert_int_equal(buf_putc(&b, 0xff, &e), 0);
	assert_int_equal(buf_append(&b, NULL, 0, &e), 0);
	assert_int_equal(b.len, 7);
	assert_memory_equal(b.data, "ab\0cde\xff", 7);
	assert_int_equal(buf_str(&b)[7], '\0');
	buf_reset(&b);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_printf(&b, &e, "%s=%d", "n", 42), 0);
	assert_string_equal(buf_str(&b), "n=42");
	buf_done(&b);
	assert_null(b.data);
	/* It may be used again. */
	assert_int_equal(buf_puts(&b, "x", &e), 0);
	assert_string_equal(buf_str(&b), "x");
	buf_done(&b);
}

static void
test_max_is_exact(void **state)
{
	struct buf b;
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&b, 5);
	assert_int_equal(buf_puts(&b, "abc", &e), 0);
	assert_int_equal(buf_puts(&b, "def", &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(buf_str(&b), "abc");
	assert_int_equal(buf_printf(&b, NULL, "%d", 123), -1);
	assert_null(buf_reserve(&b, 3, NULL));
	assert_null(buf_reserve(&b, SIZE_MAX, NULL));
	assert_string_equal(buf_str(&b), "abc");
	assert_int_equal(buf_printf(&b, &e, "%s", "de"), 0);
	assert_int_equal(buf_putc(&b, 'f', NULL), -1);
	assert_string_equal(buf_str(&b), "abcde");
	assert_true(b.cap <= 6);
	buf_done(&b);

	buf_init(&b, 0);
	assert_int_equal(buf_append(&b, "", 0, &e), 0);
	assert_int_equal(buf_putc(&b, 'x', &e), -1);
	buf_done(&b);
}

static void
test_no_limit_at_all(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, SIZE_MAX);
	assert_int_equal(buf_puts(&b, "abc", NULL), 0);
	assert_string_equal(buf_str(&b), "abc");
	assert_null(buf_reserve(&b, SIZE_MAX - 2, NULL));
	buf_done(&b);
}

static void
test_growth_is_amortised(void **state)
{
	struct buf b;
	size_t moves = 0;
	uint8_t *last = NULL;
	size_t cap = 0;

	(void)state;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 1 << 20; i++) {
		assert_int_equal(buf_putc(&b, i, NULL), 0);
		moves += b.cap != cap;
		cap = b.cap;
		last = b.data;
	}
	assert_non_null(last);
	assert_in_range(moves, 1, 20);
	for (int i = 0; i < 1 << 20; i++)
		if (b.data[i] != (uint8_t)i)
			fail_msg("byte %d", i);
	assert_int_equal(buf_putc(&b, 0, NULL), -1);
	buf_done(&b);
}

static void
test_reserve(void **state)
{
	struct buf b;
	void *to;

	(void)state;
	buf_init(&b, 10000);
	buf_puts(&b, "ab", NULL);
	assert_non_null(to = buf_reserve(&b, 5000, NULL));
	assert_ptr_equal(to, b.data + 2);
	assert_int_equal(b.len, 2); /* the caller adds */
	memset(to, 'c', 5000);
	b.len += 5000;
	assert_int_equal(buf_str(&b)[5001], 'c');
	assert_int_equal(buf_str(&b)[5002], '\0');
	buf_done(&b);
}

static void
test_steal(void **state)
{
	struct buf b;
	size_t len;
	char *p;

	(void)state;
	buf_init(&b, 10);
	buf_puts(&b, "abc", NULL);
	p = buf_steal(&b, &len);
	assert_int_equal(len, 3);
	assert_string_equal(p, "abc");
	free(p);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.max, 10);
	p = buf_steal(&b, NULL); /* of nothing, an empty text */
	assert_string_equal(p, "");
	free(p);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_max_is_exact),
		cmocka_unit_test(test_no_limit_at_all),
		cmocka_unit_test(test_growth_is_amortised),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_steal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
