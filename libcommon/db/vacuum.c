#include "vacuum.h"

#include "db_internal.h"

int
vacuum_large(struct db *db, struct err *e)
{
	static const char sql[] =
	    "SELECT 'VACUUM (ANALYZE) '"
	    " || string_agg(quote_ident(relname), ', ' ORDER BY relname)"
	    " FROM pg_class WHERE relkind = 'r'"
	    " AND relnamespace = current_schema::regnamespace"
	    " AND relname IN ('objects', 'contents', 'pending', 'tombstones',"
	    " 'upload_needs', 'upload_paths',"
	    " 'upload_writes') AND (pg_has_role(relowner, 'USAGE')"
	    " OR (current_setting('server_version_num')::int >= 170000"
	    " AND has_table_privilege(oid, CASE WHEN"
	    " current_setting('server_version_num')::int >= 170000"
	    " THEN 'MAINTAIN' ELSE 'SELECT' END)))";
	PGresult *r;
	int rc = 0;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return err_prefix(e, "vacuum");
	if (!row_null(r, 0, 0))
		rc = db_script(db, PQgetvalue(r, 0, 0), e);
	PQclear(r);
	return rc == 0 ? 0 : err_prefix(e, "vacuum");
}
