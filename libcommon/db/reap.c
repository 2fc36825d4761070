#include "reap.h"

#include "../core/arena.h"
#include "db_internal.h"
#include "gcruns.h"

/* A time that is given in microseconds. */
#define AT(us) "'epoch'::timestamptz + " us " * interval '1 microsecond'"
/* A time as microseconds. */
#define US(at)  "(extract(epoch FROM " at ") * 1000000)::bigint"

#define SLICE   250 /* objects under the roots lock at once */
#define SCRATCH ((size_t)4 << 20)

int
reap_clock(struct db *db, int64_t *now_us, struct err *e)
{
	PGresult *r;

	if (db_query(db, "SELECT " US("clock_timestamp()"), P_NONE, &r, e) != 0)
		return err_prefix(e, "clock of the database");
	*now_us = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

int
reap_due(struct db *db, int64_t until_us, int64_t *objects, int64_t *bytes,
    struct err *e)
{
	static const char sql[] =
	    "SELECT count(*), coalesce(sum((SELECT size FROM contents c"
	    " WHERE c.object_id = t.object_id)), 0)::bigint"
	    " FROM tombstones t WHERE claim IS NULL"
	    " AND first_at <= " AT("$1");
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_I64(until_us)), &r, e) != 0)
		return err_prefix(e, "count tombstones");
	*objects = row_i64(r, 0, 0);
	*bytes = row_i64(r, 0, 1);
	PQclear(r);
	return 0;
}

int
reap_object_id(struct db *db, const char *key, int64_t *id, struct err *e)
{
	PGresult *r;
	int rc = 0;

	if (db_query(db, "SELECT id FROM objects WHERE key = $1 COLLATE \"C\"",
	        PARAMS(P_TEXT(key)), &r, e) != 0)
		return err_prefix(e, "look up %s", key);
	if (PQntuples(r) > 0)
		*id = row_i64(r, 0, 0);
	else
		rc = err_set(e, ERR_NOT_FOUND, "%s is not in the cache", key);
	PQclear(r);
	return rc;
}

/* ---- claims ---- */

struct claim {
	const char *find_sql; /* candidates behind the cursor, without a lock */
	const char *claim_sql; /* with all checks done again */
	int64_t run, until_us;
	struct reap_cursor at;
	struct arena *a;
	struct arena *scratch;     /* of the candidates */
	struct reap_object *found; /* those, in the order of ids */
	size_t nfound;
	struct db_array ids; /* of some of those */
	PGresult *claimed;
	struct reap_object *out; /* claimed */
	size_t n;
};

static struct reap_object
read_object(const PGresult *r, int row, struct arena *a, int *full)
{
	return (struct reap_object){
		.id = row_i64(r, row, 0),
		.key = row_text(r, row, 1, a, full),
		.size = row_i64(r, row, 2),
	};
}

/* Those of the candidates that were claimed; both are in the order of ids. */
static int
add_claimed(const PGresult *r, struct claim *c, struct err *e)
{
	size_t at = 0;

	for (int i = 0; i < PQntuples(r); i++) {
		struct reap_object *o = &c->out[c->n];

		while (c->found[at].id != row_i64(r, i, 0))
			at++;
		*o = c->found[at];
		o->claimed_us = row_i64(r, i, 1);
		o->run = c->run;
		if ((o->key = arena_str(c->a, o->key)) == NULL)
			return arena_full(c->a, e);
		c->n++;
	}
	return 0;
}

/* Rule R4: what is claimed is checked by the statement that claims it. */
static int
claim(struct db *db, void *ctx, struct err *e)
{
	struct claim *c = ctx;

	PQclear(c->claimed); /* of a try before */
	c->claimed = NULL;
	return db_lazy(db, e) != 0 ||
	        db_roots_exclusive(db, DB_ROOTS_MS, e) != 0
	    ? -1
	    : db_exec(db, c->claim_sql,
	          PARAMS(P_ARRAY(&c->ids), P_I64(c->run), P_I64(c->until_us),
	              P_I64(c->at.rank)),
	          &c->claimed, e);
}

/* All candidates, some at a time: uploads that begin or commit wait for the
 * lock. */
static int
claim_found(struct db *db, struct claim *c, int64_t from, struct err *e)
{
	int rc = 0;

	if (c->out == NULL &&
	    (c->out = arena_array(c->a, REAP_BATCH, sizeof *c->out)) == NULL)
		return arena_full(c->a, e);
	for (size_t i = 0; i < c->nfound && rc == 0; i += SLICE) {
		array_init(&c->ids, DB_INT8S);
		for (size_t k = i; k < c->nfound && k < i + SLICE; k++)
			array_i64(&c->ids, c->found[k].id);
		rc = db_transaction(db, DB_READ_COMMITTED, claim, c, e);
		array_done(&c->ids);
		if (rc == 0)
			rc = add_claimed(c->claimed, c, e);
		PQclear(c->claimed);
		c->claimed = NULL;
	}
	if (rc == 0 || c->n == 0)
		return rc;
	/* Those that were claimed are deleted, before the others are tried
	 * again. */
	err_clear(e);
	c->at.id = from;
	return 0;
}

/* Takes the candidates of the cursor's rank; *more gets 0 at its end. */
static int
take(struct db *db, struct claim *c, int *more, struct err *e)
{
	int full = 0;
	PGresult *r;

	if (db_query(db, c->find_sql,
	        PARAMS(P_I64(c->at.rank), P_I64(c->at.id), P_I64(REAP_BATCH),
	            P_I64(c->until_us)),
	        &r, e) != 0)
		return -1;
	c->nfound = 0;
	c->found = arena_array(c->scratch, PQntuples(r), sizeof *c->found);
	for (int i = 0; c->found != NULL && i < PQntuples(r); i++) {
		struct reap_object o = read_object(r, i, c->scratch, &full);

		c->at.id = o.id;
		c->found[c->nfound++] = o;
	}
	*more = PQntuples(r) > 0;
	PQclear(r);
	return c->found == NULL || full ? arena_full(c->scratch, e) : 0;
}

static void
next_rank(struct reap_cursor *at)
{
	at->rank++;
	at->id = 0;
}

/* The next batch of which something could be claimed; none at the end. */
static int
claim_next(struct db *db, struct claim *c, struct err *e)
{
	int rc = 0, more;

	if (c->at.rank == 0)
		next_rank(&c->at);
	while (rc == 0 && c->n == 0 && c->at.rank <= DB_RANKS) {
		int64_t from = c->at.id;

		arena_reset(c->scratch);
		rc = take(db, c, &more, e);
		if (rc == 0)
			rc = claim_found(db, c, from, e);
		/* What was claimed is deleted before the next rank begins. */
		if (rc == 0 && !more && c->n == 0)
			next_rank(&c->at);
	}
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
	" WHERE k.object_id = " id PROBE
/*
 * Rule R10, for all but narinfos: a narinfo that may be in the bucket names it.
 * That is one whose delete was asked for (it keeps the time of its claim when it
 * was refused), and one that was, or is, or is to be written (pending, with a
 * writer). $1 are the candidates, $4 is their rank.
 */
#define UNNAMED(id)                                                  \
	" AND ($4 = 1 OR " id " <> ALL (ARRAY(SELECT unnest(o.refs)" \
	" FROM objects o WHERE o.kind = 1 AND o.refs && $1"          \
	" AND o.id = ANY (ARRAY(SELECT object_id FROM tombstones"    \
	" WHERE claimed_at IS NOT NULL AND rank = 1 UNION ALL"       \
	" SELECT object_id FROM pending WHERE writer IS NOT NULL)))))"
/* What is told of a candidate, whose id is that. */
#define TELL(id)                                                     \
	" " id ", (SELECT key FROM objects o WHERE o.id = " id PROBE \
	", (SELECT size FROM contents c WHERE c.object_id = " id PROBE
/* What was deleted already waits until nobody may write it any more. */
#define AGAIN " AND (NOT p.swept OR p.auth_until <= now())"

/* clang-format off */
static const char due_sql[] =
    "SELECT" TELL("t.object_id") " FROM tombstones t"
    " WHERE rank = $1 AND object_id > $2 AND claim IS NULL"
    " AND first_at <= " AT("$4") " ORDER BY object_id LIMIT $3";

static const char rolled_back_sql[] =
    "SELECT" TELL("p.object_id") " FROM pending p"
    " WHERE p.object_id > $2" AGAIN
    " AND (SELECT " DB_RANK("o.kind") " FROM objects o"
    " WHERE o.id = p.object_id) = $1"
    " AND NOT EXISTS (SELECT FROM tombstones t"
    " WHERE t.object_id = p.object_id" PROBE
    " AND NOT EXISTS (SELECT FROM upload_needs n"
    " WHERE n.object_id = p.object_id" PROBE
    " AND $4 >= 0 ORDER BY p.object_id LIMIT $3";

static const char claim_sql[] =
    "WITH t AS (UPDATE tombstones t"
    " SET claim = $2, claimed_at = statement_timestamp()"
    " WHERE t.object_id = ANY ($1) AND t.claim IS NULL"
    " AND t.first_at <= " AT("$3")
    UNNEEDED("t.object_id") UNNAMED("t.object_id")
    " RETURNING t.object_id, t.claimed_at)"
    " SELECT object_id, " US("claimed_at") " FROM t ORDER BY object_id";

/* Its parameters are those of the other, but pending objects have no time. */
static const char claim_pending_sql[] =
    "WITH t AS (INSERT INTO tombstones AS t"
    " (object_id, first_at, rank, claim, claimed_at)"
    " SELECT p.object_id, now(), $4, $2, statement_timestamp()"
    " FROM pending p WHERE p.object_id = ANY ($1) AND $3 >= 0" AGAIN
    UNNEEDED("p.object_id") UNNAMED("p.object_id")
    " ORDER BY p.object_id ON CONFLICT DO NOTHING"
    " RETURNING t.object_id, t.claimed_at)"
    " SELECT object_id, " US("claimed_at") " FROM t ORDER BY object_id";

/* What is found is claimed anew: its time tells that it was found. */
static const char leftover_sql[] =
    "WITH t AS (UPDATE tombstones t"
    " SET claim = CASE WHEN $1 > 0 THEN $1 ELSE claim END,"
    " claimed_at = statement_timestamp()"
    " WHERE t.object_id = ANY (ARRAY(SELECT object_id FROM tombstones"
    " WHERE claim IS NOT NULL AND claimed_at <= " AT("$2")
    " ORDER BY rank, object_id LIMIT $3))"
    " RETURNING t.object_id, t.claimed_at, t.claim)"
    " SELECT" TELL("t.object_id") ", " US("claimed_at") ", claim"
    " FROM t ORDER BY claim";
/* clang-format on */

static int
claim_batch(struct db *db, struct claim *c, struct reap_cursor *after,
    struct reap_object **out, size_t *n, struct err *e)
{
	struct reap_cursor was = *after;
	int rc;

	c->at = *after;
	c->scratch = arena_new(SCRATCH);
	rc = claim_next(db, c, e);
	arena_free(c->scratch);
	*after = c->at;
	/* The disk is waited for once, and not under the lock. */
	if (rc == 0 && c->n > 0)
		rc = db_flush(db, e);
	if (rc != 0) {
		*after = was; /* to be tried again */
		return -1;
	}
	*out = c->out;
	*n = c->n;
	return 0;
}

int
reap_claim(struct db *db, int64_t run, int64_t until_us,
    struct reap_cursor *after, struct arena *a, struct reap_object **out,
    size_t *n, struct err *e)
{
	struct claim c = {
		.find_sql = due_sql,
		.claim_sql = claim_sql,
		.run = run,
		.until_us = until_us,
		.a = a,
	};

	if (claim_batch(db, &c, after, out, n, e) != 0)
		return err_prefix(e, "claim tombstones");
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
		.a = a,
	};

	if (claim_batch(db, &c, after, out, n, e) != 0)
		return err_prefix(e, "claim what was rolled back");
	return 0;
}

struct leftover {
	int64_t run, until_us;
	PGresult *claimed;
};

static int
claim_leftover(struct db *db, void *ctx, struct err *e)
{
	struct leftover *l = ctx;

	PQclear(l->claimed); /* of a try before */
	l->claimed = NULL;
	if (db_lazy(db, e) != 0 || db_roots_exclusive(db, DB_ROOTS_MS, e) != 0)
		return -1;
	return db_exec(db, leftover_sql,
	    PARAMS(P_I64(l->run), P_I64(l->until_us), P_I64(REAP_BATCH)),
	    &l->claimed, e);
}

int
reap_leftover(struct db *db, int64_t run, int64_t until_us, struct arena *a,
    struct reap_object **out, size_t *n, struct err *e)
{
	struct leftover l = { .run = run, .until_us = until_us };
	struct reap_object *all;
	int full = 0;

	if (db_transaction(db, DB_READ_COMMITTED, claim_leftover, &l, e) != 0 ||
	    (PQntuples(l.claimed) > 0 && db_flush(db, e) != 0)) {
		PQclear(l.claimed);
		return err_prefix(e, "claim what a worker left");
	}
	all = arena_array(a, PQntuples(l.claimed), sizeof *all);
	for (int i = 0; all != NULL && i < PQntuples(l.claimed); i++) {
		all[i] = read_object(l.claimed, i, a, &full);
		all[i].claimed_us = row_i64(l.claimed, i, 3);
		all[i].run = row_i64(l.claimed, i, 4);
	}
	if (all != NULL && !full) {
		*out = all;
		*n = PQntuples(l.claimed);
	}
	PQclear(l.claimed);
	return all == NULL || full ? arena_full(a, e) : 0;
}

/* ---- answers ---- */

struct finish {
	struct db_array gone, refused;
	int64_t claimed_us; /* of all of them */
	int64_t run;
	int leftover;
	struct gcrun_tally tally;
};

/* A claim is named by its time: a worker that slept has lost it. */
#define OURS " AND claim IS NOT NULL AND claimed_at = " AT("$2")

/*
 * What is gone: one that an upload needs, or that somebody could still write when
 * it was claimed (rule R7), becomes pending; the other rows go. An answer that
 * comes twice finds nothing left to do.
 */
static int
finish_gone(struct db *db, struct finish *f, struct err *e)
{
	static const char lock_sql[] =
	    "SELECT FROM pending WHERE object_id = ANY ($1)"
	    " ORDER BY object_id FOR UPDATE";
	/* clang-format off */
	static const char sql[] =
	    "WITH g AS (DELETE FROM tombstones"
	    " WHERE object_id = ANY ($1)" OURS " RETURNING object_id),"
	    " ids AS (SELECT ARRAY(SELECT object_id FROM g) AS gone),"
	    " c AS (DELETE FROM contents WHERE object_id ="
	    " ANY (ARRAY(SELECT unnest(gone) FROM ids))"
	    " RETURNING object_id, size, auth_until),"
	    /* Those whose rows stay. */
	    " s AS (SELECT object_id, max(auth_until) AS auth_until,"
	    " bool_or(needed) AS needed FROM ("
	    "SELECT object_id, auth_until, false AS needed FROM c"
	    " WHERE auth_until > " AT("$2")
	    " UNION ALL SELECT object_id, auth_until, false FROM pending"
	    " WHERE object_id = ANY (ARRAY(SELECT unnest(gone) FROM ids))"
	    " AND auth_until > " AT("$2")
	    " UNION ALL SELECT object_id, '-infinity', true"
	    " FROM upload_needs WHERE object_id ="
	    " ANY (ARRAY(SELECT unnest(gone) FROM ids))) u GROUP BY 1),"
	    " keep AS (INSERT INTO pending"
	    " (object_id, auth_until, swept, writer)"
	    " SELECT object_id, auth_until, NOT needed, 0 FROM s"
	    " ORDER BY object_id ON CONFLICT (object_id) DO UPDATE"
	    " SET auth_until = excluded.auth_until, swept = excluded.swept),"
	    " d AS (SELECT ARRAY(SELECT object_id FROM g EXCEPT"
	    " SELECT object_id FROM s) AS ids),"
	    " forget AS (DELETE FROM pending WHERE object_id ="
	    " ANY (ARRAY(SELECT unnest(ids) FROM d))),"
	    " o AS (DELETE FROM objects WHERE id ="
	    " ANY (ARRAY(SELECT unnest(ids) FROM d)))"
	    " SELECT (SELECT count(*) FROM c),"
	    " (SELECT coalesce(sum(size), 0)::bigint FROM c)";
	/* clang-format on */
	PGresult *r;

	if (f->gone.n == 0)
		return 0;
	if (db_send(db, lock_sql, PARAMS(P_ARRAY(&f->gone)), e) != 0 ||
	    db_exec(db, sql, PARAMS(P_ARRAY(&f->gone), P_I64(f->claimed_us)),
	        &r, e) != 0)
		return -1;
	/* What has content was part of the cache. */
	f->tally.objects_deleted = row_i64(r, 0, 0);
	f->tally.bytes_deleted = row_i64(r, 0, 1);
	PQclear(r);
	return 0;
}

static int
finish_refused(struct db *db, struct finish *f, struct err *e)
{
	static const char sql[] =
	    "WITH t AS (UPDATE tombstones SET claim = NULL"
	    " WHERE object_id = ANY ($1)" OURS " RETURNING object_id)"
	    " INSERT INTO pending (object_id, auth_until, writer)"
	    " SELECT t.object_id, coalesce((SELECT auth_until FROM contents c"
	    " WHERE c.object_id = t.object_id), '-infinity'), 0 FROM t"
	    " WHERE $3 ORDER BY t.object_id ON CONFLICT DO NOTHING";

	if (f->refused.n == 0)
		return 0;
	return db_send(db, sql,
	    PARAMS(P_ARRAY(&f->refused), P_I64(f->claimed_us),
	        P_BOOL(f->leftover)),
	    e);
}

static int
finish(struct db *db, void *ctx, struct err *e)
{
	struct finish *f = ctx;

	if (db_lazy(db, e) != 0 ||
	    db_roots_exclusive(db, DB_ROOTS_MS, e) != 0 ||
	    finish_gone(db, f, e) != 0 || finish_refused(db, f, e) != 0)
		return -1;
	return gcruns_add(db, f->run, &f->tally, e);
}

/* Objects of one claim. */
static int
finish_slice(struct db *db, const struct reap_object *objects,
    const enum reap_answer *answers, size_t n, int leftover, struct err *e)
{
	struct finish f = {
		.claimed_us = objects[0].claimed_us,
		.run = objects[0].run,
		.leftover = leftover,
	};
	int rc;

	array_init(&f.gone, DB_INT8S);
	array_init(&f.refused, DB_INT8S);
	for (size_t i = 0; i < n; i++) {
		if (answers[i] == REAP_GONE)
			array_i64(&f.gone, objects[i].id);
		else
			f.tally.objects_failed++;
		if (answers[i] == REAP_REFUSED)
			array_i64(&f.refused, objects[i].id);
	}
	rc = db_transaction(db, DB_READ_COMMITTED, finish, &f, e);
	array_done(&f.gone);
	array_done(&f.refused);
	return rc;
}

int
reap_finish(struct db *db, const struct reap_object *objects,
    const enum reap_answer *answers, size_t n, int leftover, size_t *done,
    struct err *e)
{
	while (*done < n) {
		const struct reap_object *first = &objects[*done];
		size_t some = 1;

		while (*done + some < n && some < SLICE &&
		    first[some].claimed_us == first->claimed_us &&
		    first[some].run == first->run)
			some++;
		if (finish_slice(
		        db, first, &answers[*done], some, leftover, e) != 0)
			return err_prefix(e, "write down what was deleted");
		*done += some;
	}
	return 0;
}
