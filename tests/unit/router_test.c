#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/http/router.h"

#define LEN(a) (sizeof(a) / sizeof(a)[0])

static const struct http_route routes[] = {
	{ "GET", "/{path...}", .scope = 1 },
	{ "GET", "/", .scope = 2 },
	{ "GET", "/api/pins", .scope = 3 },
	{ "POST", "/api/pins/{name}", .scope = 4 },
	{ "DELETE", "/api/pins/{name}", .scope = 5 },
	{ "POST", "/api/v2/uploads/{id}/authorize", .scope = 6 },
	{ "POST", "/api/v2/uploads/latest/authorize", .scope = 7 },
	{ "HEAD", "/api/objects/{key...}", .scope = 8 },
	{ "GET", "/api/objects/{key...}", .scope = 9 },
	{ "PUT", "/a/{one}/b/{two}", .scope = 10 },
	{ "PUT", "/a/{one}/{rest...}", .scope = 11 },
	{ NULL },
};

static int
find(const char *method, const char *path, struct router_match *m)
{
	static struct arena *a;
	struct err e = ERR_INIT;
	struct router *r = router_new(routes, &e);
	int status;

	assert_non_null(r);
	arena_free(a);
	a = arena_new(65536);
	*m = (struct router_match){ 0 };
	status = router_find(r, method, path, strlen(path), a, m);
	router_free(r);
	return status;
}

static void
test_routes(void **state)
{
	static const struct {
		const char *method, *path;
		unsigned scope;
		const char *p0, *p1;
	} rows[] = {
		{ "GET", "/", 2 },
		{ "HEAD", "/", 2 },
		{ "GET", "/x", 1, "x" },
		{ "GET", "/nar/x.nar.zst", 1, "nar/x.nar.zst" },
		{ "GET", "/nar/", 1, "nar/" },
		{ "GET", "//", 1, "/" },
		{ "GET", "/a//b/../c", 1, "a//b/../c" },
		{ "GET", "/api/pins", 3 },
		{ "GET", "/api/%70ins", 3 },
		{ "GET", "/api/pins/", 1, "api/pins/" },
		{ "POST", "/api/pins/my-pin", 4, "my-pin" },
		{ "POST", "/api/pins/a%2Fb%20c", 4, "a/b c" },
		{ "POST", "/api/pins/a%2fb%C3%A4", 4, "a/b\xc3\xa4" },
		{ "POST", "/api/pins/+", 4, "+" },
		{ "DELETE", "/api/pins/..", 5, ".." },
		{ "POST", "/api/v2/uploads/1/authorize", 6, "1" },
		{ "POST", "/api/v2/uploads/latest/authorize", 7 },
		{ "HEAD", "/api/objects/nar/a", 8, "nar/a" },
		{ "GET", "/api/objects/nar/a", 9, "nar/a" },
		{ "GET", "/api/objects/", 9, "" },
		{ "HEAD", "/api/objects/a%2Fb/c", 8, "a/b/c" },
		{ "PUT", "/a/1/b/2", 10, "1", "2" },
		{ "PUT", "/a/1/b/2/3", 11, "1", "b/2/3" },
		{ "PUT", "/a/1/b/", 11, "1", "b/" },
		{ "PUT", "/a/1/c", 11, "1", "c" },
		{ "GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", 1,
		    "1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct router_match m;
		int status = find(rows[i].method, rows[i].path, &m);
		if (status != 200 || m.route->scope != rows[i].scope)
			fail_msg(
			    "%s %s: %d", rows[i].method, rows[i].path, status);
		if (rows[i].p0 != NULL)
			assert_string_equal(m.params[0], rows[i].p0);
		else
			assert_null(m.params[0]);
		if (rows[i].p1 != NULL)
			assert_string_equal(m.params[1], rows[i].p1);
		else
			assert_null(m.params[1]);
	}
}

static void
test_path(void **state)
{
	struct router_match m;

	(void)state;
	assert_int_equal(find("GET", "/a%2Fb/%7e", &m), 200);
	assert_string_equal(m.path, "/a/b/~");
	assert_int_equal(find("POST", "/no/such%20one", &m), 405);
	assert_string_equal(m.path, "/no/such one");
	assert_null(m.route);
}

static void
test_method(void **state)
{
	static const struct {
		const char *method, *path, *allow;
	} rows[] = {
		{ "PATCH", "/", "GET, HEAD" },
		{ "POST", "/x", "GET, HEAD" },
		{ "PUT", "/api/pins/a", "POST, DELETE, GET, HEAD" },
		{ "get", "/", "GET, HEAD" },
		{ "PUT", "/api/objects/a", "HEAD, GET" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct router_match m;
		assert_int_equal(find(rows[i].method, rows[i].path, &m), 405);
		assert_string_equal(m.allow, rows[i].allow);
	}
}

static void
test_unknown(void **state)
{
	static const struct http_route few[] = {
		{ "GET", "/a/{b}" },
		{ "GET", "/c/{d...}" },
		{ NULL },
	};
	static const char *const paths[] = { "/", "/a", "/a/", "/a/b/", "/a//b",
		"/a/b/c", "/c", "/A/b", "/aa/b", "/%2Fa/b", "/a%2Fb" };
	struct err e = ERR_INIT;
	struct router *r = router_new(few, &e);
	struct arena *a = arena_new(65536);

	(void)state;
	assert_non_null(r);
	for (size_t i = 0; i < LEN(paths); i++) {
		struct router_match m = { 0 };
		if (router_find(r, "GET", paths[i], strlen(paths[i]), a, &m) !=
		    404)
			fail_msg("%s", paths[i]);
		assert_null(m.route);
	}
	arena_free(a);
	router_free(r);
}

static void
test_malformed(void **state)
{
	static const char *const paths[] = { "", "x", "*", "http://h/", "/%",
		"/%4", "/%4g", "/%g4", "/a/%00", "/%2", "/a%zz/b", "/%%41",
		"/% 4", "/%+4", "/a/%ff", "/%c3/%a4", "/%ed%a0%80" };

	(void)state;
	for (size_t i = 0; i < LEN(paths); i++) {
		struct router_match m;
		if (find("GET", paths[i], &m) != 400)
			fail_msg("%s", paths[i]);
		assert_null(m.path);
	}
}

/* An arena without room answers, and does not crash. */
static void
test_no_room(void **state)
{
	struct err e = ERR_INIT;
	struct router *r = router_new(routes, &e);
	struct arena *a = arena_new(20);
	struct router_match m = { 0 };

	(void)state;
	assert_int_equal(
	    router_find(r, "GET", "/0123456789012345678901234", 26, a, &m),
	    400);
	assert_int_equal(
	    router_find(r, "POST", "/api/pins/abcdefg", 17, a, &m), 400);
	assert_null(m.route);
	arena_free(a);
	router_free(r);
}

static void
test_patterns(void **state)
{
	static const char *const bad[] = { "", "a", "*", "/{", "/}", "/{}",
		"/{a", "/a}", "/x{a}", "/{a}x", "/{a}{b}", "/{{a}}",
		"/{a...}/b", "/{a}/{b}/{c}/{d}/{e}",
		"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17" };

	(void)state;
	for (size_t i = 0; i < LEN(bad); i++) {
		struct http_route rows[] = { { "GET", bad[i] }, { NULL } };
		struct err e = ERR_INIT;
		if (router_new(rows, &e) != NULL)
			fail_msg("%s", bad[i]);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void
test_collisions(void **state)
{
	static const struct http_route same[] = { { "GET", "/a/{x}" },
		{ "POST", "/a/{x}" }, { "GET", "/a/{y}" }, { NULL } };
	static const struct http_route none[] = { { NULL } };
	struct router_match m = { 0 };
	struct err e = ERR_INIT;
	struct arena *a = arena_new(100);
	struct router *r;

	(void)state;
	assert_null(router_new(same, &e));
	assert_non_null(strstr(e.msg, "/a/{"));
	r = router_new(none, &e);
	assert_non_null(r);
	assert_int_equal(router_find(r, "GET", "/", 1, a, &m), 404);
	router_free(r);
	router_free(NULL);
	arena_free(a);
}

static void
test_unescape(void **state)
{
	char text[] = "?a=%41%2b+%20";
	ssize_t n = router_unescape(text, text, strlen(text));

	(void)state;
	assert_int_equal(n, 7);
	assert_memory_equal(text, "?a=A++ ", 7);
	assert_int_equal(router_unescape(text, "%4", 2), -1);
	assert_int_equal(router_unescape(text, "%00", 3), -1);
	assert_int_equal(router_unescape(text, "a\0", 2), -1);
	/* The bytes behind the end are not looked at. */
	assert_int_equal(router_unescape(text, "%41", 2), -1);
	assert_int_equal(router_unescape(text, "", 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_method),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_unescape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
