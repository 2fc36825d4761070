/*
 * Whatever is accepted as a key stays in its folder, has only harmless
 * characters, and is of one kind only.
 */
#include <string.h>

#include "../../libcommon/nix/objkey.h"
#include "fuzz.h"

static int
ends_with(const uint8_t *data, size_t size, const char *suffix)
{
	size_t n = strlen(suffix);

	return size > n && memcmp(data + size - n, suffix, n) == 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum objkey_kind kind;

	if (objkey_parse((const char *)data, size, &kind, NULL) < 0)
		return 0;
	FUZZ_CHECK(size <= OBJKEY_MAX);
	FUZZ_CHECK(kind >= OBJKEY_NARINFO && kind < OBJKEY__MAX);
	for (size_t i = 0; i < size; i++)
		FUZZ_CHECK(data[i] > ' ' && data[i] < 0x7f);
	FUZZ_CHECK(data[0] != '/' && memmem(data, size, "/../", 4) == NULL);
	FUZZ_CHECK(memmem(data, size, "/./", 3) == NULL);
	FUZZ_CHECK(
	    ends_with(data, size, ".narinfo") == (kind == OBJKEY_NARINFO));
	FUZZ_CHECK(ends_with(data, size, ".ls") == (kind == OBJKEY_LISTING));
	FUZZ_CHECK(ends_with(data, size, ".drv") == (kind == OBJKEY_LOG));
	FUZZ_CHECK(
	    ends_with(data, size, ".doi") == (kind == OBJKEY_REALISATION));
	return 0;
}
