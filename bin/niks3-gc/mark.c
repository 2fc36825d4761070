/*
 * Marking: reads the graph of all objects once, then tombstones what no root
 * reaches and revives what one does, in short batches.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/expire.h"
#include "../../libcommon/db/graph.h"
#include "../../libcommon/db/reap.h"
#include "gc.h"

/* Objects under the roots lock at once, for some 10 ms; and fewer, with a rest
 * after each, until nobody has pushed for so long. */
#define BATCH         2000
#define BATCH_BUSY    1000
#define BUSY_MS       1000
#define REST_MS       1
#define REPORT_MEMORY ((size_t)256 << 20)

/* ---- reading ---- */

/*
 * A mistake in a number, or in a clock, must not empty a cache: nothing is
 * changed yet.
 */
static int
guard(const struct gc *g, const struct gcrun *r, uint64_t going, struct err *e)
{
	int64_t max = r->params.max_share == GCRUN_SHARE_DEFAULT
	    ? g->max_share
	    : r->params.max_share;
	uint64_t live = r->objects_live, share;

	if (going <= (uint64_t)g->share_floor || going * 100 <= live * max)
		return 0;
	share = (going * 100 + live - 1) / live;
	err_set(e, ERR_CONFLICT,
	    "%" PRIu64 " of %" PRIu64 " live objects would go, which is "
	    "%" PRIu64 " %%: more than the %" PRId64 " %% that one run may "
	    "take; %s",
	    going, live, share, max,
	    r->params.kind == GCRUN_COLLECT
	        ? "nothing was changed"
	        : "the closure is taken away, its objects are still there");
	return err_hint(e, "%sif that is right, add --max-share=%" PRIu64,
	    r->params.kind == GCRUN_COLLECT ? "look at it with --dry-run; "
	                                    : "",
	    share < 100 ? share : 100);
}

/* By the clock that started the run, so that a worker that takes it over means
 * the same. */
static int64_t
aged(const struct gcrun *r, int64_t age_us)
{
	return r->started_us > age_us ? r->started_us - age_us : 1;
}

/*
 * That it is not there is no error of a run, or of a second one, whose first
 * batch took it: what had to go with it is marked.
 */
static int
plan_purge(struct gc *g, const struct gcrun *r, struct err *e)
{
	int64_t id, due, bytes;

	if (reap_object_id(g->db, r->params.target, &id, e) == 0 &&
	    graph_purge(g->graph, id, &g->purge, &g->npurge, e) == 0)
		return 0;
	if (e->kind != ERR_NOT_FOUND ||
	    reap_due(g->db, REAP_AT_ONCE, &due, &bytes, NULL) != 0 ||
	    (due == 0 && !r->resumed))
		return -1;
	err_clear(e);
	return 0;
}

int
mark_read(struct gc *g, struct gcrun *r, struct err *e)
{
	struct graph_roots roots = { 0 };
	const int64_t *ids;
	int64_t began;

	if (r->params.kind != GCRUN_DELETE)
		roots.closures_until_us = aged(r, r->params.older_than_us);
	if (r->params.kind == GCRUN_DRY_RUN)
		roots.leases_until_us =
		    aged(r, r->params.pending_older_than_us);
	if (gc_graph_enter(deadline_in(GC_QUERY_MS), e) != 0)
		return -1;
	db_deadline(g->db, deadline_in(GC_QUERY_MS));
	began = clock_mono_us();
	if (graph_load(g->db, &roots, &g->graph, e) != 0) {
		gc_graph_leave();
		return -1;
	}
	r->objects_live = graph_live(g->graph);
	r->objects_garbage = graph_garbage(g->graph, &ids);
	log_info("graph read", LOG_T("took", clock_mono_us() - began),
	    LOG_U("objects", graph_objects(g->graph)),
	    LOG_I("live", r->objects_live),
	    LOG_I("garbage", r->objects_garbage),
	    LOG_U("bytes", graph_memory(g->graph)));
	if (graph_dangling(g->graph) > 0)
		log_error("live objects refer to objects that have no row",
		    LOG_U("references", graph_dangling(g->graph)));
	if (r->params.kind == GCRUN_DRY_RUN)
		return 0;
	if (r->params.kind == GCRUN_COLLECT)
		return guard(g, r, r->objects_garbage, e);
	if (plan_purge(g, r, e) != 0)
		return -1;
	/* All garbage is marked, to be deleted after its grace. */
	return guard(g, r,
	    g->npurge > (uint64_t)r->objects_garbage ? g->npurge
	                                             : r->objects_garbage,
	    e);
}

/* Others may read one now. */
static void
free_graph(struct gc *g)
{
	if (g->graph == NULL)
		return;
	graph_free(g->graph);
	g->graph = NULL;
	gc_graph_leave();
}

void
mark_done(struct gc *g)
{
	free_graph(g);
	free(g->purge);
	g->purge = NULL;
	g->npurge = 0;
}

/* ---- writing ---- */

/* One batch: n from there on in a list. */
typedef int batch_fn(struct gc *g, const struct gcrun *r, size_t from, size_t n,
    uint64_t *done, struct err *e);

static int
with_patience(struct gc *g, const struct gcrun *r, batch_fn *fn, size_t from,
    size_t n, uint64_t *done, struct err *e)
{
	unsigned tries = 0;
	int rc;

	do {
		err_clear(e);
		rc = gc_check(g, e);
		if (rc == 0)
			rc = fn(g, r, from, n, done, e);
	} while (rc != 0 && gc_again(&tries, e));
	return rc;
}

/* Grows while uploads are under way; of a graph that is freed, nobody knows. */
static uint64_t
roots_seen(const struct gc *g)
{
	return g->graph != NULL ? graph_appeared(g->graph) : 0;
}

/* A list of n. *done, if not NULL, gets how many were changed. */
static int
in_batches(struct gc *g, const struct gcrun *r, batch_fn *fn, size_t n,
    uint64_t *done, struct err *e)
{
	uint64_t sum = 0, seen = roots_seen(g);
	deadline_t busy = 0;
	size_t some;

	for (size_t i = 0; i < n; i += some) {
		size_t most = deadline_left(busy) > 0 ? BATCH_BUSY : BATCH;
		uint64_t one;

		some = n - i < most ? n - i : most;
		if (with_patience(g, r, fn, i, some, &one, e) != 0)
			return -1;
		sum += one;
		if (roots_seen(g) > seen)
			busy = deadline_in(BUSY_MS);
		seen = roots_seen(g);
		if (deadline_left(busy) > 0)
			clock_sleep(REST_MS, busy);
	}
	if (done != NULL)
		*done = sum;
	return 0;
}

static int
expire(struct gc *g, const struct gcrun *r, size_t from, size_t n,
    uint64_t *done, struct err *e)
{
	const int64_t *ids;

	graph_expiring(g->graph, &ids);
	return graph_expire(g->db, g->graph, ids + from, n,
	    aged(r, r->params.older_than_us), r->id, done, e);
}

static int
revive(struct gc *g, const struct gcrun *r, size_t from, size_t n,
    uint64_t *done, struct err *e)
{
	const int64_t *ids;

	graph_revivable(g->graph, &ids);
	return graph_revive(g->db, g->graph, ids + from, n, r->id, done, e);
}

static int
tombstone(struct gc *g, const struct gcrun *r, size_t from, size_t n,
    uint64_t *done, struct err *e)
{
	return graph_tombstone(g->db, g->graph, from, n, r->id, done, e);
}

int
mark_expire(struct gc *g, struct gcrun *r, struct err *e)
{
	const int64_t *ids;

	return in_batches(
	    g, r, expire, graph_expiring(g->graph, &ids), NULL, e);
}

int
mark_tombstones(struct gc *g, struct gcrun *r, struct err *e)
{
	const int64_t *ids;
	size_t n = graph_revivable(g->graph, &ids);
	uint64_t done;

	do
		if (in_batches(g, r, revive, n, &done, e) != 0)
			return -1;
	while (done > 0);
	n = graph_garbage(g->graph, &ids);
	if (in_batches(g, r, tombstone, n, NULL, e) != 0)
		return -1;
	free_graph(g);
	return 0;
}

static int
hasten(struct gc *g, const struct gcrun *r, size_t from, size_t n,
    uint64_t *done, struct err *e)
{
	(void)r;
	*done = 0;
	return graph_hasten(g->db, g->purge + from, n, e);
}

int
mark_at_once(struct gc *g, struct gcrun *r, struct err *e)
{
	return in_batches(g, r, hasten, g->npurge, NULL, e);
}

/* ---- the report of a dry run ---- */

int
mark_report(struct gc *g, struct gcrun *r, struct err *e)
{
	struct arena *a = arena_new(REPORT_MEMORY);
	struct graph_report report;
	struct gcrun_root *roots = NULL;
	struct gcrun_tally t = { 0 };
	const int64_t *ids;
	int64_t now;
	int rc = -1;

	db_deadline(g->db, deadline_in(GC_QUERY_MS));
	if (expire_uploads_due(g->db, r->params.pending_older_than_us,
	        &t.failed_uploads_deleted, e) != 0 ||
	    reap_clock(g->db, &now, e) != 0 ||
	    reap_due(g->db,
	        r->params.force ? now : now - r->params.pending_older_than_us,
	        &r->objects_due, &r->bytes_due, e) != 0 ||
	    graph_report(g->db, g->graph, a, &report, e) != 0)
		goto out;
	roots = arena_array(a, report.nroots, sizeof *roots);
	if (roots == NULL) {
		arena_full(a, e);
		goto out;
	}
	for (size_t i = 0; i < report.nroots; i++) {
		const struct graph_root *root = &report.roots[i];

		roots[i] = (struct gcrun_root){
			.object_id = root->id,
			.store_path =
			    root->store_path != NULL ? root->store_path : "",
			.updated_us = root->updated_us,
			.objects = root->objects,
			.bytes = root->bytes,
		};
	}
	r->objects_garbage = report.objects;
	r->bytes_garbage = report.bytes;
	t.old_closures_deleted = graph_expiring(g->graph, &ids);
	free_graph(g);
	rc = gcruns_set_roots(g->db, r->id, roots, report.nroots, &t, e);
out:
	arena_free(a);
	return rc;
}
