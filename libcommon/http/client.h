/*
 * HTTP client over libcurl: one handle per thread, blocking calls, keep-alive.
 *
 * Only this file's implementation knows libcurl. Redirects are not followed, no
 * .netrc, no cookies; http and https only. Proxies come from the usual
 * environment unless the address is a loopback one.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../core/clock.h"

struct buf;
struct err;
struct sandbox;
struct http_client;

struct http_client_options {
	const char *ca_file; /* PEM that replaces the system roots, or NULL */
	const char *client_cert; /* PEM, with client_key; or NULL */
	const char *client_key;
	const char *user_agent;
	int direct;         /* never by a proxy */
	int64_t connect_ms; /* 0: 10 s */
	/* A transfer that moves fewer than 1 byte/s for so long is given up, so
	 * a big body on a slow line may take its time; 0: 60 s. */
	int64_t stall_ms;
};

/*
 * Process-wide start, before threads; idempotent. SIGPIPE is ignored from then
 * on, unless the program has a handler: TLS writes to whoever hung up.
 */
void http_client_global_init(void);

/* Strings are copied. Never NULL. Not thread-safe: one per thread. */
struct http_client *http_client_new(const struct http_client_options *o);
void http_client_free(struct http_client *c); /* takes NULL */

/* "Name: value" */
#define HTTP_HEADERS_MAX 64

struct http_call {
	const char *method; /* "GET", "HEAD", "PUT", "POST", "DELETE" */
	const char *url;
	const char *const *headers; /* "Name: value" lines */
	size_t nheaders;
	const char *bearer; /* sent as Authorization: Bearer; or NULL */
	const void *body;   /* NULL: none. Content-Length is always sent. */
	size_t body_len;
	deadline_t deadline; /* of the whole call */
	/* Over a connection of its own: a kept one may turn out to be closed
	 * only when the request is sent. */
	int fresh;
	/* Where the answer's body goes: response (appended, its maximum is the
	 * limit), or sink when not NULL. */
	struct buf *response;
	int (*sink)(void *ctx, const void *p, size_t n, struct err *e);
	void *sink_ctx;
	/* Checked about every second and on every progress; nonzero gives the
	 * call up with ERR_CANCELED. May be NULL. */
	const volatile int *cancel;
};

struct http_answer {
	int status;
	char etag[256]; /* with its quotes, as it came; "" when none */
	char content_type[128];
	char content_encoding[32]; /* or x-amz-meta-content-encoding */
	char content_range[64];
	char last_modified[64];
	char date[64];          /* of the answer, as it came */
	char request_id[128];   /* x-amz-request-id or x-request-id */
	char bucket_region[64]; /* x-amz-bucket-region */
	int64_t retry_after_ms; /* -1 when none */
	int64_t content_length; /* -1 when unknown */
	int sent;               /* 1 when any byte of the request may have
				    reached the peer */
};

/*
 * One request, no retries. 0 when an answer came, whatever its status; -1 when
 * none did: ERR_UNAVAILABLE (could not connect, connection lost: out->sent tells
 * whether the peer may have acted), ERR_TIMEOUT, ERR_CANCELED, ERR_TOO_LARGE,
 * ERR_INVALID (bad URL or header), ERR_CORRUPT (answer is no HTTP, or cut
 * short), ERR_UNAUTHORIZED (TLS: the peer's certificate is not trusted),
 * ERR_INTERNAL (a certificate or key file of ours cannot be used), or what the
 * sink said. On failure only out->sent means anything. When the sink is called,
 * the answer's status and headers stand in *out already. Texts never contain
 * the query part of a URL.
 */
int http_call(struct http_client *c, const struct http_call *call,
    struct http_answer *out, struct err *e);

/*
 * A body that is pulled instead, by whoever has room for it: http_open sends
 * the request and waits for the head (until call->deadline; response, sink and
 * cancel are not looked at), http_read gets what follows. While nobody reads,
 * nothing is received. One stream a client, and no call beside it. out is as
 * http_call leaves it, and so are the errors. The URL must live until
 * http_close.
 */
int http_open(struct http_client *c, const struct http_call *call,
    struct http_answer *out, struct err *e);
/*
 * The next bytes, as many as fit if they come until d; 0 at the end. max is
 * HTTP_READ_MIN or more, or else all that is left of a body of known length.
 */
#define HTTP_READ_MIN 16384
ssize_t http_read(
    struct http_client *c, void *buf, size_t max, deadline_t d, struct err *e);
/*
 * Ends a stream by giving away its connection: what was received already is put
 * into buf (HTTP_DETACH_MIN bytes or more), and *fd is a non-blocking socket from
 * which the rest can be read, the caller's to close. Only where the bytes of the
 * socket are those of the body: -1, with nothing changed, for TLS and for a body
 * of unknown length. *n is always what is in buf: when that is not 0 and -1 is
 * returned it is what a read would have given.
 */
#define HTTP_DETACH_MIN 131072
int http_detach(
    struct http_client *c, void *buf, size_t max, size_t *n, int *fd);
/* Ends a stream, and its connection too unless it was read to the end. */
void http_close(struct http_client *c);

/* What a client of url (or, when that is NULL, of any) needs in a sandbox: names of
 * hosts, authorities, and the port. */
void http_client_needs(const char *url, const char *ca_file, struct sandbox *s);

/* RFC 3986, section 2.3: letters, digits and "-._~". */
int http_unreserved(unsigned char c);
/* Percent-encodes all but unreserved characters; slash != 0 keeps '/'. */
int http_escape(
    struct buf *out, const char *s, size_t len, int slash, struct err *e);

#endif
