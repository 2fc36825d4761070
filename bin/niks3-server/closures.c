/*
 * /api/v2/closures: what was pushed. To take one away is the business of the
 * garbage collection: it is queued as a run.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/closures.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/gcruns.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/bodies.h"
#include "server.h"

#define PAGE_DEFAULT 1000
#define PINS_NAMED   3 /* in an error */

static struct closure_entry
entry_of(const struct closure *c, struct arena *a)
{
	return (struct closure_entry){
		.store_path = c->store_path,
		.created_at = server_time(a, c->created_us),
		.updated_at = server_time(a, c->updated_us),
		.objects = c->objects > 0 ? c->objects : 0,
		.bytes = c->bytes > 0 ? c->bytes : 0,
		.pins = { c->pins, c->npins },
	};
}

/* ---- pages ---- */

/* "MICROSECONDS-ID", of the last one of a page. */
static int
parse_cursor(const char *text, int64_t *us, int64_t *id, struct err *e)
{
	const char *dash = strchr(text, '-');
	uint64_t first, second;

	if (dash == NULL ||
	    num_parse_u64(text, dash - text, INT64_MAX, &first, NULL) != 0 ||
	    num_parse_u64(
	        dash + 1, strlen(dash + 1), INT64_MAX, &second, NULL) != 0)
		return err_set(e, ERR_INVALID,
		    "after: not a cursor that an answer gave as next");
	*us = first;
	*id = second;
	return 0;
}

int
handle_closures_list(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	const char *after = http_req_query(q, "after");
	struct closure_list body = { 0 };
	int64_t us = 0, id = 0;
	struct closure *all;
	uint64_t limit;
	struct db *db;
	size_t n;
	int rc;

	if ((after != NULL && parse_cursor(after, &us, &id, e) != 0) ||
	    server_query_u64(q, "limit", PAGE_DEFAULT, 1, API_CLOSURES_MAX,
	        &limit, e) != 0 ||
	    server_db(s, &db, e) != 0)
		return -1;
	rc = closures_list(db, us, id, limit, q->arena, &all, &n, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	body.closures.n = n;
	body.closures.items =
	    arena_array(q->arena, n, sizeof *body.closures.items);
	if (body.closures.items == NULL)
		return arena_full(q->arena, e);
	for (size_t i = 0; i < n; i++)
		body.closures.items[i] = entry_of(&all[i], q->arena);
	if (n == limit) {
		body.next = arena_printf(q->arena, "%lld-%lld",
		    (long long)all[n - 1].updated_us, (long long)all[n - 1].id);
		if (body.next == NULL)
			return arena_full(q->arena, e);
	}
	return server_encode(r, 200, &closure_list_desc, &body, e);
}

/* ---- one ---- */

/* The closure that the path names; NOT_FOUND leaves its key in key. */
static int
get_closure(struct server *s, const struct http_req *q,
    char key[OBJKEY_TEXT_MAX], struct closure *out, struct err *e)
{
	const char *base = q->params[0];
	const char *have;
	struct db *db;
	int rc;

	if (storepath_check_base(base, strlen(base), e) != 0)
		return -1;
	objkey_fmt_narinfo(key, base);
	if (server_db(s, &db, e) != 0)
		return -1;
	rc = closures_get(db, key, q->arena, out, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	have = strrchr(out->store_path, '/');
	if (have != NULL && strcmp(have + 1, base) != 0)
		return err_set(e, ERR_INVALID,
		    "%s: the closure in the cache is %s", base,
		    out->store_path);
	return 0;
}

static int
not_pushed(const struct http_req *q, struct err *e)
{
	err_set(e, ERR_NOT_FOUND, "%s is not in the cache as a closure",
	    q->params[0]);
	return err_hint(e,
	    "a closure is what was pushed itself, not what that depends on; "
	    "niks3 why tells what keeps a path");
}

int
handle_closure_get(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	char key[OBJKEY_TEXT_MAX];
	struct closure_entry body;
	struct closure c;

	if (get_closure(worker, q, key, &c, e) != 0)
		return e->kind == ERR_NOT_FOUND ? not_pushed(q, e) : -1;
	body = entry_of(&c, q->arena);
	return server_encode(r, 200, &closure_entry_desc, &body, e);
}

static int
pinned(const struct closure *c, struct err *e)
{
	char names[ERR_MSG_MAX / 2] = "";
	size_t len = 0;

	for (size_t i = 0; i < c->npins && i < PINS_NAMED; i++)
		if (len < sizeof names)
			len += snprintf(names + len, sizeof names - len, "%s%s",
			    i > 0 ? ", " : "", c->pins[i]);
	if (c->npins > PINS_NAMED && len < sizeof names)
		snprintf(names + len, sizeof names - len, " and %zu more",
		    c->npins - PINS_NAMED);
	err_set(e, ERR_CONFLICT, "%s is pinned: %s", c->store_path, names);
	return err_hint(e, "niks3 pins delete %s", c->pins[0]);
}

/*
 * The answer is quick and may be out of date: the worker looks again, under the
 * lock. What is no closure may still be in the bucket, and is to go from there.
 */
int
handle_closure_delete(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	const char *word = http_req_query(q, "now");
	char key[OBJKEY_TEXT_MAX];
	uint64_t max_share;
	struct closure c;
	int now = 0;

	if (word != NULL && num_parse_bool(word, &now, e) != 0)
		return err_prefix(e, "now");
	if (server_query_u64(q, "max_share", 0, 0, 100, &max_share, e) != 0)
		return -1;
	if (get_closure(worker, q, key, &c, e) != 0) {
		if (e->kind != ERR_NOT_FOUND)
			return -1;
		if (!now)
			return not_pushed(q, e);
		err_clear(e);
	} else if (c.npins > 0) {
		return pinned(&c, e);
	}
	return server_start_run(worker, q, r,
	    &(struct gcrun_params){
	        .kind = GCRUN_DELETE,
	        .max_share =
	            max_share > 0 ? (int)max_share : GCRUN_SHARE_DEFAULT,
	        .target = key,
	        .at_once = now,
	    },
	    e);
}
