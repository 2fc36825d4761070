#include "db_live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct db *server, *server2, *gc;
int64_t auth_us;

/* ---- the database ---- */

const char *
live_migrations(void)
{
	const char *dir = getenv("NIKS3_MIGRATIONS_DIR");

	return dir != NULL ? dir : "migrations";
}

static int
script_in(struct db *db, void *text, struct err *e)
{
	return db_script(db, text, e);
}

int
script(struct db *db, const char *text, struct err *e)
{
	db_deadline(db, live_soon());
	return db_transaction(
	    db, DB_READ_COMMITTED, script_in, (void *)(uintptr_t)text, e);
}

void
sql(const char *text)
{
	OK(script(live_owner, text, &e));
}

int64_t
number(const char *text)
{
	return live_number(text, P_NONE);
}

int64_t
number_of(const char *text, const char *key)
{
	return live_number(text, PARAMS(P_TEXT(key)));
}

int64_t
id_of(const char *key)
{
	return number_of(
	    "SELECT coalesce(max(id), -1) FROM objects WHERE key = $1", key);
}

const char *
state_of(const char *key)
{
	static const char *const names[] = { "gone", "live", "pending",
		"tombstone", "deleting" };

	return names[number_of("SELECT coalesce(max("
	                       "CASE WHEN t.claim IS NOT NULL THEN 4"
	                       " WHEN p.object_id IS NOT NULL THEN 2"
	                       " WHEN t.object_id IS NOT NULL THEN 3"
	                       " ELSE 1 END), 0)"
	                       " FROM objects LEFT JOIN tombstones t"
	                       " ON t.object_id = id"
	                       " LEFT JOIN pending p ON p.object_id = id"
	                       " WHERE key = $1",
	    key)];
}

void
deadlines(void)
{
	db_deadline(live_owner, live_soon());
	db_deadline(server, live_soon());
	db_deadline(server2, live_soon());
	db_deadline(gc, live_soon());
}

/* ---- requests ---- */

struct req *
req_new(void)
{
	struct req *q = arena_alloc(live_arena, sizeof *q);

	q->b = (struct upload_begin){ OWNER, STORE, LEASE, q->objects, 0,
		q->paths, 0, q->roots, 0 };
	return q;
}

uint32_t
req_object(struct req *q, const char *key, int kind)
{
	for (size_t i = 0; i < q->b.nobjects; i++)
		if (strcmp(q->objects[i].key, key) == 0)
			return i;
	q->objects[q->b.nobjects] = (struct upload_object){
		.key = arena_str(live_arena, key), .kind = kind, .nar_size = -1
	};
	return q->b.nobjects++;
}

uint32_t
req_path(struct req *q, const char *name, const char *nar, ...)
{
	size_t at = q->b.npaths++;
	uint32_t *refs = q->refs[at];
	uint32_t info, file;
	struct upload_path *p = &q->paths[at];
	const char *ref;
	va_list ap;
	size_t n = 0;

	info = req_object(q, arena_printf(live_arena, "%s.narinfo", name), 1);
	file = req_object(q, arena_printf(live_arena, "nar/%s", nar), 2);
	q->objects[info].name = arena_str(live_arena, name);
	q->objects[file].nar_size = 1000;
	refs[n++] = file;
	va_start(ap, nar);
	while ((ref = va_arg(ap, const char *)) != NULL) {
		q->names[at][n - 1] = ref;
		refs[n++] = req_object(
		    q, arena_printf(live_arena, "%s.narinfo", ref), 1);
	}
	va_end(ap);
	q->objects[info].refs = refs;
	q->objects[info].nrefs = n;
	*p = (struct upload_path){ info, file, arena_str(live_arena, name),
		{ { 7 } }, 1000, q->names[at], n - 1, "x.drv", NULL, NULL, 0 };
	return info;
}

uint32_t
req_attach(struct req *q, uint32_t info, const char *key, int kind)
{
	struct upload_object *o = &q->objects[info];
	uint32_t at = req_object(q, key, kind);
	size_t path = 0;

	while (q->paths[path].object != info)
		path++;
	q->refs[path][o->nrefs++] = at;
	return at;
}

void
req_root(struct req *q, uint32_t object)
{
	q->roots[q->b.nroots++] = (struct upload_root){ object,
		arena_printf(live_arena, STORE "/%s", q->objects[object].key) };
}

struct req *
closure(const char *name, const char *nar, const char *ref)
{
	struct req *q = req_new();

	if (ref != NULL)
		req_path(q, ref, ref, NULL);
	req_root(q, req_path(q, name, nar, ref, NULL));
	return q;
}

struct req *
closure_with_log(
    const char *name, const char *nar, const char *ref, const char *log)
{
	struct req *q = closure(name, nar, ref);

	req_attach(q, q->roots[0].object, log, OBJKEY_LOG);
	return q;
}

/* ---- uploads ---- */

int
begin(struct db *db, struct req *q, struct err *e)
{
	return uploads_begin(db, &q->b, q->token, e);
}

size_t
missing(const struct req *q)
{
	size_t n = 0;

	for (size_t i = 0; i < q->b.nobjects; i++)
		n += q->objects[i].missing;
	return n;
}

int
authorize(struct db *db, const struct req *q, const char *key, uint64_t size,
    struct err *e)
{
	struct upload_write w = {
		.key = key, .size = size, .whole = 1, .sha256 = { 1, 2, 3 }
	};

	return uploads_authorize(db, q->token, OWNER, &w, 1, auth_us, LEASE, e);
}

void
authorize_all(struct db *db, const struct req *q)
{
	for (size_t i = 0; i < q->b.nobjects; i++)
		if (q->objects[i].missing && q->objects[i].kind != 1)
			OK(authorize(db, q, q->objects[i].key, 100, &e));
}

int
load(struct db *db, const struct req *q, struct commit *c, struct err *e)
{
	return commit_load(db, q->token, OWNER, LEASE, live_arena, c, e);
}

enum commit_claim
publish(struct db *db, struct commit *c)
{
	enum commit_claim claimed;

	OK(commit_publish(db, c, &claimed, &e));
	return claimed;
}

void
fill(struct commit *c)
{
	for (size_t i = 0; i < c->npaths; i++) {
		c->paths[i].size = 10;
		memset(c->paths[i].sha256, 9, 32);
	}
}

int
finish(struct db *db, const struct commit *c, struct err *e)
{
	const char **keys;
	size_t n;

	return commit_finish(db, c, live_arena, &keys, &n, e);
}

static void
publish_loaded(struct db *db, const struct req *q, struct commit *c)
{
	authorize_all(db, q);
	OK(load(db, q, c, &e));
	assert_int_equal(publish(db, c), COMMIT_CLAIMED);
	fill(c);
}

void
commit(struct db *db, const struct req *q)
{
	struct commit c;

	publish_loaded(db, q, &c);
	OK(finish(db, &c, &e));
}

void
commit_until_published(struct db *db, struct req *q, struct commit *c)
{
	OK(begin(db, q, &e));
	publish_loaded(db, q, c);
}

void
push_req(struct req *q)
{
	OK(begin(server, q, &e));
	commit(server, q);
}

struct req *
push(const char *name, const char *nar, const char *ref)
{
	struct req *q = closure(name, nar, ref);

	push_req(q);
	return q;
}

void
abort_upload(struct req *q)
{
	struct upload_multipart *parts;
	size_t n;

	OK(uploads_abort(server, q->token, OWNER, live_arena, &parts, &n, &e));
}

void
let_time_pass(void)
{
	sql("UPDATE pending SET auth_until = now() - interval '1 s'"
	    " WHERE auth_until > now()");
}

/* ---- collecting ---- */

struct graph *
snapshot_expiring(int64_t until_us)
{
	struct graph_roots roots = { .closures_until_us = until_us };
	struct graph *g;

	OK(graph_load(gc, &roots, &g, &e));
	return g;
}

struct graph *
snapshot(void)
{
	return snapshot_expiring(0);
}

uint64_t
expire_closures(int64_t older_than_us)
{
	int64_t until = CLOCK_US - older_than_us;
	struct graph *g = snapshot_expiring(until);
	const int64_t *ids;
	uint64_t done = 0;
	size_t n;

	if ((n = graph_expiring(g, &ids)) > 0)
		OK(graph_expire(gc, g, ids, n, until, RUN, &done, &e));
	graph_free(g);
	return done;
}

uint64_t
mark_all(void)
{
	struct graph *g = snapshot();
	const int64_t *ids;
	uint64_t done = 0;
	size_t n;

	assert_int_equal(graph_dangling(g), 0);
	assert_int_equal(graph_revivable(g, &ids), 0);
	if ((n = graph_garbage(g, &ids)) > 0)
		OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	graph_free(g);
	return done;
}

/* Objects of several batches. */
struct batches {
	struct reap_object *o;
	size_t n;
};

static void
batches_add(struct batches *all, const struct reap_object *o, size_t n)
{
	assert_true(all->n + n <= REAP_BATCH);
	if (n > 0)
		memcpy(all->o + all->n, o, n * sizeof *o);
	all->n += n;
}

int64_t
ago(int64_t us)
{
	int64_t now;

	OK(reap_clock(gc, &now, &e));
	return now - us;
}

static size_t
claim_all(int64_t grace_us, int pending, struct reap_object **out)
{
	struct batches all = {
		arena_array(live_arena, REAP_BATCH, sizeof **out), 0
	};
	struct reap_cursor at = { 0 };
	int64_t until = ago(grace_us);
	size_t n;

	do {
		if (pending)
			OK(reap_claim_pending(
			    gc, RUN, &at, live_arena, out, &n, &e));
		else
			OK(reap_claim(
			    gc, RUN, until, &at, live_arena, out, &n, &e));
		batches_add(&all, *out, n);
	} while (n > 0);
	*out = all.o;
	return all.n;
}

size_t
claim(int64_t grace_us, struct reap_object **out)
{
	return claim_all(grace_us, 0, out);
}

size_t
claim_pending(struct reap_object **out)
{
	return claim_all(0, 1, out);
}

size_t
claim_leftover(struct reap_object **out)
{
	struct batches all = {
		arena_array(live_arena, REAP_BATCH, sizeof **out), 0
	};
	int64_t until = ago(0);
	size_t n;

	do {
		OK(reap_leftover(gc, RUN, until, live_arena, out, &n, &e));
		batches_add(&all, *out, n);
	} while (n > 0);
	*out = all.o;
	return all.n;
}

void
answer_each(const struct reap_object *o, size_t n,
    const enum reap_answer *answers, int leftover)
{
	size_t done = 0;

	OK(reap_finish(gc, o, answers, n, leftover, &done, &e));
	assert_int_equal(done, n);
}

static void
answer_as(
    const struct reap_object *o, size_t n, enum reap_answer a, int leftover)
{
	enum reap_answer answers[REAP_BATCH];

	for (size_t i = 0; i < n; i++)
		answers[i] = a;
	answer_each(o, n, answers, leftover);
}

void
answer(const struct reap_object *o, size_t n, enum reap_answer a)
{
	answer_as(o, n, a, 0);
}

void
answer_leftover(const struct reap_object *o, size_t n, enum reap_answer a)
{
	answer_as(o, n, a, 1);
}

void
collect(void)
{
	struct reap_object *o;
	size_t n;

	mark_all();
	while ((n = claim_pending(&o)) > 0)
		answer(o, n, REAP_GONE);
	while ((n = claim(0, &o)) > 0)
		answer(o, n, REAP_GONE);
}

/* ---- before and after each test ---- */

static const struct rule {
	const char *says, *sql; /* counts what breaks it */
} rules[] = {
	{ "all that a live object refers to is live",
	    "SELECT count(*) FROM live l, unnest(l.refs) r"
	    " WHERE r NOT IN (SELECT id FROM live)" },
	{ "closures are live",
	    "SELECT count(*) FROM closures"
	    " WHERE object_id NOT IN (SELECT id FROM live)" },
	{ "what is known of live objects and tombstones",
	    "SELECT count(*) FROM objects o WHERE NOT EXISTS (SELECT FROM"
	    " contents c WHERE c.object_id = o.id) AND NOT EXISTS (SELECT FROM"
	    " pending p WHERE p.object_id = o.id)" },
	{ "every row has its object",
	    "SELECT count(*) FROM (SELECT object_id FROM contents UNION ALL"
	    " SELECT object_id FROM pending UNION ALL SELECT object_id FROM"
	    " tombstones UNION ALL SELECT object_id FROM upload_needs) x"
	    " WHERE object_id NOT IN (SELECT id FROM objects)" },
	{ "what an open upload needs is live or pending",
	    "SELECT count(*) FROM upload_needs WHERE object_id NOT IN"
	    " (SELECT id FROM live UNION ALL SELECT object_id FROM pending"
	    " UNION ALL SELECT object_id FROM tombstones"
	    " WHERE claim IS NOT NULL)" },
	{ "rows of uploads that are open",
	    "SELECT count(*) FROM (SELECT upload_id FROM upload_needs UNION"
	    " SELECT upload_id FROM upload_roots UNION SELECT upload_id FROM"
	    " upload_paths UNION SELECT upload_id FROM upload_writes) x WHERE"
	    " upload_id NOT IN (SELECT id FROM uploads WHERE state = 'open')" },
	{ "references are sorted, each once, not to itself",
	    "SELECT count(*) FROM objects WHERE id = ANY (refs) OR refs <>"
	    " ARRAY(SELECT DISTINCT r FROM unnest(refs) r ORDER BY r)" },
	{ "the statistics count objects",
	    "SELECT (SELECT coalesce(sum(objects), 0) FROM stat_deltas)::bigint"
	    " - (SELECT count(*) FROM live)" },
	{ "the statistics sum sizes",
	    "SELECT (SELECT coalesce(sum(bytes), 0) FROM stat_deltas)::bigint"
	    " - (SELECT coalesce(sum(size), 0) FROM live JOIN contents ON"
	    " object_id = id)::bigint" },
	{ "the kind says in which order to delete",
	    "SELECT count(*) FROM tombstones t JOIN objects o"
	    " ON o.id = t.object_id WHERE t.rank <>"
	    " (ARRAY[1, 3, 2, 2, 2])[o.kind]" },
};

void
check_rules(void)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		int64_t n = number(rules[i].sql);

		if (n != 0)
			fail_msg(
			    "broken: %s (%lld)", rules[i].says, (long long)n);
	}
}

int
live_setup(void **state)
{
	(void)state;
	arena_reset(live_arena);
	auth_us = 0;
	sql("TRUNCATE cache_sizes, objects, contents, pending, tombstones, "
	    "closures, pins,"
	    " uploads, upload_needs, upload_roots, upload_paths,"
	    " upload_writes, multiparts, gc_runs, gc_run_roots, stat_deltas,"
	    " tokens");
	deadlines();
	return 0;
}

int
live_check(void **state)
{
	(void)state;
	check_rules();
	return 0;
}

void
live_view(int there)
{
	if (!there) {
		sql("DROP VIEW live");
		return;
	}
	sql("CREATE VIEW live AS SELECT * FROM objects o WHERE"
	    " NOT EXISTS (SELECT FROM pending WHERE object_id = o.id)"
	    " AND NOT EXISTS (SELECT FROM tombstones WHERE object_id = o.id)");
}

static int
open_all(void **state)
{
	live_begin(state);
	live_view(1);
	gc = live_gc;
	server = live_open("niks3_server");
	server2 = live_open("niks3_server");
	return 0;
}

static int
close_all(void **state)
{
	live_view(0);
	db_close(server);
	db_close(server2);
	return live_end(state);
}

static const struct live_group *const groups[] = {
	&uploads_live,
	&attached_live,
	&commit_live,
	&publish_live,
	&measure_live,
	&mark_live,
	&reap_live,
	&answers_live,
	&closures_live,
	&gcruns_live,
	&status_live,
	&conn_live,
	&race_live,
	&deadlock_live,
	&tokens_live,
	&migrate_live,
};

int
main(int argc, char **argv)
{
	int failed = 0, known = argc < 2;

	if (live_skip())
		return 0;
	for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
		const struct live_group *g = groups[i];

		if (argc > 1 && strcmp(argv[1], g->name) != 0)
			continue;
		known = 1;
		failed += _cmocka_run_group_tests(
		    g->name, g->tests, g->n, open_all, close_all);
	}
	if (!known)
		fprintf(stderr, "there is no group %s\n", argv[1]);
	return failed > 0 || !known;
}
