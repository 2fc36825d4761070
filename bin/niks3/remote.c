#include "remote.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/http/client.h"
#include "../../proto/bodies.h"
#include "credential.h"

#define TRIES_MAX    6
#define BODY_MAX     ((size_t)512 << 20)
#define ANSWER_MAX   ((size_t)512 << 20)
#define PACK_FROM    ((size_t)4096) /* bodies from this size are compressed */
#define ERROR_MEMORY ((size_t)1 << 20)

struct remote {
	const struct remote_config *config;
	char *url; /* without a trailing slash */
	const char *host;
	struct credential *credential;
	const volatile int *cancel;
	atomic_uint_fast64_t requests;
};

struct remote_conn {
	struct remote *remote;
	struct http_client *http;
	struct zstream *z;
	struct buf body, packed, answer, url;
};

int
remote_check_url(const char *url)
{
	size_t scheme = strncmp(url, "http://", 7) == 0 ? 7
	    : strncmp(url, "https://", 8) == 0          ? 8
	                                                : 0;

	return scheme > 0 && strpbrk(url, "?# \t\r\n") == NULL &&
	        url[scheme + strspn(url + scheme, "/")] != '\0'
	    ? 0
	    : -1;
}

int
remote_new(const struct remote_config *c, struct remote **out, struct err *e)
{
	struct remote *r = xcalloc(1, sizeof *r);
	size_t len;

	r->config = c;
	r->url = xstrdup(c->server_url);
	for (len = strlen(r->url); len > 0 && r->url[len - 1] == '/'; len--)
		r->url[len - 1] = '\0';
	if (remote_check_url(c->server_url) != 0) {
		err_set(e, ERR_USAGE, "server URL %s: not an http(s) URL",
		    c->server_url);
		goto fail;
	}
	r->host = strstr(r->url, "://") + 3;
	if ((c->client_cert != NULL) != (c->client_key != NULL)) {
		err_set(e, ERR_USAGE,
		    "--client-cert and --client-key go "
		    "together");
		goto fail;
	}
	if (credential_new(c, &r->credential, e) != 0)
		goto fail;
	http_client_global_init();
	*out = r;
	return 0;
fail:
	remote_free(r);
	return -1;
}

void
remote_free(struct remote *r)
{
	if (r == NULL)
		return;
	credential_free(r->credential);
	free(r->url);
	free(r);
}

void
remote_cancel_by(struct remote *r, const volatile int *cancel)
{
	r->cancel = cancel;
}

const char *
remote_host(const struct remote *r)
{
	return r->host;
}

uint64_t
remote_requests(const struct remote *r)
{
	return atomic_load(&r->requests);
}

struct remote_conn *
remote_conn_new(struct remote *r)
{
	struct remote_conn *c = xcalloc(1, sizeof *c);

	c->remote = r;
	c->http = http_client_new(&(struct http_client_options){
	    .ca_file = r->config->ca_cert,
	    .client_cert = r->config->client_cert,
	    .client_key = r->config->client_key,
	    .user_agent = "niks3/" NIKS3_VERSION,
	    .stall_ms = REMOTE_CALL_MS, /* a commit may think for long */
	});
	buf_init(&c->body, BODY_MAX);
	buf_init(&c->packed, BODY_MAX);
	buf_init(&c->answer, ANSWER_MAX);
	buf_init(&c->url, 8192);
	return c;
}

void
remote_conn_free(struct remote_conn *c)
{
	if (c == NULL)
		return;
	http_client_free(c->http);
	zstream_free(c->z);
	buf_done(&c->body);
	buf_done(&c->packed);
	buf_done(&c->answer);
	buf_done(&c->url);
	free(c);
}

/* What somebody else answers in the server's place, a proxy without a server, say,
 * tells nothing of what was asked. */
static int
foreign_error(const struct remote_conn *c, int status, struct err *e)
{
	enum err_kind kind = err_kind_by_http(status);

	if (!err_retryable(kind) && kind != ERR_UNAUTHORIZED &&
	    kind != ERR_FORBIDDEN)
		kind = ERR_VERSION;
	err_set(e, kind, "the server %s answered %d", c->remote->host, status);
	return err_hint(e, "is that a niks3 server, or a proxy before it?");
}

/* The error that the server described, or what its status says. */
static void
answered_error(const struct remote_conn *c, const struct remote_call *call,
    int status, struct err *e)
{
	struct arena *a = arena_new(ERROR_MEMORY);
	struct api_error body;

	if (json_decode(&api_error_desc, c->answer.data, c->answer.len, a,
	        &body, NULL) == 0) {
		err_set(e, err_kind_by_name(body.error.kind), "%s",
		    body.error.message);
		if (body.error.hint != NULL)
			err_hint(e, "%s", body.error.hint);
		if (body.error.missing.n > 0)
			err_prefix(e, "%s and %zu more",
			    body.error.missing.items[0],
			    body.error.missing.n - 1);
		if (call->busy != NULL)
			*call->busy = body.error.run;
	} else {
		foreign_error(c, status, e);
	}
	if (status == 401)
		err_hint(e, "check the API token");
	arena_free(a);
}

static int
encode_body(struct remote_conn *c, const struct remote_call *call,
    struct http_call *http, struct err *e)
{
	buf_reset(&c->body);
	if (call->request == NULL)
		return 0;
	if (json_encode(call->request_desc, call->request, &c->body, e) != 0)
		return -1;
	http->body = c->body.data;
	http->body_len = c->body.len;
	http->nheaders = 1;
	if (c->body.len < PACK_FROM)
		return 0;
	if (c->z == NULL)
		c->z = zstream_new(1, 0);
	buf_reset(&c->packed);
	if (zstream_pack(c->z, c->body.data, c->body.len, &c->packed, e) != 0)
		return -1;
	http->body = c->packed.data;
	http->body_len = c->packed.len;
	http->nheaders = 2;
	return 0;
}

int
remote_call(struct remote_conn *c, const struct remote_call *call,
    struct arena *a, struct err *e)
{
	static const char *const headers[] = {
		"Content-Type: application/json",
		"Content-Encoding: zstd",
	};
	struct remote *r = c->remote;
	struct http_answer answer;
	struct http_call http = {
		.method = call->method,
		.headers = headers,
		.deadline = call->deadline,
		.response = &c->answer,
		.cancel = call->stubborn ? NULL : r->cancel,
	};
	int rc;

	if (call->busy != NULL)
		*call->busy = 0;
	buf_reset(&c->url);
	if (buf_printf(&c->url, e, "%s%s", r->url, call->path) != 0 ||
	    encode_body(c, call, &http, e) != 0)
		return -1;
	http.url = buf_str(&c->url);
	for (unsigned n = 0;; n++) {
		struct secret token = { 0 };
		int64_t pause = clock_backoff(n, 100, 5000);

		buf_reset(&c->answer);
		err_clear(e);
		atomic_fetch_add(&r->requests, 1);
		/* Each time: an old one may have been replaced. */
		if (credential_get(r->credential, call->deadline, &token, e) !=
		    0)
			return -1;
		http.bearer = token.len > 0 ? token.data : NULL;
		rc = http_call(c->http, &http, &answer, e);
		secret_done(&token);
		if (rc == 0) {
			if (answer.status < 300)
				break;
			answered_error(c, call, answer.status, e);
			if (answer.retry_after_ms > pause)
				pause = answer.retry_after_ms;
		} else {
			err_prefix(e, "server %s", r->host);
		}
		if (!err_retryable(e->kind) || n + 1 == TRIES_MAX ||
		    deadline_left(call->deadline) <= pause)
			return -1;
		clock_sleep(pause, call->deadline);
		if (http.cancel != NULL && *http.cancel)
			return err_set(e, ERR_CANCELED, "interrupted");
	}
	if (call->reply == NULL)
		return 0;
	if (json_decode(call->reply_desc, c->answer.data, c->answer.len, a,
	        call->reply, e) != 0)
		return err_prefix(e, "answer of the server %s", r->host);
	return 0;
}
