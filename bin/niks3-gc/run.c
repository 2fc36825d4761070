/* The phases of a run, in order. */
#include <stdio.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/reap.h"
#include "gc.h"

static int
leftovers(struct gc *g, struct gcrun *r, struct err *e)
{
	return reap_leftovers(g, r->id, r, e);
}

static int
expire_closures(struct gc *g, struct gcrun *r, struct err *e)
{
	unsigned tries = 0;
	uint64_t n;
	int rc;

	do {
		n = 0;
		err_clear(e);
		rc = gc_check(g, e);
		if (rc == 0)
			rc = reap_closures(
			    g->db, r->params.older_than_us, &n, e);
		r->old_closures_deleted += n;
	} while (rc == 0 ? n > 0 : gc_again(&tries, e));
	return rc;
}

static int
pending(struct gc *g, struct gcrun *r, struct err *e)
{
	return reap_pending(g, r->id, r, e);
}

static int
history(struct gc *g, struct gcrun *r, struct err *e)
{
	(void)r;
	return reap_history(g->db, e);
}

static const struct phase {
	const char *name;
	int (*run)(struct gc *g, struct gcrun *r, struct err *e);
} phases[] = {
	{ "finish-deletes", leftovers },
	{ "expire-uploads", uploads_expire },
	{ "expire-closures", expire_closures },
	{ "mark", mark },
	{ "delete-pending", pending },
	{ "delete-tombstones", reap_tombstones },
	{ "tidy", history },
};

int
run_all(struct gc *g, struct gcrun *r, struct err *e)
{
	for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
		int64_t began = clock_mono_us();

		r->phase = phases[i].name;
		service_status("run %lld: %s", (long long)r->id, r->phase);
		if (gc_check(g, e) != 0 || gcruns_progress(g->db, r, e) != 0 ||
		    phases[i].run(g, r, e) != 0)
			return err_prefix(e, "%s", r->phase);
		log_info("phase done", LOG_I("run", r->id),
		    LOG_S("phase", r->phase),
		    LOG_T("took", clock_mono_us() - began));
	}
	r->phase = "";
	return 0;
}
