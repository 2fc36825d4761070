#include "client.h"

#include "../core/buf.h"

int
http_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	    c == '~';
}

int
http_escape(
    struct buf *out, const char *s, size_t len, int slash, struct err *e)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t need = 0;
	char *to;

	for (size_t i = 0; i < len; i++)
		need += http_unreserved(s[i]) || (slash && s[i] == '/') ? 1 : 3;
	if ((to = buf_reserve(out, need, e)) == NULL)
		return -1;
	out->len += need;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = s[i];
		if (http_unreserved(c) || (slash && c == '/')) {
			*to++ = c;
			continue;
		}
		*to++ = '%';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 15];
	}
	return 0;
}
