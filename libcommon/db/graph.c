#include "graph_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "../core/map.h"
#include "db_internal.h"

#define PAUSE_MS    100
#define PER_BUCKET  8
#define SEEN_MEMORY ((size_t)1 << 30) /* of ids that appeared meanwhile */
#define SIZES_BATCH 10000
/* Reading all sizes takes as long as looking up one of so many. */
#define SIZES_SCAN 8

void
ids_add(struct ids *v, int64_t id)
{
	if (v->n == v->cap) {
		v->cap = v->cap * 2 + 1024;
		v->items = xrealloc(v->items, v->cap * sizeof *v->items);
	}
	v->items[v->n++] = id;
}

void
stack_push(struct stack *s, uint32_t at)
{
	if (s->n == s->cap) {
		s->cap = s->cap * 2 + 1024;
		s->items = xrealloc(s->items, s->cap * sizeof *s->items);
	}
	s->items[s->n++] = at;
}

static void
clear(struct graph *g)
{
	free(g->ids);
	free(g->first);
	free(g->end);
	free(g->edges);
	free(g->flags);
	free(g->bucket);
	free(g->stack.items);
	free(g->garbage.items);
	free(g->revivable.items);
	free(g->expiring.items);
	free(g->sizes);
	free(g->to_read.items);
	map_free(g->seen);
	arena_free(g->seen_memory);
	*g = (struct graph){ .seq = g->seq, .roots = g->roots };
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

uint32_t
graph_position(const struct graph *g, int64_t id)
{
	uint32_t lo, hi;
	uint64_t b;

	if (g->n == 0 || id < g->ids[0] || id > g->ids[g->n - 1])
		return NOBODY;
	b = (uint64_t)(id - g->ids[0]) >> g->shift;
	lo = g->bucket[b];
	hi = g->bucket[b + 1];
	/* Ids are distinct: none lies farther than its distance tells, and where
	 * all are there it lies just there. */
	if (lo < hi && id >= g->ids[lo] && id - g->ids[lo] < hi - lo) {
		hi = lo + (id - g->ids[lo]);
		if (g->ids[hi] == id)
			return hi;
	}
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

/* Its id, its rank, and its references as an array of int8: a head of 20 bytes,
 * then 12 each. */
static int
row_refs(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct graph *g = ctx;
	const uint8_t *array = p + 26;
	size_t n = len > 26 + 20 ? get_u32(array + 12) : 0;
	uint32_t at = graph_position(g, get_i64(p + 6));

	if (at == NOBODY)
		return err_set(e, ERR_INTERNAL, "an object appeared");
	if (g->edges_cap - g->nedges < n) {
		g->edges_cap = g->edges_cap * 2 + n + 1024;
		g->edges = xrealloc(g->edges, g->edges_cap * sizeof *g->edges);
	}
	if (n > UINT32_MAX - g->nedges)
		return err_set(
		    e, ERR_TOO_LARGE, "more than %u references", UINT32_MAX);
	g->flags[at] |= get_u32(p + 18) << RANK_SHIFT;
	g->first[at] = g->nedges;
	for (size_t i = 0; i < n; i++)
		g->edges[g->nedges++] =
		    graph_position(g, get_i64(array + 20 + i * 12 + 4));
	g->end[at] = g->nedges;
	return 0;
}

static void
flag(struct graph *g, int64_t id, enum flag f)
{
	uint32_t at = graph_position(g, id);

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

void
graph_reach(struct graph *g, uint32_t at)
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
	if (FOLLOWED(g, at))
		stack_push(&g->stack, at);
}

void
graph_follow(struct graph *g)
{
	while (g->stack.n > 0) {
		uint32_t at = g->stack.items[--g->stack.n];

		for (uint32_t i = g->first[at]; i < g->end[at]; i++)
			if (g->edges[i] != NOBODY)
				graph_reach(g, g->edges[i]);
			else if (!(g->flags[at] & STALE))
				g->dangling++;
	}
}

static void
root(struct graph *g, int64_t id)
{
	uint32_t at = graph_position(g, id);

	if (at != NOBODY)
		graph_reach(g, at);
	else
		g->dangling++;
}

/* A closure, and whether it still is a root. */
static int
row_closure(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct graph *g = ctx;
	int64_t id = get_i64(p + 6);

	(void)len;
	(void)e;
	if (p[18])
		root(g, id);
	else
		ids_add(&g->expiring, id);
	return 0;
}

static int
row_need(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	(void)len;
	(void)e;
	root(ctx, get_i64(p + 6));
	return 0;
}

/* Appends an object that nothing refers to any more, then what it was the last to
 * refer to, but for what the walk downwards has yet to meet. */
static void
list(struct graph *g, uint32_t *referrers, uint32_t cursor)
{
	stack_push(&g->stack, cursor);
	while (g->stack.n > 0) {
		uint32_t at = g->stack.items[--g->stack.n];

		g->garbage.items[g->garbage.n++] = at;
		for (uint32_t k = g->first[at]; k < g->end[at]; k++) {
			uint32_t to = g->edges[k];

			if (to != NOBODY && --referrers[to] == 0 &&
			    to > cursor && GARBAGE(g, to))
				stack_push(&g->stack, to);
		}
	}
}

/*
 * Rule R8: unreachable live objects, each before what it refers to. However many
 * of the batches are done, no live object refers to a tombstone. (What refers to
 * one of them is garbage itself.)
 *
 * Kahn's algorithm, from the newest to the oldest: most refer to what is older, so
 * the list nearly descends, and a batch finds its rows side by side. While it
 * runs, the list holds positions. Returns where in it each object is that is
 * garbage; malloc'ed.
 */
static uint32_t *
collect_garbage(struct graph *g)
{
	uint32_t *referrers = xcalloc(g->n, sizeof *referrers);
	struct ids *out = &g->garbage;
	size_t total = 0;

	for (size_t i = 0; i < g->n; i++) {
		if (!GARBAGE(g, i))
			continue;
		total++;
		for (uint32_t k = g->first[i]; k < g->end[i]; k++)
			if (g->edges[k] != NOBODY)
				referrers[g->edges[k]]++;
	}
	out->cap = total;
	out->items = xcalloc(total, sizeof *out->items);
	for (size_t i = g->n; i-- > 0;)
		if (GARBAGE(g, i) && referrers[i] == 0)
			list(g, referrers, i);
	/* Circles, which no store has. */
	for (size_t i = 0; out->n < total; i++)
		if (GARBAGE(g, i) && referrers[i] > 0)
			out->items[out->n++] = i;
	for (size_t i = 0; i < out->n; i++) {
		size_t at = out->items[i];

		referrers[at] = i;
		out->items[i] = g->ids[at];
	}
	return referrers;
}

static void
collect_revivable(struct graph *g)
{
	for (size_t i = 0; i < g->n; i++)
		if ((g->flags[i] & (REACHED | STALE)) == (REACHED | TOMBSTONE))
			ids_add(&g->revivable, g->ids[i]);
}

/* ---- sizes ---- */

struct sizes {
	struct graph *g;
	const uint32_t *listed; /* where an object is in the list of garbage */
};

static void
put_size(struct sizes *s, int64_t id, int64_t size)
{
	uint32_t at = graph_position(s->g, id);

	if (at != NOBODY && GARBAGE(s->g, at))
		s->g->sizes[s->listed[at]] = size;
}

static int
row_size(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	(void)len;
	(void)e;
	put_size(ctx, get_i64(p + 6), get_i64(p + 18));
	return 0;
}

/* In the order of ids, not of the list. */
static int
look_up_sizes(struct db *db, struct sizes *s, struct err *e)
{
	static const char sql[] = "SELECT object_id, size FROM contents"
	                          " WHERE object_id = ANY ($1)";
	const struct ids *garbage = &s->g->garbage;

	for (size_t i = 0; i < garbage->n; i += SIZES_BATCH) {
		size_t n =
		    garbage->n - i < SIZES_BATCH ? garbage->n - i : SIZES_BATCH;
		struct db_array ids;
		PGresult *r;
		int rc;

		array_init(&ids, DB_INT8S);
		array_i64s(&ids, garbage->items + i, n);
		rc = db_exec(db, sql, PARAMS(P_ARRAY(&ids)), &r, e);
		array_done(&ids);
		if (rc != 0)
			return -1;
		for (int k = 0; k < PQntuples(r); k++)
			put_size(s, row_i64(r, k, 0), row_i64(r, k, 1));
		PQclear(r);
	}
	return 0;
}

/*
 * They hold as long as an object stays garbage: whoever stores it anew needs it,
 * and then it is reached.
 */
static int
read_sizes(struct db *db, struct sizes *s, struct err *e)
{
	struct graph *g = s->g;

	g->sizes = xcalloc(g->garbage.n, sizeof *g->sizes);
	if (g->roots->without_sizes)
		return 0;
	if (g->garbage.n < g->n / SIZES_SCAN)
		return look_up_sizes(db, s, e);
	return db_copy_out(db,
	    "COPY (SELECT object_id, size FROM contents)"
	    " TO STDOUT (FORMAT binary)",
	    row_size, s, e);
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
	{ "COPY (SELECT id, " DB_RANK("kind") ", refs FROM objects)"
	                                      " TO STDOUT (FORMAT binary)",
	    row_refs },
};

#define AT(us) "'epoch'::timestamptz + " us " * interval '1 microsecond'"

/* COPY takes no parameters. */
static int
read_roots(struct db *db, struct graph *g, struct err *e)
{
	const struct graph_roots *r = g->roots;
	char sql[512];

	snprintf(sql, sizeof sql,
	    "COPY (SELECT object_id, updated_at > " AT(
	        "%lld") " OR EXISTS (SELECT FROM pins p WHERE p.object_id = "
	                "c.object_id)"
	                " FROM closures c) TO STDOUT (FORMAT binary)",
	    (long long)r->closures_until_us);
	if (db_copy_out(db, sql, row_closure, g, e) != 0)
		return -1;
	snprintf(sql, sizeof sql,
	    "COPY (SELECT n.object_id FROM uploads u"
	    " JOIN upload_needs n ON n.upload_id = u.id"
	    " WHERE u.state = 'open' AND u.lease_until > " AT(
	        "%lld") ") TO STDOUT (FORMAT binary)",
	    (long long)r->leases_until_us);
	return db_copy_out(db, sql, row_need, g, e);
}

static int
read_snapshot(struct db *db, void *ctx, struct err *e)
{
	struct graph *g = ctx;
	uint32_t *listed;
	int rc;

	clear(g);
	if (db_send(db, plan_sql, P_NONE, e) != 0 ||
	    db_copy_out(db,
	        "COPY (SELECT id FROM objects ORDER BY id)"
	        " TO STDOUT (FORMAT binary)",
	        row_id, g, e) != 0)
		return -1;
	make_buckets(g);
	g->flags = xcalloc(g->n, 1);
	g->first = xcalloc(g->n, sizeof *g->first);
	g->end = xcalloc(g->n, sizeof *g->end);
	for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++)
		if (db_copy_out(db, copies[i].sql, copies[i].row, g, e) != 0)
			return -1;
	if (read_roots(db, g, e) != 0)
		return -1;
	graph_follow(g);
	listed = collect_garbage(g);
	rc = read_sizes(db, &(struct sizes){ g, listed }, e);
	free(listed);
	return rc;
}

int
graph_draw_seq(struct db *db, int64_t *seq, struct err *e)
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
	    : graph_draw_seq(db, ctx, e);
}

int
graph_load(struct db *db, const struct graph_roots *roots, struct graph **out,
    struct err *e)
{
	struct graph *g = xcalloc(1, sizeof *g);
	struct err busy;

	g->roots = roots;
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
	g->roots = NULL;
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
	return g->cap * sizeof *g->ids + 2 * g->n * sizeof *g->first +
	    g->edges_cap * sizeof *g->edges + g->n +
	    g->nbuckets * sizeof *g->bucket +
	    g->stack.cap * sizeof *g->stack.items +
	    (2 * g->garbage.cap + g->revivable.cap + g->expiring.cap) *
	    sizeof(int64_t);
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

size_t
graph_expiring(const struct graph *g, const int64_t **ids)
{
	*ids = g->expiring.items;
	return g->expiring.n;
}
