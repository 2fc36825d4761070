/*
 * What every program that answers calls does in the same way.
 */
#ifndef IPC_IPC_DAEMON_H
#define IPC_IPC_DAEMON_H

#include "ipc.h"

/* Ends a server, with all the time that a stop allows. A call that still runs
 * then ends with the process, at once. */
void ipc_daemon_stop(struct ipc_server *s);

/* The handler of CALL_ping. */
ipc_handler ipc_daemon_ping;

/* For ipc_server_options.done: logs a call that failed, and at debug level each
 * other one. */
void ipc_daemon_log(void *ctx, enum call id, enum role caller,
    const char *request_id, const struct err *e, int64_t us);

#endif
