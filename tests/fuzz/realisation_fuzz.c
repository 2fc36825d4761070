/*
 * Whatever is stored of a realisation is accepted again, and stored the same.
 */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/nix/realisation.h"
#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(64 << 20);
	struct realisation *r, *again;
	size_t n = 0, one;
	struct err e;

	if (realisation_parse(
	        (const char *)data, size, "/nix/store", a, &r, &n, NULL) < 0)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		char *list = arena_printf(a, "[%s]", r[i].json);

		FUZZ_CHECK(realisation_check_id(r[i].id, NULL) == 0);
		if (list == NULL)
			break; /* the arena is full */
		if (realisation_parse(list, strlen(list), "/nix/store", a,
		        &again, &one, &e) < 0) {
			FUZZ_CHECK(e.kind == ERR_TOO_LARGE);
			break;
		}
		FUZZ_CHECK(one == 1 && strcmp(again->json, r[i].json) == 0);
	}
	arena_free(a);
	return 0;
}
