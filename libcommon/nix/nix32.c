#include "nix32.h"

#include <string.h>

#include "../core/err.h"

static const char alphabet[] = "0123456789abcdfghijklmnpqrsvwxyz";

/* What a character stands for, plus one; 0 for those that are no digits. */
static const uint8_t digits[256] = {
	['0'] = 1,
	2,
	3,
	4,
	5,
	6,
	7,
	8,
	9,
	10,
	['a'] = 11,
	12,
	13,
	14,
	['f'] = 15,
	16,
	17,
	18,
	19,
	20,
	21,
	22,
	23,
	['p'] = 24,
	25,
	26,
	27,
	['v'] = 28,
	29,
	30,
	31,
	32,
};

/* The text is one number, its most significant digit first; the bytes are the
 * same number with the least significant byte first. */

void
nix32_fmt(char *out, const void *p, size_t n)
{
	const uint8_t *in = p;
	size_t len = NIX32_LEN(n);

	for (size_t d = 0; d < len; d++) {
		size_t byte = d * 5 / 8, shift = d * 5 % 8;
		unsigned two = in[byte];

		if (byte + 1 < n)
			two |= (unsigned)in[byte + 1] << 8;
		out[len - 1 - d] = alphabet[two >> shift & 31];
	}
	out[len] = '\0';
}

int
nix32_parse(const char *s, size_t len, void *out, size_t n, struct err *e)
{
	uint8_t *to = out;
	unsigned bits = 0, have = 0;
	size_t done = 0;

	if (len != NIX32_LEN(n))
		return err_set(e, ERR_INVALID,
		    "nix32: %zu characters instead of %zu", len, NIX32_LEN(n));
	if (!nix32_check(s, len))
		return err_set(e, ERR_INVALID,
		    "nix32: a character that is not of the alphabet");
	if (len > 0 && (digits[(uint8_t)s[0]] - 1) >> (5 - (len * 5 - n * 8)))
		return err_set(e, ERR_INVALID,
		    "nix32: bits after the last byte are not zero");
	for (size_t d = len; d-- > 0;) {
		bits |= (digits[(uint8_t)s[d]] - 1U) << have;
		have += 5;
		if (have >= 8 && done < n) {
			to[done++] = bits & 0xff;
			bits >>= 8;
			have -= 8;
		}
	}
	return 0;
}

int
nix32_check(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (digits[(uint8_t)s[i]] == 0)
			return 0;
	return 1;
}
