/*
 * The TLS identity of a server: certificate and key, that may be replaced while
 * it runs, and the authorities of client certificates. Only the implementation of
 * this file knows GnuTLS. TLS 1.2 and 1.3.
 *
 * A handshake takes the newest pair; connections that exist keep theirs. The
 * authorities stay those of the start.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct tls;

#define TLS_PRIORITY    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define TLS_SUBJECT_MAX 1024

/*
 * A file of certificates in PEM: how many there are, and when the first one of them
 * ends, in seconds since 1970. INVALID when it is none.
 */
int tls_file_check(
    const char *path, unsigned *n, int64_t *expires_s, struct err *e);

/* PEM files; client_ca may be NULL: no client certificate is asked for. */
int tls_new(const char *cert, const char *key, const char *client_ca,
    struct tls **out, struct err *e);
void tls_free(struct tls *t); /* takes NULL */
/* Of the authorities, or NULL. */
const char *tls_client_ca(struct tls *t);

/* Reads the pair again. On failure the old one stays. */
int tls_reload(struct tls *t, struct err *e);
/* The files are others than those that were read, or tried, last. */
int tls_changed(struct tls *t);

/* Handshakes of this thread are t's. GnuTLS hands a callback nothing of ours, but
 * all handshakes of a server are in its one thread. */
void tls_serve_here(struct tls *t);
/* A gnutls_certificate_retrieve_function3. */
void *tls_retrieve(void);

/*
 * The subject of the client's certificate, as RFC 4514 has it ("CN=a,O=b"), if it
 * showed one that was issued by one of the authorities, for clients, and is valid
 * now. session is a gnutls_session_t. 0; or -1 when there is none.
 */
int tls_subject(void *session, char out[TLS_SUBJECT_MAX]);

#endif
