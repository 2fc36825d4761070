#include "shortname.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base64.h"
#include "sha256.h"

const char *
shortname_fmt(char *out, size_t size, const char *prefix, const char *name)
{
	char hex[2 * SHA256_LEN + 1];
	uint8_t digest[SHA256_LEN];

	if (strlen(prefix) + 1 + strlen(name) < size) {
		snprintf(out, size, "%s:%s", prefix, name);
		return out;
	}
	sha256(name, strlen(name), digest);
	hex_fmt(hex, digest, sizeof digest);
	snprintf(out, size, "%s:sha256:%s", prefix, hex);
	return out;
}
