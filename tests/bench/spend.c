/*
 * spend FILE COMMAND...: runs it, and writes what it took to FILE: seconds on
 * the clock, seconds of CPU with those of its children, and the KiB of memory
 * of the largest of them. Its exit status is the command's.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"

extern char **environ;

static double
seconds(const struct timeval *t)
{
	return t->tv_sec + t->tv_usec / 1e6;
}

int
main(int argc, char **argv)
{
	struct rusage used;
	int64_t began, took;
	FILE *out;
	pid_t pid;
	int status;

	if (argc < 3)
		err_die("usage: spend FILE COMMAND...");
	began = clock_mono_us();
	errno = posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ);
	if (errno != 0)
		err_die("%s: %s", argv[2], strerror(errno));
	while (wait4(pid, &status, 0, &used) < 0)
		if (errno != EINTR)
			err_die("wait: %s", strerror(errno));
	took = clock_mono_us() - began;
	if ((out = fopen(argv[1], "w")) == NULL)
		err_die("%s: %s", argv[1], strerror(errno));
	fprintf(out, "%.6f %.6f %ld\n", took / 1e6,
	    seconds(&used.ru_utime) + seconds(&used.ru_stime), used.ru_maxrss);
	if (fclose(out) != 0)
		err_die("%s: %s", argv[1], strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
