#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libcommon/core/log.h"
#include "../../libcommon/core/service.h"

/*
 * The service under test is a child, since service_init changes the process;
 * the test is its service manager.
 */

#define PATIENCE_MS 10000

static char dir[] = "/tmp/service_test.XXXXXX";
static char sock_path[64];

#define CHECK(x)                                                               \
	do {                                                                   \
		if (!(x)) {                                                    \
			dprintf(STDERR_FILENO, "line %d: %s\n", __LINE__, #x); \
			_exit(1);                                              \
		}                                                              \
	} while (0)

static pid_t
spawn(void (*service)(void))
{
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid != 0)
		return pid;
	service();
	_exit(0);
}

static void
assert_exits(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A manager's socket at a path or, for "@name", in the abstract namespace. */
static int
manager_open(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	assert_true(fd != -1);
	memcpy(at.sun_path, name, strlen(name));
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	unlink(name);
	assert_int_equal(
	    bind(fd, (struct sockaddr *)&at,
	        offsetof(struct sockaddr_un, sun_path) + strlen(name)),
	    0);
	setenv("NOTIFY_SOCKET", name, 1);
	return fd;
}

/* The next message, or "" when none comes within ms. */
static const char *
received(int fd, int ms)
{
	static char text[2048];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = 0;

	if (poll(&p, 1, ms) == 1)
		n = recv(fd, text, sizeof text - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(sock_path, sizeof sock_path, "%s/notify", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(sock_path);
	return rmdir(dir);
}

static int
clean_env(void **state)
{
	static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC",
		"WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
		"JOURNAL_STREAM" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		unsetenv(names[i]);
	return 0;
}

static void
life(void)
{
	char longest[3000];

	service_init("svc", "debug");
	CHECK(getenv("NOTIFY_SOCKET") == NULL);
	CHECK(log_enabled(LOG_LEVEL_DEBUG));
	service_ready("signing with 2 keys");
	service_status("%d of %s\nREADY=0", 7, "9");
	memset(longest, 's', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	service_status("%s", longest);
	service_stopping();
}

static void
check_life(int manager)
{
	pid_t pid = spawn(life);
	const char *text;

	assert_string_equal(received(manager, PATIENCE_MS), "READY=1");
	assert_string_equal(
	    received(manager, PATIENCE_MS), "STATUS=signing with 2 keys");
	/* A status cannot smuggle in another assignment. */
	assert_string_equal(
	    received(manager, PATIENCE_MS), "STATUS=7 of 9 READY=0");
	text = received(manager, PATIENCE_MS);
	assert_memory_equal(text, "STATUS=sss", 10);
	assert_in_range(strlen(text), 100, 600);
	assert_memory_equal(received(manager, PATIENCE_MS), "STOPPING=1", 10);
	assert_exits(pid);
	assert_string_equal(received(manager, 0), "");
	close(manager);
}

static void
test_notify_by_path(void **state)
{
	(void)state;
	check_life(manager_open(sock_path));
}

static void
test_notify_abstract(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof name, "@service_test.%d", (int)getpid());
	check_life(manager_open(name));
}

/* No manager, or one that cannot be reached, is no reason to fail. */
static void
test_notify_nobody(void **state)
{
	char longest[300];

	(void)state;
	assert_exits(spawn(life));
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	assert_exits(spawn(life));
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_exits(spawn(life));
	setenv("NOTIFY_SOCKET", "", 1);
	assert_exits(spawn(life));
	memset(longest, 'x', sizeof longest - 1);
	longest[0] = '/';
	longest[sizeof longest - 1] = '\0';
	setenv("NOTIFY_SOCKET", longest, 1);
	assert_exits(spawn(life));
}

static void
process_state(void)
{
	struct sigaction sa;

	service_init("svc", NULL);
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(sigaction(SIGPIPE, NULL, &sa) == 0);
	CHECK(sa.sa_handler == SIG_IGN);
	CHECK(log_enabled(LOG_LEVEL_INFO) && !log_enabled(LOG_LEVEL_DEBUG));
	CHECK(!service_stopped());
	/* Without threads of its own. */
	CHECK(system("test $(ls /proc/$PPID/task | wc -l) = 1") == 0);
}

static void
test_process_state(void **state)
{
	(void)state;
	assert_exits(spawn(process_state));
}

static void
own_signals(void)
{
	service_init("svc", NULL);
	/* What comes before the wait is not lost. */
	kill(getpid(), SIGHUP);
	CHECK(service_wait(deadline_in(PATIENCE_MS), NULL, NULL) == 1);
	CHECK(!service_stopped());
	CHECK(service_wait(deadline_in(20), NULL, NULL) == 2);
	CHECK(service_wait(deadline_in(0), NULL, NULL) == 2);
	kill(getpid(), SIGINT);
	CHECK(service_wait(deadline_in(0), NULL, NULL) == 0);
	CHECK(service_stopped());
	/* And it stays stopped. */
	CHECK(service_wait(deadline_in(PATIENCE_MS), NULL, NULL) == 0);
}

static void
second_signal(void)
{
	service_init("svc", NULL);
	kill(getpid(), SIGTERM);
	CHECK(service_wait(deadline_in(PATIENCE_MS), NULL, NULL) == 0);
	kill(getpid(), SIGHUP);
	service_impatient();
	kill(getpid(), SIGTERM);
	CHECK(!"it lives");
}

static void
others_signals(void)
{
	service_init("svc", NULL);
	service_ready("waiting");
	CHECK(service_wait(deadline_in(INT64_MAX), NULL, NULL) == 1);
	service_status("reloaded");
	CHECK(service_wait(deadline_in(INT64_MAX), NULL, NULL) == 0);
	CHECK(service_stopped());
}

static void
test_signals(void **state)
{
	int manager = manager_open(sock_path);
	int status;
	pid_t pid;

	(void)state;
	assert_exits(spawn(own_signals));
	pid = spawn(second_signal);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
	pid = spawn(others_signals);
	received(manager, PATIENCE_MS);
	assert_string_equal(received(manager, PATIENCE_MS), "STATUS=waiting");
	kill(pid, SIGHUP);
	assert_string_equal(received(manager, PATIENCE_MS), "STATUS=reloaded");
	kill(pid, SIGTERM);
	assert_exits(pid);
	close(manager);
}

static void *
stop_soon(void *arg)
{
	clock_sleep(20, deadline_in(20));
	service_stop();
	return arg;
}

static void
stop_by_thread(void)
{
	pthread_t t;

	service_init("svc", NULL);
	pthread_create(&t, NULL, stop_soon, NULL);
	CHECK(service_wait(deadline_in(INT64_MAX), NULL, NULL) == 0);
	CHECK(service_stopped());
	pthread_join(t, NULL);
	CHECK(service_wait(deadline_in(INT64_MAX), NULL, NULL) == 0);
}

static void
test_stop(void **state)
{
	(void)state;
	assert_exits(spawn(stop_by_thread));
}

static int
is_alive(void *ctx)
{
	return *(int *)ctx;
}

#define WATCH_MS 120

static void
watched(int alive)
{
	service_init("svc", NULL);
	CHECK(getenv("WATCHDOG_USEC") == NULL);
	CHECK(getenv("WATCHDOG_PID") == NULL);
	CHECK(service_wait(deadline_in(WATCH_MS), is_alive, &alive) == 2);
	service_stopping();
}

static void
watched_alive(void)
{
	watched(1);
}

static void
watched_dead(void)
{
	watched(0);
}

static void
watched_by_pid(void)
{
	char pid[16];

	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	watched(1);
}

static void
watched_without_question(void)
{
	service_init("svc", NULL);
	CHECK(service_wait(deadline_in(WATCH_MS), NULL, NULL) == 2);
	service_stopping();
}

/* How often the watchdog was fed in WATCH_MS. */
static int
feedings(void (*service)(void))
{
	int manager = manager_open(sock_path), n = 0;
	pid_t pid = spawn(service);

	while (strcmp(received(manager, PATIENCE_MS), "WATCHDOG=1") == 0)
		n++;
	assert_exits(pid);
	close(manager);
	return n;
}

static void
test_watchdog(void **state)
{
	(void)state;
	setenv("WATCHDOG_USEC", "24000", 1);
	/* Every 12 ms, though a busy machine may miss some. */
	assert_in_range(feedings(watched_alive), 3, 11);
	assert_in_range(feedings(watched_by_pid), 3, 11);
	assert_in_range(feedings(watched_without_question), 3, 11);
	assert_int_equal(feedings(watched_dead), 0);
	setenv("WATCHDOG_PID", "1", 1); /* not for us */
	assert_int_equal(feedings(watched_alive), 0);
	unsetenv("WATCHDOG_PID");
}

static void
test_watchdog_odd_values(void **state)
{
	static const char *const none[] = { "", "0", "-5", "soon",
		"99999999999999999999999" };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
		setenv("WATCHDOG_USEC", none[i], 1);
		assert_int_equal(feedings(watched_without_question), 0);
	}
	/* Longer than any wait: fed once at its beginning. */
	setenv("WATCHDOG_USEC", "9223372036854775807", 1);
	assert_int_equal(feedings(watched_without_question), 1);
}

/* ---- socket activation ---- */

static void
listen_env(int pid, const char *n)
{
	char text[16];

	snprintf(text, sizeof text, "%d", pid);
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", n, 1);
	setenv("LISTEN_FDNAMES", "a:b", 1);
}

static void
activated(void)
{
	CHECK(dup2(STDERR_FILENO, 3) == 3 && dup2(STDERR_FILENO, 4) == 4);
	CHECK(dup2(STDERR_FILENO, 5) == 5);
	listen_env(getpid(), "2");
	service_init("svc", NULL); /* opens descriptors of its own */
	CHECK(service_listen_fds() == 2);
	CHECK(fcntl(3, F_GETFD) == FD_CLOEXEC);
	CHECK(fcntl(4, F_GETFD) == FD_CLOEXEC);
	CHECK(fcntl(5, F_GETFD) == 0);
	/* Neither children nor a second look find them. */
	CHECK(getenv("LISTEN_PID") == NULL && getenv("LISTEN_FDS") == NULL);
	CHECK(getenv("LISTEN_FDNAMES") == NULL);
	CHECK(service_listen_fds() == 0);
}

static void
not_activated(void)
{
	static const char *const bad[] = { "", "0", "-1", "x", "65",
		"4294967297", "99999999999999999999999" };

	CHECK(service_listen_fds() == 0);
	CHECK(dup2(STDERR_FILENO, 3) == 3);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		listen_env(getpid(), bad[i]);
		CHECK(service_listen_fds() == 0);
	}
	CHECK(fcntl(3, F_GETFD) == 0);
	listen_env(getppid(), "1"); /* somebody else's */
	CHECK(service_listen_fds() == 0);
	CHECK(getenv("LISTEN_FDS") == NULL);
	close(4);
	listen_env(getpid(), "2"); /* one that is not open */
	CHECK(service_listen_fds() == 0);
}

static void
test_listen_fds(void **state)
{
	(void)state;
	assert_exits(spawn(activated));
	assert_exits(spawn(not_activated));
}

#define SERVICE_TEST(f) cmocka_unit_test_setup(f, clean_env)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SERVICE_TEST(test_notify_by_path),
		SERVICE_TEST(test_notify_abstract),
		SERVICE_TEST(test_notify_nobody),
		SERVICE_TEST(test_process_state),
		SERVICE_TEST(test_signals),
		SERVICE_TEST(test_stop),
		SERVICE_TEST(test_watchdog),
		SERVICE_TEST(test_watchdog_odd_values),
		SERVICE_TEST(test_listen_fds),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
