/*
 * Reads the graph by binary COPY, in one snapshot: first all ids, so that what
 * follows has positions; then states, references and roots; then the sizes of
 * what is garbage.
 *
 * The large tables are read in parts by two connections side by side, the second
 * in the first one's snapshot and in a thread of its own: PostgreSQL runs a
 * connection on one core, and writing out the rows costs it more than reading
 * them costs us.
 */
#include "graph_internal.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "../core/map.h"
#include "db_internal.h"

#define PAUSE_MS    100
#define SEEN_MEMORY ((size_t)1 << 30) /* of ids that appeared meanwhile */
#define READERS     2
#define PARTS       64  /* of a table, for whichever reader comes first */
#define ALONE_PAGES 256 /* so small a table is not worth a second connection */
#define SIZES_BATCH 10000
/* Reading all sizes takes as long as looking up one of so many. */
#define SIZES_SCAN 8

typedef int row_fn(void *ctx, const uint8_t *p, size_t len, struct err *e);

/* A connection, and what it has read. */
struct reader {
	struct db *db;
	struct load *load;
	struct ids ids;
	uint32_t *block; /* the one that is being filled */
	uint32_t base;   /* where its runs begin, as struct graph has them */
	uint32_t used;   /* of it */
	struct err error;
};

/* One pass over a table. */
struct pass {
	const char *sql; /* a SELECT that a condition can follow */
	row_fn *row;     /* its ctx is the reader */
	unsigned parts;
	uint64_t pages; /* in each */
	atomic_uint next;
	atomic_int failed;
};

struct load {
	struct graph *g;
	struct reader readers[READERS];
	struct pass pass;
	char snapshot[DB_SNAPSHOT_MAX];
	uint64_t objects_pages, contents_pages;
	const uint32_t *listed; /* where an object is in the list of garbage */
};

/* ---- passes ---- */

/* Part after part. A pass that failed stays so: a part of it may be lost, also
 * when this is tried again. */
static int
read_parts(struct db *db, void *ctx, struct err *e)
{
	struct reader *r = ctx;
	struct pass *pass = &r->load->pass;
	unsigned part;
	char sql[256], upto[64];

	while (!pass->failed && (part = pass->next++) < pass->parts) {
		uint64_t from = part * pass->pages;

		/* Whatever the snapshot sees lies in a part, also where the
		 * table has grown. */
		snprintf(upto, sizeof upto, " AND ctid < '(%" PRIu64 ",0)'",
		    from + pass->pages);
		snprintf(sql, sizeof sql,
		    "COPY (%s WHERE ctid >= '(%" PRIu64 ",0)'%s)"
		    " TO STDOUT (FORMAT binary)",
		    pass->sql, from, part < pass->parts - 1 ? upto : "");
		if (db_copy_out(db, sql, pass->row, r, e) != 0) {
			pass->failed = 1;
			return -1;
		}
	}
	return 0;
}

/* One that cannot take part leaves all parts to the other. */
static void *
read_beside(void *ctx)
{
	struct reader *r = ctx;

	(void)db_transaction_in(
	    r->db, r->load->snapshot, read_parts, r, &r->error);
	return NULL;
}

static int
read_pass(
    struct load *l, const char *sql, uint64_t pages, row_fn *row, struct err *e)
{
	struct reader *first = &l->readers[0], *second = &l->readers[1];
	pthread_t thread;
	int beside, rc;

	l->pass = (struct pass){ .sql = sql, .row = row };
	l->pass.parts = pages < ALONE_PAGES ? 1 : PARTS;
	l->pass.pages = pages / l->pass.parts + 1;
	beside = l->pass.parts > 1 &&
	    pthread_create(&thread, NULL, read_beside, second) == 0;
	rc = read_parts(first->db, first, e);
	if (beside)
		pthread_join(thread, NULL);
	if (rc == 0 && l->pass.failed) {
		*e = second->error;
		rc = -1;
	}
	return rc;
}

/* ---- ids ---- */

static int
row_id(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct reader *r = ctx;

	(void)len;
	if (r->ids.n == NOBODY / READERS)
		return err_set(e, ERR_TOO_LARGE, "more than %u objects",
		    NOBODY / READERS * READERS);
	ids_add(&r->ids, get_i64(p + 6));
	return 0;
}

/* They come as they lie in the table, nearly ordered. */
static void
join_ids(struct graph *g, struct reader readers[READERS])
{
	int ordered = 1;

	for (int i = 0; i < READERS; i++)
		g->n += readers[i].ids.n;
	g->ids = xcalloc(g->n, sizeof *g->ids);
	for (int64_t *to = g->ids, i = 0; i < READERS; i++) {
		struct ids *from = &readers[i].ids;

		if (from->n > 0)
			memcpy(to, from->items, from->n * sizeof *to);
		to += from->n;
		free(from->items);
		*from = (struct ids){ 0 };
	}
	for (size_t i = 1; i < g->n && ordered; i++)
		ordered = g->ids[i - 1] < g->ids[i];
	if (!ordered)
		qsort(g->ids, g->n, sizeof *g->ids, i64_order);
}

/* ---- references ---- */

static int
new_block(struct graph *g, struct reader *r, struct err *e)
{
	unsigned b = g->nblocks++;

	if (b >= BLOCKS_MAX) {
		g->nblocks = BLOCKS_MAX;
		return err_set(
		    e, ERR_TOO_LARGE, "more than %u references", UINT32_MAX);
	}
	r->block = xrealloc(NULL, BLOCK_EDGES * sizeof *r->block);
	r->used = 0;
	g->blocks[b] = r->block;
	r->base = b << BLOCK_BITS;
	return 0;
}

/* Its id, its rank, and its references as an array of int8: a head of 20 bytes,
 * then 12 each. */
static int
row_refs(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct reader *r = ctx;
	struct graph *g = r->load->g;
	const uint8_t *array = p + 26;
	size_t n = len > 26 + 20 ? get_u32(array + 12) : 0;
	uint32_t at = graph_position(g, get_i64(p + 6));
	uint32_t *run;

	if (at == NOBODY)
		return err_set(e, ERR_INTERNAL, "an object appeared");
	g->flags[at] |= get_u32(p + 18) << RANK_SHIFT;
	if (n == 0)
		return 0;
	if (n >= BLOCK_EDGES)
		return err_set(
		    e, ERR_TOO_LARGE, "an object with %zu references", n);
	if ((r->block == NULL || BLOCK_EDGES - r->used <= n) &&
	    new_block(g, r, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		graph_expect(g, get_i64(array + 20 + i * 12 + 4));
	g->run[at] = r->base + r->used;
	run = r->block + r->used;
	*run++ = n;
	for (size_t i = 0; i < n; i++)
		*run++ = graph_position(g, get_i64(array + 20 + i * 12 + 4));
	r->used += n + 1;
	return 0;
}

/* ---- states and roots ---- */

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

static int
read_states(struct db *db, struct graph *g, struct err *e)
{
	return db_copy_out(db,
	           "COPY (SELECT object_id FROM pending)"
	           " TO STDOUT (FORMAT binary)",
	           row_pending, g, e) != 0
	    ? -1
	    : db_copy_out(db,
	          "COPY (SELECT object_id, claim IS NOT NULL FROM tombstones)"
	          " TO STDOUT (FORMAT binary)",
	          row_tombstone, g, e);
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
		graph_root(g, id);
	else
		ids_add(&g->expiring, id);
	return 0;
}

static int
row_need(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	(void)len;
	(void)e;
	graph_root(ctx, get_i64(p + 6));
	return 0;
}

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

/* ---- sizes ---- */

/* No two rows are of one object. */
static void
put_size(struct load *l, int64_t id, int64_t size)
{
	uint32_t at = graph_position(l->g, id);

	if (at != NOBODY && GARBAGE(l->g, at))
		l->g->sizes[l->listed[at]] = size;
}

static int
row_size(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	(void)len;
	(void)e;
	put_size(((struct reader *)ctx)->load, get_i64(p + 6), get_i64(p + 18));
	return 0;
}

/* In the order of ids, not of the list. */
static int
look_up_sizes(struct db *db, struct load *l, struct err *e)
{
	static const char sql[] = "SELECT object_id, size FROM contents"
	                          " WHERE object_id = ANY ($1)";
	const struct ids *garbage = &l->g->garbage;

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
			put_size(l, row_i64(r, k, 0), row_i64(r, k, 1));
		PQclear(r);
	}
	return 0;
}

/*
 * They hold as long as an object stays garbage: whoever stores it anew needs it,
 * and then it is reached.
 */
static int
read_sizes(struct db *db, struct load *l, struct err *e)
{
	struct graph *g = l->g;

	g->sizes = xcalloc(g->garbage.n, sizeof *g->sizes);
	if (g->roots->without_sizes)
		return 0;
	if (g->garbage.n < g->n / SIZES_SCAN)
		return look_up_sizes(db, l, e);
	return read_pass(l, "SELECT object_id, size FROM contents",
	    l->contents_pages, row_size, e);
}

/* ---- loading ---- */

static int
count_pages(struct db *db, struct load *l, struct err *e)
{
	static const char sql[] =
	    "SELECT pg_relation_size('objects') / page,"
	    " pg_relation_size('contents') / page"
	    " FROM (SELECT current_setting('block_size')::bigint) s (page)";
	PGresult *r;

	if (db_exec(db, sql, P_NONE, &r, e) != 0)
		return -1;
	l->objects_pages = row_i64(r, 0, 0);
	l->contents_pages = row_i64(r, 0, 1);
	PQclear(r);
	return 0;
}

static int
read_all(struct db *db, struct load *l, struct err *e)
{
	struct graph *g = l->g;
	uint32_t *listed;
	int rc;

	if (db_snapshot(db, l->snapshot, e) != 0 ||
	    count_pages(db, l, e) != 0 ||
	    read_pass(
	        l, "SELECT id FROM objects", l->objects_pages, row_id, e) != 0)
		return -1;
	join_ids(g, l->readers);
	graph_make_buckets(g);
	g->flags = xcalloc(g->n, sizeof *g->flags);
	g->run = xcalloc(g->n, sizeof *g->run);
	g->blocks = xcalloc(BLOCKS_MAX, sizeof(uint32_t *));
	if (new_block(g, &l->readers[0], e) != 0)
		return -1;
	l->readers[0].block[l->readers[0].used++] = 0;
	if (read_states(db, g, e) != 0 ||
	    read_pass(l, "SELECT id, " DB_RANK("kind") ", refs FROM objects",
	        l->objects_pages, row_refs, e) != 0 ||
	    read_roots(db, g, e) != 0)
		return -1;
	graph_follow(g);
	l->listed = listed = graph_list_garbage(g);
	rc = read_sizes(db, l, e);
	free(listed);
	return rc;
}

static int
read_snapshot(struct db *db, void *ctx, struct err *e)
{
	struct load l = { .g = ctx };
	int rc;

	graph_clear(l.g);
	for (int i = 0; i < READERS; i++)
		l.readers[i].load = &l;
	l.readers[0].db = db;
	l.readers[1].db = db_beside(db);
	rc = read_all(db, &l, e);
	for (int i = 0; i < READERS; i++)
		free(l.readers[i].ids.items);
	db_close(l.readers[1].db);
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
	graph_list_revivable(g);
	g->seen_memory = arena_new(SEEN_MEMORY);
	g->seen = map_new(0);
	g->catching_up = 1;
	*out = g;
	return 0;
fail:
	graph_free(g);
	return err_prefix(e, "read the objects");
}
