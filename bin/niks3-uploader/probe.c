/*
 * What we are allowed in the bucket, and whether the server does what niks3 builds
 * on: tried out on objects of our own, for niks3 doctor. Nothing of the cache is
 * touched, and what is tried goes on after a failure.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/codec/base64.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/s3/s3.h"
#include "handlers.h"

#define STEP_MS    5000
#define TOKEN_RAND 16 /* bytes */
#define TEXT       "niks3 doctor was here\n"
#define TEXT_LEN   (sizeof TEXT - 1)

enum key {
	KEY_PUT,
	KEY_COPY,
	KEY_CREATE,
	KEY_PARTS,
	KEY_ABSENT, /* never written */
	KEY__MAX
};

/* Of kinds that may be staged, so that a collection knows them. */
static const char *const key_names[KEY__MAX] = {
	[KEY_PUT] = "00000000000000000000000000000000.ls",
	[KEY_COPY] = "11111111111111111111111111111111.ls",
	[KEY_CREATE] =
	    "nar/0000000000000000000000000000000000000000000000000000.nar",
	[KEY_PARTS] =
	    "nar/0000000000000000000000000000000000000000000000000000.nar.zst",
	[KEY_ABSENT] = "22222222222222222222222222222222.ls",
};

struct probe {
	struct s3_conn *conn;
	struct arena *a;
	const char *prefix; /* "staging/probe…/" */
	const char *keys[KEY__MAX];
};

/* ---- steps ---- */

static int
try_bucket(struct probe *p, deadline_t d, struct err *e)
{
	return s3_bucket_check(p->conn, d, e);
}

static struct s3_put
object(const struct probe *p, enum key key)
{
	return (struct s3_put){ .key = p->keys[key],
		.data = TEXT,
		.len = TEXT_LEN,
		.content_type = "text/plain" };
}

static int
try_put(struct probe *p, deadline_t d, struct err *e)
{
	struct s3_put put = object(p, KEY_PUT);

	return s3_put(p->conn, &put, d, e);
}

static int
try_get(struct probe *p, deadline_t d, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, 2 * TEXT_LEN);
	rc = s3_get(p->conn, p->keys[KEY_PUT], 0, 0, &text, NULL, NULL, d, e);
	if (rc == 0 &&
	    (text.len != TEXT_LEN || memcmp(text.data, TEXT, TEXT_LEN) != 0))
		rc = err_set(
		    e, ERR_CORRUPT, "other bytes are read than were written");
	buf_done(&text);
	return rc;
}

static int
has_size(struct probe *p, enum key key, deadline_t d, struct err *e)
{
	struct s3_stat stat;

	if (s3_head(p->conn, p->keys[key], d, &stat, e) != 0)
		return -1;
	if (stat.size == TEXT_LEN)
		return 0;
	return err_set(e, ERR_CORRUPT,
	    "HEAD tells %llu bytes of an object that has %zu",
	    (unsigned long long)stat.size, TEXT_LEN);
}

static int
try_head(struct probe *p, deadline_t d, struct err *e)
{
	return has_size(p, KEY_PUT, d, e);
}

/* What is not there must be told from what we may not see. */
static int
try_absent(struct probe *p, deadline_t d, struct err *e)
{
	struct s3_stat stat;

	if (s3_head(p->conn, p->keys[KEY_ABSENT], d, &stat, e) == 0)
		return err_set(
		    e, ERR_CORRUPT, "HEAD finds an object that is not there");
	if (e->kind != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	return 0;
}

static int
try_create(struct probe *p, deadline_t d, struct err *e)
{
	struct s3_put put = object(p, KEY_CREATE);

	put.if_none_match = 1;
	if (s3_put(p->conn, &put, d, e) != 0)
		return -1;
	return s3_create_check(p->conn, &put, d, e);
}

static int
try_copy(struct probe *p, deadline_t d, struct err *e)
{
	return s3_copy(p->conn, p->keys[KEY_PUT], p->keys[KEY_COPY], d, NULL,
	           e) != 0
	    ? -1
	    : has_size(p, KEY_COPY, d, e);
}

static int
try_list(struct probe *p, deadline_t d, struct err *e)
{
	struct s3_list list;

	if (s3_list(p->conn, p->prefix, NULL, S3_DELETE_MAX, p->a, &list, d,
	        e) != 0)
		return -1;
	for (size_t i = 0; i < list.n; i++)
		if (strcmp(list.items[i].key, p->keys[KEY_PUT]) == 0)
			return 0;
	return err_set(
	    e, ERR_CORRUPT, "an object that was written is not listed");
}

static int
try_multipart(struct probe *p, deadline_t d, struct err *e)
{
	const char *key = p->keys[KEY_PARTS], *id;
	char etag[256];
	struct s3_part part = { .number = 1, .etag = etag };

	if (s3_mpu_create(p->conn, key, "text/plain", p->a, &id, d, e) != 0)
		return -1;
	if (s3_mpu_put_part(p->conn, key, id, 1, TEXT, TEXT_LEN, etag, d, e) !=
	        0 ||
	    s3_mpu_complete(p->conn, key, id, &part, 1, d, e) != 0) {
		s3_mpu_abort(p->conn, key, id, d, NULL);
		return -1;
	}
	return has_size(p, KEY_PARTS, d, e);
}

static int
try_abort(struct probe *p, deadline_t d, struct err *e)
{
	const char *key = p->keys[KEY_PARTS], *id;

	return s3_mpu_create(p->conn, key, "text/plain", p->a, &id, d, e) !=
	            0 ||
	        s3_mpu_abort(p->conn, key, id, d, e) != 0
	    ? -1
	    : 0;
}

static int
try_mpu_list(struct probe *p, deadline_t d, struct err *e)
{
	struct s3_mpu_list list;

	return s3_mpu_list(p->conn, NULL, NULL, p->a, &list, d, e);
}

/* Also what is not there: whatever the steps before it managed to write. */
static int
try_delete(struct probe *p, deadline_t d, struct err *e)
{
	struct s3_delete_result results[KEY__MAX];

	if (s3_delete(p->conn, p->keys, KEY__MAX, p->a, results, d, e) != 0)
		return -1;
	for (size_t i = 0; i < KEY__MAX; i++)
		if (results[i].state != S3_DELETED)
			return err_set(e,
			    results[i].state == S3_DELETE_REFUSED
			        ? ERR_FORBIDDEN
			        : ERR_UNAVAILABLE,
			    "delete %s: %s", p->keys[i], results[i].message);
	return 0;
}

/* ---- all of them ---- */

enum step_name {
	STEP_BUCKET,
	STEP_PUT,
	STEP_GET,
	STEP_HEAD,
	STEP_ABSENT,
	STEP_CREATE,
	STEP_COPY,
	STEP_LIST,
	STEP_MULTIPART,
	STEP_ABORT,
	STEP_MPU_LIST,
	STEP_DELETE,
	STEP__MAX
};
_Static_assert(STEP__MAX <= MSG_PROBES_MAX, "more steps than a message holds");

/* rights: as AWS's policies name them. Multipart uploads go by PutObject. */
static const struct step {
	const char *name;
	int (*run)(struct probe *p, deadline_t d, struct err *e);
	const char *rights;
	int needs_object; /* the one that STEP_PUT writes */
} steps[STEP__MAX] = {
	[STEP_BUCKET] = { "reach", try_bucket, "s3:ListBucket", 0 },
	[STEP_PUT] = { "put", try_put, "s3:PutObject", 0 },
	[STEP_GET] = { "get", try_get, "s3:GetObject", 1 },
	[STEP_HEAD] = { "head", try_head, "s3:GetObject", 1 },
	[STEP_ABSENT] = { "absent", try_absent,
	    "s3:ListBucket, without which S3 does not say what is missing", 0 },
	[STEP_CREATE] = { "create-only", try_create, "s3:PutObject", 0 },
	[STEP_COPY] = { "copy", try_copy, "s3:GetObject and s3:PutObject", 1 },
	[STEP_LIST] = { "list", try_list, "s3:ListBucket", 1 },
	[STEP_MULTIPART] = { "multipart", try_multipart,
	    "s3:PutObject and s3:GetObject", 0 },
	[STEP_ABORT] = { "multipart-abort", try_abort,
	    "s3:PutObject and s3:AbortMultipartUpload", 0 },
	[STEP_MPU_LIST] = { "multipart-list", try_mpu_list,
	    "s3:ListBucketMultipartUploads", 0 },
	[STEP_DELETE] = { "delete", try_delete, "s3:DeleteObject", 0 },
};

static int
take(struct probe *p, const struct step *step, struct probe_result *r,
    deadline_t d, struct err *e)
{
	struct err why = ERR_INIT;

	if (step->run(p, deadline_min(d, deadline_in(STEP_MS)), &why) == 0)
		return 0;
	if (why.kind == ERR_FORBIDDEN)
		err_hint(&why, "allow the uploader %s", step->rights);
	r->kind = arena_str(p->a, err_name(why.kind));
	r->message = arena_str(p->a, why.msg);
	r->hint = arena_str(p->a, why.hint);
	if (r->kind == NULL || r->message == NULL || r->hint == NULL)
		return arena_full(p->a, e);
	return 0;
}

static int
name_keys(struct probe *p, struct err *e)
{
	uint8_t random[TOKEN_RAND];
	char hex[2 * TOKEN_RAND + 1], staged[OBJKEY_TEXT_MAX];
	const char *token;

	secret_random(random, sizeof random);
	hex_fmt(hex, random, sizeof random);
	if ((token = arena_printf(p->a, OBJKEY_PROBE "%s", hex)) == NULL)
		return arena_full(p->a, e);
	p->prefix = arena_printf(p->a, OBJKEY_STAGING "%s/", token);
	for (size_t i = 0; i < KEY__MAX; i++) {
		if (objkey_fmt_staged(staged, token, key_names[i], e) != 0)
			return -1;
		if ((p->keys[i] = arena_str(p->a, staged)) == NULL)
			return arena_full(p->a, e);
	}
	return p->prefix != NULL ? 0 : arena_full(p->a, e);
}

int
handle_bucket_probe(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	struct bucket_probed *r = reply;
	struct probe p = { .conn = w->conn, .a = a };
	int away = 0, object_there = 0;

	(void)request;
	r->items.items = arena_array(a, STEP__MAX, sizeof *r->items.items);
	if (r->items.items == NULL)
		return arena_full(a, e);
	if (name_keys(&p, e) != 0)
		return -1;
	r->has_clock = s3_clock(p.conn, deadline_min(d, deadline_in(STEP_MS)),
	                   &r->ahead_s, NULL) == 0;
	for (size_t i = 0; i < STEP__MAX; i++) {
		struct probe_result *it = &r->items.items[r->items.n++];

		it->name = steps[i].name;
		it->skipped = away || (steps[i].needs_object && !object_there);
		if (it->skipped)
			continue;
		if (take(&p, &steps[i], it, d, e) != 0)
			return -1;
		/* To wait for a server that is away again and again tells
		 * nothing more. */
		if (i == STEP_BUCKET && it->kind != NULL)
			away = err_retryable(err_kind_by_name(it->kind));
		if (i == STEP_PUT)
			object_there = it->kind == NULL;
	}
	return 0;
}
