/* The routes, who may take them (auth.h), and what every handler needs. */
#include <string.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/ipc/ipc.h"
#include "server.h"

#define BODY_UPLOAD ((size_t)128 << 20) /* a closure of 400,000 paths */
#define BODY_MEDIUM ((size_t)8 << 20)
#define BODY_SMALL  ((size_t)64 << 10)

#define V2          "/api/v2"
#define COLLECT     (SCOPE_GC | SCOPE_ADMIN)

const struct http_route routes[] = {
	{ "GET", "/health", handle_health, 0, SCOPE_NONE },
	{ "GET", V2 "/ready", handle_ready, 0, SCOPE_WRITE },
	{ "GET", V2 "/cache", handle_cache, 0, SCOPE_NONE },
	{ "POST", V2 "/present", handle_present, BODY_MEDIUM, SCOPE_WRITE },
	{ "POST", V2 "/uploads", handle_upload_begin, BODY_UPLOAD,
	    SCOPE_WRITE },
	{ "DELETE", V2 "/uploads/{id}", handle_upload_abort, 0, SCOPE_WRITE },
	{ "POST", V2 "/uploads/{id}/authorize", handle_authorize, BODY_MEDIUM,
	    SCOPE_WRITE },
	{ "POST", V2 "/uploads/{id}/multipart", handle_multipart, BODY_SMALL,
	    SCOPE_WRITE },
	{ "POST", V2 "/uploads/{id}/multipart/complete",
	    handle_multipart_complete, BODY_MEDIUM, SCOPE_WRITE },
	{ "POST", V2 "/uploads/{id}/commit", handle_commit, BODY_MEDIUM,
	    SCOPE_WRITE },
	{ "POST", V2 "/gc", handle_gc_start, BODY_SMALL, COLLECT },
	{ "GET", V2 "/gc", handle_gc_history, 0, COLLECT },
	{ "GET", V2 "/gc/{id}", handle_gc_status, 0, COLLECT },
	{ "GET", V2 "/gc/{id}/roots", handle_gc_roots, 0, COLLECT },
	{ "GET", V2 "/closures", handle_closures_list, 0, SCOPE_READ },
	{ "GET", V2 "/closures/{name}", handle_closure_get, 0, SCOPE_READ },
	{ "DELETE", V2 "/closures/{name}", handle_closure_delete, 0,
	    SCOPE_ADMIN },
	{ "GET", V2 "/why", handle_why, 0, SCOPE_READ },
	{ "GET", V2 "/why/{name}", handle_why, 0, SCOPE_READ },
	{ "GET", V2 "/pins", handle_pins_list, 0, SCOPE_READ | SCOPE_PIN },
	{ "PUT", V2 "/pins/{name}", handle_pin_set, BODY_SMALL,
	    SCOPE_WRITE | SCOPE_PIN | SCOPE_PIN_SET },
	{ "DELETE", V2 "/pins/{name}", handle_pin_delete, 0,
	    SCOPE_PIN | SCOPE_ADMIN },
	{ "GET", V2 "/tokens", handle_tokens_list, 0, SCOPE_ADMIN },
	{ "POST", V2 "/tokens", handle_token_create, BODY_SMALL, SCOPE_ADMIN },
	{ "DELETE", V2 "/tokens/{which}", handle_token_revoke, 0, SCOPE_ADMIN },
	{ NULL },
};

int64_t
server_auth_memory_us(const struct server *s)
{
	return s->auth_us + s->auth_us / 10 + 1000000;
}

int
server_db(struct server *s, struct db **out, struct err *e)
{
	return db_get(s->pool, deadline_in(SERVER_DB_MS), out, e);
}

int
server_decode(
    const struct http_req *q, const struct desc *d, void *out, struct err *e)
{
	return json_decode(d, q->body, q->body_len, q->arena, out, e);
}

int
server_encode(struct http_res *r, int status, const struct desc *d,
    const void *body, struct err *e)
{
	r->status = status;
	return json_encode(d, body, &r->body, e);
}

int
server_query_u64(const struct http_req *q, const char *name, uint64_t fallback,
    uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
	const char *text = http_req_query(q, name);
	uint64_t n = fallback;

	if (text != NULL && num_parse_u64(text, strlen(text), max, &n, e) != 0)
		return err_prefix(e, "%s", name);
	if (n < min)
		return err_set(e, ERR_INVALID, "%s: must be at least %llu",
		    name, (unsigned long long)min);
	*out = n;
	return 0;
}

const char *
server_time(struct arena *a, int64_t us)
{
	char text[CLOCK_RFC3339_MAX];

	return us == 0 ? NULL : arena_str(a, clock_fmt_rfc3339(text, us));
}

void
server_wake_gc(struct server *s, struct arena *a)
{
	struct gc_wake q = { 0 };
	struct done r;
	struct err e = ERR_INIT;

	if (ipc_call(s->gc, CALL_gc_wake, &q, a, &r, deadline_in(1000), &e) !=
	    0)
		log_err(LOG_LEVEL_INFO, "gc worker not woken", &e);
}
