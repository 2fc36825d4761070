#include "graph_internal.h"

#include <stdlib.h>

#include "../core/err.h"
#include "db_internal.h"

/* What becomes of an object. */
enum fate {
	STAYS,
	GOES,  /* the one that was asked for, and what needs it */
	ALONE, /* needed by these, and by nothing else as far as is known */
	SHARED
};

/* Garbage, tombstone or not, of which nobody is deleting or writing anything. */
#define DELETABLE(g, i) (!((g)->flags[i] & (REACHED | PENDING | CLAIMED)))

/* Changes whatever these refer to, and so on, from one fate to another. */
static void
change(const struct graph *g, uint8_t *fate, struct stack *from, enum fate old,
    enum fate new)
{
	while (from->n > 0) {
		struct refs r = graph_refs(g, from->items[--from->n]);

		for (uint32_t k = 0; k < r.n; k++) {
			uint32_t to = r.to[k];

			if (to == NOBODY || fate[to] != old ||
			    !DELETABLE(g, to))
				continue;
			fate[to] = new;
			stack_push(from, to);
		}
	}
}

static uint8_t *
fates(const struct graph *g, uint32_t at)
{
	uint32_t *needs = graph_needs(g, at);
	uint8_t *fate = xcalloc(g->n, 1);
	struct stack from = { 0 };

	for (size_t i = 0; i < g->n; i++) {
		if (needs[i] != NEEDS || !DELETABLE(g, i))
			continue;
		fate[i] = GOES;
		stack_push(&from, i);
	}
	free(needs);
	change(g, fate, &from, STAYS, ALONE);
	/* All that may be in the bucket counts, and so does what is being
	 * deleted, for it may be refused. What is only pending does not: an
	 * open upload needs all that it will refer to itself. */
	for (size_t i = 0; i < g->n; i++)
		if (fate[i] == STAYS && (g->flags[i] & STALE) != PENDING) {
			stack_push(&from, i);
			change(g, fate, &from, ALONE, SHARED);
		}
	free(from.items);
	return fate;
}

int
graph_purge(
    const struct graph *g, int64_t id, int64_t **ids, size_t *n, struct err *e)
{
	uint32_t at = graph_position(g, id);
	struct ids out = { 0 };
	uint8_t *fate;

	if (at != NOBODY && (g->flags[at] & REACHED)) {
		err_set(e, ERR_CONFLICT, "it is still needed");
		return err_hint(e, "niks3 why PATH tells what needs it");
	}
	if (at == NOBODY || !DELETABLE(g, at))
		return err_set(e, ERR_NOT_FOUND, "it is not in the cache");
	fate = fates(g, at);
	for (int rank = 1; rank <= DB_RANKS; rank++)
		for (size_t i = 0; i < g->n; i++)
			if ((fate[i] == GOES || fate[i] == ALONE) &&
			    (g->flags[i] & RANK) >> RANK_SHIFT == rank)
				ids_add(&out, g->ids[i]);
	free(fate);
	*ids = out.items;
	*n = out.n;
	return 0;
}
