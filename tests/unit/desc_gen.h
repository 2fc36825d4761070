/*
 * For tests: random structs of any descriptor, and whether two are equal. The
 * numbers are the same in every run.
 */
#ifndef DESC_GEN_H
#define DESC_GEN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/desc.h"
#include "../../libcommon/core/arena.h"

static uint64_t gen_state = 0x9e3779b97f4a7c15;

static inline uint64_t
gen_next(void)
{
	gen_state ^= gen_state << 13;
	gen_state ^= gen_state >> 7;
	return gen_state ^= gen_state << 17;
}

/* Below n; 0 for 0. */
static inline uint64_t
gen_below(uint64_t n)
{
	return n > 0 ? gen_next() % n : 0;
}

/* A text of at most max bytes, with all that needs an escape somewhere. */
static inline const char *
gen_text(struct arena *a, size_t max)
{
	static const char *const parts[] = { "a", "Z", "0", "\"", "\\", "/",
		"\n", "\x01", "\x7f", "\xc3\xa9", "\xe2\x82\xac",
		"\xf0\x9f\x98\x80", " ", "<" };
	size_t want = gen_below((max < 40 ? max : 40) + 1), len = 0;
	char *s = arena_alloc(a, want + 1);

	if (max >= 1 && gen_below(20) == 0) { /* as long as may be */
		s = arena_alloc(a, max + 1);
		memset(s, 'x', max);
		return s;
	}
	while (len < want) {
		const char *part = parts[gen_below(14)];
		if (len + strlen(part) > want)
			part = "b";
		memcpy(s + len, part, strlen(part));
		len += strlen(part);
	}
	return s;
}

static inline void
gen_bytes(void *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)out)[i] = gen_next() >> 32;
}

static inline void
gen_struct(const struct desc *d, struct arena *a, void *s)
{
	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f = &d->fields[i];
		void *at = (char *)s + f->offset;
		struct desc_bin *bin = at;
		struct desc_strs *strs = at;
		struct desc_u32s *u32s = at;
		struct desc_list *list = at;
		int absent = !(f->flags & DESC_REQUIRED) && gen_below(3) == 0;
		size_t few =
		    absent ? 0 : gen_below(f->max < 4 ? f->max + 1 : 5);
		uint8_t *data;

		switch (f->type) {
		case DESC_STR:
			*(const char **)at =
			    absent ? NULL : gen_text(a, f->max);
			break;
		case DESC_BIN:
			bin->len = absent ? 0 : gen_below(70);
			data = arena_alloc(a, bin->len);
			gen_bytes(data, bin->len);
			bin->data = absent ? NULL : data;
			break;
		case DESC_HEX:
			gen_bytes(at, f->max);
			break;
		case DESC_U64:
			*(uint64_t *)at = gen_below(4) == 0 ? f->max
			    : gen_below(2) || f->max == UINT64_MAX
			    ? gen_below(f->max < 200 ? f->max : 200)
			    : gen_below(f->max + 1);
			break;
		case DESC_I64:
			*(int64_t *)at = gen_below(5) == 0 ? INT64_MIN
			    : gen_below(5) == 0
			    ? INT64_MAX
			    : (int64_t)gen_next() >> gen_below(64);
			break;
		case DESC_BOOL:
			*(int *)at = gen_below(2);
			break;
		case DESC_STRS:
			strs->items = few > 0
			    ? arena_array(a, few, sizeof *strs->items)
			    : NULL;
			strs->n = few;
			for (size_t k = 0; k < few; k++)
				strs->items[k] = gen_text(a, 300);
			break;
		case DESC_U32S:
			u32s->items = few > 0
			    ? arena_array(a, few, sizeof *u32s->items)
			    : NULL;
			u32s->n = few;
			for (size_t k = 0; k < few; k++)
				u32s->items[k] = gen_next() >> gen_below(32);
			break;
		case DESC_LIST:
			list->items =
			    few > 0 ? arena_array(a, few, f->sub->size) : NULL;
			list->n = few;
			for (size_t k = 0; k < few; k++)
				gen_struct(f->sub, a,
				    (char *)list->items + k * f->sub->size);
			break;
		case DESC_OBJ:
			gen_struct(f->sub, a, at);
			break;
		}
	}
}

static inline int
gen_same_text(const char *x, const char *y)
{
	return x == y || (x != NULL && y != NULL && strcmp(x, y) == 0);
}

static inline int
gen_equal(const struct desc *d, const void *x, const void *y)
{
	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f = &d->fields[i];
		const void *ax = (const char *)x + f->offset;
		const void *ay = (const char *)y + f->offset;
		const struct desc_bin *bx = ax, *by = ay;
		const struct desc_strs *sx = ax, *sy = ay;
		const struct desc_u32s *ux = ax, *uy = ay;
		const struct desc_list *lx = ax, *ly = ay;
		int same = 1;

		switch (f->type) {
		case DESC_STR:
			same = gen_same_text(
			    *(const char *const *)ax, *(const char *const *)ay);
			break;
		case DESC_BIN:
			same = bx->len == by->len &&
			    (bx->data == NULL) == (by->data == NULL) &&
			    (bx->len == 0 ||
			        memcmp(bx->data, by->data, bx->len) == 0);
			break;
		case DESC_HEX:
			same = memcmp(ax, ay, f->max) == 0;
			break;
		case DESC_U64:
		case DESC_I64:
			same = memcmp(ax, ay, 8) == 0;
			break;
		case DESC_BOOL:
			same = *(const int *)ax == *(const int *)ay;
			break;
		case DESC_STRS:
			same = sx->n == sy->n;
			for (size_t k = 0; same && k < sx->n; k++)
				same =
				    gen_same_text(sx->items[k], sy->items[k]);
			break;
		case DESC_U32S:
			same = ux->n == uy->n &&
			    (ux->n == 0 ||
			        memcmp(ux->items, uy->items, ux->n * 4) == 0);
			break;
		case DESC_LIST:
			same = lx->n == ly->n;
			for (size_t k = 0; same && k < lx->n; k++)
				same = gen_equal(f->sub,
				    (const char *)lx->items + k * f->sub->size,
				    (const char *)ly->items + k * f->sub->size);
			break;
		case DESC_OBJ:
			same = gen_equal(f->sub, ax, ay);
			break;
		}
		if (!same)
			return 0;
	}
	return 1;
}

#endif
