/*
 * Connections: locks, lost connections, errors, the pool, and what each role may
 * do.
 */
#include "db_live.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAL(lsn) number("SELECT pg_wal_lsn_diff(" lsn ", '0/0')::bigint")

/* ---- locks ---- */

/* Terminates the other connections of the role of db. */
static void
kill_others(struct db *db)
{
	OK(db_query(db,
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	    " WHERE pid <> pg_backend_pid() AND usename = current_user"
	    " AND datname = current_database()",
	    P_NONE, NULL, &e));
	usleep(50000);
}

static int
hold_roots(struct db *db, void *ctx, struct err *error)
{
	struct graph *g = ctx;
	const int64_t *ids;
	uint64_t done;
	size_t n = graph_garbage(g, &ids);

	if (db_roots_shared(db, error) != 0 ||
	    db_exec(db, "SELECT 1", P_NONE, NULL, error) != 0)
		return -1;
	FAILS(ERR_CONFLICT, graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	return 0;
}

static int
exclusive(struct db *db, void *ctx, struct err *e)
{
	return db_roots_exclusive(db, *(int *)ctx, e);
}

static int
hold_exclusive(struct db *db, void *ctx, struct err *error)
{
	int ms = 50;

	(void)ctx;
	if (db_roots_exclusive(db, 1000, error) != 0)
		return -1;
	FAILS(ERR_CONFLICT,
	    db_transaction(gc, DB_READ_COMMITTED, exclusive, &ms, &e));
	db_deadline(server2, deadline_in(300));
	FAILS(ERR_TIMEOUT, begin(server2, closure("x", "x", NULL), &e));
	return 0;
}

static void
test_roots_lock(void **state)
{
	struct graph *g;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", NULL);
	expire_closures(0);
	g = snapshot();
	/* A beginning upload keeps batches out. */
	OK(db_transaction(server, DB_READ_COMMITTED, hold_roots, g, &e));
	n = graph_garbage(g, &ids);
	OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	assert_int_equal(done, 2);
	graph_free(g);
	/* And the other way round. */
	OK(db_transaction(
	    live_owner, DB_READ_COMMITTED, hold_exclusive, NULL, &e));
	db_deadline(server2, live_soon());
	OK(begin(server2, closure("x", "x", NULL), &e));
}

static void
test_gc_lock(void **state)
{
	struct db *a = live_open("niks3_gc"), *b = live_open("niks3_gc");
	int got;

	(void)state;
	OK(db_gc_lock(a, &got, &e));
	assert_true(got);
	OK(db_gc_lock(b, &got, &e));
	assert_false(got);
	OK(db_alive(a, &e));
	kill_others(b);
	FAILS(ERR_UNAVAILABLE, db_alive(a, &e));
	/* And it does not come back under another connection. */
	FAILS(ERR_UNAVAILABLE, db_alive(a, &e));
	OK(db_alive(b, &e));
	OK(db_gc_lock(b, &got, &e));
	assert_true(got);
	db_close(a);
	db_close(b);
}

/* ---- lost connections ---- */

struct killed {
	int tries;
	int kill; /* so many of them */
};

static int
killed_inside(struct db *db, void *ctx, struct err *e)
{
	struct killed *k = ctx;

	if (db_exec(db, "SELECT 1", P_NONE, NULL, e) != 0)
		return -1;
	if (k->tries++ < k->kill)
		kill_others(server2);
	return db_exec(db, "SELECT 2", P_NONE, NULL, e);
}

static void
test_killed(void **state)
{
	struct killed k = { 0, 1 };
	struct stats s;

	(void)state;
	/* Between transactions nobody notices. */
	OK(stats_get(server, &s, &e));
	kill_others(server2);
	OK(stats_get(server, &s, &e));
	/* Inside, the transaction is done again, once. */
	OK(db_transaction(server, DB_READ_COMMITTED, killed_inside, &k, &e));
	assert_int_equal(k.tries, 2);
	k = (struct killed){ 0, 99 };
	FAILS(ERR_UNAVAILABLE,
	    db_transaction(server, DB_READ_COMMITTED, killed_inside, &k, &e));
	assert_true(k.tries <= 2);
	OK(stats_get(server, &s, &e));
}

static int
insert_slow(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	return db_send(db, "INSERT INTO slow VALUES (1)", P_NONE, e);
}

static void *
kill_soon(void *arg)
{
	struct err e = ERR_INIT;

	usleep(200000);
	db_query(arg,
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	    " WHERE query = 'COMMIT' AND state = 'active'",
	    P_NONE, NULL, &e);
	return NULL;
}

static void
test_ambiguous_commit(void **state)
{
	struct err error = ERR_INIT;
	struct db *other = live_open("");
	pthread_t t;

	(void)state;
	sql("CREATE TABLE slow (i int);"
	    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
	    " 'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END';"
	    "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow"
	    " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()");
	deadlines();
	pthread_create(&t, NULL, kill_soon, other);
	assert_int_equal(db_transaction(live_owner, DB_READ_COMMITTED,
	                     insert_slow, NULL, &error),
	    -1);
	pthread_join(t, NULL);
	assert_int_equal(error.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(error.msg, "not known"));
	db_close(other);
	/* Nor when it took too long. */
	db_deadline(live_owner, deadline_in(300));
	err_clear(&error);
	assert_int_equal(db_transaction(live_owner, DB_READ_COMMITTED,
	                     insert_slow, NULL, &error),
	    -1);
	assert_int_equal(error.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(error.msg, "not known"));
	sql("DROP TABLE slow; DROP FUNCTION slow()");
}

/* ---- errors ---- */

static int
wrong(struct db *db, void *ctx, struct err *e)
{
	return db_exec(db, ctx, P_NONE, NULL, e);
}

static int
overlooked(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	db_exec(db, "SELECT 1 / 0", P_NONE, NULL, e);
	return 0;
}

static int
sent(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	return db_send(db, "SELECT 1 / 0", P_NONE, e) != 0 ||
	        db_send(db, "SELECT 1", P_NONE, e) != 0
	    ? -1
	    : 0;
}

static void
test_errors(void **state)
{
	struct err error = ERR_INIT;

	(void)state;
	db_transaction(server, DB_READ_COMMITTED, wrong,
	    (void *)(uintptr_t) "SELECT nonsense", &error);
	assert_int_equal(error.kind, ERR_INTERNAL);
	assert_non_null(strstr(error.msg, "42703"));
	FAILS(ERR_FORBIDDEN,
	    db_transaction(server, DB_READ_COMMITTED, wrong,
	        (void *)(uintptr_t) "DROP TABLE objects", &e));
	db_deadline(server, deadline_in(200));
	FAILS(ERR_TIMEOUT,
	    db_transaction(server, DB_READ_COMMITTED, wrong,
	        (void *)(uintptr_t) "SELECT pg_sleep(5)", &e));
	db_deadline(server, deadline_in(0));
	FAILS(ERR_TIMEOUT, db_alive(server, &e));
	db_deadline(server, live_soon());
	OK(db_alive(server, &e));
	/* Errors of what was only sent are those of the commit. */
	FAILS(ERR_INTERNAL,
	    db_transaction(server, DB_READ_COMMITTED, sent, NULL, &e));
	FAILS(ERR_INTERNAL,
	    db_transaction(server, DB_READ_COMMITTED, overlooked, NULL, &e));
	OK(db_alive(server, &e));
	assert_int_equal(db_alive(server, NULL), 0);
}

static void
test_connect_errors(void **state)
{
	struct db *db;
	struct db_pool *p;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(db_open("host=/nonexistent password=hunter2",
	                     "db_live", live_soon(), &db, &e),
	    -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_null(strstr(e.msg, "hunter2"));
	assert_int_equal(
	    db_open("host=x hunter2", "db_live", live_soon(), &db, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_null(strstr(e.msg, "hunter2"));
	assert_int_equal(db_pool_new("hunter2 = ", "x", 1, &p, &e), -1);
	assert_null(strstr(e.msg, "hunter2"));
}

/* Somebody listens, and says nothing. */
static void
test_connect_timeout(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[64];
	struct db *db;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	snprintf(text, sizeof text, "host=127.0.0.1 port=%d user=x",
	    ntohs(a.sin_port));
	FAILS(ERR_TIMEOUT, db_open(text, "db_live", deadline_in(200), &db, &e));
	close(fd);
}

/* ---- the pool ---- */

static void *
borrow(void *arg)
{
	struct db_pool *p = arg;
	struct err e = ERR_INIT;
	struct db *db;

	for (int i = 0; i < 20; i++) {
		if (db_get(p, live_soon(), &db, &e) != 0)
			return p;
		if (db_alive(db, &e) != 0)
			fprintf(stderr, "%s\n", e.msg);
		db_put(p, db);
	}
	return NULL;
}

static void
test_pool(void **state)
{
	struct db_pool *p;
	struct db_pool_use use;
	struct db *a, *b, *c;
	pthread_t t[8];
	void *bad;

	(void)state;
	OK(db_pool_new(getenv("NIKS3_TEST_DB"), "db_live pool", 2, &p, &e));
	OK(db_get(p, live_soon(), &a, &e));
	db_pool_use(p, &use);
	assert_int_equal(use.in_use, 1);
	assert_int_equal(use.max, 2);
	OK(db_get(p, live_soon(), &b, &e));
	db_pool_use(p, &use);
	assert_int_equal(use.waits, 0);
	FAILS(ERR_UNAVAILABLE, db_get(p, deadline_in(50), &c, &e));
	db_pool_use(p, &use);
	assert_int_equal(use.in_use, 2);
	assert_int_equal(use.waits, 1);
	assert_int_equal(use.waiting, 0);
	OK(db_alive(a, &e));
	db_put(p, a);
	OK(db_get(p, live_soon(), &c, &e));
	assert_ptr_equal(a, c);
	db_put(p, c);
	db_put(p, b);
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, borrow, p);
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_true(number("SELECT count(*) FROM pg_stat_activity WHERE"
	                   " application_name = 'db_live pool'") <= 2);
	db_pool_free(p);
	db_pool_free(NULL);
	db_close(NULL);
}

/* ---- who may do what ---- */

static void
test_rights(void **state)
{
	static const char *const server_not[] = {
		"DELETE FROM objects",
		"DELETE FROM contents",
		"DELETE FROM closures",
		"DELETE FROM uploads",
		"INSERT INTO tombstones VALUES (1, now(), 1)",
		"UPDATE tombstones SET claim = 1",
		"UPDATE tombstones SET first_at = now()",
		"UPDATE gc_runs SET state = 'failed'",
		"DELETE FROM stat_deltas",
		"INSERT INTO goose_db_version VALUES (9, 9, true)",
		"TRUNCATE pending",
		"CREATE TABLE mine ()",
	};
	static const char *const gc_not[] = {
		"INSERT INTO objects (key, kind) VALUES ('x', 1)",
		"UPDATE objects SET key = 'y'",
		"INSERT INTO contents VALUES (1, 1, '')",
		"INSERT INTO closures VALUES (1, 'x')",
		"UPDATE closures SET updated_at = now()",
		"DELETE FROM pins",
		"INSERT INTO uploads (token, owner, store_dir, "
		"lease_until)"
		" VALUES ('a', 'b', 'c', now())",
		"INSERT INTO gc_runs (older_than, pending_older_than)"
		" VALUES ('1 s', '1 s')",
		"UPDATE objects SET refs = '{}'",
		"CREATE TABLE mine ()",
	};

	(void)state;
	for (size_t i = 0; i < sizeof server_not / sizeof *server_not; i++)
		FAILS(ERR_FORBIDDEN, script(server, server_not[i], &e));
	for (size_t i = 0; i < sizeof gc_not / sizeof *gc_not; i++)
		FAILS(ERR_FORBIDDEN, script(gc, gc_not[i], &e));
}

/* ---- the disk ---- */

static int
write_lazily(struct db *db, void *ctx, struct err *error)
{
	(void)ctx;
	if (db_lazy(db, error) != 0)
		return -1;
	return db_exec(db,
	    "INSERT INTO stat_deltas (objects, bytes) VALUES (0, 0)", P_NONE,
	    NULL, error);
}

/* What was committed without a wait lasts after the flush: a database that is
 * killed then has not lost it. */
static void
test_flush(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		int64_t written;

		OK(db_transaction(
		    gc, DB_READ_COMMITTED, write_lazily, NULL, &e));
		written = WAL("pg_current_wal_insert_lsn()");
		OK(db_flush(gc, &e));
		assert_true(WAL("pg_current_wal_flush_lsn()") >= written);
	}
}

/* ---- several at one moment ---- */

static int
count_deltas(struct db *db, void *ctx, struct err *error)
{
	PGresult *r;

	if (db_exec(
	        db, "SELECT count(*) FROM stat_deltas", P_NONE, &r, error) != 0)
		return -1;
	*(int64_t *)ctx = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

static int
see_the_same(struct db *db, void *ctx, struct err *error)
{
	struct db *other = ctx;
	char name[DB_SNAPSHOT_MAX];
	int64_t mine, its;

	OK(count_deltas(db, &mine, error));
	OK(db_snapshot(db, name, error));
	OK(db_transaction(server, DB_READ_COMMITTED, write_lazily, NULL, &e));
	OK(db_transaction_in(other, name, count_deltas, &its, &e));
	assert_int_equal(its, mine);
	OK(db_transaction(other, DB_READ_COMMITTED, count_deltas, &its, &e));
	assert_int_equal(its, mine + 1);
	return 0;
}

static void
test_snapshot(void **state)
{
	struct db *other = db_beside(gc);
	int64_t n;

	(void)state;
	OK(db_transaction(gc, DB_REPEATABLE_READ, see_the_same, other, &e));
	FAILS(ERR_INTERNAL,
	    db_transaction_in(
	        other, "00000003-00000000-1", count_deltas, &n, &e));
	db_close(other);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_roots_lock),
	LIVE_TEST(test_gc_lock),
	LIVE_TEST(test_killed),
	LIVE_TEST(test_ambiguous_commit),
	LIVE_TEST(test_errors),
	LIVE_TEST(test_connect_errors),
	LIVE_TEST(test_connect_timeout),
	LIVE_TEST(test_pool),
	LIVE_TEST(test_rights),
	LIVE_TEST(test_flush),
	LIVE_TEST(test_snapshot),
};

LIVE_GROUP(conn);
