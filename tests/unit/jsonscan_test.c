#include "../../libcommon/codec/jsonscan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/err.h"

static struct jsonscan
scan(const char *text)
{
	return (struct jsonscan){ text, text + strlen(text) };
}

static void
walk(void **state)
{
	struct jsonscan s = scan(" { \"a\" : [ 1 , -2.5e+3,true ] ,\n\"b\\\"\":"
	                         "null,\"c\":\"x\\\\\"}\t");
	struct jsonscan_raw key, v;
	size_t members = 0, items = 0;
	char text[8];

	(void)state;
	assert_false(jsonscan_take(&s, '['));
	assert_true(jsonscan_take(&s, '{'));
	assert_int_equal(jsonscan_member(&s, &key, &members, NULL), 1);
	assert_true(jsonscan_is(key, "a"));
	assert_false(jsonscan_is(key, ""));
	assert_false(jsonscan_is(key, "ab"));
	assert_false(jsonscan_null(&s));
	assert_true(jsonscan_take(&s, '['));
	for (int i = 0; i < 3; i++) {
		static const char *const words[] = { "1", "-2.5e+3", "true" };
		assert_int_equal(jsonscan_item(&s, &items, NULL), 1);
		assert_int_equal(jsonscan_word(&s, &v, NULL), 0);
		assert_true(jsonscan_is(v, words[i]));
	}
	assert_int_equal(jsonscan_item(&s, &items, NULL), 0);
	assert_int_equal(items, 3);
	assert_int_equal(jsonscan_member(&s, &key, &members, NULL), 1);
	assert_true(jsonscan_is(key, "b\\\""));
	assert_int_equal(jsonscan_text(key, text, sizeof text, NULL), 0);
	assert_string_equal(text, "b\"");
	assert_true(jsonscan_null(&s));
	assert_int_equal(jsonscan_end(&s, NULL), -1);
	assert_int_equal(jsonscan_member(&s, &key, &members, NULL), 1);
	assert_int_equal(jsonscan_string(&s, &v, NULL), 0);
	assert_int_equal(jsonscan_text(v, text, sizeof text, NULL), 0);
	assert_string_equal(text, "x\\");
	assert_int_equal(jsonscan_member(&s, &key, &members, NULL), 0);
	assert_int_equal(members, 3);
	assert_int_equal(jsonscan_end(&s, NULL), 0);
	assert_int_equal(jsonscan_peek(&s), '\0');
	assert_false(jsonscan_take(&s, '\0'));
}

static void
skipping(void **state)
{
	static const char *const good[] = { "1", "null", "\"\"", "\"]}\\\"\"",
		"[]", "{}", "[[],{},[{}]]", "{\"a\":{\"b\":[1,2]},\"c\":\"}\"}",
		" [ 1 , \"x\" ] " };
	static const char *const bad[] = { "", " ", "[", "{", "]", "}", ",",
		":", "\"", "\"\\", "\"\\\"", "\"x", "[}", "{]", "[{]}", "[\"]",
		"[1", "[1,", "{\"a\":", "%", "[%]", "N", "\x80" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct jsonscan s = scan(good[i]);
		assert_int_equal(jsonscan_skip(&s, NULL), 0);
		assert_int_equal(jsonscan_end(&s, NULL), 0);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		/* Of its own, so that reading beyond it shows. */
		char *text = malloc(strlen(bad[i]) + 1);
		struct jsonscan s = { text, text + strlen(bad[i]) };
		struct err e = ERR_INIT;

		memcpy(text, bad[i], strlen(bad[i]));
		assert_int_equal(jsonscan_skip(&s, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		free(text);
	}
}

static void
depth(void **state)
{
	char text[2 * JSON_DEPTH_MAX + 3];

	(void)state;
	for (int more = 0; more < 2; more++) {
		size_t n = JSON_DEPTH_MAX + more;
		struct jsonscan s;

		memset(text, '[', n);
		memset(text + n, ']', n);
		text[2 * n] = '\0';
		s = scan(text);
		assert_int_equal(jsonscan_skip(&s, NULL), -more);
	}
}

static void
misplaced(void **state)
{
	static const char *const bad_items[] = { "", "1", "\"a\"", ":", "}" };
	static const char *const bad_members[] = { "", "x", "1:1", "\"a\"",
		"\"a\",", "\"a", "]" };
	struct jsonscan_raw v;
	struct err e;

	(void)state;
	/* After the first one, a comma or the bracket must come. */
	for (size_t i = 0; i < sizeof bad_items / sizeof bad_items[0]; i++) {
		struct jsonscan s = scan(bad_items[i]);
		size_t n = 1;
		assert_int_equal(jsonscan_item(&s, &n, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(n, 1);
	}
	for (size_t i = 0; i < sizeof bad_members / sizeof bad_members[0];
	     i++) {
		struct jsonscan s = scan(bad_members[i]);
		size_t n = 0;
		assert_int_equal(jsonscan_member(&s, &v, &n, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void
texts(void **state)
{
	static const struct {
		const char *json, *text; /* NULL: refused */
	} cases[] = {
		{ "\"\"", "" },
		{ "\"seven77\"", "seven77" },
		{ "\"\\u00e4\\/\\n\"", "\xc3\xa4/\n" },
		{ "\"eight888\"", NULL },
		{ "\"\\u0000\"", NULL },
		{ "\"\\x\"", NULL },
		{ "\"\\ud800\"", NULL },
	};
	struct jsonscan_raw nul = { "a\0b", 3 };
	char out[8];
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct jsonscan s = scan(cases[i].json);
		struct jsonscan_raw v;

		strcpy(out, "before");
		assert_int_equal(jsonscan_string(&s, &v, NULL), 0);
		if (cases[i].text != NULL) {
			assert_int_equal(
			    jsonscan_text(v, out, sizeof out, NULL), 0);
			assert_string_equal(out, cases[i].text);
		} else {
			assert_int_equal(
			    jsonscan_text(v, out, sizeof out, &e), -1);
			assert_int_equal(e.kind, ERR_INVALID);
			assert_string_equal(out, "before");
		}
	}
	assert_int_equal(jsonscan_text(nul, out, sizeof out, &e), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walk),
		cmocka_unit_test(skipping),
		cmocka_unit_test(depth),
		cmocka_unit_test(misplaced),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests_name("jsonscan", tests, NULL, NULL);
}
