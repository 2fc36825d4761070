#include "graph_internal.h"

#include <stdlib.h>

#include "../core/arena.h"
#include "db_internal.h"
#include "gcruns.h"

#define BATCH 10000 /* closures asked for at once */

/* roots[0] is for what no expiring closure needs. */
struct report {
	const struct graph *g;
	struct arena *a;
	struct graph_root *roots;
	size_t nroots, cap;
	/* Of garbage: the number of the root it is counted with. */
	uint32_t *counted;
	struct graph_root *told;
	size_t ntold;
};

/* ---- roots ---- */

static void
add(struct report *r, int64_t id, int64_t updated_us)
{
	if (r->nroots == r->cap) {
		r->cap = r->cap * 2 + 64;
		r->roots = xrealloc(r->roots, r->cap * sizeof *r->roots);
	}
	r->roots[r->nroots++] =
	    (struct graph_root){ .id = id, .updated_us = updated_us };
}

static int
by_age(const void *a, const void *b)
{
	const struct graph_root *x = a, *y = b;

	if (x->updated_us != y->updated_us)
		return x->updated_us < y->updated_us ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

static int
by_bytes(const void *a, const void *b)
{
	const struct graph_root *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	if (x->objects != y->objects)
		return x->objects > y->objects ? -1 : 1;
	return by_age(a, b);
}

static int
read_some(struct db *db, struct report *r, const int64_t *ids, size_t n,
    struct err *e)
{
	static const char sql[] =
	    "SELECT object_id,"
	    " (extract(epoch FROM updated_at) * 1000000)::bigint"
	    " FROM closures WHERE object_id = ANY ($1)";
	struct db_array wanted;
	PGresult *rows;
	int rc;

	array_init(&wanted, DB_INT8S);
	for (size_t i = 0; i < n; i++)
		array_i64(&wanted, ids[i]);
	rc = db_exec(db, sql, PARAMS(P_ARRAY(&wanted)), &rows, e);
	array_done(&wanted);
	if (rc != 0)
		return -1;
	for (int i = 0; i < PQntuples(rows); i++)
		add(r, row_i64(rows, i, 0), row_i64(rows, i, 1));
	PQclear(rows);
	return 0;
}

/* Oldest first. */
static int
read_roots(struct db *db, struct report *r, struct err *e)
{
	const int64_t *ids;
	size_t n = graph_expiring(r->g, &ids);

	r->nroots = 0;
	add(r, 0, 0);
	for (size_t i = 0; i < n; i += BATCH)
		if (read_some(
		        db, r, ids + i, n - i < BATCH ? n - i : BATCH, e) != 0)
			return -1;
	qsort(r->roots + 1, r->nroots - 1, sizeof *r->roots, by_age);
	return 0;
}

/* ---- counting ---- */

/* Reaches an object that is garbage, and that no root before has counted. */
static void
reach(struct report *r, struct stack *todo, uint32_t at, uint32_t root)
{
	if (at == NOBODY || !GARBAGE(r->g, at) || r->counted[at] != 0)
		return;
	r->counted[at] = root;
	r->roots[root].objects++;
	stack_push(todo, at);
}

static void
count_objects(struct report *r)
{
	const struct graph *g = r->g;
	struct stack todo = { 0 };

	for (size_t i = 0; i < g->n; i++)
		r->counted[i] = 0;
	for (uint32_t root = 1; root < r->nroots; root++) {
		reach(r, &todo, graph_position(g, r->roots[root].id), root);
		while (todo.n > 0) {
			struct refs refs = graph_refs(g, todo.items[--todo.n]);

			for (uint32_t k = 0; k < refs.n; k++)
				reach(r, &todo, refs.to[k], root);
		}
	}
	free(todo.items);
	for (size_t i = 0; i < g->n; i++)
		if (GARBAGE(g, i) && r->counted[i] == 0)
			r->roots[0].objects++;
}

static void
count_bytes(struct report *r)
{
	const int64_t *ids;
	size_t n = graph_garbage(r->g, &ids);

	for (size_t i = 0; i < n; i++) {
		uint32_t at = graph_position(r->g, ids[i]);

		r->roots[r->counted[at]].bytes += r->g->sizes[i];
	}
}

/* ---- telling ---- */

static int
read_paths(struct db *db, struct report *r, struct err *e)
{
	static const char sql[] =
	    "SELECT k.i, c.store_path FROM unnest($1) WITH ORDINALITY k (id, i)"
	    " JOIN LATERAL (SELECT store_path FROM closures"
	    " WHERE object_id = k.id" PROBE " c ON true";
	struct db_array ids;
	PGresult *rows;
	int full = 0, rc;

	array_init(&ids, DB_INT8S);
	for (size_t i = 0; i < r->ntold; i++)
		array_i64(&ids, r->told[i].id);
	rc = db_exec(db, sql, PARAMS(P_ARRAY(&ids)), &rows, e);
	array_done(&ids);
	if (rc != 0)
		return -1;
	for (int i = 0; i < PQntuples(rows); i++)
		r->told[row_i64(rows, i, 0) - 1].store_path =
		    row_text(rows, i, 1, r->a, &full);
	PQclear(rows);
	return full ? arena_full(r->a, e) : 0;
}

static int
report(struct db *db, void *ctx, struct err *e)
{
	struct report *r = ctx;

	if (read_roots(db, r, e) != 0)
		return -1;
	count_objects(r);
	count_bytes(r);
	if (r->roots[0].objects == 0)
		r->roots[0] = r->roots[--r->nroots];
	qsort(r->roots, r->nroots, sizeof *r->roots, by_bytes);
	r->ntold = r->nroots < GCRUN_ROOTS_MAX ? r->nroots : GCRUN_ROOTS_MAX;
	r->told = arena_array(r->a, r->ntold, sizeof *r->told);
	if (r->told == NULL)
		return arena_full(r->a, e);
	for (size_t i = 0; i < r->ntold; i++)
		r->told[i] = r->roots[i];
	return read_paths(db, r, e);
}

int
graph_report(struct db *db, const struct graph *g, struct arena *a,
    struct graph_report *out, struct err *e)
{
	struct report r = { .g = g, .a = a };
	int rc;

	r.counted = xcalloc(g->n, sizeof *r.counted);
	rc = db_transaction(db, DB_REPEATABLE_READ, report, &r, e);
	if (rc == 0) {
		*out =
		    (struct graph_report){ .roots = r.told, .nroots = r.ntold };
		for (size_t i = 0; i < r.nroots; i++) {
			out->objects += r.roots[i].objects;
			out->bytes += r.roots[i].bytes;
		}
	}
	free(r.counted);
	free(r.roots);
	return rc == 0 ? 0 : err_prefix(e, "what would go");
}
