#include "ticker.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"

struct ticker {
	int64_t ms;
	void (*fn)(void *ctx);
	void *ctx;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t stop;
	int stopping;
};

/* Returns 1 when it is to stop. */
static int
pause_for(struct ticker *t)
{
	deadline_t d = deadline_in(t->ms);
	struct timespec until = { d / 1000, d % 1000 * 1000000 };
	int stopping;

	pthread_mutex_lock(&t->lock);
	while (!t->stopping && deadline_left(d) > 0)
		pthread_cond_clockwait(
		    &t->stop, &t->lock, CLOCK_MONOTONIC, &until);
	stopping = t->stopping;
	pthread_mutex_unlock(&t->lock);
	return stopping;
}

static void *
tick(void *arg)
{
	struct ticker *t = arg;

	do
		t->fn(t->ctx);
	while (!pause_for(t));
	return NULL;
}

struct ticker *
ticker_new(int64_t ms, void (*fn)(void *ctx), void *ctx)
{
	struct ticker *t = xcalloc(1, sizeof *t);

	t->ms = ms;
	t->fn = fn;
	t->ctx = ctx;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->stop, NULL);
	if (pthread_create(&t->thread, NULL, tick, t) != 0)
		err_die("cannot start a thread");
	return t;
}

void
ticker_free(struct ticker *t)
{
	if (t == NULL)
		return;
	pthread_mutex_lock(&t->lock);
	t->stopping = 1;
	pthread_cond_signal(&t->stop);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->stop);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
