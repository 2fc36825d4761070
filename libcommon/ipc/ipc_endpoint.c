#include "ipc_endpoint.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <nng/transport/ipc/ipc.h>

#include "../core/buf.h"
#include "../core/err.h"
#include "ipc.h"
#include "ipc_peers.h"

#define SCHEME           "ipc://"
#define RECONNECT_MS     50 /* first, doubled up to the second */
#define RECONNECT_MAX_MS 1000

#define CLOSE_MS         2000

/* nng counts its own header too. */
#define RECV_MAX (IPC_FRAME_MAX + 64)

struct ipc_endpoint {
	nng_socket socket;
	const struct ipc_peers *peers;
	unsigned roles;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t *pipes; /* ids of the connections */
	size_t npipes, room;
	int closed;
};

static enum err_kind
kind_of(int rv)
{
	switch (rv) {
	case NNG_EADDRINUSE:
		return ERR_CONFLICT;
	case NNG_EPERM:
		return ERR_FORBIDDEN;
	case NNG_ENOENT:
		return ERR_NOT_FOUND;
	case NNG_EADDRINVAL:
		return ERR_INVALID;
	default:
		return ERR_IO;
	}
}

/* ---- connections ---- */

int
ipc_endpoint_uid(nng_pipe pipe, uid_t *uid)
{
	uint64_t n;

	if (nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &n) != 0)
		return -1;
	*uid = n;
	return 0;
}

static void
on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct ipc_endpoint *ep = arg;
	uint32_t id = nng_pipe_id(pipe);
	uid_t uid;

	switch (event) {
	case NNG_PIPE_EV_ADD_PRE:
		/* Closed here it has not sent a byte. */
		if (ipc_endpoint_uid(pipe, &uid) ||
		    !ipc_peers_allow(ep->peers, uid, ep->roles))
			nng_pipe_close(pipe);
		return;
	case NNG_PIPE_EV_ADD_POST:
		pthread_mutex_lock(&ep->lock);
		if (ep->npipes == ep->room) {
			ep->room = ep->room > 0 ? ep->room * 2 : 8;
			ep->pipes =
			    xrealloc(ep->pipes, ep->room * sizeof *ep->pipes);
		}
		ep->pipes[ep->npipes++] = id;
		break;
	case NNG_PIPE_EV_REM_POST:
		/* Comes for those too that never were added. */
		pthread_mutex_lock(&ep->lock);
		for (size_t i = 0; i < ep->npipes; i++)
			if (ep->pipes[i] == id) {
				ep->pipes[i] = ep->pipes[--ep->npipes];
				break;
			}
		break;
	default:
		return;
	}
	pthread_cond_broadcast(&ep->changed);
	pthread_mutex_unlock(&ep->lock);
}

size_t
ipc_endpoint_peers(struct ipc_endpoint *ep)
{
	size_t n;

	pthread_mutex_lock(&ep->lock);
	n = ep->npipes;
	pthread_mutex_unlock(&ep->lock);
	return n;
}

int
ipc_endpoint_wait(struct ipc_endpoint *ep, deadline_t d)
{
	struct timespec until = { d / 1000, d % 1000 * 1000000 };
	size_t n;

	pthread_mutex_lock(&ep->lock);
	while (ep->npipes == 0 &&
	    pthread_cond_timedwait(&ep->changed, &ep->lock, &until) !=
	        ETIMEDOUT)
		;
	n = ep->npipes;
	pthread_mutex_unlock(&ep->lock);
	return n > 0 ? 0 : -1;
}

/* ---- opening ---- */

/* nng removes the socket of a process that is gone before it listens, but it
 * would remove any other file as well. */
static int
check_path(const char *path, struct err *e)
{
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(e, ERR_CONFLICT, "there is another file");
	return 0;
}

static int
start_listener(struct ipc_endpoint *ep, const struct ipc_endpoint_options *o,
    struct err *e)
{
	nng_listener l;
	int rv;

	if (check_path(o->address + strlen(SCHEME), e))
		return -1;
	if ((rv = nng_listener_create(&l, ep->socket, o->address)) == 0 &&
	    (rv = nng_listener_set_size(l, NNG_OPT_RECVMAXSZ, RECV_MAX)) == 0 &&
	    (o->mode == 0 ||
	        (rv = nng_listener_set_int(
	             l, NNG_OPT_IPC_PERMISSIONS, o->mode)) == 0))
		rv = nng_listener_start(l, 0);
	return rv == 0 ? 0 : err_set(e, kind_of(rv), "%s", nng_strerror(rv));
}

/* Whether anybody listens there already does not matter. */
static int
start_dialer(struct ipc_endpoint *ep, const struct ipc_endpoint_options *o,
    struct err *e)
{
	nng_dialer d;
	int rv;

	if ((rv = nng_dialer_create(&d, ep->socket, o->address)) == 0 &&
	    (rv = nng_dialer_set_size(d, NNG_OPT_RECVMAXSZ, RECV_MAX)) == 0 &&
	    (rv = nng_dialer_set_ms(d, NNG_OPT_RECONNMINT, RECONNECT_MS)) ==
	        0 &&
	    (rv = nng_dialer_set_ms(d, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS)) ==
	        0)
		rv = nng_dialer_start(d, NNG_FLAG_NONBLOCK);
	return rv == 0 ? 0 : err_set(e, kind_of(rv), "%s", nng_strerror(rv));
}

static void
open_socket(struct ipc_endpoint *ep, int (*make)(nng_socket *))
{
	static const nng_pipe_ev events[] = { NNG_PIPE_EV_ADD_PRE,
		NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST };
	int rv = make(&ep->socket);

	for (size_t i = 0; rv == 0 && i < 3; i++)
		rv = nng_pipe_notify(ep->socket, events[i], on_pipe, ep);
	if (rv != 0)
		err_die("nng: %s", nng_strerror(rv));
}

int
ipc_endpoint_open(int (*make)(nng_socket *),
    const struct ipc_endpoint_options *o, struct ipc_endpoint **out,
    struct err *e)
{
	struct ipc_endpoint *ep;
	pthread_condattr_t attr;

	if (strncmp(o->address, SCHEME, strlen(SCHEME)) != 0)
		return err_set(e, ERR_INVALID,
		    "address %s: only " SCHEME "PATH is supported", o->address);
	ep = xcalloc(1, sizeof *ep);
	ep->peers = o->peers;
	ep->roles = o->roles;
	pthread_mutex_init(&ep->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ep->changed, &attr);
	pthread_condattr_destroy(&attr);

	open_socket(ep, make);
	if (o->listen ? start_listener(ep, o, e) : start_dialer(ep, o, e)) {
		ipc_endpoint_close(ep);
		return err_prefix(e, "%s %s",
		    o->listen ? "listening on" : "connecting to", o->address);
	}
	*out = ep;
	return 0;
}

nng_socket
ipc_endpoint_socket(const struct ipc_endpoint *ep)
{
	return ep->socket;
}

/* ---- closing ---- */

static void *
close_socket(void *arg)
{
	struct ipc_endpoint *ep = arg;

	nng_close(ep->socket);
	pthread_mutex_lock(&ep->lock);
	ep->closed = 1;
	pthread_cond_broadcast(&ep->changed);
	pthread_mutex_unlock(&ep->lock);
	return NULL;
}

/*
 * nng_close() of 1.5.2 may wait for ever when a connection had broken in the
 * middle of a message too long for one write. So it gets a thread and a
 * deadline; past that the endpoint is left behind: the process is about to
 * exit.
 */
void
ipc_endpoint_close(struct ipc_endpoint *ep)
{
	deadline_t d = deadline_in(CLOSE_MS);
	struct timespec until = { d / 1000, d % 1000 * 1000000 };
	pthread_t thread;
	int no = pthread_create(&thread, NULL, close_socket, ep), closed;

	if (no != 0)
		err_die("starting a thread: error %d", no);
	pthread_mutex_lock(&ep->lock);
	while (!ep->closed &&
	    pthread_cond_timedwait(&ep->changed, &ep->lock, &until) !=
	        ETIMEDOUT)
		;
	closed = ep->closed;
	pthread_mutex_unlock(&ep->lock);
	if (!closed) {
		pthread_detach(thread);
		return;
	}
	pthread_join(thread, NULL);
	free(ep->pipes);
	pthread_cond_destroy(&ep->changed);
	pthread_mutex_destroy(&ep->lock);
	free(ep);
}

/* ---- messages ---- */

nng_msg *
ipc_endpoint_msg(const struct buf *frame)
{
	nng_msg *msg;

	if (nng_msg_alloc(&msg, frame->len) != 0)
		err_die("out of memory: a message of %zu bytes", frame->len);
	memcpy(nng_msg_body(msg), frame->data, frame->len);
	return msg;
}
