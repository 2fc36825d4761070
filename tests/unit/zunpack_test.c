#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/codec/zunpack.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"

#define SIZE 3000000

static char text[SIZE];

/* Packed twice over: two frames. */
static void
pack(struct buf *out, size_t n)
{
	struct zstream *z = zstream_new(ZSTREAM_LEVEL, 0);
	struct err e = ERR_INIT;

	for (size_t i = 0; i < SIZE; i++)
		text[i] = (i * 2654435761u >> 13) % 97;
	buf_init(out, SIZE * 2);
	assert_int_equal(zstream_pack(z, text, n, out, &e), 0);
	assert_int_equal(zstream_pack(z, text, n, out, &e), 0);
	zstream_free(z);
}

/* Unpacks with pieces of these sizes; -1 on an error. */
static long
unpack(const struct buf *in, size_t len, size_t in_step, size_t out_step,
    char *out, int *whole)
{
	struct zunpack *z = zunpack_new();
	struct err e = ERR_INIT;
	size_t at = 0, got = 0;

	for (;;) {
		size_t n = len - at < in_step ? len - at : in_step, had = n;
		const uint8_t *p = in->data + at;
		long made = zunpack_run(z, &p, &n, out + got, out_step, &e);

		if (made < 0) {
			assert_int_equal(e.kind, ERR_CORRUPT);
			zunpack_free(z);
			return -1;
		}
		assert_ptr_equal(p, in->data + at + (had - n));
		at += had - n;
		got += made;
		if (at == len && made == 0)
			break;
	}
	*whole = zunpack_whole(z);
	zunpack_free(z);
	return got;
}

static void
undoes_it_in_any_pieces(void **state)
{
	static const size_t steps[][2] = { { SIZE, SIZE * 2 }, { 1000, 70000 },
		{ 1, 4096 }, { 65536, 7 } };
	char *out = malloc(SIZE * 4);
	struct buf packed;
	int whole;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		size_t n = i < 2 ? SIZE : 50000;

		pack(&packed, n);
		assert_int_equal(unpack(&packed, packed.len, steps[i][0],
		                     steps[i][1], out, &whole),
		    2 * n);
		assert_true(whole);
		assert_memory_equal(out, text, n);
		assert_memory_equal(out + n, text, n);
		buf_done(&packed);
	}
	free(out);
}

static void
tells_what_is_cut_or_broken(void **state)
{
	char *out = malloc(SIZE * 4);
	struct buf packed;
	int whole;

	(void)state;
	pack(&packed, 50000);
	assert_true(
	    unpack(&packed, packed.len - 1, 1000, 70000, out, &whole) >= 50000);
	assert_false(whole);
	assert_true(unpack(&packed, 0, 1000, 70000, out, &whole) == 0);
	assert_false(whole);
	packed.data[packed.len / 4] ^= 0x55;
	assert_int_equal(
	    unpack(&packed, packed.len, 1000, 70000, out, &whole), -1);
	memcpy(packed.data, "StorePath", 9);
	assert_int_equal(
	    unpack(&packed, packed.len, 1000, 70000, out, &whole), -1);
	buf_done(&packed);
	free(out);
	zunpack_free(NULL);
}

/* Who asks for more memory than readers must have is refused. */
static void
refuses_large_windows(void **state)
{
	/* A frame header (RFC 8878, 3.1.1.1): no size, a window of 16 MiB; then
	 * a last block of one raw byte. */
	static const uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00,
		(24 - 10) << 3, 0x09, 0x00, 0x00, 'x' };
	static const uint8_t good[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x00,
		(23 - 10) << 3, 0x09, 0x00, 0x00, 'x' };
	struct zunpack *z = zunpack_new();
	const uint8_t *p = frame;
	size_t n = sizeof frame;
	struct err e = ERR_INIT;
	char out[10];

	(void)state;
	assert_int_equal(zunpack_run(z, &p, &n, out, sizeof out, &e), -1);
	zunpack_free(z);
	z = zunpack_new();
	p = good;
	n = sizeof good;
	assert_int_equal(zunpack_run(z, &p, &n, out, sizeof out, &e), 1);
	assert_true(zunpack_whole(z));
	zunpack_free(z);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(undoes_it_in_any_pieces),
		cmocka_unit_test(tells_what_is_cut_or_broken),
		cmocka_unit_test(refuses_large_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
