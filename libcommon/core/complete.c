#include "complete.h"

#include <string.h>

#include "err.h"
#include "opt.h"

/* Of the command that names none of its options. */
static const struct opt help_only[] = {
	{ "help", NULL, OPT_BOOL, 0, OPT_ACTION, NULL, NULL,
	    "show the commands", 0, 0 },
	{ .name = NULL },
};

struct job {
	const char *name; /* of the program */
	const struct opt_program *const *programs;
	size_t n;
	FILE *f;
};

/* What a shell offers as a value, or instead of an argument. */
enum offer {
	OFFER_NOTHING,
	OFFER_FILES,
	OFFER_WORDS
};

/* ---- the tables ---- */

static const struct opt *
next_shown(const struct opt_program *p, const struct opt *o)
{
	if (p->opts == NULL) {
		o = o == NULL ? help_only : o + 1;
		return o->name != NULL ? o : NULL;
	}
	do
		o = opt_next(p, o);
	while (o != NULL && (o->flags & OPT_HIDDEN));
	return o;
}

static enum offer
value_offer(const struct opt *o)
{
	if (o->arg != NULL && strchr(o->arg, '|') != NULL)
		return OFFER_WORDS;
	if (o->type == OPT_PATH ||
	    (o->arg != NULL && strcmp(o->arg, "FILE") == 0))
		return OFFER_FILES;
	return OFFER_NOTHING;
}

static enum offer
argument_offer(const struct opt_program *p)
{
	if (p->max_args == 0 || (p->words != NULL && p->words[0] == '\0'))
		return OFFER_NOTHING;
	return p->words != NULL ? OFFER_WORDS : OFFER_FILES;
}

/* The word by which p calls q, when that is a command of p; or NULL. */
static const char *
command_of(const struct opt_program *p, const struct opt_program *q)
{
	size_t len = strlen(p->name);

	if (strncmp(q->name, p->name, len) != 0 || q->name[len] != ' ' ||
	    strchr(q->name + len + 1, ' ') != NULL)
		return NULL;
	return q->name + len + 1;
}

static int
has_commands(const struct job *j, const struct opt_program *p)
{
	for (size_t i = 0; i < j->n; i++)
		if (command_of(p, j->programs[i]) != NULL)
			return 1;
	return 0;
}

/* ---- text ---- */

/* With a backslash before each of these bytes; "|" becomes part. */
static void
put(const struct job *j, const char *s, const char *escaped, char part)
{
	for (; *s != '\0'; s++) {
		if (strchr(escaped, *s) != NULL)
			fputc('\\', j->f);
		fputc(*s == '|' && part != '\0' ? part : *s, j->f);
	}
}

/* Within '...' of a POSIX shell. */
static void
put_quoted(const struct job *j, const char *s, const char *escaped)
{
	for (; *s != '\0'; s++) {
		if (*s == '\'')
			fputs("'\\'", j->f);
		else if (strchr(escaped, *s) != NULL)
			fputc('\\', j->f);
		fputc(*s, j->f);
	}
}

static const char *
help_of(const struct opt *o)
{
	return o->help != NULL ? o->help : "";
}

/* "niks3-server" is no name of a function in every shell. */
static void
put_function(const struct job *j)
{
	fputc('_', j->f);
	for (const char *s = j->name; *s != '\0'; s++)
		fputc(*s == '-' ? '_' : *s, j->f);
}

static void
put_commands(const struct job *j, const struct opt_program *p)
{
	for (size_t i = 0; i < j->n; i++) {
		const char *word = command_of(p, j->programs[i]);

		if (word != NULL)
			fprintf(j->f, " %s", word);
	}
}

/* The flags that are followed by a word. */
static void
put_valued(const struct job *j, const struct opt_program *p)
{
	for (const struct opt *o = NULL; (o = next_shown(p, o)) != NULL;)
		if (o->type != OPT_BOOL)
			fprintf(j->f, " %s%s", opt_dashes(o), o->name);
}

/* ---- bash ---- */

static void
bash_table(const struct job *j, const struct opt_program *p)
{
	fprintf(j->f, "\t'%s')\n\t\tcommands='", p->name);
	put_commands(j, p);
	fputs(" '\n\t\tvalued='", j->f);
	put_valued(j, p);
	fputs(" '\n\t\tflags='", j->f);
	for (const struct opt *o = NULL; (o = next_shown(p, o)) != NULL;)
		fprintf(j->f, " %s%s%s", opt_dashes(o), o->name,
		    o->type != OPT_BOOL ? "=" : "");
	fputs("'\n\t\tfiles='", j->f);
	for (const struct opt *o = NULL; (o = next_shown(p, o)) != NULL;)
		if (value_offer(o) == OFFER_FILES)
			fprintf(j->f, " %s%s", opt_dashes(o), o->name);
	fputs(" '\n\t\tchoices='", j->f);
	for (const struct opt *o = NULL; (o = next_shown(p, o)) != NULL;)
		if (value_offer(o) == OFFER_WORDS)
			fprintf(
			    j->f, " %s%s=%s", opt_dashes(o), o->name, o->arg);
	fputs(" '\n\t\targuments='", j->f);
	if (argument_offer(p) == OFFER_WORDS)
		put(j, p->words, "", ' ');
	fprintf(j->f, "'\n\t\tanyfile=%s ;;\n",
	    argument_offer(p) == OFFER_FILES ? "yes" : "");
}

static void
print_bash(const struct job *j)
{
	fprintf(j->f, "# bash completion for %s. Generated; do not edit.\n\n",
	    j->name);
	put_function(j);
	fputs("_table()\n{\n\tcase $1 in\n", j->f);
	for (size_t i = 0; i < j->n; i++)
		bash_table(j, j->programs[i]);
	fputs("\tesac\n}\n\n", j->f);
	put_function(j);
	fputs("()\n{\n"
	      "\tlocal commands valued flags files choices arguments anyfile\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} flag= w i=1 only=\n",
	    j->f);
	fprintf(j->f, "\tlocal at='%s'\n\n\tCOMPREPLY=()\n\t", j->name);
	put_function(j);
	fputs("_table \"$at\"\n"
	      "\twhile ((i < COMP_CWORD)); do\n"
	      "\t\tw=${COMP_WORDS[i]}\n"
	      "\t\t((i++))\n"
	      "\t\t[[ $w == -- ]] && only=arguments && break\n"
	      "\t\t[[ $w == -[!-]?* ]] && w=-$w\n"
	      "\t\tif [[ $commands == *\" $w \"* ]]; then\n"
	      "\t\t\tat=\"$at $w\"\n\t\t\t",
	    j->f);
	put_function(j);
	fputs("_table \"$at\"\n"
	      "\t\telif [[ $valued == *\" $w \"* ]]; then\n"
	      "\t\t\t# \"--name=value\" comes as three words.\n"
	      "\t\t\t[[ ${COMP_WORDS[i]} == '=' ]] && ((i++))\n"
	      "\t\t\tflag=$w\n"
	      "\t\t\t((i >= COMP_CWORD)) && break\n"
	      "\t\t\tflag=\n"
	      "\t\t\t((i++))\n"
	      "\t\tfi\n"
	      "\tdone\n"
	      "\t[[ $cur == '=' ]] && cur=\n"
	      "\tif [[ -n $flag ]]; then\n"
	      "\t\tif [[ $choices =~ \\ $flag=([^ ]*) ]]; then\n"
	      "\t\t\tw=${BASH_REMATCH[1]//|/ }\n"
	      "\t\t\tmapfile -t COMPREPLY < <(compgen -W \"$w\" -- \"$cur\")\n"
	      "\t\telif [[ $files == *\" $flag \"* ]]; then\n"
	      "\t\t\tcompopt -o filenames 2>/dev/null\n"
	      "\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	      "\t\tfi\n"
	      "\telif [[ $cur == -* && -z $only ]]; then\n"
	      "\t\tmapfile -t COMPREPLY \\\n"
	      "\t\t    < <(compgen -W \"$flags\" -- \"$cur\")\n"
	      "\t\t[[ ${COMPREPLY[0]} == *= ]] &&\n"
	      "\t\t    compopt -o nospace 2>/dev/null\n"
	      "\telse\n"
	      "\t\tw=$arguments\n"
	      "\t\t[[ -n $only ]] || w=\"$commands $w\"\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -W \"$w\" -- \"$cur\")\n"
	      "\t\tif [[ -n $anyfile ]]; then\n"
	      "\t\t\tcompopt -o filenames 2>/dev/null\n"
	      "\t\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY \\\n"
	      "\t\t\t    < <(compgen -f -- \"$cur\")\n"
	      "\t\tfi\n"
	      "\tfi\n"
	      "}\n"
	      "complete -F ",
	    j->f);
	put_function(j);
	fprintf(j->f, " %s\n", j->name);
}

/* ---- zsh: an array of _arguments(1) for each command ---- */

#define ZSH_SPEC "\\[]:" /* have a meaning in a specification */

static void
zsh_action(
    const struct job *j, const char *what, enum offer offer, const char *words)
{
	fputc(':', j->f);
	put_quoted(j, what, ZSH_SPEC);
	fputc(':', j->f);
	if (offer == OFFER_FILES)
		fputs("_files", j->f);
	if (offer != OFFER_WORDS)
		return;
	fputc('(', j->f);
	put(j, words, "", ' ');
	fputc(')', j->f);
}

static void
zsh_option(const struct job *j, const struct opt *o)
{
	fprintf(j->f, "\t\t\t'%s%s%s%s[", o->type == OPT_LIST ? "*" : "",
	    opt_dashes(o), o->name, o->type != OPT_BOOL ? "=" : "");
	put_quoted(j, help_of(o), ZSH_SPEC);
	fputc(']', j->f);
	if (o->type != OPT_BOOL)
		zsh_action(j,
		    value_offer(o) == OFFER_WORDS || o->arg == NULL ? o->name
		                                                    : o->arg,
		    value_offer(o), o->arg);
	fputs("'\n", j->f);
}

/* Commands with what they do, as _describe(1) takes them. */
static void
zsh_commands(const struct job *j, const struct opt_program *p)
{
	fputs("\t\tcommands=(\n", j->f);
	for (size_t i = 0; i < j->n; i++) {
		const char *word = command_of(p, j->programs[i]);

		if (word == NULL)
			continue;
		fprintf(j->f, "\t\t\t'%s:", word);
		put_quoted(j, j->programs[i]->summary, "\\:");
		fputs("'\n", j->f);
	}
	fputs("\t\t)\n", j->f);
}

static void
zsh_table(const struct job *j, const struct opt_program *p)
{
	fprintf(j->f, "\t('%s')\n\t\tvalued='", p->name);
	put_valued(j, p);
	fputs(" '\n", j->f);
	zsh_commands(j, p);
	fputs("\t\tspecs=(\n", j->f);
	for (const struct opt *o = NULL; (o = next_shown(p, o)) != NULL;)
		zsh_option(j, o);
	if (has_commands(j, p))
		fputs("\t\t\t'1:command:->commands'\n", j->f);
	else if (p->max_args > 0) {
		fputs("\t\t\t'*", j->f);
		zsh_action(j, "argument", argument_offer(p), p->words);
		fputs("'\n", j->f);
	}
	fputs("\t\t) ;;\n", j->f);
}

static void
print_zsh(const struct job *j)
{
	fprintf(j->f, "#compdef %s\n# Generated; do not edit.\n\n", j->name);
	put_function(j);
	fputs("_table()\n{\n\tcase $1 in\n", j->f);
	for (size_t i = 0; i < j->n; i++)
		zsh_table(j, j->programs[i]);
	fputs("\tesac\n}\n\n", j->f);
	put_function(j);
	fprintf(j->f,
	    "()\n{\n"
	    "\tlocal curcontext=$curcontext state line valued w at='%s' i=2\n"
	    "\tlocal -a commands specs\n"
	    "\tlocal -A opt_args\n\n\t",
	    j->name);
	put_function(j);
	fputs("_table \"$at\"\n"
	      "\t# What names the command is taken away, wherever it stands.\n"
	      "\twhile ((i < CURRENT)); do\n"
	      "\t\tw=$words[i]\n"
	      "\t\t[[ $w == -- ]] && break\n"
	      "\t\t[[ $w == -[^-]?* ]] && w=-$w\n"
	      "\t\tif [[ -n ${commands[(r)$w:*]} ]]; then\n"
	      "\t\t\tat+=\" $w\"\n"
	      "\t\t\twords[i]=()\n"
	      "\t\t\t((CURRENT--))\n\t\t\t",
	    j->f);
	put_function(j);
	fputs("_table \"$at\"\n"
	      "\t\t\tcontinue\n"
	      "\t\tfi\n"
	      "\t\t[[ $valued == *\" $w \"* ]] && ((i++))\n"
	      "\t\t((i++))\n"
	      "\tdone\n"
	      "\t_arguments -C -S : $specs && return\n"
	      "\t[[ $state == commands ]] && _describe command commands\n"
	      "}\n\n",
	    j->f);
	put_function(j);
	fputs(" \"$@\"\n", j->f);
}

/* ---- fish ---- */

#define FISH_QUOTED "\\'" /* have a meaning in '...' */

static void
fish_begin(const struct job *j, const struct opt_program *p)
{
	fprintf(j->f, "complete -c %s", j->name);
	if (j->n > 1) {
		fputs(" -n '_", j->f);
		put_function(j);
		fprintf(j->f, "_at %s'", p->name);
	}
}

static void
fish_help(const struct job *j, const char *help)
{
	fputs(" -d '", j->f);
	put(j, help, FISH_QUOTED, '\0');
	fputs("'\n", j->f);
}

static void
fish_option(
    const struct job *j, const struct opt_program *p, const struct opt *o)
{
	fish_begin(j, p);
	fprintf(j->f, " -%c %s", o->name[1] == '\0' ? 's' : 'l', o->name);
	if (o->type != OPT_BOOL)
		fputs(value_offer(o) == OFFER_FILES ? " -r -F" : " -x", j->f);
	if (value_offer(o) == OFFER_WORDS) {
		fputs(" -a '", j->f);
		put(j, o->arg, "", ' ');
		fputc('\'', j->f);
	}
	fish_help(j, help_of(o));
}

static void
fish_program(const struct job *j, const struct opt_program *p)
{
	for (size_t i = 0; i < j->n; i++) {
		const char *word = command_of(p, j->programs[i]);

		if (word == NULL)
			continue;
		fish_begin(j, p);
		fprintf(j->f, " -a %s", word);
		fish_help(j, j->programs[i]->summary);
	}
	for (const struct opt *o = NULL; (o = next_shown(p, o)) != NULL;)
		fish_option(j, p, o);
	if (argument_offer(p) == OFFER_NOTHING)
		return;
	fish_begin(j, p);
	if (argument_offer(p) == OFFER_FILES) {
		fputs(" -F\n", j->f);
		return;
	}
	fputs(" -a '", j->f);
	put(j, p->words, "", ' ');
	fputs("'\n", j->f);
}

/* A function that tells which command stands on the line. */
static void
fish_function(const struct job *j)
{
	fputs("function _", j->f);
	put_function(j);
	fprintf(j->f,
	    "_at\n"
	    "\tset -l at %s\n"
	    "\tset -l skip no\n"
	    "\tfor w in (commandline -opc)[2..-1]\n"
	    "\t\tif test $skip = yes\n"
	    "\t\t\tset skip no\n"
	    "\t\t\tcontinue\n"
	    "\t\tend\n"
	    "\t\tswitch \"$at $w\"\n",
	    j->name);
	for (size_t i = 0; i < j->n; i++) {
		const struct opt_program *p = j->programs[i];

		if (strcmp(p->name, j->name) != 0)
			fprintf(j->f,
			    "\t\tcase '%s'\n\t\t\tset at \"$at $w\"\n",
			    p->name);
	}
	for (size_t i = 0; i < j->n; i++) {
		const struct opt_program *p = j->programs[i];

		if (p->opts == NULL)
			continue;
		fputs("\t\tcase", j->f);
		for (const struct opt *o = NULL;
		     (o = next_shown(p, o)) != NULL;)
			if (o->type != OPT_BOOL)
				fprintf(j->f, " '%s %s%s'", p->name,
				    opt_dashes(o), o->name);
		fputs("\n\t\t\tset skip yes\n", j->f);
	}
	fputs("\t\tend\n"
	      "\tend\n"
	      "\ttest \"$at\" = \"$argv\"\n"
	      "end\n\n",
	    j->f);
}

static void
print_fish(const struct job *j)
{
	fprintf(j->f, "# fish completion for %s. Generated; do not edit.\n\n",
	    j->name);
	if (j->n > 1)
		fish_function(j);
	fprintf(j->f, "complete -c %s -f\n", j->name);
	for (size_t i = 0; i < j->n; i++)
		fish_program(j, j->programs[i]);
}

/* ---- list ---- */

static const char *
or_none(const char *s)
{
	return s != NULL && s[0] != '\0' ? s : "-";
}

static void
list_option(
    const struct job *j, const struct opt_program *p, const struct opt *o)
{
	static const char *const types[] = {
		[OPT_STR] = "text",
		[OPT_PATH] = "path",
		[OPT_LIST] = "list",
		[OPT_BOOL] = "bool",
		[OPT_U64] = "number",
		[OPT_DURATION] = "duration",
		[OPT_SIZE] = "size",
		[OPT_SECRET] = "secret",
	};
	static const struct {
		unsigned flag;
		const char *name;
	} flags[] = {
		{ OPT_REQUIRED, "required," },
		{ OPT_HIDDEN, "hidden," },
		{ OPT_ACTION, "action," },
		{ OPT_RARE, "rare," },
	};

	fprintf(j->f, "%s\t%s%s\t%s\t%s\t%s\t%s\t", p->name, opt_dashes(o),
	    o->name, or_none(o->env), types[o->type], or_none(o->fallback),
	    or_none(o->arg));
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
		if (o->flags & flags[i].flag)
			fputs(flags[i].name, j->f);
	fprintf(j->f, "\t%s\n", or_none(o->help));
}

static void
print_list(const struct job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		const struct opt_program *p = j->programs[i];

		if (p->opts == NULL)
			continue;
		for (const struct opt *o = NULL; (o = opt_next(p, o)) != NULL;)
			list_option(j, p, o);
	}
}

int
complete_print(const char *format, const char *name,
    const struct opt_program *const *programs, size_t n, FILE *f, struct err *e)
{
	static const struct {
		const char *name;
		void (*print)(const struct job *j);
	} formats[] = {
		{ "bash", print_bash },
		{ "zsh", print_zsh },
		{ "fish", print_fish },
		{ "list", print_list },
	};
	struct job j = { name, programs, n, f };

	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (strcmp(format, formats[i].name) == 0) {
			formats[i].print(&j);
			return 0;
		}
	err_set(e, ERR_USAGE, "no completion for %.32s", format);
	return err_hint(e, "there are " COMPLETE_FORMATS);
}
