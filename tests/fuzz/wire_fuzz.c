/*
 * A frame, without its version: whatever is decoded says what msgpack-c reads
 * there, keeps to its descriptor, and is written and decoded again to the same;
 * what is refused leaves the struct alone; and no trace is longer than it may be.
 *
 * The head's call tells what the body is. A text that begins with '{' is the JSON
 * of a frame's body instead: its struct, which is a valid one, must be decoded
 * from the frame that it makes.
 */
#include <string.h>

#include <msgpack.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/codec/wire.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../proto/messages.h"
#include "../unit/desc_gen.h"
#include "fuzz.h"

#define ARENA_MAX  (64 << 20)
#define STRUCT_MAX 4096 /* bytes of the largest struct */
#define UNTOUCHED  0x5a
#define TRACE_MAX  200

static void says(const struct desc *d, const void *s, const msgpack_object *o);

static int
is_bytes(const void *p, size_t n, const msgpack_object *o)
{
	return (o->type == MSGPACK_OBJECT_STR ||
	           o->type == MSGPACK_OBJECT_BIN) &&
	    o->via.bin.size == n &&
	    (n == 0 || memcmp(o->via.bin.ptr, p, n) == 0);
}

static int
is_text(const char *text, const msgpack_object *o)
{
	return text == NULL ? o->type == MSGPACK_OBJECT_NIL
	                    : is_bytes(text, strlen(text), o);
}

/* The field has what the object has; no message has lists of numbers. */
static void
field_says(const struct desc_field *f, const void *at, const msgpack_object *o)
{
	const struct desc_bin *bin = at;
	const struct desc_strs *strs = at;
	const struct desc_list *list = at;
	const msgpack_object *items = o->via.array.ptr;

	switch (f->type) {
	case DESC_STR:
		FUZZ_CHECK(is_text(*(const char *const *)at, o));
		break;
	case DESC_BIN:
		FUZZ_CHECK(bin->data == NULL
		        ? o->type == MSGPACK_OBJECT_NIL
		        : is_bytes(bin->data, bin->len, o));
		break;
	case DESC_HEX:
		FUZZ_CHECK(is_bytes(at, f->max, o));
		break;
	case DESC_U64:
		FUZZ_CHECK(o->type == MSGPACK_OBJECT_POSITIVE_INTEGER);
		FUZZ_CHECK(*(const uint64_t *)at == o->via.u64);
		break;
	case DESC_I64:
		FUZZ_CHECK(*(const int64_t *)at == o->via.i64);
		FUZZ_CHECK((*(const int64_t *)at < 0) ==
		    (o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER));
		break;
	case DESC_BOOL:
		FUZZ_CHECK(o->type == MSGPACK_OBJECT_BOOLEAN);
		FUZZ_CHECK(*(const int *)at == o->via.boolean);
		break;
	case DESC_STRS:
		FUZZ_CHECK(o->type == MSGPACK_OBJECT_ARRAY);
		FUZZ_CHECK(strs->n == o->via.array.size);
		for (size_t i = 0; i < strs->n; i++)
			FUZZ_CHECK(is_text(strs->items[i], &items[i]));
		break;
	case DESC_LIST:
		FUZZ_CHECK(o->type == MSGPACK_OBJECT_ARRAY);
		FUZZ_CHECK(list->n == o->via.array.size);
		for (size_t i = 0; i < list->n; i++)
			says(f->sub, (char *)list->items + i * f->sub->size,
			    &items[i]);
		break;
	case DESC_OBJ:
		says(f->sub, at, o);
		break;
	default:
		err_die("%s: a type that is not compared", f->name);
	}
}

static void
says(const struct desc *d, const void *s, const msgpack_object *o)
{
	FUZZ_CHECK(o->type == MSGPACK_OBJECT_ARRAY);
	FUZZ_CHECK(o->via.array.size == d->nfields);
	for (size_t i = 0; i < d->nfields; i++)
		field_says(&d->fields[i], (const char *)s + d->fields[i].offset,
		    &o->via.array.ptr[i]);
}

/* n bytes that were decoded, so msgpack-c may be trusted with them. */
static void
is_msgpack(const struct desc *d, const void *s, const void *p, size_t n)
{
	msgpack_unpacked object;
	size_t read = 0;

	msgpack_unpacked_init(&object);
	FUZZ_CHECK(msgpack_unpack_next(&object, p, n, &read) ==
	    MSGPACK_UNPACK_SUCCESS);
	FUZZ_CHECK(read == n);
	says(d, s, &object.data);
	msgpack_unpacked_destroy(&object);
}

static void
is_traced(const struct desc *d, const void *s)
{
	struct buf trace;

	buf_init(&trace, TRACE_MAX);
	wire_trace(d, s, &trace);
	FUZZ_CHECK(trace.len > 0 && trace.len <= TRACE_MAX);
	buf_done(&trace);
}

/* The struct, decoded from n bytes, is what it is encoded to; msgpack-c writes
 * the shortest form. */
static void
comes_back(const struct desc *d, const void *s, const void *p, size_t n,
    struct arena *a)
{
	struct buf first, second;
	_Alignas(max_align_t) char again[STRUCT_MAX];
	struct err e = ERR_INIT;

	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	is_msgpack(d, s, p, n);
	FUZZ_CHECK(desc_check(d, s, &e) == 0);
	FUZZ_CHECK(wire_encode(d, s, &first, &e) == 0);
	FUZZ_CHECK(first.len <= n);
	FUZZ_CHECK(wire_check(first.data, first.len, first.len, &e) == 0);
	FUZZ_CHECK(wire_decode(d, first.data, first.len, a, again, &e) == 0);
	FUZZ_CHECK(gen_equal(d, s, again));
	FUZZ_CHECK(wire_encode(d, again, &second, &e) == 0);
	FUZZ_CHECK(first.len == second.len &&
	    memcmp(first.data, second.data, first.len) == 0);
	is_traced(d, s);
	buf_done(&second);
	buf_done(&first);
}

/* Is all of s as it was set before? */
static int
is_untouched(const char *s)
{
	for (size_t i = 0; i < STRUCT_MAX; i++)
		if (s[i] != UNTOUCHED)
			return 0;
	return 1;
}

static void
try_body(const struct desc *d, const uint8_t *p, size_t n, struct arena *a)
{
	_Alignas(max_align_t) char s[STRUCT_MAX];
	struct err e = ERR_INIT;

	FUZZ_CHECK(d->size <= STRUCT_MAX);
	memset(s, UNTOUCHED, sizeof s);
	if (wire_decode(d, p, n, a, s, &e) == 0) {
		comes_back(d, s, p, n, a);
		return;
	}
	FUZZ_CHECK(e.kind == ERR_INVALID || e.kind == ERR_TOO_LARGE);
	FUZZ_CHECK(e.msg[0] != '\0');
	FUZZ_CHECK(is_untouched(s));
}

static void
try_frame(const uint8_t *data, size_t size, struct arena *a)
{
	_Alignas(max_align_t) char s[STRUCT_MAX];
	const struct ipc_head *head = (const void *)s;
	const void *body = NULL;
	size_t len = 0;
	struct err e = ERR_INIT;

	FUZZ_CHECK(sizeof *head <= STRUCT_MAX);
	memset(s, UNTOUCHED, sizeof s);
	if (wire_decode_frame(
	        &ipc_head_desc, data, size, a, s, &body, &len, &e) < 0) {
		FUZZ_CHECK(is_untouched(s) && body == NULL && len == 0);
		return;
	}
	/* What a frame holds was checked with it. */
	FUZZ_CHECK(wire_check(data, size, WIRE_ITEMS_MAX, &e) == 0);
	FUZZ_CHECK((const uint8_t *)body + len == data + size);
	FUZZ_CHECK(wire_check(body, len, WIRE_ITEMS_MAX, &e) == 0);
	/* Its first byte says that there are two. */
	comes_back(&ipc_head_desc, head, data + 1,
	    (const uint8_t *)body - data - 1, a);
	if (head->call >= CALL__MAX || call_table[head->call].name == NULL)
		return;
	try_body(call_table[head->call].request, body, len, a);
	try_body(call_table[head->call].reply, body, len, a);
}

static void
try_struct(
    const struct desc *d, const uint8_t *data, size_t size, struct arena *a)
{
	struct ipc_head head = { .call = 1 }, head_again;
	_Alignas(max_align_t) char s[STRUCT_MAX], again[STRUCT_MAX];
	struct err e = ERR_INIT;
	struct buf frame;
	const void *body;
	size_t len;

	if (json_decode(d, data, size, a, s, NULL) < 0)
		return;
	buf_init(&frame, 1 << 20);
	FUZZ_CHECK(
	    wire_encode_frame(&ipc_head_desc, &head, d, s, &frame, &e) == 0);
	FUZZ_CHECK(wire_decode_frame(&ipc_head_desc, frame.data, frame.len, a,
	               &head_again, &body, &len, &e) == 0);
	FUZZ_CHECK(gen_equal(&ipc_head_desc, &head, &head_again));
	FUZZ_CHECK(wire_decode(d, body, len, a, again, &e) == 0);
	FUZZ_CHECK(gen_equal(d, s, again));
	comes_back(d, again, body, len, a);
	buf_done(&frame);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(ARENA_MAX);

	if (size > 0 && data[0] == '{')
		for (unsigned call = 0; call < CALL__MAX; call++) {
			const struct call_row *row = &call_table[call];

			if (row->name == NULL)
				continue;
			try_struct(row->request, data, size, a);
			try_struct(row->reply, data, size, a);
			arena_reset(a);
		}
	else
		try_frame(data, size, a);
	arena_free(a);
	return 0;
}
