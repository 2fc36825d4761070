#include "closures.h"

#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "db_internal.h"

/* A key that is known: its place in the request, and the object. */
struct known {
	int64_t id;
	size_t at;
};

struct present {
	const char *const *keys;
	size_t n;
	int *present;
};

static int
by_id(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int
find(struct db *db, const struct present *p, struct known *known, size_t *n,
    struct err *e)
{
	static const char sql[] =
	    "SELECT k.i, o.id FROM unnest($1) WITH ORDINALITY k (key, i)"
	    " JOIN LATERAL (SELECT id FROM objects"
	    " WHERE key = k.key COLLATE \"C\"" PROBE " o ON true ORDER BY o.id";
	struct db_array keys;
	PGresult *r;
	int rc;

	array_init(&keys, DB_TEXTS);
	for (size_t i = 0; i < p->n; i++)
		array_text(&keys, p->keys[i]);
	rc = db_exec(db, sql, PARAMS(P_ARRAY(&keys)), &r, e);
	array_done(&keys);
	if (rc != 0)
		return -1;
	*n = PQntuples(r);
	for (size_t i = 0; i < *n; i++)
		known[i] =
		    (struct known){ row_i64(r, i, 1), row_i64(r, i, 0) - 1 };
	PQclear(r);
	return 0;
}

/* Only what this statement refreshes is present. */
static int
refresh(struct db *db, struct db_array *ids, PGresult **res, struct err *e)
{
	static const char sql[] =
	    "UPDATE closures SET updated_at = now() WHERE object_id = ANY ("
	    "ARRAY(SELECT object_id FROM closures c WHERE object_id = ANY ($1)"
	    " AND NOT EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = c.object_id" PROBE
	    " AND NOT EXISTS (SELECT FROM tombstones t"
	    " WHERE t.object_id = c.object_id" PROBE
	    " ORDER BY object_id FOR UPDATE)) RETURNING object_id";

	return db_exec(db, sql, PARAMS(P_ARRAY(ids)), res, e);
}

static int
present(struct db *db, void *ctx, struct err *e)
{
	struct present *p = ctx;
	struct known *known = xcalloc(p->n, sizeof *known);
	struct db_array ids;
	PGresult *r;
	size_t n;
	int rc;

	array_init(&ids, DB_INT8S);
	rc = find(db, p, known, &n, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		array_i64(&ids, known[i].id);
	if (rc == 0)
		rc = refresh(db, &ids, &r, e);
	array_done(&ids);
	if (rc != 0)
		goto out;
	memset(p->present, 0, p->n * sizeof *p->present);
	for (int i = 0; i < PQntuples(r); i++) {
		struct known key = { .id = row_i64(r, i, 0) };
		struct known *hit = bsearch(&key, known, n, sizeof key, by_id);

		/* A key may have been asked for several times. */
		while (hit > known && hit[-1].id == key.id)
			hit--;
		for (; hit < known + n && hit->id == key.id; hit++)
			p->present[hit->at] = 1;
	}
	PQclear(r);
out:
	free(known);
	return rc;
}

int
closures_present(struct db *db, const char *const *keys, size_t n, int *result,
    struct err *e)
{
	struct present p = { keys, n, result };

	if (db_transaction(db, DB_READ_COMMITTED, present, &p, e) != 0)
		return err_prefix(e, "present closures");
	return 0;
}

/* ---- what is told of a closure ---- */

/* clang-format off */
#define COLUMNS                                                         \
	"c.object_id, c.store_path,"                                    \
	" (extract(epoch FROM c.created_at) * 1000000)::bigint,"        \
	" (extract(epoch FROM c.updated_at) * 1000000)::bigint,"        \
	" coalesce(c.objects, -1), coalesce(c.bytes, -1),"              \
	" ARRAY(SELECT name FROM pins p"                                \
	" WHERE p.object_id = c.object_id ORDER BY name)"
/* clang-format on */

static struct closure
read_closure(const PGresult *r, int row, struct arena *a, int *full)
{
	struct closure c = {
		.id = row_i64(r, row, 0),
		.store_path = row_text(r, row, 1, a, full),
		.created_us = row_i64(r, row, 2),
		.updated_us = row_i64(r, row, 3),
		.objects = row_i64(r, row, 4),
		.bytes = row_i64(r, row, 5),
	};

	c.pins = row_texts(r, row, 6, a, &c.npins, full);
	return c;
}

int
closures_list(struct db *db, int64_t after_us, int64_t after_id, size_t max,
    struct arena *a, struct closure **out, size_t *n, struct err *e)
{
	static const char sql[] =
	    "SELECT " COLUMNS " FROM closures c"
	    " WHERE (updated_at, object_id) > ('epoch'::timestamptz"
	    " + $1 * interval '1 microsecond', $2)"
	    " ORDER BY updated_at, object_id LIMIT $3";
	struct closure *all;
	int full = 0;
	PGresult *r;

	if (db_query(db, sql,
	        PARAMS(P_I64(after_us), P_I64(after_id), P_I64(max)), &r,
	        e) != 0)
		return err_prefix(e, "list closures");
	all = arena_array(a, PQntuples(r), sizeof *all);
	for (int i = 0; all != NULL && i < PQntuples(r) && !full; i++)
		all[i] = read_closure(r, i, a, &full);
	if (all != NULL && !full) {
		*out = all;
		*n = PQntuples(r);
	}
	PQclear(r);
	return all == NULL || full ? arena_full(a, e) : 0;
}

int
closures_get(struct db *db, const char *narinfo_key, struct arena *a,
    struct closure *out, struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM closures c"
	                          " JOIN objects o ON o.id = c.object_id"
	                          " WHERE o.key = $1 COLLATE \"C\"";
	struct closure c;
	int full = 0, found;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_TEXT(narinfo_key)), &r, e) != 0)
		return err_prefix(e, "closure %s", narinfo_key);
	found = PQntuples(r) > 0;
	if (found)
		c = read_closure(r, 0, a, &full);
	PQclear(r);
	if (!found)
		return err_set(e, ERR_NOT_FOUND,
		    "%s belongs to no closure that was pushed", narinfo_key);
	if (full)
		return arena_full(a, e);
	*out = c;
	return 0;
}
