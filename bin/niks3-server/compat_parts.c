/* POST /api/multipart/request-parts and /api/multipart/complete: large NARs. */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/db/commit.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/staged.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/objkey.h"
#include "../../proto/compat.h"
#include "compat.h"

#define URLS_MAX 1000 /* of one request */
/* So large an object is read once more for its FileHash. */
#define HASH_MAX ((uint64_t)1 << 30)

static int
check_names(const char *key, const char *upload_id, struct err *e)
{
	enum objkey_kind kind;

	if (key == NULL || key[0] == '\0')
		return err_set(e, ERR_INVALID, "missing object_key");
	if (objkey_parse(key, strlen(key), &kind, NULL) != 0 ||
	    kind != OBJKEY_NAR)
		return err_set(e, ERR_INVALID,
		    "invalid object key \"%s\" for type \"nar\"", key);
	if (upload_id == NULL || upload_id[0] == '\0')
		return err_set(e, ERR_INVALID, "missing upload_id");
	return 0;
}

/* Only whoever began the upload goes on with it. */
static int
find(struct server *s, const struct http_req *q, const char *key,
    const char *upload_id, const char **token, struct err *e)
{
	struct db *db;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = staged_find_part(db, key, upload_id, q->who, q->arena, token, e);
	if (rc == 0) /* which renews the lease */
		rc = uploads_authorize(db, *token, q->who, NULL, 0, 0,
		    (int64_t)STAGED_LIFETIME_S * 1000000, e);
	db_put(s->pool, db);
	return rc;
}

int
handle_compat_part_urls(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct compat_parts body;
	struct compat_part_urls reply = { 0 };
	struct presign_item *items;
	const char *token;
	size_t n;

	if (compat_decode(q, &compat_parts_desc, &body, e) != 0 ||
	    check_names(body.object_key, body.upload_id, e) != 0)
		return -1;
	if (body.start_part_number < 1)
		return err_set(
		    e, ERR_INVALID, "start_part_number must be positive");
	if (body.num_parts < 1 || body.num_parts > URLS_MAX)
		return err_set(e, ERR_INVALID,
		    "num_parts must be between 1 and %d", URLS_MAX);
	if (body.start_part_number > API_PARTS_MAX - body.num_parts + 1)
		return err_set(e, ERR_INVALID,
		    "requested parts exceed S3 maximum of %d", API_PARTS_MAX);
	if (find(worker, q, body.object_key, body.upload_id, &token, e) != 0)
		return -1;
	n = body.num_parts;
	if ((items = arena_array(q->arena, n, sizeof *items)) == NULL)
		return arena_full(q->arena, e);
	for (size_t i = 0; i < n; i++)
		items[i] = (struct presign_item){
			.key = body.object_key,
			.upload_id = body.upload_id,
			.part = body.start_part_number + i,
		};
	if (compat_presign(worker, q->arena, NULL, items, n,
	        &reply.part_urls.items, e) != 0)
		return -1;
	reply.part_urls.n = n;
	reply.start_part_number = body.start_part_number;
	return server_encode(r, 200, &compat_part_urls_desc, &reply, e);
}

struct completion {
	struct server *s;
	const struct http_req *q;
	const char *token;
	const struct mpu_complete *ask;
	struct mpu_completed answer;
	struct upload_write write;
};

/* What is there now: ours, or what another has stored before. */
static int
look_up(struct completion *c, struct err *e)
{
	struct object_hash ask = { .key = c->ask->key };
	struct object_hashed answer;

	c->write.size = c->answer.size;
	c->write.unhashed = c->answer.size > HASH_MAX;
	if (c->write.unhashed)
		return 0;
	if (ipc_call(c->s->uploader, CALL_object_hash, &ask, c->q->arena,
	        &answer, deadline_in(SERVER_COMPLETE_MS), e) != 0)
		return -1;
	c->write.size = answer.size;
	memcpy(c->write.sha256, answer.sha256, sizeof c->write.sha256);
	return 0;
}

/* Uploads of the same NAR in other parts have nothing to do any more. */
static void
abort_rivals(struct completion *c)
{
	struct upload_multipart *rivals;
	struct err e = ERR_INIT;
	struct db *db;
	size_t n;

	if (server_db(c->s, &db, &e) != 0)
		return;
	if (staged_rivals(db, c->ask->key, c->ask->upload_id, c->q->arena,
	        &rivals, &n, &e) != 0)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		struct mpu_abort ask = { .key = rivals[i].key,
			.upload_id = rivals[i].s3_id };
		struct done done;

		if (ipc_call(c->s->uploader, CALL_mpu_abort, &ask, c->q->arena,
		        &done, deadline_in(SERVER_IPC_MS), &e) != 0 ||
		    uploads_multipart_done(
		        db, rivals[i].key, rivals[i].s3_id, &e) != 0)
			break;
	}
	if (e.kind != ERR_NONE)
		log_err(LOG_LEVEL_NOTICE, "multipart not aborted", &e);
	db_put(c->s->pool, db);
}

static int
run(struct completion *c, struct err *e)
{
	/* The object is written by this, whatever comes of it (rule R7). */
	struct upload_write right = { .key = c->ask->key };
	int64_t lease = (int64_t)STAGED_LIFETIME_S * 1000000;
	struct db *db;
	int rc = -1;

	if (db_get(c->s->pool, deadline_in(SERVER_COMPLETE_MS), &db, e) != 0)
		return -1;
	if (uploads_authorize(db, c->token, c->q->who, &right, 1,
	        SERVER_COMPLETE_MS * 1000LL, lease, e) == 0 &&
	    server_mpu_complete(c->s, db, c->q->arena, c->ask, &c->answer, e) ==
	        0 &&
	    look_up(c, e) == 0 &&
	    uploads_record(db, c->token, c->q->who, &c->write, 1, e) == 0)
		rc = uploads_multipart_done(
		    db, c->ask->key, c->ask->upload_id, e);
	db_put(c->s->pool, db);
	return rc;
}

int
handle_compat_parts_complete(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct compat_complete body;
	struct mpu_complete ask = { 0 };
	struct completion c = { .s = worker, .q = q, .ask = &ask };

	if (compat_decode(q, &compat_complete_desc, &body, e) != 0 ||
	    check_names(body.object_key, body.upload_id, e) != 0)
		return -1;
	if (body.parts.n == 0)
		return err_set(e, ERR_INVALID, "missing parts");
	if (find(worker, q, body.object_key, body.upload_id, &c.token, e) != 0)
		return -1;
	ask.key = body.object_key;
	ask.upload_id = body.upload_id;
	ask.parts.n = body.parts.n;
	ask.parts.items =
	    arena_array(q->arena, body.parts.n, sizeof *ask.parts.items);
	if (ask.parts.items == NULL)
		return arena_full(q->arena, e);
	for (size_t i = 0; i < body.parts.n; i++) {
		ask.parts.items[i].number = body.parts.items[i].part_number;
		ask.parts.items[i].etag = body.parts.items[i].etag;
	}
	c.write = (struct upload_write){ .key = ask.key, .whole = 1 };
	if (run(&c, e) != 0)
		return err_prefix(e, "failed to complete multipart upload");
	abort_rivals(&c);
	r->status = 204;
	return 0;
}
