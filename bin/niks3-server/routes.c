/* The routes, who may take them (auth.h), and what every handler needs. */
#include <string.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/ipc/ipc.h"
#include "compat.h"
#include "server.h"

#define BODY_UPLOAD ((size_t)128 << 20) /* a closure of 400,000 paths */
#define BODY_MEDIUM ((size_t)8 << 20)
#define BODY_SMALL  ((size_t)64 << 10)

#define V1          "/api" /* the compatible one */
#define V2          "/api/v2"
#define COLLECT     (SCOPE_GC | SCOPE_ADMIN)
#define READERS     (SCOPE_READ | SCOPE_PUBLIC)

const struct http_route routes[] = {
	{ "GET", "/health", handle_health, 0, SCOPE_NONE },
	{ "GET", "/healthz", handle_health, 0, SCOPE_NONE },
	{ "GET", "/ready", handle_readyz, 0, SCOPE_NONE },
	{ "GET", "/readyz", handle_readyz, 0, SCOPE_NONE },
	{ "GET", "/metrics", handle_metrics, 0, SCOPE_NONE },
	{ "GET", V2 "/ready", handle_ready, 0, SCOPE_WRITE },
	{ "GET", V2 "/cache", handle_cache, 0, SCOPE_NONE },
	{ "GET", V2 "/whoami", handle_whoami, 0, SCOPE_ALL },
	{ "POST", V2 "/doctor", handle_doctor, 0, SCOPE_ADMIN },
	{ "GET", "/api/cache-config", handle_cache_config, 0, SCOPE_NONE },
	{ "GET", "/api/cache-stats", handle_cache_stats, 0, SCOPE_NONE },
	{ "POST", V2 "/narinfos", handle_narinfos, BODY_SMALL, READERS },
	{ "GET", "/status", handle_status, 0, SCOPE_ADMIN,
	    "Basic realm=\"niks3\", charset=\"UTF-8\"" },
	{ "GET", "/", handle_root, 0, SCOPE_NONE },
	{ "GET", "/index.html", handle_landing, 0, SCOPE_NONE },
	{ "GET", "/{name}", handle_read, 0, READERS },
	{ "GET", "/nar/{name}", handle_read, 0, READERS },
	{ "GET", "/log/{name}", handle_read, 0, READERS },
	{ "GET", "/realisations/{name}", handle_read, 0, READERS },
	{ "GET", "/pins/{name}", handle_read, 0, READERS },
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
	{ "POST", V1 "/pending_closures", handle_compat_closure_begin,
	    BODY_UPLOAD, SCOPE_WRITE },
	{ "DELETE", V1 "/pending_closures", handle_compat_cleanup, 0, COLLECT },
	{ "POST", V1 "/pending_closures/{id}/sign", handle_compat_sign,
	    BODY_UPLOAD, SCOPE_WRITE },
	{ "POST", V1 "/pending_closures/{id}/complete",
	    handle_compat_closure_complete, BODY_SMALL, SCOPE_WRITE },
	{ "POST", V1 "/pushes", handle_compat_push_begin, BODY_UPLOAD,
	    SCOPE_WRITE },
	{ "POST", V1 "/pushes/{id}/sign", handle_compat_sign, BODY_UPLOAD,
	    SCOPE_WRITE },
	{ "POST", V1 "/pushes/{id}/complete", handle_compat_push_complete,
	    BODY_SMALL, SCOPE_WRITE },
	{ "POST", V1 "/multipart/request-parts", handle_compat_part_urls,
	    BODY_MEDIUM, SCOPE_WRITE },
	{ "POST", V1 "/multipart/complete", handle_compat_parts_complete,
	    BODY_MEDIUM, SCOPE_WRITE },
	{ "POST", V1 "/uploads/complete", handle_compat_written, BODY_MEDIUM,
	    SCOPE_WRITE },
	{ "POST", V1 "/uploads/skipped", handle_compat_skipped, BODY_MEDIUM,
	    SCOPE_WRITE },
	{ "HEAD", V1 "/objects/{key...}", handle_compat_object, 0,
	    SCOPE_WRITE },
	{ "POST", V1 "/objects/present", handle_compat_present, BODY_UPLOAD,
	    SCOPE_WRITE },
	{ "GET", V1 "/closures/{key}", handle_compat_closure, 0, SCOPE_WRITE },
	{ "DELETE", V1 "/closures", handle_compat_gc_start, 0, COLLECT },
	{ "GET", V1 "/gc/status", handle_compat_gc_status, 0, COLLECT },
	{ "GET", V1 "/pins", handle_compat_pins, 0, SCOPE_WRITE | SCOPE_PIN },
	{ "POST", V1 "/pins/{name}", handle_compat_pin_set, BODY_SMALL,
	    SCOPE_WRITE | SCOPE_PIN | SCOPE_PIN_SET },
	{ "DELETE", V1 "/pins/{name}", handle_compat_pin_delete, 0,
	    SCOPE_PIN | SCOPE_ADMIN },
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
