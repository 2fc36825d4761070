#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>

#include "../codec/wire.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../core/log.h"
#include "../core/utf8.h"
#include "ipc.h"
#include "ipc_endpoint.h"
#include "ipc_frame.h"

#define STRANGE_MAX   4 /* one of them may be upgraded already */
#define LOST_MAX      4 /* a deadly request does not get to kill everybody */
#define BUDGET_MAX_MS 3600000 /* of the head */

struct ipc_client {
	struct ipc_endpoint *ep;
	enum role self, peer;
	void (*done)(void *ctx, enum role peer, enum call id,
	    enum err_kind kind, int64_t us);
	void *ctx;
	atomic_uint calls; /* under way */
};

int
ipc_client_new(
    const struct ipc_client_options *o, struct ipc_client **out, struct err *e)
{
	struct ipc_client *c = xcalloc(1, sizeof *c);
	int rv;

	c->self = o->self;
	c->peer = o->peer;
	c->done = o->done;
	c->ctx = o->ctx;
	if (ipc_endpoint_open(nng_req0_open,
	        &(struct ipc_endpoint_options){
	            .address = o->address,
	            .listen = o->listen,
	            .mode = o->mode,
	            .peers = o->peers,
	            .roles = 1u << o->peer,
	        },
	        &c->ep, e)) {
		free(c);
		return err_prefix(e, "%s", role_names[o->peer]);
	}
	/* nng would send any request again when its peer is gone. */
	rv = nng_socket_set_ms(ipc_endpoint_socket(c->ep),
	    NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
	if (rv != 0)
		err_die("nng: %s", nng_strerror(rv));
	*out = c;
	return 0;
}

void
ipc_client_free(struct ipc_client *c)
{
	if (c == NULL)
		return;
	ipc_endpoint_close(c->ep);
	free(c);
}

unsigned
ipc_client_peers(struct ipc_client *c)
{
	return ipc_endpoint_peers(c->ep);
}

unsigned
ipc_client_calls(const struct ipc_client *c)
{
	return atomic_load(&c->calls);
}

/* What became of one try. */
enum outcome {
	ANSWERED,
	FAILED,    /* for good; the error is filled */
	NOT_TAKEN, /* by any peer in time: certainly not begun */
	REFUSED,   /* the peer is stopping: certainly not begun */
	STRANGE,   /* it is of another version: certainly not begun */
	LOST,      /* the peer went away: perhaps done */
	NO_ANSWER, /* in time: perhaps done */
};

/* Waits for what aio does. */
static int
finish(nng_aio *aio)
{
	nng_aio_wait(aio);
	return nng_aio_result(aio);
}

/* Fills the error that nng gave. */
static enum outcome
broken(struct ipc_client *c, int rv, struct err *e)
{
	err_set(e, ERR_UNAVAILABLE, "%s: %s", role_names[c->peer],
	    nng_strerror(rv));
	return FAILED;
}

/* Hands msg over and waits for the answer. */
static enum outcome
exchange(struct ipc_client *c, nng_msg *msg, int64_t ms, nng_msg **answer,
    struct err *e)
{
	deadline_t d = deadline_in(ms);
	enum outcome outcome;
	nng_ctx ctx;
	nng_aio *aio;
	int rv;

	if ((rv = nng_ctx_open(&ctx, ipc_endpoint_socket(c->ep))) != 0) {
		nng_msg_free(msg);
		return broken(c, rv, e);
	}
	if (nng_aio_alloc(&aio, NULL, NULL) != 0)
		err_die("out of memory: nng");
	nng_aio_set_msg(aio, msg);
	nng_aio_set_timeout(aio, ms);
	nng_ctx_send(ctx, aio);
	if ((rv = finish(aio)) != 0) {
		nng_msg_free(msg); /* still ours */
		outcome = rv == NNG_ETIMEDOUT ? NOT_TAKEN : broken(c, rv, e);
		goto out;
	}
	nng_aio_set_timeout(aio, deadline_left(d));
	nng_ctx_recv(ctx, aio);
	if ((rv = finish(aio)) == 0) {
		*answer = nng_aio_get_msg(aio);
		outcome = ANSWERED;
	} else if (rv == NNG_ECONNRESET) {
		outcome = LOST;
	} else if (rv == NNG_ETIMEDOUT) {
		outcome = NO_ANSWER;
	} else {
		outcome = broken(c, rv, e);
	}
out:
	nng_ctx_close(ctx);
	nng_aio_free(aio);
	return outcome;
}

/* Takes the answer apart. */
static enum outcome
read_answer(struct ipc_client *c, enum call id, nng_msg *answer,
    struct arena *a, void *reply, struct err *e)
{
	const char *peer = role_names[c->peer];
	struct ipc_head head;
	const void *body;
	size_t n;

	if (ipc_frame_decode(nng_msg_body(answer), nng_msg_len(answer), a,
	        &head, &body, &n, e)) {
		if (e->kind == ERR_VERSION)
			return STRANGE;
		err_prefix(e, "%s", peer);
		return FAILED;
	}
	if (head.role != c->peer) {
		err_set(e, ERR_INTERNAL, "the %s answers in place of the %s",
		    role_names[head.role], peer);
		err_hint(e, "check the addresses of the sockets");
		return FAILED;
	}
	if (head.again)
		return REFUSED;
	if (ipc_frame_check_reply(&head, e))
		return FAILED;
	if (head.call != id) {
		err_set(e, ERR_INTERNAL, "%s: an answer to another call", peer);
		return FAILED;
	}
	if (wire_decode(call_table[id].reply, body, n, a, reply, e)) {
		err_prefix(e, "%s", peer);
		if (e != NULL)
			e->kind = ERR_INTERNAL; /* no fault of the input */
		return FAILED;
	}
	return ANSWERED;
}

/* One try that may take ms. */
static enum outcome
attempt(struct ipc_client *c, enum call id, const void *request,
    struct arena *a, void *reply, int64_t ms, struct err *e)
{
	const char *request_id = log_request_get();
	size_t id_len = strlen(request_id);
	struct ipc_head head = {
		.call = id,
		.role = c->self,
		.budget_ms = ms < BUDGET_MAX_MS ? ms : BUDGET_MAX_MS,
	};
	enum outcome outcome = FAILED;
	nng_msg *answer;
	struct buf frame;

	/* Foreign bytes in it must not fail the call. */
	if (id_len > 0 && utf8_span(request_id, id_len) == id_len)
		head.request_id = request_id;
	buf_init(&frame, IPC_FRAME_MAX);
	if (ipc_frame_encode(
	        &head, call_table[id].request, request, &frame, e)) {
		err_prefix(e, "asking the %s", role_names[c->peer]);
		goto out;
	}
	outcome =
	    exchange(c, ipc_endpoint_msg(&frame), head.budget_ms, &answer, e);
	if (outcome == ANSWERED) {
		outcome = read_answer(c, id, answer, a, reply, e);
		nng_msg_free(answer);
	}
out:
	buf_done(&frame);
	return outcome;
}

/* The error of a call that is given up. */
static int
give_up(struct ipc_client *c, enum call id, enum outcome outcome, struct err *e)
{
	const char *peer = role_names[c->peer], *name = call_table[id].name;

	switch (outcome) {
	case NOT_TAKEN:
		return err_set(e, ERR_UNAVAILABLE, "%s: not connected", peer);
	case REFUSED:
		return err_set(e, ERR_UNAVAILABLE, "%s: is stopping", peer);
	case STRANGE:
		/* It passes while one after the other is upgraded. */
		err_set(e, ERR_UNAVAILABLE, "%s: is of another version", peer);
		return err_hint(
		    e, "run all programs of niks3 from the same release");
	case LOST:
		return err_set(
		    e, ERR_UNAVAILABLE, "%s: went away during %s", peer, name);
	case NO_ANSWER:
		return err_set(
		    e, ERR_TIMEOUT, "%s: no answer to %s in time", peer, name);
	case ANSWERED:
	case FAILED:
		break;
	}
	return -1;
}

static int
ask(struct ipc_client *c, enum call id, const void *request, struct arena *a,
    void *reply, deadline_t d, struct err *e)
{
	unsigned lost = 0, strange = 0;
	int idempotent;

	if (ipc_frame_allow(id, c->self, c->peer, e))
		return -1;
	idempotent = call_table[id].flags & CALL_IDEMPOTENT;
	for (unsigned tries = 1;; tries++) {
		enum outcome outcome;
		int64_t ms;
		if (ipc_endpoint_wait(c->ep, d))
			return err_set(e, ERR_UNAVAILABLE, "%s: not connected",
			    role_names[c->peer]);
		/* With others there, one that hangs does not get all the
		 * time. */
		ms = deadline_left(d);
		if (idempotent && tries == 1 && ipc_endpoint_peers(c->ep) > 1)
			ms = ms * 2 / 3;
		outcome = attempt(c, id, request, a, reply, ms, e);
		if (outcome == ANSWERED)
			return 0;
		lost += outcome == LOST || outcome == NO_ANSWER;
		strange += outcome == STRANGE;
		if (outcome == FAILED || deadline_left(d) == 0 ||
		    strange == STRANGE_MAX ||
		    lost == (idempotent ? LOST_MAX : 1))
			return give_up(c, id, outcome, e);
		/* The first time at once: another peer may be there. */
		if (tries > 1)
			clock_sleep(clock_backoff(tries, 10, 500), d);
	}
}

int
ipc_call(struct ipc_client *c, enum call id, const void *request,
    struct arena *a, void *reply, deadline_t d, struct err *e)
{
	int64_t begun = clock_mono_us();
	struct err why = ERR_INIT;
	int rc;

	atomic_fetch_add(&c->calls, 1);
	rc = ask(c, id, request, a, reply, d, &why);
	atomic_fetch_sub(&c->calls, 1);
	if (c->done != NULL)
		c->done(c->ctx, c->peer, id, rc == 0 ? ERR_NONE : why.kind,
		    clock_mono_us() - begun);
	if (rc != 0 && e != NULL)
		*e = why;
	return rc;
}
