/*
 * Stream sockets with a path, and lines over them, each with a deadline.
 * Sockets are non-blocking and closed on exec.
 */
#ifndef CORE_UNIXSOCK_H
#define CORE_UNIXSOCK_H

#include <stddef.h>
#include <sys/types.h>

#include "clock.h"

struct buf;
struct err;

/*
 * Listens at path; a socket that is there and that nobody listens at is
 * replaced, and CONFLICT when somebody does. mode are its permissions, gid its
 * group, or -1.
 */
int unixsock_listen(
    const char *path, mode_t mode, gid_t gid, int *fd, struct err *e);
/* Waits where too many are waiting already; UNAVAILABLE when nobody listens. */
int unixsock_connect(const char *path, deadline_t d, int *fd, struct err *e);

/*
 * Reads up to a newline, or to the end of what the peer sends; the newline is
 * left out. TOO_LARGE when line is full before. What follows the newline is
 * lost: a line is all that a peer sends.
 */
int unixsock_read_line(int fd, deadline_t d, struct buf *line, struct err *e);
int unixsock_write(
    int fd, deadline_t d, const void *p, size_t n, struct err *e);

#endif
