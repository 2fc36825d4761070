#include "signkey.h"

#include <sodium.h>
#include <string.h>

#include "../codec/base64.h"
#include "../core/err.h"
#include "../core/secret.h"

#define SEED_LEN   crypto_sign_SEEDBYTES
#define PUBLIC_LEN crypto_sign_PUBLICKEYBYTES
#define SIG_LEN    crypto_sign_BYTES

/* One allocation of sodium_malloc: locked, guarded, wiped when freed. */
struct signkey {
	unsigned char secret[crypto_sign_SECRETKEYBYTES];
	char name[SIGNKEY_NAME_MAX + 1];
	char public[SIGNKEY_TEXT_MAX];
};

/* "name:..." */
static void
fmt_text(char out[SIGNKEY_TEXT_MAX], const char *name, const void *p, size_t n)
{
	size_t len = strlen(name);

	memcpy(out, name, len);
	out[len] = ':';
	base64_fmt(out + len + 1, p, n);
}

/*
 * The length of the name before the colon: printable, without white space, which
 * separates keys in nix.conf. The text is not quoted: it may be a secret.
 */
static int
parse_name(const char *text, size_t len, size_t *name_len, struct err *e)
{
	const char *colon = memchr(text, ':', len);
	size_t n;

	if (colon == NULL)
		return err_set(e, ERR_INVALID, "no colon after a key's name");
	n = colon - text;
	if (n == 0 || n > SIGNKEY_NAME_MAX)
		return err_set(e, ERR_INVALID,
		    "a key's name of %zu characters instead of 1 to %d", n,
		    SIGNKEY_NAME_MAX);
	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return err_set(e, ERR_INVALID,
			    "a key's name with white space or a character "
			    "that is not ASCII");
	*name_len = n;
	return 0;
}

/* "name:base64" of exactly n bytes, which are public. */
static int
parse_pair(
    const char *text, size_t *name_len, uint8_t *out, size_t n, struct err *e)
{
	uint8_t bytes[SIG_LEN];
	size_t len = strlen(text), name, got;

	if (parse_name(text, len, &name, e) < 0)
		return -1;
	if (base64_parse(text + name + 1, len - name - 1, bytes, sizeof bytes,
	        &got, e) < 0)
		return -1;
	if (got != n)
		return err_set(e, ERR_INVALID,
		    "%zu bytes of base64 instead of "
		    "%zu",
		    got, n);
	memcpy(out, bytes, n);
	*name_len = name;
	return 0;
}

/* Leaves out white space at both ends. */
static void
trim(const char **p, size_t *len)
{
	static const char white[] = " \t\r\n";

	while (*len > 0 && memchr(white, (*p)[*len - 1], strlen(white)) != NULL)
		--*len;
	while (*len > 0 && memchr(white, **p, strlen(white)) != NULL) {
		++*p;
		--*len;
	}
}

/* Fills k, whose memory is locked, from the text of a key file. */
static int
parse_secret(struct signkey *k, const struct secret *text, struct err *e)
{
	unsigned char *given, public[PUBLIC_LEN];
	const char *p = text->data;
	size_t len = text->len, name_len, n;
	int rc = -1;

	trim(&p, &len);
	if (len == 0)
		return err_set(e, ERR_INVALID, "empty");
	if (parse_name(p, len, &name_len, e) < 0)
		return -1;
	memcpy(k->name, p, name_len);
	p += name_len + 1;
	len -= name_len + 1;
	trim(&p, &len);

	if ((given = sodium_malloc(sizeof k->secret)) == NULL)
		return err_sys(e, "locked memory");
	if (base64_parse(p, len, given, sizeof k->secret, &n, NULL) < 0) {
		err_set(e, ERR_INVALID, "no base64 of a key after the name");
		goto out;
	}
	if (n != SEED_LEN && n != sizeof k->secret) {
		err_set(e, ERR_INVALID,
		    "%zu bytes instead of %d (a seed) or %zu (a seed and its "
		    "public key)",
		    n, SEED_LEN, sizeof k->secret);
		goto out;
	}
	crypto_sign_seed_keypair(public, k->secret, given);
	if (n > SEED_LEN &&
	    sodium_memcmp(given + SEED_LEN, public, PUBLIC_LEN) != 0) {
		err_set(e, ERR_INVALID,
		    "the public half does not belong to the secret one");
		goto out;
	}
	fmt_text(k->public, k->name, public, sizeof public);
	rc = 0;
out:
	sodium_free(given);
	return rc;
}

int
signkey_parse(const struct secret *text, struct signkey **out, struct err *e)
{
	struct signkey *k;

	if (sodium_init() < 0 || (k = sodium_malloc(sizeof *k)) == NULL)
		return err_sys(e, "signing key: locked memory");
	memset(k, 0, sizeof *k);
	if (parse_secret(k, text, e) < 0) {
		sodium_free(k);
		return err_prefix(e, "signing key");
	}
	*out = k;
	return 0;
}

void
signkey_free(struct signkey *k)
{
	sodium_free(k);
}

const char *
signkey_name(const struct signkey *k)
{
	return k->name;
}

const char *
signkey_public(const struct signkey *k)
{
	return k->public;
}

void
signkey_sign(const struct signkey *k, const void *p, size_t n,
    char out[SIGNKEY_TEXT_MAX])
{
	unsigned char sig[SIG_LEN];

	crypto_sign_detached(sig, NULL, p, n, k->secret);
	fmt_text(out, k->name, sig, sizeof sig);
}

int
signkey_verify(
    const char *pub, const char *sig, const void *p, size_t n, struct err *e)
{
	uint8_t key[PUBLIC_LEN], bytes[SIG_LEN];
	size_t key_name, sig_name;

	if (parse_pair(pub, &key_name, key, sizeof key, e) < 0)
		return err_prefix(e, "public key");
	if (parse_pair(sig, &sig_name, bytes, sizeof bytes, e) < 0)
		return err_prefix(e, "signature");
	if (key_name != sig_name || memcmp(pub, sig, key_name) != 0)
		return err_set(e, ERR_CORRUPT,
		    "signature by %.*s instead of %.*s", (int)sig_name, sig,
		    (int)key_name, pub);
	if (crypto_sign_verify_detached(bytes, p, n, key) != 0)
		return err_set(e, ERR_CORRUPT,
		    "signature by %.*s: does not hold", (int)sig_name, sig);
	return 0;
}

int
signkey_check_sig(const char *sig, struct err *e)
{
	uint8_t bytes[SIG_LEN];
	size_t name_len;

	if (parse_pair(sig, &name_len, bytes, sizeof bytes, e) < 0)
		return err_prefix(e, "signature");
	return 0;
}
