/*
 * The worker's view of all objects: read once in a snapshot by binary COPY into
 * a compact graph, marked with a bitmap, without recursive SQL.
 *
 * Memory: 8 bytes of id, 8 of offsets and 1 of flags an object, 4 bytes an edge;
 * for garbage 16 bytes more. O(objects + edges) time.
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

struct arena;
struct db;
struct err;
struct graph;

/* What counts as a root, by the database's clock in microseconds. Zeros: every
 * closure and every open upload. */
struct graph_roots {
	/* Closures that were last pushed at this time or before, and have no
	 * pin, are roots no more: they are about to expire. */
	int64_t closures_until_us;
	/* Of a dry run, which ends no uploads: nor are open uploads whose lease
	 * was gone by then. */
	int64_t leases_until_us;
	int without_sizes; /* nothing will be tombstoned or reported */
};

/*
 * Reads objects, their states and all roots (closures, needs of open uploads) in
 * one REPEATABLE READ transaction and marks what is reachable.
 */
int graph_load(struct db *db, const struct graph_roots *roots,
    struct graph **out, struct err *e);
void graph_free(struct graph *g); /* takes NULL */
uint64_t graph_objects(const struct graph *g);
uint64_t graph_live(const struct graph *g); /* not pending, not tombstones */
size_t graph_memory(const struct graph *g); /* bytes */

/* References of reachable live objects, and roots, that lead nowhere: 0, or the
 * cache is broken. */
uint64_t graph_dangling(const struct graph *g);

/* Unreachable live objects, referrers first (rule R8); reachable tombstones
 * (which only a defect, or somebody with a shell, can have made); and the
 * closures that were no roots although they have a row. */
size_t graph_garbage(const struct graph *g, const int64_t **ids);
size_t graph_revivable(const struct graph *g, const int64_t **ids);
size_t graph_expiring(const struct graph *g, const int64_t **ids);

/* ---- graph_batch.c: what is done about it, and counted in its run ---- */

/*
 * One batch of expiring closures, in one transaction that holds the roots lock
 * exclusively: deletes their rows, unless one was pushed again since until_us
 * or pinned; those that stay are roots from now on. To be done for all of them
 * before anything is tombstoned.
 */
int graph_expire(struct db *db, struct graph *g, const int64_t *ids, size_t n,
    int64_t until_us, int64_t run, uint64_t *done, struct err *e);

/*
 * One batch, in one transaction that holds the roots lock exclusively: marks
 * from the roots that appeared since the last call, then tombstones those of n
 * objects, from there on in the list of garbage, that are still unreachable; one
 * that is a tombstone already keeps its time. *done gets how many. ERR_CONFLICT
 * when the lock was not to be had in time: to be called again with the same.
 */
int graph_tombstone(struct db *db, struct graph *g, size_t from, size_t n,
    int64_t run, uint64_t *done, struct err *e);
/* Grows when batches find new roots: uploads are under way. */
uint64_t graph_appeared(const struct graph *g);
/* Takes away the tombstones of these, unless they are claimed, or refer to what
 * is not live: to be repeated as long as it does something, for those that refer
 * to each other. */
int graph_revive(struct db *db, struct graph *g, const int64_t *ids, size_t n,
    int64_t run, uint64_t *done, struct err *e);

/* Tombstones of these, that are not claimed, are due at once, for this run or any
 * later one: they are put before all times. */
int graph_hasten(struct db *db, const int64_t *ids, size_t n, struct err *e);

/* ---- graph_report.c: what a collection would delete ---- */

/* Of one expiring closure, or (id 0, store_path NULL) of what no root needs
 * already: live objects that would go. An object that several need is counted
 * with the one that was pushed first. */
struct graph_root {
	int64_t id;
	const char *store_path;
	int64_t updated_us;
	uint64_t objects, bytes;
};
struct graph_report {
	uint64_t objects, bytes;  /* the sums of all roots */
	struct graph_root *roots; /* most bytes first */
	size_t nroots;
};
/* Reads the sizes of stored objects. O(objects + edges). */
int graph_report(struct db *db, const struct graph *g, struct arena *a,
    struct graph_report *out, struct err *e);

/* ---- graph_purge.c: what can go at once with one object ---- */

/*
 * When its closure is gone: what of it can be deleted without grace. That is the
 * object itself and the garbage that needs it; and of what they need, whatever
 * nothing else in the bucket refers to, garbage or not.
 * The rest waits for its grace, so nobody who still reads other garbage meets a
 * part that is gone. *ids (malloc'ed) gets live ones and tombstones, by rank
 * and id. CONFLICT when a root needs the object; NOT_FOUND when there is none
 * that could be deleted.
 */
int graph_purge(
    const struct graph *g, int64_t id, int64_t **ids, size_t *n, struct err *e);

/* ---- graph_why.c: what keeps an object ---- */

enum why_kind {
	WHY_CLOSURE,
	WHY_PIN, /* a closure that is pinned: one keeper for each pin */
	WHY_UPLOAD
};
struct why_keeper {
	enum why_kind kind;
	const char *name;       /* of a pin; of an upload, its number */
	const char *store_path; /* of the root */
	int64_t updated_us;     /* last pushed; of an upload, begun */
	int64_t lease_until_us; /* of an upload */
};
enum why_state {
	WHY_LIVE,
	WHY_PENDING,
	WHY_TOMBSTONE,
	WHY_DELETING
};
#define WHY_KEEPERS_MAX 100
struct why {
	enum why_state state;
	int64_t first_at_us; /* of a tombstone */
	uint64_t
	    nkeepers; /* all of them, keepers holds at most WHY_KEEPERS_MAX */
	struct why_keeper *keepers; /* pins first, then youngest closures */
	size_t nlisted;
	/* From a keeper's root to the object: keys, the shortest chain. */
	const char **chain;
	size_t nchain;
};
/* By the key of the object. Reads all objects. NOT_FOUND. */
int graph_why(struct db *db, const char *key, struct arena *a, struct why *out,
    struct err *e);

#endif
