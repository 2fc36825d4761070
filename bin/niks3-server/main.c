/*
 * niks3-server: the API that faces the network. It checks who asks, keeps the
 * state in PostgreSQL, and has the uploader write and the signer sign. It holds
 * neither S3 credentials nor signing keys; of the API token only the hash.
 */
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/status.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/storepath.h"
#include "auth.h"
#include "census.h"
#include "health.h"
#include "metrics.h"
#include "page.h"
#include "peers.h"
#include "read.h"
#include "sandbox.h"
#include "server.h"

#define CHORES_MS    600000 /* between two turns of what is done by the hour */
#define RETRY_MS     10000  /* where that failed */
#define LISTEN_FD    3      /* the first one, by sd_listen_fds(3) */
#define CERT_LOOK_MS 10000  /* how often files are looked at */

struct config {
	struct opt_common common;
	struct sandbox_config sandbox;
	struct secret db;
	const char *http_addr, *token_path, *store_dir, *cache_url;
	struct secret token;
	const char *signer, *uploads, *gc;
	struct opt_list peers;
	int64_t lease, lifetime;
	uint64_t workers, connections;
	const char *tls_cert, *tls_key;
	int read_proxy;
	uint64_t narinfo_cache, max_nar_size;
	int64_t narinfo_ttl;
	const char *s3_ca_cert;
	struct auth_config auth;
	/* Where to listen; NULL: socket activation handed it over. */
	const char *address;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	{ "db", "NIKS3_DB", OPT_SECRET, O(db), OPT_REQUIRED, NULL, "CONNINFO",
	    "PostgreSQL connection string", 0, 0 },
	{ "http-addr", "NIKS3_HTTP_ADDR", OPT_STR, O(http_addr), 0, ":5751",
	    "[HOST]:PORT", "where to listen", 0, 0 },
	{ "api-token-path", "NIKS3_API_TOKEN_PATH", OPT_PATH, O(token_path), 0,
	    NULL, "FILE", "file with the API token (36 characters or more)", 0,
	    0 },
	{ "api-token", "NIKS3_API_TOKEN", OPT_SECRET, O(token), OPT_RARE, NULL,
	    "TOKEN", "better given by file", 0, 0 },
	{ "signer-socket", "NIKS3_SIGNER_SOCKET", OPT_STR, O(signer), OPT_RARE,
	    "ipc:///run/niks3/signer.sock", "ADDRESS",
	    "where the signer listens", 0, 0 },
	{ "upload-socket", "NIKS3_UPLOAD_SOCKET", OPT_STR, O(uploads), OPT_RARE,
	    "ipc:///run/niks3/upload.sock", "ADDRESS",
	    "where we listen for uploaders", 0, 0 },
	{ "gc-socket", "NIKS3_GC_SOCKET", OPT_STR, O(gc), OPT_RARE,
	    "ipc:///run/niks3/gc.sock", "ADDRESS",
	    "where the gc worker listens", 0, 0 },
	{ "peer", "NIKS3_PEERS", OPT_LIST, O(peers), 0, NULL, "ROLE=USER",
	    "who may be there; repeat (default: our own user)", 0, 0 },
	{ "store-dir", "NIX_STORE_DIR", OPT_PATH, O(store_dir), 0,
	    STOREPATH_DIR_DEFAULT, "DIR", "the store directory of the cache", 0,
	    0 },
	{ "cache-url", "NIKS3_CACHE_URL", OPT_STR, O(cache_url), 0, NULL, "URL",
	    "where clients read the cache", 0, 0 },
	{ "upload-lease", "NIKS3_UPLOAD_LEASE", OPT_DURATION, O(lease),
	    OPT_RARE, "1h", "DURATION",
	    "an upload untouched for so long may be ended", 1000,
	    30LL * 86400 * 1000 },
	{ "authorization-lifetime", "NIKS3_AUTHORIZATION_LIFETIME",
	    OPT_DURATION, O(lifetime), OPT_RARE, "15m", "DURATION",
	    "a signed PUT may be used for so long", 1000, 15 * 60 * 1000 },
	{ "workers", "NIKS3_SERVER_WORKERS", OPT_U64, O(workers), OPT_RARE,
	    "16", "N", "requests worked on at once", 1, 512 },
	{ "max-connections", "NIKS3_MAX_CONNECTIONS", OPT_U64, O(connections),
	    OPT_RARE, "2048", "N", "HTTP connections at once", 1, 100000 },
	{ "tls-cert", "NIKS3_TLS_CERT", OPT_PATH, O(tls_cert), 0, NULL, "FILE",
	    "serve HTTPS with this certificate", 0, 0 },
	{ "tls-key", "NIKS3_TLS_KEY", OPT_PATH, O(tls_key), 0, NULL, "FILE",
	    "and this key", 0, 0 },
	{ "enable-read-proxy", "NIKS3_ENABLE_READ_PROXY", OPT_BOOL,
	    O(read_proxy), 0, "false", "BOOL", "serve the cache to readers", 0,
	    0 },
	{ "narinfo-cache-size", "NIKS3_NARINFO_CACHE_SIZE", OPT_SIZE,
	    O(narinfo_cache), OPT_RARE, "32M", "SIZE",
	    "narinfos that the read proxy keeps in memory", 0, 1ULL << 40 },
	{ "narinfo-cache-ttl", "NIKS3_NARINFO_CACHE_TTL", OPT_DURATION,
	    O(narinfo_ttl), OPT_RARE, "10s", "DURATION",
	    "and for how long it answers from there", 0, 3600 * 1000 },
	{ "s3-ca-cert", "NIKS3_S3_CA_CERT", OPT_PATH, O(s3_ca_cert), OPT_RARE,
	    NULL, "FILE", "of the read proxy: trust these authorities for S3",
	    0, 0 },
	{ "max-nar-size", "NIKS3_MAX_NAR_SIZE", OPT_SIZE, O(max_nar_size),
	    OPT_RARE, "0", "SIZE", "the largest NAR to be pushed; 0: no limit",
	    0, INT64_MAX },
	AUTH_OPTIONS(O(auth)),
	SANDBOX_OPTIONS(O(sandbox)),
	{ NULL },
};

static const struct opt_program program = {
	.name = "niks3-server",
	.synopsis = "niks3-server --db CONNINFO --api-token-path FILE "
	            "[OPTION]...",
	.summary = "The API of a Nix binary cache in a bucket.",
	.opts = options,
};

static int
load_token(struct config *c, struct err *e)
{
	if (c->token_path == NULL)
		return 0;
	secret_done(&c->token);
	if (secret_load(&c->token, c->token_path, SECRET_MAX, NULL, e) != 0)
		return err_prefix(e, "API token");
	return 0;
}

/* Keeps the hash of the API token, and forgets it. */
static int
make_auth(struct server *s, struct config *c, struct err *e)
{
	int rc = load_token(c, e);

	if (rc == 0)
		rc = auth_new(&c->auth, &c->token, s->pool, &s->auth, e);
	secret_done(&c->token);
	return rc;
}

static int
check_tls(const struct config *c, struct err *e)
{
	if (c->auth.tls_client_ca != NULL && c->tls_cert == NULL)
		return err_set(e, ERR_USAGE,
		    "--tls-client-ca needs --tls-cert and --tls-key");
	return 0;
}

static int
connect_peers(struct server *s, const struct config *c,
    const struct ipc_peers *peers, struct err *e)
{
	struct ipc_client_options o = {
		.self = ROLE_SERVER,
		.mode = 0660,
		.peers = peers,
		.done = server_metrics_call,
		.ctx = s->metrics,
	};

	o.peer = ROLE_SIGNER;
	o.address = c->signer;
	if (ipc_client_new(&o, &s->signer, e) != 0)
		return -1;
	o.peer = ROLE_GC;
	o.address = c->gc;
	if (ipc_client_new(&o, &s->gc, e) != 0)
		return -1;
	o.peer = ROLE_UPLOADER;
	o.address = c->uploads;
	o.listen = 1;
	return ipc_client_new(&o, &s->uploader, e);
}

/* Waits for the database as long as it takes; a wrong schema is final. */
static int
wait_for_schema(struct server *s, struct err *e)
{
	for (unsigned n = 0;; n++) {
		struct db *db;
		int rc;

		err_clear(e);
		if ((rc = server_db(s, &db, e)) == 0) {
			rc = db_schema_check(db, e);
			db_put(s->pool, db);
		}
		if (rc == 0 || !err_retryable(e->kind))
			return rc;
		log_err(LOG_LEVEL_WARN, "waiting for the database", e);
		service_status("waiting for the database");
		if (service_wait(deadline_in(clock_backoff(n, 200, 10000)),
		        NULL, NULL) == 0) {
			err_clear(e); /* nothing is wrong with a stop */
			return -1;
		}
	}
}

static void
request_done(void *ctx, const struct http_req *q,
    const struct http_route *route, int status, int64_t us)
{
	struct server *s = ctx;

	server_metrics_request(s->metrics, q, route, status, us);
	log_request(q->id);
	LOG_AT(status >= 500 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "request",
	    LOG_S("method", q->method),
	    LOG_S("route", route != NULL ? route->pattern : "unmatched"),
	    LOG_I("status", status), LOG_T("took", us),
	    LOG_S("from", q->remote));
	log_request(NULL);
}

static int
alive(void *ctx)
{
	struct server *s = ctx;
	struct db *db;

	if (db_get(s->pool, deadline_in(2000), &db, NULL) != 0)
		return 0;
	db_put(s->pool, db);
	return 1;
}

static void *
worker_new(void *ctx)
{
	return ctx;
}

/*
 * The landing page in the bucket, with today's figures, and a point more of the
 * size over time. Several servers may do it; it comes out the same. Returns when
 * the next turn is.
 */
static deadline_t
chores(struct server *s)
{
	struct err e = ERR_INIT;
	struct db *db;
	int rc = server_db(s, &db, &e);

	if (rc == 0) {
		rc = status_size_note(db, &e);
		db_put(s->pool, db);
	}
	if (rc == 0 && s->cache_url != NULL)
		rc = page_publish(s, &e);
	if (rc != 0)
		log_err(LOG_LEVEL_WARN, "landing page or size not written", &e);
	return deadline_in(rc == 0 ? CHORES_MS : RETRY_MS);
}

static int
check_head(void *ctx, struct http_req *q, const struct http_route *route,
    struct err *e)
{
	return auth_check(((struct server *)ctx)->auth, q, route, e);
}

static int
check_head_slow(void *worker, struct http_req *q,
    const struct http_route *route, struct err *e)
{
	return auth_check_slow(((struct server *)worker)->auth, q, route, e);
}

/* Where we listen: for everybody, and for a proxy. */
struct listeners {
	struct http_server *http[2];
	size_t n;
};

/* address NULL is the socket that was handed over. */
static int
listen_at(struct listeners *l, struct server *s, const struct config *c,
    const char *address, int tls, struct err *e)
{
	return http_server_new(
	    &(struct http_server_options){
	        .address = address,
	        .listen_fd = LISTEN_FD,
	        .routes = routes,
	        .workers = c->workers,
	        .connections_max = c->connections,
	        .tls_cert = tls ? c->tls_cert : NULL,
	        .tls_key = tls ? c->tls_key : NULL,
	        .tls_client_ca = tls ? c->auth.tls_client_ca : NULL,
	        .ctx = s,
	        .worker_new = worker_new,
	        .authorize = check_head,
	        .authorize_slow = check_head_slow,
	        .done = request_done,
	    },
	    &l->http[l->n], e);
}

static int
listen_all(struct listeners *l, struct server *s, const struct config *c,
    struct err *e)
{
	if (listen_at(l, s, c, c->address, 1, e) != 0)
		return -1;
	l->n++;
	log_info("listening", LOG_S("address", c->http_addr),
	    LOG_U("port", http_server_port(l->http[0])));
	if (c->auth.proxy_socket == NULL)
		return 0;
	/* What comes over one unix socket looks like what comes over another. */
	if (http_server_port(l->http[0]) == 0)
		return err_set(e, ERR_USAGE,
		    "--mtls-proxy-socket: we listen at a unix socket already, "
		    "and could not tell a proxy from others");
	if (listen_at(l, s, c, c->auth.proxy_socket, 0, e) != 0)
		return -1;
	l->n++;
	log_info("listening", LOG_S("socket", c->auth.proxy_socket));
	return 0;
}

static void
listeners_stop(struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++) {
		http_server_stop(l->http[i], SERVICE_DRAIN_MS);
		http_server_free(l->http[i]);
	}
}

/* A broken certificate does no harm to what runs: the old one stays. */
static void
reload(struct listeners *l, int only_if_changed)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < l->n; i++) {
		int rc = http_server_reload(l->http[i], only_if_changed, &e);

		if (rc == -1)
			log_err(LOG_LEVEL_ERROR,
			    "certificate not reloaded, the old one stays", &e);
		else if (rc == 1)
			log_info("certificate reloaded");
	}
}

/* Until we are to stop. */
static void
wait_and_see(struct server *s, struct listeners *l)
{
	deadline_t chore = 0, look = deadline_in(CERT_LOOK_MS);
	int rc;

	while (
	    (rc = service_wait(chore < look ? chore : look, alive, s)) != 0) {
		if (rc == 1 || deadline_left(look) == 0) {
			reload(l, rc != 1);
			look = deadline_in(CERT_LOOK_MS);
		}
		if (deadline_left(chore) == 0)
			chore = chores(s);
	}
}

static int
confine(struct server *s, const struct config *c, struct sandbox *box,
    struct err *e)
{
	server_sandbox(box,
	    &(struct server_needs){
	        .db = c->db.data,
	        .uploads = c->uploads,
	        .address = c->address,
	        .proxy_socket = c->auth.proxy_socket,
	        .tls_cert = c->tls_cert,
	        .tls_key = c->tls_key,
	        .read_proxy = c->read_proxy,
	        .s3_ca_cert = c->s3_ca_cert,
	        .auth = s->auth,
	        .connections = c->connections,
	        .workers = c->workers,
	    });
	box->required = c->sandbox.required;
	return sandbox_begin(box, e);
}

static int
serve(struct server *s, const struct config *c, struct sandbox *box,
    struct err *e)
{
	struct listeners l = { .n = 0 };
	struct census *census;
	int rc;

	if (wait_for_schema(s, e) != 0)
		return -1;
	census = census_new(s->pool, s->metrics);
	s->peers = peers_new(&(struct peers_options){
	    .signer = s->signer, .uploader = s->uploader, .gc = s->gc });
	rc = listen_all(&l, s, c, e);
	if (rc == 0)
		rc = service_seal(box, e);
	if (rc == 0) {
		s->http = l.http[0];
		service_ready("serving");
		wait_and_see(s, &l);
		service_stopping();
	}
	listeners_stop(&l);
	peers_free(s->peers);
	census_free(census);
	return rc;
}

int
main(int argc, char **argv)
{
	struct config c = { 0 };
	struct server s = { 0 };
	struct sandbox box = { 0 };
	struct ipc_peers *peers = NULL;
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(&program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	service_init(program.name, c.common.log_level);
	c.address = service_listen_fds() > 0 ? NULL : c.http_addr;
	s.store_dir = c.store_dir;
	s.cache_url = c.cache_url;
	s.lease_us = c.lease;
	s.auth_us = c.lifetime;
	s.read_proxy = c.read_proxy;
	s.max_nar_size = c.max_nar_size;
	s.metrics = server_metrics_new(routes);
	s.health = health_new();
	if (check_tls(&c, &e) == 0 &&
	    storepath_check_dir(c.store_dir, &e) == 0 &&
	    ipc_peers_parse(c.peers.items, c.peers.n, &peers, &e) == 0 &&
	    /* One for each worker, and one for the figures. */
	    db_pool_new(c.db.data, program.name, c.workers + 1, &s.pool, &e) ==
	        0 &&
	    make_auth(&s, &c, &e) == 0 && !c.common.check &&
	    confine(&s, &c, &box, &e) == 0 &&
	    connect_peers(&s, &c, peers, &e) == 0) {
		s.reads = reads_new(&(struct reads_options){
		    .uploader = s.uploader,
		    .ca_file = c.s3_ca_cert,
		    .narinfo_max = c.narinfo_cache,
		    .narinfo_ttl_ms = c.narinfo_ttl / 1000,
		});
		s.status = page_cache_new();
		serve(&s, &c, &box, &e);
	}
	if (e.kind != ERR_NONE)
		log_err(LOG_LEVEL_ERROR, "cannot start", &e);
	page_cache_free(s.status);
	reads_free(s.reads);
	ipc_client_free(s.uploader);
	ipc_client_free(s.gc);
	ipc_client_free(s.signer);
	auth_free(s.auth);
	db_pool_free(s.pool);
	health_free(s.health);
	metrics_free(s.metrics);
	ipc_peers_free(peers);
	sandbox_done(&box);
	opt_done(&program, &c);
	return err_exit(e.kind);
}
