/*
 * Client certificates: what the subject of one that was verified may do.
 *
 * With --tls-client-ca we verify them ourselves. With --mtls-proxy-header a proxy
 * in front does, and says so by SUCCESS in that header and the subject in
 * another. Whoever can connect to us could say that too, so the headers are
 * believed only of connections from --mtls-proxy-address or over
 * --mtls-proxy-socket: by default from this host, for a proxy usually runs there
 * and an unset option must not open the door to the network. Where other local
 * users are not trusted, the socket and the rights of its directory keep them
 * out: with it, and no address, the headers are believed only there.
 *
 * A subject that fits --mtls-bound-subject may do everything, one that fits
 * --mtls-bound-subject-read may read. With neither list, every certificate may do
 * everything; with only the list of readers, none may write.
 */
#ifndef SERVER_AUTH_MTLS_H
#define SERVER_AUTH_MTLS_H

struct auth_config;
struct auth_mtls;
struct err;
struct http_req;

int auth_mtls_new(
    const struct auth_config *c, struct auth_mtls **out, struct err *e);
void auth_mtls_free(struct auth_mtls *m); /* takes NULL */

/* The scopes of the request's certificate, 0 when there is none or it may do
 * nothing. *subject gets its subject, or NULL. */
unsigned auth_mtls_scopes(
    const struct auth_mtls *m, const struct http_req *q, const char **subject);
/* Reading is for those on a list. */
int auth_mtls_gates_reads(const struct auth_mtls *m);

#endif
