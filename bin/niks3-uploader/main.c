/*
 * niks3-uploader: owns the bucket. It holds the S3 credentials, answers the
 * server and the garbage collection over their sockets, which it dials, and
 * talks to nobody but S3. To scale, start more of them.
 */
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/metric.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/ipc/ipc_daemon.h"
#include "../../libcommon/nix/storepath.h"
#include "../../libcommon/s3/s3.h"
#include "../../libcommon/s3/s3_cred.h"
#include "../../proto/metrics.h"
#include "bucket.h"
#include "fan.h"
#include "handlers.h"
#include "sandbox.h"

struct config {
	struct opt_common common;
	struct sandbox_config sandbox;
	const char *endpoint, *public_url, *bucket, *region, *lookup, *ca_cert;
	int use_ssl, use_iam;
	struct secret access_key, secret_key;
	const char *access_key_path, *secret_key_path;
	uint64_t concurrency, rate, workers, priority;
	struct opt_list connect, peers;
	const char *store_dir;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	{ "s3-endpoint", "NIKS3_S3_ENDPOINT", OPT_STR, O(endpoint),
	    OPT_REQUIRED, NULL, "HOST[:PORT]", "the S3 server, or its URL", 0,
	    0 },
	{ "s3-public-url", "NIKS3_S3_PUBLIC_URL", OPT_STR, O(public_url), 0,
	    NULL, "URL", "where clients reach it, if not there", 0, 0 },
	{ "s3-bucket", "NIKS3_S3_BUCKET", OPT_STR, O(bucket), OPT_REQUIRED,
	    NULL, "NAME", "the bucket of the cache", 0, 0 },
	{ "s3-region", "NIKS3_S3_REGION", OPT_STR, O(region), 0, NULL, "REGION",
	    "the bucket's region (default: found out)", 0, 0 },
	{ "s3-use-ssl", "NIKS3_S3_USE_SSL", OPT_BOOL, O(use_ssl), 0, "true",
	    "BOOL", "use https when the endpoint has no scheme", 0, 0 },
	{ "s3-bucket-lookup", "NIKS3_S3_BUCKET_LOOKUP", OPT_STR, O(lookup),
	    OPT_RARE, "auto", "auto|dns|path",
	    "where the bucket stands in URLs", 0, 0 },
	{ "s3-ca-cert", "NIKS3_S3_CA_CERT", OPT_PATH, O(ca_cert), 0, NULL,
	    "FILE", "trust these authorities instead of the system's", 0, 0 },
	{ "s3-use-iam", "NIKS3_S3_USE_IAM", OPT_BOOL, O(use_iam), 0, "false",
	    "BOOL", "take credentials as AWS's SDKs find them", 0, 0 },
	{ "s3-access-key", "NIKS3_S3_ACCESS_KEY", OPT_SECRET, O(access_key),
	    OPT_RARE, NULL, "KEY", "better given by file", 0, 0 },
	{ "s3-secret-key", "NIKS3_S3_SECRET_KEY", OPT_SECRET, O(secret_key),
	    OPT_RARE, NULL, "KEY", "better given by file", 0, 0 },
	{ "s3-access-key-path", "NIKS3_S3_ACCESS_KEY_PATH", OPT_PATH,
	    O(access_key_path), 0, NULL, "FILE", "file with the access key", 0,
	    0 },
	{ "s3-secret-key-path", "NIKS3_S3_SECRET_KEY_PATH", OPT_PATH,
	    O(secret_key_path), 0, NULL, "FILE", "file with the secret key", 0,
	    0 },
	{ "s3-concurrency", "NIKS3_S3_CONCURRENCY", OPT_U64, O(concurrency), 0,
	    "16", "N", "requests to S3 at once", 1, 1000 },
	{ "s3-rate-limit", "NIKS3_S3_RATE_LIMIT", OPT_U64, O(rate), OPT_RARE,
	    "0", "N", "requests a second to start with; 0: no limit", 0,
	    100000 },
	{ "connect", "NIKS3_UPLOADER_CONNECT", OPT_LIST, O(connect), OPT_RARE,
	    "ipc:///run/niks3/upload.sock ipc:///run/niks3/gc-upload.sock",
	    "ADDRESS", "sockets to answer on; repeat", 0, 0 },
	{ "peer", "NIKS3_PEERS", OPT_LIST, O(peers), 0, NULL, "ROLE=USER",
	    "who may be there; repeat (default: our own user)", 0, 0 },
	{ "workers", "NIKS3_UPLOADER_WORKERS", OPT_U64, O(workers), OPT_RARE,
	    "8", "N", "calls answered at once on each socket", 1, 256 },
	{ "store-dir", "NIX_STORE_DIR", OPT_PATH, O(store_dir), 0,
	    STOREPATH_DIR_DEFAULT, "DIR", "StoreDir of nix-cache-info", 0, 0 },
	{ "priority", "NIKS3_CACHE_PRIORITY", OPT_U64, O(priority), 0, "30",
	    "N", "Priority of nix-cache-info", 0, 1000 },
	SANDBOX_OPTIONS(offsetof(struct config, sandbox)),
	{ NULL },
};

static const struct opt_program program = {
	.name = "niks3-uploader",
	.synopsis = "niks3-uploader --s3-endpoint HOST --s3-bucket NAME "
	            "[OPTION]...",
	.summary = "Reads and writes the bucket for niks3-server and niks3-gc.",
	.opts = options,
};

/* The file wins over the value. */
static int
load_secret(struct secret *s, const char *path, const char *what, struct err *e)
{
	if (path != NULL) {
		secret_done(s);
		return secret_load(s, path, SECRET_MAX, NULL, e);
	}
	if (s->len == 0)
		return err_set(e, ERR_USAGE,
		    "no %s: give --%s-path or its variable", what, what);
	return 0;
}

/* The thread of the credentials has something to say. */
static void
tell_credentials(void *ctx, const struct s3_cred_news *n)
{
	(void)ctx;
	if (n->e == NULL)
		log_info("new credentials", LOG_S("source", n->source),
		    LOG_I("life_s", n->life_s));
	else if (n->life_s > 0)
		log_warn("no new credentials yet", LOG_S("source", n->source),
		    LOG_S("error", n->e->msg), LOG_S("hint", n->e->hint),
		    LOG_U("failures", n->failures), LOG_I("life_s", n->life_s));
	else
		log_error("no credentials", LOG_S("source", n->source),
		    LOG_S("error", n->e->msg), LOG_S("hint", n->e->hint),
		    LOG_U("failures", n->failures));
}

/* Those of the options, or a source of others. */
static int
load_credentials(struct config *c, struct s3_options *so, struct err *e)
{
	if (!c->use_iam) {
		so->access_key = &c->access_key;
		so->secret_key = &c->secret_key;
		return load_secret(&c->access_key, c->access_key_path,
		           "s3-access-key", e) != 0 ||
		        load_secret(&c->secret_key, c->secret_key_path,
		            "s3-secret-key", e) != 0
		    ? -1
		    : 0;
	}
	if (c->access_key.len > 0 || c->secret_key.len > 0 ||
	    c->access_key_path != NULL || c->secret_key_path != NULL)
		return err_set(e, ERR_USAGE,
		    "--s3-use-iam and keys given exclude each other");
	return s3_cred_new(
	    &(struct s3_cred_options){ .told = tell_credentials }, &so->cred,
	    e);
}

static int
parse_lookup(const char *s, enum s3_lookup *out, struct err *e)
{
	if (strcasecmp(s, "auto") == 0)
		*out = S3_LOOKUP_AUTO;
	else if (strcasecmp(s, "dns") == 0)
		*out = S3_LOOKUP_DNS;
	else if (strcasecmp(s, "path") == 0)
		*out = S3_LOOKUP_PATH;
	else
		return err_set(e, ERR_USAGE,
		    "--s3-bucket-lookup is auto, dns or path, not %s", s);
	return 0;
}

static void
count_try(void *metrics, enum s3_op op, enum err_kind result, int64_t us)
{
	metric_add(metrics, DAEMON_S3_REQUESTS, AT(op, result), 1);
	metric_observe(metrics, DAEMON_S3_TIME, AT(op), us);
}

/* What is counted elsewhere. */
static void
collect(void *ctx, struct metrics *m)
{
	const struct uploader *u = ctx;
	struct s3_counts counts;

	s3_counts(u->s3, &counts);
	metric_set(m, DAEMON_S3_RETRIES, AT(0), counts.retries);
	metric_set(m, DAEMON_S3_THROTTLED, AT(0), counts.throttled);
	metric_set(m, DAEMON_S3_SENT, AT(0), counts.bytes_out);
	metric_set(m, DAEMON_S3_RECEIVED, AT(0), counts.bytes_in);
	metric_set(m, DAEMON_S3_RATE, AT(0), counts.rate * 1000);
	metric_set(m, DAEMON_S3_WAITING, AT(0), fan_waiting(u->fan));
}

/* Before the first thread; it listens nowhere, so all of it at once. */
static int
confine(const struct config *c, const struct s3 *s3, struct err *e)
{
	struct sandbox box;
	int rc;

	uploader_sandbox(&box, s3, c->workers * c->connect.n + c->concurrency);
	box.required = c->sandbox.required;
	rc = sandbox_begin(&box, e);
	if (rc == 0)
		rc = service_seal(&box, e);
	sandbox_done(&box);
	return rc;
}

static int
serve(const struct config *c, struct s3 *s3, struct s3_cred *cred,
    struct metrics *metrics, const struct ipc_peers *peers, struct err *e)
{
	struct uploader u = { .s3 = s3 };
	struct ipc_server *server = NULL;
	struct s3_counts counts;
	int rc;

	if (confine(c, s3, e) != 0)
		return -1;
	if (cred != NULL)
		s3_cred_start(cred);
	if (bucket_open(s3,
	        &(struct bucket){ c->bucket, c->store_dir, c->priority },
	        e) != 0)
		return -1;
	u.fan = fan_new(s3, c->concurrency);
	rc = ipc_server_new(
	    &(struct ipc_server_options){
	        .self = ROLE_UPLOADER,
	        .addresses = c->connect.items,
	        .naddresses = c->connect.n,
	        .peers = peers,
	        .workers = c->workers,
	        .handlers = handlers,
	        .ctx = &u,
	        .worker_new = handlers_worker_new,
	        .worker_free = handlers_worker_free,
	        .done = ipc_daemon_log,
	        .metrics = metrics,
	        .collect = collect,
	    },
	    &server, e);
	if (rc == 0) {
		log_info("serving", LOG_S("endpoint", c->endpoint),
		    LOG_S("bucket", c->bucket));
		service_ready("serving");
		while (service_wait(deadline_in(INT32_MAX), ipc_server_alive,
		           server) != 0)
			;
		service_stopping();
		ipc_daemon_stop(server);
		s3_counts(s3, &counts);
		log_info("stopped", LOG_U("requests", counts.requests),
		    LOG_U("retries", counts.retries),
		    LOG_U("throttled", counts.throttled));
	}
	fan_free(u.fan);
	return rc;
}

int
main(int argc, char **argv)
{
	struct config c = { 0 };
	struct s3_options so = { 0 };
	struct ipc_peers *peers = NULL;
	struct metrics *metrics;
	struct s3 *s3 = NULL;
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(&program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	service_init(program.name, c.common.log_level);
	http_client_global_init();
	metrics = daemon_metrics_new(ROLE_UPLOADER);
	so = (struct s3_options){
		.endpoint = c.endpoint,
		.use_tls = c.use_ssl,
		.public_url = c.public_url,
		.bucket = c.bucket,
		.region = c.region,
		.ca_file = c.ca_cert,
		.rate = c.rate,
		.tried = count_try,
		.ctx = metrics,
	};
	if (load_credentials(&c, &so, &e) == 0 &&
	    parse_lookup(c.lookup, &so.lookup, &e) == 0 &&
	    storepath_check_dir(c.store_dir, &e) == 0 &&
	    ipc_peers_parse(c.peers.items, c.peers.n, &peers, &e) == 0 &&
	    s3_new(&so, &s3, &e) == 0 && !c.common.check)
		serve(&c, s3, so.cred, metrics, peers, &e);
	if (e.kind != ERR_NONE)
		log_err(LOG_LEVEL_ERROR, "cannot start", &e);
	s3_free(s3);
	s3_cred_free(so.cred);
	metrics_free(metrics);
	ipc_peers_free(peers);
	opt_done(&program, &c);
	return err_exit(e.kind);
}
