/* On a database with the tables of Nix that are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/local/nixdb.h"
#include "../../libcommon/local/nixenv.h"

#define A      "00000000000000000000000000000000-a"
#define B      "11111111111111111111111111111111-b"
#define C      "22222222222222222222222222222222-c"
#define DRV    "33333333333333333333333333333333-c.drv"
#define S      "/nix/store/"
#define NOBODY 65534

static char dir[64], path[96];
static struct nixdb *db;
static struct nixdb_path *found, one;
static struct arena *a;
static struct err e;
static size_t n;

static void
sql(const char *text)
{
	sqlite3 *q;

	assert_int_equal(sqlite3_open(path, &q), SQLITE_OK);
	if (sqlite3_exec(q, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(q));
	sqlite3_close(q);
}

static void
db_again(void)
{
	nixdb_close(db);
	if (nixdb_open("/nix/store", &db, &e) != 0)
		fail_msg("%s", e.msg);
}

static int
begin(void **state)
{
	(void)state;
	/* What is special in the name of a URI. */
	strcpy(dir, "/tmp/nixdb%41?#test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	chmod(dir, 0755);
	setenv("NIX_STATE_DIR", dir, 1);
	snprintf(path, sizeof path, "%s/db", dir);
	mkdir(path, 0755);
	snprintf(path, sizeof path, "%s/db/db.sqlite", dir);
	sql("PRAGMA journal_mode = WAL; CREATE TABLE ValidPaths"
	    " (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,"
	    "  path TEXT UNIQUE NOT NULL, deriver TEXT, sigs TEXT)");
	a = arena_new(1 << 20);
	db = NULL;
	err_clear(&e);
	return 0;
}

static int
finish(void **state)
{
	char command[128];

	(void)state;
	nixdb_close(db);
	arena_free(a);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

static void
fill(void)
{
	sql("INSERT INTO ValidPaths (path, deriver, sigs) VALUES"
	    " ('" S A "', NULL, 'k-1:AA== l-1:BB=='),"
	    " ('/other/" A "', NULL, NULL),"
	    " ('" S B "', '" S DRV "', NULL),"
	    " ('" S C "', '" S DRV "', '')");
}

static void
test_ids(void **state)
{
	int64_t id = -1;

	(void)state;
	db_again();
	assert_int_equal(nixdb_last_id(db, &id, &e), 0);
	assert_int_equal(id, 0);
	fill();
	assert_int_equal(nixdb_last_id(db, &id, &e), 0);
	assert_int_equal(id, 4);
	/* A path that went and came back is another one. */
	sql("DELETE FROM ValidPaths WHERE id = 4;"
	    "INSERT INTO ValidPaths (path) VALUES ('" S C "')");
	assert_int_equal(nixdb_last_id(db, &id, &e), 0);
	assert_int_equal(id, 5);
	assert_int_equal(
	    nixdb_after(db, "/nix/store", 1, 10, a, &found, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(found[0].base, B);
	assert_int_equal(found[1].id, 5);
	assert_int_equal(
	    nixdb_after(db, "/nix/store", 0, 1, a, &found, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_string_equal(found[0].base, A);
	assert_string_equal(found[0].sigs, "k-1:AA== l-1:BB==");
	assert_int_equal(
	    nixdb_after(db, "/nix/store", 5, 10, a, &found, &n, &e), 0);
	assert_int_equal(n, 0);
}

static void
test_paths(void **state)
{
	(void)state;
	fill();
	db_again();
	assert_int_equal(nixdb_path(db, "/nix/store", A, a, &one, &e), 0);
	assert_int_equal(one.id, 1);
	assert_int_equal(nixdb_path(db, "/nix/store", DRV, a, &one, &e), 0);
	assert_null(one.base);
	assert_int_equal(
	    nixdb_made_by(db, "/nix/store", DRV, 10, a, &found, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(found[0].base, C);
	assert_string_equal(found[0].sigs, "");
	assert_string_equal(found[1].base, B);
	assert_int_equal(
	    nixdb_made_by(db, "/nix/store", A, 10, a, &found, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(nixdb_still(db, &e), 0);
}

/* As who may not write there: nobody has it open, and then Nix does. */
static void
test_reader(void **state)
{
	char sub[96];
	int64_t id = -1;

	(void)state;
	fill();
	snprintf(sub, sizeof sub, "%s/db", dir);
	chmod(sub, 0555);
	assert_int_equal(seteuid(geteuid() == 0 ? NOBODY : geteuid()), 0);
	db_again();
	assert_int_equal(nixdb_last_id(db, &id, &e), 0);
	assert_int_equal(id, 4);
	assert_int_equal(nixdb_still(db, &e), 0);
	assert_int_equal(seteuid(getuid()), 0);
	chmod(sub, 0755);
	sql("INSERT INTO ValidPaths (path) VALUES ('" S DRV "')");
	assert_int_equal(nixdb_still(db, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	db_again();
	assert_int_equal(nixdb_last_id(db, &id, &e), 0);
	assert_int_equal(id, 5);
}

static void
test_not_there(void **state)
{
	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(nixdb_open("/nix/store", &db, &e), -1);
	assert_non_null(strstr(e.msg, path));
}

static const char *
db_dir(const char *store_dir)
{
	const char *out;

	assert_int_equal(nixenv_db_dir(store_dir, a, &out, &e), 0);
	return out;
}

static void
test_where(void **state)
{
	char sub[96];

	(void)state;
	snprintf(sub, sizeof sub, "%s/db", dir);
	assert_string_equal(db_dir("/nix/store"), sub);
	unsetenv("NIX_STATE_DIR");
	assert_string_equal(db_dir("/nix/store"), "/nix/var/nix/db");
	assert_string_equal(db_dir("/x/y/store"), "/x/y/var/nix/db");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ids),
		TEST(test_paths),
		TEST(test_reader),
		TEST(test_not_there),
		TEST(test_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
