/*
 * GET and HEAD of what readers of the cache may have: the read proxy. What the
 * bucket holds compressed is handed on as it is to who understands zstd, and
 * unpacked for who does not.
 */
#include "read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/zunpack.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../proto/messages.h"
#include "server.h"

/* From how many bytes on it is worth a connection not to copy them. */
#define RELAY_MIN ((uint64_t)4 << 20)
#define PIECE     32768 /* of what is to be unpacked */

/* ---- what there is to read ---- */

struct class {
	const char *type;
	const char *cache_control;
	int zstd; /* stored so */
};

/*
 * A narinfo names its NAR by the hash of its contents, so NARs never change. The
 * others may be written anew, and are forgotten soon.
 */
static const struct class classes[OBJKEY__MAX] = {
	[OBJKEY_NARINFO] = { "text/x-nix-narinfo", "max-age=60", 1 },
	[OBJKEY_NAR] = { "application/x-nix-nar", "max-age=31536000, immutable",
	    0 },
	[OBJKEY_LISTING] = { "application/json", "max-age=300", 1 },
	[OBJKEY_LOG] = { "text/plain; charset=utf-8", "max-age=300", 1 },
	[OBJKEY_REALISATION] = { "application/json", "max-age=60", 1 },
};
static const struct class cache_info = { "text/x-nix-cache-info", "max-age=300",
	0 };
static const struct class pin = { "text/plain; charset=utf-8", "no-cache", 0 };

static const struct class *
class_of(const char *key)
{
	enum objkey_kind kind;

	if (strcmp(key, "nix-cache-info") == 0)
		return &cache_info;
	if (strncmp(key, "pins/", 5) == 0)
		return objkey_check_pin(key + 5, NULL) == 0 ? &pin : NULL;
	return objkey_parse(key, strlen(key), &kind, NULL) == 0 ? &classes[kind]
	                                                        : NULL;
}

/* ---- what the reader asks for ---- */

struct wish {
	const struct class *class;
	int head;
	int zstd; /* it understands that */
	struct read_range range;
	const char *if_range, *if_none_match, *if_modified_since; /* or NULL */
	char tag[READ_ETAG_MAX]; /* the only one of if_none_match, or "" */
};

/* S3 understands one tag. */
static void
single_tag(char out[READ_ETAG_MAX], const char *list)
{
	if (strncmp(list, "W/", 2) == 0)
		list += 2;
	out[0] = '\0';
	if (list[0] == '"' && strpbrk(list, ", \t") == NULL &&
	    strlen(list) < READ_ETAG_MAX)
		snprintf(out, READ_ETAG_MAX, "%s", list);
}

static struct wish
wish_of(const struct http_req *q, const struct class *class)
{
	struct wish w = {
		.class = class,
		.head = strcmp(q->method, "HEAD") == 0,
		.zstd =
		    read_accepts_zstd(http_req_header(q, "Accept-Encoding")),
		.if_range = http_req_header(q, "If-Range"),
		.if_none_match = http_req_header(q, "If-None-Match"),
		.if_modified_since = http_req_header(q, "If-Modified-Since"),
	};

	if (w.if_none_match != NULL) {
		single_tag(w.tag, w.if_none_match);
		w.if_modified_since = NULL; /* RFC 9110, 13.1.3 */
	}
	if (w.if_modified_since != NULL &&
	    clock_parse_http(w.if_modified_since) == -1)
		w.if_modified_since = NULL;
	/* A range is one of the bytes that are sent, and only of a GET. */
	if (!w.head && (w.zstd || !class->zstd) &&
	    (w.if_range == NULL || strncmp(w.if_range, "W/", 2) != 0))
		w.range = read_range(http_req_header(q, "Range"));
	return w;
}

static int
not_modified(const struct wish *w, const char *etag, const char *modified)
{
	if (w->if_none_match != NULL)
		return etag[0] != '\0' &&
		    read_etag_listed(w->if_none_match, etag);
	return w->if_modified_since != NULL &&
	    read_not_modified_since(w->if_modified_since, modified);
}

/* ---- what it is told ---- */

/* The headers of every answer. What is unpacked has other bytes than what S3
 * gave the tag to: a weak one says the same. */
static int
describe(const struct http_req *q, struct http_res *r, const struct wish *w,
    const char *etag, const char *modified, int unpacked, struct err *e)
{
	char tag[READ_ETAG_MAX + 2];

	snprintf(tag, sizeof tag, "%s%s",
	    unpacked && etag[0] == '"' ? "W/" : "", etag);
	if ((tag[0] != '\0' && http_res_header(q, r, "ETag", tag, e) != 0) ||
	    (modified[0] != '\0' &&
	        http_res_header(q, r, "Last-Modified", modified, e) != 0) ||
	    (w->class->zstd &&
	        http_res_header(q, r, "Vary", "Accept-Encoding", e) != 0))
		return -1;
	r->content_type = w->class->type;
	return http_res_header(
	           q, r, "Cache-Control", w->class->cache_control, e) != 0 ||
	        http_res_header(q, r, "X-Content-Type-Options", "nosniff", e) !=
	            0
	    ? -1
	    : 0;
}

/* Whatever is S3's own failure is not ours to be retried. */
static int
failed(struct http_res *r, struct err *e)
{
	if (e->kind == ERR_NOT_FOUND || e->kind == ERR_THROTTLED)
		return -1;
	log_err(LOG_LEVEL_WARN, "read failed", e);
	err_clear(e);
	buf_reset(&r->body);
	r->nheaders = 0;
	r->status = 502;
	r->content_type = "text/plain; charset=utf-8";
	return buf_puts(&r->body, "Bad Gateway\n", e);
}

/* ---- narinfos ---- */

static int
answer_narinfo(struct server *s, const struct http_req *q, struct http_res *r,
    const struct wish *w, const char *key, struct err *e)
{
	struct narinfo_copy n;
	struct buf room;
	int packed, rc;

	buf_init(&room, MSG_OBJECT_MAX);
	if (narinfo_fetch(s->reads, key, &room, &n, e) != 0) {
		buf_done(&room);
		return failed(r, e);
	}
	packed = strcmp(n.encoding, "zstd") == 0;
	rc = describe(q, r, w, n.etag, n.last_modified, packed && !w->zstd, e);
	if (rc == 0 && not_modified(w, n.etag, n.last_modified))
		r->status = 304;
	else if (rc == 0 && packed && !w->zstd) {
		rc = narinfo_unpack(&n, &r->body, e);
	} else if (rc == 0) {
		rc = buf_append(&r->body, n.data, n.len, e);
		if (rc == 0 && n.encoding[0] != '\0')
			rc = http_res_header(
			    q, r, "Content-Encoding", n.encoding, e);
	}
	buf_done(&room);
	return rc == 0 ? 0 : failed(r, e);
}

/* ---- everything else is streamed ---- */

/* An object on its way to a reader. */
struct stream {
	struct source *source;
	uint64_t from, end; /* of the object */
	int relay;          /* a socket is welcome */
	struct zunpack *z;  /* NULL: as it is stored */
	const uint8_t *in;  /* what z has yet to take */
	size_t len;
	uint8_t piece[];
};

static void
stream_free(void *ctx)
{
	struct stream *st = ctx;

	source_close(st->source);
	zunpack_free(st->z);
	free(st);
}

static ssize_t
read_stored(
    void *ctx, void *worker, uint64_t pos, char *buf, size_t max, struct err *e)
{
	struct stream *st = ctx;

	(void)worker;
	source_seek(st->source, st->from + pos);
	if (!st->relay || st->end - st->from - pos < RELAY_MIN ||
	    max < HTTP_READ_MIN + HTTP_DETACH_MIN)
		return source_read(st->source, buf, max, e);
	return source_read_detach(st->source, buf, max, e);
}

static int
stored_fd(void *ctx)
{
	struct stream *st = ctx;

	return source_take_fd(st->source);
}

static ssize_t
read_unpacked(
    void *ctx, void *worker, uint64_t pos, char *buf, size_t max, struct err *e)
{
	struct stream *st = ctx;
	size_t got = 0;

	(void)worker;
	(void)pos;
	for (;;) {
		long n = zunpack_run(
		    st->z, &st->in, &st->len, buf + got, max - got, e);
		ssize_t more;

		if (n < 0)
			return -1;
		if ((got += n) == max)
			return got;
		more = source_read(st->source, st->piece, PIECE, e);
		if (more < 0)
			return -1;
		if (more == 0 && !zunpack_whole(st->z))
			return err_set(e, ERR_CORRUPT, "zstd: cut off");
		if (more == 0)
			return got;
		st->in = st->piece;
		st->len = more;
	}
}

/* A HEAD asks S3 for one byte: unlike its HEAD, the answer tells why there is
 * none. */
static int
ask_head(struct server *s, const char *key, struct source_ask *ask,
    struct source **src, struct source_head *h, struct err *e)
{
	struct err unread = ERR_INIT;
	struct buf byte;

	ask->key = key;
	ask->range = (struct read_range){ RANGE_FROM, 0, 0 };
	if (source_open(s->reads, ask, src, h, e) != 0)
		return -1;
	if (h->status == 206) {
		buf_init(&byte, 1);
		/* Whether it came or not, the head says all. */
		(void)source_read_all(*src, &byte, &unread);
		buf_done(&byte);
	} else if (h->status == 416) {
		h->size = 0; /* no first byte */
	}
	return 0;
}

/* Of a range that is none of the object: how large that is. */
static int
ask_size(struct server *s, const char *key, struct source_ask *ask,
    struct source **src, struct source_head *h, struct err *e)
{
	if (ask_head(s, key, ask, src, h, e) != 0)
		return -1;
	if (h->status != 304)
		h->status = 416;
	return 0;
}

/*
 * A GET. That a range is none of the object, or of another version of it, shows
 * only in the answer: it is then asked for as a whole, or for its size.
 */
static int
ask_get(struct server *s, const char *key, const struct wish *w,
    struct source_ask *ask, struct source **src, struct source_head *h,
    struct err *e)
{
	ask->key = key;
	ask->range = w->range;
	/* No bytes at all: not every S3 takes that for a range of none. */
	if (w->range.kind == RANGE_SUFFIX && w->range.from == 0)
		return ask_size(s, key, ask, src, h, e);
	if (source_open(s->reads, ask, src, h, e) != 0)
		return -1;
	if (ask->range.kind == RANGE_NONE || h->status == 304 ||
	    h->status == 200)
		return 0;
	if (w->if_range != NULL &&
	    (h->status == 416 ||
	        !read_if_range(w->if_range, h->etag, h->last_modified))) {
		source_close(*src);
		*src = NULL;
		ask->range = (struct read_range){ RANGE_NONE, 0, 0 };
		return source_open(s->reads, ask, src, h, e);
	}
	if (h->status != 416 || h->size != UINT64_MAX)
		return 0;
	source_close(*src);
	*src = NULL;
	return ask_size(s, key, ask, src, h, e);
}

static int
answer_range(const struct http_req *q, struct http_res *r,
    const struct source_head *h, struct err *e)
{
	char text[80];

	if (h->status == 416)
		snprintf(text, sizeof text, "bytes */%ju", (uintmax_t)h->size);
	else
		snprintf(text, sizeof text, "bytes %ju-%ju/%ju",
		    (uintmax_t)h->from, (uintmax_t)h->end - 1,
		    (uintmax_t)h->size);
	r->status = h->status;
	return http_res_header(q, r, "Content-Range", text, e);
}

/* Hands the source over to an answer. */
static void
answer_stream(const struct http_req *q, struct http_res *r, struct source *src,
    const struct source_head *h, int unpack)
{
	struct stream *st = xcalloc(1, sizeof *st + (unpack ? PIECE : 0));

	st->source = src;
	st->from = h->from;
	st->end = h->end;
	if (unpack)
		st->z = zunpack_new();
	r->reader = unpack ? read_unpacked : read_stored;
	r->reader_ctx = st;
	r->reader_free = stream_free;
	if (unpack || h->end == UINT64_MAX)
		return;
	r->length = h->end - h->from;
	st->relay = q->relays && r->length >= (int64_t)RELAY_MIN;
	if (st->relay)
		r->reader_fd = stored_fd;
}

static int
answer_object(const struct http_req *q, struct http_res *r,
    const struct wish *w, struct source **src, struct source_head *h,
    struct err *e)
{
	int packed = strcmp(h->encoding, "zstd") == 0;
	int unpack = packed && w->class->zstd && !w->zstd;

	/* The tag that S3 leaves out of a 304 is the one it was asked about. */
	if (h->status == 304 && h->etag[0] == '\0')
		memcpy(h->etag, w->tag, sizeof h->etag);
	/* An empty object has no ranges. */
	if (h->status == 416 && h->size == 0) {
		h->status = 200;
		h->from = h->end = 0;
	}
	if (describe(q, r, w, h->etag, h->last_modified, unpack, e) != 0)
		return -1;
	if (h->status == 304 || not_modified(w, h->etag, h->last_modified)) {
		r->status = 304;
		return 0;
	}
	if (h->status == 416)
		return answer_range(q, r, h, e);
	if (!unpack && h->encoding[0] != '\0' &&
	    http_res_header(q, r, "Content-Encoding", h->encoding, e) != 0)
		return -1;
	if (!unpack && http_res_header(q, r, "Accept-Ranges", "bytes", e) != 0)
		return -1;
	if (w->head) {
		h->from = 0;
		h->end = h->size;
	} else if (h->status == 206 && answer_range(q, r, h, e) != 0) {
		return -1;
	}
	answer_stream(q, r, *src, h, unpack);
	*src = NULL;
	return 0;
}

int
handle_read(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	const char *key = q->path + 1; /* the routes have the folders */
	const struct class *class = class_of(key);
	struct source *src = NULL;
	struct source_ask ask = { 0 };
	struct source_head h;
	struct wish w;
	int rc;

	if (!s->read_proxy || class == NULL)
		return err_set(e, ERR_NOT_FOUND, "no such path");
	w = wish_of(q, class);
	if (class == &classes[OBJKEY_NARINFO])
		return answer_narinfo(s, q, r, &w, key, e);
	ask.if_none_match = w.tag[0] != '\0' ? w.tag : NULL;
	ask.if_modified_since = w.if_modified_since;
	rc = w.head ? ask_head(s, key, &ask, &src, &h, e)
	            : ask_get(s, key, &w, &ask, &src, &h, e);
	if (rc == 0)
		rc = answer_object(q, r, &w, &src, &h, e);
	source_close(src);
	return rc == 0 ? 0 : failed(r, e);
}
