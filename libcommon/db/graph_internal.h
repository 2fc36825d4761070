/*
 * What the files of the graph share: graph_load.c reads it, graph.c marks it,
 * graph_batch.c writes tombstones; graph_needs.c, graph_report.c, graph_purge.c
 * and graph_why.c only look at it.
 *
 * Objects are positions in ids, ascending. What one refers to is a run of edges:
 * their number, then the positions (graph_refs). Runs lie in blocks, which never
 * move, each filled by one reader in the order in which the table had them, and
 * none crosses the end of its block. bucket finds a position: entry b is the first
 * whose id is at least ids[0] + (b << shift).
 */
#ifndef DB_GRAPH_INTERNAL_H
#define DB_GRAPH_INTERNAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "graph.h"

struct arena;
struct map;

#define NOBODY UINT32_MAX /* a reference to an object that is not there */

/* What is known of an object; live when there is none but REACHED. */
enum flag {
	REACHED = 1,
	PENDING = 2,
	TOMBSTONE = 4,
	CLAIMED = 8,
	STALE = PENDING | TOMBSTONE | CLAIMED, /* its references may change */
	READ_ANEW = 16, /* they were read again after the snapshot */
	RANK = 32 | 64, /* DB_RANK, shifted */
};
#define RANK_SHIFT 5

/* Objects that no root reaches and that are plainly live. */
#define GARBAGE(g, i) (!((g)->flags[i] & (REACHED | STALE)))
/* Whose references are followed. What a pending object will refer to is needed
 * by its upload itself; what is being deleted refers to nothing. */
#define FOLLOWED(g, i) (!((g)->flags[i] & (PENDING | CLAIMED)))

struct stack {
	uint32_t *items;
	size_t n, cap;
};

struct ids {
	int64_t *items;
	size_t n, cap;
};

#define BLOCK_BITS  20
#define BLOCK_EDGES ((size_t)1 << BLOCK_BITS)
#define BLOCKS_MAX  (1U << (32 - BLOCK_BITS)) /* what run can tell apart */

struct graph {
	int64_t *ids;
	size_t n;
	uint32_t *run;     /* block, and in the last BLOCK_BITS where in it */
	uint32_t **blocks; /* BLOCKS_MAX; the first begins with an empty run */
	atomic_uint nblocks;
	uint8_t *flags;
	uint32_t *bucket;
	size_t nbuckets;
	unsigned shift;
	struct stack stack; /* reached, references not followed yet */
	uint64_t dangling;
	struct ids garbage, revivable, expiring;
	int64_t *sizes; /* bytes of each of garbage in the bucket */

	int64_t seq; /* roots up to here are marked */
	struct arena *seen_memory;
	struct map *seen;   /* ids of newer objects that were followed */
	struct ids to_read; /* reached; their references are in the database */
	int catching_up;
	uint64_t appeared;               /* roots, while catching up */
	const struct graph_roots *roots; /* while it is read */
};

/* What an object refers to; some may be NOBODY. */
struct refs {
	const uint32_t *to;
	uint32_t n;
};

static inline struct refs
graph_refs(const struct graph *g, uint32_t at)
{
	const uint32_t *run = g->blocks[g->run[at] >> BLOCK_BITS] +
	    (g->run[at] & (BLOCK_EDGES - 1));

	return (struct refs){ run + 1, *run };
}

void ids_add(struct ids *v, int64_t id);
void stack_push(struct stack *s, uint32_t at);

/* Or NOBODY. */
uint32_t graph_position(const struct graph *g, int64_t id);
/* It will be asked for soon. */
void graph_expect(const struct graph *g, int64_t id);
void graph_make_buckets(struct graph *g);
void graph_clear(struct graph *g);

/*
 * Reaches an object; graph_follow then reaches all it refers to. While catching
 * up, one that was not live in the snapshot may have become so since, with other
 * references: those are read again.
 */
void graph_reach(struct graph *g, uint32_t at);
void graph_follow(struct graph *g);
/* As graph_reach, of what must be there. */
void graph_root(struct graph *g, int64_t id);
/* Fills garbage. Returns where in it each object is that is garbage; malloc'ed. */
uint32_t *graph_list_garbage(struct graph *g);
void graph_list_revivable(struct graph *g);

/*
 * graph_needs.c: of each object, whether following references from it leads to
 * this one (which needs itself): NEEDS or another number. malloc'ed. O(objects +
 * edges); 4 bytes an object.
 */
#define NEEDS     (NOBODY - 1)
#define NEEDS_NOT (NOBODY - 2)
uint32_t *graph_needs(const struct graph *g, uint32_t at);

/* For a transaction that reads whole tables. */
#define SCAN_SQL "SELECT set_config('enable_seqscan', 'on', true)"

/* The number of the newest root. Under the exclusive lock no transaction is open
 * that has drawn a number and will only be seen later. */
int graph_draw_seq(struct db *db, int64_t *seq, struct err *e);

#endif
