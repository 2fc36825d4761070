/*
 * Pushes as the database sees them: each begins, is authorised and commits; what
 * a server, a signer and a bucket would add is left out.
 *
 *	gc_push DB loop MS     a small push, then MS of rest, until SIGTERM
 *	gc_push DB many N      N small pushes
 *	gc_push DB once PATHS  one push of PATHS new store paths
 *
 * The first two print one line "PUSHES P50 P99 MAX", the last "OBJECTS BEGIN
 * COMMIT", times in milliseconds. A small push is of SMALL_PATHS new paths, three
 * objects each, and of as many objects that are kept already; one more is garbage,
 * or is being deleted just now, and is wanted again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/db/commit.h"
#include "../../libcommon/db/db_internal.h"
#include "../../libcommon/db/uploads.h"
#include "../../libcommon/nix/nix32.h"
#include "../../libcommon/nix/objkey.h"

#define OWNER       "bench"
#define STORE       "/nix/store"
#define LEASE_US    ((int64_t)3600 * 1000000)
#define AUTH_US     1 /* nothing is ever written late */
#define WAIT_MS     120000
#define MEMORY_MAX  ((size_t)1 << 30)
#define SMALL_PATHS 8
#define PATH_REFS   5 /* of a new path to other paths */
#define PATHS_MAX   100000
#define FILE_SIZE   1000

/* What is in the cache already. */
struct known {
	const char *key;
	int kind;
};

struct cache {
	struct db *db;
	struct arena *a;
	struct known *kept, *garbage;
	size_t nkept, ngarbage;
};

struct push {
	struct upload_begin b;
	struct upload_object *objects;
	struct upload_path *paths;
	struct upload_root root;
	char token[UPLOAD_TOKEN_MAX];
	int64_t begin_us, commit_us;
};

/* ---- what there is ---- */

static void
die(const struct err *e)
{
	err_die("%s", e->msg);
}

static struct known *
look(struct cache *c, const char *sql, size_t *n)
{
	struct err e = ERR_INIT;
	struct known *out;
	int full = 0;
	PGresult *r;

	db_deadline(c->db, deadline_in(WAIT_MS));
	if (db_query(c->db, sql, P_NONE, &r, &e) != 0)
		die(&e);
	*n = PQntuples(r);
	out = arena_array(c->a, *n + 1, sizeof *out);
	for (size_t i = 0; out != NULL && i < *n; i++) {
		out[i].key = row_text(r, i, 0, c->a, &full);
		out[i].kind = row_i64(r, i, 1);
	}
	if (out == NULL || full)
		err_die("too much is in the cache");
	PQclear(r);
	return out;
}

/* What the roots of some closures refer to, of which the bench did not push any:
 * else each push would keep the one before alive. Of old ones, what refers to
 * nothing itself. */
#define SOME(age)                                                   \
	"SELECT r.key, r.kind FROM (SELECT object_id FROM closures" \
	" WHERE updated_at " age " now() - interval '30 days'"      \
	" AND store_path NOT LIKE '%-bench-1.0'"                    \
	" ORDER BY random() LIMIT 500) k"                           \
	" JOIN objects o ON o.id = k.object_id,"                    \
	" LATERAL unnest(o.refs) ref JOIN objects r ON r.id = ref"

static void
look_at_all(struct cache *c)
{
	c->kept = look(c, SOME(">"), &c->nkept);
	c->garbage = look(c, SOME("<=") " WHERE r.kind = 3", &c->ngarbage);
}

/* ---- one push ---- */

static uint32_t
add(struct push *p, const char *key, int kind)
{
	p->objects[p->b.nobjects] =
	    (struct upload_object){ .key = key, .kind = kind, .nar_size = -1 };
	return p->b.nobjects++;
}

static int
is_there(const struct push *p, const char *key)
{
	for (size_t i = 0; i < p->b.nobjects; i++)
		if (strcmp(p->objects[i].key, key) == 0)
			return 1;
	return 0;
}

static void
add_known(struct push *p, const struct known *k, size_t n)
{
	const struct known *one = &k[random() % n];

	if (!is_there(p, one->key))
		add(p, one->key, one->kind);
}

/* A new path that refers to the paths before it and to some that are known, which
 * are the first nknown objects. */
static uint32_t
add_path(struct push *p, size_t nknown, struct arena *a)
{
	struct upload_path *path = &p->paths[p->b.npaths];
	char key[OBJKEY_TEXT_MAX], text[NIX32_LEN(20) + 1];
	uint32_t *refs = arena_array(a, PATH_REFS + 2, sizeof *refs);
	uint32_t before = p->b.nobjects;
	uint8_t random_bytes[20];
	size_t n = 0;

	secret_random(random_bytes, sizeof random_bytes);
	nix32_fmt(text, random_bytes, sizeof random_bytes);
	path->base = arena_printf(a, "%s-bench-1.0", text);
	secret_random(path->nar_hash.sha256, HASH_LEN);
	path->nar_size = FILE_SIZE;
	objkey_fmt_narinfo(key, path->base);
	path->object = add(p, arena_str(a, key), OBJKEY_NARINFO);
	objkey_fmt_nar(key, &path->nar_hash);
	path->nar = add(p, arena_str(a, key), OBJKEY_NAR);
	p->objects[path->nar].nar_size = FILE_SIZE;
	refs[n++] = path->nar;
	objkey_fmt_listing(key, path->base);
	refs[n++] = add(p, arena_str(a, key), OBJKEY_LISTING);
	if (p->b.npaths > 0)
		refs[n++] = p->paths[p->b.npaths - 1].object;
	while (n < PATH_REFS + 2 && before > 0)
		refs[n++] = random() %
		    (p->b.npaths % 2 && nknown > 0 ? nknown : before);
	p->objects[path->object].name = "bench-1.0";
	p->objects[path->object].refs = refs;
	p->objects[path->object].nrefs = n;
	p->b.npaths++;
	return path->object;
}

static struct push *
make(const struct cache *c, size_t npaths, size_t nknown, struct arena *a)
{
	struct push *p = arena_alloc(a, sizeof *p);
	size_t most = 3 * npaths + nknown + 1;

	if (p != NULL) {
		p->objects = arena_array(a, most, sizeof *p->objects);
		p->paths = arena_array(a, npaths, sizeof *p->paths);
	}
	if (p == NULL || p->objects == NULL || p->paths == NULL)
		err_die("a push of %zu paths is too large", npaths);
	for (size_t i = 0; i < nknown && c->nkept > 0; i++)
		add_known(p, c->kept, c->nkept);
	if (nknown > 0 && c->ngarbage > 0)
		add_known(p, c->garbage, c->ngarbage);
	nknown = p->b.nobjects;
	for (size_t i = 0; i < npaths; i++)
		p->root.object = add_path(p, nknown, a);
	p->root.store_path =
	    arena_printf(a, STORE "/%s", p->paths[npaths - 1].base);
	p->b.owner = OWNER;
	p->b.store_dir = STORE;
	p->b.lease_us = LEASE_US;
	p->b.objects = p->objects;
	p->b.paths = p->paths;
	p->b.roots = &p->root;
	p->b.nroots = 1;
	return p;
}

/* All that is missing, but for narinfos, which the server writes. */
static int
authorize(struct db *db, const struct push *p, struct arena *a, struct err *e)
{
	struct upload_write *w = arena_array(a, p->b.nobjects, sizeof *w);
	size_t n = 0;

	if (w == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < p->b.nobjects; i++)
		if (p->objects[i].missing &&
		    p->objects[i].kind != OBJKEY_NARINFO)
			w[n++] = (struct upload_write){
				.key = p->objects[i].key,
				.size = FILE_SIZE,
				.whole = 1,
			};
	return uploads_authorize(
	    db, p->token, OWNER, w, n, AUTH_US, LEASE_US, e);
}

static int
commit(struct db *db, struct push *p, struct arena *a, struct err *e)
{
	struct commit c;
	const char **missing;
	size_t nmissing;
	enum commit_claim claim;

	if (commit_load(db, p->token, OWNER, LEASE_US, a, &c, e) != 0 ||
	    commit_publish(db, &c, &claim, e) != 0)
		return -1;
	if (claim != COMMIT_CLAIMED)
		err_die("somebody else writes our narinfos");
	for (size_t i = 0; i < c.npaths; i++)
		c.paths[i].size = FILE_SIZE;
	return commit_finish(db, &c, a, &missing, &nmissing, e);
}

static void
push(struct cache *c, struct push *p, struct arena *a)
{
	struct err e = ERR_INIT;
	int64_t began = clock_mono_us();

	db_deadline(c->db, deadline_in(WAIT_MS));
	if (uploads_begin(c->db, &p->b, p->token, &e) != 0)
		die(&e);
	p->begin_us = clock_mono_us() - began;
	if (authorize(c->db, p, a, &e) != 0)
		die(&e);
	began = clock_mono_us();
	if (commit(c->db, p, a, &e) != 0)
		die(&e);
	p->commit_us = clock_mono_us() - began;
}

/* ---- many ---- */

struct times {
	int64_t *us;
	size_t n, cap;
};

static void
note(struct times *t, int64_t us)
{
	if (t->n == t->cap) {
		t->cap = t->cap * 2 + 1024;
		t->us = xrealloc(t->us, t->cap * sizeof *t->us);
	}
	t->us[t->n++] = us;
}

static int
order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static double
percentile(const struct times *t, double part)
{
	size_t at = part * t->n;

	return t->us[at < t->n ? at : t->n - 1] / 1e3;
}

static void
many(struct cache *c, uint64_t most, int64_t rest_ms)
{
	struct arena *a = arena_new(MEMORY_MAX);
	struct times t = { 0 };

	look_at_all(c);
	while (
	    t.n < most && service_wait(deadline_in(rest_ms), NULL, NULL) != 0) {
		struct push *p;
		int64_t began;

		arena_reset(a);
		p = make(c, SMALL_PATHS, 3 * SMALL_PATHS, a);
		began = clock_mono_us();
		push(c, p, a);
		note(&t, clock_mono_us() - began);
	}
	if (t.n == 0)
		err_die("no push was made");
	qsort(t.us, t.n, sizeof *t.us, order);
	printf("%zu %.1f %.1f %.1f\n", t.n, percentile(&t, 0.5),
	    percentile(&t, 0.99), percentile(&t, 1));
	free(t.us);
	arena_free(a);
}

static void
once(struct cache *c, size_t npaths)
{
	struct push *p = make(c, npaths, 0, c->a);

	push(c, p, c->a);
	printf("%zu %.1f %.1f\n", p->b.nobjects, p->begin_us / 1e3,
	    p->commit_us / 1e3);
}

int
main(int argc, char **argv)
{
	struct cache c = { .a = arena_new(MEMORY_MAX) };
	struct err e = ERR_INIT;
	uint64_t n;

	if (argc != 4)
		err_die("usage: gc_push DB loop|many|once N");
	if (num_parse_u64(argv[3], strlen(argv[3]), PATHS_MAX, &n, &e) != 0)
		die(&e);
	service_init("gc_push", "info");
	if (db_open(argv[1], "gc_push", deadline_in(WAIT_MS), &c.db, &e) != 0)
		die(&e);
	if (strcmp(argv[2], "loop") == 0)
		many(&c, UINT64_MAX, n);
	else if (strcmp(argv[2], "many") == 0)
		many(&c, n, 0);
	else if (strcmp(argv[2], "once") == 0 && n > 0)
		once(&c, n);
	else
		err_die("gc_push: %s %s?", argv[2], argv[3]);
	db_close(c.db);
	arena_free(c.a);
	return 0;
}
