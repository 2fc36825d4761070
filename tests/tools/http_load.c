/*
 * Clients that a server has to bear, many at once:
 *
 *	http_load idle   ADDRESS N          N connections that are kept alive; each
 *	                                    asks for /health again and again
 *	http_load write  ADDRESS N HEADER   N requests with a body of 100 MB to come, of
 *	                                    which a byte comes now and then
 *	http_load read   ADDRESS N PATH     N requests whose answers are taken a byte
 *	                                    now and then
 *
 * ADDRESS is IPv4:PORT. Says "ready" when all are there, and goes on until SIGTERM;
 * then tells how many are left, of "idle" those that got every answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/num.h"

#define CONNECTIONS_MAX 10000
#define HEAD_MAX        1024
#define ANSWER_MAX      4096
#define ROUND_MS        200

static volatile sig_atomic_t stopped;

static void
stop(int sig)
{
	(void)sig;
	stopped = 1;
}

static int
dial(const struct sockaddr_in *to)
{
	/* Little room, so that slowness is felt at the other end. */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), room = 4096;

	if (fd < 0)
		err_die("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	if (connect(fd, (const struct sockaddr *)to, sizeof *to) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
say(int fd, const char *text)
{
	size_t n = strlen(text);

	return send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -1;
}

/* One whole answer of /health. */
static int
ask(int fd)
{
	char answer[ANSWER_MAX];
	size_t n = 0;

	if (say(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n") != 0)
		return -1;
	while (n < sizeof answer - 1) {
		ssize_t got = recv(fd, answer + n, sizeof answer - 1 - n, 0);

		if (got <= 0)
			return -1;
		n += got;
		answer[n] = '\0';
		if (strstr(answer, "\r\n\r\nOK\n") != NULL)
			return strncmp(answer, "HTTP/1.1 200 ", 13) == 0 ? 0
			                                                 : -1;
	}
	return -1;
}

enum mode {
	IDLE,
	WRITE,
	READ
};

static int
begin(int fd, enum mode mode, const char *more)
{
	char head[HEAD_MAX];

	switch (mode) {
	case IDLE:
		return ask(fd);
	case WRITE:
		snprintf(head, sizeof head,
		    "POST /api/v2/uploads HTTP/1.1\r\nHost: x\r\n%s\r\n"
		    "Content-Length: 100000000\r\n\r\n{",
		    more);
		return say(fd, head);
	default:
		snprintf(head, sizeof head,
		    "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", more);
		return say(fd, head);
	}
}

static int
go_on(int fd, enum mode mode)
{
	char byte;

	switch (mode) {
	case IDLE:
		return ask(fd);
	case WRITE:
		return say(fd, " ");
	default:
		return recv(fd, &byte, 1, MSG_DONTWAIT) > 0 || errno == EAGAIN
		    ? 0
		    : -1;
	}
}

static void
more_files(rlim_t n)
{
	struct rlimit r;

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = n < r.rlim_max ? n : r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
}

static struct sockaddr_in
address(const char *text)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	const char *colon = strchr(text, ':');
	char host[64] = "";
	uint64_t port;

	if (colon == NULL ||
	    num_parse_u64(colon + 1, strlen(colon + 1), 65535, &port, NULL) !=
	        0)
		err_die("http_load: %s: not IPv4:PORT", text);
	snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
	if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
		err_die("http_load: %s: not IPv4:PORT", text);
	to.sin_port = htons(port);
	return to;
}

int
main(int argc, char **argv)
{
	static int fds[CONNECTIONS_MAX];
	static const char *const modes[] = { "idle", "write", "read" };
	struct sockaddr_in to;
	enum mode mode = IDLE;
	size_t left = 0;
	uint64_t n;

	if (argc < 4)
		err_die("usage: http_load idle|write|read ADDRESS N [MORE]");
	while (mode < READ && strcmp(argv[1], modes[mode]) != 0)
		mode++;
	if (num_parse_u64(
	        argv[3], strlen(argv[3]), CONNECTIONS_MAX, &n, NULL) != 0)
		err_die("http_load: %s: not a number", argv[3]);
	to = address(argv[2]);
	signal(SIGTERM, stop);
	more_files(n + 64);
	for (size_t i = 0; i < n; i++) {
		fds[i] = dial(&to);
		if (fds[i] >= 0 &&
		    begin(fds[i], mode, argc > 4 ? argv[4] : "") != 0) {
			close(fds[i]);
			fds[i] = -1;
		}
	}
	puts("ready");
	fflush(stdout);
	while (!stopped) {
		for (size_t i = 0; i < n && !stopped; i++) {
			if (fds[i] < 0 || go_on(fds[i], mode) == 0 || stopped)
				continue;
			close(fds[i]);
			fds[i] = -1;
		}
		clock_sleep(ROUND_MS, deadline_in(ROUND_MS));
	}
	for (size_t i = 0; i < n; i++)
		left += fds[i] >= 0;
	printf("%zu left\n", left);
	return 0;
}
