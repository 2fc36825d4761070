/*
 * niks3 gc: asks the server for a garbage collection and follows it; tells how
 * one goes (status) and of those that were (history).
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/core/opt.h"
#include "action.h"
#include "command.h"
#include "gcrun.h"
#include "print.h"

#define MEMORY_MAX ((size_t)64 << 20) /* API_GC_ROOTS_MAX roots */

struct config {
	struct action_config base;
	int64_t older_than, pending_older_than;
	int force, no_wait, dry_run, json;
	uint64_t max_share, limit;
};

#define O(field)   offsetof(struct config, field)
#define AGE_MAX_MS (API_AGE_MAX * 1000)

#define JSON_OPTION(text)                                                  \
	{                                                                  \
		"json", NULL, OPT_BOOL, O(json), 0, NULL, NULL, text, 0, 0 \
	}

static const struct opt start_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ "older-than", NULL, OPT_DURATION, O(older_than), 0, "720h",
	    "DURATION", "closures that were not pushed for so long go", 0,
	    AGE_MAX_MS },
	{ "pending-older-than", NULL, OPT_DURATION, O(pending_older_than), 0,
	    "6h", "DURATION",
	    "uploads whose lease is gone for so long are ended; also the grace",
	    0, AGE_MAX_MS },
	{ "failed-uploads-older-than", NULL, OPT_DURATION,
	    O(pending_older_than), OPT_HIDDEN, NULL, "DURATION",
	    "the same as --pending-older-than", 0, AGE_MAX_MS },
	{ "dry-run", NULL, OPT_BOOL, O(dry_run), 0, NULL, NULL,
	    "change nothing; print what would go", 0, 0 },
	{ "max-share", NULL, OPT_U64, O(max_share), 0, NULL, "PERCENT",
	    "stop when more of all live objects would go (default: the "
	    "worker's)",
	    1, 100 },
	{ "force", NULL, OPT_BOOL, O(force), 0, NULL, NULL,
	    "delete at once: readers may find parts gone", 0, 0 },
	{ "no-wait", NULL, OPT_BOOL, O(no_wait), 0, NULL, NULL,
	    "do not wait for the end", 0, 0 },
	JSON_OPTION("print the run, or what would go, as JSON"),
	{ NULL },
};

static const struct opt status_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	JSON_OPTION("print a JSON object"),
	{ NULL },
};

static const struct opt history_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ "limit", NULL, OPT_U64, O(limit), 0, "20", "N", "the latest N runs",
	    1, 100000 },
	JSON_OPTION("print a JSON array"),
	{ NULL },
};

static void
warn_of_force(void)
{
	log_warn("--force skips the grace: what nothing needs is deleted at "
	         "once. Uploads are safe, readers are not");
	log_warn("Who read a narinfo just before finds its NAR gone in the "
	         "middle of a copy; and Nix remembers narinfos for up to 30 "
	         "days and will ask for NARs that are gone");
}

static void
tell_end(const struct gc_status *s)
{
	log_info("Garbage collection completed successfully",
	    LOG_U("failed-uploads-deleted", s->failed_uploads_deleted),
	    LOG_U("old-closures-deleted", s->old_closures_deleted),
	    LOG_U("objects-marked-for-deletion", s->objects_marked),
	    LOG_U("objects-deleted-after-grace-period", s->objects_deleted),
	    LOG_U("objects-failed-to-delete", s->objects_failed));
}

static int
ask(const struct config *c, struct action_run *r, struct gc_status *s,
    struct err *e)
{
	struct gc_request body = {
		.older_than_s = c->older_than / 1000000,
		.pending_older_than_s = c->pending_older_than / 1000000,
		.force = c->force,
		.dry_run = c->dry_run,
		.max_share = c->max_share,
	};

	return remote_call(r->conn,
	    &(struct remote_call){
	        .method = "POST",
	        .path = "/api/v2/gc",
	        .request_desc = &gc_request_desc,
	        .request = &body,
	        .reply_desc = &gc_status_desc,
	        .reply = s,
	        .deadline = deadline_in(REMOTE_CALL_MS),
	    },
	    r->a, e);
}

static int
start(struct action_run *r, struct err *e)
{
	const struct config *c = r->config;
	char older[NUM_DURATION_MAX], pending[NUM_DURATION_MAX];
	struct gc_status s;

	log_info(
	    c->dry_run ? "Starting dry run" : "Starting garbage collection",
	    LOG_S("older-than", num_fmt_duration(older, c->older_than)),
	    LOG_S("pending-older-than",
	        num_fmt_duration(pending, c->pending_older_than)),
	    LOG_S("force", c->force ? "true" : "false"));
	if (c->force && !c->dry_run)
		warn_of_force();
	if (ask(c, r, &s, e) != 0)
		return -1;
	log_info(c->dry_run ? "Dry run started" : "Garbage collection started",
	    LOG_U("run", s.id));
	if (!c->no_wait) {
		if (gcrun_follow(r->conn, s.id, r->a, &s, e) != 0)
			return -1;
		if (c->dry_run)
			return gcrun_print_plan(
			    r->conn, s.id, c->json, r->a, e);
		tell_end(&s);
	}
	return c->json ? print_json(&gc_status_desc, &s, e) : 0;
}

static int
status(struct action_run *r, struct err *e)
{
	const struct config *c = r->config;
	uint64_t id = 0;

	if (r->nargs > 0 &&
	    (num_parse_u64(r->args[0], strlen(r->args[0]), INT64_MAX, &id, e) !=
	            0 ||
	        id == 0))
		return err_set(e, ERR_USAGE,
		    "run \"%.100s\": not a number of a "
		    "run",
		    r->args[0]);
	return gcrun_print_status(r->conn, id, c->json, r->a, e);
}

static int
history(struct action_run *r, struct err *e)
{
	const struct config *c = r->config;

	return gcrun_print_history(r->conn, c->limit, c->json, e);
}

static const struct action actions[] = {
	{ NULL, start,
	    { "niks3 gc", "niks3 gc [status [RUN] | history] [OPTION]...",
	        "Deletes what no closure, pin or upload needs any more.",
	        start_options, 0, 0 } },
	{ "status", status,
	    { "niks3 gc status", "niks3 gc status [OPTION]... [RUN]",
	        "Tells how a run goes, or went; the latest one by default.",
	        status_options, 0, 1, "" } },
	{ "history", history,
	    { "niks3 gc history", "niks3 gc history [OPTION]...",
	        "Lists the latest runs, newest first.", history_options, 0,
	        0 } },
};

const struct action_set gc_actions = {
	.actions = actions,
	.n = sizeof actions / sizeof actions[0],
	.config_size = sizeof(struct config),
	.memory = MEMORY_MAX,
};

int
command_gc(int argc, char **argv)
{
	return action_main(&gc_actions, argc, argv);
}
