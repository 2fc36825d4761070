/*
 * Whatever is accepted as path information makes a narinfo that can be written,
 * and its paths are in order.
 */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/pathinfo.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(64 << 20);
	struct pathinfo *p;
	size_t n = 0;
	struct buf b;

	buf_init(&b, 16 << 20);
	if (pathinfo_parse(
	        (const char *)data, size, "/nix/store", a, &p, &n, NULL) < 0)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		struct narinfo info = { .store_dir = "/nix/store",
			.base = p[i].base,
			.url = "nar/x",
			.compression = "zstd",
			.nar_size = p[i].nar_size,
			.refs = p[i].refs,
			.nrefs = p[i].nrefs,
			.deriver = p[i].deriver,
			.sigs = p[i].sigs,
			.nsigs = p[i].nsigs,
			.ca = p[i].ca };

		buf_reset(&b);
		FUZZ_CHECK(narinfo_fmt(&info, &b, NULL) == 0);
		FUZZ_CHECK(i == 0 || strcmp(p[i - 1].base, p[i].base) < 0);
	}
	buf_done(&b);
	arena_free(a);
	return 0;
}
