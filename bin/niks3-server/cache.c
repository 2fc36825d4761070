/* GET /health and /healthz (alive), /api/v2/ready (everything it needs is there,
 * or what is not), /api/v2/cache and /api/cache-config (what a client should know),
 * /api/cache-stats (what anybody may). */
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/stats.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../proto/bodies.h"
#include "auth.h"
#include "health.h"
#include "server.h"

#define READY_MS 2000

int
handle_health(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	(void)q;
	r->content_type = "text/plain; charset=utf-8";
	return buf_puts(&r->body, "OK\n", e);
}

int
handle_ready(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	deadline_t d = deadline_in(READY_MS);
	const char *version;

	if (health_database(s, d, e) != 0 ||
	    health_peer(s->signer, "signer", q->arena, d, &version, e) != 0 ||
	    health_peer(s->uploader, "uploader", q->arena, d, &version, e) != 0)
		return -1;
	r->content_type = "text/plain; charset=utf-8";
	return buf_puts(&r->body, "ready\n", e);
}

int
server_public_keys(
    struct server *s, struct arena *a, struct desc_strs *out, struct err *e)
{
	struct sign_keys ask = { 0 };
	struct signing_keys keys;

	if (ipc_call(s->signer, CALL_sign_keys, &ask, a, &keys,
	        deadline_in(READY_MS), e) != 0)
		return -1;
	*out = keys.public_keys;
	return 0;
}

const char *
server_oidc_audience(const struct server *s, const char *issuer)
{
	return issuer != NULL ? auth_oidc_audience(s->auth, issuer) : NULL;
}

int
handle_cache(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct cache_info body = {
		.version = NIKS3_VERSION,
		.store_dir = s->store_dir,
		.cache_url = s->cache_url,
	};

	if (server_public_keys(s, q->arena, &body.public_keys, e) != 0)
		return -1;
	body.oidc_audience =
	    server_oidc_audience(s, http_req_query(q, "issuer"));
	return server_encode(r, 200, &cache_info_desc, &body, e);
}

int
handle_cache_config(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct cache_config body = {
		.substituter_url = s->cache_url != NULL ? s->cache_url : "",
		.oidc_audience =
		    server_oidc_audience(s, http_req_query(q, "issuer")),
		.max_nar_size = s->max_nar_size,
		.pushes = 1,
	};

	if (server_public_keys(s, q->arena, &body.public_keys, e) != 0)
		return -1;
	return server_encode(r, 200, &cache_config_desc, &body, e);
}

int
handle_cache_stats(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct stats stats;
	struct cache_stats body;
	struct db *db;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = stats_get(db, &stats, e);
	db_put(s->pool, db);
	if (rc != 0 ||
	    http_res_header(q, r, "Access-Control-Allow-Origin", "*", e) != 0)
		return -1;
	body.objects = stats.objects;
	body.logical_bytes = stats.bytes;
	return server_encode(r, 200, &cache_stats_desc, &body, e);
}
