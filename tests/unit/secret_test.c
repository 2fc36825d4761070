#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/secret.h"

static char dir[] = "/tmp/secret_test.XXXXXX";
static char path[64];

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/token", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void
write_file(const void *p, size_t len, unsigned mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd != -1);
	assert_int_equal(write(fd, p, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
test_set(void **state)
{
	struct secret s = { 0 };
	struct err e = ERR_INIT;
	char *big = calloc(1, SECRET_MAX + 1);

	(void)state;
	assert_int_equal(secret_set(&s, "a\0b", 3, &e), 0);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.data, "a\0b", 4); /* with a NUL behind */
	/* Too long: refused, and the old one stays. */
	assert_int_equal(secret_set(&s, big, SECRET_MAX + 1, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(s.len, 3);
	assert_int_equal(secret_set(&s, big, SECRET_MAX, &e), 0);
	assert_int_equal(s.len, SECRET_MAX);
	/* A part of itself. */
	secret_set(&s, "hunter2", 7, &e);
	assert_int_equal(secret_set(&s, s.data + 2, 3, &e), 0);
	assert_string_equal(s.data, "nte");
	assert_int_equal(secret_set(&s, NULL, 0, &e), 0);
	assert_string_equal(s.data, "");
	/* Room to write into. */
	assert_int_equal(secret_zero(&s, 4, &e), 0);
	assert_memory_equal(s.data, "\0\0\0\0", 5);
	assert_int_equal(s.len, 4);
	assert_int_equal(secret_zero(&s, SECRET_MAX + 1, &e), -1);
	assert_int_equal(s.len, 4);
	secret_done(&s);
	assert_null(s.data);
	assert_int_equal(s.len, 0);
	secret_done(&s);
	free(big);
}

static void
test_load(void **state)
{
	struct secret s = { 0 };
	struct err e = ERR_INIT;
	unsigned mode = 0;

	(void)state;
	write_file(" \t\r\nsec ret\n\n", 13, 0640);
	assert_int_equal(secret_load(&s, path, SECRET_MAX, &mode, &e), 0);
	assert_int_equal(s.len, 7);
	assert_string_equal(s.data, "sec ret");
	assert_int_equal(mode, 0640);

	write_file("x", 1, 0400);
	assert_int_equal(secret_load(&s, path, 1, NULL, &e), 0);
	assert_string_equal(s.data, "x");

	/* A pipe, as a shell's <(command) gives. */
	{
		int fds[2];
		char name[32];

		assert_int_equal(pipe(fds), 0);
		assert_int_equal(write(fds[1], "piped\n", 6), 6);
		close(fds[1]);
		snprintf(name, sizeof name, "/dev/fd/%d", fds[0]);
		assert_int_equal(secret_load(&s, name, 100, NULL, &e), 0);
		assert_string_equal(s.data, "piped");
		close(fds[0]);
	}
	secret_done(&s);
}

static void
test_load_refuses(void **state)
{
	struct secret s = { 0 };
	struct err e = ERR_INIT;
	unsigned mode = 0777;
	char missing[80];

	(void)state;
	secret_set(&s, "old", 3, &e);
	write_file("", 0, 0600);
	assert_int_equal(secret_load(&s, path, 100, &mode, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_non_null(strstr(e.msg, path));
	write_file(" \n\t \n", 5, 0600);
	assert_int_equal(secret_load(&s, path, 100, &mode, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);

	/* The limit is for the file, white space and all; no byte is shown. */
	write_file("hunter2\n", 8, 0600);
	assert_int_equal(secret_load(&s, path, 7, &mode, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_null(strstr(e.msg, "hunt"));
	assert_int_equal(secret_load(&s, "/dev/zero", SIZE_MAX, &mode, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);

	snprintf(missing, sizeof missing, "%s/none", dir);
	assert_int_equal(secret_load(&s, missing, 100, &mode, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, missing));
	assert_int_equal(secret_load(&s, dir, 100, &mode, &e), -1);
	assert_int_equal(e.kind, ERR_IO);

	assert_string_equal(s.data, "old");
	assert_int_equal(mode, 0777);
	secret_done(&s);
}

static void
test_equal(void **state)
{
	(void)state;
	assert_true(secret_equal("abc", "abc", 3));
	assert_true(secret_equal("abc", "abd", 2));
	assert_false(secret_equal("abc", "abd", 3));
	assert_false(secret_equal("xbc", "abc", 3));
	assert_true(secret_equal("a\0b", "a\0b", 3));
	assert_false(secret_equal("a\0b", "a\0c", 3));
	assert_true(secret_equal("a", "b", 0));
}

static void
test_random(void **state)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 }, guard[4] = { 0 };

	(void)state;
	secret_random(a, sizeof a);
	secret_random(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
	secret_random(guard + 1, 0);
	assert_memory_equal(guard, "\0\0\0\0", 4);
}

static void
test_harden(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid != -1);
	if (pid == 0) {
		struct rlimit r = { 1, 1 };

		secret_harden_process();
		getrlimit(RLIMIT_CORE, &r);
		_exit(prctl(PR_GET_DUMPABLE) != 0 || r.rlim_cur != 0 ||
		    r.rlim_max != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_load_refuses),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_harden),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
