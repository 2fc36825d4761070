/*
 * A script plays niks3 push: it notes which paths it was given, and what becomes of
 * them stands in their names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/local/pusher.h"
#include "../../libcommon/local/spool.h"

static const char script[] =
    "#!/bin/sh\n"
    "cd '%s'\n"
    "echo \"$*\" >flags\n"
    "while [ $# -gt 0 ] && [ \"$1\" != -- ]; do shift; done\n"
    "[ $# -gt 0 ] || exit 0\n"
    "shift\n"
    "line=\n"
    "for path in \"$@\"; do line=\"$line ${path##*-}\"; done\n"
    "echo \"$line\" >>calls\n"
    "[ ! -e down ] || exit 9\n"
    "[ ! -e canceled ] || {\n"
    "	echo '{\"error\":{\"kind\":\"canceled\",\"message\":\"x\"}}'\n"
    "	exit 130; }\n"
    "case $line in\n"
    "*bad*) echo '{\"error\":{\"kind\":\"corrupt\",\"message\":\"it is "
    "bad\"}}'\n"
    "	exit 8 ;;\n"
    "*die*) kill -9 $$ ;;\n"
    "*slow*) trap 'echo rolled back >>calls; exit 130' TERM\n"
    "	sleep 30 >/dev/null 2>&1 & wait ;;\n"
    "esac\n";

static char dir[] = "/tmp/pusher_test.XXXXXX", store[96], niks3[96];
static struct spool *spool;
static struct pusher *pusher;
static struct pusher_config config;
static struct pusher_options options;
static struct buf calls;
static struct err e;
static int names;

static void
put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_non_null(f = fopen(path, "w"));
	fprintf(f, text, dir);
	fclose(f);
}

static void
take(const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	unlink(path);
}

static int
begin(void **state)
{
	char path[96];

	(void)state;
	strcpy(dir, "/tmp/pusher_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(store, sizeof store, "%s/store", dir);
	mkdir(store, 0755);
	snprintf(niks3, sizeof niks3, "%s/niks3", dir);
	put("niks3", script);
	chmod(niks3, 0755);
	snprintf(path, sizeof path, "%s/queue", dir);
	err_clear(&e);
	if (spool_open(path, SPOOL_SERVE, 1000, &spool, &e) != 0)
		fail_msg("%s", e.msg);
	config = (struct pusher_config){
		.remote = { .server_url = "http://x" },
		.batch = 8,
		.tries_max = 2,
		.delay_us = 100000,
	};
	options = (struct pusher_options){
		.spool = spool,
		.config = &config,
		.niks3 = niks3,
		.store_dir = store,
		.log_level = "error",
	};
	buf_init(&calls, 1 << 20);
	names = 0;
	log_init("pusher_test", LOG_LEVEL_ERROR - 1);
	return 0;
}

static int
finish(void **state)
{
	char command[128];

	(void)state;
	pusher_stop(pusher, deadline_in(0));
	pusher = NULL;
	spool_close(spool);
	buf_done(&calls);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

/* A path of that name; there, unless it is "gone". */
static void
add(const char *name)
{
	char base[96], path[256];
	const char *bases[] = { base };
	size_t added;

	snprintf(base, sizeof base, "%032d-%s", names++, name);
	snprintf(path, sizeof path, "%s/%s", store, base);
	if (strcmp(name, "gone") != 0)
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
	if (spool_add(spool, bases, 1, -1, &added, &e) != 0)
		fail_msg("%s", e.msg);
}

static void
go(void)
{
	if (pusher_new(&options, &pusher, &e) != 0)
		fail_msg("%s", e.msg);
}

/* What it was given so far, a line each. */
static const char *
given(void)
{
	char path[128];

	snprintf(path, sizeof path, "%s/calls", dir);
	buf_reset(&calls);
	file_read(path, &calls, NULL);
	return buf_str(&calls);
}

static void
until_counts(int64_t waiting, int64_t aside)
{
	deadline_t d = deadline_in(20000);
	struct spool_counts now;

	do {
		clock_sleep(20, d);
		assert_int_equal(spool_count(spool, &now, &e), 0);
	} while ((now.waiting != waiting || now.aside != aside) &&
	    deadline_left(d) > 0);
	assert_int_equal(now.waiting, waiting);
	assert_int_equal(now.aside, aside);
}

static void
until_given(const char *text)
{
	deadline_t d = deadline_in(20000);

	while (strstr(given(), text) == NULL && deadline_left(d) > 0)
		clock_sleep(20, d);
	assert_non_null(strstr(given(), text));
}

static void
test_batches(void **state)
{
	static const char *const ten[] = { "0", "1", "2", "3", "4", "5", "6",
		"7", "8", "9" };

	(void)state;
	for (int i = 0; i < 10; i++)
		add(ten[i]);
	go();
	until_counts(0, 0);
	assert_string_equal(given(), " 0 1 2 3 4 5 6 7\n 8 9\n");
	add("a");
	pusher_wake(pusher);
	until_counts(0, 0);
	until_given(" a\n");
}

static void
test_idle(void **state)
{
	(void)state;
	put("down", "");
	add("a");
	go();
	until_given(" a\n");
	assert_int_equal(pusher_idle_since(pusher), 0);
	take("down");
	pusher_now(pusher);
	until_counts(0, 0);
	clock_sleep(200, INT64_MAX);
	assert_in_range(clock_mono_ms() - pusher_idle_since(pusher), 0, 1000);
}

static void
test_gone(void **state)
{
	(void)state;
	add("a");
	add("gone");
	add("b");
	go();
	until_counts(0, 0);
	assert_string_equal(given(), " a b\n");
}

/* The bad one is found, the others are pushed, and it is set aside. */
static void
test_bad(void **state)
{
	(void)state;
	add("a");
	add("bad");
	add("c");
	add("d");
	go();
	until_counts(0, 1);
	assert_string_equal(
	    given(), " a bad c d\n a bad\n a\n bad\n c d\n bad\n");
}

static int
read_error(void *ctx, const struct spool_row *r)
{
	snprintf(ctx, 64, "%s: %s", r->kind, r->error);
	return 0;
}

static void
test_why(void **state)
{
	char text[64] = "";

	(void)state;
	add("bad");
	go();
	until_counts(0, 1);
	assert_int_equal(spool_each(spool, read_error, text, &e), 0);
	assert_string_equal(text, "corrupt: it is bad");
}

/* No server: nothing is held against a path, batches become smaller, and all
 * are pushed when it is back. */
static void
test_down(void **state)
{
	(void)state;
	put("down", "");
	for (int i = 0; i < 4; i++)
		add("x");
	go();
	until_given(" x x x x\n x x\n x\n");
	until_counts(4, 0);
	take("down");
	pusher_now(pusher);
	until_counts(0, 0);
}

/* A path that kills whoever pushes it ends up alone, and set aside once others
 * were pushed; without others it is only tried again. */
static void
test_die(void **state)
{
	(void)state;
	config.batch = 2;
	add("die");
	add("b");
	go();
	until_given(" b\n");
	until_counts(1, 0);
	add("c");
	pusher_wake(pusher);
	for (int i = 0; i < 3; i++) {
		pusher_now(pusher);
		clock_sleep(200, INT64_MAX);
		add("d");
		pusher_wake(pusher);
	}
	until_counts(0, 1);
}

/* Somebody else stopped it: no path is to blame, and it is tried again. */
static void
test_canceled(void **state)
{
	(void)state;
	put("canceled", "");
	add("a");
	go();
	until_given(" a\n");
	until_counts(1, 0);
	take("canceled");
	pusher_now(pusher);
	until_counts(0, 0);
}

static void
test_stop(void **state)
{
	int64_t began = clock_mono_ms();

	(void)state;
	add("slow");
	go();
	until_given(" slow\n");
	pusher_stop(pusher, deadline_in(100));
	pusher = NULL;
	until_given("rolled back\n");
	until_counts(1, 0);
	assert_true(clock_mono_ms() - began < 20000);
}

/* What is due is pushed to the end. */
static void
test_drain(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++)
		add("x");
	go();
	pusher_stop(pusher, deadline_in(20000));
	pusher = NULL;
	until_counts(0, 0);
}

static void
test_drain_down(void **state)
{
	int64_t began = clock_mono_ms();

	(void)state;
	put("down", "");
	add("x");
	go();
	pusher_stop(pusher, deadline_in(20000));
	pusher = NULL;
	until_counts(1, 0);
	assert_true(clock_mono_ms() - began < 10000);
}

static void
test_flags(void **state)
{
	const char *caches[] = { "http://a", "http://b" };
	char path[128];

	(void)state;
	config.remote.token_path = "t";
	config.remote.ca_cert = "c";
	config.uploads = 7;
	config.no_logs = 1;
	config.upstreams = (struct opt_list){ caches, 2 };
	assert_int_equal(pusher_check(&options, &e), 0);
	snprintf(path, sizeof path, "%s/flags", dir);
	assert_int_equal(file_read(path, &calls, &e), 0);
	assert_string_equal(buf_str(&calls),
	    "push --json --log-level=error --server-url=http://x "
	    "--auth-token-path=t --ca-cert=c --max-concurrent-uploads=7 "
	    "--no-logs=true --upstream-cache=http://a "
	    "--upstream-cache=http://b -n\n");
}

static void
test_no_program(void **state)
{
	(void)state;
	options.niks3 = "/none/at/all";
	assert_int_equal(pusher_check(&options, &e), -1);
	add("x");
	go();
	clock_sleep(300, INT64_MAX);
	until_counts(1, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_batches),
		TEST(test_idle),
		TEST(test_gone),
		TEST(test_bad),
		TEST(test_why),
		TEST(test_down),
		TEST(test_die),
		TEST(test_canceled),
		TEST(test_stop),
		TEST(test_drain),
		TEST(test_drain_down),
		TEST(test_flags),
		TEST(test_no_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
