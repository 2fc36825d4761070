#include "db.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/map.h"
#include "../core/secret.h"
#include "db_internal.h"
#include "migrate.h"

#define NAME_MAX_    64   /* of an application: PostgreSQL keeps 63 bytes */
#define SLACK_MS     1000 /* how much later than the server's timeout ours is */
#define RETRY_MS     5    /* first pause before a transaction is tried again */
#define RETRY_CAP_MS 250
/* A client that stops answering inside a transaction holds its locks so long. */
#define IDLE_MS 600000

/* Advisory locks, in the space of two numbers: "niks" and which. */
#define LOCK_SPACE "1852402547"
#define LOCK_ROOTS "(" LOCK_SPACE ", 1)"
#define LOCK_GC    "(" LOCK_SPACE ", 2)"

struct db {
	PGconn
	    *conn; /* NULL when there is none: NULL or usable, never broken */
	struct secret conninfo;
	char name[NAME_MAX_];
	deadline_t until;
	struct map *prepared; /* text of a statement to its number, of conn */
	int64_t timeout_ms;   /* what the server was told last; 0: nothing */
	int in_transaction;
	int reused;     /* conn has lived through a transaction */
	int committing; /* COMMIT is among what was sent */
	int again;      /* the error is one that another try may not meet */
	int lost;       /* the error is that conn was lost */
	int gc_lock;    /* conn holds it: another one would not */
};

struct db *
db_new(const char *conninfo, const char *name)
{
	struct db *db = xcalloc(1, sizeof *db);

	if (secret_set(&db->conninfo, conninfo, strlen(conninfo), NULL) != 0)
		err_die("a connection string over the limit of a secret");
	snprintf(db->name, sizeof db->name, "%s", name);
	return db;
}

struct db *
db_beside(const struct db *db)
{
	struct db *other = db_new(db->conninfo.data, db->name);

	db_deadline(other, db->until);
	return other;
}

void
db_close(struct db *db)
{
	if (db == NULL)
		return;
	PQfinish(db->conn);
	map_free(db->prepared);
	secret_done(&db->conninfo);
	free(db);
}

void
db_deadline(struct db *db, deadline_t d)
{
	db->until = d;
}

deadline_t
db_until(const struct db *db)
{
	return db->until;
}

int
db_in_transaction(const struct db *db)
{
	return db->in_transaction;
}

/* ---- errors ---- */

/* By the beginning of the SQLSTATE; the first that fits. */
static const struct state {
	const char *prefix;
	enum err_kind kind;
	int again;
} states[] = {
	{ "40001", ERR_CONFLICT, 1 },    /* serialization_failure */
	{ "40P01", ERR_CONFLICT, 1 },    /* deadlock_detected */
	{ "23505", ERR_CONFLICT, 1 },    /* unique_violation */
	{ "55P03", ERR_CONFLICT, 0 },    /* lock_not_available */
	{ "57014", ERR_TIMEOUT, 0 },     /* query_canceled */
	{ "42501", ERR_FORBIDDEN, 0 },   /* insufficient_privilege */
	{ "25006", ERR_UNAVAILABLE, 0 }, /* read_only_sql_transaction */
	{ "08", ERR_UNAVAILABLE, 0 },    /* connection exception */
	{ "53", ERR_UNAVAILABLE, 0 },    /* insufficient resources */
	{ "57P", ERR_UNAVAILABLE, 0 },   /* shutdown, crash, starting up */
	{ "", ERR_INTERNAL, 0 },
};

/* libpq's texts end in a newline, and may have several lines: the first. */
static int
first_line(const char *text)
{
	return strcspn(text, "\n");
}

/* A connection is lost. Returns -1. */
static int
say_lost(struct db *db, enum err_kind kind, const char *why, struct err *e)
{
	if (!db->committing)
		return err_set(e, kind, "database: %.*s", first_line(why), why);
	return err_set(e, ERR_UNAVAILABLE,
	    "database: the connection was lost at the commit, and whether that "
	    "was done is not known: %.*s",
	    first_line(why), why);
}

/* Closes a connection that cannot be used any more. Returns -1. */
static int
lose(struct db *db, enum err_kind kind, const char *why, struct err *e)
{
	say_lost(db, kind, why, e);
	PQfinish(db->conn);
	db->conn = NULL;
	db->lost = 1;
	return -1;
}

static int
lost(struct db *db, struct err *e)
{
	const char *why = PQerrorMessage(db->conn);

	return lose(db, ERR_UNAVAILABLE,
	    *why != '\0' ? why : "the connection was lost", e);
}

static int
failed(struct db *db, const PGresult *r, struct err *e)
{
	const char *code = PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	const struct state *s = states;

	if (code == NULL) /* libpq's own */
		code = "08000";
	if (text == NULL)
		text = PQresultErrorMessage(r);
	while (strncmp(code, s->prefix, strlen(s->prefix)) != 0)
		s++;
	db->again = s->again;
	if (s->kind == ERR_UNAVAILABLE)
		return say_lost(db, s->kind, text, e);
	return err_set(
	    e, s->kind, "database: %.*s (%s)", first_line(text), text, code);
}

int
db_again(struct db *db, struct err *e, const char *what)
{
	db->again = 1;
	return err_set(e, ERR_CONFLICT, "database: %s", what);
}

/* ---- waiting ---- */

/* Until the socket is ready for one of events. */
static int
wait_socket(struct db *db, short events, deadline_t d, struct err *e)
{
	struct pollfd p = { .fd = PQsocket(db->conn), .events = events };

	for (;;) {
		int64_t left = deadline_left(d);
		int n = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);

		if (n > 0)
			return 0;
		if (n == 0 && deadline_left(d) == 0)
			return lose(db, ERR_TIMEOUT, "no answer in time", e);
		if (n < 0 && errno != EINTR)
			return lose(db, ERR_IO, strerror(errno), e);
	}
}

/* The server gives up first, and the connection is still good then. */
static deadline_t
patience(const struct db *db)
{
	deadline_t d = deadline_in(SLACK_MS);

	return d > db->until + SLACK_MS ? d : db->until + SLACK_MS;
}

/* Until a result (or the end of one) can be had without waiting. */
static int
wait_result(struct db *db, struct err *e)
{
	deadline_t d = patience(db);

	for (;;) {
		int unsent = PQflush(db->conn);

		if (unsent < 0)
			return lost(db, e);
		if (!PQisBusy(db->conn))
			return 0;
		if (wait_socket(db, unsent ? POLLIN | POLLOUT : POLLIN, d, e) !=
		    0)
			return -1;
		if (!PQconsumeInput(db->conn))
			return lost(db, e);
	}
}

/* ---- connecting ---- */

int
db_check_conninfo(const char *conninfo, struct err *e)
{
	PQconninfoOption *parsed = PQconninfoParse(conninfo, NULL);

	/* The parser's own complaint quotes what it does not like, which may be
	 * a password. */
	if (parsed == NULL)
		return err_set(e, ERR_USAGE,
		    "database: the connection string is malformed");
	PQconninfoFree(parsed);
	return 0;
}

static void
drop_notice(void *ctx, const PGresult *r)
{
	(void)ctx;
	(void)r;
}

static int
connect_poll(struct db *db, struct err *e)
{
	for (;;) {
		switch (PQconnectPoll(db->conn)) {
		case PGRES_POLLING_OK:
			return 0;
		case PGRES_POLLING_READING:
			if (wait_socket(db, POLLIN, db->until, e) != 0)
				return err_prefix(e, "connect");
			break;
		case PGRES_POLLING_WRITING:
			if (wait_socket(db, POLLOUT, db->until, e) != 0)
				return err_prefix(e, "connect");
			break;
		default:
			return lost(db, e);
		}
	}
}

/*
 * What every statement here takes for granted; as one statement. Plans are made
 * once, without looking at the parameters, and by index: what the planner
 * believes of the tables that uploads fill and empty is often wrong by much (see
 * PROBE), and reading 50,000 parameters to estimate takes it longer than the
 * statement. And never by a bitmap: only a plain scan notes in the index which
 * rows are dead, and the next one passes over them.
 */
static const char settings_sql[] =
    "SELECT set_config('client_min_messages', 'warning', false),"
    " set_config('TimeZone', 'UTC', false),"
    " set_config('DateStyle', 'ISO', false),"
    " set_config('search_path', 'public', false),"
    " set_config('client_encoding', 'UTF8', false),"
    " set_config('jit', 'off', false),"
    " set_config('plan_cache_mode', 'force_generic_plan', false),"
    " set_config('enable_seqscan', 'off', false),"
    " set_config('enable_bitmapscan', 'off', false),"
    " set_config('random_page_cost', '1.1', false),"
    " set_config('idle_in_transaction_session_timeout', $1, false)";

/* Its own deadlines instead of connect_timeout: that is only for the blocking
 * calls of libpq. */
static int
connect_now(struct db *db, struct err *e)
{
	/* Those before dbname only hold if the string does not say otherwise. */
	const char *const keys[] = { "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "dbname",
		"application_name", NULL };
	const char *const values[] = { "10", "5", "3", "30000",
		db->conninfo.data, db->name, NULL };
	char idle[16];

	if (db_check_conninfo(db->conninfo.data, e) != 0)
		return -1;
	if ((db->conn = PQconnectStartParams(keys, values, 1)) == NULL)
		err_die("out of memory");
	db->lost = db->reused = 0;
	if (PQstatus(db->conn) == CONNECTION_BAD)
		return lost(db, e);
	if (connect_poll(db, e) != 0)
		return -1;
	PQsetNoticeReceiver(db->conn, drop_notice, NULL);
	if (PQsetnonblocking(db->conn, 1) != 0 ||
	    !PQenterPipelineMode(db->conn))
		return lost(db, e);
	map_free(db->prepared);
	db->prepared = map_new(64);
	snprintf(idle, sizeof idle, "%d", IDLE_MS);
	if (db_exec(db, settings_sql, PARAMS(P_TEXT(idle)), NULL, e) == 0)
		return 0;
	PQfinish(db->conn); /* NULL when it was lost */
	db->conn = NULL;
	return -1;
}

static int
connected(struct db *db, struct err *e)
{
	if (db->conn != NULL)
		return 0;
	if (db->gc_lock)
		return err_set(e, ERR_UNAVAILABLE,
		    "database: the connection that held the lock of the "
		    "garbage collection was lost");
	return connect_now(db, e);
}

int
db_open(const char *conninfo, const char *name, deadline_t d, struct db **out,
    struct err *e)
{
	struct db *db = db_new(conninfo, name);

	db_deadline(db, d);
	if (connected(db, e) != 0) {
		db_close(db);
		return -1;
	}
	*out = db;
	return 0;
}

/* ---- statements ---- */

/*
 * Ends the pipeline and reads all results; the last statement's goes to *res.
 * The error is the first one.
 */
static int
collect(struct db *db, PGresult **res, struct err *e)
{
	PGresult *last = NULL, *r;
	struct err further;
	int rc = 0;

	if (!PQpipelineSync(db->conn))
		return lost(db, e);
	for (;;) {
		if (wait_result(db, rc == 0 ? e : &further) != 0)
			goto lost;
		r = PQgetResult(db->conn);
		switch (PQresultStatus(r)) {
		case PGRES_PIPELINE_SYNC:
			PQclear(r);
			if (rc == 0 && res != NULL)
				*res = last;
			else
				PQclear(last);
			return rc;
		case PGRES_TUPLES_OK:
		case PGRES_COMMAND_OK:
			PQclear(last);
			last = r;
			continue;
		case PGRES_PIPELINE_ABORTED:
			break;
		default:
			if (r == NULL) /* the end of one statement */
				continue;
			if (rc == 0)
				rc = failed(db, r, e);
			break;
		}
		PQclear(r);
		if (PQstatus(db->conn) == CONNECTION_BAD) {
			/* What the server said last is the better reason. */
			lost(db, &further);
			goto lost;
		}
	}
lost:
	PQclear(last);
	return -1;
}

/* The name under which the server knows a statement. */
#define STATEMENT_MAX 16
static int
prepare(struct db *db, const char *sql, const Oid *types, int n,
    char name[STATEMENT_MAX], struct err *e)
{
	uintptr_t number = (uintptr_t)map_get(db->prepared, sql, strlen(sql));
	int known = number != 0;

	if (!known)
		number = map_len(db->prepared) + 1;
	snprintf(name, STATEMENT_MAX, "s%u", (unsigned)number);
	if (known)
		return 0;
	if (!PQsendPrepare(db->conn, name, sql, n, types))
		return lost(db, e);
	if (collect(db, NULL, e) != 0)
		return -1;
	map_put(db->prepared, sql, strlen(sql), (void *)number);
	return 0;
}

/* Hands one statement to libpq. */
static int
submit(struct db *db, const char *sql, const struct db_param *params, size_t n,
    struct err *e)
{
	const char *values[DB_PARAMS_MAX];
	int lengths[DB_PARAMS_MAX], formats[DB_PARAMS_MAX];
	Oid types[DB_PARAMS_MAX];
	uint64_t numbers[DB_PARAMS_MAX];
	char name[STATEMENT_MAX];

	if (n > DB_PARAMS_MAX)
		err_die("a statement with %zu parameters", n);
	for (size_t i = 0; i < n; i++) {
		const struct db_param *p = &params[i];

		if (p->error != NULL) {
			*e = *p->error;
			return err_prefix(e, "database");
		}
		if (p->len > DB_BYTES_MAX)
			return err_set(e, ERR_TOO_LARGE,
			    "database: a parameter of %zu bytes", p->len);
		types[i] = p->type;
		formats[i] = 1;
		values[i] = p->p;
		lengths[i] = p->len;
		if (p->type == DB_INT8) {
			numbers[i] = __builtin_bswap64(p->i);
			values[i] = (const char *)&numbers[i];
			lengths[i] = 8;
		} else if (p->type == DB_BOOL) {
			values[i] = p->i ? "\1" : "";
			lengths[i] = 1;
		}
	}
	if (prepare(db, sql, types, n, name, e) != 0)
		return -1;
	if (!PQsendQueryPrepared(
	        db->conn, name, n, values, lengths, formats, 1))
		return lost(db, e);
	return 0;
}

/* What stands between the connection's state and one more statement. */
static int
check_usable(struct db *db, struct err *e)
{
	if (db->conn == NULL)
		return err_set(
		    e, ERR_UNAVAILABLE, "database: the connection was lost");
	if (deadline_left(db->until) == 0)
		return err_set(e, ERR_TIMEOUT, "database: no time left");
	return 0;
}

/* Keeps the server's timeout near what is left; for this transaction. */
static int
tell_timeout(struct db *db, struct err *e)
{
	static const char sql[] =
	    "SELECT set_config('statement_timeout', $1, true)";
	int64_t left = deadline_left(db->until);
	char text[24];

	if (db->timeout_ms > 0 && left <= db->timeout_ms &&
	    left > db->timeout_ms - db->timeout_ms / 8 - 50)
		return 0;
	if (left > INT32_MAX)
		left = INT32_MAX;
	snprintf(text, sizeof text, "%" PRId64, left);
	db->timeout_ms = left;
	return submit(db, sql, PARAMS(P_TEXT(text)), e);
}

int
db_send(struct db *db, const char *sql, const struct db_param *params, size_t n,
    struct err *e)
{
	if (check_usable(db, e) != 0 ||
	    (db->in_transaction && tell_timeout(db, e) != 0))
		return -1;
	return submit(db, sql, params, n, e);
}

int
db_exec(struct db *db, const char *sql, const struct db_param *params, size_t n,
    PGresult **res, struct err *e)
{
	if (db_send(db, sql, params, n, e) != 0)
		return -1;
	return collect(db, res, e);
}

/* ---- outside of the pipeline ---- */

static int
pipeline_leave(struct db *db, struct err *e)
{
	if (check_usable(db, e) != 0 || collect(db, NULL, e) != 0)
		return -1;
	return PQexitPipelineMode(db->conn) ? 0 : lost(db, e);
}

/* Reads results up to their end; the error is the first one. */
static int
drain(struct db *db, struct err *e)
{
	struct err further;
	int rc = 0;

	for (;;) {
		PGresult *r;

		if (wait_result(db, rc == 0 ? e : &further) != 0)
			return -1;
		if ((r = PQgetResult(db->conn)) == NULL)
			break;
		if (PQresultStatus(r) == PGRES_FATAL_ERROR && rc == 0)
			rc = failed(db, r, e);
		PQclear(r);
		if (PQstatus(db->conn) == CONNECTION_BAD)
			return lost(db, rc == 0 ? e : &further);
	}
	if (!PQenterPipelineMode(db->conn))
		return lost(db, rc == 0 ? e : &further);
	return rc;
}

int
db_script(struct db *db, const char *sql, struct err *e)
{
	if (tell_timeout(db, e) != 0 || pipeline_leave(db, e) != 0)
		return -1;
	if (!PQsendQuery(db->conn, sql))
		return lost(db, e);
	return drain(db, e);
}

/* The stream begins with a signature, flags and the length of an extension;
 * each tuple with its number of fields, -1 at the end. */
static const uint8_t copy_signature[] = "PGCOPY\n\377\r\n";
#define COPY_HEAD (sizeof copy_signature + 8)

typedef int row_fn(void *ctx, const uint8_t *p, size_t len, struct err *e);

static int
copy_rows(struct db *db, row_fn *row, void *ctx, struct err *e)
{
	struct err further;
	int at_head = 1, rc = 0;

	for (;;) {
		/* After an error of row, the rest is still to be read. */
		struct err *to = rc == 0 ? e : &further;
		char *data = NULL;
		int n = PQgetCopyData(db->conn, &data, 1);
		const uint8_t *p = (const uint8_t *)data;
		size_t len = n;

		if (n == -1) /* done: the result tells whether all went well */
			return rc;
		if (n == -2)
			return lost(db, to);
		if (n == 0) {
			if (wait_socket(db, POLLIN, patience(db), to) != 0)
				return -1;
			if (!PQconsumeInput(db->conn))
				return lost(db, to);
			continue;
		}
		if (at_head) {
			if (len < COPY_HEAD ||
			    memcmp(p, copy_signature, sizeof copy_signature) !=
			        0)
				err_die("COPY without its signature");
			p += COPY_HEAD;
			len -= COPY_HEAD;
			at_head = 0;
		}
		if (rc == 0 && len > 2)
			rc = row(ctx, p, len, e);
		PQfreemem(data);
	}
}

int
db_copy_out(
    struct db *db, const char *sql, row_fn *row, void *ctx, struct err *e)
{
	struct err further;
	PGresult *r;
	int rc;

	if (tell_timeout(db, e) != 0 || pipeline_leave(db, e) != 0)
		return -1;
	if (!PQsendQuery(db->conn, sql))
		return lost(db, e);
	if (wait_result(db, e) != 0)
		return -1;
	r = PQgetResult(db->conn);
	rc = PQresultStatus(r) == PGRES_COPY_OUT ? copy_rows(db, row, ctx, e)
	                                         : failed(db, r, e);
	PQclear(r);
	if (db->conn == NULL || drain(db, rc == 0 ? e : &further) != 0)
		return -1;
	return rc;
}

/* ---- transactions ---- */

static const char *const begin_sql[] = {
	[DB_READ_COMMITTED] = "BEGIN ISOLATION LEVEL READ COMMITTED",
	[DB_REPEATABLE_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ",
};

/* The error that led here is the one to tell. */
static void
rollback(struct db *db)
{
	struct err e;

	if (db->conn == NULL)
		return;
	if (submit(db, "ROLLBACK", P_NONE, &e) == 0 &&
	    collect(db, NULL, &e) == 0)
		return;
	PQfinish(db->conn);
	db->conn = NULL;
}

static int
commit(struct db *db, struct err *e)
{
	PGresult *r;
	int done;

	if (check_usable(db, e) != 0)
		return -1;
	db->committing = 1;
	if (submit(db, "COMMIT", P_NONE, e) != 0 || collect(db, &r, e) != 0)
		return -1;
	done = strcmp(PQcmdStatus(r), "COMMIT") == 0;
	PQclear(r);
	if (!done)
		return err_set(e, ERR_INTERNAL,
		    "database: commit after an error that was overlooked");
	return 0;
}

/* How a transaction begins: the snapshot, if there is one, before all else. */
struct beginning {
	enum db_isolation isolation;
	const char *snapshot;
};

static int
begin(struct db *db, const struct beginning *b, struct err *e)
{
	char sql[DB_SNAPSHOT_MAX + 32];

	if (submit(db, begin_sql[b->isolation], P_NONE, e) != 0)
		return -1;
	if (b->snapshot == NULL)
		return 0;
	snprintf(sql, sizeof sql, "SET TRANSACTION SNAPSHOT '%s'", b->snapshot);
	return PQsendQueryParams(db->conn, sql, 0, NULL, NULL, NULL, NULL, 1)
	    ? 0
	    : lost(db, e);
}

static int
attempt(struct db *db, const struct beginning *b,
    int (*fn)(struct db *, void *, struct err *), void *ctx, struct err *e)
{
	int rc = -1;

	db->again = db->lost = 0;
	if (connected(db, e) != 0 || check_usable(db, e) != 0)
		return -1;
	db->in_transaction = 1;
	db->timeout_ms = 0;
	if (begin(db, b, e) == 0 && fn(db, ctx, e) == 0)
		rc = commit(db, e);
	if (rc != 0)
		rollback(db);
	db->in_transaction = 0;
	return rc;
}

static int
transaction(struct db *db, const struct beginning *b,
    int (*fn)(struct db *db, void *ctx, struct err *e), void *ctx,
    struct err *e)
{
	struct err last = ERR_INIT; /* of a try that may not be the last */

	if (db->in_transaction)
		return fn(db, ctx, e);
	for (unsigned n = 0;; n++) {
		int reused = db->conn != NULL && db->reused;
		int rc = attempt(db, b, fn, ctx, &last);
		int unsure = db->committing && db->lost;

		db->committing = 0;
		if (rc == 0) {
			db->reused = 1;
			return 0;
		}
		/* One that died while it lay idle is no news, once. */
		if (db->lost && reused && !unsure && !db->gc_lock)
			continue;
		if (!db->again || deadline_left(db->until) == 0)
			break;
		clock_sleep(
		    clock_backoff(n, RETRY_MS, RETRY_CAP_MS), db->until);
	}
	if (e != NULL)
		*e = last;
	return -1;
}

int
db_transaction(struct db *db, enum db_isolation isolation,
    int (*fn)(struct db *db, void *ctx, struct err *e), void *ctx,
    struct err *e)
{
	return transaction(
	    db, &(struct beginning){ isolation, NULL }, fn, ctx, e);
}

int
db_transaction_in(struct db *db, const char *snapshot,
    int (*fn)(struct db *db, void *ctx, struct err *e), void *ctx,
    struct err *e)
{
	return transaction(db,
	    &(struct beginning){ DB_REPEATABLE_READ, snapshot }, fn, ctx, e);
}

/* Its names are of hexadecimal digits and dashes. */
int
db_snapshot(struct db *db, char name[DB_SNAPSHOT_MAX], struct err *e)
{
	PGresult *r;

	if (db_exec(db, "SELECT pg_export_snapshot()", P_NONE, &r, e) != 0)
		return -1;
	snprintf(name, DB_SNAPSHOT_MAX, "%s", PQgetvalue(r, 0, 0));
	PQclear(r);
	return 0;
}

struct query {
	const char *sql;
	const struct db_param *params;
	size_t n;
	PGresult *res;
};

static int
query(struct db *db, void *ctx, struct err *e)
{
	struct query *q = ctx;

	PQclear(q->res); /* of a try before */
	q->res = NULL;
	return db_exec(db, q->sql, q->params, q->n, &q->res, e);
}

int
db_query(struct db *db, const char *sql, const struct db_param *params,
    size_t n, PGresult **res, struct err *e)
{
	struct query q = { sql, params, n, NULL };

	if (db_transaction(db, DB_READ_COMMITTED, query, &q, e) != 0) {
		PQclear(q.res);
		return -1;
	}
	if (res != NULL)
		*res = q.res;
	else
		PQclear(q.res);
	return 0;
}

/* ---- locks ---- */

int
db_lazy(struct db *db, struct err *e)
{
	if (!db_in_transaction(db))
		err_die("a lazy commit outside of a transaction");
	return db_send(db,
	    "SELECT set_config('synchronous_commit', 'off', true)", P_NONE, e);
}

int
db_flush(struct db *db, struct err *e)
{
	/* Only a transaction that wrote something waits for its record, which
	 * is behind those of all others: a number alone is not enough. */
	return db_query(db, "SELECT pg_logical_emit_message(true, 'niks3', '')",
	    P_NONE, NULL, e);
}

int
db_roots_shared(struct db *db, struct err *e)
{
	return db_send(
	    db, "SELECT pg_advisory_xact_lock_shared" LOCK_ROOTS, P_NONE, e);
}

int
db_roots_exclusive(struct db *db, int64_t wait_ms, struct err *e)
{
	static const char bound[] =
	    "SELECT set_config('lock_timeout', $1, true)";
	char text[24];

	snprintf(text, sizeof text, "%" PRId64, wait_ms > 0 ? wait_ms : 1);
	if (db_send(db, bound, PARAMS(P_TEXT(text)), e) != 0 ||
	    db_exec(db, "SELECT pg_advisory_xact_lock" LOCK_ROOTS, P_NONE, NULL,
	        e) != 0)
		return err_prefix(e, "lock of the roots");
	return db_send(db, bound, PARAMS(P_TEXT("0")), e);
}

int
db_gc_lock(struct db *db, int *got, struct err *e)
{
	PGresult *r;

	if (db_query(
	        db, "SELECT pg_try_advisory_lock" LOCK_GC, P_NONE, &r, e) != 0)
		return -1;
	*got = db->gc_lock = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

int
db_alive(struct db *db, struct err *e)
{
	return db_query(db, "SELECT 1", P_NONE, NULL, e);
}

/* ---- schema ---- */

static int
schema_version(struct db *db, int64_t *out, struct err *e)
{
	PGresult *r;
	int there;

	if (db_query(db, "SELECT to_regclass('goose_db_version') IS NOT NULL",
	        P_NONE, &r, e) != 0)
		return -1;
	there = row_i64(r, 0, 0);
	PQclear(r);
	*out = 0;
	if (!there)
		return 0;
	/* The last word on each version counts. */
	if (db_query(db,
	        "SELECT coalesce(max(version_id), 0) FROM"
	        " (SELECT DISTINCT ON (version_id) version_id, is_applied"
	        " FROM goose_db_version ORDER BY version_id, id DESC) v"
	        " WHERE is_applied",
	        P_NONE, &r, e) != 0)
		return -1;
	*out = row_i64(r, 0, 0);
	PQclear(r);
	return 0;
}

int
db_schema_check(struct db *db, struct err *e)
{
	int64_t version;

	if (schema_version(db, &version, e) != 0)
		return err_prefix(e, "version of the database schema");
	if (version == MIGRATE_SCHEMA_VERSION)
		return 0;
	err_set(e, ERR_VERSION,
	    "database schema is version %" PRId64 ", this program needs %d",
	    version, MIGRATE_SCHEMA_VERSION);
	if (version < MIGRATE_SCHEMA_VERSION)
		return err_hint(e, "run: niks3-migrate up");
	return err_hint(e, "upgrade niks3, or give it a database of its own");
}
