#include "fan.h"

#include <pthread.h>
#include <stdlib.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/s3/s3.h"

struct batch {
	struct batch *next;
	void (*fn)(struct s3_conn *c, void *ctx, size_t i);
	void *ctx;
	size_t n;
	size_t taken; /* items given to threads */
	size_t done;
	pthread_cond_t end;
};

struct fan {
	struct s3 *s3;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct batch *first, **last; /* batches with items not yet taken */
	int stopping;
	unsigned max;
	unsigned n;    /* threads that have started */
	unsigned busy; /* of these */
	pthread_t threads[];
};

static void *
thread(void *arg)
{
	struct fan *f = arg;
	struct s3_conn *conn = s3_conn_new(f->s3);

	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct batch *b = f->first;
		size_t i;

		if (b == NULL) {
			if (f->stopping)
				break;
			pthread_cond_wait(&f->work, &f->lock);
			continue;
		}
		i = b->taken++;
		if (b->taken == b->n) {
			f->first = b->next;
			if (f->first == NULL)
				f->last = &f->first;
		}
		f->busy++;
		pthread_mutex_unlock(&f->lock);
		b->fn(conn, b->ctx, i);
		pthread_mutex_lock(&f->lock);
		f->busy--;
		if (++b->done == b->n)
			pthread_cond_signal(&b->end);
	}
	pthread_mutex_unlock(&f->lock);
	s3_conn_free(conn);
	return NULL;
}

struct fan *
fan_new(struct s3 *s3, unsigned n)
{
	struct fan *f = xcalloc(1, sizeof *f + n * sizeof f->threads[0]);

	f->s3 = s3;
	f->max = n;
	f->last = &f->first;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->work, NULL);
	return f;
}

void
fan_free(struct fan *f)
{
	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock);
	f->stopping = 1;
	pthread_cond_broadcast(&f->work);
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 0; i < f->n; i++)
		pthread_join(f->threads[i], NULL);
	pthread_cond_destroy(&f->work);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void
fan_run(struct fan *f, size_t n,
    void (*fn)(struct s3_conn *c, void *ctx, size_t i), void *ctx)
{
	struct batch b = { .fn = fn, .ctx = ctx, .n = n };

	if (n == 0)
		return;
	pthread_cond_init(&b.end, NULL);
	pthread_mutex_lock(&f->lock);
	*f->last = &b;
	f->last = &b.next;
	for (; f->n < f->max && f->n < f->busy + n; f->n++)
		if (pthread_create(&f->threads[f->n], NULL, thread, f) != 0)
			err_die("cannot start a thread");
	pthread_cond_broadcast(&f->work);
	while (b.done < b.n)
		pthread_cond_wait(&b.end, &f->lock);
	pthread_mutex_unlock(&f->lock);
	pthread_cond_destroy(&b.end);
}

size_t
fan_waiting(struct fan *f)
{
	size_t n = 0;

	pthread_mutex_lock(&f->lock);
	for (const struct batch *b = f->first; b != NULL; b = b->next)
		n += b->n - b->taken;
	pthread_mutex_unlock(&f->lock);
	return n;
}
