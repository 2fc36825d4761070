/*
 * Closures: roots by age.
 */
#ifndef DB_CLOSURES_H
#define DB_CLOSURES_H

#include <stddef.h>

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

#endif
