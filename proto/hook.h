/*
 * What niks3-hook send and niks3-hook serve tell each other: one JSON object and
 * a newline each way, then the connection is closed. It is the protocol of the Go
 * niks3-hook, whose sender may be on the other end.
 */
#ifndef PROTO_HOOK_H
#define PROTO_HOOK_H

#include "../libcommon/codec/desc.h"

#define HOOK_PATHS_MAX   10000
#define HOOK_MESSAGE_MAX ((size_t)4 << 20) /* bytes of one object */

/* Full store paths. No path at all asks to try what waits now. */
#define HOOK_REQUEST_FIELDS(S, F, L, O) F(S, STRS, paths, HOOK_PATHS_MAX, 0)
DESC_DECLARE(hook_request, HOOK_REQUEST_FIELDS)

/* status is "ok" once all of them are on disk, else "error", and none is. */
#define HOOK_ANSWER_FIELDS(S, F, L, O)       \
	F(S, STR, status, 16, DESC_REQUIRED) \
	F(S, STR, message, 1024, DESC_OMIT)
DESC_DECLARE(hook_answer, HOOK_ANSWER_FIELDS)

/* niks3-hook status --json */
#define HOOK_PATH_FIELDS(S, F, L, O)         \
	F(S, STR, path, 1024, DESC_REQUIRED) \
	F(S, BOOL, set_aside, 1, 0)          \
	F(S, I64, tries, 0, 0)               \
	F(S, STR, added, 40, DESC_REQUIRED)  \
	F(S, STR, next_try, 40, DESC_OMIT)   \
	F(S, STR, error_kind, 32, DESC_OMIT) \
	F(S, STR, error, 512, DESC_OMIT)
DESC_DECLARE(hook_path, HOOK_PATH_FIELDS)

#endif
