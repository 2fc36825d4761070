/*
 * Uploads that share objects, in every order and at the same time: none waits for
 * one that waits for it, and none for another's statistics.
 */
#include "db_live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PUSHERS 4
#define ROUNDS  50
#define SHARED  250 /* paths */

static int64_t
deadlocks(void)
{
	return number("SELECT deadlocks FROM pg_stat_database"
	              " WHERE datname = current_database()");
}

struct worker {
	unsigned seed;
	int number;
	int done; /* rounds, or collections */
	_Atomic int *stop;
	char failed[600];
};

/* All pushers wait here for each other, so that they do the same at once, unless
 * one has failed. */
static _Atomic int arrived, broken;

static void
meet(void)
{
	int all = (arrived++ / PUSHERS + 1) * PUSHERS;
	deadline_t until = live_soon();

	while (arrived < all && !broken && deadline_left(until) > 0)
		usleep(50);
}

static void
shuffle(uint32_t *v, size_t n, unsigned *seed)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = rand_r(seed) % i;
		uint32_t other = v[k];

		v[k] = v[i - 1];
		v[i - 1] = other;
	}
}

/* Three rounds in turn: all is new; it was there before, and may be live, or a
 * tombstone, or gone; only the NARs are shared, and new. */
static int
nars_only(const struct worker *w)
{
	return w->done % 3 == 2;
}

/*
 * The shared paths, each with a NAR, in an order of its own, and a root of its
 * own that needs them all.
 */
static struct upload_begin *
shared_closure(struct worker *w, struct arena *a)
{
	struct upload_begin *b = arena_alloc(a, sizeof *b);
	struct upload_object *o = arena_array(a, 2 * (SHARED + 1), sizeof *o);
	struct upload_path *p = arena_array(a, SHARED + 1, sizeof *p);
	struct upload_root *root = arena_alloc(a, sizeof *root);
	uint32_t *refs = arena_array(a, SHARED + 1, sizeof *refs);
	uint32_t *nars = arena_array(a, SHARED + 1, sizeof *nars);
	int age = w->done - (w->done % 3 == 1);
	int whose = nars_only(w) ? w->number : 0;
	uint32_t order[SHARED + 1];

	for (uint32_t i = 0; i <= SHARED; i++)
		order[i] = i;
	shuffle(order, SHARED, &w->seed);
	for (uint32_t i = 0; i <= SHARED; i++) {
		unsigned path = i < SHARED ? order[i] : 1000 + w->number;

		nars[i] = 2 * i + 1;
		o[2 * i] = (struct upload_object){ .kind = OBJKEY_NARINFO,
			.key = arena_printf(
			    a, "p%u-%d-%d.narinfo", path, age, whose),
			.nar_size = -1,
			.refs = &nars[i],
			.nrefs = 1 };
		o[2 * i + 1] = (struct upload_object){ .kind = OBJKEY_NAR,
			.key = arena_printf(a, "nar/p%u-%d", path, age),
			.nar_size = 9 };
		p[i] = (struct upload_path){ .object = 2 * i,
			.nar = 2 * i + 1,
			.base = o[2 * i].key,
			.nar_size = 9 };
		refs[i] = 2 * i;
	}
	refs[SHARED] = 2 * SHARED + 1;
	o[2 * SHARED].refs = refs;
	o[2 * SHARED].nrefs = SHARED + 1;
	*root = (struct upload_root){ 2 * SHARED, o[2 * SHARED].key };
	*b = (struct upload_begin){ OWNER, STORE, LEASE, o, 2 * (SHARED + 1), p,
		SHARED + 1, root, 1 };
	return b;
}

/* As the server does it: busy, or changed, it loads again. */
static int
commit_patiently(
    struct db *db, const char *token, int alone, struct arena *a, struct err *e)
{
	enum commit_claim claimed = COMMIT_BUSY;
	const char **keys;
	struct commit c;
	size_t n;

	meet();
	for (;;) {
		if (commit_load(db, token, OWNER, LEASE, a, &c, e) != 0 ||
		    commit_publish(db, &c, &claimed, e) != 0)
			return -1;
		if (claimed == COMMIT_CLAIMED)
			break;
		usleep(2000);
	}
	for (size_t i = 0; i < c.nobjects; i++)
		c.objects[i].size = 100;
	for (size_t i = 0; i < c.npaths; i++)
		c.paths[i].size = 10;
	/* For a narinfo they have waited for each other. */
	if (alone)
		meet();
	return commit_finish(db, &c, a, &keys, &n, e);
}

static int
push_shared(struct db *db, struct worker *w, struct arena *a, struct err *e)
{
	struct upload_begin *b = shared_closure(w, a);
	struct upload_write *writes =
	    arena_array(a, b->nobjects, sizeof *writes);
	char token[UPLOAD_TOKEN_MAX];
	size_t n = 0;

	meet();
	if (uploads_begin(db, b, token, e) != 0)
		return -1;
	for (size_t i = 0; i < b->nobjects; i++)
		if (b->objects[i].missing && b->objects[i].kind == OBJKEY_NAR)
			writes[n++] =
			    (struct upload_write){ .key = b->objects[i].key,
				    .size = 100,
				    .whole = 1 };
	if (uploads_authorize(db, token, OWNER, writes, n, 0, LEASE, e) != 0)
		return -1;
	return commit_patiently(db, token, nars_only(w), a, e);
}

static void *
pusher(void *arg)
{
	struct worker *w = arg;
	struct db *db = live_open("niks3_server");

	for (; w->done < ROUNDS && !broken; w->done++) {
		struct arena *a = arena_new((size_t)64 << 20);
		struct err e = ERR_INIT;

		db_deadline(db, live_soon());
		if (push_shared(db, w, a, &e) != 0) {
			snprintf(w->failed, sizeof w->failed, "%s", e.msg);
			broken = 1;
		}
		arena_free(a);
	}
	db_close(db);
	return NULL;
}

/* Claims a batch, and deletes it; *n gets 0 at the end. */
static int
delete_batch(struct db *db, struct reap_cursor *at, struct arena *a, size_t *n,
    struct err *e)
{
	enum reap_answer gone[REAP_BATCH];
	struct reap_object *o;
	size_t done = 0;

	if (reap_claim(db, 1, ALL_DUE, at, a, &o, n, e) != 0)
		return -1;
	for (size_t i = 0; i < *n; i++)
		gone[i] = REAP_GONE;
	/* What is claimed must not stay so. */
	while (reap_finish(db, o, gone, *n, 0, &done, e) != 0) {
		if (e->kind != ERR_CONFLICT)
			return -1;
		err_clear(e);
	}
	return 0;
}

/* All closures, whatever their age, and no grace. */
static int
collect_once(struct db *db, struct arena *a, struct err *e)
{
	struct graph_roots roots = { .closures_until_us = INT64_C(1) << 52 };
	struct reap_cursor at = { 0 };
	struct graph *g;
	const int64_t *ids;
	uint64_t done;
	size_t n;
	int rc = -1;

	if (graph_load(db, &roots, &g, e) != 0)
		return -1;
	n = graph_expiring(g, &ids);
	if (n > 0 &&
	    graph_expire(
	        db, g, ids, n, roots.closures_until_us, RUN, &done, e) != 0)
		goto out;
	n = graph_garbage(g, &ids);
	for (size_t i = 0; i < n; i += 100)
		if (graph_tombstone(db, g, i, n - i < 100 ? n - i : 100, RUN,
		        &done, e) != 0)
			goto out;
	do {
		if (delete_batch(db, &at, a, &n, e) != 0)
			goto out;
	} while (n > 0);
	rc = expire_history(db, e);
out:
	graph_free(g);
	return rc;
}

static void *
collector(void *arg)
{
	struct worker *w = arg;
	struct db *db = live_open("niks3_gc");

	while (!*w->stop && w->failed[0] == '\0') {
		struct arena *a = arena_new((size_t)64 << 20);
		struct err e = ERR_INIT;

		db_deadline(db, live_soon());
		/* The lock is not always to be had in time. */
		if (collect_once(db, a, &e) == 0)
			w->done++;
		else if (e.kind != ERR_CONFLICT)
			snprintf(w->failed, sizeof w->failed, "%s", e.msg);
		arena_free(a);
		usleep(20000);
	}
	db_close(db);
	return NULL;
}

static void
test_overlapping(void **state)
{
	struct worker w[PUSHERS + 1] = { 0 };
	pthread_t t[PUSHERS + 1];
	int64_t before = deadlocks();
	_Atomic int stop = 0;
	struct stats s;

	(void)state;
	arrived = broken = 0;
	for (int i = 0; i <= PUSHERS; i++) {
		w[i].seed = live_seed * 100 + i;
		w[i].number = i;
		w[i].stop = &stop;
		pthread_create(
		    &t[i], NULL, i < PUSHERS ? pusher : collector, &w[i]);
	}
	for (int i = 0; i < PUSHERS; i++)
		pthread_join(t[i], NULL);
	stop = 1;
	pthread_join(t[PUSHERS], NULL);
	for (int i = 0; i <= PUSHERS; i++)
		if (w[i].failed[0] != '\0')
			fail_msg("seed %u, thread %d: %s", live_seed, i,
			    w[i].failed);
	printf("# %d collections during %d commits\n", w[PUSHERS].done,
	    PUSHERS * ROUNDS);
	assert_true(w[PUSHERS].done > 0);

	/* Totals: the rules compare them with all objects. */
	deadlines();
	check_rules();
	push("last", "last", NULL);
	OK(stats_get(server, &s, &e));
	assert_int_equal(s.objects, COUNT("live"));
	assert_int_equal(s.bytes,
	    number("SELECT sum(size)::bigint FROM live JOIN contents"
	           " ON object_id = id"));
	usleep(1200000); /* PostgreSQL counts late */
	assert_int_equal(deadlocks(), before);
}

/* Within a transaction that has committed one upload, but for its end. */
static int
push_beside(struct db *db, void *ctx, struct err *error)
{
	struct req *other = closure("other", "other", NULL);

	if (finish(db, ctx, error) != 0)
		return -1;
	db_deadline(server2, deadline_in(3000));
	OK(begin(server2, other, &e));
	commit(server2, other);
	db_deadline(gc, deadline_in(3000));
	OK(expire_history(gc, &e));
	return 0;
}

static void
test_statistics_do_not_wait(void **state)
{
	struct req *q = closure("app", "app", "lib");
	struct commit c;

	(void)state;
	push("old", "old", NULL);
	commit_until_published(server, q, &c);
	OK(db_transaction(server, DB_READ_COMMITTED, push_beside, &c, &e));
	STATE("other.narinfo", "live");
	STATE("app.narinfo", "live");
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_overlapping),
	LIVE_TEST(test_statistics_do_not_wait),
};

LIVE_GROUP(deadlock);
