/*
 * Bodies of the compatible HTTP API (/api), as the clients of the Go server write
 * and read them. Whatever a client may leave out is not required here: the handlers
 * say what is missing in the words that those clients know.
 */
#ifndef PROTO_COMPAT_H
#define PROTO_COMPAT_H

#include "../libcommon/codec/desc.h"
#include "bodies.h"

#define COMPAT_OBJECTS_MAX (API_PATHS_MAX * 4)

#define COMPAT_OBJECT_FIELDS(S, F, L, O)           \
	F(S, STR, key, API_KEY_MAX, DESC_REQUIRED) \
	F(S, STR, type, 32, DESC_REQUIRED)         \
	F(S, STRS, refs, 10000, DESC_REQUIRED)     \
	F(S, U64, nar_size, INT64_MAX, DESC_OMIT)
DESC_DECLARE(compat_object, COMPAT_OBJECT_FIELDS)
/* POST /api/pending_closures has closure, POST /api/pushes has roots. */
#define COMPAT_BEGIN_FIELDS(S, F, L, O)                     \
	F(S, STR, closure, API_KEY_MAX, 0)                  \
	F(S, STRS, roots, API_ROOTS_MAX, 0)                 \
	L(S, compat_object, objects, COMPAT_OBJECTS_MAX, 0) \
	F(S, BOOL, verify_s3, 1, DESC_OMIT)
DESC_DECLARE(compat_begin, COMPAT_BEGIN_FIELDS)

/* POST /api/multipart/request-parts */
#define COMPAT_PARTS_FIELDS(S, F, L, O)       \
	F(S, STR, object_key, API_KEY_MAX, 0) \
	F(S, STR, upload_id, 1024, 0)         \
	F(S, I64, start_part_number, 0, 0)    \
	F(S, I64, num_parts, 0, 0)
DESC_DECLARE(compat_parts, COMPAT_PARTS_FIELDS)
#define COMPAT_PART_URLS_FIELDS(S, F, L, O)               \
	F(S, STRS, part_urls, API_PARTS_MAX, DESC_SECRET) \
	F(S, I64, start_part_number, 0, 0)
DESC_DECLARE(compat_part_urls, COMPAT_PART_URLS_FIELDS)
/* POST /api/multipart/complete */
#define COMPAT_PART_FIELDS(S, F, L, O)               \
	F(S, U64, part_number, 10000, DESC_REQUIRED) \
	F(S, STR, etag, 256, DESC_REQUIRED)
DESC_DECLARE(compat_part, COMPAT_PART_FIELDS)
#define COMPAT_COMPLETE_FIELDS(S, F, L, O)    \
	F(S, STR, object_key, API_KEY_MAX, 0) \
	F(S, STR, upload_id, 1024, 0)         \
	L(S, compat_part, parts, API_PARTS_MAX, 0)
DESC_DECLARE(compat_complete, COMPAT_COMPLETE_FIELDS)

/* POST /api/uploads/complete */
#define COMPAT_WRITTEN_FIELDS(S, F, L, O) F(S, STR, object_key, API_KEY_MAX, 0)
DESC_DECLARE(compat_written, COMPAT_WRITTEN_FIELDS)
/* POST /api/uploads/skipped */
#define COMPAT_SKIPPED_FIELDS(S, F, L, O) \
	F(S, U64, paths, INT64_MAX, 0)    \
	F(S, U64, nar_bytes, INT64_MAX, 0)
DESC_DECLARE(compat_skipped, COMPAT_SKIPPED_FIELDS)
/* POST /api/objects/present */
#define COMPAT_PRESENT_FIELDS(S, F, L, O) F(S, STRS, keys, API_ROOTS_MAX, 0)
DESC_DECLARE(compat_present, COMPAT_PRESENT_FIELDS)
/* GET /api/closures/{key} */
#define COMPAT_CLOSURE_FIELDS(S, F, L, O)         \
	F(S, STR, id, API_KEY_MAX, DESC_REQUIRED) \
	F(S, STR, updated_at, 40, DESC_REQUIRED)  \
	F(S, STRS, objects, COMPAT_OBJECTS_MAX, 0)
DESC_DECLARE(compat_closure, COMPAT_CLOSURE_FIELDS)

/* GET /api/gc/status, DELETE /api/closures */
#define COMPAT_GC_PARAMS_FIELDS(S, F, L, O)         \
	F(S, STR, older_than, 64, 0)                \
	F(S, STR, failed_uploads_older_than, 64, 0) \
	F(S, BOOL, force, 1, 0)
DESC_DECLARE(compat_gc_params, COMPAT_GC_PARAMS_FIELDS)
#define COMPAT_GC_STATS_FIELDS(S, F, L, O)                          \
	F(S, U64, failed_uploads_deleted, INT64_MAX, 0)             \
	F(S, U64, old_closures_deleted, INT64_MAX, 0)               \
	F(S, U64, objects_marked_for_deletion, INT64_MAX, 0)        \
	F(S, U64, objects_deleted_after_grace_period, INT64_MAX, 0) \
	F(S, U64, objects_failed_to_delete, INT64_MAX, 0)
DESC_DECLARE(compat_gc_stats, COMPAT_GC_STATS_FIELDS)
#define COMPAT_GC_FIELDS(S, F, L, O)        \
	F(S, STR, state, 32, DESC_REQUIRED) \
	F(S, STR, phase, 64, DESC_OMIT)     \
	O(S, compat_gc_params, params, 0)   \
	O(S, compat_gc_stats, stats, 0)     \
	F(S, STR, error, 1024, DESC_OMIT)   \
	F(S, STR, started_at, 40, 0)        \
	F(S, STR, updated_at, 40, 0)        \
	F(S, STR, finished_at, 40, DESC_OMIT)
DESC_DECLARE(compat_gc, COMPAT_GC_FIELDS)
#define COMPAT_GC_BUSY_FIELDS(S, F, L, O)    \
	F(S, STR, error, 512, DESC_REQUIRED) \
	O(S, compat_gc, active_task, DESC_REQUIRED)
DESC_DECLARE(compat_gc_busy, COMPAT_GC_BUSY_FIELDS)

#endif
