/*
 * What operators look at. Each of these costs the same however large the cache
 * is: limits, indexes, and a sample where all would have to be counted.
 */
#ifndef DB_STATUS_H
#define DB_STATUS_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct db;
struct err;

/* Uploads under way, the oldest first. */
struct status_upload {
	const char *owner;
	int64_t created_us, lease_until_us; /* wall clock */
	int64_t narinfos;
	/* What it was authorised to write so far: at most STATUS_WRITES_MAX
	 * objects are counted. */
	int64_t objects, bytes;
};
#define STATUS_WRITES_MAX 10000
/* *total is how many there are, of which at most max are told. */
int status_uploads(struct db *db, size_t max, struct arena *a,
    struct status_upload **out, size_t *n, int64_t *total, struct err *e);

/*
 * Closures by days since they were pushed last: fewer than 1, 7, 30, 90, 180,
 * 365, and the rest. Exact up to STATUS_SAMPLE closures or so, above that from a
 * sample of that size.
 */
#define STATUS_AGES   7
#define STATUS_SAMPLE 200000
int status_ages(
    struct db *db, int64_t closures[STATUS_AGES], int *sampled, struct err *e);

/* The largest closures, by all that they need. */
struct status_closure {
	const char *store_path;
	int64_t updated_us;
	int64_t objects, bytes;
};
int status_largest(struct db *db, size_t max, struct arena *a,
    struct status_closure **out, size_t *n, struct err *e);

/* ---- the size of the cache over time ---- */

struct status_size {
	int64_t at_us; /* wall clock */
	int64_t objects, bytes;
};
/* Notes that of this hour, over what was noted in it before, and forgets those
 * of two years ago. */
int status_size_note(struct db *db, struct err *e);
/* Those of the last 90 days, one of each six hours, oldest first. */
int status_sizes(struct db *db, struct arena *a, struct status_size **out,
    size_t *n, struct err *e);

#endif
