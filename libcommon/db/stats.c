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
