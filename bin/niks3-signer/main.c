/*
 * niks3-signer: holds the Nix signing keys and nothing else.
 *
 * It takes store path, NAR hash, NAR size and references, checks each, builds
 * the fingerprint itself and signs that: it never signs bytes that somebody
 * else put together. It has no network, no database and, once it runs, no
 * reason to open a file.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/metric.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/ipc/ipc_daemon.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/signkey.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/metrics.h"
#include "sandbox.h"

#define KEYS_MAX        64
#define FINGERPRINT_MAX ((size_t)4 << 20) /* 10,000 references and more */
#define WORKERS         2

struct config {
	struct opt_common common;
	struct sandbox_config sandbox;
	struct opt_list keys;
	const char *listen;
	struct opt_list peers;
};

static const struct opt options[] = {
	{ "sign-key-path", "NIKS3_SIGN_KEY_PATHS", OPT_LIST,
	    offsetof(struct config, keys), OPT_REQUIRED, NULL, "FILE",
	    "a key of `nix key generate-secret`; repeat for more", 0, 0 },
	{ "listen", "NIKS3_SIGNER_SOCKET", OPT_STR,
	    offsetof(struct config, listen), 0, "ipc:///run/niks3/signer.sock",
	    "ADDRESS", "where the server asks for signatures", 0, 0 },
	{ "peer", "NIKS3_PEERS", OPT_LIST, offsetof(struct config, peers), 0,
	    NULL, "ROLE=USER",
	    "who may connect; repeat (default: our own user)", 0, 0 },
	SANDBOX_OPTIONS(offsetof(struct config, sandbox)),
	{ NULL },
};

static const struct opt_program program = {
	.name = "niks3-signer",
	.synopsis = "niks3-signer --sign-key-path FILE [OPTION]...",
	.summary = "Signs narinfos for niks3-server.",
	.opts = options,
};

struct signer {
	struct signkey *keys[KEYS_MAX];
	size_t nkeys;
	struct metrics *metrics; /* of daemon_metrics */
};

static int
load_keys(struct signer *s, const struct opt_list *paths, struct err *e)
{
	if (paths->n > KEYS_MAX)
		return err_set(
		    e, ERR_USAGE, "more than %d signing keys", KEYS_MAX);
	for (size_t i = 0; i < paths->n; i++) {
		struct secret text = { 0 };
		unsigned mode;
		int rc;

		rc = secret_load(&text, paths->items[i], SECRET_MAX, &mode, e);
		if (rc == 0)
			rc = signkey_parse(&text, &s->keys[i], e);
		secret_done(&text);
		if (rc != 0)
			return err_prefix(e, "signing key %s", paths->items[i]);
		s->nkeys++;
		if (mode & (S_IRGRP | S_IROTH | S_IWGRP | S_IWOTH))
			log_warn("signing key is open to other users",
			    LOG_S("file", paths->items[i]),
			    LOG_S("hint", "chmod 600"));
		for (size_t k = 0; k < i; k++)
			if (strcmp(signkey_name(s->keys[k]),
			        signkey_name(s->keys[i])) == 0)
				return err_set(e, ERR_USAGE,
				    "two signing keys are named %s",
				    signkey_name(s->keys[i]));
	}
	return 0;
}

/* Signs one item with every key. What it signs, it has checked. */
static int
sign_item(const struct signer *s, const char *store_dir,
    const struct sign_item *item, struct sign_result *out, struct arena *a,
    struct err *e)
{
	struct hash nar_hash;
	struct buf text;
	const char **sigs;
	char sig[SIGNKEY_TEXT_MAX];
	int rc = -1;

	buf_init(&text, FINGERPRINT_MAX);
	if (storepath_check_base(item->base, strlen(item->base), e) != 0)
		goto out;
	for (size_t i = 0; i < item->refs.n; i++) {
		const char *ref = item->refs.items[i];

		if (storepath_check_base(ref, strlen(ref), e) != 0)
			goto out;
		if (i > 0 && strcmp(item->refs.items[i - 1], ref) >= 0) {
			err_set(e, ERR_INVALID, "references are not sorted");
			goto out;
		}
	}
	memcpy(nar_hash.sha256, item->nar_hash, sizeof nar_hash.sha256);
	if (narinfo_fingerprint(store_dir, item->base, &nar_hash,
	        item->nar_size, item->refs.items, item->refs.n, &text, e) != 0)
		goto out;
	if ((sigs = arena_array(a, s->nkeys, sizeof *sigs)) == NULL) {
		arena_full(a, e);
		goto out;
	}
	for (size_t k = 0; k < s->nkeys; k++) {
		signkey_sign(s->keys[k], text.data, text.len, sig);
		if ((sigs[k] = arena_str(a, sig)) == NULL) {
			arena_full(a, e);
			goto out;
		}
	}
	metric_add(s->metrics, DAEMON_SIGNATURES, AT(0), s->nkeys);
	out->sigs.items = sigs;
	out->sigs.n = s->nkeys;
	rc = 0;
out:
	buf_done(&text);
	return rc;
}

static int
handle_nar_sign(void *worker, const void *request, void *reply, struct arena *a,
    deadline_t d, struct err *e)
{
	const struct signer *s = worker;
	const struct nar_sign *q = request;
	struct nar_signed *r = reply;
	struct sign_result *items;

	(void)d;
	if (storepath_check_dir(q->store_dir, e) != 0)
		return -1;
	if ((items = arena_array(a, q->items.n, sizeof *items)) == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < q->items.n; i++)
		if (sign_item(s, q->store_dir, &q->items.items[i], &items[i], a,
		        e) != 0)
			return err_prefix(e, "sign %s", q->items.items[i].base);
	r->items.items = items;
	r->items.n = q->items.n;
	return 0;
}

static int
handle_sign_keys(void *worker, const void *request, void *reply,
    struct arena *a, deadline_t d, struct err *e)
{
	const struct signer *s = worker;
	struct signing_keys *r = reply;
	const char **keys;

	(void)request;
	(void)d;
	if ((keys = arena_array(a, s->nkeys, sizeof *keys)) == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < s->nkeys; i++)
		keys[i] = signkey_public(s->keys[i]);
	r->public_keys.items = keys;
	r->public_keys.n = s->nkeys;
	return 0;
}

static ipc_handler *const handlers[CALL__MAX] = {
	[CALL_ping] = ipc_daemon_ping,
	[CALL_nar_sign] = handle_nar_sign,
	[CALL_sign_keys] = handle_sign_keys,
};

static void *
worker_new(void *ctx)
{
	return ctx; /* keys are only read after the start */
}

int
main(int argc, char **argv)
{
	struct config c = { 0 };
	struct signer s = { 0 };
	struct sandbox box;
	struct ipc_peers *peers = NULL;
	struct ipc_server *server = NULL;
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(&program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	service_init(program.name, c.common.log_level);
	signer_sandbox(&box, c.listen);
	box.required = c.sandbox.required;
	if (load_keys(&s, &c.keys, &e) != 0 ||
	    ipc_peers_parse(c.peers.items, c.peers.n, &peers, &e) != 0)
		goto out;
	if (c.common.check || sandbox_begin(&box, &e) != 0)
		goto out;
	s.metrics = daemon_metrics_new(ROLE_SIGNER);
	metric_set(s.metrics, DAEMON_SIGN_KEYS, AT(0), s.nkeys);
	if (ipc_server_new(
	        &(struct ipc_server_options){
	            .self = ROLE_SIGNER,
	            .addresses = &c.listen,
	            .naddresses = 1,
	            .listen = 1,
	            .mode = 0660,
	            .peers = peers,
	            .workers = WORKERS,
	            .handlers = handlers,
	            .ctx = &s,
	            .worker_new = worker_new,
	            .done = ipc_daemon_log,
	            .metrics = s.metrics,
	        },
	        &server, &e) != 0 ||
	    service_seal(&box, &e) != 0)
		goto out;
	for (size_t i = 0; i < s.nkeys; i++)
		log_info(
		    "signing key", LOG_S("public", signkey_public(s.keys[i])));
	log_info("listening", LOG_S("address", c.listen));
	service_ready("signing");
	while (
	    service_wait(deadline_in(INT32_MAX), ipc_server_alive, server) != 0)
		;
	service_stopping();
	ipc_daemon_stop(server);
out:
	if (e.kind != ERR_NONE)
		log_err(LOG_LEVEL_ERROR, "cannot start", &e);
	for (size_t i = 0; i < s.nkeys; i++)
		signkey_free(s.keys[i]);
	metrics_free(s.metrics);
	ipc_peers_free(peers);
	sandbox_done(&box);
	opt_done(&program, &c);
	return err_exit(e.kind);
}
