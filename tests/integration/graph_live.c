/*
 * The graph of all objects against a real PostgreSQL: what a collection would
 * delete, what can go with one object, what keeps one (live.h tells what it
 * needs).
 *
 * Graphs are written as "app>lib,n-app lib>n-lib n-app n-lib": objects, each with
 * what it refers to. A name that begins with "n" is a NAR, with "x" a log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/db/graph.h"
#include "live.h"

/* Text in pieces. */
struct text {
	char *s;
	size_t len;
	FILE *f;
};

static void
text_begin(struct text *t)
{
	t->f = open_memstream(&t->s, &t->len);
	assert_non_null(t->f);
}

static const char *
text_end(struct text *t)
{
	const char *s;

	fclose(t->f);
	s = arena_str(live_arena, t->s);
	free(t->s);
	return s;
}

/* ---- graphs by hand ---- */

/* Ids have gaps, and each size is a bit: a sum tells which they were. */
#define OBJECTS_MAX 50
#define ID(i)       (10 + 3 * (int64_t)(i))

static char names[OBJECTS_MAX][16];
static int nnames;

static int
kind_of(const char *name)
{
	return name[0] == 'n' ? 2 : name[0] == 'x' ? 4 : 1;
}

static int
index_of(const char *name)
{
	for (int i = 0; i < nnames; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	fail_msg("no object %s", name);
	return -1;
}

static int64_t
id_of(const char *name)
{
	return ID(index_of(name));
}

static void
objects(const char *spec)
{
	char *copy = arena_str(live_arena, spec), *word, *at;
	char *refs[OBJECTS_MAX];

	nnames = 0;
	for (word = strtok_r(copy, " ", &at); word != NULL;
	     word = strtok_r(NULL, " ", &at)) {
		char *to = strchr(word, '>');

		if (to != NULL)
			*to++ = '\0';
		refs[nnames] = to;
		snprintf(names[nnames++], sizeof names[0], "%s", word);
	}
	for (int i = 0; i < nnames; i++) {
		struct text ids;

		text_begin(&ids);
		for (word = refs[i] != NULL ? strtok_r(refs[i], ",", &at)
		                            : NULL;
		     word != NULL; word = strtok_r(NULL, ",", &at))
			fprintf(ids.f, "%s%lld", ftell(ids.f) > 0 ? "," : "",
			    (long long)id_of(word));
		live_sql("INSERT INTO objects (id, key, kind, refs)"
		         " VALUES (%lld, '%s', %d, '{%s}');"
		         "INSERT INTO contents (object_id, size, sha256)"
		         " VALUES (%lld, %lld, '')",
		    (long long)ID(i), names[i], kind_of(names[i]),
		    text_end(&ids), (long long)ID(i), 1LL << i);
	}
}

#define NAMED " FROM objects WHERE key = ANY (string_to_array('%s', ' '))"

static void
pending(const char *keys)
{
	live_sql("INSERT INTO pending (object_id) SELECT id" NAMED, keys);
}

static void
tombstones(const char *keys)
{
	live_sql("INSERT INTO tombstones (object_id, first_at, rank)"
	         " SELECT id, '2026-02-03', " DB_RANK("kind") NAMED,
	    keys);
}

static void
claimed(const char *keys)
{
	tombstones(keys);
	live_sql("UPDATE tombstones SET claim = 1, claimed_at = now()"
	         " WHERE object_id IN (SELECT id" NAMED ")",
	    keys);
}

static void
closure(const char *keys, int hour)
{
	live_sql("INSERT INTO closures (object_id, store_path, updated_at)"
	         " SELECT id, '/nix/store/' || key, " LIVE_DAY
	         " + %d * interval '1 h'" NAMED,
	    hour, keys);
}

static void
pin(const char *name, const char *key)
{
	live_sql("INSERT INTO pins (name, object_id, store_path)"
	         " SELECT '%s', id, '/nix/store/' || key" NAMED,
	    name, key);
}

static void
upload(int id, const char *root, const char *needs, int lease_hour)
{
	live_sql(
	    "INSERT INTO uploads (id, token, owner, store_dir, lease_until,"
	    " created_at) VALUES (%d, 'u%d', 'ci', '/nix/store', " LIVE_DAY
	    " + %d * interval '1 h', " LIVE_DAY ");"
	    "INSERT INTO upload_needs (upload_id, object_id, refs, missing)"
	    " SELECT %d, id, '{}', true" NAMED ";"
	    "INSERT INTO upload_roots (upload_id, object_id, store_path)"
	    " SELECT %d, id, '/nix/store/' || key" NAMED,
	    id, id, lease_hour, id, needs, id, root);
}

static const char *
base_of(const char *store_path)
{
	return store_path == NULL ? "-" : strrchr(store_path, '/') + 1;
}

/* ---- what a collection would delete ---- */

/* "app: app n-app; -: old", as they are told. */
static const char *
report_of(const struct graph *g)
{
	uint64_t objects_sum = 0, bytes_sum = 0;
	struct graph_report r;
	struct text t;

	text_begin(&t);
	OK(graph_report(live_gc, g, live_arena, &r, &e));
	for (size_t i = 0; i < r.nroots; i++) {
		const struct graph_root *root = &r.roots[i];

		fprintf(
		    t.f, "%s%s:", i > 0 ? "; " : "", base_of(root->store_path));
		for (int k = 0; k < nnames; k++)
			if (root->bytes >> k & 1)
				fprintf(t.f, " %s", names[k]);
		assert_int_equal(
		    root->objects, __builtin_popcountll(root->bytes));
		objects_sum += root->objects;
		bytes_sum += root->bytes;
		assert_int_equal(root->id == 0, root->store_path == NULL);
		if (root->id == 0)
			assert_int_equal(root->updated_us, 0);
	}
	assert_int_equal(r.objects, objects_sum);
	assert_int_equal(r.bytes, bytes_sum);
	return text_end(&t);
}

static const char *
report(int closures_hour, int leases_hour)
{
	struct graph *g = live_load(closures_hour, leases_hour);
	const char *s = report_of(g);

	graph_free(g);
	return s;
}

static void
test_report(void **state)
{
	(void)state;
	assert_string_equal(report(100000, -1), "");
	objects("app>lib,n-app tool>lib,n-tool lib>n-lib n-app n-tool n-lib"
	        " old>n-old n-old");
	closure("app", 1);
	closure("tool", 2);
	/* What nothing needs is there without any closure. */
	assert_string_equal(report(0, -1), "-: old n-old");
	assert_string_equal(report(1, -1), "-: old n-old; app: app n-app");
	/* What two need goes with the one that was pushed first. */
	assert_string_equal(report(2, -1),
	    "-: old n-old; app: app lib n-app n-lib; tool: tool n-tool");
	pin("keep", "tool");
	assert_string_equal(report(2, -1), "-: old n-old; app: app n-app");
	live_sql("DELETE FROM pins");
	closure("lib", 0);
	assert_string_equal(report(2, -1),
	    "-: old n-old; lib: lib n-lib; tool: tool n-tool; app: app n-app");
	/* One that is needed by another root frees nothing. */
	assert_string_equal(report(0, -1), "-: old n-old; lib:");
}

static void
test_report_ages(void **state)
{
	struct graph_report r;
	struct graph *g;

	(void)state;
	objects("a>s b>s s");
	closure("b", 1);
	closure("a", 2);
	g = live_load(2, -1);
	OK(graph_report(live_gc, g, live_arena, &r, &e));
	assert_int_equal(r.nroots, 2);
	assert_int_equal(r.roots[0].id, id_of("b"));
	assert_int_equal(r.roots[0].updated_us, LIVE_AT(1));
	assert_int_equal(r.roots[1].updated_us, LIVE_AT(2));
	/* Pushed again meanwhile: it is the younger one now. */
	live_sql(
	    "UPDATE closures SET updated_at = " LIVE_DAY " + interval '9 h'"
	    " WHERE store_path LIKE '%%/b'");
	assert_string_equal(report_of(g), "a: a s; b: b");
	/* And gone meanwhile. */
	live_sql("DELETE FROM closures");
	assert_string_equal(report_of(g), "-: a b s");
	graph_free(g);
}

static void
test_report_states(void **state)
{
	(void)state;
	objects("app>t,p,c,l t>l p>l c>l l up need>deep deep gone>deep");
	closure("app", 1);
	tombstones("t");
	pending("p up");
	claimed("c");
	/* Only what is live goes: the rest is going already. */
	assert_string_equal(report(1, -1), "-: need deep gone; app: app l");
	upload(1, "up", "up need", 5);
	assert_string_equal(report(1, -1), "-: gone; app: app l");
	/* A collection would end that upload. */
	assert_string_equal(report(1, 4), "-: gone; app: app l");
	assert_string_equal(report(1, 5), "-: need deep gone; app: app l");
}

/* Circles, references to nowhere, a closure of nothing. */
static void
test_report_broken(void **state)
{
	(void)state;
	objects("a>b b>c c>a lone>lone");
	closure("b", 1);
	live_sql(
	    "UPDATE objects SET refs = refs || 999::bigint WHERE key = 'c'");
	live_sql("INSERT INTO closures (object_id, store_path, updated_at)"
	         " VALUES (998, '/nix/store/nowhere', " LIVE_DAY ")");
	assert_string_equal(report(1, -1), "-: lone; b: a b c; nowhere:");
}

/* ---- what can go with one object ---- */

static const char *
purge_of(const struct graph *g, int64_t id)
{
	struct err e = ERR_INIT;
	struct text t;
	int64_t *ids;
	size_t n;

	if (graph_purge(g, id, &ids, &n, &e) != 0)
		return err_name(e.kind);
	text_begin(&t);
	for (size_t i = 0; i < n; i++)
		fprintf(
		    t.f, "%s%s", i > 0 ? " " : "", names[(ids[i] - ID(0)) / 3]);
	free(ids);
	return text_end(&t);
}

static const char *
purge(const char *name)
{
	struct graph *g = live_load(-1, -1);
	const char *s = purge_of(g, id_of(name));

	graph_free(g);
	return s;
}

static void
test_purge(void **state)
{
	(void)state;
	objects("n-app n-lib lib>n-lib app>x-app,n-app,lib x-app other>n-app");
	/* NARs come last, although their ids are the first. */
	closure("other", 1);
	assert_string_equal(purge("app"), "lib app x-app n-lib");
	assert_string_equal(purge("other"), "conflict");
	assert_string_equal(purge("n-app"), "conflict");
	closure("app", 1);
	assert_string_equal(purge("app"), "conflict");
	assert_string_equal(purge("lib"), "conflict");
	live_sql("DELETE FROM closures");
	assert_string_equal(purge("other"), "other");
	/* Who needs it goes with it; what only these need, too. */
	assert_string_equal(purge("lib"), "lib app x-app n-lib");
	assert_string_equal(purge("n-app"), "lib app other x-app n-app n-lib");
}

static void
test_purge_shared(void **state)
{
	(void)state;
	/* b is garbage of its own: what it needs waits with it. */
	objects("a>s,t,n-a s>n-s t>n-s,n-t b>s n-a n-s n-t");
	assert_string_equal(purge("a"), "a t n-a n-t");
	tombstones("b");
	assert_string_equal(purge("a"), "a t n-a n-t");
	/* Its delete may be refused. */
	live_sql("UPDATE tombstones SET claim = 1");
	assert_string_equal(purge("a"), "a t n-a n-t");
	live_sql("DELETE FROM tombstones");
	pending("b");
	/* Not in the bucket, as far as anybody knows. */
	assert_string_equal(purge("a"), "a s t n-a n-s n-t");
	/* What it was before is. */
	tombstones("b");
	assert_string_equal(purge("a"), "a t n-a n-t");
	/* And now nobody refers to s any more. */
	live_sql("DELETE FROM tombstones; DELETE FROM pending;"
	         "UPDATE objects SET refs = '{}' WHERE key = 'b'");
	assert_string_equal(purge("a"), "a s t n-a n-s n-t");
}

static void
test_purge_states(void **state)
{
	(void)state;
	objects("a>t,p,c,n-a t>n-t p>n-p c>n-c n-a n-t n-p n-c up>a far>up");
	tombstones("t");
	pending("p up");
	claimed("c");
	assert_string_equal(purge("a"), "a t n-a n-t");
	assert_string_equal(purge("t"), "a t n-a n-t");
	assert_string_equal(purge("p"), "not_found");
	assert_string_equal(purge("c"), "not_found");
	assert_string_equal(purge("far"), "far");
	/* What an upload needs is needed. */
	upload(1, "up", "up a", 1);
	assert_string_equal(purge("a"), "conflict");
	assert_string_equal(purge("n-a"), "conflict");
	assert_string_equal(purge("up"), "conflict");
	assert_string_equal(purge("far"), "far");
}

static void
test_purge_circles(void **state)
{
	struct err e = ERR_INIT;
	struct graph *g;
	int64_t *ids;
	size_t n;

	(void)state;
	objects("a>b b>c,d c>b d>e e>d,n n y>e z");
	closure("z", 1);
	/* b, c: need each other; d, e too, and y needs them. */
	assert_string_equal(purge("a"), "a b c");
	assert_string_equal(purge("c"), "a b c");
	assert_string_equal(purge("y"), "y");
	assert_string_equal(purge("d"), "a b c d e y n");
	g = live_load(-1, -1);
	assert_string_equal(purge_of(g, 11), "not_found");
	assert_string_equal(purge_of(g, 0), "not_found");
	assert_int_equal(graph_purge(g, id_of("z"), &ids, &n, &e), -1);
	assert_non_null(strstr(e.hint, "niks3 why"));
	graph_free(g);
}

/* ---- what keeps an object ---- */

static struct why
why_of(const char *key)
{
	struct why w;

	db_deadline(live_gc, live_soon());
	OK(graph_why(live_gc, key, live_arena, &w, &e));
	return w;
}

/* "live: pin p app, closure tool; app>lib" */
static const char *
why(const char *key)
{
	static const char *const states[] = { "live", "pending", "tombstone",
		"deleting" };
	static const char *const kinds[] = { "closure", "pin", "upload" };
	struct why w = why_of(key);
	struct text t;

	text_begin(&t);
	fprintf(t.f, "%s:", states[w.state]);
	assert_int_equal(w.nkeepers, w.nlisted);
	for (size_t i = 0; i < w.nlisted; i++) {
		const struct why_keeper *k = &w.keepers[i];

		fprintf(t.f, "%s %s", i > 0 ? "," : "", kinds[k->kind]);
		if (k->name != NULL)
			fprintf(t.f, " %s", k->name);
		fprintf(t.f, " %s", base_of(k->store_path));
	}
	for (size_t i = 0; i < w.nchain; i++)
		fprintf(t.f, "%s%s", i > 0 ? ">" : "; ", w.chain[i]);
	return text_end(&t);
}

static void
test_why(void **state)
{
	struct err e = ERR_INIT;
	struct why w;

	(void)state;
	objects("app>mid,n-app mid>lib tool>lib,n-tool lib>n-lib n-app n-tool"
	        " n-lib old>lib far>app");
	assert_string_equal(why("lib"), "live:");
	closure("app", 1);
	assert_string_equal(why("app"), "live: closure app; app");
	assert_string_equal(why("lib"), "live: closure app; app>mid>lib");
	closure("tool", 2);
	/* The youngest first; the chain is its. */
	assert_string_equal(
	    why("n-lib"), "live: closure tool, closure app; tool>lib>n-lib");
	assert_string_equal(why("n-app"), "live: closure app; app>n-app");
	/* A pinned closure is told by its pins. */
	pin("b", "app");
	pin("a", "app");
	assert_string_equal(why("lib"),
	    "live: pin a app, pin b app, closure tool; app>mid>lib");
	assert_string_equal(why("n-tool"), "live: closure tool; tool>n-tool");
	assert_string_equal(why("old"), "live:");
	/* The shortest: not by way of mid. */
	live_sql("UPDATE objects SET refs = refs || (SELECT id FROM objects"
	         " WHERE key = 'lib') WHERE key = 'app'");
	assert_string_equal(
	    why("lib"), "live: pin a app, pin b app, closure tool; app>lib");
	closure("far", 3);
	assert_string_equal(
	    why("app"), "live: pin a app, pin b app, closure far; app");
	w = why_of("lib");
	assert_string_equal(w.keepers[0].store_path, "/nix/store/app");
	assert_int_equal(w.keepers[0].updated_us, LIVE_AT(1));
	assert_int_equal(w.keepers[0].lease_until_us, 0);
	assert_int_equal(w.first_at_us, 0);
	db_deadline(live_gc, live_soon());
	assert_int_equal(graph_why(live_gc, "nothing", live_arena, &w, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "what keeps nothing: not in the cache");
}

static void
test_why_uploads(void **state)
{
	struct why w;

	(void)state;
	objects("new>lib,n-new n-new lib>deep deep>n-deep n-deep other");
	pending("new n-new");
	assert_string_equal(why("new"), "pending:");
	assert_string_equal(why("lib"), "live:");
	upload(7, "new", "new n-new lib", 30);
	assert_string_equal(why("new"), "pending: upload 7 new; new");
	assert_string_equal(why("n-new"), "pending: upload 7 new; n-new");
	/* It never looked at what lib refers to, and keeps it all the same. */
	assert_string_equal(
	    why("n-deep"), "live: upload 7 new; lib>deep>n-deep");
	assert_string_equal(why("other"), "live:");
	upload(8, "other", "other deep", 31);
	assert_string_equal(
	    why("n-deep"), "live: upload 8 other, upload 7 new; deep>n-deep");
	w = why_of("n-deep");
	assert_int_equal(w.keepers[1].updated_us, LIVE_AT(0));
	assert_int_equal(w.keepers[1].lease_until_us, LIVE_AT(30));
	closure("lib", 1);
	assert_string_equal(why("n-deep"),
	    "live: closure lib, upload 8 other, upload 7 new;"
	    " lib>deep>n-deep");
	live_sql("UPDATE uploads SET state = 'committed' WHERE id = 8;"
	         "UPDATE uploads SET state = 'aborted' WHERE id = 7");
	assert_string_equal(
	    why("n-deep"), "live: closure lib; lib>deep>n-deep");
	assert_string_equal(why("new"), "pending:");
}

static void
test_why_states(void **state)
{
	struct why w;

	(void)state;
	objects("app>t,c,p t>deep c>n-c p>n-p deep n-c n-p");
	tombstones("t");
	claimed("c");
	pending("p");
	assert_string_equal(why("t"), "tombstone:");
	closure("app", 1);
	assert_string_equal(why("t"), "tombstone: closure app; app>t");
	w = why_of("t");
	assert_int_equal(w.first_at_us, LIVE_AT(33 * 24));
	/* As marking does, which follows what is about to be revived, but not
	 * what is gone or not there yet. */
	assert_string_equal(why("deep"), "live: closure app; app>t>deep");
	assert_string_equal(why("c"), "deleting: closure app; app>c");
	assert_int_equal(why_of("c").first_at_us, LIVE_AT(33 * 24));
	assert_string_equal(why("n-c"), "live:");
	assert_string_equal(why("p"), "pending: closure app; app>p");
	assert_string_equal(why("n-p"), "live:");
	tombstones("p");
	assert_string_equal(why("p"), "pending: closure app; app>p");
	assert_int_equal(why_of("p").first_at_us, 0);
}

static void
test_why_circles(void **state)
{
	(void)state;
	objects("r>a a>b b>c c>a,d d>e e>d,f f other>r");
	closure("r", 1);
	assert_string_equal(why("f"), "live: closure r; r>a>b>c>d>e>f");
	assert_string_equal(why("a"), "live: closure r; r>a");
	closure("c", 2);
	assert_string_equal(why("b"), "live: closure c, closure r; c>a>b");
}

/* More than are listed: all are counted. */
static void
test_why_many(void **state)
{
	struct why w;

	(void)state;
	live_sql(
	    "INSERT INTO objects (id, key, kind, refs)"
	    " SELECT i, 'k' || i, 1, '{1}' FROM generate_series(2, 400) i;"
	    "INSERT INTO objects (id, key, kind) VALUES (1, 'all', 1);"
	    "INSERT INTO closures (object_id, store_path, updated_at)"
	    " SELECT id, '/nix/store/' || key, " LIVE_DAY
	    " + id * interval '1 h' FROM objects WHERE id BETWEEN 2 AND 300;"
	    "INSERT INTO pins (name, object_id, store_path)"
	    " SELECT 'p' || id, id, 'x' FROM objects"
	    " WHERE id BETWEEN 2 AND 31");
	upload(1, "all", "k350 k351 k352", 1);
	w = why_of("all");
	assert_int_equal(w.nkeepers, 300);
	assert_int_equal(w.nlisted, WHY_KEEPERS_MAX);
	assert_int_equal(w.keepers[0].kind, WHY_PIN);
	assert_string_equal(w.keepers[0].name, "p10");
	assert_int_equal(w.keepers[29].kind, WHY_PIN);
	assert_string_equal(w.keepers[30].store_path, "/nix/store/k300");
	assert_string_equal(w.keepers[99].store_path, "/nix/store/k231");
	assert_int_equal(w.nchain, 2);
	assert_string_equal(w.chain[0], "k10");
	live_sql("DELETE FROM pins; DELETE FROM closures WHERE object_id > 50");
	w = why_of("all");
	assert_int_equal(w.nkeepers, 50);
	assert_int_equal(w.nlisted, 50);
	assert_int_equal(w.keepers[49].kind, WHY_UPLOAD);
}

/* Closures come and go with their objects while the question is answered. */
static atomic_int stop;

static int
exchange(struct db *db, void *text, struct err *e)
{
	return db_script(db, text, e);
}

static void *
meddle(void *arg)
{
	struct db *db = live_open("");
	struct err e = ERR_INIT;
	static char text[] =
	    "DELETE FROM closures; DELETE FROM pins;"
	    "DELETE FROM objects WHERE key <> 'all';"
	    "INSERT INTO objects (key, kind, refs)"
	    " SELECT 'k' || i, 1, '{1}' FROM generate_series(1, 20) i;"
	    "INSERT INTO closures (object_id, store_path)"
	    " SELECT id, '/nix/store/' || key FROM objects WHERE key <> 'all'";

	while (!stop) {
		db_deadline(db, live_soon());
		if (db_transaction(db, DB_READ_COMMITTED, exchange, text, &e) !=
		    0)
			snprintf(arg, sizeof e.msg, "%s", e.msg);
	}
	db_close(db);
	return NULL;
}

static void
test_why_meanwhile(void **state)
{
	char failed[ERR_MSG_MAX] = "";
	int kept = 0;
	pthread_t t;

	(void)state;
	live_sql("INSERT INTO objects (id, key, kind) VALUES (1, 'all', 1);"
	         "ALTER TABLE objects ALTER COLUMN id RESTART WITH 1000");
	stop = 0;
	pthread_create(&t, NULL, meddle, failed);
	for (int i = 0; i < 200; i++) {
		struct why w = why_of("all");

		/* Those of one moment, or of two that have none in common. */
		assert_true(w.nkeepers == 0 || w.nkeepers == 20);
		if (w.nkeepers == 0 || w.nchain == 0)
			continue;
		kept++;
		assert_int_equal(w.nchain, 2);
		assert_string_equal(
		    w.chain[0], base_of(w.keepers[0].store_path));
		assert_string_equal(w.chain[1], "all");
	}
	stop = 1;
	pthread_join(t, NULL);
	assert_string_equal(failed, "");
	assert_true(kept > 0);
}

#define T(f) cmocka_unit_test_setup(f, live_empty)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_report),
		T(test_report_ages),
		T(test_report_states),
		T(test_report_broken),
		T(test_purge),
		T(test_purge_shared),
		T(test_purge_states),
		T(test_purge_circles),
		T(test_why),
		T(test_why_uploads),
		T(test_why_states),
		T(test_why_circles),
		T(test_why_many),
		T(test_why_meanwhile),
	};

	return live_skip()
	    ? 0
	    : cmocka_run_group_tests(tests, live_begin, live_end);
}
