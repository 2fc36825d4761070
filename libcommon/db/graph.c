#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "../core/map.h"
#include "db_internal.h"

#define PAUSE_MS    100
#define NOBODY      UINT32_MAX /* a reference to an object that is not there */
#define PER_BUCKET  8
#define SEEN_MEMORY ((size_t)1 << 30) /* of ids that appeared meanwhile */

/* What is known of an object; live when there is none but REACHED. */
enum flag {
	REACHED = 1,
	PENDING = 2,
	TOMBSTONE = 4,
	CLAIMED = 8,
	STALE = PENDING | TOMBSTONE | CLAIMED, /* its references may change */
	READ_ANEW = 16, /* they were read again after the snapshot */
	RANK = 32 | 64, /* DB_RANK, shifted */
};
#define RANK_SHIFT 5

struct stack {
	uint32_t *items;
	size_t n, cap;
};

struct ids {
	int64_t *items;
	size_t n, cap;
};

/*
 * Objects are positions in ids, ascending. The references of object i are
 * edges[first[i]] to edges[first[i + 1]]. bucket finds a position: entry b is
 * the first position whose id is at least ids[0] + (b << shift).
 */
struct graph {
	int64_t *ids;
	size_t n, cap;
	uint32_t *first;
	uint32_t *edges;
	size_t nedges, edges_cap;
	uint8_t *flags;
	uint32_t *bucket;
	size_t nbuckets;
	unsigned shift;
	struct stack stack; /* reached, references not followed yet */
	uint64_t dangling;
	struct ids garbage, revivable;

	int64_t seq; /* roots up to here are marked */
	struct arena *seen_memory;
	struct map *seen;   /* ids of newer objects that were followed */
	struct ids to_read; /* reached; their references are in the database */
	int catching_up;
	size_t row; /* while the references are read */
};

static void
ids_add(struct ids *v, int64_t id)
{
	if (v->n == v->cap) {
		v->cap = v->cap * 2 + 1024;
		v->items = xrealloc(v->items, v->cap * sizeof *v->items);
	}
	v->items[v->n++] = id;
}

static int
id_order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
clear(struct graph *g)
{
	free(g->ids);
	free(g->first);
	free(g->edges);
	free(g->flags);
	free(g->bucket);
	free(g->stack.items);
	free(g->garbage.items);
	free(g->revivable.items);
	free(g->to_read.items);
	map_free(g->seen);
	arena_free(g->seen_memory);
	*g = (struct graph){ .seq = g->seq };
}

void
graph_free(struct graph *g)
{
	if (g == NULL)
		return;
	clear(g);
	free(g);
}

/* ---- positions ---- */

static void
make_buckets(struct graph *g)
{
	uint64_t range = g->n > 0 ? g->ids[g->n - 1] - g->ids[0] : 0;
	size_t b = 0;

	while (range >> g->shift > g->n / PER_BUCKET)
		g->shift++;
	g->nbuckets = (range >> g->shift) + 1;
	g->bucket = xcalloc(g->nbuckets + 1, sizeof *g->bucket);
	for (size_t i = 0; i < g->n; i++)
		while (b <= (uint64_t)(g->ids[i] - g->ids[0]) >> g->shift)
			g->bucket[b++] = i;
	while (b <= g->nbuckets)
		g->bucket[b++] = g->n;
}

/* Or NOBODY. */
static uint32_t
position(const struct graph *g, int64_t id)
{
	uint32_t lo, hi;
	uint64_t b;

	if (g->n == 0 || id < g->ids[0] || id > g->ids[g->n - 1])
		return NOBODY;
	b = (uint64_t)(id - g->ids[0]) >> g->shift;
	lo = g->bucket[b];
	hi = g->bucket[b + 1];
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (g->ids[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < g->n && g->ids[lo] == id ? lo : NOBODY;
}

/* ---- reading: rows of COPY, fields of a length and that many bytes ---- */

static int
row_id(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct graph *g = ctx;

	(void)len;
	if (g->n == g->cap) {
		g->cap = g->cap * 2 + 1024;
		g->ids = xrealloc(g->ids, g->cap * sizeof *g->ids);
	}
	if (g->n == NOBODY)
		return err_set(
		    e, ERR_TOO_LARGE, "more than %u objects", NOBODY);
	g->ids[g->n++] = get_i64(p + 6);
	return 0;
}

/* Its rank, and its references as an array of int8: a head of 20 bytes, then 12
 * each. */
static int
row_refs(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct graph *g = ctx;
	const uint8_t *array = p + 14;
	size_t n = len > 14 + 20 ? get_u32(array + 12) : 0;

	if (g->edges_cap - g->nedges < n) {
		g->edges_cap = g->edges_cap * 2 + n + 1024;
		g->edges = xrealloc(g->edges, g->edges_cap * sizeof *g->edges);
	}
	if (n > UINT32_MAX - g->nedges)
		return err_set(
		    e, ERR_TOO_LARGE, "more than %u references", UINT32_MAX);
	g->flags[g->row] |= get_u32(p + 6) << RANK_SHIFT;
	g->first[g->row++] = g->nedges;
	for (size_t i = 0; i < n; i++)
		g->edges[g->nedges++] =
		    position(g, get_i64(array + 20 + i * 12 + 4));
	return 0;
}

static void
flag(struct graph *g, int64_t id, enum flag f)
{
	uint32_t at = position(g, id);

	if (at != NOBODY)
		g->flags[at] |= f;
}

static int
row_pending(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	(void)len;
	(void)e;
	flag(ctx, get_i64(p + 6), PENDING);
	return 0;
}

static int
row_tombstone(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	(void)len;
	(void)e;
	flag(ctx, get_i64(p + 6), p[18] ? CLAIMED : TOMBSTONE);
	return 0;
}

/* ---- marking ---- */

/*
 * Reaches an object. While catching up, one that was not live in the snapshot
 * may have become so since, with other references: those are read again.
 */
static void
reach(struct graph *g, uint32_t at)
{
	uint8_t *f = &g->flags[at];

	if (g->catching_up && (*f & STALE)) {
		if (!(*f & READ_ANEW))
			ids_add(&g->to_read, g->ids[at]);
		*f |= REACHED;
		return;
	}
	if (*f & REACHED)
		return;
	*f |= REACHED;
	/* What a pending object will refer to are roots, too: its upload needs
	 * them. What is being deleted refers to nothing. */
	if (*f & (PENDING | CLAIMED))
		return;
	if (g->stack.n == g->stack.cap) {
		g->stack.cap = g->stack.cap * 2 + 1024;
		g->stack.items = xrealloc(
		    g->stack.items, g->stack.cap * sizeof *g->stack.items);
	}
	g->stack.items[g->stack.n++] = at;
}

static void
follow(struct graph *g)
{
	while (g->stack.n > 0) {
		uint32_t at = g->stack.items[--g->stack.n];

		for (uint32_t i = g->first[at]; i < g->first[at + 1]; i++)
			if (g->edges[i] != NOBODY)
				reach(g, g->edges[i]);
			else if (!(g->flags[at] & STALE))
				g->dangling++;
	}
}

static int
row_root(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct graph *g = ctx;
	uint32_t at = position(g, get_i64(p + 6));

	(void)len;
	(void)e;
	if (at != NOBODY)
		reach(g, at);
	else
		g->dangling++;
	return 0;
}

#define GARBAGE(g, i) (!((g)->flags[i] & (REACHED | STALE)))

/* Appends what at was the last to refer to. */
static void
release(struct graph *g, uint32_t *referrers, size_t at)
{
	for (uint32_t k = g->first[at]; k < g->first[at + 1]; k++) {
		uint32_t to = g->edges[k];

		if (to != NOBODY && --referrers[to] == 0 && GARBAGE(g, to))
			g->garbage.items[g->garbage.n++] = to;
	}
}

/*
 * Unreachable live objects, each before what it refers to: however many of the
 * batches are done, no live object refers to a tombstone. (What refers to one of
 * them is garbage itself.) Kahn's algorithm, level by level, each in order of
 * id, which the database reads faster. While it runs, the list holds positions.
 */
static void
collect_garbage(struct graph *g)
{
	uint32_t *referrers = xcalloc(g->n, sizeof *referrers);
	struct ids *out = &g->garbage;
	size_t total = 0, begin = 0, end;

	for (size_t i = 0; i < g->n; i++) {
		if (!GARBAGE(g, i))
			continue;
		total++;
		for (uint32_t k = g->first[i]; k < g->first[i + 1]; k++)
			if (g->edges[k] != NOBODY)
				referrers[g->edges[k]]++;
	}
	out->cap = total;
	out->items = xcalloc(total, sizeof *out->items);
	for (size_t i = 0; i < g->n; i++)
		if (GARBAGE(g, i) && referrers[i] == 0)
			out->items[out->n++] = i;
	for (; begin < out->n; begin = end) {
		end = out->n;
		qsort(out->items + begin, end - begin, sizeof *out->items,
		    id_order);
		for (size_t i = begin; i < end; i++) {
			release(g, referrers, out->items[i]);
			referrers[out->items[i]] = NOBODY; /* listed */
		}
	}
	/* Circles, which no store has. */
	for (size_t i = 0; out->n < total && i < g->n; i++)
		if (GARBAGE(g, i) && referrers[i] != NOBODY)
			out->items[out->n++] = i;
	for (size_t i = 0; i < out->n; i++)
		out->items[i] = g->ids[out->items[i]];
	free(referrers);
}

static void
collect_revivable(struct graph *g)
{
	for (size_t i = 0; i < g->n; i++)
		if ((g->flags[i] & (REACHED | STALE)) == (REACHED | TOMBSTONE))
			ids_add(&g->revivable, g->ids[i]);
}

/* ---- loading ---- */

/* Whole tables; without sorting, for the order of ids is the index's. */
static const char plan_sql[] = "SELECT set_config('enable_sort', 'off', true),"
                               " set_config('enable_seqscan', 'on', true)";

static const struct copy {
	const char *sql;
	int (*row)(void *ctx, const uint8_t *p, size_t len, struct err *e);
} copies[] = {
	{ "COPY (SELECT object_id FROM pending) TO STDOUT (FORMAT binary)",
	    row_pending },
	{ "COPY (SELECT object_id, claim IS NOT NULL FROM tombstones)"
	  " TO STDOUT (FORMAT binary)",
	    row_tombstone },
	{ "COPY (SELECT " DB_RANK("kind") ", refs FROM objects ORDER BY id)"
	                                  " TO STDOUT (FORMAT binary)",
	    row_refs },
};

/* Pins are on closures. */
static const struct copy roots = {
	"COPY (SELECT object_id FROM closures"
	" UNION ALL SELECT unnest(extra) FROM closures"
	" UNION ALL SELECT n.object_id FROM uploads u"
	" JOIN upload_needs n ON n.upload_id = u.id WHERE u.state = 'open')"
	" TO STDOUT (FORMAT binary)",
	row_root,
};

static int
read_snapshot(struct db *db, void *ctx, struct err *e)
{
	struct graph *g = ctx;

	clear(g);
	if (db_send(db, plan_sql, P_NONE, e) != 0 ||
	    db_copy_out(db,
	        "COPY (SELECT id FROM objects ORDER BY id)"
	        " TO STDOUT (FORMAT binary)",
	        row_id, g, e) != 0)
		return -1;
	make_buckets(g);
	g->flags = xcalloc(g->n, 1);
	g->first = xcalloc(g->n + 1, sizeof *g->first);
	for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++)
		if (db_copy_out(db, copies[i].sql, copies[i].row, g, e) != 0)
			return -1;
	g->first[g->n] = g->nedges;
	return db_copy_out(db, roots.sql, roots.row, g, e);
}

/*
 * The number of the newest root. Under the exclusive lock no transaction is open
 * that has drawn a number and will only be seen later.
 */
static int
draw_seq(struct db *db, int64_t *seq, struct err *e)
{
	PGresult *r;

	if (db_exec(db, "SELECT nextval('root_seq')", P_NONE, &r, e) != 0)
		return -1;
	*seq = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

static int
first_seq(struct db *db, void *ctx, struct err *e)
{
	return db_roots_exclusive(db, DB_ROOTS_MS, e) != 0
	    ? -1
	    : draw_seq(db, ctx, e);
}

int
graph_load(struct db *db, struct graph **out, struct err *e)
{
	struct graph *g = xcalloc(1, sizeof *g);

	struct err busy;

	while (db_transaction(
	           db, DB_READ_COMMITTED, first_seq, &g->seq, &busy) != 0) {
		if (busy.kind != ERR_CONFLICT ||
		    deadline_left(db_until(db)) == 0) {
			*e = busy;
			goto fail;
		}
		clock_sleep(PAUSE_MS, db_until(db));
	}
	if (db_transaction(db, DB_REPEATABLE_READ, read_snapshot, g, e) != 0)
		goto fail;
	follow(g);
	collect_garbage(g);
	collect_revivable(g);
	g->seen_memory = arena_new(SEEN_MEMORY);
	g->seen = map_new(0);
	g->catching_up = 1;
	*out = g;
	return 0;
fail:
	graph_free(g);
	return err_prefix(e, "read the objects");
}

/* ---- what was read ---- */

uint64_t
graph_objects(const struct graph *g)
{
	return g->n;
}

uint64_t
graph_live(const struct graph *g)
{
	uint64_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		n += (g->flags[i] & STALE) == 0;
	return n;
}

uint64_t
graph_dangling(const struct graph *g)
{
	return g->dangling;
}

size_t
graph_memory(const struct graph *g)
{
	return g->cap * sizeof *g->ids + (g->n + 1) * sizeof *g->first +
	    g->edges_cap * sizeof *g->edges + g->n +
	    g->nbuckets * sizeof *g->bucket +
	    g->stack.cap * sizeof *g->stack.items +
	    (g->garbage.cap + g->revivable.cap) * sizeof(int64_t);
}

size_t
graph_garbage(const struct graph *g, const int64_t **ids)
{
	*ids = g->garbage.items;
	return g->garbage.n;
}

size_t
graph_revivable(const struct graph *g, const int64_t **ids)
{
	*ids = g->revivable.items;
	return g->revivable.n;
}

/* ---- catching up ---- */

/* Reaches an object by its id, which may be newer than the snapshot. */
static void
reach_id(struct graph *g, int64_t id)
{
	uint32_t at = position(g, id);

	if (at != NOBODY)
		reach(g, at);
	else if (map_get(g->seen, &id, sizeof id) == NULL)
		ids_add(&g->to_read, id);
}

/* The references of this one are known now: not to be read a second time. */
static int
remember(struct graph *g, int64_t id, struct err *e)
{
	uint32_t at = position(g, id);
	int64_t *copy;

	if (at != NOBODY) {
		g->flags[at] |= READ_ANEW;
		return 0;
	}
	if ((copy = arena_dup(g->seen_memory, &id, sizeof id)) == NULL)
		return arena_full(g->seen_memory, e);
	map_put(g->seen, copy, sizeof *copy, copy);
	return 0;
}

/*
 * Follows what was reached and is not in the graph as it is now, wave by wave.
 * Pending objects are passed over, and read again when they are reached as
 * something else.
 */
static int
read_waves(struct db *db, struct graph *g, struct err *e)
{
	static const char sql[] =
	    "SELECT o.id, r FROM objects o"
	    " LEFT JOIN LATERAL unnest(o.refs) r ON true"
	    " WHERE o.id = ANY ($1) AND NOT EXISTS"
	    " (SELECT FROM pending p WHERE p.object_id = o.id" PROBE
	    " ORDER BY o.id";
	int rc = 0;

	follow(g);
	while (rc == 0 && g->to_read.n > 0) {
		struct db_array ids;
		PGresult *r;

		array_init(&ids, DB_INT8S);
		for (size_t i = 0; i < g->to_read.n; i++)
			array_i64(&ids, g->to_read.items[i]);
		g->to_read.n = 0;
		rc = db_exec(db, sql, PARAMS(P_ARRAY(&ids)), &r, e);
		array_done(&ids);
		if (rc != 0)
			break;
		for (int i = 0; i < PQntuples(r) && rc == 0; i++)
			rc = remember(g, row_i64(r, i, 0), e);
		for (int i = 0; i < PQntuples(r) && rc == 0; i++)
			if (!row_null(r, i, 1))
				reach_id(g, row_i64(r, i, 1));
		PQclear(r);
		follow(g);
	}
	return rc;
}

/*
 * Marks from the roots that appeared, and from whatever became live, with a root
 * or not: no batch may tombstone what that refers to. Done twice, it costs
 * little.
 */
static int
catch_up(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "SELECT object_id FROM closures WHERE seq > $1"
	    " UNION ALL SELECT unnest(extra) FROM closures WHERE seq > $1"
	    " UNION ALL SELECT unnest(gained) FROM uploads WHERE seq > $1"
	    " UNION ALL SELECT n.object_id FROM uploads u"
	    " JOIN upload_needs n ON n.upload_id = u.id"
	    " WHERE u.state = 'open' AND u.seq > $1";
	struct graph *g = ctx;
	PGresult *r;

	g->to_read.n = 0;
	if (db_exec(db, sql, PARAMS(P_I64(g->seq)), &r, e) != 0)
		return -1;
	for (int i = 0; i < PQntuples(r); i++)
		reach_id(g, row_i64(r, i, 0));
	PQclear(r);
	return read_waves(db, g, e);
}

/* ---- batches ---- */

struct batch {
	struct graph *g;
	const int64_t *ids;
	size_t n;
	struct ids unreached;
	int64_t seq;
	uint64_t done;
};

/* Those that are still unreachable, in the order in which rows are locked. */
static void
pick(struct batch *b, struct db_array *ids, struct db_array *ranks)
{
	b->unreached.n = 0;
	for (size_t i = 0; i < b->n; i++) {
		uint32_t at = position(b->g, b->ids[i]);

		if (at != NOBODY && !(b->g->flags[at] & REACHED))
			ids_add(&b->unreached, b->ids[i]);
	}
	if (b->unreached.n > 0)
		qsort(b->unreached.items, b->unreached.n, sizeof(int64_t),
		    id_order);
	for (size_t i = 0; i < b->unreached.n; i++) {
		int64_t id = b->unreached.items[i];

		array_i64(ids, id);
		array_i64(ranks, b->g->flags[position(b->g, id)] >> RANK_SHIFT);
	}
}

/* What became of a batch is what it did to the statistics. */
static int64_t
objects_changed(const PGresult *r)
{
	return PQntuples(r) > 0 ? row_i64(r, 0, 0) : 0;
}

static int
tombstone(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "WITH t AS (INSERT INTO tombstones (object_id, first_at, rank)"
	    " SELECT u.id, now(), u.rank FROM unnest($1, $2) u (id, rank)"
	    " WHERE NOT EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = u.id" PROBE
	    " ON CONFLICT DO NOTHING RETURNING object_id)"
	    " INSERT INTO stat_deltas (objects, bytes)"
	    " SELECT -count(*), -coalesce(sum((SELECT size FROM contents c"
	    " WHERE c.object_id = t.object_id)), 0) FROM t"
	    " HAVING count(*) > 0 RETURNING objects";
	struct batch *b = ctx;
	struct db_array ids, ranks;
	PGresult *r = NULL;
	int rc = 0;

	array_init(&ids, DB_INT8S);
	array_init(&ranks, DB_INT8S);
	if (db_roots_exclusive(db, DB_ROOTS_MS, e) != 0 ||
	    draw_seq(db, &b->seq, e) != 0 || catch_up(db, b->g, e) != 0)
		rc = -1;
	if (rc == 0)
		pick(b, &ids, &ranks);
	b->done = 0;
	if (rc == 0 && ids.n > 0)
		rc = db_exec(
		    db, sql, PARAMS(P_ARRAY(&ids), P_ARRAY(&ranks)), &r, e);
	if (r != NULL)
		b->done = -objects_changed(r);
	PQclear(r);
	array_done(&ids);
	array_done(&ranks);
	return rc;
}

int
graph_tombstone(struct db *db, struct graph *g, const int64_t *ids, size_t n,
    uint64_t *done, struct err *e)
{
	struct batch b = { .g = g, .ids = ids, .n = n };
	int rc;

	/* Most is read before the lock is taken. */
	rc = db_transaction(db, DB_READ_COMMITTED, catch_up, g, e);
	if (rc == 0)
		rc = db_transaction(db, DB_READ_COMMITTED, tombstone, &b, e);
	if (rc == 0) {
		g->seq = b.seq;
		for (size_t i = 0; i < b.unreached.n; i++)
			flag(g, b.unreached.items[i], TOMBSTONE);
		*done = b.done;
	}
	free(b.unreached.items);
	return rc == 0 ? 0 : err_prefix(e, "tombstone");
}

static int
revive(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "WITH d AS (DELETE FROM tombstones t WHERE t.object_id = ANY ($1)"
	    " AND t.claim IS NULL AND NOT EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = t.object_id" PROBE " RETURNING t.object_id)"
	    " INSERT INTO stat_deltas (objects, bytes)"
	    " SELECT count(*), coalesce(sum((SELECT size FROM contents c"
	    " WHERE c.object_id = d.object_id)), 0) FROM d"
	    " HAVING count(*) > 0 RETURNING objects";
	struct batch *b = ctx;
	struct db_array ids;
	PGresult *r;
	int rc;

	array_init(&ids, DB_INT8S);
	for (size_t i = 0; i < b->n; i++)
		array_i64(&ids, b->ids[i]);
	rc = db_roots_exclusive(db, DB_ROOTS_MS, e);
	if (rc == 0)
		rc = db_exec(db, sql, PARAMS(P_ARRAY(&ids)), &r, e);
	if (rc == 0) {
		b->done = objects_changed(r);
		PQclear(r);
	}
	array_done(&ids);
	return rc;
}

int
graph_revive(struct db *db, struct graph *g, const int64_t *ids, size_t n,
    uint64_t *done, struct err *e)
{
	struct batch b = { .g = g, .ids = ids, .n = n };

	if (db_transaction(db, DB_READ_COMMITTED, revive, &b, e) != 0)
		return err_prefix(e, "revive");
	*done = b.done;
	return 0;
}
