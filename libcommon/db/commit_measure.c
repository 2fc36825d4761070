/*
 * How large a closure is: counted once, when it is committed, so that a list of
 * all closures costs nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "db_internal.h"

/* Several roots are told apart in memory; larger uploads, and more steps, than
 * these are not measured. */
#define NEEDS_MAX  200000
#define STEPS_MAX  ((uint64_t)4 << 20) /* about half a second */
#define MEMORY_MAX ((size_t)256 << 20)

struct need {
	int64_t id, size;
	int64_t *refs;
	size_t nrefs;
	uint32_t seen; /* the root that reached it last, counted from 1 */
};

struct measure {
	struct need *needs; /* in the order of ids */
	size_t n;
	struct need **stack;
	uint64_t steps;
};

static int
by_id(const void *a, const void *b)
{
	const struct need *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static struct need *
find(const struct measure *m, int64_t id)
{
	struct need key = { .id = id };

	return bsearch(&key, m->needs, m->n, sizeof key, by_id);
}

/* Each need is pushed once, when it is seen first. */
static void
walk(struct measure *m, int64_t root, uint32_t mark, int64_t *objects,
    int64_t *bytes)
{
	size_t depth = 0;
	struct need *at = find(m, root);

	*objects = *bytes = 0;
	if (at == NULL)
		return;
	at->seen = mark;
	m->stack[depth++] = at;
	while (depth > 0) {
		at = m->stack[--depth];
		++*objects;
		*bytes += at->size;
		m->steps += at->nrefs;
		for (size_t i = 0; i < at->nrefs; i++) {
			struct need *to = find(m, at->refs[i]);

			if (to == NULL || to->seen == mark)
				continue;
			to->seen = mark;
			m->stack[depth++] = to;
		}
	}
}

static int
load(struct db *db, int64_t upload, struct arena *a, struct measure *m,
    struct err *e)
{
	static const char sql[] =
	    "SELECT n.object_id, n.refs, c.size FROM upload_needs n"
	    " LEFT JOIN LATERAL (SELECT size FROM contents"
	    " WHERE object_id = n.object_id" PROBE " c ON true"
	    " WHERE n.upload_id = $1 ORDER BY n.object_id";
	int full = 0;
	PGresult *r;

	if (db_exec(db, sql, PARAMS(P_I64(upload)), &r, e) != 0)
		return -1;
	m->n = PQntuples(r);
	m->needs = arena_array(a, m->n, sizeof *m->needs);
	m->stack = arena_array(a, m->n, sizeof *m->stack);
	full = m->needs == NULL || m->stack == NULL;
	for (size_t i = 0; i < m->n && !full; i++) {
		struct need *n = &m->needs[i];

		n->id = row_i64(r, i, 0);
		n->refs = row_i64s(r, i, 1, a, &n->nrefs, &full);
		n->size = row_i64(r, i, 2);
	}
	PQclear(r);
	return full ? arena_full(a, e) : 0;
}

static int
measure_each(struct db *db, int64_t upload, const PGresult *roots,
    struct db_array *objects, struct db_array *bytes, struct err *e)
{
	struct arena *a = arena_new(MEMORY_MAX);
	struct measure m = { 0 };
	int rc = load(db, upload, a, &m, e);

	for (int i = 0; rc == 0 && i < PQntuples(roots); i++) {
		int64_t count, size;

		if (m.steps > STEPS_MAX)
			break;
		walk(&m, row_i64(roots, i, 0), i + 1, &count, &size);
		array_i64(objects, count);
		array_i64(bytes, size);
	}
	arena_free(a);
	return rc;
}

int
commit_measure(struct db *db, int64_t upload, struct db_array *ids,
    struct db_array *objects, struct db_array *bytes, struct err *e)
{
	static const char roots_sql[] =
	    "SELECT object_id FROM upload_roots WHERE upload_id = $1"
	    " ORDER BY object_id";
	static const char sum_sql[] =
	    "SELECT count(*), coalesce(sum((SELECT size FROM contents c"
	    " WHERE c.object_id = n.object_id)), 0)::bigint"
	    " FROM upload_needs n WHERE n.upload_id = $1";
	PGresult *roots, *sum;
	int rc = 0;

	if (db_exec(db, roots_sql, PARAMS(P_I64(upload)), &roots, e) != 0)
		return -1;
	for (int i = 0; i < PQntuples(roots); i++)
		array_i64(ids, row_i64(roots, i, 0));
	if (db_exec(db, sum_sql, PARAMS(P_I64(upload)), &sum, e) != 0) {
		PQclear(roots);
		return -1;
	}
	if (PQntuples(roots) == 1) {
		array_i64(objects, row_i64(sum, 0, 0));
		array_i64(bytes, row_i64(sum, 0, 1));
	} else if (row_i64(sum, 0, 0) <= NEEDS_MAX)
		rc = measure_each(db, upload, roots, objects, bytes, e);
	PQclear(sum);
	PQclear(roots);
	return rc;
}
