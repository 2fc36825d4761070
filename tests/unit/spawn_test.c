#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/spawn.h"

static struct buf out;
static struct err e;
static int status, stop_fd;

static int
begin(void **state)
{
	(void)state;
	buf_init(&out, 100);
	err_clear(&e);
	status = -2;
	stop_fd = eventfd(0, EFD_NONBLOCK);
	return 0;
}

static int
finish(void **state)
{
	(void)state;
	buf_done(&out);
	return close(stop_fd);
}

static int
shell(char *script)
{
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, script, NULL };

	return spawn_until(argv, stop_fd, &out, &status, &e);
}

static void
test_end(void **state)
{
	(void)state;
	assert_int_equal(shell((char[]){ "echo a; cat; exit 3" }), 0);
	assert_int_equal(status, 3);
	assert_string_equal(buf_str(&out), "a\n");
	assert_int_equal(shell((char[]){ "kill -9 $$" }), 0);
	assert_int_equal(status, -1);
}

static void
test_not_there(void **state)
{
	char *argv[] = { (char[]){ "/none/at/all" }, NULL };

	(void)state;
	assert_int_equal(spawn_until(argv, stop_fd, &out, &status, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void
test_says_too_much(void **state)
{
	int64_t began = clock_mono_ms();

	(void)state;
	assert_int_equal(
	    shell((char[]){ "yes | head -c 1000; exec sleep 60" }), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_true(clock_mono_ms() - began < 30000);
}

static void
test_stopped(void **state)
{
	int64_t began = clock_mono_ms();

	(void)state;
	eventfd_write(stop_fd, 1);
	assert_int_equal(shell((char[]){ "exec sleep 60" }), -1);
	assert_int_equal(e.kind, ERR_CANCELED);
	assert_true(clock_mono_ms() - began < 30000);
	assert_int_equal(status, -2);
}

/* One that is done all the same has done it. */
static void
test_stopped_at_the_end(void **state)
{
	(void)state;
	eventfd_write(stop_fd, 1);
	/* The child ignores what we ignore. */
	signal(SIGTERM, SIG_IGN);
	assert_int_equal(shell((char[]){ "sleep .1; echo done" }), 0);
	signal(SIGTERM, SIG_DFL);
	assert_int_equal(status, 0);
	assert_string_equal(buf_str(&out), "done\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_end),
		TEST(test_not_there),
		TEST(test_says_too_much),
		TEST(test_stopped),
		TEST(test_stopped_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
