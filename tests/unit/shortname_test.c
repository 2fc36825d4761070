#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../libcommon/codec/shortname.h"

static void
test_fits(void **state)
{
	char out[80], other[80], name[81];

	(void)state;
	assert_string_equal(
	    shortname_fmt(out, sizeof out, "mtls", "CN=a"), "mtls:CN=a");
	memset(name, 'x', 80);
	name[74] = '\0'; /* with "mtls:" and the NUL, all of it */
	assert_int_equal(
	    strlen(shortname_fmt(out, sizeof out, "mtls", name)), 79);
	name[74] = 'x';
	name[75] = '\0';
	shortname_fmt(out, sizeof out, "mtls", name);
	assert_memory_equal(out, "mtls:sha256:", 12);
	assert_int_equal(strlen(out), 12 + 64);
	name[74] = 'y';
	assert_string_not_equal(
	    shortname_fmt(other, sizeof other, "mtls", name), out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests_name("shortname", tests, NULL, NULL);
}
