/*
 * TLS of the HTTP server: certificates that are replaced while it runs, and those
 * of clients. Keys and certificates are made here, by OpenSSL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/http/server.h"
#include "../../libcommon/http/tls.h"

static char dir[] = "/tmp/tls_test.XXXXXX";
static char cert_path[64], key_path[64], ca_path[64];
static struct http_server *server;

/* ---- certificates ---- */

struct cert {
	EVP_PKEY *key;
	X509 *x;
};

static struct cert ca, other_ca, first, second, client, foreign, expired,
    for_servers;

static void
extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* by NULL: it signs itself, and may sign others. */
static struct cert
make(const char *org, const char *name, const struct cert *by,
    const char *purpose, long seconds)
{
	struct cert c = { EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
		X509_new() };
	X509_NAME *n = X509_get_subject_name(c.x);
	static long serial;

	X509_set_version(c.x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(c.x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(c.x), -7200);
	X509_gmtime_adj(X509_getm_notAfter(c.x), seconds);
	X509_NAME_add_entry_by_txt(
	    n, "O", MBSTRING_UTF8, (const unsigned char *)org, -1, -1, 0);
	X509_NAME_add_entry_by_txt(
	    n, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(
	    c.x, by != NULL ? X509_get_subject_name(by->x) : n);
	X509_set_pubkey(c.x, c.key);
	extend(c.x, NID_basic_constraints, by != NULL ? "CA:FALSE" : "CA:TRUE");
	if (purpose != NULL)
		extend(c.x, NID_ext_key_usage, purpose);
	assert_true(X509_sign(c.x, by != NULL ? by->key : c.key, EVP_sha256()));
	return c;
}

static void
put(const char *path, X509 *x, EVP_PKEY *key)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	if (x != NULL)
		PEM_write_X509(f, x);
	if (key != NULL)
		PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

static int
setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(cert_path, sizeof cert_path, "%s/cert", dir);
	snprintf(key_path, sizeof key_path, "%s/key", dir);
	snprintf(ca_path, sizeof ca_path, "%s/ca", dir);
	ca = make("o", "ca", NULL, NULL, 7200);
	other_ca = make("o", "ca", NULL, NULL, 7200);
	first = make("o", "first", &ca, "serverAuth", 7200);
	second = make("o", "second", &ca, "serverAuth", 7200);
	client = make("example", "ci, \"x\"", &ca, "clientAuth", 7200);
	foreign = make("example", "ci", &other_ca, "clientAuth", 7200);
	expired = make("example", "ci", &ca, "clientAuth", -3600);
	for_servers = make("example", "ci", &ca, "serverAuth", 7200);
	put(ca_path, ca.x, NULL);
	return 0;
}

static int
teardown(void **state)
{
	struct cert *all[] = { &ca, &other_ca, &first, &second, &client,
		&foreign, &expired, &for_servers };

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		X509_free(all[i]->x);
		EVP_PKEY_free(all[i]->key);
	}
	unlink(cert_path);
	unlink(key_path);
	unlink(ca_path);
	rmdir(dir);
	return 0;
}

/* ---- a file ---- */

static void
test_file(void **state)
{
	int64_t end, now = time(NULL);
	struct err e = ERR_INIT;
	unsigned n;
	FILE *f;

	(void)state;
	put(cert_path, first.x, NULL);
	assert_int_equal(tls_file_check(cert_path, &n, &end, NULL), 0);
	assert_int_equal(n, 1);
	assert_in_range(end, now + 7000, now + 7200);
	/* Of several the first to end counts. */
	assert_non_null(f = fopen(cert_path, "a"));
	PEM_write_X509(f, expired.x);
	PEM_write_X509(f, second.x);
	fclose(f);
	assert_int_equal(tls_file_check(cert_path, &n, &end, NULL), 0);
	assert_int_equal(n, 3);
	assert_in_range(end, now - 3700, now - 3500);
	put(key_path, NULL, first.key);
	assert_int_equal(tls_file_check(key_path, &n, &end, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_int_equal(tls_file_check("/none", &n, &end, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(n, 3); /* untouched */
	unlink(cert_path);
	unlink(key_path);
}

/* ---- the server ---- */

static int
show(void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	return buf_printf(
	    &r->body, e, "<%s>", q->subject != NULL ? q->subject : "none");
}

static const struct http_route routes[] = {
	{ "GET", "/", show },
	{ NULL },
};

static void
start(const char *client_ca)
{
	struct err e = ERR_INIT;

	put(cert_path, first.x, NULL);
	put(key_path, NULL, first.key);
	if (http_server_new(
	        &(struct http_server_options){ .address = "127.0.0.1:0",
	            .routes = routes,
	            .workers = 2,
	            .tls_cert = cert_path,
	            .tls_key = key_path,
	            .tls_client_ca = client_ca },
	        &server, &e) != 0)
		fail_msg("%s", e.msg);
}

static int
stop(void **state)
{
	(void)state;
	http_server_stop(server, 1000);
	http_server_free(server);
	server = NULL;
	return 0;
}

/* ---- a client ---- */

struct link {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
};

/* 0 when the handshake went well. */
static int
dial(struct link *l, const struct cert *mine, int min, int max)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(http_server_port(server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval tv = { 10, 0 };

	l->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_security_level(l->ctx, 0);
	SSL_CTX_set_min_proto_version(l->ctx, min);
	SSL_CTX_set_max_proto_version(l->ctx, max);
	if (mine != NULL) {
		SSL_CTX_use_certificate(l->ctx, mine->x);
		SSL_CTX_use_PrivateKey(l->ctx, mine->key);
	}
	l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	assert_int_equal(connect(l->fd, (struct sockaddr *)&at, sizeof at), 0);
	l->ssl = SSL_new(l->ctx);
	SSL_set_fd(l->ssl, l->fd);
	return SSL_connect(l->ssl) == 1 ? 0 : -1;
}

static void
hang_up(struct link *l)
{
	SSL_free(l->ssl);
	SSL_CTX_free(l->ctx);
	close(l->fd);
}

/* The body of the answer, between its brackets. */
static void
ask(struct link *l, char out[TLS_SUBJECT_MAX])
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	char got[8192] = "";
	size_t n = 0;
	char *from;

	assert_int_equal(SSL_write(l->ssl, text, strlen(text)), strlen(text));
	while (strchr(got, '>') == NULL) {
		int k = SSL_read(l->ssl, got + n, sizeof got - n - 1);

		if (k <= 0)
			fail_msg("no answer: %s", got);
		got[n += k] = '\0';
	}
	from = strrchr(got, '<') + 1;
	*strrchr(got, '>') = '\0';
	strcpy(out, from);
}

/* Which certificate is it? */
static int
shows(const struct link *l, const struct cert *c)
{
	X509 *x = SSL_get1_peer_certificate(l->ssl);
	int rc = X509_cmp(x, c->x) == 0;

	X509_free(x);
	return rc;
}

static int
dial_shows(const struct cert *c)
{
	struct link l;
	int rc;

	assert_int_equal(dial(&l, NULL, 0, 0), 0);
	rc = shows(&l, c);
	hang_up(&l);
	return rc;
}

/* ---- tests ---- */

static void
test_versions(void **state)
{
	static const struct {
		int version, good;
	} table[] = { { TLS1_VERSION, 0 }, { TLS1_1_VERSION, 0 },
		{ TLS1_2_VERSION, 1 }, { TLS1_3_VERSION, 1 } };

	(void)state;
	start(NULL);
	for (size_t i = 0; i < 4; i++) {
		struct link l;

		assert_int_equal(
		    dial(&l, NULL, table[i].version, table[i].version) == 0,
		    table[i].good);
		hang_up(&l);
	}
}

static void
test_reload(void **state)
{
	struct err e = ERR_INIT;
	struct link old;
	char body[TLS_SUBJECT_MAX];

	(void)state;
	start(NULL);
	assert_int_equal(dial(&old, NULL, 0, 0), 0);
	assert_true(shows(&old, &first));
	ask(&old, body);
	/* Nothing has changed. */
	assert_int_equal(http_server_reload(server, 1, &e), 0);
	assert_int_equal(http_server_reload(server, 0, &e), 1);
	put(cert_path, second.x, NULL);
	/* Half of a pair is none; and is not complained of twice. */
	assert_int_equal(http_server_reload(server, 1, &e), -1);
	assert_non_null(strstr(e.msg, "not that of the certificate"));
	assert_int_equal(http_server_reload(server, 1, &e), 0);
	assert_true(dial_shows(&first));
	put(key_path, NULL, second.key);
	assert_int_equal(http_server_reload(server, 1, &e), 1);
	assert_true(dial_shows(&second));
	/* Who was there is not sent away. */
	ask(&old, body);
	assert_string_equal(body, "none");
	hang_up(&old);
}

static void
test_broken(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	start(NULL);
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			put(cert_path, NULL, NULL);
		else if (i == 1)
			put(cert_path, NULL, first.key);
		else
			unlink(cert_path);
		assert_int_equal(http_server_reload(server, 1, &e), -1);
		assert_true(dial_shows(&first));
	}
	put(cert_path, first.x, NULL);
	put(key_path, first.x, NULL);
	assert_int_equal(http_server_reload(server, 0, &e), -1);
	assert_null(strstr(e.msg, "BEGIN"));
	assert_true(dial_shows(&first));
	put(key_path, NULL, first.key);
	assert_int_equal(http_server_reload(server, 1, &e), 1);
}

/* Many handshakes, and the pair replaced under them. */
static void
test_reload_often(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	start(NULL);
	for (int i = 0; i < 40; i++) {
		const struct cert *c = i % 2 ? &first : &second;

		put(cert_path, c->x, NULL);
		put(key_path, NULL, c->key);
		assert_int_equal(http_server_reload(server, 0, &e), 1);
		assert_true(dial_shows(c));
	}
}

static void
subject_is(const struct cert *c, const char *want)
{
	char body[TLS_SUBJECT_MAX];

	for (int v = TLS1_2_VERSION; v <= TLS1_3_VERSION; v++) {
		struct link l;

		assert_int_equal(dial(&l, c, v, v), 0);
		for (int i = 0; i < 2; i++) {
			ask(&l, body);
			assert_string_equal(body, want);
		}
		hang_up(&l);
	}
}

/* Of ours, for clients, and valid; whatever else is shown names nobody. */
static void
test_client(void **state)
{
	(void)state;
	start(ca_path);
	subject_is(&client, "CN=ci\\, \\\"x\\\",O=example");
	subject_is(NULL, "none");
	subject_is(&foreign, "none");
	subject_is(&expired, "none");
	subject_is(&for_servers, "none");
	stop(state);
	start(NULL);
	subject_is(&client, "none");
}

static void
test_options(void **state)
{
	struct http_server *none = NULL;
	struct err e = ERR_INIT;
	struct http_server_options o = { .address = "127.0.0.1:0",
		.routes = routes,
		.tls_cert = cert_path,
		.tls_key = key_path,
		.tls_client_ca = "/nonexistent" };

	(void)state;
	start(NULL);
	assert_int_equal(http_server_new(&o, &none, &e), -1);
	o.tls_client_ca = "/proc/self/status";
	assert_int_equal(http_server_new(&o, &none, &e), -1);
	o.tls_cert = o.tls_key = NULL;
	assert_int_equal(http_server_new(&o, &none, &e), -1);
	assert_null(none);
}

int
main(void)
{
#define T(f) cmocka_unit_test_teardown(f, stop)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		T(test_versions),
		T(test_reload),
		T(test_broken),
		T(test_reload_often),
		T(test_client),
		T(test_options),
	};

	return cmocka_run_group_tests_name("tls", tests, setup, teardown);
}
