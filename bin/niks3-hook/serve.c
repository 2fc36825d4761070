/*
 * The daemon: one thread accepts, some answer, the pusher pushes. A sender is told
 * "ok" when its paths are on disk, and not before.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/queue.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/core/unixsock.h"
#include "../../libcommon/core/utf8.h"
#include "../../libcommon/local/nixenv.h"
#include "../../libcommon/local/pusher.h"
#include "../../libcommon/local/spool.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/hook.h"
#include "hook.h"

#define WORKERS       4
#define MEMORY_MAX    ((size_t)32 << 20)
#define ANSWER_MAX    4096
#define GROUPS_MAX    4096
#define NO_FD_WAIT_MS 1000 /* before accepting again when there is no room */
#define LOOK_MS       1000
#define LISTEN_FD     3 /* sd_listen_fds(3) */

struct config {
	struct opt_common common;
	struct pusher_config push;
	const char *socket, *group, *db_path, *niks3;
	int64_t idle_us;
	uint64_t connections;
	int debug, verify;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	PUSHER_OPTIONS(O(push)),
	{ "socket", "NIKS3_HOOK_SOCKET", OPT_PATH, O(socket), 0, HOOK_SOCKET,
	    "PATH", "listen here, unless systemd does", 0, 0 },
	{ "socket-group", "NIKS3_HOOK_GROUP", OPT_STR, O(group), OPT_RARE, NULL,
	    "GROUP", "let this group send, too (default: root and our user)", 0,
	    0 },
	{ "db-path", "NIKS3_HOOK_DB_PATH", OPT_PATH, O(db_path), 0, HOOK_QUEUE,
	    "FILE", "the queue", 0, 0 },
	{ "idle-exit-timeout", "NIKS3_HOOK_IDLE_EXIT_TIMEOUT", OPT_DURATION,
	    O(idle_us), OPT_RARE, "60s", "DURATION",
	    "end when nothing waited for so long, if systemd listens; 0: never",
	    0, 0 },
	{ "max-connections", "NIKS3_HOOK_MAX_CONNECTIONS", OPT_U64,
	    O(connections), OPT_RARE, "128", "N", "senders at once", 1, 10000 },
	{ "niks3", "NIKS3_HOOK_NIKS3", OPT_PATH, O(niks3), OPT_RARE, NULL,
	    "PATH",
	    "the niks3 that pushes (default: the one beside this program)", 0,
	    0 },
	/* Of the Go program. */
	{ "debug", NULL, OPT_BOOL, O(debug), OPT_HIDDEN, NULL, NULL,
	    "the same as --log-level=debug", 0, 0 },
	{ "verify-s3-integrity", NULL, OPT_BOOL, O(verify), OPT_HIDDEN, NULL,
	    NULL, "nothing: the server makes sure of every object", 0, 0 },
	{ NULL },
};

const struct opt_program hook_serve_program = {
	.name = "niks3-hook serve",
	.synopsis = "niks3-hook serve [OPTION]...",
	.summary = "Takes store paths from niks3-hook send, keeps them on disk "
	           "and pushes them with niks3 push.",
	.opts = options,
	.words = "",
};

/* A sender, and until when he may take for his message. It counts from when he
 * came: however many hang, none is waited for longer. */
struct conn {
	int fd;
	deadline_t d;
};

struct server {
	const struct config *c;
	const char *store_dir;
	gid_t group; /* or -1 */
	struct spool *spool;
	struct pusher *pusher;
	struct queue *conns; /* of struct conn */
	int fd, activated, stop_fd;
	atomic_llong seen_ms; /* when a sender came last */
	atomic_size_t open;   /* connections */
};

/* ---- one sender ---- */

static int
in_group(int fd, const struct ucred *peer, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof groups;

	if (group == (gid_t)-1)
		return 0;
	if (peer->gid == group)
		return 1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0)
		return 0;
	for (size_t i = 0; i < len / sizeof groups[0]; i++)
		if (groups[i] == group)
			return 1;
	return 0;
}

static int
check_peer(const struct server *s, int fd, struct err *e)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return err_sys(e, "who is the peer");
	if (peer.uid == 0 || peer.uid == geteuid() ||
	    in_group(fd, &peer, s->group))
		return 0;
	return err_set(e, ERR_FORBIDDEN,
	    "user %u may not send: only root, the user of niks3-hook serve and "
	    "its --socket-group may",
	    peer.uid);
}

static int
store(struct server *s, const struct hook_request *q, struct arena *a,
    struct err *e)
{
	const char **bases = arena_array(a, q->paths.n, sizeof *bases);
	size_t added;

	if (bases == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < q->paths.n; i++)
		if (storepath_parse(
		        s->store_dir, q->paths.items[i], &bases[i], e) != 0)
			return -1;
	if (q->paths.n == 0) {
		pusher_now(s->pusher);
		return 0;
	}
	if (spool_add(s->spool, bases, q->paths.n, -1, &added, e) != 0)
		return -1;
	log_info("queued", LOG_U("paths", q->paths.n), LOG_U("new", added));
	pusher_wake(s->pusher);
	return 0;
}

static int
serve_request(
    struct server *s, int fd, deadline_t d, struct arena *a, struct err *e)
{
	struct hook_request q = { 0 };
	struct buf line;
	int rc;

	if (check_peer(s, fd, e) != 0)
		return -1;
	buf_init(&line, HOOK_MESSAGE_MAX);
	rc = unixsock_read_line(fd, d, &line, e);
	if (rc == 0)
		rc = json_decode(
		    &hook_request_desc, line.data, line.len, a, &q, e);
	if (rc != 0)
		err_prefix(e, "message");
	buf_done(&line);
	return rc == 0 ? store(s, &q, a, e) : -1;
}

/* why->kind is NONE when all is well. */
static void
answer(int fd, deadline_t d, const struct err *why)
{
	struct hook_answer r = { .status = "ok" };
	char message[ERR_MSG_MAX];
	struct buf text;

	if (why->kind != ERR_NONE) {
		snprintf(message, sizeof message, "%.*s",
		    (int)utf8_span(why->msg, strlen(why->msg)), why->msg);
		r.status = "error";
		r.message = message;
		log_err(LOG_LEVEL_WARN, "not queued", why);
	}
	buf_init(&text, ANSWER_MAX);
	if (json_encode(&hook_answer_desc, &r, &text, NULL) == 0 &&
	    buf_putc(&text, '\n', NULL) == 0)
		unixsock_write(fd, d, text.data, text.len, NULL);
	buf_done(&text);
}

static void
conn_end(struct server *s, struct conn *conn, const struct err *why)
{
	/* Also who was late is told so. */
	answer(conn->fd, deadline_in(HOOK_WAIT_MS), why);
	close(conn->fd);
	free(conn);
	atomic_fetch_sub(&s->open, 1);
}

static void *
worker_thread(void *arg)
{
	struct server *s = arg;
	struct arena *a = arena_new(MEMORY_MAX);
	struct conn *conn;

	while ((conn = queue_pop(s->conns, INT64_MAX)) != NULL) {
		struct err e = ERR_INIT;

		arena_reset(a);
		serve_request(s, conn->fd, conn->d, a, &e);
		conn_end(s, conn, &e);
	}
	arena_free(a);
	return NULL;
}

/* ---- all of them ---- */

static void
take(struct server *s, int fd)
{
	struct conn *conn = xcalloc(1, sizeof *conn);
	struct err e = ERR_INIT;

	conn->fd = fd;
	conn->d = deadline_in(HOOK_WAIT_MS);
	atomic_store(&s->seen_ms, clock_mono_ms());
	atomic_fetch_add(&s->open, 1);
	if (queue_push(s->conns, conn, 0) == 0)
		return;
	err_set(&e, ERR_THROTTLED, "too many senders at once (%llu)",
	    (unsigned long long)s->c->connections);
	conn_end(s, conn, &e);
}

/* Everybody who waits. */
static void
accept_all(struct server *s)
{
	int fd;

	while ((fd = accept4(
	            s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		take(s, fd);
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	log_warn("cannot accept", LOG_S("error", strerror(errno)));
	clock_sleep(NO_FD_WAIT_MS, INT64_MAX);
}

static void *
accept_thread(void *arg)
{
	struct server *s = arg;
	struct pollfd fds[] = {
		{ .fd = s->fd, .events = POLLIN },
		{ .fd = s->stop_fd, .events = POLLIN },
	};

	while (fds[1].revents == 0) {
		if (poll(fds, 2, -1) > 0 && fds[0].revents != 0)
			accept_all(s);
	}
	/* systemd keeps those who come from now on, we do not. */
	if (!s->activated)
		accept_all(s);
	return NULL;
}

static int
is_idle(struct server *s)
{
	int64_t since = pusher_idle_since(s->pusher);
	int64_t seen = atomic_load(&s->seen_ms);

	if (!s->activated || s->c->idle_us == 0 || since == 0 ||
	    atomic_load(&s->open) > 0)
		return 0;
	if (seen > since)
		since = seen;
	return clock_mono_ms() - since >= s->c->idle_us / 1000;
}

static void
tell_status(struct server *s, struct spool_counts *last)
{
	struct spool_counts now;

	if (spool_count(s->spool, &now, NULL) != 0 ||
	    (now.waiting == last->waiting && now.aside == last->aside))
		return;
	*last = now;
	service_status("%lld waiting, %lld set aside", (long long)now.waiting,
	    (long long)now.aside);
}

static void
serve_until_stopped(struct server *s)
{
	struct spool_counts last = { -1, -1, 0 };
	pthread_t accepter, workers[WORKERS];

	s->conns = queue_new(s->c->connections);
	for (int i = 0; i < WORKERS; i++)
		if (pthread_create(&workers[i], NULL, worker_thread, s) != 0)
			err_die("cannot start a thread");
	if (pthread_create(&accepter, NULL, accept_thread, s) != 0)
		err_die("cannot start a thread");
	service_ready("ready");
	while (service_wait(deadline_in(LOOK_MS), NULL, NULL) != 0) {
		tell_status(s, &last);
		if (is_idle(s)) {
			log_info("nothing to do, ending");
			break;
		}
	}
	service_stopping();
	service_impatient();
	eventfd_write(s->stop_fd, 1);
	pthread_join(accepter, NULL);
	queue_close(s->conns);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	queue_free(s->conns);
}

/* ---- the start ---- */

static int
find_group(struct server *s, struct err *e)
{
	struct group *g;

	s->group = -1;
	if (s->c->group == NULL || s->c->group[0] == '\0')
		return 0;
	if ((g = getgrnam(s->c->group)) == NULL)
		return err_set(e, ERR_INVALID,
		    "--socket-group %s: no such group", s->c->group);
	s->group = g->gr_gid;
	return 0;
}

static int
adopt_socket(struct server *s, struct err *e)
{
	int domain = 0, listens = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(LISTEN_FD, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0 ||
	    getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) !=
	        0 ||
	    domain != AF_UNIX || !listens)
		return err_set(e, ERR_INVALID,
		    "what systemd gave us is no listening unix socket");
	s->fd = LISTEN_FD;
	s->activated = 1;
	return fcntl(s->fd, F_SETFL, O_NONBLOCK) == 0
	    ? 0
	    : err_sys(e, "socket of systemd");
}

static int
open_socket(struct server *s, struct err *e)
{
	if (service_listen_fds() > 0)
		return adopt_socket(s, e);
	return unixsock_listen(s->c->socket,
	    s->group == (gid_t)-1 ? 0600 : 0660, s->group, &s->fd, e);
}

static int
serve(const struct config *c, struct err *e)
{
	struct server s = { .c = c, .fd = -1, .stop_fd = -1 };
	char *beside = c->niks3 == NULL ? pusher_niks3() : NULL;
	struct pusher_options o = {
		.config = &c->push,
		.niks3 = beside != NULL ? beside : c->niks3,
		.log_level = c->common.log_level,
	};
	int rc = -1, bad;

	if (nixenv_store_dir(&s.store_dir, e) != 0 || find_group(&s, e) != 0)
		goto out;
	o.store_dir = s.store_dir;
	bad = pusher_check(&o, e);
	if (c->common.check) {
		rc = bad;
		goto out;
	}
	/* What Nix builds meanwhile must not be lost. */
	if (bad)
		log_err(LOG_LEVEL_ERROR,
		    "cannot push like this; paths are queued until it is "
		    "mended",
		    e);
	err_clear(e);
	if (spool_open(
	        c->db_path, SPOOL_SERVE, c->push.queue_max, &s.spool, e) != 0 ||
	    open_socket(&s, e) != 0)
		goto out;
	if ((s.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		err_sys(e, "eventfd");
		goto out;
	}
	o.spool = s.spool;
	if (pusher_new(&o, &s.pusher, e) != 0)
		goto out;
	log_info("serving", LOG_S("queue", c->db_path),
	    LOG_S("socket", s.activated ? "of systemd" : c->socket));
	serve_until_stopped(&s);
	pusher_stop(s.pusher, deadline_in(c->push.drain_us / 1000));
	rc = 0;
out:
	if (s.fd >= 0 && !s.activated)
		unlink(c->socket);
	if (s.fd >= 0)
		close(s.fd);
	if (s.stop_fd >= 0)
		close(s.stop_fd);
	spool_close(s.spool);
	free(beside);
	return rc;
}

int
hook_serve(int argc, char **argv)
{
	struct config c = { 0 };
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(
	         &hook_serve_program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	if (c.debug)
		c.common.log_level = "debug";
	service_init("niks3-hook", c.common.log_level);
	serve(&c, &e);
	if (e.kind != ERR_NONE)
		log_err(LOG_LEVEL_ERROR, "cannot go on", &e);
	opt_done(&hook_serve_program, &c);
	return err_exit(e.kind);
}
