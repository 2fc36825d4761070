/*
 * Migrations: their files, and what ours do to data.
 */
#include "db_live.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
said(void *ctx, const struct migration *m)
{
	(void)m;
	++*(int *)ctx;
}

static void
write_file(const char *dir, const char *name, const char *text)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
test_schema_versions(void **state)
{
	struct err error = ERR_INIT;

	(void)state;
	OK(db_schema_check(server, &e));
	OK(db_schema_check(gc, &e));
	sql("INSERT INTO goose_db_version (version_id, is_applied)"
	    " VALUES (20260628120000, true)");
	assert_int_equal(db_schema_check(server, &error), -1);
	assert_int_equal(error.kind, ERR_VERSION);
	assert_non_null(strstr(error.hint, "upgrade niks3"));
	sql("DELETE FROM goose_db_version WHERE version_id > 4");
	/* As an older goose undoes. */
	sql("INSERT INTO goose_db_version (version_id, is_applied)"
	    " VALUES (4, false)");
	assert_int_equal(db_schema_check(server, &error), -1);
	assert_non_null(strstr(error.msg, "version 3, this program needs 4"));
	assert_string_equal(error.hint, "run: niks3-migrate up");
	sql("DELETE FROM goose_db_version WHERE NOT is_applied");
	sql("ALTER TABLE goose_db_version RENAME TO g");
	FAILS(ERR_VERSION, db_schema_check(server, &e));
	sql("ALTER TABLE g RENAME TO goose_db_version");
	OK(db_schema_check(server, &e));
}

static void
test_migrations(void **state)
{
	char dir[] = "/tmp/db_live.XXXXXX";
	char command[64];
	struct migration *all;
	int n = 0;
	size_t count;

	(void)state;
	assert_non_null(mkdtemp(dir));
	FAILS(ERR_NOT_FOUND,
	    migrate_status(
	        live_owner, "/nonexistent", live_arena, &all, &count, &e));
	FAILS(ERR_NOT_FOUND, migrate_up(live_owner, dir, said, &n, &e));
	write_file(dir, "0005_b.sql",
	    "-- +goose Up\nCREATE TABLE b ();\nCREATE TABLE b2 ();\n"
	    "-- +goose Down\nDROP TABLE b2;\nDROP TABLE b;\n");
	/* The database has four, and this directory does not. */
	FAILS(ERR_VERSION,
	    migrate_status(live_owner, dir, live_arena, &all, &count, &e));
	FAILS(ERR_VERSION, migrate_up(live_owner, dir, said, &n, &e));
	write_file(dir, "0001_init.sql", "-- +goose Up\nSELECT 1;\n");
	write_file(dir, "0002_collector.sql", "-- +goose Up\nSELECT 1;\n");
	write_file(dir, "0003_compat.sql", "-- +goose Up\nSELECT 1;\n");
	write_file(dir, "0004_tokens.sql", "-- +goose Up\nSELECT 1;\n");
	write_file(dir, "README", "none of ours");
	write_file(dir, "0006_broken.sql",
	    "-- +goose Up\nCREATE TABLE c ();\nSELECT 1 / 0;\n");
	OK(migrate_status(live_owner, dir, live_arena, &all, &count, &e));
	assert_int_equal(count, 6);
	assert_int_equal(all[0].version, 1);
	assert_true(all[0].applied);
	assert_non_null(all[0].applied_at);
	assert_true(all[3].applied);
	assert_false(all[4].applied);

	/* Each is one transaction. */
	FAILS(ERR_INTERNAL, migrate_up(live_owner, dir, said, &n, &e));
	assert_int_equal(n, 1);
	assert_int_equal(number("SELECT count(*) FROM pg_class"
	                        " WHERE relname IN ('b', 'b2', 'c')"),
	    2);
	OK(migrate_down(live_owner, dir, said, &n, &e));
	assert_int_equal(number("SELECT count(*) FROM pg_class"
	                        " WHERE relname IN ('b', 'b2', 'c')"),
	    0);
	write_file(dir, "00005_twice.sql", "-- +goose Up\nSELECT 1;\n");
	FAILS(ERR_INVALID, migrate_up(live_owner, dir, said, &n, &e));
	snprintf(command, sizeof command, "rm -r %s", dir);
	assert_int_equal(system(command), 0);

	/* The real ones: down, and up again. */
	live_view(0);
	n = 0;
	for (int i = 0; i < MIGRATE_SCHEMA_VERSION; i++)
		OK(migrate_down(live_owner, live_migrations(), said, &n, &e));
	assert_int_equal(number("SELECT count(*) FROM pg_class"
	                        " WHERE relname = 'objects'"),
	    0);
	FAILS(ERR_NOT_FOUND,
	    migrate_down(live_owner, live_migrations(), said, &n, &e));
	OK(migrate_up(live_owner, live_migrations(), said, &n, &e));
	assert_int_equal(n, 2 * MIGRATE_SCHEMA_VERSION);
	OK(migrate_up(live_owner, live_migrations(), said, &n, &e));
	assert_int_equal(n, 2 * MIGRATE_SCHEMA_VERSION);
	live_view(1);
}

static void *
migrate(void *arg)
{
	struct db *db = live_open("");
	struct err e = ERR_INIT;

	if (migrate_up(db, live_migrations(), said, arg, &e) != 0)
		fprintf(stderr, "%s\n", e.msg);
	db_close(db);
	return NULL;
}

static void
test_migrations_together(void **state)
{
	int n[3] = { 0 };
	pthread_t t[3];

	(void)state;
	live_view(0);
	for (int i = 0; i < MIGRATE_SCHEMA_VERSION; i++)
		OK(migrate_down(
		    live_owner, live_migrations(), said, &n[0], &e));
	n[0] = 0;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, migrate, &n[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(n[0] + n[1] + n[2], MIGRATE_SCHEMA_VERSION);
	live_view(1);
}

/* A log that came later hung on the root it was pushed with. */
static const char old_data_sql[] =
    "INSERT INTO objects (id, key, kind, refs) VALUES"
    " (1, 'nar/app', 2, '{}'), (2, 'log/old', 4, '{}'),"
    " (3, 'app.narinfo', 1, '{1}'), (4, 'log/new', 4, '{}'),"
    " (5, 'bare.narinfo', 1, '{1}');"
    "INSERT INTO contents (object_id, size, sha256)"
    " SELECT id, 10, '' FROM objects WHERE id <> 4;"
    "INSERT INTO pending (object_id) VALUES (4);"
    "INSERT INTO stat_deltas (objects, bytes) VALUES (4, 40);"
    "INSERT INTO closures (object_id, store_path, extra) VALUES"
    " (3, '/nix/store/app', '{2}'), (5, '/nix/store/bare', '{}');"
    "INSERT INTO uploads (id, token, owner, store_dir, lease_until) VALUES"
    " (1, 'open', 'ci', '/nix/store', now() + interval '1 h');"
    "INSERT INTO upload_needs (upload_id, object_id, refs, missing) VALUES"
    " (1, 1, '{}', false), (1, 2, '{}', false), (1, 3, '{1}', false),"
    " (1, 4, '{}', true);"
    "INSERT INTO upload_roots (upload_id, object_id, store_path, extra)"
    " VALUES (1, 3, '/nix/store/app', '{2,4}')";

static void
check_new_data(void)
{
	assert_int_equal(COUNT("objects WHERE (id, refs) IN"
	                       " ((3, '{1,2}'), (5, '{1}'))"),
	    2);
	assert_int_equal(
	    COUNT("upload_needs WHERE object_id = 3 AND refs = '{1,2,4}'"), 1);
	assert_int_equal(COUNT("upload_needs WHERE refs <> '{}'"), 1);
}

/* All but the first. */
static void
down_to_first(int *n)
{
	for (int i = 1; i < MIGRATE_SCHEMA_VERSION; i++)
		OK(migrate_down(live_owner, live_migrations(), said, n, &e));
}

static void
test_data(void **state)
{
	struct commit c;
	struct req q;
	int n = 0;

	(void)state;
	live_view(0);
	down_to_first(&n);
	sql(old_data_sql);
	OK(migrate_up(live_owner, live_migrations(), said, &n, &e));
	check_new_data();
	down_to_first(&n);
	OK(migrate_up(live_owner, live_migrations(), said, &n, &e));
	assert_int_equal(n, 4 * (MIGRATE_SCHEMA_VERSION - 1));
	live_view(1);
	check_new_data();
	check_rules();

	/* And the upload can go on. */
	deadlines();
	assert_int_equal(mark_all(), 0);
	snprintf(q.token, sizeof q.token, "open");
	q.b.nobjects = 0;
	OK(authorize(server, &q, "log/new", 10, &e));
	OK(load(server, &q, &c, &e));
	assert_int_equal(c.nobjects, 1);
	assert_int_equal(publish(server, &c), COMMIT_CLAIMED);
	OK(finish(server, &c, &e));
	STATE("log/new", "live");
	assert_int_equal(mark_all(), 0);
	assert_int_equal(COUNT("objects WHERE id = 3 AND refs = '{1,2,4}'"), 1);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_schema_versions),
	LIVE_TEST(test_migrations),
	LIVE_TEST(test_data),
	LIVE_TEST(test_migrations_together),
};

LIVE_GROUP(migrate);
