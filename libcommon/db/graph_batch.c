/*
 * The batches of marking: each holds the roots lock exclusively and first marks
 * from the roots that appeared since the last (rule R5).
 */
#include "graph_internal.h"

#include <stdlib.h>

#include "../core/arena.h"
#include "../core/map.h"
#include "db_internal.h"
#include "gcruns.h"

/* ---- catching up ---- */

/* Reaches an object by its id, which may be newer than the snapshot. */
static void
reach_id(struct graph *g, int64_t id)
{
	uint32_t at = graph_position(g, id);

	if (at != NOBODY)
		graph_reach(g, at);
	else if (map_get(g->seen, &id, sizeof id) == NULL)
		ids_add(&g->to_read, id);
}

/* The references of this one are known now: not to be read a second time. */
static int
remember(struct graph *g, int64_t id, struct err *e)
{
	uint32_t at = graph_position(g, id);
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

	graph_follow(g);
	while (rc == 0 && g->to_read.n > 0) {
		struct ids wave = g->to_read;
		struct db_array ids;
		PGresult *r;

		array_init(&ids, DB_INT8S);
		array_i64s(&ids, wave.items, wave.n);
		rc = db_exec(db, sql, PARAMS(P_ARRAY(&ids)), &r, e);
		array_done(&ids);
		/* What is not read stays to be read, for another try. */
		if (rc != 0)
			break;
		g->to_read = (struct ids){ 0 };
		free(wave.items);
		for (int i = 0; i < PQntuples(r) && rc == 0; i++)
			rc = remember(g, row_i64(r, i, 0), e);
		for (int i = 0; i < PQntuples(r); i++)
			if (!row_null(r, i, 1))
				reach_id(g, row_i64(r, i, 1));
		PQclear(r);
		graph_follow(g);
	}
	return rc;
}

/*
 * Rule R5: marks from the roots that appeared, and from whatever became live,
 * with a root or not: no batch may tombstone what that refers to. Done twice, it costs
 * little.
 */
static int
catch_up(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "SELECT object_id FROM closures WHERE seq > $1"
	    " UNION ALL SELECT unnest(gained) FROM uploads WHERE seq > $1"
	    " UNION ALL SELECT n.object_id FROM uploads u"
	    " JOIN upload_needs n ON n.upload_id = u.id"
	    " WHERE u.state = 'open' AND u.seq > $1";
	struct graph *g = ctx;
	PGresult *r;

	if (db_exec(db, sql, PARAMS(P_I64(g->seq)), &r, e) != 0)
		return -1;
	g->appeared += PQntuples(r);
	for (int i = 0; i < PQntuples(r); i++)
		reach_id(g, row_i64(r, i, 0));
	PQclear(r);
	return read_waves(db, g, e);
}

uint64_t
graph_appeared(const struct graph *g)
{
	return g->appeared;
}

/* ---- batches ---- */

/* What is to become a tombstone. */
struct doomed {
	int64_t id;
	int64_t size;
	int rank;
};

struct batch {
	struct graph *g;
	const int64_t *ids;
	size_t from, n;
	struct doomed *doomed; /* by id, in which order rows are locked */
	size_t ndoomed;
	unsigned tries;
	int64_t until_us;
	int64_t run;
	int64_t seq;
	uint64_t done;
};

/* The closures that stay: pushed again, or pinned, since they were read. */
static int
expire(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "DELETE FROM closures WHERE object_id = ANY (ARRAY("
	    "SELECT object_id FROM closures c WHERE object_id = ANY ($1)"
	    " AND NOT EXISTS (SELECT FROM pins p"
	    " WHERE p.object_id = c.object_id" PROBE
	    " ORDER BY object_id FOR UPDATE)) AND updated_at <="
	    " 'epoch'::timestamptz + $2 * interval '1 microsecond'";
	static const char kept_sql[] =
	    "SELECT object_id FROM closures WHERE object_id = ANY ($1)";
	struct batch *b = ctx;
	struct db_array ids;
	PGresult *r = NULL;
	int rc = -1;

	array_init(&ids, DB_INT8S);
	array_i64s(&ids, b->ids, b->n);
	if (db_roots_exclusive(db, DB_ROOTS_MS, e) == 0 &&
	    db_exec(db, sql, PARAMS(P_ARRAY(&ids), P_I64(b->until_us)), &r,
	        e) == 0) {
		b->done = rows_affected(r);
		PQclear(r);
		rc = db_exec(db, kept_sql, PARAMS(P_ARRAY(&ids)), &r, e);
	}
	array_done(&ids);
	if (rc != 0)
		return -1;
	for (int i = 0; i < PQntuples(r); i++)
		reach_id(b->g, row_i64(r, i, 0));
	PQclear(r);
	if (read_waves(db, b->g, e) != 0)
		return -1;
	return gcruns_add(db, b->run,
	    &(struct gcrun_tally){ .old_closures_deleted = b->done }, e);
}

int
graph_expire(struct db *db, struct graph *g, const int64_t *ids, size_t n,
    int64_t until_us, int64_t run, uint64_t *done, struct err *e)
{
	struct batch b = {
		.g = g, .ids = ids, .n = n, .until_us = until_us, .run = run
	};

	if (db_transaction(db, DB_READ_COMMITTED, expire, &b, e) != 0)
		return err_prefix(e, "delete old closures");
	*done = b.done;
	return 0;
}

/* What became of a batch is what it did to the statistics. */
static int64_t
objects_changed(const PGresult *r)
{
	return PQntuples(r) > 0 ? row_i64(r, 0, 0) : 0;
}

static int
by_id(const void *a, const void *b)
{
	const struct doomed *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Those that are still unreachable. */
static void
pick(struct batch *b)
{
	const struct graph *g = b->g;

	b->ndoomed = 0;
	for (size_t i = b->from; i < b->from + b->n; i++) {
		int64_t id = g->garbage.items[i];
		uint32_t at = graph_position(g, id);

		if (GARBAGE(g, at))
			b->doomed[b->ndoomed++] = (struct doomed){ id,
				g->sizes[i], g->flags[at] >> RANK_SHIFT };
	}
	qsort(b->doomed, b->ndoomed, sizeof *b->doomed, by_id);
}

/* Takes out those whose ids, ascending, are in r. */
static void
leave_out(struct batch *b, const PGresult *r)
{
	size_t kept = 0;
	int row = 0;

	for (size_t i = 0; i < b->ndoomed; i++) {
		while (
		    row < PQntuples(r) && row_i64(r, row, 0) < b->doomed[i].id)
			row++;
		if (row == PQntuples(r) || row_i64(r, row, 0) > b->doomed[i].id)
			b->doomed[kept++] = b->doomed[i];
	}
	b->ndoomed = kept;
}

static void
doomed_ids(const struct batch *b, struct db_array *ids)
{
	array_init(ids, DB_INT8S);
	for (size_t i = 0; i < b->ndoomed; i++)
		array_i64(ids, b->doomed[i].id);
}

/*
 * Under the lock the few that have become something else can be left out before
 * the insert: ON CONFLICT would double what a tombstone costs. Some are pending,
 * for nobody else makes tombstones; but a try whose commit was not answered may
 * have made all of these, and so may a worker that has just lost its lock: then
 * the insert fails, and the next try looks for them. (Mostly nothing between the
 * first and the last is pending, and then none is looked up.)
 */
static int
except(struct db *db, struct batch *b, struct err *e)
{
	static const char sql[] =
	    "SELECT object_id FROM pending WHERE object_id = ANY ($1)"
	    " AND EXISTS (SELECT FROM pending WHERE object_id BETWEEN $3 AND "
	    "$4)"
	    " UNION ALL SELECT object_id FROM tombstones"
	    " WHERE $2 AND object_id = ANY ($1) ORDER BY 1";
	struct db_array ids;
	PGresult *r;
	int rc;

	doomed_ids(b, &ids);
	rc = db_exec(db, sql,
	    PARAMS(P_ARRAY(&ids), P_BOOL(b->tries > 0), P_I64(b->doomed[0].id),
	        P_I64(b->doomed[b->ndoomed - 1].id)),
	    &r, e);
	array_done(&ids);
	if (rc != 0)
		return -1;
	leave_out(b, r);
	PQclear(r);
	return 0;
}

static int
insert(struct db *db, struct batch *b, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO tombstones (object_id, first_at, rank)"
	    " SELECT id, now(), rank FROM unnest($1, $2) u (id, rank)";
	static const char stat_sql[] =
	    "INSERT INTO stat_deltas (objects, bytes) VALUES ($1, $2)";
	struct db_array ids, ranks;
	int64_t bytes = 0;
	int rc;

	doomed_ids(b, &ids);
	array_init(&ranks, DB_INT8S);
	for (size_t i = 0; i < b->ndoomed; i++) {
		array_i64(&ranks, b->doomed[i].rank);
		bytes += b->doomed[i].size;
	}
	rc = db_send(db, sql, PARAMS(P_ARRAY(&ids), P_ARRAY(&ranks)), e);
	array_done(&ids);
	array_done(&ranks);
	if (rc == 0)
		rc = db_send(db, stat_sql,
		    PARAMS(P_I64(-(int64_t)b->ndoomed), P_I64(-bytes)), e);
	b->done = b->ndoomed;
	return rc == 0
	    ? gcruns_add(db, b->run,
	          &(struct gcrun_tally){ .objects_marked = b->done }, e)
	    : -1;
}

static int
tombstone(struct db *db, void *ctx, struct err *e)
{
	struct batch *b = ctx;

	b->done = 0;
	if (db_lazy(db, e) != 0 ||
	    db_roots_exclusive(db, DB_ROOTS_MS, e) != 0 ||
	    graph_draw_seq(db, &b->seq, e) != 0 || catch_up(db, b->g, e) != 0)
		return -1;
	pick(b);
	if (b->ndoomed > 0 && except(db, b, e) != 0)
		return -1;
	b->tries++;
	return b->ndoomed > 0 ? insert(db, b, e) : 0;
}

int
graph_tombstone(struct db *db, struct graph *g, size_t from, size_t n,
    int64_t run, uint64_t *done, struct err *e)
{
	struct batch b = { .g = g, .from = from, .n = n, .run = run };
	int rc;

	b.doomed = xcalloc(n, sizeof *b.doomed);
	/* Most is read before the lock is taken. */
	rc = db_transaction(db, DB_READ_COMMITTED, catch_up, g, e);
	if (rc == 0)
		rc = db_transaction(db, DB_READ_COMMITTED, tombstone, &b, e);
	if (rc == 0) {
		g->seq = b.seq;
		for (size_t i = 0; i < b.ndoomed; i++)
			g->flags[graph_position(g, b.doomed[i].id)] |=
			    TOMBSTONE;
		*done = b.done;
	}
	free(b.doomed);
	return rc == 0 ? 0 : err_prefix(e, "tombstone");
}

static int
revive(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "WITH d AS (DELETE FROM tombstones t WHERE t.object_id = ANY ($1)"
	    " AND t.claim IS NULL AND NOT EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = t.object_id" PROBE
	    " AND NOT EXISTS (SELECT FROM objects o, unnest(o.refs) r"
	    " WHERE o.id = t.object_id"
	    " AND (NOT EXISTS (SELECT FROM objects x WHERE x.id = r" PROBE
	    " OR EXISTS (SELECT FROM pending x WHERE x.object_id = r" PROBE
	    " OR EXISTS (SELECT FROM tombstones x WHERE x.object_id = r" PROBE
	    ")" PROBE " RETURNING t.object_id)"
	    " INSERT INTO stat_deltas (objects, bytes)"
	    " SELECT count(*), coalesce(sum((SELECT size FROM contents c"
	    " WHERE c.object_id = d.object_id)), 0) FROM d"
	    " HAVING count(*) > 0 RETURNING objects";
	struct batch *b = ctx;
	struct db_array ids;
	PGresult *r;
	int rc;

	array_init(&ids, DB_INT8S);
	array_i64s(&ids, b->ids, b->n);
	rc = db_roots_exclusive(db, DB_ROOTS_MS, e);
	if (rc == 0)
		rc = db_exec(db, sql, PARAMS(P_ARRAY(&ids)), &r, e);
	array_done(&ids);
	if (rc != 0)
		return -1;
	b->done = objects_changed(r);
	PQclear(r);
	return gcruns_add(
	    db, b->run, &(struct gcrun_tally){ .objects_revived = b->done }, e);
}

int
graph_revive(struct db *db, struct graph *g, const int64_t *ids, size_t n,
    int64_t run, uint64_t *done, struct err *e)
{
	struct batch b = { .g = g, .ids = ids, .n = n, .run = run };

	if (db_transaction(db, DB_READ_COMMITTED, revive, &b, e) != 0)
		return err_prefix(e, "revive");
	*done = b.done;
	return 0;
}

static int
hasten(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "UPDATE tombstones SET first_at ="
	    " 'epoch'::timestamptz + interval '1 second' WHERE object_id ="
	    " ANY (ARRAY(SELECT object_id FROM tombstones"
	    " WHERE object_id = ANY ($1) AND claim IS NULL"
	    " ORDER BY object_id FOR UPDATE))";
	const struct batch *b = ctx;
	struct db_array ids;
	int rc;

	array_init(&ids, DB_INT8S);
	array_i64s(&ids, b->ids, b->n);
	rc = db_roots_exclusive(db, DB_ROOTS_MS, e);
	if (rc == 0)
		rc = db_send(db, sql, PARAMS(P_ARRAY(&ids)), e);
	array_done(&ids);
	return rc;
}

int
graph_hasten(struct db *db, const int64_t *ids, size_t n, struct err *e)
{
	struct batch b = { .ids = ids, .n = n };

	if (db_transaction(db, DB_READ_COMMITTED, hasten, &b, e) != 0)
		return err_prefix(e, "take away the grace");
	return 0;
}
