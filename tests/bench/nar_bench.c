/*
 * Times `nar_tool dump` against `nix-store --dump`, output to /dev/null and
 * files in the page cache: 20,000 small files in a tree, and one of 1 GiB.
 *
 *	nar_bench NAR_TOOL DIR        DIR gets the trees, 1.2 GB, if they are
 *	                              not there
 *
 * Both run by turns, so that a busy machine hurts both. Prints medians. CPU is
 * user and system time of the whole process; what nix-store takes to start is
 * in it, and is printed too.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"

#define SMALL_DIRS  250
#define SMALL_FILES 80 /* in each */
#define SMALL_MAX   4096
#define BIG_SIZE    ((size_t)1 << 30)
#define CHUNK       ((size_t)1 << 20)
#define RUNS_MAX    64

extern char **environ;

/* ---- trees ---- */

static void
write_file(
    const char *path, const char *bytes, size_t chunk, size_t n, mode_t mode)
{
	struct err e;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd < 0)
		err_die("%s: %s", path, strerror(errno));
	for (; n > 0; n -= chunk) {
		chunk = chunk < n ? chunk : n;
		if (file_write_fd(fd, bytes, chunk, &e) != 0)
			err_die("%s: %s", path, e.msg);
	}
	close(fd);
}

/* As deep, and with names as long, as those of a store path with libraries. */
static void
make_small(const char *root, const char *bytes)
{
	char path[4096];

	for (int i = 0; i < SMALL_DIRS; i++) {
		int n = snprintf(path, sizeof path,
		    "%s/lib/python3.11/site-packages/package%d/module%d/sub%d",
		    root, i % 10, i % 50, i);
		for (char *p = path + 1; *p != '\0'; p++) {
			if (*p != '/')
				continue;
			*p = '\0';
			mkdir(path, 0755);
			*p = '/';
		}
		mkdir(path, 0755);
		for (int j = 0; j < SMALL_FILES; j++) {
			snprintf(path + n, sizeof path - n, "/test_%lx.py",
			    random());
			write_file(path, bytes, CHUNK, random() % SMALL_MAX,
			    j % 10 == 0 ? 0755 : 0644);
		}
	}
}

static void
make_trees(const char *small, const char *big)
{
	char *bytes = xmalloc(CHUNK);

	srandom(1);
	for (size_t i = 0; i < CHUNK; i++)
		bytes[i] = random();
	if (access(small, F_OK) != 0)
		make_small(small, bytes);
	if (access(big, F_OK) != 0)
		write_file(big, bytes, CHUNK, BIG_SIZE, 0644);
	free(bytes);
}

/* ---- timing ---- */

struct times {
	double wall[RUNS_MAX];
	double cpu[RUNS_MAX];
	int n;
};

static double
cpu_of(const struct rusage *ru)
{
	return ru->ru_utime.tv_sec + ru->ru_stime.tv_sec +
	    (ru->ru_utime.tv_usec + ru->ru_stime.tv_usec) / 1e6;
}

static void
run(char *const *argv, struct times *t)
{
	posix_spawn_file_actions_t actions;
	struct rusage ru;
	int64_t start;
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(
	    &actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	start = clock_mono_us();
	if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) != 0 ||
	    wait4(pid, &status, 0, &ru) != pid || status != 0)
		err_die("%s failed", argv[0]);
	t->wall[t->n] = (clock_mono_us() - start) / 1e6;
	t->cpu[t->n++] = cpu_of(&ru);
	posix_spawn_file_actions_destroy(&actions);
}

static int
double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(const double *v, int n)
{
	double sorted[RUNS_MAX];

	memcpy(sorted, v, n * sizeof *v);
	qsort(sorted, n, sizeof *sorted, double_cmp);
	return sorted[n / 2];
}

static void
print_times(const char *who, const struct times *t, uint64_t bytes)
{
	double wall = median(t->wall, t->n);

	printf("  %-10s  wall %7.1f ms  cpu %7.1f ms", who, wall * 1e3,
	    median(t->cpu, t->n) * 1e3);
	if (bytes > 0)
		printf("  %6.2f GB/s", bytes / wall / 1e9);
	putchar('\n');
}

static void
compare(const char *what, char *tool, char *path, int runs, uint64_t bytes)
{
	char *const ours[] = { tool, "dump", path, NULL };
	char *const nix[] = { "nix-store", "--dump", path, NULL };
	struct times warm = { 0 }, t_ours = { 0 }, t_nix = { 0 };

	run(ours, &warm);
	run(nix, &warm);
	for (int i = 0; i < runs; i++) {
		run(ours, &t_ours);
		run(nix, &t_nix);
	}
	printf("%s, %d runs each:\n", what, runs);
	print_times("nar_tool", &t_ours, bytes);
	print_times("nix-store", &t_nix, bytes);
	printf("  %-10s  wall %7.2f     cpu %7.2f\n", "ratio",
	    median(t_nix.wall, runs) / median(t_ours.wall, runs),
	    median(t_nix.cpu, runs) / median(t_ours.cpu, runs));
}

int
main(int argc, char **argv)
{
	char small[4096], big[4096], empty[4096];
	char *const start[] = { "nix-store", "--dump", empty, NULL };
	struct times t_start = { 0 };

	if (argc != 3) {
		fprintf(stderr, "usage: nar_bench NAR_TOOL DIR\n");
		return 2;
	}
	snprintf(small, sizeof small,
	    "%s/0c7kqq0m2p8v5bn1d3s6w9x2y4z8a1b5-python3.11-small", argv[2]);
	snprintf(big, sizeof big, "%s/big", argv[2]);
	snprintf(empty, sizeof empty, "%s/empty", argv[2]);
	mkdir(argv[2], 0755);
	make_trees(small, big);
	write_file(empty, "", 1, 0, 0644);
	compare("20,000 files of up to 4 KiB", argv[1], small, 25, 0);
	compare("a file of 1 GiB", argv[1], big, 11, BIG_SIZE);
	for (int i = 0; i < 11; i++)
		run(start, &t_start);
	printf("of that, the start of nix-store:\n");
	print_times("nix-store", &t_start, 0);
	return 0;
}
