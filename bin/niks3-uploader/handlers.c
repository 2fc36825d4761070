#include "handlers.h"

#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/ipc/ipc_daemon.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/storepath.h"
#include "../../libcommon/s3/s3.h"
#include "digest.h"
#include "fan.h"

void *
handlers_worker_new(void *ctx)
{
	struct worker *w = xcalloc(1, sizeof *w);

	w->u = ctx;
	w->conn = s3_conn_new(w->u->s3);
	return w;
}

void
handlers_worker_free(void *worker)
{
	struct worker *w = worker;

	s3_conn_free(w->conn);
	zstream_free(w->z);
	free(w);
}

/* ---- authorisations: no network ---- */

static int
authorize_item(struct s3 *s3, const struct authorize_item *q,
    int64_t lifetime_s, int64_t *granted_s, struct authorized_item *r,
    struct arena *a, struct err *e)
{
	enum objkey_kind kind;
	const char *headers[S3_AUTHORIZE_HEADERS_MAX];
	size_t n;
	int part = q->upload_id != NULL;

	if (objkey_parse(q->key, strlen(q->key), &kind, e) != 0)
		return -1;
	if (kind == OBJKEY_NARINFO)
		return err_set(e, ERR_FORBIDDEN,
		    "%s: narinfos are written by the server only", q->key);
	if (part != (q->part > 0))
		return err_set(e, ERR_INVALID,
		    "%s: a part needs a number and a multipart upload", q->key);
	/* Content headers of a multipart object were given at its start. */
	if (s3_authorize_put(s3,
	        &(struct s3_authorize){
	            .key = q->key,
	            .size = q->size,
	            .sha256 = q->sha256,
	            .content_type = part ? NULL : objkey_content_type(kind),
	            .content_encoding =
	                part ? NULL : objkey_content_encoding(kind),
	            .if_none_match = q->create && !part,
	            .upload_id = q->upload_id,
	            .part = q->part,
	            .lifetime_s = lifetime_s,
	            .granted_s = granted_s,
	        },
	        a, &r->url, headers, &n, e) != 0)
		return -1;
	r->headers.items = arena_dup(a, headers, n * sizeof headers[0]);
	r->headers.n = n;
	return r->headers.items != NULL ? 0 : arena_full(a, e);
}

static int
handle_put_authorize(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct put_authorize *q = request;
	struct put_authorized *r = reply;

	(void)d;
	r->items.items = arena_array(a, q->items.n, sizeof *r->items.items);
	if (r->items.items == NULL)
		return arena_full(a, e);
	r->items.n = q->items.n;
	r->lifetime_s = q->lifetime_s;
	for (size_t i = 0; i < q->items.n; i++) {
		int64_t granted_s;

		if (authorize_item(w->u->s3, &q->items.items[i], q->lifetime_s,
		        &granted_s, &r->items.items[i], a, e) != 0)
			return -1;
		if (granted_s < r->lifetime_s)
			r->lifetime_s = granted_s;
	}
	return 0;
}

/* ---- multipart uploads ---- */

static int
handle_mpu_create(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct mpu_create *q = request;
	struct mpu_created *r = reply;
	enum objkey_kind kind;

	if (objkey_parse(q->key, strlen(q->key), &kind, e) != 0)
		return -1;
	if (kind != OBJKEY_NAR)
		return err_set(e, ERR_INVALID,
		    "%s: only NARs are uploaded in parts", q->key);
	return s3_mpu_create(
	    w->conn, q->key, objkey_content_type(kind), a, &r->upload_id, d, e);
}

static int
handle_mpu_abort(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct mpu_abort *q = request;

	(void)reply;
	(void)a;
	return s3_mpu_abort(w->conn, q->key, q->upload_id, d, e);
}

/*
 * Leaves an object that is there already alone: its FileHash may stand in a
 * narinfo. The caller lets no two completions of a key run at once.
 */
static int
handle_mpu_complete(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct mpu_complete *q = request;
	struct mpu_completed *r = reply;
	struct s3_part *parts;
	struct s3_stat stat;
	struct err lost;

	if (s3_head(w->conn, q->key, d, &stat, e) == 0) {
		r->existed = 1;
		r->size = stat.size;
		return s3_mpu_abort(w->conn, q->key, q->upload_id, d, e);
	}
	if (e->kind != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	if ((parts = arena_array(a, q->parts.n, sizeof *parts)) == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < q->parts.n; i++)
		parts[i] = (struct s3_part){
			.number = q->parts.items[i].number,
			.etag = q->parts.items[i].etag,
		};
	if (s3_mpu_complete(w->conn, q->key, q->upload_id, parts, q->parts.n, d,
	        &lost) != 0 &&
	    !err_retryable(lost.kind) && lost.kind != ERR_NOT_FOUND) {
		*e = lost;
		return -1;
	}
	/* Done, or done by a try whose answer was lost: the bucket knows. */
	if (s3_head(w->conn, q->key, d, &stat, e) != 0)
		return err_prefix(e, "after completing the parts");
	r->size = stat.size;
	return 0;
}

static int
handle_mpu_list(void *worker, const void *request, void *reply, struct arena *a,
    deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct mpu_list *q = request;
	struct mpu_listed *r = reply;
	struct s3_mpu_list list;

	if (s3_mpu_list(w->conn, q->key_marker, q->id_marker, a, &list, d, e) !=
	    0)
		return -1;
	r->items.items = arena_array(a, list.n, sizeof *r->items.items);
	if (r->items.items == NULL)
		return arena_full(a, e);
	r->items.n = list.n;
	for (size_t i = 0; i < list.n; i++)
		r->items.items[i] = (struct listed_mpu){
			.key = list.items[i].key,
			.upload_id = list.items[i].upload_id,
			.initiated_s = list.items[i].initiated_s,
		};
	r->next_key = list.next_key;
	r->next_id = list.next_id;
	return 0;
}

/* ---- objects ---- */

struct check {
	const struct objects_check *q;
	struct check_result *results;
	struct arena *a;
	deadline_t d;
};

static void
check_one(struct s3_conn *conn, void *ctx, size_t i)
{
	struct check *k = ctx;
	struct check_result *r = &k->results[i];
	struct s3_stat stat;
	struct err e = ERR_INIT;

	if (s3_head(conn, k->q->keys.items[i], k->d, &stat, &e) == 0) {
		r->state = PRESENCE_PRESENT;
		r->size = stat.size;
	} else if (e.kind == ERR_NOT_FOUND) {
		r->state = PRESENCE_ABSENT;
	} else {
		r->state = PRESENCE_UNKNOWN;
	}
}

static int
handle_objects_check(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	struct objects_checked *r = reply;
	struct check k = { .q = request, .a = a, .d = d };

	k.results = arena_array(a, k.q->keys.n, sizeof *k.results);
	if (k.results == NULL)
		return arena_full(a, e);
	fan_run(w->u->fan, k.q->keys.n, check_one, &k);
	r->items.items = k.results;
	r->items.n = k.q->keys.n;
	return 0;
}

struct put {
	const struct narinfos_put *q;
	struct narinfo_written *written;
	struct buf *packed;
	struct err *errors;
	deadline_t d;
};

/* Compressed here, with one compressor, and not by the threads of the fan: to
 * set one up costs more than a narinfo does. */
static int
pack_narinfo(struct worker *w, const struct narinfo_put *q, struct buf *packed,
    struct narinfo_written *r, struct err *e)
{
	enum objkey_kind kind;

	buf_init(packed, MSG_OBJECT_MAX + 1024);
	if (objkey_parse(q->key, strlen(q->key), &kind, e) != 0)
		return -1;
	if (kind != OBJKEY_NARINFO)
		return err_set(e, ERR_FORBIDDEN, "%s: not a narinfo", q->key);
	if (zstream_pack(w->z, q->text.data, q->text.len, packed, e) != 0)
		return -1;
	r->size = packed->len;
	sha256(packed->data, packed->len, r->sha256);
	return 0;
}

static void
put_one(struct s3_conn *conn, void *ctx, size_t i)
{
	struct put *p = ctx;
	int unsure = 0;

	s3_put(conn,
	    &(struct s3_put){
	        .key = p->q->items.items[i].key,
	        .data = p->packed[i].data,
	        .len = p->packed[i].len,
	        .content_type = objkey_content_type(OBJKEY_NARINFO),
	        .content_encoding = objkey_content_encoding(OBJKEY_NARINFO),
	        .unsure = &unsure,
	    },
	    p->d, &p->errors[i]);
	p->written[i].unsure = unsure;
}

static int
handle_narinfos_put(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	struct narinfos_written *r = reply;
	struct put p = { .q = request, .d = d };
	size_t n = p.q->items.n, i;
	int rc = -1;

	r->items.items = arena_array(a, n, sizeof *r->items.items);
	p.packed = arena_array(a, n, sizeof *p.packed);
	p.errors = arena_array(a, n, sizeof *p.errors);
	if (r->items.items == NULL || p.packed == NULL || p.errors == NULL)
		return arena_full(a, e);
	p.written = r->items.items;
	if (w->z == NULL)
		w->z = zstream_new(ZSTREAM_LEVEL, 0);
	for (i = 0; i < n; i++)
		if (pack_narinfo(w, &p.q->items.items[i], &p.packed[i],
		        &r->items.items[i], e) != 0)
			goto out;
	fan_run(w->u->fan, n, put_one, &p);
	for (i = 0; i < n; i++)
		if (p.errors[i].kind != ERR_NONE) {
			*e = p.errors[i];
			err_prefix(e, "write %s", p.q->items.items[i].key);
			goto out;
		}
	r->items.n = n;
	rc = 0;
out:
	/* Those that were not reached are empty: the arena gives zeros. */
	for (i = 0; i < n; i++)
		buf_done(&p.packed[i]);
	return rc;
}

static int
handle_object_hash(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct object_hash *q = request;
	struct object_hashed *r = reply;

	(void)a;
	return digest_object(w->conn, q->key, &r->size, r->sha256, d, e);
}

static int
pin_key(struct arena *a, const char *name, const char **out, struct err *e)
{
	if (objkey_check_pin(name, e) != 0)
		return -1;
	*out = arena_printf(a, "pins/%s", name);
	return *out != NULL ? 0 : arena_full(a, e);
}

static int
handle_pin_put(void *worker, const void *request, void *reply, struct arena *a,
    deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct pin_put *q = request;
	struct pin_written *r = reply;
	const char *key;

	if (pin_key(a, q->name, &key, e) != 0)
		return -1;
	return s3_put(w->conn,
	    &(struct s3_put){
	        .key = key,
	        .data = q->store_path,
	        .len = strlen(q->store_path),
	        .content_type = "text/plain",
	        .unsure = &r->unsure,
	    },
	    d, e);
}

static int
handle_pin_delete(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct pin_delete *q = request;
	struct s3_delete_result result;
	const char *key;

	(void)reply;
	if (pin_key(a, q->name, &key, e) != 0 ||
	    s3_delete(w->conn, &key, 1, a, &result, d, e) != 0)
		return -1;
	if (result.state == S3_DELETED)
		return 0;
	return err_set(e,
	    result.state == S3_DELETE_REFUSED ? ERR_FORBIDDEN : ERR_UNAVAILABLE,
	    "delete %s: %s", key, result.message);
}

/* ---- for the garbage collection only ---- */

static int
handle_objects_delete(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	static const enum presence left[] = {
		[S3_DELETED] = PRESENCE_ABSENT,
		[S3_DELETE_REFUSED] = PRESENCE_PRESENT,
		[S3_DELETE_UNKNOWN] = PRESENCE_UNKNOWN,
	};
	struct worker *w = worker;
	const struct objects_delete *q = request;
	struct objects_deleted *r = reply;
	struct s3_delete_result *results;
	size_t n = q->keys.n;

	for (size_t i = 0; i < n; i++) {
		enum objkey_kind kind;
		const char *key = q->keys.items[i];

		if (objkey_parse(key, strlen(key), &kind, e) != 0)
			return -1;
	}
	results = arena_array(a, n, sizeof *results);
	r->items.items = arena_array(a, n, sizeof *r->items.items);
	if (results == NULL || r->items.items == NULL)
		return arena_full(a, e);
	if (s3_delete(w->conn, q->keys.items, n, a, results, d, e) != 0)
		return -1;
	r->items.n = n;
	for (size_t i = 0; i < n; i++) {
		r->items.items[i].state = left[results[i].state];
		r->items.items[i].message = results[i].message;
	}
	return 0;
}

static int
handle_objects_list(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct objects_list *q = request;
	struct objects_listed *r = reply;
	struct s3_list list;

	if (s3_list(w->conn, q->prefix, q->token, 1000, a, &list, d, e) != 0)
		return -1;
	r->items.items = arena_array(a, list.n, sizeof *r->items.items);
	if (r->items.items == NULL)
		return arena_full(a, e);
	r->items.n = list.n;
	for (size_t i = 0; i < list.n; i++)
		r->items.items[i] = (struct listed_object){
			.key = list.items[i].key,
			.size = list.items[i].size,
			.modified_s = list.items[i].modified_s,
		};
	r->next = list.next;
	return 0;
}

ipc_handler *const handlers[CALL__MAX] = {
	[CALL_ping] = ipc_daemon_ping,
	[CALL_put_authorize] = handle_put_authorize,
	[CALL_mpu_create] = handle_mpu_create,
	[CALL_mpu_abort] = handle_mpu_abort,
	[CALL_mpu_complete] = handle_mpu_complete,
	[CALL_objects_check] = handle_objects_check,
	[CALL_narinfos_put] = handle_narinfos_put,
	[CALL_object_hash] = handle_object_hash,
	[CALL_pin_put] = handle_pin_put,
	[CALL_pin_delete] = handle_pin_delete,
	[CALL_puts_presign] = handle_puts_presign,
	[CALL_staged_place] = handle_staged_place,
	[CALL_staged_read] = handle_staged_read,
	[CALL_staged_delete] = handle_staged_delete,
	[CALL_get_authorize] = handle_get_authorize,
	[CALL_page_put] = handle_page_put,
	[CALL_narinfos_get] = handle_narinfos_get,
	[CALL_objects_delete] = handle_objects_delete,
	[CALL_objects_list] = handle_objects_list,
	[CALL_mpu_list] = handle_mpu_list,
	[CALL_bucket_probe] = handle_bucket_probe,
};
