/*
 * Which uid may act in which role. Internal to this layer.
 */
#ifndef IPC_PEERS_H
#define IPC_PEERS_H

#include <sys/types.h>

struct ipc_peers;

/* 1 when uid may act in one of the roles (a set). p may be NULL: empty. */
int ipc_peers_allow(const struct ipc_peers *p, uid_t uid, unsigned roles);

#endif
