#include "../../libcommon/nix/nix32.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "../../libcommon/core/err.h"

/* What `nix-hash --type sha256 --to-base32` prints for the SHA-256 of "". */
static const uint8_t empty[32] = { 0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c,
	0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
	0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8,
	0x55 };
#define EMPTY_TEXT "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"

static void
known_value(void **state)
{
	char text[NIX32_LEN(32) + 1];
	uint8_t bytes[32];

	(void)state;
	nix32_fmt(text, empty, sizeof empty);
	assert_string_equal(text, EMPTY_TEXT);
	assert_int_equal(nix32_parse(text, 52, bytes, 32, NULL), 0);
	assert_memory_equal(bytes, empty, sizeof empty);
}

static void
every_length_comes_back(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 64; n++) {
		uint8_t in[64], out[64];
		char text[NIX32_LEN(64) + 1];

		for (unsigned fill = 0; fill < 256; fill += 51) {
			for (size_t i = 0; i < n; i++)
				in[i] = fill + 7 * i * (fill % 2);
			nix32_fmt(text, in, n);
			assert_int_equal(strlen(text), NIX32_LEN(n));
			memset(out, 0x5a, sizeof out);
			assert_int_equal(
			    nix32_parse(text, strlen(text), out, n, NULL), 0);
			assert_memory_equal(in, out, n);
			for (size_t i = n; i < sizeof out; i++)
				assert_int_equal(out[i], 0x5a);
		}
	}
}

static void
refuses(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} bad[] = {
		{ "", 1 },
		{ "0", 1 },
		{ "000", 1 },
		{ "80", 1 }, /* bit 8 of a byte */
		{ "z0", 1 },
		{ "0E", 1 },
		{ "0e", 1 },
		{ "0o", 1 },
		{ "0t", 1 },
		{ "0u", 1 },
		{ "0 ", 1 },
		{ "0\n", 1 },
		{ "0\xe9", 1 },
		{ "2" EMPTY_TEXT, 32 },
		{ "2mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73", 32 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint8_t out[32] = { 0x5a };
		struct err e = ERR_INIT;

		assert_int_equal(nix32_parse(bad[i].text, strlen(bad[i].text),
		                     out, bad[i].n, &e),
		    -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(out[0], 0x5a);
	}
}

static void
alphabet(void **state)
{
	const char *good = "0123456789abcdfghijklmnpqrsvwxyz";

	(void)state;
	for (int c = 0; c < 256; c++) {
		char s = c;
		assert_int_equal(
		    nix32_check(&s, 1), c != 0 && strchr(good, c) != NULL);
	}
	assert_int_equal(nix32_check("", 0), 1);
	assert_int_equal(nix32_check("abc\0z", 5), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_value),
		cmocka_unit_test(every_length_comes_back),
		cmocka_unit_test(refuses),
		cmocka_unit_test(alphabet),
	};

	return cmocka_run_group_tests_name("nix32", tests, NULL, NULL);
}
