#include "jwt_make.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "jwt_make: %s\n", what);
		abort();
	}
}

static char *
base64url(const unsigned char *p, size_t n)
{
	char *out = malloc(4 * (n / 3 + 2));
	size_t len = EVP_EncodeBlock((unsigned char *)out, p, n);

	while (len > 0 && out[len - 1] == '=')
		out[--len] = '\0';
	for (size_t i = 0; i < len; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	return out;
}

EVP_PKEY *
jwt_key(const char *type, int bits)
{
	EVP_PKEY *k = strcmp(type, "RSA") == 0
	    ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits)
	    : EVP_PKEY_Q_keygen(NULL, NULL, "EC", type);

	must(k != NULL, "keygen");
	return k;
}

static char *
number(EVP_PKEY *k, const char *name, int size)
{
	BIGNUM *bn = NULL;
	unsigned char raw[2048];
	char *text;

	must(EVP_PKEY_get_bn_param(k, name, &bn), name);
	if (size == 0)
		size = BN_num_bytes(bn);
	must(BN_bn2binpad(bn, raw, size) == size, "number");
	text = base64url(raw, size);
	BN_free(bn);
	return text;
}

char *
jwt_jwk(EVP_PKEY *k, const char *kid, const char *more)
{
	char *out = NULL, *a, *b;
	const char *comma = more[0] != '\0' ? "," : "";

	if (EVP_PKEY_is_a(k, "RSA")) {
		a = number(k, OSSL_PKEY_PARAM_RSA_N, 0);
		b = number(k, OSSL_PKEY_PARAM_RSA_E, 0);
		must(asprintf(&out,
		         "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\","
		         "\"e\":\"%s\"%s%s}",
		         kid, a, b, comma, more) > 0,
		    "jwk");
	} else {
		int bits = EVP_PKEY_get_bits(k), size = (bits + 7) / 8;

		a = number(k, OSSL_PKEY_PARAM_EC_PUB_X, size);
		b = number(k, OSSL_PKEY_PARAM_EC_PUB_Y, size);
		must(asprintf(&out,
		         "{\"kty\":\"EC\",\"kid\":\"%s\",\"crv\":\"P-%d\","
		         "\"x\":\"%s\",\"y\":\"%s\"%s%s}",
		         kid, bits, a, b, comma, more) > 0,
		    "jwk");
	}
	free(a);
	free(b);
	return out;
}

char *
jwt_jwks(char *jwk, ...)
{
	char *out = strdup("{\"keys\":[");
	const char *comma = "";
	va_list ap;

	va_start(ap, jwk);
	for (; jwk != NULL; jwk = va_arg(ap, char *), comma = ",") {
		char *next;

		must(asprintf(&next, "%s%s%s", out, comma, jwk) > 0, "jwks");
		free(out);
		free(jwk);
		out = next;
	}
	va_end(ap);
	out = realloc(out, strlen(out) + 3);
	return strcat(out, "]}");
}

/* ---- tokens ---- */

static char *
join(char *a, char *b)
{
	char *out;

	must(asprintf(&out, "%s.%s", a, b) > 0, "join");
	free(a);
	free(b);
	return out;
}

static char *
signing_input(const char *header, const char *claims)
{
	return join(base64url((const unsigned char *)header, strlen(header)),
	    base64url((const unsigned char *)claims, strlen(claims)));
}

/* R and S, one behind the other (RFC 7518, 3.4). */
static size_t
raw_ecdsa(EVP_PKEY *k, unsigned char *sig, size_t len)
{
	size_t size = (EVP_PKEY_get_bits(k) + 7) / 8;
	const unsigned char *p = sig;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, len);

	must(s != NULL, "signature");
	BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, size);
	BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + size, size);
	ECDSA_SIG_free(s);
	return 2 * size;
}

static char *
sign(EVP_PKEY *k, const char *alg, const char *input)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *c = NULL;
	unsigned char sig[2048];
	size_t len = sizeof sig;
	char digest[16];

	snprintf(digest, sizeof digest, "SHA%s", alg + 2);
	must(
	    EVP_DigestSignInit_ex(md, &c, digest, NULL, NULL, k, NULL), "init");
	if (alg[0] == 'P') {
		EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(c, RSA_PSS_SALTLEN_DIGEST);
	}
	must(EVP_DigestSign(
	         md, sig, &len, (const unsigned char *)input, strlen(input)),
	    "sign");
	EVP_MD_CTX_free(md);
	if (alg[0] == 'E')
		len = raw_ecdsa(k, sig, len);
	return base64url(sig, len);
}

char *
jwt_make(EVP_PKEY *key, const char *alg, const char *kid, const char *header,
    const char *claims)
{
	char made[512], *input;

	if (header == NULL && kid != NULL)
		snprintf(made, sizeof made,
		    "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}", alg,
		    kid);
	else if (header == NULL)
		snprintf(made, sizeof made, "{\"alg\":\"%s\"}", alg);
	input = signing_input(header != NULL ? header : made, claims);
	return join(input, sign(key, alg, input));
}

char *
jwt_make_hs256(const void *secret, size_t len, const char *claims)
{
	char *input =
	    signing_input("{\"alg\":\"HS256\",\"kid\":\"one\"}", claims);
	unsigned char mac[32];
	unsigned n = sizeof mac;

	HMAC(EVP_sha256(), secret, len, (unsigned char *)input, strlen(input),
	    mac, &n);
	return join(input, base64url(mac, n));
}

char *
jwt_make_none(const char *claims)
{
	return join(signing_input("{\"alg\":\"none\"}", claims), strdup("eA"));
}
