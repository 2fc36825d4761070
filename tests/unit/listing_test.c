#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <string.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/nix/listing.h"
#include "../../libcommon/nix/nar.h"

struct fixture {
	struct buf out;
	struct listing *l;
	struct err e;
};

static int
setup(void **state)
{
	static struct fixture f;

	f.e = (struct err)ERR_INIT;
	buf_init(&f.out, 4096);
	f.l = listing_new(&f.out);
	*state = &f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	listing_free(f->l);
	buf_done(&f->out);
	return 0;
}

static int
enter(struct fixture *f, const char *name)
{
	return listing_visit.enter(f->l, name, &f->e);
}

static int
leave(struct fixture *f)
{
	return listing_visit.leave(f->l, &f->e);
}

static int
file(struct fixture *f, const char *name, int executable, uint64_t size,
    uint64_t offset)
{
	return listing_visit.file(f->l, name, executable, size, offset, &f->e);
}

static int
symlink(struct fixture *f, const char *name, const char *target)
{
	return listing_visit.symlink(f->l, name, target, &f->e);
}

static void
check(struct fixture *f, const char *json)
{
	assert_int_equal(listing_end(f->l, &f->e), 0);
	assert_string_equal(buf_str(&f->out), json);
}

static void
test_one_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file(f, "", 0, 12, 96), 0);
	check(f,
	    "{\"version\":1,\"root\":{\"type\":\"regular\",\"size\":12,"
	    "\"narOffset\":96}}");
}

static void
test_one_executable(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file(f, "", 1, UINT64_MAX, UINT64_MAX), 0);
	check(f,
	    "{\"version\":1,\"root\":{\"type\":\"regular\","
	    "\"size\":18446744073709551615,\"executable\":true,"
	    "\"narOffset\":18446744073709551615}}");
}

static void
test_one_symlink(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(symlink(f, "", "a\"b\n"), 0);
	check(f,
	    "{\"version\":1,\"root\":{\"type\":\"symlink\","
	    "\"target\":\"a\\\"b\\n\"}}");
}

static void
test_empty_directory(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enter(f, ""), 0);
	assert_int_equal(leave(f), 0);
	check(f,
	    "{\"version\":1,\"root\":{\"type\":\"directory\","
	    "\"entries\":{}}}");
}

/* Commas: after a directory, an empty one, a file; not before the first. */
static void
test_tree(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enter(f, ""), 0);
	assert_int_equal(enter(f, "a \\"), 0);
	assert_int_equal(enter(f, "empty"), 0);
	assert_int_equal(leave(f), 0);
	assert_int_equal(file(f, "f", 0, 0, 1), 0);
	assert_int_equal(symlink(f, "l", "/x"), 0);
	assert_int_equal(leave(f), 0);
	assert_int_equal(file(f, "b", 1, 2, 3), 0);
	assert_int_equal(leave(f), 0);
	check(f,
	    "{\"version\":1,\"root\":{\"type\":\"directory\",\"entries\":{"
	    "\"a \\\\\":{\"type\":\"directory\",\"entries\":{"
	    "\"empty\":{\"type\":\"directory\",\"entries\":{}},"
	    "\"f\":{\"type\":\"regular\",\"size\":0,\"narOffset\":1},"
	    "\"l\":{\"type\":\"symlink\",\"target\":\"/x\"}}},"
	    "\"b\":{\"type\":\"regular\",\"size\":2,\"executable\":true,"
	    "\"narOffset\":3}}}}");
}

static void
test_no_text(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(symlink(f, "", "a\xff"), 0);
	assert_int_equal(listing_end(f->l, &f->e), 0);
	assert_non_null(strstr(buf_str(&f->out), "\"a\xef\xbf\xbd\""));
}

static void
test_nothing_walked(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(listing_end(f->l, &f->e), -1);
	assert_int_equal(f->e.kind, ERR_CORRUPT);
}

static void
test_directory_left_open(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enter(f, ""), 0);
	assert_int_equal(listing_end(f->l, &f->e), -1);
	assert_int_equal(f->e.kind, ERR_CORRUPT);
}

static int
walk(struct fixture *f)
{
	if (enter(f, "") != 0 || file(f, "f", 1, 1, 2) != 0 ||
	    symlink(f, "l", "target") != 0 || leave(f) != 0)
		return -1;
	return listing_end(f->l, &f->e);
}

/* Whatever the limit, it is kept, and told. */
static void
test_over_the_limit(void **state)
{
	struct fixture *f = *state;
	size_t full;

	assert_int_equal(walk(f), 0);
	full = f->out.len;
	for (size_t max = 0; max < full; max++) {
		struct fixture small = { .e = ERR_INIT };

		buf_init(&small.out, max);
		small.l = listing_new(&small.out);
		assert_int_equal(walk(&small), -1);
		assert_int_equal(small.e.kind, ERR_TOO_LARGE);
		assert_true(small.out.len <= max);
		listing_free(small.l);
		buf_done(&small.out);
	}
	listing_free(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_file),
		TEST(test_one_executable),
		TEST(test_one_symlink),
		TEST(test_empty_directory),
		TEST(test_tree),
		TEST(test_no_text),
		TEST(test_nothing_walked),
		TEST(test_directory_left_open),
		TEST(test_over_the_limit),
	};

	return cmocka_run_group_tests_name("listing", tests, NULL, NULL);
}
