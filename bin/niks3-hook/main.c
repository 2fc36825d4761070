#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/complete.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/secret.h"
#include "hook.h"

#define COMPLETION "--completion="

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const struct opt_program *program;
	const char *help;
} commands[] = {
	{ "send", hook_send, &hook_send_program,
	    "hand over what Nix has built (the hook itself)" },
	{ "serve", hook_serve, &hook_serve_program,
	    "keep a queue of paths, and push them" },
	{ "status", hook_status, &hook_status_program,
	    "tell what waits, and what was set aside" },
	{ "retry", hook_retry, &hook_retry_program, "try again what failed" },
	{ "drop", hook_drop, &hook_drop_program,
	    "take a path out of the queue" },
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static void
usage(FILE *f)
{
	fprintf(f, "usage: niks3-hook COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-7s %s\n", commands[i].name, commands[i].help);
	fprintf(f,
	    "\nniks3-hook COMMAND --help tells the options of a command.\n"
	    "Run by Nix as its post-build-hook, it needs no command.\n");
}

/* --completion=FORMAT, as every program has it. */
static int
completion(const char *format)
{
	const struct opt_program *all[COMMANDS + 1];
	const struct opt_program whole = { .name = "niks3-hook",
		.summary = "Pushes what Nix builds." };
	struct err e = ERR_INIT;

	all[0] = &whole;
	for (size_t i = 0; i < COMMANDS; i++)
		all[i + 1] = commands[i].program;
	if (complete_print(format, whole.name, all, COMMANDS + 1, stdout, &e) ==
	        0 &&
	    (fflush(stdout) == EOF || ferror(stdout)))
		err_sys(&e, "standard output");
	return e.kind == ERR_NONE ? 0 : hook_fail(&e);
}

int
hook_fail(const struct err *e)
{
	/* It may quote what somebody else said. */
	char text[4 * ERR_MSG_MAX];

	fprintf(
	    stderr, "niks3-hook: %s\n", log_escape(text, sizeof text, e->msg));
	if (e->hint[0] != '\0')
		fprintf(stderr, "hint: %s\n",
		    log_escape(text, sizeof text, e->hint));
	return err_exit(e->kind);
}

int
main(int argc, char **argv)
{
	secret_harden_process();
	log_init("niks3-hook", LOG_LEVEL_INFO);
	/* Nix runs its hook without arguments. */
	if (argc < 2 && getenv("DRV_PATH") != NULL)
		return hook_send(argc, argv);
	if (argc < 2) {
		usage(stderr);
		return 1; /* as the Go program */
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("niks3-hook " NIKS3_VERSION);
		return 0;
	}
	if (strncmp(argv[1], COMPLETION, strlen(COMPLETION)) == 0)
		return completion(argv[1] + strlen(COMPLETION));
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "niks3-hook: no such command: %s\n", argv[1]);
	usage(stderr);
	return 1;
}
