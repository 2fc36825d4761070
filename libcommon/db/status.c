#include "status.h"

#include "../core/arena.h"
#include "db_internal.h"

#define TEXT_(n) #n
#define TEXT(n)  TEXT_(n)
#define US(expr) "(extract(epoch FROM " expr ") * 1000000)::bigint"

int
status_uploads(struct db *db, size_t max, struct arena *a,
    struct status_upload **out, size_t *n, int64_t *total, struct err *e)
{
	/* clang-format off */
	static const char sql[] =
	    "SELECT u.owner, " US("u.created_at") ", " US("u.lease_until") ","
	    " u.narinfos, w.objects, w.bytes,"
	    " (SELECT count(*) FROM uploads WHERE state = 'open')"
	    " FROM (SELECT * FROM uploads WHERE state = 'open'"
	    " ORDER BY created_at, id LIMIT $1) u"
	    " CROSS JOIN LATERAL (SELECT count(*) AS objects,"
	    " coalesce(sum(size), 0)::bigint AS bytes"
	    " FROM (SELECT size FROM upload_writes"
	    " WHERE upload_id = u.id LIMIT " TEXT(STATUS_WRITES_MAX) ") s) w"
	    " ORDER BY u.created_at, u.id";
	/* clang-format on */
	struct status_upload *all;
	int full = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_I64(max)), &r, e) != 0)
		return err_prefix(e, "uploads under way");
	all = arena_array(a, PQntuples(r), sizeof *all);
	for (int i = 0; all != NULL && i < PQntuples(r); i++)
		all[i] = (struct status_upload){
			.owner = row_text(r, i, 0, a, &full),
			.created_us = row_i64(r, i, 1),
			.lease_until_us = row_i64(r, i, 2),
			.narinfos = row_i64(r, i, 3),
			.objects = row_i64(r, i, 4),
			.bytes = row_i64(r, i, 5),
		};
	if (all != NULL && !full) {
		*out = all;
		*n = PQntuples(r);
		*total = *n > 0 ? row_i64(r, 0, 6) : 0;
	}
	PQclear(r);
	return all == NULL || full ? arena_full(a, e) : 0;
}

/* How many rows PostgreSQL believes the table to have. */
static int
estimate(struct db *db, int64_t *out, struct err *e)
{
	static const char sql[] = "SELECT greatest(reltuples, 0)::bigint"
	                          " FROM pg_class"
	                          " WHERE oid = 'closures'::regclass";
	PGresult *r;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return -1;
	*out = PQntuples(r) > 0 ? row_i64(r, 0, 0) : 0;
	PQclear(r);
	return 0;
}

int
status_ages(
    struct db *db, int64_t closures[STATUS_AGES], int *sampled, struct err *e)
{
	/* clang-format off */
	static const char sql[] =
	    "SELECT width_bucket(extract(epoch FROM now() - updated_at)"
	    " / 86400, ARRAY[1, 7, 30, 90, 180, 365]::numeric[])::bigint,"
	    " count(*) FROM closures TABLESAMPLE SYSTEM (least(100,"
	    " 100.0 * " TEXT(STATUS_SAMPLE) " / greatest($1, 1))::real)"
	    " GROUP BY 1";
	/* clang-format on */
	int64_t rows, seen = 0, counts[STATUS_AGES] = { 0 };
	PGresult *r;

	if (estimate(db, &rows, e) != 0 ||
	    db_query(db, sql, PARAMS(P_I64(rows)), &r, e) != 0)
		return err_prefix(e, "closures by age");
	for (int i = 0; i < PQntuples(r); i++) {
		int64_t bucket = row_i64(r, i, 0);

		if (bucket < 0 || bucket >= STATUS_AGES)
			continue;
		counts[bucket] = row_i64(r, i, 1);
		seen += counts[bucket];
	}
	PQclear(r);
	*sampled = rows > STATUS_SAMPLE && seen > 0;
	for (int i = 0; i < STATUS_AGES; i++)
		closures[i] = *sampled
		    ? (int64_t)((double)counts[i] * rows / seen)
		    : counts[i];
	return 0;
}

int
status_largest(struct db *db, size_t max, struct arena *a,
    struct status_closure **out, size_t *n, struct err *e)
{
	static const char sql[] = "SELECT store_path, " US(
	    "updated_at") ", objects, bytes FROM closures WHERE bytes IS NOT "
	                  "NULL"
	                  " ORDER BY bytes DESC LIMIT $1";
	struct status_closure *all;
	int full = 0;
	PGresult *r;

	if (db_query(db, sql, PARAMS(P_I64(max)), &r, e) != 0)
		return err_prefix(e, "largest closures");
	all = arena_array(a, PQntuples(r), sizeof *all);
	for (int i = 0; all != NULL && i < PQntuples(r); i++)
		all[i] = (struct status_closure){
			.store_path = row_text(r, i, 0, a, &full),
			.updated_us = row_i64(r, i, 1),
			.objects = row_i64(r, i, 2),
			.bytes = row_i64(r, i, 3),
		};
	if (all != NULL && !full) {
		*out = all;
		*n = PQntuples(r);
	}
	PQclear(r);
	return all == NULL || full ? arena_full(a, e) : 0;
}

static int
size_note(struct db *db, void *ctx, struct err *e)
{
	static const char note[] =
	    "INSERT INTO cache_sizes (at, objects, bytes)"
	    " SELECT date_trunc('hour', now()), coalesce(sum(objects), 0),"
	    " coalesce(sum(bytes), 0) FROM stat_deltas"
	    " ON CONFLICT (at) DO UPDATE SET objects = excluded.objects,"
	    " bytes = excluded.bytes";
	static const char forget[] =
	    "DELETE FROM cache_sizes WHERE at < now() - interval '2 years'";

	(void)ctx;
	return db_send(db, note, P_NONE, e) == 0 &&
	        db_send(db, forget, P_NONE, e) == 0
	    ? 0
	    : -1;
}

int
status_size_note(struct db *db, struct err *e)
{
	if (db_transaction(db, DB_READ_COMMITTED, size_note, NULL, e) != 0)
		return err_prefix(e, "size of the cache");
	return 0;
}

int
status_sizes(struct db *db, struct arena *a, struct status_size **out,
    size_t *n, struct err *e)
{
	/* clang-format off */
	static const char sql[] =
	    "SELECT DISTINCT ON (date_bin('6 hours', at, 'epoch')) "
	    US("at") ", objects, bytes FROM cache_sizes"
	    " WHERE at > now() - interval '90 days'"
	    " ORDER BY date_bin('6 hours', at, 'epoch'), at DESC";
	/* clang-format on */
	struct status_size *all;
	PGresult *r;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return err_prefix(e, "sizes of the cache");
	all = arena_array(a, PQntuples(r), sizeof *all);
	for (int i = 0; all != NULL && i < PQntuples(r); i++)
		all[i] = (struct status_size){
			.at_us = row_i64(r, i, 0),
			.objects = row_i64(r, i, 1),
			.bytes = row_i64(r, i, 2),
		};
	if (all != NULL) {
		*out = all;
		*n = PQntuples(r);
	}
	PQclear(r);
	return all == NULL ? arena_full(a, e) : 0;
}
