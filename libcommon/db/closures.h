/*
 * Closures: roots by age.
 */
#ifndef DB_CLOSURES_H
#define DB_CLOSURES_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct db;
struct err;

/*
 * Which of these narinfo keys are closures whose narinfo is live; each hit is
 * refreshed by the same statement, so that what is reported cannot be collected
 * before its retention runs out anew. present[i] is set to 1 or 0.
 */
int closures_present(struct db *db, const char *const *keys, size_t n,
    int *present, struct err *e);

struct closure {
	int64_t id;
	const char *store_path;
	int64_t created_us, updated_us; /* wall clock */
	/* All that it needs, as it was when it was pushed last; -1: not known. */
	int64_t objects, bytes;
	const char **pins; /* names */
	size_t npins;
};
/* Those behind (after_us, after_id), oldest first, at most max: for the next
 * page give updated_us and id of the last. 0, 0 begins. */
int closures_list(struct db *db, int64_t after_us, int64_t after_id, size_t max,
    struct arena *a, struct closure **out, size_t *n, struct err *e);
/* One, by the key of its narinfo. NOT_FOUND when that is no closure. */
int closures_get(struct db *db, const char *narinfo_key, struct arena *a,
    struct closure *out, struct err *e);

#endif
