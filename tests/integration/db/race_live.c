/*
 * Everything at once: pushers and a collector, and one race by hand.
 */
#include "db_live.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * An upload begins between the moment in which a claim finds its candidates and
 * the one in which it has the lock: the claim looks again.
 */
struct race {
	struct req *q;
	int pending;
	size_t n;
	struct err e;
	pthread_t thread;
};

static void *
claim_meanwhile(void *arg)
{
	struct race *r = arg;
	struct db *db = live_open("niks3_gc");
	struct arena *a = arena_new(65536);
	struct reap_cursor at = { 0 };
	struct reap_object *o;

	if (r->pending)
		reap_claim_pending(db, RUN, &at, a, &o, &r->n, &r->e);
	else
		reap_claim(db, RUN, ALL_DUE, &at, a, &o, &r->n, &r->e);
	arena_free(a);
	db_close(db);
	return NULL;
}

static int
begin_slowly(struct db *db, void *ctx, struct err *e)
{
	struct race *r = ctx;

	if (db_roots_shared(db, e) != 0 ||
	    db_exec(db, "SELECT 1", P_NONE, NULL, e) != 0)
		return -1;
	pthread_create(&r->thread, NULL, claim_meanwhile, r);
	usleep(200000);
	return begin(db, r->q, e);
}

static void
test_claim_looks_again(void **state)
{
	struct race r = { .n = 99, .e = ERR_INIT };
	struct req *q;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	r.q = closure("app", "app", "lib");
	OK(db_transaction(server, DB_READ_COMMITTED, begin_slowly, &r, &e));
	pthread_join(r.thread, NULL);
	assert_int_equal(r.e.kind, ERR_NONE);
	assert_int_equal(r.n, 0);
	STATE("app.narinfo", "live");

	q = closure("other", "other", NULL);
	OK(begin(server, q, &e));
	abort_upload(q);
	r = (struct race){ closure("other", "other", NULL), 1, 99, ERR_INIT };
	OK(db_transaction(server, DB_READ_COMMITTED, begin_slowly, &r, &e));
	pthread_join(r.thread, NULL);
	assert_int_equal(r.e.kind, ERR_NONE);
	assert_int_equal(r.n, 0);
	STATE("other.narinfo", "pending");
	commit(server, r.q);
}

/* ---- pushers and a collector ---- */

/*
 * Pushers and a collector, each as fast as it can, with a bucket that is a map.
 * Paths have one of two NARs, as if their builds were not reproducible; the
 * bucket remembers which NAR a narinfo names, and that it is not deleted as long
 * as the narinfo is there. Deletes are refused, or unknown, now and then. In the
 * end all that is live is in the bucket, and says what is known of it.
 */
#define PUSHERS 4
#define ROUNDS  60
#define NPATHS  12

static struct {
	pthread_mutex_t lock;
	int present[NPATHS][3];  /* narinfo, NAR 0, NAR 1 */
	unsigned nar_of[NPATHS]; /* that the narinfo names */
	int broken;              /* narinfos, by deletes */
	_Atomic int stop;
} bucket = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct pusher {
	unsigned seed;
	int committed, dangling;
	char failed[600];
};

static int *
slot(const char *key)
{
	int nar = strncmp(key, "nar/", 4) == 0;
	const char *p = key + (nar ? 4 : 0);
	int path = atoi(p + 1);

	return &bucket.present[path][nar ? 1 + strchr(p, '-')[1] - '0' : 0];
}

static void
put(const char *key)
{
	pthread_mutex_lock(&bucket.lock);
	*slot(key) = 1;
	pthread_mutex_unlock(&bucket.lock);
}

static void
put_narinfo(const char *key, unsigned nar)
{
	pthread_mutex_lock(&bucket.lock);
	*slot(key) = 1;
	bucket.nar_of[atoi(key + 1)] = nar;
	pthread_mutex_unlock(&bucket.lock);
}

/* Rule R10: the narinfo is there, and names this NAR. */
static int
is_named(const char *nar)
{
	int path = atoi(nar + strlen("nar/p"));
	unsigned which = strchr(nar, '-')[1] - '0';

	return bucket.present[path][0] && bucket.nar_of[path] == which;
}

static int
push_random(struct db *db, struct pusher *p, struct arena *a, struct err *e)
{
	char keys[NPATHS][2][32];
	struct upload_object objects[2 * NPATHS] = { 0 };
	struct upload_path paths[NPATHS] = { 0 };
	struct upload_root root = { 0 };
	struct upload_begin b = { OWNER, STORE, LEASE, objects, 0, paths, 0,
		&root, 1 };
	uint32_t refs[NPATHS][NPATHS + 1];
	int at[NPATHS], top = rand_r(&p->seed) % NPATHS;
	unsigned nars[NPATHS];
	enum commit_claim claimed;
	struct commit c;
	const char **missed;
	char token[UPLOAD_TOKEN_MAX];
	size_t n;

	/* Path i refers to i / 2 and i / 3, if they are others. */
	for (int i = 0; i <= top; i++) {
		int to[2] = { i / 2, i / 3 };
		struct upload_object *o = &objects[b.nobjects];

		at[i] = b.nobjects;
		nars[i] = rand_r(&p->seed) % 2;
		snprintf(keys[i][0], 32, "p%d.narinfo", i);
		snprintf(keys[i][1], 32, "nar/p%d-%u", i, nars[i]);
		o[0] = (struct upload_object){ keys[i][0], 1, "x", -1, refs[i],
			1, 0, 0 };
		o[1] = (struct upload_object){ keys[i][1], 2, NULL, 9, NULL, 0,
			0, 0 };
		refs[i][0] = at[i] + 1;
		for (int k = 0; k < 2; k++)
			if (to[k] != i)
				refs[i][o->nrefs++] = at[to[k]];
		paths[i] = (struct upload_path){ .object = at[i],
			.nar = at[i] + 1,
			.base = keys[i][0],
			.nar_size = 9 };
		b.nobjects += 2;
		b.npaths++;
	}
	root = (struct upload_root){ at[top], keys[top][0] };
	if (uploads_begin(db, &b, token, e) != 0)
		return -1;
	for (size_t i = 0; i < b.nobjects; i++) {
		struct upload_write w = {
			.key = objects[i].key, .size = 9, .whole = 1
		};

		if (!objects[i].missing || objects[i].kind != 2)
			continue;
		/* Rights that end at once: the collector may go on. */
		if (uploads_authorize(db, token, OWNER, &w, 1, 0, LEASE, e) !=
		    0)
			return -1;
		put(w.key);
	}
	if (rand_r(&p->seed) % 4 == 0) {
		struct upload_multipart *parts;

		return uploads_abort(db, token, OWNER, a, &parts, &n, e);
	}
	do {
		if (commit_load(db, token, OWNER, LEASE, a, &c, e) != 0 ||
		    commit_publish(db, &c, &claimed, e) != 0)
			return -1;
		if (claimed != COMMIT_CLAIMED)
			usleep(1000);
	} while (claimed != COMMIT_CLAIMED);
	for (size_t i = 0; i < c.npaths; i++) {
		int path = atoi(c.paths[i].key + 1);

		c.paths[i].size = 5;
		usleep(rand_r(&p->seed) % 1000);
		put_narinfo(c.paths[i].key, nars[path]);
	}
	if (commit_finish(db, &c, a, &missed, &n, e) != 0)
		return -1;
	p->committed++;
	return 0;
}

static void *
pusher(void *arg)
{
	struct pusher *p = arg;
	struct db *db = live_open("niks3_server");

	for (int i = 0; i < ROUNDS && p->failed[0] == '\0'; i++) {
		struct arena *a = arena_new((size_t)16 << 20);
		struct err e = ERR_INIT;

		db_deadline(db, live_soon());
		if (push_random(db, p, a, &e) != 0)
			snprintf(p->failed, sizeof p->failed, "%s", e.msg);
		arena_free(a);
	}
	db_close(db);
	return NULL;
}

static int
delete_some(struct db *db, const struct reap_object *o, size_t n, int leftover,
    unsigned *seed, struct err *e)
{
	enum reap_answer answers[REAP_BATCH];
	size_t done = 0;
	int rc;

	pthread_mutex_lock(&bucket.lock);
	for (size_t i = 0; i < n; i++) {
		int *there = slot(o[i].key), dice = rand_r(seed) % 8;

		answers[i] = REAP_GONE;
		if (dice == 0 && *there)
			answers[i] = REAP_REFUSED;
		else if (dice <= 2 && *there)
			answers[i] = REAP_UNKNOWN; /* done or not */
		if (answers[i] != REAP_GONE && dice != 1)
			continue;
		if (*there && strncmp(o[i].key, "nar/", 4) == 0 &&
		    is_named(o[i].key))
			bucket.broken++;
		*there = 0;
	}
	pthread_mutex_unlock(&bucket.lock);
	/* The lock was not to be had: the answers are still those. */
	do {
		err_clear(e);
		db_deadline(db, live_soon());
		rc = reap_finish(db, o, answers, n, leftover, &done, e);
	} while (rc != 0 && e->kind == ERR_CONFLICT);
	return rc;
}

/* The lock was not to be had: a worker would try again. */
#define PATIENT(call)                                    \
	do {                                             \
		err_clear(&e);                           \
		db_deadline(db, live_soon());            \
	} while ((call) != 0 && e.kind == ERR_CONFLICT); \
	if (e.kind != ERR_NONE)                          \
	goto out

static void *
collector(void *arg)
{
	struct pusher *p = arg;
	struct db *db = live_open("niks3_gc");
	struct err e = ERR_INIT;
	unsigned *seed = &p->seed;

	while (!bucket.stop) {
		struct arena *a = arena_new((size_t)16 << 20);
		struct reap_cursor at = { 0 }, pending_at = { 0 };
		struct graph_roots roots = { 0 };
		struct reap_object *o;
		struct graph *g = NULL;
		int64_t until;
		const int64_t *ids;
		uint64_t done;
		size_t n;

		PATIENT(reap_clock(db, &until, &e));
		do {
			PATIENT(reap_leftover(db, RUN, until, a, &o, &n, &e));
			PATIENT(delete_some(db, o, n, 1, seed, &e));
		} while (n > 0);
		roots.closures_until_us = clock_wall_us() - 20000;
		PATIENT(graph_load(db, &roots, &g, &e));
		if (graph_dangling(g) > 0)
			p->dangling++;
		n = graph_expiring(g, &ids);
		PATIENT(graph_expire(
		    db, g, ids, n, roots.closures_until_us, RUN, &done, &e));
		n = graph_garbage(g, &ids);
		for (size_t i = 0; i < n; i += 3) {
			size_t some = n - i < 3 ? n - i : 3;

			PATIENT(
			    graph_tombstone(db, g, i, some, RUN, &done, &e));
		}
		do {
			PATIENT(reap_claim_pending(
			    db, RUN, &pending_at, a, &o, &n, &e));
			PATIENT(delete_some(db, o, n, 0, seed, &e));
		} while (n > 0);
		do {
			PATIENT(
			    reap_claim(db, RUN, ALL_DUE, &at, a, &o, &n, &e));
			PATIENT(delete_some(db, o, n, 0, seed, &e));
		} while (n > 0);
	out:
		graph_free(g);
		arena_free(a);
		if (e.kind != ERR_NONE) {
			snprintf(p->failed, sizeof p->failed, "%s", e.msg);
			break;
		}
	}
	db_close(db);
	return NULL;
}

/* What is live is in the bucket, and each narinfo says what is known of it. */
static void
check_bucket(void)
{
	static const char refs_sql[] =
	    "SELECT count(*) FROM live l, unnest(l.refs) r JOIN objects n"
	    " ON n.id = r WHERE l.key = $1 AND n.kind = 2 AND n.key <> $2";
	struct err e = ERR_INIT;
	PGresult *r;

	if (db_query(live_owner, "SELECT key FROM live", P_NONE, &r, &e) != 0)
		fail_msg("%s", e.msg);
	for (int i = 0; i < PQntuples(r); i++)
		if (!*slot(PQgetvalue(r, i, 0)))
			fail_msg("live, but not in the bucket: %s",
			    PQgetvalue(r, i, 0));
	PQclear(r);
	for (int path = 0; path < NPATHS; path++) {
		const char *key = arena_printf(live_arena, "p%d.narinfo", path);
		const char *nar = arena_printf(
		    live_arena, "nar/p%d-%u", path, bucket.nar_of[path]);

		if (live_number(refs_sql, PARAMS(P_TEXT(key), P_TEXT(nar))) !=
		    0)
			fail_msg("%s names another NAR than %s", key, nar);
	}
}

static void
test_all_at_once(void **state)
{
	struct pusher p[PUSHERS + 1] = { 0 };
	pthread_t t[PUSHERS + 1];
	struct reap_object *o;
	int committed = 0;
	size_t n;

	(void)state;
	bucket.stop = 0;
	for (int i = 0; i <= PUSHERS; i++) {
		p[i].seed = live_seed * 100 + i;
		pthread_create(
		    &t[i], NULL, i < PUSHERS ? pusher : collector, &p[i]);
	}
	for (int i = 0; i < PUSHERS; i++)
		pthread_join(t[i], NULL);
	bucket.stop = 1;
	pthread_join(t[PUSHERS], NULL);
	for (int i = 0; i <= PUSHERS; i++) {
		if (p[i].failed[0] != '\0')
			fail_msg("seed %u, thread %d: %s", live_seed, i,
			    p[i].failed);
		committed += p[i].committed;
	}
	assert_int_equal(p[PUSHERS].dangling, 0);
	assert_int_equal(bucket.broken, 0);
	assert_true(committed > PUSHERS * ROUNDS / 2);
	check_rules();
	check_bucket();

	/* And at the end, nothing remains. */
	deadlines();
	expire_closures(0);
	n = claim_leftover(&o);
	answer(o, n, REAP_GONE);
	collect();
	assert_int_equal(COUNT("objects"), 0);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_claim_looks_again),
	LIVE_TEST(test_all_at_once),
};

LIVE_GROUP(race);
