/*
 * The server as the command line sees it: where it is, who we are, and calls of
 * the native API (proto/bodies.h) with their retries.
 */
#ifndef NIKS3_REMOTE_H
#define NIKS3_REMOTE_H

#include <stddef.h>
#include <stdint.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/local/remote_config.h"

struct arena;
struct desc;
struct err;
struct remote;

/* Is it one of a server? 0 or -1. */
int remote_check_url(const char *url);
/* Checks the URL, and finds out where the token comes from (credential.h).
 * Strings of c must outlive it. */
int remote_new(
    const struct remote_config *c, struct remote **out, struct err *e);
void remote_free(struct remote *r); /* takes NULL */
/* Every call gives up soon after *cancel becomes nonzero. */
void remote_cancel_by(struct remote *r, const volatile int *cancel);
const char *remote_host(const struct remote *r);
/* Requests sent so far, by all threads. */
uint64_t remote_requests(const struct remote *r);

/* A connection; one per thread. */
struct remote_conn;
struct remote_conn *remote_conn_new(struct remote *r); /* never NULL */
void remote_conn_free(struct remote_conn *c);          /* takes NULL */

struct remote_call {
	const char *method;
	const char *path; /* "/api/v2/present" */
	const struct desc *request_desc;
	const void *request; /* NULL: no body */
	const struct desc *reply_desc;
	void *reply; /* NULL: the answer's body is of no interest */
	deadline_t deadline;
	/* Gets the run of the garbage collection that an error names as being
	 * in the way, or 0; or NULL. */
	uint64_t *busy;
	/* Goes on although the user asked to stop: for the rollback. */
	int stubborn;
};

#define REMOTE_CALL_MS 600000

/*
 * Retries what may pass (no connection, 429, 5xx), with jitter, until the
 * deadline or five times: every call of the API may be repeated. Errors are
 * those the server sent, with its hint.
 */
int remote_call(struct remote_conn *c, const struct remote_call *call,
    struct arena *a, struct err *e);

#endif
