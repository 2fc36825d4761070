#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"

#define TEXT ((size_t)700000)

/* Neither all alike nor all random. */
static uint8_t *
text_new(void)
{
	uint8_t *p = malloc(TEXT);
	uint32_t x = 1;

	for (size_t i = 0; i < TEXT; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = "niks3 store path"[x >> 28];
	}
	return p;
}

static int
sink(void *ctx, const void *p, size_t n, struct err *e)
{
	return buf_append(ctx, p, n, e);
}

static int
full_sink(void *ctx, const void *p, size_t n, struct err *e)
{
	(void)p;
	(void)n;
	++*(int *)ctx;
	return err_set(e, ERR_IO, "disk full");
}

static void
comes_back(struct buf *packed, const uint8_t *text, size_t n)
{
	struct buf out;

	buf_init(&out, n);
	assert_int_equal(
	    zstream_unpack(packed->data, packed->len, &out, NULL), 0);
	assert_int_equal(out.len, n);
	if (n > 0)
		assert_memory_equal(out.data, text, n);
	buf_done(&out);
}

static void
whole_buffers_come_back(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 131072, TEXT };
	uint8_t *text = text_new();

	(void)state;
	for (int workers = 0; workers < 3; workers += 2) {
		struct zstream *z = zstream_new(ZSTREAM_LEVEL, workers);
		for (size_t i = 0; i < 5; i++) {
			struct buf packed;
			buf_init(&packed, TEXT);
			assert_int_equal(
			    zstream_pack(z, text, sizes[i], &packed, NULL), 0);
			/* Magic number, then the checksum flag. */
			assert_memory_equal(packed.data, "\x28\xb5\x2f\xfd", 4);
			assert_true(packed.data[4] & 4);
			comes_back(&packed, text, sizes[i]);
			buf_done(&packed);
		}
		zstream_free(z);
	}
	zstream_free(NULL);
	free(text);
}

static void
streams_come_back(void **state)
{
	uint8_t *text = text_new();
	struct zstream *z = zstream_new(1, 0);

	(void)state;
	/* Size known and not known, one stream after another. */
	for (int known = 0; known < 2; known++) {
		struct buf packed;
		buf_init(&packed, TEXT);
		assert_int_equal(zstream_begin(z, known ? TEXT : UINT64_MAX,
		                     sink, &packed, NULL),
		    0);
		for (size_t at = 0; at < TEXT; at += 7000)
			assert_int_equal(
			    zstream_write(z, text + at, 7000, NULL), 0);
		assert_int_equal(zstream_write(z, text, 0, NULL), 0);
		assert_int_equal(zstream_end(z, NULL), 0);
		comes_back(&packed, text, TEXT);
		buf_done(&packed);
	}
	zstream_free(z);
	free(text);
}

static void
worker_counts_give_the_same_bytes(void **state)
{
	uint8_t *text = text_new();
	struct buf one, two;

	(void)state;
	buf_init(&one, TEXT);
	buf_init(&two, TEXT);
	for (int workers = 1; workers < 3; workers++) {
		struct zstream *z = zstream_new(ZSTREAM_LEVEL, workers);
		assert_int_equal(zstream_pack(z, text, TEXT,
		                     workers == 1 ? &one : &two, NULL),
		    0);
		zstream_free(z);
	}
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.data, two.data, one.len);
	buf_done(&one);
	buf_done(&two);
	free(text);
}

static void
a_wrong_size_is_an_error(void **state)
{
	struct zstream *z = zstream_new(ZSTREAM_LEVEL, 0);
	struct buf out;
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(zstream_begin(z, 5, sink, &out, NULL), 0);
	assert_int_equal(zstream_write(z, "abc", 3, NULL), 0);
	assert_int_equal(zstream_end(z, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	/* The stream has ended; the compressor can be used again. */
	assert_int_equal(zstream_write(z, "abc", 3, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	buf_reset(&out);
	assert_int_equal(zstream_pack(z, "abc", 3, &out, NULL), 0);
	comes_back(&out, (const uint8_t *)"abc", 3);
	buf_done(&out);
	zstream_free(z);
}

static void
the_sink_may_fail(void **state)
{
	struct zstream *z = zstream_new(ZSTREAM_LEVEL, 0);
	struct err e = ERR_INIT;
	int calls = 0;

	(void)state;
	assert_int_equal(
	    zstream_begin(z, UINT64_MAX, full_sink, &calls, NULL), 0);
	assert_int_equal(zstream_write(z, "abc", 3, NULL), 0);
	assert_int_equal(zstream_end(z, &e), -1);
	assert_int_equal(e.kind, ERR_IO);
	assert_string_equal(e.msg, "disk full");
	assert_int_equal(zstream_end(z, &e), -1);
	assert_int_equal(calls, 1);
	zstream_free(z);
}

static void
pack_keeps_to_its_room(void **state)
{
	uint8_t *text = text_new();
	struct zstream *z = zstream_new(ZSTREAM_LEVEL, 0);
	struct buf out;
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(buf_puts(&out, "before", NULL), 0);
	assert_int_equal(zstream_pack(z, text, TEXT, &out, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(out.len, 6);
	buf_done(&out);
	zstream_free(z);
	free(text);
}

static void
a_bomb_stops_at_the_limit(void **state)
{
	size_t size = (size_t)64 << 20;
	uint8_t *zeros = calloc(1, size);
	struct zstream *z = zstream_new(ZSTREAM_LEVEL, 0);
	struct buf packed, out;
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&packed, 1 << 20);
	assert_int_equal(zstream_pack(z, zeros, size, &packed, NULL), 0);
	assert_true(packed.len < 10000);
	buf_init(&out, 100000);
	assert_int_equal(zstream_unpack(packed.data, packed.len, &out, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(out.len, 0);
	assert_true(out.cap <= 100001);
	buf_done(&out);

	/* Exactly the limit passes, one byte less does not. */
	buf_reset(&packed);
	assert_int_equal(zstream_pack(z, zeros, 300000, &packed, NULL), 0);
	buf_init(&out, 300000);
	assert_int_equal(
	    zstream_unpack(packed.data, packed.len, &out, NULL), 0);
	assert_int_equal(out.len, 300000);
	buf_done(&out);
	buf_init(&out, 299999);
	assert_int_equal(zstream_unpack(packed.data, packed.len, &out, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_done(&out);
	buf_done(&packed);
	zstream_free(z);
	free(zeros);
}

static void
cut_and_changed_texts_are_refused(void **state)
{
	struct zstream *z = zstream_new(ZSTREAM_LEVEL, 0);
	uint8_t *text = text_new();
	struct buf packed, out;

	(void)state;
	buf_init(&packed, TEXT);
	assert_int_equal(zstream_pack(z, text, 5000, &packed, NULL), 0);
	buf_init(&out, 10000);
	assert_int_equal(buf_puts(&out, "kept", NULL), 0);
	for (size_t n = 0; n < packed.len; n++) {
		struct err e = ERR_INIT;
		assert_int_equal(zstream_unpack(packed.data, n, &out, &e), -1);
		assert_int_equal(e.kind, ERR_CORRUPT);
		assert_int_equal(out.len, 4);
	}
	for (size_t i = 6; i < packed.len; i += 13) {
		packed.data[i] ^= 0x10;
		assert_int_equal(
		    zstream_unpack(packed.data, packed.len, &out, NULL), -1);
		packed.data[i] ^= 0x10;
	}
	assert_int_equal(zstream_unpack("no zstd at all", 14, &out, NULL), -1);
	assert_int_equal(buf_putc(&packed, 'x', NULL), 0);
	assert_int_equal(
	    zstream_unpack(packed.data, packed.len, &out, NULL), -1);
	buf_done(&out);
	buf_done(&packed);
	zstream_free(z);
	free(text);
}

static void
many_frames_are_one_text(void **state)
{
	struct zstream *z = zstream_new(ZSTREAM_LEVEL, 0);
	struct buf packed;

	(void)state;
	buf_init(&packed, 1000);
	assert_int_equal(zstream_pack(z, "one", 3, &packed, NULL), 0);
	assert_int_equal(zstream_pack(z, "", 0, &packed, NULL), 0);
	/* A skippable frame of 3 bytes. */
	assert_int_equal(
	    buf_append(&packed, "\x50\x2a\x4d\x18\3\0\0\0abc", 11, NULL), 0);
	assert_int_equal(zstream_pack(z, "two", 3, &packed, NULL), 0);
	comes_back(&packed, (const uint8_t *)"onetwo", 6);
	buf_done(&packed);
	zstream_free(z);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_buffers_come_back),
		cmocka_unit_test(streams_come_back),
		cmocka_unit_test(worker_counts_give_the_same_bytes),
		cmocka_unit_test(a_wrong_size_is_an_error),
		cmocka_unit_test(the_sink_may_fail),
		cmocka_unit_test(pack_keeps_to_its_room),
		cmocka_unit_test(a_bomb_stops_at_the_limit),
		cmocka_unit_test(cut_and_changed_texts_are_refused),
		cmocka_unit_test(many_frames_are_one_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
