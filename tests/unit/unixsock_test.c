#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/unixsock.h"

static char dir[] = "/tmp/unixsock_test.XXXXXX", path[64];
static int listener = -1, client = -1, peer = -1;
static struct buf line;
static struct err e;

static int
setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/sock", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int
finish(void **state)
{
	(void)state;
	close(listener);
	close(client);
	close(peer);
	listener = client = peer = -1;
	buf_done(&line);
	return 0;
}

static void
pair(size_t max)
{
	int fds[2];

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	client = fds[0];
	peer = fds[1];
	buf_init(&line, max);
}

static void
test_listen(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(
	    unixsock_connect(path, deadline_in(1000), &client, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(unixsock_listen(path, 0640, -1, &listener, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(
	    unixsock_connect(path, deadline_in(1000), &client, &e), 0);
	/* Nobody takes the place of who is there, but of who is gone. */
	assert_int_equal(unixsock_listen(path, 0600, -1, &peer, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	close(listener);
	close(client);
	assert_int_equal(
	    unixsock_connect(path, deadline_in(1000), &client, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_int_equal(unixsock_listen(path, 0600, -1, &listener, &e), 0);
}

static void
test_listen_elsewhere(void **state)
{
	char file[80], longer[200];

	(void)state;
	snprintf(file, sizeof file, "%s/file", dir);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(unixsock_listen(file, 0600, -1, &listener, &e), -1);
	assert_int_equal(access(file, F_OK), 0);
	unlink(file);
	memset(longer, 'x', sizeof longer);
	longer[0] = '/';
	longer[sizeof longer - 1] = '\0';
	assert_int_equal(unixsock_listen(longer, 0600, -1, &listener, &e), -1);
	assert_int_equal(
	    unixsock_connect(longer, deadline_in(10), &client, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
}

/* Nobody accepts: who cannot even wait gives up in time. */
static void
test_connect_full(void **state)
{
	int fds[64], rc = 0;
	size_t n = 0;

	(void)state;
	assert_int_equal(unixsock_listen(path, 0600, -1, &listener, &e), 0);
	assert_int_equal(listen(listener, 1), 0);
	while (rc == 0 && n < 64)
		rc = unixsock_connect(path, deadline_in(100), &fds[n++], &e);
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	for (n--; n > 0; n--)
		close(fds[n - 1]);
}

static void
test_line(void **state)
{
	(void)state;
	pair(8);
	assert_int_equal(
	    unixsock_write(client, deadline_in(1000), "12345678\n", 9, &e), 0);
	assert_int_equal(
	    unixsock_read_line(peer, deadline_in(1000), &line, &e), 0);
	assert_string_equal(buf_str(&line), "12345678");
}

static void
test_line_without_newline(void **state)
{
	(void)state;
	pair(8);
	assert_int_equal(
	    unixsock_write(client, deadline_in(1000), "1234567", 7, &e), 0);
	close(client);
	client = -1;
	assert_int_equal(
	    unixsock_read_line(peer, deadline_in(1000), &line, &e), 0);
	assert_string_equal(buf_str(&line), "1234567");
}

static void
test_line_too_long(void **state)
{
	(void)state;
	pair(8);
	assert_int_equal(
	    unixsock_write(client, deadline_in(1000), "123456789\n", 10, &e),
	    0);
	assert_int_equal(
	    unixsock_read_line(peer, deadline_in(1000), &line, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
}

static void
test_slow(void **state)
{
	static char much[8 << 20];
	int64_t began = clock_mono_ms();

	(void)state;
	pair(8);
	assert_int_equal(
	    unixsock_write(client, deadline_in(1000), "1234", 4, &e), 0);
	assert_int_equal(
	    unixsock_read_line(peer, deadline_in(100), &line, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_int_equal(
	    unixsock_write(client, deadline_in(100), much, sizeof much, &e),
	    -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_in_range(clock_mono_ms() - began, 200, 5000);
}

static void
test_hung_up(void **state)
{
	(void)state;
	pair(8);
	close(peer);
	peer = -1;
	assert_int_equal(
	    unixsock_write(client, deadline_in(1000), "1", 1, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
}

#define TEST(f) cmocka_unit_test_teardown(f, finish)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_listen),
		TEST(test_listen_elsewhere),
		TEST(test_connect_full),
		TEST(test_line),
		TEST(test_line_without_newline),
		TEST(test_line_too_long),
		TEST(test_slow),
		TEST(test_hung_up),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
