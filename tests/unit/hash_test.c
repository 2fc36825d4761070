#include "../../libcommon/nix/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "../../libcommon/core/err.h"

/* One hash in every form that `nix hash to-*` prints. */
#define N32 "1synhymnc06jlb43daxmmm517xfkqmryrxiyx76n372bb92lmyqq"
#define B16 "18fb4a455a4b9c61cde93ef6ec73c5d3f5134aadb5ab36c8a2d20066ab87d6eb"
#define B64 "GPtKRVpLnGHN6T727HPF0/UTSq21qzbIotIAZquH1us="

static void
every_form(void **state)
{
	static const char *const forms[] = { "sha256:" N32, "sha256:" B16,
		"sha256:" B64, "sha256-" B64,
		"sha256:18FB4A455A4B9C61CDE93EF6EC73C5D3F5134AADB5AB36C8A2D200"
		"66AB87D6EB" };
	char text[HASH_TEXT_MAX], key[53];
	struct hash first, h;

	(void)state;
	assert_int_equal(
	    hash_parse(forms[0], strlen(forms[0]), &first, NULL), 0);
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		assert_int_equal(
		    hash_parse(forms[i], strlen(forms[i]), &h, NULL), 0);
		assert_true(hash_equal(&h, &first));
	}
	assert_string_equal(hash_fmt(text, &first), "sha256:" N32);
	assert_string_equal(hash_fmt_nix32(key, &first), N32);
	h.sha256[31] ^= 1;
	assert_false(hash_equal(&h, &first));
}

static void
refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"sha256",
		"sha256:",
		"sha256-",
		"sha256=" N32,
		"SHA256:" N32,
		"sha512:" N32,
		"sha1:" N32,
		"md5:" N32,
		N32,
		" sha256:" N32,
		"sha256:" N32 " ",
		"sha256:" N32 "\n",
		"sha256:0" N32,
		"sha256:2synhymnc06jlb43daxmmm517xfkqmryrxiyx76n372bb92lmyqq",
		"sha256:1synhymnc06jlb43daxmmm517xfkqmryrxiyx76n372bb92lmyqe",
		"sha256-" N32,
		"sha256-" B16,
		"sha256:" B16 "00",
		"sha256:g8fb4a455a4b9c61cde93ef6ec73c5d3f5134aadb5ab36c8a2d200"
		"66ab87d6eb",
		"sha256-GPtKRVpLnGHN6T727HPF0/UTSq21qzbIotIAZquH1us",
		"sha256-GPtKRVpLnGHN6T727HPF0/UTSq21qzbIotIAZquH1ut=",
		"sha256-GPtKRVpLnGHN6T727HPF0/UTSq21qzbIotIAZquH1us==",
		"sha256-GPtKRVpLnGHN6T727HPF0/UTSq21qzbIotIAZquH1u==",
		"sha256-GPtKRVpLnGHN6T727HPF0_UTSq21qzbIotIAZquH1us=",
		"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct hash h = { { 0x5a } };
		struct err e = ERR_INIT;

		assert_int_equal(
		    hash_parse(bad[i], strlen(bad[i]), &h, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(h.sha256[0], 0x5a);
	}
	/* A NUL inside counts as a character. */
	assert_int_equal(
	    hash_parse("sha256:" N32 "\0", 60, &(struct hash){ 0 }, NULL), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
