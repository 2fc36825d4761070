/*
 * niks3 completion: a script for a shell, made from the tables of all commands.
 */
#include <stdio.h>

#include "../../libcommon/core/complete.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/opt.h"
#include "action.h"
#include "command.h"

#define PROGRAMS_MAX 64
#define COMMAND_MAX  32 /* "niks3 completion" */

struct config {
	struct opt_common common;
};

static const struct opt options[] = { { NULL } };

const struct opt_program completion_program = {
	.name = "niks3 completion",
	.synopsis = "niks3 completion bash|zsh|fish",
	.summary = "Prints completions for a shell.",
	.opts = options,
	.min_args = 1,
	.max_args = 1,
	.words = "bash|zsh|fish",
};

struct tree {
	const struct opt_program *all[PROGRAMS_MAX];
	size_t n;
	/* Those that only have commands. */
	struct opt_program groups[PROGRAMS_MAX];
	char names[PROGRAMS_MAX][COMMAND_MAX];
	size_t ngroups;
};

static void
add(struct tree *t, const struct opt_program *p)
{
	if (t->n == PROGRAMS_MAX)
		err_die("more than %d commands", PROGRAMS_MAX);
	t->all[t->n++] = p;
}

static void
add_group(struct tree *t, const char *command, const char *summary)
{
	struct opt_program *p = &t->groups[t->ngroups];
	char *name = t->names[t->ngroups++];

	snprintf(name, COMMAND_MAX, "niks3%s%s", command[0] != '\0' ? " " : "",
	    command);
	*p = (struct opt_program){ .name = name, .summary = summary };
	add(t, p);
}

static void
add_actions(struct tree *t, const struct command *c)
{
	const struct action *actions = c->actions->actions;
	int unnamed = 0;

	for (size_t i = 0; i < c->actions->n; i++)
		unnamed |= actions[i].name == NULL;
	if (!unnamed)
		add_group(t, c->name, c->help);
	for (size_t i = 0; i < c->actions->n; i++)
		add(t, &actions[i].program);
}

int
command_completion(int argc, char **argv)
{
	struct config config = { 0 };
	struct tree t = { .n = 0 };
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	status =
	    opt_start(&completion_program, &config, argc, argv, &args, &nargs);
	if (status >= 0)
		return status;
	add_group(&t, "", "");
	for (const struct command *c = commands; c->name != NULL; c++)
		if (c->program != NULL)
			add(&t, c->program);
		else if (c->actions != NULL)
			add_actions(&t, c);
		else
			add_group(&t, c->name, c->help);
	if (!config.common.check &&
	    complete_print(args[0], "niks3", t.all, t.n, stdout, &e) == 0 &&
	    (fflush(stdout) == EOF || ferror(stdout)))
		err_sys(&e, "standard output");
	status = e.kind == ERR_NONE ? 0 : command_fail(&e);
	opt_done(&completion_program, &config);
	return status;
}
