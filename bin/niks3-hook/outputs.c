/*
 * OUT_PATHS, where Nix sets it: Nix 2.8 has it empty. Then DRV_PATH, the
 * derivation, whose file names its outputs, unless they are addressed by their
 * content: those are asked of the Nix database, which knows what made a path.
 * No program is run: `nix-store -q --outputs` takes many times as long as all
 * else here, and Nix 2.8's knows nothing of resolved derivations.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"
#include "../../libcommon/local/nixdb.h"
#include "../../libcommon/local/nixenv.h"
#include "../../libcommon/nix/derivation.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/hook.h"
#include "hook.h"

#define SPACE   " \t\r\n"
#define DRV_MAX ((size_t)64 << 20)

static int
add(struct desc_strs *paths, const char *path, struct err *e)
{
	if (paths->n == HOOK_PATHS_MAX)
		return err_set(
		    e, ERR_TOO_LARGE, "more than %d paths", HOOK_PATHS_MAX);
	paths->items[paths->n++] = path;
	return 0;
}

static int
add_base(struct desc_strs *paths, const char *store_dir, const char *base,
    struct arena *a, struct err *e)
{
	const char *path = arena_printf(a, "%s/%s", store_dir, base);

	return path != NULL ? add(paths, path, e) : arena_full(a, e);
}

static int
add_words(
    struct desc_strs *paths, const char *text, struct arena *a, struct err *e)
{
	size_t len;

	for (text += strspn(text, SPACE); *text != '\0';
	     text += len + strspn(text + len, SPACE)) {
		const char *path;

		len = strcspn(text, SPACE);
		if ((path = arena_strn(a, text, len)) == NULL)
			return arena_full(a, e);
		if (add(paths, path, e) != 0)
			return -1;
	}
	return 0;
}

static int
read_drv(const char *path, const char *store_dir, struct arena *a,
    struct derivation_output **out, size_t *n, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, DRV_MAX);
	rc = file_read(path, &text, e);
	if (rc == 0 &&
	    derivation_outputs((const char *)text.data, text.len, store_dir, a,
	        out, n, e) != 0)
		rc = err_prefix(e, "%s", path);
	buf_done(&text);
	return rc;
}

/* One reading of the database; UNAVAILABLE is worth another one. */
static int
add_made_by(struct desc_strs *paths, const char *store_dir, const char *drv,
    size_t max, struct arena *a, struct err *e)
{
	struct nixdb *db;
	struct nixdb_path *made = NULL;
	size_t n = 0;
	int rc;

	if (nixdb_open(store_dir, &db, e) != 0)
		return -1;
	rc = nixdb_made_by(db, store_dir, drv, max, a, &made, &n, e);
	if (nixdb_still(db, e) != 0)
		rc = -1;
	nixdb_close(db);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = add_base(paths, store_dir, made[i].base, a, e);
	return rc;
}

static int
add_outputs(struct desc_strs *paths, const char *drv_path, struct arena *a,
    struct err *e)
{
	struct derivation_output *outputs = NULL;
	const char *store_dir, *drv;
	size_t n = 0, unknown = 0;
	int rc = 0;

	if (nixenv_store_dir(&store_dir, e) != 0 ||
	    storepath_parse(store_dir, drv_path, &drv, e) != 0 ||
	    read_drv(drv_path, store_dir, a, &outputs, &n, e) != 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (outputs[i].base == NULL)
			unknown++;
		else
			rc = add_base(paths, store_dir, outputs[i].base, a, e);
	if (rc != 0 || unknown == 0)
		return rc;
	for (int i = 0; i < NIXDB_TRIES; i++) {
		rc = add_made_by(paths, store_dir, drv, unknown, a, e);
		if (rc == 0 || e->kind != ERR_UNAVAILABLE)
			break;
	}
	return rc;
}

int
hook_outputs(struct arena *a, struct desc_strs *out, struct err *e)
{
	const char *words = getenv("OUT_PATHS"), *drv = getenv("DRV_PATH");
	struct desc_strs paths = { 0 };

	paths.items = arena_array(a, HOOK_PATHS_MAX, sizeof *paths.items);
	if (paths.items == NULL)
		return arena_full(a, e);
	if (words != NULL && add_words(&paths, words, a, e) != 0)
		return err_prefix(e, "OUT_PATHS");
	if (paths.n == 0 && drv != NULL && drv[0] != '\0' &&
	    add_outputs(&paths, drv, a, e) != 0)
		return err_prefix(e, "DRV_PATH");
	*out = paths;
	return 0;
}
