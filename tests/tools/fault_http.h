/*
 * HTTP/1.1 messages on blocking sockets, kept byte for byte as they came: what
 * the fault proxy reads from one side and sends to the other. Every wait has a
 * deadline, every message a maximum.
 *
 * A peer sends nothing before the answer to what it sent last: bytes behind a
 * message are an error.
 */
#ifndef TOOLS_FAULT_HTTP_H
#define TOOLS_FAULT_HTTP_H

#include <stddef.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"

#define FAULT_HEAD_MAX    ((size_t)64 << 10)
#define FAULT_MESSAGE_MAX ((size_t)256 << 20)

struct fault_message {
	struct buf raw; /* head and body */
	size_t head;    /* bytes of the head, with its empty line */
	int last;       /* the peer closes after it */
};

void fault_message_init(struct fault_message *m);
void fault_message_done(struct fault_message *m);

/*
 * Reads a request. "Expect: 100-continue" is answered here and taken out of the
 * head: no signature covers it. 1 when there is one, 0 when the peer closed
 * before it began, -1 when it broke off or broke the rules.
 */
int fault_read_request(int fd, struct fault_message *m, deadline_t d);
/* Reads an answer; bodiless: to a HEAD. 0 or -1. */
int fault_read_answer(
    int fd, struct fault_message *m, int bodiless, deadline_t d);
int fault_send(int fd, const void *p, size_t n, deadline_t d);

/* "host:port" in numbers; -1 when nobody listens there. */
int fault_connect(const char *host, const char *port);

/* The line that holds a header, or NULL. */
char *fault_find_header(const struct fault_message *m, const char *name);
void fault_drop_header(struct fault_message *m, const char *name);
/* The value of a header of the message, copied; "" when there is none. */
void fault_header(
    const struct fault_message *m, const char *name, char *out, size_t size);
/* The number in the first line of an answer. */
int fault_status(const struct fault_message *m);

#endif
