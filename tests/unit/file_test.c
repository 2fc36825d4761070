#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"

static char path[] = "/tmp/file_test.XXXXXX";

static void
write_file(size_t n)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	char *p = malloc(n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 31 + i / 251);
	assert_true(fd != -1);
	assert_int_equal(file_write_fd(fd, p, n, NULL), 0);
	close(fd);
	free(p);
}

static void
test_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 100000,
		3000000 };
	struct err e = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		size_t n = sizes[i];
		struct buf b;

		write_file(n);
		/* Appended, and a limit that is just met is no error. */
		buf_init(&b, n + 2);
		buf_puts(&b, "->", NULL);
		assert_int_equal(file_read(path, &b, &e), 0);
		assert_int_equal(b.len, n + 2);
		assert_memory_equal(b.data, "->", 2);
		for (size_t j = 0; j < n; j++)
			if (b.data[j + 2] != (uint8_t)(j * 31 + j / 251))
				fail_msg("byte %zu of %zu", j, n);
		buf_done(&b);
		if (n == 0)
			continue;
		buf_init(&b, n + 1);
		buf_puts(&b, "->", NULL);
		assert_int_equal(file_read(path, &b, &e), -1);
		assert_int_equal(e.kind, ERR_TOO_LARGE);
		assert_non_null(strstr(e.msg, path));
		assert_string_equal(buf_str(&b), "->");
		buf_done(&b);
	}
}

static void
test_unreadable(void **state)
{
	struct buf b;
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(file_read("/nonexistent/x", &b, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "/nonexistent/x: No such file or directory");
	assert_int_equal(file_read("/", &b, &e), -1);
	assert_string_equal(e.msg, "/: read: Is a directory");
	assert_int_equal(file_read("/dev/zero", &b, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(file_read_fd(-1, &b, &e), -1);
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void *
drip(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 5; i++) {
		file_write_fd(fd, "drop ", 5, NULL);
		usleep(2000);
	}
	close(fd);
	return NULL;
}

static void
test_pipe(void **state)
{
	struct buf b;
	pthread_t t;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pthread_create(&t, NULL, drip, &fds[1]);
	buf_init(&b, 1000);
	assert_int_equal(file_read_fd(fds[0], &b, NULL), 0);
	assert_string_equal(buf_str(&b), "drop drop drop drop drop ");
	pthread_join(t, NULL);
	close(fds[0]);
	buf_done(&b);
}

struct reading {
	int fd;
	struct buf b;
};

/* Reads slowly, so that the writer has to wait in between. */
static void *
read_all(void *arg)
{
	struct reading *r = arg;
	ssize_t n;

	do {
		n = read(r->fd, buf_reserve(&r->b, 50000, NULL), 50000);
		r->b.len += n > 0 ? (size_t)n : 0;
		usleep(3000);
	} while (n > 0);
	return NULL;
}

static void
nothing(int sig)
{
	(void)sig;
}

/* Signals interrupt the writes: some write a part, some nothing at all. */
static void
test_write_in_parts(void **state)
{
	struct itimerval tick = { { 0, 1000 }, { 0, 1000 } }, off = { 0 };
	struct sigaction sa = { .sa_handler = nothing };
	size_t n = 500000;
	uint8_t *p = malloc(n);
	struct err e = ERR_INIT;
	struct reading r;
	pthread_t t;
	sigset_t set;
	int fds[2];

	(void)state;
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 31 + i / 251);
	assert_int_equal(pipe(fds), 0);
	r.fd = fds[0];
	buf_init(&r.b, n + 50000);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* in the reader, that is */
	pthread_create(&t, NULL, read_all, &r);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &tick, NULL);
	assert_int_equal(file_write_fd(fds[1], p, n, &e), 0);
	setitimer(ITIMER_REAL, &off, NULL);
	close(fds[1]);
	pthread_join(t, NULL);
	assert_int_equal(r.b.len, n);
	assert_memory_equal(r.b.data, p, n);
	close(fds[0]);
	buf_done(&r.b);
	free(p);
}

static void
test_write_fails(void **state)
{
	struct err e = ERR_INIT;
	int fds[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(file_write_fd(fds[1], "x", 1, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	close(fds[1]);
	assert_int_equal(file_write_fd(-1, "x", 1, &e), -1);
	assert_string_equal(e.msg, "write: Bad file descriptor");
	assert_int_equal(file_write_fd(-1, "x", 0, &e), 0);
}

static int
setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd == -1 ? -1 : close(fd);
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_write_in_parts),
		cmocka_unit_test(test_write_fails),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
