/*
 * The beginning of an upload: see uploads.h for the rules, and db_internal.h for
 * the order in which rows are locked.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/secret.h"
#include "../nix/objkey.h"
#include "db_internal.h"
#include "uploads.h"

#define POLL_MS     20 /* first pause while something is being deleted */
#define POLL_CAP_MS 200
#define RESERVE_MS  1000 /* kept of the deadline to end the upload in */

/* What stands in the way of an object being live. */
enum state {
	LIVE,
	PENDING,   /* nobody is known to have stored it */
	TOMBSTONE, /* with the references that we ask for */
	VISITING,  /* TOMBSTONE, while its references are looked at */
	REVIVED,   /* TOMBSTONE, and all it refers to is or becomes live */
	REWRITE,   /* a tombstone that has to be written anew */
	DELETING,  /* claimed */
};

struct begin {
	struct upload_begin *b;
	const char *token;
	int64_t upload;
	uint32_t *by_key; /* positions of the objects, in order of key */
	uint32_t *by_id;  /* and of id */
	uint8_t *created; /* by this upload */
	uint8_t *state;   /* enum state */
	uint32_t *stack, *next;
	size_t ndeleting;
	struct db_array kept; /* what hangs on tombstones, and is needed too */
};

static int
by_key(const void *a, const void *b, void *ctx)
{
	const struct upload_object *o = ctx;

	return strcmp(o[*(const uint32_t *)a].key, o[*(const uint32_t *)b].key);
}

static int
by_id(const void *a, const void *b, void *ctx)
{
	const struct upload_object *o = ctx;
	int64_t x = o[*(const uint32_t *)a].id, y = o[*(const uint32_t *)b].id;

	return (x > y) - (x < y);
}

/* Positions within the request; keys unique. */
static int
check(struct begin *c, struct err *e)
{
	const struct upload_begin *b = c->b;
	size_t n = b->nobjects;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < b->objects[i].nrefs; k++)
			if (b->objects[i].refs[k] >= n)
				goto position;
	for (size_t i = 0; i < b->npaths; i++)
		if (b->paths[i].object >= n || b->paths[i].nar >= n)
			goto position;
	for (size_t i = 0; i < b->nroots; i++)
		if (b->roots[i].object >= n)
			goto position;
	for (size_t i = 0; i < n; i++)
		c->by_key[i] = i;
	qsort_r(c->by_key, n, sizeof *c->by_key, by_key, b->objects);
	for (size_t i = 1; i < n; i++)
		if (by_key(&c->by_key[i - 1], &c->by_key[i], b->objects) == 0)
			return err_set(e, ERR_INVALID, "%s is listed twice",
			    b->objects[c->by_key[i]].key);
	return 0;
position:
	return err_set(e, ERR_INVALID, "a position beyond the %zu objects", n);
}

/* ---- ids ---- */

static int
insert_upload(struct db *db, struct begin *c, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO uploads (token, owner, store_dir, lease_until, staged)"
	    " VALUES ($1, $2, $3, now() + $4 * interval '1 microsecond', $5)"
	    " RETURNING id, (extract(epoch FROM now()) * 1000000)::bigint";
	PGresult *r;

	if (db_exec(db, sql,
	        PARAMS(P_TEXT(c->token), P_TEXT(c->b->owner),
	            P_TEXT(c->b->store_dir), P_I64(c->b->lease_us),
	            P_BOOL(c->b->staged)),
	        &r, e) != 0)
		return -1;
	c->upload = c->b->id = row_i64(r, 0, 0);
	c->b->began_us = row_i64(r, 0, 1);
	PQclear(r);
	return 0;
}

/* Ids of the keys that have a row; created is set for the others. */
static int
find_ids(struct db *db, struct begin *c, size_t *ncreated, struct err *e)
{
	static const char sql[] =
	    "SELECT k.i, o.id FROM unnest($1) WITH ORDINALITY k (key, i)"
	    " JOIN LATERAL (SELECT id FROM objects"
	    " WHERE key = k.key COLLATE \"C\"" PROBE " o ON true";
	size_t n = c->b->nobjects;
	struct db_array keys;
	PGresult *r;
	int rc;

	array_init(&keys, DB_TEXTS);
	for (size_t i = 0; i < n; i++)
		array_text(&keys, c->b->objects[c->by_key[i]].key);
	rc = db_exec(db, sql, PARAMS(P_ARRAY(&keys)), &r, e);
	array_done(&keys);
	if (rc != 0)
		return -1;
	memset(c->created, 1, n);
	*ncreated = n - PQntuples(r);
	for (int i = 0; i < PQntuples(r); i++) {
		uint32_t at = c->by_key[row_i64(r, i, 0) - 1];

		c->created[at] = 0;
		c->b->objects[at].id = row_i64(r, i, 1);
	}
	PQclear(r);
	return 0;
}

/* New ids, ascending in the order of keys. */
static int
make_ids(struct db *db, struct begin *c, size_t ncreated, struct err *e)
{
	static const char sql[] = "SELECT nextval('objects_id_seq')"
	                          " FROM generate_series(1, $1)";
	PGresult *r;
	int row = 0;

	if (ncreated == 0)
		return 0;
	if (db_exec(db, sql, PARAMS(P_I64(ncreated)), &r, e) != 0)
		return -1;
	for (size_t i = 0; i < c->b->nobjects; i++)
		if (c->created[c->by_key[i]])
			c->b->objects[c->by_key[i]].id = row_i64(r, row++, 0);
	PQclear(r);
	return 0;
}

/* ---- rows ---- */

/*
 * Arrays of ids for several rows travel as one flat array, of which each row
 * takes a slice: from first to last, counted from 1.
 */
struct slices {
	struct db_array flat, first, last;
	int64_t *ids; /* of one row, while they are sorted */
};

static void
slices_init(struct slices *s)
{
	array_init(&s->flat, DB_INT8S);
	array_init(&s->first, DB_INT8S);
	array_init(&s->last, DB_INT8S);
	s->ids = NULL;
}

static void
slices_done(struct slices *s)
{
	array_done(&s->flat);
	array_done(&s->first);
	array_done(&s->last);
	free(s->ids);
}

/* The ids of those objects: sorted, each once, without self. */
static void
slices_add(struct slices *s, const struct upload_object *objects,
    const uint32_t *at, size_t n, int64_t self)
{
	s->ids = xrealloc(s->ids, n * sizeof *s->ids);
	for (size_t i = 0; i < n; i++)
		s->ids[i] = objects[at[i]].id;
	qsort(s->ids, n, sizeof *s->ids, i64_order);
	array_i64(&s->first, s->flat.n + 1);
	for (size_t i = 0; i < n; i++)
		if (s->ids[i] != self && (i == 0 || s->ids[i] != s->ids[i - 1]))
			array_i64(&s->flat, s->ids[i]);
	array_i64(&s->last, s->flat.n);
}

/*
 * Does something hang on the narinfo that may come later than itself: a log, a
 * realisation? (Its listing comes with it, or settle finds out.)
 */
static int
has_attached(const struct begin *c, const struct upload_object *o)
{
	for (size_t i = 0; i < o->nrefs; i++)
		if (c->b->objects[o->refs[i]].kind > OBJKEY_LISTING)
			return 1;
	return 0;
}

/*
 * Rule R1: what is needed, before anything is looked at. The new objects then go
 * in in the order of keys, as unnest keeps it: another beginning that inserts one
 * of them just now is waited for, and wins.
 */
static int
insert_needs(struct db *db, struct begin *c, size_t ncreated, struct err *e)
{
	static const char needs_sql[] =
	    "INSERT INTO upload_needs"
	    " (upload_id, object_id, refs, missing, attach)"
	    " SELECT $1, u.id, ($7)[u.first::int:u.last::int], u.created,"
	    " u.attach FROM unnest($2, $3, $4, $5, $6)"
	    " u (id, created, first, last, attach)";
	static const char objects_sql[] =
	    "INSERT INTO objects (id, refs, key, kind, name, nar_size)"
	    " SELECT u.id, ($5)[u.first::int:u.last::int], u.key, u.kind,"
	    " u.name, nullif(u.nar_size, -1)"
	    " FROM unnest($1, $2, $3, $4, $6, $7, $8, $9)"
	    " u (id, created, first, last, key, kind, name, nar_size)"
	    " WHERE u.created ON CONFLICT DO NOTHING";
	static const char pending_sql[] =
	    "INSERT INTO pending (object_id) SELECT u.id"
	    " FROM unnest($1, $2) u (id, created) WHERE u.created";
	struct db_array ids, created, attach, keys, kinds, names, sizes;
	struct slices refs;
	PGresult *r = NULL;
	int rc;

	array_init(&ids, DB_INT8S);
	array_init(&created, DB_BOOLS);
	array_init(&attach, DB_BOOLS);
	array_init(&keys, DB_TEXTS);
	array_init(&kinds, DB_INT8S);
	array_init(&names, DB_TEXTS);
	array_init(&sizes, DB_INT8S);
	slices_init(&refs);
	for (size_t i = 0; i < c->b->nobjects; i++) {
		const struct upload_object *o = &c->b->objects[c->by_key[i]];

		array_i64(&ids, o->id);
		array_bool(&created, c->created[c->by_key[i]]);
		array_bool(&attach, has_attached(c, o));
		slices_add(&refs, c->b->objects, o->refs, o->nrefs, o->id);
		array_text(&keys, o->key);
		array_i64(&kinds, o->kind);
		array_text(&names, o->name);
		array_i64(&sizes, o->nar_size);
	}
	rc = db_send(db, needs_sql,
	    PARAMS(P_I64(c->upload), P_ARRAY(&ids), P_ARRAY(&created),
	        P_ARRAY(&refs.first), P_ARRAY(&refs.last), P_ARRAY(&attach),
	        P_ARRAY(&refs.flat)),
	    e);
	if (rc == 0 && ncreated > 0)
		rc = db_exec(db, objects_sql,
		    PARAMS(P_ARRAY(&ids), P_ARRAY(&created),
		        P_ARRAY(&refs.first), P_ARRAY(&refs.last),
		        P_ARRAY(&refs.flat), P_ARRAY(&keys), P_ARRAY(&kinds),
		        P_ARRAY(&names), P_ARRAY(&sizes)),
		    &r, e);
	if (r != NULL && rows_affected(r) < ncreated)
		rc = db_again(db, e, "another upload began with the same keys");
	if (rc == 0 && ncreated > 0)
		rc = db_send(db, pending_sql,
		    PARAMS(P_ARRAY(&ids), P_ARRAY(&created)), e);
	PQclear(r);
	slices_done(&refs);
	array_done(&ids);
	array_done(&created);
	array_done(&attach);
	array_done(&keys);
	array_done(&kinds);
	array_done(&names);
	array_done(&sizes);
	return rc;
}

static int
insert_roots(struct db *db, struct begin *c, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO upload_roots (upload_id, object_id, store_path)"
	    " SELECT $1, u.id, u.store_path FROM unnest($2, $3)"
	    " u (id, store_path) ON CONFLICT DO NOTHING";
	struct db_array ids, paths;
	int rc;

	array_init(&ids, DB_INT8S);
	array_init(&paths, DB_TEXTS);
	for (size_t i = 0; i < c->b->nroots; i++) {
		const struct upload_root *root = &c->b->roots[i];

		array_i64(&ids, c->b->objects[root->object].id);
		array_text(&paths, root->store_path);
	}
	rc = db_send(db, sql,
	    PARAMS(P_I64(c->upload), P_ARRAY(&ids), P_ARRAY(&paths)), e);
	array_done(&paths);
	array_done(&ids);
	return rc;
}

/* Lists of words travel as lines. */
static int
array_lines(struct db_array *a, const char **lines, size_t n, struct err *e)
{
	struct buf text;
	int rc = 0;

	buf_init(&text, DB_BYTES_MAX);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (strchr(lines[i], '\n') != NULL)
			rc = err_set(e, ERR_INVALID, "a line break in a word");
		else if ((i > 0 && buf_putc(&text, '\n', e) != 0) ||
		    buf_puts(&text, lines[i], e) != 0)
			rc = -1;
	}
	array_bytes(a, text.data, text.len);
	buf_done(&text);
	return rc;
}

int
upload_insert_paths(struct db *db, int64_t upload,
    const struct upload_object *objects, const struct upload_path *paths,
    size_t n, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO upload_paths (upload_id, object_id, nar_id, base,"
	    " nar_hash, nar_size, refs, deriver, ca, sigs)"
	    " SELECT $1, u.id, u.nar, u.base, u.hash, u.size,"
	    " string_to_array(u.refs, E'\\n'), u.deriver, u.ca,"
	    " string_to_array(u.sigs, E'\\n')"
	    " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10)"
	    " u (id, nar, base, hash, size, refs, deriver, ca, sigs)"
	    " ON CONFLICT DO NOTHING";
	enum {
		ID,
		NAR,
		BASE,
		HASH,
		SIZE,
		REFS,
		DERIVER,
		CA,
		SIGS,
		COLUMNS
	};
	static const enum db_type types[COLUMNS] = { DB_INT8S, DB_INT8S,
		DB_TEXTS, DB_BYTEAS, DB_INT8S, DB_TEXTS, DB_TEXTS, DB_TEXTS,
		DB_TEXTS };
	struct db_array v[COLUMNS];
	int rc = 0;

	for (int i = 0; i < COLUMNS; i++)
		array_init(&v[i], types[i]);
	for (size_t i = 0; i < n && rc == 0; i++) {
		const struct upload_path *p = &paths[i];

		if (!objects[p->object].missing)
			continue;
		array_i64(&v[ID], objects[p->object].id);
		array_i64(&v[NAR], objects[p->nar].id);
		array_text(&v[BASE], p->base);
		array_bytes(&v[HASH], p->nar_hash.sha256, HASH_LEN);
		array_i64(&v[SIZE], p->nar_size);
		array_text(&v[DERIVER], p->deriver);
		array_text(&v[CA], p->ca);
		rc = array_lines(&v[REFS], p->refs, p->nrefs, e);
		if (rc == 0)
			rc = array_lines(&v[SIGS], p->sigs, p->nsigs, e);
	}
	if (rc == 0 && v[ID].n > 0)
		rc = db_send(db, sql,
		    PARAMS(P_I64(upload), P_ARRAY(&v[ID]), P_ARRAY(&v[NAR]),
		        P_ARRAY(&v[BASE]), P_ARRAY(&v[HASH]), P_ARRAY(&v[SIZE]),
		        P_ARRAY(&v[REFS]), P_ARRAY(&v[DERIVER]),
		        P_ARRAY(&v[CA]), P_ARRAY(&v[SIGS])),
		    e);
	for (int i = 0; i < COLUMNS; i++)
		array_done(&v[i]);
	return rc;
}

/* ---- states ---- */

/*
 * Whether a tombstone can become live as it is: what a live object refers to is
 * live. Its references are looked at depth first; one that comes back to itself
 * cannot.
 */
static void
resolve(struct begin *c, uint32_t from)
{
	size_t depth = 0;

	c->stack[depth++] = from;
	c->next[from] = 0;
	c->state[from] = VISITING;
	while (depth > 0) {
		uint32_t at = c->stack[depth - 1], to;
		const struct upload_object *o = &c->b->objects[at];

		if (c->next[at] == o->nrefs) {
			c->state[at] = REVIVED;
			depth--;
			continue;
		}
		to = o->refs[c->next[at]];
		if (to == at || c->state[to] == LIVE ||
		    c->state[to] == REVIVED) {
			c->next[at]++;
		} else if (c->state[to] == TOMBSTONE) {
			c->stack[depth++] = to;
			c->next[to] = 0;
			c->state[to] = VISITING;
		} else {
			c->state[at] = REWRITE;
			depth--;
		}
	}
}

/* Sets the states of those rows, which are in the order of ids. */
static void
set_states(struct begin *c, const PGresult *r,
    enum state (*state)(const PGresult *r, int row))
{
	const struct upload_object *o = c->b->objects;
	size_t at = 0;

	for (int i = 0; i < PQntuples(r); i++) {
		enum state s = state(r, i);
		uint8_t *to;

		while (o[c->by_id[at]].id != row_i64(r, i, 0))
			at++;
		to = &c->state[c->by_id[at]];
		if (*to != DELETING)
			*to = s;
	}
}

static enum state
tombstone_state(const PGresult *r, int row)
{
	if (row_i64(r, row, 1))
		return DELETING;
	return row_i64(r, row, 2) ? TOMBSTONE : REWRITE;
}

static enum state
pending_state(const PGresult *r, int row)
{
	(void)r;
	(void)row;
	return PENDING;
}

/* Whether the references of the tombstone are those that are wanted by now. */
static enum state
attached_state(const PGresult *r, int row)
{
	return row_i64(r, row, 1) ? TOMBSTONE : REWRITE;
}

/*
 * A log or a realisation lives as long as what it belongs to. So what hangs on a
 * tombstone, and this upload does not bring, is needed as well, and revived:
 * it refers to nothing. What is pending or being deleted is not waited for.
 */
static int
keep_attached(
    struct db *db, struct begin *c, struct db_array *tombstones, struct err *e)
{
	static const char find_sql[] =
	    "SELECT DISTINCT x FROM upload_needs n"
	    " JOIN objects o ON o.id = n.object_id, unnest(o.refs) x"
	    " WHERE n.upload_id = $1 AND n.object_id = ANY ($2)"
	    " AND n.refs <@ o.refs AND x <> ALL (n.refs)"
	    " AND EXISTS (SELECT FROM objects a"
	    " WHERE a.id = x AND " DB_ATTACHED("a.kind") PROBE
	    " AND NOT EXISTS (SELECT FROM pending p WHERE p.object_id = x" PROBE
	    " AND NOT EXISTS (SELECT FROM tombstones t"
	    " WHERE t.object_id = x AND t.claim IS NOT NULL" PROBE
	    " ORDER BY x";
	static const char needs_sql[] =
	    "INSERT INTO upload_needs (upload_id, object_id, refs, missing)"
	    " SELECT $1, x, '{}', false FROM unnest($2) x"
	    " ON CONFLICT DO NOTHING";
	static const char refs_sql[] =
	    "WITH u AS (UPDATE upload_needs n SET refs = ARRAY("
	    "SELECT r FROM unnest(o.refs) r"
	    " WHERE r = ANY (n.refs) OR r IN (SELECT unnest($3)) ORDER BY r)"
	    " FROM objects o WHERE n.upload_id = $1"
	    " AND n.object_id = ANY ($2) AND o.id = n.object_id"
	    " AND n.refs <@ o.refs"
	    " RETURNING n.object_id, n.refs = o.refs)"
	    " SELECT * FROM u ORDER BY object_id";
	struct db_array *kept = &c->kept;
	PGresult *r;

	if (db_exec(db, find_sql, PARAMS(P_I64(c->upload), P_ARRAY(tombstones)),
	        &r, e) != 0)
		return -1;
	for (int i = 0; i < PQntuples(r); i++)
		array_i64(kept, row_i64(r, i, 0));
	PQclear(r);
	if (kept->n == 0)
		return 0;
	if (db_send(db, needs_sql, PARAMS(P_I64(c->upload), P_ARRAY(kept)),
	        e) != 0 ||
	    db_exec(db, refs_sql,
	        PARAMS(P_I64(c->upload), P_ARRAY(tombstones), P_ARRAY(kept)),
	        &r, e) != 0)
		return -1;
	set_states(c, r, attached_state);
	PQclear(r);
	return 0;
}

/* Of what was there before. Its tombstones are locked, so that two beginnings
 * that share some agree about them. */
static int
read_states(struct db *db, struct begin *c, struct err *e)
{
	static const char tombstones_sql[] =
	    "SELECT t.object_id, t.claim IS NOT NULL,"
	    " (SELECT o.refs FROM objects o WHERE o.id = t.object_id) ="
	    " (SELECT n.refs FROM upload_needs n"
	    " WHERE n.upload_id = $1 AND n.object_id = t.object_id)"
	    " FROM tombstones t WHERE t.object_id = ANY ($2)"
	    " ORDER BY t.object_id FOR UPDATE";
	static const char pending_sql[] =
	    "SELECT object_id FROM pending WHERE object_id = ANY ($1)"
	    " ORDER BY object_id";
	struct db_array ids, other;
	PGresult *r;
	int rc;

	array_init(&ids, DB_INT8S);
	array_init(&other, DB_INT8S);
	for (size_t i = 0; i < c->b->nobjects; i++) {
		uint32_t at = c->by_id[i];

		c->state[at] = c->created[at] ? PENDING : LIVE;
		if (!c->created[at])
			array_i64(&ids, c->b->objects[at].id);
	}
	rc = db_exec(
	    db, tombstones_sql, PARAMS(P_I64(c->upload), P_ARRAY(&ids)), &r, e);
	if (rc == 0) {
		set_states(c, r, tombstone_state);
		for (int i = 0; i < PQntuples(r); i++)
			if (tombstone_state(r, i) == REWRITE)
				array_i64(&other, row_i64(r, i, 0));
		PQclear(r);
		if (other.n > 0)
			rc = keep_attached(db, c, &other, e);
	}
	if (rc == 0)
		rc = db_exec(db, pending_sql, PARAMS(P_ARRAY(&ids)), &r, e);
	if (rc == 0) {
		set_states(c, r, pending_state);
		PQclear(r);
	}
	array_done(&ids);
	array_done(&other);
	if (rc != 0)
		return -1;
	c->ndeleting = 0;
	for (size_t i = 0; i < c->b->nobjects; i++)
		c->ndeleting += c->state[i] == DELETING;
	for (size_t i = 0; i < c->b->nobjects; i++)
		if (c->state[i] == TOMBSTONE)
			resolve(c, i);
	return 0;
}

static int
revive_all(
    struct db *db, const struct begin *c, struct db_array *ids, struct err *e)
{
	static const char revive_sql[] =
	    "WITH d AS (DELETE FROM tombstones WHERE object_id = ANY ($1)"
	    " RETURNING object_id)"
	    " INSERT INTO stat_deltas (objects, bytes)"
	    " SELECT count(*), coalesce(sum((SELECT size FROM contents c"
	    " WHERE c.object_id = d.object_id)), 0)"
	    " FROM d HAVING count(*) > 0";
	static const char gained_sql[] =
	    "UPDATE uploads SET gained = gained || $2 WHERE id = $1";

	if (ids->n == 0)
		return 0;
	if (db_send(db, revive_sql, PARAMS(P_ARRAY(ids)), e) != 0)
		return -1;
	return db_send(
	    db, gained_sql, PARAMS(P_I64(c->upload), P_ARRAY(ids)), e);
}

/* Is it a path whose listing has to be stored only now? */
static int
lacks_listing(const struct begin *c, const struct upload_object *o)
{
	for (size_t i = 0; i < o->nrefs; i++) {
		enum state state = c->state[o->refs[i]];

		if (c->b->objects[o->refs[i]].kind == OBJKEY_LISTING &&
		    (state == PENDING || state == REWRITE))
			return 1;
	}
	return 0;
}

/*
 * Rule R2. Tombstones that are right become live again. One that is not (the
 * same store path was built with another content, or what it refers to is
 * lost) stays a tombstone, to be written anew by this upload.
 */
static int
settle(struct db *db, struct begin *c, struct err *e)
{
	static const char rewrite_sql[] =
	    "INSERT INTO pending (object_id, auth_until, writer)"
	    " SELECT x, coalesce((SELECT auth_until FROM contents"
	    " WHERE object_id = x), '-infinity'), 0 FROM unnest($1) x";
	static const char missing_sql[] =
	    "UPDATE upload_needs SET missing = true"
	    " WHERE upload_id = $1 AND object_id = ANY ($2)";
	static const char attach_sql[] =
	    "UPDATE upload_needs SET attach = true"
	    " WHERE upload_id = $1 AND object_id = ANY ($2) AND NOT attach";
	struct db_array revive, rewrite, missing, attach;
	int rc = -1;

	array_init(&c->kept, DB_INT8S);
	array_init(&revive, DB_INT8S);
	array_init(&rewrite, DB_INT8S);
	array_init(&missing, DB_INT8S);
	array_init(&attach, DB_INT8S);
	if (read_states(db, c, e) != 0)
		goto out;
	for (size_t i = 0; i < c->b->nobjects; i++) {
		struct upload_object *o = &c->b->objects[c->by_id[i]];
		enum state state = c->state[c->by_id[i]];

		o->missing = state == PENDING || state == REWRITE;
		if (state == REVIVED)
			array_i64(&revive, o->id);
		if (state == REWRITE)
			array_i64(&rewrite, o->id);
		if (o->missing && !c->created[c->by_id[i]])
			array_i64(&missing, o->id);
		if (!o->missing && lacks_listing(c, o))
			array_i64(&attach, o->id);
	}
	if (revive_all(db, c, &revive, e) == 0 &&
	    revive_all(db, c, &c->kept, e) == 0 &&
	    (rewrite.n == 0 ||
	        db_send(db, rewrite_sql, PARAMS(P_ARRAY(&rewrite)), e) == 0) &&
	    (missing.n == 0 ||
	        db_send(db, missing_sql,
	            PARAMS(P_I64(c->upload), P_ARRAY(&missing)), e) == 0) &&
	    (attach.n == 0 ||
	        db_send(db, attach_sql,
	            PARAMS(P_I64(c->upload), P_ARRAY(&attach)), e) == 0))
		rc = upload_insert_paths(
		    db, c->upload, c->b->objects, c->b->paths, c->b->npaths, e);
out:
	array_done(&c->kept);
	array_done(&revive);
	array_done(&rewrite);
	array_done(&missing);
	array_done(&attach);
	return rc;
}

static int
begin(struct db *db, void *ctx, struct err *e)
{
	struct begin *c = ctx;
	size_t n = c->b->nobjects, ncreated;

	if (db_roots_shared(db, e) != 0 || insert_upload(db, c, e) != 0 ||
	    find_ids(db, c, &ncreated, e) != 0 ||
	    make_ids(db, c, ncreated, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		c->by_id[i] = i;
	qsort_r(c->by_id, n, sizeof *c->by_id, by_id, c->b->objects);
	if (insert_needs(db, c, ncreated, e) != 0 ||
	    insert_roots(db, c, e) != 0)
		return -1;
	return settle(db, c, e);
}

/* ---- waiting for what is being deleted ---- */

/* What it needs by now, it needs under a new number (rule R5); but one that has
 * run out meanwhile needs nothing any more. */
static int
settle_again(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] = "UPDATE uploads SET seq = nextval('root_seq')"
	                          " WHERE id = $1 AND state = 'open'";
	struct begin *c = ctx;
	uint64_t open;
	PGresult *r;

	if (db_roots_shared(db, e) != 0 ||
	    db_exec(db, sql, PARAMS(P_I64(c->upload)), &r, e) != 0)
		return -1;
	open = rows_affected(r);
	PQclear(r);
	return open > 0 ? settle(db, c, e) : upload_closed(UPLOAD_ENDED, e);
}

static int
count_deleting(struct db *db, const struct begin *c, int64_t *n, struct err *e)
{
	static const char sql[] =
	    "SELECT count(*) FROM tombstones"
	    " WHERE object_id = ANY ($1) AND claim IS NOT NULL";
	struct db_array ids;
	PGresult *r;
	int rc;

	array_init(&ids, DB_INT8S);
	for (size_t i = 0; i < c->b->nobjects; i++)
		if (c->state[i] == DELETING)
			array_i64(&ids, c->b->objects[i].id);
	rc = db_query(db, sql, PARAMS(P_ARRAY(&ids)), &r, e);
	array_done(&ids);
	if (rc != 0)
		return -1;
	*n = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

static int
end(struct db *db, void *ctx, struct err *e)
{
	struct begin *c = ctx;

	return upload_end(db, c->upload, "aborted", e);
}

/* Rule R2: once the answers of the bucket are written down, what is gone is pending, and
 * what was refused a tombstone. */
static int
wait_deleted(struct db *db, struct begin *c, struct err *e)
{
	deadline_t until = db_until(db) - RESERVE_MS;
	int64_t pause = POLL_MS, n = c->ndeleting;

	while (c->ndeleting > 0) {
		if (deadline_left(until) == 0)
			goto late;
		clock_sleep(pause, until);
		pause = pause * 2 < POLL_CAP_MS ? pause * 2 : POLL_CAP_MS;
		if (count_deleting(db, c, &n, e) != 0)
			return -1;
		if (n == 0 &&
		    db_transaction(db, DB_READ_COMMITTED, settle_again, c, e) !=
		        0)
			return -1;
	}
	return 0;
late:
	if (db_transaction(db, DB_READ_COMMITTED, end, c, e) != 0)
		return -1;
	err_set(e, ERR_UNAVAILABLE,
	    "%lld objects of this upload are still being deleted",
	    (long long)n);
	return err_hint(e, "run: niks3 gc, which asks for them again");
}

int
uploads_begin(struct db *db, struct upload_begin *b,
    char token[UPLOAD_TOKEN_MAX], struct err *e)
{
	static const char digits[] = "0123456789abcdef";
	struct begin c = { .b = b };
	char name[UPLOAD_TOKEN_MAX] = "";
	uint8_t random[(UPLOAD_TOKEN_MAX - 1) / 2];
	size_t n = b->nobjects;
	int rc = -1;

	secret_random(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++) {
		name[2 * i] = digits[random[i] >> 4];
		name[2 * i + 1] = digits[random[i] & 15];
	}
	c.token = name;
	c.by_key = xcalloc(n, sizeof *c.by_key);
	c.by_id = xcalloc(n, sizeof *c.by_id);
	c.created = xcalloc(n, sizeof *c.created);
	c.state = xcalloc(n, sizeof *c.state);
	c.stack = xcalloc(n, sizeof *c.stack);
	c.next = xcalloc(n, sizeof *c.next);
	if (check(&c, e) != 0 ||
	    db_transaction(db, DB_READ_COMMITTED, begin, &c, e) != 0 ||
	    wait_deleted(db, &c, e) != 0)
		goto out;
	memcpy(token, name, UPLOAD_TOKEN_MAX);
	rc = 0;
out:
	free(c.by_key);
	free(c.by_id);
	free(c.created);
	free(c.state);
	free(c.stack);
	free(c.next);
	return rc == 0 ? 0 : err_prefix(e, "begin an upload");
}
