/*
 * A socket of nng with our limits, and the peers connected to it. Internal to
 * this layer.
 */
#ifndef IPC_ENDPOINT_H
#define IPC_ENDPOINT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <nng/nng.h>

#include "../core/clock.h"

struct buf;
struct err;
struct ipc_peers;

struct ipc_endpoint;

struct ipc_endpoint_options {
	const char *address;
	int listen;
	unsigned mode; /* of the socket when listening; 0: by umask */
	const struct ipc_peers *peers;
	unsigned roles;
};

/* make is nng_req0_open or its like. */
int ipc_endpoint_open(int (*make)(nng_socket *),
    const struct ipc_endpoint_options *o, struct ipc_endpoint **out,
    struct err *e);
void ipc_endpoint_close(struct ipc_endpoint *ep);

nng_socket ipc_endpoint_socket(const struct ipc_endpoint *ep);

size_t ipc_endpoint_peers(struct ipc_endpoint *ep);
/* Waits for a first peer. 0, or -1 when none came until d. */
int ipc_endpoint_wait(struct ipc_endpoint *ep, deadline_t d);

/* The uid at the other end of a message's connection: 0, or -1 when it is gone
 * already. */
int ipc_endpoint_uid(nng_pipe pipe, uid_t *uid);

/* Never NULL. */
nng_msg *ipc_endpoint_msg(const struct buf *frame);

#endif
