/*
 * Whatever is stored of a realisation is compact JSON with its names in order, is
 * accepted again, and stored the same.
 */
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/nix/realisation.h"
#include "fuzz.h"

static void
in_order(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);
	char *sorted = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);

	FUZZ_CHECK(sorted != NULL && strcmp(sorted, text) == 0);
	free(sorted);
	json_decref(o);
}

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
		in_order(r[i].json);
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
