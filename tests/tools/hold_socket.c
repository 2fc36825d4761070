/*
 * Holds a listening socket and starts a program that takes it over, as systemd
 * does by a .socket unit (sd_listen_fds(3)), again and again as it ends:
 *
 *	hold_socket PORT PROGRAM [ARGUMENT]...
 *
 * SIGUSR1 restarts the program: it gets SIGTERM, and the next one is started when
 * it is gone. SIGTERM ends both. Prints "started PID" each time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FD 3

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
listen_at(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1 ||
	    setsockopt(
	        fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) == -1 ||
	    bind(fd, (struct sockaddr *)&at, sizeof at) == -1 ||
	    listen(fd, 1024) == -1)
		die("listen");
	if (fd != FIRST_FD && (dup2(fd, FIRST_FD) == -1 || close(fd) == -1))
		die("dup2");
}

static pid_t
start(char **argv, const sigset_t *inherited)
{
	pid_t pid = fork();
	char text[16];

	if (pid == -1)
		die("fork");
	if (pid > 0) {
		printf("started %d\n", (int)pid);
		fflush(stdout);
		return pid;
	}
	sigprocmask(SIG_SETMASK, inherited, NULL);
	snprintf(text, sizeof text, "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", "1", 1);
	execvp(argv[0], argv);
	die(argv[0]);
	return -1;
}

int
main(int argc, char **argv)
{
	sigset_t set, old;
	pid_t pid;
	int got;

	if (argc < 3) {
		fprintf(stderr, "usage: hold_socket PORT PROGRAM...\n");
		return 2;
	}
	listen_at(argv[1]);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &old);
	pid = start(argv + 2, &old);
	while (sigwait(&set, &got) == 0)
		if (got == SIGCHLD) {
			if (waitpid(pid, NULL, WNOHANG) == pid)
				pid = start(argv + 2, &old);
		} else {
			kill(pid, SIGTERM);
			if (got == SIGTERM)
				break;
		}
	waitpid(pid, NULL, 0);
	return 0;
}
