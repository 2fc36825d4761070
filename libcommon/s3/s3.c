#include "s3_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../codec/base64.h"
#include "../codec/sha256.h"
#include "../core/arena.h"
#include "../core/err.h"
#include "../core/num.h"
#include "../nix/objkey.h"
#include "sigv4.h"

#define SCRATCH_MAX ((size_t)1 << 20)
#define URL_MAX     ((size_t)32 << 10)
#define BUCKET_MAX  255
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
	{ "AccessDenied", ERR_FORBIDDEN, NULL },
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

static int
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

/*
 * "host", "host:port", "[::1]:port", each with an optional scheme before and a
 * slash behind. *name gets the host alone, *port "" when it is the scheme's.
 */
static int
parse_endpoint(const char *text, int use_tls, int *tls, char name[256],
    char port[8], struct err *e)
{
	const char *p = text != NULL ? text : "", *colon;
	size_t n, digits;
	uint64_t number;

	*tls = use_tls;
	if (strncasecmp(p, "https://", 8) == 0) {
		*tls = 1;
		p += 8;
	} else if (strncasecmp(p, "http://", 7) == 0) {
		*tls = 0;
		p += 7;
	}
	if (*p == '[') {
		n = 1 + strspn(p + 1, "0123456789abcdefABCDEF:.");
		if (p[n++] != ']')
			goto bad;
	} else
		n = strspn(p,
		    "abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
	if (n == 0 || n >= 256)
		goto bad;
	colon = p + n;
	port[0] = '\0';
	digits = 0;
	if (*colon == ':') {
		digits = strcspn(++colon, "/");
		if (num_parse_u64(colon, digits, 65535, &number, NULL) != 0)
			goto bad;
		if (number != (*tls ? 443 : 80))
			snprintf(port, 8, ":%u", (unsigned)number);
	}
	if (colon[digits] != '\0' && strcmp(colon + digits, "/") != 0)
		goto bad;
	for (size_t i = 0; i < n; i++)
		name[i] = tolower((unsigned char)p[i]);
	name[n] = '\0';
	return 0;
bad:
	/* Not the text itself: somebody may have put a password into it. */
	return err_set(
	    e, ERR_INVALID, "S3 endpoint: not [http://|https://]HOST[:PORT]");
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

/* These go into header lines. */
static int
check_secret(const struct secret *s, const char *what, struct err *e)
{
	if (s == NULL || s->len == 0)
		return err_set(e, ERR_INVALID, "S3 %s: missing", what);
	for (size_t i = 0; i < s->len; i++)
		if (s->data[i] <= ' ' || s->data[i] > '~')
			return err_set(e, ERR_INVALID,
			    "S3 %s: not visible ASCII only", what);
	return 0;
}

/* "eu-west-1" of "s3.eu-west-1.amazonaws.com", else the first region. */
static char *
guess_region(const char *name)
{
	const char *end = strstr(name, ".amazonaws.com"), *p;
	char *region;

	if (end == NULL)
		return xstrdup("us-east-1");
	for (p = end; p > name && p[-1] != '.'; p--)
		;
	if (strncmp(p, "s3-", 3) == 0)
		p += 3;
	if (memchr(p, '-', end - p) == NULL)
		return xstrdup("us-east-1");
	region = xstrdup(p);
	region[end - p] = '\0';
	return region;
}

int
s3_new(const struct s3_options *o, struct s3 **out, struct err *e)
{
	char name[256], port[8], base[sizeof name + BUCKET_MAX + 32];
	char root[BUCKET_MAX + 2];
	int tls, dns;
	struct s3 *s;

	if (parse_endpoint(o->endpoint, o->use_tls, &tls, name, port, e) != 0 ||
	    check_bucket(o->bucket, e) != 0 ||
	    check_secret(o->access_key, "access key", e) != 0 ||
	    check_secret(o->secret_key, "secret key", e) != 0 ||
	    (o->session_token != NULL && o->session_token->len > 0 &&
	        check_secret(o->session_token, "session token", e) != 0))
		return -1;
	if (o->secret_key->len > SIGV4_SECRET_MAX)
		return err_set(e, ERR_INVALID, "S3 secret key: over %d bytes",
		    SIGV4_SECRET_MAX);
	/* A certificate for *.HOST does not cover a dot in the bucket. */
	dns = o->lookup == S3_LOOKUP_DNS ||
	    (o->lookup == S3_LOOKUP_AUTO &&
	        (ends_with(name, ".amazonaws.com") ||
	            ends_with(name, ".amazonaws.com.cn") ||
	            strcmp(name, "storage.googleapis.com") == 0) &&
	        !(tls && strchr(o->bucket, '.') != NULL));
	s = xcalloc(1, sizeof *s);
	snprintf(base, sizeof base, "%s%s%s%s%s", tls ? "https://" : "http://",
	    dns ? o->bucket : "", dns ? "." : "", name, port);
	snprintf(root, sizeof root, "/%s", o->bucket);
	s->base = xstrdup(base);
	s->host = strstr(s->base, "//") + 2;
	s->root = xstrdup(dns ? "" : root);
	s->bucket = xstrdup(o->bucket);
	s->region = o->region != NULL && o->region[0] != '\0'
	    ? xstrdup(o->region)
	    : guess_region(name);
	s->ca_file = o->ca_file != NULL ? xstrdup(o->ca_file) : NULL;
	s->stall_ms = o->stall_ms;
	s->tried = o->tried;
	s->ctx = o->ctx;
	s->seen_ms = INT64_MIN;
	s3_rate_init(&s->rate, o->rate);
	if (secret_set(&s->access_key, o->access_key->data, o->access_key->len,
	        e) != 0 ||
	    secret_set(&s->secret_key, o->secret_key->data, o->secret_key->len,
	        e) != 0 ||
	    (o->session_token != NULL && o->session_token->len > 0 &&
	        secret_set(&s->session_token, o->session_token->data,
	            o->session_token->len, e) != 0)) {
		s3_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

void
s3_free(struct s3 *s)
{
	if (s == NULL)
		return;
	secret_done(&s->access_key);
	secret_done(&s->secret_key);
	secret_done(&s->session_token);
	s3_rate_done(&s->rate);
	free(s->base);
	free(s->root);
	free(s->bucket);
	free(s->region);
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

struct sigv4_credentials
s3_credentials(const struct s3 *s)
{
	return (struct sigv4_credentials){
		.access_key = s->access_key.data,
		.secret_key = s->secret_key.data,
		.session_token = s->session_token.data,
	};
}

int
s3_sigv4(const struct s3 *s, const char *method, const char *key,
    struct arena *a, struct sigv4_request *out, struct err *e)
{
	char *path;

	if (key != NULL && (key[0] == '\0' || strlen(key) > OBJKEY_MAX))
		return err_set(e, ERR_INVALID, "%s: a key of %zu bytes", method,
		    strlen(key));
	path = arena_printf(a, "%s/%s", s->root, key != NULL ? key : "");
	if (path == NULL)
		return arena_full(a, e);
	*out = (struct sigv4_request){
		.method = method,
		.host = s->host,
		.path = path,
		.region = s->region,
		.service = "s3",
		.wall_s = clock_wall_us() / 1000000,
	};
	return 0;
}

int
s3_url(const struct s3 *s, const char *path, struct buf *out, struct err *e)
{
	if (buf_puts(out, s->base, e) != 0)
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
	struct sigv4_credentials keys = s3_credentials(c->s3);
	struct sigv4_request q;
	struct sigv4_headers signed_lines;
	const char *lines[SIGV4_SIGNED_MAX + SIGV4_HEADERS_MAX];
	size_t n = 0;
	struct buf url;
	int rc = -1;

	arena_reset(c->scratch);
	buf_reset(&c->answer);
	buf_init(&url, URL_MAX);
	if (s3_sigv4(c->s3, r->method, r->key, c->scratch, &q, e) != 0)
		goto out;
	q.query = r->query;
	q.nquery = r->nquery;
	q.headers = r->headers;
	q.nheaders = r->nheaders;
	q.payload_sha256 = sha256_hex;
	if (sigv4_sign(&keys, &q, c->scratch, &signed_lines, e) != 0 ||
	    s3_url(c->s3, q.path, &url, e) != 0 ||
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
		err_prefix(e, "%s bucket %s", r->method, t->c->s3->bucket);
}

static enum verdict
faulty(struct attempt *t, const struct s3_fault *f, struct err *e)
{
	const struct secret *token = &t->c->s3->session_token;
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
	if (token->len > 0 && strstr(message, token->data) != NULL)
		message = "";
	err_set(e, kind, "%s%s%s (status %d)",
	    f->code[0] != '\0' ? f->code : "no reason given",
	    message[0] != '\0' ? ": " : "", message, status);
	name_request(t, e);
	if (code != NULL && code->hint != NULL)
		err_hint(e, "%s", code->hint);
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
	struct s3_fault f = { "", "" };
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
	if (t->r->begin != NULL)
		t->r->begin(t->r->ctx);
	v = judge(t, send_try(t, sha256_hex, d, e), e);
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
