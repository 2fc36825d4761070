/*
 * Runs a program on a kernel that lacks a system call, as far as it can tell:
 *
 *	without CALL[=ERRNO] PROGRAM [ARGUMENT]...
 */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int error = ENOSYS;
	char *sign;

	if (argc < 3) {
		fprintf(stderr, "usage: without CALL[=ERRNO] PROGRAM...\n");
		return 2;
	}
	if ((sign = strchr(argv[1], '=')) != NULL) {
		*sign = '\0';
		error = atoi(sign + 1);
	}
	if (ctx == NULL ||
	    seccomp_rule_add(ctx, SCMP_ACT_ERRNO(error),
	        seccomp_syscall_resolve_name(argv[1]), 0) != 0 ||
	    seccomp_load(ctx) != 0) {
		fprintf(stderr, "without: no filter for %s\n", argv[1]);
		return 1;
	}
	seccomp_release(ctx);
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 1;
}
