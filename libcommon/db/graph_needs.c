/*
 * Which objects need a given one: Tarjan's search for circles, without
 * recursion, in which every circle learns as a whole what one of it finds. An
 * index of the references in the other direction would take as much memory as
 * they do.
 */
#include "graph_internal.h"

#include <stdlib.h>

#include "../core/err.h"

#define UNSEEN 0

/* An object on the way from where the search began to where it is. */
struct visit {
	uint32_t at;
	struct refs left; /* to look at */
	uint32_t number;
	int needs;
};

struct search {
	const struct graph *g;
	/* NEEDS, NEEDS_NOT, or as long as that is open: its number, or that of
	 * the oldest that it is known to lead back to. */
	uint32_t *known;
	uint32_t number; /* of the youngest */
	struct visit *path;
	size_t n, cap;
	struct stack open;
};

static void
enter(struct search *s, uint32_t at)
{
	if (s->n == s->cap) {
		s->cap = s->cap * 2 + 1024;
		s->path = xrealloc(s->path, s->cap * sizeof *s->path);
	}
	s->known[at] = ++s->number;
	s->path[s->n++] =
	    (struct visit){ at, graph_refs(s->g, at), s->number, 0 };
	stack_push(&s->open, at);
}

/* When it leads back to nothing older, then all that is younger and still open
 * lies in a circle with it. */
static void
leave(struct search *s)
{
	struct visit *v = &s->path[--s->n];
	uint32_t at;

	if (s->n > 0)
		v[-1].needs |= v->needs;
	if (s->known[v->at] != v->number)
		return;
	do {
		at = s->open.items[--s->open.n];
		s->known[at] = v->needs ? NEEDS : NEEDS_NOT;
	} while (at != v->at);
}

static void
search(struct search *s, uint32_t from)
{
	enter(s, from);
	while (s->n > 0) {
		struct visit *v = &s->path[s->n - 1];
		uint32_t to;

		if (v->left.n == 0) {
			leave(s);
			continue;
		}
		to = *v->left.to;
		if (to != NOBODY && s->known[to] == UNSEEN) {
			enter(s, to); /* and look at this edge again */
			continue;
		}
		v->left.to++;
		v->left.n--;
		if (to == NOBODY || s->known[to] == NEEDS_NOT)
			continue;
		if (s->known[to] == NEEDS)
			v->needs = 1;
		else if (s->known[to] < s->known[v->at])
			s->known[v->at] = s->known[to];
	}
}

uint32_t *
graph_needs(const struct graph *g, uint32_t at)
{
	struct search s = { .g = g };

	s.known = xcalloc(g->n, sizeof *s.known);
	for (size_t i = 0; i < g->n; i++)
		if (!FOLLOWED(g, i))
			s.known[i] = NEEDS_NOT;
	s.known[at] = NEEDS;
	for (size_t i = 0; i < g->n; i++)
		if (s.known[i] == UNSEEN)
			search(&s, i);
	free(s.path);
	free(s.open.items);
	return s.known;
}
