#include "gcruns.h"

#include "../core/arena.h"
#include "db_internal.h"

/* clang-format off */
#define US(expr) "(extract(epoch FROM " expr ") * 1000000)::bigint"
#define COLUMNS                                                         \
	"id, state, phase, error, "                                     \
	US("older_than") ", " US("pending_older_than") ", force,"       \
	" failed_uploads_deleted, old_closures_deleted,"                \
	" objects_marked, objects_revived, objects_deleted,"            \
	" bytes_deleted, objects_failed, "                              \
	US("created_at") ", " US("started_at") ", "                     \
	US("updated_at") ", " US("finished_at")
/* clang-format on */

static int
read_run(const PGresult *r, struct arena *a, struct gcrun *out, struct err *e)
{
	struct gcrun run = { .id = row_i64(r, 0, 0) };
	int full = 0, col = 1;

	run.state = row_text(r, 0, col++, a, &full);
	run.phase = row_text(r, 0, col++, a, &full);
	run.error = row_text(r, 0, col++, a, &full);
	run.params.older_than_us = row_i64(r, 0, col++);
	run.params.pending_older_than_us = row_i64(r, 0, col++);
	run.params.force = row_i64(r, 0, col++);
	run.failed_uploads_deleted = row_i64(r, 0, col++);
	run.old_closures_deleted = row_i64(r, 0, col++);
	run.objects_marked = row_i64(r, 0, col++);
	run.objects_revived = row_i64(r, 0, col++);
	run.objects_deleted = row_i64(r, 0, col++);
	run.bytes_deleted = row_i64(r, 0, col++);
	run.objects_failed = row_i64(r, 0, col++);
	run.created_us = row_i64(r, 0, col++);
	run.started_us = row_i64(r, 0, col++);
	run.updated_us = row_i64(r, 0, col++);
	run.finished_us = row_i64(r, 0, col++);
	if (full)
		return arena_full(a, e);
	*out = run;
	return 0;
}

/* ---- asking ---- */

struct start {
	const struct gcrun_params *p;
	struct arena *a;
	struct gcrun *out;
};

static int
start(struct db *db, void *ctx, struct err *e)
{
	/* clang-format off */
	static const char sql[] =
	    "WITH new AS (INSERT INTO gc_runs"
	    " (older_than, pending_older_than, force)"
	    " VALUES ($1 * interval '1 microsecond',"
	    " $2 * interval '1 microsecond', $3)"
	    " ON CONFLICT DO NOTHING RETURNING *)"
	    " SELECT " COLUMNS " FROM new UNION ALL"
	    " SELECT " COLUMNS " FROM gc_runs"
	    " WHERE state IN ('queued', 'running')";
	/* clang-format on */
	const struct start *s = ctx;
	const struct gcrun_params *p = s->p;
	PGresult *r;
	int rc;

	if (db_exec(db, sql,
	        PARAMS(P_I64(p->older_than_us), P_I64(p->pending_older_than_us),
	            P_BOOL(p->force)),
	        &r, e) != 0)
		return -1;
	/* The one in our way may have begun, or ended, only just now. */
	rc = PQntuples(r) == 0 ? db_again(db, e, "another run began or ended")
	                       : read_run(r, s->a, s->out, e);
	PQclear(r);
	return rc;
}

int
gcruns_start(struct db *db, const struct gcrun_params *p, struct arena *a,
    struct gcrun *out, struct err *e)
{
	struct start s = { p, a, out };

	if (db_transaction(db, DB_READ_COMMITTED, start, &s, e) != 0)
		return err_prefix(e, "start a garbage collection");
	if (out->params.older_than_us == p->older_than_us &&
	    out->params.pending_older_than_us == p->pending_older_than_us &&
	    !out->params.force == !p->force)
		return 0;
	err_set(e, ERR_CONFLICT,
	    "a garbage collection with other parameters is %s (run %lld)",
	    out->state, (long long)out->id);
	return err_hint(e, "wait for it to finish");
}

int
gcruns_get(struct db *db, int64_t id, struct arena *a, struct gcrun *out,
    struct err *e)
{
	static const char sql[] =
	    "SELECT " COLUMNS " FROM gc_runs"
	    " WHERE $1 IN (0, id) ORDER BY id DESC LIMIT 1";
	PGresult *r;
	int rc;

	if (db_query(db, sql, PARAMS(P_I64(id)), &r, e) != 0)
		return err_prefix(e, "garbage collection");
	if (PQntuples(r) > 0)
		rc = read_run(r, a, out, e);
	else
		rc = err_set(e, ERR_NOT_FOUND,
		    id == 0 ? "there was no garbage collection yet"
		            : "there is no such run of the garbage collection");
	PQclear(r);
	return rc;
}

/* ---- working ---- */

int
gcruns_take(struct db *db, struct arena *a, struct gcrun *out, struct err *e)
{
	static const char sql[] =
	    "UPDATE gc_runs SET state = 'running', updated_at = now(),"
	    " started_at = coalesce(started_at, now())"
	    " WHERE state IN ('queued', 'running') RETURNING " COLUMNS;
	PGresult *r;
	int rc = 0;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return err_prefix(e, "take a run of the garbage collection");
	if (PQntuples(r) > 0)
		rc = read_run(r, a, out, e);
	else
		out->id = 0;
	PQclear(r);
	return rc;
}

#define FIGURES                                            \
	"phase = $2, failed_uploads_deleted = $3,"         \
	" old_closures_deleted = $4, objects_marked = $5," \
	" objects_revived = $6, objects_deleted = $7,"     \
	" bytes_deleted = $8, objects_failed = $9, updated_at = now()"
#define FIGURE_PARAMS(r)                                                  \
	P_I64((r)->id), P_TEXT((r)->phase),                               \
	    P_I64((r)->failed_uploads_deleted),                           \
	    P_I64((r)->old_closures_deleted), P_I64((r)->objects_marked), \
	    P_I64((r)->objects_revived), P_I64((r)->objects_deleted),     \
	    P_I64((r)->bytes_deleted), P_I64((r)->objects_failed)

int
gcruns_progress(struct db *db, const struct gcrun *r, struct err *e)
{
	if (db_query(db, "UPDATE gc_runs SET " FIGURES " WHERE id = $1",
	        PARAMS(FIGURE_PARAMS(r)), NULL, e) != 0)
		return err_prefix(e, "progress of the garbage collection");
	return 0;
}

int
gcruns_finish(
    struct db *db, const struct gcrun *r, const char *error, struct err *e)
{
	static const char sql[] =
	    "UPDATE gc_runs SET " FIGURES ", finished_at = now(), error = $10,"
	    " state = CASE WHEN $10 IS NULL THEN 'succeeded' ELSE 'failed' END"
	    " WHERE id = $1 AND state = 'running'";

	if (db_query(
	        db, sql, PARAMS(FIGURE_PARAMS(r), P_TEXT(error)), NULL, e) != 0)
		return err_prefix(e, "end of the garbage collection");
	return 0;
}
