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

/*
 * The object pins/NAME follows the row. A write of it whose answer was lost may
 * arrive after a later one, and whoever set the pin may have died before he wrote.
 * So each change is remembered until such a write must be over (PINS_LATE_MS after
 * it was sent), and the object is then written once more.
 */
#define PINS_WRITE_MS 30000 /* how long one write of the object may take */
#define PINS_LATE_MS  45000
struct pin_write {
	const char *name;
	const char
	    *store_path; /* of the pin as it is now; NULL: there is none */
	int64_t until_us;
};
/* Those whose time has come, at most PINS_UNSETTLED_MAX. */
#define PINS_UNSETTLED_MAX 100
int pins_unsettled(struct db *db, struct arena *a, struct pin_write **out,
    size_t *n, struct err *e);
/* It was written as w says. unsure: this write itself may yet arrive once more. A
 * change that came meanwhile is not forgotten. */
int pins_settled(
    struct db *db, const struct pin_write *w, int unsure, struct err *e);

#endif
