/*
 * The spool: store paths that are to be pushed, on disk, until they are.
 *
 * Invariants:
 *  - when spool_add returns 0 its paths are on disk (SQLite, WAL,
 *    synchronous=FULL); a crash at any instant loses none of them;
 *  - a path leaves the spool only by spool_done, spool_gone or spool_drop, that
 *    is after it was pushed, is gone from the store, or at a person's word;
 *  - nothing says that a path is being pushed: whoever dies leaves it waiting;
 *  - a path stands there once, however often it was added.
 *
 * A path that cannot be pushed is tried again later and later, and set aside in
 * the end: it then waits for a person (spool_retry, spool_drop), or to be added
 * once more.
 *
 * Paths are base names. Thread-safe; other processes may have the file open too,
 * but only one may serve it.
 */
#ifndef LOCAL_SPOOL_H
#define LOCAL_SPOOL_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct spool;

#define SPOOL_BATCH_MAX 1000
#define SPOOL_DELAY_MAX 3600000 /* ms; no path waits longer for its next try */

enum spool_use {
	SPOOL_SERVE, /* makes it when it is not there, and locks it */
	SPOOL_LOOK,  /* beside who serves it */
};

/*
 * max is how many paths it may hold, those set aside included. CONFLICT when
 * somebody serves it already. A queue of the Go niks3-hook is taken over.
 */
int spool_open(const char *path, enum spool_use use, uint64_t max,
    struct spool **out, struct err *e);
void spool_close(struct spool *s); /* takes NULL */
/* Does anybody serve it? */
int spool_served(struct spool *s);

/*
 * All of them or none: TOO_LARGE when they are too many. *added are those that
 * were not waiting already. seen, unless it is -1, is remembered with them:
 * how far the caller has come in whatever he takes them from.
 */
int spool_add(struct spool *s, const char *const *bases, size_t n, int64_t seen,
    size_t *added, struct err *e);
/* -1 when none was. */
int spool_seen(struct spool *s, int64_t *seen, struct err *e);

struct spool_item {
	int64_t id;
	const char *base;
	int64_t sends; /* how often it was added */
	int64_t tries; /* that failed and counted */
	int64_t tried_us;
	int alone; /* it has failed by itself: not to be tried with others */
};

/*
 * What is to be tried by now, oldest first, at most max: one that is to be tried
 * alone comes alone. When there is none, *next_us is when there will be, or
 * INT64_MAX.
 */
int spool_due(struct spool *s, int64_t now_us, size_t max, struct arena *a,
    struct spool_item **items, size_t *n, int64_t *next_us, struct err *e);

/* They were pushed. */
int spool_done(
    struct spool *s, const struct spool_item *items, size_t n, struct err *e);
/* It is not in the store any more; unless it was added again meanwhile. */
int spool_gone(
    struct spool *s, const struct spool_item *item, int *gone, struct err *e);
/* Nobody's fault: to be tried again after all others that are due. */
int spool_later(struct spool *s, const struct spool_item *items, size_t n,
    int64_t now_us, struct err *e);
struct spool_policy {
	uint64_t tries_max; /* then it is set aside */
	int64_t
	    delay_ms; /* to the second try, at most SPOOL_DELAY_MAX; doubles */
};
/* It failed by itself. counts != 0: by its own fault, and *aside says whether
 * that was the last time. */
int spool_failed(struct spool *s, const struct spool_item *item, int counts,
    const struct spool_policy *policy, int64_t now_us, const struct err *why,
    int *aside, struct err *e);

struct spool_counts {
	int64_t waiting, aside;
	int64_t oldest_us; /* when the oldest was added; 0: there is none */
};
int spool_count(struct spool *s, struct spool_counts *out, struct err *e);

struct spool_row {
	const char *base;
	int64_t added_us, due_us, tries;
	int aside;
	const char *kind, *error; /* of the last failure, or NULL */
};
/* All of them, those set aside first, until f returns nonzero. */
int spool_each(struct spool *s, int (*f)(void *ctx, const struct spool_row *r),
    void *ctx, struct err *e);

/* base NULL: all that failed. *n is how many there were. */
int spool_retry(struct spool *s, const char *base, size_t *n, struct err *e);
int spool_drop(struct spool *s, const char *base, size_t *n, struct err *e);

#endif
