#include "pins.h"

#include <string.h>

#include "../core/arena.h"
#include "db_internal.h"

struct set {
	const char *name, *key, *store_path;
};

/* Its object is going to be written, or was. */
static int
remember(struct db *db, const char *name, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO pin_writes (name, until)"
	    " VALUES ($1, now() + $2 * interval '1 millisecond')"
	    " ON CONFLICT (name) DO UPDATE SET until = excluded.until";

	return db_send(db, sql,
	    PARAMS(P_TEXT(name), P_I64(PINS_WRITE_MS + PINS_LATE_MS)), e);
}

/*
 * A path that was pushed with another becomes a closure of its own. All that a live
 * object refers to is live, and the garbage collection marks from every new root
 * before it takes anything (rule R5).
 */
static int
make_closure(struct db *db, const struct set *s, int64_t *id, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO closures (object_id, store_path)"
	    " SELECT o.id, $2 FROM objects o"
	    " WHERE o.key = $1 COLLATE \"C\" AND o.kind = 1"
	    " AND right($2, length(o.name) + 34) ="
	    " '/' || left(o.key, 32) || '-' || o.name"
	    " AND NOT EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = o.id" PROBE
	    " AND NOT EXISTS (SELECT FROM tombstones t"
	    " WHERE t.object_id = o.id" PROBE
	    " ON CONFLICT DO NOTHING RETURNING object_id";
	PGresult *r;
	int rc = 0;

	if (db_exec(db, sql, PARAMS(P_TEXT(s->key), P_TEXT(s->store_path)), &r,
	        e) != 0)
		return -1;
	if (PQntuples(r) > 0)
		*id = row_i64(r, 0, 0);
	else
		rc = err_set(
		    e, ERR_NOT_FOUND, "%s is not in the cache", s->store_path);
	PQclear(r);
	return rc == 0 ? 0 : err_hint(e, "push it first");
}

/* Under the shared lock, for a pin keeps its closure: the garbage collection
 * looks at pins and deletes closures under the exclusive one. */
static int
set(struct db *db, void *ctx, struct err *e)
{
	static const char find_sql[] =
	    "SELECT c.object_id, c.store_path FROM closures c"
	    " JOIN objects o ON o.id = c.object_id"
	    " WHERE o.key = $1 COLLATE \"C\"";
	static const char sql[] =
	    "INSERT INTO pins (name, object_id, store_path)"
	    " VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE"
	    " SET object_id = excluded.object_id,"
	    " store_path = excluded.store_path, updated_at = now()";
	const struct set *s = ctx;
	PGresult *r;
	int64_t id = 0;
	int rc = 0;

	if (db_roots_shared(db, e) != 0 ||
	    db_exec(db, find_sql, PARAMS(P_TEXT(s->key)), &r, e) != 0)
		return -1;
	if (PQntuples(r) == 0)
		rc = make_closure(db, s, &id, e);
	else if (strcmp(PQgetvalue(r, 0, 1), s->store_path) != 0)
		rc = err_set(e, ERR_INVALID,
		    "%s: the closure in the cache is %s", s->store_path,
		    PQgetvalue(r, 0, 1));
	else
		id = row_i64(r, 0, 0);
	PQclear(r);
	if (rc != 0 || remember(db, s->name, e) != 0)
		return -1;
	return db_send(db, sql,
	    PARAMS(P_TEXT(s->name), P_I64(id), P_TEXT(s->store_path)), e);
}

int
pins_set(struct db *db, const char *name, const char *narinfo_key,
    const char *store_path, struct err *e)
{
	struct set s = { name, narinfo_key, store_path };

	if (db_transaction(db, DB_READ_COMMITTED, set, &s, e) != 0)
		return err_prefix(e, "pin %s", name);
	return 0;
}

#define COLUMNS                                                \
	"name, store_path,"                                    \
	" (extract(epoch FROM created_at) * 1000000)::bigint," \
	" (extract(epoch FROM updated_at) * 1000000)::bigint"

static struct pin
read_pin(const PGresult *r, int row, struct arena *a, int *full)
{
	return (struct pin){
		.name = row_text(r, row, 0, a, full),
		.store_path = row_text(r, row, 1, a, full),
		.created_us = row_i64(r, row, 2),
		.updated_us = row_i64(r, row, 3),
	};
}

int
pins_list(
    struct db *db, struct arena *a, struct pin **out, size_t *n, struct err *e)
{
	struct pin *pins;
	int full = 0;
	PGresult *r;

	if (db_query(db, "SELECT " COLUMNS " FROM pins ORDER BY name", P_NONE,
	        &r, e) != 0)
		return err_prefix(e, "list pins");
	pins = arena_array(a, PQntuples(r), sizeof *pins);
	for (int i = 0; pins != NULL && i < PQntuples(r); i++)
		pins[i] = read_pin(r, i, a, &full);
	if (pins != NULL && !full) {
		*out = pins;
		*n = PQntuples(r);
	}
	PQclear(r);
	return pins == NULL || full ? arena_full(a, e) : 0;
}

static int
not_found(const char *name, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "there is no pin %s", name);
}

int
pins_get(struct db *db, const char *name, struct arena *a, struct pin *out,
    struct err *e)
{
	int full = 0, found;
	struct pin pin;
	PGresult *r;

	if (db_query(db, "SELECT " COLUMNS " FROM pins WHERE name = $1",
	        PARAMS(P_TEXT(name)), &r, e) != 0)
		return err_prefix(e, "pin %s", name);
	found = PQntuples(r) > 0;
	if (found)
		pin = read_pin(r, 0, a, &full);
	PQclear(r);
	if (!found)
		return not_found(name, e);
	if (full)
		return arena_full(a, e);
	*out = pin;
	return 0;
}

static int
forget(struct db *db, void *ctx, struct err *e)
{
	const char *const *named = ctx;
	const char *name = *named;
	PGresult *r;
	uint64_t n;

	if (remember(db, name, e) != 0 ||
	    db_exec(db, "DELETE FROM pins WHERE name = $1",
	        PARAMS(P_TEXT(name)), &r, e) != 0)
		return -1;
	n = rows_affected(r);
	PQclear(r);
	return n > 0 ? 0 : not_found(name, e);
}

int
pins_delete(struct db *db, const char *name, struct err *e)
{
	if (db_transaction(db, DB_READ_COMMITTED, forget, &name, e) != 0)
		return err_prefix(e, "delete pin %s", name);
	return 0;
}

/* ---- their objects ---- */

int
pins_unsettled(struct db *db, struct arena *a, struct pin_write **out,
    size_t *n, struct err *e)
{
	static const char sql[] =
	    "SELECT w.name, p.store_path,"
	    " (extract(epoch FROM w.until) * 1000000)::bigint"
	    " FROM pin_writes w LEFT JOIN pins p ON p.name = w.name"
	    " WHERE w.until <= now() ORDER BY w.name LIMIT $1";
	struct pin_write *list;
	int full = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_I64(PINS_UNSETTLED_MAX)), &r, e) != 0)
		return err_prefix(e, "objects of pins");
	list = arena_array(a, PQntuples(r), sizeof *list);
	for (int i = 0; list != NULL && i < PQntuples(r); i++)
		list[i] = (struct pin_write){
			.name = row_text(r, i, 0, a, &full),
			.store_path = row_text(r, i, 1, a, &full),
			.until_us = row_i64(r, i, 2),
		};
	*n = PQntuples(r);
	PQclear(r);
	if (list == NULL || full)
		return arena_full(a, e);
	*out = list;
	return 0;
}

int
pins_settled(
    struct db *db, const struct pin_write *w, int unsure, struct err *e)
{
#define SEEN               \
	" WHERE name = $1" \
	" AND (extract(epoch FROM until) * 1000000)::bigint = $2"
	static const char again_sql[] =
	    "UPDATE pin_writes SET until ="
	    " now() + $3 * interval '1 millisecond'" SEEN;
	int rc = unsure
	    ? db_query(db, again_sql,
	          PARAMS(
	              P_TEXT(w->name), P_I64(w->until_us), P_I64(PINS_LATE_MS)),
	          NULL, e)
	    : db_query(db, "DELETE FROM pin_writes" SEEN,
	          PARAMS(P_TEXT(w->name), P_I64(w->until_us)), NULL, e);
#undef SEEN

	return rc == 0 ? 0 : err_prefix(e, "object of pin %s", w->name);
}
