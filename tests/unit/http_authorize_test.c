/*
 * Authorisation by the head of a request: in the epoll thread, in a worker, and
 * refusals that are held back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/http/server.h"

#define BODY_MAX 100000

static sem_t entered, leave; /* of a check that waits */
static atomic_int checks, handled, seen, seen_status;
static struct http_server *server;
static char worker_word[] = "worker";

static int
echo(void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	handled++;
	assert_int_equal(q->scopes, 5);
	r->content_type = "text/plain";
	return buf_printf(&r->body, e, "%s:%.*s", q->who, (int)q->body_len,
	    (const char *)q->body);
}

static const struct http_route routes[] = {
	{ "GET", "/echo", echo, 0, 1 },
	{ "POST", "/echo", echo, BODY_MAX, 1 },
	{ NULL },
};

/* The token says what is to become of it. */
static int
authorize(void *ctx, struct http_req *q, const struct http_route *route,
    struct err *e)
{
	const char *token = http_req_header(q, "Authorization");

	assert_non_null(ctx);
	assert_int_equal(route->scope, 1);
	assert_null(q->arena);
	q->scopes = 5;
	if (token == NULL)
		return err_set(e, ERR_UNAUTHORIZED, "Unauthorized");
	if (strncmp(token, "held", 4) == 0) {
		q->delay_ms = atoi(token + 4);
		return err_set(e, ERR_UNAUTHORIZED, "Unauthorized");
	}
	if (strcmp(token, "quick") != 0)
		return HTTP_ASK_WORKER;
	strcpy(q->who, "quick");
	return 0;
}

static int
authorize_slow(void *worker, struct http_req *q, const struct http_route *route,
    struct err *e)
{
	const char *token = http_req_header(q, "Authorization");

	assert_ptr_equal(worker, worker_word);
	assert_int_equal(route->scope, 1);
	assert_null(q->body);
	assert_non_null(arena_alloc(q->arena, 10));
	assert_string_equal(log_request_get(), q->id);
	checks++;
	if (strncmp(token, "gate", 4) == 0) {
		sem_post(&entered);
		sem_wait(&leave);
		token += 4;
	}
	if (strcmp(token, "down") == 0)
		return err_set(e, ERR_UNAVAILABLE, "the issuer is down");
	if (strncmp(token, "late", 4) == 0) {
		q->delay_ms = atoi(token + 4);
		return err_set(e, ERR_UNAUTHORIZED, "Unauthorized");
	}
	if (strcmp(token, "good") != 0)
		return err_set(e, ERR_FORBIDDEN, "not yours");
	strcpy(q->who, "slow");
	return 0;
}

static void *
worker_new(void *ctx)
{
	return ctx;
}

static void
done(void *ctx, const struct http_req *q, const struct http_route *route,
    int status, int64_t us)
{
	(void)ctx, (void)q, (void)route, (void)us;
	seen_status = status;
	seen++;
}

static void
start_with(int64_t read_ms, unsigned workers)
{
	struct err e = ERR_INIT;

	checks = handled = seen = seen_status = 0;
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	if (http_server_new(
	        &(struct http_server_options){ .address = "127.0.0.1:0",
	            .routes = routes,
	            .workers = workers,
	            .arena_max = 1 << 20,
	            .read_ms = read_ms,
	            .ctx = worker_word,
	            .worker_new = worker_new,
	            .authorize = authorize,
	            .authorize_slow = authorize_slow,
	            .done = done },
	        &server, &e) == -1)
		fail_msg("%s", e.msg);
}

static int
start(void **state)
{
	(void)state;
	start_with(0, 2);
	return 0;
}

static int
stop(void **state)
{
	(void)state;
	http_server_stop(server, 5000);
	http_server_free(server);
	server = NULL;
	return 0;
}

static int
dial(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(http_server_port(server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval tv = { 10, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	return fd;
}

static void
say(int fd, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
}

static void
ask(int fd, const char *method, const char *token, const char *more)
{
	say(fd, "%s /echo HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n%s\r\n",
	    method, token, more);
}

/* One answer; its body, of known length, lies in text. Returns the status. */
static int
answer(int fd, char text[4096])
{
	static const char length[] = "Content-Length: ";
	size_t n = 0, want = 4095;
	char *body = NULL, *found;
	int status;

	while (n < want) {
		ssize_t got = recv(fd, text + n, body ? want - n : 1, 0);
		if (got <= 0)
			fail_msg("no whole answer: %.*s", (int)n, text);
		text[n += got] = '\0';
		if (body == NULL && n > 4 &&
		    strcmp(text + n - 4, "\r\n\r\n") == 0) {
			body = text + n;
			found = strstr(text, length);
			want = n + (found ? atoi(found + strlen(length)) : 0);
		}
	}
	assert_int_equal(sscanf(text, "HTTP/1.1 %d", &status), 1);
	memmove(text, body, want - (body - text) + 1);
	return status;
}

static void
expect(int fd, int status, const char *body)
{
	char text[4096];

	assert_int_equal(answer(fd, text), status);
	assert_string_equal(text, body);
}

/* Nothing came until now, and the connection is open. */
static void
silent(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void
closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, 0);

	assert_true(n == 0 || (n == -1 && errno == ECONNRESET));
	close(fd);
}

static void
wait_seen(int n)
{
	for (int i = 0; i < 5000 && seen < n; i++)
		usleep(1000);
	assert_int_equal(seen, n);
}

/* ---- tests ---- */

/* Both ways, one after the other on one connection. */
static void
test_accepted(void **state)
{
	int fd = dial();

	(void)state;
	for (int i = 0; i < 3; i++) {
		ask(fd, "GET", "good", "");
		expect(fd, 200, "slow:");
		ask(fd, "GET", "quick", "");
		expect(fd, 200, "quick:");
		ask(fd, "POST", "good", "Content-Length: 5\r\n");
		say(fd, "hello");
		expect(fd, 200, "slow:hello");
		ask(fd, "POST", "good", "Transfer-Encoding: chunked\r\n");
		say(fd, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
		expect(fd, 200, "slow:abcde");
		ask(fd, "POST", "good", "Content-Length: 0\r\n");
		expect(fd, 200, "slow:");
	}
	assert_int_equal(checks, 12);
	wait_seen(15);
	close(fd);
}

/* Head and body in one piece, and the next request behind them. */
static void
test_pipelined(void **state)
{
	int fd = dial();

	(void)state;
	say(fd,
	    "POST /echo HTTP/1.1\r\nHost: x\r\nAuthorization: good\r\n"
	    "Content-Length: 3\r\n\r\nabc"
	    "GET /echo HTTP/1.1\r\nHost: x\r\nAuthorization: bad\r\n\r\n"
	    "GET /echo HTTP/1.1\r\nHost: x\r\nAuthorization: good\r\n\r\n");
	expect(fd, 200, "slow:abc");
	expect(fd, 403, "not yours\n");
	expect(fd, 200, "slow:");
	close(fd);
}

/* The body is not asked for before it is known who sends it. */
static void
test_continue(void **state)
{
	static const char more[] =
	    "Content-Length: 3\r\nExpect: 100-continue\r\n";
	char text[4096];
	int fd = dial();

	(void)state;
	ask(fd, "POST", "gategood", more);
	sem_wait(&entered);
	usleep(20000);
	silent(fd);
	sem_post(&leave);
	assert_int_equal(answer(fd, text), 100);
	say(fd, "abc");
	expect(fd, 200, "slow:abc");
	/* Nor afterwards, when it is refused. */
	ask(fd, "POST", "bad", more);
	expect(fd, 403, "not yours\n");
	closed(fd);
	assert_int_equal(handled, 1);
}

/* A refusal does not wait for a body that may never come. */
static void
test_refused_body(void **state)
{
	static const char *const more[] = { "Content-Length: 50000\r\n",
		"Content-Length: 999999999\r\n",
		"Transfer-Encoding: chunked\r\n" };

	(void)state;
	for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
		int fd = dial();

		ask(fd, "POST", "bad", more[i]);
		expect(fd, 403, "not yours\n");
		closed(fd);
		fd = dial();
		ask(fd, "POST", "held1", more[i]);
		expect(fd, 401, "Unauthorized\n");
		closed(fd);
		fd = dial();
		ask(fd, "POST", "late1", more[i]);
		expect(fd, 401, "Unauthorized\n");
		closed(fd);
	}
	assert_int_equal(handled, 0);
}

/* Without a body the connection goes on. */
static void
test_refused(void **state)
{
	int fd = dial();

	(void)state;
	ask(fd, "GET", "bad", "");
	expect(fd, 403, "not yours\n");
	ask(fd, "GET", "late1", "");
	expect(fd, 401, "Unauthorized\n");
	ask(fd, "GET", "held1", "");
	expect(fd, 401, "Unauthorized\n");
	say(fd, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fd, 401, "Unauthorized\n");
	ask(fd, "GET", "down", "");
	expect(fd, 503, "the issuer is down\n");
	ask(fd, "GET", "good", "");
	expect(fd, 200, "slow:");
	wait_seen(6);
	close(fd);
}

/* What is wrong with the body is only told to those who may send one. */
static void
test_order(void **state)
{
	char text[4096];
	int fd;

	(void)state;
	fd = dial();
	ask(fd, "POST", "bad", "Content-Length: 100001\r\n");
	assert_int_equal(answer(fd, text), 403);
	close(fd);
	fd = dial();
	ask(fd, "POST", "good", "Content-Length: 100001\r\n");
	assert_int_equal(answer(fd, text), 413);
	closed(fd);
	fd = dial();
	ask(fd, "POST", "good",
	    "Content-Encoding: br\r\nContent-Length: 4\r\n");
	assert_int_equal(answer(fd, text), 415);
	closed(fd);
	assert_int_equal(handled, 0);
}

/* Our own slowness is not the client's. */
static void
test_clock(void **state)
{
	int fd;

	stop(state);
	start_with(200, 2);
	fd = dial();
	ask(fd, "POST", "gategood", "Content-Length: 3\r\n");
	sem_wait(&entered);
	usleep(600000);
	sem_post(&leave);
	usleep(20000);
	say(fd, "abc");
	expect(fd, 200, "slow:abc");
	/* But its own is, after that too. */
	ask(fd, "POST", "good", "Content-Length: 3\r\n");
	closed(fd);
}

static void
test_gone(void **state)
{
	int fd = dial();

	(void)state;
	ask(fd, "POST", "gategood", "Content-Length: 3\r\n");
	sem_wait(&entered);
	close(fd);
	sem_post(&leave);
	wait_seen(1);
	assert_int_equal(seen_status, 499);
	assert_int_equal(handled, 0);
	fd = dial();
	ask(fd, "GET", "late3000", "");
	for (int i = 0; i < 5000 && checks < 2; i++)
		usleep(1000);
	close(fd);
	wait_seen(2);
}

/* Refusals that are held back keep no worker from its work. */
static void
test_held_back(void **state)
{
	int fd[20], good = dial();

	(void)state;
	for (int i = 0; i < 20; i++)
		ask(fd[i] = dial(), i % 2 ? "GET" : "POST",
		    i % 4 < 2 ? "late600000" : "held600000",
		    i % 2 ? "" : "Content-Length: 9\r\n");
	for (int i = 0; i < 5000 && checks < 10; i++)
		usleep(1000);
	ask(good, "GET", "good", "");
	expect(good, 200, "slow:");
	for (int i = 0; i < 20; i++)
		silent(fd[i]);
	/* An end of the server lets them go. */
	http_server_stop(server, 5000);
	for (int i = 0; i < 20; i++) {
		expect(fd[i], 401, "Unauthorized\n");
		close(fd[i]);
	}
	close(good);
	assert_int_equal(seen, 21);
}

static void *
let_go(void *arg)
{
	usleep(100000);
	sem_post(arg);
	return NULL;
}

/* A check that runs is waited for; one that did not begin is not made. */
static void
test_stop(void **state)
{
	pthread_t thread;
	int one, two;

	stop(state);
	start_with(0, 1);
	one = dial(), two = dial();
	ask(one, "GET", "gategood", "");
	sem_wait(&entered);
	ask(two, "POST", "good", "Content-Length: 7\r\n");
	usleep(50000);
	pthread_create(&thread, NULL, let_go, &leave);
	http_server_stop(server, 0);
	pthread_join(thread, NULL);
	/* The one has been let in, but is not run any more. */
	expect(one, 503, "the server is stopping\n");
	expect(two, 503, "the server is stopping\n");
	assert_int_equal(checks, 1);
	assert_int_equal(handled, 0);
	close(one);
	close(two);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(test_accepted),
		T(test_pipelined),
		T(test_continue),
		T(test_refused_body),
		T(test_refused),
		T(test_order),
		T(test_clock),
		T(test_gone),
		T(test_held_back),
		T(test_stop),
	};

	return cmocka_run_group_tests_name("http_authorize", tests, NULL, NULL);
}
