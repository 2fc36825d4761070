/*
 * Options: one table per program drives flags, environment, --help,
 * --print-config and the check of the manual page.
 *
 * Flags are long ("--name value", "--name=value", also with one dash as the Go
 * programs allow), may stand anywhere before "--", and win over the
 * environment, which wins over the default. An empty variable is as good as
 * none. A list option collects: the environment's value (split at white space)
 * first, then each flag; the default only when there is neither. Two options
 * with the same offset are two names of one (the second usually OPT_HIDDEN); a
 * name of one letter is shown as "-n, --name".
 *
 * Every program also has --help/-h, --help-all, --version, -n (check the
 * configuration and exit 0), --print-config (secrets as ***), --log-level and,
 * hidden, --completion (complete.h) from opt_common.
 *
 * --help fits a screen of 80 columns and 24 lines: it leaves out what is
 * OPT_RARE and the variables. --help-all leaves out nothing but OPT_HIDDEN.
 */
#ifndef CORE_OPT_H
#define CORE_OPT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;

enum opt_type {
	OPT_STR,      /* const char * */
	OPT_PATH,     /* const char *: a file or directory */
	OPT_LIST,     /* struct opt_list */
	OPT_BOOL,     /* int; "--flag", "--flag=false"; env "true"/"false" */
	OPT_U64,      /* uint64_t, with min and max */
	OPT_DURATION, /* int64_t microseconds, with min and max (ms) */
	OPT_SIZE,     /* uint64_t bytes, with min and max */
	OPT_SECRET,   /* struct secret: given by value; never printed */
};

struct opt_list {
	const char **items;
	size_t n;
};

#define OPT_REQUIRED 1 /* an error when nobody gave it */
#define OPT_HIDDEN   2 /* not in --help: deprecated or for tests */
#define OPT_ACTION   4 /* no configuration: not in --print-config */
#define OPT_RARE     8 /* only in --help-all */

struct opt {
	const char *name; /* "s3-endpoint" */
	const char *env;  /* "NIKS3_S3_ENDPOINT", or NULL */
	enum opt_type type;
	size_t offset; /* into the configuration struct */
	unsigned flags;
	const char *fallback; /* the default as text, or NULL for zero */
	/* What --help shows for the value: "URL". Words parted by "|" are all
	 * that there are. */
	const char *arg;
	const char *help;  /* one line */
	uint64_t min, max; /* for numbers; max 0 is no bound */
};

struct opt_program {
	const char *name;          /* "niks3-signer", "niks3 push" */
	const char *synopsis;      /* "niks3 push [OPTION]... PATH..." */
	const char *summary;       /* one sentence */
	const struct opt *opts;    /* ended by a NULL name */
	size_t min_args, max_args; /* positional; SIZE_MAX for any number */
	/* What a shell offers for these: words parted by "|", "" for nothing,
	 * NULL for files. */
	const char *words;
};

/* The fields that OPT_COMMON fills; first member of every configuration. */
struct opt_common {
	int help, help_all, version, check, print_config;
	const char *completion, *log_level;
};

extern const struct opt opt_common[]; /* relative to struct opt_common */

/* The option behind o, of the program's table and then of opt_common; of NULL,
 * the first. NULL behind the last. */
const struct opt *opt_next(const struct opt_program *p, const struct opt *o);
/* "--" before a name, "-" before a single letter. */
const char *opt_dashes(const struct opt *o);

/*
 * Parses into the zeroed struct cfg, whose first member is a struct opt_common.
 * *args gets the positional arguments, ended by NULL: argv is reordered.
 * Strings live as long as argv and the environment, lists and secrets until
 * opt_done. The bytes of a secret in argv are overwritten, so that /proc shows
 * none. With --help, --help-all, --version or --completion given, nothing else
 * is missed or read from the environment. Errors are ERR_USAGE and name the flag
 * or variable; there is then nothing to free.
 */
int opt_parse(const struct opt_program *p, void *cfg, int argc, char **argv,
    char ***args, size_t *nargs, struct err *e);
void opt_done(const struct opt_program *p, void *cfg);

/*
 * What every main() does first: parses, and answers --help, --help-all,
 * --version, --completion and --print-config by itself. Returns -1 to go on;
 * otherwise the exit status. Its errors go to standard error, and there is nothing
 * left to free. -n is left to the program, after its own checks: cfg->check is
 * then set.
 */
int opt_start(const struct opt_program *p, void *cfg, int argc, char **argv,
    char ***args, size_t *nargs);

/* Fits 80 columns. all: --help-all. */
void opt_help(const struct opt_program *p, int all, FILE *f);

#define NIKS3_VERSION "0.1.0"

#endif
