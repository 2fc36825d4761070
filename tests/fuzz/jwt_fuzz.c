/*
 * Nobody holds the private halves of our_keys, so no token is verified by them,
 * neither the input itself nor one whose header and claims are the input's lines,
 * under signatures of the right size for every algorithm. What is accepted as a
 * token has an algorithm that we have and the claims that were put into it, and no
 * error text tells any part of one. A set of keys that is accepted does not verify
 * a token that nobody signed.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../../libcommon/codec/base64.h"
#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/oidc/jwt.h"
#include "fuzz.h"

#define LEAK 12 /* bytes: no word of our texts is as long */

/* clang-format off */
static const char our_keys[] =
    "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"e\":\"AQAB\",\"n\":\""
    "qOceB-erbgtAcMIUYjkFk8F_q28gP47OOahuRDe9Ot5AXBRp1-FyqTJTshTHQE2p"
    "34TM-EnigtMxUhkiqab-Hd-rbJS9LrBsfclPbaNTj1XjV21MVsZqdptiMMa5slGH"
    "_PUXc6ZrQIfdAkigDSzPxHY-7dPSjx0UeEpwe2DifCNOeDKJxOljemnEwsvnGQpq"
    "YMYVa-GFd9p_hKl1Y3S5ICMvhCpGIAgULMKjoAaiwIFY42oeBDEnOigTMF78YPyz"
    "iK9UYvwa6UFEFp6Kj5GjtjVt5EpJo9ICb4l3aipfJq382QsvZPFt5F9tVTP1Gcmm"
    "YI6mmtsvN_B6ndpKY2D8rw"
    "\"},"
    "{\"kty\":\"EC\",\"kid\":\"2\",\"crv\":\"P-256\",\"x\":\""
    "YXkJudAz-0PU8kobXsX_2XIWRxTtbbSSsiu7xcIw5_Y"
    "\",\"y\":\""
    "2ZKHRevynhsQCIYG_I83DtZuibK1xYOE4sNh_EFK8Ys"
    "\"},"
    "{\"kty\":\"EC\",\"kid\":\"3\",\"crv\":\"P-384\",\"x\":\""
    "Mc_4L2ly9AEzX5CIa6f_aO9J-gpodmnKiB4VFBXFCKK1aCEtQe0cvukrjT89-M6N"
    "\",\"y\":\""
    "DJVd-06zevbqxMSMmhEBjDtEB-rQZSQ613Y-aTH21ecPvSFsUTYUkHEQjrZpzGdg"
    "\"},"
    "{\"kty\":\"EC\",\"kid\":\"5\",\"crv\":\"P-521\",\"x\":\""
    "AAGZlD8Qu085d3YGUBSVOJxuGmu51H5DMk2sPzhZg0NwYgdjLnS7NDhiT16ADTP7"
    "veuZ3f70NfGCVp-gbVfoadJD"
    "\",\"y\":\""
    "Ae8TqH95XVY6M_iXB5g8bYkYEN5WwipilFavKtvMpLpzuoWQbnw0wxhHi2_OjZ_z"
    "IEAYdpjyoPuSoWXZIpdiHFp5"
    "\"}]}";
/* clang-format on */

/* Bytes of a signature: P-256, P-384, P-521, RSA of 2048 bits. */
static const size_t signatures[] = { 64, 96, 132, 256 };

/* Tokens without a signature worth its name, one for each type of key. */
static const char *const unsigned_headers[] = { "{\"alg\":\"RS256\"}",
	"{\"alg\":\"PS512\"}", "{\"alg\":\"ES256\"}", "{\"alg\":\"ES384\"}",
	"{\"alg\":\"ES512\"}" };

static struct jwt_keys *ours;

/* Text that is long enough to be known again, in what we say. */
static int
tells(const struct err *e, const uint8_t *text, size_t len)
{
	char word[LEAK + 1];

	for (size_t i = 0; i + LEAK <= len; i++) {
		memcpy(word, text + i, LEAK);
		word[LEAK] = '\0';
		if (strlen(word) == LEAK && strchr(word, ' ') == NULL &&
		    (strstr(e->msg, word) != NULL ||
		        strstr(e->hint, word) != NULL))
			return 1;
	}
	return 0;
}

static void
put_part(struct buf *token, const void *p, size_t n)
{
	char *text = xmalloc(BASE64_LEN(n) + 1);

	base64_fmt(text, p, n);
	for (char *c = text; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	text[strcspn(text, "=")] = '\0';
	FUZZ_CHECK(buf_puts(token, text, NULL) == 0);
	free(text);
}

/* Parts as long as they come; a signature of so many bytes, all alike. */
static void
make(struct buf *token, const void *header, size_t hlen, const void *claims,
    size_t clen, size_t signature)
{
	uint8_t bytes[256];

	memset(bytes, 1, sizeof bytes);
	buf_reset(token);
	put_part(token, header, hlen);
	buf_putc(token, '.', NULL);
	put_part(token, claims, clen);
	buf_putc(token, '.', NULL);
	put_part(token, bytes, signature);
}

/* The token, or NULL; it is not verified by the keys. */
static struct jwt *
parse(const char *token, size_t len, const struct jwt_keys *k, struct err *e)
{
	struct jwt *t = NULL;

	if (jwt_parse(token, len, &t, e) < 0) {
		FUZZ_CHECK(t == NULL && e->kind == ERR_INVALID);
		return NULL;
	}
	FUZZ_CHECK(len <= JWT_MAX && jwt_looks_like(token));
	FUZZ_CHECK(json_is_object(jwt_claims(t)));
	FUZZ_CHECK(jwt_verify(t, k, 0, e) == -1);
	FUZZ_CHECK(e->kind == ERR_UNAUTHORIZED);
	FUZZ_CHECK(jwt_verify(t, k, JWT_ALGS_ALL, e) == -1);
	FUZZ_CHECK(e->kind == ERR_UNAUTHORIZED || e->kind == ERR_NOT_FOUND);
	return t;
}

static void
try_token(const uint8_t *data, size_t size)
{
	struct err e = ERR_INIT;
	struct buf text;

	buf_init(&text, size);
	buf_append(&text, data, size, NULL);
	jwt_free(parse(buf_str(&text), size, ours, &e));
	FUZZ_CHECK(!tells(&e, data, size));
	buf_done(&text);
}

/* What another reading of the claims makes of them. */
static void
has_claims(const struct jwt *t, const void *claims, size_t n)
{
	json_t *same = json_load(claims, n, NULL);

	FUZZ_CHECK(same != NULL && json_equal(same, jwt_claims(t)));
	json_decref(same);
}

/* An algorithm that we have, and no extension. */
static void
has_header(const void *header, size_t n)
{
	json_t *o = json_loadb(header, n, 0, NULL);
	const char *alg = json_string_value(json_object_get(o, "alg"));

	FUZZ_CHECK(alg != NULL && jwt_alg(alg) != 0);
	FUZZ_CHECK(json_object_get(o, "crit") == NULL);
	json_decref(o);
}

static void
try_parts(const uint8_t *data, size_t size)
{
	const uint8_t *line = memchr(data, '\n', size), *claims;
	struct buf token;
	size_t n;

	if (line == NULL)
		return;
	claims = line + 1;
	n = data + size - claims;
	buf_init(&token, 2 * size + 1024);
	for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
		struct err e = ERR_INIT;
		struct jwt *t;

		make(&token, data, line - data, claims, n, signatures[i]);
		t = parse(buf_str(&token), token.len, ours, &e);
		if (t != NULL) {
			has_header(data, line - data);
			has_claims(t, claims, n);
		}
		jwt_free(t);
		FUZZ_CHECK(!tells(&e, token.data, token.len));
		FUZZ_CHECK(!tells(&e, data, size));
	}
	buf_done(&token);
}

static void
try_keys(const uint8_t *data, size_t size)
{
	struct jwt_keys *k = NULL;
	struct err e = ERR_INIT;
	struct buf token;

	if (jwt_keys_parse(data, size, &k, &e) < 0) {
		FUZZ_CHECK(k == NULL);
		FUZZ_CHECK(e.kind == ERR_INVALID || e.kind == ERR_CORRUPT);
		FUZZ_CHECK(!tells(&e, data, size));
		return;
	}
	buf_init(&token, 1024);
	for (size_t i = 0;
	     i < sizeof unsigned_headers / sizeof *unsigned_headers; i++) {
		const char *header = unsigned_headers[i];
		struct jwt *t;

		make(&token, header, strlen(header), "{}", 2,
		    signatures[i < 2 ? 3 : i - 2]);
		t = parse(buf_str(&token), token.len, k, &e);
		FUZZ_CHECK(t != NULL);
		jwt_free(t);
	}
	buf_done(&token);
	jwt_keys_free(k);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e;

	if (ours == NULL &&
	    jwt_keys_parse(our_keys, strlen(our_keys), &ours, &e) < 0)
		err_die("%s", e.msg);
	try_token(data, size);
	try_parts(data, size);
	try_keys(data, size);
	return 0;
}
