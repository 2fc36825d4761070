/*
 * POST /api/v2/uploads begins an upload, DELETE ends it. Keys and edges are
 * derived here from what the client says of store paths; it names no key.
 */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/map.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/uploads.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/signkey.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/bodies.h"
#include "metrics.h"
#include "server.h"

/*
 * The objects of a request: path i has its narinfo at position i and its
 * listing at position npaths + i; NARs, logs and realisations, which paths may
 * share, follow.
 */
struct plan {
	struct arena *a;
	const struct upload_request *q;
	struct upload_object *objects;
	size_t nobjects;
	struct map *shared; /* key to object */
	struct upload_path *paths;
};

/* The position of a key that several paths may share. */
static int
plan_shared(struct plan *p, const char *key, enum objkey_kind kind,
    int64_t nar_size, uint32_t *out, struct err *e)
{
	struct upload_object *o = map_get(p->shared, key, strlen(key));

	if (o != NULL && o->nar_size != nar_size)
		return err_set(e, ERR_INVALID,
		    "two paths with the NAR hash of %s differ in NAR size",
		    key);
	if (o == NULL) {
		o = &p->objects[p->nobjects];
		o->kind = kind;
		o->nar_size = nar_size;
		if ((o->key = arena_str(p->a, key)) == NULL)
			return arena_full(p->a, e);
		p->nobjects++;
		map_put(p->shared, o->key, strlen(o->key), o);
	}
	*out = o - p->objects;
	return 0;
}

/* The narinfo and the listing of path i, which are its alone. */
static int
plan_own(struct plan *p, size_t i, struct err *e)
{
	const char *base = p->q->paths.items[i].path;
	struct upload_object *info = &p->objects[i];
	struct upload_object *list = &p->objects[p->q->paths.n + i];
	char key[OBJKEY_TEXT_MAX];

	if (storepath_check_base(base, strlen(base), e) != 0)
		return -1;
	objkey_fmt_narinfo(key, base);
	info->key = arena_str(p->a, key);
	objkey_fmt_listing(key, base);
	list->key = arena_str(p->a, key);
	if (info->key == NULL || list->key == NULL)
		return arena_full(p->a, e);
	info->kind = OBJKEY_NARINFO;
	info->name = base + STOREPATH_HASH_LEN + 1;
	list->kind = OBJKEY_LISTING;
	info->nar_size = list->nar_size = -1;
	if (map_put(p->shared, info->key, strlen(info->key), info) != NULL)
		return err_set(e, ERR_INVALID, "listed twice");
	return 0;
}

/* What the narinfo of path i will say, and what it refers to. */
static int
plan_path(struct plan *p, size_t i, struct err *e)
{
	const struct path_entry *q = &p->q->paths.items[i];
	size_t npaths = p->q->paths.n;
	struct upload_object *info = &p->objects[i];
	struct upload_path *path = &p->paths[i];
	uint32_t *refs;
	char key[OBJKEY_TEXT_MAX];

	*path = (struct upload_path){
		.object = i,
		.base = q->path,
		.nar_size = q->nar_size,
		.deriver = q->deriver,
		.ca = q->ca,
		.sigs = q->sigs.items,
		.nsigs = q->sigs.n,
	};
	refs =
	    arena_array(p->a, q->refs.n + q->realisations.n + 3, sizeof *refs);
	path->refs = arena_array(p->a, q->refs.n, sizeof *path->refs);
	if (refs == NULL || path->refs == NULL)
		return arena_full(p->a, e);
	info->refs = refs;
	for (size_t k = 0; k < q->refs.n; k++) {
		uint32_t to = q->refs.items[k];

		if (to >= npaths)
			return err_set(e, ERR_INVALID,
			    "refs[%zu]: there is no path %u", k, to);
		path->refs[k] = p->q->paths.items[to].path;
		if (to != i)
			refs[info->nrefs++] = to;
	}
	path->nrefs = narinfo_sort(path->refs, q->refs.n);
	if (hash_parse(q->nar_hash, strlen(q->nar_hash), &path->nar_hash, e) !=
	    0)
		return err_prefix(e, "nar_hash");
	if (q->deriver != NULL &&
	    storepath_check_base(q->deriver, strlen(q->deriver), e) != 0)
		return err_prefix(e, "deriver");
	if (q->ca != NULL && strpbrk(q->ca, "\r\n") != NULL)
		return err_set(e, ERR_INVALID, "ca: more than one line");
	for (size_t k = 0; k < q->sigs.n; k++)
		if (signkey_check_sig(q->sigs.items[k], e) != 0)
			return err_prefix(e, "sigs[%zu]", k);

	refs[info->nrefs++] = npaths + i;
	objkey_fmt_nar(key, &path->nar_hash);
	if (plan_shared(p, key, OBJKEY_NAR, q->nar_size, &path->nar, e) != 0)
		return -1;
	refs[info->nrefs++] = path->nar;
	if (q->log != NULL) {
		if (objkey_fmt_log(key, q->log, e) != 0 ||
		    plan_shared(
		        p, key, OBJKEY_LOG, -1, &refs[info->nrefs], e) != 0)
			return -1;
		info->nrefs++;
	}
	for (size_t k = 0; k < q->realisations.n; k++) {
		if (objkey_fmt_realisation(key, q->realisations.items[k], e) !=
		        0 ||
		    plan_shared(p, key, OBJKEY_REALISATION, -1,
		        &refs[info->nrefs], e) != 0)
			return -1;
		info->nrefs++;
	}
	return 0;
}

static int
plan_roots(struct plan *p, const char *store_dir, struct upload_root **out,
    struct err *e)
{
	size_t n = p->q->roots.n;
	struct upload_root *roots = arena_array(p->a, n, sizeof *roots);

	if (roots == NULL)
		return arena_full(p->a, e);
	for (size_t i = 0; i < n; i++) {
		uint32_t at = p->q->roots.items[i];

		if (at >= p->q->paths.n)
			return err_set(e, ERR_INVALID,
			    "roots[%zu]: there is no path %u", i, at);
		roots[i].object = at;
		roots[i].store_path = arena_printf(
		    p->a, "%s/%s", store_dir, p->q->paths.items[at].path);
		if (roots[i].store_path == NULL)
			return arena_full(p->a, e);
	}
	*out = roots;
	return 0;
}

/*
 * Of paths that refer to each other in a circle none could be published before
 * the others. What nobody refers to is taken away, over and over: a circle is
 * what stays.
 */
static int
plan_check_circles(const struct plan *p, struct err *e)
{
	size_t n = p->q->paths.n, top = 0, gone = 0;
	uint32_t *referrers = arena_array(p->a, n, sizeof *referrers);
	uint32_t *ready = arena_array(p->a, n, sizeof *ready);

	if (referrers == NULL || ready == NULL)
		return arena_full(p->a, e);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < p->objects[i].nrefs; k++)
			if (p->objects[i].refs[k] < n)
				referrers[p->objects[i].refs[k]]++;
	for (size_t i = 0; i < n; i++)
		if (referrers[i] == 0)
			ready[top++] = i;
	for (; top > 0; gone++) {
		const struct upload_object *o = &p->objects[ready[--top]];

		for (size_t k = 0; k < o->nrefs; k++)
			if (o->refs[k] < n && --referrers[o->refs[k]] == 0)
				ready[top++] = o->refs[k];
	}
	if (gone < n)
		return err_set(e, ERR_INVALID,
		    "store paths refer to each other in a circle");
	return 0;
}

static int
plan_build(struct plan *p, const char *store_dir, struct upload_root **roots,
    struct err *e)
{
	size_t n = p->q->paths.n, most = 3 * n;

	for (size_t i = 0; i < n; i++)
		most += (p->q->paths.items[i].log != NULL) +
		    p->q->paths.items[i].realisations.n;
	p->objects = arena_array(p->a, most, sizeof *p->objects);
	p->paths = arena_array(p->a, n, sizeof *p->paths);
	if (p->objects == NULL || p->paths == NULL)
		return arena_full(p->a, e);
	p->nobjects = 2 * n;
	for (size_t i = 0; i < n; i++)
		if (plan_own(p, i, e) != 0 || plan_path(p, i, e) != 0)
			return err_prefix(e, "paths[%zu]", i);
	if (plan_check_circles(p, e) != 0)
		return -1;
	return plan_roots(p, store_dir, roots, e);
}

static int
reply_missing(const struct plan *p, struct upload_reply *reply, struct err *e)
{
	const char **keys;

	keys = arena_array(p->a, p->nobjects, sizeof *keys);
	if (keys == NULL)
		return arena_full(p->a, e);
	reply->missing.items = keys;
	for (size_t i = 0; i < p->nobjects; i++) {
		if (!p->objects[i].missing)
			continue;
		if (p->objects[i].kind == OBJKEY_NARINFO)
			reply->narinfos++;
		else
			keys[reply->missing.n++] = p->objects[i].key;
	}
	return 0;
}

int
handle_upload_begin(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct upload_request body;
	struct upload_reply reply = { 0 };
	struct plan p = { .a = q->arena, .q = &body };
	struct upload_root *roots = NULL;
	char token[UPLOAD_TOKEN_MAX];
	struct db *db;
	int rc;

	if (server_decode(q, &upload_request_desc, &body, e) != 0)
		return -1;
	if (strcmp(body.store_dir, s->store_dir) != 0)
		return err_set(e, ERR_INVALID,
		    "this cache is for the store %s, not %s", s->store_dir,
		    body.store_dir);
	if (body.roots.n == 0)
		return err_set(e, ERR_INVALID, "roots: empty");
	p.shared = map_new(2 * body.paths.n);
	rc = plan_build(&p, s->store_dir, &roots, e);
	map_free(p.shared);
	if (rc != 0 || server_db(s, &db, e) != 0)
		return -1;
	rc = uploads_begin(db,
	    &(struct upload_begin){
	        .owner = q->who,
	        .store_dir = s->store_dir,
	        .lease_us = s->lease_us,
	        .objects = p.objects,
	        .nobjects = p.nobjects,
	        .paths = p.paths,
	        .npaths = body.paths.n,
	        .roots = roots,
	        .nroots = body.roots.n,
	    },
	    token, e);
	db_put(s->pool, db);
	if (rc != 0 || reply_missing(&p, &reply, e) != 0)
		return -1;
	metrics_upload(s, METRICS_BEGUN);
	reply.id = token;
	reply.lease_ms = s->lease_us / 1000;
	log_info("upload begun", LOG_U("roots", body.roots.n),
	    LOG_U("paths", body.paths.n), LOG_U("new", reply.narinfos),
	    LOG_U("missing", reply.missing.n));
	return server_encode(r, 201, &upload_reply_desc, &reply, e);
}

/*
 * Ends an upload. Its objects are not deleted here: those that nobody needs any
 * more go the way of all garbage.
 */
int
handle_upload_abort(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct upload_multipart *parts;
	struct db *db;
	size_t n;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = uploads_abort(db, q->params[0], q->who, q->arena, &parts, &n, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	metrics_upload(s, METRICS_ABORTED);
	for (size_t i = 0; i < n; i++) {
		struct mpu_abort abort = { .key = parts[i].key,
			.upload_id = parts[i].s3_id };
		struct done done;

		/* What fails here, the garbage collection does again. */
		if (ipc_call(s->uploader, CALL_mpu_abort, &abort, q->arena,
		        &done, deadline_in(SERVER_IPC_MS), e) != 0 ||
		    server_db(s, &db, e) != 0) {
			log_err(LOG_LEVEL_NOTICE, "multipart not aborted", e);
			err_clear(e);
			continue;
		}
		if (uploads_multipart_done(
		        db, parts[i].key, parts[i].s3_id, e) != 0) {
			log_err(LOG_LEVEL_NOTICE, "multipart not forgotten", e);
			err_clear(e);
		}
		db_put(s->pool, db);
	}
	log_info("upload rolled back", LOG_U("multiparts", n));
	server_wake_gc(s, q->arena);
	r->status = 204;
	return 0;
}
