/*
 * GET /ready and /readyz: whether all that a push needs is there, for anybody who
 * asks. An answer is kept for a second, and one request at a time looks anew:
 * strangers cannot load the database with it, nor hold more than one worker.
 */
#ifndef SERVER_HEALTH_H
#define SERVER_HEALTH_H

struct health;

struct health *health_new(void);    /* never NULL */
void health_free(struct health *h); /* takes NULL */

#endif
