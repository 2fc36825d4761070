/*
 * Random graphs: what graph_needs, graph_purge, graph_report and graph_why say of
 * them is compared with what a slow and simple way says, or PostgreSQL by
 * recursive queries (live.h tells what it needs). No rule is kept here: objects
 * in all states refer to each other, in circles and to nowhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/db/graph_internal.h"
#include "live.h"

/* ---- small graphs in memory ---- */

#define SMALL        12
#define SMALL_GRAPHS 100000

/* Sets of objects are masks of bits. */
struct small {
	int n;
	uint32_t refs[SMALL];
	uint8_t flags[SMALL];
	int nowhere[SMALL];
};

static int
one_in(int n)
{
	return rand_r(&live_seed) % n == 0;
}

static struct small
small_random(void)
{
	static const uint8_t states[] = { 0, 0, 0, 0, 0, 0, 0, TOMBSTONE,
		TOMBSTONE, TOMBSTONE, PENDING, PENDING, PENDING | TOMBSTONE,
		CLAIMED, CLAIMED | PENDING };
	struct small s = { .n = 1 + rand_r(&live_seed) % SMALL };
	int circles = one_in(3), sparse = 2 + rand_r(&live_seed) % 5;
	int place[SMALL];

	for (int i = 0; i < s.n; i++) {
		int other = rand_r(&live_seed) % (i + 1);

		place[i] = place[other];
		place[other] = i;
		s.flags[i] = states[rand_r(&live_seed) % sizeof states] |
		    (1 + rand_r(&live_seed) % DB_RANKS) << RANK_SHIFT;
		s.nowhere[i] = one_in(20);
	}
	for (int i = 0; i < s.n; i++)
		for (int k = 0; k < s.n; k++)
			if ((circles || place[i] < place[k]) && one_in(sparse))
				s.refs[i] |= 1U << k;
	return s;
}

static struct graph
small_graph(const struct small *s)
{
	static int64_t ids[SMALL];
	static uint32_t edges[SMALL * (SMALL + 2)], *blocks[BLOCKS_MAX];
	static uint32_t run[SMALL], bucket[SMALL + 1];
	static uint8_t flags[SMALL];
	struct graph g = { .ids = ids,
		.n = s->n,
		.run = run,
		.blocks = blocks,
		.flags = flags,
		.bucket = bucket,
		.nbuckets = s->n };

	uint32_t used = 0;

	blocks[0] = edges;
	memcpy(flags, s->flags, sizeof flags);
	for (int i = 0; i < s->n; i++) {
		ids[i] = i + 1;
		bucket[i] = i;
		run[i] = used++;
		for (int k = 0; k < s->n; k++)
			if (s->refs[i] >> k & 1)
				edges[used++] = k;
		if (s->nowhere[i])
			edges[used++] = NOBODY;
		edges[run[i]] = used - run[i] - 1;
	}
	bucket[s->n] = s->n;
	for (int i = 0; i < s->n; i++)
		if (one_in(8))
			graph_reach(&g, i);
	graph_follow(&g);
	free(g.stack.items);
	g.stack = (struct stack){ 0 };
	return g;
}

/* What can be reached from each, by following what marking follows. */
static void
small_closures(const struct small *s, uint32_t to[SMALL])
{
	int changed = 1;

	for (int i = 0; i < s->n; i++)
		to[i] = 1U << i;
	while (changed) {
		changed = 0;
		for (int i = 0; i < s->n; i++) {
			uint32_t all = to[i];

			for (int k = 0; k < s->n; k++)
				if ((s->refs[i] >> k & 1) &&
				    !(s->flags[i] & (PENDING | CLAIMED)))
					all |= to[k];
			changed |= all != to[i];
			to[i] = all;
		}
	}
}

/* As graph.h says: 0 when nothing may go. */
static uint32_t
small_purge(const struct small *s, const struct graph *g, int target)
{
	uint32_t to[SMALL], deletable = 0, first = 0, all, before;

	small_closures(s, to);
	for (int i = 0; i < s->n; i++)
		if (!(g->flags[i] & (REACHED | PENDING | CLAIMED)))
			deletable |= 1U << i;
	if (!(deletable >> target & 1))
		return 0;
	for (int i = 0; i < s->n; i++)
		if ((deletable >> i & 1) && (to[i] >> target & 1))
			first |= 1U << i;
	/* All that they need, until what something else refers to is out. */
	for (all = first, before = 0; all != before;) {
		before = all;
		for (int i = 0; i < s->n; i++)
			if (all >> i & 1)
				all |= s->refs[i] & deletable;
	}
	for (before = 0; all != before;) {
		before = all;
		for (int i = 0; i < s->n; i++)
			if (!(all >> i & 1) &&
			    (s->flags[i] & (PENDING | TOMBSTONE | CLAIMED)) !=
			        PENDING)
				all &= ~s->refs[i] | first;
	}
	return all;
}

static uint32_t
purged(const struct graph *g, int target)
{
	struct err e = ERR_INIT;
	uint32_t all = 0;
	int64_t *ids;
	size_t n;

	if (graph_purge(g, target + 1, &ids, &n, &e) != 0) {
		assert_int_equal(e.kind,
		    g->flags[target] & REACHED ? ERR_CONFLICT : ERR_NOT_FOUND);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		int at = ids[i] - 1;

		assert_false(all >> at & 1);
		all |= 1U << at;
		if (i > 0 && ids[i - 1] > ids[i])
			assert_true(g->flags[ids[i - 1] - 1] >> RANK_SHIFT <
			    g->flags[at] >> RANK_SHIFT);
		if (i > 0)
			assert_true(g->flags[ids[i - 1] - 1] >> RANK_SHIFT <=
			    g->flags[at] >> RANK_SHIFT);
	}
	free(ids);
	return all;
}

static void
test_small(void **state)
{
	int alone = 0, more = 0;

	(void)state;
	for (int round = 0; round < SMALL_GRAPHS; round++) {
		struct small s = small_random();
		struct graph g = small_graph(&s);
		uint32_t to[SMALL];

		small_closures(&s, to);
		for (int target = 0; target < s.n; target++) {
			uint32_t *needs = graph_needs(&g, target);
			uint32_t want = small_purge(&s, &g, target);

			for (int i = 0; i < s.n; i++)
				if ((needs[i] == NEEDS) !=
				    (to[i] >> target & 1))
					fail_msg("round %d: %d needs %d", round,
					    i, target);
			free(needs);
			if (purged(&g, target) != want)
				fail_msg("round %d: purge %d", round, target);
			alone += want == 1U << target;
			more += (want & ~(1U << target)) != 0;
		}
	}
	/* They were not all trivial. */
	assert_true(alone > SMALL_GRAPHS && more > SMALL_GRAPHS);
}

/* ---- in the database ---- */

static const char views_sql[] =
    "CREATE VIEW live AS SELECT * FROM objects o"
    " WHERE NOT EXISTS (SELECT FROM pending WHERE object_id = o.id)"
    " AND NOT EXISTS (SELECT FROM tombstones WHERE object_id = o.id);"
    "CREATE VIEW followed AS SELECT * FROM objects o"
    " WHERE NOT EXISTS (SELECT FROM pending WHERE object_id = o.id)"
    " AND NOT EXISTS (SELECT FROM tombstones WHERE object_id = o.id"
    " AND claim IS NOT NULL)";

static int
begin(void **state)
{
	live_begin(state);
	live_sql("%s", views_sql);
	live_sql("SET enable_seqscan = on; SET work_mem = '64MB'");
	return 0;
}

/* Objects from 1 to n, in blocks. What each refers to lies at most six behind it
 * (or before it, now and then) in its block; some refer to one of the first ten
 * objects besides. Ids have gaps. */
static void
fill(int n, int block)
{
	live_sql("SELECT setseed(%f);"
	         "INSERT INTO objects (id, key, kind, refs)"
	         " SELECT i * 2, 'k' || i, 1 + (random() * 3)::int,"
	         " ARRAY(SELECT DISTINCT k * 2 FROM (SELECT i + CASE"
	         " WHEN random() < 0.02 THEN -1 ELSE 1 END"
	         " * (1 + floor(random() * 6))::bigint AS k"
	         " FROM generate_series(1, i %% 4)) x"
	         " WHERE k / %d = i / %d AND k BETWEEN 1 AND %d"
	         " UNION SELECT 2 + 2 * floor(random() * 10)::bigint"
	         " WHERE random() < 0.05 ORDER BY 1)"
	         " FROM generate_series(1, %d::bigint) i;"
	         "INSERT INTO contents (object_id, size, sha256)"
	         " SELECT id, 1 + (random() * 1e6)::bigint, '' FROM objects;"
	         "INSERT INTO pending (object_id) SELECT id FROM objects"
	         " WHERE random() < 0.05;"
	         "INSERT INTO tombstones (object_id, first_at, rank, claim)"
	         " SELECT id, now(), " DB_RANK(
	             "kind") ", CASE WHEN random() < 0.3 THEN 1 END"
	                     " FROM objects WHERE random() < 0.1;",
	    rand_r(&live_seed) % 1000 / 1000.0, block, block, n, n);
	live_sql(
	    "INSERT INTO closures (object_id, store_path, updated_at)"
	    " SELECT id, '/nix/store/' || key, " LIVE_DAY
	    " + (random() * 10)::int * interval '1 h'"
	    " FROM objects WHERE random() < %f;"
	    "INSERT INTO pins (name, object_id, store_path)"
	    " SELECT 'pin-' || object_id || '-' || k, object_id, ''"
	    " FROM closures, generate_series(1, 2) k"
	    " WHERE random() < 0.1;"
	    "INSERT INTO uploads (id, token, owner, store_dir, state,"
	    " lease_until) SELECT i, i, 'ci', '/nix/store',"
	    " CASE WHEN i < 4 THEN 'open' ELSE 'aborted' END, " LIVE_DAY
	    " + i * interval '3 h' FROM generate_series(1, 4) i;"
	    "INSERT INTO upload_needs (upload_id, object_id, refs, missing)"
	    " SELECT u.id, o.id, '{}', true FROM uploads u, objects o"
	    " WHERE random() < %f",
	    n < 1000 ? 0.2 : 0.02, n < 1000 ? 0.05 : 0.0001);
}

/* Root, objects and bytes of each that frees something, in order of id. */
static const char report_sql[] =
    "WITH RECURSIVE expiring AS (SELECT object_id, updated_at"
    " FROM closures c WHERE updated_at <= " LIVE_DAY
    " + $1 * interval '1 h' AND object_id NOT IN"
    " (SELECT object_id FROM pins)),"
    " reach AS ("
    " SELECT id FROM (SELECT object_id AS id FROM closures EXCEPT"
    " SELECT object_id FROM expiring UNION"
    " SELECT object_id FROM upload_needs JOIN uploads u ON u.id = upload_id"
    " WHERE state = 'open' AND lease_until > " LIVE_DAY
    " + $2 * interval '1 h') roots"
    " UNION SELECT r FROM reach JOIN followed USING (id), unnest(refs) r),"
    " garbage AS MATERIALIZED (SELECT * FROM live l"
    " WHERE NOT EXISTS (SELECT FROM reach WHERE id = l.id)),"
    " needs AS (SELECT e.object_id AS root, g.id FROM expiring e"
    " JOIN garbage g ON g.id = e.object_id"
    " UNION SELECT n.root, t.id FROM needs n JOIN garbage g USING (id),"
    " unnest(g.refs) r JOIN garbage t ON t.id = r),"
    " owner AS (SELECT DISTINCT ON (g.id) g.id, coalesce(n.root, 0) AS root"
    " FROM garbage g LEFT JOIN needs n USING (id)"
    " LEFT JOIN expiring e ON e.object_id = n.root"
    " ORDER BY g.id, e.updated_at, n.root)"
    " SELECT string_agg(format('%s:%s:%s', root, n, bytes), ' '"
    " ORDER BY root) FROM (SELECT root, count(*) n, sum(size) bytes"
    " FROM owner JOIN contents ON object_id = id GROUP BY root) x";

static int
by_id(const void *a, const void *b)
{
	const struct graph_root *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Returns how many roots there were. */
static size_t
compare_report(int closures_hour, int leases_hour)
{
	struct graph *g = live_load(closures_hour, leases_hour);
	const char *want = live_text(
	    report_sql, PARAMS(P_I64(closures_hour), P_I64(leases_hour)));
	struct graph_report r;
	size_t len, expiring;
	const int64_t *ids;
	char *got;
	FILE *f = open_memstream(&got, &len);

	db_deadline(live_gc, live_soon());
	OK(graph_report(live_gc, g, live_arena, &r, &e));
	for (size_t i = 1; i < r.nroots; i++)
		assert_true(r.roots[i - 1].bytes >= r.roots[i].bytes);
	qsort(r.roots, r.nroots, sizeof *r.roots, by_id);
	for (size_t i = 0; i < r.nroots; i++)
		if (r.roots[i].objects > 0)
			fprintf(f, "%s%lld:%llu:%llu", ftell(f) > 0 ? " " : "",
			    (long long)r.roots[i].id,
			    (unsigned long long)r.roots[i].objects,
			    (unsigned long long)r.roots[i].bytes);
	fclose(f);
	assert_string_equal(got, want);
	free(got);
	expiring = graph_expiring(g, &ids);
	assert_int_equal(
	    r.nroots, expiring + (r.nroots > 0 && r.roots[0].id == 0));
	assert_int_equal(r.objects, graph_garbage(g, &ids));
	graph_free(g);
	return r.nroots;
}

/* Everything that needs the object $1. */
#define BACK                                                            \
	"WITH RECURSIVE back AS (SELECT id FROM objects WHERE key = $1" \
	" UNION SELECT o.id FROM back JOIN followed o"                  \
	" ON o.refs @> ARRAY[back.id])"

static const char keepers_sql[] =
    BACK " SELECT (SELECT count(*) FROM pins"
         " WHERE object_id IN (SELECT id FROM back))"
         " + (SELECT count(*) FROM closures c"
         " WHERE object_id IN (SELECT id FROM back)"
         " AND object_id NOT IN (SELECT object_id FROM pins))"
         " + (SELECT count(DISTINCT upload_id) FROM upload_needs"
         " JOIN uploads u ON u.id = upload_id WHERE state = 'open'"
         " AND object_id IN (SELECT id FROM back))";
/* References from $2 to $1, at least. */
static const char distance_sql[] =
    "WITH RECURSIVE way AS (SELECT o.id, 0 AS n FROM objects o"
    " WHERE key = $2 UNION SELECT r, n + 1 FROM way JOIN followed USING (id),"
    " unnest(refs) r WHERE n < 40)"
    " SELECT min(n)::bigint FROM way JOIN objects USING (id) WHERE key = $1";
static const char refers_sql[] =
    "SELECT count(*) FROM followed f, objects o"
    " WHERE f.key = $1 AND o.key = $2 AND o.id = ANY (f.refs)";
static const char begins_sql[] =
    "SELECT CASE WHEN $1 LIKE '/nix/store/%' THEN $1 = '/nix/store/' || $2"
    " ELSE EXISTS (SELECT FROM upload_needs JOIN objects ON id = object_id"
    " WHERE upload_id::text = $1 AND key = $2) END::int::bigint";
static const char state_sql[] =
    "SELECT CASE WHEN t.claim IS NOT NULL THEN 3"
    " WHEN p.object_id IS NOT NULL THEN 1"
    " WHEN t.object_id IS NOT NULL THEN 2 ELSE 0 END::bigint FROM objects"
    " LEFT JOIN tombstones t ON t.object_id = id"
    " LEFT JOIN pending p ON p.object_id = id WHERE key = $1";

/* Returns how long the chain is. */
static size_t
compare_why(const char *key)
{
	const char *begins;
	struct why w;

	db_deadline(live_gc, live_soon());
	OK(graph_why(live_gc, key, live_arena, &w, &e));
	assert_int_equal(w.state, live_number(state_sql, PARAMS(P_TEXT(key))));
	assert_int_equal(
	    w.nkeepers, live_number(keepers_sql, PARAMS(P_TEXT(key))));
	assert_int_equal(w.nchain > 0, w.nkeepers > 0);
	if (w.nchain == 0)
		return 0;
	assert_string_equal(w.chain[w.nchain - 1], key);
	begins = w.keepers[0].kind == WHY_UPLOAD ? w.keepers[0].name
	                                         : w.keepers[0].store_path;
	assert_int_equal(
	    live_number(begins_sql, PARAMS(P_TEXT(begins), P_TEXT(w.chain[0]))),
	    1);
	for (size_t i = 1; i < w.nchain; i++)
		assert_int_equal(
		    live_number(refers_sql,
		        PARAMS(P_TEXT(w.chain[i - 1]), P_TEXT(w.chain[i]))),
		    1);
	assert_int_equal(w.nchain - 1,
	    live_number(distance_sql, PARAMS(P_TEXT(key), P_TEXT(w.chain[0]))));
	return w.nchain;
}

#define TABLES  150
#define OBJECTS 30

static void
test_tables(void **state)
{
	size_t roots = 0, chain = 0;

	(void)state;
	for (int round = 0; round < TABLES; round++) {
		char key[16];

		live_empty(NULL);
		fill(OBJECTS, 1000);
		for (int hour = 0; hour <= 10; hour += 5)
			roots += compare_report(hour, hour);
		for (int i = 1; i <= OBJECTS; i += 3) {
			snprintf(key, sizeof key, "k%d", i);
			chain += compare_why(key);
		}
	}
	assert_true(roots > TABLES);
	assert_true(chain > TABLES);
}

#define MANY 100000

static void
test_many(void **state)
{
	(void)state;
	fill(MANY, 200);
	/* They no longer lie in the order of ids. */
	live_sql("UPDATE objects SET refs = refs WHERE id %% 3 = 1;"
	         "ANALYZE");
	assert_true(compare_report(5, 5) > 500);
	/* Which is only ever read by a bitmap. */
	live_sql("CREATE INDEX ON objects USING gin (refs);"
	         "SET enable_bitmapscan = on;"
	         "ANALYZE");
	compare_why("k60001");
	compare_why("k99999");
	compare_why("k1");
	live_sql("DROP INDEX objects_refs_idx");
}

/* The table is read by two connections, or by one where no more are to be had. */
static void
test_alone(void **state)
{
	static const char limit[] =
	    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I CONNECTION"
	    " LIMIT %%s', current_database(), %s); END $$";
	static const char here[] =
	    "(SELECT count(*) FROM pg_stat_activity WHERE datname ="
	    " current_database() AND backend_type = 'client backend')";
	struct err refused = ERR_INIT;
	char text[1024];
	struct db *db;

	(void)state;
	fill(MANY, 200);
	live_sql(limit, here);
	snprintf(
	    text, sizeof text, "%s user=niks3_gc", getenv("NIKS3_TEST_DB"));
	assert_int_not_equal(
	    db_open(text, "live", live_soon(), &db, &refused), 0);
	compare_report(5, 5);
	live_sql(limit, "-1");
}

#define LOADS 10

/* Whichever of the two meets it. */
static void
test_too_many_references(void **state)
{
	struct graph_roots roots = { 0 };
	struct graph *g;

	(void)state;
	live_sql("INSERT INTO objects (id, key, kind)"
	         " SELECT i, 'k' || i, 1 FROM generate_series(1, %d) i;"
	         "INSERT INTO objects (id, key, kind, refs) SELECT %d, 'huge',"
	         " 1, array_agg(i) FROM generate_series(1, %zu) i",
	    MANY, MANY + 1, BLOCK_EDGES);
	for (int i = 0; i < LOADS; i++) {
		struct err e = ERR_INIT;

		db_deadline(live_gc, live_soon());
		assert_int_not_equal(graph_load(live_gc, &roots, &g, &e), 0);
		assert_int_equal(e.kind, ERR_TOO_LARGE);
	}
}

#define T(f) cmocka_unit_test_setup(f, live_empty)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_small),
		T(test_tables),
		T(test_many),
		T(test_alone),
		T(test_too_many_references),
	};

	return live_skip() ? 0 : cmocka_run_group_tests(tests, begin, live_end);
}
