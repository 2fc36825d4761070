#include "queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "err.h"

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t not_empty;
	pthread_cond_t not_full;
	void **items; /* a ring */
	size_t max;
	size_t head; /* the oldest */
	size_t len;
	int closed;
};

struct queue *
queue_new(size_t max)
{
	struct queue *q = xcalloc(1, sizeof *q);
	pthread_condattr_t attr;

	if (max == 0)
		err_die("queue_new: no room for a single item");
	q->items = xcalloc(max, sizeof *q->items);
	q->max = max;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->not_empty, &attr);
	pthread_cond_init(&q->not_full, &attr);
	pthread_condattr_destroy(&attr);
	return q;
}

void
queue_free(struct queue *q)
{
	if (q == NULL)
		return;
	pthread_cond_destroy(&q->not_empty);
	pthread_cond_destroy(&q->not_full);
	pthread_mutex_destroy(&q->lock);
	free(q->items);
	free(q);
}

/* Waits under the lock. -1 when d has passed. */
static int
wait_until(struct queue *q, pthread_cond_t *cond, deadline_t d)
{
	struct timespec ts;

	if (deadline_left(d) == 0)
		return -1;
	ts.tv_sec = d / 1000;
	ts.tv_nsec = d % 1000 * 1000000;
	/* Woken early or not: the caller looks at the queue and comes back. */
	pthread_cond_timedwait(cond, &q->lock, &ts);
	return 0;
}

int
queue_push(struct queue *q, void *item, deadline_t d)
{
	int rc = -1;

	pthread_mutex_lock(&q->lock);
	while (!q->closed && q->len == q->max)
		if (wait_until(q, &q->not_full, d) == -1)
			goto out;
	if (q->closed)
		goto out;
	q->items[(q->head + q->len++) % q->max] = item;
	pthread_cond_signal(&q->not_empty);
	rc = 0;
out:
	pthread_mutex_unlock(&q->lock);
	return rc;
}

size_t
queue_pop_many(struct queue *q, void **items, size_t max, deadline_t d)
{
	size_t n = 0;

	pthread_mutex_lock(&q->lock);
	while (!q->closed && q->len == 0)
		if (wait_until(q, &q->not_empty, d) == -1)
			break;
	for (; n < max && q->len > 0; n++, q->len--) {
		items[n] = q->items[q->head];
		q->head = (q->head + 1) % q->max;
	}
	if (n == 1)
		pthread_cond_signal(&q->not_full);
	else if (n > 1)
		pthread_cond_broadcast(&q->not_full);
	pthread_mutex_unlock(&q->lock);
	return n;
}

void *
queue_pop(struct queue *q, deadline_t d)
{
	void *item;

	return queue_pop_many(q, &item, 1, d) == 1 ? item : NULL;
}

size_t
queue_len(struct queue *q)
{
	size_t len;

	pthread_mutex_lock(&q->lock);
	len = q->len;
	pthread_mutex_unlock(&q->lock);
	return len;
}

void
queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = 1;
	pthread_cond_broadcast(&q->not_empty);
	pthread_cond_broadcast(&q->not_full);
	pthread_mutex_unlock(&q->lock);
}
