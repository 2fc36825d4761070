/*
 * niks3 closures: what was pushed, with age and size; niks3 closures delete
 * takes one away before its time, such as a secret that was pushed by mistake.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/http/client.h"
#include "action.h"
#include "command.h"
#include "gcrun.h"
#include "print.h"
#include "storearg.h"

#define MEMORY_MAX   ((size_t)64 << 20)
#define PAGE         1000
#define BUSY_MS      600000 /* for how long another run is waited for */
#define AGAIN_MS     1000

#define URL_PATH_MAX ((size_t)1024) /* of a name with all of it escaped */

struct config {
	struct action_config base;
	int json, now, no_wait;
	uint64_t max_share;
};

#define O(field) offsetof(struct config, field)

static const struct opt list_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ "json", NULL, OPT_BOOL, O(json), 0, NULL, NULL, "print a JSON array",
	    0, 0 },
	{ NULL },
};

static const struct opt delete_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ "now", NULL, OPT_BOOL, O(now), 0, NULL, NULL,
	    "delete its objects too, at once, but those that others need", 0,
	    0 },
	{ "max-share", NULL, OPT_U64, O(max_share), 0, NULL, "PERCENT",
	    "with --now, stop when more of all live objects would go "
	    "(default: the worker's)",
	    1, 100 },
	{ "no-wait", NULL, OPT_BOOL, O(no_wait), 0, NULL, NULL,
	    "do not wait for the end", 0, 0 },
	{ NULL },
};

/* ---- list ---- */

static void
print_row(const struct closure_entry *c)
{
	char age[PRINT_SPAN_MAX], size[NUM_SIZE_MAX] = "-";
	char objects[NUM_SIZE_MAX] = "-";

	if (c->objects > 0) {
		num_fmt_size(size, c->bytes);
		snprintf(objects, sizeof objects, "%llu",
		    (unsigned long long)c->objects);
	}
	printf("%5s %10s %9s  ", print_age(age, c->updated_at), size, objects);
	print_text(c->store_path);
	for (size_t i = 0; i < c->pins.n; i++) {
		fputs(i == 0 ? "  pinned: " : ", ", stdout);
		print_text(c->pins.items[i]);
	}
	putchar('\n');
}

/* One page; *after gets the cursor of the next one, "" at the end. */
static int
print_page(struct action_run *r, char after[API_CURSOR_MAX + 1],
    size_t *printed, struct err *e)
{
	const struct config *c = r->config;
	struct closure_list page;
	char path[64 + API_CURSOR_MAX];

	snprintf(path, sizeof path, "/api/v2/closures?limit=%d%s%s", PAGE,
	    after[0] != '\0' ? "&after=" : "", after);
	if (remote_call(r->conn,
	        &(struct remote_call){
	            .method = "GET",
	            .path = path,
	            .reply_desc = &closure_list_desc,
	            .reply = &page,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        r->a, e) != 0)
		return -1;
	for (size_t i = 0; i < page.closures.n; i++) {
		const struct closure_entry *entry = &page.closures.items[i];

		if (!c->json) {
			if ((*printed)++ == 0)
				printf("%5s %10s %9s  %s\n", "AGE", "SIZE",
				    "OBJECTS", "STORE PATH");
			print_row(entry);
		} else if (print_item(printed, &closure_entry_desc, entry, e) !=
		    0) {
			return -1;
		}
	}
	if (page.next != NULL &&
	    strspn(page.next, "0123456789-") != strlen(page.next))
		return err_set(e, ERR_VERSION, "the cursor is malformed");
	snprintf(after, API_CURSOR_MAX + 1, "%s",
	    page.next != NULL ? page.next : "");
	return 0;
}

static int
list(struct action_run *r, struct err *e)
{
	const struct config *c = r->config;
	char after[API_CURSOR_MAX + 1] = "";
	size_t printed = 0;

	do {
		arena_reset(r->a);
		if (print_page(r, after, &printed, e) != 0)
			return -1;
	} while (after[0] != '\0');
	if (c->json)
		print_items_end(printed);
	else if (printed == 0)
		puts("No closures found");
	return 0;
}

/* ---- delete ---- */

/* The path of the API: a name may have a "?" in it. */
static int
path_of(const char *base, struct arena *a, const char **out, struct err *e)
{
	struct buf path;
	int rc;

	buf_init(&path, URL_PATH_MAX);
	rc = buf_puts(&path, "/api/v2/closures/", e);
	if (rc == 0)
		rc = http_escape(&path, base, strlen(base), 0, e);
	if (rc == 0 && (*out = arena_str(a, buf_str(&path))) == NULL)
		rc = arena_full(a, e);
	buf_done(&path);
	return rc;
}

/* How many objects it needs; 0 when that is not known. It may be gone as a
 * closure and not yet as an object. */
static int
count_objects(
    struct action_run *r, const char *path, uint64_t *n, struct err *e)
{
	struct closure_entry entry;

	*n = 0;
	if (remote_call(r->conn,
	        &(struct remote_call){
	            .method = "GET",
	            .path = path,
	            .reply_desc = &closure_entry_desc,
	            .reply = &entry,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        r->a, e) == 0)
		*n = entry.objects;
	else if (e->kind == ERR_NOT_FOUND)
		err_clear(e);
	else
		return -1;
	return 0;
}

/* Has the run queued; waits while another one is under way. */
static int
ask(struct action_run *r, const char *closure, struct gc_status *out,
    struct err *e)
{
	const struct config *c = r->config;
	deadline_t patience = deadline_in(BUSY_MS);
	uint64_t busy = 0, told = 0;
	char path[URL_PATH_MAX + 64];

	snprintf(path, sizeof path, "%s?now=%s&max_share=%d", closure,
	    c->now ? "true" : "false", (int)c->max_share);
	while (remote_call(r->conn,
	           &(struct remote_call){
	               .method = "DELETE",
	               .path = path,
	               .reply_desc = &gc_status_desc,
	               .reply = out,
	               .busy = &busy,
	               .deadline = deadline_in(REMOTE_CALL_MS),
	           },
	           r->a, e) != 0) {
		if (e->kind != ERR_CONFLICT || busy == 0 ||
		    deadline_left(patience) == 0)
			return -1;
		if (busy != told)
			log_info("Waiting for the garbage collection that is "
			         "under way",
			    LOG_U("run", busy));
		told = busy;
		clock_sleep(AGAIN_MS, patience);
		err_clear(e);
	}
	return 0;
}

/* What S3 refused to delete is still there, which is what matters here. */
static int
tell_deleted(const struct config *c, const char *base, uint64_t objects,
    const struct gc_status *s, struct err *e)
{
	char size[NUM_SIZE_MAX];
	uint64_t kept = 0;

	if (!c->now) {
		log_info("Deleted closure", LOG_S("path", base));
		log_info("What only it needed goes with the garbage "
		         "collections to come");
		return 0;
	}
	if (objects > s->objects_deleted)
		kept = objects - s->objects_deleted;
	log_info("Deleted closure", LOG_S("path", base),
	    LOG_U("objects-deleted", s->objects_deleted),
	    LOG_S("bytes-deleted", num_fmt_size(size, s->bytes_deleted)),
	    LOG_U("objects-kept", kept),
	    LOG_U("objects-failed-to-delete", s->objects_failed));
	if (kept > 0)
		log_info("What was kept is needed elsewhere, or goes when its "
		         "grace is over");
	if (s->objects_failed == 0)
		return 0;
	err_set(e, ERR_UNAVAILABLE, "delete %s: S3 did not delete %llu objects",
	    base, (unsigned long long)s->objects_failed);
	return err_hint(e, "the log of niks3-gc tells why; then run it again");
}

static int
delete_one(struct action_run *r, const char *base, struct err *e)
{
	const struct config *c = r->config;
	const char *path;
	struct gc_status s;
	uint64_t objects = 0;

	if (path_of(base, r->a, &path, e) != 0 ||
	    (c->now && count_objects(r, path, &objects, e) != 0) ||
	    ask(r, path, &s, e) != 0)
		return -1;
	log_info("Deleting closure", LOG_S("path", base), LOG_U("run", s.id));
	if (c->no_wait)
		return 0;
	if (gcrun_follow(r->conn, s.id, r->a, &s, e) != 0)
		return err_prefix(e, "delete %s", base);
	return tell_deleted(c, base, objects, &s, e);
}

static int
drop(struct action_run *r, struct err *e)
{
	const char **bases = arena_array(r->a, r->nargs, sizeof *bases);

	/* All names are right before anything is deleted. */
	if (bases == NULL)
		return arena_full(r->a, e);
	for (size_t i = 0; i < r->nargs; i++)
		if (storearg_base(r->args[i], r->a, &bases[i], e) != 0)
			return -1;
	for (size_t i = 0; i < r->nargs; i++)
		if (delete_one(r, bases[i], e) != 0)
			return -1;
	return 0;
}

static const struct action actions[] = {
	{ NULL, list,
	    { "niks3 closures", "niks3 closures [delete PATH...] [OPTION]...",
	        "Lists what was pushed, the oldest first.", list_options, 0,
	        0 } },
	{ "delete", drop,
	    { "niks3 closures delete",
	        "niks3 closures delete [OPTION]... PATH...",
	        "Takes closures away, whatever their age. What others need "
	        "stays.",
	        delete_options, 1, SIZE_MAX } },
};

const struct action_set closures_actions = {
	.actions = actions,
	.n = sizeof actions / sizeof actions[0],
	.config_size = sizeof(struct config),
	.memory = MEMORY_MAX,
};

int
command_closures(int argc, char **argv)
{
	return action_main(&closures_actions, argc, argv);
}
