#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"

/*
 * Standard error is, between capture() and release(), a socket that keeps the
 * bounds of writes: one receive is one write(2).
 */
static int saved_stderr, reader;

static void
capture(void)
{
	int fds[2], size = 1 << 20;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	reader = fds[0];
}

static void
release(void)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(reader);
}

/* The next write, or "" when there was none. */
static const char *
written(void)
{
	static char text[2 * LOG_LINE_MAX];
	ssize_t n = recv(reader, text, sizeof text - 1, MSG_DONTWAIT);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static int
setup(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_init("prog", LOG_LEVEL_INFO);
	log_request(NULL);
	capture();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	release();
	return 0;
}

static void
test_fields(void **state)
{
	(void)state;
	log_info("plain");
	assert_string_equal(written(), "prog: plain\n");
	log_info("upload begun", LOG_S("id", "abc/_.:@+,=-Z9"),
	    LOG_U("missing", UINT64_MAX), LOG_I("delta", INT64_MIN),
	    LOG_T("took", 12345), LOG_T("late", -500), LOG_T("max", INT64_MIN));
	assert_string_equal(written(),
	    "prog: upload begun id=abc/_.:@+,=-Z9 "
	    "missing=18446744073709551615 delta=-9223372036854775808 "
	    "took=12.345ms late=-0.500ms max=-9223372036854775.808ms\n");
	log_info("empty", LOG_S("a", ""), LOG_S("b", NULL), LOG_S("c", "x y"));
	assert_string_equal(written(), "prog: empty a=\"\" b=\"\" c=\"x y\"\n");
	assert_string_equal(written(), ""); /* one write a line */
}

static void
test_foreign_bytes(void **state)
{
	(void)state;
	log_info("v", LOG_S("k", "a\nprog: forged k=1\r\t\x1b[31m"));
	assert_string_equal(
	    written(), "prog: v k=\"a\\nprog: forged k=1\\r\\t\\x1b[31m\"\n");
	log_info("v", LOG_S("k", "say \"hi\" \\ x\" y=\"z"));
	assert_string_equal(
	    written(), "prog: v k=\"say \\\"hi\\\" \\\\ x\\\" y=\\\"z\"\n");
	/* Text stays readable; what only looks like UTF-8 does not. */
	log_info("v", LOG_S("k", "Gr\u00fc\u00dfe \u20ac \U0001f600"));
	assert_string_equal(
	    written(), "prog: v k=\"Gr\u00fc\u00dfe \u20ac \U0001f600\"\n");
	log_info("v", LOG_S("k", "\xff\xc3(\xc0\xaf\xed\xa0\x80\xf4\x90\x80"));
	assert_string_equal(written(),
	    "prog: v k=\"\\xff\\xc3(\\xc0\\xaf\\xed\\xa0\\x80"
	    "\\xf4\\x90\\x80\"\n");
	log_info("v", LOG_S("k", "\x7f\xc2\x9b\xe2\x82")); /* cut short */
	assert_string_equal(
	    written(), "prog: v k=\"\\x7f\\xc2\\x9b\\xe2\\x82\"\n");
	log_info("line\nbreak \"quoted\"");
	assert_string_equal(written(), "prog: line\\nbreak \"quoted\"\n");
}

static void
test_levels(void **state)
{
	(void)state;
	log_debug("d");
	assert_string_equal(written(), "");
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	log_error("e");
	assert_string_equal(written(), "prog: error: e\n");
	log_warn("w");
	assert_string_equal(written(), "prog: warn: w\n");
	log_notice("n");
	assert_string_equal(written(), "prog: n\n");

	log_init("prog", LOG_LEVEL_ERROR);
	log_warn("w");
	assert_string_equal(written(), "");
	log_init(NULL, LOG_LEVEL_DEBUG);
	log_debug("d", LOG_I("n", 1));
	assert_string_equal(written(), "debug: d n=1\n");
}

static void
test_arguments_are_not_evaluated_in_vain(void **state)
{
	int n = 0;

	(void)state;
	log_debug("d", LOG_I("n", ++n));
	assert_int_equal(n, 0);
	log_info("d", LOG_I("n", ++n));
	assert_int_equal(n, 1);
}

static void
test_level_parse(void **state)
{
	enum log_level level = LOG_LEVEL_NOTICE;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(log_level_parse("ERROR", &level, &e), -1);
	assert_int_equal(log_level_parse("", &level, &e), -1);
	assert_int_equal(log_level_parse("inf", &level, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_int_equal(level, LOG_LEVEL_NOTICE);
	assert_int_equal(log_level_parse("error", &level, &e), 0);
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_int_equal(log_level_parse("debug", &level, &e), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
}

static void *
other_thread(void *arg)
{
	strcpy(arg, log_request_get());
	log_request("other");
	return NULL;
}

static void
test_request(void **state)
{
	char id[] = "r-1", seen[64] = "unset", longer[200];
	pthread_t t;

	(void)state;
	assert_string_equal(log_request_get(), "");
	log_request(id);
	id[0] = 'X'; /* it was copied */
	log_info("m", LOG_I("n", 1));
	assert_string_equal(written(), "prog: m req=r-1 n=1\n");
	pthread_create(&t, NULL, other_thread, seen);
	pthread_join(t, NULL);
	assert_string_equal(seen, "");
	assert_string_equal(log_request_get(), "r-1");
	log_request("a b\n");
	log_info("m");
	assert_string_equal(written(), "prog: m req=\"a b\\n\"\n");
	memset(longer, 'i', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	log_request(longer);
	assert_int_equal(strlen(log_request_get()), 63);
	log_request(NULL);
	log_info("m");
	assert_string_equal(written(), "prog: m\n");
}

static void
test_err(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	err_set(&e, ERR_NOT_FOUND, "bucket \"x\": gone");
	log_err(LOG_LEVEL_WARN, "upload failed", &e);
	assert_string_equal(written(),
	    "prog: warn: upload failed "
	    "error=\"bucket \\\"x\\\": gone\" kind=not_found\n");
	err_hint(&e, "create it");
	log_err(LOG_LEVEL_ERROR, "upload failed", &e);
	assert_string_equal(written(),
	    "prog: error: upload failed error=\"bucket \\\"x\\\": gone\" "
	    "kind=not_found hint=\"create it\"\n");
	log_err(LOG_LEVEL_DEBUG, "upload failed", &e);
	assert_string_equal(written(), "");
}

static void
test_long_lines_are_cut(void **state)
{
	char text[2 * LOG_LINE_MAX];
	const char *line;
	size_t len;

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (int quoted = 0; quoted < 2; quoted++) {
		log_info("m", LOG_S("k", text), LOG_S("lost", "x"));
		line = written();
		len = strlen(line);
		assert_int_equal(len, LOG_LINE_MAX);
		assert_string_equal(line + len - 5, "a...\n");
		text[0] = ' ';
	}

	/* Neither an escape nor a character is torn. */
	for (size_t pad = 0; pad < 8; pad++) {
		for (size_t i = pad; i + 2 < sizeof text - 1; i += 2)
			memcpy(text + i, pad % 2 ? "\u00fc" : "\x01\x02", 2);
		log_info("m", LOG_S("k", text));
		line = written();
		len = strlen(line);
		assert_in_range(len, LOG_LINE_MAX - 4, LOG_LINE_MAX);
		assert_string_equal(line + len - 4, "...\n");
		if (pad % 2)
			assert_memory_equal(line + len - 6, "\u00fc", 2);
		else
			assert_memory_equal(line + len - 8, "\\x0", 3);
	}
}

static void
test_journal(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("prog", LOG_LEVEL_DEBUG);
	log_error("e");
	assert_string_equal(written(), "<3>e\n");
	log_info("i", LOG_I("n", 1));
	assert_string_equal(written(), "<6>i n=1\n");
	log_debug("d");
	assert_string_equal(written(), "<7>d\n");

	/* Inherited, but standard error was redirected meanwhile. */
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_init("prog", LOG_LEVEL_DEBUG);
	log_error("e");
	assert_string_equal(written(), "prog: error: e\n");
	unsetenv("JOURNAL_STREAM");
}

static void
test_errno_is_kept(void **state)
{
	(void)state;
	errno = EXDEV;
	log_info("m");
	assert_int_equal(errno, EXDEV);
	/* Even when there is nobody to read. */
	close(STDERR_FILENO);
	errno = EXDEV;
	log_info("m");
	assert_int_equal(errno, EXDEV);
}

#define THREADS 4
#define LINES   25

static void *
log_lines(void *arg)
{
	const char *letter = arg;
	char text[2000];

	memset(text, *letter, sizeof text - 1);
	text[sizeof text - 1] = '\0';
	log_request(letter);
	for (int i = 0; i < LINES; i++)
		log_info("m", LOG_S("k", text));
	return NULL;
}

/* Lines of threads do not mix. */
static void
test_threads(void **state)
{
	static const char *const letters[THREADS] = { "a", "b", "c", "d" };
	pthread_t threads[THREADS];
	int seen[THREADS] = { 0 };

	(void)state;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, log_lines,
		    (void *)(uintptr_t)letters[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (const char *line; *(line = written()) != '\0';) {
		char letter = line[strlen("prog: m req=")];
		const char *value = strstr(line, "k=") + 2;

		assert_in_range(letter, 'a', 'a' + THREADS - 1);
		seen[letter - 'a']++;
		assert_int_equal(strlen(value), 2000);
		assert_int_equal(strspn(value, (char[]){ letter, '\0' }), 1999);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(seen[i], LINES);
}

static void
test_escape(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(
	    log_escape(out, sizeof out, "a \"b\" \\"), "a \"b\" \\");
	assert_string_equal(
	    log_escape(out, sizeof out, "a\n\x1b\xff"), "a\\n\\x1b\\xff");
	assert_string_equal(log_escape(out, sizeof out, ""), "");
	/* Cut between escapes. */
	assert_string_equal(log_escape(out, 6,
	                        "ab\x01"
	                        "c"),
	    "ab");
	assert_string_equal(log_escape(out, 7,
	                        "ab\x01"
	                        "c"),
	    "ab\\x01");
	assert_string_equal(log_escape(out, 8,
	                        "ab\x01"
	                        "c"),
	    "ab\\x01c");
	assert_string_equal(log_escape(out, 1, "a"), "");
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_fields),
		LOG_TEST(test_foreign_bytes),
		LOG_TEST(test_levels),
		LOG_TEST(test_arguments_are_not_evaluated_in_vain),
		cmocka_unit_test(test_level_parse),
		LOG_TEST(test_request),
		LOG_TEST(test_err),
		LOG_TEST(test_long_lines_are_cut),
		LOG_TEST(test_journal),
		LOG_TEST(test_errno_is_kept),
		LOG_TEST(test_threads),
		cmocka_unit_test(test_escape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
