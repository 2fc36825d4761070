/*
 * A run of the garbage collection, as the server tells of it.
 */
#ifndef NIKS3_GCRUN_H
#define NIKS3_GCRUN_H

#include <stddef.h>
#include <stdint.h>

#include "../../proto/bodies.h"

struct arena;
struct err;
struct remote_conn;

/* id 0: the latest. */
int gcrun_get(struct remote_conn *conn, uint64_t id, struct arena *a,
    struct gc_status *out, struct err *e);

/*
 * Follows a run until its end, with a line on a terminal or now and then in the
 * log. A run that failed is an error: that which it failed with.
 */
int gcrun_follow(struct remote_conn *conn, uint64_t id, struct arena *a,
    struct gc_status *out, struct err *e);

/* gc_plan.c: what a dry run found, as a table or in JSON. */
int gcrun_print_plan(struct remote_conn *conn, uint64_t id, int json,
    struct arena *a, struct err *e);

/* gc_status.c: how one run went, of a dry run with what it found; the latest
 * runs, newest first. */
int gcrun_print_status(struct remote_conn *conn, uint64_t id, int json,
    struct arena *a, struct err *e);
int gcrun_print_history(
    struct remote_conn *conn, uint64_t limit, int json, struct err *e);

#endif
