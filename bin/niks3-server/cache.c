/* GET /health (alive), /api/v2/ready (everything it needs is there),
 * /api/v2/cache (what a client should know). */
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../proto/bodies.h"
#include "auth.h"
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
	struct ping ping = { 0 };
	struct pong pong;
	struct db *db;
	int rc;

	if (db_get(s->pool, d, &db, e) != 0)
		return err_prefix(e, "database");
	rc = db_schema_check(db, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	if (ipc_call(s->signer, CALL_ping, &ping, q->arena, &pong, d, e) != 0)
		return err_prefix(e, "signer");
	if (ipc_call(s->uploader, CALL_ping, &ping, q->arena, &pong, d, e) != 0)
		return err_prefix(e, "uploader");
	r->content_type = "text/plain; charset=utf-8";
	return buf_puts(&r->body, "ready\n", e);
}

int
handle_cache(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct sign_keys ask = { 0 };
	struct signing_keys keys;
	const char *issuer = http_req_query(q, "issuer");
	struct cache_info body = {
		.version = NIKS3_VERSION,
		.store_dir = s->store_dir,
		.cache_url = s->cache_url,
	};

	if (ipc_call(s->signer, CALL_sign_keys, &ask, q->arena, &keys,
	        deadline_in(READY_MS), e) != 0)
		return -1;
	body.public_keys = keys.public_keys;
	if (issuer != NULL)
		body.oidc_audience = auth_oidc_audience(s->auth, issuer);
	return server_encode(r, 200, &cache_info_desc, &body, e);
}
