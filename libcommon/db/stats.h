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

/* ---- counted row by row: for a look once a minute, not once a request ---- */

enum stats_upload {
	STATS_OPEN,
	STATS_COMMITTED,
	STATS_ABORTED,
	STATS_EXPIRED,
	STATS_UPLOAD__MAX
};
/* "open" ... */
const char *stats_upload_name(unsigned state);

struct stats_census {
	/* Those that have ended are kept for a day. */
	int64_t uploads[STATS_UPLOAD__MAX];
	int64_t overdue; /* open uploads whose lease has run out */
	int64_t closures, pins;
	int64_t running; /* garbage collections */
};
int stats_census(struct db *db, struct stats_census *out, struct err *e);

/* Bytes of all live NARs before compression. Reads every object: two seconds for
 * ten million, so the deadline matters. */
int stats_logical(struct db *db, int64_t *bytes, struct err *e);

#endif
