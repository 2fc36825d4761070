#include "s3_internal.h"

#include <stdio.h>
#include <string.h>

#include "../codec/base64.h"
#include "../codec/sha256.h"
#include "../core/arena.h"
#include "../core/err.h"
#include "../core/map.h"
#include "../core/num.h"

/* A bucket that was there so lately still is: saves a question per 404. */
#define SEEN_MS 10000

/* ---- bucket ---- */

int
s3_bucket_check(struct s3_conn *c, deadline_t d, struct err *e)
{
	struct s3_request r = { .op = S3_OP_BUCKET, .method = "HEAD" };
	struct err inner;

	if (s3_request(c, &r, d, NULL, &inner) == 0)
		return 0;
	if (inner.kind == ERR_NOT_FOUND)
		err_set(&inner, ERR_NOT_FOUND, "bucket %s does not exist",
		    c->s3->where.bucket);
	if (e != NULL)
		*e = inner;
	return -1;
}

int
s3_clock(struct s3_conn *c, deadline_t d, int64_t *ahead_s, struct err *e)
{
	struct s3_request r = { .op = S3_OP_BUCKET, .method = "HEAD" };
	struct s3_reply reply = { .unsure = 0 };
	struct err inner = ERR_INIT;
	int64_t date;

	if (s3_request(c, &r, d, &reply, &inner) != 0 &&
	    reply.http.status == 0) {
		if (e != NULL)
			*e = inner;
		return -1;
	}
	if ((date = clock_parse_http(reply.http.date)) == -1)
		return err_set(e, ERR_CORRUPT, "HEAD: an answer without date");
	*ahead_s = date - clock_wall_us() / 1000000;
	return 0;
}

/* ---- put ---- */

struct comparison {
	const struct s3_put *p;
	size_t at;
	int differs;
};

static int
compare(void *ctx, const void *bytes, size_t n, struct err *e)
{
	struct comparison *m = ctx;

	m->differs = n > m->p->len - m->at ||
	    memcmp((const char *)m->p->data + m->at, bytes, n) != 0;
	m->at += n;
	return m->differs ? err_set(e, ERR_CONFLICT, "not ours") : 0;
}

/*
 * Nobody knows whether a conditional put was carried out. When other bytes are
 * there, it was not. The same bytes may be ours or not.
 */
static int
is_taken(struct s3_conn *c, const struct s3_put *p, deadline_t d)
{
	struct comparison m = { .p = p };
	int rc = s3_get(c, p->key, 0, 0, NULL, compare, &m, d, NULL);

	return m.differs || (rc == 0 && m.at != p->len);
}

int
s3_put(struct s3_conn *c, const struct s3_put *p, deadline_t d, struct err *e)
{
	const char *headers[3][2];
	struct s3_request r = { .op = S3_OP_PUT,
		.method = "PUT",
		.key = p->key,
		.headers = headers,
		.body = p->data,
		.len = p->len,
		.once = p->if_none_match };
	struct s3_reply reply;
	int rc;

	if (p->content_type != NULL) {
		headers[r.nheaders][0] = "content-type";
		headers[r.nheaders++][1] = p->content_type;
	}
	if (p->content_encoding != NULL) {
		headers[r.nheaders][0] = "content-encoding";
		headers[r.nheaders++][1] = p->content_encoding;
	}
	if (p->if_none_match) {
		headers[r.nheaders][0] = "if-none-match";
		headers[r.nheaders++][1] = "*";
	}
	rc = s3_request(c, &r, d, &reply, e);
	if (p->unsure != NULL && reply.unsure)
		*p->unsure = 1;
	if (rc == 0)
		return 0;
	if (p->if_none_match && reply.unsure && is_taken(c, p, d))
		return err_set(
		    e, ERR_CONFLICT, "PUT %s: exists already", p->key);
	return -1;
}

int
s3_create_check(
    struct s3_conn *c, const struct s3_put *there, deadline_t d, struct err *e)
{
	struct s3_put p = *there;
	struct err inner = ERR_INIT;

	p.if_none_match = 1;
	if (s3_put(c, &p, d, &inner) == 0)
		err_set(&inner, ERR_INVALID,
		    "the server overwrites %s, though it is asked not to by "
		    "If-None-Match",
		    p.key);
	else if (inner.kind == ERR_CONFLICT)
		return 0;
	else if (inner.kind == ERR_INVALID)
		err_prefix(
		    &inner, "the server does not take If-None-Match on a PUT");
	if (inner.kind == ERR_INVALID)
		err_hint(&inner,
		    "NARs must never be overwritten: use a server that has "
		    "conditional writes");
	if (e != NULL)
		*e = inner;
	return -1;
}

/* ---- head ---- */

int
s3_head(struct s3_conn *c, const char *key, deadline_t d, struct s3_stat *out,
    struct err *e)
{
	struct s3_request r = {
		.op = S3_OP_HEAD, .method = "HEAD", .key = key
	};
	struct s3_reply reply;
	struct err inner;

	if (s3_request(c, &r, d, &reply, &inner) == 0) {
		if (reply.http.content_length < 0)
			return err_set(e, ERR_UNAVAILABLE,
			    "HEAD %s: answer without a length", key);
		out->size = reply.http.content_length;
		s3_etag_trim(out->etag, reply.http.etag);
		return 0;
	}
	/* A 404 of HEAD has no body: the key, or the whole bucket? */
	if (inner.kind == ERR_NOT_FOUND &&
	    clock_mono_ms() - SEEN_MS > c->s3->seen_ms) {
		struct err why;
		if (s3_bucket_check(c, d, &why) != 0) {
			inner = why;
			if (inner.kind == ERR_NOT_FOUND)
				inner.kind = ERR_INTERNAL;
			err_prefix(&inner, "HEAD %s", key);
		}
	}
	if (e != NULL)
		*e = inner;
	return -1;
}

/* ---- get ---- */

struct getting {
	struct s3_request r;
	uint64_t next, to; /* the byte that is wanted next; the last, or 0 */
	char range[64], etag[256];
	const char *headers[2][2];
	struct buf *out;
	int (*sink)(void *ctx, const void *p, size_t n, struct err *e);
	void *sink_ctx;
};

/* Asks for what is still missing, of the object that it was. */
static void
get_begin(void *ctx)
{
	struct getting *g = ctx;

	if (g->next == 0 && g->to == 0)
		return;
	if (g->to != 0)
		snprintf(g->range, sizeof g->range, "bytes=%llu-%llu",
		    (unsigned long long)g->next, (unsigned long long)g->to);
	else
		snprintf(g->range, sizeof g->range, "bytes=%llu-",
		    (unsigned long long)g->next);
	g->headers[0][0] = "range";
	g->headers[0][1] = g->range;
	g->r.nheaders = 1;
	if (g->etag[0] != '\0') {
		g->headers[1][0] = "if-match";
		g->headers[1][1] = g->etag;
		g->r.nheaders = 2;
	}
}

static int
get_sink(void *ctx, const struct http_answer *a, const void *p, size_t n,
    struct err *e)
{
	struct getting *g = ctx;

	if (g->r.nheaders > 0 && a->status != 206)
		return err_set(e, ERR_CORRUPT,
		    "the whole came where a part was asked for");
	if (g->to != 0 && n > g->to - g->next + 1)
		return err_set(e, ERR_CORRUPT, "more came than was asked for");
	if ((g->sink != NULL ? g->sink(g->sink_ctx, p, n, e)
	                     : buf_append(g->out, p, n, e)) != 0)
		return -1;
	g->next += n;
	/* Without a tag, what comes later might be of another object. */
	if (a->etag[0] == '\0')
		g->r.once = 1;
	memcpy(g->etag, a->etag, sizeof g->etag);
	return 0;
}

int
s3_get(struct s3_conn *c, const char *key, uint64_t from, uint64_t to,
    struct buf *out,
    int (*sink)(void *ctx, const void *p, size_t n, struct err *e),
    void *sink_ctx, deadline_t d, struct err *e)
{
	struct getting g = {
		.r = { .op = S3_OP_GET,
		    .method = "GET",
		    .key = key,
		    .begin = get_begin,
		    .sink = get_sink },
		.next = to != 0 ? from : 0,
		.to = to,
		.out = out,
		.sink = sink,
		.sink_ctx = sink_ctx,
	};
	size_t before = out != NULL ? out->len : 0;

	if (to != 0 && from > to)
		return err_set(e, ERR_INVALID, "GET %s: bytes %llu to %llu",
		    key, (unsigned long long)from, (unsigned long long)to);
	g.r.ctx = &g;
	g.r.headers = g.headers;
	if (s3_request(c, &g.r, d, NULL, e) == 0)
		return 0;
	if (out != NULL)
		out->len = before;
	return -1;
}

/* ---- delete ---- */

static const char no_word[] = "the server said nothing about this key";

struct deletion {
	struct map *index; /* key -> result */
	struct arena *a;
	struct s3_delete_result *results;
	size_t n;
	int throttled;
	/* Of the <Deleted> or <Error> under way. */
	char key[S3_XML_TEXT_MAX + 1];
	struct s3_fault fault;
};

static void
forget(struct s3_delete_result *results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		results[i] =
		    (struct s3_delete_result){ S3_DELETE_UNKNOWN, no_word };
}

static void
not_deleted(struct s3_delete_result *r, enum err_kind kind, struct arena *a,
    const char *fmt, const char *one, const char *two)
{
	r->state = err_retryable(kind) ? S3_DELETE_UNKNOWN : S3_DELETE_REFUSED;
	r->message = arena_printf(a, fmt, one, two);
	if (r->message == NULL)
		r->message = err_text(kind);
}

static int
delete_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	struct deletion *d = ctx;

	(void)e;
	if (strcmp(parent, "Deleted") != 0 && strcmp(parent, "Error") != 0)
		return 0;
	if (strcmp(name, "Key") == 0)
		snprintf(d->key, sizeof d->key, "%s", text);
	else if (strcmp(name, "Code") == 0)
		snprintf(d->fault.code, sizeof d->fault.code, "%s", text);
	else if (strcmp(name, "Message") == 0)
		snprintf(d->fault.message, sizeof d->fault.message, "%s", text);
	return 0;
}

static int
delete_end(void *ctx, const char *name, struct err *e)
{
	struct deletion *d = ctx;
	struct s3_delete_result *r = map_get(d->index, d->key, strlen(d->key));
	const char *code = d->fault.code;

	(void)e;
	if (r != NULL &&
	    (strcmp(name, "Deleted") == 0 ||
	        (strcmp(name, "Error") == 0 && strcmp(code, "NoSuchKey") == 0)))
		*r = (struct s3_delete_result){ S3_DELETED, NULL };
	else if (r != NULL && strcmp(name, "Error") == 0) {
		not_deleted(r, s3_code_kind(code, 0), d->a, "%s %s", code,
		    d->fault.message);
		d->throttled |= s3_code_throttles(code);
	}
	d->key[0] = '\0';
	d->fault = (struct s3_fault){ "", "" };
	return 0;
}

static int
delete_read(void *ctx, const struct buf *body, struct err *e)
{
	static const struct s3_xml x = { "DeleteResult", delete_leaf,
		delete_end };
	struct deletion *d = ctx;

	forget(d->results, d->n);
	return s3_xml_parse(body, &x, d, e);
}

/* One request for the keys in the index. */
static int
delete_batch(struct s3_conn *c, const char *const *keys, struct deletion *del,
    deadline_t d, struct s3_reply *reply, struct err *e)
{
	static const char *const query[][2] = { { "delete", "" } };
	const char *headers[2][2] = { { "content-type", "application/xml" },
		{ "content-md5" } };
	struct s3_request r = { .op = S3_OP_DELETE_MANY,
		.method = "POST",
		.query = query,
		.nquery = 1,
		.headers = headers,
		.nheaders = 2,
		.once = 1,
		.read = delete_read,
		.ctx = del };
	uint8_t hash[MD5_LEN];
	char md5_text[BASE64_LEN(MD5_LEN) + 1];
	struct buf xml;
	int rc = -1;

	buf_init(&xml, S3_ANSWER_MAX);
	if (buf_puts(&xml,
	        "<Delete xmlns=\"http://s3.amazonaws.com/doc/"
	        "2006-03-01/\">",
	        e) != 0)
		goto out;
	for (size_t i = 0; i < del->n; i++) {
		if (map_get(del->index, keys[i], strlen(keys[i])) !=
		    &del->results[i])
			continue;
		if (buf_puts(&xml, "<Object><Key>", e) != 0 ||
		    s3_xml_escape(&xml, keys[i], e) != 0 ||
		    buf_puts(&xml, "</Key></Object>", e) != 0)
			goto out;
	}
	if (buf_puts(&xml, "</Delete>", e) != 0)
		goto out;
	/* Some servers insist, though the body's SHA-256 is signed. */
	md5(xml.data, xml.len, hash);
	base64_fmt(md5_text, hash, sizeof hash);
	headers[1][1] = md5_text;
	r.body = xml.data;
	r.len = xml.len;
	rc = s3_request(c, &r, d, reply, e);
out:
	buf_done(&xml);
	return rc;
}

static void
delete_one(struct s3_conn *c, const char *key, struct arena *a,
    struct s3_delete_result *out, deadline_t d)
{
	struct s3_request r = {
		.op = S3_OP_DELETE, .method = "DELETE", .key = key, .once = 1
	};
	struct err e;

	if (s3_request(c, &r, d, NULL, &e) == 0 || e.kind == ERR_NOT_FOUND)
		*out = (struct s3_delete_result){ S3_DELETED, NULL };
	else
		not_deleted(out, e.kind, a, "%s%s", e.msg, "");
}

static int
knows_no_batch(const struct s3_reply *r)
{
	return r->http.status == 501 || r->http.status == 405 ||
	    strcmp(r->code, "NotImplemented") == 0 ||
	    strcmp(r->code, "MethodNotAllowed") == 0 ||
	    strcmp(r->code, "MalformedXML") == 0;
}

int
s3_delete(struct s3_conn *c, const char *const *keys, size_t n, struct arena *a,
    struct s3_delete_result *results, deadline_t d, struct err *e)
{
	struct map *index = map_new(n);
	struct deletion del = {
		.index = index, .a = a, .results = results, .n = n
	};
	struct s3_reply reply = { .unsure = 0 };
	int rc = -1;

	if (n > S3_DELETE_MAX) {
		err_set(e, ERR_INVALID, "delete: %zu keys", n);
		goto out;
	}
	forget(results, n);
	for (size_t i = 0; i < n; i++)
		if (s3_xml_can_carry(keys[i]) &&
		    map_get(index, keys[i], strlen(keys[i])) == NULL)
			map_put(index, keys[i], strlen(keys[i]), &results[i]);
	if (map_len(index) > 0 &&
	    delete_batch(c, keys, &del, d, &reply, e) != 0) {
		forget(results, n);
		if (!knows_no_batch(&reply))
			goto out;
		map_free(index);
		index = map_new(0);
	}
	if (del.throttled)
		s3_rate_lower(&c->s3->rate, clock_mono_us(), clock_mono_us());
	for (size_t i = 0; i < n; i++) {
		struct s3_delete_result *first =
		    map_get(index, keys[i], strlen(keys[i]));
		if (first == NULL)
			delete_one(c, keys[i], a, &results[i], d);
		else if (first != &results[i]) /* the key stands here twice */
			results[i] = *first;
	}
	rc = 0;
out:
	map_free(index);
	return rc;
}

/* ---- list ---- */

struct listing {
	struct arena *a;
	struct s3_item *items;
	char **keys; /* the items', to be unescaped at the end */
	size_t n, max;
	char *token;
	int escaped, more;
	struct s3_item item; /* the <Contents> under way */
	char *key;
};

static int
list_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	struct listing *l = ctx;

	if (strcmp(parent, "ListBucketResult") == 0) {
		if (strcmp(name, "EncodingType") == 0)
			l->escaped = strcmp(text, "url") == 0;
		else if (strcmp(name, "IsTruncated") == 0)
			l->more = strcmp(text, "true") == 0;
		else if (strcmp(name, "NextContinuationToken") == 0 &&
		    (l->token = arena_str(l->a, text)) == NULL)
			return arena_full(l->a, e);
		return 0;
	}
	if (strcmp(parent, "Contents") != 0)
		return 0;
	if (strcmp(name, "Key") == 0) {
		if ((l->key = arena_str(l->a, text)) == NULL)
			return arena_full(l->a, e);
	} else if (strcmp(name, "Size") == 0)
		return num_parse_u64(
		    text, strlen(text), INT64_MAX, &l->item.size, e);
	else if (strcmp(name, "LastModified") == 0)
		return s3_time_parse(text, &l->item.modified_s, e);
	else if (strcmp(name, "ETag") == 0) {
		char etag[256];
		s3_etag_trim(etag, text);
		if ((l->item.etag = arena_str(l->a, etag)) == NULL)
			return arena_full(l->a, e);
	}
	return 0;
}

static int
list_end(void *ctx, const char *name, struct err *e)
{
	struct listing *l = ctx;

	if (strcmp(name, "Contents") != 0)
		return 0;
	if (l->n == l->max)
		return err_set(e, ERR_CORRUPT, "more keys than asked for");
	if (l->key == NULL)
		return err_set(e, ERR_CORRUPT, "an object without a key");
	if (l->item.etag == NULL)
		l->item.etag = "";
	l->keys[l->n] = l->key;
	l->items[l->n++] = l->item;
	l->key = NULL;
	l->item = (struct s3_item){ .key = NULL };
	return 0;
}

static int
list_read(void *ctx, const struct buf *body, struct err *e)
{
	static const struct s3_xml x = { "ListBucketResult", list_leaf,
		list_end };
	struct listing *l = ctx;

	*l = (struct listing){
		.a = l->a, .items = l->items, .keys = l->keys, .max = l->max
	};
	if (s3_xml_parse(body, &x, l, e) != 0)
		return -1;
	if (l->more && l->token == NULL)
		return err_set(
		    e, ERR_CORRUPT, "cut, without a token for the rest");
	for (size_t i = 0; i < l->n; i++) {
		if (l->escaped && s3_unescape(l->keys[i], e) != 0)
			return -1;
		l->items[i].key = l->keys[i];
	}
	return 0;
}

int
s3_list(struct s3_conn *c, const char *prefix, const char *token, size_t max,
    struct arena *a, struct s3_list *out, deadline_t d, struct err *e)
{
	char count[24];
	const char *query[5][2] = { { "list-type", "2" },
		{ "encoding-type", "url" }, { "max-keys", count },
		{ "prefix", prefix != NULL ? prefix : "" },
		{ "continuation-token", token } };
	struct listing l = { .a = a, .max = max };
	struct s3_request r = { .op = S3_OP_LIST,
		.method = "GET",
		.query = query,
		.nquery = token != NULL ? 5 : 4,
		.read = list_read,
		.ctx = &l };

	if (max == 0 || max > 1000)
		return err_set(e, ERR_INVALID, "list: %zu keys a page", max);
	snprintf(count, sizeof count, "%zu", max);
	l.items = arena_array(a, max, sizeof *l.items);
	l.keys = arena_array(a, max, sizeof *l.keys);
	if (l.items == NULL || l.keys == NULL)
		return arena_full(a, e);
	if (s3_request(c, &r, d, NULL, e) != 0)
		return -1;
	/* Would never end. */
	if (l.more && token != NULL && strcmp(l.token, token) == 0)
		return err_set(e, ERR_UNAVAILABLE, "list: the same page again");
	*out = (struct s3_list){ l.items, l.n, l.more ? l.token : NULL };
	return 0;
}
