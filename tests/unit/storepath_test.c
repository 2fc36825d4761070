#include "../../libcommon/nix/storepath.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "../../libcommon/core/err.h"

#define H    "26xbg1ndr7hbcncrlf9nhx5is2b25d13"
#define D    "/nix/store"

#define N10  "abcdefghij"
#define N50  N10 N10 N10 N10 N10
#define N211 N50 N50 N50 N50 N10 "z"

static void
directories(void **state)
{
	static const char *const good[] = { "/nix/store", "/n", "/a/.b/..c",
		"/a/...", "/gnu/store", "/\xc3\xa4" };
	static const char *const bad[] = { "", "/", "nix/store", "./nix",
		"/nix/store/", "/nix//store", "//nix", "/nix/./store", "/.",
		"/nix/../store", "/..", "/nix/..", "/nix/st ore", "/nix\n",
		"/nix\x7f" };
	char longest[STOREPATH_DIR_MAX + 2];
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_int_equal(storepath_check_dir(good[i], NULL), 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(storepath_check_dir(bad[i], &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	memset(longest, 'a', sizeof longest);
	longest[0] = '/';
	longest[STOREPATH_DIR_MAX + 1] = '\0';
	assert_int_equal(storepath_check_dir(longest, NULL), -1);
	longest[STOREPATH_DIR_MAX] = '\0';
	assert_int_equal(storepath_check_dir(longest, NULL), 0);
}

static const char *const good_bases[] = { H "-a", H "-dep-1.0+b?=_x",
	H "-zlib-1.3.drv", H "-hm_..zlogout", H "-..a", H "-.a", H "-...",
	H "-a-", H "--", H "-=", H "-?", H "-_", H "-+", H "-.a-", H "-a..",
	"00000000000000000000000000000000-x", H "-" N211 };

static const char *const bad_bases[] = { "", H, H "-", H "_a", H "a-a",
	"26xbg1ndr7hbcncrlf9nhx5is2b25d1-abc",
	"e6xbg1ndr7hbcncrlf9nhx5is2b25d13-a",
	"26XBG1NDR7HBCNCRLF9NHX5IS2B25D13-a", H "-.", H "-..", H "-.-a",
	H "-..-a", H "-a b", H "-a\n", H "-a/b", H "-a!", H "-a:b", H "-a\"",
	H "-a,b", H "-a~", H "-\xc3\xa4", H "-a\x7f", H "-" N211 "z",
	"../etc/passwd", "..-26xbg1ndr7hbcncrlf9nhx5is2b25" };

static void
base_names(void **state)
{
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof good_bases / sizeof good_bases[0]; i++)
		assert_int_equal(storepath_check_base(good_bases[i],
		                     strlen(good_bases[i]), NULL),
		    0);
	for (size_t i = 0; i < sizeof bad_bases / sizeof bad_bases[0]; i++) {
		assert_int_equal(storepath_check_base(
		                     bad_bases[i], strlen(bad_bases[i]), &e),
		    -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_memory_equal(e.msg, "store path ", 11);
	}
	assert_int_equal(storepath_check_base(H "-a\0b", 36, NULL), -1);
	/* The length counts, not the NUL. */
	assert_int_equal(storepath_check_base(H "-a/b", 34, NULL), 0);
}

static void
full_paths(void **state)
{
	static const char *const bad[] = { "", "/", D, D "/", H "-a",
		"/nix/storf/" H "-a", "/nix/store" H "-a", D "//" H "-a",
		D "/./" H "-a", D "/" H "-a/", D "/" H "-a/bin",
		"/nix/store2/" H "-a", "/gnu/store/" H "-a", D "/.links" };
	const char *base;
	struct err e;
	char path[STOREPATH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof good_bases / sizeof good_bases[0]; i++) {
		strcpy(path, D "/");
		strcat(path, good_bases[i]);
		assert_int_equal(storepath_parse(D, path, &base, NULL), 0);
		assert_ptr_equal(base, path + strlen(D "/"));
		assert_int_equal(
		    storepath_parse("/nix", path, &base, NULL), -1);
		assert_int_equal(
		    storepath_parse_either(D, path, &base, NULL), 0);
		assert_ptr_equal(base, path + strlen(D "/"));
		assert_int_equal(
		    storepath_parse_either(D, good_bases[i], &base, NULL), 0);
		assert_ptr_equal(base, good_bases[i]);
	}
	for (size_t i = 0; i < sizeof bad_bases / sizeof bad_bases[0]; i++) {
		base = NULL;
		strcpy(path, D "/");
		strcat(path, bad_bases[i]);
		assert_int_equal(storepath_parse(D, path, &base, NULL), -1);
		assert_int_equal(
		    storepath_parse_either(D, path, &base, NULL), -1);
		assert_int_equal(
		    storepath_parse_either(D, bad_bases[i], &base, NULL), -1);
		assert_null(base);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		base = NULL;
		assert_int_equal(storepath_parse(D, bad[i], &base, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_null(base);
	}
}

static void
enclosing(void **state)
{
	static const char *const good[] = { "", "/", "/bin/z", "//bin", "/./b",
		"/..a", "/a..", "/...", "/a/..b/c" };
	static const char *const bad[] = { "/..", "/../" H "-b", "/a/../b",
		"/a/..", "/..a/../b" };
	const char *base = NULL;
	char path[2 * STOREPATH_MAX];
	size_t len = 0;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		strcpy(path, D "/" H "-a");
		strcat(path, bad[i]);
		assert_int_equal(
		    storepath_enclosing(D, path, &base, &len, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_int_equal(storepath_enclosing(D, D, &base, &len, &e), -1);
	assert_int_equal(storepath_enclosing(D, D "/", &base, &len, &e), -1);
	assert_int_equal(
	    storepath_enclosing(D, "/home/x", &base, &len, &e), -1);
	assert_int_equal(
	    storepath_enclosing(D, D "/.links/x", &base, &len, &e), -1);
	assert_null(base);
	assert_int_equal(len, 0);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		strcpy(path, D "/" H "-a");
		strcat(path, good[i]);
		assert_int_equal(
		    storepath_enclosing(D, path, &base, &len, NULL), 0);
		assert_ptr_equal(base, path + strlen(D "/"));
		assert_int_equal(len, strlen(H "-a"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(directories),
		cmocka_unit_test(base_names),
		cmocka_unit_test(full_paths),
		cmocka_unit_test(enclosing),
	};

	return cmocka_run_group_tests_name("storepath", tests, NULL, NULL);
}
