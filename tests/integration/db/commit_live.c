/*
 * Commits: what is loaded, what is checked again, what becomes live. (publish_live
 * tells of two that write the same narinfo.)
 */
#include "db_live.h"

#include <string.h>

static void
test_push(void **state)
{
	struct req *q = closure("app", "app", "lib");
	struct commit c;
	struct stats s;

	(void)state;
	OK(begin(server, q, &e));
	assert_int_equal(strlen(q->token), 32);
	assert_int_equal(missing(q), 4);
	STATE("app.narinfo", "pending");
	authorize_all(server, q);
	OK(load(server, q, &c, &e));
	assert_false(c.already);
	assert_string_equal(c.store_dir, STORE);
	assert_int_equal(c.nobjects, 2);
	assert_int_equal(c.npaths, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(c.objects[i].kind, 2);
		assert_true(c.objects[i].written);
		assert_int_equal(c.objects[i].size, 100);
		assert_int_equal(c.objects[i].sha256[1], 2);
		assert_false(c.paths[i].has_file);
		assert_int_equal(c.paths[i].nar_hash.sha256[0], 7);
		assert_int_equal(c.paths[i].nar_size, 1000);
		assert_string_equal(c.paths[i].deriver, "x.drv");
		assert_null(c.paths[i].ca);
		if (strcmp(c.paths[i].base, "app") == 0) {
			assert_string_equal(c.paths[i].key, "app.narinfo");
			assert_string_equal(c.paths[i].nar_key, "nar/app");
			assert_int_equal(c.paths[i].nrefs, 1);
			assert_string_equal(c.paths[i].refs[0], "lib");
			assert_int_equal(c.paths[i].nneeds, 1);
			assert_int_equal(
			    c.paths[i].needs[0], id_of("lib.narinfo"));
		} else {
			assert_int_equal(c.paths[i].nrefs, 0);
			assert_int_equal(c.paths[i].nneeds, 0);
		}
	}
	assert_int_equal(publish(server, &c), COMMIT_CLAIMED);
	fill(&c);
	OK(finish(server, &c, &e));
	STATE("app.narinfo", "live");
	STATE("nar/lib", "live");
	assert_int_equal(COUNT("closures"), 1);
	OK(stats_get(server, &s, &e));
	assert_int_equal(s.objects, 4);
	assert_int_equal(s.bytes, 220);

	/* A repeated commit, of each of its two steps. */
	OK(finish(server, &c, &e));
	OK(load(server, q, &c, &e));
	assert_true(c.already);
	assert_int_equal(c.narinfos, 2);
	OK(stats_get(server, &s, &e));
	assert_int_equal(s.objects, 4);
}

/* A new path whose NAR another path has. */
static void
test_shared_nar(void **state)
{
	struct req *q;
	struct commit c;

	(void)state;
	push("one", "same", NULL);
	q = closure("two", "same", NULL);
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 1);
	OK(load(server, q, &c, &e));
	assert_int_equal(c.nobjects, 0);
	assert_int_equal(c.npaths, 1);
	assert_true(c.paths[0].has_file);
	assert_int_equal(c.paths[0].file_size, 100);
	assert_int_equal(c.paths[0].file_sha256[2], 3);
	assert_int_equal(publish(server, &c), COMMIT_CLAIMED);
	fill(&c);
	OK(finish(server, &c, &e));
}

static void
test_commit_missing(void **state)
{
	struct req *q = closure("app", "app", "lib");
	const char **keys = NULL;
	size_t n = 0;
	struct commit c;

	(void)state;
	OK(begin(server, q, &e));
	OK(authorize(server, q, "nar/lib", 1, &e));
	OK(load(server, q, &c, &e));
	assert_int_equal(publish(server, &c), COMMIT_CLAIMED);
	fill(&c);
	FAILS(
	    ERR_CONFLICT, commit_finish(server, &c, live_arena, &keys, &n, &e));
	assert_int_equal(n, 1);
	assert_string_equal(keys[0], "nar/app");
	STATE("nar/lib", "pending");

	/* Only what the upload needs is asked for. */
	OK(authorize(server, q, "nar/app", 1, &e));
	OK(load(server, q, &c, &e));
	fill(&c);
	sql("DELETE FROM upload_needs WHERE object_id ="
	    " (SELECT id FROM objects WHERE key = 'nar/app')");
	OK(finish(server, &c, &e));
}

/* The second line of defence: rule R3 without the others. */
static void
test_commit_checks_again(void **state)
{
	struct req *q;
	const char **keys = NULL;
	size_t n = 0;
	struct commit c;

	(void)state;
	push("lib", "lib", NULL);
	q = closure("app", "app", "lib");
	commit_until_published(server, q, &c);
	sql("INSERT INTO tombstones SELECT id, now(), 3 FROM objects"
	    " WHERE key = 'nar/lib'");
	FAILS(
	    ERR_CONFLICT, commit_finish(server, &c, live_arena, &keys, &n, &e));
	assert_int_equal(n, 1);
	assert_string_equal(keys[0], "nar/lib");
	sql("UPDATE tombstones SET claim = 1, claimed_at = now()");
	FAILS(ERR_CONFLICT, finish(server, &c, &e));
	sql("DELETE FROM tombstones");
	sql("ALTER TABLE pins DROP CONSTRAINT pins_object_id_fkey");
	sql("DELETE FROM objects WHERE key = 'nar/lib'");
	n = 0;
	FAILS(
	    ERR_CONFLICT, commit_finish(server, &c, live_arena, &keys, &n, &e));
	assert_int_equal(n, 1);
	sql("ALTER TABLE pins ADD FOREIGN KEY (object_id) REFERENCES closures");
	live_setup(state);
}

/* Both had begun: what the client stored later is what the bucket holds. */
static void
test_facts_of_the_later(void **state)
{
	struct req *a = req_new(), *b = req_new();
	struct commit ca, cb;
	struct stats s;

	(void)state;
	/* Without paths, so that neither waits for the other's narinfo. */
	req_object(a, "nar/app", OBJKEY_NAR);
	req_object(b, "nar/app", OBJKEY_NAR);
	OK(begin(server, a, &e));
	OK(begin(server2, b, &e));
	OK(authorize(server, a, "nar/app", 100, &e));
	OK(authorize(server2, b, "nar/app", 300, &e));
	OK(load(server, a, &ca, &e));
	OK(load(server2, b, &cb, &e));
	OK(finish(server, &ca, &e));
	OK(finish(server2, &cb, &e));
	assert_int_equal(number("SELECT size FROM contents"), 300);
	OK(stats_get(server, &s, &e));
	assert_int_equal(s.objects, 1);
	assert_int_equal(s.bytes, 300);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_push),
	LIVE_TEST(test_shared_nar),
	LIVE_TEST(test_facts_of_the_later),
	LIVE_TEST(test_commit_missing),
	LIVE_TEST(test_commit_checks_again),
};

LIVE_GROUP(commit);
