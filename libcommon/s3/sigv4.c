#include "sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../codec/base64.h"
#include "../codec/sha256.h"
#include "../core/arena.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../http/client.h"

#define ALGORITHM     "AWS4-HMAC-SHA256"

#define CANONICAL_MAX ((size_t)64 << 10) /* S3 takes 8 KiB of headers */
#define STAMP_LEN     16                 /* 20130524T000000Z */
#define SCOPE_MAX     160 /* 20130524/us-east-1/s3/aws4_request */
#define HEX_LEN       (2 * SHA256_LEN)

/* What is signed: the caller's pairs and ours, sorted. */
struct parts {
	const char *query[SIGV4_QUERY_MAX + 6][2];
	size_t nquery;
	const char *headers[SIGV4_SIGNED_MAX + 4][2];
	size_t nheaders;
	char stamp[STAMP_LEN + 1];
	char scope[SCOPE_MAX];
};

static void
add(const char *(*to)[2], size_t *n, const char *name, const char *value)
{
	to[*n][0] = name;
	to[*n][1] = value;
	++*n;
}

static int
gather(const struct sigv4_request *r, struct parts *p, struct err *e)
{
	time_t t = r->wall_s;
	struct tm tm;

	if (r->nquery > SIGV4_QUERY_MAX || r->nheaders > SIGV4_SIGNED_MAX)
		return err_set(e, ERR_INVALID,
		    "sign: %zu query pairs and %zu headers are too many",
		    r->nquery, r->nheaders);
	p->nquery = p->nheaders = 0;
	for (size_t i = 0; i < r->nquery; i++)
		add(p->query, &p->nquery, r->query[i][0], r->query[i][1]);
	for (size_t i = 0; i < r->nheaders; i++)
		add(p->headers, &p->nheaders, r->headers[i][0],
		    r->headers[i][1]);
	add(p->headers, &p->nheaders, "host", r->host);
	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(p->stamp, sizeof p->stamp, "%Y%m%dT%H%M%SZ", &tm) !=
	        STAMP_LEN)
		return err_set(e, ERR_INVALID, "sign: bad date");
	if (snprintf(p->scope, sizeof p->scope, "%.8s/%s/%s/aws4_request",
	        p->stamp, r->region, r->service) >= SCOPE_MAX)
		return err_set(
		    e, ERR_INVALID, "sign: region or service too long");
	return 0;
}

static void
add_signed_headers(const struct sigv4_request *r, struct parts *p)
{
	add(p->headers, &p->nheaders, "x-amz-date", p->stamp);
	if (strcmp(r->service, "s3") == 0)
		add(p->headers, &p->nheaders, "x-amz-content-sha256",
		    r->payload_sha256);
}

/* Orders as the escaped texts would be: '%' is less than all that stays. */
static int
compare_escaped(const char *a, const char *b)
{
	unsigned char x, y;

	while (*a == *b && *a != '\0')
		a++, b++;
	x = *a, y = *b;
	if (x != '\0' && y != '\0' && http_unreserved(x) != http_unreserved(y))
		return http_unreserved(x) ? 1 : -1;
	return x - y;
}

static int
compare_pairs(const void *x, const void *y)
{
	const char *const *a = x, *const *b = y;
	int c = compare_escaped(a[0], b[0]);

	return c != 0 ? c : compare_escaped(a[1], b[1]);
}

static int
put_query(struct parts *p, struct buf *out, struct err *e)
{
	qsort(p->query, p->nquery, sizeof *p->query, compare_pairs);
	for (size_t i = 0; i < p->nquery; i++) {
		const char *name = p->query[i][0], *value = p->query[i][1];
		if ((i > 0 && buf_putc(out, '&', e) != 0) ||
		    http_escape(out, name, strlen(name), 0, e) != 0 ||
		    buf_putc(out, '=', e) != 0 ||
		    http_escape(out, value, strlen(value), 0, e) != 0)
			return -1;
	}
	return 0;
}

/* Without white space at the ends, and with one space for many. */
static int
put_value(const char *v, struct buf *out, struct err *e)
{
	int first = 1;

	for (;;) {
		size_t n;
		v += strspn(v, " ");
		if ((n = strcspn(v, " ")) == 0)
			return 0;
		if ((!first && buf_putc(out, ' ', e) != 0) ||
		    buf_append(out, v, n, e) != 0)
			return -1;
		first = 0;
		v += n;
	}
}

/* The headers must be sorted. */
static int
put_names(const struct parts *p, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < p->nheaders; i++)
		if ((i > 0 && buf_putc(out, ';', e) != 0) ||
		    buf_puts(out, p->headers[i][0], e) != 0)
			return -1;
	return 0;
}

static int
put_canonical(const struct sigv4_request *r, struct parts *p, struct buf *out,
    struct err *e)
{
	if (buf_printf(out, e, "%s\n", r->method) != 0 ||
	    http_escape(out, r->path, strlen(r->path), 1, e) != 0 ||
	    buf_putc(out, '\n', e) != 0 || put_query(p, out, e) != 0 ||
	    buf_putc(out, '\n', e) != 0)
		return -1;
	qsort(p->headers, p->nheaders, sizeof *p->headers, compare_pairs);
	for (size_t i = 0; i < p->nheaders; i++)
		if (buf_printf(out, e, "%s:", p->headers[i][0]) != 0 ||
		    put_value(p->headers[i][1], out, e) != 0 ||
		    buf_putc(out, '\n', e) != 0)
			return -1;
	if (buf_putc(out, '\n', e) != 0 || put_names(p, out, e) != 0)
		return -1;
	return buf_printf(out, e, "\n%s", r->payload_sha256);
}

/* The key of a day, a region and a service. */
static int
derive(const char *secret, const struct sigv4_request *r, const struct parts *p,
    uint8_t key[SHA256_LEN], struct err *e)
{
	char first[4 + SIGV4_SECRET_MAX];
	size_t len = strlen(secret);

	if (len > SIGV4_SECRET_MAX)
		return err_set(e, ERR_INVALID,
		    "sign: the secret key is over %d bytes", SIGV4_SECRET_MAX);
	memcpy(first, "AWS4", 4);
	memcpy(first + 4, secret, len);
	hmac_sha256(first, 4 + len, p->stamp, 8, key);
	explicit_bzero(first, sizeof first);
	hmac_sha256(key, SHA256_LEN, r->region, strlen(r->region), key);
	hmac_sha256(key, SHA256_LEN, r->service, strlen(r->service), key);
	hmac_sha256(key, SHA256_LEN, "aws4_request", 12, key);
	return 0;
}

static int
make_signature(const struct sigv4_credentials *c, const struct sigv4_request *r,
    struct parts *p, char out[HEX_LEN + 1], struct err *e)
{
	char text[sizeof ALGORITHM + STAMP_LEN + SCOPE_MAX + HEX_LEN + 4];
	char hex[HEX_LEN + 1];
	uint8_t hash[SHA256_LEN], key[SHA256_LEN];
	struct buf canonical;
	int n, rc = -1;

	buf_init(&canonical, CANONICAL_MAX);
	if (put_canonical(r, p, &canonical, e) != 0 ||
	    derive(c->secret_key, r, p, key, e) != 0)
		goto out;
	sha256(canonical.data, canonical.len, hash);
	hex_fmt(hex, hash, sizeof hash);
	n = snprintf(text, sizeof text, ALGORITHM "\n%s\n%s\n%s", p->stamp,
	    p->scope, hex);
	hmac_sha256(key, sizeof key, text, n, hash);
	explicit_bzero(key, sizeof key);
	hex_fmt(out, hash, sizeof hash);
	rc = 0;
out:
	buf_done(&canonical);
	return rc;
}

int
sigv4_sign(const struct sigv4_credentials *c, const struct sigv4_request *r,
    struct arena *a, struct sigv4_headers *out, struct err *e)
{
	struct parts p;
	struct sigv4_headers h = { .n = 0 };
	char signature[HEX_LEN + 1];
	struct buf names;
	int rc = -1;

	buf_init(&names, CANONICAL_MAX);
	if (gather(r, &p, e) != 0)
		goto out;
	add_signed_headers(r, &p);
	if (c->session_token != NULL)
		add(p.headers, &p.nheaders, "x-amz-security-token",
		    c->session_token);
	if (make_signature(c, r, &p, signature, e) != 0 ||
	    put_names(&p, &names, e) != 0)
		goto out;
	h.lines[h.n++] = arena_printf(a, "x-amz-date: %s", p.stamp);
	if (strcmp(r->service, "s3") == 0)
		h.lines[h.n++] = arena_printf(
		    a, "x-amz-content-sha256: %s", r->payload_sha256);
	if (c->session_token != NULL)
		h.lines[h.n++] = arena_printf(
		    a, "x-amz-security-token: %s", c->session_token);
	h.lines[h.n++] = arena_printf(a,
	    "Authorization: " ALGORITHM
	    " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
	    c->access_key, p.scope, buf_str(&names), signature);
	for (size_t i = 0; i < h.n; i++)
		if (h.lines[i] == NULL) {
			arena_full(a, e);
			goto out;
		}
	*out = h;
	rc = 0;
out:
	buf_done(&names);
	return rc;
}

int
sigv4_presign(const struct sigv4_credentials *c, const struct sigv4_request *r,
    int64_t expires_s, struct buf *out, struct err *e)
{
	struct parts p;
	struct buf credential, names, query;
	char expires[24], signature[HEX_LEN + 1];
	int rc = -1;

	buf_init(&credential, CANONICAL_MAX);
	buf_init(&names, CANONICAL_MAX);
	buf_init(&query, CANONICAL_MAX);
	if (gather(r, &p, e) != 0)
		goto out;
	qsort(p.headers, p.nheaders, sizeof *p.headers, compare_pairs);
	if (put_names(&p, &names, e) != 0 ||
	    buf_printf(&credential, e, "%s/%s", c->access_key, p.scope) != 0)
		goto out;
	snprintf(expires, sizeof expires, "%lld", (long long)expires_s);
	add(p.query, &p.nquery, "X-Amz-Algorithm", ALGORITHM);
	add(p.query, &p.nquery, "X-Amz-Credential", buf_str(&credential));
	add(p.query, &p.nquery, "X-Amz-Date", p.stamp);
	add(p.query, &p.nquery, "X-Amz-Expires", expires);
	add(p.query, &p.nquery, "X-Amz-SignedHeaders", buf_str(&names));
	if (c->session_token != NULL)
		add(p.query, &p.nquery, "X-Amz-Security-Token",
		    c->session_token);
	if (make_signature(c, r, &p, signature, e) != 0 ||
	    put_query(&p, &query, e) != 0 ||
	    buf_printf(&query, e, "&X-Amz-Signature=%s", signature) != 0)
		goto out;
	rc = buf_append(out, query.data, query.len, e);
out:
	buf_done(&credential);
	buf_done(&names);
	buf_done(&query);
	return rc;
}

int
sigv4_query(const struct sigv4_request *r, struct buf *out, struct err *e)
{
	struct parts p;

	if (gather(r, &p, e) != 0)
		return -1;
	return put_query(&p, out, e);
}

int
sigv4_canonical(const struct sigv4_request *r, struct buf *out, struct err *e)
{
	struct parts p;

	if (gather(r, &p, e) != 0)
		return -1;
	add_signed_headers(r, &p);
	return put_canonical(r, &p, out, e);
}
