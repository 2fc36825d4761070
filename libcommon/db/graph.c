#include "graph_internal.h"

#include <stdlib.h>

#include "../core/arena.h"
#include "../core/map.h"
#include "db_internal.h"

#define PER_BUCKET 8

void
ids_add(struct ids *v, int64_t id)
{
	if (v->n == v->cap) {
		v->cap = v->cap * 2 + 1024;
		v->items = xrealloc(v->items, v->cap * sizeof *v->items);
	}
	v->items[v->n++] = id;
}

void
stack_push(struct stack *s, uint32_t at)
{
	if (s->n == s->cap) {
		s->cap = s->cap * 2 + 1024;
		s->items = xrealloc(s->items, s->cap * sizeof *s->items);
	}
	s->items[s->n++] = at;
}

void
graph_clear(struct graph *g)
{
	for (unsigned b = 0; g->blocks != NULL && b < BLOCKS_MAX; b++)
		free(g->blocks[b]);
	free(g->blocks);
	free(g->ids);
	free(g->run);
	free(g->flags);
	free(g->bucket);
	free(g->stack.items);
	free(g->garbage.items);
	free(g->revivable.items);
	free(g->expiring.items);
	free(g->sizes);
	free(g->to_read.items);
	map_free(g->seen);
	arena_free(g->seen_memory);
	*g = (struct graph){ .seq = g->seq, .roots = g->roots };
}

void
graph_free(struct graph *g)
{
	if (g == NULL)
		return;
	graph_clear(g);
	free(g);
}

/* ---- positions ---- */

void
graph_make_buckets(struct graph *g)
{
	uint64_t range = g->n > 0 ? g->ids[g->n - 1] - g->ids[0] : 0;
	size_t b = 0;

	while (range >> g->shift > g->n / PER_BUCKET)
		g->shift++;
	g->nbuckets = (range >> g->shift) + 1;
	g->bucket = xcalloc(g->nbuckets + 1, sizeof *g->bucket);
	for (size_t i = 0; i < g->n; i++)
		while (b <= (uint64_t)(g->ids[i] - g->ids[0]) >> g->shift)
			g->bucket[b++] = i;
	while (b <= g->nbuckets)
		g->bucket[b++] = g->n;
}

void
graph_expect(const struct graph *g, int64_t id)
{
	if (g->n > 0 && id >= g->ids[0] && id <= g->ids[g->n - 1])
		__builtin_prefetch(
		    &g->ids[g->bucket[(uint64_t)(id - g->ids[0]) >> g->shift]]);
}

uint32_t
graph_position(const struct graph *g, int64_t id)
{
	uint32_t lo, hi;
	uint64_t b;

	if (g->n == 0 || id < g->ids[0] || id > g->ids[g->n - 1])
		return NOBODY;
	b = (uint64_t)(id - g->ids[0]) >> g->shift;
	lo = g->bucket[b];
	hi = g->bucket[b + 1];
	/* Ids are distinct: none lies farther than its distance tells, and where
	 * all are there it lies just there. */
	if (lo < hi && id >= g->ids[lo] && id - g->ids[lo] < hi - lo) {
		hi = lo + (id - g->ids[lo]);
		if (g->ids[hi] == id)
			return hi;
	}
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (g->ids[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < g->n && g->ids[lo] == id ? lo : NOBODY;
}

/* ---- marking ---- */

void
graph_reach(struct graph *g, uint32_t at)
{
	uint8_t *f = &g->flags[at];

	if (g->catching_up && (*f & STALE)) {
		if (!(*f & READ_ANEW))
			ids_add(&g->to_read, g->ids[at]);
		*f |= REACHED;
		return;
	}
	if (*f & REACHED)
		return;
	*f |= REACHED;
	if (FOLLOWED(g, at))
		stack_push(&g->stack, at);
}

void
graph_follow(struct graph *g)
{
	while (g->stack.n > 0) {
		uint32_t at = g->stack.items[--g->stack.n];
		struct refs r = graph_refs(g, at);

		for (uint32_t k = 0; k < r.n; k++)
			if (r.to[k] != NOBODY)
				graph_reach(g, r.to[k]);
			else if (!(g->flags[at] & STALE))
				g->dangling++;
	}
}

void
graph_root(struct graph *g, int64_t id)
{
	uint32_t at = graph_position(g, id);

	if (at != NOBODY)
		graph_reach(g, at);
	else
		g->dangling++;
}

/* Appends an object that nothing refers to any more, then what it was the last to
 * refer to, but for what the walk downwards has yet to meet. */
static void
list(struct graph *g, uint32_t *referrers, uint32_t cursor)
{
	stack_push(&g->stack, cursor);
	while (g->stack.n > 0) {
		uint32_t at = g->stack.items[--g->stack.n];
		struct refs r = graph_refs(g, at);

		g->garbage.items[g->garbage.n++] = at;
		for (uint32_t k = 0; k < r.n; k++) {
			uint32_t to = r.to[k];

			if (to != NOBODY && --referrers[to] == 0 &&
			    to > cursor && GARBAGE(g, to))
				stack_push(&g->stack, to);
		}
	}
}

/*
 * Rule R8: unreachable live objects, each before what it refers to. However many
 * of the batches are done, no live object refers to a tombstone. (What refers to
 * one of them is garbage itself.)
 *
 * Kahn's algorithm, from the newest to the oldest: most refer to what is older, so
 * the list nearly descends, and a batch finds its rows side by side. While it
 * runs, the list holds positions. Returns where in it each object is that is
 * garbage.
 */
uint32_t *
graph_list_garbage(struct graph *g)
{
	uint32_t *referrers = xcalloc(g->n, sizeof *referrers);
	struct ids *out = &g->garbage;
	size_t total = 0;

	for (size_t i = 0; i < g->n; i++) {
		struct refs r = graph_refs(g, i);

		if (!GARBAGE(g, i))
			continue;
		total++;
		for (uint32_t k = 0; k < r.n; k++)
			if (r.to[k] != NOBODY)
				referrers[r.to[k]]++;
	}
	out->cap = total;
	out->items = xcalloc(total, sizeof *out->items);
	for (size_t i = g->n; i-- > 0;)
		if (GARBAGE(g, i) && referrers[i] == 0)
			list(g, referrers, i);
	/* Circles, which no store has. */
	for (size_t i = 0; out->n < total; i++)
		if (GARBAGE(g, i) && referrers[i] > 0)
			out->items[out->n++] = i;
	for (size_t i = 0; i < out->n; i++) {
		size_t at = out->items[i];

		referrers[at] = i;
		out->items[i] = g->ids[at];
	}
	return referrers;
}

void
graph_list_revivable(struct graph *g)
{
	for (size_t i = 0; i < g->n; i++)
		if ((g->flags[i] & (REACHED | STALE)) == (REACHED | TOMBSTONE))
			ids_add(&g->revivable, g->ids[i]);
}

/* ---- what was read ---- */

uint64_t
graph_objects(const struct graph *g)
{
	return g->n;
}

uint64_t
graph_live(const struct graph *g)
{
	uint64_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		n += (g->flags[i] & STALE) == 0;
	return n;
}

uint64_t
graph_dangling(const struct graph *g)
{
	return g->dangling;
}

size_t
graph_memory(const struct graph *g)
{
	return g->n * (sizeof *g->ids + sizeof *g->run + sizeof *g->flags) +
	    g->nblocks * BLOCK_EDGES * sizeof *g->blocks[0] +
	    g->nbuckets * sizeof *g->bucket +
	    g->stack.cap * sizeof *g->stack.items +
	    (2 * g->garbage.cap + g->revivable.cap + g->expiring.cap) *
	    sizeof(int64_t);
}

size_t
graph_garbage(const struct graph *g, const int64_t **ids)
{
	*ids = g->garbage.items;
	return g->garbage.n;
}

size_t
graph_revivable(const struct graph *g, const int64_t **ids)
{
	*ids = g->revivable.items;
	return g->revivable.n;
}

size_t
graph_expiring(const struct graph *g, const int64_t **ids)
{
	*ids = g->expiring.items;
	return g->expiring.n;
}
