#include "park.h"

#include <pthread.h>
#include <stdlib.h>

#include "../core/clock.h"
#include "../core/err.h"

struct parked {
	struct parked *next;
	void *item;
	deadline_t until;
};

struct park {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	void (*wake)(void *);
	struct parked *first; /* the soonest */
	int closed;
};

/* Under the lock, which is let go for the call. */
static void
wake_first(struct park *p)
{
	struct parked *it = p->first;

	p->first = it->next;
	pthread_mutex_unlock(&p->lock);
	p->wake(it->item);
	free(it);
	pthread_mutex_lock(&p->lock);
}

static void *
thread_main(void *arg)
{
	struct park *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->closed || p->first != NULL) {
		if (p->first == NULL) {
			pthread_cond_wait(&p->changed, &p->lock);
		} else if (p->closed || deadline_left(p->first->until) == 0) {
			wake_first(p);
		} else {
			deadline_t d = p->first->until;
			struct timespec ts = { d / 1000, d % 1000 * 1000000 };
			pthread_cond_clockwait(
			    &p->changed, &p->lock, CLOCK_MONOTONIC, &ts);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct park *
park_new(void (*wake)(void *item))
{
	struct park *p = xcalloc(1, sizeof *p);

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->wake = wake;
	if (pthread_create(&p->thread, NULL, thread_main, p) != 0)
		err_die("cannot start a thread");
	return p;
}

void
park_put(struct park *p, void *item, int64_t ms)
{
	struct parked *it = xcalloc(1, sizeof *it), **at;
	int closed;

	it->item = item;
	it->until = deadline_in(ms);
	pthread_mutex_lock(&p->lock);
	closed = p->closed;
	for (at = &p->first; *at != NULL && (*at)->until <= it->until;)
		at = &(*at)->next;
	if (!closed) {
		it->next = *at;
		*at = it;
		pthread_cond_signal(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	if (closed) {
		free(it);
		p->wake(item);
	}
}

void
park_close(struct park *p)
{
	int closed;

	pthread_mutex_lock(&p->lock);
	closed = p->closed;
	p->closed = 1;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (!closed)
		pthread_join(p->thread, NULL);
}

void
park_free(struct park *p)
{
	if (p == NULL)
		return;
	park_close(p);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
