#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../codec/jsonscan.h"
#include "../core/err.h"
#include "s3_cred_internal.h"
#include "s3_internal.h"
#include "sigv4.h"

#define ACCESS_MAX 128 /* bytes: IAM, "AccessKey" */
#define WORD_MAX   64  /* of a time or a code */

/* ---- one question ---- */

struct intake {
	struct secret *answer;
	size_t len;
};

static int
take(void *ctx, const void *p, size_t n, struct err *e)
{
	struct intake *in = ctx;

	if (n > in->answer->len - in->len)
		return err_set(e, ERR_TOO_LARGE, "an answer over %d bytes",
		    S3_CRED_ANSWER_MAX);
	memcpy(in->answer->data + in->len, p, n);
	in->len += n;
	return 0;
}

int
s3_cred_ask(struct http_client *http, const struct s3_cred_ask *q,
    struct secret *answer, int *status, struct err *e)
{
	struct secret text = { 0 };
	struct intake in = { .answer = &text };
	struct http_answer head;

	if (secret_zero(&text, S3_CRED_ANSWER_MAX, e) != 0)
		return -1;
	if (http_call(http,
	        &(struct http_call){ .method = q->method,
	            .url = q->url,
	            .headers = q->headers,
	            .nheaders = q->nheaders,
	            .body = q->body != NULL ? q->body->data : NULL,
	            .body_len = q->body != NULL ? q->body->len : 0,
	            .deadline = deadline_in(S3_CRED_MS),
	            .sink = take,
	            .sink_ctx = &in,
	            .cancel = q->cancel },
	        &head, e) != 0) {
		secret_done(&text);
		return -1;
	}
	text.len = in.len;
	secret_done(answer);
	*answer = text;
	*status = head.status;
	return 0;
}

int
s3_cred_line(struct secret *out, const char *name, const struct secret *value,
    struct err *e)
{
	size_t len = strlen(name) + 2 + value->len;

	if (secret_zero(out, len, e) != 0)
		return -1;
	snprintf(out->data, len + 1, "%s: %s", name, value->data);
	return 0;
}

/* ---- the answer ---- */

struct answer {
	struct secret access_key, secret_key, token;
	char code[WORD_MAX + 1], expires[WORD_MAX + 1];
};

/* A string is unescaped where it is to stay. */
static int
read_secret(struct jsonscan *s, size_t max, struct secret *out, struct err *e)
{
	struct jsonscan_raw raw;

	if (jsonscan_null(s))
		return 0;
	if (secret_zero(out, max, e) != 0 || jsonscan_string(s, &raw, e) != 0 ||
	    jsonscan_text(raw, out->data, max + 1, e) != 0)
		return -1;
	out->len = strlen(out->data);
	return 0;
}

static int
read_word(struct jsonscan *s, char out[WORD_MAX + 1], struct err *e)
{
	struct jsonscan_raw raw;

	if (jsonscan_string(s, &raw, e) != 0)
		return -1;
	return jsonscan_text(raw, out, WORD_MAX + 1, e);
}

static int
read_member(struct jsonscan *s, struct jsonscan_raw key, struct answer *a,
    struct err *e)
{
	if (jsonscan_is(key, "AccessKeyId"))
		return read_secret(s, ACCESS_MAX, &a->access_key, e);
	if (jsonscan_is(key, "SecretAccessKey"))
		return read_secret(s, SIGV4_SECRET_MAX, &a->secret_key, e);
	if (jsonscan_is(key, "Token"))
		return read_secret(s, S3_KEYS_TOKEN_MAX, &a->token, e);
	if (jsonscan_is(key, "Expiration"))
		return read_word(s, a->expires, e);
	if (jsonscan_is(key, "Code"))
		return read_word(s, a->code, e);
	return jsonscan_skip(s, e);
}

static int
read_answer(struct jsonscan *s, struct answer *a, struct err *e)
{
	struct jsonscan_raw key;
	size_t n = 0;
	int rc;

	if (!jsonscan_take(s, '{'))
		return err_set(e, ERR_INVALID, "no JSON object");
	while ((rc = jsonscan_member(s, &key, &n, e)) > 0)
		if (read_member(s, key, a, e) != 0)
			return -1;
	return rc == 0 ? jsonscan_end(s, e) : -1;
}

int
s3_cred_parse(const struct secret *json, struct s3_keys **out, struct err *e)
{
	struct jsonscan s = { json->data, json->data + json->len };
	struct answer a = { .expires = "" };
	int64_t expires_s;
	int rc = -1;

	/* The texts of these errors quote nothing else of the answer. */
	if (read_answer(&s, &a, e) != 0)
		;
	else if (a.code[0] != '\0' && strcmp(a.code, "Success") != 0)
		err_set(e, ERR_CORRUPT, "no success but %s", a.code);
	else if (s3_time_parse(a.expires, &expires_s, e) == 0)
		rc = s3_keys_new(
		    &a.access_key, &a.secret_key, &a.token, expires_s, out, e);
	if (rc != 0) {
		if (e != NULL)
			e->kind = ERR_CORRUPT;
		err_prefix(e, "the answer");
	}
	secret_done(&a.access_key);
	secret_done(&a.secret_key);
	secret_done(&a.token);
	return rc;
}

/* ---- addresses ---- */

int
s3_cred_url(const char *url, struct s3_cred_url *out, struct err *e)
{
	struct s3_cred_url u = { .tls = 1 };
	const char *p = url, *host;
	size_t n;

	if (strncasecmp(p, "https://", 8) == 0)
		p += 8;
	else if (strncasecmp(p, "http://", 7) == 0) {
		u.tls = 0;
		p += 7;
	} else
		goto bad;
	host = p;
	if (*p == '[') {
		host = p + 1;
		n = strspn(host, "0123456789abcdefABCDEF:.");
		if (host[n] != ']')
			goto bad;
		p = host + n + 1;
	} else {
		n = strspn(host,
		    "abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._");
		p = host + n;
	}
	if (n == 0 || n >= sizeof u.host)
		goto bad;
	if (*p == ':')
		p += 1 + strspn(p + 1, "0123456789");
	/* An "@" would make all before it a user, and another host of it. */
	if (*p != '\0' && *p != '/' && *p != '?')
		goto bad;
	for (size_t i = 0; i < n; i++)
		u.host[i] =
		    host[i] >= 'A' && host[i] <= 'Z' ? host[i] + 32 : host[i];
	*out = u;
	return 0;
bad:
	return err_set(
	    e, ERR_INVALID, "not http(s)://HOST[:PORT][/PATH], without a user");
}

int
s3_cred_loopback(const char *host)
{
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	    (strncmp(host, "127.", 4) == 0 &&
	        host[strspn(host, "0123456789.")] == '\0');
}
