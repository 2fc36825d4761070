/*
 * Bodies of the native HTTP API (/api/v2), in JSON by codec/json.h. The same
 * tables serve the server and the command line.
 */
#ifndef PROTO_BODIES_H
#define PROTO_BODIES_H

#include "../libcommon/codec/desc.h"

#define API_PATHS_MAX     2000000 /* paths of one closure */
#define API_ROOTS_MAX     10000
#define API_AUTHORIZE_MAX 256 /* objects of one authorize request */
#define API_BASE_MAX      244
#define API_KEY_MAX       1024
#define API_PARTS_MAX     10000
#define API_ID_MAX        64
#define API_PINS_MAX      1000000
#define API_CURSOR_MAX    64
#define API_AGE_MAX       (100LL * 365 * 86400) /* seconds */

/* POST /api/v2/present: base names of root paths. The answer holds those whose
 * closures are complete and live; each was refreshed. */
#define PRESENT_REQUEST_FIELDS(S, F, L, O) \
	F(S, STRS, roots, API_ROOTS_MAX, DESC_REQUIRED)
DESC_DECLARE(present_request, PRESENT_REQUEST_FIELDS)
#define PRESENT_REPLY_FIELDS(S, F, L, O) F(S, STRS, present, API_ROOTS_MAX, 0)
DESC_DECLARE(present_reply, PRESENT_REPLY_FIELDS)

/*
 * POST /api/v2/uploads: the whole closure of the roots. refs are positions in
 * paths, so a closure that is not closed cannot be said. log is the base name
 * of the derivation whose log will be uploaded; realisations are ids.
 */
#define PATH_ENTRY_FIELDS(S, F, L, O)                 \
	F(S, STR, path, API_BASE_MAX, DESC_REQUIRED)  \
	F(S, STR, nar_hash, 100, DESC_REQUIRED)       \
	F(S, U64, nar_size, INT64_MAX, DESC_REQUIRED) \
	F(S, U32S, refs, 10000, DESC_OMIT)            \
	F(S, STR, deriver, API_BASE_MAX, DESC_OMIT)   \
	F(S, STR, ca, 512, DESC_OMIT)                 \
	F(S, STRS, sigs, 64, DESC_OMIT)               \
	F(S, STR, log, API_BASE_MAX, DESC_OMIT)       \
	F(S, STRS, realisations, 64, DESC_OMIT)
DESC_DECLARE(path_entry, PATH_ENTRY_FIELDS)
#define UPLOAD_REQUEST_FIELDS(S, F, L, O)               \
	F(S, STR, store_dir, 255, DESC_REQUIRED)        \
	F(S, U32S, roots, API_ROOTS_MAX, DESC_REQUIRED) \
	L(S, path_entry, paths, API_PATHS_MAX, DESC_REQUIRED)
DESC_DECLARE(upload_request, UPLOAD_REQUEST_FIELDS)
/* missing: keys that the client must upload; narinfos are the server's to
 * write and are only counted. */
#define UPLOAD_REPLY_FIELDS(S, F, L, O)                        \
	F(S, STR, id, API_ID_MAX, DESC_REQUIRED | DESC_SECRET) \
	F(S, U64, lease_ms, INT64_MAX, DESC_REQUIRED)          \
	F(S, U64, narinfos, INT64_MAX, 0)                      \
	F(S, STRS, missing, API_PATHS_MAX * 4, 0)
DESC_DECLARE(upload_reply, UPLOAD_REPLY_FIELDS)

/* POST …/{id}/authorize. part 0 is a whole object. */
#define AUTHORIZE_OBJECT_FIELDS(S, F, L, O)        \
	F(S, STR, key, API_KEY_MAX, DESC_REQUIRED) \
	F(S, U64, size, INT64_MAX, DESC_REQUIRED)  \
	F(S, HEX, sha256, 32, DESC_REQUIRED)       \
	F(S, STR, upload_id, 1024, DESC_OMIT)      \
	F(S, U64, part, 10000, DESC_OMIT)
DESC_DECLARE(authorize_object, AUTHORIZE_OBJECT_FIELDS)
#define AUTHORIZE_REQUEST_FIELDS(S, F, L, O) \
	L(S, authorize_object, objects, API_AUTHORIZE_MAX, DESC_REQUIRED)
DESC_DECLARE(authorize_request, AUTHORIZE_REQUEST_FIELDS)
/* A PUT to url with exactly these headers; in the order of the request. A 412
 * from S3 means that the object is there already: say so at commit (found). */
#define AUTHORIZED_PUT_FIELDS(S, F, L, O)                 \
	F(S, STR, url, 4096, DESC_REQUIRED | DESC_SECRET) \
	F(S, STRS, headers, 16, DESC_SECRET)
DESC_DECLARE(authorized_put, AUTHORIZED_PUT_FIELDS)
#define AUTHORIZE_REPLY_FIELDS(S, F, L, O)            \
	F(S, U64, lifetime_ms, 900000, DESC_REQUIRED) \
	L(S, authorized_put, puts, API_AUTHORIZE_MAX, 0)
DESC_DECLARE(authorize_reply, AUTHORIZE_REPLY_FIELDS)

/* POST …/{id}/multipart: begins a multipart upload of one of the keys. */
#define MULTIPART_REQUEST_FIELDS(S, F, L, O) \
	F(S, STR, key, API_KEY_MAX, DESC_REQUIRED)
DESC_DECLARE(multipart_request, MULTIPART_REQUEST_FIELDS)
#define MULTIPART_REPLY_FIELDS(S, F, L, O) \
	F(S, STR, upload_id, 1024, DESC_REQUIRED)
DESC_DECLARE(multipart_reply, MULTIPART_REPLY_FIELDS)

/* POST …/{id}/multipart/complete: size and sha256 are of the whole object. */
#define COMPLETE_PART_FIELDS(S, F, L, O)        \
	F(S, U64, number, 10000, DESC_REQUIRED) \
	F(S, STR, etag, 256, DESC_REQUIRED)
DESC_DECLARE(complete_part, COMPLETE_PART_FIELDS)
#define COMPLETE_REQUEST_FIELDS(S, F, L, O)        \
	F(S, STR, key, API_KEY_MAX, DESC_REQUIRED) \
	F(S, STR, upload_id, 1024, DESC_REQUIRED)  \
	F(S, U64, size, INT64_MAX, DESC_REQUIRED)  \
	F(S, HEX, sha256, 32, DESC_REQUIRED)       \
	L(S, complete_part, parts, API_PARTS_MAX, DESC_REQUIRED)
DESC_DECLARE(complete_request, COMPLETE_REQUEST_FIELDS)
#define COMPLETE_REPLY_FIELDS(S, F, L, O) F(S, BOOL, existed, 1, 0)
DESC_DECLARE(complete_reply, COMPLETE_REPLY_FIELDS)

/* POST …/{id}/commit: found are keys that were in the bucket already. */
#define COMMIT_REQUEST_FIELDS(S, F, L, O) \
	F(S, STRS, found, API_PATHS_MAX * 4, DESC_OMIT)
DESC_DECLARE(commit_request, COMMIT_REQUEST_FIELDS)
#define COMMIT_REPLY_FIELDS(S, F, L, O)   \
	F(S, U64, narinfos, INT64_MAX, 0) \
	F(S, STRS, missing, 10000, DESC_OMIT)
DESC_DECLARE(commit_reply, COMMIT_REPLY_FIELDS)

/* ---- gc ---- */

/*
 * POST /api/v2/gc: durations in seconds. 202 with the run, a new one or the one
 * under way when that does the same; 409 when it does not. dry_run changes
 * nothing and finds out what would go. max_share: per cent of the live objects;
 * a run that would delete more stops before it does; 0 is the worker's setting.
 */
#define GC_REQUEST_FIELDS(S, F, L, O)                               \
	F(S, U64, older_than_s, API_AGE_MAX, DESC_REQUIRED)         \
	F(S, U64, pending_older_than_s, API_AGE_MAX, DESC_REQUIRED) \
	F(S, BOOL, force, 1, 0)                                     \
	F(S, BOOL, dry_run, 1, DESC_OMIT)                           \
	F(S, U64, max_share, 100, DESC_OMIT)
DESC_DECLARE(gc_request, GC_REQUEST_FIELDS)
/*
 * GET /api/v2/gc/{id}, GET /api/v2/gc/latest. Times are RFC 3339. state:
 * queued, running, succeeded, failed. kind: collect, dry-run, or delete, whose
 * target is the key of a closure's narinfo. error_kind is one of errors.def.
 * objects_live and objects_garbage are what marking found; bytes_garbage is only
 * known to a dry run, and so are objects_due and bytes_due: what earlier runs
 * have marked and this one would delete.
 */
#define GC_STATUS_FIELDS(S, F, L, O)                    \
	F(S, U64, id, INT64_MAX, DESC_REQUIRED)         \
	F(S, STR, kind, 32, DESC_REQUIRED)              \
	F(S, STR, state, 32, DESC_REQUIRED)             \
	F(S, STR, phase, 64, DESC_OMIT)                 \
	F(S, STR, error, 1024, DESC_OMIT)               \
	F(S, STR, error_kind, 32, DESC_OMIT)            \
	F(S, STR, error_hint, 512, DESC_OMIT)           \
	F(S, U64, older_than_s, INT64_MAX, 0)           \
	F(S, U64, pending_older_than_s, INT64_MAX, 0)   \
	F(S, BOOL, force, 1, 0)                         \
	F(S, U64, max_share, 100, DESC_OMIT)            \
	F(S, STR, target, API_KEY_MAX, DESC_OMIT)       \
	F(S, BOOL, at_once, 1, DESC_OMIT)               \
	F(S, U64, objects_live, INT64_MAX, 0)           \
	F(S, U64, objects_garbage, INT64_MAX, 0)        \
	F(S, U64, bytes_garbage, INT64_MAX, DESC_OMIT)  \
	F(S, U64, objects_due, INT64_MAX, DESC_OMIT)    \
	F(S, U64, bytes_due, INT64_MAX, DESC_OMIT)      \
	F(S, U64, failed_uploads_deleted, INT64_MAX, 0) \
	F(S, U64, old_closures_deleted, INT64_MAX, 0)   \
	F(S, U64, objects_marked, INT64_MAX, 0)         \
	F(S, U64, objects_revived, INT64_MAX, 0)        \
	F(S, U64, objects_deleted, INT64_MAX, 0)        \
	F(S, U64, bytes_deleted, INT64_MAX, 0)          \
	F(S, U64, objects_failed, INT64_MAX, 0)         \
	F(S, STR, created_at, 40, DESC_OMIT)            \
	F(S, STR, started_at, 40, DESC_OMIT)            \
	F(S, STR, updated_at, 40, DESC_OMIT)            \
	F(S, STR, finished_at, 40, DESC_OMIT)
DESC_DECLARE(gc_status, GC_STATUS_FIELDS)
/* GET /api/v2/gc?before=ID&limit=N: newest first. */
#define API_RUNS_MAX                  1000
#define GC_HISTORY_FIELDS(S, F, L, O) L(S, gc_status, runs, API_RUNS_MAX, 0)
DESC_DECLARE(gc_history, GC_HISTORY_FIELDS)
/*
 * GET /api/v2/gc/{id}/roots, of a dry run: what would go with each closure, most
 * bytes first; without a store_path, what no closure needs already. An object
 * that several of them need is counted once. Of more closures than this only
 * those with the most bytes are there.
 */
#define API_GC_ROOTS_MAX 10000
#define GC_ROOT_FIELDS(S, F, L, O)            \
	F(S, STR, store_path, 500, DESC_OMIT) \
	F(S, STR, updated_at, 40, DESC_OMIT)  \
	F(S, U64, objects, INT64_MAX, 0)      \
	F(S, U64, bytes, INT64_MAX, 0)
DESC_DECLARE(gc_root, GC_ROOT_FIELDS)
#define GC_PLAN_FIELDS(S, F, L, O)          \
	O(S, gc_status, run, DESC_REQUIRED) \
	L(S, gc_root, roots, API_GC_ROOTS_MAX, 0)
DESC_DECLARE(gc_plan, GC_PLAN_FIELDS)

/* ---- closures ---- */

/*
 * GET /api/v2/closures?after=CURSOR&limit=N: oldest first; next is the cursor of
 * the next page, absent on the last. GET /api/v2/closures/{hash-name}: one.
 * DELETE /api/v2/closures/{hash-name}?now=BOOL&max_share=N: 202 with the run that
 * takes it away, 409 like POST /api/v2/gc or when it is pinned. objects and bytes are of
 * all that it needs, as it was pushed last; absent when nobody counted.
 */
#define API_CLOSURES_MAX 10000
#define CLOSURE_ENTRY_FIELDS(S, F, L, O)          \
	F(S, STR, store_path, 500, DESC_REQUIRED) \
	F(S, STR, created_at, 40, 0)              \
	F(S, STR, updated_at, 40, 0)              \
	F(S, U64, objects, INT64_MAX, DESC_OMIT)  \
	F(S, U64, bytes, INT64_MAX, DESC_OMIT)    \
	F(S, STRS, pins, API_PINS_MAX, 0)
DESC_DECLARE(closure_entry, CLOSURE_ENTRY_FIELDS)
#define CLOSURE_LIST_FIELDS(S, F, L, O)                    \
	L(S, closure_entry, closures, API_CLOSURES_MAX, 0) \
	F(S, STR, next, API_CURSOR_MAX, DESC_OMIT)
DESC_DECLARE(closure_list, CLOSURE_LIST_FIELDS)

/*
 * GET /api/v2/why?key=KEY, GET /api/v2/why/{hash or hash-name}: what keeps an
 * object. state: live, pending, tombstone, deleting; 404 when it is in no cache
 * of ours. A keeper is a closure, a pin or an upload; until is when a closure
 * runs out if nobody pushes it again; chain leads from a keeper's narinfo to the
 * key. due is when the grace of a tombstone ends. Both go by the latest
 * successful collection without force, run, and are absent if there was none.
 */
#define API_KEEPERS_MAX 100
#define API_CHAIN_MAX   1000
#define KEEPER_FIELDS(S, F, L, O)             \
	F(S, STR, kind, 32, DESC_REQUIRED)    \
	F(S, STR, name, 256, DESC_OMIT)       \
	F(S, STR, store_path, 500, DESC_OMIT) \
	F(S, STR, updated_at, 40, DESC_OMIT)  \
	F(S, STR, lease_until, 40, DESC_OMIT) \
	F(S, STR, until, 40, DESC_OMIT)
DESC_DECLARE(keeper, KEEPER_FIELDS)
#define WHY_REPLY_FIELDS(S, F, L, O)                  \
	F(S, STR, key, API_KEY_MAX, DESC_REQUIRED)    \
	F(S, STR, state, 32, DESC_REQUIRED)           \
	F(S, STR, first_at, 40, DESC_OMIT)            \
	F(S, STR, due, 40, DESC_OMIT)                 \
	F(S, U64, nkeepers, INT64_MAX, 0)             \
	L(S, keeper, keepers, API_KEEPERS_MAX, 0)     \
	F(S, STRS, chain, API_CHAIN_MAX, 0)           \
	F(S, U64, run, INT64_MAX, DESC_OMIT)          \
	F(S, U64, older_than_s, INT64_MAX, DESC_OMIT) \
	F(S, U64, pending_older_than_s, INT64_MAX, DESC_OMIT)
DESC_DECLARE(why_reply, WHY_REPLY_FIELDS)

/* ---- pins ---- */

/* PUT /api/v2/pins/{name} */
#define PIN_REQUEST_FIELDS(S, F, L, O) F(S, STR, store_path, 500, DESC_REQUIRED)
DESC_DECLARE(pin_request, PIN_REQUEST_FIELDS)
#define PIN_ENTRY_FIELDS(S, F, L, O)              \
	F(S, STR, name, 256, DESC_REQUIRED)       \
	F(S, STR, store_path, 500, DESC_REQUIRED) \
	F(S, STR, created_at, 40, 0)              \
	F(S, STR, updated_at, 40, 0)
DESC_DECLARE(pin_entry, PIN_ENTRY_FIELDS)
#define PIN_LIST_FIELDS(S, F, L, O) L(S, pin_entry, pins, API_PINS_MAX, 0)
DESC_DECLARE(pin_list, PIN_LIST_FIELDS)

/* POST /api/v2/narinfos: by the hashes of store paths. The answer holds those
 * that exist, in the order of the request. */
#define API_NARINFOS_MAX     1000
#define API_NARINFO_TEXT_MAX (1 << 20)
#define NARINFOS_REQUEST_FIELDS(S, F, L, O) \
	F(S, STRS, hashes, API_NARINFOS_MAX, DESC_REQUIRED)
DESC_DECLARE(narinfos_request, NARINFOS_REQUEST_FIELDS)
#define NARINFO_TEXT_FIELDS(S, F, L, O)    \
	F(S, STR, hash, 32, DESC_REQUIRED) \
	F(S, STR, text, API_NARINFO_TEXT_MAX, DESC_REQUIRED)
DESC_DECLARE(narinfo_text, NARINFO_TEXT_FIELDS)
#define NARINFOS_REPLY_FIELDS(S, F, L, O) \
	L(S, narinfo_text, narinfos, API_NARINFOS_MAX, 0)
DESC_DECLARE(narinfos_reply, NARINFOS_REPLY_FIELDS)

/* GET /api/cache-config, as the Go clients know it. */
#define CACHE_CONFIG_FIELDS(S, F, L, O)                 \
	F(S, STR, substituter_url, 1024, DESC_REQUIRED) \
	F(S, STRS, public_keys, 64, 0)                  \
	F(S, STR, oidc_audience, 1024, DESC_OMIT)       \
	F(S, U64, max_nar_size, INT64_MAX, DESC_OMIT)   \
	F(S, BOOL, pushes, 1, DESC_OMIT)
DESC_DECLARE(cache_config, CACHE_CONFIG_FIELDS)
/* GET /api/cache-stats */
#define CACHE_STATS_FIELDS(S, F, L, O)   \
	F(S, U64, objects, INT64_MAX, 0) \
	F(S, U64, logical_bytes, INT64_MAX, 0)
DESC_DECLARE(cache_stats, CACHE_STATS_FIELDS)

/* ---- tokens ---- */

/*
 * POST /api/v2/tokens: 201 with the token, which is shown this once. It is given
 * no scope that who asks lacks. expires_in_s 0 is never. GET lists all by id,
 * DELETE /api/v2/tokens/{id or name} revokes one: 204. scopes are those of
 * proto/scopes.h, times are RFC 3339.
 */
#define API_TOKENS_MAX     10000
#define API_TOKEN_NAME_MAX 100
#define TOKEN_REQUEST_FIELDS(S, F, L, O)       \
	F(S, STRS, scopes, 16, DESC_REQUIRED)  \
	F(S, STR, name, API_TOKEN_NAME_MAX, 0) \
	F(S, U64, expires_in_s, API_AGE_MAX, DESC_OMIT)
DESC_DECLARE(token_request, TOKEN_REQUEST_FIELDS)
#define TOKEN_ENTRY_FIELDS(S, F, L, O)                 \
	F(S, U64, id, INT64_MAX, DESC_REQUIRED)        \
	F(S, STR, name, API_TOKEN_NAME_MAX, DESC_OMIT) \
	F(S, STRS, scopes, 16, 0)                      \
	F(S, STR, created_by, 256, DESC_OMIT)          \
	F(S, STR, created_at, 40, DESC_OMIT)           \
	F(S, STR, expires_at, 40, DESC_OMIT)           \
	F(S, STR, last_used_at, 40, DESC_OMIT)         \
	F(S, STR, revoked_at, 40, DESC_OMIT)
DESC_DECLARE(token_entry, TOKEN_ENTRY_FIELDS)
#define TOKEN_LIST_FIELDS(S, F, L, O) \
	L(S, token_entry, tokens, API_TOKENS_MAX, 0)
DESC_DECLARE(token_list, TOKEN_LIST_FIELDS)
#define TOKEN_CREATED_FIELDS(S, F, L, O)                   \
	F(S, STR, token, 128, DESC_REQUIRED | DESC_SECRET) \
	O(S, token_entry, entry, DESC_REQUIRED)
DESC_DECLARE(token_created, TOKEN_CREATED_FIELDS)

/* GET /api/v2/cache?issuer=URL: what a client should know. oidc_audience: for
 * whom tokens of that issuer must be made, absent when they are not accepted. */
#define CACHE_INFO_FIELDS(S, F, L, O)            \
	F(S, STR, version, 32, DESC_REQUIRED)    \
	F(S, STR, store_dir, 255, DESC_REQUIRED) \
	F(S, STR, cache_url, 1024, DESC_OMIT)    \
	F(S, STRS, public_keys, 64, 0)           \
	F(S, STR, oidc_audience, 1024, DESC_OMIT)
DESC_DECLARE(cache_info, CACHE_INFO_FIELDS)

/* ---- doctor ---- */

/* GET /api/v2/whoami: for whom the server takes who asks. scopes are those that
 * it has or has by another; expires_at is absent when the server knows no end. */
#define IDENTITY_FIELDS(S, F, L, O)        \
	F(S, STR, who, 256, DESC_REQUIRED) \
	F(S, STRS, scopes, 16, 0)          \
	F(S, STR, expires_at, 40, DESC_OMIT)
DESC_DECLARE(identity, IDENTITY_FIELDS)

/*
 * What one check found: POST /api/v2/doctor, and niks3 doctor --json. state is
 * "ok", "warning", "problem" or "skipped"; advice says what to do about it.
 */
#define API_FINDINGS_MAX 256
#define FINDING_FIELDS(S, F, L, O)          \
	F(S, STR, check, 64, DESC_REQUIRED) \
	F(S, STR, state, 16, DESC_REQUIRED) \
	F(S, STR, text, 2048, 0)            \
	F(S, STR, advice, 1024, DESC_OMIT)
DESC_DECLARE(finding, FINDING_FIELDS)
#define FINDINGS_FIELDS(S, F, L, O) L(S, finding, findings, API_FINDINGS_MAX, 0)
DESC_DECLARE(findings, FINDINGS_FIELDS)

/* Any answer of 400 and above. run: the garbage collection that is in the
 * way. */
#define API_ERROR_BODY_FIELDS(S, F, L, O)      \
	F(S, STR, kind, 32, DESC_REQUIRED)     \
	F(S, STR, message, 512, DESC_REQUIRED) \
	F(S, STR, hint, 512, DESC_OMIT)        \
	F(S, STRS, missing, 10000, DESC_OMIT)  \
	F(S, U64, run, INT64_MAX, DESC_OMIT)
DESC_DECLARE(api_error_body, API_ERROR_BODY_FIELDS)
#define API_ERROR_FIELDS(S, F, L, O) O(S, api_error_body, error, DESC_REQUIRED)
DESC_DECLARE(api_error, API_ERROR_FIELDS)

#endif
