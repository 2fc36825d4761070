#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../libcommon/codec/wire.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../proto/messages.h"
#include "desc_gen.h"

#define ARENA ((size_t)64 << 20)

/* All field types in one. */
#define LEAF_FIELDS(S, F, L, O)           \
	F(S, STR, key, 10, DESC_REQUIRED) \
	F(S, STRS, tags, 3, 0)
DESC_DECLARE(leaf, LEAF_FIELDS)
DESC_DEFINE(leaf, LEAF_FIELDS)
#define TREE_FIELDS(S, F, L, O)  \
	F(S, STR, name, 20, 0)   \
	F(S, BIN, blob, 70, 0)   \
	F(S, HEX, hash, 4, 0)    \
	F(S, U64, size, 1000, 0) \
	F(S, I64, when, 0, 0)    \
	F(S, BOOL, on, 1, 0)     \
	F(S, U32S, refs, 5, 0)   \
	L(S, leaf, leaves, 4, 0) \
	O(S, leaf, one, 0)       \
	F(S, STR, token, 30, DESC_SECRET)
DESC_DECLARE(tree, TREE_FIELDS)
DESC_DEFINE(tree, TREE_FIELDS)

static struct arena *arena;
static struct buf out;

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(ARENA);
	buf_init(&out, (size_t)8 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(arena);
	buf_done(&out);
	return 0;
}

/* Encodes a random struct to out and reads it back. */
static void
round_trip(const struct desc *d)
{
	void *in = arena_alloc(arena, d->size);
	void *back = arena_alloc(arena, d->size);
	struct err e = ERR_INIT;

	gen_struct(d, arena, in);
	buf_reset(&out);
	if (wire_encode(d, in, &out, &e))
		fail_msg("%s", e.msg);
	if (wire_decode(d, out.data, out.len, arena, back, &e))
		fail_msg("%s", e.msg);
	assert_true(gen_equal(d, in, back));
}

static void
every_message_comes_back(void **state)
{
	(void)state;
	for (unsigned id = 0; id < CALL__MAX; id++) {
		if (call_table[id].name == NULL)
			continue;
		for (int i = 0; i < 10; i++) {
			round_trip(call_table[id].request);
			round_trip(call_table[id].reply);
			arena_reset(arena);
		}
	}
	for (int i = 0; i < 200; i++)
		round_trip(&tree_desc);
}

/* Cut at every byte, with a byte too many, and with any byte changed. */
static void
damaged_messages(void **state)
{
	const struct desc *descs[2 * CALL__MAX + 1];
	size_t n = 0;

	(void)state;
	descs[n++] = &tree_desc;
	for (unsigned id = 0; id < CALL__MAX; id++)
		if (call_table[id].name != NULL) {
			descs[n++] = call_table[id].request;
			descs[n++] = call_table[id].reply;
		}
	for (size_t k = 0; k < n; k++) {
		void *s = arena_alloc(arena, descs[k]->size);
		size_t len, step;
		round_trip(descs[k]);
		len = out.len;
		step = 1 + len / 500;
		for (size_t i = 0; i < len; i += step) {
			struct err e = ERR_INIT;
			/* Of its own size, so that a read over the end is
			 * seen. */
			uint8_t *cut = malloc(i > 0 ? i : 1);
			memcpy(cut, out.data, i);
			assert_int_equal(
			    wire_decode(descs[k], cut, i, arena, s, &e), -1);
			assert_int_equal(e.kind, ERR_INVALID);
			free(cut);
		}
		for (size_t i = 0; i < len; i += step) {
			uint8_t old = out.data[i];
			out.data[i] = gen_next() >> 32;
			wire_decode(descs[k], out.data, len, arena, s, NULL);
			out.data[i] = old;
		}
		assert_int_equal(buf_putc(&out, 0xc0, NULL), 0);
		assert_int_equal(
		    wire_decode(descs[k], out.data, out.len, arena, s, NULL),
		    -1);
		arena_reset(arena);
	}
}

#define B(text) text, sizeof text - 1

static const struct {
	const char *bytes;
	size_t len;
	const char *why; /* NULL: well-formed */
} frames[] = {
	{ B("\xc0"), NULL },
	{ B("\x7f"), NULL },
	{ B("\xe0"), NULL },
	{ B("\xca\0\0\0\0"), NULL },
	{ B("\xd8\0 0123456789abcdef" /* fixext 16 */), "1 bytes too many" },
	{ B("\xd8\0"
	    "0123456789abcdef"),
	    NULL },
	{ B("\xc7\2\1ab"), NULL },
	{ B("\x82\1\2\3\4"), NULL },
	{ B("\x91\x91\x91\x91\x91\x91\x91\x91\xc0"), NULL },
	{ B(""), "cut off" },
	{ B("\xc1"), "reserved" },
	{ B("\x91\xc1"), "reserved" },
	{ B("\xc0\xc0"), "1 bytes too many" },
	/* Lengths that only the header claims. */
	{ B("\xdd\xff\xff\xff\xff"), "cut off" },
	{ B("\xdd\x01\0\0\0"), "cut off" },
	{ B("\xdf\xff\xff\xff\xff"), "cut off" },
	{ B("\xde\xff\xff\xc0"), "cut off" },
	{ B("\xc6\xff\xff\xff\xff"), "cut off" },
	{ B("\xdb\xff\xff\xff\xff"), "cut off" },
	{ B("\xc9\xff\xff\xff\xff\1"), "cut off" },
	{ B("\x92\xdd\xff\xff\xff\xff\xc0"), "cut off" },
	{ B("\x81\1"), "cut off" },
	{ B("\x93\1\2"), "cut off" },
	{ B("\xa5"
	    "abcd"),
	    "cut off" },
	{ B("\xcf\0\0\0"), "cut off" },
	{ B("\xdd\0\0"), "cut off" },
	{ B("\xd9"), "cut off" },
	{ B("\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0"), "nested" },
	{ B("\x81\1\x81\1\x81\1\x81\1\x81\1\x81\1\x81\1\x81\1\x81\1\1"),
	    "nested" },
	{ B("\xdc\0\x15"
	    "123456789012345678901"),
	    "too many elements" },
	{ B("\x92\x9a"
	    "0123456789"
	    "\x99"
	    "012345678"),
	    "too many elements" },
	{ B("\x92\x99"
	    "012345678"
	    "\x99"
	    "012345678"),
	    NULL },
};

static void
the_check_is_bounded(void **state)
{
	uint8_t *bomb = malloc(100000);

	(void)state;
	for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
		struct err e = ERR_INIT;
		uint8_t *p = malloc(frames[i].len + 1);
		memcpy(p, frames[i].bytes, frames[i].len);
		if (frames[i].why == NULL) {
			assert_int_equal(
			    wire_check(p, frames[i].len, 20, &e), 0);
		} else {
			assert_int_equal(
			    wire_check(p, frames[i].len, 20, &e), -1);
			if (strstr(e.msg, frames[i].why) == NULL)
				fail_msg("frame %zu: %s", i, e.msg);
			assert_int_equal(e.kind, ERR_INVALID);
		}
		free(p);
	}
	memset(bomb, 0x91, 100000);
	assert_int_equal(wire_check(bomb, 100000, 1000000, NULL), -1);
	free(bomb);
}

/* Decoding such a frame takes no memory by its numbers. */
static void
bombs_take_no_memory(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bombs[] = {
		{ B("\x92\xaa/nix/store\xdd\x0f\xff\xff\xff") },
		{ B("\x92\xdb\xff\xff\xff\xf0") },
		{ B("\x92\xc6\x7f\xff\xff\xff") },
		{ B("\x92\xdf\x7f\xff\xff\xff") },
	};
	struct nar_sign s;

	(void)state;
	for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
		assert_int_equal(wire_decode(&nar_sign_desc, bombs[i].bytes,
		                     bombs[i].len, arena, &s, NULL),
		    -1);
		assert_true(arena_used(arena) < 4096);
	}
}

/* One frame that is well-formed msgpack, but no tree. */
static void
wrong_shapes(void **state)
{
	static const char good[] =
	    "\x9a\xa1n\xc4\1b\xc4\4hash\5\xff\xc3\x92\1\2"
	    "\x91\x92\xa1k\x90\x92\xa1o\x91\xa1t\xc0";
	static const struct {
		const char *bytes;
		size_t len;
		const char *why;
	} bad[] = {
		{ B("\xc0"), "tree: not a struct" },
		{ B("\x80"), "tree: not a struct" },
		{ B("\x99\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0"),
		    "tree: 9 fields instead of 10" },
		{ B("\x9b\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0"),
		    "11 fields instead of 10" },
		{ B("\x9a\1\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0"),
		    "tree: name: not a text" },
		{ B("\x9a\xa2\xc3("
		    "\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0"),
		    "name: not UTF-8" },
		{ B("\x9a\xa2"
		    "a\0"
		    "\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0"),
		    "name: not UTF-8" },
		{ B("\x9a\xb5"
		    "123456789012345678901"
		    "\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0"),
		    "name: over the limit of 20 bytes" },
		{ B("\x9a\xc0\xa1x\xc0\xc0\xc0\xc0\xc0\xc0\xc0\xc0"),
		    "blob: not bytes" },
		{ B("\x9a\xc0\xc0\xc4\3abc\xc0\xc0\xc0\xc0\xc0\xc0\xc0"),
		    "hash: not bytes of length 4" },
		{ B("\x9a\xc0\xc0\xc4\4hash\xff\xc0\xc0\xc0\xc0\xc0\xc0"),
		    "size: not a number" },
		{ B("\x9a\xc0\xc0\xc4\4hash\xcd\x03\xe9\xc0\xc0\xc0\xc0\xc0"
		    "\xc0"),
		    "size: over the limit of 1000" },
		{ B("\x9a\xc0\xc0\xc4\4hash\xca\0\0\0\0\xc0\xc0\xc0\xc0\xc0"
		    "\xc0"),
		    "size: not a number" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\xcf\x80\0\0\0\0\0\0\0\xc0\xc0"
		    "\xc0\xc0\xc0"),
		    "when: over the limit" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\xc3\xc0\xc0\xc0\xc0\xc0"),
		    "when: not a number" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\1\1\xc0\xc0\xc0\xc0"),
		    "on: not true or false" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\1\xc2\xc0\xc0\xc0\xc0"),
		    "refs: not a list" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\1\xc2\x96\1\2\3\4\5\6\xc0\xc0"
		    "\xc0"),
		    "refs: over the limit of 5 items" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\1\xc2\x92\1\xcf\0\0\0\1\0\0\0\0"
		    "\xc0\xc0\xc0"),
		    "refs[1]: over the limit of 4294967295" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\1\xc2\x91\xff\xc0\xc0\xc0"),
		    "refs[0]: not a number" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\1\xc2\x90\x95\1\2\3\4\5\xc0"
		    "\xc0"),
		    "leaves: over the limit of 4 items" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\1\xc2\x90\x91\1\xc0\xc0"),
		    "leaves[0]: not a struct" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\1\xc2\x90\x92\x92\xa1k\x90\x92"
		    "\xc0\x90\xc0\xc0"),
		    "leaves[1].key: missing" },
		{ B("\x9a\xc0\xc0\xc4\4hash\1\1\xc2\x90\x90\x92\xa1k\x92\xa1t"
		    "\1\xc0"),
		    "one.tags[1]: not a text" },
	};
	struct tree s;
	struct err e = ERR_INIT;

	(void)state;
	if (wire_decode(&tree_desc, good, sizeof good - 1, arena, &s, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(s.name, "n");
	assert_int_equal(s.blob.len, 1);
	assert_memory_equal(s.hash, "hash", 4);
	assert_int_equal(s.size, 5);
	assert_int_equal(s.when, -1);
	assert_int_equal(s.on, 1);
	assert_int_equal(s.refs.items[1], 2);
	assert_int_equal(s.leaves.n, 1);
	assert_string_equal(s.one.tags.items[0], "t");
	assert_null(s.token);

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(wire_decode(&tree_desc, bad[i].bytes,
		                     bad[i].len, arena, &s, &e),
		    -1);
		if (strstr(e.msg, bad[i].why) == NULL)
			fail_msg("shape %zu: %s", i, e.msg);
	}
	assert_string_equal(s.name, "n"); /* untouched */
}

static void
a_sender_notices_first(void **state)
{
	struct leaf leaf = { .key = "k" };
	struct tree ok = { .one = leaf }, s;
	const char *tags[] = { "a", "b", NULL, "d" };
	char longest[22];
	struct err e = ERR_INIT;
	struct buf small;

	(void)state;
	memset(longest, 'x', 21);
	longest[21] = '\0';
	assert_int_equal(wire_encode(&tree_desc, &ok, &out, &e), 0);
	buf_reset(&out);

#define REFUSED(text)                                                \
	assert_int_equal(wire_encode(&tree_desc, &s, &out, &e), -1); \
	assert_string_equal(e.msg, text);                            \
	assert_int_equal(e.kind, ERR_INVALID);                       \
	assert_int_equal(out.len, 0);                                \
	s = ok

	s = ok;
	s.name = longest;
	REFUSED("name: over the limit of 20 bytes");
	s.name = "\xff";
	REFUSED("name: not UTF-8 text");
	s.blob = (struct desc_bin){ (const uint8_t *)longest, 71 };
	REFUSED("blob: over the limit of 70 bytes");
	s.size = 1001;
	REFUSED("size: over the limit of 1000");
	s.refs.n = 6;
	REFUSED("refs: over the limit of 5 items");
	s.leaves.n = 5;
	REFUSED("leaves: over the limit of 4 items");
	s.one.key = NULL;
	REFUSED("one.key: missing");
	s.one.tags = (struct desc_strs){ tags, 3 };
	REFUSED("one.tags[2]: missing");
	s.one.tags = (struct desc_strs){ tags, 4 };
	REFUSED("one.tags: over the limit of 3 items");
#undef REFUSED

	buf_init(&small, 10);
	assert_int_equal(buf_puts(&small, "x", NULL), 0);
	assert_int_equal(wire_encode(&tree_desc, &ok, &small, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(small.len, 1);
	buf_done(&small);
}

static void
the_arena_bounds_a_message(void **state)
{
	struct arena *little = arena_new(400);
	struct tree s = { .one.key = "k", .name = "abc" };
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(wire_encode(&tree_desc, &s, &out, NULL), 0);
	while (arena_alloc(little, 16) != NULL)
		;
	assert_int_equal(
	    wire_decode(&tree_desc, out.data, out.len, little, &s, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	arena_free(little);
	little = arena_new(sizeof(struct tree) + 20);
	assert_int_equal(
	    wire_decode(&tree_desc, out.data, out.len, little, &s, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	arena_free(little);
}

static void
a_frame_is_a_head_and_a_body(void **state)
{
	struct leaf head = { .key = "head" }, head2;
	struct tree body = { .one.key = "body" }, body2;
	const void *p;
	size_t n;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(
	    wire_encode_frame(&leaf_desc, &head, &tree_desc, &body, &out, NULL),
	    0);
	assert_int_equal(wire_decode_frame(&leaf_desc, out.data, out.len, arena,
	                     &head2, &p, &n, NULL),
	    0);
	assert_string_equal(head2.key, "head");
	assert_ptr_equal((const uint8_t *)p + n, out.data + out.len);
	assert_int_equal(wire_decode(&tree_desc, p, n, arena, &body2, NULL), 0);
	assert_string_equal(body2.one.key, "body");

	for (size_t i = 0; i < out.len; i++)
		assert_int_equal(wire_decode_frame(&leaf_desc, out.data, i,
		                     arena, &head2, &p, &n, &e),
		    -1);
	assert_int_equal(
	    wire_decode_frame(&leaf_desc, B("\x93\x92\xa1k\x90\1\1"), arena,
	        &head2, &p, &n, &e),
	    -1);
	assert_string_equal(e.msg, "frame: not a head and a body");
	assert_int_equal(
	    wire_decode_frame(&leaf_desc, B("\xc0"), arena, &head2, &p, &n, &e),
	    -1);
	assert_int_equal(wire_decode_frame(&leaf_desc, B("\x92\x91\1\1"), arena,
	                     &head2, &p, &n, &e),
	    -1);
	assert_string_equal(e.msg, "frame: leaf: 1 fields instead of 2");
	body.one.key = NULL;
	n = out.len;
	assert_int_equal(
	    wire_encode_frame(&leaf_desc, &head, &tree_desc, &body, &out, NULL),
	    -1);
	assert_int_equal(out.len, n);
}

static void
traces_hide_secrets(void **state)
{
	const char *tags[] = { "t1", "t2" };
	uint32_t refs[] = { 7, 8 };
	struct leaf leaves[] = { { .key = "l" } };
	struct tree s = { .name = "n",
		.blob = { (const uint8_t *)"xyz", 3 },
		.hash = { 0xde, 0xad, 0xbe, 0xef },
		.size = 9,
		.when = -3,
		.on = 1,
		.refs = { refs, 2 },
		.leaves = { leaves, 1 },
		.one = { .key = "k", .tags = { tags, 2 } },
		.token = "hunter2" };
	struct buf small;

	(void)state;
	wire_trace(&tree_desc, &s, &out);
	assert_string_equal(buf_str(&out),
	    "tree{name=n blob=(3 bytes) hash=deadbeef size=9 when=-3 on=true "
	    "refs=[7 8] leaves=[leaf{key=l tags=[]}] "
	    "one=leaf{key=k tags=[t1 t2]} token=***}");
	s.name = NULL;
	for (size_t max = 0; max < 40; max++) {
		buf_init(&small, max);
		wire_trace(&tree_desc, &s, &small);
		assert_int_equal(small.len, max);
		buf_done(&small);
	}
}

static void
the_hash_sees_every_change(void **state)
{
	struct desc_field fields[] = { { "a", DESC_U64, 0, 0, 5, NULL },
		{ "b", DESC_LIST, 0, 8, 5, &leaf_desc } };
	struct desc d = { "d", 24, fields, 2 };
	uint64_t h = wire_desc_hash(&d, 1);

	(void)state;
	assert_true(wire_desc_hash(&d, 1) == h);
	assert_true(wire_desc_hash(&d, 2) != h);
	d.nfields = 1;
	assert_true(wire_desc_hash(&d, 1) != h);
	d.nfields = 2;
	d.name = "e";
	assert_true(wire_desc_hash(&d, 1) != h);
	d.name = "d";
	fields[0].name = "c";
	assert_true(wire_desc_hash(&d, 1) != h);
	fields[0].name = "a";
	fields[0].max = 6;
	assert_true(wire_desc_hash(&d, 1) != h);
	fields[0].max = 5;
	fields[0].type = DESC_I64;
	assert_true(wire_desc_hash(&d, 1) != h);
	fields[0].type = DESC_U64;
	fields[0].flags = DESC_REQUIRED;
	assert_true(wire_desc_hash(&d, 1) != h);
	fields[0].flags = 0;
	fields[1].sub = &tree_desc;
	assert_true(wire_desc_hash(&d, 1) != h);
	fields[1].sub = &leaf_desc;
	fields[0].offset = 16; /* says nothing about the wire */
	assert_true(wire_desc_hash(&d, 1) == h);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_message_comes_back),
		TEST(damaged_messages),
		TEST(the_check_is_bounded),
		TEST(bombs_take_no_memory),
		TEST(wrong_shapes),
		TEST(a_sender_notices_first),
		TEST(the_arena_bounds_a_message),
		TEST(a_frame_is_a_head_and_a_body),
		TEST(traces_hide_secrets),
		TEST(the_hash_sees_every_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
