#include "stats.h"

#include "db_internal.h"

int
stats_get(struct db *db, struct stats *out, struct err *e)
{
	static const char sql[] =
	    "SELECT coalesce(sum(objects), 0)::bigint,"
	    " coalesce(sum(bytes), 0)::bigint FROM stat_deltas";
	PGresult *r;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return err_prefix(e, "statistics");
	out->objects = row_i64(r, 0, 0);
	out->bytes = row_i64(r, 0, 1);
	PQclear(r);
	return 0;
}

static const char *const upload_names[STATS_UPLOAD__MAX] = {
	[STATS_OPEN] = "open",
	[STATS_COMMITTED] = "committed",
	[STATS_ABORTED] = "aborted",
	[STATS_EXPIRED] = "expired",
};

const char *
stats_upload_name(unsigned state)
{
	return upload_names[state];
}

int
stats_census(struct db *db, struct stats_census *out, struct err *e)
{
	static const char sql[] =
	    "SELECT count(*) FILTER (WHERE state = 'open'),"
	    " count(*) FILTER (WHERE state = 'committed'),"
	    " count(*) FILTER (WHERE state = 'aborted'),"
	    " count(*) FILTER (WHERE state = 'expired'),"
	    " count(*) FILTER (WHERE state = 'open' AND lease_until < now()),"
	    " (SELECT count(*) FROM closures), (SELECT count(*) FROM pins),"
	    " (SELECT count(*) FROM gc_runs WHERE state = 'running')"
	    " FROM uploads";
	PGresult *r;
	int col = 0;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return err_prefix(e, "statistics");
	while (col < STATS_UPLOAD__MAX) {
		out->uploads[col] = row_i64(r, 0, col);
		col++;
	}
	out->overdue = row_i64(r, 0, col++);
	out->closures = row_i64(r, 0, col++);
	out->pins = row_i64(r, 0, col++);
	out->running = row_i64(r, 0, col++);
	PQclear(r);
	return 0;
}

int
stats_logical(struct db *db, int64_t *bytes, struct err *e)
{
	static const char sql[] =
	    "SELECT coalesce(sum(nar_size), 0)::bigint FROM objects o"
	    " WHERE kind = 2"
	    " AND NOT EXISTS (SELECT FROM pending WHERE object_id = o.id)"
	    " AND NOT EXISTS (SELECT FROM tombstones WHERE object_id = o.id)";
	PGresult *r;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return err_prefix(e, "statistics");
	*bytes = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}
