/* What people ask of the queue: it is read beside the daemon, or without one. */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/local/nixenv.h"
#include "../../libcommon/local/spool.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/hook.h"
#include "hook.h"

#define ROW_MAX ((size_t)64 << 10)

struct config {
	struct opt_common common;
	const char *db_path, *socket;
	int json, all;
};

#define O(field) offsetof(struct config, field)

#define DB_OPTION                                                         \
	{                                                                 \
		"db-path", "NIKS3_HOOK_DB_PATH", OPT_PATH, O(db_path), 0, \
		    HOOK_QUEUE, "FILE", "the queue", 0, 0                 \
	}

static const struct opt status_options[] = {
	DB_OPTION,
	{ "json", NULL, OPT_BOOL, O(json), 0, NULL, NULL, "as one JSON object",
	    0, 0 },
	{ NULL },
};

static const struct opt retry_options[] = {
	DB_OPTION,
	{ "socket", "NIKS3_HOOK_SOCKET", OPT_PATH, O(socket), 0, HOOK_SOCKET,
	    "PATH", "where niks3-hook serve is told of it", 0, 0 },
	{ NULL },
};

static const struct opt drop_options[] = {
	DB_OPTION,
	{ "all-failed", NULL, OPT_BOOL, O(all), 0, NULL, NULL,
	    "every path that has failed", 0, 0 },
	{ NULL },
};

const struct opt_program hook_status_program = {
	.name = "niks3-hook status",
	.synopsis = "niks3-hook status [OPTION]...",
	.summary = "Tells what waits to be pushed, and what was set aside.",
	.opts = status_options,
	.words = "",
};

const struct opt_program hook_retry_program = {
	.name = "niks3-hook retry",
	.synopsis = "niks3-hook retry [OPTION]... [PATH]...",
	.summary = "Tries these paths again, or all that have failed.",
	.opts = retry_options,
	.max_args = SIZE_MAX,
};

const struct opt_program hook_drop_program = {
	.name = "niks3-hook drop",
	.synopsis = "niks3-hook drop [OPTION]... PATH...",
	.summary = "Takes paths out of the queue: they will not be pushed.",
	.opts = drop_options,
	.max_args = SIZE_MAX,
};

/* ---- status ---- */

struct printer {
	const char *store_dir;
	int json;
	size_t n;
	struct err *e;
};

static int
print_row_json(struct printer *p, const struct spool_row *r)
{
	char path[STOREPATH_MAX + 1];
	char added[CLOCK_RFC3339_MAX], next[CLOCK_RFC3339_MAX];
	struct hook_path row = {
		.path = path,
		.set_aside = r->aside,
		.tries = r->tries,
		.added = clock_fmt_rfc3339(added, r->added_us),
		.next_try =
		    r->aside ? NULL : clock_fmt_rfc3339(next, r->due_us),
		.error_kind = r->kind,
		.error = r->error,
	};
	struct buf text;
	int rc;

	snprintf(path, sizeof path, "%s/%s", p->store_dir, r->base);
	buf_init(&text, ROW_MAX);
	rc = json_encode(&hook_path_desc, &row, &text, p->e);
	if (rc == 0)
		printf("%s%s", p->n++ > 0 ? ",\n  " : "\n  ", buf_str(&text));
	buf_done(&text);
	return rc;
}

static int
print_row(void *ctx, const struct spool_row *r)
{
	struct printer *p = ctx;
	char text[4 * ERR_MSG_MAX];

	if (p->json)
		return print_row_json(p, r);
	printf("%-9s %s/%s\n", r->aside ? "set aside" : "waiting", p->store_dir,
	    r->base);
	if (r->error != NULL)
		printf(
		    "          %s\n", log_escape(text, sizeof text, r->error));
	return 0;
}

static int
print_status(struct spool *s, const struct config *c, struct err *e)
{
	struct printer p = { .json = c->json, .e = e };
	char when[CLOCK_RFC3339_MAX];
	struct spool_counts n;
	int served = spool_served(s);

	if (nixenv_store_dir(&p.store_dir, e) != 0 ||
	    spool_count(s, &n, e) != 0)
		return -1;
	clock_fmt_rfc3339(when, n.oldest_us / 1000000 * 1000000);
	if (c->json) {
		printf("{\"served\":%s,\"waiting\":%lld,\"set_aside\":%lld,"
		       "\"oldest\":%s%s%s,\"paths\":[",
		    served ? "true" : "false", (long long)n.waiting,
		    (long long)n.aside, n.waiting > 0 ? "\"" : "",
		    n.waiting > 0 ? when : "null", n.waiting > 0 ? "\"" : "");
	} else {
		printf("niks3-hook serve is %s\n",
		    served ? "running" : "not running");
		printf("%lld waiting%s%s, %lld set aside\n",
		    (long long)n.waiting, n.waiting > 0 ? " since " : "",
		    n.waiting > 0 ? when : "", (long long)n.aside);
	}
	if (spool_each(s, print_row, &p, e) != 0)
		return -1;
	if (c->json)
		printf("]}\n");
	return 0;
}

/* ---- retry, drop ---- */

typedef int change_fn(
    struct spool *s, const char *base, size_t *n, struct err *e);

static int
change_one(struct spool *s, change_fn *f, const char *arg, size_t *total,
    struct err *e)
{
	const char *store_dir, *base;
	size_t n;

	if (nixenv_store_dir(&store_dir, e) != 0 ||
	    storepath_parse_either(store_dir, arg, &base, e) != 0 ||
	    f(s, base, &n, e) != 0)
		return -1;
	if (n == 0)
		return err_set(e, ERR_NOT_FOUND, "%s is not in the queue", arg);
	*total += n;
	return 0;
}

static int
change_all(struct spool *s, change_fn *f, char **args, size_t nargs,
    const char *what, struct err *e)
{
	size_t total = 0;

	if (nargs == 0 && f(s, NULL, &total, e) != 0)
		return -1;
	for (size_t i = 0; i < nargs; i++)
		if (change_one(s, f, args[i], &total, e) != 0)
			return -1;
	printf("%s: %zu path%s\n", what, total, total == 1 ? "" : "s");
	return 0;
}

static int
retry(struct spool *s, const struct config *c, char **args, size_t nargs,
    struct err *e)
{
	struct desc_strs none = { 0 };

	if (change_all(s, spool_retry, args, nargs, "to be tried again", e) !=
	    0)
		return -1;
	if (hook_hand_over(c->socket, &none, deadline_in(HOOK_WAIT_MS), NULL) !=
	    0)
		puts(
		    "niks3-hook serve is not running; it tries them when it is "
		    "started");
	return 0;
}

static int
drop(struct spool *s, const struct config *c, char **args, size_t nargs,
    struct err *e)
{
	if (c->all != (nargs == 0))
		return err_set(
		    e, ERR_USAGE, "give paths, or else --all-failed");
	return change_all(s, spool_drop, args, nargs, "dropped", e);
}

/* ---- what they have in common ---- */

static int
queue_main(const struct opt_program *program, int argc, char **argv)
{
	struct config c = { 0 };
	struct spool *s = NULL;
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	if (c.common.check ||
	    spool_open(c.db_path, SPOOL_LOOK, UINT64_MAX, &s, &e) != 0)
		goto out;
	if (program == &hook_status_program)
		print_status(s, &c, &e);
	else if (program == &hook_retry_program)
		retry(s, &c, args, nargs, &e);
	else
		drop(s, &c, args, nargs, &e);
	if (e.kind == ERR_NONE && (fflush(stdout) == EOF || ferror(stdout)))
		err_sys(&e, "standard output");
out:
	status = e.kind == ERR_NONE ? 0 : hook_fail(&e);
	spool_close(s);
	opt_done(program, &c);
	return status;
}

int
hook_status(int argc, char **argv)
{
	return queue_main(&hook_status_program, argc, argv);
}

int
hook_retry(int argc, char **argv)
{
	return queue_main(&hook_retry_program, argc, argv);
}

int
hook_drop(int argc, char **argv)
{
	return queue_main(&hook_drop_program, argc, argv);
}
