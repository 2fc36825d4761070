#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../libcommon/core/utf8.h"

static void
single_characters(void **state)
{
	static const struct {
		const char *s;
		size_t len; /* of the first character */
	} one[] = { { "a", 1 }, { "\x7f", 1 }, { "\x80", 0 }, { "\xbf", 0 },
		{ "\xc0\x80", 0 }, { "\xc1\xbf", 0 }, { "\xc2\x80", 2 },
		{ "\xc2", 0 }, { "\xc2\xc0", 0 }, { "\xdf\xbf", 2 },
		{ "\xe0\x9f\xbf", 0 }, { "\xe0\xa0\x80", 3 },
		{ "\xed\x9f\xbf", 3 }, { "\xed\xa0\x80", 0 },
		{ "\xef\xbf\xbf", 3 }, { "\xe2\x82", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 }, { "\xf0\x90\x80\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 }, { "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 }, { "\xf0\x9f\x98", 0 },
		{ "\xff", 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof one / sizeof one[0]; i++) {
		size_t n = strlen(one[i].s);
		assert_int_equal(utf8_len(one[i].s, n), one[i].len);
		assert_int_equal(utf8_span(one[i].s, n), one[i].len);
	}
	assert_int_equal(utf8_len("", 0), 0);
	assert_int_equal(utf8_len("\0", 1), 1);
}

static void
spans_end_at_the_first_bad_byte(void **state)
{
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof text; i++) {
		memset(text, 'x', sizeof text);
		assert_int_equal(utf8_span(text, i), i);
		text[i] = '\0';
		assert_int_equal(utf8_span(text, sizeof text), i);
		text[i] = '\xff';
		assert_int_equal(utf8_span(text, sizeof text), i);
		text[i] = '\x01';
		assert_int_equal(utf8_span(text, sizeof text), sizeof text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_characters),
		cmocka_unit_test(spans_end_at_the_first_bad_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
