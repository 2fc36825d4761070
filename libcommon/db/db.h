/*
 * PostgreSQL: connections, statements, transactions. Only this layer knows
 * libpq; the other files of db/ are the queries, one noun a file.
 *
 * A struct db is one connection and belongs to one thread at a time. It
 * reconnects by itself between transactions, prepares each statement once, and
 * bounds every wait by the deadline of db_open, db_deadline or db_get (also as
 * statement_timeout).
 *
 * Errors: ERR_UNAVAILABLE (no connection, or it was lost; what a transaction did
 * is then unknown only if that happened at its commit, and the text says so),
 * ERR_TIMEOUT, ERR_CONFLICT (serialisation or deadlock, after the retries),
 * ERR_VERSION (schema), ERR_FORBIDDEN (rights), ERR_INTERNAL (a statement is
 * wrong). Texts never contain the connection string.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include <stddef.h>
#include <stdint.h>

#include "../core/clock.h"

struct db;
struct db_pool;
struct err;
struct sandbox;

/* One connection of its own, such as one that holds a session lock. name is the
 * application_name. */
int db_open(const char *conninfo, const char *name, deadline_t d,
    struct db **out, struct err *e);
void db_close(struct db *db); /* takes NULL */

/* What connecting needs in a sandbox. */
void db_needs(const char *conninfo, struct sandbox *s);

/* At most max connections, opened when first needed. */
int db_pool_new(const char *conninfo, const char *name, unsigned max,
    struct db_pool **out, struct err *e);
void db_pool_free(struct db_pool *p); /* all must be back; takes NULL */
/* Waits for a free connection until d, which also bounds what is then done with
 * it. */
int db_get(struct db_pool *p, deadline_t d, struct db **out, struct err *e);
void db_put(struct db_pool *p, struct db *db);
struct db_pool_use {
	unsigned in_use, max;
	unsigned waiting; /* in db_get, just now */
	uint64_t waits; /* calls of db_get that had to wait, since the start */
};
void db_pool_use(struct db_pool *p, struct db_pool_use *out);

/* The bound for the statements that follow. */
void db_deadline(struct db *db, deadline_t d);

/*
 * Runs fn in one transaction and commits it. On 40001, 40P01 and when fn found
 * that somebody else was faster (db_again), all of it is rolled back and tried
 * again, with jitter, until the deadline; also, once, when the connection had
 * died unnoticed: fn must have no effects that are wrong twice. The one place in
 * the project where transactions are retried. Inside another transaction fn
 * becomes a part of it.
 */
enum db_isolation {
	DB_READ_COMMITTED,
	DB_REPEATABLE_READ
};
int db_transaction(struct db *db, enum db_isolation isolation,
    int (*fn)(struct db *db, void *ctx, struct err *e), void *ctx,
    struct err *e);

/*
 * The lock on the set of roots (design: "why nothing live is ever deleted").
 * Whoever adds a root or revives an object holds it shared, each batch of the
 * garbage collection holds it exclusively; both only inside a transaction.
 */
int db_roots_shared(struct db *db, struct err *e);
/* Does not queue behind long holders: tries for at most wait_ms, then
 * ERR_CONFLICT. */
int db_roots_exclusive(struct db *db, int64_t wait_ms, struct err *e);

/* One garbage collection at a time: a session lock, lost with the connection.
 * *got is 0 when another holds it. */
int db_gc_lock(struct db *db, int *got, struct err *e);
/* ERR_UNAVAILABLE when the connection, and so the lock, is gone. */
int db_alive(struct db *db, struct err *e);

/* The schema is exactly the one this program was built for; otherwise
 * ERR_VERSION with the command that mends it. */
int db_schema_check(struct db *db, struct err *e);

#endif
