/*
 * A pool of connections to S3 that works off the items of batches in parallel.
 * Any number of batches may run at once; each waits for its own end.
 */
#ifndef UPLOADER_FAN_H
#define UPLOADER_FAN_H

#include <stddef.h>

struct fan;
struct s3;
struct s3_conn;

/* At most n threads, each with a connection of its own. They start when they are
 * first needed: an uploader at rest holds little memory. Never NULL. */
struct fan *fan_new(struct s3 *s3, unsigned n);
/* No batch may be under way. Takes NULL. */
void fan_free(struct fan *f);

/* Calls fn(conn, ctx, i) for each i < n, in any order, several at a time, and
 * returns when all have returned. */
void fan_run(struct fan *f, size_t n,
    void (*fn)(struct s3_conn *c, void *ctx, size_t i), void *ctx);

/* Items that no thread has taken yet. */
size_t fan_waiting(struct fan *f);

#endif
