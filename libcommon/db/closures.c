#include "closures.h"

#include <stdlib.h>
#include <string.h>

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
