#include "nixenv.h"

#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "../core/err.h"
#include "../nix/storepath.h"

int
nixenv_store_dir(const char **out, struct err *e)
{
	const char *dir = getenv("NIX_STORE_DIR");

	if (dir == NULL || dir[0] == '\0')
		dir = STOREPATH_DIR_DEFAULT;
	if (storepath_check_dir(dir, e) != 0)
		return err_prefix(e, "NIX_STORE_DIR");
	*out = dir;
	return 0;
}

/* What stands beside the store. */
static int
beside(const char *store_dir, const char *name, struct arena *a,
    const char **out, struct err *e)
{
	const char *slash = strrchr(store_dir, '/');
	const char *path = arena_printf(
	    a, "%.*s/%s", (int)(slash - store_dir), store_dir, name);

	if (path == NULL)
		return arena_full(a, e);
	*out = path;
	return 0;
}

int
nixenv_log_dir(
    const char *store_dir, struct arena *a, const char **out, struct err *e)
{
	const char *dir = getenv("NIX_LOG_DIR");

	if (dir == NULL || dir[0] != '/')
		return beside(store_dir, "var/log/nix", a, out, e);
	*out = dir;
	return 0;
}

int
nixenv_db_dir(
    const char *store_dir, struct arena *a, const char **out, struct err *e)
{
	const char *state = getenv("NIX_STATE_DIR");
	const char *path;

	if (state == NULL || state[0] != '/')
		return beside(store_dir, "var/nix/db", a, out, e);
	if ((path = arena_printf(a, "%s/db", state)) == NULL)
		return arena_full(a, e);
	*out = path;
	return 0;
}
