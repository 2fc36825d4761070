/*
 * What keeps an object: asked by servers, answered from a graph of all objects
 * that is read for the question, on a connection of its own. It takes much
 * memory, so there is never more than one: the gate keeps apart this thread and
 * the one that marks.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/graph.h"
#include "gc.h"

#define LOOK_MS 1000 /* how often one who waits looks whether we are to stop */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int taken;
} gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

int
gc_graph_enter(deadline_t d, struct err *e)
{
	int rc = 0;

	pthread_mutex_lock(&gate.lock);
	while (gate.taken && !service_stopped() && deadline_left(d) > 0) {
		deadline_t look = deadline_min(d, deadline_in(LOOK_MS));
		struct timespec until = { look / 1000, look % 1000 * 1000000 };

		pthread_cond_clockwait(
		    &gate.changed, &gate.lock, CLOCK_MONOTONIC, &until);
	}
	if (service_stopped()) {
		rc = err_set(e, ERR_CANCELED, "asked to stop");
	} else if (gate.taken) {
		rc = err_set(
		    e, ERR_UNAVAILABLE, "a collection is marking just now");
		err_hint(e, "ask again when it is done");
	} else {
		gate.taken = 1;
	}
	pthread_mutex_unlock(&gate.lock);
	return rc;
}

void
gc_graph_leave(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.taken = 0;
	pthread_cond_signal(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

/* ---- the answer ---- */

_Static_assert(WHY_KEEPERS_MAX <= MSG_WHY_MAX, "keepers of one answer");
_Static_assert(WHY_DELETING <= 3 && WHY_UPLOAD <= 2, "as messages.h has them");

static int
fill(struct gc_why_told *told, const struct why *w, struct arena *a,
    struct err *e)
{
	struct why_item *items = arena_array(a, w->nlisted, sizeof *items);

	if (items == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < w->nlisted; i++) {
		const struct why_keeper *k = &w->keepers[i];

		items[i] = (struct why_item){
			.kind = k->kind,
			.name = k->name,
			.store_path = k->store_path,
			.updated_us = k->updated_us,
			.lease_until_us = k->lease_until_us,
		};
	}
	told->state = w->state;
	told->first_at_us = w->first_at_us;
	told->nkeepers = w->nkeepers;
	told->keepers.items = items;
	told->keepers.n = w->nlisted;
	told->chain.items = w->chain;
	told->chain.n = w->nchain < MSG_CHAIN_MAX ? w->nchain : MSG_CHAIN_MAX;
	return 0;
}

static int
answer(const char *conninfo, const char *key, struct gc_why_told *told,
    struct arena *a, deadline_t d, struct err *e)
{
	struct db *db = NULL;
	struct why why;
	int rc = -1;

	if (db_open(conninfo, "niks3-gc", d, &db, e) == 0 &&
	    db_schema_check(db, e) == 0 && graph_why(db, key, a, &why, e) == 0)
		rc = fill(told, &why, a, e);
	db_close(db);
	return rc;
}

/* Two would take all threads, and nobody could wake us any more. */
static atomic_flag asked = ATOMIC_FLAG_INIT;

int
gc_handle_why(void *conninfo, const void *request, void *reply, struct arena *a,
    deadline_t d, struct err *e)
{
	const struct gc_why *q = request;
	int rc;

	if (atomic_flag_test_and_set(&asked)) {
		err_set(e, ERR_UNAVAILABLE,
		    "another question of this kind is being answered");
		return err_hint(e, "ask again in a minute");
	}
	/* Half of the time is for the answer. */
	rc = gc_graph_enter(deadline_in(deadline_left(d) / 2), e);
	if (rc == 0) {
		rc = answer(conninfo, q->key, reply, a, d, e);
		gc_graph_leave();
	}
	atomic_flag_clear(&asked);
	return rc;
}

void *
gc_why_worker(void *conninfo)
{
	return conninfo;
}
