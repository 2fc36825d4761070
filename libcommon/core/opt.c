#include "opt.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "complete.h"
#include "err.h"
#include "log.h"
#include "num.h"
#include "secret.h"

#define OPTS_MAX      128 /* options of one program, the common ones included */
#define NAME_LEN_MAX  64  /* of a name that a suggestion is sought for */
#define HELP_COLUMNS  79
#define HELP_INDENT   28 /* where the explanations begin */
#define HELP_TEXT_MAX 4096
#define ESCAPE_MAX    4 /* bytes that log_escape makes of one: "\\x1b" */
#define SPACE         " \t\n\v\f\r"

#define COMMON(opt_name, member, opt_type, ...)                            \
	{                                                                  \
		.name = opt_name, .type = opt_type,                        \
		.offset = offsetof(struct opt_common, member), __VA_ARGS__ \
	}

const struct opt opt_common[] = {
	COMMON("h", help, OPT_BOOL, .flags = OPT_HIDDEN | OPT_ACTION),
	COMMON("help", help, OPT_BOOL, .flags = OPT_ACTION,
	    .help = "show what is needed most"),
	COMMON("help-all", help_all, OPT_BOOL, .flags = OPT_ACTION,
	    .help = "show every option, with its variable"),
	COMMON("version", version, OPT_BOOL, .flags = OPT_ACTION,
	    .help = "show the version"),
	COMMON("n", check, OPT_BOOL, .flags = OPT_ACTION,
	    .help = "check the configuration and exit"),
	COMMON("print-config", print_config, OPT_BOOL, .flags = OPT_ACTION,
	    .help = "show the value of every option (secrets as ***)"),
	COMMON("completion", completion, OPT_STR,
	    .flags = OPT_HIDDEN | OPT_ACTION, .arg = COMPLETE_FORMATS),
	COMMON("log-level", log_level, OPT_STR, .env = "NIKS3_LOG_LEVEL",
	    .fallback = "info", .arg = "error|warn|notice|info|debug",
	    .help = "what is logged"),
	{ .name = NULL },
};

const struct opt *
opt_next(const struct opt_program *p, const struct opt *o)
{
	static const struct opt *const last =
	    opt_common + sizeof opt_common / sizeof opt_common[0] - 2;

	if (o == NULL)
		return p->opts->name != NULL ? p->opts : opt_common;
	if (o == last)
		return NULL;
	return o[1].name != NULL ? o + 1 : opt_common;
}

const char *
opt_dashes(const struct opt *o)
{
	return o->name[1] == '\0' ? "-" : "--";
}

static void *
field(const struct opt *o, void *cfg)
{
	return (char *)cfg + o->offset;
}

/* ---- values ---- */

static const char *
fmt_number(char out[NUM_DURATION_MAX], enum opt_type type, uint64_t n)
{
	static const char prefixes[] = "\0KMGTPE";
	const char *prefix = prefixes;

	if (type == OPT_DURATION)
		return num_fmt_duration(out, (int64_t)n);
	if (type == OPT_SIZE) /* exact, unlike num_fmt_size */
		for (; n != 0 && n % 1024 == 0; n /= 1024)
			prefix++;
	snprintf(
	    out, NUM_DURATION_MAX, "%llu%.1s", (unsigned long long)n, prefix);
	return out;
}

static int
parse_number(
    const struct opt *o, const char *text, uint64_t *out, struct err *e)
{
	uint64_t n = 0, scale = o->type == OPT_DURATION ? 1000 : 1;
	char min[NUM_DURATION_MAX], max[NUM_DURATION_MAX];
	int rc;

	if (o->type == OPT_DURATION)
		rc = num_parse_duration(text, (int64_t *)&n, e);
	else if (o->type == OPT_SIZE)
		rc = num_parse_size(text, &n, e);
	else
		rc = num_parse_u64(text, strlen(text), UINT64_MAX, &n, e);
	if (rc == -1)
		return -1;
	if (n >= o->min * scale && (o->max == 0 || n <= o->max * scale)) {
		*out = n;
		return 0;
	}
	fmt_number(min, o->type, o->min * scale);
	fmt_number(max, o->type, o->max * scale);
	if (o->max == 0)
		return err_set(e, ERR_USAGE, "must be at least %s", min);
	return err_set(e, ERR_USAGE, "must be from %s to %s", min, max);
}

/* Lists own their items, though they are const for everybody else. */
static void
list_insert(struct opt_list *list, size_t at, const char *text, size_t len)
{
	char *item = xmalloc(len + 1);

	memcpy(item, text, len);
	item[len] = '\0';
	list->items =
	    xrealloc(list->items, (list->n + 1) * sizeof *list->items);
	memmove(list->items + at + 1, list->items + at,
	    (list->n - at) * sizeof *list->items);
	list->items[at] = item;
	list->n++;
}

/* Puts the words of text before what the list holds. */
static void
list_prepend(struct opt_list *list, const char *text)
{
	size_t len, at = 0;

	for (text += strspn(text, SPACE); *text != '\0';
	     text += len + strspn(text + len, SPACE)) {
		len = strcspn(text, SPACE);
		list_insert(list, at++, text, len);
	}
}

static void
list_done(struct opt_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free((char *)(uintptr_t)list->items[i]);
	free(list->items);
	*list = (struct opt_list){ 0 };
}

static int
parse_value(const struct opt *o, void *cfg, const char *text, struct err *e)
{
	void *to = field(o, cfg);
	struct opt_list *list = to;

	switch (o->type) {
	case OPT_STR:
	case OPT_PATH:
		*(const char **)to = text;
		return 0;
	case OPT_LIST:
		list_insert(list, list->n, text, strlen(text));
		return 0;
	case OPT_BOOL:
		return num_parse_bool(text, to, e);
	case OPT_U64:
	case OPT_DURATION:
	case OPT_SIZE:
		return parse_number(o, text, to, e);
	case OPT_SECRET:
		return secret_set(to, text, strlen(text), e);
	}
	err_die("option %s: no such type", o->name);
}

/* Sets o from text; an error names where the text came from. */
static int
set(const struct opt *o, void *cfg, const char *dash, const char *source,
    const char *text, struct err *e)
{
	struct err why = ERR_INIT;

	if (parse_value(o, cfg, text, &why) == 0)
		return 0;
	if (o->type == OPT_SECRET)
		return err_set(e, ERR_USAGE, "%s%s: %s", dash, source, why.msg);
	return err_set(
	    e, ERR_USAGE, "%s%s: \"%.100s\": %s", dash, source, text, why.msg);
}

/* ---- the command line ---- */

static const struct opt *
find(const struct opt_program *p, const char *name, size_t len)
{
	for (const struct opt *o = NULL; (o = opt_next(p, o)) != NULL;)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

/* Insertions, removals and replacements that make b of a (Levenshtein). */
static size_t
distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[NAME_LEN_MAX + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t d = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < d)
				d = row[j] + 1;
			if (row[j - 1] + 1 < d)
				d = row[j - 1] + 1;
			row[j] = d;
		}
	}
	return row[b_len];
}

/*
 * An error for the flag arg, whose name (of len bytes) is no option's; the hint
 * has the nearest name.
 */
static int
unknown(const struct opt_program *p, const char *arg, const char *name,
    size_t len, struct err *e)
{
	size_t best = len / 3 + 1; /* what is farther is another word */
	const struct opt *nearest = NULL;

	/* Without what follows "=", which may be a secret. */
	err_set(e, ERR_USAGE, "unknown option %.*s",
	    (int)(len < NAME_LEN_MAX ? name - arg + len : NAME_LEN_MAX), arg);
	if (len < 2 || len > NAME_LEN_MAX)
		return -1;
	for (const struct opt *o = NULL; (o = opt_next(p, o)) != NULL;) {
		size_t o_len = strlen(o->name), d;

		if ((o->flags & OPT_HIDDEN) || o_len > NAME_LEN_MAX)
			continue;
		d = distance(name, len, o->name, o_len);
		if (o_len > len && memcmp(name, o->name, len) == 0)
			d = 1; /* abbreviated */
		if (d < best) {
			best = d;
			nearest = o;
		}
	}
	if (nearest != NULL)
		err_hint(e, "did you mean %s%s?", opt_dashes(nearest),
		    nearest->name);
	return -1;
}

/* Which options, by their offsets, were given by a flag or the environment. */
struct given {
	size_t offsets[OPTS_MAX];
	size_t n;
};

static int
is_given(const struct given *g, const struct opt *o)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->offsets[i] == o->offset)
			return 1;
	return 0;
}

static void
give(struct given *g, const struct opt *o)
{
	if (is_given(g, o))
		return;
	if (g->n == OPTS_MAX)
		err_die("more than %d options", OPTS_MAX);
	g->offsets[g->n++] = o->offset;
}

/* Takes the flags out of argv and leaves the arguments in argv[1 ... n]. */
static int
parse_argv(const struct opt_program *p, void *cfg, char **argv, struct given *g,
    size_t *nargs, struct err *e)
{
	char **from = argv + 1, **to = argv + 1;

	while (*from != NULL) {
		char *arg = *from++, *name, *value = NULL;
		const struct opt *o;
		size_t len;
		int rc;

		if (arg[0] != '-' || arg[1] == '\0') {
			*to++ = arg;
			continue;
		}
		if (strcmp(arg, "--") == 0)
			break;
		name = arg + (arg[1] == '-' ? 2 : 1);
		len = strcspn(name, "=");
		if ((o = find(p, name, len)) == NULL)
			return unknown(p, arg, name, len, e);
		if (name[len] == '=')
			value = name + len + 1;
		else if (o->type != OPT_BOOL && (value = *from++) == NULL)
			return err_set(e, ERR_USAGE, "%s%s: needs a value",
			    opt_dashes(o), o->name);
		rc = set(o, cfg, opt_dashes(o), o->name,
		    value != NULL ? value : "true", e);
		if (o->type == OPT_SECRET)
			memset(value, '*', strlen(value));
		if (rc == -1)
			return -1;
		give(g, o);
	}
	while (*from != NULL)
		*to++ = *from++;
	*to = NULL;
	*nargs = (size_t)(to - argv - 1);
	return 0;
}

/* ---- environment, defaults, checks ---- */

static int
parse_env(
    const struct opt_program *p, void *cfg, struct given *g, struct err *e)
{
	for (const struct opt *o = NULL; (o = opt_next(p, o)) != NULL;) {
		const char *text = o->env != NULL ? getenv(o->env) : NULL;

		if (text == NULL || *text == '\0')
			continue;
		if (o->type == OPT_LIST)
			list_prepend(field(o, cfg), text);
		else if (is_given(g, o))
			continue;
		else if (set(o, cfg, "", o->env, text, e) == -1)
			return -1;
		give(g, o);
	}
	return 0;
}

static void
set_fallbacks(const struct opt_program *p, void *cfg, const struct given *g)
{
	struct err e = ERR_INIT;

	for (const struct opt *o = NULL; (o = opt_next(p, o)) != NULL;) {
		if (o->fallback == NULL || is_given(g, o))
			continue;
		if (o->type == OPT_LIST)
			list_prepend(field(o, cfg), o->fallback);
		else if (set(o, cfg, "--", o->name, o->fallback, &e) == -1)
			err_die("bad default: %s", e.msg);
	}
}

/* Did nobody say anything for it, or only an empty text? */
static int
is_missing(const struct opt *o, void *cfg, const struct given *g)
{
	const struct opt_list *list = field(o, cfg);
	const struct secret *secret = field(o, cfg);
	const char *const *text = field(o, cfg);

	switch (o->type) {
	case OPT_STR:
	case OPT_PATH:
		return *text == NULL || **text == '\0';
	case OPT_LIST:
		return list->n == 0;
	case OPT_SECRET:
		return secret->len == 0;
	default:
		return o->fallback == NULL && !is_given(g, o);
	}
}

static int
check_required(const struct opt_program *p, void *cfg, const struct given *g,
    struct err *e)
{
	char text[ERR_MSG_MAX] = "";
	size_t len = 0;

	for (const struct opt *o = NULL; (o = opt_next(p, o)) != NULL;) {
		if (!(o->flags & OPT_REQUIRED) || !is_missing(o, cfg, g) ||
		    len >= sizeof text)
			continue;
		len += (size_t)snprintf(text + len, sizeof text - len,
		    "%s%s%s%s%s", len > 0 ? ", " : "", opt_dashes(o), o->name,
		    o->env != NULL ? " or " : "", o->env != NULL ? o->env : "");
	}
	if (len == 0)
		return 0;
	return err_set(e, ERR_USAGE, "required: %.480s", text);
}

static int
check_log_level(const struct opt_common *common, struct err *e)
{
	struct err why = ERR_INIT;
	enum log_level level;

	if (log_level_parse(common->log_level, &level, &why) == 0)
		return 0;
	return err_set(e, ERR_USAGE, "--log-level: \"%.100s\": %s",
	    common->log_level, why.msg);
}

static int
check_args(
    const struct opt_program *p, char **args, size_t nargs, struct err *e)
{
	if (nargs < p->min_args)
		return err_set(
		    e, ERR_USAGE, "too few arguments: %s", p->synopsis);
	if (nargs > p->max_args)
		return err_set(e, ERR_USAGE, "unexpected argument \"%.100s\"",
		    args[p->max_args]);
	return 0;
}

int
opt_parse(const struct opt_program *p, void *cfg, int argc, char **argv,
    char ***args, size_t *nargs, struct err *e)
{
	const struct opt_common *common = cfg;
	struct given g = { .n = 0 };
	size_t n = 0;

	if (argc < 1)
		return err_set(e, ERR_USAGE, "no name of the program");
	if (parse_argv(p, cfg, argv, &g, &n, e) == -1)
		goto fail;
	if (!common->help && !common->help_all && !common->version &&
	    common->completion == NULL) {
		if (parse_env(p, cfg, &g, e) == -1)
			goto fail;
		set_fallbacks(p, cfg, &g);
		if (check_required(p, cfg, &g, e) == -1 ||
		    check_log_level(common, e) == -1 ||
		    check_args(p, argv + 1, n, e) == -1)
			goto fail;
	}
	*args = argv + 1;
	*nargs = n;
	return 0;

fail:
	opt_done(p, cfg);
	return -1;
}

void
opt_done(const struct opt_program *p, void *cfg)
{
	for (const struct opt *o = NULL; (o = opt_next(p, o)) != NULL;) {
		if (o->type == OPT_SECRET)
			secret_done(field(o, cfg));
		if (o->type == OPT_LIST)
			list_done(field(o, cfg));
	}
}

/* ---- what is shown ---- */

/*
 * Prints text in lines that begin at column indent; the first begins at col,
 * where something stands already.
 */
static void
wrap(FILE *f, const char *text, size_t col, size_t indent)
{
	int fresh = 1; /* no word on this line yet */

	for (text += strspn(text, " "); *text != '\0';
	     text += strspn(text, " ")) {
		int len = (int)strcspn(text, " ");

		if (!fresh && col + 1 + (size_t)len > HELP_COLUMNS) {
			fputc('\n', f);
			col = 0;
			fresh = 1;
		}
		if (fresh && col < indent)
			col +=
			    (size_t)fprintf(f, "%*s", (int)(indent - col), "");
		col +=
		    (size_t)fprintf(f, "%s%.*s", fresh ? "" : " ", len, text);
		text += len;
		fresh = 0;
	}
	fputc('\n', f);
}

/* The single letter that is another name of o, or NULL. */
static const struct opt *
letter_of(const struct opt_program *p, const struct opt *o)
{
	for (const struct opt *l = NULL; (l = opt_next(p, l)) != NULL;)
		if (l != o && l->name[1] == '\0' && l->offset == o->offset)
			return l;
	return NULL;
}

/* " (required; default 6h; env X)": what is to be known of o but its help. */
static void
put_notes(struct buf *b, const struct opt *o, int all)
{
	size_t plain = b->len;

#define NOTE(...)                                                 \
	do {                                                      \
		buf_puts(b, b->len == plain ? " (" : "; ", NULL); \
		buf_printf(b, NULL, __VA_ARGS__);                 \
	} while (0)
	if (o->flags & OPT_REQUIRED)
		NOTE("required");
	if (all && o->type == OPT_LIST)
		NOTE("may be repeated");
	if (o->fallback != NULL &&
	    (all || o->type != OPT_BOOL || strcmp(o->fallback, "true") == 0))
		NOTE("default %s", o->fallback);
	if (all && o->env != NULL)
		NOTE("env %s", o->env);
#undef NOTE
	if (b->len > plain)
		buf_putc(b, ')', NULL);
}

static void
help_option(const struct opt_program *p, const struct opt *o, int all, FILE *f)
{
	static const char *const args[] = {
		[OPT_STR] = "TEXT",
		[OPT_PATH] = "PATH",
		[OPT_LIST] = "TEXT",
		[OPT_U64] = "NUMBER",
		[OPT_DURATION] = "DURATION",
		[OPT_SIZE] = "SIZE",
		[OPT_SECRET] = "SECRET",
	};
	const struct opt *letter = letter_of(p, o);
	struct buf text;
	int col;

	col = fprintf(f, "  ");
	if (letter != NULL)
		col += fprintf(f, "-%s, ", letter->name);
	col += fprintf(f, "%s%s", opt_dashes(o), o->name);
	if (o->type != OPT_BOOL)
		col +=
		    fprintf(f, "=%s", o->arg != NULL ? o->arg : args[o->type]);
	if (col + 2 > HELP_INDENT) {
		fputc('\n', f);
		col = 0;
	}
	buf_init(&text, HELP_TEXT_MAX);
	buf_puts(&text, o->help != NULL ? o->help : "", NULL);
	put_notes(&text, o, all);
	wrap(f, buf_str(&text), (size_t)col, HELP_INDENT);
	buf_done(&text);
}

void
opt_help(const struct opt_program *p, int all, FILE *f)
{
	const char *title = "\nOptions:\n";
	int durations = 0, sizes = 0;

	fprintf(f, "Usage: ");
	wrap(f, p->synopsis, strlen("Usage: "), strlen("Usage: "));
	wrap(f, p->summary, 0, 0);
	for (const struct opt *o = NULL; (o = opt_next(p, o)) != NULL;) {
		if (o == opt_common) {
			if (!all)
				break;
			title = "\nOptions of every program:\n";
		}
		if (o->flags & OPT_HIDDEN || (!all && o->flags & OPT_RARE))
			continue;
		fputs(title, f);
		title = "";
		help_option(p, o, all, f);
		durations |= o->type == OPT_DURATION;
		sizes |= o->type == OPT_SIZE;
	}
	fputs(all ? "\nA flag wins over its environment variable, "
	            "and that over the default.\n"
	          : "\n--help-all shows every option, with its variable; "
	            "-n checks the configuration\nand --print-config shows "
	            "it; --version tells the version.\n",
	    f);
	if (durations)
		fprintf(f, "Durations are written as 90s, 1h30m, 7d or 2w.\n");
	if (sizes)
		fprintf(f, "Sizes are written as 4096, 64K, 16M or 2G.\n");
}

static void
print_line(const struct opt *o, const char *value, FILE *f)
{
	size_t size = strlen(value) * ESCAPE_MAX + 1;
	char *text = xmalloc(size);

	fprintf(f, "%s=%s\n", o->name, log_escape(text, size, value));
	free(text);
}

/* "name=value" of every option; of a list, a line for each item. */
static void
print_config(const struct opt_program *p, void *cfg, FILE *f)
{
	for (const struct opt *o = NULL; (o = opt_next(p, o)) != NULL;) {
		const struct opt_list *list = field(o, cfg);
		const struct secret *secret = field(o, cfg);
		const char *const *text = field(o, cfg);
		char number[NUM_DURATION_MAX];

		if (o->flags & (OPT_HIDDEN | OPT_ACTION))
			continue;
		switch (o->type) {
		case OPT_STR:
		case OPT_PATH:
			print_line(o, *text != NULL ? *text : "", f);
			break;
		case OPT_LIST:
			for (size_t i = 0; i < list->n; i++)
				print_line(o, list->items[i], f);
			if (list->n == 0)
				print_line(o, "", f);
			break;
		case OPT_BOOL:
			print_line(
			    o, *(int *)field(o, cfg) ? "true" : "false", f);
			break;
		case OPT_U64:
		case OPT_DURATION:
		case OPT_SIZE:
			print_line(o,
			    fmt_number(
			        number, o->type, *(uint64_t *)field(o, cfg)),
			    f);
			break;
		case OPT_SECRET:
			print_line(o, secret->len > 0 ? "***" : "", f);
			break;
		}
	}
}

/* Prints what is wrong; returns the exit status. */
static int
fail(const struct opt_program *p, const struct err *e)
{
	char text[ERR_MSG_MAX * ESCAPE_MAX];

	fprintf(
	    stderr, "%s: %s\n", p->name, log_escape(text, sizeof text, e->msg));
	if (e->hint[0] != '\0')
		fprintf(stderr, "hint: %s\n", e->hint);
	fprintf(stderr, "Try '%s --help'.\n", p->name);
	return err_exit(e->kind);
}

int
opt_start(const struct opt_program *p, void *cfg, int argc, char **argv,
    char ***args, size_t *nargs)
{
	const struct opt_common *common = cfg;
	struct err e = ERR_INIT;

	if (opt_parse(p, cfg, argc, argv, args, nargs, &e) == -1)
		return fail(p, &e);
	if (common->help || common->help_all)
		opt_help(p, common->help_all, stdout);
	else if (common->version)
		printf("%.*s %s\n", (int)strcspn(p->name, " "), p->name,
		    NIKS3_VERSION);
	else if (common->completion != NULL)
		complete_print(common->completion, p->name, &p, 1, stdout, &e);
	else if (common->print_config)
		print_config(p, cfg, stdout);
	else
		return -1;
	opt_done(p, cfg);
	if (e.kind != ERR_NONE)
		return fail(p, &e);
	if (fflush(stdout) == EOF || ferror(stdout))
		return err_exit(ERR_IO);
	return err_exit(ERR_NONE);
}
