/*
 * niks3 why: what keeps a path, or any object, in the cache; or that nothing
 * does, and when it will go.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/http/client.h"
#include "../../proto/bodies.h"
#include "action.h"
#include "command.h"
#include "print.h"
#include "storearg.h"

#define MEMORY_MAX ((size_t)16 << 20)
#define QUERY_MAX  ((size_t)8 << 10)

struct config {
	struct action_config base;
	int json;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ "json", NULL, OPT_BOOL, O(json), 0, NULL, NULL, "print a JSON object",
	    0, 0 },
	{ NULL },
};

/* ---- in words ---- */

static void
print_keeper(const struct keeper *k)
{
	char age[PRINT_SPAN_MAX];

	fputs("  ", stdout);
	print_text(k->kind);
	if (k->name != NULL) {
		putchar(' ');
		print_text(k->name);
	}
	if (k->store_path != NULL) {
		putchar(' ');
		print_text(k->store_path);
	}
	if (k->updated_at != NULL)
		printf(", %s %s ago",
		    k->lease_until != NULL ? "begun" : "pushed",
		    print_age(age, k->updated_at));
	if (k->lease_until != NULL) {
		fputs(", its lease ends at ", stdout);
		print_when(k->lease_until);
	}
	if (k->until != NULL) {
		fputs(print_time(k->until) > clock_wall_us()
		        ? ", runs out at "
		        : ", has run out at ",
		    stdout);
		print_when(k->until);
	}
	putchar('\n');
}

static void
print_kept(const struct why_reply *w)
{
	puts("kept by");
	for (size_t i = 0; i < w->keepers.n; i++)
		print_keeper(&w->keepers.items[i]);
	if (w->nkeepers > w->keepers.n)
		printf("  and %llu more\n",
		    (unsigned long long)(w->nkeepers - w->keepers.n));
	if (w->chain.n < 2)
		return;
	puts("by the references");
	for (size_t i = 0; i < w->chain.n; i++) {
		fputs("  ", stdout);
		print_text(w->chain.items[i]);
		putchar('\n');
	}
}

/* Nothing keeps it. */
static void
print_fate(const struct why_reply *w)
{
	char text[NUM_DURATION_MAX];

	if (strcmp(w->state, "deleting") == 0) {
		puts("nothing keeps it: it is being deleted just now");
	} else if (strcmp(w->state, "pending") == 0) {
		puts("nothing keeps it: an upload that ended left it, and it "
		     "goes as soon as nobody may write it any more");
	} else if (w->run == 0) {
		puts("nothing keeps it: a garbage collection will delete it, "
		     "but there was none yet");
	} else if (w->due == NULL) {
		printf("nothing keeps it: the next garbage collection marks "
		       "it, and it goes %s after that\n",
		    num_fmt_duration(text, w->pending_older_than_s * 1000000));
	} else if (print_time(w->due) > clock_wall_us()) {
		fputs("nothing keeps it: it goes with the first garbage "
		      "collection after ",
		    stdout);
		print_when(w->due);
		putchar('\n');
	} else {
		puts("nothing keeps it: it goes with the next garbage "
		     "collection");
	}
}

static void
print_why(const char *name, const struct why_reply *w)
{
	print_text(name);
	fputs(": ", stdout);
	print_text(w->state);
	if (w->first_at != NULL) {
		fputs(" since ", stdout);
		print_when(w->first_at);
	}
	putchar('\n');
	if (w->nkeepers > 0)
		print_kept(w);
	else
		print_fate(w);
}

/* ---- */

static int
why(struct action_run *r, struct err *e)
{
	const struct config *c = r->config;
	struct why_reply reply;
	struct buf path;
	const char *key;
	int rc;

	if (storearg_key(r->args[0], r->a, &key, e) != 0)
		return -1;
	buf_init(&path, QUERY_MAX);
	rc = buf_puts(&path, "/api/v2/why?key=", e);
	if (rc == 0)
		rc = http_escape(&path, key, strlen(key), 0, e);
	if (rc == 0)
		rc = remote_call(r->conn,
		    &(struct remote_call){
		        .method = "GET",
		        .path = buf_str(&path),
		        .reply_desc = &why_reply_desc,
		        .reply = &reply,
		        .deadline = deadline_in(REMOTE_CALL_MS),
		    },
		    r->a, e);
	buf_done(&path);
	if (rc != 0)
		return -1;
	if (c->json)
		return print_json(&why_reply_desc, &reply, e);
	print_why(r->args[0], &reply);
	return 0;
}

static const struct action actions[] = {
	{ NULL, why,
	    { "niks3 why", "niks3 why [OPTION]... PATH",
	        "Tells what keeps a store path, or any key of the bucket, in "
	        "the cache.",
	        options, 1, 1 } },
};

const struct action_set why_actions = {
	.actions = actions,
	.n = sizeof actions / sizeof actions[0],
	.config_size = sizeof(struct config),
	.memory = MEMORY_MAX,
};

int
command_why(int argc, char **argv)
{
	return action_main(&why_actions, argc, argv);
}
