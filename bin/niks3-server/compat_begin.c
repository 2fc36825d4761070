/*
 * POST /api/pending_closures and /api/pushes: begins an upload of objects by their
 * keys. The answer names those that are missing, with URLs to write them.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/map.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/staged.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/compat.h"
#include "compat.h"
#include "metrics.h"

/* How many URLs of parts a NAR gets at first. */
#define PARTS_UNKNOWN 10
#define PARTS_MIN     2
#define PARTS_MAX     100

struct plan {
	struct server *s;
	const struct http_req *q;
	struct arena *a;
	const struct compat_begin *body;
	const char **root_keys;
	size_t nroots;
	struct map *by_key; /* to struct upload_object */
	/* First what the request lists, then what it only refers to. */
	struct upload_object *objects;
	size_t nlisted, nobjects;
	char *referred; /* of each object: something refers to it */
	struct upload_root *roots;
	char token[UPLOAD_TOKEN_MAX];
	struct upload_begin begin;
};

/* ---- what is asked for ---- */

static int
check_key(const struct compat_object *o, enum objkey_kind *kind, struct err *e)
{
	enum objkey_kind is;

	if (objkey_kind_by_name(o->type, kind) != 0 ||
	    objkey_parse(o->key, strlen(o->key), &is, NULL) != 0 || is != *kind)
		return err_set(e, ERR_INVALID,
		    "invalid object key \"%s\" for type \"%s\"", o->key,
		    o->type);
	return 0;
}

static struct upload_object *
add(struct plan *p, const char *key, enum objkey_kind kind)
{
	struct upload_object *o = &p->objects[p->nobjects++];

	*o = (struct upload_object){ .key = key, .kind = kind, .nar_size = -1 };
	map_put(p->by_key, key, strlen(key), o);
	return o;
}

/* A key that is listed twice counts as it was listed last. */
static int
list(struct plan *p, struct err *e)
{
	const struct compat_begin *b = p->body;
	uint64_t limit = p->s->max_nar_size;
	const struct compat_object **of;
	size_t most = b->objects.n + p->nroots;

	for (size_t i = 0; i < b->objects.n; i++)
		most += b->objects.items[i].refs.n;
	p->objects = arena_array(p->a, most, sizeof *p->objects);
	p->referred = arena_alloc(p->a, most);
	of = arena_array(p->a, b->objects.n, sizeof *of);
	if (p->objects == NULL || p->referred == NULL || of == NULL)
		return arena_full(p->a, e);
	for (size_t i = 0; i < b->objects.n; i++) {
		const struct compat_object *from = &b->objects.items[i];
		struct upload_object *o;
		enum objkey_kind kind;

		if (check_key(from, &kind, e) != 0)
			return -1;
		if (kind == OBJKEY_NAR && limit > 0 && from->nar_size > limit)
			return err_set(e, ERR_INVALID,
			    "NAR object \"%s\" size %llu exceeds server max "
			    "NAR size %llu bytes",
			    from->key, (unsigned long long)from->nar_size,
			    (unsigned long long)limit);
		o = map_get(p->by_key, from->key, strlen(from->key));
		if (o == NULL)
			o = add(p, from->key, kind);
		if (kind == OBJKEY_NAR && from->nar_size > 0)
			o->nar_size = from->nar_size;
		of[o - p->objects] = from;
	}
	p->nlisted = p->nobjects;
	for (size_t i = 0; i < p->nlisted; i++) {
		struct upload_object *o = &p->objects[i];
		uint32_t *refs;

		refs = arena_array(p->a, of[i]->refs.n, sizeof *refs);
		if (refs == NULL)
			return arena_full(p->a, e);
		o->refs = refs;
		for (size_t k = 0; k < of[i]->refs.n; k++) {
			const char *key = of[i]->refs.items[k];
			struct upload_object *to =
			    map_get(p->by_key, key, strlen(key));
			enum objkey_kind kind;

			if (to == NULL) {
				if (objkey_parse(key, strlen(key), &kind, e) !=
				    0)
					return err_prefix(
					    e, "reference of %s", o->key);
				to = add(p, key, kind);
			}
			refs[o->nrefs++] = to - p->objects;
			p->referred[to - p->objects] |= to != o;
		}
	}
	return 0;
}

/* Their store paths are known when they are committed; the hash, now. */
static int
find_roots(struct plan *p, struct err *e)
{
	p->roots = arena_array(p->a, p->nroots, sizeof *p->roots);
	if (p->roots == NULL)
		return arena_full(p->a, e);
	for (size_t i = 0; i < p->nroots; i++) {
		const char *key = p->root_keys[i];
		struct upload_object *o = map_get(p->by_key, key, strlen(key));

		if (o == NULL)
			o = add(p, key, OBJKEY_NARINFO);
		p->roots[i].object = o - p->objects;
		p->roots[i].store_path = arena_printf(
		    p->a, "%s/%.*s", p->s->store_dir, STOREPATH_HASH_LEN, key);
		if (p->roots[i].store_path == NULL)
			return arena_full(p->a, e);
		p->referred[p->roots[i].object] = 1;
	}
	return 0;
}

/* What nothing refers to, such as a build log, hangs on the (first) root. */
static int
hang(struct plan *p, struct err *e)
{
	struct upload_object *root = &p->objects[p->roots[0].object];
	uint32_t *refs;
	size_t n = 0;

	for (size_t i = 0; i < p->nlisted; i++)
		n += !p->referred[i];
	if (n == 0)
		return 0;
	refs = arena_array(p->a, root->nrefs + n, sizeof *refs);
	if (refs == NULL)
		return arena_full(p->a, e);
	if (root->nrefs > 0)
		memcpy(refs, root->refs, root->nrefs * sizeof *refs);
	for (size_t i = 0; i < p->nlisted; i++)
		if (!p->referred[i])
			refs[root->nrefs++] = i;
	root->refs = refs;
	return 0;
}

/* ---- beginning ---- */

static int
begin(struct plan *p, struct err *e)
{
	int64_t lease = (int64_t)STAGED_LIFETIME_S * 1000000;
	struct db *db;
	int rc;

	p->begin = (struct upload_begin){
		.owner = p->q->who,
		.store_dir = p->s->store_dir,
		/* Its client may be silent for as long as the URLs are good. */
		.lease_us = lease > p->s->lease_us ? lease : p->s->lease_us,
		.objects = p->objects,
		.nobjects = p->nobjects,
		.roots = p->roots,
		.nroots = p->nroots,
		.staged = 1,
	};
	if (server_db(p->s, &db, e) != 0)
		return -1;
	rc = uploads_begin(db, &p->begin, p->token, e);
	db_put(p->s->pool, db);
	return rc;
}

/* Asks the bucket for what is believed to be there. */
static int
verify(struct plan *p, struct err *e)
{
	const char **keys, **lost;
	struct upload_object **of;
	size_t n = 0, nlost = 0;
	struct db *db;
	int rc;

	keys = arena_array(p->a, p->nlisted, sizeof *keys);
	lost = arena_array(p->a, p->nlisted, sizeof *lost);
	of = arena_array(p->a, p->nlisted, sizeof(struct upload_object *));
	if (keys == NULL || lost == NULL || of == NULL)
		return arena_full(p->a, e);
	for (size_t i = 0; i < p->nlisted; i++)
		if (!p->objects[i].missing) {
			of[n] = &p->objects[i];
			keys[n++] = p->objects[i].key;
		}
	for (size_t i = 0; i < n; i += MSG_CHECK_MAX) {
		struct objects_check ask = { .keys = { keys + i, n - i } };
		struct objects_checked answer;

		if (ask.keys.n > MSG_CHECK_MAX)
			ask.keys.n = MSG_CHECK_MAX;
		if (ipc_call(p->s->uploader, CALL_objects_check, &ask, p->a,
		        &answer, deadline_in(SERVER_IPC_MS), e) != 0)
			return -1;
		if (answer.items.n != ask.keys.n)
			return err_set(
			    e, ERR_INTERNAL, "the uploader left out answers");
		for (size_t k = 0; k < answer.items.n; k++) {
			uint64_t state = answer.items.items[k].state;

			if (state == PRESENCE_UNKNOWN)
				return err_set(e, ERR_UNAVAILABLE,
				    "S3 did not say whether %s is there",
				    keys[i + k]);
			if (state != PRESENCE_ABSENT)
				continue;
			of[i + k]->missing = 1;
			lost[nlost++] = keys[i + k];
		}
	}
	if (nlost == 0)
		return 0;
	log_warn("objects are lost", LOG_U("objects", nlost),
	    LOG_S("such-as", lost[0]));
	if (server_db(p->s, &db, e) != 0)
		return -1;
	rc = staged_lost(db, p->token, p->q->who, lost, nlost, e);
	db_put(p->s->pool, db);
	return rc;
}

/* ---- where to write ---- */

static int
in_parts(const struct upload_object *o)
{
	return o->kind == OBJKEY_NAR &&
	    (o->nar_size < 1 || (uint64_t)o->nar_size > COMPAT_SINGLE_MAX);
}

static size_t
first_parts(const struct upload_object *o)
{
	uint64_t n;

	if (o->nar_size < 1)
		return PARTS_UNKNOWN;
	n = (o->nar_size + COMPAT_SINGLE_MAX - 1) / COMPAT_SINGLE_MAX;
	n += n / 5;
	return n < PARTS_MIN ? PARTS_MIN : n > PARTS_MAX ? PARTS_MAX : n;
}

static int
begin_parts(
    struct plan *p, const char *key, const char **upload_id, struct err *e)
{
	struct mpu_create ask = { .key = key };
	struct mpu_created answer;
	struct db *db;
	int64_t row;
	int rc;

	if (server_db(p->s, &db, e) != 0)
		return -1;
	rc = uploads_multipart_intend(
	    db, p->token, p->q->who, key, p->begin.lease_us, &row, e);
	db_put(p->s->pool, db);
	if (rc != 0 ||
	    ipc_call(p->s->uploader, CALL_mpu_create, &ask, p->a, &answer,
	        deadline_in(SERVER_IPC_MS), e) != 0 ||
	    server_db(p->s, &db, e) != 0)
		return -1;
	rc = uploads_multipart_begun(db, row, answer.upload_id, e);
	db_put(p->s->pool, db);
	*upload_id = answer.upload_id;
	return rc;
}

static int
put_parts(struct plan *p, const struct upload_object *o, struct buf *out,
    struct err *e)
{
	struct presign_item items[PARTS_MAX] = { 0 };
	size_t n = first_parts(o);
	const char *upload_id, **urls;

	if (begin_parts(p, o->key, &upload_id, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		items[i] = (struct presign_item){
			.key = o->key, .upload_id = upload_id, .part = i + 1
		};
	if (compat_presign(p->s, p->a, NULL, items, n, &urls, e) != 0 ||
	    buf_puts(out, ",\"multipart_info\":{\"upload_id\":", e) != 0 ||
	    json_put_str(out, upload_id, strlen(upload_id), e) != 0 ||
	    buf_puts(out, ",\"part_urls\":[", e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if ((i > 0 && buf_putc(out, ',', e) != 0) ||
		    json_put_str(out, urls[i], strlen(urls[i]), e) != 0)
			return -1;
	return buf_puts(out, "]}}", e);
}

static int
put_missing(struct plan *p, const struct upload_object *o, const char *url,
    struct buf *out, struct err *e)
{
	if (json_put_str(out, o->key, strlen(o->key), e) != 0 ||
	    buf_printf(
	        out, e, ":{\"type\":\"%s\"", objkey_kind_name(o->kind)) != 0)
		return -1;
	if (url == NULL)
		return put_parts(p, o, out, e);
	if (buf_puts(out, ",\"presigned_url\":", e) != 0 ||
	    json_put_str(out, url, strlen(url), e) != 0)
		return -1;
	return buf_putc(out, '}', e);
}

/* A map, which our descriptors do not have. */
static int
put_answer(struct plan *p, struct buf *out, struct err *e)
{
	struct presign_item *items;
	const char **urls;
	size_t n = 0, next = 0, put = 0;

	items = arena_array(p->a, p->nlisted, sizeof *items);
	if (items == NULL)
		return arena_full(p->a, e);
	for (size_t i = 0; i < p->nlisted; i++)
		if (p->objects[i].missing && !in_parts(&p->objects[i]))
			items[n++].key = p->objects[i].key;
	if (compat_presign(p->s, p->a, p->token, items, n, &urls, e) != 0 ||
	    buf_printf(out, e,
	        "{\"id\":\"%lld\",\"started_at\":\"%s\",\"pending_objects\":{",
	        (long long)p->begin.id,
	        server_time(p->a, p->begin.began_us)) != 0)
		return -1;
	for (size_t i = 0; i < p->nlisted; i++) {
		const struct upload_object *o = &p->objects[i];

		if (!o->missing)
			continue;
		if ((put++ > 0 && buf_putc(out, ',', e) != 0) ||
		    put_missing(
		        p, o, in_parts(o) ? NULL : urls[next++], out, e) != 0)
			return -1;
	}
	return buf_puts(out, "}}\n", e);
}

/* Nothing of it remains: its client never learned its id. */
static void
give_up(struct plan *p)
{
	struct upload_multipart *parts;
	struct err e = ERR_INIT;
	struct db *db;
	size_t n;

	if (server_db(p->s, &db, &e) != 0)
		return;
	/* Multipart uploads are aborted by the garbage collection. */
	if (uploads_abort(db, p->token, p->q->who, p->a, &parts, &n, &e) != 0)
		log_err(LOG_LEVEL_NOTICE, "upload not rolled back", &e);
	db_put(p->s->pool, db);
}

static int
start(struct plan *p, struct http_res *r, struct err *e)
{
	int rc;

	p->by_key = map_new(2 * p->body->objects.n);
	rc = list(p, e) != 0 || find_roots(p, e) != 0 || hang(p, e) != 0 ? -1
	                                                                 : 0;
	map_free(p->by_key);
	if (rc != 0 || begin(p, e) != 0)
		return -1;
	if ((p->body->verify_s3 && verify(p, e) != 0) ||
	    put_answer(p, &r->body, e) != 0) {
		give_up(p);
		return -1;
	}
	metrics_upload(p->s, METRICS_BEGUN);
	log_info("upload begun", LOG_I("id", p->begin.id),
	    LOG_U("roots", p->nroots), LOG_U("objects", p->nlisted));
	return 0;
}

/* ---- handlers ---- */

static int
is_narinfo(const char *key)
{
	size_t len = strlen(key);

	return len > 8 && strcmp(key + len - 8, ".narinfo") == 0;
}

static int
check_root(const char *key, struct err *e)
{
	enum objkey_kind kind;

	if (objkey_parse(key, strlen(key), &kind, e) != 0)
		return -1;
	return 0;
}

int
handle_compat_closure_begin(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct compat_begin body;
	struct plan p = { .s = worker, .q = q, .a = q->arena, .body = &body };

	if (compat_decode(q, &compat_begin_desc, &body, e) != 0)
		return -1;
	if (body.closure == NULL || body.closure[0] == '\0')
		return err_set(e, ERR_INVALID, "missing closure key");
	if (!is_narinfo(body.closure))
		return err_set(
		    e, ERR_INVALID, "closure key must end with .narinfo");
	if (body.objects.n == 0)
		return err_set(e, ERR_INVALID, "missing objects key");
	if (check_root(body.closure, e) != 0)
		return -1;
	p.root_keys = &body.closure;
	p.nroots = 1;
	return start(&p, r, e);
}

int
handle_compat_push_begin(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct compat_begin body;
	struct plan p = { .s = worker, .q = q, .a = q->arena, .body = &body };
	struct map *listed;
	int rc = 0;

	if (compat_decode(q, &compat_begin_desc, &body, e) != 0)
		return -1;
	if (body.roots.n == 0)
		return err_set(e, ERR_INVALID, "missing roots");
	if (body.objects.n == 0)
		return err_set(e, ERR_INVALID, "missing objects key");
	listed = map_new(body.objects.n);
	for (size_t i = 0; i < body.objects.n; i++)
		map_put(listed, body.objects.items[i].key,
		    strlen(body.objects.items[i].key), &body.objects.items[i]);
	for (size_t i = 0; i < body.roots.n && rc == 0; i++) {
		const char *root = body.roots.items[i];

		if (!is_narinfo(root))
			rc = err_set(e, ERR_INVALID,
			    "root key must end with .narinfo: %s", root);
		else if (map_get(listed, root, strlen(root)) == NULL)
			rc = err_set(e, ERR_INVALID,
			    "root is not among the objects: %s", root);
	}
	map_free(listed);
	if (rc != 0)
		return -1;
	p.root_keys = body.roots.items;
	p.nroots = body.roots.n;
	return start(&p, r, e);
}
