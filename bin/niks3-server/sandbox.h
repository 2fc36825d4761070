/*
 * What the server may still do: accept at its listeners, talk to the database, to
 * the other processes, and, where that is configured, to OIDC providers and S3.
 */
#ifndef SERVER_SANDBOX_H
#define SERVER_SANDBOX_H

#include <stdint.h>

struct auth;
struct sandbox;

struct server_needs {
	const char *db, *uploads; /* conninfo; the socket that is ours */
	const char *address;      /* NULL: the listener was handed over */
	const char *proxy_socket; /* or NULL */
	const char *tls_cert, *tls_key;
	int read_proxy;
	const char *s3_ca_cert; /* or NULL */
	const struct auth *auth;
	uint64_t connections, workers;
};

/* Fills an empty one. */
void server_sandbox(struct sandbox *s, const struct server_needs *n);

#endif
