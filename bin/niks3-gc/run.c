/* The phases of a run, in order. */
#include <stdio.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/metric.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/expire.h"
#include "../../libcommon/db/vacuum.h"
#include "../../proto/metrics.h"
#include "gc.h"

#define LARGE_RUN  10000 /* objects: after so many, tables are vacuumed */
#define RUN_MEMORY ((size_t)1 << 20)

static int
leftovers(struct gc *g, struct gcrun *r, struct err *e)
{
	return reap_leftovers(g, r->id, e);
}

/* Of a run that was taken over, the closure may be gone already; and what it
 * held can go at once though it was taken away before. */
static int
delete_closure(struct gc *g, struct gcrun *r, struct err *e)
{
	const char *key = r->params.target;
	char pin[EXPIRE_PIN_MAX] = "";
	unsigned tries = 0;
	uint64_t n = 0;
	int rc;

	do {
		err_clear(e);
		rc = gc_check(g, e);
		if (rc == 0)
			rc = expire_closure(g->db, key, r->id, &n, pin, e);
	} while (rc != 0 && gc_again(&tries, e));
	if (rc != 0)
		return -1;
	if (pin[0] != '\0') {
		err_set(e, ERR_CONFLICT, "%s is pinned as %s", key, pin);
		return err_hint(e, "run first: niks3 pins delete %s", pin);
	}
	if (n > 0 || r->resumed || r->params.at_once)
		return 0;
	return err_set(
	    e, ERR_NOT_FOUND, "%s belongs to no closure that was pushed", key);
}

static int
pending(struct gc *g, struct gcrun *r, struct err *e)
{
	return reap_pending(g, r->id, e);
}

/* Nothing depends on a vacuum. */
static int
tidy(struct gc *g, struct gcrun *r, struct err *e)
{
	struct arena *a = arena_new(RUN_MEMORY);
	struct gcrun done;
	struct err why;
	int rc = -1;

	if (expire_history(g->db, e) == 0 && gcruns_prune(g->db, e) == 0 &&
	    gcruns_get(g->db, r->id, a, &done, e) == 0)
		rc = 0;
	arena_free(a);
	if (rc != 0 || done.objects_marked + done.objects_deleted < LARGE_RUN)
		return rc;
	db_deadline(g->db, deadline_in(GC_QUERY_MS));
	if (vacuum_large(g->db, &why) != 0)
		log_err(LOG_LEVEL_WARN, "not vacuumed", &why);
	return 0;
}

enum {
	COLLECT = 1 << GCRUN_COLLECT,
	DRY_RUN = 1 << GCRUN_DRY_RUN,
	DELETE = 1 << GCRUN_DELETE,
	AT_ONCE = 1 << (GCRUN_DELETE + 1), /* with all that only it needs */
};

static const struct phase {
	enum gc_phase id;
	int (*run)(struct gc *g, struct gcrun *r, struct err *e);
	unsigned runs; /* of what kind it is a part */
} phases[] = {
	{ GC_PHASE_FINISH_DELETES, leftovers, COLLECT | AT_ONCE },
	{ GC_PHASE_EXPIRE_UPLOADS, uploads_expire, COLLECT },
	{ GC_PHASE_DELETE_CLOSURE, delete_closure, DELETE | AT_ONCE },
	{ GC_PHASE_READ, mark_read, COLLECT | DRY_RUN | AT_ONCE },
	{ GC_PHASE_REPORT, mark_report, DRY_RUN },
	{ GC_PHASE_EXPIRE_CLOSURES, mark_expire, COLLECT },
	{ GC_PHASE_MARK, mark_tombstones, COLLECT | AT_ONCE },
	{ GC_PHASE_MARK_AT_ONCE, mark_at_once, AT_ONCE },
	{ GC_PHASE_DELETE_AT_ONCE, reap_at_once, AT_ONCE },
	{ GC_PHASE_DELETE_PENDING, pending, COLLECT },
	{ GC_PHASE_DELETE_TOMBSTONES, reap_tombstones, COLLECT },
	{ GC_PHASE_TIDY, tidy, COLLECT | DRY_RUN | DELETE | AT_ONCE },
};

static unsigned
kind(const struct gcrun_params *p)
{
	return p->kind == GCRUN_DELETE && p->at_once ? AT_ONCE : 1u << p->kind;
}

static int
run_phase(struct gc *g, struct gcrun *r, const struct phase *p, struct err *e)
{
	int64_t began = clock_mono_us(), took;

	r->phase = gc_phase_name(p->id);
	service_status("run %lld: %s", (long long)r->id, r->phase);
	if (gc_check(g, e) != 0 || gcruns_progress(g->db, r, e) != 0 ||
	    p->run(g, r, e) != 0)
		return -1;
	took = clock_mono_us() - began;
	metric_observe(g->metrics, DAEMON_GC_PHASE_TIME, AT(p->id), took);
	log_info("phase done", LOG_I("run", r->id), LOG_S("phase", r->phase),
	    LOG_T("took", took));
	return 0;
}

int
run_all(struct gc *g, struct gcrun *r, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof phases / sizeof phases[0]; i++)
		if (phases[i].runs & kind(&r->params))
			rc = run_phase(g, r, &phases[i], e);
	mark_done(g);
	if (rc == 0)
		r->phase = "";
	return rc;
}
