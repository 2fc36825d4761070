#include "tls.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../core/buf.h"
#include "../core/err.h"
#include "../core/file.h"
#include "../core/secret.h"

#define CERT_MAX  ((size_t)1 << 20)
#define CHAIN_MAX 16

/* A certificate with those above it, and its key. */
struct pair {
	gnutls_x509_crt_t chain[CHAIN_MAX];
	unsigned n;
	gnutls_x509_privkey_t key;
};

/* Enough of a file to see that it is another one. */
struct mark {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct tls {
	char *cert_path, *key_path;
	struct buf client_ca;
	pthread_mutex_t lock;
	struct pair pair; /* under the lock */
	struct mark cert_mark, key_mark;
};

static _Thread_local struct tls *serving;

/* ---- looking at a file ---- */

int
tls_file_check(const char *path, unsigned *n, int64_t *expires_s, struct err *e)
{
	gnutls_x509_crt_t *list = NULL;
	gnutls_datum_t pem;
	struct buf text;
	int64_t first = INT64_MAX;
	unsigned count = 0;
	int rc;

	buf_init(&text, CERT_MAX);
	if (file_read(path, &text, e) != 0) {
		buf_done(&text);
		return -1;
	}
	pem.data = text.data;
	pem.size = text.len;
	rc = gnutls_x509_crt_list_import2(
	    &list, &count, &pem, GNUTLS_X509_FMT_PEM, 0);
	buf_done(&text);
	if (rc < 0 || count == 0)
		return err_set(e, ERR_INVALID, "%s: no certificate in PEM: %s",
		    path, rc < 0 ? gnutls_strerror(rc) : "it has none");
	for (unsigned i = 0; i < count; i++) {
		int64_t end = gnutls_x509_crt_get_expiration_time(list[i]);

		first = end < first ? end : first;
		gnutls_x509_crt_deinit(list[i]);
	}
	gnutls_free(list);
	*n = count;
	*expires_s = first;
	return 0;
}

/* ---- pairs ---- */

static void
pair_done(struct pair *p)
{
	for (unsigned i = 0; i < p->n; i++)
		gnutls_x509_crt_deinit(p->chain[i]);
	if (p->key != NULL)
		gnutls_x509_privkey_deinit(p->key);
	*p = (struct pair){ 0 };
}

static int
chain_read(struct pair *p, const char *path, struct err *e)
{
	unsigned n = CHAIN_MAX;
	gnutls_datum_t pem;
	struct buf text;
	int rc;

	buf_init(&text, CERT_MAX);
	rc = file_read(path, &text, e);
	if (rc == 0) {
		pem.data = text.data;
		pem.size = text.len;
		rc = gnutls_x509_crt_list_import(
		    p->chain, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
		if (rc > 0)
			p->n = rc;
		else
			rc = err_set(e, ERR_INVALID, "certificate %s: %s", path,
			    rc == 0 ? "there is none" : gnutls_strerror(rc));
	}
	buf_done(&text);
	return rc < 0 ? -1 : 0;
}

static int
key_read(struct pair *p, const char *path, struct err *e)
{
	struct secret text = { 0 };
	gnutls_datum_t pem;
	int rc;

	if (secret_load(&text, path, SECRET_MAX, NULL, e) != 0)
		return -1;
	pem.data = (unsigned char *)text.data;
	pem.size = text.len;
	if (gnutls_x509_privkey_init(&p->key) != 0)
		err_die("out of memory: key");
	rc = gnutls_x509_privkey_import2(
	    p->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
	secret_done(&text);
	if (rc != 0)
		return err_set(
		    e, ERR_INVALID, "key %s: %s", path, gnutls_strerror(rc));
	return 0;
}

/* A key of another certificate would fail every handshake. */
static int
pair_check(const struct pair *p, struct err *e)
{
	unsigned char a[64], b[64];
	size_t na = sizeof a, nb = sizeof b;

	if (gnutls_x509_crt_get_key_id(
	        p->chain[0], GNUTLS_KEYID_USE_SHA256, a, &na) != 0 ||
	    gnutls_x509_privkey_get_key_id(
	        p->key, GNUTLS_KEYID_USE_SHA256, b, &nb) != 0 ||
	    na != nb || memcmp(a, b, na) != 0)
		return err_set(
		    e, ERR_INVALID, "the key is not that of the certificate");
	return 0;
}

static int
pair_load(const struct tls *t, struct pair *out, struct err *e)
{
	struct pair p = { 0 };

	if (chain_read(&p, t->cert_path, e) != 0 ||
	    key_read(&p, t->key_path, e) != 0 || pair_check(&p, e) != 0) {
		pair_done(&p);
		return -1;
	}
	*out = p;
	return 0;
}

/* ---- files that change ---- */

static struct mark
mark_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return (struct mark){ 0 };
	return (struct mark){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
}

static int
mark_equal(struct mark a, struct mark b)
{
	return a.dev == b.dev && a.ino == b.ino && a.size == b.size &&
	    a.mtime.tv_sec == b.mtime.tv_sec &&
	    a.mtime.tv_nsec == b.mtime.tv_nsec;
}

int
tls_changed(struct tls *t)
{
	return !mark_equal(mark_of(t->cert_path), t->cert_mark) ||
	    !mark_equal(mark_of(t->key_path), t->key_mark);
}

int
tls_reload(struct tls *t, struct err *e)
{
	struct pair fresh, old;

	/* Before they are read: what changes meanwhile is seen later. */
	t->cert_mark = mark_of(t->cert_path);
	t->key_mark = mark_of(t->key_path);
	if (pair_load(t, &fresh, e) != 0)
		return -1;
	pthread_mutex_lock(&t->lock);
	old = t->pair;
	t->pair = fresh;
	pthread_mutex_unlock(&t->lock);
	pair_done(&old);
	return 0;
}

/* A file without any would be taken for an authority that signed nothing. */
static int
ca_load(struct tls *t, const char *path, struct err *e)
{
	gnutls_x509_crt_t *list = NULL;
	gnutls_datum_t pem;
	unsigned n = 0;
	int rc;

	if (file_read(path, &t->client_ca, e) != 0)
		return -1;
	pem.data = t->client_ca.data;
	pem.size = t->client_ca.len;
	rc = gnutls_x509_crt_list_import2(
	    &list, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
	for (unsigned i = 0; rc >= 0 && i < n; i++)
		gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
	if (rc < 0 || n == 0)
		return err_set(e, ERR_INVALID,
		    "client authorities %s: no certificate", path);
	return 0;
}

int
tls_new(const char *cert, const char *key, const char *client_ca,
    struct tls **out, struct err *e)
{
	struct tls *t = xcalloc(1, sizeof *t);

	pthread_mutex_init(&t->lock, NULL);
	buf_init(&t->client_ca, CERT_MAX);
	t->cert_path = xstrdup(cert);
	t->key_path = xstrdup(key);
	if (tls_reload(t, e) != 0 ||
	    (client_ca != NULL && ca_load(t, client_ca, e) != 0)) {
		tls_free(t);
		return -1;
	}
	*out = t;
	return 0;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	pair_done(&t->pair);
	buf_done(&t->client_ca);
	pthread_mutex_destroy(&t->lock);
	free(t->cert_path);
	free(t->key_path);
	free(t);
}

const char *
tls_client_ca(struct tls *t)
{
	return t->client_ca.len > 0 ? buf_str(&t->client_ca) : NULL;
}

/* ---- handshakes ---- */

void
tls_serve_here(struct tls *t)
{
	serving = t;
}

/* Copies, which GnuTLS frees when the handshake is over: the pair may be replaced
 * meanwhile. */
static int
pair_copy(const struct pair *p, gnutls_pcert_st **chain, unsigned *n,
    gnutls_privkey_t *key)
{
	gnutls_pcert_st *copy = gnutls_malloc(p->n * sizeof *copy);
	gnutls_privkey_t k = NULL;
	unsigned done = 0;

	if (copy == NULL || gnutls_privkey_init(&k) != 0)
		goto fail;
	if (gnutls_privkey_import_x509(k, p->key, GNUTLS_PRIVKEY_IMPORT_COPY) !=
	    0)
		goto fail;
	for (; done < p->n; done++)
		if (gnutls_pcert_import_x509(&copy[done], p->chain[done], 0) !=
		    0)
			goto fail;
	*chain = copy;
	*n = p->n;
	*key = k;
	return 0;
fail:
	while (done > 0)
		gnutls_pcert_deinit(&copy[--done]);
	gnutls_free(copy);
	if (k != NULL)
		gnutls_privkey_deinit(k);
	return -1;
}

static int
retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
    gnutls_pcert_st **chain, unsigned *n, gnutls_ocsp_data_st **ocsp,
    unsigned *nocsp, gnutls_privkey_t *key, unsigned *flags)
{
	struct tls *t = serving;
	int rc;

	(void)session, (void)info;
	pthread_mutex_lock(&t->lock);
	rc = pair_copy(&t->pair, chain, n, key);
	pthread_mutex_unlock(&t->lock);
	*ocsp = NULL;
	*nocsp = 0;
	*flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	return rc;
}

void *
tls_retrieve(void)
{
	return (void *)(uintptr_t)retrieve;
}

/* ---- client certificates ---- */

int
tls_subject(void *session, char out[TLS_SUBJECT_MAX])
{
	gnutls_typed_vdata_st purpose = { .type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT };
	const gnutls_datum_t *shown;
	gnutls_datum_t dn = { 0 };
	gnutls_x509_crt_t crt;
	unsigned n = 0, status = 0;
	int rc = -1;

	shown = gnutls_certificate_get_peers(session, &n);
	if (shown == NULL || n == 0 ||
	    gnutls_certificate_verify_peers(session, &purpose, 1, &status) !=
	        0 ||
	    status != 0 || gnutls_x509_crt_init(&crt) != 0)
		return -1;
	if (gnutls_x509_crt_import(crt, &shown[0], GNUTLS_X509_FMT_DER) == 0 &&
	    gnutls_x509_crt_get_dn3(crt, &dn, 0) == 0 &&
	    dn.size < TLS_SUBJECT_MAX &&
	    memchr(dn.data, '\0', dn.size) == NULL) {
		memcpy(out, dn.data, dn.size);
		out[dn.size] = '\0';
		rc = 0;
	}
	gnutls_free(dn.data);
	gnutls_x509_crt_deinit(crt);
	return rc;
}
