#include "action.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "command.h"

static const struct opt *
find_opt(const struct opt *o, const char *name)
{
	while (o->name != NULL && strcmp(o->name, name) != 0)
		o++;
	return o->name != NULL ? o : NULL;
}

/* Is the word behind this flag its value? */
static int
takes_word(const struct action_set *set, const char *flag)
{
	const char *name = flag + (flag[1] == '-' ? 2 : 1);
	const struct opt *o = find_opt(opt_common, name);

	for (size_t i = 0; o == NULL && i < set->n; i++)
		o = find_opt(set->actions[i].program.opts, name);
	return o != NULL && o->type != OPT_BOOL;
}

/* The first word that is neither a flag nor the value of one; 0: none. */
static int
find_word(const struct action_set *set, int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (argv[i][0] != '-' || argv[i][1] == '\0')
			return i;
		if (takes_word(set, argv[i]))
			i++;
	}
	return 0;
}

/* Takes the action's name out of argv. */
static const struct action *
find_action(const struct action_set *set, int *argc, char **argv)
{
	int at = find_word(set, *argc, argv);
	const struct action *unnamed = NULL;

	for (size_t i = 0; i < set->n; i++) {
		const struct action *action = &set->actions[i];

		if (action->name == NULL) {
			unnamed = action;
		} else if (at > 0 && strcmp(argv[at], action->name) == 0) {
			/* With the NULL at the end. */
			memmove(argv + at, argv + at + 1,
			    (*argc - at) * sizeof *argv);
			--*argc;
			return action;
		}
	}
	return unnamed;
}

/* For commands that do nothing by themselves. */
static int
usage(const struct action_set *set, int argc, char **argv)
{
	int help = argc > 1 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);

	for (size_t i = 0; i < set->n; i++)
		fprintf(help ? stdout : stderr, "%s %s\n",
		    i == 0 ? "usage:" : "      ",
		    set->actions[i].program.synopsis);
	return help ? 0 : err_exit(ERR_USAGE);
}

static int
run(const struct action *action, const struct action_set *set, int argc,
    char **argv)
{
	struct action_config *c = xcalloc(1, set->config_size);
	struct action_run r = { .config = c };
	struct remote *remote = NULL;
	struct err e = ERR_INIT;
	int status;

	status = opt_start(&action->program, c, argc, argv, &r.args, &r.nargs);
	if (status >= 0) {
		free(c);
		return status;
	}
	command_log(&c->common);
	if (remote_new(&c->remote, &remote, &e) == 0 && !c->common.check) {
		r.a = arena_new(set->memory);
		r.conn = remote_conn_new(remote);
		if (action->run(&r, &e) == 0 &&
		    (fflush(stdout) == EOF || ferror(stdout)))
			err_sys(&e, "standard output");
	}
	status = e.kind == ERR_NONE ? 0 : command_fail(&e);
	remote_conn_free(r.conn);
	remote_free(remote);
	arena_free(r.a);
	opt_done(&action->program, c);
	free(c);
	return status;
}

int
action_main(const struct action_set *set, int argc, char **argv)
{
	const struct action *action = find_action(set, &argc, argv);

	return action != NULL ? run(action, set, argc, argv)
	                      : usage(set, argc, argv);
}
