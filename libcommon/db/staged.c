#include "staged.h"

#include <string.h>

#include "../core/arena.h"
#include "db_internal.h"

#define OVER_S 600 /* a write that was begun in time has ended by then */

/* ---- finding ---- */

int
staged_find(struct db *db, int64_t id, const char *owner, struct arena *a,
    const char **token, enum staged_state *state, struct err *e)
{
	static const char sql[] = "SELECT token, state FROM uploads"
	                          " WHERE id = $1 AND owner = $2 AND staged";
	const char *name;
	int full = 0, rc = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_I64(id), P_TEXT(owner)), &r, e) != 0)
		return err_prefix(e, "look up an upload");
	if (PQntuples(r) == 0) {
		rc = err_set(e, ERR_NOT_FOUND, "there is no such upload");
	} else if ((name = row_text(r, 0, 0, a, &full)) == NULL || full) {
		rc = arena_full(a, e);
	} else {
		const char *text = PQgetvalue(r, 0, 1);

		*token = name;
		*state = strcmp(text, "open") == 0   ? STAGED_OPEN
		    : strcmp(text, "committed") == 0 ? STAGED_COMMITTED
		                                     : STAGED_ENDED;
	}
	PQclear(r);
	return rc;
}

int
staged_find_part(struct db *db, const char *key, const char *s3_id,
    const char *owner, struct arena *a, const char **token, struct err *e)
{
	static const char sql[] =
	    "SELECT u.token FROM multiparts m JOIN uploads u"
	    " ON u.id = m.upload_id WHERE m.key = $1 AND m.s3_id = $2"
	    " AND u.owner = $3 AND u.state = 'open' AND u.staged";
	int full = 0, rc = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_TEXT(key), P_TEXT(s3_id), P_TEXT(owner)),
	        &r, e) != 0)
		return err_prefix(e, "look up a multipart upload");
	if (PQntuples(r) == 0)
		rc = err_set(e, ERR_NOT_FOUND, "multipart upload not found");
	else
		*token = row_text(r, 0, 0, a, &full);
	PQclear(r);
	return full ? arena_full(a, e) : rc;
}

int
staged_find_key(struct db *db, const char *key, const char *owner,
    struct arena *a, const char **token, int *live, struct err *e)
{
	static const char sql[] =
	    "SELECT NOT EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = o.id" PROBE
	    " AND NOT EXISTS (SELECT FROM tombstones t"
	    " WHERE t.object_id = o.id" PROBE ","
	    " (SELECT u.token FROM upload_needs n"
	    " JOIN uploads u ON u.id = n.upload_id"
	    " WHERE n.object_id = o.id AND n.missing AND u.state = 'open'"
	    " AND u.owner = $2 AND u.staged ORDER BY u.id DESC LIMIT 1)"
	    " FROM objects o WHERE o.key = $1 COLLATE \"C\"";
	int full = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_TEXT(key), P_TEXT(owner)), &r, e) != 0)
		return err_prefix(e, "look up %s", key);
	*token = NULL;
	*live = 0;
	if (PQntuples(r) > 0) {
		*live = row_i64(r, 0, 0);
		*token = row_text(r, 0, 1, a, &full);
	}
	PQclear(r);
	return full ? arena_full(a, e) : 0;
}

int
staged_rivals(struct db *db, const char *key, const char *s3_id,
    struct arena *a, struct upload_multipart **out, size_t *n, struct err *e)
{
	static const char sql[] =
	    "SELECT m.key, m.s3_id FROM multiparts m JOIN uploads u"
	    " ON u.id = m.upload_id WHERE m.key = $1 AND m.s3_id <> $2"
	    " AND u.staged ORDER BY m.id";
	struct upload_multipart *list;
	int full = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_TEXT(key), P_TEXT(s3_id)), &r, e) != 0)
		return err_prefix(e, "other uploads of %s", key);
	list = arena_array(a, PQntuples(r), sizeof *list);
	for (int i = 0; list != NULL && i < PQntuples(r); i++) {
		list[i].key = row_text(r, i, 0, a, &full);
		list[i].s3_id = row_text(r, i, 1, a, &full);
	}
	*n = PQntuples(r);
	*out = list;
	PQclear(r);
	return list == NULL || full ? arena_full(a, e) : 0;
}

/* ---- what is to be written ---- */

struct lost {
	const char *token, *owner;
	struct db_array *keys;
};

static int
lost(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "UPDATE upload_needs n SET missing = true, repair = true"
	    " FROM unnest($2) k (key) JOIN objects o"
	    " ON o.key = k.key COLLATE \"C\""
	    " WHERE n.upload_id = $1 AND n.object_id = o.id"
	    " AND NOT n.missing";
	struct lost *l = ctx;
	enum upload_state state;
	int64_t id;

	if (upload_lock(db, l->token, l->owner, &id, &state, e) != 0)
		return -1;
	if (state != UPLOAD_OPEN)
		return upload_closed(state, e);
	return db_send(db, sql, PARAMS(P_I64(id), P_ARRAY(l->keys)), e);
}

int
staged_lost(struct db *db, const char *token, const char *owner,
    const char *const *keys, size_t n, struct err *e)
{
	struct db_array list;
	struct lost l = { token, owner, &list };
	int rc;

	array_init(&list, DB_TEXTS);
	for (size_t i = 0; i < n; i++)
		array_text(&list, keys[i]);
	rc = db_transaction(db, DB_READ_COMMITTED, lost, &l, e);
	array_done(&list);
	return rc == 0 ? 0 : err_prefix(e, "objects that are lost");
}

struct missing {
	const char *token, *owner;
	int64_t lease_us;
	struct arena *a;
	struct staged_object *out;
	size_t n;
};

static int
missing(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "SELECT o.id, o.key, o.kind, coalesce(o.nar_size, -1),"
	    " EXISTS (SELECT FROM upload_writes w WHERE w.upload_id = $1"
	    " AND w.object_id = o.id" PROBE ", n.repair"
	    " FROM upload_needs n JOIN LATERAL (SELECT * FROM objects"
	    " WHERE id = n.object_id" PROBE " o ON true"
	    " WHERE n.upload_id = $1 AND n.missing AND (n.repair OR EXISTS"
	    " (SELECT FROM pending p WHERE p.object_id = o.id" PROBE ")"
	    " ORDER BY o.key";
	struct missing *m = ctx;
	int64_t id;
	int full = 0;
	PGresult *r;

	if (upload_open(db, m->token, m->owner, m->lease_us, &id, e) != 0 ||
	    db_exec(db, sql, PARAMS(P_I64(id)), &r, e) != 0)
		return -1;
	m->n = PQntuples(r);
	m->out = arena_array(m->a, m->n, sizeof *m->out);
	for (size_t i = 0; m->out != NULL && i < m->n; i++)
		m->out[i] = (struct staged_object){
			.id = row_i64(r, i, 0),
			.key = row_text(r, i, 1, m->a, &full),
			.kind = row_i64(r, i, 2),
			.nar_size = row_i64(r, i, 3),
			.written = row_i64(r, i, 4),
			.repair = row_i64(r, i, 5),
		};
	PQclear(r);
	return m->out == NULL || full ? arena_full(m->a, e) : 0;
}

int
staged_missing(struct db *db, const char *token, const char *owner,
    int64_t lease_us, struct arena *a, struct staged_object **out, size_t *n,
    struct err *e)
{
	struct missing m = { token, owner, lease_us, a, NULL, 0 };

	if (db_transaction(db, DB_READ_COMMITTED, missing, &m, e) != 0)
		return err_prefix(e, "what an upload has to write");
	*out = m.out;
	*n = m.n;
	return 0;
}

int
staged_refs(struct db *db, const char *token, const char *owner,
    const char *const *keys, size_t n, struct arena *a, struct staged_refs *out,
    struct err *e)
{
	static const char sql[] =
	    "SELECT k.i, o.id, ARRAY(SELECT x.key FROM unnest(n.refs) r"
	    " JOIN objects x ON x.id = r ORDER BY x.key),"
	    " ARRAY(SELECT x.id FROM unnest(n.refs) r"
	    " JOIN objects x ON x.id = r ORDER BY x.key)"
	    " FROM uploads u, unnest($3) WITH ORDINALITY k (key, i)"
	    " JOIN LATERAL (SELECT id FROM objects"
	    " WHERE key = k.key COLLATE \"C\"" PROBE " o ON true"
	    " JOIN LATERAL (SELECT * FROM upload_needs"
	    " WHERE object_id = o.id" PROBE " n ON true"
	    " WHERE u.token = $1 AND u.owner = $2 AND n.upload_id = u.id";
	struct db_array list;
	int full = 0, rc;
	PGresult *r;

	array_init(&list, DB_TEXTS);
	for (size_t i = 0; i < n; i++)
		array_text(&list, keys[i]);
	rc = db_query(db, sql,
	    PARAMS(P_TEXT(token), P_TEXT(owner), P_ARRAY(&list)), &r, e);
	array_done(&list);
	if (rc != 0)
		return err_prefix(e, "what narinfos refer to");
	memset(out, 0, n * sizeof *out);
	for (int i = 0; i < PQntuples(r); i++) {
		struct staged_refs *to = &out[row_i64(r, i, 0) - 1];

		to->id = row_i64(r, i, 1);
		to->keys = row_texts(r, i, 2, a, &to->n, &full);
		to->ids = row_i64s(r, i, 3, a, &to->n, &full);
	}
	PQclear(r);
	return full ? arena_full(a, e) : 0;
}

/* ---- what the client turned out to have written ---- */

struct forgo {
	const char *token, *owner;
	struct db_array *ids;
};

static int
forgo(struct db *db, void *ctx, struct err *e)
{
	static const char refs_sql[] =
	    "UPDATE upload_needs n SET refs = ARRAY(SELECT r"
	    " FROM unnest(n.refs) r WHERE r <> ALL ($2) ORDER BY r)"
	    " WHERE n.upload_id = $1 AND n.refs && $2";
	static const char sql[] =
	    "DELETE FROM upload_needs"
	    " WHERE upload_id = $1 AND object_id = ANY ($2) AND missing";
	struct forgo *f = ctx;
	enum upload_state state;
	int64_t id;

	if (upload_lock(db, f->token, f->owner, &id, &state, e) != 0)
		return -1;
	if (state != UPLOAD_OPEN)
		return upload_closed(state, e);
	return db_send(db, refs_sql, PARAMS(P_I64(id), P_ARRAY(f->ids)), e) != 0
	    ? -1
	    : db_send(db, sql, PARAMS(P_I64(id), P_ARRAY(f->ids)), e);
}

int
staged_forgo(struct db *db, const char *token, const char *owner,
    const int64_t *ids, size_t n, struct err *e)
{
	struct db_array list;
	struct forgo f = { token, owner, &list };
	int rc;

	array_init(&list, DB_INT8S);
	array_i64s(&list, ids, n);
	rc = db_transaction(db, DB_READ_COMMITTED, forgo, &f, e);
	array_done(&list);
	return rc == 0 ? 0 : err_prefix(e, "what an upload goes without");
}

struct paths {
	const char *token, *owner;
	const struct upload_object *objects;
	const struct upload_path *paths;
	size_t n;
};

/* Nobody has named these objects before, or as they are named now: the name is
 * what stands behind the hash in their store path. */
static int
set_names(
    struct db *db, const struct paths *p, struct db_array *ids, struct err *e)
{
	static const char sql[] =
	    "UPDATE objects o SET name = u.name FROM unnest($1, $2) u (id, "
	    "name)"
	    " WHERE o.id = u.id AND o.name IS DISTINCT FROM u.name";
	struct db_array names;
	int rc;

	array_init(&names, DB_TEXTS);
	for (size_t i = 0; i < p->n; i++)
		array_text(&names, strchr(p->paths[i].base, '-') + 1);
	rc = db_send(db, sql, PARAMS(P_ARRAY(ids), P_ARRAY(&names)), e);
	array_done(&names);
	return rc;
}

static int
set_paths(struct db *db, void *ctx, struct err *e)
{
	static const char delete_sql[] =
	    "DELETE FROM upload_paths"
	    " WHERE upload_id = $1 AND object_id = ANY ($2)";
	static const char roots_sql[] =
	    "UPDATE upload_roots r SET store_path ="
	    " u.store_dir || '/' || left(o.key, 32) || '-' || o.name"
	    " FROM uploads u, objects o WHERE r.upload_id = $1"
	    " AND u.id = $1 AND o.id = r.object_id AND o.name IS NOT NULL";
	struct paths *p = ctx;
	enum upload_state state;
	struct db_array ids;
	int64_t id;
	int rc = -1;

	array_init(&ids, DB_INT8S);
	for (size_t i = 0; i < p->n; i++)
		array_i64(&ids, p->objects[p->paths[i].object].id);
	if (upload_lock(db, p->token, p->owner, &id, &state, e) != 0)
		goto out;
	if (state != UPLOAD_OPEN) {
		upload_closed(state, e);
		goto out;
	}
	if (db_send(db, delete_sql, PARAMS(P_I64(id), P_ARRAY(&ids)), e) == 0 &&
	    upload_insert_paths(db, id, p->objects, p->paths, p->n, e) == 0 &&
	    set_names(db, p, &ids, e) == 0)
		rc = db_send(db, roots_sql, PARAMS(P_I64(id)), e);
out:
	array_done(&ids);
	return rc;
}

int
staged_set_paths(struct db *db, const char *token, const char *owner,
    const struct upload_object *objects, const struct upload_path *paths,
    size_t n, struct err *e)
{
	struct paths p = { token, owner, objects, paths, n };

	if (db_transaction(db, DB_READ_COMMITTED, set_paths, &p, e) != 0)
		return err_prefix(e, "what narinfos will say");
	return 0;
}

struct repaired {
	const char *token, *owner;
	struct db_array keys, sizes, hashes;
};

static int
repaired(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "WITH s AS MATERIALIZED (SELECT o.id, k.size, k.sha256,"
	    " c.size AS was FROM unnest($2, $3, $4) k (key, size, sha256)"
	    " JOIN objects o ON o.key = k.key COLLATE \"C\""
	    " JOIN upload_needs n ON n.upload_id = $1 AND n.object_id = o.id"
	    " JOIN contents c ON c.object_id = o.id WHERE n.repair),"
	    " c AS (UPDATE contents c SET size = s.size, sha256 = s.sha256,"
	    " stored_at = now() FROM s WHERE c.object_id = s.id),"
	    " n AS (UPDATE upload_needs n SET missing = false FROM s"
	    " WHERE n.upload_id = $1 AND n.object_id = s.id)"
	    " INSERT INTO stat_deltas (objects, bytes)"
	    " SELECT 0, sum(size - was) FROM s HAVING count(*) > 0";
	struct repaired *x = ctx;
	enum upload_state state;
	int64_t id;

	if (upload_lock(db, x->token, x->owner, &id, &state, e) != 0)
		return -1;
	if (state != UPLOAD_OPEN)
		return upload_closed(state, e);
	return db_send(db, sql,
	    PARAMS(P_I64(id), P_ARRAY(&x->keys), P_ARRAY(&x->sizes),
	        P_ARRAY(&x->hashes)),
	    e);
}

int
staged_repaired(struct db *db, const char *token, const char *owner,
    const struct upload_write *writes, size_t n, struct err *e)
{
	struct repaired x = { .token = token, .owner = owner };
	int rc;

	array_init(&x.keys, DB_TEXTS);
	array_init(&x.sizes, DB_INT8S);
	array_init(&x.hashes, DB_BYTEAS);
	for (size_t i = 0; i < n; i++) {
		array_text(&x.keys, writes[i].key);
		array_i64(&x.sizes, writes[i].size);
		array_bytes(&x.hashes, writes[i].sha256,
		    writes[i].unhashed ? 0 : sizeof writes[i].sha256);
	}
	rc = db_transaction(db, DB_READ_COMMITTED, repaired, &x, e);
	array_done(&x.keys);
	array_done(&x.sizes);
	array_done(&x.hashes);
	return rc == 0 ? 0 : err_prefix(e, "objects that were lost");
}

/* ---- the rest ---- */

int
staged_closure(struct db *db, const char *key, size_t max, struct arena *a,
    const char ***keys, size_t *n, struct err *e)
{
	static const char sql[] =
	    "WITH RECURSIVE c (id) AS (SELECT id FROM objects o"
	    " WHERE key = $1 COLLATE \"C\""
	    " AND NOT EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = o.id" PROBE
	    " UNION SELECT r FROM c JOIN LATERAL (SELECT refs FROM objects"
	    " WHERE id = c.id" PROBE " o ON true, unnest(o.refs) r)"
	    " SELECT k.key FROM c JOIN LATERAL (SELECT key FROM objects"
	    " WHERE id = c.id" PROBE " k ON true LIMIT $2";
	const char **list;
	int full = 0;
	PGresult *r;
	size_t got;

	if (db_query(db, sql, PARAMS(P_TEXT(key), P_I64(max + 1)), &r, e) != 0)
		return err_prefix(e, "what %s needs", key);
	got = PQntuples(r);
	list = arena_array(a, got, sizeof *list);
	for (size_t i = 0; list != NULL && i < got && i < max; i++)
		list[i] = row_text(r, i, 0, a, &full);
	PQclear(r);
	if (got > max)
		return err_set(e, ERR_TOO_LARGE,
		    "%s needs more than %zu objects", key, max);
	if (list == NULL || full)
		return arena_full(a, e);
	*keys = got > 0 ? list : NULL;
	*n = got;
	return 0;
}

int
staged_over(struct db *db, const char *token, int *over, struct err *e)
{
	static const char sql[] =
	    "SELECT NOT EXISTS (SELECT FROM uploads WHERE token = $1"
	    " AND (state = 'open'"
	    " OR created_at > now() - $2 * interval '1 second'))";
	PGresult *r;

	if (db_query(db, sql,
	        PARAMS(P_TEXT(token), P_I64(STAGED_LIFETIME_S + OVER_S)), &r,
	        e) != 0)
		return err_prefix(e, "look up an upload");
	*over = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}
