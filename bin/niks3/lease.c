#include "lease.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/log.h"
#include "push.h"
#include "remote.h"

#define PERIOD_MIN_MS 200
#define CALL_MS       30000
#define CALL_MEMORY   ((size_t)64 << 10)

struct lease {
	struct push *p;
	int64_t period_ms; /* a third of the lease: two may fail */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int ended;
};

/* Any call of an upload renews its lease; this one does nothing else. */
static int
renew(struct lease *l, struct remote_conn *conn, struct arena *a, struct err *e)
{
	struct authorize_request body = { 0 };
	char path[128];

	snprintf(
	    path, sizeof path, "/api/v2/uploads/%s/authorize", l->p->upload);
	arena_reset(a);
	return remote_call(conn,
	    &(struct remote_call){
	        .method = "POST",
	        .path = path,
	        .request_desc = &authorize_request_desc,
	        .request = &body,
	        .deadline = deadline_in(CALL_MS),
	    },
	    a, e);
}

/* Returns 0 when the lease has ended, 1 when it is to be renewed. */
static int
sleep_period(struct lease *l)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += l->period_ms % 1000 * 1000000;
	until.tv_sec += l->period_ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&l->lock);
	while (!l->ended && rc == 0)
		rc = pthread_cond_clockwait(
		    &l->changed, &l->lock, CLOCK_MONOTONIC, &until);
	rc = !l->ended;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static void *
lease_thread(void *arg)
{
	struct lease *l = arg;
	struct remote_conn *conn = remote_conn_new(l->p->remote);
	struct arena *a = arena_new(CALL_MEMORY);

	while (sleep_period(l)) {
		struct err e = ERR_INIT;

		if (renew(l, conn, a, &e) == 0)
			continue;
		/* What ended is committed, or lost: then the push learns it
		 * from its next call. */
		log_err(LOG_LEVEL_DEBUG, "lease not renewed", &e);
		if (!err_retryable(e.kind))
			break;
	}
	arena_free(a);
	remote_conn_free(conn);
	return NULL;
}

struct lease *
lease_begin(struct push *p)
{
	struct lease *l = xcalloc(1, sizeof *l);

	l->p = p;
	l->period_ms =
	    p->lease_ms / 3 > PERIOD_MIN_MS ? p->lease_ms / 3 : PERIOD_MIN_MS;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	if (pthread_create(&l->thread, NULL, lease_thread, l) != 0)
		err_die("cannot start a thread");
	return l;
}

void
lease_end(struct lease *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->ended = 1;
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->changed);
	free(l);
}
