#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/http/server.h"

#define LEN(a)   (sizeof(a) / sizeof(a)[0])
#define BODY_MAX 100000
#define TRICKLE  999999999 /* a stream of many small chunks */

/* ---- a server with handlers that show what they got ---- */

static sem_t entered, leave; /* of the gate */
static atomic_int workers_born, workers_gone, readers_freed, handled;
static struct {
	_Atomic int n, status, routed;
	char id[HTTP_ID_MAX + 1], who[HTTP_WHO_MAX], path[256];
} seen; /* by done */

static int
echo(void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	handled++;
	r->content_type = "application/octet-stream";
	return buf_append(&r->body, q->body, q->body_len, e);
}

static int
show(void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	const char *x = http_req_query(q, "x");
	const char *agent = http_req_header(q, "user-agent");

	r->content_type = "text/plain";
	if (http_res_header(q, r, "X-Show", "yes", e) == -1)
		return -1;
	return buf_printf(&r->body, e,
	    "%s %s p0=%s p1=%s x=%s agent=%s remote=%s id=%s who=%s log=%s "
	    "worker=%s",
	    q->method, q->path, q->params[0] ? q->params[0] : "-",
	    q->params[1] ? q->params[1] : "-", x ? x : "-", agent ? agent : "-",
	    q->remote, q->id, q->who, log_request_get(), (const char *)worker);
}

static int
gate(void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker, (void)q;
	sem_post(&entered);
	sem_wait(&leave);
	return buf_puts(&r->body, "{}", e);
}

static int
broken(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	enum err_kind kind = err_kind_by_name(q->params[0]);

	(void)worker;
	buf_puts(&r->body, "half an answer", e);
	err_set(e, kind, "broke on \"%s\"", q->params[0]);
	return kind == ERR_CONFLICT ? err_hint(e, "wait") : -1;
}

static int
empty(void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker, (void)q, (void)e;
	r->status = 204;
	return 0;
}

static int
headers(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	char name[] = "X-A";

	(void)worker;
	assert_int_equal(
	    http_res_header(q, r, "X-Bad", "a\r\nX-Forged: 1", e), -1);
	assert_int_equal(e->kind, ERR_INTERNAL);
	for (int i = 0; i < HTTP_RES_HEADERS_MAX; i++)
		assert_int_equal(http_res_header(q, r, "X-A", name, e), 0);
	memset(name, '!', 3); /* it was copied */
	assert_int_equal(http_res_header(q, r, "X-B", "b", e), -1);
	return buf_puts(&r->body, "{}", e);
}

static int
hoard(void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker, (void)r;
	while (arena_alloc(q->arena, 4096) != NULL)
		;
	return arena_full(q->arena, e);
}

/* Byte number n is n % 251. */
static ssize_t
count(
    void *ctx, void *worker, uint64_t pos, char *buf, size_t max, struct err *e)
{
	uint64_t end = *(uint64_t *)ctx;
	size_t n = end - pos < max ? end - pos : max;

	assert_non_null(worker);
	if (end == 13)
		return err_set(e, ERR_NOT_FOUND, "nothing to read");
	if (end == 1300000 && pos > 500000)
		return err_set(e, ERR_UNAVAILABLE, "lost the source");
	if (n > 100000)
		n = 100000;
	if (end == TRICKLE && n > 1600)
		n = 1600;
	for (size_t i = 0; i < n; i++)
		buf[i] = (pos + i) % 251;
	return n;
}

static void
count_free(void *ctx)
{
	readers_freed++;
	free(ctx);
}

/* /stream/END or /stream/END/LENGTH, where a length of 0 fails at the end. */
static int
stream(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	uint64_t *end = malloc(sizeof *end);

	(void)worker;
	*end = strtoull(q->params[0], NULL, 10);
	r->content_type = "text/x-count";
	r->reader = count;
	r->reader_ctx = end;
	r->reader_free = count_free;
	if (q->params[1] != NULL)
		r->length = strtoll(q->params[1], NULL, 10);
	if (r->length == 0)
		return err_set(e, ERR_CORRUPT, "changed my mind");
	return 0;
}

static const struct http_route routes[] = {
	{ "POST", "/api/v2/echo", echo, BODY_MAX },
	{ "POST", "/echo", echo, BODY_MAX, 7 },
	{ "POST", "/big", echo, 8 << 20 },
	{ "GET", "/show/{name}/{rest...}", show },
	{ "GET", "/api/v2/show/{name}", show },
	{ "GET", "/api/v2/gate", gate },
	{ "GET", "/api/v2/broken/{kind}", broken },
	{ "GET", "/broken/{kind}", broken },
	{ "DELETE", "/empty", empty, 10 },
	{ "GET", "/headers", headers },
	{ "GET", "/hoard", hoard },
	{ "GET", "/stream/{end}", stream },
	{ "GET", "/stream/{end}/{length}", stream },
	{ NULL },
};

static void *
worker_new(void *ctx)
{
	workers_born++;
	return ctx;
}

static void
worker_free(void *worker)
{
	assert_non_null(worker);
	workers_gone++;
}

static int
authorize(void *ctx, struct http_req *q, const struct http_route *route,
    struct err *e)
{
	const char *token = http_req_header(q, "Authorization");

	assert_non_null(ctx);
	assert_null(q->arena);
	assert_null(q->body);
	if (route->scope == 7 && token == NULL)
		return err_set(e, ERR_UNAUTHORIZED, "no bearer token");
	if (token != NULL && strcmp(token, "Bearer wrong") == 0)
		return err_set(e, ERR_FORBIDDEN, "not yours");
	snprintf(q->who, sizeof q->who, "%s", token != NULL ? token : "all");
	return 0;
}

static void
done(void *ctx, const struct http_req *q, const struct http_route *route,
    int status, int64_t us)
{
	assert_non_null(ctx);
	assert_non_null(q->method);
	assert_true(us >= 0);
	seen.status = status;
	seen.routed = route != NULL;
	strcpy(seen.id, q->id);
	strcpy(seen.who, q->who);
	snprintf(seen.path, sizeof seen.path, "%s", q->path);
	seen.n++;
}

static struct http_server_options
options(void)
{
	static char ctx[] = "W";

	return (struct http_server_options){ .address = "127.0.0.1:0",
		.routes = routes,
		.workers = 4,
		.arena_max = 1 << 20,
		.ctx = ctx,
		.worker_new = worker_new,
		.worker_free = worker_free,
		.authorize = authorize,
		.done = done };
}

static struct http_server *server;

static void
start(struct http_server_options o)
{
	struct err e = ERR_INIT;

	memset(&seen, 0, sizeof seen);
	readers_freed = handled = 0;
	if (http_server_new(&o, &server, &e) == -1)
		fail_msg("%s", e.msg);
}

static void
stop(void)
{
	http_server_stop(server, 5000);
	http_server_free(server);
	server = NULL;
}

static void
wait_done(int n)
{
	for (int i = 0; i < 2000 && seen.n < n; i++)
		usleep(1000);
	assert_int_equal(seen.n, n);
}

/* ---- a client that can misbehave ---- */

static int
dial(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(http_server_port(server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval tv = { 5, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	return fd;
}

/* Returns how many bytes went out. */
static size_t
put(int fd, const void *p, size_t n)
{
	size_t sent = 0;

	while (sent < n) {
		ssize_t got =
		    send(fd, (const char *)p + sent, n - sent, MSG_NOSIGNAL);
		if (got <= 0)
			break;
		sent += got;
	}
	return sent;
}

static void
say(int fd, const char *fmt, ...)
{
	char text[65536];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	assert_int_equal(put(fd, text, n), n);
}

struct reply {
	int status;
	char head[4096];
	char *body; /* terminated */
	size_t len;
	int cut; /* ended before it was whole */
};

static int
get_byte(int fd, char *c)
{
	return recv(fd, c, 1, 0) == 1;
}

/* A line without its end; 0 at the end of the stream. */
static int
get_line(int fd, char *line, size_t size)
{
	size_t n = 0;
	char c;

	while (n < size - 1 && get_byte(fd, &c)) {
		if (c == '\n') {
			line[n > 0 ? n - 1 : 0] = '\0';
			return 1;
		}
		line[n++] = c;
	}
	return 0;
}

static void
get_bytes(int fd, struct reply *r, size_t n)
{
	r->body = realloc(r->body, r->len + n + 1);
	while (n > 0) {
		ssize_t got = recv(fd, r->body + r->len, n, 0);
		if (got <= 0)
			break;
		r->len += got;
		n -= got;
	}
	r->body[r->len] = '\0';
	r->cut |= n > 0;
}

static const char *
reply_header(const struct reply *r, const char *name, char out[256])
{
	const char *p = r->head;
	size_t len = strlen(name);

	for (; p != NULL; p = strchr(p, '\n'), p = p != NULL ? p + 1 : NULL)
		if (strncasecmp(p, name, len) == 0 && p[len] == ':') {
			snprintf(out, 256, "%.*s",
			    (int)strcspn(p + len + 2, "\n"), p + len + 2);
			return out;
		}
	return NULL;
}

/* One answer off the connection; *r.body is the caller's. */
static struct reply
take(int fd, int head_only)
{
	struct reply r = { 0 };
	char line[2048], value[256];

	r.body = calloc(1, 1);
	while (get_line(fd, line, sizeof line) && line[0] != '\0') {
		assert_true(strlen(r.head) + strlen(line) + 2 < sizeof r.head);
		strcat(strcat(r.head, line), "\n");
	}
	if (sscanf(r.head, "HTTP/1.1 %d", &r.status) != 1 || head_only)
		return r;
	if (reply_header(&r, "Content-Length", value) != NULL)
		get_bytes(fd, &r, strtoull(value, NULL, 10));
	else if (reply_header(&r, "Transfer-Encoding", value) != NULL)
		for (;;) {
			size_t n;
			if (!get_line(fd, line, sizeof line)) {
				r.cut = 1;
				break;
			}
			n = strtoull(line, NULL, 16);
			get_bytes(fd, &r, n);
			get_line(fd, line, sizeof line);
			if (n == 0 || r.cut)
				break;
		}
	return r;
}

/* The peer has closed, or does so soon. */
static int
closed(int fd)
{
	char c;

	errno = 0;
	return recv(fd, &c, 1, 0) == 0 || errno == ECONNRESET;
}

static void
expect(int fd, int status, const char *part)
{
	struct reply r = take(fd, 0);

	if (r.status != status || strstr(r.body, part) == NULL || r.cut)
		fail_msg(
		    "not %d \"%s\" but %s%s", status, part, r.head, r.body);
	free(r.body);
}

static struct reply
ask(const char *fmt, ...)
{
	char text[65536];
	struct reply r;
	va_list ap;
	int fd = dial(), n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	assert_int_equal(put(fd, text, n), n);
	r = take(fd, 0);
	close(fd);
	return r;
}

#define HOST "Host: h\r\n"

/* ---- the tests ---- */

static int
setup(void **state)
{
	(void)state;
	start(options());
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	stop();
	return 0;
}

static void
test_request(void **state)
{
	int fd = dial();
	char v[256];
	struct reply r;

	(void)state;
	say(fd,
	    "GET /show/a%%2Fb/c/d%%20e?x=1%%262+3&y&x=2 HTTP/1.1\r\n" HOST
	    "user-AGENT: t\r\nX-Request-Id: my.id_-9\r\n\r\n");
	r = take(fd, 0);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body,
	    "GET /show/a/b/c/d e p0=a/b p1=c/d e x=1&2 3 agent=t "
	    "remote=127.0.0.1 id=my.id_-9 who=all log=my.id_-9 worker=W");
	assert_string_equal(reply_header(&r, "X-Request-Id", v), "my.id_-9");
	assert_string_equal(reply_header(&r, "Content-Type", v), "text/plain");
	assert_string_equal(reply_header(&r, "X-Show", v), "yes");
	assert_null(reply_header(&r, "Connection", v));
	free(r.body);

	/* The connection is kept; what is absent is absent. */
	say(fd, "GET /show/a/?y HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, 200, "p0=a p1= x=- agent=- remote=");
	wait_done(2);
	assert_int_equal(seen.status, 200);
	assert_string_equal(seen.path, "/show/a/");
	assert_string_equal(seen.who, "all");
	assert_int_equal(strlen(seen.id), 16);
	close(fd);
}

static void
test_request_id(void **state)
{
	static const char *const bad[] = { "", " ", "a b", "a/b", "\xc3\xa4",
		"a\"",
		"0123456789012345678901234567890123456789"
		"0123456789012345678901234" };
	char a[256] = "", b[256];

	(void)state;
	for (size_t i = 0; i < LEN(bad); i++) {
		struct reply r =
		    ask("GET / HTTP/1.1\r\n" HOST "X-Request-Id: %s\r\n\r\n",
		        bad[i]);
		assert_int_equal(r.status, 404);
		assert_non_null(reply_header(&r, "X-Request-Id", b));
		assert_int_equal(strlen(b), 16);
		assert_int_equal(strspn(b, "0123456789abcdef"), 16);
		assert_string_not_equal(a, b);
		strcpy(a, b);
		free(r.body);
	}
}

static void
test_head(void **state)
{
	int fd = dial();
	char v[256];
	struct reply r;

	(void)state;
	say(fd, "HEAD /show/a/b HTTP/1.1\r\n" HOST "\r\n");
	r = take(fd, 1);
	assert_int_equal(r.status, 200);
	assert_true(atoi(reply_header(&r, "Content-Length", v)) > 50);
	free(r.body);
	say(fd, "HEAD /stream/1000000/1000000 HTTP/1.1\r\n" HOST "\r\n");
	r = take(fd, 1);
	assert_int_equal(r.status, 200);
	assert_string_equal(reply_header(&r, "Content-Length", v), "1000000");
	assert_string_equal(
	    reply_header(&r, "Content-Type", v), "text/x-count");
	free(r.body);
	say(fd, "HEAD /api/v2/nothing HTTP/1.1\r\n" HOST "\r\n");
	r = take(fd, 1);
	assert_int_equal(r.status, 404);
	free(r.body);
	say(fd, "DELETE /empty HTTP/1.1\r\n" HOST "\r\n");
	r = take(fd, 0);
	assert_int_equal(r.status, 204);
	assert_null(reply_header(&r, "Content-Length", v));
	assert_null(reply_header(&r, "Content-Type", v));
	free(r.body);
	wait_done(4);
	assert_int_equal(readers_freed, 1);
	close(fd);
}

static void
test_refusals(void **state)
{
	static const struct {
		const char *request;
		int status;
		const char *body, *name, *value;
	} rows[] = {
		{ "GET /nothing", 404, "no such path\n",
		    "X-Content-Type-Options", "nosniff" },
		{ "GET /api/v2/nothing", 404,
		    "{\"error\":{\"kind\":\"not_found\",\"message\":\"no such "
		    "path\"}}",
		    "Content-Type", "application/json" },
		{ "GET /echo", 405, "method not allowed\n", "Allow", "POST" },
		{ "PUT /api/v2/gate", 405, "{\"error\":{\"kind\":\"invalid\"",
		    "Allow", "GET, HEAD" },
		{ "GET /show/%00/a", 400, "malformed path or query\n" },
		{ "GET /show/%zz/a", 400, "malformed" },
		{ "GET /show/a/?x=%0", 400, "malformed" },
		{ "GET /show/a/?x=%00", 400, "malformed" },
		{ "GET /api/v2/show/%", 400, "{\"error\":" },
		{ "GET *", 400, "malformed" },
		{ "GET http://h/show/a/b", 400, "malformed" },
		{ "POST /echo", 401, "no bearer token\n", "WWW-Authenticate",
		    "Bearer" },
		{ "GET /broken/not_found", 404, "broke on \"not_found\"\n",
		    "Content-Type", "text/plain; charset=utf-8" },
		{ "GET /broken/conflict", 409,
		    "broke on \"conflict\"\nhint: wait\n" },
		{ "GET /api/v2/broken/conflict", 409,
		    "{\"error\":{\"kind\":\"conflict\",\"message\":\"broke on "
		    "\\\"conflict\\\"\",\"hint\":\"wait\"}}" },
		{ "GET /api/v2/broken/unavailable", 503,
		    "{\"error\":{\"kind\":\"unavailable\"", "Retry-After",
		    "2" },
		{ "GET /broken/throttled", 429, "broke", "Retry-After", "2" },
		{ "GET /broken/internal", 500, "broke" },
		{ "GET /hoard", 413, "over the limit of 1048576 bytes" },
		{ "GET /stream/13", 404, "nothing to read\n" },
		{ "GET /stream/13/13", 404, "nothing to read\n" },
		{ "GET /stream/9/0", 422, "changed my mind\n" },
		{ "GET /headers", 200, "{}", "X-A", "X-A" },
	};
	int fd = dial();

	(void)state;
	/* All on one connection: none of them costs it. */
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reply r;
		char v[256] = "";
		say(fd, "%s HTTP/1.1\r\n" HOST "\r\n", rows[i].request);
		r = take(fd, 0);
		if (r.status != rows[i].status ||
		    strncmp(r.body, rows[i].body, strlen(rows[i].body)) != 0)
			fail_msg("%s: %s%s", rows[i].request, r.head, r.body);
		if (rows[i].name != NULL) {
			reply_header(&r, rows[i].name, v);
			assert_string_equal(v, rows[i].value);
		}
		assert_null(reply_header(&r, "X-Forged", v));
		assert_non_null(reply_header(&r, "X-Request-Id", v));
		free(r.body);
		wait_done(i + 1);
		assert_int_equal(seen.status, rows[i].status);
		assert_string_equal(seen.id, v);
	}
	assert_int_equal(readers_freed, 3);
	close(fd);
}

/* Requests that two parsers could understand in two ways. */
static void
test_framing(void **state)
{
	static const struct {
		int status;
		const char *headers;
	} rows[] = {
		{ 400, HOST "Content-Length : 5\r\n" },
		{ 400, HOST "X Y: 5\r\n" },
		{ 400, HOST "Content-Length: 5\r\nContent-Length: 6\r\n" },
		{ 400, HOST "Content-Length: 5\r\nContent-Length: 5\r\n" },
		{ 400,
		    HOST
		    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" },
		{ 400, HOST "Transfer-Encoding: gzip, chunked\r\n" },
		{ 400, HOST "Transfer-Encoding: gzip\r\n" },
		{ 400, HOST "Content-Length: 05\r\n" },
		{ 400, HOST "Content-Length: +5\r\n" },
		{ 400, HOST "Content-Length: -5\r\n" },
		{ 400, HOST "Content-Length: 5x\r\n" },
		{ 400, HOST "no colon\r\n" },
		{ 400, "" }, /* no Host */
		{ 413, HOST "Content-Length: 99999999999999999999\r\n" },
		{ 400, HOST "Content-Length: 18446744073709551615\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		int fd = dial();
		struct reply r;
		say(fd,
		    "POST /api/v2/echo HTTP/1.1\r\n%s\r\n"
		    "12345GET /api/v2/show/smuggled HTTP/1.1\r\n" HOST "\r\n",
		    rows[i].headers);
		r = take(fd, 0);
		if (r.status != rows[i].status)
			fail_msg("%s: %s%s", rows[i].headers, r.head, r.body);
		free(r.body);
		for (char c; recv(fd, &c, 1, 0) == 1;)
			assert_int_not_equal(c, '{');
		close(fd);
	}
	assert_int_equal(handled, 0);
}

static void
test_body(void **state)
{
	static char body[BODY_MAX + 1];
	int fd = dial();
	struct reply r;

	(void)state;
	memset(body, 'b', BODY_MAX);
	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n",
	    BODY_MAX);
	put(fd, body, BODY_MAX);
	r = take(fd, 0);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.len, BODY_MAX);
	assert_memory_equal(r.body, body, BODY_MAX);
	free(r.body);

	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
	r = take(fd, 0);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.len, 0);
	free(r.body);

	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: chunked\r\n\r\n"
	    "5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX: t\r\n\r\n");
	expect(fd, 200, "hello world");
	/* A byte at a time, of head and body. */
	for (const char *p = "POST /api/v2/echo HTTP/1.1\r\n" HOST
	                     "Content-Length: 4\r\n\r\nslow";
	     *p != '\0'; p++) {
		say(fd, "%c", *p);
		usleep(200);
	}
	expect(fd, 200, "slow");
	close(fd);
}

static void
test_pipelined(void **state)
{
	int fd = dial();

	(void)state;
	for (int i = 0; i < 50; i++)
		say(fd,
		    "GET /api/v2/show/%d HTTP/1.1\r\n" HOST "\r\n"
		    "POST /api/v2/echo HTTP/1.1\r\n" HOST
		    "Content-Length: 5\r\n\r\nb%04d",
		    i, i);
	for (int i = 0; i < 50; i++) {
		char want[32];
		snprintf(want, sizeof want, "p0=%d ", i);
		expect(fd, 200, want);
		snprintf(want, sizeof want, "b%04d", i);
		expect(fd, 200, want);
	}
	close(fd);
}

/* Refused with the head alone: nothing of the body is waited for. */
static void
test_refused_early(void **state)
{
	static const struct {
		const char *head;
		int status;
		const char *body;
	} rows[] = {
		{ "POST /echo HTTP/1.1\r\n" HOST, 401, "no bearer token\n" },
		{ "POST /echo HTTP/1.1\r\n" HOST
		  "Authorization: Bearer wrong\r\n",
		    403, "not yours\n" },
		{ "POST /nothing HTTP/1.1\r\n" HOST, 404, "no such path\n" },
		{ "POST /empty HTTP/1.1\r\n" HOST, 405, "method not allowed" },
		{ "DELETE /empty HTTP/1.1\r\n" HOST, 413,
		    "request body exceeds 10 bytes\n" },
		{ "GET /show/a/b HTTP/1.1\r\n" HOST, 413,
		    "request body exceeds 0 bytes\n" },
		{ "POST /api/v2/echo HTTP/1.1\r\n" HOST, 413,
		    "{\"error\":{\"kind\":\"too_large\",\"message\":\"request "
		    "body exceeds 100000 bytes\"}}" },
		{ "POST /big HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\n",
		    415, "Content-Encoding: only zstd is understood\n" },
		{ "POST /big HTTP/1.1\r\n" HOST
		  "Content-Encoding: zstd, zstd\r\n",
		    415, "Content-Encoding" },
		{ "POST /api/v2/echo HTTP/1.1\r\n" HOST
		  "Expect: 100-continue\r\n",
		    413, "{\"error\":" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		int fd = dial();
		char v[256];
		struct reply r;
		say(fd, "%sContent-Length: 200000\r\n\r\n", rows[i].head);
		r = take(fd, 0);
		if (r.status != rows[i].status ||
		    strncmp(r.body, rows[i].body, strlen(rows[i].body)) != 0)
			fail_msg("%s: %s%s", rows[i].head, r.head, r.body);
		assert_string_equal(reply_header(&r, "Connection", v), "close");
		assert_true(closed(fd));
		free(r.body);
		close(fd);
	}
	assert_int_equal(handled, 0);
}

/* One who sends all before he listens still hears why he was refused. */
static void
test_refused_lingers(void **state)
{
	size_t n = 32 << 20;
	char *body = calloc(1, n);
	int fd = dial();

	(void)state;
	say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
	    n);
	assert_int_equal(put(fd, body, n), n);
	expect(fd, 401, "no bearer token\n");
	assert_true(closed(fd));
	close(fd);
	free(body);
}

static void
test_expect_continue(void **state)
{
	int fd = dial();
	struct reply r;

	(void)state;
	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	r = take(fd, 1);
	assert_int_equal(r.status, 100);
	free(r.body);
	say(fd, "abc");
	expect(fd, 200, "abc");
	close(fd);
}

static void
test_chunked_too_large(void **state)
{
	static char chunk[50000];
	int fd = dial();

	(void)state;
	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 100; i++) {
		say(fd, "c350\r\n");
		put(fd, chunk, sizeof chunk);
		say(fd, "\r\n");
	}
	say(fd, "0\r\n\r\n");
	expect(fd, 413, "request body exceeds 100000 bytes");
	/* It was read to its end, so the connection goes on. */
	say(fd, "GET /api/v2/show/1 HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, 200, "p0=1");
	assert_int_equal(handled, 0);

	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n");
	expect(fd, 400, "");
	close(fd);
}

static void
test_zstd(void **state)
{
	struct zstream *z = zstream_new(3, 0);
	struct err e = ERR_INIT;
	static char body[BODY_MAX + 1];
	struct buf packed;
	int fd = dial();
	struct reply r;

	(void)state;
	buf_init(&packed, 1 << 20);
	assert_int_equal(zstream_pack(z, body, BODY_MAX, &packed, &e), 0);
	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Content-Encoding: ZSTD\r\nContent-Length: %zu\r\n\r\n",
	    packed.len);
	put(fd, packed.data, packed.len);
	r = take(fd, 0);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.len, BODY_MAX);
	free(r.body);

	/* A byte more than the route takes, and 1 GiB more. */
	for (int i = 0; i < 2; i++) {
		static const size_t more[] = { 1, 1 << 30 };
		buf_reset(&packed);
		assert_int_equal(
		    zstream_pack(z, body, BODY_MAX, &packed, &e), 0);
		for (size_t n = 0; i == 1 && n < more[i] && packed.len < 90000;
		     n += BODY_MAX)
			zstream_pack(z, body, BODY_MAX, &packed, &e);
		if (i == 0)
			assert_int_equal(
			    zstream_pack(z, body, 1, &packed, &e), 0);
		say(fd,
		    "POST /api/v2/echo HTTP/1.1\r\n" HOST
		    "Content-Encoding: zstd\r\nContent-Length: %zu\r\n\r\n",
		    packed.len);
		put(fd, packed.data, packed.len);
		expect(fd, 413, "request body exceeds 100000 bytes");
	}
	/* Cut off, and no zstd at all. */
	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Content-Encoding: zstd\r\nContent-Length: 10\r\n\r\n");
	put(fd, packed.data, 10);
	expect(fd, 400, "request body: zstd:");
	say(fd,
	    "POST /big HTTP/1.1\r\n" HOST
	    "Content-Encoding: zstd\r\nContent-Length: 5\r\n\r\n12345");
	expect(fd, 400, "request body: zstd:");
	say(fd,
	    "POST /big HTTP/1.1\r\n" HOST
	    "Content-Encoding: identity\r\nContent-Length: 5\r\n\r\n12345");
	expect(fd, 200, "12345");
	buf_done(&packed);
	zstream_free(z);
	close(fd);
}

static void
test_stream(void **state)
{
	static const struct {
		const char *path;
		size_t len;
		const char *length;
	} rows[] = {
		{ "/stream/3000000/3000000", 3000000, "3000000" },
		{ "/stream/3000000", 3000000, NULL },
		{ "/stream/1", 1, NULL },
		{ "/stream/0", 0, NULL },
		{ "/stream/5000/1000", 1000, "1000" },
	};
	int fd = dial();
	struct reply r;

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		char v[256];
		say(fd, "GET %s HTTP/1.1\r\n" HOST "\r\n", rows[i].path);
		r = take(fd, 0);
		assert_int_equal(r.status, 200);
		assert_int_equal(r.len, rows[i].len);
		if (rows[i].length != NULL)
			assert_string_equal(
			    reply_header(&r, "Content-Length", v),
			    rows[i].length);
		assert_string_equal(
		    reply_header(&r, "Content-Type", v), "text/x-count");
		for (size_t k = 0; k < r.len; k++)
			if ((unsigned char)r.body[k] != k % 251)
				fail_msg("%s: byte %zu", rows[i].path, k);
		free(r.body);
	}
	close(fd);
	wait_done(LEN(rows));
	assert_int_equal(readers_freed, LEN(rows));
}

/* Whatever is missing is seen to be missing. */
static void
test_stream_broken(void **state)
{
	static const char *const paths[] = { "/stream/1300000",
		"/stream/1300000/1300000", "/stream/400000/500000" };

	(void)state;
	for (size_t i = 0; i < LEN(paths); i++) {
		struct reply r =
		    ask("GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
		assert_int_equal(r.status, 200);
		assert_true(r.cut);
		assert_true(r.len > 0);
		free(r.body);
	}
	wait_done(LEN(paths));
	assert_int_equal(readers_freed, LEN(paths));
}

/* Forty readers who do not read hold no worker. */
static void
test_stream_stalled(void **state)
{
	int fds[40], fd;

	(void)state;
	for (size_t i = 0; i < LEN(fds); i++) {
		fds[i] = dial();
		say(fds[i], "GET /stream/100000000 HTTP/1.1\r\n" HOST "\r\n");
	}
	usleep(50000);
	fd = dial();
	say(fd, "GET /api/v2/show/1 HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, 200, "p0=1");
	close(fd);
	for (size_t i = 0; i < LEN(fds); i++)
		close(fds[i]);
	wait_done(LEN(fds) + 1);
	assert_int_equal(readers_freed, LEN(fds));
}

struct talker {
	pthread_t thread;
	unsigned n;
	int good;
};

static void *
talk(void *arg)
{
	struct talker *t = arg;
	int fds[10];

	for (size_t i = 0; i < LEN(fds); i++)
		fds[i] = dial();
	for (unsigned n = 0; n < 20; n++) {
		for (size_t i = 0; i < LEN(fds); i++) {
			char text[256];
			int len = snprintf(text, sizeof text,
			    "POST /api/v2/echo HTTP/1.1\r\n" HOST
			    "Content-Length: 9\r\n\r\n%02u %02u %03zu",
			    t->n, n, i);
			put(fds[i], text, len);
		}
		for (size_t i = 0; i < LEN(fds); i++) {
			char want[32];
			struct reply r = take(fds[i], 0);
			snprintf(
			    want, sizeof want, "%02u %02u %03zu", t->n, n, i);
			t->good += r.status == 200 && strcmp(r.body, want) == 0;
			free(r.body);
		}
	}
	for (size_t i = 0; i < LEN(fds); i++)
		close(fds[i]);
	return NULL;
}

static void
test_many(void **state)
{
	struct talker t[8];

	(void)state;
	for (size_t i = 0; i < LEN(t); i++) {
		t[i] = (struct talker){ .n = i };
		pthread_create(&t[i].thread, NULL, talk, &t[i]);
	}
	for (size_t i = 0; i < LEN(t); i++) {
		pthread_join(t[i].thread, NULL);
		assert_int_equal(t[i].good, 200);
	}
	assert_int_equal(handled, 1600);
	wait_done(1600);
}

/* What runs, and what waits until a worker is free. */
static void
test_load(void **state)
{
	struct http_server_options o = options();
	int fd[3];
	struct reply r;

	(void)state;
	o.workers = 1;
	start(o);
	assert_int_equal(http_server_active(server), 0);
	for (size_t i = 0; i < LEN(fd); i++) {
		fd[i] = dial();
		say(fd[i], "GET /api/v2/gate HTTP/1.1\r\n" HOST "\r\n");
	}
	sem_wait(&entered);
	while (http_server_waiting(server) < 2)
		usleep(1000);
	assert_int_equal(http_server_active(server), 3);
	for (size_t i = 0; i < LEN(fd); i++)
		sem_post(&leave);
	for (size_t i = 0; i < LEN(fd); i++) {
		r = take(fd[i], 0);
		assert_int_equal(r.status, 200);
		free(r.body);
		close(fd[i]);
	}
	wait_done(3);
	while (http_server_active(server) > 0)
		usleep(1000);
	assert_int_equal(http_server_waiting(server), 0);
	http_server_stop(server, 0);
	http_server_free(server);
	sem_wait(&entered);
	sem_wait(&entered);
}

/* A client that leaves while its request runs is reported as gone. */
static void
test_client_leaves(void **state)
{
	int fd = dial();

	(void)state;
	say(fd, "GET /api/v2/gate HTTP/1.1\r\n" HOST "\r\n");
	sem_wait(&entered);
	close(fd);
	sem_post(&leave);
	wait_done(1);

	fd = dial();
	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Content-Length: 9\r\n\r\n1234");
	usleep(20000);
	close(fd);
	wait_done(2);
	assert_int_equal(seen.status, 499);
	assert_int_equal(handled, 0);
}

static void
test_head_limit(void **state)
{
	static char junk[40000];
	int fd = dial();

	(void)state;
	memset(junk, 'a', sizeof junk - 1);
	say(fd, "GET /show/a/b HTTP/1.1\r\n" HOST "User-Agent: %.8000s\r\n\r\n",
	    junk);
	expect(fd, 200, "aaa remote=");
	say(fd, "GET / HTTP/1.1\r\n" HOST "X: ");
	put(fd, junk, sizeof junk - 1);
	expect(fd, 431, "");
	assert_true(closed(fd));
	close(fd);
	fd = dial();
	say(fd, "GET /");
	put(fd, junk, sizeof junk - 1);
	expect(fd, 414, "");
	close(fd);
	fd = dial();
	say(fd, "nonsense\r\n\r\n");
	assert_true(closed(fd));
	close(fd);
}

/* ---- servers with options of their own ---- */

/* A head, a body of known and one of unknown length, each growing by a byte now
 * and then; and nothing at all. */
static void
test_slow(void **state)
{
	struct http_server_options o = options();
	int64_t begin = clock_mono_ms();
	int fds[4];

	(void)state;
	o.read_ms = 100;
	start(o);
	for (size_t i = 0; i < LEN(fds); i++)
		fds[i] = dial();
	say(fds[0], "GET / HTTP/1.1\r\n" HOST "X-Slow: ");
	say(fds[1],
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Content-Length: 1000\r\n\r\n");
	say(fds[2],
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: chunked\r\n\r\n");
	for (int open = 4; open > 0;) {
		open = 0;
		for (size_t i = 0; i < LEN(fds); i++) {
			struct pollfd p = { fds[i], POLLIN, 0 };
			if (poll(&p, 1, 5) != 0)
				continue;
			open++;
			if (i < 3)
				put(fds[i], "1\r\na\r\n", i < 2 ? 1 : 6);
		}
		assert_true(clock_mono_ms() - begin < 1500);
	}
	assert_true(clock_mono_ms() - begin >= 100);
	for (size_t i = 0; i < LEN(fds); i++)
		close(fds[i]);
	wait_done(2);
	assert_int_equal(seen.status, 499);
	assert_int_equal(handled, 0);
	stop();
}

/* Who sends enough has time, and who waits for us or for nothing too, but for
 * nothing not for ever. */
static void
test_not_slow(void **state)
{
	struct http_server_options o = options();
	int64_t begin = clock_mono_ms();
	int fd, idle;

	(void)state;
	o.read_ms = 100;
	o.idle_ms = 400;
	start(o);
	idle = dial();
	say(idle, "GET /api/v2/show/1 HTTP/1.1\r\n" HOST "\r\n");
	expect(idle, 200, "p0=1");
	fd = dial();
	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Content-Length: 16385\r\n\r\n%016384d",
	    0);
	usleep(150000);
	say(fd, "!");
	expect(fd, 200, "0000!");
	usleep(150000);
	say(fd, "GET /api/v2/gate HTTP/1.1\r\n" HOST "\r\n");
	sem_wait(&entered);
	usleep(150000);
	sem_post(&leave);
	expect(fd, 200, "{}");
	assert_true(closed(idle));
	assert_in_range(clock_mono_ms() - begin, 400, 1500);
	close(fd);
	close(idle);
	stop();
}

/* A client that does not take its answer loses the connection. */
static void
test_slow_reader(void **state)
{
	struct http_server_options o = options();
	int fd;

	(void)state;
	o.read_ms = 100;
	start(o);
	fd = dial();
	say(fd, "GET /stream/%d HTTP/1.1\r\n" HOST "\r\n", TRICKLE);
	wait_done(1);
	assert_int_equal(readers_freed, 1);
	close(fd);
	stop();
}

static void
test_connections(void **state)
{
	struct http_server_options o = options();
	int fds[4];

	(void)state;
	o.connections_per_ip = 2;
	start(o);
	for (size_t i = 0; i < 3; i++)
		fds[i] = dial();
	for (size_t i = 0; i < 2; i++) {
		say(fds[i], "GET /api/v2/show/1 HTTP/1.1\r\n" HOST "\r\n");
		expect(fds[i], 200, "p0=1");
	}
	assert_true(closed(fds[2]));
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	stop();

	/* Over the bound of all, one waits until there is room. */
	o = options();
	o.connections_max = 2;
	start(o);
	for (size_t i = 0; i < 2; i++) {
		fds[i] = dial();
		say(fds[i], "GET /api/v2/show/1 HTTP/1.1\r\n" HOST "\r\n");
		expect(fds[i], 200, "p0=1");
	}
	fds[2] = dial();
	say(fds[2], "GET /api/v2/show/2 HTTP/1.1\r\n" HOST "\r\n");
	usleep(20000);
	assert_int_equal(seen.n, 2);
	close(fds[0]);
	expect(fds[2], 200, "p0=2");
	close(fds[1]);
	close(fds[2]);
	stop();
}

static void
test_bodies_max(void **state)
{
	struct http_server_options o = options();
	char v[256];
	struct reply r;
	int fd, held;

	(void)state;
	o.bodies_max = 100000;
	start(o);
	held = dial();
	say(held,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Content-Length: 60000\r\n\r\n");
	usleep(20000);
	fd = dial();
	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Content-Length: 60000\r\n\r\n");
	r = take(fd, 0);
	assert_int_equal(r.status, 503);
	assert_string_equal(reply_header(&r, "Retry-After", v), "2");
	assert_non_null(strstr(r.body, "\"kind\":\"unavailable\""));
	free(r.body);
	close(fd);

	/* One of unknown length is refused when it gets too large. */
	fd = dial();
	say(fd,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST
	    "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 50; i++)
		say(fd, "3e8\r\n%01000d\r\n", 0);
	say(fd, "0\r\n\r\n");
	expect(fd, 503, "too many request bodies");

	/* What was held is given back. */
	close(held);
	usleep(20000);
	for (int i = 0; i < 3; i++) {
		say(fd,
		    "POST /api/v2/echo HTTP/1.1\r\n" HOST
		    "Content-Length: 60000\r\n\r\n%060000d",
		    0);
		expect(fd, 200, "0000");
	}
	close(fd);
	stop();
}

static void *
stop_thread(void *arg)
{
	http_server_stop(server, *(int *)arg);
	return NULL;
}

static void
test_stop_drains(void **state)
{
	int running, idle, half, fresh, drain = 5000;
	struct sockaddr_in at = { .sin_family = AF_INET };
	pthread_t t;
	char v[256];
	struct reply r;

	(void)state;
	start(options());
	at.sin_port = htons(http_server_port(server));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	idle = dial();
	say(idle, "GET /api/v2/show/1 HTTP/1.1\r\n" HOST "\r\n");
	expect(idle, 200, "p0=1");
	half = dial();
	say(half, "GET /api");
	fresh = dial();
	running = dial();
	say(running, "GET /api/v2/gate HTTP/1.1\r\n" HOST "\r\n");
	sem_wait(&entered);
	pthread_create(&t, NULL, stop_thread, &drain);

	/* Who was answered is closed at once, and nobody is let in; but who was
	 * before may ask yet, if he is quick. */
	assert_true(closed(idle));
	usleep(100000);
	say(fresh, "GET /api/v2/show/2 HTTP/1.1\r\n" HOST "\r\n");
	expect(fresh, 200, "p0=2");
	assert_true(closed(half));
	half = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(half, (struct sockaddr *)&at, sizeof at), -1);
	sem_post(&leave);
	r = take(running, 0);
	assert_int_equal(r.status, 200);
	assert_string_equal(r.body, "{}");
	assert_string_equal(reply_header(&r, "Connection", v), "close");
	free(r.body);
	pthread_join(t, NULL);
	assert_int_equal(seen.n, 3);
	http_server_stop(server, 0); /* idempotent */
	http_server_free(server);
	close(running);
	close(fresh);
	close(idle);
	close(half);
}

/* When the time to drain is over: what waits is answered 503, a body on its way
 * and a stream are cut, and a handler is waited for. */
static void
test_stop_cuts(void **state)
{
	struct http_server_options o = options();
	int drain = 50, running, waiting, sending, streaming;
	int64_t begin;
	struct reply r;
	pthread_t t;

	(void)state;
	o.workers = 1;
	start(o);
	streaming = dial();
	say(streaming, "GET /stream/100000000 HTTP/1.1\r\n" HOST "\r\n");
	r = take(streaming, 1);
	assert_int_equal(r.status, 200);
	free(r.body);
	running = dial();
	say(running, "GET /api/v2/gate HTTP/1.1\r\n" HOST "\r\n");
	sem_wait(&entered);
	waiting = dial();
	say(waiting, "GET /api/v2/gate HTTP/1.1\r\n" HOST "\r\n");
	sending = dial();
	say(sending,
	    "POST /api/v2/echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n");
	usleep(20000);
	begin = clock_mono_ms();
	pthread_create(&t, NULL, stop_thread, &drain);
	usleep(100000);
	sem_post(&leave);
	expect(running, 200, "{}");
	expect(waiting, 503, "the server is stopping");
	assert_true(closed(sending));
	pthread_join(t, NULL);
	assert_in_range(clock_mono_ms() - begin, 100, 1500);
	http_server_free(server);
	assert_int_equal(readers_freed, 1);
	assert_int_equal(seen.n, 4);
	close(running);
	close(waiting);
	close(sending);
	close(streaming);
}

static size_t
threads_now(void)
{
	DIR *d = opendir("/proc/self/task");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
test_no_leaks(void **state)
{
	size_t threads = threads_now();

	(void)state;
	workers_born = workers_gone = 0;
	for (int i = 0; i < 10; i++) {
		int fd;
		start(options());
		fd = dial();
		say(fd, "GET /api/v2/show/1 HTTP/1.1\r\n" HOST "\r\n");
		expect(fd, 200, "p0=1");
		close(fd);
		stop();
	}
	assert_int_equal(threads_now(), threads);
	assert_int_equal(workers_born, 40);
	assert_int_equal(workers_gone, 40);
}

static void
test_address(void **state)
{
	static const char *const good[] = { ":0", "127.0.0.1:0", "[::1]:0",
		"[::]:0", "localhost:0" };
	static const char *const bad[] = { "", "127.0.0.1", "5751", "::1:0",
		"[::1:0", "::1]:0", "127.0.0.1:", "127.0.0.1:x",
		"127.0.0.1:65536", "127.0.0.1:-1", "[]:0", "no.such.invalid:0",
		"192.0.2.1:0" };
	struct http_server_options o = options();
	struct err e = ERR_INIT;
	char taken[32];

	(void)state;
	o.workers = 1;
	for (size_t i = 0; i < LEN(good); i++) {
		o.address = good[i];
		start(o);
		assert_int_not_equal(http_server_port(server), 0);
		if (i == 0) { /* IPv6's any is IPv4's too */
			int fd = dial();
			say(fd, "GET /show/a/b HTTP/1.1\r\n" HOST "\r\n");
			expect(fd, 200, "remote=127.0.0.1 ");
			close(fd);
		}
		snprintf(taken, sizeof taken, ":%u", http_server_port(server));
		if (i + 1 < LEN(good))
			stop();
	}
	for (size_t i = 0; i < LEN(bad); i++) {
		struct http_server *none = NULL;
		o.address = bad[i];
		if (http_server_new(&o, &none, &e) == 0)
			fail_msg("%s", bad[i]);
		assert_null(none);
	}
	stop();
}

static void
test_listen_fd(void **state)
{
	struct http_server_options o = options();
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct http_server *none = NULL;
	struct err e = ERR_INIT;
	int fd, kept;

	(void)state;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 10), 0);
	kept = dup(fd); /* the service manager's */
	o.address = NULL;
	o.listen_fd = fd;
	start(o);
	fd = dial();
	say(fd, "GET /api/v2/show/1 HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, 200, "p0=1");
	close(fd);
	http_server_stop(server, 1000);
	/* The successor is not shut out: this waits for it. */
	fd = dial();
	http_server_free(server);
	o.listen_fd = kept;
	at.sin_port = 0;
	start(o);
	say(fd, "GET /api/v2/show/1 HTTP/1.1\r\n" HOST "\r\n");
	expect(fd, 200, "p0=1");
	close(fd);
	stop();

	o.listen_fd = 9999;
	assert_int_equal(http_server_new(&o, &none, &e), -1);
	assert_non_null(strstr(e.msg, "listening socket 9999"));
}

/* A certificate for 127.0.0.1 that signs itself, and its key. */
static void
certificate_make(const char *cert, const char *key)
{
	EVP_PKEY *k = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *san = X509V3_EXT_conf_nid(
	    NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
	FILE *f;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_NAME_add_entry_by_txt(
	    name, "CN", MBSTRING_ASC, (const unsigned char *)"t", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_add_ext(x, san, -1);
	X509_set_pubkey(x, k);
	assert_true(X509_sign(x, k, EVP_sha256()) > 0);
	assert_non_null(f = fopen(cert, "w"));
	PEM_write_X509(f, x);
	fclose(f);
	assert_non_null(f = fopen(key, "w"));
	PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_EXTENSION_free(san);
	X509_free(x);
	EVP_PKEY_free(k);
}

static void
test_tls(void **state)
{
	char dir[] = "/tmp/http_server_test.XXXXXX";
	char cert[64], key[64], url[64];
	struct http_server_options o = options();
	struct http_client_options trust = { .ca_file = cert };
	struct http_client_options none = { .user_agent = "none" };
	struct http_client *c;
	struct http_answer a;
	struct err e = ERR_INIT;
	struct buf body;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(cert, sizeof cert, "%s/cert", dir);
	snprintf(key, sizeof key, "%s/key", dir);
	certificate_make(cert, key);
	o.tls_cert = cert;
	o.tls_key = key;
	o.read_ms = 100;
	start(o);
	fd = dial(); /* never shakes hands */
	snprintf(url, sizeof url, "https://127.0.0.1:%u/big",
	    http_server_port(server));
	buf_init(&body, 8 << 20);
	http_client_global_init();
	c = http_client_new(&trust);
	for (int i = 0; i < 3; i++) {
		struct http_call call = { .method = "POST",
			.url = url,
			.body = xcalloc(1, 5000000),
			.body_len = 5000000,
			.deadline = deadline_in(5000),
			.response = &body };
		buf_reset(&body);
		if (http_call(c, &call, &a, &e) == -1)
			fail_msg("%s", e.msg);
		assert_int_equal(a.status, 200);
		assert_int_equal(body.len, 5000000);
		free((void *)(uintptr_t)call.body);
	}
	http_client_free(c);
	c = http_client_new(&none);
	assert_int_equal(http_call(c,
	                     &(struct http_call){ .method = "GET",
	                         .url = url,
	                         .deadline = deadline_in(5000),
	                         .response = &body },
	                     &a, &e),
	    -1);
	assert_int_equal(e.kind, ERR_UNAUTHORIZED);
	http_client_free(c);
	assert_true(closed(fd));
	close(fd);
	stop();

	buf_done(&body);
	unlink(cert);
	unlink(key);
	rmdir(dir);
}

static void
test_bad_options(void **state)
{
	static const struct http_route collide[] = { { "GET", "/a", show },
		{ "GET", "/a", show }, { NULL } };
	struct http_server_options o = options();
	struct http_server *none = NULL;
	struct err e = ERR_INIT;

	(void)state;
	o.routes = collide;
	assert_int_equal(http_server_new(&o, &none, &e), -1);
	o = options();
	o.tls_cert = "/nonexistent";
	assert_int_equal(http_server_new(&o, &none, &e), -1);
	assert_non_null(strstr(e.msg, "both"));
	o.tls_key = "/nonexistent";
	assert_int_equal(http_server_new(&o, &none, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	o.tls_cert = o.tls_key = "/proc/self/status";
	assert_int_equal(http_server_new(&o, &none, &e), -1);
	assert_non_null(strstr(e.msg, "certificate /proc/self/status: "));
	assert_null(none);
	http_server_free(NULL);
}

int
main(void)
{
#define ON(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		ON(test_request),
		ON(test_request_id),
		ON(test_head),
		ON(test_refusals),
		ON(test_framing),
		ON(test_body),
		ON(test_pipelined),
		ON(test_refused_early),
		ON(test_refused_lingers),
		ON(test_expect_continue),
		ON(test_chunked_too_large),
		ON(test_zstd),
		ON(test_stream),
		ON(test_stream_broken),
		ON(test_stream_stalled),
		ON(test_many),
		ON(test_client_leaves),
		ON(test_head_limit),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_not_slow),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_bodies_max),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_stop_drains),
		cmocka_unit_test(test_stop_cuts),
		cmocka_unit_test(test_no_leaks),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_listen_fd),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_bad_options),
	};

	log_init("http_server_test", LOG_LEVEL_ERROR);
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
