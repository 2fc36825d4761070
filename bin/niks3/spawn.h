/*
 * Other programs: run, read, waited for. This program does not use nng, so it may
 * have children.
 */
#ifndef NIKS3_SPAWN_H
#define NIKS3_SPAWN_H

#include "../../libcommon/core/clock.h"

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

#endif
