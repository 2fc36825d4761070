#include "census.h"

#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/metric.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/gcruns.h"
#include "../../libcommon/db/stats.h"
#include "metrics.h"
#include "ticker.h"

#define EVERY_MS  60000
#define QUERY_MS  5000 /* a stopping server waits for it */
#define RUNS_PAGE 1000
#define MEMORY    ((size_t)8 << 20)

struct census {
	struct db_pool *pool;
	struct metrics *metrics;
	struct ticker *ticker;
	int64_t last_run; /* all up to this one are counted */
	/* Reading all objects takes too long, and is not tried again. */
	int too_large;
};

static void
count_run(struct metrics *m, const struct gcrun *run)
{
	int succeeded = strcmp(run->state, "succeeded") == 0;
	int64_t begun =
	    run->started_us != 0 ? run->started_us : run->created_us;

	if (run->params.kind == GCRUN_DRY_RUN)
		return;
	if (run->params.kind == GCRUN_COLLECT) {
		metric_add(m, SERVER_GC_RUNS, AT(!succeeded), 1);
		metric_observe(
		    m, SERVER_GC_TIME, AT(0), run->finished_us - begun);
		if (succeeded)
			metric_set(m, SERVER_GC_LAST, AT(0), run->finished_us);
	}
	metric_add(m, SERVER_GC_DELETED, AT(0), run->objects_deleted);
	metric_add(m, SERVER_GC_DELETED_BYTES, AT(0), run->bytes_deleted);
	metric_add(m, SERVER_GC_NOT_DELETED, AT(0), run->objects_failed);
	metric_add(m, SERVER_GC_MARKED, AT(0), run->objects_marked);
	metric_add(m, SERVER_GC_CLOSURES, AT(0), run->old_closures_deleted);
	metric_add(m, SERVER_GC_UPLOADS, AT(0), run->failed_uploads_deleted);
}

static int
count_runs(struct census *c, struct db *db, struct err *e)
{
	struct arena *a = arena_new(MEMORY);
	struct gcrun *runs;
	size_t n = 0;
	int rc;

	do {
		arena_reset(a);
		rc = gcruns_finished(
		    db, c->last_run, RUNS_PAGE, a, &runs, &n, e);
		for (size_t i = 0; rc == 0 && i < n; i++) {
			count_run(c->metrics, &runs[i]);
			c->last_run = runs[i].id;
		}
	} while (rc == 0 && n == RUNS_PAGE);
	arena_free(a);
	return rc;
}

static int
count_rows(struct census *c, struct db *db, struct err *e)
{
	struct metrics *m = c->metrics;
	struct stats_census rows;
	struct stats live;

	if (stats_get(db, &live, e) != 0 || stats_census(db, &rows, e) != 0)
		return -1;
	metric_set(m, SERVER_CACHE_OBJECTS, AT(0), live.objects);
	metric_set(m, SERVER_CACHE_STORED, AT(0), live.bytes);
	for (unsigned i = 0; i < STATS_UPLOAD__MAX; i++)
		metric_set(m, SERVER_UPLOADS, AT(i), rows.uploads[i]);
	metric_set(m, SERVER_PENDING_CLOSURES, AT(0), rows.uploads[STATS_OPEN]);
	metric_set(m, SERVER_UPLOADS_OVERDUE, AT(0), rows.overdue);
	metric_set(m, SERVER_CLOSURES, AT(0), rows.closures);
	metric_set(m, SERVER_PINS, AT(0), rows.pins);
	metric_set(m, SERVER_GC_RUNNING, AT(0), rows.running);
	metric_set(m, SERVER_CENSUS_AT, AT(0), clock_wall_us());
	return 0;
}

static int
count_logical(struct census *c, struct db *db, struct err *e)
{
	int64_t bytes;

	if (c->too_large)
		return 0;
	db_deadline(db, deadline_in(QUERY_MS));
	if (stats_logical(db, &bytes, e) != 0) {
		c->too_large = e->kind == ERR_TIMEOUT;
		return err_prefix(e, "niks3_cache_logical_bytes");
	}
	metric_set(c->metrics, SERVER_CACHE_LOGICAL, AT(0), bytes);
	return 0;
}

static void
take(void *ctx)
{
	struct census *c = ctx;
	struct err e = ERR_INIT;
	struct db *db;
	int rc;

	if (db_get(c->pool, deadline_in(QUERY_MS), &db, &e) != 0) {
		log_err(LOG_LEVEL_WARN, "figures not refreshed", &e);
		return;
	}
	rc = count_runs(c, db, &e);
	if (rc == 0)
		rc = count_rows(c, db, &e);
	if (rc == 0)
		rc = count_logical(c, db, &e);
	db_put(c->pool, db);
	if (rc != 0)
		log_err(LOG_LEVEL_WARN, "figures not refreshed", &e);
}

struct census *
census_new(struct db_pool *pool, struct metrics *m)
{
	struct census *c = xcalloc(1, sizeof *c);

	c->pool = pool;
	c->metrics = m;
	c->ticker = ticker_new(EVERY_MS, take, c);
	return c;
}

void
census_free(struct census *c)
{
	if (c == NULL)
		return;
	ticker_free(c->ticker);
	free(c);
}
