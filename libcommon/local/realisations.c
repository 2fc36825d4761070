#include "realisations.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "../codec/json.h"
#include "../core/arena.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../nix/pathinfo.h"
#include "../nix/realisation.h"
#include "nixdb.h"

#define JSON_MAX ((size_t)1 << 20)

/* The schema of Nix 2.4 and later (src/libstore/ca-specific-schema.sql). */
static const char find_sql[] =
    "SELECT r.id, r.drvPath || '!' || r.outputName, r.signatures"
    "  FROM Realisations r JOIN ValidPaths p ON p.id = r.outputPath"
    " WHERE p.path = ?1 ORDER BY 2";
static const char deps_sql[] =
    "SELECT r.drvPath || '!' || r.outputName, p.path"
    "  FROM RealisationsRefs d"
    "  JOIN Realisations r ON r.id = d.realisationReference"
    "  JOIN ValidPaths p ON p.id = r.outputPath"
    " WHERE d.referrer = ?1 ORDER BY 1";

struct finder {
	const char *store_dir;
	struct nixdb *nixdb;
	sqlite3 *db;
	sqlite3_stmt *find, *deps;
	struct arena *a;
	struct buf json;
	struct realisation *found;
	size_t n, room;
};

static int
fail(struct finder *f, struct err *e)
{
	return nixdb_fail(f->nixdb, e);
}

/* *have is 0 where this Nix keeps no realisations. */
static int
finder_open(struct finder *f, int *have, struct err *e)
{
	sqlite3_stmt *table = NULL;

	if (nixdb_open(f->store_dir, &f->nixdb, e) != 0)
		return -1;
	f->db = nixdb_handle(f->nixdb);
	if (sqlite3_prepare_v2(f->db,
	        "SELECT 1 FROM sqlite_master WHERE name = 'RealisationsRefs'",
	        -1, &table, NULL) != SQLITE_OK)
		return fail(f, e);
	*have = sqlite3_step(table) == SQLITE_ROW;
	sqlite3_finalize(table);
	if (!*have)
		return 0;
	if (sqlite3_prepare_v2(f->db, find_sql, -1, &f->find, NULL) !=
	        SQLITE_OK ||
	    sqlite3_prepare_v2(f->db, deps_sql, -1, &f->deps, NULL) !=
	        SQLITE_OK)
		return fail(f, e);
	return 0;
}

static int
put_string(struct buf *b, const char *s, struct err *e)
{
	return json_put_str(b, s, strlen(s), e);
}

static const char *
base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int
put_deps(struct finder *f, sqlite3_int64 row, struct err *e)
{
	int rc, first = 1;

	sqlite3_reset(f->deps);
	sqlite3_bind_int64(f->deps, 1, row);
	while ((rc = sqlite3_step(f->deps)) == SQLITE_ROW) {
		const char *id = (const char *)sqlite3_column_text(f->deps, 0);
		const char *to = (const char *)sqlite3_column_text(f->deps, 1);

		if ((!first && buf_putc(&f->json, ',', e) != 0) ||
		    put_string(&f->json, id, e) != 0 ||
		    buf_putc(&f->json, ':', e) != 0 ||
		    put_string(&f->json, base_of(to), e) != 0)
			return -1;
		first = 0;
	}
	return rc == SQLITE_DONE ? 0 : fail(f, e);
}

/* Signatures stand in one column, separated by spaces. */
static int
put_sigs(struct finder *f, const char *sigs, struct err *e)
{
	for (int first = 1; sigs != NULL && *sigs != '\0'; first = 0) {
		size_t len = strcspn(sigs, " ");

		if ((!first && buf_putc(&f->json, ',', e) != 0) ||
		    json_put_str(&f->json, sigs, len, e) != 0)
			return -1;
		sigs += len;
		sigs += strspn(sigs, " ");
	}
	return 0;
}

static int
add(struct finder *f, const char *base, struct err *e)
{
	struct realisation *r;
	const char *id = (const char *)sqlite3_column_text(f->find, 1);

	buf_reset(&f->json);
	if (realisation_check_id(id, e) != 0 ||
	    buf_puts(&f->json, "{\"dependentRealisations\":{", e) != 0 ||
	    put_deps(f, sqlite3_column_int64(f->find, 0), e) != 0 ||
	    buf_puts(&f->json, "},\"id\":", e) != 0 ||
	    put_string(&f->json, id, e) != 0 ||
	    buf_puts(&f->json, ",\"outPath\":", e) != 0 ||
	    put_string(&f->json, base, e) != 0 ||
	    buf_puts(&f->json, ",\"signatures\":[", e) != 0 ||
	    put_sigs(f, (const char *)sqlite3_column_text(f->find, 2), e) !=
	        0 ||
	    buf_puts(&f->json, "]}", e) != 0)
		return -1;
	if (f->n == f->room) {
		f->room = f->room > 0 ? 2 * f->room : 16;
		f->found = xrealloc(f->found, f->room * sizeof *f->found);
	}
	r = &f->found[f->n];
	r->id = arena_str(f->a, id);
	r->out_path = base;
	r->json = arena_strn(f->a, (const char *)f->json.data, f->json.len);
	if (r->id == NULL || r->json == NULL)
		return arena_full(f->a, e);
	f->n++;
	return 0;
}

static int
find_path(struct finder *f, const struct pathinfo *p, struct err *e)
{
	const char *path = arena_printf(f->a, "%s/%s", f->store_dir, p->base);
	int rc;

	if (path == NULL)
		return arena_full(f->a, e);
	sqlite3_reset(f->find);
	sqlite3_bind_text(f->find, 1, path, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(f->find)) == SQLITE_ROW)
		if (add(f, p->base, e) != 0)
			return err_prefix(e, "realisation of %s", p->base);
	return rc == SQLITE_DONE ? 0 : fail(f, e);
}

/* One reading. *torn: it may be wrong, and is worth another one. */
static int
find_all(const char *store_dir, const struct pathinfo *paths, size_t n,
    struct arena *a, struct realisation **out, size_t *nout, int *torn,
    struct err *e)
{
	struct finder f = { .store_dir = store_dir, .a = a };
	int have = 0, rc = -1;

	buf_init(&f.json, JSON_MAX);
	for (size_t i = 0; i < n; i++) {
		if (paths[i].ca == NULL)
			continue;
		if (f.db == NULL && finder_open(&f, &have, e) != 0)
			goto out;
		if (!have)
			break;
		if (find_path(&f, &paths[i], e) != 0)
			goto out;
	}
	if ((*out = arena_dup(a, f.found, f.n * sizeof *f.found)) == NULL) {
		arena_full(a, e);
		goto out;
	}
	*nout = f.n;
	rc = 0;
out:
	free(f.found);
	buf_done(&f.json);
	sqlite3_finalize(f.find);
	sqlite3_finalize(f.deps);
	*torn =
	    f.nixdb != NULL && nixdb_still(f.nixdb, rc == 0 ? e : NULL) != 0;
	nixdb_close(f.nixdb);
	return *torn ? -1 : rc;
}

int
realisations_find(const char *store_dir, const struct pathinfo *paths, size_t n,
    struct arena *a, struct realisation **out, size_t *nout, struct err *e)
{
	int torn = 1, rc = -1;

	for (int i = 0; torn && i < NIXDB_TRIES; i++)
		rc = find_all(store_dir, paths, n, a, out, nout, &torn, e);
	return rc;
}
