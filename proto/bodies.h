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

/* POST /api/v2/gc: durations in seconds. 202 with the run; 409 when another one
 * is under way. */
#define GC_REQUEST_FIELDS(S, F, L, O)                               \
	F(S, U64, older_than_s, API_AGE_MAX, DESC_REQUIRED)         \
	F(S, U64, pending_older_than_s, API_AGE_MAX, DESC_REQUIRED) \
	F(S, BOOL, force, 1, 0)
DESC_DECLARE(gc_request, GC_REQUEST_FIELDS)
/* GET /api/v2/gc/{id}, GET /api/v2/gc/latest. Times are RFC 3339. state:
 * queued, running, succeeded, failed. */
#define GC_STATUS_FIELDS(S, F, L, O)                    \
	F(S, U64, id, INT64_MAX, DESC_REQUIRED)         \
	F(S, STR, state, 32, DESC_REQUIRED)             \
	F(S, STR, phase, 64, DESC_OMIT)                 \
	F(S, STR, error, 1024, DESC_OMIT)               \
	F(S, U64, older_than_s, INT64_MAX, 0)           \
	F(S, U64, pending_older_than_s, INT64_MAX, 0)   \
	F(S, BOOL, force, 1, 0)                         \
	F(S, U64, failed_uploads_deleted, INT64_MAX, 0) \
	F(S, U64, old_closures_deleted, INT64_MAX, 0)   \
	F(S, U64, objects_marked, INT64_MAX, 0)         \
	F(S, U64, objects_deleted, INT64_MAX, 0)        \
	F(S, U64, objects_failed, INT64_MAX, 0)         \
	F(S, STR, started_at, 40, DESC_OMIT)            \
	F(S, STR, updated_at, 40, DESC_OMIT)            \
	F(S, STR, finished_at, 40, DESC_OMIT)
DESC_DECLARE(gc_status, GC_STATUS_FIELDS)

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
#define PIN_LIST_FIELDS(S, F, L, O) L(S, pin_entry, pins, 1000000, 0)
DESC_DECLARE(pin_list, PIN_LIST_FIELDS)

/* GET /api/v2/cache: what a client should know. */
#define CACHE_INFO_FIELDS(S, F, L, O)            \
	F(S, STR, version, 32, DESC_REQUIRED)    \
	F(S, STR, store_dir, 255, DESC_REQUIRED) \
	F(S, STR, cache_url, 1024, DESC_OMIT)    \
	F(S, STRS, public_keys, 64, 0)
DESC_DECLARE(cache_info, CACHE_INFO_FIELDS)

/* Any answer of 400 and above. */
#define API_ERROR_BODY_FIELDS(S, F, L, O)      \
	F(S, STR, kind, 32, DESC_REQUIRED)     \
	F(S, STR, message, 512, DESC_REQUIRED) \
	F(S, STR, hint, 512, DESC_OMIT)        \
	F(S, STRS, missing, 10000, DESC_OMIT)
DESC_DECLARE(api_error_body, API_ERROR_BODY_FIELDS)
#define API_ERROR_FIELDS(S, F, L, O) O(S, api_error_body, error, DESC_REQUIRED)
DESC_DECLARE(api_error, API_ERROR_FIELDS)

#endif
