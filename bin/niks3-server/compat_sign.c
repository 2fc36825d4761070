/*
 * POST /api/pending_closures/{id}/sign and /api/pushes/{id}/sign: signatures for
 * narinfos that the client is going to write. Only what the upload was begun with
 * is signed.
 */
#include <string.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/codec/jsonscan.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/commit.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/staged.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/storepath.h"
#include "compat.h"

#define NARINFOS_MAX 1000000 /* of one request */

struct signing {
	struct server *s;
	const struct http_req *q;
	struct arena *a;
	struct jsonscan scan;
	const char **keys;
	struct upload_path *paths;
	size_t n, cap;
};

/* ---- reading ---- */

static int
read_text(struct signing *g, char *out, size_t size, struct err *e)
{
	struct jsonscan_raw v;

	if (jsonscan_string(&g->scan, &v, e) != 0)
		return -1;
	return jsonscan_text(v, out, size, e);
}

/* A full store path: its base name, in the arena. */
static int
read_path(struct signing *g, const char **out, struct err *e)
{
	char text[STOREPATH_MAX + 1];
	const char *base;

	if (read_text(g, text, sizeof text, e) != 0 ||
	    storepath_parse(g->s->store_dir, text, &base, e) != 0)
		return -1;
	*out = arena_str(g->a, base);
	return *out != NULL ? 0 : arena_full(g->a, e);
}

static int
read_references(struct signing *g, struct upload_path *p, struct err *e)
{
	const char *refs[NARINFO_REFS_MAX];
	size_t n = 0;
	int rc;

	if (jsonscan_null(&g->scan))
		return 0;
	if (!jsonscan_take(&g->scan, '['))
		return err_set(e, ERR_INVALID, "references: not a list");
	while ((rc = jsonscan_item(&g->scan, &n, e)) > 0) {
		if (n > NARINFO_REFS_MAX)
			return err_set(e, ERR_TOO_LARGE, "over %d references",
			    NARINFO_REFS_MAX);
		if (read_path(g, &refs[n - 1], e) != 0)
			return -1;
	}
	if (rc != 0)
		return -1;
	p->nrefs = n;
	p->refs = arena_dup(g->a, refs, n * sizeof refs[0]);
	return n == 0 || p->refs != NULL ? 0 : arena_full(g->a, e);
}

static int
read_size(struct signing *g, struct upload_path *p, struct err *e)
{
	struct jsonscan_raw v;
	uint64_t size;

	if (jsonscan_word(&g->scan, &v, e) != 0 ||
	    num_parse_u64(v.p, v.len, INT64_MAX, &size, e) != 0)
		return err_prefix(e, "nar_size");
	p->nar_size = size;
	return 0;
}

static int
read_hash(struct signing *g, struct upload_path *p, struct err *e)
{
	char text[HASH_TEXT_MAX + 64];

	if (read_text(g, text, sizeof text, e) != 0 ||
	    hash_parse(text, strlen(text), &p->nar_hash, e) != 0)
		return err_prefix(e, "nar_hash");
	return 0;
}

/* What else a narinfo says is not signed. */
static int
read_meta(struct signing *g, struct upload_path *p, struct err *e)
{
	struct jsonscan_raw key;
	int rc, hashed = 0;
	size_t n = 0;

	if (!jsonscan_take(&g->scan, '{'))
		return err_set(e, ERR_INVALID, "not an object");
	while ((rc = jsonscan_member(&g->scan, &key, &n, e)) > 0) {
		if (jsonscan_is(key, "store_path"))
			rc = read_path(g, &p->base, e);
		else if (jsonscan_is(key, "nar_hash"))
			rc = read_hash(g, p, e), hashed = 1;
		else if (jsonscan_is(key, "nar_size"))
			rc = read_size(g, p, e);
		else if (jsonscan_is(key, "references"))
			rc = read_references(g, p, e);
		else
			rc = jsonscan_skip(&g->scan, e);
		if (rc != 0)
			return -1;
	}
	if (rc == 0 && (p->base == NULL || !hashed))
		return err_set(e, ERR_INVALID, "no %s",
		    p->base == NULL ? "store_path" : "nar_hash");
	return rc;
}

static int
read_narinfo(struct signing *g, struct jsonscan_raw key, struct err *e)
{
	char text[OBJKEY_TEXT_MAX];
	struct upload_path *p = &g->paths[g->n];

	if (jsonscan_text(key, text, sizeof text, e) != 0 ||
	    (g->keys[g->n] = arena_str(g->a, text)) == NULL)
		return -1;
	if (read_meta(g, p, e) != 0)
		return err_prefix(e, "%s", text);
	g->n++;
	return 0;
}

/* So many that the arrays need not grow: each has a brace of its own. */
static size_t
count_most(const struct http_req *q)
{
	size_t n = 0;

	for (size_t i = 0; i < q->body_len; i++)
		n += q->body[i] == '{';
	return n;
}

static int
read_body(struct signing *g, struct err *e)
{
	struct jsonscan_raw key;
	size_t n = 0, k = 0;
	int rc;

	g->cap = count_most(g->q);
	if (g->cap > NARINFOS_MAX)
		return err_set(
		    e, ERR_TOO_LARGE, "over %d narinfos", NARINFOS_MAX);
	g->keys = arena_array(g->a, g->cap, sizeof *g->keys);
	g->paths = arena_array(g->a, g->cap, sizeof *g->paths);
	if (g->keys == NULL || g->paths == NULL)
		return arena_full(g->a, e);
	g->scan = (struct jsonscan){ (const char *)g->q->body,
		(const char *)g->q->body + g->q->body_len };
	if (!jsonscan_take(&g->scan, '{'))
		return err_set(e, ERR_INVALID, "not an object");
	while ((rc = jsonscan_member(&g->scan, &key, &n, e)) > 0) {
		if (!jsonscan_is(key, "narinfos")) {
			if (jsonscan_skip(&g->scan, e) != 0)
				return -1;
			continue;
		}
		if (!jsonscan_take(&g->scan, '{'))
			return err_set(
			    e, ERR_INVALID, "narinfos: not an object");
		while ((rc = jsonscan_member(&g->scan, &key, &k, e)) > 0)
			if (read_narinfo(g, key, e) != 0)
				return -1;
		if (rc != 0)
			return -1;
	}
	return rc;
}

/* ---- checking, signing ---- */

static int
not_of_it(struct err *e)
{
	return err_set(e, ERR_FORBIDDEN,
	    "invalid narinfo key: not part of this pending closure");
}

static int
check_all(struct signing *g, struct err *e)
{
	struct staged_refs *refs;
	const char *token;
	enum staged_state state;
	struct db *db;
	int64_t id;
	size_t nar;
	int rc;

	if (compat_id(g->q, &id, e) != 0)
		return -1;
	if (g->n == 0)
		return 0;
	refs = arena_array(g->a, g->n, sizeof *refs);
	if (refs == NULL)
		return arena_full(g->a, e);
	if (server_db(g->s, &db, e) != 0)
		return -1;
	rc = staged_find(db, id, g->q->who, g->a, &token, &state, e);
	if (rc == 0)
		rc = staged_refs(
		    db, token, g->q->who, g->keys, g->n, g->a, refs, e);
	db_put(g->s->pool, db);
	if (rc != 0)
		return e->kind == ERR_NOT_FOUND ? not_of_it(e) : -1;
	for (size_t i = 0; i < g->n; i++) {
		if (refs[i].id == 0)
			return not_of_it(e);
		if (compat_check_path(
		        g->keys[i], &refs[i], &g->paths[i], &nar, e) != 0)
			return -1;
	}
	return 0;
}

static int
put_sigs(const struct commit_path *p, struct buf *out, struct err *e)
{
	for (size_t i = 0; i < p->nsigs; i++)
		if ((i > 0 && buf_putc(out, ',', e) != 0) ||
		    json_put_str(out, p->sigs[i], strlen(p->sigs[i]), e) != 0)
			return -1;
	return 0;
}

static int
sign_all(struct signing *g, struct buf *out, struct err *e)
{
	struct commit_path *paths = arena_array(g->a, g->n, sizeof *paths);

	if (paths == NULL)
		return arena_full(g->a, e);
	for (size_t i = 0; i < g->n; i++)
		paths[i] = (struct commit_path){
			.base = g->paths[i].base,
			.nar_hash = g->paths[i].nar_hash,
			.nar_size = g->paths[i].nar_size,
			.refs = g->paths[i].refs,
			.nrefs = g->paths[i].nrefs,
		};
	if (server_sign(g->s, g->a, g->s->store_dir, paths, g->n, e) != 0 ||
	    buf_puts(out, "{\"signatures\":{", e) != 0)
		return -1;
	for (size_t i = 0; i < g->n; i++)
		if ((i > 0 && buf_putc(out, ',', e) != 0) ||
		    json_put_str(out, g->keys[i], strlen(g->keys[i]), e) != 0 ||
		    buf_puts(out, ":[", e) != 0 ||
		    put_sigs(&paths[i], out, e) != 0 ||
		    buf_putc(out, ']', e) != 0)
			return -1;
	return buf_puts(out, "}}\n", e);
}

int
handle_compat_sign(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct signing g = { .s = worker, .q = q, .a = q->arena };

	if (read_body(&g, e) != 0)
		return err_prefix(e, "failed to decode request");
	if (check_all(&g, e) != 0)
		return -1;
	return sign_all(&g, &r->body, e);
}
