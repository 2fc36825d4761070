#include "graph_internal.h"

#include <stdlib.h>

#include "../core/arena.h"
#include "db_internal.h"

/* The roots are read after the graph: what one refers to that is newer than it
 * does not count. */
struct asking {
	const struct graph *g;
	struct arena *a;
	uint32_t *needs; /* graph_needs, or NULL when no root does */
	struct why out;
	int64_t id;                   /* of the object */
	int64_t ids[WHY_KEEPERS_MAX]; /* of the keepers: closures, uploads */
	int64_t upload;               /* the last one that was counted */
	struct stack starts;          /* where the first keeper begins */
};

/* ---- what keeps it ---- */

static int
leads_there(const struct asking *q, uint32_t at)
{
	return at != NOBODY && q->needs[at] == NEEDS;
}

/* Counts it. Its place in the list, or NULL when that is full. */
static struct why_keeper *
add(struct asking *q, enum why_kind kind, int64_t id, uint32_t at)
{
	size_t n = q->out.nkeepers++;

	if (n == 0)
		stack_push(&q->starts, at);
	if (n >= WHY_KEEPERS_MAX)
		return NULL;
	q->out.nlisted = n + 1;
	q->ids[n] = id;
	q->out.keepers[n] = (struct why_keeper){ .kind = kind };
	return &q->out.keepers[n];
}

static int
row_pin(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct asking *q = ctx;
	int64_t id = get_i64(p + 6);
	uint32_t at = graph_position(q->g, id);
	struct why_keeper *k;

	(void)len;
	if (!leads_there(q, at) || (k = add(q, WHY_PIN, id, at)) == NULL)
		return 0;
	k->name = arena_strn(q->a, (const char *)p + 18, get_u32(p + 14));
	return k->name != NULL ? 0 : arena_full(q->a, e);
}

static int
row_closure(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct asking *q = ctx;
	int64_t id = get_i64(p + 6);
	uint32_t at = graph_position(q->g, id);

	(void)len;
	(void)e;
	if (leads_there(q, at))
		add(q, WHY_CLOSURE, id, at);
	return 0;
}

/* An upload comes with each of its needs. */
static int
row_upload(void *ctx, const uint8_t *p, size_t len, struct err *e)
{
	struct asking *q = ctx;
	int64_t id = get_i64(p + 6);
	uint32_t at = graph_position(q->g, get_i64(p + 18));
	struct why_keeper *k;

	(void)len;
	if (!leads_there(q, at))
		return 0;
	if (q->upload == id) {
		if (q->out.nkeepers == 1)
			stack_push(&q->starts, at);
		return 0;
	}
	q->upload = id;
	if ((k = add(q, WHY_UPLOAD, id, at)) == NULL)
		return 0;
	k->name = arena_printf(q->a, "%lld", (long long)id);
	return k->name != NULL ? 0 : arena_full(q->a, e);
}

static const struct source {
	const char *sql;
	int (*row)(void *ctx, const uint8_t *p, size_t len, struct err *e);
} sources[] = {
	{ "COPY (SELECT object_id, name FROM pins ORDER BY name)"
	  " TO STDOUT (FORMAT binary)",
	    row_pin },
	{ "COPY (SELECT object_id FROM closures c WHERE NOT EXISTS"
	  " (SELECT FROM pins p WHERE p.object_id = c.object_id" PROBE
	  " ORDER BY updated_at DESC, object_id DESC)"
	  " TO STDOUT (FORMAT binary)",
	    row_closure },
	{ "COPY (SELECT n.upload_id, n.object_id FROM uploads u"
	  " JOIN upload_needs n ON n.upload_id = u.id WHERE u.state = 'open'"
	  " ORDER BY n.upload_id DESC, n.object_id)"
	  " TO STDOUT (FORMAT binary)",
	    row_upload },
};

static const char closures_sql[] =
    "SELECT k.i, c.* FROM unnest($1) WITH ORDINALITY k (id, i)"
    " JOIN LATERAL (SELECT store_path,"
    " (extract(epoch FROM updated_at) * 1000000)::bigint, 0::bigint"
    " FROM closures WHERE object_id = k.id" PROBE " c ON true";
static const char uploads_sql[] =
    "SELECT k.i, u.* FROM unnest($1) WITH ORDINALITY k (id, i)"
    " JOIN LATERAL (SELECT (SELECT store_path FROM upload_roots r"
    " WHERE r.upload_id = k.id ORDER BY object_id LIMIT 1),"
    " (extract(epoch FROM created_at) * 1000000)::bigint,"
    " (extract(epoch FROM lease_until) * 1000000)::bigint"
    " FROM uploads WHERE id = k.id" PROBE " u ON true";

/* What else is told of those that are listed, from begin to end. */
static int
describe(struct db *db, struct asking *q, const char *sql, size_t begin,
    size_t end, struct err *e)
{
	struct db_array ids;
	int full = 0, rc;
	PGresult *r;

	array_init(&ids, DB_INT8S);
	array_i64s(&ids, q->ids + begin, end - begin);
	rc = db_exec(db, sql, PARAMS(P_ARRAY(&ids)), &r, e);
	array_done(&ids);
	if (rc != 0)
		return -1;
	for (int i = 0; i < PQntuples(r); i++) {
		struct why_keeper *k =
		    &q->out.keepers[begin + row_i64(r, i, 0) - 1];

		k->store_path = row_text(r, i, 1, q->a, &full);
		k->updated_us = row_i64(r, i, 2);
		k->lease_until_us = row_i64(r, i, 3);
	}
	PQclear(r);
	return full ? arena_full(q->a, e) : 0;
}

static int
read_keepers(struct db *db, void *ctx, struct err *e)
{
	struct asking *q = ctx;
	size_t closures = 0;

	q->out.nkeepers = q->out.nlisted = q->starts.n = 0;
	q->upload = 0;
	if (db_send(db, SCAN_SQL, P_NONE, e) != 0)
		return -1;
	for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++)
		if (db_copy_out(db, sources[i].sql, sources[i].row, q, e) != 0)
			return -1;
	while (closures < q->out.nlisted &&
	    q->out.keepers[closures].kind != WHY_UPLOAD)
		closures++;
	return describe(db, q, closures_sql, 0, closures, e) != 0
	    ? -1
	    : describe(db, q, uploads_sql, closures, q->out.nlisted, e);
}

/* ---- the chain ---- */

/*
 * The positions of the shortest chain from where the first keeper begins to the
 * object, backwards. Breadth first, among those that lead there; each that was
 * seen gets the one before it in place of NEEDS.
 */
static void
find_chain(struct asking *q, uint32_t target, struct stack *chain)
{
	const struct graph *g = q->g;
	struct stack *queue = &q->starts;

	for (size_t i = 0; i < queue->n; i++)
		q->needs[queue->items[i]] = queue->items[i];
	for (size_t i = 0; i < queue->n && q->needs[target] == NEEDS; i++) {
		uint32_t at = queue->items[i];
		struct refs r = graph_refs(g, at);

		for (uint32_t k = 0; k < r.n; k++) {
			uint32_t to = r.to[k];

			if (!leads_there(q, to))
				continue;
			q->needs[to] = at;
			stack_push(queue, to);
		}
	}
	for (uint32_t at = target;; at = q->needs[at]) {
		stack_push(chain, at);
		if (q->needs[at] == at)
			break;
	}
}

/* Empty when one of them is gone. */
static int
read_chain(
    struct db *db, struct asking *q, const struct stack *chain, struct err *e)
{
	static const char sql[] =
	    "SELECT k.i, o.key FROM unnest($1) WITH ORDINALITY k (id, i)"
	    " JOIN LATERAL (SELECT key FROM objects WHERE id = k.id" PROBE
	    " o ON true";
	const char **keys = arena_array(q->a, chain->n, sizeof *keys);
	struct db_array ids;
	int full = 0, rc;
	PGresult *r;

	if (keys == NULL)
		return arena_full(q->a, e);
	array_init(&ids, DB_INT8S);
	for (size_t i = chain->n; i > 0; i--)
		array_i64(&ids, q->g->ids[chain->items[i - 1]]);
	rc = db_query(db, sql, PARAMS(P_ARRAY(&ids)), &r, e);
	array_done(&ids);
	if (rc != 0)
		return -1;
	for (int i = 0; i < PQntuples(r); i++)
		keys[row_i64(r, i, 0) - 1] = row_text(r, i, 1, q->a, &full);
	if (PQntuples(r) == (int)chain->n) {
		q->out.chain = keys;
		q->out.nchain = chain->n;
	}
	PQclear(r);
	return full ? arena_full(q->a, e) : 0;
}

/* ---- the question ---- */

static int
find_object(struct db *db, const char *key, int64_t *id, struct err *e)
{
	PGresult *r;
	int found;

	if (db_query(db, "SELECT id FROM objects WHERE key = $1 COLLATE \"C\"",
	        PARAMS(P_TEXT(key)), &r, e) != 0)
		return -1;
	found = PQntuples(r) > 0;
	if (found)
		*id = row_i64(r, 0, 0);
	PQclear(r);
	return found ? 0 : err_set(e, ERR_NOT_FOUND, "not in the cache");
}

/* When it became a tombstone. */
static int
read_first_at(struct db *db, struct asking *q, struct err *e)
{
	PGresult *r;

	if (db_query(db,
	        "SELECT (extract(epoch FROM first_at) * 1000000)::bigint"
	        " FROM tombstones WHERE object_id = $1",
	        PARAMS(P_I64(q->id)), &r, e) != 0)
		return -1;
	if (PQntuples(r) > 0)
		q->out.first_at_us = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

static enum why_state
state_of(const struct graph *g, uint32_t at)
{
	if (g->flags[at] & CLAIMED)
		return WHY_DELETING;
	if (g->flags[at] & PENDING)
		return WHY_PENDING;
	return g->flags[at] & TOMBSTONE ? WHY_TOMBSTONE : WHY_LIVE;
}

static int
find_keepers(struct db *db, struct asking *q, uint32_t at, struct err *e)
{
	struct stack chain = { 0 };
	int rc;

	q->needs = graph_needs(q->g, at);
	rc = db_transaction(db, DB_REPEATABLE_READ, read_keepers, q, e);
	if (rc == 0 && q->out.nkeepers > 0) {
		find_chain(q, at, &chain);
		rc = read_chain(db, q, &chain, e);
	}
	free(chain.items);
	free(q->starts.items);
	free(q->needs);
	return rc;
}

static int
answer(struct db *db, struct asking *q, struct err *e)
{
	uint32_t at = graph_position(q->g, q->id);

	if (at == NOBODY) /* it was there a moment ago */
		return err_set(e, ERR_NOT_FOUND, "not in the cache any more");
	q->out.keepers =
	    arena_array(q->a, WHY_KEEPERS_MAX, sizeof *q->out.keepers);
	if (q->out.keepers == NULL)
		return arena_full(q->a, e);
	q->out.state = state_of(q->g, at);
	if ((q->out.state == WHY_TOMBSTONE || q->out.state == WHY_DELETING) &&
	    read_first_at(db, q, e) != 0)
		return -1;
	return q->g->flags[at] & REACHED ? find_keepers(db, q, at, e) : 0;
}

int
graph_why(struct db *db, const char *key, struct arena *a, struct why *out,
    struct err *e)
{
	static const struct graph_roots all = { .without_sizes = 1 };
	struct asking q = { .a = a };
	struct graph *g = NULL;
	int rc = -1;

	if (find_object(db, key, &q.id, e) == 0 &&
	    graph_load(db, &all, &g, e) == 0) {
		q.g = g;
		rc = answer(db, &q, e);
	}
	graph_free(g);
	if (rc != 0)
		return err_prefix(e, "what keeps %s", key);
	*out = q.out;
	return 0;
}
