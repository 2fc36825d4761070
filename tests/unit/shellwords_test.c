#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../bin/niks3/shellwords.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"

/* The words with bars between them; NULL: an error. */
static const struct {
	const char *text, *words;
} table[] = {
	{ "a", "a" },
	{ "  a\tb\nc ", "a|b|c" },
	{ "a 'b c' d", "a|b c|d" },
	{ "a \"b c\"d", "a|b cd" },
	{ "'' \"\"", "|" },
	{ "a'b'\"c\"d", "abcd" },
	{ "a\\ b c", "a b|c" },
	{ "\"a\\\"b\" \"a\\\\b\" \"a\\$b\"", "a\"b|a\\b|a$b" },
	{ "\"a\\nb\"", "a\\nb" },
	{ "'a\\'", "a\\" },
	{ "$HOME `x` *; a&&b", "$HOME|`x`|*;|a&&b" },
	{ "'it'\\''s'", "it's" },
	{ "", NULL },
	{ "  ", NULL },
	{ "a 'b", NULL },
	{ "a \"b", NULL },
	{ "a\\", NULL },
	{ "\"a\\", NULL },
};

static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct arena *a = arena_new(4096);
		struct err e = ERR_INIT;
		char got[256] = "", **w = NULL;
		int rc = shellwords_split(table[i].text, a, &w, &e);

		for (size_t j = 0; rc == 0 && w[j] != NULL; j++) {
			if (j > 0)
				strcat(got, "|");
			strcat(got, w[j]);
		}
		if ((rc == 0) != (table[i].words != NULL))
			fail_msg("<%s>: %d", table[i].text, rc);
		if (rc == 0)
			assert_string_equal(got, table[i].words);
		else
			assert_int_equal(e.kind, ERR_INVALID);
		arena_free(a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests_name("shellwords", tests, NULL, NULL);
}
