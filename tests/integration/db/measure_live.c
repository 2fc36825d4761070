/*
 * How large a closure is: counted when it is committed.
 */
#include "db_live.h"

static void
measures(const char *narinfo, int64_t objects, int64_t bytes)
{
	struct closure c;

	OK(closures_get(server, narinfo, live_arena, &c, &e));
	assert_int_equal(c.objects, objects);
	assert_int_equal(c.bytes, bytes);
}

static void
test_one_root(void **state)
{
	(void)state;
	push("app", "app", "lib");
	measures("app.narinfo", 4, 220);
	/* What came later counts from then on. */
	push_req(closure_with_log("app", "app", "lib", "log/app.drv"));
	measures("app.narinfo", 5, 320);
	/* A push without it does not know of it. */
	push("app", "app", "lib");
	measures("app.narinfo", 4, 220);
}

/* What two of them share counts for both. */
static void
test_several_roots(void **state)
{
	struct req *q = req_new();

	(void)state;
	req_path(q, "lib", "lib", NULL);
	req_root(q, req_path(q, "app", "app", "lib", NULL));
	req_root(q, req_path(q, "tool", "tool", "lib", "app", NULL));
	req_root(q, req_path(q, "alone", "lib", NULL));
	push_req(q);
	measures("app.narinfo", 4, 220);
	measures("tool.narinfo", 6, 330);
	measures("alone.narinfo", 2, 110);
	FAILS(ERR_NOT_FOUND,
	    closures_get(
	        server, "lib.narinfo", live_arena, &(struct closure){ 0 }, &e));
	/* Alone, it is what it was with others. */
	push("app", "app", "lib");
	measures("app.narinfo", 4, 220);
}

static void
test_circle(void **state)
{
	struct req *q = req_new();

	(void)state;
	req_root(q, req_path(q, "a", "a", "b", NULL));
	req_path(q, "b", "b", "a", NULL);
	req_root(q, req_path(q, "c", "c", NULL));
	push_req(q);
	measures("a.narinfo", 4, 220);
	measures("c.narinfo", 2, 110);
}

/* From before they were counted. */
static void
test_not_known(void **state)
{
	(void)state;
	push("app", "app", NULL);
	sql("UPDATE closures SET objects = NULL, bytes = NULL");
	measures("app.narinfo", -1, -1);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_one_root),
	LIVE_TEST(test_several_roots),
	LIVE_TEST(test_circle),
	LIVE_TEST(test_not_known),
};

LIVE_GROUP(measure);
