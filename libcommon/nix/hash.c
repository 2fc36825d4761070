#include "hash.h"

#include <string.h>

#include "../codec/base64.h"
#include "../core/err.h"
#include "nix32.h"

#define PREFIX "sha256"

int
hash_parse(const char *s, size_t len, struct hash *out, struct err *e)
{
	const size_t skip = strlen(PREFIX) + 1; /* with ':' or '-' */
	struct hash h;
	size_t n;
	int sri;

	if (len < skip || memcmp(s, PREFIX, skip - 1) != 0 ||
	    (s[skip - 1] != ':' && s[skip - 1] != '-'))
		return err_set(e, ERR_INVALID, "not a SHA-256 hash");
	sri = s[skip - 1] == '-';
	s += skip;
	len -= skip;
	if (len == BASE64_LEN(HASH_LEN)) {
		if (base64_parse(s, len, h.sha256, HASH_LEN, &n, e) < 0)
			return err_prefix(e, "SHA-256 hash");
		if (n != HASH_LEN)
			return err_set(e, ERR_INVALID,
			    "SHA-256 hash: %zu bytes of base64", n);
	} else if (!sri && len == NIX32_LEN(HASH_LEN)) {
		if (nix32_parse(s, len, h.sha256, HASH_LEN, e) < 0)
			return err_prefix(e, "SHA-256 hash");
	} else if (!sri && len == 2 * HASH_LEN) {
		if (hex_parse(s, len, h.sha256, HASH_LEN, e) < 0)
			return err_prefix(e, "SHA-256 hash");
	} else {
		return err_set(e, ERR_INVALID,
		    "SHA-256 hash: no form has %zu characters", len);
	}
	*out = h;
	return 0;
}

const char *
hash_fmt(char out[HASH_TEXT_MAX], const struct hash *h)
{
	memcpy(out, PREFIX ":", strlen(PREFIX ":"));
	nix32_fmt(out + strlen(PREFIX ":"), h->sha256, HASH_LEN);
	return out;
}

const char *
hash_fmt_nix32(char out[53], const struct hash *h)
{
	nix32_fmt(out, h->sha256, HASH_LEN);
	return out;
}

int
hash_equal(const struct hash *a, const struct hash *b)
{
	return memcmp(a->sha256, b->sha256, HASH_LEN) == 0;
}
