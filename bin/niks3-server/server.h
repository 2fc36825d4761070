/*
 * niks3-server: what all of its request handlers share. Read-only after the
 * start; every part is thread-safe by itself.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "../../libcommon/http/server.h"
#include "../../proto/messages.h"
#include "../../proto/scopes.h"

struct auth;
struct db;
struct db_pool;
struct desc;
struct gcrun_params;
struct ipc_client;

struct server {
	struct db_pool *pool;
	struct ipc_client *signer;
	struct ipc_client *uploader;
	struct ipc_client *gc;
	const char *store_dir;
	const char *cache_url; /* or NULL */
	int64_t lease_us;
	int64_t auth_us; /* lifetime of an authorisation */
	struct auth *auth;
};

/* How long the parts of a request may take, each. */
#define SERVER_DB_MS       30000
#define SERVER_IPC_MS      60000
#define SERVER_COMPLETE_MS 300000 /* S3 may take minutes over 10,000 parts */

/*
 * For how long a row remembers that its object may still be written: somewhat
 * longer than the authorisation lives, for it is signed later and by another
 * clock.
 */
int64_t server_auth_memory_us(const struct server *s);

/*
 * What a route may ask for beside the scopes of proto/scopes.h, of which it names
 * those that will do.
 */
#define SCOPE_PUBLIC  64  /* for everybody, unless reads are gated */
#define SCOPE_PIN_SET 128 /* its first parameter names a pin to be set */

extern const struct http_route routes[];

/* A connection to the database for the next steps of a request. */
int server_db(struct server *s, struct db **out, struct err *e);
/* Decodes a body, and encodes an answer. */
int server_decode(
    const struct http_req *q, const struct desc *d, void *out, struct err *e);
int server_encode(struct http_res *r, int status, const struct desc *d,
    const void *body, struct err *e);

/* A number in the query string, fallback when it is not there; ERR_INVALID names
 * it. */
int server_query_u64(const struct http_req *q, const char *name,
    uint64_t fallback, uint64_t min, uint64_t max, uint64_t *out,
    struct err *e);
/* As answers have it, in RFC 3339; NULL for 0, which is never. */
const char *server_time(struct arena *a, int64_t us);

/* gc.c: queues a run, or joins it, and answers 202 with it; 409 names the run
 * that is in the way. */
int server_start_run(struct server *s, const struct http_req *q,
    struct http_res *r, const struct gcrun_params *p, struct err *e);

/* Asks the gc worker to look for work. That it is away is no error: it looks by
 * itself when it comes back. */
void server_wake_gc(struct server *s, struct arena *a);

http_handler handle_present;
http_handler handle_upload_begin;
http_handler handle_upload_abort;
http_handler handle_authorize;
http_handler handle_multipart;
http_handler handle_multipart_complete;
http_handler handle_commit;
http_handler handle_gc_start;
http_handler handle_gc_status;
http_handler handle_gc_history;
http_handler handle_gc_roots;
http_handler handle_closures_list;
http_handler handle_closure_get;
http_handler handle_closure_delete;
http_handler handle_why;
http_handler handle_pins_list;
http_handler handle_pin_set;
http_handler handle_pin_delete;
http_handler handle_tokens_list;
http_handler handle_token_create;
http_handler handle_token_revoke;
http_handler handle_cache;
http_handler handle_ready;
http_handler handle_health;

#endif
