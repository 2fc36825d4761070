#include "base64.h"

#include "../core/err.h"

static const char digits64[64] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_fmt(char *out, const void *p, size_t n)
{
	const uint8_t *s = p;

	for (; n >= 3; n -= 3, s += 3) {
		*out++ = digits64[s[0] >> 2];
		*out++ = digits64[(s[0] & 3) << 4 | s[1] >> 4];
		*out++ = digits64[(s[1] & 15) << 2 | s[2] >> 6];
		*out++ = digits64[s[2] & 63];
	}
	if (n > 0) {
		uint8_t second = n == 2 ? s[1] : 0;
		*out++ = digits64[s[0] >> 2];
		*out++ = digits64[(s[0] & 3) << 4 | second >> 4];
		*out++ = n == 2 ? digits64[(second & 15) << 2] : '=';
		*out++ = '=';
	}
	*out = '\0';
}

static int
value64(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int
base64_parse(
    const char *s, size_t len, void *out, size_t max, size_t *n, struct err *e)
{
	uint8_t *to = out;
	size_t size, done = 0;
	uint32_t bits = 0;

	if (len > 0 && len % 4 == 0 && s[len - 1] == '=')
		len -= s[len - 2] == '=' ? 2 : 1;
	if (len % 4 == 1)
		return err_set(e, ERR_INVALID, "base64: cut off");
	size = len / 4 * 3 + len % 4 * 3 / 4;
	if (size > max)
		return err_set(
		    e, ERR_INVALID, "base64: over the limit of %zu bytes", max);
	/* Checked first, so that out is untouched on failure. */
	for (size_t i = 0; i < len; i++)
		if (value64(s[i]) < 0)
			return err_set(
			    e, ERR_INVALID, "base64: a wrong digit at %zu", i);
	if ((len % 4 == 2 && (value64(s[len - 1]) & 15) != 0) ||
	    (len % 4 == 3 && (value64(s[len - 1]) & 3) != 0))
		return err_set(e, ERR_INVALID, "base64: stray bits at the end");

	for (size_t i = 0; i < len; i++) {
		bits = bits << 6 | (uint32_t)value64(s[i]);
		/* After 2, 3 and 4 digits a whole byte more is known. */
		if (i % 4 != 0)
			to[done++] = bits >> (6 - i % 4 * 2);
	}
	*n = done;
	return 0;
}

void
hex_fmt(char *out, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *s = p;

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[s[i] >> 4];
		*out++ = digits[s[i] & 15];
	}
	*out = '\0';
}

static int
value16(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
hex_parse(const char *s, size_t len, void *out, size_t n, struct err *e)
{
	uint8_t *to = out;

	if (len % 2 != 0 || len / 2 != n)
		return err_set(e, ERR_INVALID,
		    "base16: %zu digits instead of %zu", len, 2 * n);
	for (size_t i = 0; i < len; i++)
		if (value16(s[i]) < 0)
			return err_set(
			    e, ERR_INVALID, "base16: a wrong digit at %zu", i);
	for (size_t i = 0; i < n; i++)
		to[i] = value16(s[2 * i]) << 4 | value16(s[2 * i + 1]);
	return 0;
}
