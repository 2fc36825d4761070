#include "s3_internal.h"

#include <stdio.h>
#include <string.h>

#include "../codec/base64.h"
#include "../codec/sha256.h"
#include "../core/arena.h"
#include "../core/err.h"
#include "sigv4.h"

#define URL_MAX ((size_t)32 << 10)

/* What the credentials will not live to see must not be promised. */
static int
check_life(int64_t life_s, int64_t wanted_s, struct err *e)
{
	if (life_s >= S3_GRANT_MIN_S || life_s >= wanted_s)
		return 0;
	return err_set(e, ERR_UNAVAILABLE,
	    "sign: the credentials end in %lld s, and there are no new ones",
	    (long long)life_s);
}

/* As a client of ours reaches it; the region is the bucket's. */
static struct s3_place
place_of_clients(const struct s3 *s)
{
	const struct s3_place *ours = s->where.now;
	struct s3_place p = *ours;

	if (s->clients != NULL) {
		p = s->clients->first;
		p.region = ours->region;
	}
	return p;
}

int
s3_authorize_put(struct s3 *s, const struct s3_authorize *p, struct arena *a,
    const char **url, const char *headers[S3_AUTHORIZE_HEADERS_MAX],
    size_t *nheaders, struct err *e)
{
	char hex[2 * SHA256_LEN + 1], length[24], part[16];
	const char *query[2][2] = { { "partNumber", part },
		{ "uploadId", p->upload_id } };
	const char *extra[4][2] = { { "content-length", length } };
	const struct s3_place where = place_of_clients(s);
	struct s3_keys *keys = NULL;
	struct sigv4_credentials c;
	struct sigv4_request q;
	struct sigv4_headers signed_lines;
	const char *lines[S3_AUTHORIZE_HEADERS_MAX], *text;
	int64_t lifetime_s = S3_AUTHORIZE_LIFETIME_S, life_s;
	size_t n = 0;
	struct buf b;
	int rc = -1;

	buf_init(&b, URL_MAX);
	if (s3_keys_get(s, deadline_in(0), &keys, e) != 0 ||
	    s3_sigv4(&where, "PUT", p->key, a, &q, e) != 0)
		goto out;
	c = s3_keys_sigv4(keys);
	life_s = s3_keys_life_s(keys);
	if (p->lifetime_s > 0 && p->lifetime_s < lifetime_s)
		lifetime_s = p->lifetime_s;
	if (check_life(life_s, lifetime_s, e) != 0)
		goto out;
	if (lifetime_s > life_s)
		lifetime_s = life_s;
	hex_fmt(hex, p->sha256, SHA256_LEN);
	snprintf(length, sizeof length, "%llu", (unsigned long long)p->size);
	snprintf(part, sizeof part, "%u", (unsigned)p->part);
	q.wall_s -= S3_AUTHORIZE_LIFETIME_S - lifetime_s;
	q.payload_sha256 = hex;
	q.headers = extra;
	q.nheaders = 1;
	if (p->content_type != NULL) {
		extra[q.nheaders][0] = "content-type";
		extra[q.nheaders++][1] = p->content_type;
	}
	if (p->content_encoding != NULL) {
		extra[q.nheaders][0] = "content-encoding";
		extra[q.nheaders++][1] = p->content_encoding;
	}
	if (p->if_none_match) {
		extra[q.nheaders][0] = "if-none-match";
		extra[q.nheaders++][1] = "*";
	}
	if (p->upload_id != NULL) {
		q.query = query;
		q.nquery = 2;
	}
	if (sigv4_sign(&c, &q, a, &signed_lines, e) != 0 ||
	    s3_url(&where, q.path, &b, e) != 0 ||
	    (q.nquery > 0 &&
	        (buf_putc(&b, '?', e) != 0 || sigv4_query(&q, &b, e) != 0)))
		goto out;
	for (size_t i = 0; i < signed_lines.n; i++)
		lines[n++] = signed_lines.lines[i];
	/* The length is the sender's to say. */
	for (size_t i = 1; i < q.nheaders; i++)
		lines[n++] =
		    arena_printf(a, "%s: %s", extra[i][0], extra[i][1]);
	text = arena_str(a, buf_str(&b));
	if (text == NULL || (q.nheaders > 1 && lines[n - 1] == NULL)) {
		arena_full(a, e);
		goto out;
	}
	memcpy(headers, lines, n * sizeof *lines);
	*nheaders = n;
	*url = text;
	if (p->granted_s != NULL)
		*p->granted_s = lifetime_s;
	rc = 0;
out:
	s3_keys_drop(keys);
	buf_done(&b);
	return rc;
}

static int
presign(struct s3 *s, const struct s3_place *where, const char *method,
    const char *key, const char *const (*query)[2], size_t nquery,
    int64_t expires_s, struct arena *a, const char **url, struct err *e)
{
	struct s3_keys *keys = NULL;
	struct sigv4_credentials c;
	struct sigv4_request q;
	const char *text;
	int64_t life_s;
	struct buf b;
	int rc = -1;

	buf_init(&b, URL_MAX);
	if (expires_s < 1 || expires_s > S3_PRESIGN_MAX_S) {
		err_set(e, ERR_INVALID, "presign for %lld seconds",
		    (long long)expires_s);
		goto out;
	}
	if (s3_keys_get(s, deadline_in(0), &keys, e) != 0 ||
	    s3_sigv4(where, method, key, a, &q, e) != 0)
		goto out;
	c = s3_keys_sigv4(keys);
	life_s = s3_keys_life_s(keys);
	if (check_life(life_s, expires_s, e) != 0)
		goto out;
	q.query = query;
	q.nquery = nquery;
	q.payload_sha256 = "UNSIGNED-PAYLOAD";
	if (s3_url(where, q.path, &b, e) != 0 || buf_putc(&b, '?', e) != 0 ||
	    sigv4_presign(
	        &c, &q, expires_s < life_s ? expires_s : life_s, &b, e) != 0)
		goto out;
	if ((text = arena_str(a, buf_str(&b))) == NULL) {
		arena_full(a, e);
		goto out;
	}
	*url = text;
	rc = 0;
out:
	s3_keys_drop(keys);
	buf_done(&b);
	return rc;
}

int
s3_presign_get(struct s3 *s, const char *method, const char *key,
    int64_t expires_s, struct arena *a, const char **url, struct err *e)
{
	return presign(
	    s, s->where.now, method, key, NULL, 0, expires_s, a, url, e);
}

int
s3_presign_put(struct s3 *s, const char *key, const char *upload_id,
    uint32_t part, int64_t expires_s, struct arena *a, const char **url,
    struct err *e)
{
	char number[12];
	const char *const query[][2] = { { "partNumber", number },
		{ "uploadId", upload_id } };
	const struct s3_place where = place_of_clients(s);

	snprintf(number, sizeof number, "%u", (unsigned)part);
	return presign(s, &where, "PUT", key, query, upload_id != NULL ? 2 : 0,
	    expires_s, a, url, e);
}
