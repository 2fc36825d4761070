/*
 * A cache of byte strings by byte strings: so many bytes at most, of which the
 * ones that were asked for longest ago go first, and nothing past its time.
 * Thread-safe.
 */
#ifndef CORE_LRU_H
#define CORE_LRU_H

#include <stddef.h>
#include <stdint.h>

#include "clock.h"

struct buf;
struct lru;

#define LRU_OVERHEAD 160 /* bytes that an entry costs besides key and value */

/* At most max bytes, keys and LRU_OVERHEAD counted; 0 keeps nothing. */
struct lru *lru_new(size_t max);
void lru_free(struct lru *c); /* takes NULL */

/* 1 and the value appended to out; 0 when there is none (any more), or out is
 * full. */
int lru_get(struct lru *c, const char *key, struct buf *out);
/*
 * Copies both; replaces what is there. The entry is not given out from until
 * on. One that is larger than an eighth of the cache is not kept.
 */
void lru_put(struct lru *c, const char *key, const void *value, size_t len,
    deadline_t until);
void lru_del(struct lru *c, const char *key);

struct lru_counts {
	uint64_t hits, misses;
	size_t entries, bytes;
};
void lru_counts(struct lru *c, struct lru_counts *out);

#endif
