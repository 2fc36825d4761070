/*
 * fault_proxy: stands before an S3 server and lets things go wrong.
 *
 * Requests are read whole, met with the fault that chance has for them
 * (fault_plan.h), and sent on unchanged, with the Host that was signed. A thread
 * a connection, blocking, every wait with a deadline.
 *
 * SIGHUP reads the rates anew; an empty file is no fault at all. The log has a
 * line for each fault, for each key whose delete is sent to S3, when it is sent,
 * for each request that is carried out late, and "held N" for how many of those
 * are still to come.
 */
#include <pthread.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/http/listen.h"
#include "../../libcommon/s3/s3_internal.h"
#include "fault_batch.h"
#include "fault_http.h"
#include "fault_plan.h"

#define CONNECTIONS_MAX 512
#define LATE_MAX        128
#define IDLE_MS         120000
#define REQUEST_MS      60000 /* for one message */
#define SLOW_PIECES     8
#define SLOW_MS         250 /* between two of them */
#define MEMORY_MAX      ((size_t)16 << 20)
#define TARGET_MAX      8192
#define TICK_MS         200
#define STALL_ONE_IN    10

struct config {
	struct opt_common common;
	const char *listen, *upstream, *bucket, *rates, *log;
	struct secret access_key, secret_key;
	uint64_t seed;
	int64_t hang_us, stall_us, late_us;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	{ "listen", NULL, OPT_STR, O(listen), 0, "127.0.0.1:0", "HOST:PORT",
	    "where clients come", 0, 0 },
	{ "upstream", NULL, OPT_STR, O(upstream), OPT_REQUIRED, NULL,
	    "ADDRESS:PORT", "the S3 server, in numbers", 0, 0 },
	{ "bucket", NULL, OPT_STR, O(bucket), OPT_REQUIRED, NULL, "NAME",
	    "the bucket, as the first part of paths", 0, 0 },
	{ "rates", NULL, OPT_PATH, O(rates), OPT_REQUIRED, NULL, "FILE",
	    "\"CLASS FAULT PER-MILLE\" lines", 0, 0 },
	{ "log", NULL, OPT_PATH, O(log), OPT_REQUIRED, NULL, "FILE",
	    "what happened", 0, 0 },
	{ "seed", NULL, OPT_U64, O(seed), 0, "1", "N", "of all chance", 0, 0 },
	{ "hang", NULL, OPT_DURATION, O(hang_us), 0, "5s", "DURATION",
	    "how long a request hangs, at most", 0, 3600000 },
	{ "stall", NULL, OPT_DURATION, O(stall_us), 0, "35s", "DURATION",
	    "and how long one in ten does", 0, 3600000 },
	{ "late", NULL, OPT_DURATION, O(late_us), 0, "14s", "DURATION",
	    "how late a request is carried out, at most", 0, 3600000 },
	{ "access-key", "AWS_ACCESS_KEY_ID", OPT_SECRET, O(access_key),
	    OPT_REQUIRED, NULL, "KEY", "for deletes of our own", 0, 0 },
	{ "secret-key", "AWS_SECRET_ACCESS_KEY", OPT_SECRET, O(secret_key),
	    OPT_REQUIRED, NULL, "KEY", "and its secret", 0, 0 },
	{ NULL },
};

static const struct opt_program program = {
	.name = "fault_proxy",
	.synopsis = "fault_proxy --upstream ADDRESS:PORT --bucket NAME ...",
	.summary = "Lets requests to an S3 server go wrong.",
	.opts = options,
};

static struct {
	char host[64], port[16]; /* of the S3 server */
	char root[256];          /* "/bucket/" */
	int64_t hang_ms, stall_ms, late_ms;
	struct s3 *s3;
	pthread_mutex_t lock; /* guards what follows */
	int connections, late;
} proxy = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* What a client's connection has. */
struct client {
	int fd, upstream; /* upstream is -1 until it is needed */
	struct fault_message request, answer;
	struct arena *a;    /* of one request */
	struct s3_conn *s3; /* when it was needed */
	/* Of the request: */
	enum fault_class class;
	char method[16], key[TARGET_MAX];
	const char **keys; /* that it deletes */
	size_t nkeys;
};

/* ---- what a request is ---- */

/* The key in the target, decoded; "" for the bucket itself. */
static void
read_key(struct client *c, const char *target, size_t len)
{
	size_t root = strlen(proxy.root);
	size_t n = strcspn(target, "? ");

	c->key[0] = '\0';
	if (n > len || n <= root || strncmp(target, proxy.root, root) != 0)
		return;
	memcpy(c->key, target + root, n - root);
	c->key[n - root] = '\0';
	if (s3_unescape(c->key, NULL) != 0)
		c->key[0] = '\0';
}

static int
below_pins(const struct client *c)
{
	return strncmp(c->nkeys == 1 ? c->keys[0] : c->key, "pins/", 5) == 0;
}

static enum fault_class
classify(const struct client *c, const char *query)
{
	if (strcmp(c->method, "GET") == 0 || strcmp(c->method, "HEAD") == 0)
		return FAULT_CLASS_read;
	if (below_pins(c))
		return FAULT_CLASS_pin;
	if (strcmp(c->method, "POST") == 0 && strcmp(query, "delete=") == 0)
		return FAULT_CLASS_batch;
	if (strstr(query, "upload") != NULL)
		return FAULT_CLASS_multipart;
	return strcmp(c->method, "DELETE") == 0 ? FAULT_CLASS_delete
	                                        : FAULT_CLASS_put;
}

/* Fills what the client's struct keeps of the request. */
static int
understand(struct client *c, struct err *e)
{
	const char *line = buf_str(&c->request.raw);
	size_t method = strcspn(line, " "), target, n;
	char query[TARGET_MAX] = "";
	const char *from;

	if (method >= sizeof c->method)
		return err_set(e, ERR_INVALID, "a long method");
	memcpy(c->method, line, method);
	c->method[method] = '\0';
	from = line + method + 1;
	target = strcspn(from, " \r\n");
	if (target >= TARGET_MAX)
		return err_set(e, ERR_INVALID, "a long target");
	read_key(c, from, target);
	n = strcspn(from, "? ");
	if (n < target) {
		memcpy(query, from + n + 1, target - n - 1);
		query[target - n - 1] = '\0';
	}
	arena_reset(c->a);
	c->nkeys = 0;
	if (strcmp(c->method, "POST") == 0 &&
	    strncmp(query, "delete", 6) == 0) {
		strcpy(query, "delete=");
		if (fault_batch_keys(
		        &c->request, c->a, &c->keys, &c->nkeys, e) != 0)
			return -1;
	}
	c->class = classify(c, query);
	if (strcmp(c->method, "DELETE") == 0 &&
	    c->class != FAULT_CLASS_multipart) {
		c->keys = arena_array(c->a, 1, sizeof *c->keys);
		c->keys[0] = c->key;
		c->nkeys = 1;
	}
	return 0;
}

/* ---- the S3 server ---- */

/* A kept connection that the server has closed meanwhile is of no use. */
static void
drop_stale(int *fd)
{
	struct pollfd p = { .fd = *fd, .events = POLLIN };

	if (*fd >= 0 && poll(&p, 1, 0) != 0) {
		close(*fd);
		*fd = -1;
	}
}

static int
exchange(int *upstream, const struct fault_message *request,
    struct fault_message *answer, int bodiless)
{
	deadline_t d = deadline_in(REQUEST_MS);
	int rc = -1;

	drop_stale(upstream);
	if (*upstream < 0)
		*upstream = fault_connect(proxy.host, proxy.port);
	if (*upstream >= 0 &&
	    fault_send(*upstream, request->raw.data, request->raw.len, d) == 0)
		rc = fault_read_answer(*upstream, answer, bodiless, d);
	if (*upstream >= 0 && (rc != 0 || answer->last)) {
		close(*upstream);
		*upstream = -1;
	}
	return rc;
}

static int
forward(struct client *c)
{
	for (size_t i = 0; i < c->nkeys; i++)
		fault_log("delete %s", c->keys[i]);
	if (exchange(&c->upstream, &c->request, &c->answer,
	        strcmp(c->method, "HEAD") == 0) == 0)
		return 0;
	fault_log("broken %s %s", c->method, c->key);
	return -1;
}

/* ---- late requests ---- */

/* 1 ... most */
static int64_t
some_ms(uint64_t *random, int64_t most)
{
	return 1 + (int64_t)fault_random(random, most);
}

struct late {
	struct client c; /* what is left of it */
	int64_t ms;
};

/* One more or one less is put off; 0 when there are too many. */
static int
late_count(int change)
{
	int room;

	pthread_mutex_lock(&proxy.lock);
	room = change < 0 || proxy.late < LATE_MAX;
	if (room) {
		proxy.late += change;
		fault_log("held %d", proxy.late);
	}
	pthread_mutex_unlock(&proxy.lock);
	return room;
}

static void *
late_thread(void *arg)
{
	struct late *l = arg;

	clock_sleep(l->ms, deadline_in(l->ms));
	if (forward(&l->c) == 0)
		fault_log("late-done %s %s %d after %lld ms", l->c.method,
		    l->c.key, fault_status(&l->c.answer), (long long)l->ms);
	if (l->c.upstream >= 0)
		close(l->c.upstream);
	fault_message_done(&l->c.request);
	fault_message_done(&l->c.answer);
	arena_free(l->c.a);
	free(l);
	late_count(-1);
	return NULL;
}

static void
start_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, arg) != 0)
		err_die("cannot start a thread");
	pthread_detach(thread);
}

/* Takes over the request and leaves the client with none. */
static void
put_off(struct client *c, uint64_t *random)
{
	struct late *l;

	if (!late_count(1))
		return;
	l = xcalloc(1, sizeof *l);
	l->ms = some_ms(random, proxy.late_ms);
	l->c = *c;
	l->c.upstream = -1;
	l->c.s3 = NULL;
	/* It was among the keys of the client. */
	if (c->nkeys == 1 && c->keys[0] == c->key)
		l->c.keys[0] = l->c.key;
	fault_message_init(&l->c.answer);
	fault_message_init(&c->request);
	c->a = arena_new(MEMORY_MAX);
	start_thread(late_thread, l);
}

/* ---- one request ---- */

static int
answer_error(struct client *c, const char *status, const char *code)
{
	int head = strcmp(c->method, "HEAD") == 0;
	struct err e;

	buf_reset(&c->answer.raw);
	c->answer.last = 0;
	/* The answer to a HEAD tells the length of a body that is not sent. */
	if (buf_printf(&c->answer.raw, &e,
	        "HTTP/1.1 %s\r\nContent-Type: application/xml\r\n"
	        "Content-Length: %zu\r\n\r\n",
	        status,
	        strlen(code) + strlen("<Error><Code></Code></Error>")) != 0)
		return -1;
	if (head)
		return 0;
	return buf_printf(
	    &c->answer.raw, &e, "<Error><Code>%s</Code></Error>", code);
}

static int
half_done(struct client *c, uint64_t *random)
{
	if (c->s3 == NULL)
		c->s3 = s3_conn_new(proxy.s3);
	return fault_batch_half(
	    c->s3, c->keys, c->nkeys, c->a, random, &c->answer);
}

static int
reply_slowly(struct client *c)
{
	const struct buf *raw = &c->answer.raw;
	size_t piece = raw->len / SLOW_PIECES + 1;

	for (size_t at = 0; at < raw->len; at += piece) {
		size_t n = raw->len - at < piece ? raw->len - at : piece;

		if (fault_send(
		        c->fd, raw->data + at, n, deadline_in(REQUEST_MS)) != 0)
			return -1;
		clock_sleep(SLOW_MS, deadline_in(SLOW_MS));
	}
	return c->answer.last ? -1 : 0;
}

static int
reply(struct client *c, size_t n)
{
	if (fault_send(c->fd, c->answer.raw.data, n, deadline_in(REQUEST_MS)) !=
	    0)
		return -1;
	return n < c->answer.raw.len || c->answer.last ? -1 : 0;
}

static void
hang(int64_t ms)
{
	clock_sleep(ms, deadline_in(ms));
}

/* -1 ends the connection. */
static int
meet(struct client *c, enum fault f, uint64_t *random)
{
	switch (f) {
	case FAULT_closed:
		return -1;
	case FAULT_hang:
		hang(fault_random(random, STALL_ONE_IN) == 0
		        ? proxy.stall_ms
		        : some_ms(random, proxy.hang_ms));
		return -1;
	case FAULT_late:
		put_off(c, random);
		if (fault_random(random, 4) == 0)
			hang(some_ms(random, proxy.hang_ms));
		return -1;
	case FAULT_error500:
		return answer_error(
		           c, "500 Internal Server Error", "InternalError") == 0
		    ? reply(c, c->answer.raw.len)
		    : -1;
	case FAULT_slowdown:
		return answer_error(c, "503 Slow Down", "SlowDown") == 0
		    ? reply(c, c->answer.raw.len)
		    : -1;
	case FAULT_half:
		return half_done(c, random) == 0 ? reply(c, c->answer.raw.len)
		                                 : -1;
	default:
		break;
	}
	if (forward(c) != 0)
		return -1;
	switch (f) {
	case FAULT_lost:
		return -1;
	case FAULT_cut:
		return reply(c, c->answer.raw.len / 2);
	case FAULT_lie:
		return answer_error(
		           c, "500 Internal Server Error", "InternalError") == 0
		    ? reply(c, c->answer.raw.len)
		    : -1;
	case FAULT_slow:
		return reply_slowly(c);
	default:
		return reply(c, c->answer.raw.len);
	}
}

static void *
client_thread(void *arg)
{
	struct client *c = arg;
	struct err e = ERR_INIT;
	uint64_t random;
	enum fault f;

	while (
	    fault_read_request(c->fd, &c->request, deadline_in(IDLE_MS)) == 1) {
		if (understand(c, &e) != 0) {
			fault_log("broken request: %s", e.msg);
			break;
		}
		f = fault_draw(c->class, &random);
		if (f != FAULT_NONE)
			fault_log("fault %s %s %s", fault_name(f), c->method,
			    c->nkeys == 1 ? c->keys[0] : c->key);
		if (meet(c, f, &random) != 0 || c->request.last)
			break;
	}
	close(c->fd);
	if (c->upstream >= 0)
		close(c->upstream);
	fault_message_done(&c->request);
	fault_message_done(&c->answer);
	arena_free(c->a);
	s3_conn_free(c->s3);
	free(c);
	pthread_mutex_lock(&proxy.lock);
	proxy.connections--;
	pthread_mutex_unlock(&proxy.lock);
	return NULL;
}

/* ---- the program ---- */

static int
connection_room(void)
{
	int room;

	pthread_mutex_lock(&proxy.lock);
	room = proxy.connections < CONNECTIONS_MAX;
	proxy.connections += room;
	pthread_mutex_unlock(&proxy.lock);
	return room;
}

static void
take_client(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct client *c;

	if (fd < 0)
		return;
	if (!connection_room()) {
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof *c);
	c->fd = fd;
	c->upstream = -1;
	c->a = arena_new(MEMORY_MAX);
	fault_message_init(&c->request);
	fault_message_init(&c->answer);
	start_thread(client_thread, c);
}

static void *
accept_thread(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };

	while (!service_stopped())
		if (poll(&p, 1, TICK_MS) > 0)
			take_client(p.fd);
	return NULL;
}

static int
set_up(const struct config *c, struct err *e)
{
	const char *colon = strrchr(c->upstream, ':');

	if (colon == NULL)
		return err_set(e, ERR_USAGE, "--upstream: not ADDRESS:PORT");
	snprintf(proxy.host, sizeof proxy.host, "%.*s",
	    (int)(colon - c->upstream), c->upstream);
	snprintf(proxy.port, sizeof proxy.port, "%s", colon + 1);
	snprintf(proxy.root, sizeof proxy.root, "/%s/", c->bucket);
	proxy.hang_ms = c->hang_us / 1000 + 1;
	proxy.stall_ms = c->stall_us / 1000;
	proxy.late_ms = c->late_us / 1000 + 1;
	http_client_global_init();
	if (s3_new(
	        &(struct s3_options){
	            .endpoint = c->upstream,
	            .bucket = c->bucket,
	            .lookup = S3_LOOKUP_PATH,
	            .access_key = &c->access_key,
	            .secret_key = &c->secret_key,
	        },
	        &proxy.s3, e) != 0)
		return -1;
	return fault_plan_open(c->seed, c->rates, c->log, e);
}

static int
serve(const struct config *c, struct err *e)
{
	pthread_t acceptor;
	int fd, signal;

	if (set_up(c, e) != 0 || listen_open(c->listen, &fd, e) != 0)
		return -1;
	if (pthread_create(&acceptor, NULL, accept_thread, &fd) != 0)
		err_die("cannot start a thread");
	log_info("listening", LOG_U("port", listen_port(fd)));
	service_ready("listening");
	while ((signal = service_wait(deadline_in(TICK_MS), NULL, NULL)) != 0)
		if (signal == 1 && fault_plan_reload(e) != 0)
			break;
	service_stop();
	pthread_join(acceptor, NULL);
	return e->kind == ERR_NONE ? 0 : -1;
}

int
main(int argc, char **argv)
{
	struct config c = { 0 };
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(&program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	service_init(program.name, c.common.log_level);
	if (!c.common.check && serve(&c, &e) != 0)
		log_err(LOG_LEVEL_ERROR, "cannot go on", &e);
	/* The threads that are left end with the process. */
	_exit(err_exit(e.kind));
}
