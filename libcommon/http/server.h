/*
 * HTTP server over libmicrohttpd: an epoll thread collects requests and hands
 * each, when its body is complete, to a pool of workers that run straight-line
 * handlers. Only this file's implementation knows libmicrohttpd.
 *
 * A request is refused as early as can be: malformed, no such route (404, 405)
 * and refused by authorize or, in a worker, by authorize_slow, in this order, then
 * coded in a way we do not know (415), too long (413) or one too many (503), all
 * with the head alone. A body that was on its way is then not read, and the
 * connection is closed after the answer. Only a body without a length that proves
 * too long is read to its end, and thrown away, before the 413 goes out; meanwhile
 * the clock below does not wait for it.
 *
 * Limits: the head (HTTP_HEAD_MAX), the body of each route, all bodies in memory
 * together, connections in all and per address, and time: a head must be there
 * within read_ms, a body may take as much and a second per HTTP_RATE_MIN bytes
 * that came; an answer, or each HTTP_CHUNK of a streamed one, must be taken at
 * the same pace. Who is slower loses the connection.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../core/buf.h"
#include "../core/err.h"

struct arena;
struct http_server;

#define HTTP_HEAD_MAX   ((size_t)32 << 10) /* less some for bookkeeping */
#define HTTP_RATE_MIN   ((size_t)16 << 10) /* bytes a second */
#define HTTP_PARAMS_MAX 4
#define HTTP_ID_MAX     64
#define HTTP_WHO_MAX    256

struct http_req {
	const char *method;
	const char *path;                    /* decoded path */
	const char *params[HTTP_PARAMS_MAX]; /* of {name}s, in order, decoded */
	const uint8_t *body; /* decoded (Content-Encoding: zstd is undone) */
	size_t body_len;
	const char *remote;       /* address of the peer, without the port;
				     "local" over a unix socket */
	const char *subject;      /* of the peer's verified certificate, as
				     RFC 4514 has it; or NULL */
	char id[HTTP_ID_MAX + 1]; /* also in the answer's X-Request-Id */
	int relays;               /* reader_fd of an answer would be asked */
	/* Authorisation may note here whom it let in and with which rights, for
	 * the handler and done. */
	char who[HTTP_WHO_MAX];
	unsigned scopes;     /* the program's own */
	int64_t expires_us;  /* wall clock; 0: not known to end */
	int64_t delay_ms;    /* how long a refusal is to be held back */
	struct arena *arena; /* for the handler: emptied when it returned */
};

/* The first value, or NULL. Names of headers are case-insensitive. */
const char *http_req_header(const struct http_req *q, const char *name);
/* The first value, decoded, or NULL; "" for a name without a value. */
const char *http_req_query(const struct http_req *q, const char *name);

#define HTTP_RES_HEADERS_MAX 16
#define HTTP_RES_BODY_MAX    ((size_t)256 << 20)
#define HTTP_CHUNK           ((size_t)256 << 10)

struct http_header {
	const char *name, *value;
};

/*
 * A streamed answer takes HTTP_CHUNK bytes of memory, however long it is and
 * however slowly it is taken: a worker has reader fill a chunk, and turns to
 * other requests while the chunk is sent. So reader may block (with a deadline),
 * runs in any worker, though never in two at once, and gets the worker_new value
 * of the one it runs in. It writes at most max bytes, those from pos on, and
 * returns how many; 0 at the end; -1 with e filled. If the first call fails, e
 * is answered in place of all; later the connection is cut, so that the client
 * sees that bytes are missing.
 */
typedef ssize_t http_reader(void *ctx, void *worker, uint64_t pos, char *buf,
    size_t max, struct err *e);

struct http_res {
	int status;               /* 200 unless set */
	const char *content_type; /* "application/json" unless set; not sent
				     when there is no body */
	struct buf body;
	struct http_header headers[HTTP_RES_HEADERS_MAX];
	size_t nheaders;
	/*
	 * Instead of body: where its bytes come from. The answer of a HEAD has
	 * the headers of its GET, and reader is not called.
	 */
	http_reader *reader;
	void *reader_ctx; /* not in the arena */
	/* Called once the answer is over, whatever became of it, and also when
	 * the handler returned -1; in any thread. May be NULL. */
	void (*reader_free)(void *reader_ctx);
	int64_t length; /* of what reader will give; -1 (unless set): unknown */
	/*
	 * Of an answer of known length, for large ones: asked whenever what
	 * reader gave was sent, in a worker. A socket on which the bytes behind
	 * it can be read, which is the server's from then on, or -1: reader goes
	 * on. From a socket they go to the client without being copied; reader
	 * is asked again, for what is missing, when it ends too soon. The
	 * connection is closed after such an answer, and says so. Only asked
	 * where the request says relays. May be NULL.
	 */
	int (*reader_fd)(void *reader_ctx);
};

/*
 * Adds a header; name is kept, value is copied into the request's arena. Fails
 * on a control character in value, and on too many. Content-Length, Connection
 * and Date are the server's.
 */
int http_res_header(const struct http_req *q, struct http_res *r,
    const char *name, const char *value, struct err *e);

/*
 * A handler fills r, or returns -1 with e filled: the status is then the kind's
 * and the body struct api_error of proto/bodies.h for /api/v2/, and for every
 * other path the message as text. worker is what worker_new returned for this
 * thread. log_request is set.
 */
typedef int http_handler(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e);

/* Patterns are explained in router.h. */
struct http_route {
	const char *method;  /* "GET" also serves HEAD */
	const char *pattern; /* "/api/v2/uploads/{id}" */
	http_handler *handler;
	size_t body_max; /* bytes, both before and after decoding */
	unsigned scope;  /* the program's own: for authorize */
	/* How it asks who is there (WWW-Authenticate); NULL: "Bearer". */
	const char *challenge;
};

#define HTTP_ASK_WORKER 1 /* see authorize */

struct http_server_options {
	const char *address; /* "127.0.0.1:5751", "[::1]:5751", ":5751";
				port 0 picks one. NULL: listen_fd */
	int listen_fd;       /* already listening (socket activation); closed
				by http_server_free */
	const struct http_route *routes; /* ended by a NULL method; kept */
	unsigned workers;                /* 0: 8 */
	unsigned connections_max;        /* 0: 2048 */
	unsigned connections_per_ip;     /* 0: no bound */
	size_t bodies_max; /* of all bodies together; 0: 512 MiB; over it 503 */
	size_t arena_max;  /* of a request's arena; 0: 256 MiB */
	int64_t idle_ms;   /* between two requests; 0: 120 s */
	int64_t read_ms;   /* see above; 0: 60 s */
	const char *tls_cert, *tls_key; /* PEM files; NULL: plain HTTP */
	const char *tls_client_ca; /* whose client certificates make a subject;
				      or NULL */
	void *ctx;
	/* Per worker, in its thread; may be NULL. */
	void *(*worker_new)(void *ctx);
	void (*worker_free)(void *worker);
	/*
	 * Called with the head only, before the body is read (so a stranger
	 * cannot make us buffer one), in the epoll thread: must not block. -1
	 * refuses the request; HTTP_ASK_WORKER leaves the answer to
	 * authorize_slow, which runs in a worker and may block (with a
	 * deadline), still before the body is read. Its q->arena is emptied
	 * afterwards; that of authorize is NULL. A refusal is held back for
	 * q->delay_ms, which costs a connection and nothing else. May be NULL.
	 */
	int (*authorize)(void *ctx, struct http_req *q,
	    const struct http_route *route, struct err *e);
	int (*authorize_slow)(void *worker, struct http_req *q,
	    const struct http_route *route, struct err *e);
	/*
	 * After each answer, in the epoll thread: must not block. route is NULL
	 * when there was none; status is 499 when the client left before the
	 * answer; us is the time since the head was there. May be NULL.
	 */
	void (*done)(void *ctx, const struct http_req *q,
	    const struct http_route *route, int status, int64_t us);
};

/* Strings are not kept. */
int http_server_new(const struct http_server_options *o,
    struct http_server **out, struct err *e);
/* Requests whose head is there and that are not answered yet; and how many of
 * these wait for a worker. */
size_t http_server_active(struct http_server *s);
size_t http_server_waiting(struct http_server *s);
/* Reads certificate and key again, or only when the files have changed: 1 when it
 * did, 0 when there was nothing to do, -1. Existing connections keep theirs; on
 * failure all do. */
int http_server_reload(
    struct http_server *s, int only_if_changed, struct err *e);
/* The port it listens on; 0 when that is no TCP socket. */
unsigned http_server_port(const struct http_server *s);
/*
 * Accepts no more, closes idle connections, lets what runs be answered for
 * drain_ms; then answers 503 to what still waits for a worker, and cuts the
 * rest. A handler is never interrupted: its own deadlines bound this call.
 * Idempotent, but not from several threads at once.
 */
void http_server_stop(struct http_server *s, int64_t drain_ms);
void http_server_free(struct http_server *s); /* takes NULL; after stop */

#endif
