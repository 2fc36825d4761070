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

#include "buf.h"
#include "err.h"
#include "file.h"

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

/* Reads what is there; 1 at the end. */
static int
read_some(int fd, struct buf *out, struct err *e)
{
	size_t room = out->max - out->len;
	ssize_t n;
	char *to;

	if (room > READ_SIZE)
		room = READ_SIZE;
	/* A byte beyond the limit is its end, or too much. */
	if (room == 0)
		room = 1;
	if ((to = buf_reserve(out, room, e)) == NULL)
		return -1;
	n = read(fd, to, room);
	if (n == 0)
		return 1;
	if (n > 0)
		out->len += n;
	else if (errno != EINTR)
		return err_sys(e, "read");
	return 0;
}

/* Reads until the end, at most until d, or until stop_fd (or -1) can be read:
 * *stopped is then 1. */
static int
read_all(int fd, deadline_t d, int stop_fd, struct buf *out, int *stopped,
    struct err *e)
{
	struct pollfd fds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};
	int rc = 0;

	*stopped = 0;
	while (rc == 0) {
		int64_t left = deadline_left(d);

		if (left == 0)
			return err_set(e, ERR_TIMEOUT, "not done in time");
		if (poll(fds, 2, left < INT_MAX ? (int)left : INT_MAX) <= 0)
			continue;
		if (fds[1].revents != 0) {
			*stopped = 1;
			return 0;
		}
		if (fds[0].revents != 0)
			rc = read_some(fd, out, e);
	}
	return rc > 0 ? 0 : -1;
}

/* Waits for its end; what it exited with, -1 when a signal ended it. */
static int
reap(pid_t pid)
{
	int ended;

	while (waitpid(pid, &ended, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
}

int
spawn_read(char *const argv[], deadline_t d, struct buf *out, struct buf *words,
    int *status, struct err *e)
{
	int fds[2] = { -1, -1 }, errfd = -1, stopped, ended, rc = -1;
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
	rc = read_all(fds[0], d, -1, out, &stopped, e);
	if (rc != 0) {
		kill(pid, SIGKILL);
		err_prefix(e, "%s", argv[0]);
	}
	ended = reap(pid);
	if (rc == 0)
		*status = ended;
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

int
spawn_until(char *const argv[], int stop_fd, struct buf *out, int *status,
    struct err *e)
{
	int fds[2], stopped = 0, ended, rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return err_sys(e, "pipe");
	rc = start(argv, fds[1], -1, &pid, e);
	close(fds[1]);
	if (rc != 0)
		goto out;
	rc = read_all(fds[0], INT64_MAX, stop_fd, out, &stopped, e);
	if (stopped) {
		int again;

		kill(pid, SIGTERM);
		rc = read_all(
		    fds[0], deadline_in(SPAWN_STOP_MS), -1, out, &again, e);
	}
	if (rc != 0) {
		kill(pid, SIGKILL);
		err_prefix(e, "%s", argv[0]);
	}
	ended = reap(pid);
	if (rc == 0 && stopped && ended != 0)
		rc = err_set(e, ERR_CANCELED, "%s: stopped", argv[0]);
	if (rc == 0)
		*status = ended;
out:
	close(fds[0]);
	return rc;
}
