/*
 * Marking: reads the graph of all objects once, then tombstones what no root
 * reaches and revives what one does, in short batches.
 */
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/graph.h"
#include "gc.h"

#define BATCH 1000 /* objects under the roots lock at once */

typedef int batch_fn(struct db *db, struct graph *g, const int64_t *ids,
    size_t n, uint64_t *done, struct err *e);

static int
with_patience(struct gc *g, struct graph *graph, batch_fn *fn,
    const int64_t *ids, size_t n, uint64_t *done, struct err *e)
{
	unsigned tries = 0;
	int rc;

	do {
		err_clear(e);
		rc = gc_check(g, e);
		if (rc == 0)
			rc = fn(g->db, graph, ids, n, done, e);
	} while (rc != 0 && gc_again(&tries, e));
	return rc;
}

static int
in_batches(struct gc *g, struct graph *graph, batch_fn *fn, const int64_t *ids,
    size_t n, struct gcrun *r, int64_t *count, struct err *e)
{
	for (size_t i = 0; i < n; i += BATCH) {
		size_t some = n - i < BATCH ? n - i : BATCH;
		uint64_t done;

		if (with_patience(g, graph, fn, ids + i, some, &done, e) != 0)
			return -1;
		*count += done;
		if (i / BATCH % 16 == 15 && gcruns_progress(g->db, r, e) != 0)
			return -1;
	}
	return 0;
}

int
mark(struct gc *g, struct gcrun *r, struct err *e)
{
	struct graph *graph;
	const int64_t *ids;
	size_t n;
	int rc = -1;

	db_deadline(g->db, deadline_in(GC_QUERY_MS));
	if (graph_load(g->db, &graph, e) != 0)
		return -1;
	log_info("graph read", LOG_U("objects", graph_objects(graph)),
	    LOG_U("live", graph_live(graph)),
	    LOG_U("bytes", graph_memory(graph)));
	if (graph_dangling(graph) > 0)
		log_error("live objects refer to objects that have no row",
		    LOG_U("references", graph_dangling(graph)));
	n = graph_revivable(graph, &ids);
	if (in_batches(
	        g, graph, graph_revive, ids, n, r, &r->objects_revived, e) != 0)
		goto out;
	n = graph_garbage(graph, &ids);
	if (in_batches(g, graph, graph_tombstone, ids, n, r, &r->objects_marked,
	        e) != 0)
		goto out;
	rc = 0;
out:
	graph_free(graph);
	return rc;
}
