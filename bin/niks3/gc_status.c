/* niks3 gc status and niks3 gc history: runs that are, and that were. */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/num.h"
#include "gcrun.h"
#include "print.h"
#include "remote.h"

#define PAGE_MEMORY ((size_t)16 << 20) /* API_RUNS_MAX runs with their errors */

/* How long it took, or takes by now; "-" when it has not begun. */
static const char *
took(char out[PRINT_SPAN_MAX], const struct gc_status *s)
{
	int64_t from = print_time(s->started_at);
	int64_t to = print_time(s->finished_at);

	if (from < 0)
		return "-";
	return print_span(
	    out, ((to < 0 ? clock_wall_us() : to) - from) / 1000000);
}

/* ---- one ---- */

static void
print_figure(const char *name, uint64_t n)
{
	printf("%-24s%llu\n", name, (unsigned long long)n);
}

static void
print_field(const char *name, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	printf("%-24s", name);
	print_text(text);
	putchar('\n');
}

static void
print_moment(const char *name, const char *rfc3339)
{
	if (rfc3339 == NULL)
		return;
	printf("%-24s", name);
	print_when(rfc3339);
	putchar('\n');
}

static void
print_bytes(const char *name, uint64_t n)
{
	char size[NUM_SIZE_MAX];

	print_field(name, num_fmt_size(size, n));
}

static void
print_duration(const char *name, uint64_t seconds)
{
	char text[NUM_DURATION_MAX];

	print_field(name, num_fmt_duration(text, seconds * 1000000));
}

static void
print_run(const struct gc_status *s)
{
	int is_delete = strcmp(s->kind, "delete") == 0;
	int is_dry = strcmp(s->kind, "dry-run") == 0;
	char span[PRINT_SPAN_MAX];

	print_figure("run", s->id);
	print_field("kind", s->kind);
	print_field("state", s->state);
	print_field("phase", s->phase);
	print_field("error", s->error);
	print_field("hint", s->error_hint);
	print_moment("asked at", s->created_at);
	print_moment("started at", s->started_at);
	print_moment("finished at", s->finished_at);
	print_field("took", took(span, s));
	if (is_delete) {
		print_field("target", s->target);
		print_field("objects at once", s->at_once ? "yes" : "no");
	} else {
		print_duration("older than", s->older_than_s);
		print_duration("pending older than", s->pending_older_than_s);
		print_field("force", s->force ? "yes" : "no");
		if (s->max_share > 0)
			print_figure("max share (per cent)", s->max_share);
	}
	print_figure("objects live", s->objects_live);
	print_figure("objects not needed", s->objects_garbage);
	if (is_dry) {
		print_bytes("bytes not needed", s->bytes_garbage);
		print_figure("objects due", s->objects_due);
		print_bytes("bytes due", s->bytes_due);
		print_figure("closures that expire", s->old_closures_deleted);
		return;
	}
	print_figure("uploads ended", s->failed_uploads_deleted);
	print_figure("closures deleted", s->old_closures_deleted);
	print_figure("objects marked", s->objects_marked);
	print_figure("objects revived", s->objects_revived);
	print_figure("objects deleted", s->objects_deleted);
	print_bytes("bytes deleted", s->bytes_deleted);
	print_figure("objects not deleted", s->objects_failed);
}

int
gcrun_print_status(struct remote_conn *conn, uint64_t id, int json,
    struct arena *a, struct err *e)
{
	struct gc_status s;

	if (gcrun_get(conn, id, a, &s, e) != 0)
		return -1;
	if (json)
		return print_json(&gc_status_desc, &s, e);
	print_run(&s);
	if (strcmp(s.kind, "dry-run") != 0 || strcmp(s.state, "succeeded") != 0)
		return 0;
	putchar('\n');
	return gcrun_print_plan(conn, s.id, 0, a, e);
}

/* ---- many ---- */

static void
print_line(const struct gc_status *s)
{
	char age[PRINT_SPAN_MAX], span[PRINT_SPAN_MAX], size[NUM_SIZE_MAX];
	int is_dry = strcmp(s->kind, "dry-run") == 0;

	printf("%6llu  %-8s %-10s %5s %5s %8llu %9llu %9llu %10s\n",
	    (unsigned long long)s->id, s->kind, s->state,
	    print_age(age, s->created_at), took(span, s),
	    (unsigned long long)s->old_closures_deleted,
	    (unsigned long long)(is_dry ? s->objects_garbage
	                                : s->objects_marked),
	    (unsigned long long)s->objects_deleted,
	    num_fmt_size(size, is_dry ? s->bytes_garbage : s->bytes_deleted));
	if (s->error != NULL) {
		printf("        ");
		print_text(s->error);
		putchar('\n');
	}
}

/* Prints at most limit runs before *before, which gets the last one. */
static int
print_page(struct remote_conn *conn, uint64_t *before, uint64_t limit, int json,
    size_t *printed, struct arena *a, struct err *e)
{
	struct gc_history page;
	char path[96];

	if (limit > API_RUNS_MAX)
		limit = API_RUNS_MAX;
	snprintf(path, sizeof path, "/api/v2/gc?limit=%llu&before=%llu",
	    (unsigned long long)limit, (unsigned long long)*before);
	if (remote_call(conn,
	        &(struct remote_call){
	            .method = "GET",
	            .path = path,
	            .reply_desc = &gc_history_desc,
	            .reply = &page,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        a, e) != 0)
		return -1;
	for (size_t i = 0; i < page.runs.n; i++) {
		const struct gc_status *s = &page.runs.items[i];

		*before = s->id;
		if (!json) {
			if ((*printed)++ == 0)
				printf(
				    "   RUN  KIND     STATE        AGE  TOOK "
				    "CLOSURES    MARKED   DELETED      "
				    "BYTES\n");
			print_line(s);
		} else if (print_item(printed, &gc_status_desc, s, e) != 0) {
			return -1;
		}
	}
	return page.runs.n == limit;
}

int
gcrun_print_history(
    struct remote_conn *conn, uint64_t limit, int json, struct err *e)
{
	struct arena *a = arena_new(PAGE_MEMORY);
	uint64_t before = 0;
	size_t printed = 0;
	int more = 1;

	while (more > 0 && printed < limit) {
		more = print_page(
		    conn, &before, limit - printed, json, &printed, a, e);
		arena_reset(a);
	}
	arena_free(a);
	if (more < 0)
		return -1;
	if (json)
		print_items_end(printed);
	else if (printed == 0)
		puts("No runs found");
	return 0;
}
