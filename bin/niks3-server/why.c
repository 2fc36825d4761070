/*
 * GET /api/v2/why: what keeps an object, and until when. The gc worker follows
 * the references; what the latest collection was asked for tells the times.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/gcruns.h"
#include "../../libcommon/db/graph.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/bodies.h"
#include "server.h"

#define WHY_MS 120000 /* the worker reads all objects */

static const char *const states[] = {
	[WHY_LIVE] = "live",
	[WHY_PENDING] = "pending",
	[WHY_TOMBSTONE] = "tombstone",
	[WHY_DELETING] = "deleting",
};

static const char *const keepers[] = {
	[WHY_CLOSURE] = "closure",
	[WHY_PIN] = "pin",
	[WHY_UPLOAD] = "upload",
};

/* The key that was asked about: by itself, by a store path or its hash. */
static int
asked_key(const struct http_req *q, char key[OBJKEY_TEXT_MAX], struct err *e)
{
	const char *name = q->params[0];
	enum objkey_kind kind;

	if (name == NULL) {
		if ((name = http_req_query(q, "key")) == NULL)
			return err_set(e, ERR_INVALID, "key: missing");
		if (strlen(name) > OBJKEY_MAX)
			return err_set(e, ERR_INVALID, "key: too long");
		snprintf(key, OBJKEY_TEXT_MAX, "%s", name);
	} else if (strlen(name) == STOREPATH_HASH_LEN) {
		snprintf(key, OBJKEY_TEXT_MAX, "%s.narinfo", name);
	} else {
		if (storepath_check_base(name, strlen(name), e) != 0)
			return -1;
		objkey_fmt_narinfo(key, name);
	}
	return objkey_parse(key, strlen(key), &kind, e);
}

/* What is asked for regularly, as far as can be told; id 0 when nothing is. */
static int
latest_collection(
    struct server *s, struct arena *a, struct gcrun *out, struct err *e)
{
	struct db *db;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = gcruns_latest(db, a, out, e);
	db_put(s->pool, db);
	return rc;
}

static int
fill_keepers(struct why_reply *body, const struct gc_why_told *told,
    const struct gcrun *run, struct arena *a, struct err *e)
{
	struct keeper *to = arena_array(a, told->keepers.n, sizeof *to);

	if (to == NULL)
		return arena_full(a, e);
	body->keepers.items = to;
	body->keepers.n = told->keepers.n;
	for (size_t i = 0; i < told->keepers.n; i++) {
		const struct why_item *from = &told->keepers.items[i];

		to[i] = (struct keeper){
			.kind = keepers[from->kind],
			.name = from->name,
			.store_path = from->store_path,
			.updated_at = server_time(a, from->updated_us),
			.lease_until = server_time(a, from->lease_until_us),
		};
		if (from->kind == WHY_CLOSURE && run->id != 0)
			to[i].until = server_time(
			    a, from->updated_us + run->params.older_than_us);
	}
	return 0;
}

int
handle_why(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	char key[OBJKEY_TEXT_MAX];
	struct gc_why ask = { .key = key };
	struct gc_why_told told;
	struct why_reply body = { .key = key };
	struct gcrun run;

	if (asked_key(q, key, e) != 0)
		return -1;
	/* Nobody should wait two minutes to hear it. */
	if (ipc_client_peers(s->gc) == 0) {
		err_set(e, ERR_UNAVAILABLE, "gc: not connected");
		return err_hint(e, "is niks3-gc running?");
	}
	if (ipc_call(s->gc, CALL_gc_why, &ask, q->arena, &told,
	        deadline_in(WHY_MS), e) != 0 ||
	    latest_collection(s, q->arena, &run, e) != 0)
		return -1;
	body.state = states[told.state];
	body.first_at = server_time(q->arena, told.first_at_us);
	body.nkeepers = told.nkeepers;
	body.chain = told.chain;
	if (run.id != 0) {
		body.run = run.id;
		body.older_than_s = run.params.older_than_us / 1000000;
		body.pending_older_than_s =
		    run.params.pending_older_than_us / 1000000;
		if (told.first_at_us != 0)
			body.due = server_time(q->arena,
			    told.first_at_us +
			        run.params.pending_older_than_us);
	}
	if (fill_keepers(&body, &told, &run, q->arena, e) != 0)
		return -1;
	return server_encode(r, 200, &why_reply_desc, &body, e);
}
