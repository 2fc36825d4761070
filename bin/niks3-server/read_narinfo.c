#include <string.h>

#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/lru.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/nix32.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/bodies.h"
#include "read_internal.h"
#include "server.h"

#define NARINFOS_MS 20000 /* for one message, as long as S3 is asked again */

/* In memory: three texts, each ended by a NUL, then the bytes. */
static int
copy_parse(const struct buf *b, struct narinfo_copy *out)
{
	const char *p = (const char *)b->data, *end = p + b->len;
	const char **texts[] = { &out->etag, &out->last_modified,
		&out->encoding };

	for (size_t i = 0; i < 3; i++) {
		const char *nul = memchr(p, '\0', end - p);

		if (nul == NULL)
			return -1;
		*texts[i] = p;
		p = nul + 1;
	}
	out->data = (const uint8_t *)p;
	out->len = end - p;
	return 0;
}

static int
remembered(struct reads *rd, const char *key, struct buf *room,
    struct narinfo_copy *out)
{
	return lru_get(rd->narinfos, key, room) && copy_parse(room, out) == 0;
}

int
narinfo_fetch(struct reads *rd, const char *key, struct buf *room,
    struct narinfo_copy *out, struct err *e)
{
	const struct source_ask ask = { .key = key };
	struct source_head h;
	struct source *s;
	deadline_t until;
	int rc;

	if (remembered(rd, key, room, out))
		return 0;
	/* Counted from before it was asked for: so old it may be at most. */
	until = deadline_in(rd->o.narinfo_ttl_ms);
	if (source_open(rd, &ask, &s, &h, e) != 0)
		return -1;
	buf_reset(room);
	rc = buf_append(room, h.etag, strlen(h.etag) + 1, e) != 0 ||
	        buf_append(room, h.last_modified, strlen(h.last_modified) + 1,
	            e) != 0 ||
	        buf_append(room, h.encoding, strlen(h.encoding) + 1, e) != 0
	    ? -1
	    : source_read_all(s, room, e);
	source_close(s);
	if (rc != 0)
		return err_prefix(e, "%s", key);
	lru_put(rd->narinfos, key, room->data, room->len, until);
	return copy_parse(room, out);
}

int
narinfo_unpack(const struct narinfo_copy *n, struct buf *text, struct err *e)
{
	if (strcmp(n->encoding, "zstd") == 0)
		return zstream_unpack(n->data, n->len, text, e);
	return buf_append(text, n->data, n->len, e);
}

int
narinfo_remembered(struct reads *rd, const char *key, struct buf *text)
{
	struct narinfo_copy n;
	struct buf room;
	int hit;

	buf_init(&room, MSG_OBJECT_MAX);
	hit = remembered(rd, key, &room, &n) &&
	    narinfo_unpack(&n, text, NULL) == 0;
	buf_done(&room);
	return hit;
}

/* ---- POST /api/v2/narinfos ---- */

/* What a request wants, and what is known of it. */
struct wanted {
	const char **keys;
	const char **texts; /* NULL: not known, or not there */
	size_t *missing;    /* positions of those to be asked for */
	size_t nmissing;
};

static int
look_up(struct server *s, const struct narinfos_request *q, struct wanted *w,
    struct arena *a, struct err *e)
{
	for (size_t i = 0; i < q->hashes.n; i++) {
		const char *hash = q->hashes.items[i];
		struct buf text;

		if (strlen(hash) != STOREPATH_HASH_LEN ||
		    !nix32_check(hash, STOREPATH_HASH_LEN))
			return err_set(e, ERR_INVALID,
			    "hashes[%zu]: not %d characters of Nix' base 32", i,
			    STOREPATH_HASH_LEN);
		w->keys[i] = arena_printf(a, "%s.narinfo", hash);
		if (w->keys[i] == NULL)
			return arena_full(a, e);
		buf_init(&text, MSG_OBJECT_MAX);
		if (!narinfo_remembered(s->reads, w->keys[i], &text))
			w->missing[w->nmissing++] = i;
		else
			w->texts[i] = arena_str(a, buf_str(&text));
		buf_done(&text);
	}
	return 0;
}

/* One message, about those from the first on; *n is how many it answered. */
static int
ask_uploader(struct server *s, struct wanted *w, size_t first, size_t *n,
    struct arena *a, struct err *e)
{
	const char *keys[MSG_NARINFOS_MAX];
	struct narinfos_get ask = { .keys = { keys, 0 } };
	struct narinfos_got got;

	for (size_t i = first; i < w->nmissing && ask.keys.n < MSG_NARINFOS_MAX;
	     i++)
		keys[ask.keys.n++] = w->keys[w->missing[i]];
	if (ipc_call(s->uploader, CALL_narinfos_get, &ask, a, &got,
	        deadline_in(NARINFOS_MS), e) != 0)
		return -1;
	if (got.items.n == 0 || got.items.n > ask.keys.n)
		return err_set(e, ERR_INTERNAL,
		    "the uploader answered for %zu of %zu narinfos",
		    got.items.n, ask.keys.n);
	for (size_t i = 0; i < got.items.n; i++) {
		const struct narinfo_got *g = &got.items.items[i];
		const char **to = &w->texts[w->missing[first + i]];

		if (g->state != PRESENCE_PRESENT)
			continue;
		*to = arena_strn(a, (const char *)g->text.data, g->text.len);
		if (*to == NULL)
			return arena_full(a, e);
	}
	*n = got.items.n;
	return 0;
}

int
handle_narinfos(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct narinfos_request body;
	struct narinfos_reply reply = { 0 };
	struct wanted w = { 0 };
	size_t n, answered = 0;

	if (server_decode(q, &narinfos_request_desc, &body, e) != 0)
		return -1;
	n = body.hashes.n;
	w.keys = arena_array(q->arena, n, sizeof *w.keys);
	w.texts = arena_array(q->arena, n, sizeof *w.texts);
	w.missing = arena_array(q->arena, n, sizeof *w.missing);
	reply.narinfos.items =
	    arena_array(q->arena, n, sizeof *reply.narinfos.items);
	if (w.keys == NULL || w.texts == NULL || w.missing == NULL ||
	    reply.narinfos.items == NULL)
		return arena_full(q->arena, e);
	if (look_up(s, &body, &w, q->arena, e) != 0)
		return -1;
	for (size_t i = 0; i < w.nmissing; i += answered)
		if (ask_uploader(s, &w, i, &answered, q->arena, e) != 0)
			return -1;
	for (size_t i = 0; i < n; i++)
		if (w.texts[i] != NULL)
			reply.narinfos.items[reply.narinfos.n++] =
			    (struct narinfo_text){
				    .hash = body.hashes.items[i],
				    .text = w.texts[i],
			    };
	return server_encode(r, 200, &narinfos_reply_desc, &reply, e);
}
