#include "jwt.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjose/cjose.h>
#include <jansson.h>

#include "../codec/json.h"
#include "../core/err.h"

#define ALG_MAX 16

static const struct alg {
	const char *name;
	cjose_jwk_kty_t kty;
	int curve;
} algs[] = {
	{ "RS256", CJOSE_JWK_KTY_RSA, 0 },
	{ "RS384", CJOSE_JWK_KTY_RSA, 0 },
	{ "RS512", CJOSE_JWK_KTY_RSA, 0 },
	{ "PS256", CJOSE_JWK_KTY_RSA, 0 },
	{ "PS384", CJOSE_JWK_KTY_RSA, 0 },
	{ "PS512", CJOSE_JWK_KTY_RSA, 0 },
	{ "ES256", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_256 },
	{ "ES384", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_384 },
	{ "ES512", CJOSE_JWK_KTY_EC, CJOSE_JWK_EC_P_521 },
};

#define ALGS (sizeof algs / sizeof *algs)

struct jwt {
	cjose_jws_t *jws;
	json_t *claims;
	const struct alg *alg;
	const char *kid; /* in jws, or NULL */
};

struct key {
	cjose_jwk_t *jwk;
	cjose_jwk_kty_t kty;
	int curve;
	char kid[JWT_KID_MAX + 1]; /* "" when it has none */
	char alg[ALG_MAX];
};

struct jwt_keys {
	struct key keys[JWT_KEYS_MAX];
	size_t n;
};

int
jwt_looks_like(const char *token)
{
	const char *one = strchr(token, '.');
	const char *two = one != NULL ? strchr(one + 1, '.') : NULL;

	return two != NULL && strchr(two + 1, '.') == NULL && one > token &&
	    two > one + 1 && two[1] != '\0';
}

static const struct alg *
find_alg(const char *name)
{
	for (size_t i = 0; name != NULL && i < ALGS; i++)
		if (strcmp(name, algs[i].name) == 0)
			return &algs[i];
	return NULL;
}

unsigned
jwt_alg(const char *name)
{
	const struct alg *a = find_alg(name);

	return a != NULL ? 1u << (a - algs) : 0;
}

/* ---- base64url (RFC 7515, section 2) ---- */

/*
 * cjose ends the process (assert) at a "=" that is no padding, and so must never
 * see one: what it would decode is looked at before.
 */
static int
is_base64url(const char *s, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "abcdefghijklmnopqrstuvwxyz0123456789-_";

	return strspn(s, letters) >= len && len % 4 != 1;
}

/* Keys are padded by some. */
static int
is_padded_base64url(const char *s)
{
	size_t len = strlen(s);

	if (len % 4 == 0)
		for (int i = 0; i < 2 && len > 0 && s[len - 1] == '='; i++)
			len--;
	return is_base64url(s, len);
}

/* ---- tokens ---- */

static int
malformed(struct err *e)
{
	return err_set(e, ERR_INVALID, "malformed token");
}

static int
read_header(struct jwt *t, struct err *e)
{
	const json_t *header = cjose_jws_get_protected(t->jws);

	/* We know no extension, so we understand none that must be. */
	if (json_object_get(header, "crit") != NULL)
		return err_set(e, ERR_INVALID,
		    "the token has extensions that are not understood");
	t->alg = find_alg(json_string_value(json_object_get(header, "alg")));
	if (t->alg == NULL)
		return err_set(
		    e, ERR_INVALID, "the token's algorithm is not accepted");
	t->kid = json_string_value(json_object_get(header, "kid"));
	return 0;
}

static int
read_claims(struct jwt *t, struct err *e)
{
	uint8_t *text;
	size_t len;

	if (!cjose_jws_get_plaintext(t->jws, &text, &len, NULL) ||
	    (t->claims = json_load(text, len, NULL)) == NULL ||
	    !json_is_object(t->claims))
		return malformed(e);
	return 0;
}

/* Each of the words. */
static int
is_encoded(const char *token)
{
	for (const char *s = token;; s++) {
		size_t len = strcspn(s, ".");

		if (!is_base64url(s, len))
			return 0;
		s += len;
		if (*s == '\0')
			return 1;
	}
}

int
jwt_parse(const char *token, size_t len, struct jwt **out, struct err *e)
{
	struct jwt *t;

	if (len > JWT_MAX || strlen(token) != len || !jwt_looks_like(token) ||
	    !is_encoded(token))
		return malformed(e);
	t = xcalloc(1, sizeof *t);
	if ((t->jws = cjose_jws_import(token, len, NULL)) == NULL)
		malformed(e);
	else if (read_header(t, e) == 0 && read_claims(t, e) == 0) {
		*out = t;
		return 0;
	}
	jwt_free(t);
	return -1;
}

void
jwt_free(struct jwt *t)
{
	if (t == NULL)
		return;
	json_decref(t->claims);
	if (t->jws != NULL)
		cjose_jws_release(t->jws);
	free(t);
}

const struct json_t *
jwt_claims(const struct jwt *t)
{
	return t->claims;
}

/* ---- keys ---- */

/* A member that is text of at most size - 1 bytes; "" when it is absent. */
static int
read_text(const json_t *o, const char *name, char *out, size_t size)
{
	const json_t *v = json_object_get(o, name);
	int n = 0;

	if (v != NULL && !json_is_string(v))
		return -1;
	n = snprintf(out, size, "%s", v != NULL ? json_string_value(v) : "");
	return n < (int)size ? 0 : -1;
}

/* All numbers that a key may have (RFC 7518, section 6). */
static int
has_numbers(const json_t *o)
{
	static const char *const names[] = { "n", "e", "d", "p", "q", "dp",
		"dq", "qi", "x", "y", "k" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *s = json_string_value(json_object_get(o, names[i]));

		if (s != NULL && !is_padded_base64url(s))
			return 0;
	}
	return 1;
}

/* 0 when it is one that we can use. */
static int
read_key(json_t *o, struct key *k)
{
	char kty[8], use[8];
	size_t bits;

	if (read_text(o, "kty", kty, sizeof kty) != 0 ||
	    read_text(o, "use", use, sizeof use) != 0 ||
	    read_text(o, "kid", k->kid, sizeof k->kid) != 0 ||
	    read_text(o, "alg", k->alg, sizeof k->alg) != 0)
		return -1;
	if (use[0] != '\0' && strcmp(use, "sig") != 0)
		return -1;
	if (strcmp(kty, "RSA") != 0 && strcmp(kty, "EC") != 0)
		return -1;
	if (!has_numbers(o) ||
	    (k->jwk = cjose_jwk_import_json(o, NULL)) == NULL)
		return -1;
	k->kty = cjose_jwk_get_kty(k->jwk, NULL);
	k->curve = 0;
	if (k->kty == CJOSE_JWK_KTY_EC) {
		k->curve = cjose_jwk_EC_get_curve(k->jwk, NULL);
		return 0;
	}
	bits = cjose_jwk_get_keysize(k->jwk, NULL);
	if (bits >= JWT_RSA_MIN && bits <= JWT_RSA_MAX)
		return 0;
	cjose_jwk_release(k->jwk);
	return -1;
}

int
jwt_keys_parse(const void *p, size_t n, struct jwt_keys **out, struct err *e)
{
	json_t *root = json_load(p, n, e), *list;
	struct jwt_keys *k;

	if (root == NULL)
		return err_prefix(e, "key set");
	list = json_object_get(root, "keys");
	k = xcalloc(1, sizeof *k);
	for (size_t i = 0; i < json_array_size(list) && i < JWT_KEYS_MAX; i++)
		if (read_key(json_array_get(list, i), &k->keys[k->n]) == 0)
			k->n++;
	json_decref(root);
	if (k->n == 0) {
		jwt_keys_free(k);
		return err_set(
		    e, ERR_CORRUPT, "key set: it has no key that can be used");
	}
	*out = k;
	return 0;
}

void
jwt_keys_free(struct jwt_keys *k)
{
	for (size_t i = 0; k != NULL && i < k->n; i++)
		cjose_jwk_release(k->keys[i].jwk);
	free(k);
}

/* ---- both ---- */

static int
suits(const struct key *k, const struct jwt *t)
{
	return k->kty == t->alg->kty && k->curve == t->alg->curve &&
	    (k->alg[0] == '\0' || strcmp(k->alg, t->alg->name) == 0) &&
	    (t->kid == NULL || strcmp(k->kid, t->kid) == 0);
}

int
jwt_verify(const struct jwt *t, const struct jwt_keys *k, unsigned allowed,
    struct err *e)
{
	int tried = 0;

	if ((jwt_alg(t->alg->name) & allowed) == 0)
		return err_set(e, ERR_UNAUTHORIZED,
		    "the provider does not use the token's algorithm");
	for (size_t i = 0; i < k->n; i++) {
		if (!suits(&k->keys[i], t))
			continue;
		if (cjose_jws_verify(t->jws, k->keys[i].jwk, NULL))
			return 0;
		tried = 1;
	}
	if (tried && t->kid != NULL)
		return err_set(
		    e, ERR_UNAUTHORIZED, "the token's signature is wrong");
	return err_set(
	    e, ERR_NOT_FOUND, "the provider has no key that signed the token");
}
