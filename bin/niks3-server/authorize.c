/*
 * POST /api/v2/uploads/{id}/authorize, …/multipart, …/multipart/complete: the
 * right to write single objects and parts, each pinned to its bytes.
 */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/uploads.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/objkey.h"
#include "../../proto/bodies.h"
#include "metrics.h"
#include "server.h"

_Static_assert(API_AUTHORIZE_MAX <= MSG_AUTHORIZE_MAX, "one message a request");

/*
 * NARs are only created, never overwritten: the FileHash of the bytes that are
 * there may stand in a narinfo. The rest is small and is written anew.
 */
static int
check_object(const struct authorize_object *q, struct upload_write *w,
    struct authorize_item *item, struct err *e)
{
	enum objkey_kind kind;

	if (objkey_parse(q->key, strlen(q->key), &kind, e) != 0)
		return -1;
	if (kind == OBJKEY_NARINFO)
		return err_set(
		    e, ERR_FORBIDDEN, "narinfos are written by the server");
	if ((q->upload_id != NULL) != (q->part > 0))
		return err_set(
		    e, ERR_INVALID, "upload_id and part go together");
	w->key = item->key = q->key;
	w->size = item->size = q->size;
	w->whole = q->upload_id == NULL;
	w->s3_id = item->upload_id = q->upload_id;
	memcpy(w->sha256, q->sha256, sizeof w->sha256);
	memcpy(item->sha256, q->sha256, sizeof item->sha256);
	item->part = q->part;
	item->create = kind == OBJKEY_NAR && w->whole;
	return 0;
}

int
handle_authorize(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct authorize_request body;
	struct authorize_reply reply = { 0 };
	struct put_authorize ask = { 0 };
	struct put_authorized answer;
	struct upload_write *writes;
	struct db *db;
	size_t n;
	int rc;

	if (server_decode(q, &authorize_request_desc, &body, e) != 0)
		return -1;
	n = body.objects.n;
	writes = arena_array(q->arena, n, sizeof *writes);
	ask.items.items = arena_array(q->arena, n, sizeof *ask.items.items);
	reply.puts.items = arena_array(q->arena, n, sizeof *reply.puts.items);
	if (writes == NULL || ask.items.items == NULL ||
	    reply.puts.items == NULL)
		return arena_full(q->arena, e);
	ask.items.n = reply.puts.n = n;
	ask.lifetime_s = s->auth_us / 1000000;
	reply.lifetime_ms = ask.lifetime_s * 1000;
	for (size_t i = 0; i < n; i++)
		if (check_object(&body.objects.items[i], &writes[i],
		        &ask.items.items[i], e) != 0)
			return err_prefix(e, "objects[%zu]", i);

	/* The row first: what may be written has one (rule R7). */
	if (server_db(s, &db, e) != 0)
		return -1;
	rc = uploads_authorize(db, q->params[0], q->who, writes, n,
	    server_auth_memory_us(s), s->lease_us, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	if (n == 0) /* it only renews the lease */
		return server_encode(r, 200, &authorize_reply_desc, &reply, e);
	if (ipc_call(s->uploader, CALL_put_authorize, &ask, q->arena, &answer,
	        deadline_in(SERVER_IPC_MS), e) != 0)
		return -1;
	if (answer.items.n != n)
		return err_set(e, ERR_INTERNAL,
		    "the uploader authorised %zu of %zu objects",
		    answer.items.n, n);
	reply.lifetime_ms = answer.lifetime_s * 1000;
	for (size_t i = 0; i < n; i++) {
		metrics_bytes(s, METRICS_AUTHORIZED, ask.items.items[i].size);
		reply.puts.items[i].url = answer.items.items[i].url;
		reply.puts.items[i].headers = answer.items.items[i].headers;
	}
	return server_encode(r, 200, &authorize_reply_desc, &reply, e);
}

int
handle_multipart(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct multipart_request body;
	struct multipart_reply reply = { 0 };
	struct mpu_create ask = { 0 };
	struct mpu_created answer;
	struct db *db;
	int64_t row;
	int rc;

	if (server_decode(q, &multipart_request_desc, &body, e) != 0)
		return -1;
	if (server_db(s, &db, e) != 0)
		return -1;
	rc = uploads_multipart_intend(
	    db, q->params[0], q->who, body.key, s->lease_us, &row, e);
	db_put(s->pool, db);
	ask.key = body.key;
	if (rc != 0 ||
	    ipc_call(s->uploader, CALL_mpu_create, &ask, q->arena, &answer,
	        deadline_in(SERVER_IPC_MS), e) != 0 ||
	    server_db(s, &db, e) != 0)
		return -1;
	rc = uploads_multipart_begun(db, row, answer.upload_id, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	reply.upload_id = answer.upload_id;
	return server_encode(r, 201, &multipart_reply_desc, &reply, e);
}

struct completion {
	struct server *s;
	struct arena *a;
	const struct mpu_complete *ask;
	struct mpu_completed *answer;
};

static int
complete(struct db *db, void *ctx, struct err *e)
{
	struct completion *c = ctx;

	if (uploads_key_lock(db, c->ask->key, e) != 0)
		return -1;
	return ipc_call(c->s->uploader, CALL_mpu_complete, c->ask, c->a,
	    c->answer, deadline_in(SERVER_COMPLETE_MS), e);
}

int
server_mpu_complete(struct server *s, struct db *db, struct arena *a,
    const struct mpu_complete *ask, struct mpu_completed *answer, struct err *e)
{
	struct completion c = { s, a, ask, answer };

	return db_transaction(db, DB_READ_COMMITTED, complete, &c, e);
}

/* That it existed makes the commit ask the bucket what it is. */
static int
is_there(struct server *s, const struct http_req *q, const char *key)
{
	struct objects_check ask = { .keys = { &key, 1 } };
	struct objects_checked answer;
	struct err e = ERR_INIT;

	return ipc_call(s->uploader, CALL_objects_check, &ask, q->arena,
	           &answer, deadline_in(SERVER_IPC_MS), &e) == 0 &&
	    answer.items.n == 1 &&
	    answer.items.items[0].state == PRESENCE_PRESENT;
}

int
handle_multipart_complete(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct complete_request body;
	struct complete_reply reply = { 0 };
	struct mpu_complete ask = { 0 };
	struct mpu_completed answer = { 0 };
	struct db *db;
	int rc = -1;

	if (server_decode(q, &complete_request_desc, &body, e) != 0)
		return -1;
	ask.key = body.key;
	ask.upload_id = body.upload_id;
	ask.parts.n = body.parts.n;
	ask.parts.items =
	    arena_array(q->arena, body.parts.n, sizeof *ask.parts.items);
	if (ask.parts.items == NULL)
		return arena_full(q->arena, e);
	for (size_t i = 0; i < body.parts.n; i++) {
		ask.parts.items[i].number = body.parts.items[i].number;
		ask.parts.items[i].etag = body.parts.items[i].etag;
	}
	if (db_get(s->pool, deadline_in(SERVER_COMPLETE_MS), &db, e) != 0)
		return -1;
	if (uploads_multipart_completing(db, q->params[0], q->who, body.key,
	        body.upload_id, body.size, body.sha256,
	        server_auth_memory_us(s), s->lease_us, e) != 0) {
		/* Perhaps it was completed, and the answer was lost. */
		if (e->kind != ERR_FORBIDDEN || !is_there(s, q, body.key))
			goto out;
		err_clear(e);
		reply.existed = 1;
		rc = server_encode(r, 200, &complete_reply_desc, &reply, e);
		goto out;
	}
	if (server_mpu_complete(s, db, q->arena, &ask, &answer, e) != 0)
		goto out;
	if (!answer.existed && answer.size != body.size) {
		err_set(e, ERR_CORRUPT,
		    "%s: S3 holds %llu bytes, not the %llu that were sent",
		    body.key, (unsigned long long)answer.size,
		    (unsigned long long)body.size);
		goto out;
	}
	if (uploads_multipart_done(db, body.key, body.upload_id, e) != 0)
		goto out;
	reply.existed = answer.existed;
	rc = server_encode(r, 200, &complete_reply_desc, &reply, e);
out:
	db_put(s->pool, db);
	return rc;
}
