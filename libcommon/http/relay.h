/*
 * Moves bytes from one socket to another without looking at them: by splice(2)
 * through a pipe, so that they are never copied into the process. One thread
 * does it for any number of transfers; each has at most RELAY_PIPE bytes under
 * way, so a slow reader costs a pipe and no more.
 */
#ifndef HTTP_RELAY_H
#define HTTP_RELAY_H

#include <stddef.h>
#include <stdint.h>

struct relay;

#define RELAY_PIPE ((size_t)1 << 20) /* where the system allows it */

enum relay_end {
	RELAY_DONE,
	RELAY_SOURCE, /* from ended, broke, or was silent for too long */
	RELAY_SINK,   /* to is gone, or took less than it must */
};

/* n bytes were written to to, all in order. In the relay's thread: must not
 * block. */
typedef void relay_done(void *ctx, uint64_t n, enum relay_end why);

struct relay_options {
	int64_t wait_ms; /* a side that moves nothing for so long has ended */
	size_t rate_min; /* bytes a second that to must take, beside that */
};

/* NULL when the system refuses what it needs. Starts the thread. */
struct relay *relay_new(const struct relay_options *o);
/* Ends all transfers (RELAY_SINK), before it returns. Takes NULL. */
void relay_free(struct relay *r);

/*
 * n bytes from from, which is closed at the end, to to, which stays the
 * caller's and must stay open until done was called. Both become non-blocking.
 * Fails, with nothing changed but from closed, when there is no pipe to be had;
 * done is then not called.
 */
int relay_add(
    struct relay *r, int from, int to, uint64_t n, relay_done *done, void *ctx);

#endif
