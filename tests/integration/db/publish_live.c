/*
 * Rule R9: one upload at a time writes a narinfo. Two that push one store path
 * with different NARs, in every order.
 */
#include "db_live.h"

/* The narinfo of app is being written by first; second is loaded. */
struct pair {
	struct req *first, *second;
	struct commit a, b;
};

static struct pair
begin_both(void)
{
	struct pair p = { closure("app", "one", NULL),
		closure("app", "two", NULL), { 0 }, { 0 } };

	/* Of the second alone. */
	req_path(p.second, "above", "above", NULL);
	OK(begin(server2, p.second, &e));
	authorize_all(server2, p.second);
	commit_until_published(server, p.first, &p.a);
	OK(load(server2, p.second, &p.b, &e));
	assert_int_equal(p.b.npaths, 2);
	return p;
}

/* That the narinfo of app names this NAR, and nothing else. */
#define NAMES(nar)                                                       \
	assert_int_equal(number("SELECT CASE WHEN cardinality(refs) = 1" \
	                        " THEN refs[1] END FROM objects"         \
	                        " WHERE key = 'app.narinfo'"),           \
	    id_of(nar))

static void
test_busy(void **state)
{
	struct pair p = begin_both();

	(void)state;
	/* All or none. */
	assert_int_equal(publish(server2, &p.b), COMMIT_BUSY);
	assert_int_equal(COUNT("pending WHERE writer IS NOT NULL"), 1);
	/* The writer itself may ask again. */
	assert_int_equal(publish(server, &p.a), COMMIT_CLAIMED);
	OK(finish(server, &p.a, &e));
	NAMES("nar/one");
}

static void
test_changed(void **state)
{
	struct pair p = begin_both();

	(void)state;
	OK(finish(server, &p.a, &e));
	assert_int_equal(publish(server2, &p.b), COMMIT_CHANGED);
	assert_int_equal(COUNT("pending WHERE writer IS NOT NULL"), 0);
	OK(load(server2, p.second, &p.b, &e));
	assert_int_equal(p.b.npaths, 1);
	assert_string_equal(p.b.paths[0].key, "above.narinfo");
	assert_int_equal(publish(server2, &p.b), COMMIT_CLAIMED);
	fill(&p.b);
	OK(finish(server2, &p.b, &e));
	NAMES("nar/one");
	/* Its own NAR, and what no root needs, are nobody's. */
	assert_int_equal(mark_all(), 3);
	STATE("nar/two", "tombstone");
}

static void
test_take_over(void **state)
{
	struct pair p = begin_both();

	(void)state;
	let_time_pass();
	assert_int_equal(publish(server2, &p.b), COMMIT_CLAIMED);
	assert_false(p.b.paths[0].unsure);
	FAILS(ERR_UNAVAILABLE, finish(server, &p.a, &e));
	STATE("app.narinfo", "pending");
	fill(&p.b);
	OK(finish(server2, &p.b, &e));
	FAILS(ERR_UNAVAILABLE, finish(server, &p.a, &e));
	NAMES("nar/two");
	abort_upload(p.first);
}

/* A writer that nobody has followed may still finish. */
static void
test_late(void **state)
{
	struct pair p = begin_both();

	(void)state;
	let_time_pass();
	OK(finish(server, &p.a, &e));
	NAMES("nar/one");
	abort_upload(p.second);
}

/* The writer is forgotten when its upload is over; what it has sent is not. */
static void
test_writer_unknown(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct commit c;

	(void)state;
	OK(begin(server, q, &e));
	authorize_all(server, q);
	OK(load(server, q, &c, &e));
	sql("UPDATE pending SET auth_until = now() + interval '1 min'");
	assert_int_equal(publish(server, &c), COMMIT_BUSY);
	let_time_pass();
	assert_int_equal(publish(server, &c), COMMIT_CLAIMED);
}

static const char until_sql[] = "SELECT count(*) FROM contents"
                                " JOIN objects ON id = object_id"
                                " WHERE kind = 1 AND auth_until > now()";
static const char over_sql[] = "SELECT count(*) FROM contents"
                               " JOIN objects ON id = object_id"
                               " WHERE kind = 1 AND auth_until = '-infinity'";

/* A write whose answer was lost may still arrive, a second one may not. */
static void
test_unsure(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct commit c;

	(void)state;
	push("sure", "sure", NULL);
	assert_int_equal(number(over_sql), 1);
	commit_until_published(server, q, &c);
	assert_false(c.paths[0].unsure);
	c.paths[0].unsure = 1;
	OK(finish(server, &c, &e));
	assert_int_equal(number(until_sql), 1);
}

/* A commit that is tried again does not know what the first try has sent. */
static void
test_unsure_again(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct commit c;

	(void)state;
	commit_until_published(server, q, &c);
	OK(load(server, q, &c, &e));
	assert_false(c.paths[0].unsure);
	assert_int_equal(publish(server, &c), COMMIT_CLAIMED);
	assert_true(c.paths[0].unsure);
	fill(&c);
	OK(finish(server, &c, &e));
	assert_int_equal(number(until_sql), 1);
}

/* Whoever writes a tombstone anew waits for what was sent when it was live. */
static void
test_rewrite(void **state)
{
	struct req *q = closure("app", "one", NULL);
	struct commit c;

	(void)state;
	commit_until_published(server, q, &c);
	c.paths[0].unsure = 1;
	OK(finish(server, &c, &e));
	expire_closures(0);
	assert_int_equal(mark_all(), 2);
	q = closure("app", "two", NULL);
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 2);
	authorize_all(server, q);
	OK(load(server, q, &c, &e));
	assert_int_equal(publish(server, &c), COMMIT_BUSY);
	let_time_pass();
	assert_int_equal(publish(server, &c), COMMIT_CLAIMED);
	fill(&c);
	OK(finish(server, &c, &e));
	NAMES("nar/two");
}

static void
test_ended(void **state)
{
	struct req *q = closure("app", "app", NULL);
	enum commit_claim claim_it;
	struct commit c;

	(void)state;
	commit_until_published(server, q, &c);
	abort_upload(q);
	FAILS(ERR_CONFLICT, commit_publish(server, &c, &claim_it, &e));
}

/* ---- every order ---- */

/* One of the two, from load to finish; whatever the bucket is sent arrives. */
struct side {
	struct db *db;
	const char *name, *nar;
	struct req *q;
	struct commit c;
	enum {
		BEGIN,
		LOAD,
		PUBLISH,
		FINISH,
		DONE
	} next;
};

static void
step(struct side *s, const char **written)
{
	struct err e = ERR_INIT;

	switch (s->next) {
	case BEGIN:
		s->q = closure(s->name, s->nar, NULL);
		if (begin(s->db, s->q, &e) != 0)
			fail_msg("%s", e.msg);
		authorize_all(s->db, s->q);
		s->next = LOAD;
		break;
	case LOAD:
		if (load(s->db, s->q, &s->c, &e) != 0)
			fail_msg("%s", e.msg);
		s->next = PUBLISH;
		break;
	case PUBLISH:
		switch (publish(s->db, &s->c)) {
		case COMMIT_CLAIMED:
			fill(&s->c);
			if (s->c.npaths > 0)
				*written = s->nar;
			s->next = FINISH;
			break;
		case COMMIT_BUSY:
			break;
		case COMMIT_CHANGED:
			s->next = LOAD;
		}
		break;
	case FINISH:
		if (finish(s->db, &s->c, &e) == 0) {
			s->next = DONE;
		} else {
			assert_int_equal(e.kind, ERR_UNAVAILABLE);
			abort_upload(s->q);
			s->next = BEGIN;
		}
		break;
	case DONE:
		break;
	}
}

/* Bit by bit order tells whose step is next; before step late, all that was sent
 * is over. Then both go on in turn. */
static void
both_in_order(unsigned order, unsigned late)
{
	struct side s[2] = { { .db = server }, { .db = server2 } };
	const char *written = NULL;
	const char *path = arena_printf(live_arena, "p%u-%u", order, late);

	for (int i = 0; i < 2; i++) {
		s[i].name = path;
		s[i].nar = arena_printf(live_arena, "%s-%d", path, i);
		step(&s[i], &written);
	}
	for (unsigned i = 0; s[0].next != DONE || s[1].next != DONE; i++) {
		assert_true(i < 50);
		if (i == late)
			let_time_pass();
		step(&s[i < 6 ? order >> i & 1 : i & 1], &written);
	}
	/* What it says is what is known of it. */
	assert_int_equal(
	    number_of("SELECT CASE WHEN cardinality(refs) = 1 THEN refs[1] END"
	              " FROM objects WHERE key = $1",
	        arena_printf(live_arena, "%s.narinfo", path)),
	    id_of(arena_printf(live_arena, "nar/%s", written)));
}

static void
test_every_order(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 64; order++)
		for (unsigned late = 1; late <= 6; late++) {
			deadlines();
			both_in_order(order, late);
		}
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_busy),
	LIVE_TEST(test_changed),
	LIVE_TEST(test_take_over),
	LIVE_TEST(test_late),
	LIVE_TEST(test_writer_unknown),
	LIVE_TEST(test_unsure),
	LIVE_TEST(test_unsure_again),
	LIVE_TEST(test_rewrite),
	LIVE_TEST(test_ended),
	LIVE_TEST(test_every_order),
};

LIVE_GROUP(publish);
