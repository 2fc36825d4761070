#include "read_header.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/num.h"

#define BLANK " \t"

/* ---- entity tags ---- */

void
read_etag(char out[READ_ETAG_MAX], const char *from_s3)
{
	if (from_s3[0] == '\0' || from_s3[0] == '"' ||
	    strncmp(from_s3, "W/\"", 3) == 0)
		snprintf(out, READ_ETAG_MAX, "%s", from_s3);
	else
		snprintf(out, READ_ETAG_MAX, "\"%s\"", from_s3);
}

static const char *
opaque(const char *etag)
{
	return strncmp(etag, "W/", 2) == 0 ? etag + 2 : etag;
}

int
read_etag_listed(const char *list, const char *etag)
{
	const char *p = list + strspn(list, BLANK), *want = opaque(etag), *end;

	if (p[0] == '*' && p[1 + strspn(p + 1, BLANK)] == '\0')
		return 1;
	while (*(p += strspn(p, BLANK ",")) != '\0') {
		p = opaque(p);
		if (*p != '"' || (end = strchr(p + 1, '"')) == NULL)
			return 0;
		end++;
		if (strlen(want) == (size_t)(end - p) &&
		    strncmp(p, want, end - p) == 0)
			return 1;
		p = end;
	}
	return 0;
}

/* ---- dates ---- */

int
read_not_modified_since(const char *value, const char *last_modified)
{
	int64_t asked = clock_parse_http(value);
	int64_t is = clock_parse_http(last_modified);

	return asked != -1 && is != -1 && is <= asked;
}

int
read_if_range(const char *value, const char *etag, const char *last_modified)
{
	if (value[0] == '"')
		return strcmp(value, etag) == 0;
	return value[0] != '\0' && strcmp(value, last_modified) == 0;
}

/* ---- encodings ---- */

/* The weight of one coding is not zero: "zstd ; q=0.000" is. */
static int
has_weight(const char *params, size_t len)
{
	const char *q = memchr(params, '=', len);

	if (q == NULL)
		return 1;
	len -= q + 1 - params;
	q++;
	return strspn(q, "0." BLANK) < len;
}

int
read_accepts_zstd(const char *value)
{
	if (value == NULL)
		return 0;
	for (const char *p = value; *p != '\0'; p += *p == ',') {
		size_t len, name;

		p += strspn(p, BLANK);
		len = strcspn(p, ",");
		name = strcspn(p, ",;" BLANK);
		if (name == 4 && strncasecmp(p, "zstd", 4) == 0 &&
		    has_weight(p + name, len - name))
			return 1;
		p += len;
	}
	return 0;
}

/* ---- ranges ---- */

/* A number of len digits; leading zeros are no fault here. */
static int
number(const char *s, size_t len, uint64_t *out)
{
	while (len > 1 && *s == '0') {
		s++;
		len--;
	}
	return num_parse_u64(s, len, INT64_MAX, out, NULL);
}

struct read_range
read_range(const char *value)
{
	const struct read_range none = { .kind = RANGE_NONE };
	struct read_range r = { .kind = RANGE_FROM, .to = UINT64_MAX };
	const char *dash;
	size_t len;

	if (value == NULL || strncasecmp(value, "bytes=", 6) != 0)
		return none;
	value += 6 + strspn(value + 6, BLANK);
	len = strlen(value);
	while (len > 0 && strchr(BLANK, value[len - 1]) != NULL)
		len--;
	if ((dash = memchr(value, '-', len)) == NULL)
		return none;
	if (dash == value) {
		r.kind = RANGE_SUFFIX;
		return number(value + 1, len - 1, &r.from) == 0 ? r : none;
	}
	if (number(value, dash - value, &r.from) != 0)
		return none;
	len -= dash + 1 - value;
	if (len > 0 && (number(dash + 1, len, &r.to) != 0 || r.to < r.from))
		return none;
	return r;
}

int
read_content_range(
    const char *value, uint64_t *from, uint64_t *to, uint64_t *size)
{
	const char *slash, *dash;
	uint64_t first, last, whole = UINT64_MAX;

	if (strncasecmp(value, "bytes ", 6) != 0)
		return -1;
	value += 6;
	if ((slash = strchr(value, '/')) == NULL)
		return -1;
	if (strcmp(slash + 1, "*") != 0 &&
	    number(slash + 1, strlen(slash + 1), &whole) != 0)
		return -1;
	if (slash - value != 1 || *value != '*') {
		dash = memchr(value, '-', slash - value);
		if (dash == NULL || number(value, dash - value, &first) != 0 ||
		    number(dash + 1, slash - dash - 1, &last) != 0 ||
		    last < first || (whole != UINT64_MAX && last >= whole))
			return -1;
		*from = first;
		*to = last;
	}
	*size = whole;
	return 0;
}
