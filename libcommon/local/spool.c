#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/arena.h"
#include "../core/clock.h"
#include "../core/err.h"
#include "../core/utf8.h"
#include "../nix/storepath.h"

#define BUSY_MS     5000
#define LOCK_MS     2000
#define LOCK_REST   20 /* ms between two tries */
#define VERSION     1
#define VERSION_STR "1"
#define PATH_LEN    4096

struct spool {
	sqlite3 *db;
	char *path;
	int lock; /* the descriptor of the lock's file, or -1 */
	uint64_t max;
	pthread_mutex_t mutex;
};

/* ---- statements ---- */

static int
fail(struct spool *s, struct err *e)
{
	int code = sqlite3_errcode(s->db);

	err_set(e, code == SQLITE_FULL ? ERR_TOO_LARGE : ERR_IO, "queue %s: %s",
	    s->path, sqlite3_errmsg(s->db));
	if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
		err_hint(e,
		    "move the file away; what it held must be pushed by hand");
	return -1;
}

static int
run(struct spool *s, const char *sql, struct err *e)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK
	    ? 0
	    : fail(s, e);
}

static int
prepare(struct spool *s, const char *sql, sqlite3_stmt **out, struct err *e)
{
	return sqlite3_prepare_v2(s->db, sql, -1, out, NULL) == SQLITE_OK
	    ? 0
	    : fail(s, e);
}

/* Runs a statement that gives no row; *changed rows were. */
static int
finish(struct spool *s, sqlite3_stmt *q, size_t *changed, struct err *e)
{
	int rc = sqlite3_step(q) == SQLITE_DONE ? 0 : fail(s, e);

	if (rc == 0 && changed != NULL)
		*changed = sqlite3_changes(s->db);
	sqlite3_finalize(q);
	return rc;
}

/* The number that a statement gives; other when it gives no row or NULL. */
static int
number(struct spool *s, const char *sql, int64_t other, int64_t *out,
    struct err *e)
{
	sqlite3_stmt *q;
	int rc;

	if (prepare(s, sql, &q, e) != 0)
		return -1;
	rc = sqlite3_step(q);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		rc = fail(s, e);
	} else {
		*out =
		    rc == SQLITE_ROW && sqlite3_column_type(q, 0) != SQLITE_NULL
		    ? sqlite3_column_int64(q, 0)
		    : other;
		rc = 0;
	}
	sqlite3_finalize(q);
	return rc;
}

/* For numbers only: everything else is bound. */
__attribute__((format(printf, 4, 5))) static int
run_with(struct spool *s, size_t *changed, struct err *e, const char *fmt, ...)
{
	char sql[1024];
	sqlite3_stmt *q;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sql, sizeof sql, fmt, ap);
	va_end(ap);
	if (prepare(s, sql, &q, e) != 0)
		return -1;
	return finish(s, q, changed, e);
}

static int
begin(struct spool *s, struct err *e)
{
	pthread_mutex_lock(&s->mutex);
	if (run(s, "BEGIN IMMEDIATE", e) == 0)
		return 0;
	pthread_mutex_unlock(&s->mutex);
	return -1;
}

/* Commits what rc says went well, and takes all else back. */
static int
end(struct spool *s, int rc, struct err *e)
{
	if (rc == 0)
		rc = run(s, "COMMIT", e);
	if (rc != 0)
		run(s, "ROLLBACK", NULL);
	pthread_mutex_unlock(&s->mutex);
	return rc;
}

/* ---- opening ---- */

static const char schema[] =
    "CREATE TABLE paths ("
    " id INTEGER PRIMARY KEY,"
    " base TEXT NOT NULL UNIQUE,"
    " added_us INTEGER NOT NULL,"
    " due_us INTEGER NOT NULL," /* not to be tried before */
    " sends INTEGER NOT NULL DEFAULT 1,"
    " tries INTEGER NOT NULL DEFAULT 0,"
    " tried_us INTEGER NOT NULL DEFAULT 0,"
    " alone INTEGER NOT NULL DEFAULT 0,"
    " aside INTEGER NOT NULL DEFAULT 0,"
    " kind TEXT,"
    " error TEXT) STRICT;"
    "CREATE INDEX paths_due ON paths (aside, due_us, id);"
    "CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;"
    "PRAGMA application_id = 1852535603;" /* "nks3" */
    "PRAGMA user_version = " VERSION_STR;

static int
insert(struct spool *s, sqlite3_stmt *q, const char *base, struct err *e)
{
	sqlite3_reset(q);
	sqlite3_bind_text(q, 1, base, -1, SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, clock_wall_us());
	return sqlite3_step(q) == SQLITE_DONE ? 0 : fail(s, e);
}

/* What was set aside is tried again when it is added once more. */
static const char insert_sql[] =
    "INSERT INTO paths (base, added_us, due_us) VALUES (?1, ?2, ?2)"
    " ON CONFLICT (base) DO UPDATE SET sends = sends + 1,"
    "  due_us = iif(aside, ?2, due_us), tries = iif(aside, 0, tries),"
    "  aside = 0";

/* The queue of the Go niks3-hook, in the same file. */
static int
take_over(struct spool *s, struct err *e)
{
	sqlite3_stmt *from = NULL, *to = NULL;
	int64_t there;
	int rc = -1, got;

	if (number(s, "SELECT 1 FROM sqlite_master WHERE name = 'upload_queue'",
	        0, &there, e) != 0)
		return -1;
	if (!there)
		return 0;
	if (prepare(s,
	        "SELECT store_path FROM upload_queue ORDER BY created_at",
	        &from, e) != 0 ||
	    prepare(s, insert_sql, &to, e) != 0)
		goto out;
	while ((got = sqlite3_step(from)) == SQLITE_ROW) {
		const char *path = (const char *)sqlite3_column_text(from, 0);
		const char *slash = path != NULL ? strrchr(path, '/') : NULL;

		if (slash != NULL &&
		    storepath_check_base(slash + 1, strlen(slash + 1), NULL) ==
		        0 &&
		    insert(s, to, slash + 1, e) != 0)
			goto out;
	}
	rc = got == SQLITE_DONE ? 0 : fail(s, e);
out:
	sqlite3_finalize(from);
	sqlite3_finalize(to);
	return rc == 0 ? run(s, "DROP TABLE upload_queue", e) : -1;
}

static int
make_schema(struct spool *s, enum spool_use use, struct err *e)
{
	int64_t version;
	int rc = 0;

	if (begin(s, e) != 0)
		return -1;
	if (number(s, "PRAGMA user_version", 0, &version, e) != 0)
		rc = -1;
	else if (version == 0 && use == SPOOL_LOOK)
		rc = err_set(
		    e, ERR_INVALID, "queue %s: not a queue of niks3", s->path);
	else if (version == 0)
		rc = run(s, schema, e) == 0 ? take_over(s, e) : -1;
	else if (version != VERSION) {
		err_set(e, ERR_VERSION,
		    "queue %s: its schema is version %lld, this program knows "
		    "%d",
		    s->path, (long long)version, VERSION);
		rc = err_hint(e, "upgrade niks3");
	}
	return end(s, rc, e);
}

/* The lock goes with the process, whatever ends it. */
static int
lock_open(struct spool *s, int flags, struct err *e)
{
	char path[PATH_LEN];

	snprintf(path, sizeof path, "%s.lock", s->path);
	s->lock = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
	return s->lock >= 0 ? 0 : err_sys(e, "lock %s", path);
}

/* With patience: a child that one which was killed had just forked holds it until
 * its exec. */
static int
lock_take(struct spool *s, struct err *e)
{
	struct flock whole = { .l_type = F_WRLCK };
	deadline_t d = deadline_in(LOCK_MS);

	if (lock_open(s, O_CREAT, e) != 0)
		return -1;
	while (fcntl(s->lock, F_OFD_SETLK, &whole) != 0) {
		if (errno != EAGAIN && errno != EACCES)
			return err_sys(e, "lock %s.lock", s->path);
		if (deadline_left(d) == 0)
			return err_set(e, ERR_CONFLICT,
			    "queue %s: another process serves it already",
			    s->path);
		clock_sleep(LOCK_REST, d);
	}
	return 0;
}

int
spool_served(struct spool *s)
{
	struct flock whole = { .l_type = F_WRLCK };

	if (s->lock < 0 && lock_open(s, 0, NULL) != 0)
		return 0;
	return fcntl(s->lock, F_OFD_GETLK, &whole) == 0 &&
	    whole.l_type != F_UNLCK;
}

/* The directory that it is in, and those above. */
static void
make_directories(const char *path)
{
	char dir[PATH_LEN];

	snprintf(dir, sizeof dir, "%s", path);
	for (char *s = strchr(dir + 1, '/'); s != NULL;
	     s = strchr(s + 1, '/')) {
		*s = '\0';
		mkdir(dir, 0700);
		*s = '/';
	}
}

static int
db_open(struct spool *s, enum spool_use use, struct err *e)
{
	int flags = SQLITE_OPEN_READWRITE |
	    (use == SPOOL_SERVE ? SQLITE_OPEN_CREATE : 0);
	mode_t mask = umask(077);
	int rc = sqlite3_open_v2(s->path, &s->db, flags, NULL);

	umask(mask);
	if (rc != SQLITE_OK)
		return fail(s, e);
	sqlite3_extended_result_codes(s->db, 0);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (run(s,
	        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
	        "PRAGMA journal_size_limit = 4194304;"
	        "PRAGMA trusted_schema = OFF",
	        e) != 0)
		return -1;
	return make_schema(s, use, e);
}

int
spool_open(const char *path, enum spool_use use, uint64_t max,
    struct spool **out, struct err *e)
{
	struct spool *s;

	if (path[0] == '\0' || strlen(path) + sizeof ".lock" > PATH_LEN)
		return err_set(e, ERR_INVALID,
		    "queue \"%.100s\": no path that can be used", path);
	s = xcalloc(1, sizeof *s);
	s->path = xstrdup(path);
	s->lock = -1;
	s->max = max;
	pthread_mutex_init(&s->mutex, NULL);
	if (use == SPOOL_SERVE) {
		make_directories(path);
		if (lock_take(s, e) != 0)
			goto fail;
	} else if (access(path, F_OK) != 0) {
		err_sys(e, "queue %s", path);
		goto fail;
	}
	if (db_open(s, use, e) != 0)
		goto fail;
	*out = s;
	return 0;
fail:
	spool_close(s);
	return -1;
}

void
spool_close(struct spool *s)
{
	if (s == NULL)
		return;
	sqlite3_close(s->db);
	if (s->lock >= 0)
		close(s->lock);
	pthread_mutex_destroy(&s->mutex);
	free(s->path);
	free(s);
}

/* ---- in ---- */

static int
add_all(struct spool *s, const char *const *bases, size_t n, int64_t *rows,
    struct err *e)
{
	sqlite3_stmt *q;
	int rc = 0;

	if (prepare(s, insert_sql, &q, e) != 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = insert(s, q, bases[i], e);
	sqlite3_finalize(q);
	if (rc != 0 || number(s, "SELECT count(*) FROM paths", 0, rows, e) != 0)
		return -1;
	if ((uint64_t)*rows <= s->max)
		return 0;
	return err_set(e, ERR_TOO_LARGE,
	    "the queue is full: it holds no more than %llu paths",
	    (unsigned long long)s->max);
}

int
spool_add(struct spool *s, const char *const *bases, size_t n, int64_t seen,
    size_t *added, struct err *e)
{
	int64_t before, after = 0;
	int rc;

	if (begin(s, e) != 0)
		return -1;
	rc = number(s, "SELECT count(*) FROM paths", 0, &before, e);
	if (rc == 0)
		rc = add_all(s, bases, n, &after, e);
	if (rc == 0 && seen != -1)
		rc = run_with(s, NULL, e,
		    "INSERT INTO state VALUES ('seen', %lld) ON CONFLICT"
		    " (name) DO UPDATE SET value = excluded.value",
		    (long long)seen);
	rc = end(s, rc, e);
	if (rc == 0)
		*added = after - before;
	return rc;
}

int
spool_seen(struct spool *s, int64_t *seen, struct err *e)
{
	int rc;

	pthread_mutex_lock(&s->mutex);
	rc = number(
	    s, "SELECT value FROM state WHERE name = 'seen'", -1, seen, e);
	pthread_mutex_unlock(&s->mutex);
	return rc;
}

/* ---- out ---- */

/* The wall clock may have been set back: what is due later than any delay
 * allows is due now. */
#define DUE "aside = 0 AND (due_us <= ?1 OR due_us > ?2)"

static int
next_due(struct spool *s, int64_t *next_us, struct err *e)
{
	return number(s, "SELECT min(due_us) FROM paths WHERE aside = 0",
	    INT64_MAX, next_us, e);
}

static int
read_item(sqlite3_stmt *q, struct arena *a, struct spool_item *it)
{
	it->id = sqlite3_column_int64(q, 0);
	it->base = arena_str(a, (const char *)sqlite3_column_text(q, 1));
	it->sends = sqlite3_column_int64(q, 2);
	it->tries = sqlite3_column_int64(q, 3);
	it->tried_us = sqlite3_column_int64(q, 4);
	it->alone = sqlite3_column_int(q, 5);
	return it->base != NULL ? 0 : -1;
}

static int
read_due(struct spool *s, sqlite3_stmt *q, size_t max, struct arena *a,
    struct spool_item *items, size_t *n, struct err *e)
{
	size_t at = 0;
	int rc = SQLITE_DONE;

	while (at < max && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		if (read_item(q, a, &items[at]) != 0)
			return arena_full(a, e);
		if (items[at].alone) {
			at += at == 0;
			break;
		}
		at++;
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return fail(s, e);
	*n = at;
	return 0;
}

int
spool_due(struct spool *s, int64_t now_us, size_t max, struct arena *a,
    struct spool_item **items, size_t *n, int64_t *next_us, struct err *e)
{
	struct spool_item *all = arena_array(a, max, sizeof *all);
	sqlite3_stmt *q = NULL;
	size_t found = 0;
	int rc;

	if (all == NULL)
		return arena_full(a, e);
	pthread_mutex_lock(&s->mutex);
	rc = prepare(s,
	    "SELECT id, base, sends, tries, tried_us, alone FROM paths"
	    " WHERE " DUE " ORDER BY due_us, id",
	    &q, e);
	if (rc == 0) {
		sqlite3_bind_int64(q, 1, now_us);
		sqlite3_bind_int64(q, 2, now_us + SPOOL_DELAY_MAX * 1000ll);
		rc = read_due(s, q, max, a, all, &found, e);
	}
	sqlite3_finalize(q);
	if (rc == 0 && found == 0)
		rc = next_due(s, next_us, e);
	pthread_mutex_unlock(&s->mutex);
	if (rc != 0)
		return -1;
	*items = all;
	*n = found;
	return 0;
}

int
spool_done(
    struct spool *s, const struct spool_item *items, size_t n, struct err *e)
{
	int rc = 0;

	if (begin(s, e) != 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = run_with(s, NULL, e, "DELETE FROM paths WHERE id = %lld",
		    (long long)items[i].id);
	return end(s, rc, e);
}

int
spool_gone(
    struct spool *s, const struct spool_item *item, int *gone, struct err *e)
{
	size_t n = 0;
	int rc;

	if (begin(s, e) != 0)
		return -1;
	rc = run_with(s, &n, e,
	    "DELETE FROM paths WHERE id = %lld AND sends = %lld",
	    (long long)item->id, (long long)item->sends);
	rc = end(s, rc, e);
	if (rc == 0)
		*gone = n > 0;
	return rc;
}

int
spool_later(struct spool *s, const struct spool_item *items, size_t n,
    int64_t now_us, struct err *e)
{
	int rc = 0;

	if (begin(s, e) != 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = run_with(s, NULL, e,
		    "UPDATE paths SET due_us = %lld, tried_us = %lld"
		    " WHERE id = %lld",
		    (long long)now_us, (long long)now_us,
		    (long long)items[i].id);
	return end(s, rc, e);
}

/* The text of an error, as far as it is text and the column is wide. */
static void
bind_text(sqlite3_stmt *q, int at, const char *text)
{
	sqlite3_bind_text(
	    q, at, text, (int)utf8_span(text, strlen(text)), SQLITE_TRANSIENT);
}

int
spool_failed(struct spool *s, const struct spool_item *item, int counts,
    const struct spool_policy *policy, int64_t now_us, const struct err *why,
    int *aside, struct err *e)
{
	int64_t tries = item->tries + (counts != 0);
	int last = counts && (uint64_t)tries >= policy->tries_max;
	/* The half of it is for sure, so that it never is at once. */
	int64_t delay = policy->delay_ms / 2 +
	    clock_backoff(tries, policy->delay_ms / 2, SPOOL_DELAY_MAX / 2);
	sqlite3_stmt *q;
	int rc;

	if (begin(s, e) != 0)
		return -1;
	rc = prepare(s,
	    "UPDATE paths SET tries = ?1, aside = ?2, due_us = ?3,"
	    " tried_us = ?4, alone = 1, kind = ?5, error = ?6 WHERE id = ?7",
	    &q, e);
	if (rc == 0) {
		sqlite3_bind_int64(q, 1, tries);
		sqlite3_bind_int(q, 2, last);
		sqlite3_bind_int64(q, 3, now_us + delay * 1000);
		sqlite3_bind_int64(q, 4, now_us);
		sqlite3_bind_text(q, 5, err_name(why->kind), -1, SQLITE_STATIC);
		bind_text(q, 6, why->msg);
		sqlite3_bind_int64(q, 7, item->id);
		rc = finish(s, q, NULL, e);
	}
	rc = end(s, rc, e);
	if (rc == 0)
		*aside = last;
	return rc;
}

/* ---- what people ask ---- */

int
spool_count(struct spool *s, struct spool_counts *out, struct err *e)
{
	struct spool_counts c;
	int rc;

	pthread_mutex_lock(&s->mutex);
	rc = number(s, "SELECT count(*) FROM paths WHERE aside = 0", 0,
	         &c.waiting, e) == 0 &&
	        number(s, "SELECT count(*) FROM paths WHERE aside = 1", 0,
	            &c.aside, e) == 0 &&
	        number(s, "SELECT min(added_us) FROM paths WHERE aside = 0", 0,
	            &c.oldest_us, e) == 0
	    ? 0
	    : -1;
	pthread_mutex_unlock(&s->mutex);
	if (rc == 0)
		*out = c;
	return rc;
}

int
spool_each(struct spool *s, int (*f)(void *ctx, const struct spool_row *r),
    void *ctx, struct err *e)
{
	sqlite3_stmt *q = NULL;
	int rc;

	pthread_mutex_lock(&s->mutex);
	rc = prepare(s,
	    "SELECT base, added_us, due_us, tries, aside, kind, error"
	    " FROM paths ORDER BY aside DESC, due_us, id",
	    &q, e);
	while (rc == 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		struct spool_row r = {
			.base = (const char *)sqlite3_column_text(q, 0),
			.added_us = sqlite3_column_int64(q, 1),
			.due_us = sqlite3_column_int64(q, 2),
			.tries = sqlite3_column_int64(q, 3),
			.aside = sqlite3_column_int(q, 4),
			.kind = (const char *)sqlite3_column_text(q, 5),
			.error = (const char *)sqlite3_column_text(q, 6),
		};

		rc = f(ctx, &r);
	}
	if (rc == SQLITE_DONE)
		rc = 0;
	else if (rc > 0)
		rc = fail(s, e);
	sqlite3_finalize(q);
	pthread_mutex_unlock(&s->mutex);
	return rc;
}

/* Runs sql on what is called base (?1), or on all when it is NULL. */
static int
change(struct spool *s, const char *sql, const char *base, size_t *n,
    struct err *e)
{
	size_t changed = 0;
	sqlite3_stmt *q;
	int rc;

	if (begin(s, e) != 0)
		return -1;
	rc = prepare(s, sql, &q, e);
	if (rc == 0) {
		sqlite3_bind_text(q, 1, base, -1, SQLITE_STATIC);
		sqlite3_bind_int64(q, 2, clock_wall_us());
		rc = finish(s, q, &changed, e);
	}
	rc = end(s, rc, e);
	if (rc == 0)
		*n = changed;
	return rc;
}

int
spool_retry(struct spool *s, const char *base, size_t *n, struct err *e)
{
	return change(s,
	    "UPDATE paths SET due_us = ?2, tries = 0, aside = 0"
	    " WHERE iif(?1 IS NULL, error IS NOT NULL, base = ?1)",
	    base, n, e);
}

int
spool_drop(struct spool *s, const char *base, size_t *n, struct err *e)
{
	return change(s,
	    "DELETE FROM paths WHERE iif(?1 IS NULL, error IS NOT NULL,"
	    " base = ?1) AND ?2 > 0",
	    base, n, e);
}
