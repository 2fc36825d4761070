/*
 * The database layer against a real PostgreSQL:
 *
 *	NIKS3_TEST_DB          connection string of an empty database, as its
 *	                       owner; the roles niks3_server and niks3_gc exist
 *	NIKS3_MIGRATIONS_DIR   "migrations" when not set
 *
 * Without the first nothing runs. After every test the invariants that the
 * design promises are checked, and the statistics recounted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/map.h"
#include "../../libcommon/db/closures.h"
#include "../../libcommon/db/commit.h"
#include "../../libcommon/db/db_internal.h"
#include "../../libcommon/db/gcruns.h"
#include "../../libcommon/db/graph.h"
#include "../../libcommon/db/migrate.h"
#include "../../libcommon/db/pins.h"
#include "../../libcommon/db/reap.h"
#include "../../libcommon/db/stats.h"
#include "../../libcommon/db/uploads.h"

#define OWNER     "ci"
#define STORE     "/nix/store"
#define LEASE     ((int64_t)600 * 1000000)
#define AUTH      0 /* rights that end at once, unless a test is about them */
#define MINUTE    ((int64_t)60 * 1000000)
#define HOUR      ((int64_t)3600 * 1000000)
#define PATHS_MAX 64

static const char *conninfo, *migrations;
static struct db *owner, *server, *server2, *gc;
static struct arena *arena;

/* ---- helpers ---- */

static deadline_t
soon(void)
{
	return deadline_in(20000);
}

static struct db *
open_as(const char *role)
{
	struct err e = ERR_INIT;
	char text[1024];
	struct db *db;

	snprintf(text, sizeof text, "%s%s%s", conninfo,
	    role[0] != '\0' ? " user=" : "", role);
	if (db_open(text, "db_live", soon(), &db, &e) != 0)
		fail_msg("%s", e.msg);
	return db;
}

/* Each makes an error, err, for the call. */
#define OK(call)                                              \
	do {                                                  \
		struct err error = ERR_INIT, *err = &error;   \
		if ((call) != 0)                              \
			fail_msg("%s: %s", #call, error.msg); \
	} while (0)
#define FAILS(want, call)                                                   \
	do {                                                                \
		struct err error = ERR_INIT, *err = &error;                 \
		if ((call) == 0)                                            \
			fail_msg("%s: did not fail", #call);                \
		if (error.kind != (want))                                   \
			fail_msg("%s: %s: %s", #call, err_name(error.kind), \
			    error.msg);                                     \
	} while (0)

/* As the owner, who may see all. */
static int64_t
number(const char *sql)
{
	struct err e = ERR_INIT;
	PGresult *r;
	int64_t n;

	db_deadline(owner, soon());
	if (db_query(owner, sql, P_NONE, &r, &e) != 0)
		fail_msg("%s: %s", sql, e.msg);
	n = PQntuples(r) > 0 ? row_i64(r, 0, 0) : -1;
	PQclear(r);
	return n;
}

static int
script_in(struct db *db, void *sql, struct err *e)
{
	return db_script(db, sql, e);
}

static int
script(struct db *db, const char *sql, struct err *e)
{
	db_deadline(db, soon());
	return db_transaction(
	    db, DB_READ_COMMITTED, script_in, (void *)(uintptr_t)sql, e);
}

static void
sql(const char *text)
{
	OK(script(owner, text, err));
}

/* Statements are kept by their text, which must last: a key is a parameter. */
static int64_t
number_of(const char *text, const char *key)
{
	struct err e = ERR_INIT;
	PGresult *r;
	int64_t n;

	db_deadline(owner, soon());
	if (db_query(owner, text, PARAMS(P_TEXT(key)), &r, &e) != 0)
		fail_msg("%s: %s", text, e.msg);
	n = PQntuples(r) > 0 ? row_i64(r, 0, 0) : -1;
	PQclear(r);
	return n;
}

static int64_t
id_of(const char *key)
{
	return number_of("SELECT id FROM objects WHERE key = $1", key);
}

static const char *
state_of(const char *key)
{
	static const char *const names[] = { "gone", "live", "pending",
		"tombstone", "deleting" };

	return names[1 +
	    number_of("SELECT CASE WHEN t.claim IS NOT NULL THEN 3"
	              " WHEN p.object_id IS NOT NULL THEN 1"
	              " WHEN t.object_id IS NOT NULL THEN 2 ELSE 0 END"
	              " FROM objects LEFT JOIN tombstones t"
	              " ON t.object_id = id"
	              " LEFT JOIN pending p ON p.object_id = id"
	              " WHERE key = $1",
	        key)];
}

#define STATE(key, want) assert_string_equal(state_of(key), want)

static void
deadlines(void)
{
	db_deadline(owner, soon());
	db_deadline(server, soon());
	db_deadline(server2, soon());
	db_deadline(gc, soon());
}

/* ---- requests: a closure of a few paths ---- */

struct req {
	struct upload_begin b;
	struct upload_object objects[2 * PATHS_MAX + 8];
	struct upload_path paths[PATHS_MAX];
	struct upload_root roots[PATHS_MAX];
	uint32_t refs[PATHS_MAX][PATHS_MAX];
	const char *names[PATHS_MAX][PATHS_MAX];
	uint32_t extra[8];
	char token[UPLOAD_TOKEN_MAX];
};

static struct req *
req_new(void)
{
	struct req *q = arena_alloc(arena, sizeof *q);

	q->b = (struct upload_begin){ OWNER, STORE, LEASE, q->objects, 0,
		q->paths, 0, q->roots, 0 };
	return q;
}

static uint32_t
req_object(struct req *q, const char *key, int kind)
{
	for (size_t i = 0; i < q->b.nobjects; i++)
		if (strcmp(q->objects[i].key, key) == 0)
			return i;
	q->objects[q->b.nobjects] = (struct upload_object){
		.key = arena_str(arena, key), .kind = kind, .nar_size = -1
	};
	return q->b.nobjects++;
}

/* A path NAME with the NAR nar; refs are names of paths, ended by NULL. */
static uint32_t
req_path(struct req *q, const char *name, const char *nar, ...)
{
	size_t at = q->b.npaths++;
	uint32_t *refs = q->refs[at];
	uint32_t info, file;
	struct upload_path *p = &q->paths[at];
	const char *ref;
	va_list ap;
	size_t n = 0;

	info = req_object(q, arena_printf(arena, "%s.narinfo", name), 1);
	file = req_object(q, arena_printf(arena, "nar/%s", nar), 2);
	q->objects[info].name = arena_str(arena, name);
	q->objects[file].nar_size = 1000;
	refs[n++] = file;
	va_start(ap, nar);
	while ((ref = va_arg(ap, const char *)) != NULL) {
		q->names[at][n - 1] = ref;
		refs[n++] =
		    req_object(q, arena_printf(arena, "%s.narinfo", ref), 1);
	}
	va_end(ap);
	q->objects[info].refs = refs;
	q->objects[info].nrefs = n;
	*p = (struct upload_path){ info, file, arena_str(arena, name),
		{ { 7 } }, 1000, q->names[at], n - 1, "x.drv", NULL, NULL, 0 };
	return info;
}

static void
req_root(struct req *q, uint32_t object)
{
	q->roots[q->b.nroots++] = (struct upload_root){ object,
		arena_printf(arena, STORE "/%s", q->objects[object].key), NULL,
		0 };
}

/* name (with NAR nar) as root, and each of its references with one NAR. */
static struct req *
closure(const char *name, const char *nar, const char *ref)
{
	struct req *q = req_new();

	if (ref != NULL)
		req_path(q, ref, ref, NULL);
	req_root(q, req_path(q, name, nar, ref, NULL));
	return q;
}

static int
begin(struct db *db, struct req *q, struct err *e)
{
	return uploads_begin(db, &q->b, q->token, e);
}

static size_t
missing(const struct req *q)
{
	size_t n = 0;

	for (size_t i = 0; i < q->b.nobjects; i++)
		n += q->objects[i].missing;
	return n;
}

static int64_t auth_us = AUTH;

static int
authorize(struct db *db, const struct req *q, const char *key, uint64_t size,
    struct err *e)
{
	struct upload_write w = {
		.key = key, .size = size, .whole = 1, .sha256 = { 1, 2, 3 }
	};

	return uploads_authorize(db, q->token, OWNER, &w, 1, auth_us, LEASE, e);
}

/* Authorises every object that is no narinfo. */
static void
authorize_all(struct db *db, const struct req *q)
{
	for (size_t i = 0; i < q->b.nobjects; i++)
		if (q->objects[i].missing && q->objects[i].kind != 1)
			OK(authorize(db, q, q->objects[i].key, 100, err));
}

static int
load(struct db *db, const struct req *q, struct commit *c, struct err *e)
{
	return commit_load(db, q->token, OWNER, LEASE, arena, c, e);
}

static void
fill(struct commit *c)
{
	for (size_t i = 0; i < c->npaths; i++) {
		c->paths[i].size = 10;
		memset(c->paths[i].sha256, 9, 32);
	}
}

static int
finish(struct db *db, const struct commit *c, struct err *e)
{
	const char **keys;
	size_t n;

	return commit_finish(db, c, arena, &keys, &n, e);
}

static void
commit(struct db *db, const struct req *q)
{
	struct commit c;

	authorize_all(db, q);
	OK(load(db, q, &c, err));
	fill(&c);
	OK(finish(db, &c, err));
}

static struct req *
push(const char *name, const char *nar, const char *ref)
{
	struct req *q = closure(name, nar, ref);

	OK(begin(server, q, err));
	commit(server, q);
	return q;
}

static struct req *
closure_begun(const char *name)
{
	struct req *q = closure(name, name, NULL);

	OK(begin(server, q, err));
	return q;
}

static void
abort_upload(struct req *q)
{
	struct upload_multipart *parts;
	size_t n;

	OK(uploads_abort(server, q->token, OWNER, arena, &parts, &n, err));
}

/* ---- collecting ---- */

static uint64_t
expire_closures(int64_t older_than_us)
{
	uint64_t n;

	OK(reap_closures(gc, older_than_us, &n, err));
	return n;
}

static uint64_t
mark_all(void)
{
	struct graph *g;
	const int64_t *ids;
	uint64_t done = 0;
	size_t n;

	OK(graph_load(gc, &g, err));
	assert_int_equal(graph_dangling(g), 0);
	assert_int_equal(graph_revivable(g, &ids), 0);
	n = graph_garbage(g, &ids);
	if (n > 0)
		OK(graph_tombstone(gc, g, ids, n, &done, err));
	graph_free(g);
	return done;
}

/* All that can be claimed. */
static size_t
claim(int64_t grace_us, struct reap_object **out)
{
	struct reap_object *all = arena_array(arena, REAP_BATCH, sizeof *all);
	struct reap_cursor at = { 0 };
	size_t n, total = 0;

	do {
		OK(reap_claim(gc, 1, grace_us, &at, arena, out, &n, err));
		for (size_t i = 0; i < n; i++)
			all[total++] = (*out)[i];
	} while (n > 0);
	*out = all;
	return total;
}

static size_t
claim_pending(struct reap_object **out)
{
	struct reap_object *all = arena_array(arena, REAP_BATCH, sizeof *all);
	struct reap_cursor at = { 0 };
	size_t n, total = 0;

	do {
		OK(reap_claim_pending(gc, 1, &at, arena, out, &n, err));
		for (size_t i = 0; i < n; i++)
			all[total++] = (*out)[i];
	} while (n > 0);
	*out = all;
	return total;
}

static void
answer(const struct reap_object *o, size_t n, enum reap_answer a)
{
	enum reap_answer answers[REAP_BATCH];

	for (size_t i = 0; i < n; i++)
		answers[i] = a;
	OK(reap_finish(gc, o, answers, n, err));
}

/* All of it, without any grace. */
static void
collect(void)
{
	struct reap_object *o;
	size_t n;

	mark_all();
	while ((n = claim_pending(&o)) > 0)
		answer(o, n, REAP_GONE);
	while ((n = claim(0, &o)) > 0)
		answer(o, n, REAP_GONE);
}

/* ---- before and after each test ---- */

static const struct rule {
	const char *says, *sql; /* counts what breaks it */
} rules[] = {
	{ "all that a live object refers to is live",
	    "SELECT count(*) FROM live l, unnest(l.refs) r"
	    " WHERE r NOT IN (SELECT id FROM live)" },
	{ "closures and what belongs to them are live",
	    "SELECT count(*) FROM (SELECT object_id FROM closures UNION ALL"
	    " SELECT unnest(extra) FROM closures) c"
	    " WHERE object_id NOT IN (SELECT id FROM live)" },
	{ "what is known of live objects and tombstones",
	    "SELECT count(*) FROM objects o WHERE NOT EXISTS (SELECT FROM"
	    " contents c WHERE c.object_id = o.id) AND NOT EXISTS (SELECT FROM"
	    " pending p WHERE p.object_id = o.id)" },
	{ "every row has its object",
	    "SELECT count(*) FROM (SELECT object_id FROM contents UNION ALL"
	    " SELECT object_id FROM pending UNION ALL SELECT object_id FROM"
	    " tombstones UNION ALL SELECT object_id FROM upload_needs) x"
	    " WHERE object_id NOT IN (SELECT id FROM objects)" },
	{ "what an open upload needs is live or pending",
	    "SELECT count(*) FROM upload_needs WHERE object_id NOT IN"
	    " (SELECT id FROM live UNION ALL SELECT object_id FROM pending"
	    " UNION ALL SELECT object_id FROM tombstones"
	    " WHERE claim IS NOT NULL)" },
	{ "rows of uploads that are open",
	    "SELECT count(*) FROM (SELECT upload_id FROM upload_needs UNION"
	    " SELECT upload_id FROM upload_roots UNION SELECT upload_id FROM"
	    " upload_paths UNION SELECT upload_id FROM upload_writes) x WHERE"
	    " upload_id NOT IN (SELECT id FROM uploads WHERE state = 'open')" },
	{ "references are sorted, each once, not to itself",
	    "SELECT count(*) FROM objects WHERE id = ANY (refs) OR refs <>"
	    " ARRAY(SELECT DISTINCT r FROM unnest(refs) r ORDER BY r)" },
	{ "the statistics count objects",
	    "SELECT (SELECT coalesce(sum(objects), 0) FROM stat_deltas)::bigint"
	    " - (SELECT count(*) FROM live)" },
	{ "the statistics sum sizes",
	    "SELECT (SELECT coalesce(sum(bytes), 0) FROM stat_deltas)::bigint"
	    " - (SELECT coalesce(sum(size), 0) FROM live JOIN contents ON"
	    " object_id = id)::bigint" },
	{ "the kind says in which order to delete",
	    "SELECT count(*) FROM tombstones t JOIN objects o"
	    " ON o.id = t.object_id WHERE t.rank <>"
	    " (ARRAY[1, 3, 2, 2, 2])[o.kind]" },
};

static void
check_rules(void)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
		int64_t n = number(rules[i].sql);

		if (n != 0)
			fail_msg(
			    "broken: %s (%lld)", rules[i].says, (long long)n);
	}
}

static int
setup(void **state)
{
	(void)state;
	arena = arena_new((size_t)256 << 20);
	auth_us = AUTH;
	sql("TRUNCATE objects, contents, pending, tombstones, closures, pins,"
	    " uploads, upload_needs, upload_roots, upload_paths,"
	    " upload_writes, multiparts, gc_runs, stat_deltas");
	deadlines();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	check_rules();
	arena_free(arena);
	return 0;
}

static void
said(void *ctx, const struct migration *m)
{
	(void)m;
	++*(int *)ctx;
}

static const char view_sql[] =
    "CREATE VIEW live AS SELECT * FROM objects o WHERE"
    " NOT EXISTS (SELECT FROM pending WHERE object_id = o.id)"
    " AND NOT EXISTS (SELECT FROM tombstones WHERE object_id = o.id)";

static int
setup_all(void **state)
{
	int n = 0;

	(void)state;
	owner = open_as("");
	OK(migrate_up(owner, migrations, said, &n, err));
	sql(view_sql);
	server = open_as("niks3_server");
	server2 = open_as("niks3_server");
	gc = open_as("niks3_gc");
	return 0;
}

static int
teardown_all(void **state)
{
	(void)state;
	sql("DROP VIEW live");
	db_close(server);
	db_close(server2);
	db_close(gc);
	db_close(owner);
	return 0;
}

/* ---- uploads ---- */

static void
test_push(void **state)
{
	struct req *q = closure("app", "app", "lib");
	struct commit c;
	struct stats s;

	(void)state;
	OK(begin(server, q, err));
	assert_int_equal(strlen(q->token), 32);
	assert_int_equal(missing(q), 4);
	STATE("app.narinfo", "pending");
	authorize_all(server, q);
	OK(load(server, q, &c, err));
	assert_false(c.already);
	assert_string_equal(c.store_dir, STORE);
	assert_int_equal(c.nobjects, 2);
	assert_int_equal(c.npaths, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(c.objects[i].kind, 2);
		assert_true(c.objects[i].written);
		assert_int_equal(c.objects[i].size, 100);
		assert_int_equal(c.objects[i].sha256[1], 2);
		assert_false(c.paths[i].has_file);
		assert_int_equal(c.paths[i].nar_hash.sha256[0], 7);
		assert_int_equal(c.paths[i].nar_size, 1000);
		assert_string_equal(c.paths[i].deriver, "x.drv");
		assert_null(c.paths[i].ca);
		if (strcmp(c.paths[i].base, "app") == 0) {
			assert_string_equal(c.paths[i].key, "app.narinfo");
			assert_string_equal(c.paths[i].nar_key, "nar/app");
			assert_int_equal(c.paths[i].nrefs, 1);
			assert_string_equal(c.paths[i].refs[0], "lib");
			assert_int_equal(c.paths[i].nneeds, 1);
			assert_int_equal(
			    c.paths[i].needs[0], id_of("lib.narinfo"));
		} else {
			assert_int_equal(c.paths[i].nrefs, 0);
			assert_int_equal(c.paths[i].nneeds, 0);
		}
	}
	fill(&c);
	OK(finish(server, &c, err));
	STATE("app.narinfo", "live");
	STATE("nar/lib", "live");
	assert_int_equal(number("SELECT count(*) FROM closures"), 1);
	OK(stats_get(server, &s, err));
	assert_int_equal(s.objects, 4);
	assert_int_equal(s.bytes, 220);

	/* A repeated commit, of each of its two steps. */
	OK(finish(server, &c, err));
	OK(load(server, q, &c, err));
	assert_true(c.already);
	assert_int_equal(c.narinfos, 2);
	OK(stats_get(server, &s, err));
	assert_int_equal(s.objects, 4);
}

static void
test_push_again(void **state)
{
	struct req *q;
	struct commit c;
	uint32_t log;

	(void)state;
	push("app", "app", "lib");
	q = closure("app", "app", "lib");
	log = req_object(q, "log/app.drv", 4);
	q->extra[0] = log;
	q->roots[0].extra = q->extra;
	q->roots[0].nextra = 1;
	OK(begin(server, q, err));
	assert_int_equal(missing(q), 1);
	assert_true(q->objects[log].missing);
	authorize_all(server, q);
	OK(load(server, q, &c, err));
	assert_int_equal(c.npaths, 0);
	assert_int_equal(c.nobjects, 1);
	OK(finish(server, &c, err));
	assert_int_equal(number("SELECT cardinality(extra) FROM closures"), 1);

	/* It lives as long as the closure, and no longer. */
	assert_int_equal(mark_all(), 0);
	assert_int_equal(expire_closures(0), 1);
	assert_int_equal(mark_all(), 5);
}

/* A new path whose NAR another path has. */
static void
test_shared_nar(void **state)
{
	struct req *q;
	struct commit c;

	(void)state;
	push("one", "same", NULL);
	q = closure("two", "same", NULL);
	OK(begin(server, q, err));
	assert_int_equal(missing(q), 1);
	OK(load(server, q, &c, err));
	assert_int_equal(c.nobjects, 0);
	assert_int_equal(c.npaths, 1);
	assert_true(c.paths[0].has_file);
	assert_int_equal(c.paths[0].file_size, 100);
	assert_int_equal(c.paths[0].file_sha256[2], 3);
	fill(&c);
	OK(finish(server, &c, err));
}

static void
test_words(void **state)
{
	const char *sigs[] = { "key:abc", "other key:{\"\\,", "" };
	const char *bad[] = { "two\nlines" };
	struct req *q = closure("app", "app", "lib");
	struct commit c;

	(void)state;
	q->paths[1].sigs = sigs;
	q->paths[1].nsigs = 2;
	q->paths[1].ca = "fixed:sha256:x";
	OK(begin(server, q, err));
	OK(load(server, q, &c, err));
	for (size_t i = 0; i < 2; i++)
		if (strcmp(c.paths[i].base, "app") == 0) {
			assert_int_equal(c.paths[i].nsigs, 2);
			assert_string_equal(c.paths[i].sigs[1], sigs[1]);
			assert_string_equal(c.paths[i].ca, "fixed:sha256:x");
		}
	q = closure("app2", "app2", NULL);
	q->paths[0].sigs = bad;
	q->paths[0].nsigs = 1;
	FAILS(ERR_INVALID, begin(server, q, err));
}

static void
test_begin_refuses(void **state)
{
	struct req *q = closure("app", "app", NULL);
	uint32_t far = 99;

	(void)state;
	q->objects[1].key = q->objects[0].key;
	FAILS(ERR_INVALID, begin(server, q, err));
	q = closure("app", "app", NULL);
	q->refs[0][0] = far;
	FAILS(ERR_INVALID, begin(server, q, err));
	q = closure("app", "app", NULL);
	q->paths[0].nar = far;
	FAILS(ERR_INVALID, begin(server, q, err));
	q = closure("app", "app", NULL);
	q->roots[0].object = far;
	FAILS(ERR_INVALID, begin(server, q, err));
	q = closure("app", "app", NULL);
	q->roots[0].extra = &far;
	q->roots[0].nextra = 1;
	FAILS(ERR_INVALID, begin(server, q, err));
	assert_int_equal(number("SELECT count(*) FROM uploads"), 0);
}

static void
test_owner(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct upload_write w = { .key = "nar/app", .whole = 1 };
	struct upload_multipart *parts;
	struct commit c;
	int64_t id;
	size_t n;

	(void)state;
	OK(begin(server, q, err));
	FAILS(ERR_NOT_FOUND,
	    uploads_authorize(
	        server, q->token, "other", &w, 1, AUTH, LEASE, err));
	FAILS(ERR_NOT_FOUND,
	    uploads_multipart_intend(
	        server, q->token, "other", "nar/app", LEASE, &id, err));
	FAILS(ERR_NOT_FOUND,
	    uploads_record(
	        server, q->token, "other", "nar/app", 1, w.sha256, err));
	FAILS(ERR_NOT_FOUND,
	    commit_load(server, q->token, "other", LEASE, arena, &c, err));
	FAILS(ERR_NOT_FOUND,
	    uploads_abort(server, q->token, "other", arena, &parts, &n, err));
	FAILS(ERR_NOT_FOUND,
	    uploads_abort(server, "nonsense", OWNER, arena, &parts, &n, err));
}

static void
test_ended(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct req *done = push("done", "done", NULL);
	struct upload_multipart *parts;
	struct commit c, late;
	uint8_t sha256[32] = { 0 };
	int64_t id;
	size_t n;

	(void)state;
	OK(begin(server, q, err));
	authorize_all(server, q);
	OK(load(server, q, &late, err));
	abort_upload(q);
	abort_upload(q);
	FAILS(ERR_CONFLICT, authorize(server, q, "nar/app", 1, err));
	FAILS(ERR_CONFLICT,
	    uploads_multipart_intend(
	        server, q->token, OWNER, "nar/app", LEASE, &id, err));
	FAILS(ERR_CONFLICT,
	    uploads_record(server, q->token, OWNER, "nar/app", 1, sha256, err));
	FAILS(ERR_CONFLICT, load(server, q, &c, err));
	fill(&late);
	FAILS(ERR_CONFLICT, finish(server, &late, err));
	FAILS(ERR_CONFLICT,
	    uploads_abort(server, done->token, OWNER, arena, &parts, &n, err));
	FAILS(ERR_CONFLICT, authorize(server, done, "nar/done", 1, err));
	assert_int_equal(number("SELECT count(*) FROM closures"), 1);
}

static void
test_authorize(void **state)
{
	struct req *q, *other;

	(void)state;
	auth_us = MINUTE;
	push("old", "old", NULL);
	q = closure("app", "app", "old");
	OK(begin(server, q, err));
	FAILS(ERR_FORBIDDEN, authorize(server, q, "nar/none", 1, err));
	FAILS(ERR_FORBIDDEN, authorize(server, q, "nar/old", 1, err));
	/* The server writes it. */
	FAILS(ERR_FORBIDDEN, authorize(server, q, "app.narinfo", 1, err));
	OK(authorize(server, q, "nar/app", 1, err));
	OK(authorize(server, q, "nar/app", 2, err));
	assert_int_equal(number("SELECT size FROM upload_writes"), 2);
	assert_true(number("SELECT count(*) FROM pending"
	                   " WHERE auth_until > now() + interval '50 s'") == 1);

	/* Of another upload. */
	other = closure("else", "else", NULL);
	OK(begin(server, other, err));
	FAILS(ERR_FORBIDDEN, authorize(server, q, "nar/else", 1, err));

	/* A batch is all or nothing. */
	{
		struct upload_write w[2] = {
			{ .key = "nar/app", .size = 3, .whole = 1 },
			{ .key = "nar/else", .size = 3, .whole = 1 }
		};
		FAILS(ERR_FORBIDDEN,
		    uploads_authorize(
		        server, q->token, OWNER, w, 2, AUTH, LEASE, err));
		assert_int_equal(number("SELECT size FROM upload_writes"), 2);
	}
}

/* Two uploads of one object: the slower one goes on, and may write what it found
 * missing. */
static void
test_same_object_twice(void **state)
{
	struct req *a = closure("app", "app", NULL);
	struct req *b = closure("app", "app", NULL);
	struct commit c;

	(void)state;
	OK(begin(server, a, err));
	OK(begin(server2, b, err));
	assert_int_equal(missing(b), 2);
	auth_us = MINUTE;
	commit(server, a);
	OK(authorize(server2, b, "nar/app", 300, err));
	assert_int_equal(number("SELECT count(*) FROM contents"
	                        " WHERE auth_until > now()"),
	    1);
	OK(load(server2, b, &c, err));
	assert_int_equal(c.nobjects, 0);
	assert_int_equal(c.npaths, 0);
	OK(finish(server2, &c, err));
}

/* Both had loaded: the later commit's facts stand. */
static void
test_facts_of_the_later(void **state)
{
	struct req *a = closure("app", "app", NULL);
	struct req *b = closure("app", "app", NULL);
	struct commit ca, cb;

	(void)state;
	OK(begin(server, a, err));
	OK(begin(server2, b, err));
	OK(authorize(server, a, "nar/app", 100, err));
	OK(authorize(server2, b, "nar/app", 300, err));
	OK(load(server, a, &ca, err));
	OK(load(server2, b, &cb, err));
	fill(&ca);
	fill(&cb);
	OK(finish(server, &ca, err));
	OK(finish(server2, &cb, err));
	assert_int_equal(number("SELECT size FROM contents JOIN objects"
	                        " ON id = object_id WHERE key = 'nar/app'"),
	    300);
}

static void
test_record(void **state)
{
	struct req *q = closure("app", "app", NULL);
	uint8_t sha256[32] = { 42 };
	struct commit c;

	(void)state;
	OK(begin(server, q, err));
	OK(authorize(server, q, "nar/app", 1, err));
	OK(uploads_record(server, q->token, OWNER, "nar/app", 77, sha256, err));
	OK(load(server, q, &c, err));
	assert_int_equal(c.objects[0].size, 77);
	assert_int_equal(c.objects[0].sha256[0], 42);
	FAILS(ERR_FORBIDDEN,
	    uploads_record(
	        server, q->token, OWNER, "nar/none", 1, sha256, err));
}

static void
test_commit_missing(void **state)
{
	struct req *q = closure("app", "app", "lib");
	const char **keys = NULL;
	size_t n = 0;
	struct commit c;

	(void)state;
	OK(begin(server, q, err));
	OK(authorize(server, q, "nar/lib", 1, err));
	OK(load(server, q, &c, err));
	fill(&c);
	FAILS(ERR_CONFLICT, commit_finish(server, &c, arena, &keys, &n, err));
	assert_int_equal(n, 1);
	assert_string_equal(keys[0], "nar/app");
	STATE("nar/lib", "pending");

	/* What was live at the beginning and is not any more. */
	OK(authorize(server, q, "nar/app", 1, err));
	OK(load(server, q, &c, err));
	fill(&c);
	sql("DELETE FROM upload_needs WHERE object_id ="
	    " (SELECT id FROM objects WHERE key = 'nar/app')");
	OK(finish(server, &c, err));
}

/* The second line of defence: rule R3 without the others. */
static void
test_commit_checks_again(void **state)
{
	struct req *q;
	const char **keys = NULL;
	size_t n = 0;
	struct commit c;

	(void)state;
	push("lib", "lib", NULL);
	q = closure("app", "app", "lib");
	OK(begin(server, q, err));
	authorize_all(server, q);
	OK(load(server, q, &c, err));
	fill(&c);
	sql("INSERT INTO tombstones SELECT id, now(), 3 FROM objects"
	    " WHERE key = 'nar/lib'");
	FAILS(ERR_CONFLICT, commit_finish(server, &c, arena, &keys, &n, err));
	assert_int_equal(n, 1);
	assert_string_equal(keys[0], "nar/lib");
	sql("UPDATE tombstones SET claim = 1, claimed_at = now()");
	FAILS(ERR_CONFLICT, finish(server, &c, err));
	sql("DELETE FROM tombstones");
	sql("ALTER TABLE pins DROP CONSTRAINT pins_object_id_fkey");
	sql("DELETE FROM objects WHERE key = 'nar/lib'");
	n = 0;
	FAILS(ERR_CONFLICT, commit_finish(server, &c, arena, &keys, &n, err));
	assert_int_equal(n, 1);
	sql("ALTER TABLE pins ADD FOREIGN KEY (object_id) REFERENCES closures");
	arena_free(arena);
	setup(state);
}

static void
test_lease(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct req *done = push("done", "done", NULL);
	uint64_t n;

	(void)state;
	(void)done;
	q->b.lease_us = 1000;
	OK(begin(server, q, err));
	usleep(5000);
	OK(reap_uploads(gc, HOUR, &n, err));
	assert_int_equal(n, 0);
	/* Any call renews it. */
	OK(authorize(server, q, "nar/app", 1, err));
	OK(reap_uploads(gc, 0, &n, err));
	assert_int_equal(n, 0);
	sql("UPDATE uploads SET lease_until = now() - interval '1 s'"
	    " WHERE state = 'open'");
	OK(reap_uploads(gc, 0, &n, err));
	assert_int_equal(n, 1);
	OK(reap_uploads(gc, 0, &n, err));
	assert_int_equal(n, 0);
	FAILS(ERR_CONFLICT, authorize(server, q, "nar/app", 1, err));
	STATE("nar/app", "pending");
	STATE("nar/done", "live");
}

/* ---- multipart uploads ---- */

static void
test_multipart(void **state)
{
	struct req *q = closure("big", "big", NULL);
	struct req *other = closure("else", "else", NULL);
	struct upload_write part = { .key = "nar/big", .s3_id = "S3" };
	struct upload_multipart *parts;
	struct reap_multipart *left;
	uint8_t sha256[32] = { 5 };
	int64_t id, second;
	struct commit c;
	size_t n;
	int orphan;

	(void)state;
	OK(begin(server, q, err));
	OK(begin(server, other, err));
	FAILS(ERR_FORBIDDEN,
	    uploads_multipart_intend(
	        server, q->token, OWNER, "nar/none", LEASE, &id, err));
	OK(uploads_multipart_intend(
	    server, q->token, OWNER, "nar/big", LEASE, &id, err));
	/* While there is an intent, nothing of the key is an orphan. */
	OK(reap_multipart_orphan(gc, "nar/big", "whatever", &orphan, err));
	assert_false(orphan);
	OK(uploads_multipart_begun(server, id, "S3", err));
	FAILS(ERR_NOT_FOUND, uploads_multipart_begun(server, id, "S4", err));
	OK(reap_multipart_orphan(gc, "nar/big", "S3", &orphan, err));
	assert_false(orphan);
	OK(reap_multipart_orphan(gc, "nar/big", "S4", &orphan, err));
	assert_true(orphan);

	OK(uploads_authorize(
	    server, q->token, OWNER, &part, 1, AUTH, LEASE, err));
	assert_int_equal(number("SELECT count(*) FROM upload_writes"), 0);
	part.s3_id = "S4";
	FAILS(ERR_FORBIDDEN,
	    uploads_authorize(
	        server, q->token, OWNER, &part, 1, AUTH, LEASE, err));
	part.s3_id = "S3";
	part.key = "nar/else";
	FAILS(ERR_FORBIDDEN,
	    uploads_authorize(
	        server, other->token, OWNER, &part, 1, AUTH, LEASE, err));
	FAILS(ERR_FORBIDDEN,
	    uploads_multipart_completing(server, q->token, OWNER, "nar/big",
	        "S4", 9, sha256, AUTH, LEASE, err));
	OK(uploads_multipart_completing(server, q->token, OWNER, "nar/big",
	    "S3", 9000, sha256, AUTH, LEASE, err));
	OK(load(server, q, &c, err));
	assert_int_equal(c.objects[0].size, 9000);
	OK(uploads_multipart_done(server, "nar/big", "S3", err));
	assert_int_equal(number("SELECT count(*) FROM multiparts"), 0);

	/* What an abort leaves to do, and what is left if nobody does it. */
	OK(uploads_multipart_intend(
	    server, q->token, OWNER, "nar/big", LEASE, &id, err));
	OK(uploads_multipart_begun(server, id, "S5", err));
	OK(uploads_multipart_intend(
	    server, q->token, OWNER, "nar/big", LEASE, &second, err));
	OK(reap_multiparts(gc, arena, &left, &n, err));
	assert_int_equal(n, 0);
	OK(uploads_abort(server, q->token, OWNER, arena, &parts, &n, err));
	assert_int_equal(n, 1);
	assert_string_equal(parts[0].s3_id, "S5");
	OK(reap_multiparts(gc, arena, &left, &n, err));
	assert_int_equal(n, 2);
	assert_string_equal(left[0].s3_id, "S5");
	assert_string_equal(left[0].key, "nar/big");
	assert_null(left[1].s3_id);
	OK(reap_multipart_orphan(gc, "nar/big", "S6", &orphan, err));
	assert_true(orphan);
	OK(reap_multipart_done(gc, left[0].id, err));
	OK(reap_multipart_done(gc, left[1].id, err));
	OK(reap_multiparts(gc, arena, &left, &n, err));
	assert_int_equal(n, 0);
}

static int
key_locked(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	if (uploads_key_lock(db, "nar/big", e) != 0)
		return -1;
	db_deadline(server2, deadline_in(200));
	assert_int_equal(
	    db_transaction(server2, DB_READ_COMMITTED, ctx, NULL, e), -1);
	assert_int_equal(e->kind, ERR_TIMEOUT);
	return 0;
}

static int
lock_key(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	return uploads_key_lock(db, "nar/big", e);
}

static void
test_key_lock(void **state)
{
	(void)state;
	OK(db_transaction(server, DB_READ_COMMITTED, key_locked,
	    (void *)(uintptr_t)lock_key, err));
	db_deadline(server2, soon());
	OK(db_transaction(server2, DB_READ_COMMITTED, lock_key, NULL, err));
}

/* ---- closures and pins ---- */

static void
test_present(void **state)
{
	const char *keys[] = { "no.narinfo", "app.narinfo", "lib.narinfo",
		"app.narinfo" };
	int present[4];

	(void)state;
	push("app", "app", "lib");
	sql("UPDATE closures SET updated_at = now() - interval '1 h'");
	OK(closures_present(server, keys, 4, present, err));
	assert_false(present[0]);
	assert_true(present[1]);
	assert_false(present[2]); /* in the cache, but no root */
	assert_true(present[3]);
	assert_int_equal(expire_closures(HOUR / 2), 0);
	OK(closures_present(server, keys, 0, present, err));
	sql("UPDATE closures SET updated_at = now() - interval '1 h'");
	assert_int_equal(expire_closures(HOUR / 2), 1);
	OK(closures_present(server, keys, 2, present, err));
	assert_false(present[1]);
}

static void
test_pins(void **state)
{
	struct pin *pins, pin;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	push("tool", "tool", NULL);
	FAILS(ERR_NOT_FOUND,
	    pins_set(server, "p", "lib.narinfo", STORE "/lib.narinfo", err));
	FAILS(ERR_INVALID,
	    pins_set(server, "p", "app.narinfo", STORE "/other", err));
	OK(pins_set(server, "p", "app.narinfo", STORE "/app.narinfo", err));
	OK(pins_set(server, "a", "app.narinfo", STORE "/app.narinfo", err));
	OK(pins_list(server, arena, &pins, &n, err));
	assert_int_equal(n, 2);
	assert_string_equal(pins[0].name, "a");
	OK(pins_get(server, "p", arena, &pin, err));
	assert_string_equal(pin.store_path, STORE "/app.narinfo");
	assert_true(pin.created_us > clock_wall_us() - HOUR &&
	    pin.created_us < clock_wall_us() + HOUR);

	/* It keeps its closure, until it points elsewhere. */
	assert_int_equal(expire_closures(0), 1); /* tool */
	assert_int_equal(mark_all(), 2);
	collect();
	push("tool", "tool", NULL);
	OK(pins_set(server, "p", "tool.narinfo", STORE "/tool.narinfo", err));
	OK(pins_delete(server, "a", err));
	FAILS(ERR_NOT_FOUND, pins_delete(server, "a", err));
	FAILS(ERR_NOT_FOUND, pins_get(server, "a", arena, &pin, err));
	assert_int_equal(expire_closures(0), 1); /* app */
	collect();
	STATE("lib.narinfo", "gone");
	STATE("tool.narinfo", "live");
}

/* ---- runs ---- */

static void
test_gcruns(void **state)
{
	struct gcrun_params p = { HOUR, HOUR / 2, 0 }, q = { HOUR, HOUR, 0 };
	struct gcrun a, b, run;

	(void)state;
	FAILS(ERR_NOT_FOUND, gcruns_get(server, 0, arena, &a, err));
	OK(gcruns_take(gc, arena, &run, err));
	assert_int_equal(run.id, 0);
	OK(gcruns_start(server, &p, arena, &a, err));
	assert_string_equal(a.state, "queued");
	assert_int_equal(a.started_us, 0);
	OK(gcruns_start(server, &p, arena, &b, err));
	assert_int_equal(a.id, b.id);
	memset(&b, 0, sizeof b);
	FAILS(ERR_CONFLICT, gcruns_start(server, &q, arena, &b, err));
	assert_int_equal(a.id, b.id);
	assert_int_equal(b.params.pending_older_than_us, HOUR / 2);

	OK(gcruns_take(gc, arena, &run, err));
	assert_int_equal(run.id, a.id);
	assert_string_equal(run.state, "running");
	run.phase = "mark";
	run.objects_marked = 12;
	run.bytes_deleted = INT64_MAX;
	OK(gcruns_progress(gc, &run, err));
	/* Its worker died. */
	OK(gcruns_take(gc, arena, &b, err));
	assert_int_equal(b.id, a.id);
	assert_int_equal(b.objects_marked, 12);
	assert_int_equal(b.bytes_deleted, INT64_MAX);
	assert_string_equal(b.phase, "mark");
	assert_int_equal(b.started_us, run.started_us);
	OK(gcruns_finish(gc, &b, "it broke", err));
	OK(gcruns_get(server, a.id, arena, &b, err));
	assert_string_equal(b.state, "failed");
	assert_string_equal(b.error, "it broke");
	assert_true(b.finished_us > 0);
	OK(gcruns_start(server, &q, arena, &b, err));
	OK(gcruns_take(gc, arena, &run, err));
	run.phase = "";
	OK(gcruns_finish(gc, &run, NULL, err));
	OK(gcruns_get(server, 0, arena, &b, err));
	assert_int_equal(b.id, run.id);
	assert_string_equal(b.state, "succeeded");
	assert_null(b.error);
	FAILS(ERR_NOT_FOUND, gcruns_get(server, 1 << 30, arena, &b, err));
}

static void *
start_run(void *arg)
{
	struct db *db = open_as("niks3_server");
	struct gcrun_params p = { HOUR, HOUR, 1 };
	struct arena *a = arena_new(65536);
	struct gcrun run = { 0 };
	struct err e = ERR_INIT;

	if (gcruns_start(db, &p, a, &run, &e) != 0)
		fprintf(stderr, "%s\n", e.msg);
	*(int64_t *)arg = run.id;
	arena_free(a);
	db_close(db);
	return NULL;
}

static void
test_gcruns_together(void **state)
{
	pthread_t t[4];
	int64_t ids[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, start_run, &ids[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 4; i++) {
		assert_true(ids[i] > 0);
		assert_int_equal(ids[i], ids[0]);
	}
}

/* ---- marking ---- */

static void
test_mark(void **state)
{
	struct graph *g;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	push("tool", "tool", "lib");
	sql("DELETE FROM closures WHERE store_path LIKE '%/tool.narinfo'");
	OK(graph_load(gc, &g, err));
	assert_int_equal(graph_objects(g), 6);
	assert_int_equal(graph_live(g), 6);
	assert_true(graph_memory(g) > 0);
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 2);
	/* The referrer first. */
	assert_int_equal(ids[0], id_of("tool.narinfo"));
	assert_int_equal(ids[1], id_of("nar/tool"));
	OK(graph_tombstone(gc, g, ids, 1, &done, err));
	assert_int_equal(done, 1);
	check_rules();
	OK(graph_tombstone(gc, g, ids, n, &done, err));
	assert_int_equal(done, 1);
	graph_free(g);
	STATE("tool.narinfo", "tombstone");
	STATE("nar/tool", "tombstone");
	STATE("lib.narinfo", "live");

	OK(graph_load(gc, &g, err));
	assert_int_equal(graph_live(g), 4);
	assert_int_equal(graph_garbage(g, &ids), 0);
	graph_free(g);
	graph_free(NULL);
}

static void
test_mark_empty(void **state)
{
	struct graph *g;
	const int64_t *ids;

	(void)state;
	OK(graph_load(gc, &g, err));
	assert_int_equal(graph_objects(g), 0);
	assert_int_equal(graph_garbage(g, &ids), 0);
	graph_free(g);
}

/* Somebody broke the rules with a shell: it is mended, or told. */
static void
test_mark_broken(void **state)
{
	struct graph *g;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	sql("INSERT INTO tombstones SELECT id, now(), 3 FROM objects"
	    " WHERE key IN ('lib.narinfo', 'nar/lib')");
	sql("INSERT INTO stat_deltas (objects, bytes) VALUES (-2, -110)");
	sql("UPDATE tombstones SET rank = 1 WHERE object_id ="
	    " (SELECT id FROM objects WHERE key = 'lib.narinfo')");
	OK(graph_load(gc, &g, err));
	assert_int_equal(graph_dangling(g), 0);
	n = graph_revivable(g, &ids);
	assert_int_equal(n, 2);
	OK(graph_revive(gc, g, ids, n, &done, err));
	assert_int_equal(done, 2);
	graph_free(g);
	check_rules();

	sql("UPDATE objects SET refs = refs || 999999999::bigint"
	    " WHERE key = 'app.narinfo'");
	OK(graph_load(gc, &g, err));
	assert_int_equal(graph_dangling(g), 1);
	graph_free(g);
	sql("UPDATE objects SET refs = array_remove(refs, 999999999)");
}

/* A batch first marks from what has appeared since the snapshot. */
static void
test_mark_catches_up(void **state)
{
	struct graph *g;
	struct req *q;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	OK(graph_load(gc, &g, err));
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 4);

	/* An open upload needs some of it, and refers to it by a new path. */
	q = closure("new", "new", "lib");
	OK(begin(server, q, err));
	assert_int_equal(missing(q), 2);
	OK(graph_tombstone(gc, g, ids, n, &done, err));
	assert_int_equal(done, 2);
	STATE("app.narinfo", "tombstone");
	STATE("lib.narinfo", "live");
	check_rules();

	/* A closure that is known only by its commit. */
	q = closure("newer", "newer", "app");
	req_path(q, "app2", "app", "lib", NULL);
	OK(begin(server, q, err));
	commit(server, q);
	OK(graph_tombstone(gc, g, ids, n, &done, err));
	assert_int_equal(done, 0);
	STATE("nar/app", "live");
	STATE("nar/lib", "live");
	graph_free(g);
}

/*
 * A path that is tombstoned and written anew, with another NAR, between two
 * batches: what it now refers to is found, not what the snapshot said.
 */
static void
test_mark_follows_new_references(void **state)
{
	struct graph *g;
	struct req *q;
	const int64_t *ids;
	int64_t app;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "one", NULL);
	push("other", "two", NULL);
	app = id_of("app.narinfo");
	expire_closures(0);
	OK(graph_load(gc, &g, err));
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 4);
	OK(graph_tombstone(gc, g, &app, 1, &done, err));
	assert_int_equal(done, 1);

	q = closure("app", "two", NULL);
	OK(begin(server, q, err));
	assert_int_equal(missing(q), 1); /* to be written anew */
	commit(server, q);
	OK(graph_tombstone(gc, g, ids, n, &done, err));
	assert_int_equal(done, 2);
	STATE("nar/two", "live");
	STATE("nar/one", "tombstone");
	graph_free(g);
}

/*
 * Between snapshot and batch an upload revives a path, and is given up: what the
 * path refers to stays as live as the path, though no root needs either.
 */
static void
test_mark_after_rollback(void **state)
{
	struct graph *g;
	struct req *q;
	const int64_t *ids;
	int64_t app;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", NULL);
	expire_closures(0);
	OK(graph_load(gc, &g, err));
	graph_garbage(g, &ids);
	app = ids[0];
	assert_int_equal(app, id_of("app.narinfo"));
	OK(graph_tombstone(gc, g, &app, 1, &done, err));
	graph_free(g);

	OK(graph_load(gc, &g, err));
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 1);
	q = closure("app", "app", NULL);
	OK(begin(server, q, err));
	assert_int_equal(missing(q), 0);
	abort_upload(q);
	OK(graph_tombstone(gc, g, ids, n, &done, err));
	assert_int_equal(done, 0);
	check_rules();
	graph_free(g);
	assert_int_equal(mark_all(), 2);
}

/* The same of what an upload stores beside its roots. */
static void
test_mark_after_commit(void **state)
{
	struct graph *g;
	struct req *q;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("lib", "lib", NULL);
	expire_closures(0);
	OK(graph_load(gc, &g, err));
	n = graph_garbage(g, &ids);
	assert_int_equal(n, 2);
	q = closure("app", "app", NULL);
	req_path(q, "beside", "app", "lib", NULL);
	OK(begin(server, q, err));
	commit(server, q);
	OK(graph_tombstone(gc, g, ids, n, &done, err));
	assert_int_equal(done, 0);
	check_rules();
	graph_free(g);
	assert_int_equal(mark_all(), 3);
}

/* Two uploads of one path with different NARs, both written: both are kept. */
static void
test_not_reproducible(void **state)
{
	struct req *a = closure("app", "one", NULL);
	struct req *b = closure("app", "two", NULL);
	struct commit ca, cb;

	(void)state;
	OK(begin(server, a, err));
	OK(begin(server2, b, err));
	authorize_all(server, a);
	authorize_all(server2, b);
	OK(load(server, a, &ca, err));
	OK(load(server2, b, &cb, err));
	fill(&ca);
	fill(&cb);
	OK(finish(server, &ca, err));
	assert_int_equal(number("SELECT refs[1] FROM objects"
	                        " WHERE key = 'app.narinfo'"),
	    id_of("nar/one"));
	OK(finish(server2, &cb, err));
	assert_int_equal(mark_all(), 0);
	STATE("nar/one", "live");
	STATE("nar/two", "live");
	assert_int_equal(number("SELECT cardinality(refs) FROM objects"
	                        " WHERE key = 'app.narinfo'"),
	    2);

	/* The first to begin is not the first to commit. */
	a = closure("late", "late1", NULL);
	b = closure("late", "late2", NULL);
	OK(begin(server, a, err));
	OK(begin(server2, b, err));
	commit(server2, b);
	assert_int_equal(number("SELECT refs[1] FROM objects"
	                        " WHERE key = 'late.narinfo'"),
	    id_of("nar/late2"));
	commit(server, a);
	assert_int_equal(mark_all(), 1); /* late1 is nobody's */
}

/* ---- deleting ---- */

static void
test_reap(void **state)
{
	struct reap_object *o;
	struct reap_cursor at = { 0 };
	size_t n;

	(void)state;
	push("app", "app", "lib");
	assert_int_equal(mark_all(), 0);
	expire_closures(0);
	assert_int_equal(mark_all(), 4);
	assert_int_equal(claim(HOUR, &o), 0);
	for (int rank = 1; rank <= 3; rank += 2) {
		OK(reap_claim(gc, 1, 0, &at, arena, &o, &n, err));
		assert_int_equal(n, 2);
		assert_int_equal(at.rank, rank);
		assert_int_equal(o[0].size, rank == 1 ? 10 : 100);
		assert_non_null(
		    strstr(o[1].key, rank == 1 ? "narinfo" : "nar/"));
		STATE(o[1].key, "deleting");
	}
	OK(reap_claim(gc, 1, 0, &at, arena, &o, &n, err));
	assert_int_equal(n, 0);
	/* The delete that was sent for it may still be on its way. */
	OK(reap_leftover(gc, 1, 3600 * 1000000LL, arena, &o, &n, err));
	assert_int_equal(n, 0);
	OK(reap_leftover(gc, 1, 0, arena, &o, &n, err));
	assert_int_equal(n, 4);
	answer(o, n, REAP_GONE);
	OK(reap_leftover(gc, 1, 0, arena, &o, &n, err));
	assert_int_equal(n, 0);
	assert_int_equal(number("SELECT count(*) FROM objects"), 0);
	assert_int_equal(number("SELECT count(*) FROM contents"), 0);
}

/* Narinfos before NARs, also over several batches. */
static void
test_reap_order(void **state)
{
	struct reap_object *o;
	struct reap_cursor at = { 0 };
	size_t n, nars = 0;

	(void)state;
	sql("INSERT INTO objects (key, kind) SELECT 'o' || i,"
	    " CASE WHEN i % 2 = 0 THEN 1 ELSE 2 END"
	    " FROM generate_series(1, 3000) i");
	sql("INSERT INTO contents (object_id, size, sha256)"
	    " SELECT id, 1, '' FROM objects");
	sql("INSERT INTO stat_deltas (objects, bytes) VALUES (3000, 3000)");
	assert_int_equal(mark_all(), 3000);
	for (;;) {
		OK(reap_claim(gc, 1, 0, &at, arena, &o, &n, err));
		if (n == 0)
			break;
		assert_true(n <= REAP_BATCH);
		for (size_t i = 0; i < n; i++) {
			int is_nar = atoi(o[i].key + 1) % 2;

			nars += is_nar;
			if (!is_nar)
				assert_int_equal(nars, 0);
		}
		answer(o, n, REAP_GONE);
	}
	assert_int_equal(nars, 1500);
	assert_int_equal(number("SELECT count(*) FROM objects"), 0);
}

static void
test_reap_answers(void **state)
{
	struct reap_object *o;
	int64_t first;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	sql("UPDATE tombstones SET first_at = now() - interval '2 h'");
	first = number("SELECT extract(epoch FROM min(first_at))::bigint"
	               " FROM tombstones");
	n = claim(HOUR, &o);
	assert_int_equal(n, 4);
	{
		enum reap_answer answers[] = { REAP_GONE, REAP_REFUSED,
			REAP_UNKNOWN, REAP_UNKNOWN };
		OK(reap_finish(gc, o, answers, n, err));
	}
	STATE(o[0].key, "gone");
	STATE(o[1].key, "tombstone");
	STATE(o[2].key, "deleting");
	assert_int_equal(number("SELECT extract(epoch FROM first_at)::bigint"
	                        " FROM tombstones WHERE claim IS NULL"),
	    first);
	/* Refused: due again at once. Unknown: only asked for by a sweep. */
	assert_int_equal(claim(HOUR, &o), 1);
	OK(reap_leftover(gc, 2, 0, arena, &o, &n, err));
	assert_int_equal(n, 3);
	answer(o, n, REAP_UNKNOWN);
	OK(reap_leftover(gc, 2, 0, arena, &o, &n, err));
	assert_int_equal(n, 0); /* each once a sweep */
	OK(reap_leftover(gc, 2, 0, arena, &o, &n, err));
	assert_int_equal(n, 3);
	answer(o, n, REAP_GONE);
	/* An answer that comes twice does nothing. */
	answer(o, n, REAP_GONE);
	OK(reap_leftover(gc, 2, 0, arena, &o, &n, err));
	assert_int_equal(n, 0);
	assert_int_equal(number("SELECT count(*) FROM objects"), 0);
}

static void
test_rollback(void **state)
{
	struct req *a = closure("app", "app", "lib");
	struct req *b = closure("tool", "tool", "lib");
	struct reap_object *o;
	size_t n;

	(void)state;
	OK(begin(server, a, err));
	OK(begin(server2, b, err));
	assert_int_equal(claim_pending(&o), 0);
	abort_upload(a);
	/* What the other one needs stays. */
	n = claim_pending(&o);
	assert_int_equal(n, 2);
	answer(o, n, REAP_GONE);
	STATE("app.narinfo", "gone");
	STATE("lib.narinfo", "pending");
	commit(server2, b);
	collect();
	STATE("nar/lib", "live");
}

/* Who was allowed to write may still do it: the row stays. */
static void
test_authorised_rows_stay(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct reap_object *o;
	size_t n;

	(void)state;
	auth_us = MINUTE;
	OK(begin(server, q, err));
	OK(authorize(server, q, "nar/app", 1, err));
	abort_upload(q);
	n = claim_pending(&o);
	assert_int_equal(n, 2);
	assert_string_equal(o[0].key, "app.narinfo");
	answer(o, n, REAP_GONE);
	STATE("app.narinfo", "gone");
	STATE("nar/app", "pending");
	/* Once is enough until then. */
	assert_int_equal(claim_pending(&o), 0);
	sql("UPDATE pending SET auth_until = now() - interval '1 s'");
	n = claim_pending(&o);
	assert_int_equal(n, 1);
	answer(o, n, REAP_GONE);
	STATE("nar/app", "gone");

	/* Also of what was committed in the meantime. */
	push("app", "app", NULL);
	expire_closures(0);
	mark_all();
	while ((n = claim(0, &o)) > 0)
		answer(o, n, REAP_GONE);
	STATE("app.narinfo", "gone");
	STATE("nar/app", "pending");
	sql("UPDATE pending SET auth_until = '-infinity'");
	collect();
	STATE("nar/app", "gone");
}

/* A pending object whose delete was refused waits like any tombstone. */
static void
test_rollback_refused(void **state)
{
	struct req *q = closure("app", "app", NULL);
	struct reap_object *o;
	size_t n;

	(void)state;
	OK(begin(server, q, err));
	abort_upload(q);
	while ((n = claim_pending(&o)) > 0)
		answer(o, n, REAP_REFUSED);
	STATE("nar/app", "pending");
	assert_int_equal(claim_pending(&o), 0);
	assert_int_equal(claim(HOUR, &o), 0);
	q = closure("app", "app", NULL);
	OK(begin(server, q, err));
	assert_int_equal(missing(q), 2);
	assert_int_equal(claim(0, &o), 0);
	commit(server, q);
	STATE("nar/app", "live");
	assert_int_equal(number("SELECT count(*) FROM tombstones"), 0);
}

/* ---- reviving ---- */

static void
test_revive(void **state)
{
	struct req *q;
	struct reap_object *o;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	assert_int_equal(mark_all(), 4);
	q = closure("tool", "tool", "lib");
	OK(begin(server, q, err));
	assert_int_equal(missing(q), 2);
	STATE("lib.narinfo", "live");
	STATE("nar/lib", "live");
	STATE("app.narinfo", "tombstone");
	check_rules();
	assert_int_equal(claim(0, &o), 2);
	STATE("app.narinfo", "deleting");
	commit(server, q);
	STATE("lib.narinfo", "live");
}

/*
 * A narinfo that survived (its delete was refused) while its NAR went: its old
 * reference leads nowhere. It must not come back as it is, nor what refers to
 * it.
 */
static void
test_revive_needs_references(void **state)
{
	struct req *q;
	struct reap_object *o;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	n = claim(0, &o);
	for (size_t i = 0; i < n; i++)
		answer(&o[i], 1,
		    strcmp(o[i].key, "nar/lib") == 0 ? REAP_GONE
		                                     : REAP_REFUSED);
	q = closure("app", "app", "lib");
	OK(begin(server, q, err));
	STATE("nar/app", "live");
	STATE("lib.narinfo", "pending");
	STATE("app.narinfo", "pending");
	STATE("nar/lib", "pending");
	assert_int_equal(missing(q), 3);
	check_rules();
	/* Given up, they are tombstones as before. */
	abort_upload(q);
	while ((n = claim_pending(&o)) > 0)
		answer(o, n, REAP_GONE);
	assert_int_equal(claim(HOUR, &o), 0);
	STATE("nar/lib", "gone");
	assert_int_equal(number("SELECT count(*) FROM tombstones"), 2);
	q = closure("app", "app", "lib");
	OK(begin(server, q, err));
	assert_int_equal(missing(q), 3);
	commit(server, q);
	assert_int_equal(mark_all(), 0);
	assert_int_equal(number("SELECT count(*) FROM tombstones"), 0);
}

static void
test_revive_circle(void **state)
{
	struct req *q = req_new();

	(void)state;
	req_path(q, "a", "a", "b", NULL);
	req_path(q, "b", "b", "a", NULL);
	req_root(q, 0);
	OK(begin(server, q, err));
	commit(server, q);
	expire_closures(0);
	assert_int_equal(mark_all(), 4);
	OK(begin(server, q, err));
	assert_int_equal(missing(q), 2);
	commit(server, q);
}

/* ---- waiting for a delete ---- */

struct delayed {
	struct reap_object *o;
	size_t n;
	enum reap_answer answer;
	struct err e;
};

static void *
answer_later(void *arg)
{
	struct delayed *d = arg;
	struct db *db = open_as("niks3_gc");
	enum reap_answer answers[16];

	usleep(150000);
	for (size_t i = 0; i < d->n; i++)
		answers[i] = d->answer;
	reap_finish(db, d->o, answers, d->n, &d->e);
	db_close(db);
	return NULL;
}

static void
wait_for(enum reap_answer a, size_t want_missing)
{
	struct delayed d = { .answer = a, .e = ERR_INIT };
	struct req *q = closure("app", "app", "lib");
	pthread_t t;

	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	d.n = claim(0, &d.o);
	assert_int_equal(d.n, 4);
	pthread_create(&t, NULL, answer_later, &d);
	OK(begin(server, q, err));
	pthread_join(t, NULL);
	assert_int_equal(d.e.kind, ERR_NONE);
	assert_int_equal(missing(q), want_missing);
	check_rules();
	commit(server, q);
	STATE("nar/lib", "live");
	assert_int_equal(number("SELECT count(*) FROM tombstones"), 0);
}

static void
test_wait_gone(void **state)
{
	(void)state;
	wait_for(REAP_GONE, 4);
}

static void
test_wait_refused(void **state)
{
	(void)state;
	wait_for(REAP_REFUSED, 0);
}

static void
test_wait_in_vain(void **state)
{
	struct req *q = closure("app", "app", "lib");
	struct reap_object *o;
	struct err e = ERR_INIT;
	size_t n;

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	n = claim(0, &o);
	answer(o, n, REAP_UNKNOWN);
	db_deadline(server, deadline_in(1400));
	assert_int_equal(begin(server, q, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(e.hint, "niks3 gc"));
	assert_int_equal(number("SELECT count(*) FROM uploads"
	                        " WHERE state = 'open'"),
	    0);
	assert_int_equal(number("SELECT count(*) FROM upload_needs"), 0);
	answer(o, n, REAP_GONE);
}

/* Terminates the other connections of the role of db. */
static void
kill_others(struct db *db)
{
	OK(db_query(db,
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	    " WHERE pid <> pg_backend_pid() AND usename = current_user"
	    " AND datname = current_database()",
	    P_NONE, NULL, err));
	usleep(50000);
}

/* ---- locks ---- */

static int
hold_roots(struct db *db, void *ctx, struct err *e)
{
	struct graph *g = ctx;
	const int64_t *ids;
	uint64_t done;
	size_t n = graph_garbage(g, &ids);

	if (db_roots_shared(db, e) != 0 ||
	    db_exec(db, "SELECT 1", P_NONE, NULL, e) != 0)
		return -1;
	FAILS(ERR_CONFLICT, graph_tombstone(gc, g, ids, n, &done, err));
	return 0;
}

static int
exclusive(struct db *db, void *ctx, struct err *e)
{
	return db_roots_exclusive(db, *(int *)ctx, e);
}

static int
hold_exclusive(struct db *db, void *ctx, struct err *e)
{
	int ms = 50;

	(void)ctx;
	if (db_roots_exclusive(db, 1000, e) != 0)
		return -1;
	FAILS(ERR_CONFLICT,
	    db_transaction(gc, DB_READ_COMMITTED, exclusive, &ms, err));
	db_deadline(server2, deadline_in(300));
	FAILS(ERR_TIMEOUT, begin(server2, closure("x", "x", NULL), err));
	return 0;
}

static void
test_roots_lock(void **state)
{
	struct graph *g;
	const int64_t *ids;
	uint64_t done;
	size_t n;

	(void)state;
	push("app", "app", NULL);
	expire_closures(0);
	OK(graph_load(gc, &g, err));
	/* A beginning upload keeps batches out. */
	OK(db_transaction(server, DB_READ_COMMITTED, hold_roots, g, err));
	n = graph_garbage(g, &ids);
	OK(graph_tombstone(gc, g, ids, n, &done, err));
	assert_int_equal(done, 2);
	graph_free(g);
	/* And the other way round. */
	OK(db_transaction(owner, DB_READ_COMMITTED, hold_exclusive, NULL, err));
	db_deadline(server2, soon());
	OK(begin(server2, closure("x", "x", NULL), err));
}

static void
test_gc_lock(void **state)
{
	struct db *a = open_as("niks3_gc"), *b = open_as("niks3_gc");
	int got;

	(void)state;
	OK(db_gc_lock(a, &got, err));
	assert_true(got);
	OK(db_gc_lock(b, &got, err));
	assert_false(got);
	OK(db_alive(a, err));
	kill_others(b);
	FAILS(ERR_UNAVAILABLE, db_alive(a, err));
	/* And it does not come back under another connection. */
	FAILS(ERR_UNAVAILABLE, db_alive(a, err));
	OK(db_alive(b, err));
	OK(db_gc_lock(b, &got, err));
	assert_true(got);
	db_close(a);
	db_close(b);
}

/*
 * An upload begins between the moment in which a claim finds its candidates and
 * the one in which it has the lock: the claim looks again.
 */
struct race {
	struct req *q;
	int pending;
	size_t n;
	struct err e;
	pthread_t thread;
};

static void *
claim_meanwhile(void *arg)
{
	struct race *r = arg;
	struct db *db = open_as("niks3_gc");
	struct arena *a = arena_new(65536);
	struct reap_cursor at = { 0 };
	struct reap_object *o;

	if (r->pending)
		reap_claim_pending(db, 1, &at, a, &o, &r->n, &r->e);
	else
		reap_claim(db, 1, 0, &at, a, &o, &r->n, &r->e);
	arena_free(a);
	db_close(db);
	return NULL;
}

static int
begin_slowly(struct db *db, void *ctx, struct err *e)
{
	struct race *r = ctx;

	if (db_roots_shared(db, e) != 0 ||
	    db_exec(db, "SELECT 1", P_NONE, NULL, e) != 0)
		return -1;
	pthread_create(&r->thread, NULL, claim_meanwhile, r);
	usleep(200000);
	return begin(db, r->q, e);
}

static void
test_claim_looks_again(void **state)
{
	struct race r = { .n = 99, .e = ERR_INIT };

	(void)state;
	push("app", "app", "lib");
	expire_closures(0);
	mark_all();
	r.q = closure("app", "app", "lib");
	OK(db_transaction(server, DB_READ_COMMITTED, begin_slowly, &r, err));
	pthread_join(r.thread, NULL);
	assert_int_equal(r.e.kind, ERR_NONE);
	assert_int_equal(r.n, 0);
	STATE("app.narinfo", "live");

	abort_upload(closure_begun("other"));
	r = (struct race){ closure("other", "other", NULL), 1, 99, ERR_INIT };
	OK(db_transaction(server, DB_READ_COMMITTED, begin_slowly, &r, err));
	pthread_join(r.thread, NULL);
	assert_int_equal(r.e.kind, ERR_NONE);
	assert_int_equal(r.n, 0);
	STATE("other.narinfo", "pending");
	commit(server, r.q);
}

/* ---- connections ---- */

struct killed {
	int tries;
	int kill; /* so many of them */
};

static int
killed_inside(struct db *db, void *ctx, struct err *e)
{
	struct killed *k = ctx;

	if (db_exec(db, "SELECT 1", P_NONE, NULL, e) != 0)
		return -1;
	if (k->tries++ < k->kill)
		kill_others(server2);
	return db_exec(db, "SELECT 2", P_NONE, NULL, e);
}

static void
test_killed(void **state)
{
	struct killed k = { 0, 1 };
	struct stats s;

	(void)state;
	/* Between transactions nobody notices. */
	OK(stats_get(server, &s, err));
	kill_others(server2);
	OK(stats_get(server, &s, err));
	/* Inside, the transaction is done again, once. */
	OK(db_transaction(server, DB_READ_COMMITTED, killed_inside, &k, err));
	assert_int_equal(k.tries, 2);
	k = (struct killed){ 0, 99 };
	FAILS(ERR_UNAVAILABLE,
	    db_transaction(server, DB_READ_COMMITTED, killed_inside, &k, err));
	assert_true(k.tries <= 2);
	OK(stats_get(server, &s, err));
}

static int
insert_slow(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	return db_send(db, "INSERT INTO slow VALUES (1)", P_NONE, e);
}

static void *
kill_soon(void *arg)
{
	struct err e = ERR_INIT;

	usleep(200000);
	db_query(arg,
	    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
	    " WHERE query = 'COMMIT' AND state = 'active'",
	    P_NONE, NULL, &e);
	return NULL;
}

static void
test_ambiguous_commit(void **state)
{
	struct err e = ERR_INIT;
	struct db *other = open_as("");
	pthread_t t;

	(void)state;
	sql("CREATE TABLE slow (i int);"
	    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
	    " 'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END';"
	    "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow"
	    " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()");
	deadlines();
	pthread_create(&t, NULL, kill_soon, other);
	assert_int_equal(
	    db_transaction(owner, DB_READ_COMMITTED, insert_slow, NULL, &e),
	    -1);
	pthread_join(t, NULL);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "not known"));
	db_close(other);
	/* Nor when it took too long. */
	db_deadline(owner, deadline_in(300));
	err_clear(&e);
	assert_int_equal(
	    db_transaction(owner, DB_READ_COMMITTED, insert_slow, NULL, &e),
	    -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "not known"));
	sql("DROP TABLE slow; DROP FUNCTION slow()");
}

static int
wrong(struct db *db, void *ctx, struct err *e)
{
	return db_exec(db, ctx, P_NONE, NULL, e);
}

static int
overlooked(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	db_exec(db, "SELECT 1 / 0", P_NONE, NULL, e);
	return 0;
}

static int
sent(struct db *db, void *ctx, struct err *e)
{
	(void)ctx;
	return db_send(db, "SELECT 1 / 0", P_NONE, e) != 0 ||
	        db_send(db, "SELECT 1", P_NONE, e) != 0
	    ? -1
	    : 0;
}

static void
test_errors(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	db_transaction(server, DB_READ_COMMITTED, wrong,
	    (void *)(uintptr_t) "SELECT nonsense", &e);
	assert_int_equal(e.kind, ERR_INTERNAL);
	assert_non_null(strstr(e.msg, "42703"));
	FAILS(ERR_FORBIDDEN,
	    db_transaction(server, DB_READ_COMMITTED, wrong,
	        (void *)(uintptr_t) "DROP TABLE objects", err));
	db_deadline(server, deadline_in(200));
	FAILS(ERR_TIMEOUT,
	    db_transaction(server, DB_READ_COMMITTED, wrong,
	        (void *)(uintptr_t) "SELECT pg_sleep(5)", err));
	db_deadline(server, deadline_in(0));
	FAILS(ERR_TIMEOUT, db_alive(server, err));
	db_deadline(server, soon());
	OK(db_alive(server, err));
	/* Errors of what was only sent are those of the commit. */
	FAILS(ERR_INTERNAL,
	    db_transaction(server, DB_READ_COMMITTED, sent, NULL, err));
	FAILS(ERR_INTERNAL,
	    db_transaction(server, DB_READ_COMMITTED, overlooked, NULL, err));
	OK(db_alive(server, err));
	assert_int_equal(db_alive(server, NULL), 0);
}

static void
test_connect_errors(void **state)
{
	struct db *db;
	struct db_pool *p;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(db_open("host=/nonexistent password=hunter2",
	                     "db_live", soon(), &db, &e),
	    -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_null(strstr(e.msg, "hunter2"));
	assert_int_equal(
	    db_open("host=x hunter2", "db_live", soon(), &db, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_null(strstr(e.msg, "hunter2"));
	assert_int_equal(db_pool_new("hunter2 = ", "x", 1, &p, &e), -1);
	assert_null(strstr(e.msg, "hunter2"));
}

/* Somebody listens, and says nothing. */
static void
test_connect_timeout(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[64];
	struct db *db;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	snprintf(text, sizeof text, "host=127.0.0.1 port=%d user=x",
	    ntohs(a.sin_port));
	FAILS(
	    ERR_TIMEOUT, db_open(text, "db_live", deadline_in(200), &db, err));
	close(fd);
}

static void *
borrow(void *arg)
{
	struct db_pool *p = arg;
	struct err e = ERR_INIT;
	struct db *db;

	for (int i = 0; i < 20; i++) {
		if (db_get(p, soon(), &db, &e) != 0)
			return p;
		if (db_alive(db, &e) != 0)
			fprintf(stderr, "%s\n", e.msg);
		db_put(p, db);
	}
	return NULL;
}

static void
test_pool(void **state)
{
	struct db_pool *p;
	struct db *a, *b, *c;
	pthread_t t[8];
	void *bad;

	(void)state;
	OK(db_pool_new(conninfo, "db_live pool", 2, &p, err));
	OK(db_get(p, soon(), &a, err));
	OK(db_get(p, soon(), &b, err));
	FAILS(ERR_UNAVAILABLE, db_get(p, deadline_in(50), &c, err));
	OK(db_alive(a, err));
	db_put(p, a);
	OK(db_get(p, soon(), &c, err));
	assert_ptr_equal(a, c);
	db_put(p, c);
	db_put(p, b);
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, borrow, p);
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], &bad);
		assert_null(bad);
	}
	assert_true(number("SELECT count(*) FROM pg_stat_activity WHERE"
	                   " application_name = 'db_live pool'") <= 2);
	db_pool_free(p);
	db_pool_free(NULL);
	db_close(NULL);
}

/* ---- who may do what ---- */

static void
test_rights(void **state)
{
	static const char *const server_not[] = {
		"DELETE FROM objects",
		"DELETE FROM contents",
		"DELETE FROM closures",
		"DELETE FROM uploads",
		"INSERT INTO tombstones VALUES (1, now(), 1)",
		"UPDATE tombstones SET claim = 1",
		"UPDATE tombstones SET first_at = now()",
		"UPDATE gc_runs SET state = 'failed'",
		"DELETE FROM stat_deltas",
		"INSERT INTO goose_db_version VALUES (9, 9, true)",
		"TRUNCATE pending",
		"CREATE TABLE mine ()",
	};
	static const char *const gc_not[] = {
		"INSERT INTO objects (key, kind) VALUES ('x', 1)",
		"UPDATE objects SET key = 'y'",
		"INSERT INTO contents VALUES (1, 1, '')",
		"INSERT INTO closures VALUES (1, 'x')",
		"UPDATE closures SET updated_at = now()",
		"DELETE FROM pins",
		"INSERT INTO uploads (token, owner, store_dir, lease_until)"
		" VALUES ('a', 'b', 'c', now())",
		"INSERT INTO gc_runs (older_than, pending_older_than)"
		" VALUES ('1 s', '1 s')",
		"DELETE FROM gc_runs",
		"CREATE TABLE mine ()",
	};

	(void)state;
	for (size_t i = 0; i < sizeof server_not / sizeof *server_not; i++)
		FAILS(ERR_FORBIDDEN, script(server, server_not[i], err));
	for (size_t i = 0; i < sizeof gc_not / sizeof *gc_not; i++)
		FAILS(ERR_FORBIDDEN, script(gc, gc_not[i], err));
}

/* ---- history ---- */

static void
test_history(void **state)
{
	struct stats s;

	(void)state;
	push("a", "a", NULL);
	push("b", "b", NULL);
	OK(reap_history(gc, err));
	assert_int_equal(number("SELECT count(*) FROM stat_deltas"), 1);
	assert_int_equal(number("SELECT count(*) FROM uploads"), 2);
	sql("UPDATE uploads SET ended_at = now() - interval '25 h'"
	    " WHERE id = (SELECT min(id) FROM uploads)");
	OK(reap_history(gc, err));
	assert_int_equal(number("SELECT count(*) FROM uploads"), 1);
	OK(stats_get(server, &s, err));
	assert_int_equal(s.objects, 4);
	OK(reap_history(gc, err));
}

/* ---- overlapping commits and beginnings ---- */

#define SHARED 400

struct overlap {
	int down; /* the objects in the opposite order */
	const char *root;
	struct err e;
};

/* A closure of SHARED narinfos without NARs. */
static void *
push_shared(void *arg)
{
	struct overlap *o = arg;
	struct db *db = open_as("niks3_server");
	struct arena *a = arena_new((size_t)64 << 20);
	struct upload_object *objects =
	    arena_array(a, SHARED + 1, sizeof *objects);
	struct upload_root root = { SHARED, o->root, NULL, 0 };
	struct upload_begin b = { OWNER, STORE, LEASE, objects, SHARED + 1,
		NULL, 0, &root, 1 };
	uint32_t refs[SHARED];
	struct commit c;
	const char **keys;
	size_t n;
	char token[UPLOAD_TOKEN_MAX];

	for (int i = 0; i < SHARED; i++) {
		objects[i] =
		    (struct upload_object){ .kind = 3, .nar_size = -1 };
		objects[i].key = arena_printf(
		    a, "shared%d.ls", o->down ? SHARED - i : i + 1);
		refs[i] = i;
	}
	objects[SHARED] = (struct upload_object){ .kind = 1,
		.nar_size = -1,
		.key = o->root,
		.refs = refs,
		.nrefs = SHARED };
	if (uploads_begin(db, &b, token, &o->e) == 0 &&
	    commit_load(db, token, OWNER, LEASE, a, &c, &o->e) == 0) {
		for (size_t i = 0; i < c.nobjects; i++)
			c.objects[i].written = 1;
		commit_finish(db, &c, a, &keys, &n, &o->e);
	}
	arena_free(a);
	db_close(db);
	return NULL;
}

static void
test_overlapping(void **state)
{
	static const char *const roots[] = { "r0.narinfo", "r1.narinfo",
		"r2.narinfo", "r3.narinfo" };
	int64_t before = number("SELECT deadlocks FROM pg_stat_database"
	                        " WHERE datname = current_database()");

	(void)state;
	for (int round = 0; round < 5; round++) {
		struct overlap o[4];
		pthread_t t[4];

		for (int i = 0; i < 4; i++) {
			o[i] = (struct overlap){ i % 2, roots[i], ERR_INIT };
			pthread_create(&t[i], NULL, push_shared, &o[i]);
		}
		for (int i = 0; i < 4; i++) {
			pthread_join(t[i], NULL);
			if (o[i].e.kind != ERR_NONE)
				fail_msg("%s", o[i].e.msg);
		}
		check_rules();
		assert_int_equal(
		    number("SELECT count(*) FROM live"), SHARED + 4);
		/* Again from tombstones, then from nothing. */
		expire_closures(0);
		assert_int_equal(mark_all(), SHARED + 4);
		if (round % 2)
			collect();
	}
	usleep(600000); /* the statistics are behind */
	assert_int_equal(number("SELECT deadlocks FROM pg_stat_database"
	                        " WHERE datname = current_database()"),
	    before);
}

/* ---- everything at once ---- */

/*
 * Pushers and a collector, each as fast as it can, with a bucket that is a map.
 * Paths have one of two NARs, as if their builds were not reproducible; the
 * bucket remembers which NAR a narinfo names. Deletes are refused, or unknown,
 * now and then. In the end all that a closure reaches is in the bucket.
 */
#define PUSHERS 4
#define ROUNDS  60
#define NPATHS  12

static struct {
	pthread_mutex_t lock;
	int present[NPATHS][3];  /* narinfo, NAR 0, NAR 1 */
	unsigned nar_of[NPATHS]; /* that the narinfo names */
	_Atomic int stop;
} bucket = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct pusher {
	unsigned seed;
	int committed, refused;
	char failed[600];
};

static int *
slot(const char *key)
{
	int nar = strncmp(key, "nar/", 4) == 0;
	const char *p = key + (nar ? 4 : 0);
	int path = atoi(p + 1);

	return &bucket.present[path][nar ? 1 + strchr(p, '-')[1] - '0' : 0];
}

static void
put(const char *key)
{
	pthread_mutex_lock(&bucket.lock);
	*slot(key) = 1;
	pthread_mutex_unlock(&bucket.lock);
}

static int
push_random(struct db *db, struct pusher *p, struct arena *a, struct err *e)
{
	char keys[NPATHS][2][32];
	struct upload_object objects[2 * NPATHS] = { 0 };
	struct upload_path paths[NPATHS] = { 0 };
	struct upload_root root = { 0 };
	struct upload_begin b = { OWNER, STORE, LEASE, objects, 0, paths, 0,
		&root, 1 };
	uint32_t refs[NPATHS][NPATHS + 1];
	int at[NPATHS], top = rand_r(&p->seed) % NPATHS;
	unsigned nars[NPATHS];
	struct commit c;
	const char **missed;
	char token[UPLOAD_TOKEN_MAX];
	size_t n;

	/* Path i refers to i / 2 and i / 3, if they are others. */
	for (int i = 0; i <= top; i++) {
		int to[2] = { i / 2, i / 3 };
		struct upload_object *o = &objects[b.nobjects];

		at[i] = b.nobjects;
		nars[i] = rand_r(&p->seed) % 2;
		snprintf(keys[i][0], 32, "p%d.narinfo", i);
		snprintf(keys[i][1], 32, "nar/p%d-%u", i, nars[i]);
		o[0] = (struct upload_object){ keys[i][0], 1, "x", -1, refs[i],
			1, 0, 0 };
		o[1] = (struct upload_object){ keys[i][1], 2, NULL, 9, NULL, 0,
			0, 0 };
		refs[i][0] = at[i] + 1;
		for (int k = 0; k < 2; k++)
			if (to[k] != i)
				refs[i][o->nrefs++] = at[to[k]];
		paths[i] = (struct upload_path){ .object = at[i],
			.nar = at[i] + 1,
			.base = keys[i][0],
			.nar_size = 9 };
		b.nobjects += 2;
		b.npaths++;
	}
	root = (struct upload_root){ at[top], keys[top][0], NULL, 0 };
	if (uploads_begin(db, &b, token, e) != 0)
		return -1;
	for (size_t i = 0; i < b.nobjects; i++) {
		struct upload_write w = {
			.key = objects[i].key, .size = 9, .whole = 1
		};

		if (!objects[i].missing || objects[i].kind != 2)
			continue;
		/* Rights that end at once: the collector may go on. */
		if (uploads_authorize(db, token, OWNER, &w, 1, 0, LEASE, e) !=
		    0)
			return -1;
		put(w.key);
	}
	if (rand_r(&p->seed) % 4 == 0) {
		struct upload_multipart *parts;

		return uploads_abort(db, token, OWNER, a, &parts, &n, e);
	}
	if (commit_load(db, token, OWNER, LEASE, a, &c, e) != 0)
		return -1;
	for (size_t i = 0; i < c.npaths; i++) {
		int path = atoi(c.paths[i].key + 1);

		c.paths[i].size = 5;
		put(c.paths[i].key);
		pthread_mutex_lock(&bucket.lock);
		bucket.nar_of[path] = nars[path];
		pthread_mutex_unlock(&bucket.lock);
	}
	if (commit_finish(db, &c, a, &missed, &n, e) != 0)
		return -1;
	p->committed++;
	return 0;
}

static void *
pusher(void *arg)
{
	struct pusher *p = arg;
	struct db *db = open_as("niks3_server");

	for (int i = 0; i < ROUNDS && p->failed[0] == '\0'; i++) {
		struct arena *a = arena_new((size_t)16 << 20);
		struct err e = ERR_INIT;

		db_deadline(db, soon());
		if (push_random(db, p, a, &e) != 0)
			snprintf(p->failed, sizeof p->failed, "%s", e.msg);
		arena_free(a);
	}
	db_close(db);
	return NULL;
}

static int
delete_some(struct db *db, const struct reap_object *o, size_t n,
    unsigned *seed, struct err *e)
{
	enum reap_answer answers[REAP_BATCH];

	pthread_mutex_lock(&bucket.lock);
	for (size_t i = 0; i < n; i++) {
		int *there = slot(o[i].key), dice = rand_r(seed) % 8;

		answers[i] = REAP_GONE;
		if (dice == 0 && *there)
			answers[i] = REAP_REFUSED;
		else if (dice <= 2 && *there)
			answers[i] = REAP_UNKNOWN; /* done or not */
		if (answers[i] == REAP_GONE || dice == 1)
			*there = 0;
	}
	pthread_mutex_unlock(&bucket.lock);
	return reap_finish(db, o, answers, n, e);
}

/* The lock was not to be had: a worker would try again. */
#define PATIENT(call)                                    \
	do {                                             \
		err_clear(&e);                           \
		db_deadline(db, soon());                 \
	} while ((call) != 0 && e.kind == ERR_CONFLICT); \
	if (e.kind != ERR_NONE)                          \
	goto out

static void *
collector(void *arg)
{
	struct pusher *p = arg;
	struct db *db = open_as("niks3_gc");
	struct err e = ERR_INIT;

	while (!bucket.stop) {
		struct arena *a = arena_new((size_t)16 << 20);
		struct reap_cursor at = { 0 };
		struct reap_object *o;
		struct graph *g = NULL;
		const int64_t *ids;
		uint64_t done;
		size_t n;

		PATIENT(reap_closures(db, 20000, &done, &e));
		PATIENT(graph_load(db, &g, &e));
		if (graph_dangling(g) > 0)
			p->refused++;
		n = graph_garbage(g, &ids);
		for (size_t i = 0; i < n; i += 3) {
			size_t some = n - i < 3 ? n - i : 3;

			PATIENT(
			    graph_tombstone(db, g, ids + i, some, &done, &e));
		}
		do {
			PATIENT(reap_claim_pending(db, 1, &at, a, &o, &n, &e));
			PATIENT(delete_some(db, o, n, &p->seed, &e));
		} while (n > 0);
		at = (struct reap_cursor){ 0 };
		do {
			PATIENT(reap_claim(db, 1, 0, &at, a, &o, &n, &e));
			PATIENT(delete_some(db, o, n, &p->seed, &e));
		} while (n > 0);
		do {
			PATIENT(reap_leftover(db, 1, 0, a, &o, &n, &e));
			PATIENT(delete_some(db, o, n, &p->seed, &e));
		} while (n > 0);
	out:
		graph_free(g);
		arena_free(a);
		if (e.kind != ERR_NONE) {
			snprintf(p->failed, sizeof p->failed, "%s", e.msg);
			break;
		}
	}
	db_close(db);
	return NULL;
}

static int
in_bucket(const char *key)
{
	return *slot(key);
}

static void
check_bucket(void)
{
	struct err e = ERR_INIT;
	PGresult *r;

	if (db_query(owner, "SELECT key FROM live", P_NONE, &r, &e) != 0)
		fail_msg("%s", e.msg);
	for (int i = 0; i < PQntuples(r); i++)
		if (!in_bucket(PQgetvalue(r, i, 0)))
			fail_msg("live, but not in the bucket: %s",
			    PQgetvalue(r, i, 0));
	PQclear(r);
	if (db_query(owner,
	        "WITH RECURSIVE reach AS (SELECT object_id AS id FROM closures"
	        " UNION SELECT unnest(o.refs) FROM reach"
	        " JOIN objects o USING (id))"
	        " SELECT key FROM reach JOIN objects USING (id)"
	        " WHERE kind = 1",
	        P_NONE, &r, &e) != 0)
		fail_msg("%s", e.msg);
	for (int i = 0; i < PQntuples(r); i++) {
		int path = atoi(PQgetvalue(r, i, 0) + 1);

		if (!bucket.present[path][1 + bucket.nar_of[path]])
			fail_msg(
			    "%s names a NAR that is gone", PQgetvalue(r, i, 0));
	}
	PQclear(r);
}

static void
test_all_at_once(void **state)
{
	struct pusher p[PUSHERS + 1] = { 0 };
	pthread_t t[PUSHERS + 1];
	unsigned seed =
	    getenv("SEED") != NULL ? atoi(getenv("SEED")) : (unsigned)getpid();
	int committed = 0;

	(void)state;
	bucket.stop = 0;
	for (int i = 0; i <= PUSHERS; i++) {
		p[i].seed = seed * 100 + i;
		pthread_create(
		    &t[i], NULL, i < PUSHERS ? pusher : collector, &p[i]);
	}
	for (int i = 0; i < PUSHERS; i++)
		pthread_join(t[i], NULL);
	bucket.stop = 1;
	pthread_join(t[PUSHERS], NULL);
	for (int i = 0; i <= PUSHERS; i++) {
		if (p[i].failed[0] != '\0')
			fail_msg(
			    "seed %u, thread %d: %s", seed, i, p[i].failed);
		committed += p[i].committed;
	}
	assert_int_equal(p[PUSHERS].refused, 0);
	assert_true(committed > PUSHERS * ROUNDS / 2);
	check_rules();
	check_bucket();

	/* And at the end, nothing remains. */
	deadlines();
	expire_closures(0);
	collect();
	for (;;) {
		struct reap_object *o;
		size_t n;

		OK(reap_leftover(gc, 1, 0, arena, &o, &n, err));
		if (n == 0)
			break;
		answer(o, n, REAP_GONE);
	}
	assert_int_equal(number("SELECT count(*) FROM objects"), 0);
}

/* ---- migrations ---- */

static void
write_file(const char *dir, const char *name, const char *text)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
test_schema_versions(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	OK(db_schema_check(server, err));
	OK(db_schema_check(gc, err));
	sql("INSERT INTO goose_db_version (version_id, is_applied)"
	    " VALUES (20260628120000, true)");
	assert_int_equal(db_schema_check(server, &e), -1);
	assert_int_equal(e.kind, ERR_VERSION);
	assert_non_null(strstr(e.hint, "upgrade niks3"));
	sql("DELETE FROM goose_db_version WHERE version_id > 1");
	/* As an older goose undoes. */
	sql("INSERT INTO goose_db_version (version_id, is_applied)"
	    " VALUES (1, false)");
	assert_int_equal(db_schema_check(server, &e), -1);
	assert_non_null(strstr(e.msg, "version 0, this program needs 1"));
	assert_string_equal(e.hint, "run: niks3-migrate up");
	sql("DELETE FROM goose_db_version WHERE NOT is_applied");
	sql("ALTER TABLE goose_db_version RENAME TO g");
	FAILS(ERR_VERSION, db_schema_check(server, err));
	sql("ALTER TABLE g RENAME TO goose_db_version");
	OK(db_schema_check(server, err));
}

static void
test_migrations(void **state)
{
	char dir[] = "/tmp/db_live.XXXXXX";
	char command[64];
	struct migration *all;
	int n = 0;
	size_t count;

	(void)state;
	assert_non_null(mkdtemp(dir));
	FAILS(ERR_NOT_FOUND,
	    migrate_status(owner, "/nonexistent", arena, &all, &count, err));
	FAILS(ERR_NOT_FOUND, migrate_up(owner, dir, said, &n, err));
	write_file(dir, "0002_b.sql",
	    "-- +goose Up\nCREATE TABLE b ();\nCREATE TABLE b2 ();\n"
	    "-- +goose Down\nDROP TABLE b2;\nDROP TABLE b;\n");
	/* The database has migration 1, and this directory does not. */
	FAILS(
	    ERR_VERSION, migrate_status(owner, dir, arena, &all, &count, err));
	FAILS(ERR_VERSION, migrate_up(owner, dir, said, &n, err));
	write_file(dir, "0001_init.sql", "-- +goose Up\nSELECT 1;\n");
	write_file(dir, "README", "none of ours");
	write_file(dir, "0003_broken.sql",
	    "-- +goose Up\nCREATE TABLE c ();\nSELECT 1 / 0;\n");
	OK(migrate_status(owner, dir, arena, &all, &count, err));
	assert_int_equal(count, 3);
	assert_int_equal(all[0].version, 1);
	assert_true(all[0].applied);
	assert_non_null(all[0].applied_at);
	assert_false(all[1].applied);

	/* Each is one transaction. */
	FAILS(ERR_INTERNAL, migrate_up(owner, dir, said, &n, err));
	assert_int_equal(n, 1);
	assert_int_equal(number("SELECT count(*) FROM pg_class"
	                        " WHERE relname IN ('b', 'b2', 'c')"),
	    2);
	OK(migrate_down(owner, dir, said, &n, err));
	assert_int_equal(number("SELECT count(*) FROM pg_class"
	                        " WHERE relname IN ('b', 'b2', 'c')"),
	    0);
	write_file(dir, "00002_twice.sql", "-- +goose Up\nSELECT 1;\n");
	FAILS(ERR_INVALID, migrate_up(owner, dir, said, &n, err));
	snprintf(command, sizeof command, "rm -r %s", dir);
	assert_int_equal(system(command), 0);

	/* The real one: down, and up again. */
	sql("DROP VIEW live");
	n = 0;
	OK(migrate_down(owner, migrations, said, &n, err));
	assert_int_equal(number("SELECT count(*) FROM pg_class"
	                        " WHERE relname = 'objects'"),
	    0);
	FAILS(ERR_NOT_FOUND, migrate_down(owner, migrations, said, &n, err));
	OK(migrate_up(owner, migrations, said, &n, err));
	assert_int_equal(n, 2);
	OK(migrate_up(owner, migrations, said, &n, err));
	assert_int_equal(n, 2);
	sql(view_sql);
}

static void *
migrate(void *arg)
{
	struct db *db = open_as("");
	struct err e = ERR_INIT;

	if (migrate_up(db, migrations, said, arg, &e) != 0)
		fprintf(stderr, "%s\n", e.msg);
	db_close(db);
	return NULL;
}

static void
test_migrations_together(void **state)
{
	int n[3] = { 0 };
	pthread_t t[3];

	(void)state;
	sql("DROP VIEW live");
	OK(migrate_down(owner, migrations, said, &n[0], err));
	n[0] = 0;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, migrate, &n[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(n[0] + n[1] + n[2], 1);
	sql(view_sql);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_push),
		T(test_push_again),
		T(test_shared_nar),
		T(test_words),
		T(test_begin_refuses),
		T(test_owner),
		T(test_ended),
		T(test_authorize),
		T(test_same_object_twice),
		T(test_facts_of_the_later),
		T(test_record),
		T(test_commit_missing),
		T(test_commit_checks_again),
		T(test_lease),
		T(test_multipart),
		T(test_key_lock),
		T(test_present),
		T(test_pins),
		T(test_gcruns),
		T(test_gcruns_together),
		T(test_mark),
		T(test_mark_empty),
		T(test_mark_broken),
		T(test_mark_catches_up),
		T(test_mark_follows_new_references),
		T(test_mark_after_rollback),
		T(test_mark_after_commit),
		T(test_not_reproducible),
		T(test_reap),
		T(test_reap_order),
		T(test_reap_answers),
		T(test_rollback),
		T(test_authorised_rows_stay),
		T(test_rollback_refused),
		T(test_revive),
		T(test_revive_needs_references),
		T(test_revive_circle),
		T(test_wait_gone),
		T(test_wait_refused),
		T(test_wait_in_vain),
		T(test_roots_lock),
		T(test_claim_looks_again),
		T(test_gc_lock),
		T(test_killed),
		T(test_ambiguous_commit),
		T(test_errors),
		T(test_connect_errors),
		T(test_connect_timeout),
		T(test_pool),
		T(test_rights),
		T(test_history),
		T(test_overlapping),
		T(test_all_at_once),
		T(test_schema_versions),
		T(test_migrations),
		T(test_migrations_together),
	};

	conninfo = getenv("NIKS3_TEST_DB");
	migrations = getenv("NIKS3_MIGRATIONS_DIR");
	if (migrations == NULL)
		migrations = "migrations";
	if (conninfo == NULL) {
		printf("1..0 # SKIP NIKS3_TEST_DB is not set\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
