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

struct api_error_body;
struct auth;
struct commit_path;
struct db;
struct db_pool;
struct desc;
struct desc_strs;
struct gcrun;
struct gcrun_params;
struct health;
struct ipc_client;
struct metrics;
struct page_cache;
struct peers;
struct pin;
struct pin_entry;
struct reads;

struct server {
	struct db_pool *pool;
	struct ipc_client *signer;
	struct ipc_client *uploader;
	struct ipc_client *gc;
	const char *store_dir;
	const char *cache_url; /* or NULL */
	struct reads *reads;
	int read_proxy;            /* readers may come to us */
	uint64_t max_nar_size;     /* of one that is pushed; 0: no limit */
	struct page_cache *status; /* the operators' page, for a moment */
	int64_t lease_us;
	int64_t auth_us; /* lifetime of an authorisation */
	struct metrics *metrics;
	struct peers *peers;
	struct health *health;
	struct http_server *_Atomic http; /* NULL until it listens */
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

/* pins.c: as both APIs tell of it; the texts are the pin's and the arena's. */
struct pin_entry server_pin_entry(struct arena *a, const struct pin *pin);

/* authorize.c: completes a multipart upload of S3's, on a connection that is in no
 * transaction: completions of one key exclude each other. */
int server_mpu_complete(struct server *s, struct db *db, struct arena *a,
    const struct mpu_complete *ask, struct mpu_completed *answer,
    struct err *e);

/* sign.c: puts our signatures before those that the paths have. */
int server_sign(struct server *s, struct arena *a, const char *store_dir,
    struct commit_path *paths, size_t n, struct err *e);

/*
 * commit.c: commits an upload. found are keys that were in the bucket already.
 * What is not there is listed in bad->missing, and nothing is changed then.
 */
int server_commit(struct server *s, const char *token, const char *owner,
    const struct desc_strs *found, struct arena *a, struct api_error_body *bad,
    uint64_t *narinfos, struct err *e);

/* gc.c: queues a run, or joins it. Of a CONFLICT, run is the one in the way (or
 * has the id 0). */
int server_queue_run(struct server *s, struct arena *a,
    const struct gcrun_params *p, struct gcrun *run, struct err *e);
/* The same, and answers 202 with it; 409 names the run that is in the way. */
int server_start_run(struct server *s, const struct http_req *q,
    struct http_res *r, const struct gcrun_params *p, struct err *e);

/* Asks the gc worker to look for work. That it is away is no error: it looks by
 * itself when it comes back. */
void server_wake_gc(struct server *s, struct arena *a);

/* cache.c: the audience that tokens of this issuer must be for; NULL where we
 * have nothing to do with it, or issuer is NULL. */
const char *server_oidc_audience(const struct server *s, const char *issuer);
/* The public keys of the signer. */
int server_public_keys(
    struct server *s, struct arena *a, struct desc_strs *out, struct err *e);

http_handler handle_read;
http_handler handle_narinfos;
http_handler handle_root;
http_handler handle_landing;
http_handler handle_status;
http_handler handle_cache_config;
http_handler handle_cache_stats;
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
http_handler handle_whoami;
http_handler handle_doctor;
http_handler handle_ready;
http_handler handle_health;
http_handler handle_readyz;
http_handler handle_metrics;

#endif
