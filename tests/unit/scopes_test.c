#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../libcommon/core/err.h"
#include "../../proto/scopes.h"

static void
test_implied(void **state)
{
	(void)state;
	for (unsigned s = 0; s <= SCOPE_ALL; s++) {
		unsigned got = scopes_implied(s);

		assert_int_equal(
		    got & ~(unsigned)SCOPE_READ, s & ~(unsigned)SCOPE_READ);
		assert_int_equal(!!(got & SCOPE_READ),
		    !!(s & (SCOPE_READ | SCOPE_WRITE | SCOPE_ADMIN)));
	}
}

static void
test_names(void **state)
{
	const char *names[SCOPES_MAX];
	struct err e = ERR_INIT;
	unsigned got = 99;

	(void)state;
	for (unsigned s = 1; s <= SCOPE_ALL; s++) {
		size_t n = scopes_names(s, names);

		assert_int_equal(scopes_parse_list(names, n, &got, &e), 0);
		assert_int_equal(got, s);
	}
	assert_int_equal(scopes_names(0, names), 0);
	assert_int_equal(scopes_parse_list(names, 0, &got, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	names[0] = "read";
	names[1] = "Write";
	assert_int_equal(scopes_parse_list(names, 2, &got, &e), -1);
	assert_string_equal(e.msg, "Write: no such scope");
	assert_int_equal(got, SCOPE_ALL);
}

/* The names that a Go client knows go first. */
static void
test_wanted(void **state)
{
	(void)state;
	assert_string_equal(scopes_wanted(SCOPE_GC | SCOPE_ADMIN), "admin");
	assert_string_equal(scopes_wanted(SCOPE_PIN | SCOPE_ADMIN), "admin");
	assert_string_equal(scopes_wanted(SCOPE_PIN | SCOPE_WRITE), "write");
	assert_string_equal(scopes_wanted(SCOPE_PIN | SCOPE_READ), "read");
	assert_string_equal(scopes_wanted(SCOPE_PIN), "pin");
	assert_string_equal(scopes_wanted(0), "none");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_implied),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_wanted),
	};

	return cmocka_run_group_tests_name("scopes", tests, NULL, NULL);
}
