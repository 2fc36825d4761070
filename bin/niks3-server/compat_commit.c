/*
 * POST /api/pending_closures/{id}/complete and /api/pushes/{id}/complete: puts in
 * place what the client has staged, reads its narinfos, and then commits as the
 * native API does.
 *
 * Repeating it is harmless: what is in place is not asked for again, and staged
 * objects go only after the commit.
 */
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/map.h"
#include "../../libcommon/db/commit.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/staged.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/objkey.h"
#include "../../proto/bodies.h"
#include "compat.h"

/* A NAR that came in parts is read once more for its FileHash up to this size. */
#define HASH_MAX ((uint64_t)1 << 30)
/* So much is put in place at once: seconds, where S3 is slow. */
#define PLACE_BYTES ((int64_t)64 << 20)

struct job {
	struct server *s;
	struct arena *a;
	const char *token, *owner;
	struct staged_object *missing;
	size_t nmissing;
	/* What was found in its place, or put there. */
	struct upload_write *writes, *repairs;
	size_t nwrites, nrepairs;
	int64_t *forgone;
	size_t nforgone;
	/* NARs that were not staged: perhaps another upload has stored them. */
	struct staged_object **absent;
	size_t nabsent;
	/* Narinfos, and what they say. */
	struct staged_object **narinfos;
	const char **keys;
	size_t nnarinfos;
	struct staged_refs *refs;
	struct upload_object *objects; /* narinfo and NAR of each path */
	struct upload_path *paths;
	size_t npaths;
};

static int
object_missing(const char *key, struct err *e)
{
	return err_set(e, ERR_CONFLICT, "Push object missing: %s", key);
}

static int
load(struct job *j, struct err *e)
{
	struct db *db;
	size_t n;
	int rc;

	if (server_db(j->s, &db, e) != 0)
		return -1;
	rc = staged_missing(db, j->token, j->owner,
	    (int64_t)STAGED_LIFETIME_S * 1000000, j->a, &j->missing,
	    &j->nmissing, e);
	db_put(j->s->pool, db);
	if (rc != 0)
		return -1;
	n = j->nmissing;
	j->writes = arena_array(j->a, n, sizeof *j->writes);
	j->repairs = arena_array(j->a, n, sizeof *j->repairs);
	j->forgone = arena_array(j->a, n, sizeof *j->forgone);
	j->absent = arena_array(j->a, n, sizeof(struct staged_object *));
	j->narinfos = arena_array(j->a, n, sizeof(struct staged_object *));
	j->keys = arena_array(j->a, n, sizeof *j->keys);
	if (j->writes == NULL || j->repairs == NULL || j->forgone == NULL ||
	    j->absent == NULL || j->narinfos == NULL || j->keys == NULL)
		return arena_full(j->a, e);
	for (size_t i = 0; i < n; i++)
		if (j->missing[i].kind == OBJKEY_NARINFO) {
			j->keys[j->nnarinfos] = j->missing[i].key;
			j->narinfos[j->nnarinfos++] = &j->missing[i];
		}
	return 0;
}

/* ---- objects ---- */

static void
found(struct job *j, const struct staged_object *o, uint64_t size,
    const uint8_t *sha256)
{
	struct upload_write *w =
	    o->repair ? &j->repairs[j->nrepairs++] : &j->writes[j->nwrites++];

	*w = (struct upload_write){
		.key = o->key, .size = size, .whole = 1, .unhashed = !sha256
	};
	if (sha256 != NULL)
		memcpy(w->sha256, sha256, sizeof w->sha256);
}

/* Whatever comes next, this need not be done again. */
static int
record(struct job *j, struct err *e)
{
	struct db *db;
	int rc = 0;

	if (j->nwrites + j->nrepairs == 0)
		return 0;
	if (server_db(j->s, &db, e) != 0)
		return -1;
	if (j->nwrites > 0)
		rc = uploads_record(
		    db, j->token, j->owner, j->writes, j->nwrites, e);
	if (rc == 0 && j->nrepairs > 0)
		rc = staged_repaired(
		    db, j->token, j->owner, j->repairs, j->nrepairs, e);
	db_put(j->s->pool, db);
	if (rc == 0)
		j->nwrites = j->nrepairs = 0;
	return rc;
}

/* Only when nothing else is missing: until then its client may still write them. */
static int
forgo(struct job *j, struct err *e)
{
	struct db *db;
	int rc;

	if (j->nforgone == 0)
		return 0;
	if (server_db(j->s, &db, e) != 0)
		return -1;
	rc = staged_forgo(db, j->token, j->owner, j->forgone, j->nforgone, e);
	db_put(j->s->pool, db);
	return rc;
}

/* The right to write them comes first (rule R7): the uploader is going to. */
static int
announce(struct job *j, struct staged_object **of, size_t n, struct err *e)
{
	struct upload_write writes[MSG_STAGED_MAX] = { 0 };
	struct db *db;
	int rc;

	for (size_t i = 0; i < n; i++)
		writes[i].key = of[i]->key;
	if (server_db(j->s, &db, e) != 0)
		return -1;
	rc = uploads_authorize(db, j->token, j->owner, writes, n,
	    COMMIT_LATE_MS * 1000LL, (int64_t)STAGED_LIFETIME_S * 1000000, e);
	db_put(j->s->pool, db);
	return rc;
}

static int
place_batch(struct job *j, struct staged_object **of, size_t n, struct err *e)
{
	struct staged_place ask = { .token = j->token };
	struct staged_placed answer;

	if (n == 0)
		return 0;
	ask.keys.n = n;
	ask.keys.items = arena_array(j->a, n, sizeof *ask.keys.items);
	if (ask.keys.items == NULL)
		return arena_full(j->a, e);
	for (size_t i = 0; i < n; i++)
		ask.keys.items[i] = of[i]->key;
	if (announce(j, of, n, e) != 0 ||
	    ipc_call(j->s->uploader, CALL_staged_place, &ask, j->a, &answer,
	        deadline_in(COMMIT_WRITE_MS), e) != 0)
		return -1;
	if (answer.items.n != n)
		return err_set(
		    e, ERR_INTERNAL, "the uploader left out answers");
	for (size_t i = 0; i < n; i++) {
		const struct place_result *r = &answer.items.items[i];

		if (r->state == PRESENCE_PRESENT)
			found(j, of[i], r->size, r->sha256);
		else if (of[i]->kind == OBJKEY_NAR)
			j->absent[j->nabsent++] = of[i];
		else if (!of[i]->repair)
			/* Its client has only warned of it. */
			j->forgone[j->nforgone++] = of[i]->id;
	}
	return record(j, e);
}

static int
place_all(struct job *j, struct err *e)
{
	struct staged_object *of[MSG_STAGED_MAX];
	int64_t bytes = 0;
	size_t n = 0;

	for (size_t i = 0; i < j->nmissing; i++) {
		struct staged_object *o = &j->missing[i];

		if (o->kind == OBJKEY_NARINFO || o->written)
			continue;
		of[n++] = o;
		bytes += o->nar_size > 0 ? o->nar_size : 0;
		if (n == MSG_STAGED_MAX || bytes > PLACE_BYTES) {
			if (place_batch(j, of, n, e) != 0)
				return -1;
			n = bytes = 0;
		}
	}
	return place_batch(j, of, n, e);
}

static int
look_up(
    struct job *j, const struct staged_object *o, uint64_t size, struct err *e)
{
	struct object_hash ask = { .key = o->key };
	struct object_hashed answer;

	if (size > HASH_MAX) {
		found(j, o, size, NULL);
		return 0;
	}
	if (ipc_call(j->s->uploader, CALL_object_hash, &ask, j->a, &answer,
	        deadline_in(SERVER_COMPLETE_MS), e) != 0)
		return -1;
	found(j, o, answer.size, answer.sha256);
	return 0;
}

/* A NAR that somebody else has stored meanwhile is as good. */
static int
look_for(struct job *j, struct err *e)
{
	for (size_t i = 0; i < j->nabsent; i += MSG_CHECK_MAX) {
		size_t n = j->nabsent - i;
		struct objects_check ask = { 0 };
		struct objects_checked answer;

		ask.keys.n = n < MSG_CHECK_MAX ? n : MSG_CHECK_MAX;
		ask.keys.items =
		    arena_array(j->a, ask.keys.n, sizeof *ask.keys.items);
		if (ask.keys.items == NULL)
			return arena_full(j->a, e);
		for (size_t k = 0; k < ask.keys.n; k++)
			ask.keys.items[k] = j->absent[i + k]->key;
		if (ipc_call(j->s->uploader, CALL_objects_check, &ask, j->a,
		        &answer, deadline_in(SERVER_IPC_MS), e) != 0)
			return -1;
		for (size_t k = 0; k < ask.keys.n; k++) {
			const struct check_result *r = &answer.items.items[k];

			if (answer.items.n != ask.keys.n ||
			    r->state == PRESENCE_UNKNOWN)
				return err_set(e, ERR_UNAVAILABLE,
				    "S3 did not say whether %s is there",
				    ask.keys.items[k]);
			if (r->state == PRESENCE_ABSENT)
				return object_missing(ask.keys.items[k], e);
			if (look_up(j, j->absent[i + k], r->size, e) != 0)
				return -1;
		}
	}
	return 0;
}

/* ---- narinfos ---- */

static int
check_size(struct job *j, const struct upload_path *p, int64_t nar,
    const char *key, struct err *e)
{
	for (size_t i = 0; i < j->nmissing; i++)
		if (j->missing[i].id == nar && j->missing[i].nar_size > 0 &&
		    j->missing[i].nar_size != p->nar_size)
			return err_set(e, ERR_INVALID,
			    "%s: NarSize is %lld, and the upload was begun "
			    "with %lld",
			    key, (long long)p->nar_size,
			    (long long)j->missing[i].nar_size);
	return 0;
}

/* A narinfo that was lost is written at once: it is live, and nobody else's. */
static int
rewrite(struct job *j, const char *key, struct narinfo *info, struct err *e)
{
	struct narinfo_put item = { .key = key };
	struct narinfos_put ask = { .items = { &item, 1 } };
	struct narinfos_written answer;
	struct upload_write *w = &j->repairs[j->nrepairs];
	struct buf text;
	int rc;

	buf_init(&text, NARINFO_MAX);
	rc = narinfo_fmt(info, &text, e);
	item.text.data = text.data;
	item.text.len = text.len;
	if (rc == 0)
		rc = ipc_call(j->s->uploader, CALL_narinfos_put, &ask, j->a,
		    &answer, deadline_in(COMMIT_WRITE_MS), e);
	buf_done(&text);
	if (rc != 0)
		return -1;
	*w = (struct upload_write){
		.key = key, .size = answer.items.items[0].size, .whole = 1
	};
	memcpy(w->sha256, answer.items.items[0].sha256, sizeof w->sha256);
	j->nrepairs++;
	return 0;
}

static int
add_path(struct job *j, size_t i, const struct staged_text *t, struct err *e)
{
	const char *key = j->keys[i];
	struct upload_object *objects = &j->objects[2 * j->npaths];
	struct upload_path *p = &j->paths[j->npaths];
	struct narinfo info;
	size_t nar;

	if (narinfo_parse(
	        (const char *)t->text.data, t->text.len, j->a, &info, e) != 0)
		return err_prefix(e, "%s", key);
	if (strcmp(info.store_dir, j->s->store_dir) != 0)
		return err_set(e, ERR_INVALID,
		    "%s: this cache is for the store %s, not %s", key,
		    j->s->store_dir, info.store_dir);
	*p = (struct upload_path){
		.object = 2 * j->npaths,
		.nar = 2 * j->npaths + 1,
		.base = info.base,
		.nar_hash = info.nar_hash,
		.nar_size = info.nar_size,
		.refs = info.refs,
		.nrefs = info.nrefs,
		.deriver = info.deriver,
		.ca = info.ca,
		.sigs = info.sigs,
		.nsigs = info.nsigs,
	};
	if (compat_check_path(key, &j->refs[i], p, &nar, e) != 0 ||
	    check_size(j, p, j->refs[i].ids[nar], key, e) != 0)
		return -1;
	if (strcmp(info.url, j->refs[i].keys[nar]) != 0)
		return err_set(e, ERR_INVALID, "%s: URL is %s, its NAR is %s",
		    key, info.url, j->refs[i].keys[nar]);
	if (j->narinfos[i]->repair)
		return rewrite(j, key, &info, e);
	objects[0] = (struct upload_object){
		.key = key, .id = j->refs[i].id, .missing = 1
	};
	objects[1] = (struct upload_object){ .key = info.url,
		.id = j->refs[i].ids[nar] };
	j->npaths++;
	return 0;
}

static int
read_narinfos(struct job *j, struct err *e)
{
	size_t n = j->nnarinfos, done;
	struct db *db;
	int rc;

	j->refs = arena_array(j->a, n, sizeof *j->refs);
	j->objects = arena_array(j->a, 2 * n, sizeof *j->objects);
	j->paths = arena_array(j->a, n, sizeof *j->paths);
	if (j->refs == NULL || j->objects == NULL || j->paths == NULL)
		return arena_full(j->a, e);
	if (server_db(j->s, &db, e) != 0)
		return -1;
	rc = staged_refs(db, j->token, j->owner, j->keys, n, j->a, j->refs, e);
	db_put(j->s->pool, db);
	for (size_t i = 0; i < n && rc == 0; i += done) {
		struct staged_read ask = { .token = j->token,
			.keys = { j->keys + i, n - i } };
		struct staged_texts answer;

		if (ask.keys.n > MSG_STAGED_MAX)
			ask.keys.n = MSG_STAGED_MAX;
		if (ipc_call(j->s->uploader, CALL_staged_read, &ask, j->a,
		        &answer, deadline_in(SERVER_IPC_MS), e) != 0)
			return -1;
		done = answer.items.n;
		if (done == 0 || done > ask.keys.n)
			return err_set(
			    e, ERR_INTERNAL, "the uploader left out answers");
		for (size_t k = 0; k < done && rc == 0; k++) {
			const struct staged_text *t = &answer.items.items[k];

			rc = t->state == PRESENCE_PRESENT
			    ? add_path(j, i + k, t, e)
			    : object_missing(j->keys[i + k], e);
		}
	}
	return rc;
}

static int
set_paths(struct job *j, struct err *e)
{
	struct db *db;
	int rc;

	if (server_db(j->s, &db, e) != 0)
		return -1;
	rc = staged_set_paths(
	    db, j->token, j->owner, j->objects, j->paths, j->npaths, e);
	db_put(j->s->pool, db);
	return rc;
}

/* ---- the end ---- */

/* What is left over, the garbage collection deletes. */
static void
unstage(struct job *j)
{
	const char **keys = arena_array(j->a, j->nmissing, sizeof *keys);

	if (keys == NULL)
		return;
	for (size_t i = 0; i < j->nmissing; i++)
		keys[i] = j->missing[i].key;
	for (size_t i = 0; i < j->nmissing; i += MSG_DELETE_MAX) {
		struct staged_delete ask = { .token = j->token,
			.keys = { keys + i, j->nmissing - i } };
		struct err e = ERR_INIT;
		struct done done;

		if (ask.keys.n > MSG_DELETE_MAX)
			ask.keys.n = MSG_DELETE_MAX;
		if (ipc_call(j->s->uploader, CALL_staged_delete, &ask, j->a,
		        &done, deadline_in(SERVER_IPC_MS), &e) != 0) {
			log_err(LOG_LEVEL_NOTICE, "staged objects stay", &e);
			return;
		}
	}
}

static int
commit(struct job *j, struct err *e)
{
	struct api_error_body bad = { 0 };
	struct desc_strs none = { 0 };
	uint64_t narinfos;

	if (load(j, e) != 0 || place_all(j, e) != 0 || look_for(j, e) != 0 ||
	    read_narinfos(j, e) != 0 || record(j, e) != 0 || forgo(j, e) != 0 ||
	    set_paths(j, e) != 0 ||
	    server_commit(
	        j->s, j->token, j->owner, &none, j->a, &bad, &narinfos, e) != 0)
		return -1;
	if (bad.missing.n > 0)
		return object_missing(bad.missing.items[0], e);
	unstage(j);
	return 0;
}

static int
complete(void *worker, const struct http_req *q, struct http_res *r,
    const char *what, struct err *e)
{
	struct job j = { .s = worker, .a = q->arena, .owner = q->who };
	enum staged_state state = STAGED_ENDED;
	struct db *db;
	int64_t id;
	int rc;

	if (compat_id(q, &id, e) != 0 || server_db(j.s, &db, e) != 0)
		return -1;
	rc = staged_find(db, id, q->who, j.a, &j.token, &state, e);
	db_put(j.s->pool, db);
	if (rc != 0 && e->kind != ERR_NOT_FOUND)
		return -1;
	if (state == STAGED_ENDED)
		return err_set(e, ERR_NOT_FOUND, "%s not found", what);
	if (state == STAGED_OPEN && commit(&j, e) != 0)
		return -1;
	r->status = 204;
	return 0;
}

int
handle_compat_closure_complete(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	return complete(worker, q, r, "pending closure", e);
}

int
handle_compat_push_complete(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	return complete(worker, q, r, "push", e);
}
