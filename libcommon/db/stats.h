/*
 * Totals of what is live: neither pending nor a tombstone. Size is that of the
 * stored bytes.
 */
#ifndef DB_STATS_H
#define DB_STATS_H

#include <stdint.h>

struct db;
struct err;

struct stats {
	int64_t objects, bytes;
};
int stats_get(struct db *db, struct stats *out, struct err *e);

#endif
