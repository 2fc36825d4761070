/* Uploads that ran out, and what they left in S3: multipart uploads, and what was
 * staged. */
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/db/expire.h"
#include "../../libcommon/db/staged.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/objkey.h"
#include "gc.h"

#define LIST_MEMORY ((size_t)16 << 20)

static int
abort_one(struct gc *g, struct arena *a, const char *key, const char *id,
    struct err *e)
{
	struct mpu_abort ask = { .key = key, .upload_id = id };
	struct done done;

	return ipc_call(g->uploader, CALL_mpu_abort, &ask, a, &done,
	    deadline_in(GC_IPC_MS), e);
}

/* Those that ended uploads left. */
static int
abort_ended(struct gc *g, struct arena *a, struct err *e)
{
	struct expire_multipart *parts;
	size_t n;

	if (expire_multiparts(g->db, a, &parts, &n, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (gc_check(g, e) != 0)
			return -1;
		/* One that S3 was never heard to have begun is looked for in
		 * the bucket's own list. */
		if (parts[i].s3_id != NULL &&
		    abort_one(g, a, parts[i].key, parts[i].s3_id, e) != 0)
			return -1;
		if (expire_multipart_done(g->db, parts[i].id, e) != 0)
			return -1;
	}
	return 0;
}

/* The uploader is trying out what it may do, or did so a moment ago. */
static int
under_way(const char *key, int64_t since_s)
{
	return objkey_is_probe(key) &&
	    clock_wall_us() / 1000000 - since_s < OBJKEY_PROBE_S;
}

/* Those in the bucket that nobody knows: S3's answer was lost. */
static int
abort_unknown(struct gc *g, struct err *e)
{
	struct arena *a = arena_new(LIST_MEMORY);
	struct mpu_list ask = { 0 };
	struct mpu_listed list;
	char *key = NULL, *id = NULL;
	int orphan, rc = -1;

	do {
		arena_reset(a);
		ask.key_marker = key;
		ask.id_marker = id;
		if (gc_check(g, e) != 0 ||
		    ipc_call(g->uploader, CALL_mpu_list, &ask, a, &list,
		        deadline_in(GC_IPC_MS), e) != 0)
			goto out;
		for (size_t i = 0; i < list.items.n; i++) {
			const struct listed_mpu *m = &list.items.items[i];

			if (gc_check(g, e) != 0 ||
			    expire_multipart_orphan(
			        g->db, m->key, m->upload_id, &orphan, e) != 0)
				goto out;
			if (!orphan || under_way(m->key, m->initiated_s))
				continue;
			if (abort_one(g, a, m->key, m->upload_id, e) != 0)
				goto out;
			log_info("orphaned multipart upload aborted",
			    LOG_S("key", m->key));
		}
		free(key);
		free(id);
		key = list.next_key != NULL ? xstrdup(list.next_key) : NULL;
		id = list.next_id != NULL ? xstrdup(list.next_id) : NULL;
	} while (key != NULL);
	rc = 0;
out:
	free(key);
	free(id);
	arena_free(a);
	return rc;
}

/* ---- what clients of the compatible API staged ---- */

static int
delete_staged(struct gc *g, struct arena *a, const char *token,
    const char **keys, size_t n, struct err *e)
{
	struct staged_delete ask = { .token = token, .keys = { keys, n } };
	struct done done;
	int over;

	if (n == 0)
		return 0;
	if (gc_check(g, e) != 0 || staged_over(g->db, token, &over, e) != 0)
		return -1;
	return over ? ipc_call(g->uploader, CALL_staged_delete, &ask, a, &done,
	                  deadline_in(GC_IPC_MS), e)
	            : 0;
}

/* One page of the bucket's list; those of one upload stand together. */
static int
delete_page(struct gc *g, struct arena *a, const struct objects_listed *list,
    struct err *e)
{
	char token[OBJKEY_TOKEN_MAX + 1] = "", next[OBJKEY_TOKEN_MAX + 1];
	const char **keys =
	    arena_array(a, list->items.n + 1, sizeof(const char *));
	size_t n = 0;

	if (keys == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < list->items.n; i++) {
		const struct listed_object *o = &list->items.items[i];
		const char *key;

		if (objkey_parse_staged(o->key, next, &key, NULL) != 0) {
			log_warn("no key of ours", LOG_S("key", o->key));
			continue;
		}
		if (under_way(o->key, o->modified_s))
			continue;
		if (strcmp(token, next) != 0) {
			if (delete_staged(g, a, token, keys, n, e) != 0)
				return -1;
			memcpy(token, next, sizeof token);
			n = 0;
		}
		keys[n++] = key;
	}
	return delete_staged(g, a, token, keys, n, e);
}

static int
unstage(struct gc *g, struct err *e)
{
	struct objects_list ask = { .prefix = OBJKEY_STAGING };
	struct arena *a = arena_new(LIST_MEMORY);
	struct objects_listed list;
	char *token = NULL;
	int rc;

	do {
		arena_reset(a);
		ask.token = token;
		rc = gc_check(g, e);
		if (rc == 0)
			rc = ipc_call(g->uploader, CALL_objects_list, &ask, a,
			    &list, deadline_in(GC_IPC_MS), e);
		free(token);
		token =
		    rc == 0 && list.next != NULL ? xstrdup(list.next) : NULL;
		if (rc == 0)
			rc = delete_page(g, a, &list, e);
	} while (rc == 0 && token != NULL);
	free(token);
	arena_free(a);
	return rc;
}

/* ---- ending ---- */

int
uploads_abort_parts(struct gc *g, int all, struct err *e)
{
	struct arena *a = arena_new(LIST_MEMORY);
	int rc = abort_ended(g, a, e);

	arena_free(a);
	if (rc == 0 && all)
		rc = abort_unknown(g, e);
	return rc;
}

int
uploads_expire(struct gc *g, struct gcrun *r, struct err *e)
{
	unsigned tries = 0;
	uint64_t n;
	int rc;

	do {
		n = 0;
		err_clear(e);
		rc = gc_check(g, e);
		if (rc == 0)
			rc = expire_uploads(g->db,
			    r->params.pending_older_than_us, r->id, &n, e);
		if (rc == 0)
			tries = 0;
	} while (rc == 0 ? n > 0 : gc_again(&tries, e));
	if (rc != 0 || uploads_abort_parts(g, 1, e) != 0)
		return -1;
	return unstage(g, e);
}
