/*
 * GET /ready and /readyz: whether all that a push needs is there, for anybody who
 * asks. An answer is kept for a second, and one request at a time looks anew:
 * strangers cannot load the database with it, nor hold more than one worker.
 */
#ifndef SERVER_HEALTH_H
#define SERVER_HEALTH_H

#include "../../libcommon/core/clock.h"

struct arena;
struct err;
struct health;
struct ipc_client;
struct server;

struct health *health_new(void);    /* never NULL */
void health_free(struct health *h); /* takes NULL */

/* The parts of niks3, and whether each is there and speaks with us: 0, or why
 * not. Who is away is not waited for. *version, in the arena, is that of the
 * process that answered; of several uploaders it is one. */
int health_database(struct server *s, deadline_t d, struct err *e);
int health_peer(struct ipc_client *c, const char *name, struct arena *a,
    deadline_t d, const char **version, struct err *e);

#endif
