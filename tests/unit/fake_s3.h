/*
 * An HTTP server in this process that plays a script: the nth request gets the
 * nth answer, whatever it asks for, and all requests are kept. For what a real
 * S3 does not do on demand.
 */
#ifndef TESTS_FAKE_S3_H
#define TESTS_FAKE_S3_H

#include <stddef.h>

enum fake_how {
	FAKE_ANSWER,
	FAKE_CLOSE,   /* reads the request and hangs up */
	FAKE_HANG,    /* reads the request and says nothing */
	FAKE_CUT,     /* announces more than it sends, and hangs up */
	FAKE_ENDLESS, /* repeats the body as long as somebody listens */
	FAKE_RAW,     /* the body is all there is, then hangs up */
};

struct fake_answer {
	int status;
	const char *body;    /* NULL: none */
	const char *headers; /* lines, each ended by "\r\n", or NULL */
	enum fake_how how;
};

struct fake_request {
	char *head; /* "PUT /b/k HTTP/1.1\r\n...\r\n\r\n" */
	char *body;
	size_t len;
};

struct fake_s3;

/* PEM files of a certificate for 127.0.0.1 that nobody signed, in a directory of
 * their own, which fake_cert_drop removes. */
struct fake_cert {
	char dir[32], cert[64], key[64];
};
void fake_cert_make(struct fake_cert *c);
void fake_cert_drop(struct fake_cert *c);

/* script is not copied. With cert and key (PEM files) it speaks TLS. */
struct fake_s3 *fake_s3_new(const struct fake_answer *script, size_t n,
    const char *cert, const char *key);
void fake_s3_free(struct fake_s3 *f);
unsigned fake_s3_port(const struct fake_s3 *f);
/* How many came so far, and over how many connections. */
size_t fake_s3_count(struct fake_s3 *f);
size_t fake_s3_connections(struct fake_s3 *f);
/* The ith; lives as long as f. */
const struct fake_request *fake_s3_get(struct fake_s3 *f, size_t i);
/* Does the ith have this line in its head? */
int fake_s3_has(struct fake_s3 *f, size_t i, const char *line);

#endif
