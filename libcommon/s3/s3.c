#include "s3_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../codec/base64.h"
#include "../codec/sha256.h"
#include "../core/arena.h"
#include "../core/err.h"
#include "../core/sandbox.h"
#include "../nix/objkey.h"
#include "s3_cred_internal.h"
#include "sigv4.h"

#define SCRATCH_MAX ((size_t)1 << 20)
#define URL_MAX     ((size_t)32 << 10)
#define RETRY_MS    50    /* the first pause is at most so long */
#define RETRY_CAP   10000 /* and every later one */

/* ---- codes ---- */

/* S3 says more in the code than in the status (API Reference, "Error
 * responses"). Codes that are not here go by their status. */
static const struct code {
	const char *name;
	enum err_kind kind;
	const char *hint;
} codes[] = {
	{ "AccessDenied", ERR_FORBIDDEN,
	    "check the keys, and what they are allowed" },
	{ "AuthorizationHeaderMalformed", ERR_INVALID,
	    "set the region to the bucket's" },
	{ "BadDigest", ERR_CORRUPT, NULL },
	/* Somebody else is at this key just now; nothing was done. */
	{ "ConditionalRequestConflict", ERR_UNAVAILABLE, NULL },
	{ "EntityTooLarge", ERR_TOO_LARGE, NULL },
	{ "ExpiredToken", ERR_FORBIDDEN, "renew the session token" },
	{ "InternalError", ERR_UNAVAILABLE, NULL },
	{ "InvalidAccessKeyId", ERR_FORBIDDEN, "check the access key" },
	{ "InvalidPart", ERR_INVALID, NULL },
	{ "InvalidPartOrder", ERR_INVALID, NULL },
	{ "InvalidToken", ERR_FORBIDDEN, "check the session token" },
	{ "MethodNotAllowed", ERR_INVALID, NULL },
	/* So that NOT_FOUND always speaks of the key or the upload. */
	{ "NoSuchBucket", ERR_INTERNAL, "check the bucket's name" },
	{ "NoSuchKey", ERR_NOT_FOUND, NULL },
	{ "NoSuchUpload", ERR_NOT_FOUND, NULL },
	{ "NotImplemented", ERR_INVALID, NULL },
	{ "OperationAborted", ERR_UNAVAILABLE, NULL },
	{ "PermanentRedirect", ERR_INVALID,
	    "set the endpoint and the region to the bucket's" },
	{ "PreconditionFailed", ERR_CONFLICT, NULL },
	{ "RequestLimitExceeded", ERR_THROTTLED, NULL },
	{ "RequestThrottled", ERR_THROTTLED, NULL },
	{ "RequestTimeTooSkewed", ERR_FORBIDDEN, "set the clock" },
	{ "RequestTimeout", ERR_TIMEOUT, NULL },
	{ "ServiceUnavailable", ERR_UNAVAILABLE, NULL },
	{ "SignatureDoesNotMatch", ERR_FORBIDDEN, "check the secret key" },
	{ "SlowDown", ERR_THROTTLED, NULL },
	{ "SlowDownRead", ERR_THROTTLED, NULL },
	{ "SlowDownWrite", ERR_THROTTLED, NULL },
	{ "Throttling", ERR_THROTTLED, NULL },
	{ "ThrottlingException", ERR_THROTTLED, NULL },
	{ "XAmzContentSHA256Mismatch", ERR_CORRUPT, NULL },
};

static const struct code *
find_code(const char *name)
{
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strcmp(codes[i].name, name) == 0)
			return &codes[i];
	return NULL;
}

enum err_kind
s3_code_kind(const char *name, int status)
{
	const struct code *code = find_code(name);

	if (code != NULL)
		return code->kind;
	switch (status) {
	case 0:
		return ERR_UNAVAILABLE;
	case 412:
		return ERR_CONFLICT;
	case 501:
		return ERR_INVALID;
	default:
		return err_kind_by_http(status);
	}
}

int
s3_code_throttles(const char *name)
{
	const struct code *code = find_code(name);

	return code != NULL && code->kind == ERR_THROTTLED;
}

/* ---- options ---- */

/* A URL, with its scheme: it is not for our own network. */
static int
set_public_url(struct s3 *s, const struct s3_options *o, struct err *e)
{
	struct s3_places *places;

	if (o->public_url == NULL || o->public_url[0] == '\0')
		return 0;
	if (strncasecmp(o->public_url, "http://", 7) != 0 &&
	    strncasecmp(o->public_url, "https://", 8) != 0)
		return err_set(e, ERR_INVALID,
		    "public URL of S3: not http[s]://HOST[:PORT]");
	places = xcalloc(1, sizeof *places);
	if (s3_place_init(places, o, o->public_url, e) != 0) {
		free(places);
		return err_prefix(e, "public URL of S3");
	}
	s->clients = places;
	return 0;
}

int
s3_new(const struct s3_options *o, struct s3 **out, struct err *e)
{
	struct s3_keys *keys = NULL;
	struct s3 *s;

	if (o->cred == NULL &&
	    s3_keys_new(o->access_key, o->secret_key, o->session_token,
	        INT64_MAX, &keys, e) != 0)
		return -1;
	s = xcalloc(1, sizeof *s);
	if (s3_place_init(&s->where, o, o->endpoint, e) != 0) {
		s3_keys_drop(keys);
		free(s);
		return -1;
	}
	if (set_public_url(s, o, e) != 0) {
		s3_place_done(&s->where);
		s3_keys_drop(keys);
		free(s);
		return -1;
	}
	s->keys = keys;
	s->cred = o->cred;
	s->ca_file = o->ca_file != NULL ? xstrdup(o->ca_file) : NULL;
	s->stall_ms = o->stall_ms;
	s->tried = o->tried;
	s->ctx = o->ctx;
	s->seen_ms = INT64_MIN;
	s3_rate_init(&s->rate, o->rate);
	*out = s;
	return 0;
}

void
s3_free(struct s3 *s)
{
	if (s == NULL)
		return;
	s3_keys_drop(s->keys);
	s3_place_done(&s->where);
	if (s->clients != NULL)
		s3_place_done(s->clients);
	free(s->clients);
	s3_rate_done(&s->rate);
	free(s->ca_file);
	free(s);
}

struct s3_conn *
s3_conn_new(struct s3 *s)
{
	struct s3_conn *c = xcalloc(1, sizeof *c);

	c->s3 = s;
	c->http = http_client_new(
	    &(struct http_client_options){ .ca_file = s->ca_file,
	        .user_agent = "niks3",
	        .stall_ms = s->stall_ms });
	c->scratch = arena_new(SCRATCH_MAX);
	buf_init(&c->answer, S3_ANSWER_MAX);
	return c;
}

void
s3_conn_free(struct s3_conn *c)
{
	if (c == NULL)
		return;
	http_client_free(c->http);
	arena_free(c->scratch);
	buf_done(&c->answer);
	free(c);
}

void
s3_needs(const struct s3 *s, struct sandbox *box)
{
	http_client_needs(s->where.first.base, s->ca_file, box);
	if (s->cred != NULL)
		s3_cred_needs(s->cred, box);
}

void
s3_counts(struct s3 *s, struct s3_counts *out)
{
	*out = (struct s3_counts){
		.requests = s->requests,
		.errors = s->errors,
		.throttled = s->throttled,
		.retries = s->retries,
		.bytes_out = s->bytes_out,
		.bytes_in = s->bytes_in,
		.rate = s3_rate_get(&s->rate),
	};
}

/* ---- one request ---- */

int
s3_sigv4(const struct s3_place *where, const char *method, const char *key,
    struct arena *a, struct sigv4_request *out, struct err *e)
{
	char *path;

	if (key != NULL && (key[0] == '\0' || strlen(key) > OBJKEY_MAX))
		return err_set(e, ERR_INVALID, "%s: a key of %zu bytes", method,
		    strlen(key));
	path = arena_printf(a, "%s/%s", where->root, key != NULL ? key : "");
	if (path == NULL)
		return arena_full(a, e);
	*out = (struct sigv4_request){
		.method = method,
		.host = where->host,
		.path = path,
		.region = where->region,
		.service = "s3",
		.wall_s = clock_wall_us() / 1000000,
	};
	return 0;
}

int
s3_url(const struct s3_place *where, const char *path, struct buf *out,
    struct err *e)
{
	if (buf_puts(out, where->base, e) != 0)
		return -1;
	return http_escape(out, path, strlen(path), 1, e);
}

void
s3_etag_trim(char out[256], const char *etag)
{
	size_t n;

	if (*etag == '"')
		etag++;
	n = strcspn(etag, "\"");
	if (n > 255)
		n = 255;
	memcpy(out, etag, n);
	out[n] = '\0';
}

/* What became of one try. */
enum verdict {
	DONE,
	REFUSED,  /* for good */
	NOT_DONE, /* not carried out: trying again is safe */
	UNKNOWN,
};

struct attempt {
	struct s3_conn *c;
	const struct s3_request *r;
	struct s3_reply *reply;
	const struct s3_place *where; /* that it was sent to */
	struct s3_keys *keys;         /* that it was signed with; or NULL */
	int sunk; /* the sink failed, which is no fault of the server */
};

static int
on_body(void *ctx, const void *p, size_t n, struct err *e)
{
	struct attempt *t = ctx;

	atomic_fetch_add(&t->c->s3->bytes_in, n);
	if (t->r->sink == NULL || t->reply->http.status / 100 != 2)
		return buf_append(&t->c->answer, p, n, e);
	if (t->r->sink(t->r->ctx, &t->reply->http, p, n, e) == 0)
		return 0;
	t->sunk = 1;
	return -1;
}

/* Signs and sends. sha256 is the body's, in hex. */
static int
send_try(struct attempt *t, const char *sha256_hex, deadline_t d, struct err *e)
{
	struct s3_conn *c = t->c;
	const struct s3_request *r = t->r;
	struct sigv4_credentials keys = s3_keys_sigv4(t->keys);
	struct sigv4_request q;
	struct sigv4_headers signed_lines;
	const char *lines[SIGV4_SIGNED_MAX + SIGV4_HEADERS_MAX];
	size_t n = 0;
	struct buf url;
	int rc = -1;

	arena_reset(c->scratch);
	buf_reset(&c->answer);
	buf_init(&url, URL_MAX);
	if (s3_sigv4(t->where, r->method, r->key, c->scratch, &q, e) != 0)
		goto out;
	q.query = r->query;
	q.nquery = r->nquery;
	q.headers = r->headers;
	q.nheaders = r->nheaders;
	q.payload_sha256 = sha256_hex;
	if (sigv4_sign(&keys, &q, c->scratch, &signed_lines, e) != 0 ||
	    s3_url(t->where, q.path, &url, e) != 0 ||
	    (r->nquery > 0 &&
	        (buf_putc(&url, '?', e) != 0 || sigv4_query(&q, &url, e) != 0)))
		goto out;
	for (size_t i = 0; i < signed_lines.n; i++)
		lines[n++] = signed_lines.lines[i];
	for (size_t i = 0; i < r->nheaders; i++)
		if ((lines[n++] = arena_printf(c->scratch, "%s: %s",
		         r->headers[i][0], r->headers[i][1])) == NULL) {
			arena_full(c->scratch, e);
			goto out;
		}
	atomic_fetch_add(&c->s3->requests, 1);
	atomic_fetch_add(&c->s3->bytes_out, r->len);
	rc = http_call(c->http,
	    &(struct http_call){ .method = r->method,
	        .url = buf_str(&url),
	        .headers = lines,
	        .nheaders = n,
	        .body = r->body,
	        .body_len = r->len,
	        .deadline = d,
	        .fresh = r->once,
	        .sink = on_body,
	        .sink_ctx = t },
	    &t->reply->http, e);
out:
	buf_done(&url);
	return rc;
}

/*
 * Nothing that can be used came back. That a fixed limit is too small for the
 * answer to a question will not change by asking again; all else may.
 */
static enum verdict
unusable(const struct s3_request *r, struct err *e)
{
	if (e->kind == ERR_TOO_LARGE && strcmp(r->method, "GET") == 0)
		return REFUSED;
	e->kind = ERR_UNAVAILABLE;
	return UNKNOWN;
}

static enum verdict
no_answer(const struct attempt *t, struct err *e)
{
	if (t->sunk)
		return REFUSED;
	switch (e->kind) {
	case ERR_UNAVAILABLE:
	case ERR_TIMEOUT:
		return t->reply->http.sent ? UNKNOWN : NOT_DONE;
	case ERR_CORRUPT:
	case ERR_TOO_LARGE:
		return t->reply->http.sent ? unusable(t->r, e) : REFUSED;
	default:
		return REFUSED;
	}
}

/* What was asked, for texts. */
static void
name_request(const struct attempt *t, struct err *e)
{
	const struct s3_request *r = t->r;

	if (r->key != NULL)
		err_prefix(e, "%s %s", r->method, r->key);
	else
		err_prefix(
		    e, "%s bucket %s", r->method, t->c->s3->where.bucket);
}

/* May a refusal mean the credentials? HEAD tells no code, and Ceph calls a key
 * that it does not know AccessDenied when it has an STS. */
static int
is_of_keys(const struct attempt *t, const struct s3_fault *f)
{
	static const char *const names[] = { "AccessDenied", "ExpiredToken",
		"InvalidAccessKeyId", "InvalidToken", "InvalidTokenId",
		"TokenRefreshRequired" };
	int status = t->reply->http.status;

	if (f->code[0] == '\0' && strcmp(t->r->method, "HEAD") == 0)
		return status == 400 || status == 403;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(f->code, names[i]) == 0)
			return 1;
	return 0;
}

/* Which region the bucket is in, when that is why S3 refused; else "". */
static const char *
region_told(const struct attempt *t, const struct s3_fault *f)
{
	int status = t->reply->http.status;

	if (strcmp(f->code, "AuthorizationHeaderMalformed") == 0 &&
	    f->region[0] != '\0')
		return f->region;
	return status == 301 || status == 307 || status == 400
	    ? t->reply->http.bucket_region
	    : "";
}

/* Something is to be mended here, and then the request will do. */
static int
is_mended(struct attempt *t, const struct s3_fault *f, struct err *e)
{
	struct s3 *s = t->c->s3;
	const char *region = region_told(t, f);

	if (region[0] != '\0' && strcmp(region, t->where->region) != 0) {
		if (s3_place_learn(&s->where, t->where, region))
			return 1;
		err_hint(e, "set the region to %s, as the server says", region);
	}
	return s->cred != NULL && is_of_keys(t, f) &&
	    s3_cred_reject(s->cred, t->keys);
}

static enum verdict
faulty(struct attempt *t, const struct s3_fault *f, struct err *e)
{
	int status = t->reply->http.status;
	const struct code *code = find_code(f->code);
	enum err_kind kind =
	    s3_code_kind(f->code, status / 100 == 2 ? 0 : status);
	const char *message = f->message;

	snprintf(t->reply->code, sizeof t->reply->code, "%s", f->code);
	/* Only what S3 itself says of a key counts, not some proxy's page. */
	if (status == 404 && f->code[0] == '\0' &&
	    strcmp(t->r->method, "HEAD") != 0)
		kind = ERR_UNAVAILABLE;
	/* The token is all that the other side could repeat to us. */
	if (s3_keys_tells(message, &t->keys->session_token))
		message = "";
	err_set(e, kind, "%s%s%s (status %d)",
	    f->code[0] != '\0' ? f->code : "no reason given",
	    message[0] != '\0' ? ": " : "", message, status);
	name_request(t, e);
	if (code != NULL && code->hint != NULL)
		err_hint(e, "%s", code->hint);
	if (is_mended(t, f, e)) {
		e->kind = ERR_UNAVAILABLE;
		return NOT_DONE;
	}
	if (!err_retryable(kind))
		return REFUSED;
	if (kind == ERR_THROTTLED || strcmp(f->code, "OperationAborted") == 0 ||
	    strcmp(f->code, "ConditionalRequestConflict") == 0)
		return NOT_DONE;
	return UNKNOWN;
}

static enum verdict
judge(struct attempt *t, int rc, struct err *e)
{
	struct s3_fault f = { "" };
	int status = t->reply->http.status;

	if (rc != 0)
		return no_answer(t, e);
	if (status / 100 == 2) {
		if (t->r->read == NULL ||
		    t->r->read(t->r->ctx, &t->c->answer, e) == 0)
			return DONE;
		/* Some errors come with a status of 200. */
		if (s3_fault_parse(&t->c->answer, &f) != 0) {
			err_prefix(e, "answer");
			name_request(t, e);
			return unusable(t->r, e);
		}
	} else
		(void)s3_fault_parse(&t->c->answer, &f);
	return faulty(t, &f, e);
}

static enum verdict
try_once(struct attempt *t, const char *sha256_hex, deadline_t d, struct err *e)
{
	struct s3 *s = t->c->s3;
	int64_t begun = clock_mono_us();
	enum verdict v;

	t->reply->http = (struct http_answer){ .retry_after_ms = -1 };
	t->reply->code[0] = '\0';
	t->sunk = 0;
	t->where = s->where.now;
	if (s3_keys_get(s, d, &t->keys, e) != 0)
		return NOT_DONE;
	if (t->r->begin != NULL)
		t->r->begin(t->r->ctx);
	v = judge(t, send_try(t, sha256_hex, d, e), e);
	s3_keys_drop(t->keys);
	if (v == DONE)
		s->seen_ms = clock_mono_ms();
	else if (t->reply->http.status != 404)
		atomic_fetch_add(&s->errors, 1);
	if (t->reply->http.status == 503 || t->reply->http.status == 429 ||
	    (v != DONE && e->kind == ERR_THROTTLED)) {
		atomic_fetch_add(&s->throttled, 1);
		s3_rate_lower(&s->rate, begun, clock_mono_us());
	} else if (t->reply->http.status != 0 && v != UNKNOWN)
		s3_rate_raise(&s->rate);
	if (s->tried != NULL)
		s->tried(s->ctx, t->r->op, v == DONE ? ERR_NONE : e->kind,
		    clock_mono_us() - begun);
	return v;
}

/* Waits for a token of the rate. */
static int
admit(struct s3 *s, deadline_t d)
{
	int64_t left = deadline_left(d);
	int64_t wait = s3_rate_take(&s->rate, clock_mono_us(),
	    left < INT64_MAX / 1000 ? left * 1000 : INT64_MAX);

	if (wait < 0)
		return -1;
	clock_sleep((wait + 500) / 1000, d);
	return 0;
}

int
s3_pause(
    struct s3_conn *c, unsigned n, const struct s3_reply *last, deadline_t d)
{
	int64_t pause = clock_backoff(n, RETRY_MS, RETRY_CAP);

	if (last->http.retry_after_ms > pause)
		pause = last->http.retry_after_ms;
	if (pause >= deadline_left(d))
		return -1;
	clock_sleep(pause, d);
	atomic_fetch_add(&c->s3->retries, 1);
	return 0;
}

int
s3_request(struct s3_conn *c, const struct s3_request *r, deadline_t d,
    struct s3_reply *out, struct err *e)
{
	struct err last = ERR_INIT;
	struct s3_reply reply = { .unsure = 0 };
	struct attempt t = { .c = c, .r = r, .reply = &reply };
	uint8_t hash[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	enum verdict v = NOT_DONE;

	sha256(r->body, r->len, hash);
	hex_fmt(hex, hash, sizeof hash);
	for (unsigned n = 0;; n++) {
		if (admit(c->s3, d) != 0) {
			if (n == 0)
				err_set(&last, ERR_THROTTLED,
				    "%s: waits, as the server allows only "
				    "%.1f requests a second",
				    r->method, s3_rate_get(&c->s3->rate));
			break;
		}
		v = try_once(&t, hex, d, &last);
		reply.unsure |= v == UNKNOWN;
		if (v == DONE || v == REFUSED || (v == UNKNOWN && r->once))
			break;
		if (s3_pause(c, n, &reply, d) != 0)
			break;
	}
	if (out != NULL)
		*out = reply;
	if (v == DONE)
		return 0;
	/* A refusal of the second try says nothing of the first. */
	if (v == REFUSED && reply.unsure && last.kind != ERR_NOT_FOUND &&
	    strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0) {
		last.kind = ERR_UNAVAILABLE;
		err_prefix(&last, "after a try whose outcome is unknown");
	}
	if (e != NULL)
		*e = last;
	return -1;
}
