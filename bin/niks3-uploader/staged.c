/*
 * Objects that clients of the compatible API wrote to staging/: they hold a URL
 * that is good for hours and for any bytes, so what they write is no object of the
 * cache before a commit puts it in its place.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/s3/s3.h"
#include "digest.h"
#include "fan.h"
#include "handlers.h"

/* Objects that are placed pass through memory: so many at once, each at most so
 * large. A NAR that is put in one piece has 10 MiB before it is compressed. */
#define PLACE_WIDTH 8
#define PLACE_MAX   ((size_t)32 << 20)
#define READ_WIDTH  64
#define READ_BYTES  ((size_t)6 << 20) /* of one answer */

/* ---- URLs: no network ---- */

static int
presign_item(struct s3 *s3, const struct puts_presign *q,
    const struct presign_item *item, struct arena *a, const char **url,
    struct err *e)
{
	char staged[OBJKEY_TEXT_MAX];
	enum objkey_kind kind;

	if ((item->upload_id != NULL) != (item->part > 0))
		return err_set(e, ERR_INVALID,
		    "%s: a part needs a number and a multipart upload",
		    item->key);
	if (item->upload_id != NULL) {
		if (objkey_parse(item->key, strlen(item->key), &kind, e) != 0)
			return -1;
		if (kind != OBJKEY_NAR)
			return err_set(e, ERR_INVALID,
			    "%s: only NARs are uploaded in parts", item->key);
		return s3_presign_put(s3, item->key, item->upload_id,
		    item->part, q->lifetime_s, a, url, e);
	}
	if (q->token == NULL)
		return err_set(e, ERR_INVALID, "%s: no upload", item->key);
	if (objkey_fmt_staged(staged, q->token, item->key, e) != 0)
		return -1;
	return s3_presign_put(s3, staged, NULL, 0, q->lifetime_s, a, url, e);
}

int
handle_puts_presign(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct puts_presign *q = request;
	struct puts_presigned *r = reply;

	(void)d;
	r->urls.items = arena_array(a, q->items.n, sizeof *r->urls.items);
	if (r->urls.items == NULL)
		return arena_full(a, e);
	r->urls.n = q->items.n;
	for (size_t i = 0; i < q->items.n; i++)
		if (presign_item(w->u->s3, q, &q->items.items[i], a,
		        &r->urls.items[i], e) != 0)
			return -1;
	return 0;
}

/* ---- putting in place ---- */

struct place {
	const struct staged_place *q;
	struct place_result *results;
	struct err *errors;
	size_t from; /* of this round */
	deadline_t d;
};

/* Somebody else has stored the NAR: his bytes stay. */
static int
keep_existing(struct s3_conn *conn, const char *key, struct place_result *r,
    deadline_t d, struct err *e)
{
	err_clear(e);
	return digest_object(conn, key, &r->size, r->sha256, d, e);
}

static int
place(struct s3_conn *conn, const char *staged, const char *key,
    enum objkey_kind kind, struct buf *bytes, struct place_result *r,
    deadline_t d, struct err *e)
{
	if (s3_get(conn, staged, 0, 0, bytes, NULL, NULL, d, e) != 0)
		return -1;
	r->size = bytes->len;
	sha256(bytes->data, bytes->len, r->sha256);
	if (s3_put(conn,
	        &(struct s3_put){
	            .key = key,
	            .data = bytes->data,
	            .len = bytes->len,
	            .content_type = objkey_content_type(kind),
	            .content_encoding = objkey_content_encoding(kind),
	            .if_none_match = kind == OBJKEY_NAR,
	        },
	        d, e) == 0)
		return 0;
	return kind == OBJKEY_NAR && e->kind == ERR_CONFLICT
	    ? keep_existing(conn, key, r, d, e)
	    : -1;
}

/* A log of any size, say: there is no condition on it, so S3 can copy it. */
static int
place_large(struct s3_conn *conn, const char *staged, const char *key,
    struct place_result *r, deadline_t d, struct err *e)
{
	err_clear(e);
	if (s3_copy(conn, staged, key, d, NULL, e) != 0)
		return -1;
	return digest_object(conn, key, &r->size, r->sha256, d, e);
}

static void
place_one(struct s3_conn *conn, void *ctx, size_t i)
{
	struct place *p = ctx;
	const char *key = p->q->keys.items[p->from + i];
	struct place_result *r = &p->results[p->from + i];
	struct err *e = &p->errors[p->from + i];
	char staged[OBJKEY_TEXT_MAX];
	enum objkey_kind kind;
	struct buf bytes;

	buf_init(&bytes, PLACE_MAX);
	objkey_parse(key, strlen(key), &kind, NULL);
	objkey_fmt_staged(staged, p->q->token, key, NULL);
	r->state = PRESENCE_PRESENT;
	if (place(conn, staged, key, kind, &bytes, r, p->d, e) != 0 &&
	    e->kind == ERR_TOO_LARGE && kind != OBJKEY_NAR)
		place_large(conn, staged, key, r, p->d, e);
	if (e->kind == ERR_NOT_FOUND) {
		r->state = PRESENCE_ABSENT;
		err_clear(e);
	}
	buf_done(&bytes);
}

/* One request at a time, so that memory is bounded. */
static pthread_mutex_t placing = PTHREAD_MUTEX_INITIALIZER;

static int
place_all(struct fan *fan, struct place *p, struct err *e)
{
	int64_t left = deadline_left(p->d);
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += left / 1000;
	if (pthread_mutex_clocklock(&placing, CLOCK_MONOTONIC, &until) != 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "other uploads are being put in place");
	for (p->from = 0; p->from < p->q->keys.n; p->from += PLACE_WIDTH) {
		size_t n = p->q->keys.n - p->from;

		fan_run(fan, n < PLACE_WIDTH ? n : PLACE_WIDTH, place_one, p);
	}
	pthread_mutex_unlock(&placing);
	return 0;
}

int
handle_staged_place(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	struct staged_placed *r = reply;
	struct place p = { .q = request, .d = d };
	size_t n = p.q->keys.n;

	for (size_t i = 0; i < n; i++) {
		char staged[OBJKEY_TEXT_MAX];
		const char *key = p.q->keys.items[i];
		enum objkey_kind kind;

		if (objkey_fmt_staged(staged, p.q->token, key, e) != 0 ||
		    objkey_parse(key, strlen(key), &kind, e) != 0)
			return -1;
		if (kind == OBJKEY_NARINFO)
			return err_set(e, ERR_FORBIDDEN,
			    "%s: narinfos are written by the server only", key);
	}
	p.results = arena_array(a, n, sizeof *p.results);
	p.errors = arena_array(a, n, sizeof *p.errors);
	if (p.results == NULL || p.errors == NULL)
		return arena_full(a, e);
	if (place_all(w->u->fan, &p, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (p.errors[i].kind != ERR_NONE) {
			*e = p.errors[i];
			return err_prefix(
			    e, "put %s in place", p.q->keys.items[i]);
		}
	r->items.items = p.results;
	r->items.n = n;
	return 0;
}

/* ---- reading narinfos ---- */

struct read {
	const struct staged_read *q;
	struct staged_text *texts;
	struct buf *bufs;
	struct err *errors;
	deadline_t d;
};

/* Clients pack them; one that did not is taken at its word. */
static int
unpack(struct buf *packed, struct buf *text, struct err *e)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };

	if (packed->len >= sizeof magic &&
	    memcmp(packed->data, magic, sizeof magic) == 0)
		return zstream_unpack(packed->data, packed->len, text, e);
	return buf_append(text, packed->data, packed->len, e);
}

static void
read_one(struct s3_conn *conn, void *ctx, size_t i)
{
	struct read *p = ctx;
	struct staged_text *t = &p->texts[i];
	struct err *e = &p->errors[i];
	char staged[OBJKEY_TEXT_MAX];
	struct buf packed;

	buf_init(&packed, NARINFO_MAX);
	objkey_fmt_staged(staged, p->q->token, p->q->keys.items[i], NULL);
	if (s3_get(conn, staged, 0, 0, &packed, NULL, NULL, p->d, e) == 0) {
		t->state = PRESENCE_PRESENT;
		unpack(&packed, &p->bufs[i], e);
	} else if (e->kind == ERR_NOT_FOUND) {
		t->state = PRESENCE_ABSENT;
		err_clear(e);
	}
	buf_done(&packed);
}

/* As many of the texts as one answer can hold. */
static int
keep_texts(const struct read *p, size_t n, struct staged_texts *r,
    struct arena *a, struct err *e)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		const struct buf *b = &p->bufs[i];

		if (p->errors[i].kind != ERR_NONE) {
			*e = p->errors[i];
			return err_prefix(
			    e, "%s, as it was uploaded", p->q->keys.items[i]);
		}
		bytes += b->len;
		if (i > 0 && bytes > READ_BYTES)
			break;
		p->texts[i].text.len = b->len;
		p->texts[i].text.data = arena_dup(a, b->data, b->len);
		if (p->texts[i].text.data == NULL)
			return arena_full(a, e);
		r->items.n = i + 1;
	}
	r->items.items = p->texts;
	return 0;
}

int
handle_staged_read(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	struct read p = { .q = request, .d = d };
	size_t n = p.q->keys.n < READ_WIDTH ? p.q->keys.n : READ_WIDTH;
	int rc;

	for (size_t i = 0; i < n; i++) {
		char staged[OBJKEY_TEXT_MAX];

		if (objkey_fmt_staged(
		        staged, p.q->token, p.q->keys.items[i], e) != 0)
			return -1;
	}
	p.texts = arena_array(a, n, sizeof *p.texts);
	p.bufs = arena_array(a, n, sizeof *p.bufs);
	p.errors = arena_array(a, n, sizeof *p.errors);
	if (p.texts == NULL || p.bufs == NULL || p.errors == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < n; i++)
		buf_init(&p.bufs[i], NARINFO_MAX);
	fan_run(w->u->fan, n, read_one, &p);
	rc = keep_texts(&p, n, reply, a, e);
	for (size_t i = 0; i < n; i++)
		buf_done(&p.bufs[i]);
	return rc;
}

/* ---- deleting ---- */

int
handle_staged_delete(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct staged_delete *q = request;
	size_t n = q->keys.n;
	struct s3_delete_result *results = arena_array(a, n, sizeof *results);
	const char **keys = arena_array(a, n, sizeof *keys);

	(void)reply;
	if (results == NULL || keys == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < n; i++) {
		char staged[OBJKEY_TEXT_MAX];

		if (objkey_fmt_staged(staged, q->token, q->keys.items[i], e) !=
		    0)
			return -1;
		if ((keys[i] = arena_str(a, staged)) == NULL)
			return arena_full(a, e);
	}
	if (s3_delete(w->conn, keys, n, a, results, d, e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (results[i].state != S3_DELETED)
			return err_set(e, ERR_UNAVAILABLE, "delete %s: %s",
			    keys[i],
			    results[i].message != NULL ? results[i].message
			                               : "no answer");
	return 0;
}
