#include "conns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../core/err.h"

/* What a peer that was refused may still send. */
#define LINGER_MS    2000
#define LINGER_BYTES ((size_t)64 << 20)
#define LINGER_MAX   64                /* connections at once */
#define LINGER_TICK  20                /* ms */
#define LINGER_STEP  ((size_t)4 << 20) /* bytes a tick */

struct conns {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_cond_t settled; /* one is new no more */
	pthread_t thread;
	int64_t tick_ms;
	struct conn *open;
	struct conn *lingering;
	size_t nlingering;
	int shut_idle;
	int ended;
};

static void
list_put(struct conn **list, struct conn *c)
{
	c->prev = NULL;
	c->next = *list;
	if (*list != NULL)
		(*list)->prev = c;
	*list = c;
}

static void
list_take(struct conn **list, struct conn *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		*list = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
}

/* The peer sees the end of the stream, and the server an end of its own, upon
 * which it closes. */
static void
cut(struct conn *c)
{
	shutdown(c->fd, SHUT_RDWR);
	c->deadline = INT64_MAX;
}

/* Throws away what has come. 0 when no more will. */
static int
drain(struct conn *c, int64_t now)
{
	ssize_t n = 0;

	for (size_t step = 0; step < LINGER_STEP; step += n) {
		/* With MSG_TRUNC, TCP does not even copy. */
		n = recv(c->fd, NULL, LINGER_STEP, MSG_TRUNC | MSG_DONTWAIT);
		if (n <= 0)
			break;
		c->drained += n;
	}
	return n != 0 && now < c->deadline && c->drained < LINGER_BYTES;
}

static void
linger_end(struct conns *cs, struct conn *c)
{
	list_take(&cs->lingering, c);
	cs->nlingering--;
	close(c->fd);
	free(c);
}

/* Under the lock. */
static void
round_make(struct conns *cs)
{
	int64_t now = clock_mono_ms();

	for (struct conn *c = cs->open; c != NULL; c = c->next)
		if (now >= c->deadline)
			cut(c);
	for (struct conn *c = cs->lingering, *next; c != NULL; c = next) {
		next = c->next;
		if (!drain(c, now))
			linger_end(cs, c);
	}
}

static void *
thread_main(void *arg)
{
	struct conns *cs = arg;

	pthread_mutex_lock(&cs->lock);
	while (!cs->ended) {
		deadline_t d;
		struct timespec ts;
		round_make(cs);
		if (cs->open == NULL && cs->lingering == NULL) {
			pthread_cond_wait(&cs->changed, &cs->lock);
			continue;
		}
		d = deadline_in(
		    cs->lingering != NULL ? LINGER_TICK : cs->tick_ms);
		ts.tv_sec = d / 1000;
		ts.tv_nsec = d % 1000 * 1000000;
		pthread_cond_clockwait(
		    &cs->changed, &cs->lock, CLOCK_MONOTONIC, &ts);
	}
	pthread_mutex_unlock(&cs->lock);
	return NULL;
}

struct conns *
conns_new(int64_t tick_ms)
{
	struct conns *cs = xcalloc(1, sizeof *cs);

	pthread_mutex_init(&cs->lock, NULL);
	pthread_cond_init(&cs->changed, NULL);
	pthread_cond_init(&cs->settled, NULL);
	cs->tick_ms = tick_ms;
	if (pthread_create(&cs->thread, NULL, thread_main, cs) != 0)
		err_die("cannot start a thread");
	return cs;
}

void
conns_free(struct conns *cs)
{
	if (cs == NULL)
		return;
	pthread_mutex_lock(&cs->lock);
	cs->ended = 1;
	pthread_cond_signal(&cs->changed);
	pthread_mutex_unlock(&cs->lock);
	pthread_join(cs->thread, NULL);
	while (cs->lingering != NULL)
		linger_end(cs, cs->lingering);
	pthread_cond_destroy(&cs->changed);
	pthread_cond_destroy(&cs->settled);
	pthread_mutex_destroy(&cs->lock);
	free(cs);
}

static void
remote_fmt(char out[INET6_ADDRSTRLEN], const struct sockaddr *peer)
{
	const void *v4 = &((const struct sockaddr_in *)peer)->sin_addr;
	const struct in6_addr *v6 =
	    &((const struct sockaddr_in6 *)peer)->sin6_addr;

	switch (peer != NULL ? peer->sa_family : AF_UNSPEC) {
	case AF_INET:
		inet_ntop(AF_INET, v4, out, INET6_ADDRSTRLEN);
		break;
	case AF_INET6:
		if (IN6_IS_ADDR_V4MAPPED(v6))
			inet_ntop(
			    AF_INET, &v6->s6_addr[12], out, INET6_ADDRSTRLEN);
		else
			inet_ntop(AF_INET6, v6, out, INET6_ADDRSTRLEN);
		break;
	default:
		strcpy(out, "local");
		break;
	}
}

/* Has its peer sent what nobody has read yet? */
static int
has_sent(const struct conn *c)
{
	char byte;

	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* During a stop, under the lock. */
static void
hurry(struct conns *cs, struct conn *c)
{
	if (c->state == CONN_IDLE)
		cut(c);
	else if (c->state == CONN_NEW)
		c->deadline =
		    deadline_min(c->deadline, deadline_in(CONNS_GRACE_MS));
	pthread_cond_signal(&cs->settled);
}

struct conn *
conns_add(
    struct conns *cs, int fd, const struct sockaddr *peer, deadline_t deadline)
{
	struct conn *c = xcalloc(1, sizeof *c);

	c->fd = fd;
	c->deadline = deadline;
	remote_fmt(c->remote, peer);
	pthread_mutex_lock(&cs->lock);
	if (cs->open == NULL)
		pthread_cond_signal(&cs->changed);
	list_put(&cs->open, c);
	if (cs->shut_idle)
		hurry(cs, c);
	pthread_mutex_unlock(&cs->lock);
	return c;
}

void
conns_remove(struct conns *cs, struct conn *c)
{
	free(c->subject);
	c->subject = NULL;
	pthread_mutex_lock(&cs->lock);
	list_take(&cs->open, c);
	pthread_cond_signal(&cs->settled);
	if (c->linger && !cs->ended && cs->nlingering < LINGER_MAX &&
	    (c->fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0)) != -1) {
		c->deadline = deadline_in(LINGER_MS);
		list_put(&cs->lingering, c);
		cs->nlingering++;
		pthread_cond_signal(&cs->changed);
		c = NULL;
	}
	pthread_mutex_unlock(&cs->lock);
	free(c);
}

void
conns_mark(struct conns *cs, struct conn *c, enum conn_state state,
    deadline_t deadline)
{
	pthread_mutex_lock(&cs->lock);
	c->state = state;
	c->deadline = deadline;
	if (cs->shut_idle)
		hurry(cs, c);
	pthread_mutex_unlock(&cs->lock);
}

void
conns_shut_idle(struct conns *cs)
{
	pthread_mutex_lock(&cs->lock);
	cs->shut_idle = 1;
	for (struct conn *c = cs->open; c != NULL; c = c->next) {
		if (c->state == CONN_IDLE && has_sent(c))
			c->state = CONN_NEW;
		hurry(cs, c);
	}
	pthread_mutex_unlock(&cs->lock);
}

static int
has_new(const struct conns *cs)
{
	for (const struct conn *c = cs->open; c != NULL; c = c->next)
		if (c->state == CONN_NEW)
			return 1;
	return 0;
}

void
conns_settle(struct conns *cs, deadline_t d)
{
	struct timespec ts = { d / 1000, d % 1000 * 1000000 };
	int rc = 0;

	pthread_mutex_lock(&cs->lock);
	while (has_new(cs) && rc == 0)
		rc = pthread_cond_clockwait(
		    &cs->settled, &cs->lock, CLOCK_MONOTONIC, &ts);
	pthread_mutex_unlock(&cs->lock);
}
