/*
 * What S3 answered to a delete: gone, refused, or not known.
 */
#include "db_live.h"

#include <string.h>
#include <unistd.h>

/* Tombstones of a path and of the one that it refers to. */
static void
make_tombstones(void)
{
	push("app", "app", "lib");
	expire_closures(0);
	assert_int_equal(mark_all(), 4);
}

static void
test_answers(void **state)
{
	static const char first_sql[] =
	    "SELECT extract(epoch FROM min(first_at))::bigint FROM tombstones";
	enum reap_answer answers[] = { REAP_GONE, REAP_REFUSED };
	struct reap_object *o;
	int64_t first;
	size_t n;

	(void)state;
	make_tombstones();
	sql("UPDATE tombstones SET first_at = now() - interval '2 h'");
	first = number(first_sql);
	n = claim(HOUR, &o);
	assert_int_equal(n, 2);
	answer_each(o, n, answers, 0);
	STATE("app.narinfo", "gone");
	STATE("lib.narinfo", "tombstone");
	assert_int_equal(number(first_sql), first);
	/* Refused: due again at once. Unknown: only asked for by a sweep. */
	n = claim(HOUR, &o);
	assert_int_equal(n, 2); /* and the NAR of app */
	answer(o, n, REAP_UNKNOWN);
	STATE("lib.narinfo", "deleting");
	assert_int_equal(claim(0, &o), 0);
	n = claim_leftover(&o);
	assert_int_equal(n, 2); /* each once a sweep */
	answer(o, n, REAP_UNKNOWN);
	n = claim_leftover(&o);
	assert_int_equal(n, 2);
	answer(o, n, REAP_GONE);
	/* An answer that comes twice does nothing. */
	answer(o, n, REAP_GONE);
	answer(o, n, REAP_REFUSED);
	assert_int_equal(claim_leftover(&o), 0);
	n = claim(0, &o);
	assert_int_equal(n, 1);
	answer(o, n, REAP_GONE);
	assert_int_equal(COUNT("objects"), 0);
}

/* A claim is named by its time: a worker that slept, and whose successor has
 * asked again, changes nothing. */
static void
test_answers_of_a_sleeper(void **state)
{
	struct reap_object *slept, *o;

	(void)state;
	make_tombstones();
	assert_int_equal(claim(0, &slept), 2);
	assert_int_equal(claim_leftover(&o), 2);
	assert_true(o[0].claimed_us > slept[0].claimed_us);
	answer(slept, 2, REAP_GONE);
	STATE("app.narinfo", "deleting");
	answer(slept, 2, REAP_REFUSED);
	STATE("app.narinfo", "deleting");
	answer(o, 2, REAP_REFUSED);
	STATE("app.narinfo", "tombstone");
	answer(slept, 2, REAP_GONE);
	STATE("app.narinfo", "tombstone");
}

/* One call for objects of several claims: each is looked at by its own. */
static void
test_answers_of_several_claims(void **state)
{
	static const enum reap_answer gone[] = { REAP_GONE, REAP_GONE };
	struct reap_object *slept, *o, both[2];

	(void)state;
	make_tombstones();
	assert_int_equal(claim(0, &slept), 2);
	assert_int_equal(claim_leftover(&o), 2);
	both[0] = slept[0];
	both[1] = o[o[1].id == slept[1].id];
	assert_int_equal(both[1].id, id_of("lib.narinfo"));
	answer_each(both, 2, gone, 0);
	STATE("app.narinfo", "deleting");
	STATE("lib.narinfo", "gone");
}

static int
finish_beside(struct db *db, void *ctx, struct err *error)
{
	static const enum reap_answer gone[] = { REAP_GONE, REAP_GONE };
	size_t done = 0;

	if (db_roots_shared(db, error) != 0 ||
	    db_exec(db, "SELECT 1", P_NONE, NULL, error) != 0)
		return -1;
	FAILS(ERR_CONFLICT, reap_finish(gc, ctx, gone, 2, 0, &done, &e));
	assert_int_equal(done, 0);
	return 0;
}

/* The lock was not to be had: the answers can be given once more. */
static void
test_answers_again(void **state)
{
	struct reap_object *o;

	(void)state;
	make_tombstones();
	assert_int_equal(claim(0, &o), 2);
	OK(db_transaction(server, DB_READ_COMMITTED, finish_beside, o, &e));
	STATE("app.narinfo", "deleting");
	answer(o, 2, REAP_GONE);
	STATE("app.narinfo", "gone");
}

/*
 * Somebody could still write it when it was claimed: the write may have come
 * after the delete, though its time is over when the answer is written down.
 */
static void
test_written_behind_the_delete(void **state)
{
	struct reap_object *o;

	(void)state;
	push("app", "app", NULL);
	expire_closures(0);
	mark_all();
	assert_int_equal(claim(0, &o), 1);
	answer(o, 1, REAP_GONE);
	assert_int_equal(claim(0, &o), 1);
	assert_string_equal(o[0].key, "nar/app");
	sql("UPDATE contents c SET auth_until = t.claimed_at + interval '1 ms'"
	    " FROM tombstones t WHERE t.object_id = c.object_id");
	usleep(10000);
	answer(o, 1, REAP_GONE);
	STATE("nar/app", "pending");
	/* Its time is over: deleted once more. */
	assert_int_equal(claim_pending(&o), 1);
	answer(o, 1, REAP_GONE);
	STATE("nar/app", "gone");
}

/* A pending object whose delete was refused waits like any tombstone. */
static void
test_rollback_refused(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct reap_object *o;
	size_t n;

	(void)state;
	OK(begin(server, q, &e));
	abort_upload(q);
	while ((n = claim_pending(&o)) > 0)
		answer(o, n, REAP_REFUSED);
	STATE("nar/app", "pending");
	assert_int_equal(claim_pending(&o), 0);
	assert_int_equal(claim(HOUR, &o), 0);
	q = closure("app", "app", NULL);
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 2);
	assert_int_equal(claim(0, &o), 0);
	commit(server, q);
	STATE("nar/app", "live");
	assert_int_equal(COUNT("tombstones"), 0);
}

/*
 * A delete before, whose answer was lost, may have been carried out: refused now
 * says nothing of that. Whoever needs the object writes it anew.
 */
static void
test_leftover_refused(void **state)
{
	struct req *q;
	struct reap_object *o;
	size_t n;

	(void)state;
	make_tombstones();
	sql("UPDATE contents SET auth_until = now() + interval '1 min'"
	    " WHERE object_id = (SELECT id FROM objects"
	    " WHERE key = 'lib.narinfo')");
	assert_int_equal(claim(0, &o), 2);
	n = claim_leftover(&o);
	assert_int_equal(n, 2);
	answer_leftover(o, n, REAP_REFUSED);
	STATE("app.narinfo", "pending");
	assert_int_equal(COUNT("tombstones WHERE claim IS NULL"), 4);
	/* Who may write it may still. */
	assert_int_equal(COUNT("pending WHERE auth_until > now()"), 1);
	/* It is a tombstone as well, and never was rolled back. */
	assert_int_equal(claim_pending(&o), 0);

	q = closure("app", "app", "lib");
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 2);
	STATE("nar/app", "live");
	sql("UPDATE pending SET auth_until = '-infinity'");
	commit(server, q);
	STATE("app.narinfo", "live");
	assert_int_equal(COUNT("tombstones"), 0);
}

/* Nobody needs it: claimed as the tombstone that it is. */
static void
test_leftover_refused_goes(void **state)
{
	struct reap_object *o;
	size_t n;

	(void)state;
	make_tombstones();
	assert_int_equal(claim(0, &o), 2);
	n = claim_leftover(&o);
	answer_leftover(o, n, REAP_REFUSED);
	assert_int_equal(claim(HOUR, &o), 0);
	while ((n = claim(0, &o)) > 0)
		answer(o, n, REAP_GONE);
	assert_int_equal(COUNT("objects"), 0);
	assert_int_equal(COUNT("pending"), 0);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_answers),
	LIVE_TEST(test_answers_of_a_sleeper),
	LIVE_TEST(test_answers_of_several_claims),
	LIVE_TEST(test_answers_again),
	LIVE_TEST(test_written_behind_the_delete),
	LIVE_TEST(test_rollback_refused),
	LIVE_TEST(test_leftover_refused),
	LIVE_TEST(test_leftover_refused_goes),
};

LIVE_GROUP(answers);
