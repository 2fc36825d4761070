#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../core/clock.h"
#include "../core/err.h"

#define EVENTS    64
#define TICK_MS   1000                /* how late a silent side is given up */
#define TURN      ((size_t)8 << 20)   /* bytes, before others have theirs */
#define WAKE_SIZE (RELAY_PIPE / 2)    /* that are worth waking up for */
#define PACE      ((uint64_t)1 << 20) /* bytes between two looks at the clock */

struct transfer {
	struct transfer *next;
	/* What epoll tells of: it points at one of these. */
	struct side {
		struct transfer *t;
		int fd;
	} from, to;
	int pipe[2];
	size_t piped;  /* bytes in the pipe */
	uint64_t left; /* that from has yet to give */
	uint64_t sent;
	uint64_t seen;    /* of sent, when the clock was looked at last */
	int waits_for_to; /* whom until is for */
	deadline_t until; /* when who is waited for has ended */
	int lowat;        /* SO_RCVLOWAT of from */
	int ready;        /* more can be moved at once */
	int ended;
	relay_done *done;
	void *ctx;
};

struct relay {
	struct relay_options o;
	int epoll, wake;
	pthread_t thread;
	pthread_mutex_t lock; /* of fresh and stopping */
	struct transfer *fresh;
	int stopping;
	struct transfer *all; /* the thread's own */
};

/* ---- one transfer ---- */

/* Returns 0 when there is nothing to be had now; sets *end when there never
 * will be. */
static int
pull(struct transfer *t, int *end)
{
	size_t room = RELAY_PIPE - t->piped;
	ssize_t n;

	if (t->left == 0 || room == 0)
		return 0;
	n = splice(t->from.fd, NULL, t->pipe[1], NULL,
	    t->left < room ? t->left : room, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n > 0) {
		t->piped += n;
		t->left -= n;
		return 1;
	}
	/* EAGAIN is also a full pipe. */
	*end = n == 0 || (errno != EAGAIN && errno != EINTR);
	return 0;
}

static int
push(struct transfer *t, int *end)
{
	ssize_t n;

	if (t->piped == 0)
		return 0;
	n = splice(t->pipe[0], NULL, t->to.fd, NULL, t->piped,
	    SPLICE_F_MOVE | SPLICE_F_NONBLOCK |
	        (t->left > 0 ? SPLICE_F_MORE : 0));
	if (n > 0) {
		t->piped -= n;
		t->sent += n;
		return 1;
	}
	*end = n == 0 || (errno != EAGAIN && errno != EINTR);
	return 0;
}

/* from wakes us for a good piece, or for its last one. */
static void
lowat_set(struct transfer *t)
{
	int want = t->left < WAKE_SIZE ? (int)t->left : (int)WAKE_SIZE;

	if (want > 0 && want != t->lowat)
		(void)setsockopt(
		    t->from.fd, SOL_SOCKET, SO_RCVLOWAT, &want, sizeof want);
	t->lowat = want;
}

/* Who holds us up has until then. */
static void
wait_set(const struct relay *r, struct transfer *t)
{
	int for_to = t->piped > 0;

	if (for_to == t->waits_for_to && t->sent - t->seen < PACE &&
	    t->until != 0)
		return;
	t->waits_for_to = for_to;
	t->seen = t->sent;
	t->until = deadline_in(r->o.wait_ms +
	    (for_to ? (int64_t)(PACE * 1000 / r->o.rate_min) : 0));
}

static void
finish(struct relay *r, struct transfer *t, enum relay_end why)
{
	t->ended = 1;
	t->ready = 0;
	/* That one lives on, and may come back. */
	(void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, t->to.fd, NULL);
	close(t->from.fd);
	close(t->pipe[0]);
	close(t->pipe[1]);
	t->done(t->ctx, t->sent, why);
}

/* Moves what can be moved. Both sides are edge-triggered, so it stops only where
 * one of them will be heard of again. */
static void
move(struct relay *r, struct transfer *t)
{
	int source_end = 0, sink_end = 0, pulled, pushed;
	uint64_t before = t->sent;

	do {
		pulled = pull(t, &source_end);
		pushed = push(t, &sink_end);
	} while ((pulled || pushed) && !sink_end && t->sent - before < TURN);
	t->ready = pulled || pushed;
	if (t->left == 0 && t->piped == 0)
		finish(r, t, RELAY_DONE);
	else if (sink_end)
		finish(r, t, RELAY_SINK);
	else if (source_end && t->piped == 0)
		finish(r, t, RELAY_SOURCE);
	else {
		lowat_set(t);
		wait_set(r, t);
	}
}

/* ---- the thread ---- */

static int
watch(struct relay *r, struct side *s, uint32_t events)
{
	struct epoll_event ev = { .events = events | EPOLLET, .data.ptr = s };

	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, s->fd, &ev);
}

static void
begin(struct relay *r, struct transfer *t)
{
	t->next = r->all;
	r->all = t;
	lowat_set(t);
	wait_set(r, t);
	if (watch(r, &t->from, EPOLLIN) != 0 || watch(r, &t->to, EPOLLOUT) != 0)
		finish(r, t, RELAY_SINK);
}

/* Returns 1 when the relay is to stop. */
static int
take_fresh(struct relay *r)
{
	struct transfer *t, *next;
	uint64_t count;
	int stopping;

	(void)!read(r->wake, &count, sizeof count);
	pthread_mutex_lock(&r->lock);
	t = r->fresh;
	r->fresh = NULL;
	stopping = r->stopping;
	pthread_mutex_unlock(&r->lock);
	for (; t != NULL; t = next) {
		next = t->next;
		begin(r, t);
	}
	return stopping;
}

static void
on_event(struct relay *r, const struct epoll_event *ev)
{
	const struct side *s = ev->data.ptr;
	struct transfer *t = s->t;

	if (t->ended)
		return;
	/* Gone in both directions, while nothing is there to be written. */
	if (s == &t->to && (ev->events & (EPOLLERR | EPOLLHUP)) != 0)
		finish(r, t, RELAY_SINK);
	else
		t->ready = 1;
}

/* Time is up. A source that gave less than is worth waking up for goes on. */
static void
late(struct relay *r, struct transfer *t)
{
	uint64_t before = t->sent + t->piped;

	if (t->waits_for_to) {
		finish(r, t, RELAY_SINK);
		return;
	}
	t->until = 0;
	move(r, t);
	if (!t->ended && t->sent + t->piped == before)
		finish(r, t, RELAY_SOURCE);
}

/* Lets every transfer that can move do so, and forgets those that ended. Returns
 * 1 when some could go on at once. */
static int
turn(struct relay *r)
{
	int more = 0;

	for (struct transfer **at = &r->all, *t; (t = *at) != NULL;) {
		if (t->ready)
			move(r, t);
		if (!t->ended && deadline_left(t->until) == 0)
			late(r, t);
		more |= t->ready;
		if (t->ended) {
			*at = t->next;
			free(t);
		} else
			at = &t->next;
	}
	return more;
}

static void *
thread(void *arg)
{
	struct relay *r = arg;
	struct epoll_event events[EVENTS];
	int more = 0, stopping = 0;

	while (!stopping) {
		int n = epoll_wait(r->epoll, events, EVENTS,
		    more                 ? 0
		        : r->all != NULL ? TICK_MS
		                         : -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				stopping = take_fresh(r);
			else
				on_event(r, &events[i]);
		more = turn(r);
	}
	for (struct transfer *t = r->all; t != NULL; t = t->next)
		if (!t->ended)
			finish(r, t, RELAY_SINK);
	turn(r);
	return NULL;
}

/* Signals are for the main thread, and a peer that is gone is an error. */
static int
thread_start(struct relay *r)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&r->thread, NULL, thread, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

struct relay *
relay_new(const struct relay_options *o)
{
	struct relay *r = xcalloc(1, sizeof *r);
	struct epoll_event ev = { .events = EPOLLIN };

	r->o = *o;
	pthread_mutex_init(&r->lock, NULL);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->epoll != -1 && r->wake != -1 &&
	    epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->wake, &ev) == 0 &&
	    thread_start(r) == 0)
		return r;
	close(r->epoll);
	close(r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

static void
wake(struct relay *r)
{
	(void)!write(r->wake, &(uint64_t){ 1 }, sizeof(uint64_t));
}

void
relay_free(struct relay *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->stopping = 1;
	pthread_mutex_unlock(&r->lock);
	wake(r);
	pthread_join(r->thread, NULL);
	close(r->epoll);
	close(r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static int
unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags == -1 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int
relay_add(
    struct relay *r, int from, int to, uint64_t n, relay_done *done, void *ctx)
{
	struct transfer *t = xcalloc(1, sizeof *t);

	if (unblock(from) == -1 || unblock(to) == -1 ||
	    pipe2(t->pipe, O_CLOEXEC | O_NONBLOCK) == -1) {
		close(from);
		free(t);
		return -1;
	}
	/* A smaller one, where there is no more to be had, only costs calls. */
	(void)fcntl(t->pipe[1], F_SETPIPE_SZ, (int)RELAY_PIPE);
	t->from = (struct side){ t, from };
	t->to = (struct side){ t, to };
	t->left = n;
	t->done = done;
	t->ctx = ctx;
	pthread_mutex_lock(&r->lock);
	t->next = r->fresh;
	r->fresh = t;
	pthread_mutex_unlock(&r->lock);
	wake(r);
	return 0;
}
