/*
 * Pins: roots by name, on closures that were pushed.
 */
#ifndef DB_PINS_H
#define DB_PINS_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct db;
struct err;

struct pin {
	const char *name;
	const char *store_path;
	int64_t created_us, updated_us; /* wall clock */
};

/* Adds or moves a pin. A path that is live as a part of others becomes a closure
 * of its own; NOT_FOUND when the key is not live as this store path, ERR_INVALID
 * when its closure has another. */
int pins_set(struct db *db, const char *name, const char *narinfo_key,
    const char *store_path, struct err *e);
/* Sorted by name. */
int pins_list(
    struct db *db, struct arena *a, struct pin **out, size_t *n, struct err *e);
int pins_get(struct db *db, const char *name, struct arena *a, struct pin *out,
    struct err *e);
/* NOT_FOUND when there is none. */
int pins_delete(struct db *db, const char *name, struct err *e);

#endif
