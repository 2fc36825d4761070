/*
 * niks3 push: what its threads share.
 *
 *	closure.c   asks Nix what belongs to the closure, makes the request
 *	pack.c      threads, one a core: serialise, hash and compress paths
 *	put.c       threads: get objects authorised, write them to S3
 *	lease.c     thread: keeps the upload's lease meanwhile
 *	push.c      the order of things, and the way back
 *
 * Packed objects go through a bounded queue from pack to put; the bytes of all
 * objects in flight are bounded by a budget, so memory does not grow with the
 * closure.
 */
#ifndef NIKS3_PUSH_H
#define NIKS3_PUSH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../../libcommon/core/err.h"
#include "../../proto/bodies.h"

struct arena;
struct map;
struct pathinfo;
struct queue;
struct realisation;
struct remote;
struct remote_conn;

#define PART_MIN       ((size_t)8 << 20)
#define BUDGET_BYTES   ((size_t)96 << 20)
#define MULTIPART_FROM 100000000ull /* NARs from this size: always in parts */
#define PARTS_AIM      9000 /* parts of the largest NAR; S3 allows 10,000 */

/* What a key that the server misses is made from. */
struct want {
	const char *key;
	size_t path;                    /* position in paths */
	const struct realisation *real; /* of a realisation */
	int taken;                      /* by a pack thread; guarded by lock */
};

/* A multipart upload; the push keeps it until all threads have ended, for its
 * parts may be anywhere when one of them fails. */
struct parts {
	struct parts *next;
	const char *key;
	char *upload_id;
	pthread_mutex_t lock;
	char **etags; /* [number - 1] */
	uint32_t room;
	uint32_t begun; /* parts given to the queue */
	uint32_t done;  /* parts written */
	int closed;     /* begun will not grow; size and sha256 are known */
	int completing; /* by one thread only */
	uint64_t size;
	uint8_t sha256[32];
};

/* Bytes on their way to S3: an object, or a part of one. */
struct item {
	const char *key;
	uint8_t *data; /* malloc'ed */
	size_t len, room;
	size_t charged; /* to the budget */
	uint8_t sha256[32];
	struct parts *parts; /* or NULL */
	uint32_t number;
};

struct push {
	/* Set before the threads start. */
	struct remote *remote;
	struct arena *a;
	const char *store_dir, *log_dir;
	const char *s3_ca_cert; /* or NULL */
	struct pathinfo *paths;
	struct upload_request request;
	struct realisation *reals;
	size_t nreals;
	char upload[API_ID_MAX + 1]; /* "" before there is one */
	int64_t lease_ms;
	struct map *wants; /* key to struct want */
	uint32_t *order;   /* paths, largest NAR first */
	int level;

	struct queue *queue; /* of struct item */
	volatile int stop;   /* nonzero: give up */

	pthread_mutex_t lock;
	pthread_cond_t freed;
	int64_t budget;     /* bytes left; negative while one is too large */
	struct err error;   /* the first one */
	const char **found; /* keys that were in the bucket already */
	size_t nfound;
	struct parts *multiparts;

	atomic_size_t next; /* in order */
	atomic_size_t packers;
	atomic_uint_fast64_t nar_bytes, sent_bytes, objects, packed;
	uint64_t want_paths, want_bytes; /* for the progress */
};

/* Notes the first error and makes every thread give up. */
void push_fail(struct push *p, const struct err *e);
/* Waits until n bytes may be held; -1 when the push gave up. More than the
 * whole budget is let through alone. */
int push_charge(struct push *p, size_t n);
void push_release(struct push *p, size_t n);
/* The want of a key that nobody has taken yet, or NULL. */
struct want *push_take(struct push *p, const char *key);
/* Is it wanted at all? */
struct want *push_wanted(struct push *p, const char *key);

/* closure.c */
int closure_load(struct push *p, const char *const *roots, size_t nroots,
    int logs, struct err *e);
int closure_wants(
    struct push *p, const struct upload_reply *reply, struct err *e);
/* The file of a derivation's build log; *packed says that it is bzip2. 0 when
 * there is none. */
int closure_log(const struct push *p, const char *drv, char *path, size_t room,
    int *packed);

/* pack.c: the body of a pack thread; the last one to end closes the queue. */
void *pack_thread(void *push);

/* put.c: the body of a put thread. */
void *put_thread(void *push);
/* Completes a multipart upload when it is closed and all of its parts are
 * written; called after either. */
int put_complete(
    struct push *p, struct remote_conn *c, struct parts *parts, struct err *e);
/* Frees all multipart uploads, after the threads. */
void put_free_parts(struct push *p);
void item_free(struct push *p, struct item *it);

#endif
