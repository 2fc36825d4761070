#include "nixdb.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/arena.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../nix/storepath.h"
#include "nixenv.h"

#define BUSY_MS  5000 /* Nix may be writing */
#define PATH_LEN 4096

struct nixdb {
	sqlite3 *db;
	char path[PATH_LEN];
	int as_file;        /* read as a file that does not change */
	struct stat before; /* of that file */
};

int
nixdb_fail(struct nixdb *db, struct err *e)
{
	return err_set(
	    e, ERR_IO, "Nix database %s: %s", db->path, sqlite3_errmsg(db->db));
}

struct sqlite3 *
nixdb_handle(struct nixdb *db)
{
	return db->db;
}

static int
wal_is_there(const struct nixdb *db)
{
	char path[PATH_LEN + 8];
	struct stat st;

	snprintf(path, sizeof path, "%s-wal", db->path);
	return stat(path, &st) == 0;
}

int
nixdb_still(const struct nixdb *db, struct err *e)
{
	struct stat now;

	if (!db->as_file)
		return 0;
	if (stat(db->path, &now) == 0 && !wal_is_there(db) &&
	    now.st_ino == db->before.st_ino &&
	    now.st_size == db->before.st_size &&
	    now.st_mtim.tv_sec == db->before.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == db->before.st_mtim.tv_nsec)
		return 0;
	return err_set(e, ERR_UNAVAILABLE,
	    "Nix database %s: it changed while it was read", db->path);
}

/* Opens it and reads, so that what cannot be read is known. */
static int
try_open(struct nixdb *db, const char *name, int flags)
{
	int rc =
	    sqlite3_open_v2(name, &db->db, SQLITE_OPEN_READONLY | flags, NULL);

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_busy_timeout(db->db, BUSY_MS);
	return sqlite3_exec(
	    db->db, "SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL);
}

/* The path as a URI: what has a meaning there is escaped. */
static int
as_uri(const struct nixdb *db, struct buf *out, struct err *e)
{
	if (buf_puts(out, "file:", e) != 0)
		return -1;
	for (const char *s = db->path; *s != '\0'; s++)
		if ((*s == '%' || *s == '?' || *s == '#'
		            ? buf_printf(out, e, "%%%02x", (unsigned char)*s)
		            : buf_putc(out, *s, e)) != 0)
			return -1;
	return buf_puts(out, "?immutable=1", e);
}

static int
open_as_file(struct nixdb *db, struct err *e)
{
	struct buf uri;
	int rc = -1;

	sqlite3_close(db->db);
	db->db = NULL;
	db->as_file = 1;
	buf_init(&uri, 4 * PATH_LEN);
	if (stat(db->path, &db->before) != 0) {
		err_sys(e, "Nix database %s", db->path);
	} else if (as_uri(db, &uri, e) == 0) {
		rc = try_open(db, buf_str(&uri), SQLITE_OPEN_URI) == SQLITE_OK
		    ? 0
		    : nixdb_fail(db, e);
	}
	buf_done(&uri);
	return rc;
}

int
nixdb_open(const char *store_dir, struct nixdb **out, struct err *e)
{
	struct arena *a = arena_new(2 * PATH_LEN);
	struct nixdb *db = xcalloc(1, sizeof *db);
	const char *dir;
	int rc = -1;

	if (nixenv_db_dir(store_dir, a, &dir, e) != 0)
		goto out;
	if (snprintf(db->path, sizeof db->path, "%s/db.sqlite", dir) >=
	    (int)sizeof db->path) {
		err_set(e, ERR_INVALID, "Nix database: path too long");
		goto out;
	}
	rc = try_open(db, db->path, 0);
	if (rc == SQLITE_READONLY || rc == SQLITE_CANTOPEN)
		rc = open_as_file(db, e);
	else if (rc != SQLITE_OK)
		rc = nixdb_fail(db, e);
out:
	arena_free(a);
	if (rc != 0)
		nixdb_close(db);
	else
		*out = db;
	return rc;
}

void
nixdb_close(struct nixdb *db)
{
	if (db == NULL)
		return;
	sqlite3_close(db->db);
	free(db);
}

/* ---- paths ---- */

int
nixdb_last_id(struct nixdb *db, int64_t *id, struct err *e)
{
	sqlite3_stmt *q;
	int rc;

	if (sqlite3_prepare_v2(db->db,
	        "SELECT seq FROM sqlite_sequence WHERE name = 'ValidPaths'", -1,
	        &q, NULL) != SQLITE_OK)
		return nixdb_fail(db, e);
	rc = sqlite3_step(q);
	if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
		*id = rc == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;
		rc = 0;
	} else {
		rc = nixdb_fail(db, e);
	}
	sqlite3_finalize(q);
	return rc;
}

/* What a row is: 1, or 0 when it is in another store. */
static int
read_path(sqlite3_stmt *q, const char *store_dir, struct arena *a,
    struct nixdb_path *out, struct err *e)
{
	const char *path = (const char *)sqlite3_column_text(q, 1);
	const char *sigs = (const char *)sqlite3_column_text(q, 2);
	const char *base;

	if (path == NULL || storepath_parse(store_dir, path, &base, NULL) != 0)
		return 0;
	out->id = sqlite3_column_int64(q, 0);
	out->base = arena_str(a, base);
	out->sigs = arena_str(a, sigs != NULL ? sigs : "");
	if (out->base == NULL || out->sigs == NULL)
		return arena_full(a, e);
	return 1;
}

/* Rows of sql, whose ?1 is a number and whose ?2 is a path. */
static int
read_paths(struct nixdb *db, const char *sql, int64_t number,
    const char *path_base, const char *store_dir, size_t max, struct arena *a,
    struct nixdb_path **out, size_t *n, struct err *e)
{
	struct nixdb_path *all = arena_array(a, max, sizeof *all);
	const char *path = arena_printf(a, "%s/%s", store_dir, path_base);
	sqlite3_stmt *q;
	size_t at = 0;
	int rc, got = 0;

	if (all == NULL || path == NULL)
		return arena_full(a, e);
	if (sqlite3_prepare_v2(db->db, sql, -1, &q, NULL) != SQLITE_OK)
		return nixdb_fail(db, e);
	sqlite3_bind_int64(q, 1, number);
	sqlite3_bind_text(q, 2, path, -1, SQLITE_STATIC);
	while (at < max && got >= 0 && (rc = sqlite3_step(q)) == SQLITE_ROW)
		if ((got = read_path(q, store_dir, a, &all[at], e)) > 0)
			at++;
	if (got >= 0 && at < max && rc != SQLITE_DONE)
		got = nixdb_fail(db, e);
	sqlite3_finalize(q);
	if (got < 0)
		return -1;
	*out = all;
	*n = at;
	return 0;
}

int
nixdb_after(struct nixdb *db, const char *store_dir, int64_t id, size_t max,
    struct arena *a, struct nixdb_path **out, size_t *n, struct err *e)
{
	return read_paths(db,
	    "SELECT id, path, sigs FROM ValidPaths WHERE id > ?1 AND"
	    " ?2 IS NOT NULL ORDER BY id",
	    id, "", store_dir, max, a, out, n, e);
}

int
nixdb_path(struct nixdb *db, const char *store_dir, const char *base,
    struct arena *a, struct nixdb_path *out, struct err *e)
{
	struct nixdb_path *found;
	size_t n;

	if (read_paths(db,
	        "SELECT id, path, sigs FROM ValidPaths WHERE path = ?2 AND"
	        " ?1 IS NOT NULL",
	        0, base, store_dir, 1, a, &found, &n, e) != 0)
		return -1;
	*out = n > 0 ? found[0] : (struct nixdb_path){ 0 };
	return 0;
}

int
nixdb_made_by(struct nixdb *db, const char *store_dir, const char *drv_base,
    size_t max, struct arena *a, struct nixdb_path **out, size_t *n,
    struct err *e)
{
	return read_paths(db,
	    "SELECT id, path, sigs FROM ValidPaths WHERE deriver = ?2 AND"
	    " ?1 IS NOT NULL ORDER BY id DESC",
	    0, drv_base, store_dir, max, a, out, n, e);
}
