#include "expire.h"

#include <stdio.h>

#include "../core/arena.h"
#include "db_internal.h"
#include "gcruns.h"

#define UPLOADS_MAX    100  /* ended by one call */
#define MULTIPARTS_MAX 1000 /* told of by one call */

/* ---- uploads ---- */

struct expire {
	int64_t older_than_us, run;
	uint64_t n;
};

/* One upload a transaction: it may have very many rows. */
static int
expire_upload(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "SELECT id FROM uploads WHERE state = 'open'"
	    " AND lease_until <= now() - $1 * interval '1 microsecond'"
	    " ORDER BY lease_until LIMIT 1 FOR UPDATE SKIP LOCKED";
	struct expire *x = ctx;
	PGresult *r;
	int rc = 0;

	x->n = 0;
	if (db_roots_exclusive(db, DB_ROOTS_MS, e) != 0 ||
	    db_exec(db, sql, PARAMS(P_I64(x->older_than_us)), &r, e) != 0)
		return -1;
	if (PQntuples(r) > 0) {
		x->n = 1;
		rc = upload_end(db, row_i64(r, 0, 0), "expired", e);
	}
	PQclear(r);
	if (rc != 0)
		return -1;
	if (x->run == EXPIRE_NO_RUN)
		return 0;
	return gcruns_add(db, x->run,
	    &(struct gcrun_tally){ .failed_uploads_deleted = x->n }, e);
}

int
expire_uploads(struct db *db, int64_t older_than_us, int64_t run, uint64_t *n,
    struct err *e)
{
	struct expire x = {
		.older_than_us = older_than_us, .run = run, .n = 1
	};
	uint64_t ended = 0;

	while (x.n > 0 && ended < UPLOADS_MAX) {
		if (db_transaction(
		        db, DB_READ_COMMITTED, expire_upload, &x, e) != 0)
			return err_prefix(e, "end old uploads");
		ended += x.n;
	}
	*n = ended;
	return 0;
}

int
expire_uploads_due(
    struct db *db, int64_t older_than_us, int64_t *n, struct err *e)
{
	static const char sql[] =
	    "SELECT count(*) FROM uploads WHERE state = 'open'"
	    " AND lease_until <= now() - $1 * interval '1 microsecond'";
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_I64(older_than_us)), &r, e) != 0)
		return err_prefix(e, "count old uploads");
	*n = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

/* ---- closures ---- */

struct take {
	const char *key;
	int64_t run;
	char *pin;
	uint64_t n;
};

static int
take_closure(struct db *db, void *ctx, struct err *e)
{
	static const char pin_sql[] =
	    "SELECT name FROM pins WHERE object_id = (SELECT id FROM objects"
	    " WHERE key = $1 COLLATE \"C\") ORDER BY name LIMIT 1";
	static const char sql[] =
	    "DELETE FROM closures WHERE object_id = (SELECT id FROM objects"
	    " WHERE key = $1 COLLATE \"C\")";
	struct take *t = ctx;
	PGresult *r;

	if (db_roots_exclusive(db, DB_ROOTS_MS, e) != 0 ||
	    db_exec(db, pin_sql, PARAMS(P_TEXT(t->key)), &r, e) != 0)
		return -1;
	snprintf(t->pin, EXPIRE_PIN_MAX, "%s",
	    PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
	PQclear(r);
	t->n = 0;
	if (t->pin[0] != '\0')
		return 0;
	if (db_exec(db, sql, PARAMS(P_TEXT(t->key)), &r, e) != 0)
		return -1;
	t->n = rows_affected(r);
	PQclear(r);
	return gcruns_add(db, t->run,
	    &(struct gcrun_tally){ .old_closures_deleted = t->n }, e);
}

int
expire_closure(struct db *db, const char *key, int64_t run, uint64_t *n,
    char pin[EXPIRE_PIN_MAX], struct err *e)
{
	struct take t = { .key = key, .run = run, .pin = pin };

	if (db_transaction(db, DB_READ_COMMITTED, take_closure, &t, e) != 0)
		return err_prefix(e, "take away the closure of %s", key);
	*n = t.n;
	return 0;
}

/* ---- multipart uploads ---- */

int
expire_multiparts(struct db *db, struct arena *a, struct expire_multipart **out,
    size_t *n, struct err *e)
{
	static const char sql[] =
	    "SELECT m.id, m.key, m.s3_id FROM multiparts m"
	    " WHERE NOT EXISTS (SELECT FROM uploads u"
	    " WHERE u.id = m.upload_id AND u.state = 'open')"
	    " ORDER BY m.id LIMIT $1";
	struct expire_multipart *all;
	int full = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_I64(MULTIPARTS_MAX)), &r, e) != 0)
		return err_prefix(e, "multipart uploads that ended");
	all = arena_array(a, PQntuples(r), sizeof *all);
	for (int i = 0; all != NULL && i < PQntuples(r); i++) {
		all[i].id = row_i64(r, i, 0);
		all[i].key = row_text(r, i, 1, a, &full);
		all[i].s3_id = row_text(r, i, 2, a, &full);
	}
	if (all != NULL && !full) {
		*out = all;
		*n = PQntuples(r);
	}
	PQclear(r);
	return all == NULL || full ? arena_full(a, e) : 0;
}

int
expire_multipart_done(struct db *db, int64_t id, struct err *e)
{
	return db_query(db, "DELETE FROM multiparts WHERE id = $1",
	    PARAMS(P_I64(id)), NULL, e);
}

int
expire_multipart_orphan(struct db *db, const char *key, const char *s3_id,
    int *orphan, struct err *e)
{
	static const char sql[] =
	    "SELECT NOT EXISTS (SELECT FROM multiparts m"
	    " JOIN uploads u ON u.id = m.upload_id AND u.state = 'open'"
	    " WHERE m.key = $1 AND (m.s3_id = $2 OR m.s3_id IS NULL))";
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_TEXT(key), P_TEXT(s3_id)), &r, e) != 0)
		return err_prefix(e, "owner of a multipart upload");
	*orphan = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

/* ---- history ---- */

static int
history(struct db *db, void *ctx, struct err *e)
{
	static const char *const sql[] = {
		"DELETE FROM uploads u WHERE state <> 'open'"
		" AND ended_at <= now() - interval '1 day'"
		" AND NOT EXISTS (SELECT FROM multiparts m"
		" WHERE m.upload_id = u.id)",
		"WITH d AS (DELETE FROM stat_deltas RETURNING objects, bytes)"
		" INSERT INTO stat_deltas (objects, bytes)"
		" SELECT sum(objects), sum(bytes) FROM d HAVING count(*) > 0",
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++)
		if (db_send(db, sql[i], P_NONE, e) != 0)
			return -1;
	return 0;
}

int
expire_history(struct db *db, struct err *e)
{
	if (db_transaction(db, DB_READ_COMMITTED, history, NULL, e) != 0)
		return err_prefix(e, "forget old uploads");
	return 0;
}
