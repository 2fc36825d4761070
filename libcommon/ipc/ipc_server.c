#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>

#include "../codec/wire.h"
#include "../core/arena.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../core/log.h"
#include "../core/metric.h"
#include "../../proto/metrics.h"
#include "ipc.h"
#include "ipc_endpoint.h"
#include "ipc_figures.h"
#include "ipc_frame.h"
#include "ipc_peers.h"

#define ARENA_MAX     ((size_t)64 << 20)
#define BUDGET_MS     30000 /* for a caller that names none */
#define STUCK_MS      60000 /* how much longer a call may take than it should */
#define SEND_MS       5000  /* until a peer that does not read is given up */
#define FRAME_KEEP    ((size_t)256 << 10) /* of a worker between calls */
#define LAST_REPLY_MS 50 /* nng tells when it took a reply, not when it left */

struct worker {
	struct ipc_server *server;
	pthread_t thread;
	nng_ctx ctx;
	nng_aio *aio;
	/* Under the server's lock. */
	int receiving;
	deadline_t until; /* of the call under way; INT64_MAX: none is */
	void *state;      /* what worker_new returned */
	struct arena *arena;
	struct buf frame; /* of the reply */
};

struct ipc_server {
	struct ipc_server_options o;
	struct ipc_endpoint **eps;
	size_t neps;
	struct worker *workers;
	size_t nworkers;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int stopping;   /* requests are refused */
	int closing;    /* and now no more received */
	size_t busy;    /* calls under way */
	size_t running; /* workers */
};

/* ---- a call ---- */

/* What a request turned out to be, as far as it could be read. */
struct request {
	enum call id;     /* 0 */
	enum role caller; /* ROLE__MAX */
	const char *request_id;
	const struct call_row *row;
	const void *body; /* decoded */
	deadline_t deadline;
};

/* Reads a request and checks that its sender may send it. */
static int
admit(
    struct worker *w, nng_msg *msg, uid_t uid, struct request *r, struct err *e)
{
	const struct ipc_server_options *o = &w->server->o;
	struct ipc_head head;
	const void *body;
	void *to;
	size_t n;

	if (ipc_frame_decode(nng_msg_body(msg), nng_msg_len(msg), w->arena,
	        &head, &body, &n, e))
		return -1;
	if (head.request_id != NULL)
		r->request_id = head.request_id;
	if (!ipc_peers_allow(o->peers, uid, 1u << head.role))
		return err_set(e, ERR_FORBIDDEN, "uid %u is not the %s",
		    (unsigned)uid, role_names[head.role]);
	r->caller = head.role;
	if (ipc_frame_allow(head.call, head.role, o->self, e))
		return -1;
	r->id = head.call;
	r->row = &call_table[r->id];
	to = arena_alloc(w->arena, r->row->request->size);
	if (to == NULL)
		return arena_full(w->arena, e);
	if (wire_decode(r->row->request, body, n, w->arena, to, e))
		return -1;
	r->body = to;
	r->deadline =
	    deadline_in(head.budget_ms > 0 ? head.budget_ms : BUDGET_MS);
	return 0;
}

static void
note_deadline(struct worker *w, deadline_t until)
{
	pthread_mutex_lock(&w->server->lock);
	w->until = until;
	pthread_mutex_unlock(&w->server->lock);
}

/* Runs the handler; the reply stands in w->frame. */
static int
answer(struct worker *w, const struct request *r, struct err *e)
{
	const struct ipc_server_options *o = &w->server->o;
	struct ipc_head head = { .call = r->id, .role = o->self };
	void *reply = arena_alloc(w->arena, r->row->reply->size);
	int rc;

	if (reply == NULL)
		return arena_full(w->arena, e);
	if (r->id == CALL_figures) {
		if (o->collect != NULL)
			o->collect(o->ctx, o->metrics);
		rc = ipc_figures_tell(o->metrics, reply, w->arena, e);
	} else {
		rc = o->handlers[r->id](
		    w->state, r->body, reply, w->arena, r->deadline, e);
	}
	if (rc != 0)
		return -1;
	if (ipc_frame_encode(&head, r->row->reply, reply, &w->frame, e)) {
		err_prefix(e, "answering %s", r->row->name);
		/* The fault is not the caller's. */
		if (e->kind == ERR_INVALID)
			e->kind = ERR_INTERNAL;
		return -1;
	}
	return 0;
}

static void
serve(struct worker *w, nng_msg *msg, uid_t uid)
{
	const struct ipc_server_options *o = &w->server->o;
	struct request r = { .caller = ROLE__MAX, .request_id = "" };
	struct err e = ERR_INIT;
	int64_t begun = clock_mono_us(), took;
	int rc;

	metric_add(o->metrics, DAEMON_CALLS_UNDER_WAY, AT(0), 1);
	rc = admit(w, msg, uid, &r, &e);
	log_request(r.request_id);
	if (rc == 0) {
		note_deadline(w, r.deadline);
		rc = answer(w, &r, &e);
		note_deadline(w, INT64_MAX);
	}
	if (rc == 0)
		err_clear(&e);
	else
		ipc_frame_encode_error(r.id, o->self, &e, 0, &w->frame);
	took = clock_mono_us() - begun;
	metric_add(o->metrics, DAEMON_CALLS_UNDER_WAY, AT(0), -1);
	metric_add(o->metrics, DAEMON_CALLS, AT(r.id, e.kind), 1);
	metric_observe(o->metrics, DAEMON_CALL_TIME, AT(r.id), took);
	if (o->done != NULL)
		o->done(o->ctx, r.id, r.caller, r.request_id, &e, took);
	log_request(NULL);
}

/* A stopping server says so, lest its peers wait for it in vain. */
static void
refuse(struct worker *w)
{
	struct err e;

	err_set(&e, ERR_UNAVAILABLE, "stopping");
	ipc_frame_encode_error(0, w->server->o.self, &e, 1, &w->frame);
}

/* ---- workers ---- */

/* The next request, or NULL when the server closes. */
static nng_msg *
receive(struct worker *w)
{
	struct ipc_server *s = w->server;
	int rv = NNG_ECANCELED;

	while (rv != 0) {
		/* Started under the lock: whoever sets closing either is seen
		 * here or finds something to cancel. */
		pthread_mutex_lock(&s->lock);
		if (s->closing || rv == NNG_ECLOSED) {
			pthread_mutex_unlock(&s->lock);
			return NULL;
		}
		nng_aio_set_timeout(w->aio, NNG_DURATION_INFINITE);
		nng_ctx_recv(w->ctx, w->aio);
		w->receiving = 1;
		pthread_mutex_unlock(&s->lock);

		nng_aio_wait(w->aio);
		rv = nng_aio_result(w->aio);

		pthread_mutex_lock(&s->lock);
		w->receiving = 0;
		pthread_mutex_unlock(&s->lock);
	}
	return nng_aio_get_msg(w->aio);
}

static void
send_reply(struct worker *w)
{
	nng_msg *msg = ipc_endpoint_msg(&w->frame);

	nng_aio_set_timeout(w->aio, SEND_MS);
	nng_aio_set_msg(w->aio, msg);
	nng_ctx_send(w->ctx, w->aio);
	nng_aio_wait(w->aio);
	if (nng_aio_result(w->aio) != 0)
		nng_msg_free(msg); /* the caller is gone */
	if (w->frame.cap > FRAME_KEEP)
		buf_done(&w->frame);
}

/* Counts a call; 0 when the server stops. */
static int
begin(struct ipc_server *s)
{
	int admitted;

	pthread_mutex_lock(&s->lock);
	admitted = !s->stopping;
	s->busy += admitted;
	pthread_mutex_unlock(&s->lock);
	return admitted;
}

static void
end(struct ipc_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->busy--;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct ipc_server *s = w->server;
	nng_msg *msg;
	uid_t uid;

	if (s->o.worker_new != NULL)
		w->state = s->o.worker_new(s->o.ctx);
	while ((msg = receive(w)) != NULL) {
		int admitted = begin(s);
		if (ipc_endpoint_uid(nng_msg_get_pipe(msg), &uid) == 0) {
			if (admitted)
				serve(w, msg, uid);
			else
				refuse(w);
			send_reply(w);
		}
		nng_msg_free(msg);
		arena_reset(w->arena);
		if (admitted)
			end(s);
	}
	if (s->o.worker_free != NULL)
		s->o.worker_free(w->state);

	pthread_mutex_lock(&s->lock);
	s->running--;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void
start_worker(struct ipc_server *s, struct ipc_endpoint *ep)
{
	struct worker *w = &s->workers[s->nworkers++];
	int no;

	w->server = s;
	w->until = INT64_MAX;
	w->arena = arena_new(s->o.arena_max > 0 ? s->o.arena_max : ARENA_MAX);
	buf_init(&w->frame, IPC_FRAME_MAX);
	if (nng_ctx_open(&w->ctx, ipc_endpoint_socket(ep)) != 0 ||
	    nng_aio_alloc(&w->aio, NULL, NULL) != 0)
		err_die("out of memory: nng");
	pthread_mutex_lock(&s->lock);
	s->running++;
	pthread_mutex_unlock(&s->lock);
	no = pthread_create(&w->thread, NULL, work, w);
	if (no != 0)
		err_die("starting a thread: error %d", no);
}

/* ---- the server ---- */

static void
check_handlers(const struct ipc_server_options *o)
{
	for (unsigned id = 0; id < CALL__MAX; id++)
		if (call_table[id].name != NULL && id != CALL_figures &&
		    call_table[id].served & 1u << o->self &&
		    o->handlers[id] == NULL)
			err_die("the %s has no handler for %s",
			    role_names[o->self], call_table[id].name);
}

int
ipc_server_new(
    const struct ipc_server_options *o, struct ipc_server **out, struct err *e)
{
	struct ipc_server *s = xcalloc(1, sizeof *s);
	pthread_condattr_t attr;

	check_handlers(o);
	s->o = *o;
	s->eps = xcalloc(o->naddresses, sizeof *s->eps);
	for (; s->neps < o->naddresses; s->neps++)
		if (ipc_endpoint_open(nng_rep0_open,
		        &(struct ipc_endpoint_options){
		            .address = o->addresses[s->neps],
		            .listen = o->listen,
		            .mode = o->mode,
		            .peers = o->peers,
		            .roles = BY_ANY,
		        },
		        &s->eps[s->neps], e))
			goto fail;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	s->workers = xcalloc(s->neps * o->workers, sizeof *s->workers);
	for (size_t i = 0; i < s->neps; i++)
		for (unsigned k = 0; k < o->workers; k++)
			start_worker(s, s->eps[i]);
	*out = s;
	return 0;
fail:
	while (s->neps > 0)
		ipc_endpoint_close(s->eps[--s->neps]);
	free(s->eps);
	free(s);
	return -1;
}

int
ipc_server_alive(void *arg)
{
	struct ipc_server *s = arg;
	int64_t stuck = s->o.stuck_ms > 0 ? s->o.stuck_ms : STUCK_MS;
	int64_t now = clock_mono_ms();
	int alive = 0;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->nworkers && !alive; i++)
		alive = s->workers[i].until >= now - stuck;
	pthread_mutex_unlock(&s->lock);
	return alive;
}

/* Waits under the lock until *count is 0, or d. */
static int
wait_zero(struct ipc_server *s, const size_t *count, deadline_t d)
{
	struct timespec until = { d / 1000, d % 1000 * 1000000 };

	while (*count > 0 &&
	    pthread_cond_timedwait(&s->changed, &s->lock, &until) != ETIMEDOUT)
		;
	return *count == 0 ? 0 : -1;
}

/* Ends every worker; -1 when a call still runs at d. */
static int
drain(struct ipc_server *s, deadline_t d)
{
	int rc, replied;

	pthread_mutex_lock(&s->lock);
	s->stopping = 1;
	replied = s->busy > 0;
	rc = wait_zero(s, &s->busy, d);
	pthread_mutex_unlock(&s->lock);
	if (rc == 0 && replied)
		clock_sleep(LAST_REPLY_MS, INT64_MAX);

	pthread_mutex_lock(&s->lock);
	s->closing = 1;
	for (size_t i = 0; i < s->nworkers; i++)
		if (s->workers[i].receiving)
			nng_aio_cancel(s->workers[i].aio);
	if (rc == 0)
		rc = wait_zero(s, &s->running, deadline_in(SEND_MS));
	pthread_mutex_unlock(&s->lock);
	return rc;
}

int
ipc_server_free(struct ipc_server *s, int64_t drain_ms)
{
	if (s == NULL)
		return 0;
	if (drain(s, deadline_in(drain_ms)))
		return -1;
	for (size_t i = 0; i < s->nworkers; i++) {
		struct worker *w = &s->workers[i];
		pthread_join(w->thread, NULL);
		nng_ctx_close(w->ctx);
		nng_aio_free(w->aio);
		arena_free(w->arena);
		buf_done(&w->frame);
	}
	for (size_t i = 0; i < s->neps; i++)
		ipc_endpoint_close(s->eps[i]);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s->workers);
	free(s->eps);
	free(s);
	return 0;
}
