/*
 * What a large collection has emptied is made ready for what comes.
 */
#ifndef DB_VACUUM_H
#define DB_VACUUM_H

struct db;
struct err;

/* Vacuums and analyses the large tables, where our role may; elsewhere the daemon
 * of PostgreSQL does it in its time. Not inside a transaction. */
int vacuum_large(struct db *db, struct err *e);

#endif
