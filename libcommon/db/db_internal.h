/*
 * What the files of db/ share and nobody else sees: statements with binary
 * parameters, their results, and the transaction around a single one.
 *
 * Statements are string literals: the text is the name under which a connection
 * keeps it prepared. Rows that several transactions may want are locked in the
 * order of ids (or of keys, bytewise, where there is no id yet): nothing here can
 * deadlock with itself.
 */
#ifndef DB_DB_INTERNAL_H
#define DB_DB_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "../core/buf.h"
#include "../core/clock.h"
#include "../core/err.h"
#include "db.h"

struct arena;

/* ---- parameters ---- */

/* Oids of PostgreSQL's own types (pg_type.dat) never change. */
enum db_type {
	DB_BOOL = 16,
	DB_BYTEA = 17,
	DB_INT8 = 20,
	DB_TEXT = 25,
	DB_BOOLS = 1000,
	DB_BYTEAS = 1001,
	DB_TEXTS = 1009,
	DB_INT8S = 1016,
};

#define DB_PARAMS_MAX 16
#define DB_BYTES_MAX  ((size_t)256 << 20) /* of one parameter */

struct db_param {
	enum db_type type;
	int64_t i;
	const void *p; /* NULL is SQL's */
	size_t len;
	const struct err *error; /* of the array, or NULL */
};

#define P_I64(v)  ((struct db_param){ .type = DB_INT8, .i = (v) })
#define P_BOOL(v) ((struct db_param){ .type = DB_BOOL, .i = (v) })
#define P_TEXT(s) db_param_text(s)
#define P_BYTES(v, n) \
	((struct db_param){ .type = DB_BYTEA, .p = (v), .len = (n) })
#define P_ARRAY(a) db_param_array(a)
/* What a statement is given: P_NONE, or PARAMS(P_I64(id), P_TEXT(name)). */
#define PARAMS(...)                                            \
	(const struct db_param[]){ __VA_ARGS__ },              \
	    sizeof((const struct db_param[]){ __VA_ARGS__ }) / \
	    sizeof(struct db_param)
#define P_NONE NULL, 0

/*
 * An array under construction. Errors (too large) are kept and reported by the
 * statement that is given the array, so filling one needs no checks. Its
 * elements are counted.
 */
struct db_array {
	enum db_type type; /* of the array */
	struct buf data;
	uint32_t n;
	struct err error;
};
void array_init(struct db_array *a, enum db_type type);
void array_done(struct db_array *a);
void array_i64(struct db_array *a, int64_t v);
void array_i64s(struct db_array *a, const int64_t *v, size_t n);
void array_bool(struct db_array *a, int v);
void array_bytes(struct db_array *a, const void *p, size_t n);
void array_text(struct db_array *a, const char *s); /* NULL is SQL's */

struct db_param db_param_text(const char *s);
struct db_param db_param_array(struct db_array *a);

/* ---- statements ---- */

/*
 * Sends a statement and does not wait: what it answers is dropped, and an error
 * is reported by the next db_exec, which it makes fail, or by the commit.
 * Parameters may be freed at once.
 */
int db_send(struct db *db, const char *sql, const struct db_param *params,
    size_t n, struct err *e);
/* Sends it behind those, and waits for its result, which is the caller's to
 * clear; res may be NULL. */
int db_exec(struct db *db, const char *sql, const struct db_param *params,
    size_t n, PGresult **res, struct err *e);
/* A statement in a transaction of its own (or in the one that is open). */
int db_query(struct db *db, const char *sql, const struct db_param *params,
    size_t n, PGresult **res, struct err *e);
/* Any number of statements, unprepared, as migrations have them. */
int db_script(struct db *db, const char *sql, struct err *e);
/* COPY ... TO STDOUT (FORMAT binary): gives row each tuple, from its field count
 * on. */
int db_copy_out(struct db *db, const char *sql,
    int (*row)(void *ctx, const uint8_t *p, size_t len, struct err *e),
    void *ctx, struct err *e);

/*
 * The commit of the transaction that is open need not wait for the disk. For
 * what is simply done again when a crash of the database takes it back; a later
 * commit that waits makes it last as well.
 */
int db_lazy(struct db *db, struct err *e);
/* Waits for the disk: all that was committed before lasts. */
int db_flush(struct db *db, struct err *e);
/* Somebody else was faster: the whole transaction is to be done again. Fills e
 * with ERR_CONFLICT. */
int db_again(struct db *db, struct err *e, const char *what);
int db_in_transaction(const struct db *db);
/*
 * Several connections at one moment: db_snapshot names what the transaction that
 * is open sees, as long as it is; db_transaction_in is a db_transaction in which
 * another connection sees the same.
 */
#define DB_SNAPSHOT_MAX 64
int db_snapshot(struct db *db, char name[DB_SNAPSHOT_MAX], struct err *e);
int db_transaction_in(struct db *db, const char *snapshot,
    int (*fn)(struct db *db, void *ctx, struct err *e), void *ctx,
    struct err *e);
/* The bound that db_deadline set. */
deadline_t db_until(const struct db *db);

/*
 * At the end of a subquery (EXISTS, or LATERAL): it is to be run for each row,
 * by the index, and not to be turned into a join. The planner knows the tables
 * that live uploads fill only as they were when it looked last, often empty, and
 * joins that go through all of "one row" for each of 50,000 are the price.
 */
#define PROBE " OFFSET 0)"

/* ---- results ---- */

uint64_t rows_affected(const PGresult *r);
int row_null(const PGresult *r, int row, int col);
int64_t row_i64(const PGresult *r, int row, int col); /* NULL is 0 */
/* A copy in the arena, or NULL for NULL. *full is set when a is full. */
const char *row_text(
    const PGresult *r, int row, int col, struct arena *a, int *full);
/* Arrays of one dimension. */
int64_t *row_i64s(
    const PGresult *r, int row, int col, struct arena *a, size_t *n, int *full);
const char **row_texts(
    const PGresult *r, int row, int col, struct arena *a, size_t *n, int *full);
/* Exactly n bytes; zeroes when it holds another number. */
void row_bytes(const PGresult *r, int row, int col, void *out, size_t n);

/* Big-endian, as the wire has it. */
static inline uint32_t
get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static inline int64_t
get_i64(const uint8_t *p)
{
	return (int64_t)((uint64_t)get_u32(p) << 32 | get_u32(p + 4));
}

/* ---- shared by the nouns ---- */

/* Of int64_t, ascending: for qsort and bsearch. */
int i64_order(const void *a, const void *b);

#define DB_ROOTS_MS 2000 /* how long a batch waits for the roots lock */
/* The order in which objects are deleted: narinfos before what they name. */
#define DB_RANK(kind) "CASE " kind " WHEN 1 THEN 1 WHEN 2 THEN 3 ELSE 2 END"
#define DB_RANKS      3
/* Of a kind: it hangs on a narinfo whose own text does not name it. */
#define DB_ATTACHED(kind) "(" kind " NOT IN (1, 2))"

enum upload_state {
	UPLOAD_OPEN,
	UPLOAD_COMMITTED,
	UPLOAD_ENDED
};
/* Locks an upload's row for the transaction. NOT_FOUND as in uploads.h. */
int upload_lock(struct db *db, const char *token, const char *owner,
    int64_t *id, enum upload_state *state, struct err *e);
int upload_lock_id(
    struct db *db, int64_t id, enum upload_state *state, struct err *e);
/* The same, of one that must be open (else CONFLICT); renews its lease. */
int upload_open(struct db *db, const char *token, const char *owner,
    int64_t lease_us, int64_t *id, struct err *e);
int upload_renew(struct db *db, int64_t id, int64_t lease_us, struct err *e);
int upload_closed(enum upload_state state, struct err *e);
/* Ends an upload in that state: all rows that hang on it go, but those of its
 * multipart uploads. */
int upload_end(struct db *db, int64_t id, const char *state, struct err *e);

/* Of those of the narinfos that are missing: what they will say. Positions are in
 * objects, of which id and missing are filled. */
struct upload_object;
struct upload_path;
int upload_insert_paths(struct db *db, int64_t upload,
    const struct upload_object *objects, const struct upload_path *paths,
    size_t n, struct err *e);

/* Of each root of an upload, in the order of ids: how many objects it needs and
 * their stored bytes. The last two may get fewer than there are roots: the
 * others are not known. */
int commit_measure(struct db *db, int64_t upload, struct db_array *ids,
    struct db_array *objects, struct db_array *bytes, struct err *e);

/* ---- new connections ---- */

/* Not connected yet. */
struct db *db_new(const char *conninfo, const char *name);
/* Another one to the same database, under the same name and deadline. */
struct db *db_beside(const struct db *db);
/* Checks the form of a connection string, and tells nothing of it. */
int db_check_conninfo(const char *conninfo, struct err *e);

#endif
