#include "utf8.h"

#include <stdint.h>
#include <string.h>

size_t
utf8_len(const void *p, size_t n)
{
	const uint8_t *s = p;
	size_t len;
	uint8_t low = 0x80, high = 0xbf; /* bounds of the second byte */

	if (n == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (len > n || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* 1 when each of eight bytes is ASCII and not NUL. */
static int
plain(const uint8_t *s)
{
	uint64_t w;

	memcpy(&w, s, sizeof w);
	return (w & 0x8080808080808080) == 0 &&
	    ((w - 0x0101010101010101) & 0x8080808080808080) == 0;
}

size_t
utf8_span(const void *p, size_t n)
{
	const uint8_t *s = p;
	size_t i = 0, len;

	while (i < n) {
		if (n - i >= 8 && plain(s + i)) {
			i += 8;
			continue;
		}
		if (s[i] == '\0' || (len = utf8_len(s + i, n - i)) == 0)
			break;
		i += len;
	}
	return i;
}
