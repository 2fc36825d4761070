#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/secret.h"
#include "db_internal.h"

struct db_pool {
	pthread_mutex_t lock;
	pthread_cond_t back; /* one was put back */
	struct db **idle;    /* a stack: the one used last is taken first */
	unsigned nidle;
	unsigned made;
	unsigned max;
	unsigned waiting;
	uint64_t waits;
	struct secret conninfo;
	char *name;
};

int
db_pool_new(const char *conninfo, const char *name, unsigned max,
    struct db_pool **out, struct err *e)
{
	struct db_pool *p;
	pthread_condattr_t attr;

	if (db_check_conninfo(conninfo, e) != 0)
		return -1;
	p = xcalloc(1, sizeof *p);
	if (secret_set(&p->conninfo, conninfo, strlen(conninfo), e) != 0) {
		free(p);
		return -1;
	}
	p->idle = xcalloc(max, sizeof(struct db *));
	p->max = max;
	p->name = xstrdup(name);
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->back, &attr);
	pthread_condattr_destroy(&attr);
	*out = p;
	return 0;
}

void
db_pool_free(struct db_pool *p)
{
	if (p == NULL)
		return;
	if (p->nidle != p->made)
		err_die("%u connections did not come back to their pool",
		    p->made - p->nidle);
	for (unsigned i = 0; i < p->nidle; i++)
		db_close(p->idle[i]);
	pthread_cond_destroy(&p->back);
	pthread_mutex_destroy(&p->lock);
	secret_done(&p->conninfo);
	free(p->idle);
	free(p->name);
	free(p);
}

/* Takes an idle connection, or makes one while there may be more. NULL after the
 * deadline. */
static struct db *
take(struct db_pool *p, deadline_t d)
{
	struct timespec until = { d / 1000, d % 1000 * 1000000 };

	if (p->nidle == 0 && p->made == p->max) {
		p->waits++;
		p->waiting++;
		while (p->nidle == 0 && deadline_left(d) > 0)
			pthread_cond_timedwait(&p->back, &p->lock, &until);
		p->waiting--;
	}
	if (p->nidle > 0)
		return p->idle[--p->nidle];
	if (p->made == p->max)
		return NULL;
	p->made++;
	return db_new(p->conninfo.data, p->name);
}

int
db_get(struct db_pool *p, deadline_t d, struct db **out, struct err *e)
{
	struct db *db;

	pthread_mutex_lock(&p->lock);
	db = take(p, d);
	pthread_mutex_unlock(&p->lock);
	if (db == NULL)
		return err_set(e, ERR_UNAVAILABLE,
		    "database: all %u connections are in use", p->max);
	db_deadline(db, d);
	*out = db;
	return 0;
}

void
db_put(struct db_pool *p, struct db *db)
{
	if (db_in_transaction(db))
		err_die("a connection came back inside of a transaction");
	pthread_mutex_lock(&p->lock);
	p->idle[p->nidle++] = db;
	pthread_cond_signal(&p->back);
	pthread_mutex_unlock(&p->lock);
}

void
db_pool_use(struct db_pool *p, struct db_pool_use *out)
{
	pthread_mutex_lock(&p->lock);
	*out = (struct db_pool_use){
		.in_use = p->made - p->nidle,
		.max = p->max,
		.waiting = p->waiting,
		.waits = p->waits,
	};
	pthread_mutex_unlock(&p->lock);
}
