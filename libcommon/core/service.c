#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "err.h"
#include "log.h"
#include "num.h"
#include "process.h"
#include "secret.h"

#define HEAP_KEEP        (128 << 10) /* free bytes that a heap may hold on to */
#define HEAPS_MAX        2
#define LISTEN_FDS_START 3 /* sd_listen_fds(3) */
#define LISTEN_FDS_MAX   64
#define NOTIFY_MAX       512
#define NOTIFY_WAIT_S    1 /* a manager that does not read is not waited for */

/*
 * Opened by service_init, before a program gives up the right to open anything.
 */
static int notify_fd = -1;
static int signal_fd = -1;
static int stop_fd = -1;    /* readable once service_stop was called */
static int64_t watchdog_ms; /* between two feedings, 0 for no watchdog */
static deadline_t watchdog_next;
static atomic_int stopped;

/* The number in an environment variable, or 0. */
static uint64_t
env_u64(const char *name)
{
	const char *value = getenv(name);
	uint64_t n = 0;

	if (value != NULL)
		num_parse_u64(value, strlen(value), INT64_MAX, &n, NULL);
	return n;
}

/* Is the variable that says whom a message is for ours? */
static int
env_is_my_pid(const char *name)
{
	return env_u64(name) == (uint64_t)getpid();
}

/* A datagram socket connected to NOTIFY_SOCKET, or -1. */
static int
notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = NOTIFY_WAIT_S };
	size_t len;
	int fd;

	if (path == NULL || (path[0] != '/' && path[0] != '@') ||
	    (len = strlen(path)) >= sizeof to.sun_path)
		return -1;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@') /* the abstract namespace */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
	if (connect(fd, (struct sockaddr *)&to,
	        offsetof(struct sockaddr_un, sun_path) + len) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

__attribute__((format(printf, 1, 2))) static void
notify(const char *fmt, ...)
{
	char text[NOTIFY_MAX];
	va_list ap;

	if (notify_fd == -1)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	send(notify_fd, text, strlen(text), MSG_NOSIGNAL);
}

/* Half of what is asked for, as sd_watchdog_enabled(3) advises. */
static int64_t
watchdog_interval(void)
{
	uint64_t us = env_u64("WATCHDOG_USEC");

	if (us == 0 ||
	    (getenv("WATCHDOG_PID") != NULL && !env_is_my_pid("WATCHDOG_PID")))
		return 0;
	return us > 2000 ? (int64_t)(us / 2000) : 1;
}

static void
replace_fd(int *fd, int by)
{
	if (*fd != -1)
		close(*fd);
	*fd = by;
}

/*
 * What a large request took goes back to the system after it. By itself, malloc
 * would keep ever larger blocks, in a heap for every thread.
 */
static void
keep_little_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, HEAP_KEEP);
	mallopt(M_TRIM_THRESHOLD, HEAP_KEEP);
	mallopt(M_ARENA_MAX, HEAPS_MAX);
}

void
service_init(const char *name, const char *log_level)
{
	enum log_level level = LOG_LEVEL_INFO;
	sigset_t set;

	if (log_level != NULL)
		log_level_parse(log_level, &level, NULL);
	log_init(name, level);
	secret_harden_process();
	keep_little_memory();
	process_open();

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	replace_fd(&signal_fd, signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
	replace_fd(&stop_fd, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	if (signal_fd == -1 || stop_fd == -1)
		err_die("%s: no file descriptor for signals: %s", name,
		    strerror(errno));
	stopped = 0;

	replace_fd(&notify_fd, notify_open());
	watchdog_ms = watchdog_interval();
	watchdog_next = deadline_in(0);
	/* None of this is for our children. */
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
}

void
service_ready(const char *status)
{
	notify("READY=1");
	service_status("%s", status);
}

void
service_status(const char *fmt, ...)
{
	char text[NOTIFY_MAX / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\n') /* would begin another assignment */
			*p = ' ';
	notify("STATUS=%s", text);
}

void
service_stopping(void)
{
	notify("STOPPING=1\nSTATUS=stopping");
}

/* Takes one signal: 0 for one that stops, 1 for SIGHUP, -1 when there is none.
 */
static int
signal_take(void)
{
	struct signalfd_siginfo si;

	if (read(signal_fd, &si, sizeof si) != sizeof si)
		return -1;
	if (si.ssi_signo == SIGHUP)
		return 1;
	stopped = 1;
	return 0;
}

int
service_wait(deadline_t d, int (*alive)(void *), void *ctx)
{
	struct pollfd fds[] = {
		{ .fd = signal_fd, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};
	int64_t left;
	int got;

	for (;;) {
		if (stopped)
			return 0;
		if ((got = signal_take()) != -1)
			return got;
		if (watchdog_ms > 0 && deadline_left(watchdog_next) == 0) {
			if (alive == NULL || alive(ctx))
				notify("WATCHDOG=1");
			watchdog_next = deadline_in(watchdog_ms);
		}
		if ((left = deadline_left(d)) == 0)
			return 2;
		if (watchdog_ms > 0)
			left = deadline_left(deadline_min(d, watchdog_next));
		poll(fds, 2, left < INT_MAX ? (int)left : INT_MAX);
	}
}

void
service_impatient(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

int
service_stopped(void)
{
	return stopped;
}

void
service_stop(void)
{
	stopped = 1;
	if (stop_fd != -1)
		eventfd_write(stop_fd, 1);
}

int
service_listen_fds(void)
{
	uint64_t n = 0;

	if (env_is_my_pid("LISTEN_PID"))
		n = env_u64("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (n > LISTEN_FDS_MAX)
		return 0;
	for (int fd = LISTEN_FDS_START; fd < LISTEN_FDS_START + (int)n; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) == -1)
			return 0;
	return (int)n;
}
