/*
 * The connections of a server, and the thread that cuts those whose time is up:
 * libmicrohttpd only knows how long a peer was silent, and a peer that sends a
 * byte now and then never is.
 *
 * A connection that was refused while its peer still sends lingers after its
 * end: what comes is thrown away for a while. Closed at once, the kernel would
 * answer the rest of the body with a reset, which can overtake our answer.
 */
#ifndef HTTP_CONNS_H
#define HTTP_CONNS_H

#include <netinet/in.h>

#include "../core/clock.h"

struct sockaddr;

enum conn_state {
	CONN_NEW,  /* a request is awaited, or its head begun */
	CONN_BUSY, /* a request is under way */
	CONN_IDLE, /* one was answered, and no other has come */
};

struct conn {
	struct conn *prev, *next;
	int fd;
	deadline_t deadline; /* when it is cut; INT64_MAX: never */
	enum conn_state state;
	int linger;                    /* the peer may still be sending */
	size_t drained;                /* bytes thrown away while lingering */
	char remote[INET6_ADDRSTRLEN]; /* the peer's address */
	int subject_known;             /* it was looked for */
	char *subject; /* of the peer's certificate, or NULL; freed with it */
};

struct conns;

/* tick_ms: how late a connection may be cut. Starts the thread. */
struct conns *conns_new(int64_t tick_ms);
/* Ends the thread and closes what lingers; all others were removed. */
void conns_free(struct conns *cs); /* takes NULL */

/* fd stays the caller's, and must be open until conns_remove. */
struct conn *conns_add(
    struct conns *cs, int fd, const struct sockaddr *peer, deadline_t deadline);
/* c is gone afterwards. */
void conns_remove(struct conns *cs, struct conn *c);
void conns_mark(struct conns *cs, struct conn *c, enum conn_state state,
    deadline_t deadline);
/*
 * For a stop: shuts down those that are idle, and, once called, each one as it
 * becomes idle. New ones, and those whose next request has come already, get
 * CONNS_GRACE_MS: whoever was let in just before the stop is not turned away.
 */
#define CONNS_GRACE_MS 1000
void conns_shut_idle(struct conns *cs);
/* Waits, after that, until none is new any more, at most until d. */
void conns_settle(struct conns *cs, deadline_t d);

#endif
