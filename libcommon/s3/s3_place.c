#include "s3_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../core/err.h"
#include "../core/num.h"

#define BUCKET_MAX   255
#define FIRST_REGION "us-east-1"
#define AWS          ".amazonaws.com"

static int
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/* Not the text itself: somebody may have put a password into it. */
static int
bad_endpoint(const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID,
	    "S3 endpoint: %s: not [http://|https://]HOST[:PORT]", why);
}

/*
 * "host", "host:port", "[::1]:port", each with an optional scheme before and a
 * slash behind. name gets the host alone, port "" when it is the scheme's.
 */
static int
parse_endpoint(struct s3_places *s, const char *text, char name[256],
    char port[8], struct err *e)
{
	const char *p = text != NULL ? text : "", *end;
	size_t n, digits = 0;
	uint64_t number;

	if (strncasecmp(p, "https://", 8) == 0) {
		s->tls = 1;
		p += 8;
	} else if (strncasecmp(p, "http://", 7) == 0) {
		s->tls = 0;
		p += 7;
	} else if (strstr(p, "://") != NULL)
		return bad_endpoint("a scheme that is not http or https", e);
	if (memchr(p, '@', strcspn(p, "/?#")) != NULL)
		return bad_endpoint("a user before the host", e);
	if (*p == '[') {
		n = 1 + strspn(p + 1, "0123456789abcdefABCDEF:.");
		if (p[n++] != ']')
			return bad_endpoint("an unclosed address", e);
	} else
		n = strspn(p,
		    "abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
	if (n == 0 || n >= 256)
		return bad_endpoint("no host", e);
	end = p + n;
	port[0] = '\0';
	if (*end == ':') {
		digits = strcspn(++end, "/?#");
		if (num_parse_u64(end, digits, 65535, &number, NULL) != 0)
			return bad_endpoint("a port that is none", e);
		if (number != (s->tls ? 443 : 80))
			snprintf(port, 8, ":%u", (unsigned)number);
	}
	end += digits;
	if (*end == '/')
		end++;
	if (*end == '?' || *end == '#')
		return bad_endpoint("a query behind the host", e);
	if (*end != '\0' && end[-1] == '/')
		return bad_endpoint("a path behind the host (the bucket has an "
		                    "option of its own)",
		    e);
	if (*end != '\0')
		return bad_endpoint("odd characters", e);
	for (size_t i = 0; i < n; i++)
		name[i] = tolower((unsigned char)p[i]);
	name[n] = '\0';
	return 0;
}

static int
check_bucket(const char *name, struct err *e)
{
	size_t len = name != NULL ? strlen(name) : 0;

	if (len == 0 || len > BUCKET_MAX || name[0] == '.' ||
	    strspn(name,
	        "abcdefghijklmnopqrstuvwxyz"
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != len)
		return err_set(e, ERR_INVALID,
		    "S3 bucket: more than letters, digits, '-._'");
	return 0;
}

/*
 * The label before end, if it looks like a region: "eu-west-1" of
 * "s3.eu-west-1.amazonaws.com" and "s3-eu-west-1.amazonaws.com", "us-west-004"
 * of "s3.us-west-004.backblazeb2.com".
 */
static char *
label_before(const char *name, const char *end)
{
	const char *stop = strstr(name, end), *p;

	if (stop == NULL)
		return NULL;
	for (p = stop; p > name && p[-1] != '.'; p--)
		;
	if (strncmp(p, "s3-", 3) == 0)
		p += 3;
	return memchr(p, '-', stop - p) != NULL ? strndup(p, stop - p) : NULL;
}

static char *
guess_region(const char *name)
{
	char *region = label_before(name, AWS);

	if (region == NULL)
		region = label_before(name, ".backblazeb2.com");
	if (region == NULL)
		region = strdup(ends_with(name, ".r2.cloudflarestorage.com")
		        ? "auto"
		        : FIRST_REGION);
	if (region == NULL)
		err_die("out of memory");
	return region;
}

/* Takes over region. */
static void
place_set(
    struct s3_places *s, const char *name, char *region, struct s3_place *out)
{
	char base[256 + BUCKET_MAX + 32];

	snprintf(base, sizeof base, "%s%s%s%s%s",
	    s->tls ? "https://" : "http://", s->dns ? s->bucket : "",
	    s->dns ? "." : "", name, s->port);
	out->base = xstrdup(base);
	out->host = strstr(out->base, "//") + 2;
	out->region = region;
	out->root = s->root;
}

int
s3_place_init(struct s3_places *out, const struct s3_options *o,
    const char *endpoint, struct err *e)
{
	struct s3_places s = { .tls = o->use_tls };
	char name[256], root[BUCKET_MAX + 2];

	if (parse_endpoint(&s, endpoint, name, s.port, e) != 0 ||
	    check_bucket(o->bucket, e) != 0)
		return -1;
	/* A certificate for *.HOST does not cover a dot in the bucket. */
	s.dns = o->lookup == S3_LOOKUP_DNS ||
	    (o->lookup == S3_LOOKUP_AUTO &&
	        (ends_with(name, AWS) || ends_with(name, AWS ".cn") ||
	            strcmp(name, "storage.googleapis.com") == 0) &&
	        !(s.tls && strchr(o->bucket, '.') != NULL));
	s.given_region = o->region != NULL && o->region[0] != '\0';
	s.bucket = xstrdup(o->bucket);
	s.name = xstrdup(name);
	snprintf(root, sizeof root, "/%s", o->bucket);
	s.root = xstrdup(s.dns ? "" : root);
	place_set(&s, name,
	    s.given_region ? xstrdup(o->region) : guess_region(name), &s.first);
	*out = s;
	pthread_mutex_init(&out->lock, NULL);
	out->now = &out->first;
	return 0;
}

static void
place_done(struct s3_place *p)
{
	free(p->base);
	free(p->region);
}

void
s3_place_done(struct s3_places *s)
{
	place_done(&s->first);
	place_done(&s->found);
	free(s->bucket);
	free(s->name);
	free(s->root);
	pthread_mutex_destroy(&s->lock);
}

/* "s3.amazonaws.com" and "s3.OLD.amazonaws.com" lead to one region each. */
static void
name_in(const struct s3_places *s, const char *region, char out[256])
{
	char old[256];

	snprintf(old, sizeof old, "s3.%s" AWS, s->first.region);
	if (strcmp(s->name, "s3" AWS) == 0 || strcmp(s->name, old) == 0)
		snprintf(out, 256, "s3.%s" AWS, region);
	else
		snprintf(out, 256, "%s", s->name);
}

int
s3_place_learn(
    struct s3_places *s, const struct s3_place *used, const char *region)
{
	size_t len = strlen(region);
	char name[256];
	int moved;

	if (s->given_region || len == 0 || len > S3_REGION_MAX ||
	    strspn(region, S3_REGION_LETTERS) != len)
		return 0;
	pthread_mutex_lock(&s->lock);
	if (s->now == &s->first && strcmp(region, s->first.region) != 0) {
		name_in(s, region, name);
		place_set(s, name, xstrdup(region), &s->found);
		s->now = &s->found;
	}
	moved = s->now != used;
	pthread_mutex_unlock(&s->lock);
	return moved;
}
