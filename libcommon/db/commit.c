#include "commit.h"

#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "db_internal.h"

#define MISSING_MAX 10000 /* keys that one answer names */

/* ---- loading ---- */

struct load {
	const char *token, *owner;
	int64_t lease_us;
	struct arena *a;
	struct commit c;
};

static int
load_upload(struct db *db, struct load *l, struct err *e)
{
	static const char sql[] =
	    "SELECT store_dir, narinfos FROM uploads WHERE id = $1";
	enum upload_state state;
	int full = 0;
	PGresult *r;

	if (upload_lock(db, l->token, l->owner, &l->c.upload_id, &state, e) !=
	    0)
		return -1;
	if (state == UPLOAD_ENDED)
		return upload_closed(state, e);
	if (state == UPLOAD_OPEN &&
	    upload_renew(db, l->c.upload_id, l->lease_us, e) != 0)
		return -1;
	if (db_exec(db, sql, PARAMS(P_I64(l->c.upload_id)), &r, e) != 0)
		return -1;
	l->c.already = state == UPLOAD_COMMITTED;
	l->c.store_dir = row_text(r, 0, 0, l->a, &full);
	l->c.narinfos = row_i64(r, 0, 1);
	PQclear(r);
	return full ? arena_full(l->a, e) : 0;
}

static int
load_objects(struct db *db, struct load *l, struct err *e)
{
	static const char sql[] =
	    "SELECT o.id, o.key, o.kind, w.size, nullif(w.sha256, '')"
	    " FROM upload_needs n"
	    " JOIN LATERAL (SELECT * FROM objects"
	    " WHERE id = n.object_id" PROBE " o ON true"
	    " LEFT JOIN LATERAL (SELECT * FROM upload_writes"
	    " WHERE upload_id = $1 AND object_id = n.object_id" PROBE
	    " w ON true"
	    " WHERE n.upload_id = $1 AND EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = n.object_id" PROBE
	    " AND NOT EXISTS (SELECT FROM upload_paths p"
	    " WHERE p.upload_id = $1 AND p.object_id = n.object_id" PROBE
	    " ORDER BY o.id";
	enum {
		ID,
		KEY,
		KIND,
		SIZE,
		SHA256
	};
	int full = 0;
	PGresult *r;

	if (db_exec(db, sql, PARAMS(P_I64(l->c.upload_id)), &r, e) != 0)
		return -1;
	l->c.nobjects = PQntuples(r);
	l->c.objects = arena_array(l->a, l->c.nobjects, sizeof *l->c.objects);
	for (size_t i = 0; l->c.objects != NULL && i < l->c.nobjects; i++) {
		struct commit_object *o = &l->c.objects[i];

		o->id = row_i64(r, i, ID);
		o->key = row_text(r, i, KEY, l->a, &full);
		o->kind = row_i64(r, i, KIND);
		o->written = !row_null(r, i, SIZE);
		o->size = row_i64(r, i, SIZE);
		o->hashed = !row_null(r, i, SHA256);
		row_bytes(r, i, SHA256, o->sha256, sizeof o->sha256);
	}
	PQclear(r);
	return l->c.objects == NULL || full ? arena_full(l->a, e) : 0;
}

static int
path_order(const void *a, const void *b)
{
	const struct commit_path *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Leaves of its references those that are to be written too. */
static void
keep_needs(
    const struct commit *c, int64_t *refs, size_t n, struct commit_path *p)
{
	p->needs = refs;
	for (size_t i = 0; i < n; i++) {
		struct commit_path key = { .id = refs[i] };

		if (bsearch(&key, c->paths, c->npaths, sizeof key,
		        path_order) != NULL)
			refs[p->nneeds++] = refs[i];
	}
}

static int
load_paths(struct db *db, struct load *l, struct err *e)
{
	static const char sql[] =
	    "SELECT pp.object_id, o.key, pp.base, pp.nar_hash, pp.nar_size,"
	    " nar.key, c.size, nullif(c.sha256, ''), pp.refs, pp.deriver, "
	    "pp.ca, pp.sigs,"
	    " n.refs"
	    " FROM upload_paths pp"
	    " JOIN LATERAL (SELECT key FROM objects"
	    " WHERE id = pp.object_id" PROBE " o ON true"
	    " JOIN LATERAL (SELECT key FROM objects"
	    " WHERE id = pp.nar_id" PROBE " nar ON true"
	    " JOIN LATERAL (SELECT refs FROM upload_needs"
	    " WHERE upload_id = $1 AND object_id = pp.object_id" PROBE
	    " n ON true"
	    " LEFT JOIN LATERAL (SELECT size, sha256 FROM contents"
	    " WHERE object_id = pp.nar_id AND NOT EXISTS"
	    " (SELECT FROM pending p WHERE p.object_id = pp.nar_id" PROBE PROBE
	    " c ON true"
	    " WHERE pp.upload_id = $1 AND EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = pp.object_id" PROBE " ORDER BY pp.object_id";
	enum {
		ID,
		KEY,
		BASE,
		NAR_HASH,
		NAR_SIZE,
		NAR_KEY,
		SIZE,
		SHA256,
		REFS,
		DERIVER,
		CA,
		SIGS,
		NEEDS
	};
	struct commit *c = &l->c;
	struct arena *a = l->a;
	int full = 0;
	PGresult *r;

	if (db_exec(db, sql, PARAMS(P_I64(c->upload_id)), &r, e) != 0)
		return -1;
	c->narinfos = c->npaths = PQntuples(r);
	c->paths = arena_array(a, c->npaths, sizeof *c->paths);
	if (c->paths == NULL) {
		PQclear(r);
		return arena_full(a, e);
	}
	for (size_t i = 0; i < c->npaths; i++)
		c->paths[i].id = row_i64(r, i, ID);
	for (size_t i = 0; i < c->npaths && !full; i++) {
		struct commit_path *p = &c->paths[i];
		int64_t *refs;
		size_t n;

		p->key = row_text(r, i, KEY, a, &full);
		p->base = row_text(r, i, BASE, a, &full);
		row_bytes(r, i, NAR_HASH, p->nar_hash.sha256, HASH_LEN);
		p->nar_size = row_i64(r, i, NAR_SIZE);
		p->nar_key = row_text(r, i, NAR_KEY, a, &full);
		p->has_file = !row_null(r, i, SIZE);
		p->file_size = row_i64(r, i, SIZE);
		p->hashed = !row_null(r, i, SHA256);
		row_bytes(r, i, SHA256, p->file_sha256, sizeof p->file_sha256);
		p->refs = row_texts(r, i, REFS, a, &p->nrefs, &full);
		p->deriver = row_text(r, i, DERIVER, a, &full);
		p->ca = row_text(r, i, CA, a, &full);
		p->sigs = row_texts(r, i, SIGS, a, &p->nsigs, &full);
		refs = row_i64s(r, i, NEEDS, a, &n, &full);
		if (!full)
			keep_needs(c, refs, n, p);
	}
	PQclear(r);
	return full ? arena_full(a, e) : 0;
}

static int
load(struct db *db, void *ctx, struct err *e)
{
	struct load *l = ctx;

	l->c = (struct commit){ 0 }; /* of a try before */
	if (load_upload(db, l, e) != 0)
		return -1;
	if (l->c.already)
		return 0;
	return load_objects(db, l, e) != 0 ? -1 : load_paths(db, l, e);
}

int
commit_load(struct db *db, const char *token, const char *owner,
    int64_t lease_us, struct arena *a, struct commit *out, struct err *e)
{
	struct load l = { token, owner, lease_us, a, { 0 } };

	if (db_transaction(db, DB_READ_COMMITTED, load, &l, e) != 0)
		return err_prefix(e, "commit");
	*out = l.c;
	return 0;
}

/* ---- one writer of each narinfo ---- */

struct publish {
	struct commit *c;
	enum commit_claim claim;
};

/* The claim on those rows of pending, and what it was before. */
static enum commit_claim
look_at_writers(struct commit *c, const PGresult *r)
{
	if ((size_t)PQntuples(r) < c->npaths)
		return COMMIT_CHANGED;
	for (int i = 0; i < PQntuples(r); i++) {
		int others = row_i64(r, i, 0), under_way = row_i64(r, i, 1);

		if (others && under_way)
			return COMMIT_BUSY;
		/* The rows come in the order of ids, as the paths do. */
		c->paths[i].unsure |= under_way;
	}
	return COMMIT_CLAIMED;
}

static int
publish(struct db *db, void *ctx, struct err *e)
{
	static const char find_sql[] =
	    "SELECT writer IS DISTINCT FROM $2, auth_until > now()"
	    " FROM pending WHERE object_id = ANY ($1)"
	    " ORDER BY object_id FOR UPDATE";
	static const char claim_sql[] =
	    "UPDATE pending SET writer = $2, swept = false, auth_until ="
	    " greatest(auth_until, now() + $3 * interval '1 millisecond')"
	    " WHERE object_id = ANY ($1)";
	/* Whatever the bucket may hold of it: rule R10 asks what it names. */
	static const char refs_sql[] =
	    "WITH l AS (SELECT i AS id, n.refs FROM unnest($1) i"
	    " JOIN LATERAL (SELECT refs FROM upload_needs"
	    " WHERE upload_id = $2 AND object_id = i" PROBE " n ON true"
	    " JOIN LATERAL (SELECT refs FROM objects"
	    " WHERE id = i" PROBE " o ON true"
	    " WHERE NOT n.refs <@ o.refs ORDER BY i)"
	    " UPDATE objects o SET refs = ARRAY(SELECT unnest(o.refs) UNION"
	    " SELECT unnest(l.refs) ORDER BY 1) FROM l WHERE o.id = l.id";
	struct publish *p = ctx;
	const struct commit *c = p->c;
	enum upload_state state;
	struct db_array ids;
	PGresult *r;
	int rc;

	if (upload_lock_id(db, c->upload_id, &state, e) != 0)
		return -1;
	if (state != UPLOAD_OPEN)
		return upload_closed(state, e);
	array_init(&ids, DB_INT8S);
	for (size_t i = 0; i < c->npaths; i++)
		array_i64(&ids, c->paths[i].id);
	rc = db_exec(
	    db, find_sql, PARAMS(P_ARRAY(&ids), P_I64(c->upload_id)), &r, e);
	if (rc == 0) {
		p->claim = look_at_writers(p->c, r);
		PQclear(r);
		if (p->claim == COMMIT_CLAIMED)
			rc = db_send(db, claim_sql,
			    PARAMS(P_ARRAY(&ids), P_I64(c->upload_id),
			        P_I64(COMMIT_LATE_MS)),
			    e);
		if (rc == 0 && p->claim == COMMIT_CLAIMED)
			rc = db_send(db, refs_sql,
			    PARAMS(P_ARRAY(&ids), P_I64(c->upload_id)), e);
	}
	array_done(&ids);
	return rc;
}

int
commit_publish(
    struct db *db, struct commit *c, enum commit_claim *out, struct err *e)
{
	struct publish p = { .c = c, .claim = COMMIT_CLAIMED };

	if (c->npaths > 0 &&
	    db_transaction(db, DB_READ_COMMITTED, publish, &p, e) != 0)
		return err_prefix(e, "commit");
	*out = p.claim;
	return 0;
}

/* ---- finishing ---- */

struct finish {
	const struct commit *c;
	struct arena *a;
	struct db_array ids, sizes, hashes; /* of what is stored now */
	struct db_array sure;               /* and surely not under way */
	int64_t *stored;                    /* the ids again, sorted */
	size_t nstored;
	const char **missing;
	size_t nmissing;
};

/* Commits that share rows meet here, and go on one after the other. */
static int
lock_rows(struct db *db, struct finish *f, struct err *e)
{
	static const char *const sql[] = {
		"SELECT FROM tombstones WHERE object_id = ANY ($1)"
		" ORDER BY object_id FOR UPDATE",
		"SELECT FROM pending WHERE object_id = ANY ($1)"
		" ORDER BY object_id FOR UPDATE",
		"SELECT FROM contents WHERE object_id = ANY ($1)"
		" ORDER BY object_id FOR UPDATE",
	};

	for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++)
		if (db_send(db, sql[i], PARAMS(P_ARRAY(&f->ids)), e) != 0)
			return -1;
	return 0;
}

/* Rule R9: nobody else has written our narinfos since. */
static int
check_writer(struct db *db, const struct finish *f, struct err *e)
{
	static const char sql[] = "SELECT count(*) FROM pending"
	                          " WHERE object_id = ANY ($1) AND writer = $2";
	struct db_array ids;
	PGresult *r;
	int rc;

	array_init(&ids, DB_INT8S);
	for (size_t i = 0; i < f->c->npaths; i++)
		array_i64(&ids, f->c->paths[i].id);
	rc = db_exec(
	    db, sql, PARAMS(P_ARRAY(&ids), P_I64(f->c->upload_id)), &r, e);
	array_done(&ids);
	if (rc != 0)
		return -1;
	if (row_i64(r, 0, 0) < (int64_t)f->c->npaths)
		rc = err_set(e, ERR_UNAVAILABLE,
		    "another upload has written a narinfo of this one");
	PQclear(r);
	return rc;
}

/* Rule R3: everything needed is live, or stored by this upload. */
static int
check_needs(struct db *db, struct finish *f, struct err *e)
{
	/* What is not live; the second column tells what nobody may store. */
	static const char sql[] =
	    "SELECT n.object_id, o.key IS NULL OR t.claim IS NOT NULL,"
	    " coalesce(o.key, 'object ' || n.object_id)"
	    " FROM upload_needs n"
	    " LEFT JOIN LATERAL (SELECT key FROM objects"
	    " WHERE id = n.object_id" PROBE " o ON true"
	    " LEFT JOIN LATERAL (SELECT * FROM tombstones"
	    " WHERE object_id = n.object_id" PROBE " t ON true"
	    " WHERE n.upload_id = $1 AND (o.key IS NULL"
	    " OR t.object_id IS NOT NULL OR EXISTS (SELECT FROM pending p"
	    " WHERE p.object_id = n.object_id" PROBE ")";
	int full = 0;
	size_t most;
	PGresult *r;

	if (db_exec(db, sql, PARAMS(P_I64(f->c->upload_id)), &r, e) != 0)
		return -1;
	most = PQntuples(r) < MISSING_MAX ? PQntuples(r) : MISSING_MAX;
	f->nmissing = 0;
	f->missing = arena_array(f->a, most, sizeof *f->missing);
	for (int i = 0; f->missing != NULL && i < PQntuples(r); i++) {
		int64_t id = row_i64(r, i, 0);

		if (f->nmissing < most &&
		    (row_i64(r, i, 1) ||
		        bsearch(&id, f->stored, f->nstored, sizeof id,
		            i64_order) == NULL))
			f->missing[f->nmissing++] =
			    row_text(r, i, 2, f->a, &full);
	}
	PQclear(r);
	if (f->missing == NULL || full) {
		f->nmissing = 0;
		return arena_full(f->a, e);
	}
	if (f->nmissing > 0)
		return err_set(e, ERR_CONFLICT,
		    "%s%zu objects are missing, such as %s",
		    f->nmissing == MISSING_MAX ? "at least " : "", f->nmissing,
		    f->missing[0]);
	return 0;
}

/*
 * What is stored now refers to what this upload said. To a path that was live
 * already, logs and realisations are added that came later: they live as long as
 * what they belong to. *attached gets those, for a garbage collection that has
 * read the path before.
 */
static int
set_refs(
    struct db *db, struct finish *f, struct db_array *attached, struct err *e)
{
	/* Few as a rule: a path that is new has the right ones already. */
	static const char find_sql[] =
	    "SELECT n.object_id FROM upload_needs n WHERE n.upload_id = $1"
	    " AND (n.attach OR n.object_id IN (SELECT unnest($2)))"
	    " AND n.refs <> (SELECT o.refs FROM objects o"
	    " WHERE o.id = n.object_id" PROBE " ORDER BY 1";
	static const char sql[] =
	    "WITH l AS (SELECT o.id, o.refs AS old,"
	    " o.id IN (SELECT unnest($2)) AS stored, n.refs AS ours,"
	    " ARRAY(SELECT r FROM unnest(o.refs) r UNION"
	    " SELECT r FROM unnest(n.refs) r JOIN objects a ON a.id = r"
	    " WHERE " DB_ATTACHED(
	        "a.kind") " ORDER BY r) AS more"
	                  " FROM upload_needs n JOIN objects o ON o.id = "
	                  "n.object_id"
	                  " WHERE n.upload_id = $1 AND n.object_id = ANY ($3)"
	                  " ORDER BY o.id FOR UPDATE OF o),"
	                  " u AS (UPDATE objects o"
	                  " SET refs = CASE WHEN l.stored THEN l.ours ELSE "
	                  "l.more END"
	                  " FROM l WHERE o.id = l.id AND l.old <> CASE"
	                  " WHEN l.stored THEN l.ours ELSE l.more END)"
	                  " SELECT DISTINCT r FROM l, unnest(l.more) r"
	                  " WHERE NOT l.stored AND r <> ALL (l.old)";
	int64_t upload = f->c->upload_id;
	struct db_array ids;
	PGresult *r;
	int rc = 0;

	if (db_exec(db, find_sql, PARAMS(P_I64(upload), P_ARRAY(&f->ids)), &r,
	        e) != 0)
		return -1;
	array_init(&ids, DB_INT8S);
	for (int i = 0; i < PQntuples(r); i++)
		array_i64(&ids, row_i64(r, i, 0));
	PQclear(r);
	r = NULL;
	if (ids.n > 0)
		rc = db_exec(db, sql,
		    PARAMS(P_I64(upload), P_ARRAY(&f->ids), P_ARRAY(&ids)), &r,
		    e);
	array_done(&ids);
	for (int i = 0; r != NULL && i < PQntuples(r); i++)
		array_i64(attached, row_i64(r, i, 0));
	PQclear(r);
	return rc;
}

/*
 * pending to live, with what is known of the content. An object that was live
 * already (another upload of it was faster) gets the facts of the later one.
 */
static int
store(struct db *db, struct finish *f, struct err *e)
{
	static const char sql[] =
	    "WITH s AS MATERIALIZED (SELECT s.*, p.auth_until,"
	    " (SELECT size FROM contents c WHERE c.object_id = s.id"
	    " AND p.auth_until IS NULL) AS was"
	    " FROM unnest($1, $2, $3, $4) s (id, size, sha256, sure)"
	    " LEFT JOIN LATERAL (SELECT auth_until FROM pending"
	    " WHERE object_id = s.id" PROBE " p ON true),"
	    " t AS (DELETE FROM tombstones WHERE object_id = ANY ($1)),"
	    " p AS (DELETE FROM pending WHERE object_id = ANY ($1)),"
	    " c AS (INSERT INTO contents AS c"
	    " (object_id, size, sha256, auth_until)"
	    " SELECT id, size, sha256, CASE WHEN sure THEN '-infinity'"
	    " ELSE coalesce(auth_until, '-infinity') END"
	    " FROM s ORDER BY id ON CONFLICT (object_id) DO UPDATE"
	    " SET size = excluded.size, sha256 = excluded.sha256,"
	    " stored_at = excluded.stored_at,"
	    " auth_until = greatest(c.auth_until, excluded.auth_until))"
	    " INSERT INTO stat_deltas (objects, bytes)"
	    " SELECT count(auth_until), sum(size - coalesce(was, 0))"
	    " FROM s HAVING count(*) > 0";

	return db_send(db, sql,
	    PARAMS(P_ARRAY(&f->ids), P_ARRAY(&f->sizes), P_ARRAY(&f->hashes),
	        P_ARRAY(&f->sure)),
	    e);
}

static int
add_roots(struct db *db, struct finish *f, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO closures AS k (object_id, store_path, objects, bytes)"
	    " SELECT r.object_id, r.store_path, u.objects, u.bytes"
	    " FROM upload_roots r LEFT JOIN unnest($2, $3, $4)"
	    " u (id, objects, bytes) ON u.id = r.object_id"
	    " WHERE r.upload_id = $1 ORDER BY r.object_id"
	    " ON CONFLICT (object_id) DO UPDATE SET updated_at = now(),"
	    " seq = excluded.seq, objects = excluded.objects,"
	    " bytes = excluded.bytes";
	struct db_array ids, objects, bytes;
	int rc;

	array_init(&ids, DB_INT8S);
	array_init(&objects, DB_INT8S);
	array_init(&bytes, DB_INT8S);
	rc = commit_measure(db, f->c->upload_id, &ids, &objects, &bytes, e);
	if (rc == 0)
		rc = db_send(db, sql,
		    PARAMS(P_I64(f->c->upload_id), P_ARRAY(&ids),
		        P_ARRAY(&objects), P_ARRAY(&bytes)),
		    e);
	array_done(&ids);
	array_done(&objects);
	array_done(&bytes);
	return rc;
}

static int
finish_open(struct db *db, struct finish *f, struct err *e)
{
	static const char gained_sql[] =
	    "UPDATE uploads SET narinfos = $2, gained = gained || $3 || $4"
	    " WHERE id = $1";
	struct db_array attached;
	int64_t id = f->c->upload_id;
	int rc = -1;

	array_init(&attached, DB_INT8S);
	if (lock_rows(db, f, e) == 0 && check_writer(db, f, e) == 0 &&
	    check_needs(db, f, e) == 0 && set_refs(db, f, &attached, e) == 0 &&
	    store(db, f, e) == 0 && add_roots(db, f, e) == 0 &&
	    db_send(db, gained_sql,
	        PARAMS(P_I64(id), P_I64(f->c->npaths), P_ARRAY(&f->ids),
	            P_ARRAY(&attached)),
	        e) == 0)
		rc = upload_end(db, id, "committed", e);
	array_done(&attached);
	return rc;
}

static int
finish(struct db *db, void *ctx, struct err *e)
{
	struct finish *f = ctx;
	enum upload_state state;

	f->nmissing = 0;
	if (db_roots_shared(db, e) != 0 ||
	    upload_lock_id(db, f->c->upload_id, &state, e) != 0)
		return -1;
	if (state == UPLOAD_COMMITTED)
		return 0;
	if (state != UPLOAD_OPEN)
		return upload_closed(state, e);
	return finish_open(db, f, e);
}

/* sha256 may be NULL. */
static void
add_stored(
    struct finish *f, int64_t id, int64_t size, const uint8_t *sha256, int sure)
{
	array_i64(&f->ids, id);
	array_i64(&f->sizes, size);
	array_bytes(&f->hashes, sha256, sha256 != NULL ? 32 : 0);
	array_bool(&f->sure, sure);
	f->stored[f->nstored++] = id;
}

int
commit_finish(struct db *db, const struct commit *c, struct arena *a,
    const char ***missing, size_t *nmissing, struct err *e)
{
	struct finish f = { .c = c, .a = a };
	int rc;

	array_init(&f.ids, DB_INT8S);
	array_init(&f.sizes, DB_INT8S);
	array_init(&f.hashes, DB_BYTEAS);
	array_init(&f.sure, DB_BOOLS);
	f.stored = xcalloc(c->nobjects + c->npaths, sizeof *f.stored);
	for (size_t i = 0; i < c->nobjects; i++)
		if (c->objects[i].written)
			add_stored(&f, c->objects[i].id, c->objects[i].size,
			    c->objects[i].hashed ? c->objects[i].sha256 : NULL,
			    0);
	for (size_t i = 0; i < c->npaths; i++)
		add_stored(&f, c->paths[i].id, c->paths[i].size,
		    c->paths[i].sha256, !c->paths[i].unsure);
	qsort(f.stored, f.nstored, sizeof *f.stored, i64_order);
	rc = db_transaction(db, DB_READ_COMMITTED, finish, &f, e);
	array_done(&f.ids);
	array_done(&f.sizes);
	array_done(&f.hashes);
	array_done(&f.sure);
	free(f.stored);
	if (f.nmissing > 0) {
		*missing = f.missing;
		*nmissing = f.nmissing;
	}
	return rc == 0 ? 0 : err_prefix(e, "commit");
}
