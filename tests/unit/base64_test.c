#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../libcommon/codec/base64.h"
#include "../../libcommon/core/err.h"

static const struct {
	const char *plain, *text;
} vectors[] = { /* RFC 4648, section 10 */
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" }
};

static void
published_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		const char *plain = vectors[i].plain, *text = vectors[i].text;
		char out[32] = "";
		size_t n = 99, bare = strcspn(text, "=");
		base64_fmt(out, plain, strlen(plain));
		assert_string_equal(out, text);
		assert_int_equal(strlen(out), BASE64_LEN(strlen(plain)));
		assert_int_equal(base64_parse(text, strlen(text), out,
		                     strlen(plain), &n, NULL),
		    0);
		assert_int_equal(n, strlen(plain));
		assert_memory_equal(out, plain, n);
		/* Without padding. */
		assert_int_equal(
		    base64_parse(text, bare, out, strlen(plain), &n, NULL), 0);
		assert_int_equal(n, strlen(plain));
	}
}

static void
every_length_comes_back(void **state)
{
	uint8_t in[256], out[256];
	char text[BASE64_LEN(256) + 1];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof in; i++)
		in[i] = i * 167 + 13;
	for (size_t len = 0; len <= sizeof in; len++) {
		base64_fmt(text, in, len);
		assert_int_equal(
		    base64_parse(text, strlen(text), out, len, &n, NULL), 0);
		assert_int_equal(n, len);
		assert_memory_equal(in, out, len);
	}
}

static void
bad_base64_is_refused(void **state)
{
	static const char *const bad[] = { "Z",
		"Zg=", "Zg===", "Z===", "====", "=", "Zh==", "Zm9=", "Zm9vY",
		"Zm 9", "Zm9v\n", "Zm-_", "Zg==Zg==", "Z=g=", "\xffm9v" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char out[16] = "untouched";
		size_t n = 77;
		struct err e = ERR_INIT;
		assert_int_equal(base64_parse(bad[i], strlen(bad[i]), out,
		                     sizeof out, &n, &e),
		    -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_string_equal(out, "untouched");
		assert_int_equal(n, 77);
	}
}

static void
base64_keeps_to_its_room(void **state)
{
	char out[4] = "abc";
	size_t n = 7;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(base64_parse("Zm9vYg==", 8, out, 3, &n, &e), -1);
	assert_non_null(strstr(e.msg, "limit of 3 bytes"));
	assert_string_equal(out, "abc");
	assert_int_equal(base64_parse("Zm9v", 4, out, 3, &n, &e), 0);
}

static void
hex(void **state)
{
	uint8_t in[] = { 0x00, 0x9a, 0xff }, out[3];
	char text[7];
	struct err e = ERR_INIT;

	(void)state;
	hex_fmt(text, in, sizeof in);
	assert_string_equal(text, "009aff");
	assert_int_equal(hex_parse("009aff", 6, out, 3, NULL), 0);
	assert_memory_equal(in, out, 3);
	assert_int_equal(hex_parse("009AfF", 6, out, 3, NULL), 0);
	assert_memory_equal(in, out, 3);

	memset(out, 0x55, sizeof out);
	assert_int_equal(hex_parse("009af", 5, out, 3, &e), -1);
	assert_int_equal(hex_parse("009aff00", 8, out, 3, &e), -1);
	assert_int_equal(hex_parse("", 0, out, 3, &e), -1);
	assert_int_equal(hex_parse("009ag0", 6, out, 3, &e), -1);
	assert_non_null(strstr(e.msg, "wrong digit at 4"));
	assert_int_equal(hex_parse("00:a0@", 6, out, 3, &e), -1);
	assert_int_equal(out[0], 0x55);
	assert_int_equal(hex_parse("", 0, out, 0, &e), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(every_length_comes_back),
		cmocka_unit_test(bad_base64_is_refused),
		cmocka_unit_test(base64_keeps_to_its_room),
		cmocka_unit_test(hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
