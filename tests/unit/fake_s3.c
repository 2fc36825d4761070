#include "fake_s3.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"

#define REQUESTS_MAX    256
#define CONNECTIONS_MAX 64

struct connection {
	struct fake_s3 *f;
	pthread_t thread;
	int fd;
	SSL *tls;
};

struct fake_s3 {
	const struct fake_answer *script;
	size_t n;
	int fd;
	unsigned port;
	SSL_CTX *tls;
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	struct fake_request requests[REQUESTS_MAX];
	size_t nrequests;
	struct connection connections[CONNECTIONS_MAX];
	size_t nconnections;
};

void
fake_cert_make(struct fake_cert *c)
{
	char cmd[512];

	strcpy(c->dir, "/tmp/fake-s3-XXXXXX");
	if (mkdtemp(c->dir) == NULL)
		err_die("fake S3: no directory");
	snprintf(c->cert, sizeof c->cert, "%s/cert.pem", c->dir);
	snprintf(c->key, sizeof c->key, "%s/key.pem", c->dir);
	snprintf(cmd, sizeof cmd,
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
	    "-nodes -days 2 -subj /CN=test -addext "
	    "subjectAltName=IP:127.0.0.1 -keyout %s -out %s 2>/dev/null",
	    c->key, c->cert);
	if (system(cmd) != 0)
		err_die("fake S3: no certificate");
}

void
fake_cert_drop(struct fake_cert *c)
{
	unlink(c->cert);
	unlink(c->key);
	rmdir(c->dir);
}

static ssize_t
get(struct connection *c, void *p, size_t n)
{
	return c->tls != NULL ? SSL_read(c->tls, p, n) : read(c->fd, p, n);
}

static int
put(struct connection *c, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = c->tls != NULL ? SSL_write(c->tls, p, n)
		                              : send(c->fd, p, n, MSG_NOSIGNAL);
		if (done <= 0)
			return -1;
		p += done;
		n -= done;
	}
	return 0;
}

/* The head and the body of the next request; in is what was read so far. */
static int
receive(struct connection *c, struct buf *in, struct fake_request *out)
{
	const char *end, *length;
	size_t head, body = 0;
	char *to;

	for (;;) {
		ssize_t n;
		if ((end = strstr(buf_str(in), "\r\n\r\n")) != NULL) {
			head = end + 4 - (const char *)in->data;
			length = strcasestr(buf_str(in), "\r\ncontent-length:");
			if (length != NULL && length < end)
				body = strtoul(length + 17, NULL, 10);
			if (in->len >= head + body)
				break;
		}
		to = buf_reserve(in, 65536, NULL);
		if (to == NULL || (n = get(c, to, 65536)) <= 0)
			return -1;
		in->len += n;
	}
	out->head = strndup((char *)in->data, head);
	out->body = xcalloc(1, body + 1);
	memcpy(out->body, in->data + head, body);
	out->len = body;
	memmove(in->data, in->data + head + body, in->len - head - body);
	in->len -= head + body;
	return 0;
}

/* -1 when the connection is over. */
static int
answer(struct connection *c, const struct fake_answer *a, int is_head)
{
	const char *body = a->body != NULL ? a->body : "";
	size_t len = strlen(body), said = len;
	char head[2048], rest;

	switch (a->how) {
	case FAKE_CLOSE:
		return -1;
	case FAKE_HANG:
		(void)get(c, &rest, 1);
		return -1;
	case FAKE_RAW:
		(void)put(c, body, len);
		return -1;
	case FAKE_CUT:
		said += 100;
		break;
	case FAKE_ENDLESS:
		said = (size_t)1 << 40;
		break;
	case FAKE_ANSWER:
		break;
	}
	snprintf(head, sizeof head,
	    "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n%s\r\n", a->status,
	    said, a->headers != NULL ? a->headers : "");
	if (put(c, head, strlen(head)) != 0)
		return -1;
	if (is_head)
		return 0;
	do
		if (put(c, body, len) != 0)
			return -1;
	while (a->how == FAKE_ENDLESS);
	return a->how == FAKE_CUT ? -1 : 0;
}

static void *
serve(void *arg)
{
	static const struct fake_answer over = { 418, "the script is over" };
	struct connection *c = arg;
	struct fake_s3 *f = c->f;
	struct fake_request q;
	struct buf in;

	buf_init(&in, (size_t)64 << 20);
	if (c->tls != NULL && SSL_accept(c->tls) != 1)
		goto out;
	while (receive(c, &in, &q) == 0) {
		const struct fake_answer *a = &over;
		pthread_mutex_lock(&f->lock);
		if (f->nrequests < f->n)
			a = &f->script[f->nrequests];
		if (f->nrequests == REQUESTS_MAX)
			err_die("fake S3: too many requests");
		f->requests[f->nrequests++] = q;
		pthread_mutex_unlock(&f->lock);
		if (answer(c, a, strncmp(q.head, "HEAD ", 5) == 0) != 0)
			break;
	}
out:
	buf_done(&in);
	if (c->tls != NULL)
		SSL_shutdown(c->tls);
	shutdown(c->fd, SHUT_RDWR);
	return NULL;
}

static void *
accept_all(void *arg)
{
	struct fake_s3 *f = arg;
	int fd;

	while ((fd = accept(f->fd, NULL, NULL)) >= 0) {
		struct connection *c = &f->connections[f->nconnections];
		c->f = f;
		c->fd = fd;
		if (f->tls != NULL) {
			c->tls = SSL_new(f->tls);
			SSL_set_fd(c->tls, fd);
		}
		pthread_mutex_lock(&f->lock);
		if (++f->nconnections == CONNECTIONS_MAX)
			err_die("fake S3: too many connections");
		pthread_mutex_unlock(&f->lock);
		pthread_create(&c->thread, NULL, serve, c);
	}
	return NULL;
}

struct fake_s3 *
fake_s3_new(const struct fake_answer *script, size_t n, const char *cert,
    const char *key)
{
	struct fake_s3 *f = xcalloc(1, sizeof *f);
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sin;

	f->script = script;
	f->n = n;
	pthread_mutex_init(&f->lock, NULL);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->fd < 0 || bind(f->fd, (struct sockaddr *)&sin, len) != 0 ||
	    listen(f->fd, 16) != 0 ||
	    getsockname(f->fd, (struct sockaddr *)&sin, &len) != 0)
		err_die("fake S3: cannot listen");
	f->port = ntohs(sin.sin_port);
	if (cert != NULL) {
		f->tls = SSL_CTX_new(TLS_server_method());
		if (SSL_CTX_use_certificate_chain_file(f->tls, cert) != 1 ||
		    SSL_CTX_use_PrivateKey_file(
		        f->tls, key, SSL_FILETYPE_PEM) != 1)
			err_die("fake S3: cannot use %s", cert);
	}
	pthread_create(&f->thread, NULL, accept_all, f);
	return f;
}

void
fake_s3_free(struct fake_s3 *f)
{
	shutdown(f->fd, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->fd);
	for (size_t i = 0; i < f->nconnections; i++) {
		struct connection *c = &f->connections[i];
		shutdown(c->fd, SHUT_RDWR);
		pthread_join(c->thread, NULL);
		SSL_free(c->tls);
		close(c->fd);
	}
	for (size_t i = 0; i < f->nrequests; i++) {
		free(f->requests[i].head);
		free(f->requests[i].body);
	}
	SSL_CTX_free(f->tls);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

unsigned
fake_s3_port(const struct fake_s3 *f)
{
	return f->port;
}

size_t
fake_s3_count(struct fake_s3 *f)
{
	size_t n;

	pthread_mutex_lock(&f->lock);
	n = f->nrequests;
	pthread_mutex_unlock(&f->lock);
	return n;
}

size_t
fake_s3_connections(struct fake_s3 *f)
{
	size_t n;

	pthread_mutex_lock(&f->lock);
	n = f->nconnections;
	pthread_mutex_unlock(&f->lock);
	return n;
}

const struct fake_request *
fake_s3_get(struct fake_s3 *f, size_t i)
{
	if (i >= fake_s3_count(f))
		err_die("fake S3: there was no request %zu", i);
	return &f->requests[i];
}

int
fake_s3_has(struct fake_s3 *f, size_t i, const char *line)
{
	const char *head = fake_s3_get(f, i)->head, *p = head;
	size_t n = strlen(line);

	while ((p = strstr(p, line)) != NULL) {
		if ((p == head || p[-1] == '\n') && p[n] == '\r')
			return 1;
		p++;
	}
	return 0;
}
