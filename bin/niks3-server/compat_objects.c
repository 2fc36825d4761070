/*
 * What clients of the compatible API ask of single objects and closures:
 * HEAD /api/objects/{key...}, POST /api/objects/present, /api/uploads/complete,
 * /api/uploads/skipped, GET /api/closures/{key}.
 */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/db/closures.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/staged.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/objkey.h"
#include "../../proto/compat.h"
#include "compat.h"
#include "metrics.h"

static int
ask_bucket(struct server *s, const struct http_req *q, const char *key,
    int *present, struct err *e)
{
	struct objects_check ask = { .keys = { &key, 1 } };
	struct objects_checked answer;

	if (ipc_call(s->uploader, CALL_objects_check, &ask, q->arena, &answer,
	        deadline_in(SERVER_IPC_MS), e) != 0)
		return -1;
	if (answer.items.n != 1 ||
	    answer.items.items[0].state == PRESENCE_UNKNOWN)
		return err_set(e, ERR_UNAVAILABLE,
		    "S3 did not say whether %s is there", key);
	*present = answer.items.items[0].state == PRESENCE_PRESENT;
	return 0;
}

/* In its place, or staged by an upload of whoever asks. *known: one of these can
 * be, for the object is live, or such an upload is open. */
static int
is_there(struct server *s, const struct http_req *q, const char *key,
    int *known, int *present, struct err *e)
{
	char staged[OBJKEY_TEXT_MAX];
	const char *token;
	struct db *db;
	int live, rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = staged_find_key(db, key, q->who, q->arena, &token, &live, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	*known = live || token != NULL;
	if (ask_bucket(s, q, key, present, e) != 0)
		return -1;
	if (*present || token == NULL)
		return 0;
	if (objkey_fmt_staged(staged, token, key, e) != 0)
		return -1;
	return ask_bucket(s, q, staged, present, e);
}

int
handle_compat_object(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	const char *key = q->params[0];
	enum objkey_kind kind;
	int known, present;

	/* Nothing else is anybody's business. */
	if (objkey_parse(key, strlen(key), &kind, NULL) != 0)
		return err_set(e, ERR_NOT_FOUND, "object not found");
	if (is_there(worker, q, key, &known, &present, e) != 0)
		return -1;
	if (!present)
		return err_set(e, ERR_NOT_FOUND, "object not found");
	r->status = 204;
	return 0;
}

int
handle_compat_present(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct compat_present body;
	struct present_reply reply = { 0 };
	struct db *db;
	int *present;
	int rc;

	if (compat_decode(q, &compat_present_desc, &body, e) != 0)
		return -1;
	present = arena_array(q->arena, body.keys.n, sizeof *present);
	reply.present.items =
	    arena_array(q->arena, body.keys.n, sizeof *reply.present.items);
	if (present == NULL || reply.present.items == NULL)
		return arena_full(q->arena, e);
	if (server_db(s, &db, e) != 0)
		return -1;
	rc = closures_present(db, body.keys.items, body.keys.n, present, e);
	db_put(s->pool, db);
	if (rc != 0)
		return err_prefix(e, "present");
	for (size_t i = 0; i < body.keys.n; i++)
		if (present[i])
			reply.present.items[reply.present.n++] =
			    body.keys.items[i];
	return server_encode(r, 200, &present_reply_desc, &reply, e);
}

/*
 * A client has written an object. It becomes live with its upload and not before;
 * here it is only told whether it arrived.
 */
int
handle_compat_written(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct compat_written body;
	enum objkey_kind kind;
	int known = 0, present;

	if (compat_decode(q, &compat_written_desc, &body, e) != 0)
		return -1;
	if (body.object_key == NULL || body.object_key[0] == '\0')
		return err_set(e, ERR_INVALID, "missing object_key");
	if (objkey_parse(
	        body.object_key, strlen(body.object_key), &kind, NULL) == 0 &&
	    is_there(worker, q, body.object_key, &known, &present, e) != 0)
		return -1;
	if (!known)
		return err_set(
		    e, ERR_NOT_FOUND, "object is not pending upload");
	if (!present)
		return err_set(e, ERR_NOT_FOUND, "object not found in S3");
	r->status = 204;
	return 0;
}

int
handle_compat_skipped(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct compat_skipped body;

	if (compat_decode(q, &compat_skipped_desc, &body, e) != 0)
		return -1;
	metrics_skipped(worker, body.paths, body.nar_bytes);
	log_info("a client left out what is too large",
	    LOG_U("paths", body.paths), LOG_U("bytes", body.nar_bytes));
	r->status = 204;
	return 0;
}

int
handle_compat_closure(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct compat_closure body = { .id = q->params[0] };
	struct closure closure;
	struct db *db;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = closures_get(db, body.id, q->arena, &closure, e);
	if (rc == 0)
		rc = staged_closure(db, body.id, COMPAT_OBJECTS_MAX, q->arena,
		    &body.objects.items, &body.objects.n, e);
	db_put(s->pool, db);
	if (rc != 0)
		return e->kind == ERR_NOT_FOUND
		    ? err_set(e, ERR_NOT_FOUND, "closure not found")
		    : -1;
	body.updated_at = server_time(q->arena, closure.updated_us);
	return server_encode(r, 200, &compat_closure_desc, &body, e);
}
