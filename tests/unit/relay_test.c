#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/http/relay.h"
#include "../../libcommon/http/server.h"

#define BIG ((uint64_t)40 << 20)

/* A connected pair of TCP sockets. */
static void
pair(int fds[2])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&at, len), 0);
	fds[1] = accept(fd, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(fd);
}

static uint8_t
byte_at(uint64_t pos)
{
	return (pos ^ pos >> 8 ^ pos >> 16) & 0xff;
}

/* ---- who feeds a transfer: bytes [from, to) of the pattern, then silence or
 * the end ---- */

struct feed {
	int fd;
	uint64_t from, to;
	int keep; /* the socket stays open */
};

static void *
feed_main(void *arg)
{
	struct feed *f = arg;
	char piece[65536];

	for (uint64_t at = f->from; at < f->to;) {
		size_t n =
		    f->to - at < sizeof piece ? f->to - at : sizeof piece;

		for (size_t i = 0; i < n; i++)
			piece[i] = byte_at(at + i);
		for (size_t sent = 0; sent < n;) {
			ssize_t k =
			    send(f->fd, piece + sent, n - sent, MSG_NOSIGNAL);

			if (k <= 0)
				goto out;
			sent += k;
		}
		at += n;
	}
out:
	if (!f->keep)
		close(f->fd);
	free(f);
	return NULL;
}

static void
feed(int fd, uint64_t from, uint64_t to, int keep)
{
	struct feed *f = xcalloc(1, sizeof *f);
	pthread_t thread;

	*f = (struct feed){ fd, from, to, keep };
	assert_int_equal(pthread_create(&thread, NULL, feed_main, f), 0);
	pthread_detach(thread);
}

/* How many bytes of the pattern, from from on, come until the end. */
static uint64_t
take(int fd, uint64_t from, uint64_t max)
{
	static uint8_t piece[65536];
	uint64_t got = 0;
	ssize_t n;

	while (got < max &&
	    (n = recv(fd, piece,
	         max - got < sizeof piece ? max - got : sizeof piece, 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (piece[i] != byte_at(from + got + i))
				fail_msg("byte %ju is wrong",
				    (uintmax_t)(from + got + i));
		got += n;
	}
	return got;
}

/* ---- the relay itself ---- */

struct end {
	sem_t over;
	uint64_t n;
	enum relay_end why;
};

static void
on_done(void *ctx, uint64_t n, enum relay_end why)
{
	struct end *end = ctx;

	end->n = n;
	end->why = why;
	sem_post(&end->over);
}

static void
wait_end(struct end *end)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 20;
	assert_int_equal(sem_timedwait(&end->over, &ts), 0);
}

static struct relay *
new_relay(int64_t wait_ms)
{
	struct relay *r = relay_new(
	    &(struct relay_options){ .wait_ms = wait_ms, .rate_min = 1 << 20 });

	assert_non_null(r);
	return r;
}

static void
moves_all_and_leaves_the_rest(void **state)
{
	struct relay *r = new_relay(20000);
	int in[2], out[2];
	struct end end;
	char rest[8];

	(void)state;
	sem_init(&end.over, 0, 0);
	pair(in);
	pair(out);
	feed(in[1], 0, BIG + 5, 1);
	assert_int_equal(relay_add(r, in[0], out[0], BIG, on_done, &end), 0);
	assert_int_equal(take(out[1], 0, BIG), BIG);
	wait_end(&end);
	assert_int_equal(end.why, RELAY_DONE);
	assert_int_equal(end.n, BIG);
	/* to is still ours, and nothing more came. */
	assert_int_equal(send(out[0], "tail", 4, 0), 4);
	assert_int_equal(recv(out[1], rest, sizeof rest, 0), 4);
	close(in[1]);
	close(out[0]);
	close(out[1]);
	relay_free(r);
	relay_free(NULL);
}

static void
tells_which_side_ended(void **state)
{
	struct relay *r = new_relay(20000);
	int in[2], out[2];
	struct end end;

	(void)state;
	sem_init(&end.over, 0, 0);
	/* The source ends after a part: all of that arrives. */
	pair(in);
	pair(out);
	feed(in[1], 0, 3000001, 0);
	relay_add(r, in[0], out[0], BIG, on_done, &end);
	assert_int_equal(take(out[1], 0, 3000001), 3000001);
	wait_end(&end);
	assert_int_equal(end.why, RELAY_SOURCE);
	assert_int_equal(end.n, 3000001);
	close(out[0]);
	close(out[1]);
	/* The reader goes away: while bytes come, and while none do. */
	for (int silent = 0; silent < 2; silent++) {
		pair(in);
		pair(out);
		if (!silent)
			feed(in[1], 0, BIG, 0);
		relay_add(r, in[0], out[0], BIG, on_done, &end);
		if (!silent)
			assert_int_equal(take(out[1], 0, 100000), 100000);
		setsockopt(out[1], SOL_SOCKET, SO_LINGER,
		    &(struct linger){ 1, 0 }, sizeof(struct linger));
		close(out[1]);
		wait_end(&end);
		assert_int_equal(end.why, RELAY_SINK);
		if (silent)
			close(in[1]);
		close(out[0]);
	}
	relay_free(r);
}

static void
gives_up_who_is_silent(void **state)
{
	struct relay *r = new_relay(300);
	int in[2], out[2], idle[2], idle_out[2];
	struct end slow, silent;

	(void)state;
	sem_init(&slow.over, 0, 0);
	sem_init(&silent.over, 0, 0);
	pair(in);
	pair(out);
	pair(idle);
	pair(idle_out);
	feed(in[1], 0, BIG, 0);
	relay_add(r, in[0], out[0], BIG, on_done, &slow);
	/* A few bytes arrive, though too few to be woken up for. */
	feed(idle[1], 0, 1000, 1);
	relay_add(r, idle[0], idle_out[0], BIG, on_done, &silent);
	wait_end(&slow);
	wait_end(&silent);
	assert_int_equal(slow.why, RELAY_SINK);
	assert_int_equal(silent.why, RELAY_SOURCE);
	assert_int_equal(silent.n, 1000);
	assert_int_equal(take(idle_out[1], 0, 1000), 1000);
	close(out[0]);
	close(out[1]);
	close(idle[1]);
	close(idle_out[0]);
	close(idle_out[1]);
	relay_free(r);
}

/* Many at once, one of whose readers takes nothing: the others go on. */
static void
serves_many_beside_a_slow_one(void **state)
{
	struct relay *r = new_relay(20000);
	int in[8][2], out[8][2];
	struct end ends[8];

	(void)state;
	for (int i = 0; i < 8; i++) {
		sem_init(&ends[i].over, 0, 0);
		pair(in[i]);
		pair(out[i]);
		feed(in[i][1], 0, BIG / 4, 0);
		relay_add(r, in[i][0], out[i][0], BIG / 4, on_done, &ends[i]);
	}
	for (int i = 1; i < 8; i++) {
		assert_int_equal(take(out[i][1], 0, BIG / 4), BIG / 4);
		wait_end(&ends[i]);
		assert_int_equal(ends[i].why, RELAY_DONE);
	}
	/* At the end, what is not done is ended. */
	relay_free(r);
	wait_end(&ends[0]);
	assert_int_equal(ends[0].why, RELAY_SINK);
	assert_true(ends[0].n < BIG / 4);
	for (int i = 0; i < 8; i++) {
		close(out[i][0]);
		close(out[i][1]);
	}
}

/* ---- in an answer of the HTTP server ---- */

/* Its first bytes come by the reader, more by sockets that end too soon. */
struct object {
	uint64_t size;
	uint64_t at;   /* where the reader stopped */
	uint64_t part; /* what a socket gives */
	int sockets;   /* how many may be had */
};

static int objects_freed, objects_asked;

static ssize_t
object_read(
    void *ctx, void *worker, uint64_t pos, char *buf, size_t max, struct err *e)
{
	struct object *o = ctx;
	size_t n = max < 100000 ? max : 100000;

	(void)worker;
	(void)e;
	if (n > o->size - pos)
		n = o->size - pos;
	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(pos + i);
	o->at = pos + n;
	return n;
}

static int
object_fd(void *ctx)
{
	struct object *o = ctx;
	uint64_t end = o->at + o->part;
	int fds[2];

	objects_asked++;
	if (o->sockets-- <= 0)
		return -1;
	pair(fds);
	feed(fds[1], o->at, end < o->size ? end : o->size, 0);
	return fds[0];
}

static void
object_free(void *ctx)
{
	objects_freed++;
	free(ctx);
}

/* /object/SIZE/PART/SOCKETS */
static int
object(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct object *o = xcalloc(1, sizeof *o);

	(void)worker;
	(void)e;
	assert_true(q->relays);
	o->size = strtoull(q->params[0], NULL, 10);
	o->part = strtoull(q->params[1], NULL, 10);
	o->sockets = atoi(q->params[2]);
	r->reader = object_read;
	r->reader_fd = object_fd;
	r->reader_ctx = o;
	r->reader_free = object_free;
	r->length = o->size;
	return 0;
}

static int
plain(void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	(void)q;
	return buf_puts(&r->body, "{}", e);
}

static const struct http_route routes[] = {
	{ "GET", "/object/{size}/{part}/{sockets}", object },
	{ "GET", "/plain", plain },
	{ NULL },
};

static struct http_server *
serve(unsigned workers)
{
	struct http_server *s;
	struct err e = ERR_INIT;

	objects_freed = objects_asked = 0;
	if (http_server_new(
	        &(struct http_server_options){ .address = "127.0.0.1:0",
	            .routes = routes,
	            .workers = workers },
	        &s, &e) != 0)
		fail_msg("%s", e.msg);
	return s;
}

static int
ask(struct http_server *s, const char *method, const char *path,
    char head[4096])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(http_server_port(s)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = 0;

	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	dprintf(fd, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, path);
	while (n < 4095 && recv(fd, head + n, 1, 0) == 1) {
		head[++n] = '\0';
		if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	return fd;
}

static void
answers_go_by_it(void **state)
{
	static const struct {
		const char *path;
		uint64_t size;
		int asked;
	} cases[] = {
		{ "/object/40000000/40000000/1", 40000000, 1 },
		/* Sockets that end too soon, and then there are no more. */
		{ "/object/40000000/9000000/2", 40000000, -1 },
		{ "/object/40000000/1/3", 40000000, -1 },
		{ "/object/40000000/0/1", 40000000, -1 },
		{ "/object/40000000/40000000/0", 40000000, -1 },
		{ "/object/100000/100000/9", 100000, -1 },
	};
	struct http_server *s = serve(4);
	char head[4096], more;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int fd = ask(s, "GET", cases[i].path, head);

		assert_non_null(strstr(head, "HTTP/1.1 200"));
		assert_non_null(strstr(head, "onnection: close"));
		assert_int_equal(take(fd, 0, cases[i].size), cases[i].size);
		assert_int_equal(recv(fd, &more, 1, 0), 0);
		if (cases[i].asked >= 0)
			assert_int_equal(objects_asked, cases[i].asked);
		close(fd);
	}
	for (int i = 0; i < 2000 && objects_freed < 6; i++)
		usleep(1000);
	assert_int_equal(objects_freed, 6);
	/* A HEAD has nothing to move, and leaves the connection. */
	close(ask(s, "HEAD", "/object/40000000/40000000/1", head));
	assert_non_null(strstr(head, "Content-Length: 40000000"));
	assert_null(strstr(head, "onnection: close"));
	http_server_stop(s, 5000);
	http_server_free(s);
}

/* Readers that take nothing occupy no worker, and are cut at the end. */
static void
slow_readers_hold_up_nobody(void **state)
{
	struct http_server *s = serve(1);
	char head[4096];
	int slow[20], fd;

	(void)state;
	for (int i = 0; i < 20; i++)
		slow[i] = ask(s, "GET", "/object/40000000/40000000/1", head);
	fd = ask(s, "GET", "/plain", head);
	assert_non_null(strstr(head, "HTTP/1.1 200"));
	close(fd);
	fd = ask(s, "GET", "/object/40000000/40000000/1", head);
	assert_int_equal(take(fd, 0, 40000000), 40000000);
	close(fd);
	close(slow[0]);
	http_server_stop(s, 100);
	http_server_free(s);
	assert_int_equal(objects_freed, 21);
	for (int i = 1; i < 20; i++) {
		assert_true(take(slow[i], 0, 40000000) < 40000000);
		close(slow[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_all_and_leaves_the_rest),
		cmocka_unit_test(tells_which_side_ended),
		cmocka_unit_test(gives_up_who_is_silent),
		cmocka_unit_test(serves_many_beside_a_slow_one),
		cmocka_unit_test(answers_go_by_it),
		cmocka_unit_test(slow_readers_hold_up_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
