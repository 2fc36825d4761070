/*
 * AWS Signature Version 4 (AWS General Reference, "Signing AWS API requests"):
 * pure functions, tested on the published vectors. The path is escaped once and
 * not normalised, as S3 wants it.
 */
#ifndef S3_SIGV4_H
#define S3_SIGV4_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

struct sigv4_credentials {
	const char *access_key;
	const char *secret_key;
	const char *session_token; /* NULL when none */
};

struct sigv4_request {
	const char *method;
	const char *host; /* as in the Host header, with a port that is not the
			     scheme's */
	const char *path; /* decoded, starts with '/' */
	/* Decoded pairs, any order; value "" for a flag like ?uploads. */
	const char *const (*query)[2];
	size_t nquery;
	/* Further headers to sign: pairs of a lower-case name and a value. */
	const char *const (*headers)[2];
	size_t nheaders;
	const char *payload_sha256;   /* 64 hex digits, or "UNSIGNED-PAYLOAD" */
	const char *region, *service; /* "us-east-1", "s3" */
	int64_t wall_s;
};

/* More than that is ERR_INVALID. */
#define SIGV4_QUERY_MAX   16  /* pairs */
#define SIGV4_SIGNED_MAX  16  /* headers */
#define SIGV4_SECRET_MAX  256 /* bytes */

#define SIGV4_HEADERS_MAX 4
struct sigv4_headers {
	/* "Name: value" lines to add: x-amz-date, x-amz-content-sha256,
	 * Authorization, x-amz-security-token. */
	char *lines[SIGV4_HEADERS_MAX];
	size_t n;
};

struct arena;
/* Signs in headers: host, x-amz-date, x-amz-content-sha256 (when s3), the
 * session token and r->headers are covered. */
int sigv4_sign(const struct sigv4_credentials *c, const struct sigv4_request *r,
    struct arena *a, struct sigv4_headers *out, struct err *e);
/* Appends the query string (without '?') of a presigned URL, all of r->query
 * and X-Amz-Signature included; r->headers besides host must then be sent. */
int sigv4_presign(const struct sigv4_credentials *c,
    const struct sigv4_request *r, int64_t expires_s, struct buf *out,
    struct err *e);
/* Appends r->query, escaped and sorted as it is signed; for the URL. */
int sigv4_query(const struct sigv4_request *r, struct buf *out, struct err *e);
/* Appends the canonical request that sigv4_sign would sign if there were no
 * session token; for the tests. */
int sigv4_canonical(
    const struct sigv4_request *r, struct buf *out, struct err *e);

#endif
