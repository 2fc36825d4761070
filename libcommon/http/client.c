#include "client_internal.h"

#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../core/buf.h"
#include "../core/err.h"

#define CONNECT_MS  10000
#define STALL_MS    60000
#define BUFFER_SIZE 65536 /* bytes a read; curl's 16 KiB costs system calls */

static void
global_init(void)
{
	struct sigaction old;

	if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		err_die("libcurl does not start");
}

void
http_client_global_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, global_init);
}

/* The answer's headers that are kept, and where. */
#define FIELD(name, member)                                                  \
	{                                                                    \
		name, sizeof name - 1, offsetof(struct http_answer, member), \
		    sizeof((struct http_answer *)0)->member                  \
	}
static const struct field {
	const char *name;
	size_t len, offset, size;
} fields[] = {
	FIELD("etag", etag),
	FIELD("content-type", content_type),
	FIELD("content-encoding", content_encoding),
	/* As the Go programs once stored it where S3 drops the other. */
	FIELD("x-amz-meta-content-encoding", content_encoding),
	FIELD("content-range", content_range),
	FIELD("last-modified", last_modified),
	FIELD("date", date),
	FIELD("x-amz-request-id", request_id),
	FIELD("x-request-id", request_id),
	FIELD("x-amz-bucket-region", bucket_region),
};

/*
 * A server that does not switch Nagle's algorithm off keeps the body back until
 * its head is acknowledged, which the kernel would put off for 40 ms.
 */
static void
acknowledge(const struct http_client *c)
{
	for (size_t i = 0; i < c->nfds; i++)
		(void)setsockopt(c->fds[i], IPPROTO_TCP, TCP_QUICKACK,
		    &(int){ 1 }, sizeof(int));
}

static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_client *c = arg;
	int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);

	(void)purpose;
	if (fd >= 0 && c->nfds < CLIENT_FDS_MAX)
		c->fds[c->nfds++] = fd;
	return fd;
}

static int
on_close(void *arg, curl_socket_t fd)
{
	struct http_client *c = arg;

	for (size_t i = 0; i < c->nfds; i++)
		if (c->fds[i] == fd)
			c->fds[i] = c->fds[--c->nfds];
	return close(fd);
}

/* An answer may have several heads (100 Continue); the last one counts. */
static size_t
on_header(char *line, size_t size, size_t n, void *arg)
{
	struct http_client *c = arg;
	const struct field *f, *end = fields + sizeof fields / sizeof *fields;
	const char *value, *stop = line + size * n;
	char *to;

	if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		*c->answer = (struct http_answer){ .sent = 1 };
		acknowledge(c);
		return size * n;
	}
	for (f = fields; f < end; f++)
		if (n > f->len && line[f->len] == ':' &&
		    strncasecmp(line, f->name, f->len) == 0)
			break;
	if (f == end)
		return size * n;
	value = line + f->len + 1;
	while (value < stop && (*value == ' ' || *value == '\t'))
		value++;
	while (stop > value && strchr(" \t\r\n", stop[-1]) != NULL)
		stop--;
	/* One that is cut would be a wrong one. */
	if ((size_t)(stop - value) < f->size) {
		to = (char *)c->answer + f->offset;
		memcpy(to, value, stop - value);
		to[stop - value] = '\0';
	}
	return size * n;
}

void
client_head(struct http_client *c)
{
	long status = 0;
	curl_off_t length = -1, after = 0;

	if (c->head_done)
		return;
	c->head_done = 1;
	curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(c->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &after);
	c->answer->status = status;
	c->answer->content_length = length;
	c->answer->retry_after_ms = after > 0 ? after * 1000 : -1;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_client *c = arg;
	const struct http_call *call = c->call;
	int rc = 0;

	client_head(c);
	if (c->streaming)
		return client_stream_body(c, p, size * n);
	if (call->sink != NULL)
		rc = call->sink(call->sink_ctx, p, size * n, &c->inner);
	else if (call->response != NULL)
		rc = buf_append(call->response, p, size * n, &c->inner);
	return rc == 0 ? size * n : CURL_WRITEFUNC_ERROR;
}

/*
 * libcurl sends a request again, by itself, when a kept connection dies before
 * an answer. Whether that is safe is the caller's decision, so a second try is
 * refused.
 */
static int
on_request(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct http_client *c = arg;

	(void)peer, (void)local, (void)peer_port, (void)local_port;
	c->answer->sent = 1;
	return c->tries++ == 0 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static int
on_progress(void *arg, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
    curl_off_t ulnow)
{
	struct http_client *c = arg;

	(void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
	return *c->call->cancel;
}

struct http_client *
http_client_new(const struct http_client_options *o)
{
	struct http_client *c = xcalloc(1, sizeof *c);
	int64_t connect = o->connect_ms > 0 ? o->connect_ms : CONNECT_MS;
	int64_t stall = o->stall_ms > 0 ? o->stall_ms : STALL_MS;
	CURL *h;

	http_client_global_init();
	if ((h = c->easy = curl_easy_init()) == NULL)
		err_die("out of memory for an HTTP client");
	c->direct = o->direct;
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	curl_easy_setopt(h, CURLOPT_BUFFERSIZE, (long)BUFFER_SIZE);
	curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)connect);
	curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)(stall + 999) / 1000);
	curl_easy_setopt(h, CURLOPT_USERAGENT, o->user_agent);
	curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (o->ca_file != NULL) {
		curl_easy_setopt(h, CURLOPT_CAINFO, o->ca_file);
		curl_easy_setopt(h, CURLOPT_CAPATH, NULL);
	}
	curl_easy_setopt(h, CURLOPT_SSLCERT, o->client_cert);
	curl_easy_setopt(h, CURLOPT_SSLKEY, o->client_key);
	curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, c);
	curl_easy_setopt(h, CURLOPT_CLOSESOCKETFUNCTION, on_close);
	curl_easy_setopt(h, CURLOPT_CLOSESOCKETDATA, c);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(h, CURLOPT_PREREQFUNCTION, on_request);
	curl_easy_setopt(h, CURLOPT_PREREQDATA, c);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, c);
	return c;
}

void
http_client_free(struct http_client *c)
{
	if (c == NULL)
		return;
	http_close(c);
	curl_easy_cleanup(c->easy);
	curl_multi_cleanup(c->multi);
	free(c);
}

/* Where the host begins, and with *n how long host, port and path are. */
static const char *
place(const char *url, size_t *n)
{
	const char *host = strstr(url, "://"), *at;
	size_t authority;

	host = host != NULL ? host + 3 : url;
	authority = strcspn(host, "/?#");
	/* A password must not get into texts. */
	if ((at = memrchr(host, '@', authority)) != NULL)
		host = at + 1;
	*n = strcspn(host, "?#");
	return host;
}

static int
is_loopback(const char *url)
{
	size_t n;
	const char *host = place(url, &n);
	size_t name = strcspn(host, ":/?#");

	/* RFC 6761, section 6.3: also what is below "localhost". */
	return strncmp(host, "[::1]", 5) == 0 ||
	    (name >= 9 && strncasecmp(host + name - 9, "localhost", 9) == 0 &&
	        (name == 9 || host[name - 10] == '.')) ||
	    (strncmp(host, "127.", 4) == 0 &&
	        strspn(host, "0123456789.") == name);
}

static struct curl_slist *
add_line(struct curl_slist *l, const char *line)
{
	if ((l = curl_slist_append(l, line)) == NULL)
		err_die("out of memory for a header");
	return l;
}

/* Lines carry credentials, so they are wiped. */
static void
free_lines(struct curl_slist *l)
{
	for (struct curl_slist *i = l; i != NULL; i = i->next)
		explicit_bzero(i->data, strlen(i->data));
	curl_slist_free_all(l);
}

static int
make_lines(const struct http_call *call, struct curl_slist **out, struct err *e)
{
	struct curl_slist *l = NULL;
	const char *colon;
	int typed = 0;

	if (call->nheaders > HTTP_HEADERS_MAX)
		return err_set(e, ERR_INVALID, "%zu headers", call->nheaders);
	for (size_t i = 0; i < call->nheaders; i++) {
		const char *line = call->headers[i];
		colon = strchr(line, ':');
		/* Without a value, libcurl would take it for "leave out". */
		if (colon == NULL || colon == line ||
		    colon[1 + strspn(colon + 1, " \t")] == '\0' ||
		    strpbrk(line, "\r\n") != NULL) {
			free_lines(l);
			return err_set(e, ERR_INVALID,
			    "header %zu: no \"Name: value\" line", i);
		}
		typed |= strncasecmp(line, "content-type:", 13) == 0;
		l = add_line(l, line);
	}
	if (call->bearer != NULL) {
		size_t size = strlen(call->bearer) + 32;
		char *line = xmalloc(size);
		snprintf(line, size, "Authorization: Bearer %s", call->bearer);
		l = add_line(l, line);
		explicit_bzero(line, size);
		free(line);
	}
	if (!typed)
		l = add_line(l, "Content-Type:"); /* not a form */
	*out = add_line(l, "Expect:");            /* saves a round trip */
	return 0;
}

static void
set_method(CURL *h, const struct http_call *call)
{
	if (call->body != NULL || strcmp(call->method, "PUT") == 0 ||
	    strcmp(call->method, "POST") == 0) {
		/* Sent from where it is; when small, together with the head. */
		curl_easy_setopt(h, CURLOPT_POST, 1L);
		curl_easy_setopt(
		    h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
		curl_easy_setopt(h, CURLOPT_POSTFIELDS,
		    call->body != NULL ? call->body : "");
	} else if (strcmp(call->method, "HEAD") == 0)
		curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, call->method);
}

static enum err_kind
kind_of(const struct http_client *c, CURLcode code)
{
	switch (code) {
	case CURLE_URL_MALFORMAT:
	case CURLE_NOT_BUILT_IN:
		return ERR_INVALID;
	case CURLE_UNSUPPORTED_PROTOCOL: /* of the URL, or not HTTP at all */
		return c->answer->sent ? ERR_CORRUPT : ERR_INVALID;
	case CURLE_OPERATION_TIMEDOUT:
		return ERR_TIMEOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return ERR_UNAUTHORIZED;
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ENGINE_NOTFOUND:
	case CURLE_OUT_OF_MEMORY:
		/* The last is also a header larger than curl takes. */
		return c->answer->sent ? ERR_CORRUPT : ERR_INTERNAL;
	case CURLE_PARTIAL_FILE:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return ERR_CORRUPT;
	case CURLE_ABORTED_BY_CALLBACK:
		return c->tries > 1 ? ERR_UNAVAILABLE : ERR_CANCELED;
	default:
		return ERR_UNAVAILABLE;
	}
}

/* Why the call failed, without saying on what. */
static int
explain(const struct http_client *c, CURLcode code, struct err *e)
{
	const char *why = c->why[0] != '\0' ? c->why : curl_easy_strerror(code);
	enum err_kind kind = kind_of(c, code);

	if (code == CURLE_WRITE_ERROR && c->inner.kind != ERR_NONE) {
		if (e != NULL)
			*e = c->inner;
		return -1;
	}
	if (kind == ERR_CANCELED)
		return err_set(e, kind, "stopped on request");
	if (c->tries > 1)
		why = "the connection was lost before an answer";
	return err_set(e, kind, "%s", why);
}

int
client_begin(struct http_client *c, const struct http_call *call,
    struct http_answer *out, struct err *e)
{
	CURL *h = c->easy;
	int64_t left = deadline_left(call->deadline);

	*out =
	    (struct http_answer){ .retry_after_ms = -1, .content_length = -1 };
	c->call = call;
	c->answer = out;
	err_clear(&c->inner);
	c->head_done = 0;
	c->tries = 0;
	c->why[0] = '\0';
	if (left == 0)
		return err_set(e, ERR_TIMEOUT, "no time left to ask");
	if (make_lines(call, &c->lines, e) != 0)
		return -1;
	set_method(h, call);
	curl_easy_setopt(h, CURLOPT_URL, call->url);
	curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, call->fresh ? 1L : 0L);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, c->lines);
	/* Of a stream each read has a deadline of its own. */
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS,
	    c->streaming         ? 0L
	        : left < INT_MAX ? (long)left
	                         : INT_MAX);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, call->cancel == NULL ? 1L : 0L);
	curl_easy_setopt(
	    h, CURLOPT_PROXY, c->direct || is_loopback(call->url) ? "" : NULL);
	return 0;
}

void
client_end(struct http_client *c)
{
	/* The list and the body are the caller's; nothing may point there. */
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, NULL);
	free_lines(c->lines);
	c->lines = NULL;
}

int
client_fail(const struct http_client *c, CURLcode code, const char *method,
    const char *url, struct err *e)
{
	const char *where;
	size_t n;

	if (code != CURLE_OK)
		explain(c, code, e);
	where = place(url, &n);
	return err_prefix(e, "%s %.*s", method, (int)n, where);
}

int
http_call(struct http_client *c, const struct http_call *call,
    struct http_answer *out, struct err *e)
{
	CURLcode code = CURLE_OK;
	int rc;

	c->streaming = 0;
	rc = client_begin(c, call, out, e);
	if (rc == 0)
		code = curl_easy_perform(c->easy);
	client_end(c);
	if (rc == 0 && code == CURLE_OK) {
		client_head(c);
		return 0;
	}
	*out = (struct http_answer){
		.sent = out->sent, .retry_after_ms = -1, .content_length = -1
	};
	return client_fail(c, code, call->method, call->url, e);
}
