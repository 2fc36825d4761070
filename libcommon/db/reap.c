#include "reap.h"

#include <string.h>

#include "../core/arena.h"
#include "db_internal.h"

#define UPLOADS_MAX  100  /* ended by one call */
#define CLOSURES_MAX 1000 /* deleted by one call */

/* ---- roots that run out ---- */

struct expire {
	int64_t older_than_us;
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
	return rc;
}

int
reap_uploads(struct db *db, int64_t older_than_us, uint64_t *n, struct err *e)
{
	struct expire x = { .older_than_us = older_than_us, .n = 1 };
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

/* closures_present refreshes without the lock: the time is looked at again in
 * the row that is deleted. */
static int
expire_closures(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "DELETE FROM closures WHERE object_id IN ("
	    "SELECT object_id FROM closures c"
	    " WHERE updated_at <= now() - $1 * interval '1 microsecond'"
	    " AND NOT EXISTS (SELECT FROM pins p"
	    " WHERE p.object_id = c.object_id)"
	    " ORDER BY updated_at LIMIT $2)"
	    " AND updated_at <= now() - $1 * interval '1 microsecond'";
	struct expire *x = ctx;
	PGresult *r;

	if (db_roots_exclusive(db, DB_ROOTS_MS, e) != 0 ||
	    db_exec(db, sql,
	        PARAMS(P_I64(x->older_than_us), P_I64(CLOSURES_MAX)), &r,
	        e) != 0)
		return -1;
	x->n = rows_affected(r);
	PQclear(r);
	return 0;
}

int
reap_closures(struct db *db, int64_t older_than_us, uint64_t *n, struct err *e)
{
	struct expire x = { .older_than_us = older_than_us };

	if (db_transaction(db, DB_READ_COMMITTED, expire_closures, &x, e) != 0)
		return err_prefix(e, "delete old closures");
	*n = x.n;
	return 0;
}

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
reap_history(struct db *db, struct err *e)
{
	if (db_transaction(db, DB_READ_COMMITTED, history, NULL, e) != 0)
		return err_prefix(e, "forget old uploads");
	return 0;
}

/* ---- multipart uploads ---- */

int
reap_multiparts(struct db *db, struct arena *a, struct reap_multipart **out,
    size_t *n, struct err *e)
{
	static const char sql[] =
	    "SELECT m.id, m.key, m.s3_id FROM multiparts m"
	    " WHERE NOT EXISTS (SELECT FROM uploads u"
	    " WHERE u.id = m.upload_id AND u.state = 'open')"
	    " ORDER BY m.id LIMIT $1";
	struct reap_multipart *all;
	int full = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_I64(REAP_BATCH)), &r, e) != 0)
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
reap_multipart_done(struct db *db, int64_t id, struct err *e)
{
	return db_query(db, "DELETE FROM multiparts WHERE id = $1",
	    PARAMS(P_I64(id)), NULL, e);
}

int
reap_multipart_orphan(struct db *db, const char *key, const char *s3_id,
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

/* ---- claims ---- */

struct claim {
	const char *find_sql; /* candidates behind the cursor, without a lock */
	const char *claim_sql; /* with all checks done again */
	int64_t run, grace_us;
	struct reap_cursor at;
	struct arena *a;
	struct reap_object *out;
	size_t n;
	struct db_array ids; /* the candidates */
};

static int
read_objects(const PGresult *r, struct claim *c, struct err *e)
{
	int full = 0;

	c->n = PQntuples(r);
	c->out = arena_array(c->a, c->n, sizeof *c->out);
	for (size_t i = 0; c->out != NULL && i < c->n; i++) {
		c->out[i].id = row_i64(r, i, 0);
		c->out[i].key = row_text(r, i, 1, c->a, &full);
		c->out[i].size = row_i64(r, i, 2);
	}
	return c->out == NULL || full ? arena_full(c->a, e) : 0;
}

/* Rule R4: what is claimed is checked by the statement that claims it. */
static int
claim(struct db *db, void *ctx, struct err *e)
{
	struct claim *c = ctx;
	PGresult *r;
	int rc;

	if (db_roots_exclusive(db, DB_ROOTS_MS, e) != 0 ||
	    db_exec(db, c->claim_sql,
	        PARAMS(P_ARRAY(&c->ids), P_I64(c->run), P_I64(c->grace_us)), &r,
	        e) != 0)
		return -1;
	rc = read_objects(r, c, e);
	PQclear(r);
	return rc;
}

/* Moves the cursor over the next candidates, which are of one rank: a bucket
 * deletes those of one batch in any order. */
static int
find(struct db *db, struct claim *c, struct err *e)
{
	PGresult *r;
	int n = 0;

	if (db_query(db, c->find_sql,
	        PARAMS(P_I64(c->at.rank), P_I64(c->at.id), P_I64(REAP_BATCH),
	            P_I64(c->grace_us)),
	        &r, e) != 0)
		return -1;
	while (n < PQntuples(r) && row_i64(r, n, 0) == row_i64(r, 0, 0))
		array_i64(&c->ids, row_i64(r, n++, 1));
	if (n > 0) {
		c->at.rank = row_i64(r, n - 1, 0);
		c->at.id = row_i64(r, n - 1, 1);
	}
	PQclear(r);
	return 0;
}

/* The next batch of which something could be claimed. */
static int
claim_next(struct db *db, struct claim *c, struct err *e)
{
	int rc, more;

	do {
		array_init(&c->ids, DB_INT8S);
		rc = find(db, c, e);
		more = c->ids.n > 0;
		if (rc == 0 && more)
			rc = db_transaction(db, DB_READ_COMMITTED, claim, c, e);
		array_done(&c->ids);
	} while (rc == 0 && more && c->n == 0);
	return rc;
}

/*
 * Nothing that a root needs is a tombstone: beginning an upload revives, and
 * marking follows every reference. That no root names it itself is checked all
 * the same.
 */
#define UNNEEDED(id)                                  \
	" AND NOT EXISTS (SELECT FROM upload_needs n" \
	" WHERE n.object_id = " id PROBE              \
	" AND NOT EXISTS (SELECT FROM closures k"     \
	" WHERE k.object_id = " id PROBE              \
	" AND NOT EXISTS (SELECT FROM closures k"     \
	" WHERE k.extra <> '{}' AND k.extra @> ARRAY[" id "]" PROBE
/* What is told of the claimed ones, t. */
#define CLAIMED                                                          \
	" SELECT t.object_id, o.key,"                                    \
	" (SELECT size FROM contents c WHERE c.object_id = t.object_id)" \
	" FROM t JOIN LATERAL (SELECT key FROM objects"                  \
	" WHERE id = t.object_id" PROBE " o ON true ORDER BY t.object_id"

/* clang-format off */
static const char due_sql[] =
    "SELECT t.rank, t.object_id FROM tombstones t WHERE t.claim IS NULL"
    " AND (t.rank, t.object_id) > ($1, $2)"
    " AND t.first_at <= now() - $4 * interval '1 microsecond'"
    " ORDER BY t.rank, t.object_id LIMIT $3";
static const char claim_sql[] =
    "WITH t AS (UPDATE tombstones t"
    " SET claim = $2, claimed_at = clock_timestamp()"
    " WHERE t.object_id = ANY ($1) AND t.claim IS NULL"
    " AND t.first_at <= now() - $3 * interval '1 microsecond'"
    UNNEEDED("t.object_id")
    " RETURNING t.object_id)" CLAIMED;

/* What was deleted already waits until nobody may write it any more. */
#define AGAIN " AND (NOT p.swept OR p.auth_until <= now())"

static const char rolled_back_sql[] =
    "SELECT $1, p.object_id FROM pending p WHERE p.object_id > $2" AGAIN
    " AND (SELECT " DB_RANK("o.kind") " FROM objects o"
    " WHERE o.id = p.object_id) = $1"
    " AND NOT EXISTS (SELECT FROM tombstones t"
    " WHERE t.object_id = p.object_id" PROBE
    " AND NOT EXISTS (SELECT FROM upload_needs n"
    " WHERE n.object_id = p.object_id" PROBE
    " ORDER BY p.object_id LIMIT $3";
static const char claim_pending_sql[] =
    "WITH t AS (INSERT INTO tombstones"
    " (object_id, first_at, rank, claim, claimed_at)"
    " SELECT p.object_id, now(), (SELECT " DB_RANK("o.kind")
    " FROM objects o WHERE o.id = p.object_id), $2, clock_timestamp()"
    " FROM pending p WHERE p.object_id = ANY ($1)" AGAIN
    UNNEEDED("p.object_id")
    " ORDER BY p.object_id ON CONFLICT DO NOTHING"
    " RETURNING object_id)" CLAIMED;
/* clang-format on */

int
reap_claim(struct db *db, int64_t run, int64_t grace_us,
    struct reap_cursor *after, struct arena *a, struct reap_object **out,
    size_t *n, struct err *e)
{
	struct claim c = {
		.find_sql = due_sql,
		.claim_sql = claim_sql,
		.run = run,
		.grace_us = grace_us,
		.at = *after,
		.a = a,
	};

	if (claim_next(db, &c, e) != 0)
		return err_prefix(e, "claim tombstones");
	*after = c.at;
	*out = c.out;
	*n = c.n;
	return 0;
}

int
reap_claim_pending(struct db *db, int64_t run, struct reap_cursor *after,
    struct arena *a, struct reap_object **out, size_t *n, struct err *e)
{
	struct claim c = {
		.find_sql = rolled_back_sql,
		.claim_sql = claim_pending_sql,
		.run = run,
		.at = *after,
		.a = a,
	};

	if (c.at.rank == 0)
		c.at.rank = 1;
	for (;;) {
		if (claim_next(db, &c, e) != 0)
			return err_prefix(e, "claim what was rolled back");
		if (c.n > 0 || c.at.rank == DB_RANKS)
			break;
		c.at = (struct reap_cursor){ .rank = c.at.rank + 1 };
	}
	*after = c.at;
	*out = c.out;
	*n = c.n;
	return 0;
}

/*
 * What is found is claimed anew: its time tells that this sweep had it. A sweep
 * begins with the first call and ends with the one that finds nothing more.
 */
int
reap_leftover(struct db *db, int64_t run, int64_t age_us, struct arena *a,
    struct reap_object **out, size_t *n, struct err *e)
{
	static const char now_sql[] =
	    "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
	static const char sql[] =
	    "WITH t AS (UPDATE tombstones t"
	    " SET claim = $1, claimed_at = clock_timestamp()"
	    " WHERE t.object_id IN (SELECT object_id FROM tombstones"
	    " WHERE claim IS NOT NULL AND claimed_at <="
	    " 'epoch'::timestamptz + $2 * interval '1 microsecond'"
	    " ORDER BY rank, object_id LIMIT $3) RETURNING "
	    "t.object_id)" CLAIMED;
	struct claim c = { .a = a };
	int64_t *sweep = db_sweep(db);
	PGresult *r;
	int rc;

	if (*sweep == 0) {
		if (db_query(db, now_sql, P_NONE, &r, e) != 0)
			return -1;
		*sweep = row_i64(r, 0, 0);
		PQclear(r);
	}
	if (db_query(db, sql,
	        PARAMS(P_I64(run), P_I64(*sweep - age_us), P_I64(REAP_BATCH)),
	        &r, e) != 0)
		return err_prefix(e, "claim what a worker left");
	rc = read_objects(r, &c, e);
	PQclear(r);
	if (rc != 0)
		return -1;
	if (c.n == 0)
		*sweep = 0;
	*out = c.out;
	*n = c.n;
	return 0;
}

/* ---- answers ---- */

struct finish {
	struct db_array gone, refused;
};

/*
 * What is gone: one that an upload needs, or that somebody may still write,
 * becomes pending; the other rows go. Only claimed ones: an answer that comes
 * twice finds nothing left to do.
 */
static int
finish_gone(struct db *db, struct finish *f, struct err *e)
{
	static const char *const sql[] = {
		"SELECT FROM pending WHERE object_id = ANY ($1)"
		" ORDER BY object_id FOR UPDATE",
		"WITH g AS (DELETE FROM tombstones"
		" WHERE object_id = ANY ($1) AND claim IS NOT NULL"
		" RETURNING object_id),"
		" c AS (DELETE FROM contents WHERE object_id ="
		" ANY (ARRAY(SELECT object_id FROM g))),"
		" a AS (SELECT g.object_id, greatest('-infinity',"
		" (SELECT auth_until FROM contents c"
		" WHERE c.object_id = g.object_id),"
		" (SELECT auth_until FROM pending p"
		" WHERE p.object_id = g.object_id)) AS auth_until,"
		" EXISTS (SELECT FROM upload_needs n"
		" WHERE n.object_id = g.object_id" PROBE " AS needed"
		" FROM g),"
		" s AS (SELECT *, needed OR auth_until > now() AS stays"
		" FROM a),"
		" keep AS (INSERT INTO pending (object_id, auth_until, swept)"
		" SELECT object_id, auth_until, NOT needed FROM s"
		" WHERE stays ORDER BY object_id ON CONFLICT (object_id) DO "
		"UPDATE"
		" SET auth_until = excluded.auth_until,"
		" swept = excluded.swept),"
		" forget AS (DELETE FROM pending WHERE object_id ="
		" ANY (ARRAY(SELECT object_id FROM s WHERE NOT stays)))"
		" DELETE FROM objects WHERE id ="
		" ANY (ARRAY(SELECT object_id FROM s WHERE NOT stays))",
	};

	for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++)
		if (db_send(db, sql[i], PARAMS(P_ARRAY(&f->gone)), e) != 0)
			return -1;
	return 0;
}

static int
finish(struct db *db, void *ctx, struct err *e)
{
	static const char refused_sql[] =
	    "UPDATE tombstones SET claim = NULL, claimed_at = NULL"
	    " WHERE object_id = ANY ($1) AND claim IS NOT NULL";
	struct finish *f = ctx;

	if (db_roots_exclusive(db, DB_ROOTS_MS, e) != 0 ||
	    (f->gone.n > 0 && finish_gone(db, f, e) != 0))
		return -1;
	return f->refused.n == 0
	    ? 0
	    : db_send(db, refused_sql, PARAMS(P_ARRAY(&f->refused)), e);
}

int
reap_finish(struct db *db, const struct reap_object *objects,
    const enum reap_answer *answers, size_t n, struct err *e)
{
	struct finish f;
	int rc;

	array_init(&f.gone, DB_INT8S);
	array_init(&f.refused, DB_INT8S);
	for (size_t i = 0; i < n; i++)
		if (answers[i] == REAP_GONE)
			array_i64(&f.gone, objects[i].id);
		else if (answers[i] == REAP_REFUSED)
			array_i64(&f.refused, objects[i].id);
	rc = db_transaction(db, DB_READ_COMMITTED, finish, &f, e);
	array_done(&f.gone);
	array_done(&f.refused);
	return rc == 0 ? 0 : err_prefix(e, "write down what was deleted");
}
