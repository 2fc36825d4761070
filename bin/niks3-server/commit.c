/*
 * POST /api/v2/uploads/{id}/commit: makes an upload visible, all or nothing.
 *
 *	1. every object is confirmed in the bucket, with its size;
 *	2. the narinfos are made and signed; this upload becomes their only
 *	   writer (rule R9), and they are written in the order of their
 *	   references, so that none appears before all it refers to;
 *	3. one transaction makes everything live.
 *
 * Whatever breaks in between leaves pending rows: the commit can be asked for
 * again, or the upload is rolled back.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/map.h"
#include "../../libcommon/db/commit.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/uploads.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/objkey.h"
#include "../../proto/bodies.h"
#include "metrics.h"
#include "server.h"

#define PUT_BYTES   ((size_t)2 << 20) /* of one message to the uploader */
#define TEXT_MAX    ((size_t)1 << 20) /* of one narinfo */
#define MISSING_MAX 1000              /* keys named in one answer */
/* How long another upload that writes the same narinfos is waited for. */
#define BUSY_MS        15000
#define BUSY_PAUSE_MS  50
#define BUSY_PAUSE_CAP 1000

struct job {
	struct server *s;
	const char *token, *owner;
	struct arena *a;
	struct commit c;
	struct map *by_key;
	deadline_t write; /* when the narinfos must be written */
};

static int
load(struct job *j, struct err *e)
{
	struct db *db;
	int rc;

	if (server_db(j->s, &db, e) != 0)
		return -1;
	rc =
	    commit_load(db, j->token, j->owner, j->s->lease_us, j->a, &j->c, e);
	db_put(j->s->pool, db);
	return rc;
}

/* ---- 1. what must be in the bucket ---- */

/* Objects that the client found there already: the bucket says what they are,
 * not the client. */
static int
record_found(struct job *j, const struct desc_strs *found, struct err *e)
{
	for (size_t i = 0; i < found->n; i++) {
		const char *key = found->items[i];
		struct commit_object *o = map_get(j->by_key, key, strlen(key));
		struct object_hash ask = { .key = key };
		struct object_hashed answer;
		struct upload_write w;
		struct db *db;
		int rc;

		if (o == NULL)
			continue; /* live by now, or never asked for */
		if (ipc_call(j->s->uploader, CALL_object_hash, &ask, j->a,
		        &answer, deadline_in(SERVER_COMPLETE_MS), e) != 0) {
			if (e->kind != ERR_NOT_FOUND)
				return err_prefix(
				    e, "%s was there already", key);
			err_clear(e); /* check_objects will say so */
			continue;
		}
		if (server_db(j->s, &db, e) != 0)
			return -1;
		w = (struct upload_write){
			.key = key, .size = answer.size, .whole = 1
		};
		memcpy(w.sha256, answer.sha256, sizeof w.sha256);
		rc = uploads_record(db, j->token, j->owner, &w, 1, e);
		db_put(j->s->pool, db);
		if (rc != 0)
			return -1;
		o->written = o->hashed = 1;
		o->size = answer.size;
		memcpy(o->sha256, answer.sha256, sizeof o->sha256);
	}
	return 0;
}

static int
check_batch(struct job *j, const struct commit_object *objects, size_t n,
    struct api_error_body *bad, struct err *e)
{
	struct objects_check ask = { 0 };
	struct objects_checked answer;

	ask.keys.n = n;
	ask.keys.items = arena_array(j->a, n, sizeof *ask.keys.items);
	if (ask.keys.items == NULL)
		return arena_full(j->a, e);
	for (size_t i = 0; i < n; i++)
		ask.keys.items[i] = objects[i].key;
	if (ipc_call(j->s->uploader, CALL_objects_check, &ask, j->a, &answer,
	        deadline_in(SERVER_IPC_MS), e) != 0)
		return -1;
	if (answer.items.n != n)
		return err_set(
		    e, ERR_INTERNAL, "the uploader left out answers");
	for (size_t i = 0; i < n; i++) {
		const struct check_result *r = &answer.items.items[i];

		if (r->state == PRESENCE_UNKNOWN)
			return err_set(e, ERR_UNAVAILABLE,
			    "S3 did not say whether %s is there",
			    objects[i].key);
		if (r->state == PRESENCE_PRESENT && objects[i].written &&
		    r->size == (uint64_t)objects[i].size)
			continue;
		if (bad->missing.n < MISSING_MAX)
			bad->missing.items[bad->missing.n++] = objects[i].key;
	}
	return 0;
}

/* Missing keys go into the answer, which is then a CONFLICT. */
static int
check_objects(struct job *j, struct api_error_body *bad, struct err *e)
{
	bad->missing.items =
	    arena_array(j->a, MISSING_MAX, sizeof *bad->missing.items);
	if (bad->missing.items == NULL)
		return arena_full(j->a, e);
	for (size_t i = 0; i < j->c.nobjects; i += MSG_CHECK_MAX) {
		size_t n = j->c.nobjects - i;

		if (n > MSG_CHECK_MAX)
			n = MSG_CHECK_MAX;
		if (check_batch(j, &j->c.objects[i], n, bad, e) != 0)
			return -1;
	}
	return 0;
}

/* ---- 2. narinfos ---- */

static int
narinfo_text(
    struct job *j, const struct commit_path *p, struct buf *out, struct err *e)
{
	struct narinfo info = {
		.store_dir = j->c.store_dir,
		.base = p->base,
		.url = p->nar_key,
		.compression = objkey_compression(p->nar_key),
		.nar_hash = p->nar_hash,
		.nar_size = p->nar_size,
		.refs = p->refs,
		.nrefs = p->nrefs,
		.deriver = p->deriver,
		.sigs = p->sigs,
		.nsigs = p->nsigs,
		.ca = p->ca,
	};

	if (p->has_file) {
		info.has_file = p->hashed;
		memcpy(info.file_hash.sha256, p->file_sha256, HASH_LEN);
		info.file_size = p->file_size;
	} else {
		const struct commit_object *nar =
		    map_get(j->by_key, p->nar_key, strlen(p->nar_key));

		if (nar == NULL || !nar->written)
			return err_set(e, ERR_INTERNAL,
			    "%s: nothing is known of its NAR", p->base);
		info.has_file = nar->hashed;
		memcpy(info.file_hash.sha256, nar->sha256, HASH_LEN);
		info.file_size = nar->size;
	}
	return narinfo_fmt(&info, out, e);
}

/* The right to write the narinfos, or more time for it. */
static int
claim(struct job *j, enum commit_claim *out, struct err *e)
{
	deadline_t write = deadline_in(COMMIT_WRITE_MS);
	struct db *db;
	int rc;

	if (server_db(j->s, &db, e) != 0)
		return -1;
	rc = commit_publish(db, &j->c, out, e);
	db_put(j->s->pool, db);
	if (rc == 0)
		j->write = write;
	return rc;
}

/*
 * Another upload that writes one of our narinfos is waited for: when it has
 * committed, there is less for us to do. *again is set when all is to be loaded
 * anew.
 */
static int
claim_patiently(struct job *j, deadline_t until, int *again, struct err *e)
{
	enum commit_claim c;

	for (unsigned n = 0; claim(j, &c, e) == 0; n++) {
		*again = c == COMMIT_CHANGED;
		if (c != COMMIT_BUSY)
			return 0;
		if (deadline_left(until) == 0)
			return err_set(e, ERR_UNAVAILABLE,
			    "another upload is writing the same narinfos");
		clock_sleep(
		    clock_backoff(n, BUSY_PAUSE_MS, BUSY_PAUSE_CAP), until);
	}
	return -1;
}

/* There is time for another batch. */
static int
keep_claim(struct job *j, struct err *e)
{
	enum commit_claim c;

	if (deadline_left(j->write) > COMMIT_WRITE_MS / 2)
		return 0;
	if (claim(j, &c, e) != 0)
		return -1;
	return c == COMMIT_CLAIMED
	    ? 0
	    : err_set(e, ERR_UNAVAILABLE,
	          "another upload has begun to write our narinfos");
}

static int
put_batch(struct job *j, struct commit_path **paths, size_t n,
    struct narinfo_put *items, struct err *e)
{
	struct narinfos_put ask = { .items = { items, n } };
	struct narinfos_written answer;

	if (n == 0)
		return 0;
	if (keep_claim(j, e) != 0 ||
	    ipc_call(j->s->uploader, CALL_narinfos_put, &ask, j->a, &answer,
	        j->write, e) != 0)
		return -1;
	if (answer.items.n != n)
		return err_set(
		    e, ERR_INTERNAL, "the uploader left out answers");
	for (size_t i = 0; i < n; i++) {
		paths[i]->size = answer.items.items[i].size;
		memcpy(paths[i]->sha256, answer.items.items[i].sha256,
		    sizeof paths[i]->sha256);
		paths[i]->unsure |= answer.items.items[i].unsure;
	}
	return 0;
}

/* Writes one level: paths that refer to nothing that is not written yet. */
static int
put_level(struct job *j, struct commit_path **paths, size_t n, struct err *e)
{
	struct narinfo_put items[MSG_PUT_MAX] = { 0 };
	struct buf text;
	size_t from = 0, bytes = 0;
	int rc = -1;

	buf_init(&text, TEXT_MAX);
	for (size_t i = 0; i < n; i++) {
		struct narinfo_put *item;

		buf_reset(&text);
		if (narinfo_text(j, paths[i], &text, e) != 0)
			goto out;
		if (i - from == MSG_PUT_MAX || bytes + text.len > PUT_BYTES) {
			if (put_batch(j, paths + from, i - from, items, e) != 0)
				goto out;
			from = i;
			bytes = 0;
		}
		item = &items[i - from];
		item->key = paths[i]->key;
		item->text.data = arena_dup(j->a, text.data, text.len);
		item->text.len = text.len;
		if (item->text.data == NULL) {
			arena_full(j->a, e);
			goto out;
		}
		bytes += text.len;
	}
	rc = put_batch(j, paths + from, n - from, items, e);
out:
	buf_done(&text);
	return rc;
}

/* What the ordering keeps of each path to write. */
struct node {
	struct commit_path *path;
	size_t waits;   /* references that are not written yet */
	uint32_t *back; /* positions of those that wait for it */
	size_t nback;
};

static int
by_id(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return (x->path->id > y->path->id) - (x->path->id < y->path->id);
}

static struct node *
node_find(struct node *nodes, size_t n, int64_t id)
{
	struct commit_path path = { .id = id };
	struct node key = { .path = &path };

	return bsearch(&key, nodes, n, sizeof *nodes, by_id);
}

/* Fills waits and back; a path's reference to itself does not count. */
static int
link_nodes(struct job *j, struct node *nodes, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < nodes[i].path->nneeds; k++) {
			struct node *to =
			    node_find(nodes, n, nodes[i].path->needs[k]);
			if (to != NULL && to != &nodes[i])
				to->nback++;
		}
	for (size_t i = 0; i < n; i++) {
		nodes[i].back =
		    arena_array(j->a, nodes[i].nback, sizeof *nodes[i].back);
		if (nodes[i].back == NULL)
			return arena_full(j->a, e);
		nodes[i].nback = 0;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < nodes[i].path->nneeds; k++) {
			struct node *to =
			    node_find(nodes, n, nodes[i].path->needs[k]);
			if (to == NULL || to == &nodes[i])
				continue;
			to->back[to->nback++] = i;
			nodes[i].waits++;
		}
	return 0;
}

/* Level by level, each in parallel. O(n log n + edges). */
static int
put_all(struct job *j, struct err *e)
{
	size_t n = j->c.npaths, done = 0, nready = 0, nnext;
	struct node *nodes = arena_array(j->a, n, sizeof *nodes);
	struct commit_path **level = arena_array(j->a, n, sizeof *level);
	uint32_t *ready = arena_array(j->a, n, sizeof *ready);
	uint32_t *next = arena_array(j->a, n, sizeof *next);

	if (nodes == NULL || level == NULL || ready == NULL || next == NULL)
		return arena_full(j->a, e);
	for (size_t i = 0; i < n; i++)
		nodes[i].path = &j->c.paths[i];
	qsort(nodes, n, sizeof *nodes, by_id);
	if (link_nodes(j, nodes, n, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (nodes[i].waits == 0)
			ready[nready++] = i;
	for (; nready > 0; nready = nnext) {
		uint32_t *swap;

		for (size_t i = 0; i < nready; i++)
			level[i] = nodes[ready[i]].path;
		if (put_level(j, level, nready, e) != 0)
			return -1;
		done += nready;
		nnext = 0;
		for (size_t i = 0; i < nready; i++) {
			const struct node *from = &nodes[ready[i]];

			for (size_t k = 0; k < from->nback; k++)
				if (--nodes[from->back[k]].waits == 0)
					next[nnext++] = from->back[k];
		}
		swap = ready;
		ready = next;
		next = swap;
	}
	if (done < n)
		return err_set(e, ERR_INVALID,
		    "%zu store paths refer to each other in a circle",
		    n - done);
	return 0;
}

/* ---- 3. the transaction ---- */

static int
finish(struct job *j, struct api_error_body *bad, struct err *e)
{
	struct db *db;
	int rc;

	if (server_db(j->s, &db, e) != 0)
		return -1;
	rc = commit_finish(
	    db, &j->c, j->a, &bad->missing.items, &bad->missing.n, e);
	db_put(j->s->pool, db);
	return rc;
}

static void
committed(struct job *j)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < j->c.nobjects; i++)
		if (j->c.objects[i].written)
			bytes += j->c.objects[i].size;
	for (size_t i = 0; i < j->c.npaths; i++)
		bytes += j->c.paths[i].size;
	metrics_upload(j->s, METRICS_COMMITTED);
	metrics_bytes(j->s, METRICS_STORED, bytes);
	log_info("upload committed", LOG_U("narinfos", j->c.npaths),
	    LOG_U("objects", j->c.nobjects));
}

static int
answer_missing(struct http_res *r, struct api_error_body *bad, struct err *e)
{
	struct api_error body = { .error = *bad };

	body.error.kind = err_name(ERR_CONFLICT);
	body.error.message = "objects of this upload are not in the bucket";
	body.error.hint = "push again";
	return server_encode(r, 409, &api_error_desc, &body, e);
}

/* Steps 1 and 2 up to the claim. */
static int
prepare(struct job *j, const struct desc_strs *found,
    struct api_error_body *bad, struct err *e)
{
	deadline_t until = deadline_in(BUSY_MS);
	int again;

	do {
		if (load(j, e) != 0)
			return -1;
		if (j->c.already)
			return 0;
		map_free(j->by_key);
		j->by_key = map_new(j->c.nobjects);
		for (size_t i = 0; i < j->c.nobjects; i++)
			map_put(j->by_key, j->c.objects[i].key,
			    strlen(j->c.objects[i].key), &j->c.objects[i]);
		if (record_found(j, found, e) != 0 ||
		    check_objects(j, bad, e) != 0)
			return -1;
		if (bad->missing.n > 0)
			return 0;
		if (server_sign(j->s, j->a, j->c.store_dir, j->c.paths,
		        j->c.npaths, e) != 0 ||
		    claim_patiently(j, until, &again, e) != 0)
			return -1;
	} while (again);
	return 0;
}

int
server_commit(struct server *s, const char *token, const char *owner,
    const struct desc_strs *found, struct arena *a, struct api_error_body *bad,
    uint64_t *narinfos, struct err *e)
{
	struct job j = { .s = s, .token = token, .owner = owner, .a = a };
	int rc = -1;

	if (prepare(&j, found, bad, e) != 0)
		goto out;
	if (!j.c.already && bad->missing.n == 0) {
		if (put_all(&j, e) != 0)
			goto out;
		if (finish(&j, bad, e) != 0 && bad->missing.n == 0)
			goto out;
		if (bad->missing.n == 0)
			committed(&j);
	}
	err_clear(e);
	*narinfos = j.c.narinfos;
	rc = 0;
out:
	map_free(j.by_key);
	return rc;
}

int
handle_commit(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct commit_request body = { 0 };
	struct commit_reply reply = { 0 };
	struct api_error_body bad = { 0 };

	if (q->body_len > 0 &&
	    server_decode(q, &commit_request_desc, &body, e) != 0)
		return -1;
	if (server_commit(worker, q->params[0], q->who, &body.found, q->arena,
	        &bad, &reply.narinfos, e) != 0)
		return -1;
	if (bad.missing.n > 0)
		return answer_missing(r, &bad, e);
	return server_encode(r, 200, &commit_reply_desc, &reply, e);
}
