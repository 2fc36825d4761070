/* Objects of pins that may be other than the pins (db/pins.h). */
#include "../../libcommon/db/pins.h"

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/ipc/ipc.h"
#include "gc.h"

#define LIST_MEMORY ((size_t)1 << 20)

static int
write_object(struct gc *g, struct arena *a, const struct pin_write *w,
    int *unsure, struct err *e)
{
	deadline_t d = deadline_in(PINS_WRITE_MS);

	if (w->store_path != NULL) {
		struct pin_put ask = { w->name, w->store_path, 0 };
		struct pin_written written;
		int rc = ipc_call(
		    g->uploader, CALL_pin_put, &ask, a, &written, d, e);

		*unsure = rc != 0 || written.unsure;
		return rc;
	}
	*unsure = 0; /* deleted twice is deleted */
	return ipc_call(g->uploader, CALL_pin_delete,
	    &(struct pin_delete){ .name = w->name }, a, &(struct done){ 0 }, d,
	    e);
}

/* One that could not be written stays for the next time. */
int
pins_settle(struct gc *g, struct err *e)
{
	struct arena *a = arena_new(LIST_MEMORY);
	struct pin_write *list;
	struct err why;
	size_t n;
	int rc = pins_unsettled(g->db, a, &list, &n, e);

	for (size_t i = 0; i < n && rc == 0; i++) {
		int unsure;

		if ((rc = gc_check(g, e)) != 0)
			break;
		if (write_object(g, a, &list[i], &unsure, &why) != 0)
			log_err(LOG_LEVEL_WARN, "pin not written", &why);
		else
			rc = pins_settled(g->db, &list[i], unsure, e);
	}
	arena_free(a);
	return rc;
}
