/* Parsing migrations; what needs a database is in tests/integration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"
#include "../../libcommon/db/migrate.h"

static struct arena *arena;

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static struct migrate_script
parse(const char *text)
{
	struct migrate_script s;
	struct err e = ERR_INIT;

	if (migrate_parse(text, strlen(text), arena, &s, &e) != 0)
		fail_msg("%s", e.msg);
	return s;
}

static void
test_statements(void **state)
{
	struct migrate_script s = parse("-- +goose Up\n"
	                                "-- What this is for.\n"
	                                "\n"
	                                "CREATE TABLE a (\n"
	                                "\ti int -- a number;\n"
	                                ");\n"
	                                "CREATE TABLE b (); -- done \t\r\n"
	                                "-- +goose Down\n"
	                                "DROP TABLE b;\n");

	(void)state;
	assert_int_equal(s.nup, 2);
	assert_int_equal(s.ndown, 1);
	assert_string_equal(
	    s.up[0], "CREATE TABLE a (\n\ti int -- a number;\n);\n");
	assert_string_equal(s.up[1], "CREATE TABLE b (); -- done\n");
	assert_string_equal(s.down[0], "DROP TABLE b;\n");
}

static void
test_blocks(void **state)
{
	struct migrate_script s = parse("-- +goose up\n"
	                                "-- +goose StatementBegin\n"
	                                "DO $$ BEGIN\n"
	                                "  PERFORM 1;\n"
	                                "\n"
	                                "  PERFORM 2;\n"
	                                "END $$;\n"
	                                "-- +goose StatementEnd\n"
	                                "-- +goose StatementBegin\n"
	                                "-- nothing\n"
	                                "-- +goose StatementEnd\n"
	                                "SELECT 1;");

	(void)state;
	assert_int_equal(s.nup, 2);
	assert_int_equal(s.ndown, 0);
	assert_string_equal(
	    s.up[0], "DO $$ BEGIN\n  PERFORM 1;\n\n  PERFORM 2;\nEND $$;\n");
	assert_string_equal(s.up[1], "SELECT 1;\n");
}

static void
test_many(void **state)
{
	struct buf text;
	struct migrate_script s;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_puts(&text, "-- +goose Up\n", NULL);
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, NULL, "SELECT %d;\n", i);
	s = parse(buf_str(&text));
	assert_int_equal(s.nup, 1000);
	assert_string_equal(s.up[0], "SELECT 0;\n");
	assert_string_equal(s.up[999], "SELECT 999;\n");
	buf_done(&text);
}

/* The migrations of this tree. */
static void
test_ours(void **state)
{
	struct buf text;
	struct err e = ERR_INIT;
	struct migrate_script s;

	(void)state;
	buf_init(&text, 1 << 20);
	if (file_read("migrations/0001_init.sql", &text, &e) != 0)
		skip(); /* not run from the top of the tree */
	s = parse(buf_str(&text));
	buf_done(&text);
	assert_true(s.nup > 20);
	assert_non_null(strstr(s.up[s.nup - 1], "GRANT"));
	assert_int_equal(s.ndown, 2);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "", "no \"-- +goose Up\"" },
		{ "SELECT 1;\n", "line 1: a statement before" },
		{ "-- +goose Down\nSELECT 1;\n", "line 1: Up must come once" },
		{ "-- +goose Up\nSELECT 1;\n-- +goose Up\n", "line 3: Up" },
		{ "-- +goose Up\n-- +goose Down\n-- +goose Down\n",
		    "line 3: Up" },
		{ "-- +goose Up\nSELECT 1\n", "no semicolon" },
		{ "-- +goose Up\nSELECT 1 -- ;\n", "no semicolon" },
		{ "-- +goose Up\nSELECT 1\n-- +goose Down\n",
		    "line 3: a statement is not finished" },
		{ "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n",
		    "without StatementEnd" },
		{ "-- +goose Up\n-- +goose StatementBegin\n-- +goose Down\n",
		    "line 3: a statement is not finished" },
		{ "-- +goose Up\n-- +goose StatementBegin\n"
		  "-- +goose StatementBegin\n",
		    "line 3: StatementBegin inside" },
		{ "-- +goose Up\nSELECT\n-- +goose StatementBegin\n",
		    "line 3: StatementBegin inside" },
		{ "-- +goose StatementBegin\n",
		    "line 1: StatementBegin inside" },
		{ "-- +goose Up\n-- +goose StatementEnd\n",
		    "line 2: StatementEnd without" },
		{ "-- +goose NO TRANSACTION\n-- +goose Up\n",
		    "unknown annotation \"NO TRANSACTION\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct migrate_script s = { .nup = 42 };
		struct err e = ERR_INIT;

		assert_int_equal(migrate_parse(bad[i].text, strlen(bad[i].text),
		                     arena, &s, &e),
		    -1);
		assert_int_equal(e.kind, ERR_INVALID);
		if (strstr(e.msg, bad[i].says) == NULL)
			fail_msg("%s: not \"%s\"", e.msg, bad[i].says);
		assert_int_equal(s.nup, 42);
	}
}

static void
test_limits(void **state)
{
	struct arena *small = arena_new(64);
	struct migrate_script s;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
	    migrate_parse("-- +goose Up\n\0;\n", 16, arena, &s, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_int_equal(
	    migrate_parse("-- +goose Up\nSELECT 1;\n", 23, small, &s, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	arena_free(small);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_statements),
		T(test_blocks),
		T(test_many),
		T(test_ours),
		T(test_refused),
		T(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
