#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/local/spool.h"

#define A "00000000000000000000000000000000-a"
#define B "11111111111111111111111111111111-b"
#define C "22222222222222222222222222222222-c"
#define D "33333333333333333333333333333333-d"

static char dir[] = "/tmp/spool_test.XXXXXX", path[64];
static struct spool *spool;
static struct arena *a;
static struct err e;
static struct spool_item *items;
static size_t n, added;
static int64_t next_us;

static const struct spool_policy policy = { 3, 1000 };

static int
begin(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/spool_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/sub/queue.db", dir);
	a = arena_new(1 << 20);
	err_clear(&e);
	if (spool_open(path, SPOOL_SERVE, 10, &spool, &e) != 0)
		fail_msg("%s", e.msg);
	return 0;
}

static int
finish(void **state)
{
	char command[128];

	(void)state;
	spool_close(spool);
	spool = NULL;
	arena_free(a);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static void
add(const char *base)
{
	if (spool_add(spool, &base, 1, -1, &added, &e) != 0)
		fail_msg("%s", e.msg);
}

/* What is due at that time, by the last letters of its names. */
static const char *
due(int64_t at_us, size_t max)
{
	static char text[64];
	size_t len = 0;

	if (spool_due(spool, at_us, max, a, &items, &n, &next_us, &e) != 0)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < n; i++)
		text[len++] = items[i].base[strlen(items[i].base) - 1];
	text[len] = '\0';
	return text;
}

static int64_t
now(void)
{
	return clock_wall_us() + 1;
}

static void
again(void)
{
	spool_close(spool);
	if (spool_open(path, SPOOL_SERVE, 10, &spool, &e) != 0)
		fail_msg("%s", e.msg);
}

static void
test_in_and_out(void **state)
{
	(void)state;
	assert_string_equal(due(now(), 10), "");
	assert_int_equal(next_us, INT64_MAX);
	add(B);
	add(A);
	assert_int_equal(added, 1);
	add(C);
	assert_string_equal(due(now(), 10), "bac");
	assert_string_equal(due(now(), 2), "ba");
	assert_string_equal(items[1].base, A);
	assert_int_equal(spool_done(spool, items, 2, &e), 0);
	assert_string_equal(due(now(), 10), "c");
	again();
	assert_string_equal(due(now(), 10), "c");
}

static void
test_once(void **state)
{
	const char *twice[] = { A, B, A };

	(void)state;
	assert_int_equal(spool_add(spool, twice, 3, -1, &added, &e), 0);
	assert_int_equal(added, 2);
	add(A);
	assert_int_equal(added, 0);
	assert_string_equal(due(now(), 10), "ab");
	assert_int_equal(items[0].sends, 3);
}

static void
test_full(void **state)
{
	const char *many[] = { A, B };
	char base[64];

	(void)state;
	for (int i = 0; i < 9; i++) {
		snprintf(base, sizeof base, "%032d-x%d", i, i);
		add(base);
	}
	/* All or none. */
	assert_int_equal(spool_add(spool, many, 2, 7, &added, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(strlen(due(now(), 20)), 9);
	assert_int_equal(spool_seen(spool, &next_us, &e), 0);
	assert_int_equal(next_us, -1);
	add(A);
	add(A); /* what is there takes no room */
	assert_int_equal(spool_add(spool, many + 1, 1, -1, &added, &e), -1);
}

static void
test_seen(void **state)
{
	const char *one[] = { A };
	int64_t seen;

	(void)state;
	assert_int_equal(spool_add(spool, one, 1, 41, &added, &e), 0);
	assert_int_equal(spool_add(spool, one, 0, 42, &added, &e), 0);
	again();
	assert_int_equal(spool_seen(spool, &seen, &e), 0);
	assert_int_equal(seen, 42);
	assert_string_equal(due(now(), 10), "a");
}

static void
test_gone(void **state)
{
	int gone;

	(void)state;
	add(A);
	add(B);
	assert_string_equal(due(now(), 10), "ab");
	/* It was built once more after we looked. */
	add(A);
	assert_int_equal(spool_gone(spool, &items[0], &gone, &e), 0);
	assert_int_equal(gone, 0);
	assert_int_equal(spool_gone(spool, &items[1], &gone, &e), 0);
	assert_int_equal(gone, 1);
	assert_string_equal(due(now(), 10), "a");
}

static void
test_later(void **state)
{
	(void)state;
	add(A);
	add(B);
	add(C);
	assert_string_equal(due(now(), 2), "ab");
	assert_int_equal(spool_later(spool, items, 2, now(), &e), 0);
	assert_string_equal(due(now() + 10, 10), "cab");
	assert_int_equal(items[1].tries, 0);
	assert_true(items[1].tried_us > 0);
	assert_false(items[1].alone);
}

static int
fail_first(int counts, int64_t at)
{
	struct err why = ERR_INIT;
	int aside = -1;

	err_set(&why, ERR_CORRUPT, "b\xff");
	assert_int_equal(spool_failed(spool, &items[0], counts, &policy, at,
	                     &why, &aside, &e),
	    0);
	return aside;
}

static int
read_row(void *ctx, const struct spool_row *r)
{
	char *text = ctx;

	sprintf(text + strlen(text), "%c%d%lld%s:%s ",
	    r->base[strlen(r->base) - 1], r->aside, (long long)r->tries,
	    r->kind != NULL ? r->kind : "-", r->error != NULL ? r->error : "-");
	return 0;
}

static void
test_failures(void **state)
{
	char text[256] = "";
	struct spool_counts counts;
	int64_t t;

	(void)state;
	add(A);
	add(B);
	t = now();
	assert_string_equal(due(t, 1), "a");
	assert_int_equal(fail_first(1, t), 0);
	/* It waits, and so comes after the other one, and alone. */
	assert_string_equal(due(t + 499999, 10), "b");
	assert_string_equal(due(t + 3000001, 10), "b");
	add(C);
	assert_string_equal(due(t + 3000001, 10), "bc");
	assert_int_equal(spool_done(spool, items, 2, &e), 0);
	assert_string_equal(due(t, 1), "");
	assert_in_range(next_us, t + 500000, t + 1500000);
	assert_string_equal(due(t + 3600000000, 10), "a");
	assert_true(items[0].alone);
	assert_int_equal(items[0].tries, 1);
	assert_int_equal(items[0].tried_us, t);
	/* What does not count. */
	assert_int_equal(fail_first(0, t), 0);
	due(t + 3500000, 1);
	due(t + 3600000000, 10);
	assert_int_equal(items[0].tries, 1);
	assert_int_equal(fail_first(1, t), 0);
	due(t + 3600000000, 10);
	assert_int_equal(fail_first(1, t), 1);
	add(D);
	assert_string_equal(due(t + 3600000000, 10), "d");
	/* Seen, and counted. */
	assert_int_equal(spool_each(spool, read_row, text, &e), 0);
	assert_string_equal(text, "a13corrupt:b d00-:- ");
	assert_int_equal(spool_count(spool, &counts, &e), 0);
	assert_int_equal(counts.waiting, 1);
	assert_int_equal(counts.aside, 1);
	assert_true(counts.oldest_us >= t - 1000000);
}

static void
test_aside(void **state)
{
	size_t changed;

	(void)state;
	add(A);
	add(B);
	for (int i = 0; i < 3; i++) {
		due(now() + 3000000000, 1);
		if (strcmp(items[0].base, A) != 0) {
			assert_int_equal(
			    spool_later(spool, items, 1, now(), &e), 0);
			due(now() + 3000000000, 1);
		}
		fail_first(1, 0);
	}
	again();
	assert_string_equal(due(now(), 10), "b");
	assert_int_equal(spool_retry(spool, NULL, &changed, &e), 0);
	assert_int_equal(changed, 1);
	assert_string_equal(due(now(), 10), "b");
	assert_int_equal(spool_done(spool, items, 1, &e), 0);
	assert_string_equal(due(now(), 10), "a");
	assert_int_equal(items[0].tries, 0);
	/* Added once more, it is tried once more. */
	for (int i = 0; i < 3; i++) {
		due(now() + 3000000000, 1);
		fail_first(1, 0);
	}
	assert_string_equal(due(now(), 10), "");
	add(A);
	assert_string_equal(due(now(), 10), "a");
	assert_int_equal(spool_retry(spool, B, &changed, &e), 0);
	assert_int_equal(changed, 0);
	assert_int_equal(spool_drop(spool, A, &changed, &e), 0);
	assert_int_equal(changed, 1);
	assert_string_equal(due(now() + 3600000000, 10), "");
}

static void
test_clock_set_back(void **state)
{
	(void)state;
	add(A);
	/* A year ago. */
	assert_string_equal(due(now() - 31536000000000, 10), "a");
}

static void
test_one_server(void **state)
{
	struct spool *other;

	(void)state;
	assert_int_equal(spool_open(path, SPOOL_SERVE, 10, &other, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(spool_open(path, SPOOL_LOOK, 10, &other, &e), 0);
	assert_true(spool_served(other));
	spool_close(spool);
	spool = NULL;
	assert_false(spool_served(other));
	spool_close(other);
	again();
}

static void
sql(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
test_other_files(void **state)
{
	struct stat st;
	FILE *f;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	sql("PRAGMA user_version = 2");
	spool_close(spool);
	spool = NULL;
	assert_int_equal(spool_open(path, SPOOL_SERVE, 9, &spool, &e), -1);
	assert_int_equal(e.kind, ERR_VERSION);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(spool_open(path, SPOOL_LOOK, 9, &spool, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	f = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fprintf(f, "this is no database\n");
	fclose(f);
	assert_int_equal(spool_open(path, SPOOL_SERVE, 9, &spool, &e), -1);
	assert_int_equal(e.kind, ERR_IO);
	assert_non_null(strstr(e.hint, "move the file away"));
	assert_int_equal(spool_open("", SPOOL_SERVE, 9, &spool, &e), -1);
}

static void
test_queue_of_go(void **state)
{
	(void)state;
	spool_close(spool);
	spool = NULL;
	assert_int_equal(unlink(path), 0);
	sql("CREATE TABLE upload_queue (store_path TEXT PRIMARY KEY,"
	    " created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP);"
	    "INSERT INTO upload_queue VALUES"
	    " ('/nix/store/" B "', '2026-01-02'),"
	    " ('/nix/store/" A "', '2026-01-01'), ('nonsense', '2026-01-01')");
	again();
	assert_string_equal(due(now(), 10), "ab");
	again();
	assert_string_equal(due(now(), 10), "ab");
}

static void *
adder(void *arg)
{
	char base[64];
	const char *bases[] = { base };
	size_t k;

	for (int i = 0; i < 3; i++) {
		snprintf(base, sizeof base, "%032d-x%d",
		    (int)(intptr_t)arg * 3 + i, i);
		if (spool_add(spool, bases, 1, -1, &k, NULL) != 0)
			return arg;
	}
	return NULL;
}

static void
test_threads(void **state)
{
	pthread_t threads[3];
	void *bad;

	(void)state;
	for (intptr_t i = 0; i < 3; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, adder, (void *)i), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(strlen(due(now(), 20)), 9);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_in_and_out),
		TEST(test_once),
		TEST(test_full),
		TEST(test_seen),
		TEST(test_gone),
		TEST(test_later),
		TEST(test_failures),
		TEST(test_aside),
		TEST(test_clock_set_back),
		TEST(test_one_server),
		TEST(test_other_files),
		TEST(test_queue_of_go),
		TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
