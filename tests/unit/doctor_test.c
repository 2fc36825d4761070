#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../bin/niks3/doctor.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/nix/signkey.h"

static void
urls_of_one_cache(void **state)
{
	static const struct {
		const char *a, *b;
		int same;
	} cases[] = {
		{ "https://c.org", "https://c.org", 1 },
		{ "https://c.org/", "https://c.org", 1 },
		{ "https://c.org//", "https://c.org", 1 },
		{ "https://c.org/?priority=10", "https://c.org", 1 },
		{ "https://C.org/B", "HTTPS://c.ORG/B", 1 },
		{ "https://c.org/B", "https://c.org/b", 0 },
		{ "https://c.org", "http://c.org", 0 },
		{ "https://c.org", "https://c.org.evil", 0 },
		{ "https://c.org/b", "https://c.org", 0 },
		{ "https://c.org:1", "https://c.org:2", 0 },
		{ "s3://b?region=x", "s3://b", 1 },
		{ "", "https://c.org", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (trust_same_url(cases[i].a, cases[i].b) != cases[i].same ||
		    trust_same_url(cases[i].b, cases[i].a) != cases[i].same)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
	}
}

static void
passwords_are_left_out(void **state)
{
	char out[TRUST_URL_MAX];

	(void)state;
	assert_string_equal(
	    trust_plain_url(out, "https://u:p@h.org:1/b"), "https://h.org:1/b");
	assert_string_equal(
	    trust_plain_url(out, "https://u:p@q@h.org"), "https://h.org");
	assert_string_equal(
	    trust_plain_url(out, "https://h.org/a@b"), "https://h.org/a@b");
	assert_string_equal(trust_plain_url(out, "u:p@h"), "h");
	assert_string_equal(trust_plain_url(out, ""), "");
}

static void
keys_by_name_and_by_value(void **state)
{
	const char *items[] = { "a-1:AAAA", "b-1:BBBB", "b-1:CCCC" };
	const struct desc_strs trusted = { items, 3 }, none = { NULL, 0 };

	(void)state;
	assert_int_equal(trust_key("a-1:AAAA", &trusted), TRUST_SAME);
	assert_int_equal(trust_key("b-1:CCCC", &trusted), TRUST_SAME);
	assert_int_equal(trust_key("a-1:DDDD", &trusted), TRUST_OTHER);
	assert_int_equal(trust_key("a:AAAA", &trusted), TRUST_NONE);
	assert_int_equal(trust_key("a-12:AAAA", &trusted), TRUST_NONE);
	assert_int_equal(trust_key("a-1:AAAA", &none), TRUST_NONE);
}

/* A key made of one byte's repetition. */
static struct signkey *
key_of(const char *name, const char *seed)
{
	struct secret text = { 0 };
	struct signkey *k;
	char line[128];

	snprintf(line, sizeof line, "%s:%s", name, seed);
	assert_int_equal(secret_set(&text, line, strlen(line), NULL), 0);
	assert_int_equal(signkey_parse(&text, &k, NULL), 0);
	secret_done(&text);
	return k;
}

static void
who_signed(void **state)
{
	struct signkey *a =
	    key_of("a-1", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
	struct signkey *b =
	    key_of("b-1", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=");
	char sig[SIGNKEY_TEXT_MAX];
	const char *sigs[] = { "x-1:AAAA", sig };
	const char *both[] = { signkey_public(b), signkey_public(a) };
	const struct desc_strs keys = { both, 2 }, other = { both, 1 };

	(void)state;
	signkey_sign(a, "print", 5, sig);
	assert_string_equal(
	    trust_signer(&keys, sigs, 2, "print"), signkey_public(a));
	assert_null(trust_signer(&keys, sigs, 1, "print"));
	assert_null(trust_signer(&keys, sigs, 2, "prinT"));
	assert_null(trust_signer(&other, sigs, 2, "print"));
	signkey_free(a);
	signkey_free(b);
}

static int
parse(const char *text, struct arena *a, struct trust_nix *out)
{
	return trust_parse_nix(text, strlen(text), a, out, NULL);
}

static void
settings_of_nix(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct trust_nix nix;

	(void)state;
	/* As Nix 2.8 prints it, with what we do not look at. */
	assert_int_equal(
	    parse("{\"cores\":{\"value\":2},"
	          "\"require-sigs\":{\"defaultValue\":true,\"value\":false},"
	          "\"substituters\":{\"aliases\":[\"binary-caches\"],"
	          "\"value\":[\"https://a\",\"https:\\/\\/b\"]},"
	          "\"trusted-public-keys\":{\"value\":[\"k:AA\"]}}\n",
	        a, &nix),
	    0);
	assert_int_equal(nix.require_sigs, 0);
	assert_int_equal(nix.substituters.n, 2);
	assert_string_equal(nix.substituters.items[1], "https://b");
	assert_int_equal(nix.keys.n, 1);
	assert_string_equal(nix.keys.items[0], "k:AA");
	assert_int_equal(parse("{}", a, &nix), 0);
	assert_int_equal(nix.require_sigs, 1);
	assert_int_equal(nix.substituters.n, 0);
	arena_free(a);
}

static void
settings_that_are_none(void **state)
{
	static const char *const bad[] = { "", "[]", "{", "error: x",
		"{\"substituters\":[\"https://a\"]}",
		"{\"substituters\":{\"value\":\"https://a\"}}",
		"{\"substituters\":{\"value\":[1]}}", "{} {}" };
	struct arena *a = arena_new(1 << 20);
	struct trust_nix nix = { .require_sigs = 7 };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (parse(bad[i], a, &nix) != -1)
			fail_msg("%s", bad[i]);
	assert_int_equal(nix.require_sigs, 7); /* untouched */
	arena_free(a);
}

static void
clocks(void **state)
{
	(void)state;
	assert_int_equal(finding_of_skew(0), FINDING_OK);
	assert_int_equal(finding_of_skew(29), FINDING_OK);
	assert_int_equal(finding_of_skew(-29), FINDING_OK);
	assert_int_equal(finding_of_skew(30), FINDING_WARNING);
	assert_int_equal(finding_of_skew(-30), FINDING_WARNING);
	assert_int_equal(finding_of_skew(-299), FINDING_WARNING);
	assert_int_equal(finding_of_skew(300), FINDING_PROBLEM);
	assert_int_equal(finding_of_skew(INT64_MIN), FINDING_PROBLEM);
}

static void
words_of_states(void **state)
{
	(void)state;
	for (int i = 0; i < FINDING__MAX; i++)
		assert_int_equal(finding_by_name(finding_states[i]), i);
	assert_int_equal(finding_by_name("notice"), FINDING_WARNING);
	assert_int_equal(finding_by_name(""), FINDING_WARNING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_of_one_cache),
		cmocka_unit_test(passwords_are_left_out),
		cmocka_unit_test(keys_by_name_and_by_value),
		cmocka_unit_test(who_signed),
		cmocka_unit_test(settings_of_nix),
		cmocka_unit_test(settings_that_are_none),
		cmocka_unit_test(clocks),
		cmocka_unit_test(words_of_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
