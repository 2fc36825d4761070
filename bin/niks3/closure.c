/* What belongs to a push, by Nix's word, and the request that says so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/map.h"
#include "../../libcommon/nix/hash.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/pathinfo.h"
#include "../../libcommon/nix/realisation.h"
#include "../../libcommon/nix/storepath.h"
#include "nixcmd.h"
#include "push.h"
#include "../../libcommon/local/realisations.h"

int
closure_log(
    const struct push *p, const char *drv, char *path, size_t room, int *packed)
{
	snprintf(path, room, "%s/drvs/%.2s/%s", p->log_dir, drv, drv + 2);
	*packed = 0;
	if (access(path, R_OK) == 0)
		return 1;
	snprintf(path, room, "%s/drvs/%.2s/%s.bz2", p->log_dir, drv, drv + 2);
	*packed = 1;
	return access(path, R_OK) == 0;
}

/* Positions in the request by base name: kept as position + 1, for a map knows
 * no NULL. */
static uint32_t
position(const struct map *m, const char *base)
{
	return (uintptr_t)map_get(m, base, strlen(base)) - 1;
}

static int
fill_entry(struct push *p, const struct map *positions,
    const struct pathinfo *info, struct path_entry *to, int logs, struct err *e)
{
	char hash[HASH_TEXT_MAX], file[4096];
	int packed;

	to->path = info->base;
	to->nar_hash = arena_str(p->a, hash_fmt(hash, &info->nar_hash));
	to->nar_size = info->nar_size;
	to->deriver = info->deriver;
	to->ca = info->ca;
	to->sigs.items = info->sigs;
	to->sigs.n = info->nsigs;
	to->refs.items = arena_array(p->a, info->nrefs, sizeof(uint32_t));
	if (to->nar_hash == NULL || to->refs.items == NULL)
		return arena_full(p->a, e);
	for (size_t i = 0; i < info->nrefs; i++) {
		uint32_t at = position(positions, info->refs[i]);

		if (at == UINT32_MAX)
			return err_set(e, ERR_CORRUPT,
			    "%s refers to %s, which Nix does not count to the "
			    "closure",
			    info->base, info->refs[i]);
		to->refs.items[i] = at;
	}
	to->refs.n = info->nrefs;
	if (logs && info->deriver != NULL &&
	    closure_log(p, info->deriver, file, sizeof file, &packed))
		to->log = info->deriver;
	return 0;
}

/* Realisations stand with the path that they lead to. */
static int
fill_realisations(struct push *p, const struct map *positions, struct err *e)
{
	for (size_t i = 0; i < p->nreals; i++) {
		uint32_t at = position(positions, p->reals[i].out_path);
		struct desc_strs *ids;
		const char **items;

		if (at == UINT32_MAX)
			continue;
		ids = &p->request.paths.items[at].realisations;
		items = arena_array(p->a, ids->n + 1, sizeof *items);
		if (items == NULL)
			return arena_full(p->a, e);
		if (ids->n > 0)
			memcpy(items, ids->items, ids->n * sizeof *items);
		items[ids->n++] = p->reals[i].id;
		ids->items = items;
	}
	return 0;
}

int
closure_load(struct push *p, const char *const *roots, size_t nroots, int logs,
    struct err *e)
{
	struct upload_request *q = &p->request;
	struct map *positions = NULL;
	int rc = -1;

	if (nixcmd_closure(p->store_dir, roots, nroots, p->a, &p->paths,
	        &q->paths.n, e) != 0 ||
	    realisations_find(p->store_dir, p->paths, q->paths.n, p->a,
	        &p->reals, &p->nreals, e) != 0)
		return -1;
	q->store_dir = p->store_dir;
	q->paths.items = arena_array(p->a, q->paths.n, sizeof *q->paths.items);
	q->roots.items = arena_array(p->a, nroots, sizeof *q->roots.items);
	if (q->paths.items == NULL || q->roots.items == NULL)
		return arena_full(p->a, e);
	positions = map_new(q->paths.n);
	for (size_t i = 0; i < q->paths.n; i++)
		map_put(positions, p->paths[i].base, strlen(p->paths[i].base),
		    (void *)(uintptr_t)(i + 1));
	for (size_t i = 0; i < q->paths.n; i++)
		if (fill_entry(p, positions, &p->paths[i], &q->paths.items[i],
		        logs, e) != 0)
			goto out;
	for (size_t i = 0; i < nroots; i++) {
		q->roots.items[i] = position(positions, roots[i]);
		if (q->roots.items[i] == UINT32_MAX) {
			err_set(
			    e, ERR_CORRUPT, "Nix does not name %s", roots[i]);
			goto out;
		}
	}
	q->roots.n = nroots;
	rc = fill_realisations(p, positions, e);
out:
	map_free(positions);
	return rc;
}

/* ---- what the server misses ---- */

static int
want_add(struct push *p, const char *key, size_t path,
    const struct realisation *real, struct err *e)
{
	struct want *w = map_get(p->wants, key, strlen(key));

	/* Keys that the server did not name are not wanted; of paths with one
	 * NAR, the first brings it. */
	if (w == NULL || w->key != NULL)
		return 0;
	w->key = arena_str(p->a, key);
	if (w->key == NULL)
		return arena_full(p->a, e);
	w->path = path;
	w->real = real;
	return 0;
}

static int
want_path(struct push *p, size_t i, struct err *e)
{
	const struct path_entry *q = &p->request.paths.items[i];
	char key[OBJKEY_TEXT_MAX];

	objkey_fmt_nar(key, &p->paths[i].nar_hash);
	if (want_add(p, key, i, NULL, e) != 0)
		return -1;
	objkey_fmt_listing(key, q->path);
	if (want_add(p, key, i, NULL, e) != 0)
		return -1;
	if (q->log != NULL &&
	    (objkey_fmt_log(key, q->log, e) != 0 ||
	        want_add(p, key, i, NULL, e) != 0))
		return -1;
	return 0;
}

static int
by_size(const void *a, const void *b, void *ctx)
{
	const struct pathinfo *paths = ctx;
	uint64_t x = paths[*(const uint32_t *)a].nar_size;
	uint64_t y = paths[*(const uint32_t *)b].nar_size;

	return (x < y) - (x > y);
}

int
closure_wants(struct push *p, const struct upload_reply *reply, struct err *e)
{
	size_t n = p->request.paths.n;
	struct want *wants;
	char key[OBJKEY_TEXT_MAX];

	wants = arena_array(p->a, reply->missing.n, sizeof *wants);
	p->order = arena_array(p->a, n, sizeof *p->order);
	p->found = arena_array(p->a, reply->missing.n, sizeof *p->found);
	if (wants == NULL || p->order == NULL || p->found == NULL)
		return arena_full(p->a, e);
	p->wants = map_new(reply->missing.n);
	for (size_t i = 0; i < reply->missing.n; i++)
		map_put(p->wants, reply->missing.items[i],
		    strlen(reply->missing.items[i]), &wants[i]);
	for (size_t i = 0; i < n; i++) {
		p->order[i] = i;
		if (want_path(p, i, e) != 0)
			return -1;
	}
	for (size_t i = 0; i < p->nreals; i++)
		if (objkey_fmt_realisation(key, p->reals[i].id, e) != 0 ||
		    want_add(p, key, 0, &p->reals[i], e) != 0)
			return -1;
	for (size_t i = 0; i < reply->missing.n; i++)
		if (wants[i].key == NULL)
			return err_set(e, ERR_VERSION,
			    "the server wants %s, of which we know nothing",
			    reply->missing.items[i]);
	/* The largest first: none is left alone at the end. */
	qsort_r(p->order, n, sizeof *p->order, by_size, p->paths);
	return 0;
}
