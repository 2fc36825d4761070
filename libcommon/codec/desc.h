/*
 * Messages as data: a struct is described by a table of its fields, from which
 * msgpack (between our processes, wire.h) and JSON (over HTTP, json.h) are
 * written and read by one walk each. The tables come from X-macros in proto/.
 *
 * A list of fields is a macro of four parameters, a row a field:
 *
 *	#define SIGN_ITEM_FIELDS(S, F, L, O)                            \
 *		F(S, STR,  path,     DESC_PATH_MAX, DESC_REQUIRED)      \
 *		F(S, HEX,  nar_hash, 32,            DESC_REQUIRED)      \
 *		F(S, STRS, refs,     10000,         0)
 *	#define NAR_SIGN_FIELDS(S, F, L, O)                             \
 *		L(S, sign_item, items, 1000, DESC_REQUIRED)
 *
 *	DESC_DECLARE(sign_item, SIGN_ITEM_FIELDS)     in a header
 *	DESC_DEFINE(sign_item, SIGN_ITEM_FIELDS)      in one source file
 *
 * F(S, TYPE, name, max, flags) is a plain field, L(S, struct, name, max, flags)
 * a list of structs, O(S, struct, name, flags) an embedded struct; S is passed
 * through. Decoding copies into an arena; every string, count and number is
 * checked against its maximum before anything is allocated for it.
 */
#ifndef CODEC_DESC_H
#define CODEC_DESC_H

#include <stddef.h>
#include <stdint.h>

/* Field types and what they are in the struct. */
enum desc_type {
	DESC_STR,  /* char *: UTF-8 without NUL; max bytes; NULL = absent */
	DESC_BIN,  /* struct desc_bin: max bytes; in JSON: base64 */
	DESC_HEX,  /* uint8_t[n]: exactly n = max bytes; in JSON: hex */
	DESC_U64,  /* uint64_t <= max */
	DESC_I64,  /* int64_t */
	DESC_BOOL, /* int */
	DESC_STRS, /* struct desc_strs: at most max strings of DESC_STRS_LEN */
	DESC_U32S, /* struct desc_u32s: at most max numbers */
	DESC_LIST, /* struct { struct X *items; size_t n; } */
	DESC_OBJ,  /* struct X, embedded */
};

#define DESC_REQUIRED 1 /* absent or null is an error; "" is not absent */
#define DESC_SECRET   2 /* never in a trace: "***" */
#define DESC_OMIT     4 /* in JSON: left out when zero, NULL or empty */

/* Bytes of one string in a DESC_STRS: a header may carry a session token. */
#define DESC_STRS_LEN  4096
#define DESC_DEPTH_MAX 6 /* structs within structs */

struct err;

struct desc_bin {
	const uint8_t *data;
	size_t len;
};

struct desc_strs {
	const char **items;
	size_t n;
};

struct desc_u32s {
	uint32_t *items;
	size_t n;
};

/* What every DESC_LIST looks like. */
struct desc_list {
	void *items;
	size_t n;
};

struct desc;

struct desc_field {
	const char *name;
	enum desc_type type;
	unsigned flags;
	size_t offset;
	uint64_t max;           /* bytes, count or value: see the types */
	const struct desc *sub; /* of LIST and OBJ */
};

struct desc {
	const char *name;
	size_t size; /* of the struct */
	const struct desc_field *fields;
	size_t nfields;
};

/* clang-format off */
#define DESC_C_STR(name, max)  const char *name;
#define DESC_C_BIN(name, max)  struct desc_bin name;
#define DESC_C_HEX(name, max)  uint8_t name[max];
#define DESC_C_U64(name, max)  uint64_t name;
#define DESC_C_I64(name, max)  int64_t name;
#define DESC_C_BOOL(name, max) int name;
#define DESC_C_STRS(name, max) struct desc_strs name;
#define DESC_C_U32S(name, max) struct desc_u32s name;

#define DESC_MEMBER_F(S, type, name, max, flags) DESC_C_##type(name, max)
#define DESC_MEMBER_L(S, sub, name, max, flags) \
	struct {                                \
		struct sub *items;              \
		size_t n;                       \
	} name;
#define DESC_MEMBER_O(S, sub, name, flags) struct sub name;

/* In a header: the struct and the declaration of its descriptor. */
#define DESC_DECLARE(s, FIELDS)                                          \
	struct s {                                                       \
		FIELDS(s, DESC_MEMBER_F, DESC_MEMBER_L, DESC_MEMBER_O)   \
		char desc_end_; /* a struct has at least one member */   \
	};                                                               \
	extern const struct desc s##_desc;

#define DESC_ROW_F(S, type_, name_, max_, flags_)                       \
	{ #name_, DESC_##type_, flags_, offsetof(struct S, name_), max_, \
	    NULL },
#define DESC_ROW_L(S, sub_, name_, max_, flags_)                        \
	{ #name_, DESC_LIST, flags_, offsetof(struct S, name_), max_,    \
	    &sub_##_desc },
#define DESC_ROW_O(S, sub_, name_, flags_)                             \
	{ #name_, DESC_OBJ, flags_, offsetof(struct S, name_), 0,       \
	    &sub_##_desc },

/* In one source file: the descriptor. */
#define DESC_DEFINE(s, FIELDS)                                   \
	static const struct desc_field s##_fields_[] = {         \
		FIELDS(s, DESC_ROW_F, DESC_ROW_L, DESC_ROW_O)    \
		{ .name = NULL }                                 \
	};                                                       \
	const struct desc s##_desc = { #s, sizeof(struct s),     \
		s##_fields_,                                     \
		sizeof s##_fields_ / sizeof s##_fields_[0] - 1 };

/* clang-format on */

/*
 * Checks that a struct keeps to its descriptor: what is required is there, text
 * is UTF-8, no maximum is exceeded. Encoders call it first, so they may trust
 * the struct. ERR_INVALID with the field's path: "items[3].refs[1]: not UTF-8".
 */
int desc_check(const struct desc *d, const void *s, struct err *e);

/* ---- for the coders ---- */

/* Where a walk stands: one step for every struct that it is in. */
struct desc_path {
	size_t depth;
	struct {
		const char *name;
		size_t index; /* SIZE_MAX: not in a list */
	} at[DESC_DEPTH_MAX];
};

void desc_enter(struct desc_path *p);
/* Stands at a field of the innermost struct, or (NULL) at none. */
void desc_at(struct desc_path *p, const struct desc_field *f);
void desc_index(struct desc_path *p, size_t index);
void desc_leave(struct desc_path *p);
/* Fills e with ERR_INVALID and the path before the text. Returns -1. */
int desc_fail(const struct desc_path *p, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The error of a value or count over its maximum. */
int desc_over(
    const struct desc_path *p, uint64_t max, const char *unit, struct err *e);
/* A text of at most max bytes, UTF-8 without NUL. */
int desc_check_text(const struct desc_path *p, const char *s, size_t len,
    uint64_t max, struct err *e);

#endif
