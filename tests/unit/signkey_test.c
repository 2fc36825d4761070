#include "../../libcommon/nix/signkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/nix/hash.h"
#include "../../libcommon/nix/narinfo.h"

/* A published test key, and what `nix store sign` of Nix 2.8 makes of a path
 * with it. */
#define SEED_AND "0knWkx/F+6IJmI4dkvNs14SCaewg9ZWSAQUNg9juRx"
#define SECRET   SEED_AND "h/8x+rzUJx9SWdyGOVl21IbJlQemUKG40qW2TTyrE++w=="
#define SEED     SEED_AND "g="
#define NAME     "niks3-test-1"
#define PUBLIC   NAME ":f/Mfq81CcfUlnchjlZdtSGyZUHplChuNKltk08qxPvs="

#define BASE     "rd84mywg0yw4nar63p7zlk667h3fdc47-self"
#define NAR_HASH "sha256:1mdrm3k1sh4b8nd08ajbkjd6ax0jn0bsdalqrb4cg9lm4j81qip2"
#define SIG                                                                 \
	"cIgNoQHWTLzfjrDhNNZWZB3G1KsJMyrFzk0vXtA/IANLTeEiC958WJZGeUZaGBd0m" \
	"5bJeVdr7ujLjZGmSlj8DQ=="

static struct signkey *
key_of(const char *text, struct err *e)
{
	struct secret s = { 0 };
	struct signkey *k = NULL;
	int rc;

	assert_int_equal(secret_set(&s, text, strlen(text), NULL), 0);
	rc = signkey_parse(&s, &k, e);
	secret_done(&s);
	assert_int_equal(rc, k != NULL ? 0 : -1);
	return k;
}

static void
signs_as_nix_does(void **state)
{
	static const char *const forms[] = { NAME ":" SECRET, NAME ":" SEED,
		NAME ":" SEED_AND "g", " " NAME ":\t" SECRET "\r\n" };
	const char *refs[] = { "pzqw2ibb0y91w561ncwga8iv6q8pihkf-dep-1.0+b?=_x",
		BASE };
	struct hash h;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(hash_parse(NAR_HASH, strlen(NAR_HASH), &h, NULL), 0);
	assert_int_equal(narinfo_fingerprint("/srv/nix/store", BASE, &h, 232,
	                     refs, 2, &b, NULL),
	    0);
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct signkey *k = key_of(forms[i], NULL);
		char sig[SIGNKEY_TEXT_MAX];

		assert_non_null(k);
		assert_string_equal(signkey_name(k), NAME);
		assert_string_equal(signkey_public(k), PUBLIC);
		signkey_sign(k, b.data, b.len, sig);
		assert_string_equal(sig, NAME ":" SIG);
		assert_int_equal(
		    signkey_verify(PUBLIC, sig, b.data, b.len, NULL), 0);
		signkey_free(k);
	}
	buf_done(&b);
	signkey_free(NULL);
}

static void
bad_keys(void **state)
{
	static const char *const bad[] = {
		" ",
		"\n",
		":",
		NAME,
		NAME ":",
		NAME ": ",
		":" SECRET,
		SECRET,
		NAME ":" SECRET SECRET,
		NAME ":" SECRET "=",
		NAME ":" SECRET "\nother:" SECRET,
		NAME ":x" SECRET,
		NAME ":AAAA",
		NAME ":not base64",
		"na me:" SECRET,
		"na\xc3\xa4me:" SECRET,
		"na\nme:" SECRET,
		/* a public half of somebody else: last bit changed */
		NAME ":" SEED_AND "h/8x+rzUJx9SWdyGOVl21IbJlQemUKG40qW2TTyrE++"
		     "g==",
		/* only a public key and a half */
		NAME ":f/Mfq81CcfUlnchjlZdtSGyZUHplChuNKltk08qxPvsf/Mfq81CcfUl"
		     "nch",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = ERR_INIT;

		if (key_of(bad[i], &e) != NULL)
			fail_msg("accepted %zu", i);
		assert_int_equal(e.kind, ERR_INVALID);
		/* No piece of the text, wherever it stood. */
		assert_null(strstr(e.msg, "0knWk"));
		assert_null(strstr(e.msg, "8x+rz"));
		assert_null(strstr(e.msg, "not base64"));
	}
	assert_int_equal(signkey_parse(&(struct secret){ 0 },
	                     &(struct signkey *){ NULL }, NULL),
	    -1);
}

static void
longest_name(void **state)
{
	char text[SIGNKEY_NAME_MAX + 256], sig[SIGNKEY_TEXT_MAX];
	struct signkey *k;

	(void)state;
	memset(text, 'n', SIGNKEY_NAME_MAX + 1);
	strcpy(text + SIGNKEY_NAME_MAX, ":" SECRET);
	k = key_of(text, NULL);
	assert_non_null(k);
	signkey_sign(k, "x", 1, sig);
	assert_int_equal(strlen(sig), SIGNKEY_TEXT_MAX - 1);
	assert_int_equal(
	    signkey_verify(signkey_public(k), sig, "x", 1, NULL), 0);
	signkey_free(k);
	strcpy(text + SIGNKEY_NAME_MAX, "n:" SECRET);
	assert_null(key_of(text, NULL));
}

static void
verifying(void **state)
{
	static const struct {
		const char *pub, *sig, *bytes;
		enum err_kind kind;
	} cases[] = {
		{ PUBLIC, NULL, "other bytes", ERR_CORRUPT },
		{ PUBLIC, NULL, "", ERR_CORRUPT },
		{ PUBLIC, NAME ":" SIG, "bytes", ERR_CORRUPT },
		{ "niks3-test-2:f/Mfq81CcfUlnchjlZdtSGyZUHplChuNKltk08qxPvs=",
		    NULL, "bytes", ERR_CORRUPT },
		{ "niks3-test:f/Mfq81CcfUlnchjlZdtSGyZUHplChuNKltk08qxPvs=",
		    NULL, "bytes", ERR_CORRUPT },
		{ NAME ":g/Mfq81CcfUlnchjlZdtSGyZUHplChuNKltk08qxPvs=", NULL,
		    "bytes", ERR_CORRUPT },
		{ NAME ":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", NULL,
		    "bytes", ERR_CORRUPT },
		{ "", NULL, "bytes", ERR_INVALID },
		{ NAME, NULL, "bytes", ERR_INVALID },
		{ NAME ":" SIG, NULL, "bytes", ERR_INVALID },
		{ PUBLIC, PUBLIC, "bytes", ERR_INVALID },
		{ PUBLIC, "", "bytes", ERR_INVALID },
	};
	struct signkey *k = key_of(NAME ":" SECRET, NULL);
	char sig[SIGNKEY_TEXT_MAX];

	(void)state;
	signkey_sign(k, "bytes", 5, sig);
	assert_int_equal(signkey_verify(PUBLIC, sig, "bytes", 5, NULL), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err e = ERR_INIT;

		assert_int_equal(
		    signkey_verify(cases[i].pub,
		        cases[i].sig ? cases[i].sig : sig, cases[i].bytes,
		        strlen(cases[i].bytes), &e),
		    -1);
		assert_int_equal(e.kind, cases[i].kind);
	}
	/* Every character counts. */
	for (size_t i = 0; i < strlen(sig); i++) {
		char c = sig[i];
		sig[i] = c == 'A' ? 'B' : 'A';
		assert_int_equal(
		    signkey_verify(PUBLIC, sig, "bytes", 5, NULL), -1);
		sig[i] = c;
	}
	signkey_free(k);
}

static void
shapes_of_signatures(void **state)
{
	static const char *const bad[] = { "", ":", NAME, NAME ":", ":" SIG,
		PUBLIC, NAME ":" SIG "=", NAME ":" SIG " ", NAME ": " SIG,
		NAME ":" SIG "\n", "a b:" SIG, "a\n:" SIG, "\xc3\xa4:" SIG,
		NAME ":" SIG SIG };
	struct err e;

	(void)state;
	assert_int_equal(signkey_check_sig(NAME ":" SIG, NULL), 0);
	assert_int_equal(signkey_check_sig("a/b?c:" SIG, NULL), 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(signkey_check_sig(bad[i], &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_as_nix_does),
		cmocka_unit_test(bad_keys),
		cmocka_unit_test(longest_name),
		cmocka_unit_test(verifying),
		cmocka_unit_test(shapes_of_signatures),
	};

	return cmocka_run_group_tests_name("signkey", tests, NULL, NULL);
}
