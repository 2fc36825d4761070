/*
 * Uploads from their beginning to their end: what may be asked of them and by
 * whom, what they find live, pending, tombstoned or being deleted.
 */
#include "db_live.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static void
test_words(void **state)
{
	const char *sigs[] = { "key:abc", "other key:{\"\\,", "" };
	const char *bad[] = { "two\nlines" };
	struct req *q = closure("app", "app", "lib");
	struct commit c;

	(void)state;
	q->paths[1].sigs = sigs;
	q->paths[1].nsigs = 2;
	q->paths[1].ca = "fixed:sha256:x";
	OK(begin(server, q, &e));
	OK(load(server, q, &c, &e));
	for (size_t i = 0; i < 2; i++)
		if (strcmp(c.paths[i].base, "app") == 0) {
			assert_int_equal(c.paths[i].nsigs, 2);
			assert_string_equal(c.paths[i].sigs[1], sigs[1]);
			assert_string_equal(c.paths[i].ca, "fixed:sha256:x");
		}
	q = closure("app2", "app2", NULL);
	q->paths[0].sigs = bad;
	q->paths[0].nsigs = 1;
	FAILS(ERR_INVALID, begin(server, q, &e));
}

static void
test_begin_refuses(void **state)
{
	struct req *q = closure("app", "app", NULL);
	uint32_t far = 99;

	(void)state;
	q->objects[1].key = q->objects[0].key;
	FAILS(ERR_INVALID, begin(server, q, &e));
	q = closure("app", "app", NULL);
	q->refs[0][0] = far;
	FAILS(ERR_INVALID, begin(server, q, &e));
	q = closure("app", "app", NULL);
	q->paths[0].nar = far;
	FAILS(ERR_INVALID, begin(server, q, &e));
	q = closure("app", "app", NULL);
	q->roots[0].object = far;
	FAILS(ERR_INVALID, begin(server, q, &e));
	assert_int_equal(COUNT("uploads"), 0);
}

static int
record(const struct req *q, const char *owner, const char *key, uint64_t size,
    const uint8_t sha256[32], struct err *error)
{
	struct upload_write w = { .key = key, .size = size, .whole = 1 };

	memcpy(w.sha256, sha256, sizeof w.sha256);
	return uploads_record(server, q->token, owner, &w, 1, error);
}

static void
test_owner(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct upload_write w = { .key = "nar/app", .whole = 1 };
	struct upload_multipart *parts;
	struct commit c;
	int64_t id;
	size_t n;

	(void)state;
	OK(begin(server, q, &e));
	FAILS(ERR_NOT_FOUND,
	    uploads_authorize(server, q->token, "other", &w, 1, 0, LEASE, &e));
	FAILS(ERR_NOT_FOUND,
	    uploads_multipart_intend(
	        server, q->token, "other", "nar/app", LEASE, &id, &e));
	FAILS(ERR_NOT_FOUND, record(q, "other", "nar/app", 1, w.sha256, &e));
	FAILS(ERR_NOT_FOUND,
	    commit_load(server, q->token, "other", LEASE, live_arena, &c, &e));
	FAILS(ERR_NOT_FOUND,
	    uploads_abort(
	        server, q->token, "other", live_arena, &parts, &n, &e));
	FAILS(ERR_NOT_FOUND,
	    uploads_abort(
	        server, "nonsense", OWNER, live_arena, &parts, &n, &e));
}

static void
test_ended(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct req *done = push("done", "done", NULL);
	struct upload_multipart *parts;
	struct commit c, late;
	uint8_t sha256[32] = { 0 };
	int64_t id;
	size_t n;

	(void)state;
	OK(begin(server, q, &e));
	authorize_all(server, q);
	OK(load(server, q, &late, &e));
	abort_upload(q);
	abort_upload(q);
	FAILS(ERR_CONFLICT, authorize(server, q, "nar/app", 1, &e));
	FAILS(ERR_CONFLICT,
	    uploads_multipart_intend(
	        server, q->token, OWNER, "nar/app", LEASE, &id, &e));
	FAILS(ERR_CONFLICT, record(q, OWNER, "nar/app", 1, sha256, &e));
	FAILS(ERR_CONFLICT, load(server, q, &c, &e));
	fill(&late);
	FAILS(ERR_CONFLICT, finish(server, &late, &e));
	FAILS(ERR_CONFLICT,
	    uploads_abort(
	        server, done->token, OWNER, live_arena, &parts, &n, &e));
	FAILS(ERR_CONFLICT, authorize(server, done, "nar/done", 1, &e));
	assert_int_equal(COUNT("closures"), 1);
}

static void
test_authorize(void **state)
{
	struct req *q, *other;

	(void)state;
	auth_us = MINUTE;
	push("old", "old", NULL);
	q = closure("app", "app", "old");
	OK(begin(server, q, &e));
	FAILS(ERR_FORBIDDEN, authorize(server, q, "nar/none", 1, &e));
	FAILS(ERR_FORBIDDEN, authorize(server, q, "nar/old", 1, &e));
	/* The server writes it. */
	FAILS(ERR_FORBIDDEN, authorize(server, q, "app.narinfo", 1, &e));
	OK(authorize(server, q, "nar/app", 1, &e));
	OK(authorize(server, q, "nar/app", 2, &e));
	assert_int_equal(number("SELECT size FROM upload_writes"), 2);
	assert_true(number("SELECT count(*) FROM pending"
	                   " WHERE auth_until > now() + interval '50 s'") == 1);

	/* Of another upload. */
	other = closure("else", "else", NULL);
	OK(begin(server, other, &e));
	FAILS(ERR_FORBIDDEN, authorize(server, q, "nar/else", 1, &e));

	/* A batch is all or nothing. */
	{
		struct upload_write w[2] = {
			{ .key = "nar/app", .size = 3, .whole = 1 },
			{ .key = "nar/else", .size = 3, .whole = 1 }
		};
		FAILS(ERR_FORBIDDEN,
		    uploads_authorize(
		        server, q->token, OWNER, w, 2, 0, LEASE, &e));
		assert_int_equal(number("SELECT size FROM upload_writes"), 2);
	}
}

/* Two uploads of one object: the slower one goes on, and may write what it found
 * missing. */
static void
test_same_object_twice(void **state)
{
	struct req *a = closure("app", "app", NULL);
	struct req *b = closure("app", "app", NULL);
	struct commit c;

	(void)state;
	OK(begin(server, a, &e));
	OK(begin(server2, b, &e));
	assert_int_equal(missing(b), 2);
	auth_us = MINUTE;
	commit(server, a);
	OK(authorize(server2, b, "nar/app", 300, &e));
	assert_int_equal(number("SELECT count(*) FROM contents"
	                        " WHERE auth_until > now()"),
	    1);
	OK(load(server2, b, &c, &e));
	assert_int_equal(c.nobjects, 0);
	assert_int_equal(c.npaths, 0);
	OK(finish(server2, &c, &e));
}

static void
test_record(void **state)
{
	struct req *q = closure("app", "app", NULL);
	uint8_t sha256[32] = { 42 };
	struct commit c;

	(void)state;
	OK(begin(server, q, &e));
	OK(authorize(server, q, "nar/app", 1, &e));
	OK(record(q, OWNER, "nar/app", 77, sha256, &e));
	OK(load(server, q, &c, &e));
	assert_int_equal(c.objects[0].size, 77);
	assert_int_equal(c.objects[0].sha256[0], 42);
	FAILS(ERR_FORBIDDEN, record(q, OWNER, "nar/none", 1, sha256, &e));
}

static void
test_lease(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct req *done = push("done", "done", NULL);
	uint64_t n;

	(void)state;
	(void)done;
	q->b.lease_us = 1000;
	OK(begin(server, q, &e));
	usleep(5000);
	OK(expire_uploads(gc, HOUR, RUN, &n, &e));
	assert_int_equal(n, 0);
	/* Any call renews it. */
	OK(authorize(server, q, "nar/app", 1, &e));
	OK(expire_uploads(gc, 0, RUN, &n, &e));
	assert_int_equal(n, 0);
	sql("UPDATE uploads SET lease_until = now() - interval '1 s'"
	    " WHERE state = 'open'");
	OK(expire_uploads(gc, 0, RUN, &n, &e));
	assert_int_equal(n, 1);
	OK(expire_uploads(gc, 0, RUN, &n, &e));
	assert_int_equal(n, 0);
	FAILS(ERR_CONFLICT, authorize(server, q, "nar/app", 1, &e));
	STATE("nar/app", "pending");
	STATE("nar/done", "live");
}

/* ---- multipart uploads ---- */

static void
test_multipart(void **state)
{
	struct req *q = closure("big", "big", NULL);
	struct req *other = closure("else", "else", NULL);
	struct upload_write part = { .key = "nar/big", .s3_id = "S3" };
	struct upload_multipart *parts;
	struct expire_multipart *left;
	uint8_t sha256[32] = { 5 };
	int64_t id, second;
	struct commit c;
	size_t n;
	int orphan;

	(void)state;
	OK(begin(server, q, &e));
	OK(begin(server, other, &e));
	FAILS(ERR_FORBIDDEN,
	    uploads_multipart_intend(
	        server, q->token, OWNER, "nar/none", LEASE, &id, &e));
	OK(uploads_multipart_intend(
	    server, q->token, OWNER, "nar/big", LEASE, &id, &e));
	/* While there is an intent, nothing of the key is an orphan. */
	OK(expire_multipart_orphan(gc, "nar/big", "whatever", &orphan, &e));
	assert_false(orphan);
	OK(uploads_multipart_begun(server, id, "S3", &e));
	FAILS(ERR_NOT_FOUND, uploads_multipart_begun(server, id, "S4", &e));
	OK(expire_multipart_orphan(gc, "nar/big", "S3", &orphan, &e));
	assert_false(orphan);
	OK(expire_multipart_orphan(gc, "nar/big", "S4", &orphan, &e));
	assert_true(orphan);

	OK(uploads_authorize(server, q->token, OWNER, &part, 1, 0, LEASE, &e));
	assert_int_equal(COUNT("upload_writes"), 0);
	part.s3_id = "S4";
	FAILS(ERR_FORBIDDEN,
	    uploads_authorize(server, q->token, OWNER, &part, 1, 0, LEASE, &e));
	part.s3_id = "S3";
	part.key = "nar/else";
	FAILS(ERR_FORBIDDEN,
	    uploads_authorize(
	        server, other->token, OWNER, &part, 1, 0, LEASE, &e));
	FAILS(ERR_FORBIDDEN,
	    uploads_multipart_completing(server, q->token, OWNER, "nar/big",
	        "S4", 9, sha256, 0, LEASE, &e));
	OK(uploads_multipart_completing(server, q->token, OWNER, "nar/big",
	    "S3", 9000, sha256, 0, LEASE, &e));
	OK(load(server, q, &c, &e));
	assert_int_equal(c.objects[0].size, 9000);
	OK(uploads_multipart_done(server, "nar/big", "S3", &e));
	assert_int_equal(COUNT("multiparts"), 0);

	/* What an abort leaves to do, and what is left if nobody does it. */
	OK(uploads_multipart_intend(
	    server, q->token, OWNER, "nar/big", LEASE, &id, &e));
	OK(uploads_multipart_begun(server, id, "S5", &e));
	OK(uploads_multipart_intend(
	    server, q->token, OWNER, "nar/big", LEASE, &second, &e));
	OK(expire_multiparts(gc, live_arena, &left, &n, &e));
	assert_int_equal(n, 0);
	OK(uploads_abort(server, q->token, OWNER, live_arena, &parts, &n, &e));
	assert_int_equal(n, 1);
	assert_string_equal(parts[0].s3_id, "S5");
	OK(expire_multiparts(gc, live_arena, &left, &n, &e));
	assert_int_equal(n, 2);
	assert_string_equal(left[0].s3_id, "S5");
	assert_string_equal(left[0].key, "nar/big");
	assert_null(left[1].s3_id);
	OK(expire_multipart_orphan(gc, "nar/big", "S6", &orphan, &e));
	assert_true(orphan);
	OK(expire_multipart_done(gc, left[0].id, &e));
	OK(expire_multipart_done(gc, left[1].id, &e));
	OK(expire_multiparts(gc, live_arena, &left, &n, &e));
	assert_int_equal(n, 0);
}

static int
key_locked(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	if (uploads_key_lock(db, "nar/big", e) != 0)
		return -1;
	db_deadline(server2, deadline_in(200));
	assert_int_equal(
	    db_transaction(server2, DB_READ_COMMITTED, ctx, NULL, e), -1);
	assert_int_equal(e->kind, ERR_TIMEOUT);
	return 0;
}

static int
lock_key(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	return uploads_key_lock(db, "nar/big", e);
}

static void
test_key_lock(void **state)
{
	(void)state;
	OK(db_transaction(server, DB_READ_COMMITTED, key_locked,
	    (void *)(uintptr_t)lock_key, &e));
	db_deadline(server2, live_soon());
	OK(db_transaction(server2, DB_READ_COMMITTED, lock_key, NULL, &e));
}

/* ---- history ---- */

static void
test_history(void **state)
{
	struct stats s;

	(void)state;
	push("a", "a", NULL);
	push("b", "b", NULL);
	OK(expire_history(gc, &e));
	assert_int_equal(COUNT("stat_deltas"), 1);
	assert_int_equal(COUNT("uploads"), 2);
	sql("UPDATE uploads SET ended_at = now() - interval '25 h'"
	    " WHERE id = (SELECT min(id) FROM uploads)");
	OK(expire_history(gc, &e));
	assert_int_equal(COUNT("uploads"), 1);
	OK(stats_get(server, &s, &e));
	assert_int_equal(s.objects, 4);
	OK(expire_history(gc, &e));
}

/* ---- reviving ---- */

static void
test_revive(void **state)
{
	struct req *q;
	struct reap_object *o;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	assert_int_equal(mark_all(), 4);
	q = closure("tool", "tool", "lib");
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 2);
	STATE("lib.narinfo", "live");
	STATE("nar/lib", "live");
	STATE("app.narinfo", "tombstone");
	check_rules();
	assert_int_equal(claim(0, &o), 1);
	STATE("app.narinfo", "deleting");
	commit(server, q);
	STATE("lib.narinfo", "live");
}

/*
 * A narinfo that survived (its delete was refused) while its NAR went: its old
 * reference leads nowhere. It must not come back as it is, nor what refers to
 * it.
 */
static void
test_revive_needs_references(void **state)
{
	struct req *q;
	struct reap_object *o;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	n = claim(0, &o);
	assert_int_equal(n, 2);
	answer(o, n, REAP_REFUSED);
	/* As if by somebody else. */
	sql("UPDATE tombstones SET claim = 1, claimed_at = now()"
	    " WHERE object_id = (SELECT id FROM objects"
	    " WHERE key = 'nar/lib')");
	assert_int_equal(claim_leftover(&o), 1);
	answer(o, 1, REAP_GONE);
	q = closure("app", "app", "lib");
	OK(begin(server, q, &e));
	STATE("nar/app", "live");
	STATE("lib.narinfo", "pending");
	STATE("app.narinfo", "pending");
	STATE("nar/lib", "pending");
	assert_int_equal(missing(q), 3);
	check_rules();
	/* Given up, they are tombstones as before. */
	abort_upload(q);
	while ((n = claim_pending(&o)) > 0)
		answer(o, n, REAP_GONE);
	assert_int_equal(claim(HOUR, &o), 0);
	STATE("nar/lib", "gone");
	assert_int_equal(COUNT("tombstones"), 2);
	q = closure("app", "app", "lib");
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 3);
	commit(server, q);
	assert_int_equal(mark_all(), 0);
	assert_int_equal(COUNT("tombstones"), 0);
}

static void
test_revive_circle(void **state)
{
	struct req *q = req_new();

	(void)state;
	req_path(q, "a", "a", "b", NULL);
	req_path(q, "b", "b", "a", NULL);
	req_root(q, 0);
	OK(begin(server, q, &e));
	commit(server, q);
	expire_closures(0);
	assert_int_equal(mark_all(), 4);
	OK(begin(server, q, &e));
	assert_int_equal(missing(q), 2);
	commit(server, q);
}

/* ---- waiting for a delete ---- */

struct delayed {
	struct reap_object *o;
	size_t n;
	enum reap_answer answer;
	int leftover;
	struct err e;
};

static void *
answer_later(void *arg)
{
	struct delayed *d = arg;
	struct db *db = live_open("niks3_gc");
	enum reap_answer answers[16];
	size_t done = 0;

	usleep(150000);
	for (size_t i = 0; i < d->n; i++)
		answers[i] = d->answer;
	reap_finish(db, d->o, answers, d->n, d->leftover, &done, &d->e);
	db_close(db);
	return NULL;
}

/* Begins while both narinfos are being deleted. */
static void
wait_for(enum reap_answer a, int leftover, size_t want_missing)
{
	struct delayed d = { .answer = a, .leftover = leftover, .e = ERR_INIT };
	struct req *q = closure("app", "app", "lib");
	pthread_t t;

	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	d.n = claim(0, &d.o);
	assert_int_equal(d.n, 2);
	pthread_create(&t, NULL, answer_later, &d);
	OK(begin(server, q, &e));
	pthread_join(t, NULL);
	assert_int_equal(d.e.kind, ERR_NONE);
	assert_int_equal(missing(q), want_missing);
	check_rules();
	commit(server, q);
	STATE("nar/lib", "live");
	assert_int_equal(COUNT("tombstones"), 0);
}

static void
test_wait_gone(void **state)
{
	(void)state;
	wait_for(REAP_GONE, 0, 2);
}

static void
test_wait_refused(void **state)
{
	(void)state;
	wait_for(REAP_REFUSED, 0, 0);
}

/* A delete before may have been carried out. */
static void
test_wait_leftover_refused(void **state)
{
	(void)state;
	wait_for(REAP_REFUSED, 1, 2);
}

static void
test_wait_in_vain(void **state)
{
	struct req *q = closure("app", "app", "lib");
	struct reap_object *o;
	struct err late = ERR_INIT;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	n = claim(0, &o);
	answer(o, n, REAP_UNKNOWN);
	db_deadline(server, deadline_in(1400));
	assert_int_equal(begin(server, q, &late), -1);
	assert_int_equal(late.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(late.hint, "niks3 gc"));
	assert_int_equal(number("SELECT count(*) FROM uploads"
	                        " WHERE state = 'open'"),
	    0);
	assert_int_equal(COUNT("upload_needs"), 0);
	answer(o, n, REAP_GONE);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_words),
	LIVE_TEST(test_begin_refuses),
	LIVE_TEST(test_owner),
	LIVE_TEST(test_ended),
	LIVE_TEST(test_authorize),
	LIVE_TEST(test_same_object_twice),
	LIVE_TEST(test_record),
	LIVE_TEST(test_lease),
	LIVE_TEST(test_multipart),
	LIVE_TEST(test_key_lock),
	LIVE_TEST(test_history),
	LIVE_TEST(test_revive),
	LIVE_TEST(test_revive_needs_references),
	LIVE_TEST(test_revive_circle),
	LIVE_TEST(test_wait_gone),
	LIVE_TEST(test_wait_refused),
	LIVE_TEST(test_wait_leftover_refused),
	LIVE_TEST(test_wait_in_vain),
};

LIVE_GROUP(uploads);
