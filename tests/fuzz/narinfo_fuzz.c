/*
 * Whatever is accepted as a narinfo has its lists in order, can be written, is
 * accepted again, and is then written the same.
 */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/nix/narinfo.h"
#include "fuzz.h"

static void
in_order(const struct narinfo *n)
{
	for (size_t i = 1; i < n->nrefs; i++)
		FUZZ_CHECK(strcmp(n->refs[i - 1], n->refs[i]) < 0);
	for (size_t i = 1; i < n->nsigs; i++)
		FUZZ_CHECK(strcmp(n->sigs[i - 1], n->sigs[i]) <= 0);
	FUZZ_CHECK(n->nrefs <= NARINFO_REFS_MAX);
	FUZZ_CHECK(n->nsigs <= NARINFO_SIGS_MAX);
	FUZZ_CHECK(n->nar_size <= INT64_MAX && n->file_size <= INT64_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(16 << 20);
	struct buf first, second, print;
	struct narinfo n;

	buf_init(&first, 2 * NARINFO_MAX);
	buf_init(&second, 2 * NARINFO_MAX);
	buf_init(&print, 16 << 20);
	if (narinfo_parse((const char *)data, size, a, &n, NULL) == 0) {
		in_order(&n);
		FUZZ_CHECK(narinfo_fmt(&n, &first, NULL) == 0);
		FUZZ_CHECK(narinfo_fingerprint(n.store_dir, n.base, &n.nar_hash,
		               n.nar_size, n.refs, n.nrefs, &print, NULL) == 0);
		if (first.len <= NARINFO_MAX) {
			FUZZ_CHECK(narinfo_parse((const char *)first.data,
			               first.len, a, &n, NULL) == 0);
			FUZZ_CHECK(narinfo_fmt(&n, &second, NULL) == 0);
			FUZZ_CHECK(first.len == second.len &&
			    memcmp(first.data, second.data, first.len) == 0);
		}
	}
	buf_done(&print);
	buf_done(&second);
	buf_done(&first);
	arena_free(a);
	return 0;
}
