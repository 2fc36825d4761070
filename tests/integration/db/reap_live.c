/*
 * Claims: what is deleted, in which order, and what is not claimed although it is
 * garbage. (answers_live tells what comes after S3's answer.)
 */
#include "db_live.h"

#include <stdio.h>
#include <string.h>

static void
test_reap(void **state)
{
	struct reap_cursor at = { 0 };
	struct reap_object *o;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	assert_int_equal(mark_all(), 0);
	expire_closures(0);
	assert_int_equal(mark_all(), 4);
	assert_int_equal(claim(HOUR, &o), 0);
	for (int rank = 1; rank <= 3; rank += 2) {
		OK(reap_claim(gc, RUN, ALL_DUE, &at, live_arena, &o, &n, &e));
		assert_int_equal(n, 2);
		assert_int_equal(at.rank, rank);
		assert_int_equal(o[0].size, rank == 1 ? 10 : 100);
		assert_non_null(
		    strstr(o[1].key, rank == 1 ? "narinfo" : "nar/"));
		STATE(o[1].key, "deleting");
		if (rank == 1)
			answer(o, n, REAP_GONE);
	}
	OK(reap_claim(gc, RUN, ALL_DUE, &at, live_arena, &o, &n, &e));
	assert_int_equal(n, 0);
	/* The delete that was sent for it may still be on its way. */
	OK(reap_leftover(gc, RUN, ago(HOUR), live_arena, &o, &n, &e));
	assert_int_equal(n, 0);
	n = claim_leftover(&o);
	assert_int_equal(n, 2);
	answer(o, n, REAP_GONE);
	assert_int_equal(claim_leftover(&o), 0);
	assert_int_equal(COUNT("objects"), 0);
	assert_int_equal(COUNT("contents"), 0);
}

/* n paths that nobody needs, each with a NAR, a listing and a log. */
static void
make_garbage(int n)
{
	char text[1024];

	snprintf(text, sizeof text,
	    "INSERT INTO objects (id, key, kind, refs)"
	    " SELECT 4 * i + k, 'o' || i || '-' || k, k + 1, CASE k WHEN 0 THEN"
	    " ARRAY[4 * i + 1, 4 * i + 2, 4 * i + 3] ELSE '{}' END"
	    " FROM generate_series(1, %d) i, generate_series(0, 3) k;"
	    "INSERT INTO contents (object_id, size, sha256)"
	    " SELECT id, 1, '' FROM objects;"
	    "INSERT INTO stat_deltas (objects, bytes) VALUES (%d, %d)",
	    n, 4 * n, 4 * n);
	sql(text);
}

/* Of a key that make_garbage made. */
static int
rank_of(const char *key)
{
	static const int ranks[] = { 1, 3, 2, 2 };

	return ranks[strchr(key, '-')[1] - '0'];
}

/* Claims and deletes all, and returns how many. */
static size_t
delete_in_order(void)
{
	struct reap_cursor at = { 0 };
	size_t n, total = 0;
	int last = 1;

	do {
		struct reap_object *o;

		db_deadline(gc, live_soon());
		OK(reap_claim(gc, RUN, ALL_DUE, &at, live_arena, &o, &n, &e));
		assert_true(n <= REAP_BATCH);
		for (size_t i = 0; i < n; i++) {
			assert_true(rank_of(o[i].key) >= last);
			last = rank_of(o[i].key);
		}
		answer(o, n, REAP_GONE);
		total += n;
	} while (n > 0);
	return total;
}

static void
nothing_is_left(void)
{
	assert_int_equal(COUNT("objects"), 0);
	assert_int_equal(COUNT("contents"), 0);
	assert_int_equal(COUNT("tombstones"), 0);
	assert_int_equal(COUNT("pending"), 0);
}

/* Narinfos before what they name, also over several batches. */
static void
test_reap_order(void **state)
{
	(void)state;
	make_garbage(1500);
	assert_int_equal(mark_all(), 6000);
	assert_int_equal(delete_in_order(), 6000);
	nothing_is_left();
}

static void
test_reap_many(void **state)
{
	enum {
		MANY = 100000,
		BATCH = 10000
	};
	const int64_t *ids;
	struct graph *g;
	uint64_t done, total = 0;
	size_t n;

	(void)state;
	make_garbage(MANY / 4);
	db_deadline(gc, live_soon());
	g = snapshot();
	n = graph_garbage(g, &ids);
	assert_int_equal(n, MANY);
	for (size_t i = 0; i < n; i += BATCH) {
		OK(graph_tombstone(gc, g, i, BATCH, RUN, &done, &e));
		total += done;
	}
	graph_free(g);
	assert_int_equal(total, MANY);
	assert_int_equal(delete_in_order(), MANY);
	nothing_is_left();
}

/* What is put before all times is due at once, and only that; also for a later
 * run. */
static void
test_at_once(void **state)
{
	struct reap_cursor at = { 0 };
	struct reap_object *o;
	int64_t ids[2];
	size_t n;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	ids[0] = id_of("nar/app");
	ids[1] = id_of("app.narinfo");
	OK(graph_hasten(gc, ids, 2, &e));
	for (int i = 0; i < 2; i++) {
		OK(reap_claim(
		    gc, RUN, REAP_AT_ONCE, &at, live_arena, &o, &n, &e));
		assert_int_equal(n, 1);
		assert_string_equal(
		    o[0].key, i == 0 ? "app.narinfo" : "nar/app");
		answer(o, n, REAP_GONE);
	}
	OK(reap_claim(gc, RUN, REAP_AT_ONCE, &at, live_arena, &o, &n, &e));
	assert_int_equal(n, 0);
	STATE("lib.narinfo", "tombstone");
}

/* A narinfo that is not due when its turn comes keeps its NAR, though that would
 * be due by the time of its own. */
static void
test_one_time(void **state)
{
	struct reap_cursor at = { 0 };
	struct reap_object *o;
	int64_t until;
	size_t n;

	(void)state;
	push("app", "app", NULL);
	expire_closures(0);
	until = ago(0);
	mark_all();
	for (int i = 0; i < 2; i++) {
		OK(reap_claim(gc, RUN, until, &at, live_arena, &o, &n, &e));
		assert_int_equal(n, 0);
	}
	STATE("app.narinfo", "tombstone");
	STATE("nar/app", "tombstone");
}

/* ---- what was rolled back ---- */

static void
test_rollback(void **state)
{
	struct req *a = closure("app", "app", "lib");
	struct req *b = closure("tool", "tool", "lib");
	struct reap_object *o;

	(void)state;
	OK(begin(server, a, &e));
	OK(begin(server2, b, &e));
	assert_int_equal(claim_pending(&o), 0);
	abort_upload(a);
	/* What the other one needs stays. */
	assert_int_equal(claim_pending(&o), 1);
	answer(o, 1, REAP_GONE);
	STATE("app.narinfo", "gone");
	assert_int_equal(claim_pending(&o), 1);
	answer(o, 1, REAP_GONE);
	STATE("nar/app", "gone");
	STATE("lib.narinfo", "pending");
	commit(server2, b);
	collect();
	STATE("nar/lib", "live");
}

/* Who was allowed to write may still do it: the row stays. */
static void
test_authorised_rows_stay(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct reap_object *o;
	size_t n;

	(void)state;
	auth_us = MINUTE;
	OK(begin(server, q, &e));
	OK(authorize(server, q, "nar/app", 1, &e));
	abort_upload(q);
	for (int i = 0; i < 2; i++) {
		n = claim_pending(&o);
		assert_int_equal(n, 1);
		assert_string_equal(
		    o[0].key, i == 0 ? "app.narinfo" : "nar/app");
		answer(o, n, REAP_GONE);
	}
	STATE("app.narinfo", "gone");
	STATE("nar/app", "pending");
	/* Once is enough until then. */
	assert_int_equal(claim_pending(&o), 0);
	sql("UPDATE pending SET auth_until = now() - interval '1 s'");
	n = claim_pending(&o);
	assert_int_equal(n, 1);
	answer(o, n, REAP_GONE);
	STATE("nar/app", "gone");

	/* Also of what was committed in the meantime. */
	push("app", "app", NULL);
	expire_closures(0);
	mark_all();
	while ((n = claim(0, &o)) > 0)
		answer(o, n, REAP_GONE);
	STATE("app.narinfo", "gone");
	STATE("nar/app", "pending");
	sql("UPDATE pending SET auth_until = '-infinity'");
	collect();
	STATE("nar/app", "gone");
}

/* ---- rule R10: what a narinfo names that may be in the bucket ---- */

static size_t
claim_some(int pending, struct reap_cursor *at, struct reap_object **o)
{
	size_t n;

	if (pending)
		OK(reap_claim_pending(gc, RUN, at, live_arena, o, &n, &e));
	else
		OK(reap_claim(gc, RUN, ALL_DUE, at, live_arena, o, &n, &e));
	return n;
}

/* A path with all that can hang on one, which no root needs. */
static void
make_path(int pending)
{
	struct req *q = closure_with_log("app", "app", "lib", "log/app.drv");

	req_attach(q, q->roots[0].object, "app.ls", OBJKEY_LISTING);
	OK(begin(server, q, &e));
	if (pending) {
		abort_upload(q);
		return;
	}
	commit(server, q);
	expire_closures(0);
	assert_int_equal(mark_all(), 6);
}

/*
 * The narinfo of app got that answer (UNKNOWN is also that of a worker that
 * died): its NAR, listing and log are not claimed by this run, nor by any other
 * as long as the narinfo may be there.
 */
static void
held_by(enum reap_answer a, int pending)
{
	struct reap_cursor at = { 0 };
	struct reap_object *o;
	enum reap_answer answers[] = { a, REAP_GONE };
	size_t n;

	live_setup(NULL);
	make_path(pending);
	n = claim_some(pending, &at, &o);
	assert_int_equal(n, 2);
	assert_string_equal(o[0].key, "app.narinfo");
	answer_each(o, n, answers, 0);
	n = claim_some(pending, &at, &o);
	assert_int_equal(n, 1);
	assert_string_equal(o[0].key, "nar/lib");
	answer(o, n, REAP_GONE);
	assert_int_equal(claim_some(pending, &at, &o), 0);

	/* The next run. */
	if (a == REAP_UNKNOWN) {
		assert_int_equal(claim_some(pending, &at, &o), 0);
		assert_int_equal(claim_leftover(&o), 1);
	} else {
		assert_int_equal(claim_pending(&o), 0);
		assert_int_equal(claim(0, &o), 1);
	}
	assert_string_equal(o[0].key, "app.narinfo");
	answer(o, 1, REAP_GONE);
	at = (struct reap_cursor){ 0 };
	n = claim_some(pending, &at, &o);
	assert_int_equal(n, 2);
	answer(o, n, REAP_GONE);
	n = claim_some(pending, &at, &o);
	assert_int_equal(n, 1);
	assert_string_equal(o[0].key, "nar/app");
	answer(o, n, REAP_GONE);
	assert_int_equal(claim_some(pending, &at, &o), 0);
	nothing_is_left();
}

static void
test_held(void **state)
{
	(void)state;
	held_by(REAP_REFUSED, 0);
	held_by(REAP_UNKNOWN, 0);
	held_by(REAP_REFUSED, 1);
	held_by(REAP_UNKNOWN, 1);
}

/*
 * A tombstone that an upload writes anew is not claimed; until that is done, the
 * old narinfo is in the bucket, and names the old NAR.
 */
static void
test_held_by_rewrite(void **state)
{
	struct req *q = closure("app", "two", NULL);
	struct reap_object *o;

	(void)state;
	push("app", "one", NULL);
	expire_closures(0);
	mark_all();
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 2);
	assert_int_equal(claim(0, &o), 0);
	STATE("nar/one", "tombstone");
	commit(server, q);
	assert_int_equal(claim(0, &o), 1);
	assert_string_equal(o[0].key, "nar/one");
}

/*
 * Two uploads were about to write one narinfo, and neither came to its end. What
 * they have sent may still arrive, and name the NAR of the one or of the other.
 */
static void
test_held_by_late_writes(void **state)
{
	struct req *one = closure("app", "one", NULL);
	struct req *two = closure("app", "two", NULL);
	struct reap_object *o;
	struct commit c;

	(void)state;
	commit_until_published(server, one, &c);
	let_time_pass();
	commit_until_published(server2, two, &c);
	abort_upload(one);
	abort_upload(two);
	assert_int_equal(claim_pending(&o), 1);
	assert_string_equal(o[0].key, "app.narinfo");
	answer(o, 1, REAP_GONE);
	STATE("app.narinfo", "pending");
	assert_int_equal(claim_pending(&o), 0);

	/* Deleted once more, when they are over; then the NARs can go. */
	let_time_pass();
	assert_int_equal(claim_pending(&o), 1);
	assert_string_equal(o[0].key, "app.narinfo");
	answer(o, 1, REAP_GONE);
	assert_int_equal(claim_pending(&o), 2);
	answer(o, 2, REAP_GONE);
	nothing_is_left();
}

/* ---- vacuum ---- */

static int64_t
counted(void)
{
	return number("SELECT reltuples::bigint FROM pg_class"
	              " WHERE oid = 'objects'::regclass");
}

static void
test_vacuum(void **state)
{
	int newer = number("SELECT current_setting('server_version_num')::int"
	                   " >= 170000");

	(void)state;
	push("app", "app", "lib");
	assert_int_equal(counted(), -1);
	/* Before PostgreSQL 17 only the owner of a table may. */
	OK(vacuum_large(gc, &e));
	assert_int_equal(counted(), newer ? 4 : -1);
	OK(vacuum_large(live_owner, &e));
	assert_int_equal(counted(), 4);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_reap),
	LIVE_TEST(test_reap_order),
	LIVE_TEST(test_reap_many),
	LIVE_TEST(test_at_once),
	LIVE_TEST(test_one_time),
	LIVE_TEST(test_rollback),
	LIVE_TEST(test_authorised_rows_stay),
	LIVE_TEST(test_held),
	LIVE_TEST(test_held_by_rewrite),
	LIVE_TEST(test_held_by_late_writes),
	LIVE_TEST(test_vacuum),
};

LIVE_GROUP(reap);
