#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/secret.h"

struct cfg {
	struct opt_common common;
	const char *url;
	const char *cert;
	struct opt_list keys;
	struct opt_list readers;
	int force;
	int ssl;
	uint64_t jobs;
	int64_t older;
	int64_t pending;
	uint64_t nar;
	struct secret token;
};

#define O(member) offsetof(struct cfg, member)

static const struct opt opts[] = {
	{ "server-url", "T_URL", OPT_STR, O(url), OPT_REQUIRED, NULL, "URL",
	    "where the server answers, which may be behind a proxy of yours" },
	{ "cert", "T_CERT", OPT_PATH, O(cert), 0, NULL, NULL, "certificate" },
	{ "sign-key-path", "T_KEYS", OPT_LIST, O(keys), 0, "k1 k2", "FILE",
	    "a key" },
	{ "reader", NULL, OPT_LIST, O(readers), 0, NULL, NULL, "who reads" },
	{ "force", NULL, OPT_BOOL, O(force), 0, NULL, NULL, "do it now" },
	{ "f", NULL, OPT_BOOL, O(force), OPT_HIDDEN },
	{ "ssl", "T_SSL", OPT_BOOL, O(ssl), 0, "true", NULL, "use TLS" },
	{ "jobs", "T_JOBS", OPT_U64, O(jobs), OPT_RARE, "30", NULL, "at a time",
	    1, 1000 },
	{ "older-than", "T_OLDER", OPT_DURATION, O(older), 0, "720h", NULL,
	    "age", 1000 },
	{ "pending-older-than", NULL, OPT_DURATION, O(pending), 0, "6h", NULL,
	    "age of what is pending", 1000, 864000000 },
	{ "failed-uploads-older-than", NULL, OPT_DURATION, O(pending),
	    OPT_HIDDEN, NULL, NULL, NULL, 1000, 864000000 },
	{ "max-nar", "T_NAR", OPT_SIZE, O(nar), 0, "16G", NULL, "largest NAR",
	    1024, UINT64_C(1) << 40 },
	{ "api-token", "T_TOKEN", OPT_SECRET, O(token), 0, NULL, NULL,
	    "what to show at the door" },
	{ NULL },
};

static const struct opt_program program = { "prog sub",
	"prog sub [OPTION]... PATH...", "Does something to PATHs.", opts, 0,
	SIZE_MAX };

/* ---- one parse ---- */

#define ARGS_MAX 16

static struct cfg cfg;
static struct err e;
static char *argv_now[ARGS_MAX + 1], *argv_owned[ARGS_MAX];
static char **args;
static size_t nargs;

static int
setup(void **state)
{
	(void)state;
	for (const struct opt *o = opts; o->name != NULL; o++)
		if (o->env != NULL)
			unsetenv(o->env);
	unsetenv("NIKS3_LOG_LEVEL");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	opt_done(&program, &cfg);
	for (int i = 0; i < ARGS_MAX; i++) {
		free(argv_owned[i]);
		argv_owned[i] = NULL;
	}
	return 0;
}

static int
parse_with(const struct opt_program *p, const char *const *words)
{
	int argc = 1;

	teardown(NULL);
	memset(&cfg, 0, sizeof cfg);
	err_clear(&e);
	args = NULL;
	nargs = 77;
	argv_now[0] = argv_owned[0] = strdup("prog");
	for (; words[argc - 1] != NULL; argc++) {
		assert_in_range(argc, 1, ARGS_MAX - 1);
		argv_now[argc] = argv_owned[argc] = strdup(words[argc - 1]);
	}
	argv_now[argc] = NULL;
	return opt_parse(p, &cfg, argc, argv_now, &args, &nargs, &e);
}

#define PARSE(...) parse_with(&program, (const char *const[]){ __VA_ARGS__ })
#define U          "--server-url=u" /* the one that is required */

#define REFUSED(text, ...)                                \
	do {                                              \
		assert_int_equal(PARSE(__VA_ARGS__), -1); \
		assert_int_equal(e.kind, ERR_USAGE);      \
		assert_string_equal(e.msg, text);         \
		assert_int_equal(nargs, 77);              \
	} while (0)

static void
test_defaults(void **state)
{
	(void)state;
	assert_int_equal(PARSE(U, NULL), 0);
	assert_string_equal(cfg.url, "u");
	assert_null(cfg.cert);
	assert_int_equal(cfg.keys.n, 2);
	assert_string_equal(cfg.keys.items[0], "k1");
	assert_string_equal(cfg.keys.items[1], "k2");
	assert_int_equal(cfg.readers.n, 0);
	assert_false(cfg.force);
	assert_true(cfg.ssl);
	assert_int_equal(cfg.jobs, 30);
	assert_true(cfg.older == 720 * INT64_C(3600000000));
	assert_true(cfg.pending == 6 * INT64_C(3600000000));
	assert_true(cfg.nar == UINT64_C(16) << 30);
	assert_null(cfg.token.data);
	assert_string_equal(cfg.common.log_level, "info");
	assert_false(cfg.common.help || cfg.common.version ||
	    cfg.common.check || cfg.common.print_config);
	assert_int_equal(nargs, 0);
	assert_null(args[0]);
}

static void
test_spellings(void **state)
{
	(void)state;
	/* Two dashes or one, "=" or the next argument. */
	assert_int_equal(PARSE("--server-url", "a=b", "-jobs=7", "-older-than",
	                     "1h", "-n", NULL),
	    0);
	assert_string_equal(cfg.url, "a=b");
	assert_int_equal(cfg.jobs, 7);
	assert_true(cfg.older == INT64_C(3600000000));
	assert_true(cfg.common.check);
	/* The value may look like a flag, or be empty; the last one wins. */
	assert_int_equal(
	    PARSE("--server-url=x", "--server-url", "--force", "--cert=", NULL),
	    0);
	assert_string_equal(cfg.url, "--force");
	assert_string_equal(cfg.cert, "");
	assert_false(cfg.force);
	/* A boolean takes no argument but one behind "=". */
	assert_int_equal(PARSE(U, "--force", "false", "-ssl=false", NULL), 0);
	assert_true(cfg.force);
	assert_false(cfg.ssl);
	assert_int_equal(nargs, 1);
	assert_int_equal(PARSE(U, "--force", "--force=0", NULL), 0);
	assert_false(cfg.force);
	assert_int_equal(PARSE(U, "-f", NULL), 0);
	assert_true(cfg.force);
}

static void
test_arguments(void **state)
{
	(void)state;
	assert_int_equal(
	    PARSE("p1", "--force", "p2", U, "-", "--", "--jobs", "--", NULL),
	    0);
	assert_int_equal(nargs, 5);
	assert_string_equal(args[0], "p1");
	assert_string_equal(args[1], "p2");
	assert_string_equal(args[2], "-");
	assert_string_equal(args[3], "--jobs");
	assert_string_equal(args[4], "--");
	assert_null(args[5]);
	assert_true(cfg.force);
	assert_int_equal(PARSE(U, "", NULL), 0);
	assert_int_equal(nargs, 1);
}

static void
test_number_of_arguments(void **state)
{
	struct opt_program p = program;

	(void)state;
	p.min_args = 1;
	p.max_args = 2;
	assert_int_equal(parse_with(&p, (const char *const[]){ U, NULL }), -1);
	assert_string_equal(
	    e.msg, "too few arguments: prog sub [OPTION]... PATH...");
	assert_int_equal(
	    parse_with(&p, (const char *const[]){ U, "a", NULL }), 0);
	assert_int_equal(
	    parse_with(&p, (const char *const[]){ U, "a", "b", "c", NULL }),
	    -1);
	assert_string_equal(e.msg, "unexpected argument \"c\"");
}

static void
test_environment(void **state)
{
	(void)state;
	setenv("T_URL", "env-url", 1);
	setenv("T_JOBS", "9", 1);
	setenv("T_SSL", "false", 1);
	setenv("T_OLDER", "2d", 1);
	setenv("T_NAR", "1M", 1);
	setenv("T_TOKEN", "hunter2", 1);
	setenv("T_CERT", "", 1); /* as good as none */
	assert_int_equal(PARSE("--jobs=10", NULL), 0);
	assert_string_equal(cfg.url, "env-url");
	assert_int_equal(cfg.jobs, 10);
	assert_false(cfg.ssl);
	assert_true(cfg.older == 48 * INT64_C(3600000000));
	assert_int_equal(cfg.nar, 1 << 20);
	assert_string_equal(cfg.token.data, "hunter2");
	assert_null(cfg.cert);

	/* A flag wins, so what the variable says does not matter. */
	setenv("T_JOBS", "many", 1);
	assert_int_equal(PARSE("--jobs=10", NULL), 0);
	REFUSED("T_JOBS: \"many\": not a number", NULL);
	setenv("T_JOBS", "0", 1);
	REFUSED("T_JOBS: \"0\": must be from 1 to 1000", NULL);
	unsetenv("T_JOBS");
	assert_int_equal(PARSE("--server-url=", "--cert=", NULL), -1);
	assert_string_equal(e.msg, "required: --server-url or T_URL");
}

static void
test_lists(void **state)
{
	(void)state;
	assert_int_equal(PARSE(U, "--reader", "a b", "-reader=c", NULL), 0);
	assert_int_equal(cfg.readers.n, 2);
	assert_string_equal(cfg.readers.items[0], "a b");
	assert_string_equal(cfg.readers.items[1], "c");

	setenv("T_KEYS", " e1\t e2\n", 1);
	assert_int_equal(PARSE(U, NULL), 0);
	assert_int_equal(cfg.keys.n, 2);
	assert_string_equal(cfg.keys.items[1], "e2");
	/* The environment's first, then the flags, and no default. */
	assert_int_equal(
	    PARSE(U, "--sign-key-path=f1", "--sign-key-path=f 2", NULL), 0);
	assert_int_equal(cfg.keys.n, 4);
	assert_string_equal(cfg.keys.items[0], "e1");
	assert_string_equal(cfg.keys.items[1], "e2");
	assert_string_equal(cfg.keys.items[2], "f1");
	assert_string_equal(cfg.keys.items[3], "f 2");
	unsetenv("T_KEYS");
	assert_int_equal(PARSE(U, "--sign-key-path=f1", NULL), 0);
	assert_int_equal(cfg.keys.n, 1);
	opt_done(&program, &cfg);
	assert_int_equal(cfg.keys.n, 0);
	opt_done(&program, &cfg);
}

static void
test_two_names_of_one(void **state)
{
	(void)state;
	assert_int_equal(PARSE(U, "--failed-uploads-older-than=90s", NULL), 0);
	assert_true(cfg.pending == 90 * INT64_C(1000000));
	assert_int_equal(PARSE(U, "--failed-uploads-older-than=90s",
	                     "--pending-older-than=1h", NULL),
	    0);
	assert_true(cfg.pending == 3600 * INT64_C(1000000));
}

static void
test_bad_values(void **state)
{
	(void)state;
	REFUSED("--jobs: \"x\": not a number", U, "--jobs=x", NULL);
	REFUSED("--jobs: \"-1\": not a number", U, "--jobs", "-1", NULL);
	REFUSED(
	    "--jobs: \"\": empty where a number belongs", U, "--jobs=", NULL);
	REFUSED(
	    "--jobs: \"1001\": must be from 1 to 1000", U, "--jobs=1001", NULL);
	REFUSED("--older-than: \"999ms\": must be at least 1s", U,
	    "-older-than=999ms", NULL);
	REFUSED("--older-than: \"30\": a duration without a unit, as in 90s", U,
	    "-older-than=30", NULL);
	REFUSED("--pending-older-than: \"11d\": must be from 1s to 240h", U,
	    "--pending-older-than=11d", NULL);
	REFUSED(
	    "--max-nar: \"1\": must be from 1K to 1T", U, "--max-nar=1", NULL);
	REFUSED("--force: \"maybe\": neither true nor false", U,
	    "--force=maybe", NULL);
	REFUSED("-f: \"maybe\": neither true nor false", U, "-f=maybe", NULL);
	REFUSED("--jobs: needs a value", U, "--jobs", NULL);
	REFUSED("--log-level: \"loud\": not one of error, warn, notice, info, "
	        "debug",
	    U, "--log-level=loud", NULL);
	setenv("NIKS3_LOG_LEVEL", "debug", 1);
	assert_int_equal(PARSE(U, NULL), 0);
	assert_string_equal(cfg.common.log_level, "debug");
}

static void
test_unknown(void **state)
{
	static const struct {
		const char *flag, *hint;
	} cases[] = {
		{ "--oldr-than", "did you mean --older-than?" },
		{ "--olderthan=1h", "did you mean --older-than?" },
		{ "-older_than", "did you mean --older-than?" },
		{ "--older", "did you mean --older-than?" },
		{ "--forse", "did you mean --force?" },
		{ "--Force", "did you mean --force?" },
		{ "--verson", "did you mean --version?" }, { "--quux", "" },
		{ "-x", "" }, { "---", "" }, { "--=", "" },
		{ "--failed-uploads-older", "" }, /* hidden */
	};
	char longest[300];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(PARSE(U, cases[i].flag, NULL), -1);
		assert_int_equal(e.kind, ERR_USAGE);
		assert_memory_equal(e.msg, "unknown option -", 16);
		assert_string_equal(e.hint, cases[i].hint);
	}
	/* A value is not shown: the flag might be a secret's, misspelt. */
	REFUSED("unknown option --api-tokn", U, "--api-tokn=hunter2", NULL);
	REFUSED("unknown option -x", U, "-x", NULL);
	memset(longest, 'o', sizeof longest - 1);
	memcpy(longest, "--", 2);
	longest[sizeof longest - 1] = '\0';
	assert_int_equal(PARSE(U, longest, NULL), -1);
	assert_string_equal(e.hint, "");
}

static void
test_required(void **state)
{
	static const struct opt many[] = {
		{ "db", "T_DB", OPT_STR, O(url), OPT_REQUIRED },
		{ "key", NULL, OPT_LIST, O(keys), OPT_REQUIRED },
		{ "jobs", NULL, OPT_U64, O(jobs), OPT_REQUIRED },
		{ "token", "T_TOKEN", OPT_SECRET, O(token), OPT_REQUIRED },
		{ NULL },
	};
	struct opt_program p = program;

	(void)state;
	p.opts = many;
	assert_int_equal(parse_with(&p, (const char *const[]){ NULL }), -1);
	/* All that is missing at once. */
	assert_string_equal(
	    e.msg, "required: --db or T_DB, --key, --jobs, --token or T_TOKEN");
	assert_int_equal(parse_with(&p,
	                     (const char *const[]){ "--db=", "--jobs=0",
	                         "--token=", "--key", "", NULL }),
	    -1);
	assert_string_equal(
	    e.msg, "required: --db or T_DB, --token or T_TOKEN");
	setenv("T_DB", "x", 1);
	assert_int_equal(parse_with(&p,
	                     (const char *const[]){
	                         "--jobs=0", "--token=t", "--key=k", NULL }),
	    0);
	opt_done(&p, &cfg);
	unsetenv("T_DB");

	/* But who asks for help is not asked for anything. */
	setenv("T_SSL", "junk", 1);
	assert_int_equal(PARSE("--help", NULL), 0);
	assert_true(cfg.common.help);
	assert_int_equal(PARSE("-h", NULL), 0);
	assert_true(cfg.common.help);
	assert_int_equal(PARSE("--version", NULL), 0);
	assert_true(cfg.common.version);
}

static void
test_secret(void **state)
{
	char big[SECRET_MAX + 2];

	(void)state;
	assert_int_equal(
	    PARSE(U, "--api-token", "hunter2", "--api-token=hunter3", NULL), 0);
	assert_string_equal(cfg.token.data, "hunter3");
	/* Nothing of it is left where /proc/PID/cmdline shows it. */
	assert_string_equal(argv_owned[2], "--api-token");
	assert_string_equal(argv_owned[3], "*******");
	assert_string_equal(argv_owned[4], "--api-token=*******");

	memset(big, 's', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	assert_int_equal(PARSE(U, "--api-token", big, NULL), -1);
	assert_null(strstr(e.msg, "sss"));
	assert_int_equal(strspn(argv_owned[3], "*"), SECRET_MAX + 1);
	assert_null(cfg.token.data);
	/* An error after it leaves nothing to free. */
	assert_int_equal(
	    PARSE(U, "--api-token=x", "--reader=y", "--bad", NULL), -1);
	assert_null(cfg.token.data);
	assert_null(cfg.readers.items);
}

static void
test_no_options_of_its_own(void **state)
{
	static const struct opt none[] = { { NULL } };
	struct opt_program p = program;

	(void)state;
	p.opts = none;
	assert_int_equal(
	    parse_with(&p, (const char *const[]){ "-n", "x", NULL }), 0);
	assert_true(cfg.common.check);
	assert_int_equal(nargs, 1);
	assert_int_equal(
	    opt_parse(&p, &cfg, 0, (char *[]){ NULL }, &args, &nargs, &e), -1);
}

/* ---- what is shown ---- */

static void
test_help(void **state)
{
	char *text;
	size_t size, lines = 0;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	opt_help(&program, 1, f);
	fclose(f);
	assert_memory_equal(text,
	    "Usage: prog sub [OPTION]... PATH...\n"
	    "Does something to PATHs.\n"
	    "\n"
	    "Options:\n"
	    "  --server-url=URL          where the server answers, which may "
	    "be "
	    "behind a\n"
	    "                            proxy of yours (required; env "
	    "T_URL)\n",
	    212);
	assert_non_null(strstr(text, "\n  -f, --force  "));
	assert_non_null(strstr(text, "\n  -h, --help  "));
	assert_non_null(strstr(text, "\n  -n  "));
	assert_non_null(strstr(text, "(may be repeated; default k1 k2; env "));
	assert_non_null(strstr(text, "--pending-older-than=DURATION\n"));
	assert_non_null(strstr(text, "90s, 1h30m"));
	assert_non_null(strstr(text, "16M"));
	assert_null(strstr(text, "failed-uploads")); /* hidden */
	for (const char *line = text; *line != '\0'; lines++) {
		size_t len = strcspn(line, "\n");

		if (len >= 80)
			fail_msg("wider than 80: %.*s", (int)len, line);
		if (len > 0 && line[len - 1] == ' ')
			fail_msg("ends in a space: %.*s", (int)len, line);
		line += len + 1;
	}
	assert_in_range(lines, 25, 45);
	free(text);
}

struct output {
	int status;
	char out[8192], err[2048];
};

/* Runs opt_start in a child and reads what it prints. */
static void
start(struct output *o, const char *const *words)
{
	FILE *out = tmpfile(), *errors = tmpfile();
	char *argv[ARGS_MAX + 1] = { argv_owned[0] = strdup("prog") };
	int argc = 1, status;
	pid_t pid;

	for (; words[argc - 1] != NULL; argc++)
		argv[argc] = argv_owned[argc] = strdup(words[argc - 1]);
	fflush(stdout);
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		int rc;

		dup2(fileno(out), STDOUT_FILENO);
		dup2(fileno(errors), STDERR_FILENO);
		memset(&cfg, 0, sizeof cfg);
		rc = opt_start(&program, &cfg, argc, argv, &args, &nargs);
		_exit(rc == -1 ? 100 : rc);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	o->status = WEXITSTATUS(status);
	rewind(out);
	rewind(errors);
	o->out[fread(o->out, 1, sizeof o->out - 1, out)] = '\0';
	o->err[fread(o->err, 1, sizeof o->err - 1, errors)] = '\0';
	fclose(out);
	fclose(errors);
	teardown(NULL);
}

#define START(o, ...) start(o, (const char *const[]){ __VA_ARGS__ })

/* What is rare, and the variables, are left out. */
static void
test_short_help(void **state)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	opt_help(&program, 0, f);
	fclose(f);
	assert_non_null(strstr(text, "\n  --server-url=URL  "));
	assert_non_null(strstr(text, "proxy of yours (required)\n"));
	assert_non_null(strstr(text, "use TLS (default true)\n"));
	assert_non_null(strstr(text, "age (default 720h)\n"));
	assert_non_null(strstr(text, "\n--help-all shows every option"));
	assert_non_null(strstr(text, "90s, 1h30m"));
	assert_null(strstr(text, "T_URL"));
	assert_null(strstr(text, "--jobs"));
	assert_null(strstr(text, "--log-level"));
	assert_null(strstr(text, "failed-uploads"));
	free(text);
}

static void
test_start(void **state)
{
	struct output o;

	(void)state;
	START(&o, U, "-n", NULL);
	assert_int_equal(o.status, 100); /* goes on */
	assert_string_equal(o.out, "");
	assert_string_equal(o.err, "");

	START(&o, "--version", NULL);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.out, "prog " NIKS3_VERSION "\n");

	START(&o, "--completion=list", NULL);
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.out, "prog sub\t--server-url\tT_URL\ttext\t"));
	START(&o, "--completion", "csh", NULL);
	assert_int_equal(o.status, 2);
	assert_string_equal(o.out, "");
	assert_string_equal(o.err,
	    "prog sub: no completion for csh\n"
	    "hint: there are bash|zsh|fish|list\n"
	    "Try 'prog sub --help'.\n");
	START(&o, "--help-all", NULL);
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.out, "env T_JOBS"));
	START(&o, "-help", NULL);
	assert_int_equal(o.status, 0);
	assert_memory_equal(o.out, "Usage: prog sub", 15);
	assert_string_equal(o.err, "");

	START(&o, "--forse", NULL);
	assert_int_equal(o.status, 2);
	assert_string_equal(o.out, "");
	assert_string_equal(o.err,
	    "prog sub: unknown option --forse\n"
	    "hint: did you mean --force?\n"
	    "Try 'prog sub --help'.\n");

	/* Foreign bytes do not reach the terminal. */
	START(&o, U, "--jobs=\x1b[2J", NULL);
	assert_int_equal(o.status, 2);
	assert_string_equal(o.err,
	    "prog sub: --jobs: \"\\x1b[2J\": not a number\n"
	    "Try 'prog sub --help'.\n");
}

static void
test_print_config(void **state)
{
	struct output o;

	(void)state;
	setenv("T_TOKEN", "hunter2", 1);
	START(&o, "--print-config", "--server-url=a\nb", "--force",
	    "--reader=x", "--reader=y z", "--max-nar=3000", "--older-than=90m",
	    NULL);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.out,
	    "server-url=a\\nb\n"
	    "cert=\n"
	    "sign-key-path=k1\n"
	    "sign-key-path=k2\n"
	    "reader=x\n"
	    "reader=y z\n"
	    "force=true\n"
	    "ssl=true\n"
	    "jobs=30\n"
	    "older-than=1h30m\n"
	    "pending-older-than=6h\n"
	    "max-nar=3000\n"
	    "api-token=***\n"
	    "log-level=info\n");
	unsetenv("T_TOKEN");
	START(&o, "--print-config", U, "--max-nar=64K", NULL);
	assert_non_null(strstr(o.out, "\nreader=\n"));
	assert_non_null(strstr(o.out, "\nmax-nar=64K\n"));
	assert_non_null(strstr(o.out, "\napi-token=\n"));
	/* A configuration that is wrong is not shown. */
	START(&o, "--print-config", NULL);
	assert_int_equal(o.status, 2);
	assert_string_equal(o.out, "");
}

/* What cannot be written is a failure, not a success without output. */
static void
test_output_fails(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid != -1);
	if (pid == 0) {
		char *argv[] = { "prog", "--help", NULL };

		if (freopen("/dev/full", "w", stdout) == NULL)
			_exit(99);
		memset(&cfg, 0, sizeof cfg);
		_exit(opt_start(&program, &cfg, 2, argv, &args, &nargs));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 1);
}

#define OPT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		OPT_TEST(test_defaults),
		OPT_TEST(test_spellings),
		OPT_TEST(test_arguments),
		OPT_TEST(test_number_of_arguments),
		OPT_TEST(test_environment),
		OPT_TEST(test_lists),
		OPT_TEST(test_two_names_of_one),
		OPT_TEST(test_bad_values),
		OPT_TEST(test_unknown),
		OPT_TEST(test_required),
		OPT_TEST(test_secret),
		OPT_TEST(test_no_options_of_its_own),
		OPT_TEST(test_help),
		OPT_TEST(test_short_help),
		OPT_TEST(test_start),
		OPT_TEST(test_print_config),
		OPT_TEST(test_output_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
