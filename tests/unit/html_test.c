#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../bin/niks3-server/basic.h"
#include "../../bin/niks3-server/html.h"
#include "../../bin/niks3-server/server.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"

static void
text_is_never_markup(void **state)
{
	struct buf b;
	struct err e = ERR_INIT;
	struct html h = { .out = &b, .e = &e };

	(void)state;
	buf_init(&b, 1000);
	html_add(&h, "<p title=\"%s\">%s</p>", "\"><script>'", "a & <b>☃");
	assert_string_equal(buf_str(&b),
	    "<p title=\"&quot;&gt;&lt;script&gt;&#39;\">a &amp; "
	    "&lt;b&gt;☃</p>");
	buf_reset(&b);
	html_add(&h, "100%% %d %u %jd %zu %.1f %s|", -5, 7u, (intmax_t)-1,
	    (size_t)9, 2.25, "");
	assert_string_equal(buf_str(&b), "100% -5 7 -1 9 2.2 |");
	assert_int_equal(html_end(&h), 0);
	buf_done(&b);
}

static void
too_much_is_an_error(void **state)
{
	struct buf b;
	struct err e = ERR_INIT;
	struct html h = { .out = &b, .e = &e };

	(void)state;
	buf_init(&b, 10);
	html_add(&h, "12345");
	html_add(&h, "%s", "<<<");
	html_add(&h, "6");
	assert_int_equal(html_end(&h), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(buf_str(&b), "12345&lt;");
	buf_done(&b);
}

static void
passwords(void **state)
{
	static const struct {
		const char *header, *password;
	} cases[] = {
		{ "Basic YTpi", "b" },                 /* a:b */
		{ "basic  OnNlY3JldDpt", "secret:m" }, /* :secret:m */
		{ "Basic YTo=", "" },                  /* a: */
		{ "Basic YWI=", NULL },                /* ab */
		{ "Basic YToAYg==", NULL },            /* a:NUL b */
		{ "Basic ?", NULL },
		{ "Basic", NULL },
		{ "Bearer YTpi", NULL },
		{ NULL, NULL },
	};
	char out[BASIC_PASSWORD_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (cases[i].password == NULL)
			assert_int_equal(
			    basic_password(cases[i].header, out), -1);
		else {
			assert_int_equal(
			    basic_password(cases[i].header, out), 0);
			assert_string_equal(out, cases[i].password);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_never_markup),
		cmocka_unit_test(too_much_is_an_error),
		cmocka_unit_test(passwords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
