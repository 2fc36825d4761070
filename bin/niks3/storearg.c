#include "storearg.h"

#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/local/nixenv.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/storepath.h"
#include "nixcmd.h"

int
storearg_base(
    const char *arg, struct arena *a, const char **base, struct err *e)
{
	const char *store_dir;

	if (storepath_check_base(arg, strlen(arg), NULL) == 0) {
		*base = arg;
		return 0;
	}
	if (nixenv_store_dir(&store_dir, e) != 0)
		return -1;
	return nixcmd_resolve(store_dir, arg, a, base, e);
}

int
storearg_key(const char *arg, struct arena *a, const char **key, struct err *e)
{
	char text[OBJKEY_TEXT_MAX];
	enum objkey_kind kind;
	const char *base;

	if (objkey_parse(arg, strlen(arg), &kind, NULL) == 0) {
		*key = arg;
		return 0;
	}
	if (strlen(arg) == STOREPATH_HASH_LEN) {
		snprintf(text, sizeof text, "%s.narinfo", arg);
		if (objkey_parse(text, strlen(text), &kind, NULL) == 0)
			goto found;
	}
	if (storearg_base(arg, a, &base, e) != 0)
		return -1;
	objkey_fmt_narinfo(text, base);
found:
	*key = arena_str(a, text);
	return *key != NULL ? 0 : arena_full(a, e);
}
