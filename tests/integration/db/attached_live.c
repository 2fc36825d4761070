/*
 * What hangs on a path though its narinfo does not name it: build logs,
 * realisations, listings, also those that came later than the path.
 */
#include "db_live.h"

#define LOG "log/app.drv"

static int
hangs_on(const char *narinfo, const char *key)
{
	return live_number("SELECT count(*) FROM objects WHERE key = $1"
	                   " AND (SELECT id FROM objects WHERE key = $2)"
	                   " = ANY (refs)",
	    PARAMS(P_TEXT(narinfo), P_TEXT(key)));
}

/* Pushes app, which refers to lib, again with something that hangs on it. */
static void
push_later(const char *key, int kind)
{
	struct req *q = closure("app", "app", "lib");
	struct commit c;

	req_attach(q, q->roots[0].object, key, kind);
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 1);
	authorize_all(server, q);
	OK(load(server, q, &c, &e));
	assert_int_equal(c.npaths, 0);
	assert_int_equal(c.nobjects, 1);
	assert_int_equal(publish(server, &c), COMMIT_CLAIMED);
	OK(finish(server, &c, &e));
	STATE(key, "live");
	assert_true(hangs_on("app.narinfo", key));
}

static void
test_later(void **state)
{
	(void)state;
	push("app", "app", "lib");
	push_later(LOG, OBJKEY_LOG);
	push_later("realisations/app", OBJKEY_REALISATION);
	push_later("app.ls", OBJKEY_LISTING);
	assert_int_equal(mark_all(), 0);
	assert_int_equal(expire_closures(0), 1);
	assert_int_equal(mark_all(), 7);
}

/* Not as long as the root that brought it, but as the path. */
static void
test_lives_with_its_path(void **state)
{
	struct req *q = req_new();

	(void)state;
	req_path(q, "lib", "lib", NULL);
	req_path(q, "app", "app", "lib", NULL);
	req_root(q, req_path(q, "top", "top", "app", NULL));
	push_req(q);
	push_later(LOG, OBJKEY_LOG);
	assert_int_equal(COUNT("closures"), 2);
	sql("DELETE FROM closures WHERE store_path LIKE '%/app.narinfo'");
	assert_int_equal(mark_all(), 0);
	STATE(LOG, "live");
	expire_closures(0);
	assert_int_equal(mark_all(), 7);
}

/* Of two outputs of one derivation. */
static void
test_shared_log(void **state)
{
	(void)state;
	push_req(closure_with_log("out", "out", NULL, LOG));
	push_req(closure_with_log("dev", "dev", NULL, LOG));
	sql("DELETE FROM closures WHERE store_path LIKE '%/out.narinfo'");
	assert_int_equal(mark_all(), 2);
	STATE("out.narinfo", "tombstone");
	STATE(LOG, "live");
	collect();
	STATE("out.narinfo", "gone");
	STATE(LOG, "live");
	expire_closures(0);
	assert_int_equal(mark_all(), 3);
}

/* A path that is live already, with other references than the client believes:
 * nothing but what hangs on it is added. */
static void
test_only_what_hangs(void **state)
{
	struct req *q = closure_with_log("app", "two", NULL, LOG);

	(void)state;
	push("app", "one", NULL);
	OK(begin(server, q, &e));
	commit(server, q);
	assert_true(hangs_on("app.narinfo", LOG));
	assert_true(hangs_on("app.narinfo", "nar/one"));
	assert_false(hangs_on("app.narinfo", "nar/two"));
	assert_int_equal(mark_all(), 1);
	STATE("nar/two", "tombstone");
}

/* ---- a tombstone that is pushed again, without its log ---- */

static struct req *
tombstones_with_log(void)
{
	push_req(closure_with_log("app", "app", NULL, LOG));
	expire_closures(0);
	assert_int_equal(mark_all(), 3);
	return closure("app", "app", NULL);
}

static void
test_kept(void **state)
{
	struct req *q = tombstones_with_log();

	(void)state;
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 0);
	STATE(LOG, "live");
	check_rules();
	/* It is needed like what the upload names. */
	assert_int_equal(mark_all(), 0);
	commit(server, q);
	assert_true(hangs_on("app.narinfo", LOG));
	assert_int_equal(mark_all(), 0);
	STATE(LOG, "live");
}

/* Another content: what hung on the old one is not taken over. */
static void
test_not_kept(void **state)
{
	struct req *q;

	(void)state;
	tombstones_with_log();
	q = closure("app", "other", NULL);
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 2);
	STATE(LOG, "tombstone");
	commit(server, q);
	assert_false(hangs_on("app.narinfo", LOG));
}

/* It is being deleted, or may have been: not waited for. */
static void
lost(const char *how)
{
	struct req *q = tombstones_with_log();

	sql(how);
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 1); /* the narinfo, to be written anew */
	check_rules();
	commit(server, q);
	STATE("app.narinfo", "live");
	assert_false(hangs_on("app.narinfo", LOG));
}

static void
test_kept_claimed(void **state)
{
	struct reap_object *o;

	(void)state;
	lost("UPDATE tombstones SET claim = 1, claimed_at = now()"
	     " WHERE object_id = (SELECT id FROM objects WHERE kind = 4)");
	STATE(LOG, "deleting");
	assert_int_equal(claim_leftover(&o), 1);
	answer(o, 1, REAP_GONE);
	STATE(LOG, "gone");
}

static void
test_kept_pending(void **state)
{
	(void)state;
	lost("INSERT INTO pending (object_id)"
	     " SELECT id FROM objects WHERE kind = 4");
	STATE(LOG, "pending");
}

/* ---- a collection that goes on meanwhile ---- */

/* The log was garbage in the snapshot, and is attached before its batch. */
static void
test_catch_up(void **state)
{
	struct req *alone = req_new();
	const int64_t *ids;
	struct graph *g;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", NULL);
	req_object(alone, LOG, OBJKEY_LOG);
	push_req(alone);
	g = snapshot();
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 1);
	assert_int_equal(ids[0], id_of(LOG));
	push_req(closure_with_log("app", "app", NULL, LOG));
	assert_true(hangs_on("app.narinfo", LOG));
	OK(graph_tombstone(gc, g, 0, n, RUN, &done, &e));
	assert_int_equal(done, 0);
	STATE(LOG, "live");
	graph_free(g);
	assert_int_equal(mark_all(), 0);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_later),
	LIVE_TEST(test_lives_with_its_path),
	LIVE_TEST(test_shared_log),
	LIVE_TEST(test_only_what_hangs),
	LIVE_TEST(test_kept),
	LIVE_TEST(test_not_kept),
	LIVE_TEST(test_kept_claimed),
	LIVE_TEST(test_kept_pending),
	LIVE_TEST(test_catch_up),
};

LIVE_GROUP(attached);
