/*
 * Other programs: run, read, waited for. Not for programs that use nng, which
 * must not have children.
 */
#ifndef CORE_SPAWN_H
#define CORE_SPAWN_H

#include "clock.h"

struct buf;
struct err;

/*
 * Runs argv[0], found by PATH, until its end: its standard output is appended to
 * out; its standard error to words, as far as there is room, or with NULL is
 * ours. *status is what it exited with, -1 when a signal ended it. One that says
 * more than out holds, or is not done by d, is killed (TOO_LARGE, TIMEOUT).
 */
int spawn_read(char *const argv[], deadline_t d, struct buf *out,
    struct buf *words, int *status, struct err *e);

/* One that is told to stop gets so long before it is killed. */
#define SPAWN_STOP_MS 30000

/*
 * The same without an end in time, and with our standard error: until stop_fd
 * can be read. Then it is sent SIGTERM, and what it still says is read; the
 * error is CANCELED unless it exits with 0 even so.
 */
int spawn_until(char *const argv[], int stop_fd, struct buf *out, int *status,
    struct err *e);

#endif
