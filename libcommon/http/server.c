#include "server.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../proto/bodies.h"
#include "../codec/json.h"
#include "../codec/zstream.h"
#include "../core/arena.h"
#include "../core/file.h"
#include "../core/log.h"
#include "../core/num.h"
#include "../core/queue.h"
#include "../core/secret.h"
#include "conns.h"
#include "listen.h"
#include "park.h"
#include "relay.h"
#include "router.h"
#include "tls.h"

#define WORKERS      8
#define CONNECTIONS  2048
#define BODIES       ((size_t)512 << 20)
#define ARENA        ((size_t)256 << 20)
#define IDLE_MS      120000
#define READ_MS      60000
#define TICK_MS      1000 /* how late a slow connection may be cut */
#define ERROR_MAX    8192 /* bytes of an error's body */
#define RETRY_AFTER  "2"  /* seconds */
#define SEND_BLOCK   65536
#define LET_IN_MS    20  /* from accept(2) to conns_add */
#define LAST_WORD_MS 250 /* for what is answered at the very end */
#define STATUS_GONE  499 /* nobody is there to get an answer */

struct http_server {
	struct http_server_options o; /* with the defaults filled in */
	struct router *router;
	struct conns *conns;
	struct tls *tls;     /* or NULL */
	struct queue *queue; /* of requests that wait for a worker */
	struct relay *relay; /* NULL under TLS */
	struct park *park;   /* refusals that are held back */
	struct MHD_Daemon *daemon;
	int listen_fd;
	unsigned port;
	pthread_t *workers;
	unsigned nworkers;
	atomic_size_t bodies; /* bytes of all bodies in memory */
	atomic_int draining;  /* answers end their connections */
	atomic_int cutting;   /* requests are no longer run */
	pthread_mutex_t lock; /* of active */
	pthread_cond_t quiet; /* nothing is active */
	size_t active;        /* requests whose head was read, unfinished */
	int stopped;
	atomic_int starting; /* the daemon's complaints go to start_error */
	char start_error[256];
};

struct worker {
	struct http_server *server;
	struct arena *arena;
	void *user; /* what worker_new returned */
};

/* An answer that is being streamed. */
struct stream {
	http_reader *reader; /* NULL: the answer is none */
	int (*reader_fd)(void *);
	void (*reader_free)(void *);
	void *ctx;
	uint64_t length; /* UINT64_MAX: unknown */
	uint64_t pos;    /* where the next chunk begins */
	char *chunk;
	size_t len, off; /* what is in chunk, what of it was sent */
	int given;       /* by the reader, what was sent last */
	int relayed; /* bytes went by libmicrohttpd: it cannot find the end */
	int failed;
};

/*
 * A request belongs to the epoll thread, but while its connection is suspended:
 * then to the worker that got it from the queue, up to its MHD_resume_connection.
 */
struct request {
	struct http_req req; /* first: what handlers get */
	struct http_server *server;
	struct MHD_Connection *mhd;
	struct conn *conn;
	struct arena *mem;  /* holds the request itself, and its texts */
	const char *target; /* as it was sent */
	int begun;          /* its head is there */
	int held;           /* it waits with its head alone */
	const struct http_route *route;
	const char *allow;    /* for a 405 */
	uint64_t body_coming; /* UINT64_MAX: of unknown length */
	uint64_t received;
	int zstd;
	struct buf body;
	size_t charged;  /* of server->bodies */
	int64_t head_us; /* when its head was there */
	int64_t body_us; /* since when its body may come */
	int status;      /* of the answer */
	struct MHD_Response *answer;
	size_t answer_len;
	struct stream stream;
};

/* ---- what a handler may ask ---- */

static const char *
lookup(const struct http_req *req, enum MHD_ValueKind kind, const char *name)
{
	const struct request *q = (const struct request *)req;
	const char *value = NULL;

	/* A suspended connection's values are read by its worker alone. */
	if (MHD_lookup_connection_value_n(
	        q->mhd, kind, name, strlen(name), &value, NULL) == MHD_NO)
		return NULL;
	return value != NULL ? value : "";
}

const char *
http_req_header(const struct http_req *q, const char *name)
{
	return lookup(q, MHD_HEADER_KIND, name);
}

const char *
http_req_query(const struct http_req *q, const char *name)
{
	return lookup(q, MHD_GET_ARGUMENT_KIND, name);
}

int
http_res_header(const struct http_req *q, struct http_res *r, const char *name,
    const char *value, struct err *e)
{
	struct http_header *h = &r->headers[r->nheaders];

	if (r->nheaders == HTTP_RES_HEADERS_MAX)
		return err_set(e, ERR_INTERNAL, "header %s: too many", name);
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return err_set(e, ERR_INTERNAL,
			    "header %s: control character", name);
	if ((h->value = arena_str(q->arena, value)) == NULL)
		return arena_full(q->arena, e);
	h->name = name;
	r->nheaders++;
	return 0;
}

/* ---- requests ---- */

static struct request *
request_new(
    struct http_server *s, struct MHD_Connection *mhd, const char *target)
{
	struct arena *mem = arena_new(HTTP_HEAD_MAX * 8);
	struct request *q = arena_alloc(mem, sizeof *q);

	q->server = s;
	q->mhd = mhd;
	q->mem = mem;
	q->conn =
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
	        ->socket_context;
	q->req.remote = q->conn->remote;
	q->req.relays = s->relay != NULL;
	q->target = arena_str(mem, target);
	return q;
}

/* Its memory, and its share of what all bodies may take. */
static void
body_free(struct request *q)
{
	buf_done(&q->body);
	atomic_fetch_sub(&q->server->bodies, q->charged);
	q->charged = 0;
	q->req.body = NULL;
	q->req.body_len = 0;
}

static int
body_charge(struct request *q, size_t n, struct err *e)
{
	struct http_server *s = q->server;

	q->charged += n;
	if (atomic_fetch_add(&s->bodies, n) + n > s->o.bodies_max)
		return err_set(
		    e, ERR_UNAVAILABLE, "too many request bodies at once");
	return 0;
}

static void
stream_free(struct stream *st)
{
	if (st->reader_free != NULL)
		st->reader_free(st->ctx);
	free(st->chunk);
	*st = (struct stream){ 0 };
}

static void
request_free(struct request *q)
{
	body_free(q);
	stream_free(&q->stream);
	if (q->answer != NULL)
		MHD_destroy_response(q->answer);
	arena_free(q->mem);
}

/* ---- answers ---- */

static void
header(struct request *q, const char *name, const char *value)
{
	if (value != NULL)
		MHD_add_response_header(q->answer, name, value);
}

/* Takes over the content of body. */
static void
answer_body(struct request *q, int status, struct buf *body, const char *type)
{
	size_t len = body->len;

	q->status = status;
	q->answer_len = len;
	q->answer = MHD_create_response_from_buffer(len,
	    len > 0 ? buf_steal(body, NULL) : NULL,
	    len > 0 ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (q->answer == NULL)
		err_die("out of memory: answer");
	header(q, "X-Request-Id", q->req.id);
	header(q, "Content-Type", len > 0 ? type : NULL);
}

static void
error_fmt(struct buf *body, const struct err *e, int json)
{
	const char *hint = e->hint[0] != '\0' ? e->hint : NULL;
	struct api_error a = { .error = { .kind = err_name(e->kind),
		                   .message = e->msg,
		                   .hint = hint } };

	if (json && json_encode(&api_error_desc, &a, body, NULL) == 0)
		return;
	buf_printf(body, NULL, "%s\n", e->msg);
	if (hint != NULL)
		buf_printf(body, NULL, "hint: %s\n", hint);
}

/* status 0 is that of the kind. */
static void
answer_error(struct request *q, int status, const struct err *e)
{
	int json = strncmp(q->req.path, "/api/v2/", 8) == 0;
	struct buf body;

	if (status == 0)
		status = err_http(e->kind);
	buf_init(&body, ERROR_MAX);
	error_fmt(&body, e, json);
	answer_body(q, status, &body,
	    json ? "application/json" : "text/plain; charset=utf-8");
	if (!json)
		header(q, "X-Content-Type-Options", "nosniff");
	switch (status) {
	case 401:
		header(q, "WWW-Authenticate",
		    q->route != NULL && q->route->challenge != NULL
		        ? q->route->challenge
		        : "Bearer");
		break;
	case 405:
		header(q, "Allow", q->allow);
		break;
	case 415:
		header(q, "Accept-Encoding", "zstd");
		break;
	case 429:
	case 503:
		header(q, "Retry-After", RETRY_AFTER);
		break;
	}
	buf_done(&body);
}

/* Sends the answer; in the epoll thread. */
static enum MHD_Result
answer_send(struct request *q)
{
	struct http_server *s = q->server;
	int64_t ms = s->o.read_ms + q->answer_len * 1000 / HTTP_RATE_MIN;

	if (atomic_load(&s->draining))
		header(q, "Connection", "close");
	conns_mark(s->conns, q->conn, CONN_BUSY, deadline_in(ms));
	return MHD_queue_response(q->mhd, q->status, q->answer);
}

/* ---- streamed answers ---- */

/* Fills the chunk; in a worker. */
static int
stream_fill(struct stream *st, void *worker, struct err *e)
{
	uint64_t left = st->length - st->pos;
	size_t max = left < HTTP_CHUNK ? left : HTTP_CHUNK;
	ssize_t n = 0;

	if (st->chunk == NULL)
		st->chunk = xmalloc(HTTP_CHUNK);
	st->off = st->len = 0;
	if (max > 0)
		n = st->reader(st->ctx, worker, st->pos, st->chunk, max, e);
	if (n == 0 && max > 0 && st->length != UINT64_MAX)
		n = err_set(e, ERR_CORRUPT, "ended after %ju bytes of %ju",
		    (uintmax_t)st->pos, (uintmax_t)st->length);
	if (n == -1) {
		st->failed = 1;
		return -1;
	}
	st->len = n;
	st->pos += n;
	st->given = 1;
	return 0;
}

static void request_queue(struct request *q);

/* libmicrohttpd wants bytes: from the chunk, or later. */
static ssize_t
stream_send(void *ctx, uint64_t pos, char *buf, size_t max)
{
	struct request *q = ctx;
	struct stream *st = &q->stream;
	size_t n = st->len - st->off;

	(void)pos; /* it only ever goes on */
	if (st->failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0 && st->len == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0 && st->relayed && st->pos == st->length)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n == 0) {
		request_queue(q);
		return 0;
	}
	if (st->off == 0)
		conns_mark(q->server->conns, q->conn, CONN_BUSY,
		    deadline_in(
		        q->server->o.read_ms + st->len * 1000 / HTTP_RATE_MIN));
	if (n > max)
		n = max;
	memcpy(buf, st->chunk + st->off, n);
	st->off += n;
	return n;
}

static int
answer_stream(
    struct request *q, const struct http_res *r, void *worker, struct err *e)
{
	struct stream *st = &q->stream;

	st->reader = r->reader;
	st->length = r->length < 0 ? UINT64_MAX : (uint64_t)r->length;
	if (strcmp(q->req.method, "HEAD") != 0) {
		if (q->req.relays && r->length >= 0)
			st->reader_fd = r->reader_fd;
		if (stream_fill(st, worker, e) == -1)
			return -1;
	}
	q->status = r->status;
	q->answer = MHD_create_response_from_callback(
	    st->length == UINT64_MAX ? MHD_SIZE_UNKNOWN : st->length,
	    SEND_BLOCK, stream_send, q, NULL);
	if (q->answer == NULL)
		err_die("out of memory: answer");
	header(q, "X-Request-Id", q->req.id);
	header(q, "Content-Type", r->content_type);
	header(q, "Connection", st->reader_fd != NULL ? "close" : NULL);
	return 0;
}

/* The relay is done with it; in its thread. */
static void
stream_relayed(void *ctx, uint64_t n, enum relay_end why)
{
	struct request *q = ctx;

	q->stream.pos += n;
	/* The reader has other ways to get what is missing. */
	if (why == RELAY_SOURCE && queue_push(q->server->queue, q, 0) == 0)
		return;
	q->stream.failed = 1;
	MHD_resume_connection(q->mhd);
}

/* Has the relay go on with it, if it can: 1, and q is no longer ours. */
static int
stream_relay(struct request *q)
{
	struct stream *st = &q->stream;
	int fd;

	if (st->reader_fd == NULL || !st->given ||
	    (fd = st->reader_fd(st->ctx)) == -1)
		return 0;
	st->given = 0;
	free(st->chunk);
	st->chunk = NULL;
	st->relayed = 1;
	return relay_add(q->server->relay, fd, q->conn->fd,
	           st->length - st->pos, stream_relayed, q) == 0;
}

/* ---- workers ---- */

static int
too_large(struct err *e, const struct http_route *route)
{
	return err_set(e, ERR_TOO_LARGE, "request body exceeds %zu bytes",
	    route->body_max);
}

/* Until it is done, what comes out is not charged, but there are only so many
 * workers. */
static int
body_unpack(struct request *q, struct err *e)
{
	struct buf packed = q->body;
	size_t charged = q->charged;
	int rc;

	buf_init(&q->body, q->route->body_max);
	rc = zstream_unpack(packed.data, packed.len, &q->body, e);
	buf_done(&packed);
	atomic_fetch_sub(&q->server->bodies, charged);
	q->charged -= charged;
	if (rc == 0)
		return body_charge(q, q->body.len, e);
	if (e->kind == ERR_TOO_LARGE)
		return too_large(e, q->route);
	e->kind = ERR_INVALID;
	return err_prefix(e, "request body");
}

static int
handler_run(
    struct request *q, struct worker *w, struct http_res *r, struct err *e)
{
	if (atomic_load(&q->server->cutting))
		return err_set(e, ERR_UNAVAILABLE, "the server is stopping");
	if (q->zstd && body_unpack(q, e) == -1)
		return -1;
	q->req.body = q->body.data;
	q->req.body_len = q->body.len;
	return q->route->handler(w->user, &q->req, r, e);
}

static void
request_run(struct request *q, struct worker *w)
{
	struct http_res r = {
		.status = 200, .length = -1, .content_type = "application/json"
	};
	struct err e = ERR_INIT;
	int rc;

	buf_init(&r.body, HTTP_RES_BODY_MAX);
	q->req.arena = w->arena;
	rc = handler_run(q, w, &r, &e);
	q->stream.ctx = r.reader_ctx;
	q->stream.reader_free = r.reader_free;
	if (rc == 0 && r.reader != NULL)
		rc = answer_stream(q, &r, w->user, &e);
	else if (rc == 0)
		answer_body(q, r.status, &r.body, r.content_type);
	if (rc == -1)
		answer_error(q, 0, &e);
	for (size_t i = 0; rc == 0 && i < r.nheaders; i++)
		header(q, r.headers[i].name, r.headers[i].value);
	buf_done(&r.body);
	body_free(q);
	q->req.arena = NULL;
	arena_reset(w->arena);
}

/* With the head alone. */
static void
request_check(struct request *q, struct worker *w)
{
	struct http_server *s = q->server;
	struct err e = ERR_INIT;
	int rc;

	q->req.arena = w->arena;
	if (atomic_load(&s->cutting))
		rc = err_set(&e, ERR_UNAVAILABLE, "the server is stopping");
	else
		rc = s->o.authorize_slow(w->user, &q->req, q->route, &e);
	if (rc == -1)
		answer_error(q, 0, &e);
	q->req.arena = NULL;
	arena_reset(w->arena);
}

static void
worker_turn(struct worker *w, struct request *q)
{
	struct err e = ERR_INIT;

	if (q->answer != NULL && !atomic_load(&w->server->cutting) &&
	    stream_relay(q))
		return;
	log_request(q->req.id);
	if (q->held)
		request_check(q, w);
	else if (q->answer == NULL)
		request_run(q, w);
	else if (atomic_load(&w->server->cutting))
		q->stream.failed = 1;
	else if (stream_fill(&q->stream, w->user, &e) == -1)
		log_err(LOG_LEVEL_WARN, "answer cut short", &e);
	log_request(NULL);
	/* q is no longer ours */
	if (q->held && q->answer != NULL && q->req.delay_ms > 0)
		park_put(w->server->park, q, q->req.delay_ms);
	else
		MHD_resume_connection(q->mhd);
}

static void
request_wake(void *item)
{
	MHD_resume_connection(((struct request *)item)->mhd);
}

static void *
worker_main(void *arg)
{
	struct http_server *s = arg;
	struct worker w = { .server = s, .arena = arena_new(s->o.arena_max) };
	struct request *q;

	if (s->o.worker_new != NULL)
		w.user = s->o.worker_new(s->o.ctx);
	while ((q = queue_pop(s->queue, INT64_MAX)) != NULL)
		worker_turn(&w, q);
	if (s->o.worker_free != NULL)
		s->o.worker_free(w.user);
	arena_free(w.arena);
	return NULL;
}

/* Hands q to a worker; in the epoll thread. */
static void
request_queue(struct request *q)
{
	struct http_server *s = q->server;
	struct err e;

	/* Nobody is to be cut for our own slowness. */
	conns_mark(s->conns, q->conn, CONN_BUSY, INT64_MAX);
	MHD_suspend_connection(q->mhd);
	if (queue_push(s->queue, q, 0) == 0)
		return;
	/* Every connection has its place in the queue: it was closed. */
	err_set(&e, ERR_UNAVAILABLE, "the server is stopping");
	if (q->answer == NULL)
		answer_error(q, 0, &e);
	q->stream.failed = 1;
	MHD_resume_connection(q->mhd);
}

/* ---- heads ---- */

/* The headers that say where a request ends. */
struct framing {
	unsigned lengths, codings;
	const char *length, *coding;
	unsigned bad_name;
};

static enum MHD_Result
framing_see(
    void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct framing *f = ctx;

	(void)kind;
	/* "Content-Length : 5" is one thing to us and another to a proxy. */
	if (name[0] == '\0' || strpbrk(name, " \t") != NULL)
		f->bad_name = 1;
	if (strcasecmp(name, "Content-Length") == 0) {
		f->lengths++;
		f->length = value;
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		f->codings++;
		f->coding = value;
	}
	return MHD_YES;
}

/* Fills body_coming. A request that two parsers could cut differently is none
 * (RFC 9112, 6.3 and 11.2). */
static int
framing_check(struct request *q, struct err *e)
{
	struct framing f = { 0 };

	MHD_get_connection_values(q->mhd, MHD_HEADER_KIND, framing_see, &f);
	if (f.lengths + f.codings + f.bad_name > 0)
		q->body_coming = UINT64_MAX;
	if (f.bad_name)
		return err_set(e, ERR_INVALID, "malformed header");
	if (f.lengths + f.codings > 1)
		return err_set(e, ERR_INVALID,
		    "more than one Content-Length or Transfer-Encoding");
	if (f.codings > 0 && strcasecmp(f.coding, "chunked") != 0)
		return err_set(e, ERR_INVALID,
		    "Transfer-Encoding: only chunked is understood");
	if (f.lengths > 0 &&
	    num_parse_u64(f.length, strlen(f.length), UINT64_MAX - 1,
	        &q->body_coming, e) == -1)
		return err_prefix(e, "Content-Length");
	return 0;
}

/* The path, the route and its parameters. *status is left 0 for the kind's. */
static int
target_route(struct request *q, const char *method, int *status, struct err *e)
{
	size_t len = strcspn(q->target, "?");
	const char *query = q->target + len;
	char *scratch = arena_strn(q->mem, query, strlen(query));
	struct router_match m = { 0 };

	*status =
	    router_find(q->server->router, method, q->target, len, q->mem, &m);
	if (m.path != NULL)
		q->req.path = m.path;
	if (*status == 405) {
		q->allow = arena_str(q->mem, m.allow);
		return err_set(e, ERR_INVALID, "method not allowed");
	}
	if (*status == 404)
		return err_set(e, ERR_NOT_FOUND, "no such path");
	/* The query is decoded by libmicrohttpd, but not checked. */
	if (*status == 400 ||
	    router_unescape(scratch, query, strlen(query)) == -1) {
		*status = 400;
		return err_set(e, ERR_INVALID, "malformed path or query");
	}
	*status = 0;
	q->route = m.route;
	memcpy(q->req.params, m.params, sizeof m.params);
	return 0;
}

static int
coding_check(struct request *q, int *status, struct err *e)
{
	const char *coding = http_req_header(&q->req, "Content-Encoding");

	if (coding == NULL || strcasecmp(coding, "identity") == 0)
		return 0;
	q->zstd = strcasecmp(coding, "zstd") == 0;
	if (q->zstd)
		return 0;
	*status = 415;
	return err_set(
	    e, ERR_INVALID, "Content-Encoding: only zstd is understood");
}

/* What comes before it is known who asks: 0, -1 or HTTP_ASK_WORKER. */
static int
head_check(struct request *q, const char *method, int *status, struct err *e)
{
	struct http_server *s = q->server;

	if (framing_check(q, e) == -1 ||
	    target_route(q, method, status, e) == -1)
		return -1;
	return s->o.authorize == NULL
	    ? 0
	    : s->o.authorize(s->o.ctx, &q->req, q->route, e);
}

/* Whom the certificate of the connection names; the handshake is over by now. */
static const char *
subject_of(struct request *q)
{
	struct conn *c = q->conn;
	char subject[TLS_SUBJECT_MAX];

	if (q->server->o.tls_client_ca == NULL || c->subject_known)
		return c->subject;
	c->subject_known = 1;
	if (tls_subject(MHD_get_connection_info(
	                    q->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)
	                    ->tls_session,
	        subject) == 0)
		c->subject = xstrdup(subject);
	return c->subject;
}

/* What else the head alone can be refused for. */
static int
body_check(struct request *q, int *status, struct err *e)
{
	if (coding_check(q, status, e) == -1)
		return -1;
	buf_init(&q->body, q->route->body_max);
	if (q->body_coming == UINT64_MAX)
		return 0;
	if (q->body_coming > q->route->body_max)
		return too_large(e, q->route);
	/* Room is kept for the whole, lest many get half of theirs each. */
	return body_charge(q, q->body_coming, e);
}

static void
id_choose(struct request *q)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "abcdefghijklmnopqrstuvwxyz"
	                              "0123456789._-";
	const char *given = http_req_header(&q->req, "X-Request-Id");
	size_t len = given != NULL ? strlen(given) : 0;
	uint64_t random;

	if (len > 0 && len <= HTTP_ID_MAX && strspn(given, allowed) == len) {
		memcpy(q->req.id, given, len + 1);
		return;
	}
	secret_random(&random, sizeof random);
	snprintf(q->req.id, sizeof q->req.id, "%016jx", (uintmax_t)random);
}

/* Until when the rest must come. */
static void
body_wait(struct request *q)
{
	struct http_server *s = q->server;

	conns_mark(s->conns, q->conn, CONN_BUSY,
	    q->body_us / 1000 + s->o.read_ms +
	        q->received * 1000 / HTTP_RATE_MIN);
}

/* The head is all right, or answered. */
static enum MHD_Result
head_end(struct request *q)
{
	/* Answered now, libmicrohttpd closes the connection; without a body
	 * it will ask again at once, and keep it. */
	if (q->answer == NULL || q->body_coming == 0)
		return MHD_YES;
	q->conn->linger = 1;
	return answer_send(q);
}

/*
 * A connection that is suspended in the first call for a request gets that call
 * again when it is resumed, and until then nothing of the body: also not the
 * "100 Continue" that asks for it (libmicrohttpd 0.9.75).
 */
static enum MHD_Result
head_resume(struct request *q)
{
	struct err e = ERR_INIT;
	int status = 0;

	q->held = 0;
	q->body_us = clock_mono_us();
	body_wait(q);
	if (q->answer == NULL && body_check(q, &status, &e) == -1)
		answer_error(q, status, &e);
	return head_end(q);
}

static enum MHD_Result
head_take(struct request *q, const char *method)
{
	struct http_server *s = q->server;
	struct err e = ERR_INIT;
	int status = 0, rc;

	q->begun = 1;
	q->req.method = method;
	q->req.path = q->target;
	q->req.subject = subject_of(q);
	q->head_us = q->body_us = clock_mono_us();
	body_wait(q);
	pthread_mutex_lock(&s->lock);
	s->active++;
	pthread_mutex_unlock(&s->lock);
	id_choose(q);
	log_request(q->req.id);
	rc = head_check(q, method, &status, &e);
	if (rc == 0)
		rc = body_check(q, &status, &e);
	if (rc == -1)
		answer_error(q, status, &e);
	log_request(NULL);
	q->held = rc == HTTP_ASK_WORKER || (rc == -1 && q->req.delay_ms > 0);
	if (!q->held)
		return head_end(q);
	if (rc == HTTP_ASK_WORKER) {
		request_queue(q);
	} else {
		conns_mark(s->conns, q->conn, CONN_BUSY, INT64_MAX);
		MHD_suspend_connection(q->mhd);
		park_put(s->park, q, q->req.delay_ms);
	}
	return MHD_YES;
}

static void
body_take(struct request *q, const char *data, size_t n)
{
	struct err e;

	if (q->answer != NULL)
		return; /* nobody reads this */
	q->received += n;
	if (buf_append(&q->body, data, n, NULL) == -1) {
		too_large(&e, q->route);
		answer_error(q, 0, &e);
	} else if (q->body_coming == UINT64_MAX && body_charge(q, n, &e) == -1)
		answer_error(q, 0, &e);
	if (q->answer != NULL)
		body_free(q);
	else
		body_wait(q);
}

/* ---- what libmicrohttpd calls; all in the epoll thread ---- */

/* The request line is there. */
static void *
on_target(void *ctx, const char *target, struct MHD_Connection *mhd)
{
	struct http_server *s = ctx;
	struct request *q;

	q = request_new(s, mhd, target != NULL ? target : "");
	conns_mark(s->conns, q->conn, CONN_NEW, deadline_in(s->o.read_ms));
	return q;
}

/* Once with the head, then with every piece of the body, then without one until
 * an answer is queued. */
static enum MHD_Result
on_request(void *ctx, struct MHD_Connection *mhd, const char *url,
    const char *method, const char *version, const char *data, size_t *n,
    void **request)
{
	struct request *q = *request;

	(void)ctx, (void)mhd, (void)url, (void)version;
	if (!q->begun)
		return head_take(q, method);
	if (q->held)
		return head_resume(q);
	if (*n > 0) {
		body_take(q, data, *n);
		*n = 0;
		return MHD_YES;
	}
	if (q->answer != NULL)
		return answer_send(q);
	request_queue(q);
	return MHD_YES;
}

/* The answer was sent, or the connection broke. */
static void
on_completed(void *ctx, struct MHD_Connection *mhd, void **request,
    enum MHD_RequestTerminationCode why)
{
	struct http_server *s = ctx;
	struct request *q = *request;

	(void)mhd, (void)why;
	if (q == NULL)
		return;
	*request = NULL;
	if (q->begun) {
		if (s->o.done != NULL)
			s->o.done(s->o.ctx, &q->req, q->route,
			    q->status != 0 ? q->status : STATUS_GONE,
			    clock_mono_us() - q->head_us);
		pthread_mutex_lock(&s->lock);
		if (--s->active == 0)
			pthread_cond_signal(&s->quiet);
		pthread_mutex_unlock(&s->lock);
	}
	conns_mark(s->conns, q->conn, CONN_IDLE, deadline_in(s->o.idle_ms));
	request_free(q);
}

static void
on_connection(void *ctx, struct MHD_Connection *mhd, void **conn,
    enum MHD_ConnectionNotificationCode what)
{
	struct http_server *s = ctx;

	tls_serve_here(s->tls);
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		conns_remove(s->conns, *conn);
		return;
	}
	*conn = conns_add(s->conns,
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)
	        ->connect_fd,
	    MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
	        ->client_addr,
	    deadline_in(s->o.read_ms));
}

static void
on_complaint(void *ctx, const char *fmt, va_list ap)
{
	struct http_server *s = ctx;

	if (s->starting)
		vsnprintf(s->start_error, sizeof s->start_error, fmt, ap);
}

/* ---- start and stop ---- */

/* Requests that were neither answered nor given up are waited for. */
static void
quiet_wait(struct http_server *s, deadline_t d)
{
	struct timespec ts = { d / 1000, d % 1000 * 1000000 };
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	while (s->active > 0 && rc == 0)
		rc = pthread_cond_clockwait(
		    &s->quiet, &s->lock, CLOCK_MONOTONIC, &ts);
	pthread_mutex_unlock(&s->lock);
}

static int
daemon_start(struct http_server *s, struct err *e)
{
	const char *client_ca = s->tls != NULL ? tls_client_ca(s->tls) : NULL;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD |
	    MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG |
	    (s->tls != NULL ? MHD_USE_TLS : 0);
	/* When it fails it closes the socket, though not always: it gets one of
	 * its own. */
	int fd = fcntl(s->listen_fd, F_DUPFD_CLOEXEC, 0);
#define FN(f)  (intptr_t)(f), s
#define PTR(p) 0, (void *)(uintptr_t)(p)
	struct MHD_OptionItem options[] = {
		{ MHD_OPTION_EXTERNAL_LOGGER, FN(on_complaint) },
		{ MHD_OPTION_LISTEN_SOCKET, fd },
		{ MHD_OPTION_STRICT_FOR_CLIENT, 1 },
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_HEAD_MAX },
		{ MHD_OPTION_CONNECTION_LIMIT, s->o.connections_max },
		{ MHD_OPTION_PER_IP_CONNECTION_LIMIT, s->o.connections_per_ip },
		{ MHD_OPTION_URI_LOG_CALLBACK, FN(on_target) },
		{ MHD_OPTION_NOTIFY_COMPLETED, FN(on_completed) },
		{ MHD_OPTION_NOTIFY_CONNECTION, FN(on_connection) },
		{ s->tls != NULL ? MHD_OPTION_HTTPS_CERT_CALLBACK2
		                 : MHD_OPTION_END,
		    0, tls_retrieve() },
		{ MHD_OPTION_HTTPS_PRIORITIES, PTR(TLS_PRIORITY) },
		{ client_ca != NULL ? MHD_OPTION_HTTPS_MEM_TRUST
		                    : MHD_OPTION_END,
		    PTR(client_ca) },
		{ MHD_OPTION_END },
	};
#undef FN
#undef PTR

	s->starting = 1;
	s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s,
	    MHD_OPTION_ARRAY, options, MHD_OPTION_END);
	s->starting = 0;
	if (s->daemon == NULL) {
		s->start_error[strcspn(s->start_error, "\n")] = '\0';
		return err_set(e, ERR_INTERNAL, "cannot start the server: %s",
		    s->start_error);
	}
	return 0;
}

static int
tls_start(struct http_server *s, struct err *e)
{
	const struct http_server_options *o = &s->o;

	if (o->tls_cert == NULL && o->tls_key == NULL &&
	    o->tls_client_ca == NULL)
		return 0;
	if (o->tls_cert == NULL || o->tls_key == NULL)
		return err_set(
		    e, ERR_INVALID, "TLS needs both certificate and key");
	return tls_new(o->tls_cert, o->tls_key, o->tls_client_ca, &s->tls, e);
}

static int
listen_start(struct http_server *s, struct err *e)
{
	int flags;

	if (s->o.address != NULL) {
		if (listen_open(s->o.address, &s->listen_fd, e) == -1)
			return -1;
	} else {
		flags = fcntl(s->o.listen_fd, F_GETFL);
		if (flags == -1 ||
		    fcntl(s->o.listen_fd, F_SETFL, flags | O_NONBLOCK) == -1 ||
		    fcntl(s->o.listen_fd, F_SETFD, FD_CLOEXEC) == -1)
			return err_sys(
			    e, "listening socket %d", s->o.listen_fd);
		s->listen_fd = s->o.listen_fd;
	}
	s->port = listen_port(s->listen_fd);
	return 0;
}

static void
workers_start(struct http_server *s)
{
	s->workers = xcalloc(s->o.workers, sizeof *s->workers);
	for (; s->nworkers < s->o.workers; s->nworkers++)
		if (pthread_create(
		        &s->workers[s->nworkers], NULL, worker_main, s) != 0)
			err_die("cannot start a thread");
}

static void
options_default(struct http_server_options *o)
{
	if (o->workers == 0)
		o->workers = WORKERS;
	if (o->connections_max == 0)
		o->connections_max = CONNECTIONS;
	if (o->bodies_max == 0)
		o->bodies_max = BODIES;
	if (o->arena_max == 0)
		o->arena_max = ARENA;
	if (o->idle_ms == 0)
		o->idle_ms = IDLE_MS;
	if (o->read_ms == 0)
		o->read_ms = READ_MS;
}

int
http_server_new(const struct http_server_options *o, struct http_server **out,
    struct err *e)
{
	struct http_server *s = xcalloc(1, sizeof *s);
	int64_t tick;

	s->o = *o;
	s->listen_fd = -1;
	options_default(&s->o);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->quiet, NULL);
	if ((s->router = router_new(o->routes, e)) == NULL ||
	    tls_start(s, e) == -1 || listen_start(s, e) == -1)
		goto fail;
	tick = s->o.read_ms / 4 + 1;
	s->conns = conns_new(tick < TICK_MS ? tick : TICK_MS);
	s->queue = queue_new(s->o.connections_max);
	if (o->tls_cert == NULL && o->tls_key == NULL)
		s->relay = relay_new(&(struct relay_options){
		    .wait_ms = s->o.read_ms, .rate_min = HTTP_RATE_MIN });
	s->park = park_new(request_wake);
	workers_start(s);
	if (daemon_start(s, e) == -1)
		goto fail;
	*out = s;
	return 0;
fail:
	http_server_stop(s, 0);
	http_server_free(s);
	return -1;
}

size_t
http_server_active(struct http_server *s)
{
	size_t n;

	pthread_mutex_lock(&s->lock);
	n = s->active;
	pthread_mutex_unlock(&s->lock);
	return n;
}

size_t
http_server_waiting(struct http_server *s)
{
	return queue_len(s->queue);
}

int
http_server_reload(struct http_server *s, int only_if_changed, struct err *e)
{
	if (s->tls == NULL || (only_if_changed && !tls_changed(s->tls)))
		return 0;
	return tls_reload(s->tls, e) == 0 ? 1 : -1;
}

unsigned
http_server_port(const struct http_server *s)
{
	return s->port;
}

void
http_server_stop(struct http_server *s, int64_t drain_ms)
{
	deadline_t end = deadline_in(drain_ms);
	int fd = -1;

	if (s->stopped)
		return;
	s->stopped = 1;
	atomic_store(&s->draining, 1);
	if (s->park != NULL)
		park_close(s->park);
	if (s->daemon != NULL) {
		fd = MHD_quiesce_daemon(s->daemon);
		/* An activated socket is the service manager's too: who comes
		 * now waits there for our successor. */
		if (s->o.address != NULL)
			shutdown(s->listen_fd, SHUT_RDWR);
		conns_shut_idle(s->conns);
		/* Also whom the epoll thread lets in just now. */
		clock_sleep(LET_IN_MS, end);
		conns_settle(
		    s->conns, deadline_min(end, deadline_in(CONNS_GRACE_MS)));
		quiet_wait(s, end);
	}
	atomic_store(&s->cutting, 1);
	if (s->queue != NULL)
		queue_close(s->queue);
	for (; s->nworkers > 0; s->nworkers--)
		pthread_join(s->workers[s->nworkers - 1], NULL);
	relay_free(s->relay);
	s->relay = NULL;
	if (s->daemon != NULL) {
		quiet_wait(s, deadline_in(LAST_WORD_MS));
		MHD_stop_daemon(s->daemon);
		close(fd);
	}
	conns_free(s->conns);
	s->conns = NULL;
}

void
http_server_free(struct http_server *s)
{
	if (s == NULL)
		return;
	if (s->listen_fd != -1)
		close(s->listen_fd);
	queue_free(s->queue);
	park_free(s->park);
	tls_free(s->tls);
	router_free(s->router);
	pthread_cond_destroy(&s->quiet);
	pthread_mutex_destroy(&s->lock);
	free(s->workers);
	free(s);
}
