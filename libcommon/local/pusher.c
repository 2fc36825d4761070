#include "pusher.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../proto/bodies.h"
#include "../codec/json.h"
#include "../core/arena.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../core/log.h"
#include "../core/spawn.h"
#include "../nix/storepath.h"
#include "spool.h"

#define POLL_MS      5000 /* others may have changed the spool */
#define PAUSE_MS     1000
#define PAUSE_MAX_MS 300000
#define MEMORY_MAX   ((size_t)8 << 20)
#define ANSWER_MAX   ((size_t)64 << 10)
#define FLAGS_MAX    64
#define PATH_LEN     4096

struct pusher {
	struct pusher_options o;
	const char **flags; /* ended by NULL: niks3 push and its options */
	size_t nflags;
	struct arena *memory; /* of the flags */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int woken, now, draining; /* guarded by lock */
	int ended;
	int stop_fd; /* readable: the push that runs is to stop */
	atomic_int stopped;
	atomic_llong idle_since;

	/* The thread's own. */
	struct arena *a;
	size_t limit;      /* paths in the next batch */
	unsigned failures; /* in a row */
	int64_t pushed_us; /* when a push succeeded last */
};

enum outcome {
	OUTCOME_GOOD, /* all of it was pushed, or is a path's fault */
	OUTCOME_WAIT, /* nobody's fault: wait */
	OUTCOME_STOP
};

/* ---- the program ---- */

char *
pusher_niks3(void)
{
	char path[PATH_LEN];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 8);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL) {
		strcpy(slash + 1, "niks3");
		if (access(path, X_OK) == 0)
			return xstrdup(path);
	}
	return xstrdup("niks3");
}

static void
put_flag(struct pusher *p, const char *name, const char *value)
{
	const char *flag;

	if (value == NULL)
		return;
	flag = arena_printf(p->memory, "--%s=%s", name, value);
	if (flag == NULL || p->nflags == FLAGS_MAX)
		err_die("too many options for niks3 push");
	p->flags[p->nflags++] = flag;
}

static void
put_number(struct pusher *p, const char *name, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	put_flag(p, name, n > 0 ? text : NULL);
}

static int
make_flags(struct pusher *p, struct err *e)
{
	const struct pusher_config *c = p->o.config;

	if (c->upstreams.n + c->signed_by.n > FLAGS_MAX / 2)
		return err_set(e, ERR_USAGE,
		    "more than %d upstream caches and keys", FLAGS_MAX / 2);
	p->flags = arena_array(p->memory, FLAGS_MAX + 4, sizeof *p->flags);
	if (p->flags == NULL)
		return arena_full(p->memory, e);
	p->flags[p->nflags++] = p->o.niks3;
	p->flags[p->nflags++] = "push";
	p->flags[p->nflags++] = "--json";
	put_flag(p, "log-level", p->o.log_level);
	put_flag(p, "server-url", c->remote.server_url);
	put_flag(p, "auth-token-path", c->remote.token_path);
	put_flag(p, "auth-token-script", c->remote.token_script);
	put_flag(p, "ca-cert", c->remote.ca_cert);
	put_flag(p, "client-cert", c->remote.client_cert);
	put_flag(p, "client-key", c->remote.client_key);
	put_number(p, "max-concurrent-uploads", c->uploads);
	put_number(p, "compression-level", c->level);
	put_flag(p, "no-logs", c->no_logs ? "true" : NULL);
	for (size_t i = 0; i < c->upstreams.n; i++)
		put_flag(p, "upstream-cache", c->upstreams.items[i]);
	for (size_t i = 0; i < c->signed_by.n; i++)
		put_flag(p, "skip-signed-by", c->signed_by.items[i]);
	return 0;
}

static enum err_kind
kind_of_status(int status)
{
	switch (status) {
	case 2:
		return ERR_USAGE;
	case 4:
		return ERR_UNAUTHORIZED;
	case 9:
		return ERR_UNAVAILABLE;
	case 10:
		return ERR_VERSION;
	default:
		return ERR_INTERNAL;
	}
}

/* What the program said in JSON, or what it exited with. */
static int
said(struct buf *out, int status, struct arena *a, struct err *e)
{
	struct api_error body;

	if (json_decode(&api_error_desc, out->data, out->len, a, &body, NULL) ==
	    0) {
		err_set(e, err_kind_by_name(body.error.kind), "%s",
		    body.error.message);
		if (body.error.hint != NULL)
			err_hint(e, "%s", body.error.hint);
		return -1;
	}
	if (status < 0)
		return err_set(e, ERR_INTERNAL, "a signal ended niks3 push");
	return err_set(e, kind_of_status(status),
	    "niks3 push ended with exit status %d", status);
}

/* Runs it with these words behind the flags. */
static int
run(struct pusher *p, const char *const *words, size_t n, struct arena *a,
    struct err *e)
{
	char **argv = arena_array(a, p->nflags + n + 1, sizeof *argv);
	struct buf out;
	int status, rc;

	if (argv == NULL)
		return arena_full(a, e);
	memcpy(argv, p->flags, p->nflags * sizeof *argv);
	memcpy(argv + p->nflags, words, n * sizeof *argv);
	buf_init(&out, ANSWER_MAX);
	rc = spawn_until(argv, p->stop_fd, &out, &status, e);
	if (rc != 0 && e->kind != ERR_CANCELED)
		e->kind = ERR_INTERNAL; /* no path is to blame */
	if (rc == 0 && status != 0)
		rc = said(&out, status, a, e);
	buf_done(&out);
	return rc;
}

static int
push(struct pusher *p, const struct spool_item *items, size_t n, struct err *e)
{
	const char **words = arena_array(p->a, n + 1, sizeof *words);

	if (words == NULL)
		return arena_full(p->a, e);
	words[0] = "--";
	for (size_t i = 0; i < n; i++) {
		words[i + 1] =
		    arena_printf(p->a, "%s/%s", p->o.store_dir, items[i].base);
		if (words[i + 1] == NULL)
			return arena_full(p->a, e);
	}
	return run(p, words, n + 1, p->a, e);
}

/* ---- a batch ---- */

static int
is_gone(const struct pusher *p, const char *base)
{
	char path[STOREPATH_MAX + 1];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", p->o.store_dir, base);
	return lstat(path, &st) != 0 && errno == ENOENT;
}

/* Leaves in items those that are still in the store. */
static int
drop_gone(struct pusher *p, struct spool_item *items, size_t *n, struct err *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		int gone = 0;

		if (!is_gone(p, items[i].base)) {
			items[kept++] = items[i];
			continue;
		}
		if (spool_gone(p->o.spool, &items[i], &gone, e) != 0)
			return -1;
		if (gone)
			log_warn("not in the store any more, so not pushed",
			    LOG_S("path", items[i].base));
	}
	*n = kept;
	return 0;
}

/* Is a push that fails so the fault of one of its paths? */
static int
blames_path(enum err_kind kind)
{
	return kind == ERR_INVALID || kind == ERR_NOT_FOUND ||
	    kind == ERR_CONFLICT || kind == ERR_TOO_LARGE ||
	    kind == ERR_CORRUPT;
}

static enum outcome
note_failure(struct pusher *p, const struct spool_item *it,
    const struct err *why, struct err *e)
{
	const struct pusher_config *c = p->o.config;
	struct spool_policy policy = { c->tries_max, c->delay_us / 1000 };
	int blamed = blames_path(why->kind);
	int counts =
	    blamed || (it->tried_us > 0 && p->pushed_us > it->tried_us);
	int aside;

	if (spool_failed(p->o.spool, it, counts, &policy, clock_wall_us(), why,
	        &aside, e) != 0)
		return OUTCOME_WAIT;
	if (aside)
		log_error("set aside; niks3-hook retry tries it again",
		    LOG_S("path", it->base), LOG_U("tries", c->tries_max),
		    LOG_S("error", why->msg));
	else if (counts)
		log_warn("not pushed, trying it again later",
		    LOG_S("path", it->base), LOG_S("error", why->msg));
	return counts ? OUTCOME_GOOD : OUTCOME_WAIT;
}

/* e is filled with OUTCOME_WAIT. */
static enum outcome
push_batch(struct pusher *p, struct spool_item *items, size_t n, struct err *e)
{
	struct err why = ERR_INIT;
	enum outcome got;
	size_t half;

	if (drop_gone(p, items, &n, e) != 0)
		return OUTCOME_WAIT;
	if (n == 0)
		return OUTCOME_GOOD;
	if (push(p, items, n, &why) == 0) {
		p->pushed_us = clock_wall_us();
		return spool_done(p->o.spool, items, n, e) == 0 ? OUTCOME_GOOD
		                                                : OUTCOME_WAIT;
	}
	*e = why;
	if (atomic_load(&p->stopped))
		return OUTCOME_STOP;
	if (n == 1 && why.kind != ERR_CANCELED)
		return note_failure(p, items, &why, e);
	if (!blames_path(why.kind)) {
		spool_later(p->o.spool, items, n, clock_wall_us(), e);
		return OUTCOME_WAIT;
	}
	half = n / 2;
	got = push_batch(p, items, half, e);
	return got != OUTCOME_GOOD ? got
	                           : push_batch(p, items + half, n - half, e);
}

/* ---- the thread ---- */

/* Until something is added, or d; woken by pusher_now even when new paths are
 * not waited for. */
static void
wait_until(struct pusher *p, deadline_t d, int for_new)
{
	struct timespec until = { d / 1000, d % 1000 * 1000000 };

	pthread_mutex_lock(&p->lock);
	while (!p->draining && !p->now && !(for_new && p->woken) &&
	    pthread_cond_clockwait(
	        &p->changed, &p->lock, CLOCK_MONOTONIC, &until) == 0)
		;
	p->woken = 0;
	if (p->now) {
		p->now = 0;
		p->failures = 0;
	}
	pthread_mutex_unlock(&p->lock);
}

static int
is_draining(struct pusher *p)
{
	int draining;

	pthread_mutex_lock(&p->lock);
	draining = p->draining;
	pthread_mutex_unlock(&p->lock);
	return draining;
}

static void
note_idle(struct pusher *p, int64_t next_us)
{
	if (next_us != INT64_MAX)
		atomic_store(&p->idle_since, 0);
	else if (atomic_load(&p->idle_since) == 0)
		atomic_store(&p->idle_since, clock_mono_ms());
}

static void
wait_for_work(struct pusher *p, int64_t next_us)
{
	int64_t ms = POLL_MS;

	if (next_us != INT64_MAX) {
		int64_t left = (next_us - clock_wall_us()) / 1000 + 1;

		if (left < ms)
			ms = left > 0 ? left : 0;
	}
	wait_until(p, deadline_in(ms), 1);
}

static void
wait_for_server(struct pusher *p, const struct err *why)
{
	/* The half of it is for sure. */
	int64_t ms = PAUSE_MS / 2 +
	    clock_backoff(p->failures, PAUSE_MS / 2, PAUSE_MAX_MS / 2);

	p->failures++;
	p->limit = p->limit > 1 ? p->limit / 2 : 1;
	log_err(LOG_LEVEL_WARN, "cannot push, trying again", why);
	wait_until(p, deadline_in(ms), 0);
}

static void
grow(struct pusher *p)
{
	p->failures = 0;
	p->limit *= 2;
	if (p->limit > p->o.config->batch)
		p->limit = p->o.config->batch;
}

static void *
pusher_thread(void *arg)
{
	struct pusher *p = arg;
	enum outcome got = OUTCOME_GOOD;

	p->limit = p->o.config->batch;
	while (got != OUTCOME_STOP && !atomic_load(&p->stopped)) {
		struct err e = ERR_INIT;
		struct spool_item *items = NULL;
		int64_t next_us = 0;
		size_t n = 0;

		arena_reset(p->a);
		got = OUTCOME_WAIT;
		if (spool_due(p->o.spool, clock_wall_us(), p->limit, p->a,
		        &items, &n, &next_us, &e) == 0) {
			if (n > 0)
				next_us = 0;
			note_idle(p, next_us);
			if (n == 0) {
				if (is_draining(p))
					break;
				wait_for_work(p, next_us);
				got = OUTCOME_GOOD;
				continue;
			}
			got = push_batch(p, items, n, &e);
		}
		if (got == OUTCOME_GOOD)
			grow(p);
		if (got == OUTCOME_WAIT) {
			if (is_draining(p))
				break;
			wait_for_server(p, &e);
		}
	}
	pthread_mutex_lock(&p->lock);
	p->ended = 1;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- outside ---- */

static void
pusher_free(struct pusher *p)
{
	if (p->stop_fd >= 0)
		close(p->stop_fd);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
	arena_free(p->a);
	arena_free(p->memory);
	free(p);
}

static int
pusher_make(const struct pusher_options *o, struct pusher **out, struct err *e)
{
	struct pusher *p = xcalloc(1, sizeof *p);

	p->o = *o;
	p->memory = arena_new(MEMORY_MAX);
	p->a = arena_new(MEMORY_MAX);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->stop_fd < 0)
		err_sys(e, "eventfd");
	if (p->stop_fd < 0 || make_flags(p, e) != 0) {
		pusher_free(p);
		return -1;
	}
	*out = p;
	return 0;
}

int
pusher_check(const struct pusher_options *o, struct err *e)
{
	const char *check = "-n";
	struct pusher *p;
	int rc;

	if (pusher_make(o, &p, e) != 0)
		return -1;
	rc = run(p, &check, 1, p->a, e);
	pusher_free(p);
	return rc;
}

int
pusher_new(const struct pusher_options *o, struct pusher **out, struct err *e)
{
	if (pusher_make(o, out, e) != 0)
		return -1;
	if (pthread_create(&(*out)->thread, NULL, pusher_thread, *out) != 0)
		err_die("cannot start a thread");
	return 0;
}

static void
tell(struct pusher *p, int *what)
{
	pthread_mutex_lock(&p->lock);
	*what = 1;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void
pusher_wake(struct pusher *p)
{
	atomic_store(&p->idle_since, 0);
	tell(p, &p->woken);
}

void
pusher_now(struct pusher *p)
{
	tell(p, &p->now);
}

void
pusher_stop(struct pusher *p, deadline_t d)
{
	struct timespec until = { d / 1000, d % 1000 * 1000000 };

	if (p == NULL)
		return;
	tell(p, &p->draining);
	pthread_mutex_lock(&p->lock);
	while (!p->ended &&
	    pthread_cond_clockwait(
	        &p->changed, &p->lock, CLOCK_MONOTONIC, &until) == 0)
		;
	pthread_mutex_unlock(&p->lock);
	atomic_store(&p->stopped, 1);
	eventfd_write(p->stop_fd, 1);
	pthread_join(p->thread, NULL);
	pusher_free(p);
}

int64_t
pusher_idle_since(struct pusher *p)
{
	return atomic_load(&p->idle_since);
}
