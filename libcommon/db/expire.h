/*
 * Roots that run out, and what they leave behind. Figures are added to those of
 * the run.
 */
#ifndef DB_EXPIRE_H
#define DB_EXPIRE_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct db;
struct err;

/* Ends open uploads whose lease has been gone for older_than_us, each under the
 * exclusive roots lock. *n gets how many; call until 0. Outside of any run they are
 * not counted. */
#define EXPIRE_NO_RUN 0
int expire_uploads(struct db *db, int64_t older_than_us, int64_t run,
    uint64_t *n, struct err *e);
/* How many it would end. */
int expire_uploads_due(
    struct db *db, int64_t older_than_us, int64_t *n, struct err *e);

/* Takes away the closure of this narinfo, whatever its age, under the exclusive
 * lock. *n gets 0 when there is none, or when it is pinned: then pin gets a name,
 * else "". (Closures that are old enough go by graph_expire.) */
#define EXPIRE_PIN_MAX 257
int expire_closure(struct db *db, const char *key, int64_t run, uint64_t *n,
    char pin[EXPIRE_PIN_MAX], struct err *e);

/* Multipart uploads of ended uploads, to be aborted: some of them. */
struct expire_multipart {
	int64_t id;
	const char *key, *s3_id; /* s3_id NULL: S3 may never have begun it */
};
int expire_multiparts(struct db *db, struct arena *a,
    struct expire_multipart **out, size_t *n, struct err *e);
int expire_multipart_done(struct db *db, int64_t id, struct err *e);
/* Is this one, found in the bucket, nobody's? 1 when no open upload owns it and
 * none has an open intent for the key. */
int expire_multipart_orphan(struct db *db, const char *key, const char *s3_id,
    int *orphan, struct err *e);

/* Forgets ended uploads after a day and folds the statistics. */
int expire_history(struct db *db, struct err *e);

#endif
