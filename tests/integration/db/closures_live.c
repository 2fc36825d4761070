/*
 * Closures, which are roots by age, and pins, which are roots by name.
 */
#include "db_live.h"

static void
test_present(void **state)
{
	const char *keys[] = { "no.narinfo", "app.narinfo", "lib.narinfo",
		"app.narinfo" };
	int present[4];

	(void)state;
	push("app", "app", "lib");
	sql("UPDATE closures SET updated_at = now() - interval '1 h'");
	OK(closures_present(server, keys, 4, present, &e));
	assert_false(present[0]);
	assert_true(present[1]);
	assert_false(present[2]); /* in the cache, but no root */
	assert_true(present[3]);
	assert_int_equal(expire_closures(HOUR / 2), 0);
	OK(closures_present(server, keys, 0, present, &e));
	sql("UPDATE closures SET updated_at = now() - interval '1 h'");
	assert_int_equal(expire_closures(HOUR / 2), 1);
	OK(closures_present(server, keys, 2, present, &e));
	assert_false(present[1]);
}

static void
test_get(void **state)
{
	struct closure c;

	(void)state;
	push("app", "app", "lib");
	sql("UPDATE closures SET created_at = 'epoch'::timestamptz"
	    " + 1234567890123456 * interval '1 us'");
	OK(pins_set(server, "z", "app.narinfo", STORE "/app.narinfo", &e));
	OK(pins_set(server, "a", "app.narinfo", STORE "/app.narinfo", &e));
	OK(closures_get(server, "app.narinfo", live_arena, &c, &e));
	assert_int_equal(c.id, id_of("app.narinfo"));
	assert_string_equal(c.store_path, STORE "/app.narinfo");
	assert_int_equal(c.created_us, 1234567890123456);
	assert_true(c.updated_us > clock_wall_us() - HOUR);
	assert_int_equal(c.npins, 2);
	assert_string_equal(c.pins[0], "a");
	assert_string_equal(c.pins[1], "z");
	/* In the cache, but no root; and not at all. */
	FAILS(ERR_NOT_FOUND,
	    closures_get(server, "lib.narinfo", live_arena, &c, &e));
	FAILS(ERR_NOT_FOUND,
	    closures_get(server, "no.narinfo", live_arena, &c, &e));
}

/* The pages of a list, each of at most so many. */
static void
read_pages(size_t max, const char *const *want, size_t nwant)
{
	int64_t us = 0, id = 0;
	struct closure *c;
	size_t n, at = 0;

	do {
		OK(closures_list(server, us, id, max, live_arena, &c, &n, &e));
		assert_true(n <= max);
		for (size_t i = 0; i < n; i++)
			assert_string_equal(c[i].store_path, want[at++]);
		if (n > 0) {
			us = c[n - 1].updated_us;
			id = c[n - 1].id;
		}
	} while (n > 0);
	assert_int_equal(at, nwant);
}

/* Oldest first; those of one time, as of one upload, by id. */
static void
test_list(void **state)
{
	static const char *const want[] = { STORE "/old.narinfo",
		STORE "/a.narinfo", STORE "/b.narinfo", STORE "/c.narinfo",
		STORE "/d.narinfo", STORE "/new.narinfo" };
	struct req *q = req_new();

	(void)state;
	read_pages(3, want, 0);
	push("new", "new", NULL);
	req_root(q, req_path(q, "a", "a", NULL));
	req_root(q, req_path(q, "b", "b", NULL));
	req_root(q, req_path(q, "c", "c", NULL));
	req_root(q, req_path(q, "d", "d", NULL));
	push_req(q);
	push("old", "old", NULL);
	sql("UPDATE closures SET updated_at = now() - CASE"
	    " WHEN store_path LIKE '%/old.narinfo' THEN interval '3 h'"
	    " WHEN store_path LIKE '%/new.narinfo' THEN interval '1 h'"
	    " ELSE interval '2 h' END");
	for (size_t max = 1; max <= 7; max++)
		read_pages(max, want, 6);
}

static void
test_pins(void **state)
{
	struct pin *pins, pin;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	push("tool", "tool", NULL);
	FAILS(ERR_NOT_FOUND,
	    pins_set(server, "p", "lib.narinfo", STORE "/lib.narinfo", &e));
	FAILS(ERR_INVALID,
	    pins_set(server, "p", "app.narinfo", STORE "/other", &e));
	OK(pins_set(server, "p", "app.narinfo", STORE "/app.narinfo", &e));
	OK(pins_set(server, "a", "app.narinfo", STORE "/app.narinfo", &e));
	OK(pins_list(server, live_arena, &pins, &n, &e));
	assert_int_equal(n, 2);
	assert_string_equal(pins[0].name, "a");
	OK(pins_get(server, "p", live_arena, &pin, &e));
	assert_string_equal(pin.store_path, STORE "/app.narinfo");
	assert_true(pin.created_us > clock_wall_us() - HOUR &&
	    pin.created_us < clock_wall_us() + HOUR);

	/* It keeps its closure, until it points elsewhere. */
	assert_int_equal(expire_closures(0), 1); /* tool */
	assert_int_equal(mark_all(), 2);
	collect();
	push("tool", "tool", NULL);
	OK(pins_set(server, "p", "tool.narinfo", STORE "/tool.narinfo", &e));
	OK(pins_delete(server, "a", &e));
	FAILS(ERR_NOT_FOUND, pins_delete(server, "a", &e));
	FAILS(ERR_NOT_FOUND, pins_get(server, "a", live_arena, &pin, &e));
	assert_int_equal(expire_closures(0), 1); /* app */
	collect();
	STATE("lib.narinfo", "gone");
	STATE("tool.narinfo", "live");
}

static void
test_census(void **state)
{
	struct stats_census c;
	int64_t bytes;

	(void)state;
	OK(stats_census(server, &c, &e));
	assert_int_equal(c.uploads[STATS_COMMITTED], 0);
	assert_int_equal(c.closures, 0);
	OK(stats_logical(server, &bytes, &e));
	assert_int_equal(bytes, 0);

	push("app", "app", "lib");
	push("tool", "tool", NULL);
	OK(pins_set(server, "p", "app.narinfo", STORE "/app.narinfo", &e));
	sql("INSERT INTO uploads (token, owner, store_dir, state, lease_until)"
	    " VALUES ('a', 'x', '/s', 'open', now() + interval '1 h'),"
	    " ('b', 'x', '/s', 'open', now() - interval '1 h'),"
	    " ('c', 'x', '/s', 'open', now() - interval '2 h'),"
	    " ('d', 'x', '/s', 'aborted', now() - interval '2 h')");
	sql("INSERT INTO gc_runs (state, older_than, pending_older_than)"
	    " VALUES ('running', '1 h', '1 h'), ('failed', '1 h', '1 h')");
	OK(stats_census(server, &c, &e));
	assert_int_equal(c.uploads[STATS_OPEN], 3);
	assert_int_equal(c.uploads[STATS_COMMITTED], 2);
	assert_int_equal(c.uploads[STATS_ABORTED], 1);
	assert_int_equal(c.uploads[STATS_EXPIRED], 0);
	assert_int_equal(c.overdue, 2);
	assert_int_equal(c.closures, 2);
	assert_int_equal(c.pins, 1);
	assert_int_equal(c.running, 1);
	assert_string_equal(stats_upload_name(STATS_OPEN), "open");

	/* Live NARs only. */
	sql("UPDATE objects SET nar_size = 100 WHERE kind = 2");
	OK(stats_logical(server, &bytes, &e));
	assert_int_equal(bytes, 100 * COUNT("objects WHERE kind = 2"));
	sql("INSERT INTO tombstones (object_id, first_at, rank)"
	    " SELECT min(id), now(), 3 FROM objects WHERE kind = 2");
	sql("INSERT INTO pending (object_id)"
	    " SELECT max(id) FROM objects WHERE kind = 2");
	OK(stats_logical(server, &bytes, &e));
	assert_int_equal(bytes, 100 * (COUNT("objects WHERE kind = 2") - 2));
	sql("DELETE FROM tombstones; DELETE FROM pending");
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_present),
	LIVE_TEST(test_get),
	LIVE_TEST(test_list),
	LIVE_TEST(test_pins),
	LIVE_TEST(test_census),
};

LIVE_GROUP(closures);
