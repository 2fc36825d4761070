/*
 * The worker's view of all objects: read once in a snapshot by binary COPY into
 * a compact graph, marked with a bitmap, without recursive SQL.
 *
 * Memory: 8 bytes of id, 4 of offset and 1 of flags an object, 4 bytes an edge;
 * for garbage 8 bytes more. O(objects + edges) time.
 *
 * All that a live object refers to is live (uploads.h): so a beginning upload
 * may trust what it finds live, though it never looks at what that refers to.
 * Garbage is therefore tombstoned in an order in which every object comes before
 * what it refers to, and a batch that failed is done again before the next.
 */
#ifndef DB_GRAPH_H
#define DB_GRAPH_H

#include <stddef.h>
#include <stdint.h>

struct db;
struct err;
struct graph;

/*
 * Reads objects, their states and all roots (closures with their extras, pins,
 * needs of open uploads) in one REPEATABLE READ transaction and marks what is
 * reachable.
 */
int graph_load(struct db *db, struct graph **out, struct err *e);
void graph_free(struct graph *g); /* takes NULL */
uint64_t graph_objects(const struct graph *g);
uint64_t graph_live(const struct graph *g); /* not pending, not tombstones */
size_t graph_memory(const struct graph *g); /* bytes */

/* References of reachable live objects, and roots, that lead nowhere: 0, or the
 * cache is broken. */
uint64_t graph_dangling(const struct graph *g);

/* Unreachable live objects, referrers first; and reachable tombstones (which
 * only a defect, or somebody with a shell, can have made). */
size_t graph_garbage(const struct graph *g, const int64_t **ids);
size_t graph_revivable(const struct graph *g, const int64_t **ids);

/*
 * One batch, in one transaction that holds the roots lock exclusively: marks
 * from the roots that appeared since the last call, then tombstones those of ids
 * that are still unreachable; one that is a tombstone already keeps its time.
 * *done gets how many. ERR_CONFLICT when the lock was not to be had in time: to
 * be called again with the same ids.
 */
int graph_tombstone(struct db *db, struct graph *g, const int64_t *ids,
    size_t n, uint64_t *done, struct err *e);
/* Takes away the tombstones of these, unless they are claimed. */
int graph_revive(struct db *db, struct graph *g, const int64_t *ids, size_t n,
    uint64_t *done, struct err *e);

#endif
