#include "unixsock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"

#define BACKLOG    1024
#define READ_SIZE  16384
#define CONNECT_MS 10 /* between two tries while too many wait */

static int
address(const char *path, struct sockaddr_un *at, struct err *e)
{
	*at = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof at->sun_path)
		return err_set(
		    e, ERR_INVALID, "socket %s: path too long", path);
	strcpy(at->sun_path, path);
	return 0;
}

/* Somebody listens there. */
static int
is_alive(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = connect(fd, (const struct sockaddr *)at, sizeof *at);
	int busy = rc != 0 && errno == EAGAIN;

	close(fd);
	return rc == 0 || busy;
}

int
unixsock_listen(
    const char *path, mode_t mode, gid_t gid, int *out, struct err *e)
{
	struct sockaddr_un at;
	struct stat st;
	int fd;

	if (address(path, &at, e) != 0)
		return -1;
	if (is_alive(&at))
		return err_set(
		    e, ERR_CONFLICT, "socket %s: somebody listens there", path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 || bind(fd, (struct sockaddr *)&at, sizeof at) == -1 ||
	    (gid != (gid_t)-1 && chown(path, -1, gid) == -1) ||
	    chmod(path, mode) == -1 || listen(fd, BACKLOG) == -1) {
		err_sys(e, "cannot listen at %s", path);
		close(fd);
		return -1;
	}
	*out = fd;
	return 0;
}

int
unixsock_connect(const char *path, deadline_t d, int *out, struct err *e)
{
	struct sockaddr_un at;
	int fd;

	if (address(path, &at, e) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return err_sys(e, "socket");
	while (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
		if (errno == EAGAIN && deadline_left(d) > 0) {
			clock_sleep(CONNECT_MS, d);
		} else if (errno != EINTR) {
			if (errno == EAGAIN)
				errno = ETIMEDOUT;
			err_sys(e, "connect to %s", path);
			close(fd);
			return -1;
		}
	}
	*out = fd;
	return 0;
}

static int
wait_for(int fd, short events, deadline_t d, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = deadline_left(d);

		if (left == 0)
			return err_set(e, ERR_TIMEOUT, "no answer in time");
		if (poll(&p, 1, left < INT_MAX ? (int)left : INT_MAX) > 0)
			return 0;
	}
}

int
unixsock_read_line(int fd, deadline_t d, struct buf *line, struct err *e)
{
	char chunk[READ_SIZE];

	for (;;) {
		const char *newline;
		ssize_t n;

		if (wait_for(fd, POLLIN, d, e) != 0)
			return -1;
		n = read(fd, chunk, sizeof chunk);
		if (n == 0)
			return 0;
		if (n < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return err_sys(e, "read");
		}
		newline = memchr(chunk, '\n', n);
		if (newline != NULL)
			n = newline - chunk;
		if (buf_append(line, chunk, n, e) != 0)
			return -1;
		if (newline != NULL)
			return 0;
	}
}

int
unixsock_write(int fd, deadline_t d, const void *p, size_t n, struct err *e)
{
	const char *at = p;

	while (n > 0) {
		ssize_t did;

		if (wait_for(fd, POLLOUT, d, e) != 0)
			return -1;
		did = send(fd, at, n, MSG_NOSIGNAL);
		if (did < 0 && errno != EINTR && errno != EAGAIN)
			return err_sys(e, "write");
		if (did > 0) {
			at += did;
			n -= did;
		}
	}
	return 0;
}
