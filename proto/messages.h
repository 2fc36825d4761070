/*
 * Every message between our processes, declared once. Tables, no logic: the
 * structs, the coders, the permission check, the handler arrays, the names in
 * traces and the manual are all made from here (codec/desc.h tells how).
 *
 * One row of CALLS is one call:
 *
 *	C(id, request, reply, served by, callers, flags)
 *
 * The version of the schema is the hash of its own text.
 */
#ifndef PROTO_MESSAGES_H
#define PROTO_MESSAGES_H

#include "../libcommon/codec/desc.h"

enum role {
#define R(name, text) ROLE_##name,
#include "roles.def"
#undef R
	ROLE__MAX
};

/* Sets of roles. */
enum {
#define R(name, text) BY_##name = 1 << ROLE_##name,
#include "roles.def"
#undef R
	BY_ANY = (1 << ROLE__MAX) - 1
};

#define CALL_IDEMPOTENT 1

/* Items of one message: keeps frames far under IPC_FRAME_MAX. */
#define MSG_SIGN_MAX      1000
#define MSG_AUTHORIZE_MAX 256
#define MSG_CHECK_MAX     1000
#define MSG_PUT_MAX       256
#define MSG_DELETE_MAX    1000
#define MSG_KEY_MAX       1024 /* bytes of a key in the bucket */
#define MSG_BASE_MAX      244  /* "hash-name" */
#define MSG_URL_MAX       4096
#define MSG_UPLOADID_MAX  1024
#define MSG_REFS_MAX      10000
#define MSG_TEXT_MAX      512
#define MSG_CELLS_MAX     20000
#define MSG_WHY_MAX       100
#define MSG_CHAIN_MAX     1000 /* objects from a root to one that it keeps */
#define MSG_OBJECT_MAX    (1 << 20) /* bytes of an object in a message */
#define MSG_STAGED_MAX    256
#define MSG_TOKEN_MAX     64
#define MSG_GET_MAX       256
#define MSG_NARINFOS_MAX  64
#define MSG_PROBES_MAX    32

#define ROLES_CALLS(C)                                                       \
	C(0x01, ping, pong, BY_ANY, BY_ANY, CALL_IDEMPOTENT)                 \
	C(0x02, figures, figures_told, BY_UPLOADER | BY_SIGNER | BY_GC,      \
	    BY_SERVER, CALL_IDEMPOTENT)                                      \
	C(0x10, nar_sign, nar_signed, BY_SIGNER, BY_SERVER, CALL_IDEMPOTENT) \
	C(0x11, sign_keys, signing_keys, BY_SIGNER, BY_SERVER,               \
	    CALL_IDEMPOTENT)                                                 \
	C(0x20, put_authorize, put_authorized, BY_UPLOADER, BY_SERVER,       \
	    CALL_IDEMPOTENT)                                                 \
	C(0x21, mpu_create, mpu_created, BY_UPLOADER, BY_SERVER, 0)          \
	C(0x22, mpu_abort, done, BY_UPLOADER, BY_SERVER | BY_GC,             \
	    CALL_IDEMPOTENT)                                                 \
	C(0x23, mpu_complete, mpu_completed, BY_UPLOADER, BY_SERVER,         \
	    CALL_IDEMPOTENT)                                                 \
	C(0x24, objects_check, objects_checked, BY_UPLOADER,                 \
	    BY_SERVER | BY_GC, CALL_IDEMPOTENT)                              \
	C(0x25, narinfos_put, narinfos_written, BY_UPLOADER, BY_SERVER, 0)   \
	C(0x26, object_hash, object_hashed, BY_UPLOADER, BY_SERVER,          \
	    CALL_IDEMPOTENT)                                                 \
	C(0x27, pin_put, pin_written, BY_UPLOADER, BY_SERVER | BY_GC,        \
	    CALL_IDEMPOTENT)                                                 \
	C(0x28, pin_delete, done, BY_UPLOADER, BY_SERVER | BY_GC,            \
	    CALL_IDEMPOTENT)                                                 \
	C(0x29, get_authorize, get_authorized, BY_UPLOADER, BY_SERVER,       \
	    CALL_IDEMPOTENT)                                                 \
	C(0x2a, page_put, done, BY_UPLOADER, BY_SERVER, CALL_IDEMPOTENT)     \
	C(0x2b, puts_presign, puts_presigned, BY_UPLOADER, BY_SERVER,        \
	    CALL_IDEMPOTENT)                                                 \
	C(0x2c, staged_place, staged_placed, BY_UPLOADER, BY_SERVER, 0)      \
	C(0x2d, staged_read, staged_texts, BY_UPLOADER, BY_SERVER,           \
	    CALL_IDEMPOTENT)                                                 \
	C(0x2e, staged_delete, done, BY_UPLOADER, BY_SERVER | BY_GC,         \
	    CALL_IDEMPOTENT)                                                 \
	C(0x2f, narinfos_get, narinfos_got, BY_UPLOADER, BY_SERVER,          \
	    CALL_IDEMPOTENT)                                                 \
	C(0x30, objects_delete, objects_deleted, BY_UPLOADER, BY_GC, 0)      \
	C(0x31, objects_list, objects_listed, BY_UPLOADER, BY_GC,            \
	    CALL_IDEMPOTENT)                                                 \
	C(0x32, mpu_list, mpu_listed, BY_UPLOADER, BY_GC, CALL_IDEMPOTENT)   \
	C(0x33, bucket_probe, bucket_probed, BY_UPLOADER, BY_SERVER, 0)      \
	C(0x40, gc_wake, done, BY_GC, BY_SERVER, CALL_IDEMPOTENT)            \
	C(0x41, gc_why, gc_why_told, BY_GC, BY_SERVER, CALL_IDEMPOTENT)

/* The head of every frame. In a request role is the caller's. The reply to one
 * that failed has the kind of error, its message and hint, and its body is that
 * of "done". again: the peer is stopping and has not begun; any call may be sent
 * to another one. */
#define IPC_HEAD_FIELDS(S, F, L, O)                   \
	F(S, U64, call, 0xffff, DESC_REQUIRED)        \
	F(S, U64, role, ROLE__MAX - 1, DESC_REQUIRED) \
	F(S, U64, budget_ms, 3600000, 0)              \
	F(S, STR, request_id, 64, 0)                  \
	F(S, STR, kind, 32, 0)                        \
	F(S, STR, message, MSG_TEXT_MAX, 0)           \
	F(S, STR, hint, MSG_TEXT_MAX, 0)              \
	F(S, BOOL, again, 1, 0)
DESC_DECLARE(ipc_head, IPC_HEAD_FIELDS)

#define PING_FIELDS(S, F, L, O)
DESC_DECLARE(ping, PING_FIELDS)
#define PONG_FIELDS(S, F, L, O)               \
	F(S, STR, program, 64, DESC_REQUIRED) \
	F(S, STR, version, 64, DESC_REQUIRED)
DESC_DECLARE(pong, PONG_FIELDS)
#define DONE_FIELDS(S, F, L, O)
DESC_DECLARE(done, DONE_FIELDS)

/* What a process counts: the cells of its daemon_metrics (metrics.h) that are not
 * 0. process_id tells one process from all others, and from itself before it was
 * started anew; its counters never go down. */
#define FIGURES_FIELDS(S, F, L, O)
DESC_DECLARE(figures, FIGURES_FIELDS)
#define FIGURE_CELL_FIELDS(S, F, L, O)  \
	F(S, U64, at, MSG_CELLS_MAX, 0) \
	F(S, I64, value, 0, 0)
DESC_DECLARE(figure_cell, FIGURE_CELL_FIELDS)
#define FIGURES_TOLD_FIELDS(S, F, L, O)           \
	F(S, STR, process_id, 128, DESC_REQUIRED) \
	L(S, figure_cell, cells, MSG_CELLS_MAX, 0)
DESC_DECLARE(figures_told, FIGURES_TOLD_FIELDS)

/* ---- signer ---- */

/* The signer builds the fingerprint from these itself: it never signs bytes
 * that somebody else put together. refs are base names, sorted. */
#define SIGN_ITEM_FIELDS(S, F, L, O)                  \
	F(S, STR, base, MSG_BASE_MAX, DESC_REQUIRED)  \
	F(S, HEX, nar_hash, 32, DESC_REQUIRED)        \
	F(S, U64, nar_size, INT64_MAX, DESC_REQUIRED) \
	F(S, STRS, refs, MSG_REFS_MAX, 0)
DESC_DECLARE(sign_item, SIGN_ITEM_FIELDS)
#define NAR_SIGN_FIELDS(S, F, L, O)              \
	F(S, STR, store_dir, 255, DESC_REQUIRED) \
	L(S, sign_item, items, MSG_SIGN_MAX, DESC_REQUIRED)
DESC_DECLARE(nar_sign, NAR_SIGN_FIELDS)
#define SIGN_RESULT_FIELDS(S, F, L, O) F(S, STRS, sigs, 64, 0)
DESC_DECLARE(sign_result, SIGN_RESULT_FIELDS)
#define NAR_SIGNED_FIELDS(S, F, L, O) L(S, sign_result, items, MSG_SIGN_MAX, 0)
DESC_DECLARE(nar_signed, NAR_SIGNED_FIELDS)
#define SIGN_KEYS_FIELDS(S, F, L, O)
DESC_DECLARE(sign_keys, SIGN_KEYS_FIELDS)
#define SIGNING_KEYS_FIELDS(S, F, L, O) F(S, STRS, public_keys, 64, 0)
DESC_DECLARE(signing_keys, SIGNING_KEYS_FIELDS)

/* ---- uploader ---- */

/* part 0 is a whole object, else a part of upload_id. create asks for
 * If-None-Match: *, so that nobody's bytes are overwritten. */
#define AUTHORIZE_ITEM_FIELDS(S, F, L, O)          \
	F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED) \
	F(S, U64, size, INT64_MAX, DESC_REQUIRED)  \
	F(S, HEX, sha256, 32, DESC_REQUIRED)       \
	F(S, STR, upload_id, MSG_UPLOADID_MAX, 0)  \
	F(S, U64, part, 10000, 0)                  \
	F(S, BOOL, create, 1, 0)
DESC_DECLARE(authorize_item, AUTHORIZE_ITEM_FIELDS)
#define PUT_AUTHORIZE_FIELDS(S, F, L, O)          \
	F(S, U64, lifetime_s, 900, DESC_REQUIRED) \
	L(S, authorize_item, items, MSG_AUTHORIZE_MAX, DESC_REQUIRED)
DESC_DECLARE(put_authorize, PUT_AUTHORIZE_FIELDS)
#define AUTHORIZED_ITEM_FIELDS(S, F, L, O)                       \
	F(S, STR, url, MSG_URL_MAX, DESC_REQUIRED | DESC_SECRET) \
	F(S, STRS, headers, 16, DESC_SECRET)
DESC_DECLARE(authorized_item, AUTHORIZED_ITEM_FIELDS)
/* lifetime_s is less than was asked for when the credentials end before. */
#define PUT_AUTHORIZED_FIELDS(S, F, L, O)         \
	F(S, U64, lifetime_s, 900, DESC_REQUIRED) \
	L(S, authorized_item, items, MSG_AUTHORIZE_MAX, 0)
DESC_DECLARE(put_authorized, PUT_AUTHORIZED_FIELDS)

#define MPU_CREATE_FIELDS(S, F, L, O) F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED)
DESC_DECLARE(mpu_create, MPU_CREATE_FIELDS)
#define MPU_CREATED_FIELDS(S, F, L, O) \
	F(S, STR, upload_id, MSG_UPLOADID_MAX, DESC_REQUIRED)
DESC_DECLARE(mpu_created, MPU_CREATED_FIELDS)
#define MPU_ABORT_FIELDS(S, F, L, O)               \
	F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED) \
	F(S, STR, upload_id, MSG_UPLOADID_MAX, DESC_REQUIRED)
DESC_DECLARE(mpu_abort, MPU_ABORT_FIELDS)
#define MPU_PART_FIELDS(S, F, L, O)             \
	F(S, U64, number, 10000, DESC_REQUIRED) \
	F(S, STR, etag, 256, DESC_REQUIRED)
DESC_DECLARE(mpu_part, MPU_PART_FIELDS)
#define MPU_COMPLETE_FIELDS(S, F, L, O)                       \
	F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED)            \
	F(S, STR, upload_id, MSG_UPLOADID_MAX, DESC_REQUIRED) \
	L(S, mpu_part, parts, 10000, DESC_REQUIRED)
DESC_DECLARE(mpu_complete, MPU_COMPLETE_FIELDS)
/* existed: the key had an object already, which was left alone; ours was
 * aborted. */
#define MPU_COMPLETED_FIELDS(S, F, L, O)          \
	F(S, U64, size, INT64_MAX, DESC_REQUIRED) \
	F(S, BOOL, existed, 1, 0)
DESC_DECLARE(mpu_completed, MPU_COMPLETED_FIELDS)

#define OBJECTS_CHECK_FIELDS(S, F, L, O) \
	F(S, STRS, keys, MSG_CHECK_MAX, DESC_REQUIRED)
DESC_DECLARE(objects_check, OBJECTS_CHECK_FIELDS)
/* state: enum presence */
#define CHECK_RESULT_FIELDS(S, F, L, O)    \
	F(S, U64, state, 2, DESC_REQUIRED) \
	F(S, U64, size, INT64_MAX, 0)      \
	F(S, STR, message, MSG_TEXT_MAX, 0)
DESC_DECLARE(check_result, CHECK_RESULT_FIELDS)
#define OBJECTS_CHECKED_FIELDS(S, F, L, O) \
	L(S, check_result, items, MSG_CHECK_MAX, 0)
DESC_DECLARE(objects_checked, OBJECTS_CHECKED_FIELDS)

/* Plain texts; the uploader compresses and stores each, all in parallel, and
 * answers when all are written. Not repeated: whoever asks again has to know that
 * a write may be under way (rule R9). */
#define NARINFO_PUT_FIELDS(S, F, L, O)             \
	F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED) \
	F(S, BIN, text, MSG_OBJECT_MAX, DESC_REQUIRED)
DESC_DECLARE(narinfo_put, NARINFO_PUT_FIELDS)
#define NARINFOS_PUT_FIELDS(S, F, L, O) \
	L(S, narinfo_put, items, MSG_PUT_MAX, DESC_REQUIRED)
DESC_DECLARE(narinfos_put, NARINFOS_PUT_FIELDS)
/* What was stored, in the order of the request. unsure: an earlier try of the
 * same write may yet arrive. */
#define NARINFO_WRITTEN_FIELDS(S, F, L, O)        \
	F(S, U64, size, INT64_MAX, DESC_REQUIRED) \
	F(S, HEX, sha256, 32, DESC_REQUIRED)      \
	F(S, BOOL, unsure, 1, 0)
DESC_DECLARE(narinfo_written, NARINFO_WRITTEN_FIELDS)
#define NARINFOS_WRITTEN_FIELDS(S, F, L, O) \
	L(S, narinfo_written, items, MSG_PUT_MAX, 0)
DESC_DECLARE(narinfos_written, NARINFOS_WRITTEN_FIELDS)

#define OBJECT_HASH_FIELDS(S, F, L, O) \
	F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED)
DESC_DECLARE(object_hash, OBJECT_HASH_FIELDS)
#define OBJECT_HASHED_FIELDS(S, F, L, O)          \
	F(S, U64, size, INT64_MAX, DESC_REQUIRED) \
	F(S, HEX, sha256, 32, DESC_REQUIRED)
DESC_DECLARE(object_hashed, OBJECT_HASHED_FIELDS)

#define PIN_PUT_FIELDS(S, F, L, O)          \
	F(S, STR, name, 256, DESC_REQUIRED) \
	F(S, STR, store_path, 500, DESC_REQUIRED)
DESC_DECLARE(pin_put, PIN_PUT_FIELDS)
/* unsure: an earlier try of the same write may yet arrive. */
#define PIN_WRITTEN_FIELDS(S, F, L, O) F(S, BOOL, unsure, 1, 0)
DESC_DECLARE(pin_written, PIN_WRITTEN_FIELDS)
#define PIN_DELETE_FIELDS(S, F, L, O) F(S, STR, name, 256, DESC_REQUIRED)
DESC_DECLARE(pin_delete, PIN_DELETE_FIELDS)

/*
 * Clients of the compatible API are given presigned URLs that are good for hours
 * and for any bytes. So they write, beside parts, only to "staging/TOKEN/KEY",
 * where TOKEN is that of the upload; its commit has the objects put in their
 * place. part 0 is a whole object, to be staged; else a part of upload_id.
 */
#define PRESIGN_ITEM_FIELDS(S, F, L, O)            \
	F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED) \
	F(S, STR, upload_id, MSG_UPLOADID_MAX, 0)  \
	F(S, U64, part, 10000, 0)
DESC_DECLARE(presign_item, PRESIGN_ITEM_FIELDS)
#define PUTS_PRESIGN_FIELDS(S, F, L, O)              \
	F(S, STR, token, MSG_TOKEN_MAX, 0)           \
	F(S, U64, lifetime_s, 604800, DESC_REQUIRED) \
	L(S, presign_item, items, MSG_STAGED_MAX, DESC_REQUIRED)
DESC_DECLARE(puts_presign, PUTS_PRESIGN_FIELDS)
#define PUTS_PRESIGNED_FIELDS(S, F, L, O) \
	F(S, STRS, urls, MSG_STAGED_MAX, DESC_SECRET)
DESC_DECLARE(puts_presigned, PUTS_PRESIGNED_FIELDS)

/* Copies what is staged to its key: a NAR only where there is none, all else over
 * what is there. Narinfos are refused. Not repeated, as narinfos_put is not. */
#define STAGED_PLACE_FIELDS(S, F, L, O)                \
	F(S, STR, token, MSG_TOKEN_MAX, DESC_REQUIRED) \
	F(S, STRS, keys, MSG_STAGED_MAX, DESC_REQUIRED)
DESC_DECLARE(staged_place, STAGED_PLACE_FIELDS)
/* state: enum presence of what was staged; size and sha256 are of what stands at
 * the key now. */
#define PLACE_RESULT_FIELDS(S, F, L, O)    \
	F(S, U64, state, 2, DESC_REQUIRED) \
	F(S, U64, size, INT64_MAX, 0)      \
	F(S, HEX, sha256, 32, 0)           \
	F(S, STR, message, MSG_TEXT_MAX, 0)
DESC_DECLARE(place_result, PLACE_RESULT_FIELDS)
#define STAGED_PLACED_FIELDS(S, F, L, O) \
	L(S, place_result, items, MSG_STAGED_MAX, 0)
DESC_DECLARE(staged_placed, STAGED_PLACED_FIELDS)

/* Staged narinfos, unpacked. The answer may be for the first of the keys only, and
 * at least for one. */
#define STAGED_READ_FIELDS(S, F, L, O)                 \
	F(S, STR, token, MSG_TOKEN_MAX, DESC_REQUIRED) \
	F(S, STRS, keys, MSG_STAGED_MAX, DESC_REQUIRED)
DESC_DECLARE(staged_read, STAGED_READ_FIELDS)
#define STAGED_TEXT_FIELDS(S, F, L, O)     \
	F(S, U64, state, 2, DESC_REQUIRED) \
	F(S, BIN, text, MSG_OBJECT_MAX, 0) \
	F(S, STR, message, MSG_TEXT_MAX, 0)
DESC_DECLARE(staged_text, STAGED_TEXT_FIELDS)
#define STAGED_TEXTS_FIELDS(S, F, L, O) \
	L(S, staged_text, items, MSG_STAGED_MAX, DESC_REQUIRED)
DESC_DECLARE(staged_texts, STAGED_TEXTS_FIELDS)

/* Those that are not there are no error. */
#define STAGED_DELETE_FIELDS(S, F, L, O)               \
	F(S, STR, token, MSG_TOKEN_MAX, DESC_REQUIRED) \
	F(S, STRS, keys, MSG_DELETE_MAX, DESC_REQUIRED)
DESC_DECLARE(staged_delete, STAGED_DELETE_FIELDS)
/* Presigned GETs of whatever readers of the cache may ask for, and of nothing
 * else. */
#define GET_AUTHORIZE_FIELDS(S, F, L, O)           \
	F(S, U64, lifetime_s, 3600, DESC_REQUIRED) \
	F(S, STRS, keys, MSG_GET_MAX, DESC_REQUIRED)
DESC_DECLARE(get_authorize, GET_AUTHORIZE_FIELDS)
#define GET_AUTHORIZED_FIELDS(S, F, L, O) \
	F(S, STRS, urls, MSG_GET_MAX, DESC_SECRET)
DESC_DECLARE(get_authorized, GET_AUTHORIZED_FIELDS)

/* The bucket's index.html. */
#define PAGE_PUT_FIELDS(S, F, L, O) \
	F(S, BIN, html, MSG_OBJECT_MAX, DESC_REQUIRED)
DESC_DECLARE(page_put, PAGE_PUT_FIELDS)

/* The texts of narinfos. The answer holds the first of them, as many as fit into
 * a message, but at least one. state: enum presence. */
#define NARINFOS_GET_FIELDS(S, F, L, O) \
	F(S, STRS, keys, MSG_NARINFOS_MAX, DESC_REQUIRED)
DESC_DECLARE(narinfos_get, NARINFOS_GET_FIELDS)
#define NARINFO_GOT_FIELDS(S, F, L, O)     \
	F(S, U64, state, 2, DESC_REQUIRED) \
	F(S, BIN, text, MSG_OBJECT_MAX, 0)
DESC_DECLARE(narinfo_got, NARINFO_GOT_FIELDS)
#define NARINFOS_GOT_FIELDS(S, F, L, O) \
	L(S, narinfo_got, items, MSG_NARINFOS_MAX, 0)
DESC_DECLARE(narinfos_got, NARINFOS_GOT_FIELDS)

/* Not repeated (rule R6): a delete whose answer is lost may yet be carried out. */
#define OBJECTS_DELETE_FIELDS(S, F, L, O) \
	F(S, STRS, keys, MSG_DELETE_MAX, DESC_REQUIRED)
DESC_DECLARE(objects_delete, OBJECTS_DELETE_FIELDS)
/* state: enum presence of what is left: absent is deleted, present refused. */
#define DELETE_RESULT_FIELDS(S, F, L, O)   \
	F(S, U64, state, 2, DESC_REQUIRED) \
	F(S, STR, message, MSG_TEXT_MAX, 0)
DESC_DECLARE(delete_result, DELETE_RESULT_FIELDS)
#define OBJECTS_DELETED_FIELDS(S, F, L, O) \
	L(S, delete_result, items, MSG_DELETE_MAX, 0)
DESC_DECLARE(objects_deleted, OBJECTS_DELETED_FIELDS)

#define OBJECTS_LIST_FIELDS(S, F, L, O)   \
	F(S, STR, prefix, MSG_KEY_MAX, 0) \
	F(S, STR, token, 4096, 0)
DESC_DECLARE(objects_list, OBJECTS_LIST_FIELDS)
#define LISTED_OBJECT_FIELDS(S, F, L, O)           \
	F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED) \
	F(S, U64, size, INT64_MAX, DESC_REQUIRED)  \
	F(S, I64, modified_s, 0, 0)
DESC_DECLARE(listed_object, LISTED_OBJECT_FIELDS)
#define OBJECTS_LISTED_FIELDS(S, F, L, O)   \
	L(S, listed_object, items, 1000, 0) \
	F(S, STR, next, 4096, 0)
DESC_DECLARE(objects_listed, OBJECTS_LISTED_FIELDS)

#define MPU_LIST_FIELDS(S, F, L, O)           \
	F(S, STR, key_marker, MSG_KEY_MAX, 0) \
	F(S, STR, id_marker, MSG_UPLOADID_MAX, 0)
DESC_DECLARE(mpu_list, MPU_LIST_FIELDS)
#define LISTED_MPU_FIELDS(S, F, L, O)                         \
	F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED)            \
	F(S, STR, upload_id, MSG_UPLOADID_MAX, DESC_REQUIRED) \
	F(S, I64, initiated_s, 0, 0)
DESC_DECLARE(listed_mpu, LISTED_MPU_FIELDS)
#define MPU_LISTED_FIELDS(S, F, L, O)       \
	L(S, listed_mpu, items, 1000, 0)    \
	F(S, STR, next_key, MSG_KEY_MAX, 0) \
	F(S, STR, next_id, MSG_UPLOADID_MAX, 0)
DESC_DECLARE(mpu_listed, MPU_LISTED_FIELDS)

/*
 * Tries out what the uploader needs to be allowed, on objects of its own that
 * are no objects of the cache (objkey.h: OBJKEY_PROBE), and deletes them again. An
 * item is one thing that was tried; kind is absent when it went well.
 */
#define BUCKET_PROBE_FIELDS(S, F, L, O)
DESC_DECLARE(bucket_probe, BUCKET_PROBE_FIELDS)
#define PROBE_RESULT_FIELDS(S, F, L, O)     \
	F(S, STR, name, 32, DESC_REQUIRED)  \
	F(S, BOOL, skipped, 1, 0)           \
	F(S, STR, kind, 32, 0)              \
	F(S, STR, message, MSG_TEXT_MAX, 0) \
	F(S, STR, hint, MSG_TEXT_MAX, 0)
DESC_DECLARE(probe_result, PROBE_RESULT_FIELDS)
/* ahead_s: S3's clock before the uploader's, when has_clock. */
#define BUCKET_PROBED_FIELDS(S, F, L, O) \
	F(S, BOOL, has_clock, 1, 0)      \
	F(S, I64, ahead_s, 0, 0)         \
	L(S, probe_result, items, MSG_PROBES_MAX, 0)
DESC_DECLARE(bucket_probed, BUCKET_PROBED_FIELDS)

#define GC_WAKE_FIELDS(S, F, L, O)
DESC_DECLARE(gc_wake, GC_WAKE_FIELDS)
/* What keeps an object (db/graph.h: graph_why, with its enums). Times are those
 * of the database in microseconds. */
#define GC_WHY_FIELDS(S, F, L, O) F(S, STR, key, MSG_KEY_MAX, DESC_REQUIRED)
DESC_DECLARE(gc_why, GC_WHY_FIELDS)
#define WHY_ITEM_FIELDS(S, F, L, O)   \
	F(S, U64, kind, 2, 0)         \
	F(S, STR, name, 256, 0)       \
	F(S, STR, store_path, 500, 0) \
	F(S, I64, updated_us, 0, 0)   \
	F(S, I64, lease_until_us, 0, 0)
DESC_DECLARE(why_item, WHY_ITEM_FIELDS)
#define GC_WHY_TOLD_FIELDS(S, F, L, O)          \
	F(S, U64, state, 3, 0)                  \
	F(S, I64, first_at_us, 0, 0)            \
	F(S, U64, nkeepers, INT64_MAX, 0)       \
	L(S, why_item, keepers, MSG_WHY_MAX, 0) \
	F(S, STRS, chain, MSG_CHAIN_MAX, 0)
DESC_DECLARE(gc_why_told, GC_WHY_TOLD_FIELDS)

/* Of an object in the bucket: three answers, and only the first two are
 * definite. */
enum presence {
	PRESENCE_UNKNOWN,
	PRESENCE_PRESENT,
	PRESENCE_ABSENT
};

/* ---- the table ---- */

enum call {
#define C(id, request, reply, served, callers, flags) CALL_##request = id,
	ROLES_CALLS(C)
#undef C
	CALL__MAX = 0x42
};

struct call_row {
	const char *name; /* NULL for an id that is no call */
	const struct desc *request, *reply;
	unsigned served; /* set of roles */
	unsigned callers;
	unsigned flags;
};

extern const struct call_row call_table[CALL__MAX];
extern const char *const role_names[ROLE__MAX];
/* The hash of every row and descriptor above, and of the figures of metrics.h. */
uint64_t schema_version(void);
/* The part of one row in it. */
uint64_t call_row_hash(const struct call_row *row, enum call id, uint64_t seed);

#endif
