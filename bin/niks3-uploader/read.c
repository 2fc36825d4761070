/* What readers of the cache need of the bucket. */
#include <string.h>

#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/s3/s3.h"
#include "fan.h"
#include "handlers.h"

#define ANSWER_MAX ((size_t)4 << 20) /* bytes of texts, of a frame's 8 MiB */
#define PINS       "pins/"

/* Readers of a cache see nothing else of the bucket. */
static int
check_readable(const char *key, struct err *e)
{
	enum objkey_kind kind;

	if (strcmp(key, "nix-cache-info") == 0)
		return 0;
	if (strncmp(key, PINS, sizeof PINS - 1) == 0)
		return objkey_check_pin(key + sizeof PINS - 1, e);
	return objkey_parse(key, strlen(key), &kind, e);
}

int
handle_get_authorize(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct get_authorize *q = request;
	struct get_authorized *r = reply;

	(void)d;
	r->urls.items = arena_array(a, q->keys.n, sizeof *r->urls.items);
	if (r->urls.items == NULL)
		return arena_full(a, e);
	r->urls.n = q->keys.n;
	for (size_t i = 0; i < q->keys.n; i++)
		if (check_readable(q->keys.items[i], e) != 0 ||
		    s3_presign_get(w->u->s3, "GET", q->keys.items[i],
		        q->lifetime_s, a, &r->urls.items[i], e) != 0)
			return -1;
	return 0;
}

int
handle_page_put(void *worker, const void *request, void *reply, struct arena *a,
    deadline_t d, struct err *e)
{
	struct worker *w = worker;
	const struct page_put *q = request;

	(void)reply;
	(void)a;
	return s3_put(w->conn,
	    &(struct s3_put){
	        .key = "index.html",
	        .data = q->html.data,
	        .len = q->html.len,
	        .content_type = "text/html; charset=utf-8",
	    },
	    d, e);
}

/* ---- narinfos ---- */

struct gets {
	const struct narinfos_get *q;
	struct buf *texts;
	struct err *errors;
	deadline_t d;
};

/* zstd's magic number (RFC 8878, 3.1.1); no narinfo begins so. */
static int
is_zstd(const struct buf *b)
{
	return b->len >= 4 && memcmp(b->data, "\x28\xb5\x2f\xfd", 4) == 0;
}

static void
get_one(struct s3_conn *conn, void *ctx, size_t i)
{
	struct gets *g = ctx;
	struct buf stored;
	struct err *e = &g->errors[i];

	buf_init(&stored, MSG_OBJECT_MAX);
	if (s3_get(conn, g->q->keys.items[i], 0, 0, &stored, NULL, NULL, g->d,
	        e) != 0)
		;
	else if (is_zstd(&stored))
		zstream_unpack(stored.data, stored.len, &g->texts[i], e);
	else
		buf_append(&g->texts[i], stored.data, stored.len, e);
	buf_done(&stored);
}

static int
answer_one(struct gets *g, size_t i, struct narinfo_got *r, struct arena *a,
    struct err *e)
{
	const struct err *why = &g->errors[i];

	if (why->kind == ERR_NOT_FOUND) {
		r->state = PRESENCE_ABSENT;
		return 0;
	}
	if (why->kind != ERR_NONE) {
		*e = *why;
		return err_prefix(e, "read %s", g->q->keys.items[i]);
	}
	r->state = PRESENCE_PRESENT;
	r->text.len = g->texts[i].len;
	r->text.data = arena_dup(a, g->texts[i].data, g->texts[i].len);
	return r->text.data != NULL || r->text.len == 0 ? 0 : arena_full(a, e);
}

int
handle_narinfos_get(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	struct worker *w = worker;
	struct narinfos_got *r = reply;
	struct gets g = { .q = request, .d = d };
	size_t n = g.q->keys.n, bytes = 0, i;
	enum objkey_kind kind;
	int rc = 0;

	for (i = 0; i < n; i++) {
		const char *key = g.q->keys.items[i];

		if (objkey_parse(key, strlen(key), &kind, e) != 0)
			return -1;
		if (kind != OBJKEY_NARINFO)
			return err_set(
			    e, ERR_FORBIDDEN, "%s: not a narinfo", key);
	}
	g.texts = arena_array(a, n, sizeof *g.texts);
	g.errors = arena_array(a, n, sizeof *g.errors);
	r->items.items = arena_array(a, n, sizeof *r->items.items);
	if (g.texts == NULL || g.errors == NULL || r->items.items == NULL)
		return arena_full(a, e);
	for (i = 0; i < n; i++)
		buf_init(&g.texts[i], MSG_OBJECT_MAX);
	fan_run(w->u->fan, n, get_one, &g);
	for (i = 0; rc == 0 && i < n && bytes < ANSWER_MAX; i++) {
		rc = answer_one(&g, i, &r->items.items[i], a, e);
		bytes += g.texts[i].len;
	}
	r->items.n = i;
	for (i = 0; i < n; i++)
		buf_done(&g.texts[i]);
	return rc;
}
