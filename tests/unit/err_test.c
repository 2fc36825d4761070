#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libcommon/core/err.h"

static void
test_set(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(e.kind, ERR_NONE);
	err_hint(&e, "old hint");
	assert_int_equal(err_set(&e, ERR_INVALID, "line %d", 7), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_string_equal(e.msg, "line 7");
	assert_string_equal(e.hint, ""); /* the hint was for another error */
	err_clear(&e);
	assert_int_equal(e.kind, ERR_NONE);
	assert_string_equal(e.msg, "");
}

static void
test_null_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, ERR_IO, "x"), -1);
	assert_int_equal(err_sys(NULL, "x"), -1);
	assert_int_equal(err_prefix(NULL, "x"), -1);
	assert_int_equal(err_hint(NULL, "x"), -1);
}

static void
test_prefix_and_hint(void **state)
{
	struct err e;

	(void)state;
	err_set(&e, ERR_INVALID, "not a number");
	err_hint(&e, "write %s", "digits");
	err_prefix(&e, "NarSize");
	assert_int_equal(err_prefix(&e, "narinfo %s", "26xb"), -1);
	assert_string_equal(e.msg, "narinfo 26xb: NarSize: not a number");
	assert_string_equal(e.hint, "write digits");
	assert_int_equal(e.kind, ERR_INVALID);
	/* Its own text may be an argument. */
	err_set(&e, ERR_IO, "<%s>", e.msg);
	assert_string_equal(e.msg, "<narinfo 26xb: NarSize: not a number>");
}

static void
test_long_texts_are_cut(void **state)
{
	struct err e;
	char text[2 * ERR_MSG_MAX];

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	err_set(&e, ERR_INVALID, "%s", text);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	err_prefix(&e, "b");
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	assert_memory_equal(e.msg, "b: aaa", 6);
	err_prefix(&e, "%s", text);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	err_hint(&e, "%s", text);
	assert_int_equal(strlen(e.hint), ERR_HINT_MAX - 1);
	errno = EIO;
	err_sys(&e, "%s", text);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
}

static void
test_sys(void **state)
{
	static const struct {
		int no;
		enum err_kind kind;
	} cases[] = {
		{ ENOENT, ERR_NOT_FOUND },
		{ EACCES, ERR_FORBIDDEN },
		{ EPERM, ERR_FORBIDDEN },
		{ ETIMEDOUT, ERR_TIMEOUT },
		{ ECONNREFUSED, ERR_UNAVAILABLE },
		{ ENOSPC, ERR_IO },
		{ EMFILE, ERR_IO },
		{ ENOMEM, ERR_IO },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		errno = cases[i].no;
		assert_int_equal(err_sys(&e, "open %s", "x"), -1);
		assert_int_equal(e.kind, cases[i].kind);
		assert_int_equal(errno, cases[i].no);
	}
	errno = ENOENT;
	err_sys(&e, "open %s", "x");
	assert_string_equal(e.msg, "open x: No such file or directory");
}

static void
test_table(void **state)
{
	(void)state;
	for (int k = 0; k < ERR__MAX; k++) {
		const char *name = err_name(k);

		assert_true(strlen(name) > 0);
		for (const char *c = name; *c != '\0'; c++)
			assert_true((*c >= 'a' && *c <= 'z') || *c == '_');
		assert_int_equal(err_kind_by_name(name), k);
		assert_true(strlen(err_text(k)) > 0);
		assert_in_range(err_http(k), 200, 599);
		assert_in_range(err_exit(k), 0, 255);
		/* Success is exactly the absence of an error. */
		assert_int_equal(err_exit(k) == 0, k == ERR_NONE);
	}
	assert_string_equal(err_name(ERR_NOT_FOUND), "not_found");
	assert_int_equal(err_kind_by_name("nonsense"), ERR_INTERNAL);
	assert_int_equal(err_kind_by_name(""), ERR_INTERNAL);
	assert_true(err_retryable(ERR_TIMEOUT));
	assert_false(err_retryable(ERR_INVALID));
}

static void
test_kind_by_http(void **state)
{
	static const struct {
		int status;
		enum err_kind kind;
	} cases[] = {
		{ 400, ERR_INVALID },
		{ 401, ERR_UNAUTHORIZED },
		{ 403, ERR_FORBIDDEN },
		{ 404, ERR_NOT_FOUND },
		{ 408, ERR_TIMEOUT },
		{ 409, ERR_CONFLICT },
		{ 413, ERR_TOO_LARGE },
		{ 418, ERR_INVALID },
		{ 429, ERR_THROTTLED },
		{ 500, ERR_UNAVAILABLE },
		{ 502, ERR_UNAVAILABLE },
		{ 503, ERR_UNAVAILABLE },
		{ 504, ERR_TIMEOUT },
		{ 599, ERR_UNAVAILABLE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_int_equal(
		    err_kind_by_http(cases[i].status), cases[i].kind);
}

/* Runs fn in a child that must abort, and checks what it printed. */
static void
assert_dies(void (*fn)(void), const char *text)
{
	char got[256];
	ssize_t n;
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL); /* cmocka catches it */
		dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(fds[1]);
	n = read(fds[0], got, sizeof got - 1);
	assert_true(n > 0);
	got[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_string_equal(got, text);
}

static void
die_plainly(void)
{
	err_die("broken: %d", 5);
}

static void
test_die(void **state)
{
	(void)state;
	assert_dies(die_plainly, "broken: 5\n");
}

static void
test_alloc(void **state)
{
	char *p = xcalloc(3, 5), *s;

	(void)state;
	for (int i = 0; i < 15; i++)
		assert_int_equal(p[i], 0);
	memset(p, 'x', 15);
	p = xrealloc(p, 1000);
	assert_int_equal(p[14], 'x');
	free(p);
	s = xstrdup("text");
	assert_string_equal(s, "text");
	free(s);
	/* Nothing is something that can be freed. */
	p = xmalloc(0);
	assert_non_null(p);
	free(p);
	p = xcalloc(0, 8);
	assert_non_null(p);
	free(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_null_is_allowed),
		cmocka_unit_test(test_prefix_and_hint),
		cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_sys),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_kind_by_http),
		cmocka_unit_test(test_die),
		cmocka_unit_test(test_alloc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
