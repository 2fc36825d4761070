#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../libcommon/core/glob.h"

static const struct {
	const char *pattern, *text;
	int match;
} table[] = {
	{ "", "", 1 },
	{ "", "a", 0 },
	{ "a", "", 0 },
	{ "abc", "abc", 1 },
	{ "abc", "abd", 0 },
	{ "abc", "ABC", 0 },
	{ "abc", "abcd", 0 },
	{ "*", "", 1 },
	{ "*", "any/thing", 1 },
	{ "**", "", 1 },
	{ "?", "", 0 },
	{ "?", "/", 1 },
	{ "a?c", "abc", 1 },
	{ "a?c", "ac", 0 },
	{ "a*", "a", 1 },
	{ "a*", "ba", 0 },
	{ "*a", "ba", 1 },
	{ "*a", "ab", 0 },
	{ "*ab", "aab", 1 },
	{ "a*b*c", "a-b-b-c", 1 },
	{ "a*b*c", "a-b-b-", 0 },
	{ "*a*?", "ba", 0 },
	{ "repo:org/*:ref:refs/heads/main", "repo:org/x/y:ref:refs/heads/main",
	    1 },
	{ "repo:org/*", "repo:organ/x", 0 },
	{ "[ab]", "a", 0 },
	{ "[ab]", "[ab]", 1 },
	{ "a\\*", "a*", 0 },
	/* A '*' in the text is a byte like any other. */
	{ "a*", "a*b", 1 },
	{ "a*b", "a*b", 1 },
	{ "a?b", "a*b", 1 },
	{ "*c", "a*b", 0 },
};

static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (glob_match(table[i].pattern, table[i].text) !=
		    table[i].match)
			fail_msg("%s on %s", table[i].pattern, table[i].text);
}

/* Would take for ever if every '*' were tried against every other one. */
static void
test_hard(void **state)
{
	char pattern[2001], text[4001];

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		memcpy(pattern + 2 * i, "*a", 2);
	pattern[1999] = 'b';
	pattern[2000] = '\0';
	memset(text, 'a', 4000);
	text[4000] = '\0';
	assert_false(glob_match(pattern, text));
	text[3999] = 'b';
	assert_true(glob_match(pattern, text));
}

static void
test_any(void **state)
{
	const char *const p[] = { "x", "a*" };

	(void)state;
	assert_true(glob_match_any(p, 2, "ab"));
	assert_false(glob_match_any(p, 1, "ab"));
	assert_false(glob_match_any(NULL, 0, ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_hard),
		cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
