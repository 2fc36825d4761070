/*
 * Empties a spool: one thread that pushes what is due, a batch at a time, by
 * running `niks3 push` on it.
 *
 * Whose fault is a push that fails? Its kind of error tells:
 *  - of a path (malformed, not valid, changed, too large): the batch is halved
 *    until the path is found, and all others are pushed;
 *  - anybody's (no server, no right to push, a program that died): nothing is
 *    held against a path. The next batch is half as large and comes after a
 *    pause, exponential with jitter, and so down to single paths: what only one
 *    of them brings about then stops that one alone. It counts against a path
 *    only when another one was pushed since it failed before.
 */
#ifndef LOCAL_PUSHER_H
#define LOCAL_PUSHER_H

#include "../core/clock.h"
#include "remote_config.h"

struct err;
struct spool;

/* The options of every program that has a pusher; a member of its
 * configuration. */
struct pusher_config {
	struct remote_config remote;
	uint64_t uploads, level; /* 0: as niks3 push has them */
	int no_logs;
	struct opt_list upstreams, signed_by;
	uint64_t batch, tries_max, queue_max;
	int64_t delay_us, drain_us;
};

#define PUSHER_ROW(o, name, env, type, member, value, arg, help, min, max)     \
	{                                                                      \
		name, env, type, (o) + offsetof(struct pusher_config, member), \
		    OPT_RARE, value, arg, help, min, max                       \
	}

/* Rows of an option table for a struct pusher_config at offset o. */
#define PUSHER_OPTIONS(o)                                                      \
	REMOTE_OPTIONS((o) + offsetof(struct pusher_config, remote)),          \
	    PUSHER_ROW(o, "max-concurrent-uploads",                            \
	        "NIKS3_MAX_CONCURRENT_UPLOADS", OPT_U64, uploads, NULL, "N",   \
	        "objects written at once (see niks3 push)", 0, 256),           \
	    PUSHER_ROW(o, "compression-level", "NIKS3_COMPRESSION_LEVEL",      \
	        OPT_U64, level, NULL, "N", "of zstd (see niks3 push)", 0, 19), \
	    PUSHER_ROW(o, "no-logs", "NIKS3_NO_LOGS", OPT_BOOL, no_logs, NULL, \
	        NULL, "leave build logs out", 0, 0),                           \
	    PUSHER_ROW(o, "upstream-cache", "NIKS3_UPSTREAM_CACHES", OPT_LIST, \
	        upstreams, NULL, "URL", "leave out what this cache has", 0,    \
	        0),                                                            \
	    PUSHER_ROW(o, "skip-signed-by", "NIKS3_SKIP_SIGNED_BY", OPT_LIST,  \
	        signed_by, NULL, "KEYNAME", "leave out what this key signed",  \
	        0, 0),                                                         \
	    PUSHER_ROW(o, "batch-size", "NIKS3_BATCH_SIZE", OPT_U64, batch,    \
	        "50", "N", "paths pushed at once", 1, SPOOL_BATCH_MAX),        \
	    PUSHER_ROW(o, "max-tries", "NIKS3_MAX_TRIES", OPT_U64, tries_max,  \
	        "5", "N", "set a path aside that failed so often by itself",   \
	        1, 1000),                                                      \
	    PUSHER_ROW(o, "retry-delay", "NIKS3_RETRY_DELAY", OPT_DURATION,    \
	        delay_us, "10s", "DURATION",                                   \
	        "before a path's second try; doubles each time", 1,            \
	        SPOOL_DELAY_MAX),                                              \
	    PUSHER_ROW(o, "queue-max", "NIKS3_QUEUE_MAX", OPT_U64, queue_max,  \
	        "100000", "N", "paths that may wait", 1, 10000000),            \
	    PUSHER_ROW(o, "drain-timeout", "NIKS3_DRAIN_TIMEOUT",              \
	        OPT_DURATION, drain_us, "60s", "DURATION",                     \
	        "go on pushing for so long when told to stop", 0, 0)

struct pusher_options {
	struct spool *spool;
	const struct pusher_config *config;
	const char *niks3;     /* the program */
	const char *store_dir; /* what the base names are in */
	const char *log_level; /* the program's */
};

/* Asks the program whether it can work with this configuration. */
int pusher_check(const struct pusher_options *o, struct err *e);
/* Starts the thread. Options must outlive it. */
struct pusher;
int pusher_new(
    const struct pusher_options *o, struct pusher **out, struct err *e);
/* Something was added. */
void pusher_wake(struct pusher *p);
/* Tries now, whatever it is waiting for. */
void pusher_now(struct pusher *p);
/* Goes on until nothing is due or the server does not answer, at most until d;
 * then the push that runs is told to roll back. What is left stays in the
 * spool. Frees p; takes NULL. */
void pusher_stop(struct pusher *p, deadline_t d);

/* Since when nothing has been waiting, on the monotonic clock; 0: something
 * is. */
int64_t pusher_idle_since(struct pusher *p);

/* niks3 beside this program, or as PATH finds it; malloc'ed. */
char *pusher_niks3(void);

#endif
