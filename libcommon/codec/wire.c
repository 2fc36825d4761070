#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <msgpack.h>

#include "../core/arena.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "base64.h"
#include "desc.h"

/* ---- the bounded check ---- */

struct reader {
	const uint8_t *p, *end;
	size_t items; /* that may still come */
};

static int
cut(struct err *e)
{
	return err_set(e, ERR_INVALID, "msgpack: cut off");
}

/* A big-endian number of so many bytes. */
static int
take(struct reader *r, size_t bytes, uint64_t *out, struct err *e)
{
	uint64_t v = 0;

	if (bytes > (size_t)(r->end - r->p))
		return cut(e);
	while (bytes-- > 0)
		v = v << 8 | *r->p++;
	*out = v;
	return 0;
}

/* What follows the first byte of an object. */
struct shape {
	uint8_t length_bytes; /* of a length field, big-endian */
	uint8_t fixed;        /* bytes, or children when nests */
	uint8_t nests;        /* children for each that the length counts */
	uint8_t reserved;
};

static struct shape
shape_of(uint8_t c)
{
	/* clang-format off */
	static const struct shape table[32] = {
		[0xc1 - 0xc0] = { .reserved = 1 },
		[0xc4 - 0xc0] = { 1 }, [0xc5 - 0xc0] = { 2 },
		[0xc6 - 0xc0] = { 4 }, /* bin */
		[0xc7 - 0xc0] = { 1, 1 }, [0xc8 - 0xc0] = { 2, 1 },
		[0xc9 - 0xc0] = { 4, 1 },                         /* ext */
		[0xca - 0xc0] = { 0, 4 }, [0xcb - 0xc0] = { 0, 8 }, /* float */
		[0xcc - 0xc0] = { 0, 1 }, [0xcd - 0xc0] = { 0, 2 },
		[0xce - 0xc0] = { 0, 4 }, [0xcf - 0xc0] = { 0, 8 }, /* uint */
		[0xd0 - 0xc0] = { 0, 1 }, [0xd1 - 0xc0] = { 0, 2 },
		[0xd2 - 0xc0] = { 0, 4 }, [0xd3 - 0xc0] = { 0, 8 }, /* int */
		[0xd4 - 0xc0] = { 0, 2 }, [0xd5 - 0xc0] = { 0, 3 },
		[0xd6 - 0xc0] = { 0, 5 }, [0xd7 - 0xc0] = { 0, 9 },
		[0xd8 - 0xc0] = { 0, 17 }, /* fixext */
		[0xd9 - 0xc0] = { 1 }, [0xda - 0xc0] = { 2 },
		[0xdb - 0xc0] = { 4 },                            /* str */
		[0xdc - 0xc0] = { 2, 0, 1 }, [0xdd - 0xc0] = { 4, 0, 1 },
		[0xde - 0xc0] = { 2, 0, 2 }, [0xdf - 0xc0] = { 4, 0, 2 },
	};
	/* clang-format on */

	if (c < 0x80 || c >= 0xe0)
		return (struct shape){ 0 };
	if (c < 0x90)
		return (struct shape){ 0, (c & 15) * 2, 1 };
	if (c < 0xa0)
		return (struct shape){ 0, c & 15, 1 };
	if (c < 0xc0)
		return (struct shape){ 0, c & 31 };
	return table[c - 0xc0];
}

/* Steps over one object. */
static int
skip(struct reader *r, unsigned depth, struct err *e)
{
	struct shape shape;
	uint64_t n = 0;

	if (r->p == r->end)
		return cut(e);
	shape = shape_of(*r->p++);
	if (shape.reserved)
		return err_set(e, ERR_INVALID, "msgpack: a reserved byte");
	if (take(r, shape.length_bytes, &n, e))
		return -1;
	n = n * (shape.nests > 0 ? shape.nests : 1) + shape.fixed;
	/* A child takes one byte at least. */
	if (n > (size_t)(r->end - r->p))
		return cut(e);
	if (shape.nests == 0) {
		r->p += n;
		return 0;
	}
	if (depth == WIRE_DEPTH_MAX)
		return err_set(e, ERR_INVALID,
		    "msgpack: nested over the limit of %d", WIRE_DEPTH_MAX);
	if (n > r->items)
		return err_set(e, ERR_INVALID, "msgpack: too many elements");
	r->items -= n;
	while (n-- > 0)
		if (skip(r, depth + 1, e))
			return -1;
	return 0;
}

int
wire_check(const void *p, size_t n, size_t max_items, struct err *e)
{
	struct reader r = { p, (const uint8_t *)p + n, max_items };

	if (skip(&r, 0, e))
		return -1;
	if (r.p != r.end)
		return err_set(
		    e, ERR_INVALID, "msgpack: %td bytes too many", r.end - r.p);
	return 0;
}

/* ---- writing ---- */

/* msgpack-c's packer ignores the rest once this failed; failed is kept. */
struct sink {
	struct buf *out;
	struct err *e;
	int failed;
};

static int
sink_write(void *ctx, const char *p, size_t n)
{
	struct sink *sink = ctx;

	if (!sink->failed && buf_append(sink->out, p, n, sink->e))
		sink->failed = 1;
	return sink->failed ? -1 : 0;
}

static void pack_struct(
    msgpack_packer *pk, const struct desc *d, const void *s);

static void
pack_text(msgpack_packer *pk, const char *s)
{
	if (s != NULL)
		msgpack_pack_str_with_body(pk, s, strlen(s));
	else
		msgpack_pack_nil(pk);
}

static void
pack_field(msgpack_packer *pk, const struct desc_field *f, const void *at)
{
	const struct desc_bin *bin = at;
	const struct desc_strs *strs = at;
	const struct desc_u32s *u32s = at;
	const struct desc_list *list = at;

	switch (f->type) {
	case DESC_STR:
		pack_text(pk, *(const char *const *)at);
		break;
	case DESC_BIN:
		if (bin->data != NULL)
			msgpack_pack_bin_with_body(pk, bin->data, bin->len);
		else
			msgpack_pack_nil(pk);
		break;
	case DESC_HEX:
		msgpack_pack_bin_with_body(pk, at, f->max);
		break;
	case DESC_U64:
		msgpack_pack_uint64(pk, *(const uint64_t *)at);
		break;
	case DESC_I64:
		msgpack_pack_int64(pk, *(const int64_t *)at);
		break;
	case DESC_BOOL:
		*(const int *)at ? msgpack_pack_true(pk)
		                 : msgpack_pack_false(pk);
		break;
	case DESC_STRS:
		msgpack_pack_array(pk, strs->n);
		for (size_t i = 0; i < strs->n; i++)
			pack_text(pk, strs->items[i]);
		break;
	case DESC_U32S:
		msgpack_pack_array(pk, u32s->n);
		for (size_t i = 0; i < u32s->n; i++)
			msgpack_pack_uint32(pk, u32s->items[i]);
		break;
	case DESC_LIST:
		msgpack_pack_array(pk, list->n);
		for (size_t i = 0; i < list->n; i++)
			pack_struct(pk, f->sub,
			    (const char *)list->items + i * f->sub->size);
		break;
	case DESC_OBJ:
		pack_struct(pk, f->sub, at);
		break;
	}
}

static void
pack_struct(msgpack_packer *pk, const struct desc *d, const void *s)
{
	msgpack_pack_array(pk, d->nfields);
	for (size_t i = 0; i < d->nfields; i++)
		pack_field(
		    pk, &d->fields[i], (const char *)s + d->fields[i].offset);
}

/* Writes the body alone when hd is NULL. */
static int
encode(const struct desc *hd, const void *header, const struct desc *bd,
    const void *body, struct buf *out, struct err *e)
{
	struct sink sink = { out, e, 0 };
	size_t before = out->len;
	msgpack_packer pk;

	if ((hd != NULL && desc_check(hd, header, e)) ||
	    desc_check(bd, body, e))
		return -1;
	msgpack_packer_init(&pk, &sink, sink_write);
	if (hd != NULL) {
		msgpack_pack_array(&pk, 2);
		pack_struct(&pk, hd, header);
	}
	pack_struct(&pk, bd, body);
	if (sink.failed) {
		out->len = before;
		return err_prefix(e, "%s", bd->name);
	}
	return 0;
}

int
wire_encode(const struct desc *d, const void *s, struct buf *out, struct err *e)
{
	return encode(NULL, NULL, d, s, out, e);
}

int
wire_encode_frame(const struct desc *hd, const void *header,
    const struct desc *bd, const void *body, struct buf *out, struct err *e)
{
	return encode(hd, header, bd, body, out, e);
}

/* ---- reading ---- */

struct walk {
	struct arena *a;
	struct desc_path path;
	struct err *e;
};

static int
fail(struct walk *w, const char *want)
{
	return desc_fail(&w->path, w->e, "not %s", want);
}

/* The items of a list: *to gets zeroed memory, or NULL when there are none. */
static int
read_array(struct walk *w, const msgpack_object *o, uint64_t max, size_t size,
    void **to)
{
	if (o->type != MSGPACK_OBJECT_ARRAY)
		return fail(w, "a list");
	if (o->via.array.size > max)
		return desc_over(&w->path, max, "items", w->e);
	*to = NULL;
	if (o->via.array.size == 0)
		return 0;
	*to = arena_array(w->a, o->via.array.size, size);
	return *to != NULL ? 0 : arena_full(w->a, w->e);
}

static int
read_text(
    struct walk *w, const msgpack_object *o, uint64_t max, const char **to)
{
	const char *s;

	if (o->type != MSGPACK_OBJECT_STR)
		return fail(w, "a text");
	/* msgpack-c gives an empty text no address. */
	s = o->via.str.size > 0 ? o->via.str.ptr : "";
	if (desc_check_text(&w->path, s, o->via.str.size, max, w->e))
		return -1;
	*to = arena_strn(w->a, s, o->via.str.size);
	return *to != NULL ? 0 : arena_full(w->a, w->e);
}

static int read_struct(
    struct walk *w, const struct desc *d, const msgpack_object *o, void *s);

static int
read_strs(struct walk *w, const struct desc_field *f, const msgpack_object *o,
    struct desc_strs *to)
{
	void *items;

	if (read_array(w, o, f->max, sizeof *to->items, &items))
		return -1;
	to->items = items;
	to->n = o->via.array.size;
	for (size_t i = 0; i < to->n; i++) {
		desc_index(&w->path, i);
		if (read_text(
		        w, &o->via.array.ptr[i], DESC_STRS_LEN, &to->items[i]))
			return -1;
	}
	return 0;
}

static int
read_u32s(struct walk *w, const struct desc_field *f, const msgpack_object *o,
    struct desc_u32s *to)
{
	void *items;

	if (read_array(w, o, f->max, sizeof *to->items, &items))
		return -1;
	to->items = items;
	to->n = o->via.array.size;
	for (size_t i = 0; i < to->n; i++) {
		const msgpack_object *item = &o->via.array.ptr[i];
		desc_index(&w->path, i);
		if (item->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
			return fail(w, "a number");
		if (item->via.u64 > UINT32_MAX)
			return desc_over(&w->path, UINT32_MAX, "", w->e);
		to->items[i] = item->via.u64;
	}
	return 0;
}

static int
read_list(struct walk *w, const struct desc_field *f, const msgpack_object *o,
    struct desc_list *to)
{
	void *items;

	if (read_array(w, o, f->max, f->sub->size, &items))
		return -1;
	to->items = items;
	to->n = o->via.array.size;
	for (size_t i = 0; i < to->n; i++) {
		desc_index(&w->path, i);
		if (read_struct(w, f->sub, &o->via.array.ptr[i],
		        (char *)items + i * f->sub->size))
			return -1;
	}
	return 0;
}

static int
read_field(struct walk *w, const struct desc_field *f, const msgpack_object *o,
    void *at)
{
	struct desc_bin *bin = at;

	switch (f->type) {
	case DESC_STR:
		if (o->type == MSGPACK_OBJECT_NIL)
			break;
		return read_text(w, o, f->max, at);
	case DESC_BIN:
		if (o->type == MSGPACK_OBJECT_NIL)
			break;
		if (o->type != MSGPACK_OBJECT_BIN)
			return fail(w, "bytes");
		if (o->via.bin.size > f->max)
			return desc_over(&w->path, f->max, "bytes", w->e);
		bin->data = arena_dup(w->a, o->via.bin.ptr, o->via.bin.size);
		if (bin->data == NULL)
			return arena_full(w->a, w->e);
		bin->len = o->via.bin.size;
		return 0;
	case DESC_HEX:
		if (o->type != MSGPACK_OBJECT_BIN || o->via.bin.size != f->max)
			return desc_fail(&w->path, w->e,
			    "not bytes of length %" PRIu64, f->max);
		memcpy(at, o->via.bin.ptr, f->max);
		return 0;
	case DESC_U64:
		if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
			return fail(w, "a number");
		if (o->via.u64 > f->max)
			return desc_over(&w->path, f->max, "", w->e);
		*(uint64_t *)at = o->via.u64;
		return 0;
	case DESC_I64:
		if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
		    o->via.u64 > INT64_MAX)
			return desc_over(&w->path, INT64_MAX, "", w->e);
		if (o->type != MSGPACK_OBJECT_POSITIVE_INTEGER &&
		    o->type != MSGPACK_OBJECT_NEGATIVE_INTEGER)
			return fail(w, "a number");
		*(int64_t *)at = o->via.i64;
		return 0;
	case DESC_BOOL:
		if (o->type != MSGPACK_OBJECT_BOOLEAN)
			return fail(w, "true or false");
		*(int *)at = o->via.boolean;
		return 0;
	case DESC_STRS:
		return read_strs(w, f, o, at);
	case DESC_U32S:
		return read_u32s(w, f, o, at);
	case DESC_LIST:
		return read_list(w, f, o, at);
	case DESC_OBJ:
		return read_struct(w, f->sub, o, at);
	}
	/* nil: a string or bytes that are absent. */
	return f->flags & DESC_REQUIRED ? desc_fail(&w->path, w->e, "missing")
	                                : 0;
}

static int
read_struct(
    struct walk *w, const struct desc *d, const msgpack_object *o, void *s)
{
	if (o->type != MSGPACK_OBJECT_ARRAY)
		return fail(w, "a struct");
	if (o->via.array.size != d->nfields)
		return desc_fail(&w->path, w->e,
		    "%" PRIu32 " fields instead of %zu", o->via.array.size,
		    d->nfields);
	desc_enter(&w->path);
	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f = &d->fields[i];
		desc_at(&w->path, f);
		if (read_field(
		        w, f, &o->via.array.ptr[i], (char *)s + f->offset))
			return -1;
	}
	desc_leave(&w->path);
	return 0;
}

/* p was checked to be one object. */
static int
decode(const struct desc *d, const void *p, size_t n, struct arena *a, void *s,
    struct err *e)
{
	struct walk w = { .a = a, .e = e };
	msgpack_unpacked object;
	size_t read = 0;
	void *to = arena_alloc(a, d->size);
	int rc = -1;

	if (to == NULL)
		return arena_full(a, e);
	msgpack_unpacked_init(&object);
	if (msgpack_unpack_next(&object, p, n, &read) !=
	        MSGPACK_UNPACK_SUCCESS ||
	    read != n) {
		err_set(e, ERR_INVALID, "msgpack: malformed");
		goto out;
	}
	if (read_struct(&w, d, &object.data, to)) {
		err_prefix(e, "%s", d->name);
		goto out;
	}
	memcpy(s, to, d->size);
	rc = 0;
out:
	msgpack_unpacked_destroy(&object);
	return rc;
}

int
wire_decode(const struct desc *d, const void *p, size_t n, struct arena *a,
    void *s, struct err *e)
{
	if (wire_check(p, n, WIRE_ITEMS_MAX, e))
		return err_prefix(e, "%s", d->name);
	return decode(d, p, n, a, s, e);
}

int
wire_decode_frame(const struct desc *hd, const void *p, size_t n,
    struct arena *a, void *header, const void **body, size_t *body_len,
    struct err *e)
{
	struct reader r = { p, (const uint8_t *)p + n, WIRE_ITEMS_MAX };
	const uint8_t *head, *rest;

	if (wire_check(p, n, WIRE_ITEMS_MAX, e))
		return err_prefix(e, "frame");
	if (*r.p++ != (0x90 | 2)) /* an array of two */
		return err_set(e, ERR_INVALID, "frame: not a head and a body");
	head = r.p;
	if (skip(&r, 1, e))
		return err_prefix(e, "frame");
	rest = r.p;
	if (decode(hd, head, rest - head, a, header, e))
		return err_prefix(e, "frame");
	*body = rest;
	*body_len = r.end - rest;
	return 0;
}

/* ---- traces ---- */

/* Appends what there is room for. */
static void
say_bytes(struct buf *out, const char *s, size_t n)
{
	size_t room = out->max - out->len;

	buf_append(out, s, n < room ? n : room, NULL);
}

static void
say(struct buf *out, const char *s)
{
	say_bytes(out, s, strlen(s));
}

static void
trace_field(const struct desc_field *f, const void *at, struct buf *out)
{
	const struct desc_bin *bin = at;
	const struct desc_strs *strs = at;
	const struct desc_u32s *u32s = at;
	const struct desc_list *list = at;
	const char *text;
	char num[32];

	switch (f->type) {
	case DESC_STR:
		text = *(const char *const *)at;
		say(out, text != NULL ? text : "-");
		break;
	case DESC_BIN:
		snprintf(num, sizeof num, "(%zu bytes)", bin->len);
		say(out, num);
		break;
	case DESC_HEX:
		for (size_t i = 0; i < f->max; i++) {
			hex_fmt(num, (const uint8_t *)at + i, 1);
			say(out, num);
		}
		break;
	case DESC_U64:
		snprintf(num, sizeof num, "%" PRIu64, *(const uint64_t *)at);
		say(out, num);
		break;
	case DESC_I64:
		snprintf(num, sizeof num, "%" PRId64, *(const int64_t *)at);
		say(out, num);
		break;
	case DESC_BOOL:
		say(out, *(const int *)at ? "true" : "false");
		break;
	case DESC_STRS:
		say(out, "[");
		for (size_t i = 0; i < strs->n && out->len < out->max; i++) {
			say(out, i > 0 ? " " : "");
			say(out, strs->items[i] != NULL ? strs->items[i] : "-");
		}
		say(out, "]");
		break;
	case DESC_U32S:
		say(out, "[");
		for (size_t i = 0; i < u32s->n && out->len < out->max; i++) {
			snprintf(num, sizeof num, "%s%" PRIu32,
			    i > 0 ? " " : "", u32s->items[i]);
			say(out, num);
		}
		say(out, "]");
		break;
	case DESC_LIST:
		say(out, "[");
		for (size_t i = 0; i < list->n && out->len < out->max; i++) {
			say(out, i > 0 ? " " : "");
			wire_trace(f->sub,
			    (const char *)list->items + i * f->sub->size, out);
		}
		say(out, "]");
		break;
	case DESC_OBJ:
		wire_trace(f->sub, at, out);
		break;
	}
}

void
wire_trace(const struct desc *d, const void *s, struct buf *out)
{
	say(out, d->name);
	say(out, "{");
	for (size_t i = 0; i < d->nfields && out->len < out->max; i++) {
		const struct desc_field *f = &d->fields[i];
		say(out, i > 0 ? " " : "");
		say(out, f->name);
		say(out, "=");
		if (f->flags & DESC_SECRET)
			say(out, "***");
		else
			trace_field(f, (const char *)s + f->offset, out);
	}
	say(out, "}");
}

/* ---- the version ---- */

/* FNV-1a. */
static uint64_t
hash_bytes(uint64_t hash, const void *p, size_t n)
{
	const uint8_t *s = p;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ s[i]) * 0x100000001b3;
	return hash;
}

static uint64_t
hash_number(uint64_t hash, uint64_t v)
{
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = v >> 8 * i;
	return hash_bytes(hash, bytes, sizeof bytes);
}

uint64_t
wire_desc_hash(const struct desc *d, uint64_t seed)
{
	uint64_t hash = hash_number(0xcbf29ce484222325, seed);

	hash = hash_bytes(hash, d->name, strlen(d->name) + 1);
	hash = hash_number(hash, d->nfields);
	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f = &d->fields[i];
		hash = hash_bytes(hash, f->name, strlen(f->name) + 1);
		hash = hash_number(hash, f->type);
		hash = hash_number(hash, f->flags);
		hash = hash_number(hash, f->max);
		if (f->sub != NULL)
			hash = wire_desc_hash(f->sub, hash);
	}
	return hash;
}
