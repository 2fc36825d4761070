#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/oidc/claims.h"
#include "../../libcommon/oidc/jwt.h"
#include "jwt_make.h"

#define CLAIMS "{\"sub\":\"me\"}"

static EVP_PKEY *rsa, *rsa2, *p256, *p384, *p521;

static int
setup(void **state)
{
	(void)state;
	rsa = jwt_key("RSA", 2048);
	rsa2 = jwt_key("RSA", 2048);
	p256 = jwt_key("P-256", 0);
	p384 = jwt_key("P-384", 0);
	p521 = jwt_key("P-521", 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(rsa2);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(p521);
	return 0;
}

static struct jwt_keys *
keys_of(char *jwks)
{
	struct jwt_keys *k = NULL;
	struct err e = ERR_INIT;

	if (jwt_keys_parse(jwks, strlen(jwks), &k, &e) != 0)
		fail_msg("%s", e.msg);
	free(jwks);
	return k;
}

/* Parses and verifies; both are freed. Returns the kind of error. */
static enum err_kind
try_algs(char *token, struct jwt_keys *k, unsigned algs)
{
	struct err e = ERR_INIT;
	struct jwt *t = NULL;

	if (jwt_parse(token, strlen(token), &t, &e) == 0) {
		jwt_verify(t, k, algs, &e);
		jwt_free(t);
	}
	/* Not a word of it. */
	for (char *p = token; strlen(p) > 12; p += 6) {
		char word[13] = "";

		memcpy(word, p, 12);
		assert_null(strstr(e.msg, word));
	}
	free(token);
	return e.kind;
}

static enum err_kind
try(char *token, struct jwt_keys *k)
{
	return try_algs(token, k, JWT_ALGS_ALL);
}

static void
test_algorithms(void **state)
{
	static const char *const rsas[] = { "RS256", "RS384", "RS512", "PS256",
		"PS384", "PS512" };
	struct jwt_keys *k =
	    keys_of(jwt_jwks(jwt_jwk(rsa, "r", ""), jwt_jwk(p256, "2", ""),
	        jwt_jwk(p384, "3", ""), jwt_jwk(p521, "5", ""), NULL));

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		unsigned bit = jwt_alg(rsas[i]);

		assert_int_equal(
		    try(jwt_make(rsa, rsas[i], "r", NULL, CLAIMS), k),
		    ERR_NONE);
		assert_int_equal(
		    try_algs(jwt_make(rsa, rsas[i], "r", NULL, CLAIMS), k,
		        JWT_ALGS_ALL & ~bit),
		    ERR_UNAUTHORIZED);
	}
	assert_int_equal(
	    try(jwt_make(p256, "ES256", "2", NULL, CLAIMS), k), ERR_NONE);
	assert_int_equal(
	    try(jwt_make(p384, "ES384", "3", NULL, CLAIMS), k), ERR_NONE);
	assert_int_equal(
	    try(jwt_make(p521, "ES512", "5", NULL, CLAIMS), k), ERR_NONE);
	/* Without a kid, any key that fits is tried. */
	assert_int_equal(
	    try(jwt_make(p384, "ES384", NULL, NULL, CLAIMS), k), ERR_NONE);
	/* ES256 is of the curve P-256 alone. */
	assert_int_equal(
	    try(jwt_make(p384, "ES256", "3", NULL, CLAIMS), k), ERR_NOT_FOUND);
	jwt_keys_free(k);
	assert_int_equal(jwt_alg("none"), 0);
	assert_int_equal(jwt_alg("HS256"), 0);
	assert_int_equal(jwt_alg(JWT_ALG_DEFAULT), 1);
}

static void
test_forged(void **state)
{
	char *jwks = jwt_jwks(jwt_jwk(rsa, "one", ""), NULL);
	struct jwt_keys *k = keys_of(strdup(jwks));
	char *t, *u;

	(void)state;
	/* By another key, under that name and under its own. */
	assert_int_equal(try(jwt_make(rsa2, "RS256", "one", NULL, CLAIMS), k),
	    ERR_UNAUTHORIZED);
	assert_int_equal(try(jwt_make(rsa2, "RS256", "two", NULL, CLAIMS), k),
	    ERR_NOT_FOUND);
	assert_int_equal(
	    try(jwt_make(rsa2, "RS256", NULL, NULL, CLAIMS), k), ERR_NOT_FOUND);
	/* The public key as a shared secret; no signature at all. */
	assert_int_equal(
	    try(jwt_make_hs256(jwks, strlen(jwks), CLAIMS), k), ERR_INVALID);
	assert_int_equal(try(jwt_make_none(CLAIMS), k), ERR_INVALID);
	/* One bit of the claims, one of the signature. */
	t = jwt_make(rsa, "RS256", "one", NULL, "{\"sub\":\"her\"}");
	u = jwt_make(rsa, "RS256", "one", NULL, "{\"sub\":\"him\"}");
	memcpy(
	    strchr(t, '.'), strchr(u, '.'), strrchr(t, '.') - strchr(t, '.'));
	assert_int_equal(try(t, k), ERR_UNAUTHORIZED);
	u[strlen(u) - 9] ^= u[strlen(u) - 9] == 'A' ? 3 : 1;
	assert_int_not_equal(try(u, k), ERR_NONE);
	free(jwks);
	jwt_keys_free(k);
}

static void
test_headers(void **state)
{
	struct jwt_keys *k = keys_of(jwt_jwks(jwt_jwk(rsa, "one", ""), NULL));
	static const char *const bad[] = {
		"{\"alg\":\"RS256\",\"kid\":\"one\",\"crit\":[\"b64\"],"
		"\"b64\":false}",
		"{\"alg\":\"RS256\",\"crit\":[]}",
		"{\"kid\":\"one\"}",
		"{\"alg\":7}",
		"{\"alg\":\"rs256\"}",
		"[]",
		"x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(
		    try(jwt_make(rsa, "RS256", NULL, bad[i], CLAIMS), k),
		    ERR_INVALID);
	/* A key that the token brings along is nobody's. */
	assert_int_equal(try(jwt_make(rsa2, "RS256", NULL,
	                         "{\"alg\":\"RS256\",\"jku\":\"http://x\","
	                         "\"jwk\":{\"kty\":\"RSA\"}}",
	                         CLAIMS),
	                     k),
	    ERR_NOT_FOUND);
	jwt_keys_free(k);
}

static void
test_malformed(void **state)
{
	static const char *const claims[] = { "", "x", "[]", "\"x\"",
		"{\"a\":1,\"a\":2}", "{\"a\":\"\\u0000\"}", "{} {}" };
	static const char *const words[] = { "", ".", "..", "a.b", "a.b.c",
		"a.b.c.d", "e30.e30.", ".e30.e30", "e30..e30", "e30.e30.e30",
		"!!.!!.!!" };
	struct jwt_keys *k = keys_of(jwt_jwks(jwt_jwk(rsa, "one", ""), NULL));
	char *big = malloc(JWT_MAX + 2);

	(void)state;
	for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
		assert_int_equal(
		    try(jwt_make(rsa, "RS256", "one", NULL, claims[i]), k),
		    ERR_INVALID);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		assert_int_equal(try(strdup(words[i]), k), ERR_INVALID);
	memset(big, 'a', JWT_MAX + 1);
	big[100] = big[200] = '.';
	big[JWT_MAX + 1] = '\0';
	assert_int_equal(try(big, k), ERR_INVALID);
	jwt_keys_free(k);
	assert_true(jwt_looks_like("a.b.c"));
	assert_false(jwt_looks_like("abc"));
	assert_false(jwt_looks_like("a.b.c.d"));
}

/* A padding where none can be ends cjose, and with it the process. */
static void
test_padding(void **state)
{
	struct jwt_keys *k = keys_of(jwt_jwks(jwt_jwk(rsa, "one", ""), NULL));
	char *token = jwt_make(rsa, "RS256", "one", NULL, CLAIMS);

	(void)state;
	for (size_t i = 0; token[i] != '\0'; i++) {
		char *bad = strdup(token);

		bad[i] = '=';
		assert_int_equal(try(bad, k), ERR_INVALID);
	}
	free(token);
	jwt_keys_free(k);
}

/* A key set of one key, in whose number n at is put at position i. */
static char *
with_padding(size_t i, const char *at, size_t *len)
{
	char *jwk = jwt_jwk(rsa, "one", ""), *n = strstr(jwk, "\"n\"");
	char *out = malloc(strlen(jwk) + 3);

	assert_non_null(n);
	n = strchr(strchr(n, ':'), '"') + 1;
	*len = strcspn(n, "\"");
	i = i < *len ? i : *len;
	sprintf(out, "%.*s%s%s", (int)(n - jwk + i), jwk, at,
	    i == *len ? n + i : n + i + strlen(at));
	free(jwk);
	return jwt_jwks(out, NULL);
}

static void
test_padded_keys(void **state)
{
	struct err e = ERR_INIT;
	struct jwt_keys *k;
	size_t len = 1;
	char *jwks;

	(void)state;
	for (size_t i = 0; i < len; i++) {
		jwks = with_padding(i, "=", &len);
		assert_int_equal(
		    jwt_keys_parse(jwks, strlen(jwks), &k, &e), -1);
		free(jwks);
	}
	/* But some pad them as base64 is elsewhere. */
	assert_int_equal(len % 4, 2);
	k = keys_of(with_padding(len, "==", &len));
	assert_int_equal(
	    try(jwt_make(rsa, "RS256", "one", NULL, CLAIMS), k), ERR_NONE);
	jwt_keys_free(k);
}

/* Those that we cannot use are left out, and the others serve. */
static void
test_key_sets(void **state)
{
	EVP_PKEY *weak = jwt_key("RSA", 1024);
	struct err e = ERR_INIT;
	struct jwt_keys *k;
	char *jwks;

	(void)state;
	k = keys_of(jwt_jwks(strdup("{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
	                            "\"x\":\"eA\",\"kid\":\"o\"}"),
	    strdup("{\"kty\":\"oct\",\"k\":\"c2VjcmV0\",\"kid\":\"s\"}"),
	    strdup("{\"kty\":\"RSA\",\"kid\":\"broken\",\"n\":\"!\"}"),
	    strdup("7"), jwt_jwk(weak, "weak", ""),
	    jwt_jwk(rsa2, "enc", "\"use\":\"enc\""),
	    jwt_jwk(rsa2, "ps", "\"alg\":\"PS256\",\"use\":\"sig\""),
	    jwt_jwk(rsa, "good", ""), NULL));
	assert_int_equal(
	    try(jwt_make(rsa, "RS256", "good", NULL, CLAIMS), k), ERR_NONE);
	assert_int_equal(try(jwt_make(weak, "RS256", "weak", NULL, CLAIMS), k),
	    ERR_NOT_FOUND);
	assert_int_equal(try(jwt_make(rsa2, "RS256", "enc", NULL, CLAIMS), k),
	    ERR_NOT_FOUND);
	/* A key that names its algorithm serves no other. */
	assert_int_equal(
	    try(jwt_make(rsa2, "PS256", "ps", NULL, CLAIMS), k), ERR_NONE);
	assert_int_equal(
	    try(jwt_make(rsa2, "RS256", "ps", NULL, CLAIMS), k), ERR_NOT_FOUND);
	assert_int_equal(
	    try(jwt_make_hs256("secret", 6, CLAIMS), k), ERR_INVALID);
	jwt_keys_free(k);
	jwks = jwt_jwks(jwt_jwk(weak, "weak", ""), NULL);
	assert_int_equal(jwt_keys_parse(jwks, strlen(jwks), &k, &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	free(jwks);
	assert_int_equal(jwt_keys_parse("{}", 2, &k, &e), -1);
	assert_int_equal(jwt_keys_parse("[", 1, &k, &e), -1);
	EVP_PKEY_free(weak);
	jwt_keys_free(NULL);
	jwt_free(NULL);
}

static void
test_claims(void **state)
{
	char *token = jwt_make(p256, "ES256", "x", NULL, CLAIMS);
	struct err e = ERR_INIT;
	struct jwt *t;

	(void)state;
	assert_int_equal(jwt_parse(token, strlen(token), &t, &e), 0);
	assert_string_equal(claims_text(jwt_claims(t), "sub"), "me");
	assert_null(claims_text(jwt_claims(t), "iss"));
	jwt_free(t);
	free(token);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_padded_keys),
		cmocka_unit_test(test_key_sets),
		cmocka_unit_test(test_claims),
	};

	return cmocka_run_group_tests_name("jwt", tests, setup, teardown);
}
