/*
 * Whatever is accepted as a key stays in its folder, has only harmless
 * characters, and is of one kind only; so does a staged one, which is taken apart
 * as it was put together, and a pin's name is a single harmless word.
 */
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/nix/objkey.h"
#include "fuzz.h"

static int
ends_with(const uint8_t *data, size_t size, const char *suffix)
{
	size_t n = strlen(suffix);

	return size > n && memcmp(data + size - n, suffix, n) == 0;
}

static void
keys(const uint8_t *data, size_t size)
{
	enum objkey_kind kind;

	if (objkey_parse((const char *)data, size, &kind, NULL) < 0)
		return;
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
}

/* Never itself a key; what is put together with "t" comes apart again. */
static void
staged(const char *text)
{
	char token[OBJKEY_TOKEN_MAX + 1], whole[OBJKEY_TEXT_MAX];
	enum objkey_kind kind;
	const char *key;

	if (objkey_fmt_staged(whole, "t", text, NULL) == 0) {
		FUZZ_CHECK(objkey_parse(text, strlen(text), &kind, NULL) == 0);
		FUZZ_CHECK(objkey_parse_staged(whole, token, &key, NULL) == 0);
		FUZZ_CHECK(strcmp(token, "t") == 0 && strcmp(key, text) == 0);
	}
	if (objkey_parse_staged(text, token, &key, NULL) < 0)
		return;
	FUZZ_CHECK(objkey_parse(text, strlen(text), &kind, NULL) < 0);
	FUZZ_CHECK(objkey_parse(key, strlen(key), &kind, NULL) == 0);
	FUZZ_CHECK(objkey_fmt_staged(whole, token, key, NULL) == 0);
	FUZZ_CHECK(strcmp(whole, text) == 0);
}

static void
pins(const char *text)
{
	if (objkey_check_pin(text, NULL) < 0)
		return;
	FUZZ_CHECK(text[0] != '\0' && strlen(text) <= OBJKEY_PIN_MAX);
	FUZZ_CHECK(strpbrk(text, "/ \n\"<>&%") == NULL);
	FUZZ_CHECK(strcmp(text, ".") != 0 && strcmp(text, "..") != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	keys(data, size);
	staged(text);
	pins(text);
	free(text);
	return 0;
}
