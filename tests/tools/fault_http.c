#include "fault_http.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libcommon/core/num.h"

#define PIECE ((size_t)64 << 10)

void
fault_message_init(struct fault_message *m)
{
	buf_init(&m->raw, FAULT_MESSAGE_MAX);
	m->head = 0;
	m->last = 0;
}

void
fault_message_done(struct fault_message *m)
{
	buf_done(&m->raw);
}

/* ---- bytes ---- */

static int
wait_for(int fd, short events, deadline_t d)
{
	struct pollfd p = { .fd = fd, .events = events };
	int rc;

	do {
		int64_t left = deadline_left(d);

		rc = poll(&p, 1, left < 60000 ? (int)left : 60000);
	} while (
	    (rc < 0 && errno == EINTR) || (rc == 0 && deadline_left(d) > 0));
	return rc > 0 ? 0 : -1;
}

/* Reads some bytes more: how many, 0 at the end, -1. */
static ssize_t
more(int fd, struct buf *raw, deadline_t d)
{
	char *to = buf_reserve(raw, PIECE, NULL);
	ssize_t n;

	if (to == NULL || wait_for(fd, POLLIN, d) != 0)
		return -1;
	n = recv(fd, to, PIECE, 0);
	if (n > 0)
		raw->len += n;
	return n;
}

int
fault_send(int fd, const void *p, size_t n, deadline_t d)
{
	const char *from = p;

	while (n > 0) {
		ssize_t done;

		if (wait_for(fd, POLLOUT, d) != 0)
			return -1;
		done = send(fd, from, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done < 0 && errno != EAGAIN && errno != EINTR)
			return -1;
		if (done > 0) {
			from += done;
			n -= done;
		}
	}
	return 0;
}

int
fault_connect(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *ai;
	int fd;

	if (getaddrinfo(host, port, &hints, &ai) != 0)
		return -1;
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) != 0) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(ai);
	return fd;
}

/* ---- heads ---- */

char *
fault_find_header(const struct fault_message *m, const char *name)
{
	char *p = (char *)m->raw.data, *end = p + m->head;
	size_t n = strlen(name);

	while ((p = memchr(p, '\n', end - p)) != NULL && ++p < end)
		if ((size_t)(end - p) > n && p[n] == ':' &&
		    strncasecmp(p, name, n) == 0)
			return p;
	return NULL;
}

void
fault_header(
    const struct fault_message *m, const char *name, char *out, size_t size)
{
	const char *p = fault_find_header(m, name);
	size_t n;

	out[0] = '\0';
	if (p == NULL)
		return;
	p += strlen(name) + 1;
	p += strspn(p, " \t");
	n = strcspn(p, "\r\n");
	snprintf(out, size, "%.*s", (int)n, p);
}

int
fault_status(const struct fault_message *m)
{
	const char *space = memchr(m->raw.data, ' ', m->head);

	return space != NULL ? atoi(space + 1) : 0;
}

/* 1 when there is a head, 0 when the peer closed before it, -1. */
static int
read_head(int fd, struct fault_message *m, deadline_t d)
{
	const char *end;
	ssize_t n;

	buf_reset(&m->raw);
	do {
		n = more(fd, &m->raw, d);
		if (n <= 0)
			return n == 0 && m->raw.len == 0 ? 0 : -1;
		end = strstr(buf_str(&m->raw), "\r\n\r\n");
	} while (end == NULL && m->raw.len < FAULT_HEAD_MAX);
	if (end == NULL)
		return -1;
	m->head = end + 4 - (const char *)m->raw.data;
	return 1;
}

void
fault_drop_header(struct fault_message *m, const char *name)
{
	char *from = fault_find_header(m, name), *to;

	if (from == NULL)
		return;
	to = strchr(from, '\n') + 1;
	memmove(from, to, (char *)m->raw.data + m->raw.len - to);
	m->raw.len -= to - from;
	m->head -= to - from;
}

/* ---- bodies ---- */

static int
read_counted(int fd, struct fault_message *m, uint64_t length, deadline_t d)
{
	if (length > FAULT_MESSAGE_MAX - m->head)
		return -1;
	while (m->raw.len < m->head + length)
		if (more(fd, &m->raw, d) <= 0)
			return -1;
	return m->raw.len == m->head + length ? 0 : -1;
}

/* The line that begins at *at, without its end; moves *at behind it. */
static int
chunk_line(
    int fd, struct fault_message *m, size_t *at, char line[64], deadline_t d)
{
	const char *end;
	size_t n;

	while ((end = strstr(buf_str(&m->raw) + *at, "\r\n")) == NULL)
		if (m->raw.len - *at > 64 || more(fd, &m->raw, d) <= 0)
			return -1;
	n = end - ((const char *)m->raw.data + *at);
	if (n >= 64)
		return -1;
	memcpy(line, m->raw.data + *at, n);
	line[n] = '\0';
	*at += n + 2;
	return 0;
}

static int
read_chunks(int fd, struct fault_message *m, deadline_t d)
{
	size_t at = m->head, size;
	char line[64];

	do {
		if (chunk_line(fd, m, &at, line, d) != 0)
			return -1;
		size = strtoul(line, NULL, 16);
		if (size > FAULT_MESSAGE_MAX)
			return -1;
		at += size + (size > 0 ? 2 : 0);
		while (m->raw.len < at)
			if (more(fd, &m->raw, d) <= 0)
				return -1;
	} while (size > 0);
	do {
		if (chunk_line(fd, m, &at, line, d) != 0)
			return -1;
	} while (line[0] != '\0');
	return m->raw.len == at ? 0 : -1;
}

static int
read_all(int fd, struct fault_message *m, deadline_t d)
{
	ssize_t n;

	m->last = 1;
	while ((n = more(fd, &m->raw, d)) > 0)
		;
	return (int)n;
}

/* The body as its head announces it; to_end: else it ends with the
 * connection. */
static int
read_body(int fd, struct fault_message *m, int to_end, deadline_t d)
{
	char text[64];
	uint64_t length;

	fault_header(m, "Transfer-Encoding", text, sizeof text);
	if (strcasecmp(text, "chunked") == 0)
		return read_chunks(fd, m, d);
	fault_header(m, "Content-Length", text, sizeof text);
	if (text[0] == '\0')
		return to_end ? read_all(fd, m, d) : read_counted(fd, m, 0, d);
	if (num_parse_u64(
	        text, strlen(text), FAULT_MESSAGE_MAX, &length, NULL) != 0)
		return -1;
	return read_counted(fd, m, length, d);
}

static void
note_close(struct fault_message *m)
{
	char text[32];

	fault_header(m, "Connection", text, sizeof text);
	m->last = strcasecmp(text, "close") == 0;
}

int
fault_read_request(int fd, struct fault_message *m, deadline_t d)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	char text[32];
	int rc;

	if ((rc = read_head(fd, m, d)) != 1)
		return rc;
	note_close(m);
	fault_header(m, "Expect", text, sizeof text);
	if (text[0] != '\0') {
		fault_drop_header(m, "Expect");
		if (fault_send(fd, go_on, strlen(go_on), d) != 0)
			return -1;
	}
	return read_body(fd, m, 0, d) == 0 ? 1 : -1;
}

int
fault_read_answer(int fd, struct fault_message *m, int bodiless, deadline_t d)
{
	int status;

	if (read_head(fd, m, d) != 1)
		return -1;
	note_close(m);
	status = fault_status(m);
	if (bodiless || status / 100 == 1 || status == 204 || status == 304)
		return m->raw.len == m->head ? 0 : -1;
	return read_body(fd, m, 1, d);
}
