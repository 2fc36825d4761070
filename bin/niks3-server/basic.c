#include "basic.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "../../libcommon/codec/base64.h"

int
basic_password(const char *header, char out[BASIC_PASSWORD_MAX + 1])
{
	char text[BASIC_PASSWORD_MAX];
	const char *colon;
	size_t n, len;
	int rc = -1;

	if (header == NULL || strncasecmp(header, "Basic ", 6) != 0)
		return -1;
	header += 6 + strspn(header + 6, " ");
	if (base64_parse(header, strlen(header), text, sizeof text, &n, NULL) !=
	    0)
		return -1;
	/* The user's name has no colon; whoever it is, the token says more. */
	colon = memchr(text, ':', n);
	if (colon != NULL) {
		len = n - (colon + 1 - text);
		if (memchr(colon + 1, '\0', len) == NULL) {
			memcpy(out, colon + 1, len);
			out[len] = '\0';
			rc = 0;
		}
	}
	explicit_bzero(text, sizeof text);
	return rc;
}
