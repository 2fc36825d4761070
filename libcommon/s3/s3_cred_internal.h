/*
 * The sources of credentials, for s3_cred.c, and what it does for the requests.
 */
#ifndef S3_CRED_INTERNAL_H
#define S3_CRED_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "../core/clock.h"
#include "../core/secret.h"
#include "s3_cred.h"

struct buf;
struct err;
struct http_client;
struct s3_keys;

/* ---- s3_cred.c ---- */

/* Valid ones, to be dropped; waits for them until d, else UNAVAILABLE. */
int s3_cred_get(
    struct s3_cred *c, deadline_t d, struct s3_keys **out, struct err *e);
/* S3 does not take k. 1 when other ones are there or asked for, which happens
 * once a minute for one set: perhaps it only lacks a right. */
int s3_cred_reject(struct s3_cred *c, struct s3_keys *k);
/* The value of a variable; NULL when it is empty or not there. */
const char *s3_cred_env(const char *name);

/* ---- the sources: s3_sts.c, s3_container.c, s3_imds.c ---- */

/* What a source was told by the environment. */
struct s3_source {
	char *url;           /* who is asked */
	char *token_file;    /* with what is shown to him, read each time */
	struct secret token; /* or that itself */
	char *role, *session;
};

/* 1 when the environment tells of such a source, 0 when not. */
int s3_sts_open(struct s3_source *s, struct err *e);
int s3_container_open(struct s3_source *s, struct err *e);
int s3_imds_open(struct s3_source *s, struct err *e);

int s3_sts_fetch(const struct s3_source *s, struct http_client *http,
    const volatile int *cancel, struct s3_keys **out, struct err *e);
int s3_container_fetch(const struct s3_source *s, struct http_client *http,
    const volatile int *cancel, struct s3_keys **out, struct err *e);
int s3_imds_fetch(const struct s3_source *s, struct http_client *http,
    const volatile int *cancel, struct s3_keys **out, struct err *e);

/* ---- s3_cred_http.c ---- */

#define S3_CRED_ANSWER_MAX 32768 /* bytes; tokens have one or two thousand */
#define S3_CRED_MS         5000  /* for one question */

/* A question to a source. */
struct s3_cred_ask {
	const char *method, *url;
	const char *const *headers; /* "Name: value" */
	size_t nheaders;
	const struct secret *body; /* or NULL */
	const volatile int *cancel;
};
/*
 * The answer's body goes into locked memory, whatever the status. What goes
 * wrong on the way is UNAVAILABLE or TIMEOUT, an answer over the limit TOO_LARGE.
 */
int s3_cred_ask(struct http_client *http, const struct s3_cred_ask *q,
    struct secret *answer, int *status, struct err *e);

/* "name: value" in locked memory. */
int s3_cred_line(struct secret *out, const char *name,
    const struct secret *value, struct err *e);

/* The JSON that containers and instances answer: AccessKeyId, SecretAccessKey,
 * Token, Expiration. CORRUPT when it is not that. */
int s3_cred_parse(
    const struct secret *json, struct s3_keys **out, struct err *e);

/* The parts of a URL whose host matters. */
struct s3_cred_url {
	int tls;
	char host[256]; /* lower case, without brackets and port */
};
/* INVALID: no http(s)://HOST[:PORT][/PATH][?QUERY], or a user in it. */
int s3_cred_url(const char *url, struct s3_cred_url *out, struct err *e);
int s3_cred_loopback(const char *host);

#endif
