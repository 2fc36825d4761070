/*
 * Calls between our processes: msgpack over nng (proto/messages.h). Only this
 * layer knows nng.
 *
 * A frame is a header (struct ipc_head) and a body; the permission table in
 * proto/messages.h says which role may ask what of whom. A peer is known by
 * its uid: every endpoint is told which roles which uids may act in, and a
 * connection of any other uid is closed before it can send. A frame begins with
 * the hash of the whole schema; a peer of another version gets ERR_VERSION.
 *
 * nng must not be called before Landlock was applied, nor after a fork.
 */
#ifndef IPC_IPC_H
#define IPC_IPC_H

#include <stddef.h>
#include <stdint.h>

#include "../core/clock.h"
#include "../core/err.h"
#include "../../proto/messages.h"

struct arena;
struct metrics;

#define IPC_FRAME_MAX ((size_t)8 << 20) /* bytes of one message */

/*
 * Peers: who may be at the other end. A list of "role=uid" or "role=user",
 * e.g. "server=niks3-server"; parsed by ipc_peers_parse. Empty: every role for
 * our own uid only.
 */
struct ipc_peers;
int ipc_peers_parse(
    const char *const *items, size_t n, struct ipc_peers **out, struct err *e);
void ipc_peers_free(struct ipc_peers *p);

/* ---- asking ---- */

/*
 * A client of one served role. It listens (uploaders dial us) or dials (the
 * signer and gc listen), and reconnects by itself. Thread-safe: each call has a
 * context of its own, so any number may be under way.
 */
struct ipc_client;

struct ipc_client_options {
	enum role self;      /* in which role we ask */
	enum role peer;      /* whom */
	const char *address; /* "ipc:///run/niks3/signer.sock" */
	int listen;          /* 1: bind the address, peers dial us */
	unsigned mode;       /* of the socket when listening; 0: by umask */
	const struct ipc_peers *peers; /* must outlive the client */
	/* After each ipc_call, in its thread; ERR_NONE for one that succeeded. us
	 * is the time with all tries and waits. May be NULL. */
	void (*done)(void *ctx, enum role peer, enum call id,
	    enum err_kind kind, int64_t us);
	void *ctx;
};

int ipc_client_new(
    const struct ipc_client_options *o, struct ipc_client **out, struct err *e);
void ipc_client_free(struct ipc_client *c); /* takes NULL */
/* How many peers are connected just now, and how many calls are under way. */
unsigned ipc_client_peers(struct ipc_client *c);
unsigned ipc_client_calls(const struct ipc_client *c);

/*
 * Asks and waits. reply points into a. Errors of the peer come with its kind,
 * text and hint; no peer in time is ERR_UNAVAILABLE ("signer: not connected"),
 * no answer ERR_TIMEOUT; only peers of another version are UNAVAILABLE too, with
 * a hint, since that passes in an upgrade. A call whose row is marked IDEMPOTENT is
 * sent again, here and nowhere else, when the peer went away or, while there are
 * others, did not answer in its share of the deadline. Any call is sent again when
 * a stopping peer refused to begin it.
 */
int ipc_call(struct ipc_client *c, enum call id, const void *request,
    struct arena *a, void *reply, deadline_t d, struct err *e);

/* ---- answering ---- */

/* worker is what worker_new returned for this thread. d is how long the caller
 * is willing to wait. *reply comes zeroed; on success it is filled (it may
 * point into a or the request). */
typedef int ipc_handler(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e);

struct ipc_server;

struct ipc_server_options {
	enum role self;
	const char *const *addresses; /* one or more */
	size_t naddresses;
	int listen; /* 1: bind them, 0: dial them (uploaders) */
	unsigned mode;
	const struct ipc_peers *peers;
	unsigned workers; /* threads per address */
	/* handlers[call], for every call that self serves but CALL_figures: a
	 * missing one is a broken invariant at start. */
	ipc_handler *const *handlers;
	size_t arena_max; /* bytes for one call; 0: 64 MiB */
	int64_t stuck_ms; /* see ipc_server_alive; 0: a minute */
	void *ctx;
	void *(*worker_new)(void *ctx); /* may be NULL */
	void (*worker_free)(void *worker);
	/* After each request, refused ones too (id is then 0, and caller
	 * ROLE__MAX when it was not believed); may be NULL. */
	void (*done)(void *ctx, enum call id, enum role caller,
	    const char *request_id, const struct err *e, int64_t us);
	/* Of daemon_metrics (proto/metrics.h), and must outlive the server: it
	 * counts its requests there, and answers CALL_figures by itself, having
	 * called collect, which may be NULL. NULL: nothing is counted. */
	struct metrics *metrics;
	void (*collect)(void *ctx, struct metrics *m);
};

int ipc_server_new(
    const struct ipc_server_options *o, struct ipc_server **out, struct err *e);
/* For service_wait: 0 when every worker is in a call whose deadline has been over
 * for stuck_ms, so that nobody is answered any more. s is a struct ipc_server. */
int ipc_server_alive(void *s);
/*
 * Lets running calls finish until drain_ms, while new ones are refused so that
 * their callers ask another peer at once; frees. Takes NULL. Returns -1 when a
 * call still runs: nothing is freed then, and what the handlers use must not be
 * either; the process should exit.
 */
int ipc_server_free(struct ipc_server *s, int64_t drain_ms);

/* ---- figures ---- */

/* Puts what a process told into out, a struct metrics for its role. ERR_CORRUPT
 * when it names a cell that is not there,
 * or names them out of order; out is then as it was. */
int ipc_figures_take(
    const struct figures_told *told, struct metrics *out, struct err *e);

#endif
