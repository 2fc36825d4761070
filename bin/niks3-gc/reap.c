/*
 * Deleting: claim a batch in the database, delete it in the bucket, then write
 * down what the bucket answered. Killed at any point, the claims stay, and the
 * next run asks the bucket again.
 */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/db/reap.h"
#include "../../libcommon/ipc/ipc.h"
#include "gc.h"

#define BATCH_MEMORY ((size_t)32 << 20)
#define SILENT_MAX   3

/* Where batches come from, and how far they have come. */
struct source {
	int (*next)(struct gc *g, struct source *s, struct arena *a,
	    struct reap_object **out, size_t *n, struct err *e);
	int64_t run;
	int leftover;
	int64_t until_us; /* tombstones, or claims, up to this time */
	struct reap_cursor after;
	unsigned silent; /* batches in a row that got no answer */
};

static int
delete_batch(struct gc *g, struct arena *a, const struct reap_object *objects,
    size_t n, enum reap_answer *answers, struct err *e)
{
	static const enum reap_answer meaning[] = {
		[PRESENCE_UNKNOWN] = REAP_UNKNOWN,
		[PRESENCE_ABSENT] = REAP_GONE,
		[PRESENCE_PRESENT] = REAP_REFUSED,
	};
	struct objects_delete ask = { 0 };
	struct objects_deleted answer;

	ask.keys.n = n;
	ask.keys.items = arena_array(a, n, sizeof *ask.keys.items);
	if (ask.keys.items == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < n; i++)
		ask.keys.items[i] = objects[i].key;
	if (ipc_call(g->uploader, CALL_objects_delete, &ask, a, &answer,
	        deadline_in(GC_DELETE_MS), e) != 0)
		return -1;
	if (answer.items.n != n)
		return err_set(
		    e, ERR_INTERNAL, "the uploader left out answers");
	for (size_t i = 0; i < n; i++) {
		const struct delete_result *r = &answer.items.items[i];

		answers[i] = meaning[r->state];
		if (answers[i] != REAP_GONE)
			log_warn("not deleted", LOG_S("key", objects[i].key),
			    LOG_S("state",
			        answers[i] == REAP_REFUSED ? "refused"
			                                   : "unknown"),
			    LOG_S("answer", r->message ? r->message : ""));
	}
	return 0;
}

/*
 * Deletes what was claimed. An uploader that dies over it has deleted who knows
 * what (rule R6); one that is away is not waited for long.
 */
static int
reap(struct gc *g, struct arena *a, const struct reap_object *objects, size_t n,
    struct source *s, struct err *e)
{
	enum reap_answer answers[REAP_BATCH];
	unsigned tries = 0;
	size_t done = 0;
	int rc;

	if (delete_batch(g, a, objects, n, answers, e) == 0) {
		s->silent = 0;
	} else {
		if (!err_retryable(e->kind) || ++s->silent == SILENT_MAX)
			return -1;
		log_err(LOG_LEVEL_WARN, "no answer to a delete", e);
		for (size_t i = 0; i < n; i++)
			answers[i] = REAP_UNKNOWN;
	}
	do {
		err_clear(e);
		rc = gc_check(g, e);
		if (rc == 0)
			rc = reap_finish(
			    g->db, objects, answers, n, s->leftover, &done, e);
	} while (rc != 0 && gc_again(&tries, e));
	return rc;
}

/* With rests after batches: there is time to delete. */
static int
reap_all(struct gc *g, struct source *s, struct err *e)
{
	struct arena *a = arena_new(BATCH_MEMORY);
	struct reap_object *objects;
	unsigned tries = 0;
	size_t n;
	int rc;

	do {
		int64_t began = clock_mono_ms();

		arena_reset(a);
		err_clear(e);
		rc = gc_check(g, e);
		if (rc == 0)
			rc = s->next(g, s, a, &objects, &n, e);
		if (rc == 0 && n > 0)
			rc = reap(g, a, objects, n, s, e);
		if (rc == 0)
			tries = 0;
		if (rc == 0 && n == REAP_BATCH)
			gc_rest(clock_mono_ms() - began);
	} while (rc == 0 ? n > 0 : gc_again(&tries, e));
	arena_free(a);
	return rc;
}

static int
next_tombstones(struct gc *g, struct source *s, struct arena *a,
    struct reap_object **out, size_t *n, struct err *e)
{
	return reap_claim(g->db, s->run, s->until_us, &s->after, a, out, n, e);
}

static int
next_pending(struct gc *g, struct source *s, struct arena *a,
    struct reap_object **out, size_t *n, struct err *e)
{
	return reap_claim_pending(g->db, s->run, &s->after, a, out, n, e);
}

static int
next_leftover(struct gc *g, struct source *s, struct arena *a,
    struct reap_object **out, size_t *n, struct err *e)
{
	return reap_leftover(g->db, s->run, s->until_us, a, out, n, e);
}

int
reap_tombstones(struct gc *g, struct gcrun *r, struct err *e)
{
	struct source s = {
		.next = next_tombstones,
		.run = r->id,
	};

	if (gc_check(g, e) != 0 || reap_clock(g->db, &s.until_us, e) != 0)
		return -1;
	if (!r->params.force)
		s.until_us -= r->params.pending_older_than_us;
	return reap_all(g, &s, e);
}

int
reap_at_once(struct gc *g, struct gcrun *r, struct err *e)
{
	struct source s = {
		.next = next_tombstones,
		.run = r->id,
		.until_us = REAP_AT_ONCE,
	};

	return reap_all(g, &s, e);
}

int
reap_pending(struct gc *g, int64_t run, struct err *e)
{
	struct source s = { .next = next_pending, .run = run };

	return reap_all(g, &s, e);
}

int
reap_leftovers(struct gc *g, int64_t run, struct err *e)
{
	struct source s = {
		.next = next_leftover,
		.run = run,
		.leftover = 1,
	};

	if (gc_check(g, e) != 0 || reap_clock(g->db, &s.until_us, e) != 0)
		return -1;
	s.until_us -= GC_LATE_MS * 1000;
	return reap_all(g, &s, e);
}
