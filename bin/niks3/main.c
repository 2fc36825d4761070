/*
 * niks3: pushes store paths into a binary cache and looks after it.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/secret.h"
#include "command.h"

const struct command commands[] = {
	{ "push", command_push, "push store paths with all they need",
	    &push_program, NULL },
	{ "watch-store", command_watch_store, "push what appears in the store",
	    &watch_store_program, NULL },
	{ "gc", command_gc, "delete what no closure needs any more", NULL,
	    &gc_actions },
	{ "pins", command_pins, "keep closures by name", NULL, &pins_actions },
	{ "closures", command_closures, "list what was pushed; take it away",
	    NULL, &closures_actions },
	{ "why", command_why, "tell what keeps a path", NULL, &why_actions },
	{ "token", command_token, "make, list and revoke tokens", NULL,
	    &token_actions },
	{ "doctor", command_doctor, "tell what is wrong, and how to mend it",
	    &doctor_program, NULL },
	{ "completion", command_completion, "print completions for a shell",
	    &completion_program, NULL },
	{ .name = NULL },
};

static void
usage(FILE *f)
{
	fprintf(f, "usage: niks3 COMMAND [OPTION]...\n\n");
	for (const struct command *c = commands; c->name != NULL; c++)
		fprintf(f, "  %-11s %s\n", c->name, c->help);
	fprintf(f,
	    "\nniks3 COMMAND --help tells the options of a command, "
	    "niks3-COMMAND(1) all of it.\n");
}

int
command_fail(const struct err *e)
{
	/* It may quote what a server said. */
	char text[4 * ERR_MSG_MAX];

	fprintf(stderr, "niks3: %s\n", log_escape(text, sizeof text, e->msg));
	if (e->hint[0] != '\0')
		fprintf(stderr, "hint: %s\n",
		    log_escape(text, sizeof text, e->hint));
	return err_exit(e->kind);
}

void
command_log(const struct opt_common *c)
{
	enum log_level level;

	if (log_level_parse(c->log_level, &level, NULL) == 0)
		log_init("niks3", level);
}

int
main(int argc, char **argv)
{
	secret_harden_process();
	log_init("niks3", LOG_LEVEL_INFO);
	if (argc < 2) {
		usage(stderr);
		return err_exit(ERR_USAGE);
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("niks3 " NIKS3_VERSION);
		return 0;
	}
	for (const struct command *c = commands; c->name != NULL; c++)
		if (strcmp(argv[1], c->name) == 0)
			return c->run(argc - 1, argv + 1);
	fprintf(stderr, "niks3: no such command: %s\n", argv[1]);
	usage(stderr);
	return err_exit(ERR_USAGE);
}
