/*
 * niks3 watch-store: pushes what appears in the store, whoever puts it there.
 *
 * Nix numbers its valid paths, and never gives a number twice. So what has
 * appeared is what has a higher number than the last one seen, which is kept with
 * the queue: a path is queued and counted as seen in one transaction. A change of
 * the database's file (inotify) is only a reason to look.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/glob.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/local/nixdb.h"
#include "../../libcommon/local/nixenv.h"
#include "../../libcommon/local/pusher.h"
#include "../../libcommon/local/spool.h"
#include "../../libcommon/nix/storepath.h"
#include "command.h"
#include "filter.h"
#include "nixcmd.h"

#define PATHS_AT_ONCE 1000
#define LOOK_MS       10000 /* without having been woken */
#define PAUSE_MS      250   /* between two looks, at least */
#define AGAIN_MS      5000  /* after one that failed */
#define MEMORY_MAX    ((size_t)8 << 20)
#define STATE_MEMORY  ((size_t)64 << 10)
#define EVENTS_MAX    65536

struct config {
	struct opt_common common;
	struct pusher_config push;
	const char *db_path;
	struct opt_list include, exclude;
	int existing, derivations;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	PUSHER_OPTIONS(O(push)),
	{ "include", "NIKS3_WATCH_INCLUDE", OPT_LIST, O(include), 0, NULL,
	    "GLOB", "only paths whose name, without the hash, is such", 0, 0 },
	{ "exclude", "NIKS3_WATCH_EXCLUDE", OPT_LIST, O(exclude), 0, NULL,
	    "GLOB", "and no paths whose name is such", 0, 0 },
	{ "derivations", "NIKS3_WATCH_DERIVATIONS", OPT_BOOL, O(derivations), 0,
	    NULL, NULL, "derivations (.drv), too", 0, 0 },
	{ "existing", "NIKS3_WATCH_EXISTING", OPT_BOOL, O(existing), 0, NULL,
	    NULL, "at the first start, begin with what is there already", 0,
	    0 },
	{ "db-path", "NIKS3_WATCH_DB_PATH", OPT_PATH, O(db_path), 0, NULL,
	    "FILE",
	    "queue and memory (default: watch-store.db in $STATE_DIRECTORY or "
	    "~/.local/state/niks3)",
	    0, 0 },
	{ NULL },
};

const struct opt_program watch_store_program = {
	.name = "niks3 watch-store",
	.synopsis = "niks3 watch-store [OPTION]...",
	.summary = "Pushes what appears in the store, until it is told to stop "
	           "(SIGTERM, Ctrl-C). It remembers how far it came.",
	.opts = options,
	.words = "",
};

struct watch {
	const struct config *c;
	const char *store_dir;
	struct spool *spool;
	struct pusher *pusher;
	int events, stop_fd;
	size_t at_once; /* paths of a look; the queue must have room for them */
	/* The thread's own. */
	struct arena *a;
	int64_t seen;
};

/* ---- which paths ---- */

struct counts {
	size_t derivations, names;
};

static int
is_derivation(const char *base)
{
	size_t len = strlen(base);

	return len > 4 && strcmp(base + len - 4, ".drv") == 0;
}

static int
is_wanted(const struct config *c, const char *base, struct counts *left_out)
{
	const char *name = base + STOREPATH_HASH_LEN + 1;

	if (!c->derivations && is_derivation(base)) {
		left_out->derivations++;
		return 0;
	}
	if ((c->include.n > 0 &&
	        !glob_match_any(c->include.items, c->include.n, name)) ||
	    glob_match_any(c->exclude.items, c->exclude.n, name)) {
		left_out->names++;
		log_debug("left out by its name", LOG_S("path", base));
		return 0;
	}
	return 1;
}

/* ---- a look at the database ---- */

struct look {
	int64_t last_id;
	struct nixdb_path *paths;
	size_t n;
};

/* One reading; UNAVAILABLE is worth another one. */
static int
read_once(struct watch *w, struct look *out, struct err *e)
{
	struct nixdb *db;
	int rc = -1;

	arena_reset(w->a);
	if (nixdb_open(w->store_dir, &db, e) != 0)
		return -1;
	if (nixdb_last_id(db, &out->last_id, e) == 0 &&
	    nixdb_after(db, w->store_dir, w->seen, w->at_once, w->a,
	        &out->paths, &out->n, e) == 0)
		rc = 0;
	if (nixdb_still(db, e) != 0)
		rc = -1;
	nixdb_close(db);
	return rc;
}

static int
read_new(struct watch *w, struct look *out, struct err *e)
{
	int rc = -1;

	for (int i = 0; i < NIXDB_TRIES; i++) {
		rc = read_once(w, out, e);
		if (rc == 0 || e->kind != ERR_UNAVAILABLE)
			break;
	}
	return rc;
}

static int
queue_paths(struct watch *w, const struct look *look, struct err *e)
{
	const char **bases = arena_array(w->a, look->n, sizeof *bases);
	struct counts left_out = { 0 };
	int64_t seen = look->n > 0 ? look->paths[look->n - 1].id : w->seen;
	size_t n = 0, added = 0;

	if (bases == NULL)
		return arena_full(w->a, e);
	for (size_t i = 0; i < look->n; i++)
		if (is_wanted(w->c, look->paths[i].base, &left_out))
			bases[n++] = look->paths[i].base;
	if (spool_add(w->spool, bases, n, seen, &added, e) != 0)
		return -1;
	w->seen = seen;
	if (look->n > 0)
		log_info("seen in the store", LOG_U("paths", look->n),
		    LOG_U("queued", n),
		    LOG_U("derivations-left-out", left_out.derivations),
		    LOG_U("names-left-out", left_out.names));
	if (n > 0)
		pusher_wake(w->pusher);
	return 0;
}

/* The first look at this database, or at another one in its place. */
static int
find_beginning(struct watch *w, struct err *e)
{
	struct look look;

	if (spool_seen(w->spool, &w->seen, e) != 0)
		return -1;
	if (read_new(w, &look, e) != 0)
		return -1;
	if (w->seen == -1) {
		w->seen = w->c->existing ? 0 : look.last_id;
	} else if (look.last_id < w->seen) {
		log_warn("the Nix database is another one, beginning anew");
		w->seen = 0;
	}
	look.n = 0;
	return queue_paths(w, &look, e);
}

/* Queues all that is new. */
static int
look(struct watch *w, struct err *e)
{
	struct look look = { .n = w->at_once };

	while (look.n == w->at_once)
		if (read_new(w, &look, e) != 0 || queue_paths(w, &look, e) != 0)
			return -1;
	return 0;
}

/* ---- waiting ---- */

/* Takes the events that are there: does one of them tell of a transaction? Our
 * own reading changes db.sqlite-shm. */
static int
take_events(struct watch *w)
{
	_Alignas(struct inotify_event) char text[EVENTS_MAX];
	ssize_t n = read(w->events, text, sizeof text);
	int told = 0;

	for (char *p = text; n > 0 && p < text + n;) {
		const struct inotify_event *event = (const void *)p;
		size_t len = event->len > 0 ? strlen(event->name) : 0;

		if (len == 0 || strcmp(event->name, "db.sqlite") == 0 ||
		    (len > 4 && strcmp(event->name + len - 4, "-wal") == 0))
			told = 1;
		p += sizeof *event + event->len;
	}
	return told;
}

/* Until something has changed, at most ms. 0 when it is time to stop. */
static int
wait_for_change(struct watch *w, int64_t ms, int for_change)
{
	deadline_t d = deadline_in(ms);
	struct pollfd fds[] = {
		{ .fd = w->stop_fd, .events = POLLIN },
		{ .fd = for_change ? w->events : -1, .events = POLLIN },
	};

	while (deadline_left(d) > 0) {
		if (poll(fds, 2, (int)deadline_left(d)) <= 0)
			continue;
		if (fds[0].revents != 0)
			return 0;
		if (take_events(w))
			break;
	}
	return 1;
}

static void *
watch_thread(void *arg)
{
	struct watch *w = arg;
	int go = 1;

	while (go) {
		struct err e = ERR_INIT;

		if (look(w, &e) != 0) {
			/* A full queue empties itself. */
			log_err(e.kind == ERR_TOO_LARGE ? LOG_LEVEL_DEBUG
			                                : LOG_LEVEL_WARN,
			    "cannot look, trying again", &e);
			go = wait_for_change(w, AGAIN_MS, 0);
			continue;
		}
		/* What comes together is looked at together. */
		go = wait_for_change(w, PAUSE_MS, 0) &&
		    wait_for_change(w, LOOK_MS, 1);
	}
	return NULL;
}

/* ---- the start ---- */

static const char *
default_path(struct arena *a)
{
	const char *state = getenv("STATE_DIRECTORY");
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state != NULL && state[0] == '/')
		return arena_printf(a, "%s/watch-store.db", state);
	if (xdg != NULL && xdg[0] == '/')
		return arena_printf(a, "%s/niks3/watch-store.db", xdg);
	if (home != NULL && home[0] == '/')
		return arena_printf(
		    a, "%s/.local/state/niks3/watch-store.db", home);
	return NULL;
}

/* Not to be able to is no failure: there is the look now and then. */
static void
watch_events(struct watch *w, struct arena *a)
{
	const char *dir;

	w->events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->events < 0 || nixenv_db_dir(w->store_dir, a, &dir, NULL) != 0 ||
	    inotify_add_watch(
	        w->events, dir, IN_MODIFY | IN_MOVED_TO | IN_ONLYDIR) < 0)
		log_warn("no inotify, looking every ten seconds",
		    LOG_S("error", strerror(errno)));
}

static int
watch(struct watch *w, const struct pusher_options *o, struct err *e)
{
	pthread_t thread;

	if (find_beginning(w, e) != 0 || pusher_new(o, &w->pusher, e) != 0)
		return -1;
	if (pthread_create(&thread, NULL, watch_thread, w) != 0)
		err_die("cannot start a thread");
	log_info(
	    "watching", LOG_S("store", w->store_dir), LOG_I("from", w->seen));
	service_ready("watching");
	while (service_wait(deadline_in(INT32_MAX), NULL, NULL) != 0)
		;
	service_stopping();
	service_impatient();
	eventfd_write(w->stop_fd, 1);
	pthread_join(thread, NULL);
	pusher_stop(w->pusher, deadline_in(w->c->push.drain_us / 1000));
	return 0;
}

static int
start(const struct config *c, struct err *e)
{
	struct arena *a = arena_new(STATE_MEMORY);
	struct watch w = { .c = c, .stop_fd = -1, .events = -1 };
	char *niks3 = pusher_niks3();
	struct pusher_options o = {
		.config = &c->push,
		.niks3 = niks3,
		.log_level = c->common.log_level,
	};
	const char *path = c->db_path != NULL ? c->db_path : default_path(a);
	struct filter_config filter = { c->push.upstreams, c->push.signed_by };
	int rc = -1;

	w.a = arena_new(MEMORY_MAX);
	w.at_once = c->push.queue_max / 2;
	if (w.at_once > PATHS_AT_ONCE)
		w.at_once = PATHS_AT_ONCE;
	if (w.at_once == 0)
		w.at_once = 1;
	if (path == NULL)
		err_set(e, ERR_USAGE, "no --db-path, and no HOME for it");
	else if (filter_check(&filter, e) == 0 &&
	    nixenv_store_dir(&w.store_dir, e) == 0)
		rc = 0;
	o.store_dir = w.store_dir;
	if (rc != 0 || (rc = pusher_check(&o, e)) != 0 || c->common.check)
		goto out;
	rc = -1;
	if (spool_open(path, SPOOL_SERVE, c->push.queue_max, &w.spool, e) != 0)
		goto out;
	if ((w.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		err_sys(e, "eventfd");
		goto out;
	}
	o.spool = w.spool;
	watch_events(&w, a);
	rc = watch(&w, &o, e);
out:
	if (w.events >= 0)
		close(w.events);
	if (w.stop_fd >= 0)
		close(w.stop_fd);
	spool_close(w.spool);
	free(niks3);
	arena_free(w.a);
	arena_free(a);
	return rc;
}

int
command_watch_store(int argc, char **argv)
{
	struct config c = { 0 };
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(
	         &watch_store_program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	service_init("niks3", c.common.log_level);
	start(&c, &e);
	status = e.kind == ERR_NONE ? 0 : command_fail(&e);
	opt_done(&watch_store_program, &c);
	return status;
}
