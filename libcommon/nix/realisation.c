#include "realisation.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../codec/json.h"
#include "../core/arena.h"
#include "../core/err.h"
#include "objkey.h"
#include "storepath.h"

int
realisation_check_id(const char *id, struct err *e)
{
	char key[OBJKEY_TEXT_MAX];

	return objkey_fmt_realisation(key, id, e);
}

/* The base name of a store path, inside v. */
static const char *
base_of(const json_t *v, const char *store_dir, struct err *e)
{
	const char *s = json_string_value(v), *base;

	if (s == NULL) {
		err_set(e, ERR_INVALID, "not a store path");
		return NULL;
	}
	return storepath_parse_either(store_dir, s, &base, e) < 0 ? NULL : base;
}

/* {"<id>": "<store path>", ...} with base names, or NULL. */
static json_t *
dependencies(json_t *v, const char *store_dir, struct err *e)
{
	json_t *out = json_object();
	const char *id, *base;
	json_t *path;

	if (v != NULL && !json_is_null(v) && !json_is_object(v)) {
		err_set(e, ERR_INVALID, "not an object");
		goto bad;
	}
	json_object_foreach(v, id, path)
	{
		if (realisation_check_id(id, e) < 0 ||
		    (base = base_of(path, store_dir, e)) == NULL)
			goto bad;
		json_object_set_new(out, id, json_string(base));
	}
	return out;
bad:
	json_decref(out);
	return NULL;
}

/* A list of strings, or NULL. */
static json_t *
signatures(json_t *v, struct err *e)
{
	json_t *sig;
	size_t i;

	if (v == NULL || json_is_null(v))
		return json_array();
	if (!json_is_array(v)) {
		err_set(e, ERR_INVALID, "not a list");
		return NULL;
	}
	json_array_foreach(v, i, sig) if (!json_is_string(sig))
	{
		err_set(e, ERR_INVALID, "not a string");
		return NULL;
	}
	return json_incref(v);
}

static int
parse_one(json_t *v, const char *store_dir, struct arena *a,
    struct realisation *out, struct err *e)
{
	const char *id = json_string_value(json_object_get(v, "id")), *base;
	json_t *deps = NULL, *sigs = NULL, *stored = NULL;
	struct realisation r = { 0 };
	char *text = NULL;
	int rc = -1;

	if (id == NULL)
		return err_set(e, ERR_INVALID, "id: not a string");
	if (realisation_check_id(id, e) < 0)
		return -1;
	base = base_of(json_object_get(v, "outPath"), store_dir, e);
	if (base == NULL) {
		err_prefix(e, "%s: outPath", id);
		goto out;
	}
	deps = dependencies(
	    json_object_get(v, "dependentRealisations"), store_dir, e);
	if (deps == NULL) {
		err_prefix(e, "%s: dependentRealisations", id);
		goto out;
	}
	sigs = signatures(json_object_get(v, "signatures"), e);
	if (sigs == NULL) {
		err_prefix(e, "%s: signatures", id);
		goto out;
	}
	stored = json_pack("{s:O, s:s, s:s, s:O}", "dependentRealisations",
	    deps, "id", id, "outPath", base, "signatures", sigs);
	text = json_dumps(stored, JSON_COMPACT | JSON_SORT_KEYS);
	if (text == NULL)
		err_die("out of memory: realisation %s", id);
	r.id = arena_str(a, id);
	r.out_path = arena_str(a, base);
	r.json = arena_str(a, text);
	if (r.id == NULL || r.out_path == NULL || r.json == NULL) {
		arena_full(a, e);
		goto out;
	}
	*out = r;
	rc = 0;
out:
	free(text);
	json_decref(stored);
	json_decref(sigs);
	json_decref(deps);
	return rc;
}

int
realisation_parse(const char *json, size_t len, const char *store_dir,
    struct arena *a, struct realisation **out, size_t *n, struct err *e)
{
	json_t *all = json_load(json, len, e), *v;
	struct realisation *list;
	size_t i, found = 0;
	int rc = -1;

	if (all == NULL)
		return err_prefix(e, "realisations");
	if (!json_is_array(all)) {
		err_set(e, ERR_INVALID, "not a list");
		goto out;
	}
	list = arena_array(a, json_array_size(all), sizeof *list);
	if (list == NULL) {
		arena_full(a, e);
		goto out;
	}
	json_array_foreach(all, i, v)
	{
		if (!json_is_object(v)) {
			err_set(e, ERR_INVALID, "entry %zu: not an object", i);
			goto out;
		}
		if (json_object_get(v, "id") == NULL)
			continue;
		if (parse_one(v, store_dir, a, &list[found], e) < 0)
			goto out;
		found++;
	}
	*out = list;
	*n = found;
	rc = 0;
out:
	json_decref(all);
	return rc < 0 ? err_prefix(e, "realisations") : 0;
}
