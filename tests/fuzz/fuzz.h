/*
 * The frame of a fuzzer:
 *
 *	clang -g -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE X_fuzz.c ...
 *
 * With -DFUZZ_MAIN it is a program of its own instead, which runs over the files
 * that it is given: a corpus as a regression test, by any compiler.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "../../libcommon/core/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold for every input. */
#define FUZZ_CHECK(holds)                                            \
	do {                                                         \
		if (!(holds))                                        \
			err_die("%s: broken: %s", __func__, #holds); \
	} while (0)

#ifdef FUZZ_MAIN
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/file.h"

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct err e;
		struct buf b;

		buf_init(&b, 16 << 20);
		if (file_read(argv[i], &b, &e) < 0)
			err_die("%s", e.msg);
		LLVMFuzzerTestOneInput(b.data, b.len);
		buf_done(&b);
	}
	return 0;
}
#endif

#endif
