/*
 * Marking: what is garbage, which closures expire, and what appears while a
 * collection goes on. (graph_live tells of large and odd graphs.)
 */
#include "db_live.h"

static void
test_mark(void **state)
{
	struct graph *g;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	push("tool", "tool", "lib");
	sql("DELETE FROM closures WHERE store_path LIKE '%/tool.narinfo'");
	g = snapshot();
	assert_int_equal(graph_objects(g), 6);
	assert_int_equal(graph_live(g), 6);
	assert_true(graph_memory(g) > 0);
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 2);
	/* The referrer first. */
	assert_int_equal(ids[0], id_of("tool.narinfo"));
	assert_int_equal(ids[1], id_of("nar/tool"));
	OK(graph_tombstone(gc, g, 0, 1, RUN, &done, &e));
	assert_int_equal(done, 1);
	check_rules();
	OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	assert_int_equal(done, 1);
	graph_free(g);
	STATE("tool.narinfo", "tombstone");
	STATE("nar/tool", "tombstone");
	STATE("lib.narinfo", "live");

	g = snapshot();
	assert_int_equal(graph_live(g), 4);
	assert_int_equal(graph_garbage(g, &ids), 0);
	graph_free(g);
	graph_free(NULL);
}

/* A worker that lost its lock, or whose commit was not answered, has made some of
 * a batch already: they keep their time, and are counted once. */
static void
test_mark_made_already(void **state)
{
	struct graph *other, *g;
	uint64_t done;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	other = snapshot();
	g = snapshot();
	OK(graph_tombstone(gc, other, 0, 3, RUN, &done, &e));
	assert_int_equal(done, 3);
	sql("UPDATE tombstones SET first_at = 'yesterday'");
	OK(graph_tombstone(gc, g, 0, 4, RUN, &done, &e));
	assert_int_equal(done, 1);
	assert_int_equal(
	    number("SELECT count(*) FROM tombstones WHERE first_at < 'today'"),
	    3);
	graph_free(other);
	graph_free(g);
}

/* Few of many: their sizes are looked up, not read with all others. */
static void
test_mark_few(void **state)
{
	char name[8];

	(void)state;
	push("one", "one", NULL);
	expire_closures(0);
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "n%d", i);
		push(name, name, NULL);
	}
	assert_int_equal(mark_all(), 2);
	check_rules();
}

static void
test_mark_empty(void **state)
{
	struct graph *g;
	const int64_t *ids;

	(void)state;
	g = snapshot();
	assert_int_equal(graph_objects(g), 0);
	assert_int_equal(graph_garbage(g, &ids), 0);
	graph_free(g);
}

/* Somebody broke the rules with a shell: it is mended, or told. */
static void
test_mark_broken(void **state)
{
	struct graph *g;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	sql("INSERT INTO tombstones SELECT id, now(), 3 FROM objects"
	    " WHERE key IN ('lib.narinfo', 'nar/lib')");
	sql("INSERT INTO stat_deltas (objects, bytes) VALUES (-2, -110)");
	sql("UPDATE tombstones SET rank = 1 WHERE object_id ="
	    " (SELECT id FROM objects WHERE key = 'lib.narinfo')");
	g = snapshot();
	assert_int_equal(graph_dangling(g), 0);
	n = graph_revivable(g, &ids);
	assert_int_equal(n, 2);
	/* What refers to nothing that is not live, and then what refers to it. */
	for (int left = 2; left >= 0; left--) {
		OK(graph_revive(gc, g, ids, n, RUN, &done, &e));
		assert_int_equal(done, left > 0);
	}
	graph_free(g);
	check_rules();

	sql("UPDATE objects SET refs = refs || 999999999::bigint"
	    " WHERE key = 'app.narinfo'");
	g = snapshot();
	assert_int_equal(graph_dangling(g), 1);
	graph_free(g);
	sql("UPDATE objects SET refs = array_remove(refs, 999999999)");
}

/* A batch first marks from what has appeared since the snapshot. */
static void
test_mark_catches_up(void **state)
{
	struct graph *g;
	struct req *q;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	g = snapshot();
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 4);

	/* An open upload needs some of it, and refers to it by a new path. */
	q = closure("new", "new", "lib");
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 2);
	OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	assert_int_equal(done, 2);
	STATE("app.narinfo", "tombstone");
	STATE("lib.narinfo", "live");
	check_rules();

	/* A closure that is known only by its commit. */
	q = closure("newer", "newer", "app");
	req_path(q, "app2", "app", "lib", NULL);
	OK(begin(server, q, &e));
	commit(server, q);
	OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	assert_int_equal(done, 0);
	STATE("nar/app", "live");
	STATE("nar/lib", "live");
	graph_free(g);
}

/*
 * A path that is tombstoned and written anew, with another NAR, between two
 * batches: what it now refers to is found, not what the snapshot said.
 */
static void
test_mark_follows_new_references(void **state)
{
	struct graph *g;
	struct req *q;
	const int64_t *ids;
	uint64_t done;
	size_t n, at = 0;

	(void)state;
	push("app", "one", NULL);
	push("other", "two", NULL);
	expire_closures(0);
	g = snapshot();
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 4);
	while (ids[at] != id_of("app.narinfo"))
		at++;
	OK(graph_tombstone(gc, g, at, 1, RUN, &done, &e));
	assert_int_equal(done, 1);

	q = closure("app", "two", NULL);
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 1); /* to be written anew */
	commit(server, q);
	OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	assert_int_equal(done, 2);
	STATE("nar/two", "live");
	STATE("nar/one", "tombstone");
	graph_free(g);
}

/*
 * Between snapshot and batch an upload revives a path, and is given up: what the
 * path refers to stays as live as the path, though no root needs either.
 */
static void
test_mark_after_rollback(void **state)
{
	struct graph *g;
	struct req *q;
	const int64_t *ids;
	int64_t app;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", NULL);
	expire_closures(0);
	g = snapshot();
	graph_garbage(g, &ids);
	app = ids[0];
	assert_int_equal(app, id_of("app.narinfo"));
	OK(graph_tombstone(gc, g, 0, 1, RUN, &done, &e));
	graph_free(g);

	g = snapshot();
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 1);
	q = closure("app", "app", NULL);
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 0);
	abort_upload(q);
	OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	assert_int_equal(done, 0);
	check_rules();
	graph_free(g);
	assert_int_equal(mark_all(), 2);
}

/* The same of what an upload stores beside its roots. */
static void
test_mark_after_commit(void **state)
{
	struct graph *g;
	struct req *q;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("lib", "lib", NULL);
	expire_closures(0);
	g = snapshot();
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 2);
	q = closure("app", "app", NULL);
	req_path(q, "beside", "app", "lib", NULL);
	OK(begin(server, q, &e));
	commit(server, q);
	OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	assert_int_equal(done, 0);
	check_rules();
	graph_free(g);
	assert_int_equal(mark_all(), 3);
}

/*
 * An object that an upload waits for was refused, and what it refers to is gone:
 * it must not come back. Whoever needs it writes it anew.
 */
static void
test_revive_needs_references(void **state)
{
	enum reap_answer answers[] = { REAP_REFUSED, REAP_GONE };
	struct reap_object *o;
	const int64_t *ids;
	struct graph *g;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	assert_int_equal(claim(0, &o), 2);
	assert_string_equal(o[0].key, "app.narinfo");
	/* It waits, and has not seen the answers yet. */
	sql("INSERT INTO uploads (token, owner, store_dir, lease_until)"
	    " VALUES ('waits', 'ci', '/nix/store', now() + interval '1 h');"
	    "INSERT INTO upload_needs (upload_id, object_id, refs, missing)"
	    " SELECT (SELECT id FROM uploads WHERE token = 'waits'), id, refs,"
	    " false FROM objects WHERE kind = 1");
	answer_each(o, 2, answers, 0);
	STATE("app.narinfo", "tombstone");
	STATE("lib.narinfo", "pending");
	g = snapshot();
	n = graph_revivable(g, &ids);
	assert_true(n > 0);
	do {
		OK(graph_revive(gc, g, ids, n, RUN, &done, &e));
	} while (done > 0);
	graph_free(g);
	STATE("app.narinfo", "tombstone");
	STATE("nar/app", "live");
	sql("DELETE FROM upload_needs; UPDATE uploads SET state = 'aborted',"
	    " ended_at = now()");
	/* It is for nobody now, and its NAR with it. */
	assert_int_equal(mark_all(), 1);
}

/* ---- closures that expire ---- */

static void
refresh_present(void)
{
	static const char *const keys[] = { "app.narinfo" };
	int present;

	OK(closures_present(server, keys, 1, &present, &e));
	assert_true(present);
}

static void
refresh_pin(void)
{
	OK(pins_set(server, "p", "app.narinfo", STORE "/app.narinfo", &e));
}

static void
refresh_push(void)
{
	push("app", "app", "lib");
}

/* Between snapshot and batch: app stays, with all that it needs. */
static void
refreshed(void (*refresh)(void), int before_first)
{
	int64_t until, app, tool;
	const int64_t *ids;
	struct graph *g;
	uint64_t done;
	size_t n;

	live_setup(NULL);
	push("app", "app", "lib");
	push("tool", "tool", "lib");
	app = id_of("app.narinfo");
	tool = id_of("tool.narinfo");
	until = CLOCK_US;
	g = snapshot_expiring(until);
	assert_int_equal(graph_expiring(g, &ids), 2);
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 6);
	if (before_first)
		refresh();
	OK(graph_expire(gc, g, &tool, 1, until, RUN, &done, &e));
	assert_int_equal(done, 1);
	if (!before_first)
		refresh();
	OK(graph_expire(gc, g, &app, 1, until, RUN, &done, &e));
	assert_int_equal(done, 0);
	OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	assert_int_equal(done, 2);
	graph_free(g);
	STATE("tool.narinfo", "tombstone");
	STATE("app.narinfo", "live");
	STATE("lib.narinfo", "live");
	assert_int_equal(COUNT("closures"), 1);
	assert_int_equal(mark_all(), 0);
	check_rules();
}

static void
test_expire(void **state)
{
	(void)state;
	for (int before_first = 0; before_first < 2; before_first++) {
		refreshed(refresh_present, before_first);
		refreshed(refresh_pin, before_first);
		refreshed(refresh_push, before_first);
	}
}

/* A dry run ends nothing, and tells what a collection would do. */
static void
test_expiring_only(void **state)
{
	const int64_t *ids;
	struct graph *g;
	int64_t until;

	(void)state;
	push("old", "old", "lib");
	push("pinned", "pinned", NULL);
	OK(pins_set(
	    server, "p", "pinned.narinfo", STORE "/pinned.narinfo", &e));
	until = CLOCK_US;
	push("new", "new", "lib");
	g = snapshot_expiring(until);
	assert_int_equal(graph_expiring(g, &ids), 1);
	assert_int_equal(ids[0], id_of("old.narinfo"));
	assert_int_equal(graph_garbage(g, &ids), 2);
	graph_free(g);
	assert_int_equal(COUNT("closures"), 3);
	assert_int_equal(mark_all(), 0);
}

/* ---- closures that are taken away ---- */

static void
test_take_away(void **state)
{
	char pin[EXPIRE_PIN_MAX];
	int64_t id;
	uint64_t n;

	(void)state;
	push("app", "app", "lib");
	OK(pins_set(server, "p", "app.narinfo", STORE "/app.narinfo", &e));
	OK(expire_closure(gc, "app.narinfo", RUN, &n, pin, &e));
	assert_int_equal(n, 0);
	assert_string_equal(pin, "p");
	OK(pins_delete(server, "p", &e));
	OK(expire_closure(gc, "lib.narinfo", RUN, &n, pin, &e));
	assert_int_equal(n, 0);
	OK(expire_closure(gc, "app.narinfo", RUN, &n, pin, &e));
	assert_int_equal(n, 1);
	assert_string_equal(pin, "");
	OK(reap_object_id(gc, "app.narinfo", &id, &e));
	assert_int_equal(id, id_of("app.narinfo"));
	FAILS(ERR_NOT_FOUND, reap_object_id(gc, "no.narinfo", &id, &e));
	assert_int_equal(mark_all(), 4);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_mark),
	LIVE_TEST(test_mark_made_already),
	LIVE_TEST(test_mark_few),
	LIVE_TEST(test_mark_empty),
	LIVE_TEST(test_mark_broken),
	LIVE_TEST(test_mark_catches_up),
	LIVE_TEST(test_mark_follows_new_references),
	LIVE_TEST(test_mark_after_rollback),
	LIVE_TEST(test_mark_after_commit),
	LIVE_TEST(test_revive_needs_references),
	LIVE_TEST(test_expire),
	LIVE_TEST(test_expiring_only),
	LIVE_TEST(test_take_away),
};

LIVE_GROUP(mark);
