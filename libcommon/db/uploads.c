/*
 * What happens to an upload between its beginning (uploads_begin.c) and its
 * commit (commit.c).
 */
#include "uploads.h"

#include <string.h>

#include "../core/arena.h"
#include "db_internal.h"

/* ---- shared with commit.c and reap.c ---- */

static enum upload_state
state_of(const char *name)
{
	if (strcmp(name, "open") == 0)
		return UPLOAD_OPEN;
	return strcmp(name, "committed") == 0 ? UPLOAD_COMMITTED : UPLOAD_ENDED;
}

int
upload_lock(struct db *db, const char *token, const char *owner, int64_t *id,
    enum upload_state *state, struct err *e)
{
	static const char sql[] =
	    "SELECT id, state FROM uploads WHERE token = $1 AND owner = $2"
	    " FOR UPDATE";
	PGresult *r;
	int rc = 0;

	if (db_exec(db, sql, PARAMS(P_TEXT(token), P_TEXT(owner)), &r, e) != 0)
		return -1;
	if (PQntuples(r) == 0) {
		rc = err_set(e, ERR_NOT_FOUND, "there is no such upload");
	} else {
		*id = row_i64(r, 0, 0);
		*state = state_of(PQgetvalue(r, 0, 1));
	}
	PQclear(r);
	return rc;
}

int
upload_lock_id(
    struct db *db, int64_t id, enum upload_state *state, struct err *e)
{
	PGresult *r;

	if (db_exec(db, "SELECT state FROM uploads WHERE id = $1 FOR UPDATE",
	        PARAMS(P_I64(id)), &r, e) != 0)
		return -1;
	*state =
	    PQntuples(r) > 0 ? state_of(PQgetvalue(r, 0, 0)) : UPLOAD_ENDED;
	PQclear(r);
	return 0;
}

int
upload_closed(enum upload_state state, struct err *e)
{
	return err_set(e, ERR_CONFLICT, "the upload %s",
	    state == UPLOAD_COMMITTED ? "is committed already"
	                              : "was rolled back, or ran out");
}

int
upload_renew(struct db *db, int64_t id, int64_t lease_us, struct err *e)
{
	return db_send(db,
	    "UPDATE uploads SET lease_until ="
	    " now() + $2 * interval '1 microsecond' WHERE id = $1",
	    PARAMS(P_I64(id), P_I64(lease_us)), e);
}

int
upload_open(struct db *db, const char *token, const char *owner,
    int64_t lease_us, int64_t *id, struct err *e)
{
	enum upload_state state;

	if (upload_lock(db, token, owner, id, &state, e) != 0)
		return -1;
	if (state != UPLOAD_OPEN)
		return upload_closed(state, e);
	return upload_renew(db, *id, lease_us, e);
}

int
upload_end(struct db *db, int64_t id, const char *state, struct err *e)
{
	static const char sql[] =
	    "WITH n AS (DELETE FROM upload_needs WHERE upload_id = $1),"
	    " r AS (DELETE FROM upload_roots WHERE upload_id = $1),"
	    " p AS (DELETE FROM upload_paths WHERE upload_id = $1),"
	    " w AS (DELETE FROM upload_writes WHERE upload_id = $1)"
	    " UPDATE uploads SET state = $2, ended_at = now() WHERE id = $1";

	return db_send(db, sql, PARAMS(P_I64(id), P_TEXT(state)), e);
}

/* ---- the right to write ---- */

struct authorize {
	const char *token, *owner;
	const struct upload_write *writes;
	size_t n;
	int64_t auth_us, lease_us;
	int record; /* the facts only, without a right */
};

/* The ids of the objects, each one that this upload found missing and that its
 * client writes. */
static int
check_writes(struct db *db, const struct authorize *c, int64_t upload,
    struct db_array *ids, struct err *e)
{
	static const char sql[] =
	    "SELECT o.id,"
	    " EXISTS (SELECT FROM upload_needs n WHERE n.upload_id = $1"
	    " AND n.object_id = o.id AND n.missing" PROBE
	    " AND NOT EXISTS (SELECT FROM upload_paths p"
	    " WHERE p.upload_id = $1 AND p.object_id = o.id" PROBE ","
	    " EXISTS (SELECT FROM multiparts m WHERE m.upload_id = $1"
	    " AND m.object_id = o.id AND m.s3_id = k.s3_id" PROBE
	    " FROM unnest($2, $3) WITH ORDINALITY k (key, s3_id, i)"
	    " LEFT JOIN LATERAL (SELECT id FROM objects"
	    " WHERE key = k.key COLLATE \"C\"" PROBE " o ON true"
	    " ORDER BY k.i";
	struct db_array keys, s3_ids;
	PGresult *r;
	int rc;

	array_init(&keys, DB_TEXTS);
	array_init(&s3_ids, DB_TEXTS);
	for (size_t i = 0; i < c->n; i++) {
		array_text(&keys, c->writes[i].key);
		array_text(&s3_ids, c->writes[i].s3_id);
	}
	rc = db_exec(db, sql,
	    PARAMS(P_I64(upload), P_ARRAY(&keys), P_ARRAY(&s3_ids)), &r, e);
	array_done(&keys);
	array_done(&s3_ids);
	if (rc != 0)
		return -1;
	for (size_t i = 0; i < c->n && rc == 0; i++) {
		const struct upload_write *w = &c->writes[i];

		if (!row_i64(r, i, 1))
			rc = err_set(e, ERR_FORBIDDEN,
			    "%s is not missing in this upload", w->key);
		else if (w->s3_id != NULL && !row_i64(r, i, 2))
			rc = err_set(e, ERR_FORBIDDEN,
			    "%s: not a multipart upload of this upload",
			    w->key);
		else
			array_i64(ids, row_i64(r, i, 0));
	}
	PQclear(r);
	return rc;
}

/* Rule R7: so long the rows of these objects must stay, whether they are pending or (by
 * another upload) live by now. */
static int
extend_rights(
    struct db *db, struct db_array *ids, int64_t auth_us, struct err *e)
{
	static const char pending_sql[] =
	    "UPDATE pending p SET swept = false,"
	    " auth_until = greatest(p.auth_until,"
	    " now() + $2 * interval '1 microsecond')"
	    " WHERE p.object_id = ANY (ARRAY(SELECT object_id FROM pending"
	    " WHERE object_id = ANY ($1) ORDER BY object_id FOR UPDATE))";
	static const char live_sql[] =
	    "UPDATE contents c SET auth_until = greatest(c.auth_until,"
	    " now() + $2 * interval '1 microsecond')"
	    " WHERE c.object_id = ANY (ARRAY(SELECT object_id FROM contents"
	    " WHERE object_id = ANY ($1) ORDER BY object_id FOR UPDATE))";

	if (db_send(db, pending_sql, PARAMS(P_ARRAY(ids), P_I64(auth_us)), e) !=
	    0)
		return -1;
	return db_send(db, live_sql, PARAMS(P_ARRAY(ids), P_I64(auth_us)), e);
}

static int
insert_writes(struct db *db, const struct authorize *c, int64_t upload,
    struct db_array *ids, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO upload_writes AS w"
	    " (upload_id, object_id, size, sha256, auth_until)"
	    " SELECT DISTINCT ON (u.id) $1, u.id, u.size, u.sha256,"
	    " now() + $6 * interval '1 microsecond'"
	    " FROM unnest($2, $3, $4, $5) u (id, whole, size, sha256)"
	    " WHERE u.whole ORDER BY u.id"
	    " ON CONFLICT (upload_id, object_id) DO UPDATE"
	    " SET size = excluded.size, sha256 = excluded.sha256,"
	    " auth_until = greatest(w.auth_until, excluded.auth_until)";
	struct db_array whole, sizes, hashes;
	int rc;

	array_init(&whole, DB_BOOLS);
	array_init(&sizes, DB_INT8S);
	array_init(&hashes, DB_BYTEAS);
	for (size_t i = 0; i < c->n; i++) {
		array_bool(&whole, c->writes[i].whole);
		array_i64(&sizes, c->writes[i].size);
		array_bytes(&hashes, c->writes[i].sha256,
		    c->writes[i].unhashed ? 0 : sizeof c->writes[i].sha256);
	}
	rc = db_send(db, sql,
	    PARAMS(P_I64(upload), P_ARRAY(ids), P_ARRAY(&whole),
	        P_ARRAY(&sizes), P_ARRAY(&hashes), P_I64(c->auth_us)),
	    e);
	array_done(&whole);
	array_done(&sizes);
	array_done(&hashes);
	return rc;
}

static int
authorize(struct db *db, void *ctx, struct err *e)
{
	const struct authorize *c = ctx;
	struct db_array ids;
	int64_t upload;
	int rc = -1;

	array_init(&ids, DB_INT8S);
	if (upload_open(db, c->token, c->owner, c->lease_us, &upload, e) == 0 &&
	    check_writes(db, c, upload, &ids, e) == 0 &&
	    (c->record || extend_rights(db, &ids, c->auth_us, e) == 0))
		rc = insert_writes(db, c, upload, &ids, e);
	array_done(&ids);
	return rc;
}

int
uploads_authorize(struct db *db, const char *token, const char *owner,
    const struct upload_write *writes, size_t n, int64_t auth_us,
    int64_t lease_us, struct err *e)
{
	struct authorize c = { token, owner, writes, n, auth_us, lease_us, 0 };

	if (db_transaction(db, DB_READ_COMMITTED, authorize, &c, e) != 0)
		return err_prefix(e, "authorize");
	return 0;
}

int
uploads_record(struct db *db, const char *token, const char *owner,
    const struct upload_write *writes, size_t n, struct err *e)
{
	struct authorize c = { token, owner, writes, n, 0, 0, 1 };

	if (db_transaction(db, DB_READ_COMMITTED, authorize, &c, e) != 0)
		return err_prefix(e, "record what is stored");
	return 0;
}

/* ---- multipart uploads ---- */

struct intend {
	struct authorize a;
	int64_t id;
};

static int
intend(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO multiparts (upload_id, object_id, key)"
	    " SELECT $1, unnest($2), $3 RETURNING id";
	struct intend *c = ctx;
	struct db_array ids;
	int64_t upload;
	PGresult *r;
	int rc = -1;

	array_init(&ids, DB_INT8S);
	if (upload_open(
	        db, c->a.token, c->a.owner, c->a.lease_us, &upload, e) == 0 &&
	    check_writes(db, &c->a, upload, &ids, e) == 0)
		rc = db_exec(db, sql,
		    PARAMS(
		        P_I64(upload), P_ARRAY(&ids), P_TEXT(c->a.writes->key)),
		    &r, e);
	array_done(&ids);
	if (rc == 0) {
		c->id = row_i64(r, 0, 0);
		PQclear(r);
	}
	return rc;
}

int
uploads_multipart_intend(struct db *db, const char *token, const char *owner,
    const char *key, int64_t lease_us, int64_t *id, struct err *e)
{
	struct upload_write w = { .key = key };
	struct intend c = { .a = { token, owner, &w, 1, 0, lease_us, 0 } };

	if (db_transaction(db, DB_READ_COMMITTED, intend, &c, e) != 0)
		return err_prefix(e, "begin a multipart upload");
	*id = c.id;
	return 0;
}

int
uploads_multipart_begun(
    struct db *db, int64_t id, const char *s3_id, struct err *e)
{
	static const char sql[] =
	    "UPDATE multiparts SET s3_id = $2 WHERE id = $1 AND s3_id IS NULL";
	PGresult *r;
	int rc = 0;

	if (db_query(db, sql, PARAMS(P_I64(id), P_TEXT(s3_id)), &r, e) != 0)
		return -1;
	if (rows_affected(r) == 0)
		rc = err_set(e, ERR_NOT_FOUND,
		    "the intent of this multipart upload is gone");
	PQclear(r);
	return rc;
}

int
uploads_multipart_completing(struct db *db, const char *token,
    const char *owner, const char *key, const char *s3_id, uint64_t size,
    const uint8_t sha256[32], int64_t auth_us, int64_t lease_us, struct err *e)
{
	struct upload_write w = {
		.key = key, .size = size, .whole = 1, .s3_id = s3_id
	};

	memcpy(w.sha256, sha256, sizeof w.sha256);
	return uploads_authorize(db, token, owner, &w, 1, auth_us, lease_us, e);
}

int
uploads_multipart_done(
    struct db *db, const char *key, const char *s3_id, struct err *e)
{
	return db_query(db,
	    "DELETE FROM multiparts WHERE key = $1 AND s3_id = $2",
	    PARAMS(P_TEXT(key), P_TEXT(s3_id)), NULL, e);
}

int
uploads_key_lock(struct db *db, const char *key, struct err *e)
{
	if (!db_in_transaction(db))
		err_die("a lock on a key outside of a transaction");
	return db_exec(db,
	    "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
	    PARAMS(P_TEXT(key)), NULL, e);
}

/* ---- the end ---- */

struct abort {
	const char *token, *owner;
	struct arena *a;
	struct upload_multipart *out;
	size_t n;
};

static int
abort_upload(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "SELECT key, s3_id FROM multiparts"
	    " WHERE upload_id = $1 AND s3_id IS NOT NULL ORDER BY id";
	struct abort *c = ctx;
	enum upload_state state;
	int64_t upload;
	int full = 0;
	PGresult *r;

	if (upload_lock(db, c->token, c->owner, &upload, &state, e) != 0)
		return -1;
	if (state == UPLOAD_COMMITTED)
		return upload_closed(state, e);
	if ((state == UPLOAD_OPEN &&
	        upload_end(db, upload, "aborted", e) != 0) ||
	    db_exec(db, sql, PARAMS(P_I64(upload)), &r, e) != 0)
		return -1;
	c->n = PQntuples(r);
	c->out = arena_array(c->a, c->n, sizeof *c->out);
	for (size_t i = 0; c->out != NULL && i < c->n; i++) {
		c->out[i].key = row_text(r, i, 0, c->a, &full);
		c->out[i].s3_id = row_text(r, i, 1, c->a, &full);
	}
	PQclear(r);
	return c->out == NULL || full ? arena_full(c->a, e) : 0;
}

int
uploads_abort(struct db *db, const char *token, const char *owner,
    struct arena *a, struct upload_multipart **out, size_t *n, struct err *e)
{
	struct abort c = { .token = token, .owner = owner, .a = a };

	if (db_transaction(db, DB_READ_COMMITTED, abort_upload, &c, e) != 0)
		return err_prefix(e, "abort");
	*out = c.out;
	*n = c.n;
	return 0;
}
