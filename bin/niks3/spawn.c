#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"

#define READ_SIZE 65536

extern char **environ;

/* What a child gets instead of what we have: no blocked signals, and the one that
 * we ignore as it is by default. */
static void
attr_init(posix_spawnattr_t *attr)
{
	sigset_t none, pipes;

	posix_spawnattr_init(attr);
	sigemptyset(&none);
	sigemptyset(&pipes);
	sigaddset(&pipes, SIGPIPE);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &pipes);
	posix_spawnattr_setflags(
	    attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int
start(char *const argv[], int outfd, int errfd, pid_t *pid, struct err *e)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;

	attr_init(&attr);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, outfd, 1);
	if (errfd >= 0)
		posix_spawn_file_actions_adddup2(&actions, errfd, 2);
	errno = posix_spawnp(pid, argv[0], &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return errno == 0 ? 0 : err_sys(e, "run %s", argv[0]);
}

static int
read_all(int fd, deadline_t d, struct buf *out, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (;;) {
		int64_t left = deadline_left(d);
		size_t room = out->max - out->len;
		ssize_t n;
		char *to;

		if (left == 0)
			return err_set(e, ERR_TIMEOUT, "not done in time");
		if (poll(&p, 1, left < INT_MAX ? (int)left : INT_MAX) <= 0)
			continue;
		if (room > READ_SIZE)
			room = READ_SIZE;
		/* A byte beyond the limit is its end, or too much. */
		if (room == 0)
			room = 1;
		if ((to = buf_reserve(out, room, e)) == NULL)
			return -1;
		n = read(fd, to, room);
		if (n == 0)
			return 0;
		if (n > 0)
			out->len += n;
		else if (errno != EINTR)
			return err_sys(e, "read");
	}
}

int
spawn_read(char *const argv[], deadline_t d, struct buf *out, struct buf *words,
    int *status, struct err *e)
{
	int fds[2] = { -1, -1 }, errfd = -1, ended, rc = -1;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0 ||
	    (words != NULL &&
	        (errfd = memfd_create("stderr", MFD_CLOEXEC)) < 0)) {
		err_sys(e, "pipe");
		goto out;
	}
	if (start(argv, fds[1], errfd, &pid, e) != 0)
		goto out;
	close(fds[1]);
	fds[1] = -1;
	rc = read_all(fds[0], d, out, e);
	if (rc != 0) {
		kill(pid, SIGKILL);
		err_prefix(e, "%s", argv[0]);
	}
	while (waitpid(pid, &ended, 0) < 0 && errno == EINTR)
		;
	if (rc == 0)
		*status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
	if (words != NULL && lseek(errfd, 0, SEEK_SET) == 0)
		file_read_fd(errfd, words, NULL);
out:
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (errfd >= 0)
		close(errfd);
	return rc;
}
