/*
 * Figures of the database, for /metrics: looked up once a minute, never by a
 * request.
 *
 * Those of garbage collections are sums over the rows of runs that have ended.
 * Each row is read once, so they never go down while the server runs; a restarted
 * server begins with all that the database has kept (GCRUNS_KEPT runs).
 */
#ifndef SERVER_CENSUS_H
#define SERVER_CENSUS_H

struct census;
struct db_pool;
struct metrics;

/* Of enum server_metric. Never NULL. */
struct census *census_new(struct db_pool *pool, struct metrics *m);
void census_free(struct census *c); /* takes NULL */

#endif
