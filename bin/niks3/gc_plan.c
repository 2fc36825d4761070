/* What a dry run found: what would go with each closure. */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/num.h"
#include "gcrun.h"
#include "print.h"
#include "remote.h"

static void
print_row(uint64_t bytes, uint64_t objects, const char *age, const char *what)
{
	char size[NUM_SIZE_MAX];

	printf("%10s  %9llu  %11s  ", num_fmt_size(size, bytes),
	    (unsigned long long)objects, age);
	print_text(what);
	putchar('\n');
}

static void
print_table(const struct gc_plan *plan)
{
	const struct gc_status *run = &plan->run;
	uint64_t objects = run->objects_garbage, bytes = run->bytes_garbage;
	char age[PRINT_SPAN_MAX], text[128];
	size_t closures = 0;

	printf("%10s  %9s  %11s  %s\n", "SIZE", "OBJECTS", "LAST PUSHED",
	    "STORE PATH");
	for (size_t i = 0; i < plan->roots.n; i++) {
		const struct gc_root *root = &plan->roots.items[i];

		print_row(root->bytes, root->objects,
		    print_age(age, root->updated_at),
		    root->store_path != NULL ? root->store_path
		                             : "(nothing needs it already)");
		closures += root->store_path != NULL;
		objects -= root->objects < objects ? root->objects : objects;
		bytes -= root->bytes < bytes ? root->bytes : bytes;
	}
	if (objects > 0)
		print_row(bytes, objects, "-", "(not listed)");
	snprintf(text, sizeof text, "would go, of %llu live objects",
	    (unsigned long long)run->objects_live);
	print_row(run->bytes_garbage, run->objects_garbage, "", text);
	if (run->objects_due > 0)
		print_row(run->bytes_due, run->objects_due, "",
		    "marked by earlier runs, would be deleted now");
	printf("%zu closures%s would expire. Nothing was changed.\n", closures,
	    plan->roots.n == API_GC_ROOTS_MAX ? " and more" : "");
}

int
gcrun_print_plan(struct remote_conn *conn, uint64_t id, int json,
    struct arena *a, struct err *e)
{
	struct gc_plan plan;
	char path[64];

	snprintf(
	    path, sizeof path, "/api/v2/gc/%llu/roots", (unsigned long long)id);
	if (remote_call(conn,
	        &(struct remote_call){
	            .method = "GET",
	            .path = path,
	            .reply_desc = &gc_plan_desc,
	            .reply = &plan,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        a, e) != 0)
		return -1;
	if (json)
		return print_json(&gc_plan_desc, &plan, e);
	print_table(&plan);
	return 0;
}
