/*
 * Who asks, and what they may do.
 *
 * A request is let in by the first of these that is known and has one of the
 * scopes that the route names:
 *
 *	1. the client's certificate: verified by ourselves (--tls-client-ca), or
 *	   by a proxy that says so in headers (auth_mtls.h);
 *	2. Authorization: Bearer TOKEN, where TOKEN is the API token, one that was
 *	   created by POST /api/v2/tokens, or an OIDC token of a provider that is
 *	   configured (libcommon/oidc).
 *
 * Who is known but lacks the scope gets 403, whoever is not 401. Names, to which
 * uploads belong: "api-token", "token:ID", "oidc:PROVIDER:SUBJECT",
 * "mtls:SUBJECT".
 *
 * What may take time (the database, a provider's keys) is asked in a worker, with
 * the head of the request alone, and a positive answer is remembered for
 * AUTH_CACHE_MS: for so long a token may be good after it was revoked through
 * another server or has expired. Where it is revoked it ends at once.
 *
 * A provider whose keys cannot be had fails its own tokens with 503, for they may
 * be good later; the server runs on, and starts, without it.
 *
 * Failed logins are logged with the reason and the address, and without any part
 * of the credential; they are counted, and their answers are slowed by address
 * (auth_fail.h). A good credential is never refused or slowed.
 */
#ifndef SERVER_AUTH_H
#define SERVER_AUTH_H

#include <stdatomic.h>
#include <stdint.h>

#include "../../libcommon/core/opt.h"

struct db_pool;
struct err;
struct http_req;
struct http_route;
struct sandbox;
struct secret;

/* What made tokens begin with: they are told from others without the database. */
#define AUTH_TOKEN_PREFIX     "niks3_"
#define AUTH_TOKEN_PREFIX_LEN (sizeof AUTH_TOKEN_PREFIX - 1)

#define AUTH_CACHE_MS         5000
#define AUTH_TOKEN_MIN        36    /* characters of the API token */
#define AUTH_BEARER_MAX       16384 /* characters of any token */
#define AUTH_DB_MS            10000

struct auth_config {
	const char *oidc_config; /* file, or NULL */
	const char *proxy_header, *subject_header;
	struct opt_list proxy_addresses;
	const char *proxy_socket;
	struct opt_list bound_subjects, bound_subjects_read;
	const char *tls_client_ca; /* only whether it is there */
};

/* Rows of an option table for a struct auth_config at offset o. */
#define AUTH_OPTIONS(o)                                                        \
	{ "oidc-config", "NIKS3_OIDC_CONFIG", OPT_PATH,                        \
		(o) + offsetof(struct auth_config, oidc_config), 0, NULL,      \
		"FILE", "accept tokens of these OIDC providers", 0, 0 },       \
	    { "tls-client-ca", "NIKS3_TLS_CLIENT_CA", OPT_PATH,                \
		    (o) + offsetof(struct auth_config, tls_client_ca), 0,      \
		    NULL, "FILE",                                              \
		    "accept client certificates of these "                     \
		    "authorities",                                             \
		    0, 0 },                                                    \
	    { "mtls-proxy-header", "NIKS3_MTLS_PROXY_HEADER", OPT_STR,         \
		    (o) + offsetof(struct auth_config, proxy_header),          \
		    OPT_RARE, NULL, "NAME",                                    \
		    "a proxy says SUCCESS here for a verified client", 0, 0 }, \
	    { "mtls-subject-header", "NIKS3_MTLS_SUBJECT_HEADER", OPT_STR,     \
		    (o) + offsetof(struct auth_config, subject_header),        \
		    OPT_RARE, "X-SSL-Client-Dn", "NAME",                       \
		    "and its subject here", 0, 0 },                            \
	    { "mtls-proxy-address", "NIKS3_MTLS_PROXY_ADDRESSES", OPT_LIST,    \
		    (o) + offsetof(struct auth_config, proxy_addresses),       \
		    OPT_RARE, NULL, "IP",                                      \
		    "believe those headers from there (default: this host)",   \
		    0, 0 },                                                    \
	    { "mtls-proxy-socket", "NIKS3_MTLS_PROXY_SOCKET", OPT_PATH,        \
		    (o) + offsetof(struct auth_config, proxy_socket),          \
		    OPT_RARE, NULL, "PATH",                                    \
		    "and over this unix socket; alone, only there", 0, 0 },    \
	    { "mtls-bound-subject", "NIKS3_MTLS_BOUND_SUBJECTS", OPT_LIST,     \
		    (o) + offsetof(struct auth_config, bound_subjects),        \
		    OPT_RARE, NULL, "GLOB",                                    \
		    "certificates that may do everything", 0, 0 },             \
	{                                                                      \
		"mtls-bound-subject-read", "NIKS3_MTLS_BOUND_SUBJECTS_READ",   \
		    OPT_LIST,                                                  \
		    (o) + offsetof(struct auth_config, bound_subjects_read),   \
		    OPT_RARE, NULL, "GLOB",                                    \
		    "certificates that may read; others may not", 0, 0         \
	}

/* For a page of metrics; logins by how they ended. */
#define AUTH_RESULTS(X)                                    \
	X(good)    /* requests that were let in */         \
	X(cached)  /* of these, by what is remembered */   \
	X(missing) /* no credential was sent */            \
	X(unknown) /* or revoked, or expired */            \
	X(malformed)                                       \
	X(oidc_refused)                                    \
	X(certificate) /* of a subject on no list */       \
	X(lacking)     /* known, but it may not do this */ \
	X(unavailable) /* could not be told */             \
	X(slowed)      /* answers that were held back */
struct auth_counters {
#define X(name) atomic_uint_fast64_t name;
	AUTH_RESULTS(X)
#undef X
};

struct auth;

/* api_token is hashed and not kept. The pool must outlive it; config need not.
 * Asks no provider for anything yet. */
int auth_new(const struct auth_config *c, const struct secret *api_token,
    struct db_pool *pool, struct auth **out, struct err *e);
void auth_free(struct auth *a); /* takes NULL */

void auth_needs(const struct auth *a, struct sandbox *s);

/* For the HTTP server: what needs no waiting, and the rest, in a worker. */
int auth_check(struct auth *a, struct http_req *q,
    const struct http_route *route, struct err *e);
int auth_check_slow(struct auth *a, struct http_req *q,
    const struct http_route *route, struct err *e);

/* A token was revoked here. */
void auth_forget_token(struct auth *a, int64_t id);
/* No read list is set, and no OIDC rule gives read. */
int auth_reads_are_public(const struct auth *a);
/* For whom tokens of that issuer must be made; NULL when it is no provider. */
const char *auth_oidc_audience(const struct auth *a, const char *issuer);
struct auth_counters *auth_counters(struct auth *a);

#endif
