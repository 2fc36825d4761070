#include "migrate.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "../core/file.h"
#include "../core/num.h"
#include "db_internal.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)
#define FILES_MAX      10000

/* ---- the format ---- */

struct parser {
	struct arena *a;
	unsigned line;
	enum {
		NOWHERE,
		IN_UP,
		IN_DOWN
	} side;
	int block;       /* between StatementBegin and StatementEnd */
	struct buf text; /* of the statement that is being read */
	int empty;       /* it holds nothing but comments and space so far */
	const char **out[2];
	size_t n[2], cap[2];
};

/* The statement is complete. */
static int
keep(struct parser *p, struct err *e)
{
	int i = p->side == IN_DOWN;
	char *text;

	if (p->n[i] == p->cap[i]) {
		size_t cap = p->cap[i] * 2 + 8;
		const char **more = arena_array(p->a, cap, sizeof *more);

		if (more == NULL)
			return arena_full(p->a, e);
		if (p->n[i] > 0)
			memcpy(more, p->out[i], p->n[i] * sizeof *more);
		p->out[i] = more;
		p->cap[i] = cap;
	}
	text = arena_strn(p->a, buf_str(&p->text), p->text.len);
	if (text == NULL)
		return arena_full(p->a, e);
	p->out[i][p->n[i]++] = text;
	buf_reset(&p->text);
	p->empty = 1;
	return 0;
}

static int
is_word(const char *s, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(s, word, len) == 0;
}

/* What stands behind "-- +goose ". */
static int
annotation(struct parser *p, const char *s, size_t len, struct err *e)
{
	if (is_word(s, len, "Up") || is_word(s, len, "Down")) {
		if (p->block || !p->empty)
			return err_set(e, ERR_INVALID,
			    "line %u: a statement is not finished", p->line);
		if (is_word(s, len, "Up") ? p->side != NOWHERE
		                          : p->side != IN_UP)
			return err_set(e, ERR_INVALID,
			    "line %u: Up must come once, then Down once",
			    p->line);
		p->side = p->side == NOWHERE ? IN_UP : IN_DOWN;
		buf_reset(&p->text);
		return 0;
	}
	if (is_word(s, len, "StatementBegin")) {
		if (p->side == NOWHERE || p->block || !p->empty)
			return err_set(e, ERR_INVALID,
			    "line %u: StatementBegin inside a statement, or "
			    "before Up",
			    p->line);
		p->block = 1;
		buf_reset(&p->text);
		return 0;
	}
	if (is_word(s, len, "StatementEnd")) {
		if (!p->block)
			return err_set(e, ERR_INVALID,
			    "line %u: StatementEnd without StatementBegin",
			    p->line);
		p->block = 0;
		if (!p->empty)
			return keep(p, e);
		buf_reset(&p->text);
		return 0;
	}
	return err_set(e, ERR_INVALID, "line %u: unknown annotation \"%.*s\"",
	    p->line, (int)len, s);
}

/* Without a trailing comment and white space. As goose does, two dashes begin a
 * comment wherever they stand. */
static size_t
code_len(const char *s, size_t len)
{
	const char *dashes = memmem(s, len, "--", 2);

	if (dashes != NULL)
		len = dashes - s;
	while (len > 0 && strchr(" \t\r", s[len - 1]) != NULL)
		len--;
	return len;
}

static int
line(struct parser *p, const char *s, size_t len, struct err *e)
{
	static const char mark[] = "-- +goose ";
	size_t code;

	p->line++;
	while (len > 0 && strchr(" \t\r", s[len - 1]) != NULL)
		len--;
	if (len > sizeof mark - 1 && memcmp(s, mark, sizeof mark - 1) == 0)
		return annotation(
		    p, s + sizeof mark - 1, len - (sizeof mark - 1), e);
	code = code_len(s, len);
	if (p->empty && !p->block && code == 0)
		return 0; /* comments between statements */
	if (p->side == NOWHERE)
		return err_set(e, ERR_INVALID,
		    "line %u: a statement before \"-- +goose Up\"", p->line);
	if (code > 0)
		p->empty = 0;
	if (buf_append(&p->text, s, len, e) != 0 ||
	    buf_putc(&p->text, '\n', e) != 0)
		return -1;
	if (!p->block && code > 0 && s[code - 1] == ';')
		return keep(p, e);
	return 0;
}

static int
parse_lines(struct parser *p, const char *text, size_t len, struct err *e)
{
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end != NULL ? (size_t)(end - text) : len;

		if (line(p, text, n, e) != 0)
			return -1;
		if (end != NULL)
			n++;
		text += n;
		len -= n;
	}
	if (p->side == NOWHERE)
		return err_set(e, ERR_INVALID, "no \"-- +goose Up\"");
	if (p->block)
		return err_set(
		    e, ERR_INVALID, "StatementBegin without StatementEnd");
	if (!p->empty)
		return err_set(
		    e, ERR_INVALID, "the last statement has no semicolon");
	return 0;
}

int
migrate_parse(const char *text, size_t len, struct arena *a,
    struct migrate_script *out, struct err *e)
{
	struct parser p = { .a = a, .empty = 1 };
	int rc;

	if (memchr(text, '\0', len) != NULL)
		return err_set(e, ERR_INVALID, "not a text");
	buf_init(&p.text, FILE_MAX_BYTES);
	rc = parse_lines(&p, text, len, e);
	buf_done(&p.text);
	if (rc != 0)
		return -1;
	*out = (struct migrate_script){ p.out[0], p.n[0], p.out[1], p.n[1] };
	return 0;
}

/* ---- the files ---- */

static int
version_order(const void *a, const void *b)
{
	const struct migration *x = a, *y = b;

	return (x->version > y->version) - (x->version < y->version);
}

/* NNNN_name.sql; other files are none of ours. */
static int
is_migration(const char *name, int64_t *version)
{
	size_t digits = strspn(name, "0123456789"), len = strlen(name), zeros;
	uint64_t v;

	if (digits == 0 || name[digits] != '_' || len < 5 ||
	    strcmp(name + len - 4, ".sql") != 0)
		return 0;
	zeros = strspn(name, "0");
	if (zeros == digits ||
	    num_parse_u64(name + zeros, digits - zeros, INT64_MAX, &v, NULL) !=
	        0)
		return 0;
	*version = v;
	return 1;
}

static int
read_dir(DIR *d, const char *dir, struct arena *a, struct migration **out,
    size_t *n, struct err *e)
{
	struct migration *all = NULL;
	size_t count = 0, cap = 0;
	const struct dirent *entry;
	int64_t version;

	while ((entry = readdir(d)) != NULL) {
		if (!is_migration(entry->d_name, &version))
			continue;
		if (count == FILES_MAX)
			return err_set(e, ERR_TOO_LARGE,
			    "%s: more than %d migrations", dir, FILES_MAX);
		if (count == cap) {
			struct migration *more;

			cap = cap * 2 + 16;
			more = arena_array(a, cap, sizeof *more);
			if (more == NULL)
				return arena_full(a, e);
			if (count > 0)
				memcpy(more, all, count * sizeof *all);
			all = more;
		}
		all[count].version = version;
		all[count].name = arena_str(a, entry->d_name);
		all[count].path = arena_printf(a, "%s/%s", dir, entry->d_name);
		if (all[count].name == NULL || all[count].path == NULL)
			return arena_full(a, e);
		count++;
	}
	if (count == 0)
		return err_set(
		    e, ERR_NOT_FOUND, "%s: no migrations there", dir);
	qsort(all, count, sizeof *all, version_order);
	for (size_t i = 1; i < count; i++)
		if (all[i].version == all[i - 1].version)
			return err_set(e, ERR_INVALID,
			    "%s: %s and %s have the same number", dir,
			    all[i - 1].name, all[i].name);
	*out = all;
	*n = count;
	return 0;
}

static int
list_files(const char *dir, struct arena *a, struct migration **out, size_t *n,
    struct err *e)
{
	DIR *d = opendir(dir);
	int rc;

	if (d == NULL)
		return err_sys(e, "migrations in %s", dir);
	rc = read_dir(d, dir, a, out, n, e);
	closedir(d);
	return rc;
}

static int
load_script(const struct migration *m, struct arena *a,
    struct migrate_script *out, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, FILE_MAX_BYTES);
	rc = file_read(m->path, &text, e);
	if (rc == 0)
		rc = migrate_parse(buf_str(&text), text.len, a, out, e);
	buf_done(&text);
	return rc == 0 ? 0 : err_prefix(e, "%s", m->name);
}

/* ---- the record ---- */

/* As goose makes it, with its row for version 0. */
static const char *const table_sql[] = {
	"SELECT pg_advisory_xact_lock(1852402547, 3)",
	"CREATE TABLE IF NOT EXISTS goose_db_version ("
	"id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,"
	" version_id bigint NOT NULL, is_applied boolean NOT NULL,"
	" tstamp timestamp NOT NULL DEFAULT now())",
	("INSERT INTO goose_db_version (version_id, is_applied) SELECT 0, true"
	 " WHERE NOT EXISTS (SELECT FROM goose_db_version)"),
};

/* Also what makes migrations exclude each other. */
static int
open_record(struct db *db, struct err *e)
{
	for (size_t i = 0; i < sizeof table_sql / sizeof table_sql[0]; i++)
		if (db_script(db, table_sql[i], e) != 0)
			return -1;
	return 0;
}

static struct migration *
by_version(struct migration *all, size_t n, int64_t version)
{
	struct migration key = { .version = version };

	return bsearch(&key, all, n, sizeof key, version_order);
}

/* Fills applied and applied_at: for each version its last row counts. */
static int
read_record(struct db *db, struct arena *a, struct migration *all, size_t n,
    struct err *e)
{
	static const char sql[] =
	    "SELECT version_id, tstamp::text FROM"
	    " (SELECT DISTINCT ON (version_id) * FROM goose_db_version"
	    " WHERE version_id > 0 ORDER BY version_id, id DESC) v"
	    " WHERE is_applied ORDER BY version_id";
	int rc = 0, full = 0;
	PGresult *r;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return -1;
	for (int i = 0; i < PQntuples(r) && rc == 0; i++) {
		int64_t version = row_i64(r, i, 0);
		struct migration *m = by_version(all, n, version);

		if (m == NULL) {
			rc = err_set(e, ERR_VERSION,
			    "the database has migration %" PRId64
			    ", for which there is no file",
			    version);
			err_hint(e,
			    "upgrade niks3, or give it a database of "
			    "its own");
		} else {
			m->applied = 1;
			m->applied_at = row_text(r, i, 1, a, &full);
		}
	}
	PQclear(r);
	return full ? arena_full(a, e) : rc;
}

static int
record_exists(struct db *db, int *out, struct err *e)
{
	PGresult *r;

	if (db_query(db, "SELECT to_regclass('goose_db_version') IS NOT NULL",
	        P_NONE, &r, e) != 0)
		return -1;
	*out = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

int
migrate_status(struct db *db, const char *dir, struct arena *a,
    struct migration **out, size_t *n, struct err *e)
{
	struct migration *all;
	size_t count;
	int exists;

	if (list_files(dir, a, &all, &count, e) != 0 ||
	    record_exists(db, &exists, e) != 0 ||
	    (exists && read_record(db, a, all, count, e) != 0))
		return -1;
	*out = all;
	*n = count;
	return 0;
}

/* ---- up and down ---- */

struct step {
	struct arena *a;
	struct migration *all;
	size_t n;
	struct migration *did; /* NULL: there was nothing to do */
};

static int
run(struct db *db, const struct migration *m, const char **statements, size_t n,
    struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (db_script(db, statements[i], e) != 0)
			return err_prefix(
			    e, "%s: statement %zu", m->name, i + 1);
	return 0;
}

/* What was read before the lock may be old. */
static int
refresh(struct db *db, struct step *s, struct err *e)
{
	s->did = NULL;
	for (size_t i = 0; i < s->n; i++)
		s->all[i].applied = 0;
	return open_record(db, e) != 0 ? -1
	                               : read_record(db, s->a, s->all, s->n, e);
}

/* The oldest that is not applied. */
static int
up(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] = "INSERT INTO goose_db_version"
	                          " (version_id, is_applied) VALUES ($1, true)";
	struct step *s = ctx;
	struct migrate_script script;
	struct migration *m = s->all;

	if (refresh(db, s, e) != 0)
		return -1;
	while (m < s->all + s->n && m->applied)
		m++;
	if (m == s->all + s->n)
		return 0;
	if (load_script(m, s->a, &script, e) != 0 ||
	    run(db, m, script.up, script.nup, e) != 0 ||
	    db_exec(db, sql, PARAMS(P_I64(m->version)), NULL, e) != 0)
		return -1;
	m->applied = 1;
	s->did = m;
	return 0;
}

/* The newest that is applied. */
static int
down(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "DELETE FROM goose_db_version WHERE version_id = $1";
	struct step *s = ctx;
	struct migrate_script script;
	struct migration *m;

	if (refresh(db, s, e) != 0)
		return -1;
	m = s->all + s->n;
	while (m > s->all && !m[-1].applied)
		m--;
	if (m == s->all)
		return err_set(e, ERR_NOT_FOUND, "no migration is applied");
	m--;
	if (load_script(m, s->a, &script, e) != 0 ||
	    run(db, m, script.down, script.ndown, e) != 0 ||
	    db_exec(db, sql, PARAMS(P_I64(m->version)), NULL, e) != 0)
		return -1;
	m->applied = 0;
	s->did = m;
	return 0;
}

#define STEP_MEMORY ((size_t)64 << 20)

int
migrate_up(struct db *db, const char *dir,
    void (*said)(void *ctx, const struct migration *m), void *ctx,
    struct err *e)
{
	struct step s = { .a = arena_new(STEP_MEMORY) };
	int rc;

	rc = list_files(dir, s.a, &s.all, &s.n, e);
	while (rc == 0) {
		rc = db_transaction(db, DB_READ_COMMITTED, up, &s, e);
		if (rc != 0 || s.did == NULL)
			break;
		said(ctx, s.did);
	}
	arena_free(s.a);
	return rc;
}

int
migrate_down(struct db *db, const char *dir,
    void (*said)(void *ctx, const struct migration *m), void *ctx,
    struct err *e)
{
	struct step s = { .a = arena_new(STEP_MEMORY) };
	int rc;

	rc = list_files(dir, s.a, &s.all, &s.n, e);
	if (rc == 0)
		rc = db_transaction(db, DB_READ_COMMITTED, down, &s, e);
	if (rc == 0)
		said(ctx, s.did);
	arena_free(s.a);
	return rc;
}
