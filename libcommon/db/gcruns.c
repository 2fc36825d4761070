#include "gcruns.h"

#include <string.h>

#include "../core/arena.h"
#include "db_internal.h"

/* clang-format off */
#define US(expr) "(extract(epoch FROM " expr ") * 1000000)::bigint"
#define COLUMNS                                                         \
	"id, state, phase, error, error_kind, error_hint, kind, "       \
	US("older_than") ", " US("pending_older_than") ", force,"       \
	" coalesce(max_share, -1), target, at_once,"                    \
	" objects_live, objects_garbage, bytes_garbage,"                \
	" objects_due, bytes_due,"                                      \
	" failed_uploads_deleted, old_closures_deleted,"                \
	" objects_marked, objects_revived, objects_deleted,"            \
	" bytes_deleted, objects_failed, "                              \
	US("created_at") ", " US("started_at") ", "                     \
	US("updated_at") ", " US("finished_at")
/* clang-format on */

static const char *const kinds[] = {
	[GCRUN_COLLECT] = "collect",
	[GCRUN_DRY_RUN] = "dry-run",
	[GCRUN_DELETE] = "delete",
};

static enum gcrun_kind
kind_by_name(const char *name)
{
	enum gcrun_kind kind = GCRUN_COLLECT;

	while (kind < GCRUN_DELETE && strcmp(name, kinds[kind]) != 0)
		kind++;
	return kind;
}

const char *
gcrun_kind_name(enum gcrun_kind kind)
{
	return kinds[kind];
}

static int
read_run(const PGresult *r, int row, struct arena *a, struct gcrun *out,
    struct err *e)
{
	struct gcrun run = { .id = row_i64(r, row, 0) };
	int full = 0, col = 1;

	run.state = row_text(r, row, col++, a, &full);
	run.phase = row_text(r, row, col++, a, &full);
	run.error = row_text(r, row, col++, a, &full);
	run.error_kind = row_text(r, row, col++, a, &full);
	run.error_hint = row_text(r, row, col++, a, &full);
	run.params.kind = kind_by_name(PQgetvalue(r, row, col++));
	run.params.older_than_us = row_i64(r, row, col++);
	run.params.pending_older_than_us = row_i64(r, row, col++);
	run.params.force = row_i64(r, row, col++);
	run.params.max_share = row_i64(r, row, col++);
	run.params.target = row_text(r, row, col++, a, &full);
	run.params.at_once = row_i64(r, row, col++);
	run.objects_live = row_i64(r, row, col++);
	run.objects_garbage = row_i64(r, row, col++);
	run.bytes_garbage = row_i64(r, row, col++);
	run.objects_due = row_i64(r, row, col++);
	run.bytes_due = row_i64(r, row, col++);
	run.failed_uploads_deleted = row_i64(r, row, col++);
	run.old_closures_deleted = row_i64(r, row, col++);
	run.objects_marked = row_i64(r, row, col++);
	run.objects_revived = row_i64(r, row, col++);
	run.objects_deleted = row_i64(r, row, col++);
	run.bytes_deleted = row_i64(r, row, col++);
	run.objects_failed = row_i64(r, row, col++);
	run.created_us = row_i64(r, row, col++);
	run.started_us = row_i64(r, row, col++);
	run.updated_us = row_i64(r, row, col++);
	run.finished_us = row_i64(r, row, col++);
	if (full)
		return arena_full(a, e);
	*out = run;
	return 0;
}

/* All rows of a result. */
static int
read_runs(const PGresult *r, struct arena *a, struct gcrun **out, size_t *n,
    struct err *e)
{
	struct gcrun *runs = arena_array(a, PQntuples(r), sizeof *runs);

	if (runs == NULL)
		return arena_full(a, e);
	for (int i = 0; i < PQntuples(r); i++)
		if (read_run(r, i, a, &runs[i], e) != 0)
			return -1;
	*out = runs;
	*n = PQntuples(r);
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
	    "WITH new AS (INSERT INTO gc_runs (kind,"
	    " older_than, pending_older_than, force, max_share, target,"
	    " at_once) VALUES ($1, $2 * interval '1 microsecond',"
	    " $3 * interval '1 microsecond', $4, nullif($5, -1), $6, $7)"
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
	        PARAMS(P_TEXT(kinds[p->kind]), P_I64(p->older_than_us),
	            P_I64(p->pending_older_than_us), P_BOOL(p->force),
	            P_I64(p->max_share), P_TEXT(p->target), P_BOOL(p->at_once)),
	        &r, e) != 0)
		return -1;
	/* The one in our way may have begun, or ended, only just now. */
	rc = PQntuples(r) == 0 ? db_again(db, e, "another run began or ended")
	                       : read_run(r, 0, s->a, s->out, e);
	PQclear(r);
	return rc;
}

static int
same(const struct gcrun_params *a, const struct gcrun_params *b)
{
	return a->kind == b->kind && a->older_than_us == b->older_than_us &&
	    a->pending_older_than_us == b->pending_older_than_us &&
	    !a->force == !b->force && a->max_share == b->max_share &&
	    !a->at_once == !b->at_once && !a->target == !b->target &&
	    (a->target == NULL || strcmp(a->target, b->target) == 0);
}

int
gcruns_start(struct db *db, const struct gcrun_params *p, struct arena *a,
    struct gcrun *out, struct err *e)
{
	static const char *const names[] = {
		[GCRUN_COLLECT] = "a garbage collection",
		[GCRUN_DRY_RUN] = "a dry run of the garbage collection",
		[GCRUN_DELETE] = "the deletion of a closure",
	};
	struct start s = { p, a, out };

	if (db_transaction(db, DB_READ_COMMITTED, start, &s, e) != 0)
		return err_prefix(e, "start a garbage collection");
	if (same(&out->params, p))
		return 0;
	err_set(e, ERR_CONFLICT, "%s%s is %s (run %lld)",
	    names[out->params.kind],
	    out->params.kind == p->kind ? " with other parameters" : "",
	    out->state, (long long)out->id);
	return err_hint(e, "wait for it to finish");
}

int
gcruns_get(struct db *db, int64_t id, struct arena *a, struct gcrun *out,
    struct err *e)
{
	static const char sql[] = "SELECT " COLUMNS " FROM gc_runs"
	                          " WHERE id = CASE WHEN $1 > 0 THEN $1"
	                          " ELSE (SELECT max(id) FROM gc_runs) END";
	PGresult *r;
	int rc;

	if (db_query(db, sql, PARAMS(P_I64(id)), &r, e) != 0)
		return err_prefix(e, "garbage collection");
	if (PQntuples(r) > 0)
		rc = read_run(r, 0, a, out, e);
	else
		rc = err_set(e, ERR_NOT_FOUND,
		    id == 0 ? "there was no garbage collection yet"
		            : "there is no such run of the garbage collection");
	PQclear(r);
	return rc;
}

int
gcruns_latest(struct db *db, struct arena *a, struct gcrun *out, struct err *e)
{
	static const char sql[] =
	    "SELECT " COLUMNS " FROM gc_runs WHERE kind = 'collect'"
	    " AND NOT force AND state = 'succeeded' ORDER BY id DESC LIMIT 1";
	PGresult *r;
	int rc = 0;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return err_prefix(e, "garbage collection");
	if (PQntuples(r) > 0)
		rc = read_run(r, 0, a, out, e);
	else
		*out = (struct gcrun){ 0 };
	PQclear(r);
	return rc;
}

int
gcruns_list(struct db *db, int64_t before, size_t max, struct arena *a,
    struct gcrun **out, size_t *n, struct err *e)
{
	static const char sql[] =
	    "SELECT " COLUMNS " FROM gc_runs"
	    " WHERE $1 = 0 OR id < $1 ORDER BY id DESC LIMIT $2";
	PGresult *r;
	int rc;

	if (db_query(db, sql, PARAMS(P_I64(before), P_I64(max)), &r, e) != 0)
		return err_prefix(e, "garbage collections");
	rc = read_runs(r, a, out, n, e);
	PQclear(r);
	return rc;
}

int
gcruns_finished(struct db *db, int64_t after, size_t max, struct arena *a,
    struct gcrun **out, size_t *n, struct err *e)
{
	static const char sql[] =
	    "SELECT " COLUMNS " FROM gc_runs WHERE id > $1"
	    " AND state IN ('succeeded', 'failed') ORDER BY id LIMIT $2";
	PGresult *r;
	int rc;

	if (db_query(db, sql, PARAMS(P_I64(after), P_I64(max)), &r, e) != 0)
		return err_prefix(e, "garbage collections");
	rc = read_runs(r, a, out, n, e);
	PQclear(r);
	return rc;
}

int
gcruns_roots(struct db *db, int64_t run, struct arena *a,
    struct gcrun_root **out, size_t *n, struct err *e)
{
	static const char sql[] = "SELECT object_id, store_path, " US(
	    "updated_at") ","
	                  " objects, bytes FROM gc_run_roots WHERE run_id = $1"
	                  " ORDER BY bytes DESC, object_id";
	struct gcrun_root *roots;
	int full = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_I64(run)), &r, e) != 0)
		return err_prefix(e, "roots of a garbage collection");
	roots = arena_array(a, PQntuples(r), sizeof *roots);
	for (int i = 0; roots != NULL && i < PQntuples(r); i++)
		roots[i] = (struct gcrun_root){
			.object_id = row_i64(r, i, 0),
			.store_path = row_text(r, i, 1, a, &full),
			.updated_us = row_i64(r, i, 2),
			.objects = row_i64(r, i, 3),
			.bytes = row_i64(r, i, 4),
		};
	if (roots != NULL && !full) {
		*out = roots;
		*n = PQntuples(r);
	}
	PQclear(r);
	return roots == NULL || full ? arena_full(a, e) : 0;
}

/* ---- working ---- */

int
gcruns_take(struct db *db, struct arena *a, struct gcrun *out, struct err *e)
{
	static const char sql[] =
	    "WITH old AS (SELECT id AS old_id, state AS old_state FROM gc_runs"
	    " WHERE state IN ('queued', 'running') FOR UPDATE)"
	    " UPDATE gc_runs SET state = 'running', updated_at = now(),"
	    " started_at = coalesce(started_at, now())"
	    " FROM old WHERE id = old_id"
	    " RETURNING " COLUMNS ", old_state = 'running'";
	PGresult *r;
	int rc = 0;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return err_prefix(e, "take a run of the garbage collection");
	if (PQntuples(r) == 0)
		out->id = 0;
	else if ((rc = read_run(r, 0, a, out, e)) == 0)
		out->resumed = row_i64(r, 0, PQnfields(r) - 1);
	PQclear(r);
	return rc;
}

struct roots {
	int64_t run;
	const struct gcrun_root *roots;
	size_t n;
	const struct gcrun_tally *tally;
};

static int
set_roots(struct db *db, void *ctx, struct err *e)
{
	static const char delete_sql[] =
	    "DELETE FROM gc_run_roots WHERE run_id = $1";
	static const char figures_sql[] =
	    "UPDATE gc_runs SET failed_uploads_deleted = $2,"
	    " old_closures_deleted = $3 WHERE id = $1";
	static const char sql[] =
	    "INSERT INTO gc_run_roots"
	    " (run_id, object_id, store_path, updated_at, objects, bytes)"
	    " SELECT $1, u.id, u.store_path, CASE WHEN u.updated > 0 THEN"
	    " 'epoch'::timestamptz + u.updated * interval '1 microsecond' END,"
	    " u.objects, u.bytes FROM unnest($2, $3, $4, $5, $6)"
	    " u (id, store_path, updated, objects, bytes)";
	const struct roots *c = ctx;
	struct db_array ids, paths, updated, objects, bytes;
	int rc;

	array_init(&ids, DB_INT8S);
	array_init(&paths, DB_TEXTS);
	array_init(&updated, DB_INT8S);
	array_init(&objects, DB_INT8S);
	array_init(&bytes, DB_INT8S);
	for (size_t i = 0; i < c->n; i++) {
		array_i64(&ids, c->roots[i].object_id);
		array_text(&paths, c->roots[i].store_path);
		array_i64(&updated, c->roots[i].updated_us);
		array_i64(&objects, c->roots[i].objects);
		array_i64(&bytes, c->roots[i].bytes);
	}
	rc = db_send(db, delete_sql, PARAMS(P_I64(c->run)), e);
	if (rc == 0)
		rc = db_send(db, figures_sql,
		    PARAMS(P_I64(c->run),
		        P_I64(c->tally->failed_uploads_deleted),
		        P_I64(c->tally->old_closures_deleted)),
		    e);
	if (rc == 0)
		rc = db_send(db, sql,
		    PARAMS(P_I64(c->run), P_ARRAY(&ids), P_ARRAY(&paths),
		        P_ARRAY(&updated), P_ARRAY(&objects), P_ARRAY(&bytes)),
		    e);
	array_done(&ids);
	array_done(&paths);
	array_done(&updated);
	array_done(&objects);
	array_done(&bytes);
	return rc;
}

int
gcruns_set_roots(struct db *db, int64_t run, const struct gcrun_root *roots,
    size_t n, const struct gcrun_tally *t, struct err *e)
{
	struct roots c = { run, roots,
		n < GCRUN_ROOTS_MAX ? n : GCRUN_ROOTS_MAX, t };

	if (db_transaction(db, DB_READ_COMMITTED, set_roots, &c, e) != 0)
		return err_prefix(e, "write what would go");
	return 0;
}

int
gcruns_add(
    struct db *db, int64_t run, const struct gcrun_tally *t, struct err *e)
{
	static const char sql[] =
	    "UPDATE gc_runs SET"
	    " failed_uploads_deleted = failed_uploads_deleted + $2,"
	    " old_closures_deleted = old_closures_deleted + $3,"
	    " objects_marked = objects_marked + $4,"
	    " objects_revived = objects_revived + $5,"
	    " objects_deleted = objects_deleted + $6,"
	    " bytes_deleted = bytes_deleted + $7,"
	    " objects_failed = objects_failed + $8,"
	    " updated_at = now() WHERE id = $1";

	if (!db_in_transaction(db))
		err_die("figures outside of the batch that they count");
	return db_send(db, sql,
	    PARAMS(P_I64(run), P_I64(t->failed_uploads_deleted),
	        P_I64(t->old_closures_deleted), P_I64(t->objects_marked),
	        P_I64(t->objects_revived), P_I64(t->objects_deleted),
	        P_I64(t->bytes_deleted), P_I64(t->objects_failed)),
	    e);
}

#define FOUND                                                                  \
	"phase = $2, objects_live = $3, objects_garbage = $4,"                 \
	" bytes_garbage = $5, objects_due = $6, bytes_due = $7, updated_at = " \
	"now()"
#define FOUND_PARAMS(r)                                               \
	P_I64((r)->id), P_TEXT((r)->phase), P_I64((r)->objects_live), \
	    P_I64((r)->objects_garbage), P_I64((r)->bytes_garbage),   \
	    P_I64((r)->objects_due), P_I64((r)->bytes_due)

int
gcruns_progress(struct db *db, const struct gcrun *r, struct err *e)
{
	if (db_query(db, "UPDATE gc_runs SET " FOUND " WHERE id = $1",
	        PARAMS(FOUND_PARAMS(r)), NULL, e) != 0)
		return err_prefix(e, "progress of the garbage collection");
	return 0;
}

int
gcruns_finish(struct db *db, const struct gcrun *r, const struct err *failure,
    struct err *e)
{
	static const char sql[] =
	    "UPDATE gc_runs SET " FOUND ", finished_at = now(), error = $8,"
	    " error_kind = $9, error_hint = nullif($10, ''),"
	    " state = CASE WHEN $8 IS NULL THEN 'succeeded' ELSE 'failed' END"
	    " WHERE id = $1 AND state = 'running'";
	int failed = failure != NULL;

	if (db_query(db, sql,
	        PARAMS(FOUND_PARAMS(r), P_TEXT(failed ? failure->msg : NULL),
	            P_TEXT(failed ? err_name(failure->kind) : NULL),
	            P_TEXT(failed ? failure->hint : NULL)),
	        NULL, e) != 0)
		return err_prefix(e, "end of the garbage collection");
	return 0;
}

static int
prune(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	if (db_send(db,
	        "DELETE FROM gc_runs WHERE state IN ('succeeded', 'failed')"
	        " AND id <= (SELECT max(id) FROM gc_runs) - $1",
	        PARAMS(P_I64(GCRUNS_KEPT)), e) != 0)
		return -1;
	return db_send(db,
	    "DELETE FROM gc_run_roots WHERE run_id NOT IN"
	    " (SELECT id FROM gc_runs WHERE kind = 'dry-run'"
	    " ORDER BY id DESC LIMIT 10)",
	    P_NONE, e);
}

int
gcruns_prune(struct db *db, struct err *e)
{
	if (db_transaction(db, DB_READ_COMMITTED, prune, NULL, e) != 0)
		return err_prefix(e, "forget old garbage collections");
	return 0;
}
