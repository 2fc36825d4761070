/*
 * A hash map from byte strings to pointers: open addressing, keyed SipHash (so
 * that keys chosen by an attacker do not collide), O(1) expected. Keys are not
 * copied: they must outlive the map. Values are the caller's.
 */
#ifndef CORE_MAP_H
#define CORE_MAP_H

#include <stddef.h>

struct map;

struct map *map_new(size_t expected);
void map_free(struct map *m); /* takes NULL */
size_t map_len(const struct map *m);
/* The value, or NULL. */
void *map_get(const struct map *m, const void *key, size_t len);
/* Returns the value that stood there before, or NULL. value is not NULL. The
 * new key replaces the old one too, so that a key may be part of its value. */
void *map_put(struct map *m, const void *key, size_t len, void *value);
/* Removes; returns the value or NULL. */
void *map_del(struct map *m, const void *key, size_t len);
/* Visits all, in no order; *i starts at 0. Returns the value, NULL at the
 * end. The map must not change meanwhile. */
void *map_next(const struct map *m, size_t *i);

#endif
