#include "desc.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../core/err.h"
#include "../core/utf8.h"

void
desc_enter(struct desc_path *p)
{
	if (p->depth == DESC_DEPTH_MAX)
		err_die("a descriptor nests over %d structs", DESC_DEPTH_MAX);
	p->at[p->depth].name = NULL;
	p->at[p->depth++].index = SIZE_MAX;
}

void
desc_at(struct desc_path *p, const struct desc_field *f)
{
	p->at[p->depth - 1].name = f != NULL ? f->name : NULL;
	p->at[p->depth - 1].index = SIZE_MAX;
}

void
desc_index(struct desc_path *p, size_t index)
{
	p->at[p->depth - 1].index = index;
}

void
desc_leave(struct desc_path *p)
{
	p->depth--;
}

int
desc_fail(const struct desc_path *p, struct err *e, const char *fmt, ...)
{
	char path[256] = "", text[ERR_MSG_MAX];
	size_t len = 0;
	va_list ap;

	for (size_t i = 0; i < p->depth && len < sizeof path; i++) {
		if (p->at[i].name == NULL)
			break;
		len += snprintf(path + len, sizeof path - len, "%s%s",
		    i > 0 ? "." : "", p->at[i].name);
		if (p->at[i].index != SIZE_MAX && len < sizeof path)
			len += snprintf(path + len, sizeof path - len, "[%zu]",
			    p->at[i].index);
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(
	    e, ERR_INVALID, "%s%s%s", path, len > 0 ? ": " : "", text);
}

int
desc_over(
    const struct desc_path *p, uint64_t max, const char *unit, struct err *e)
{
	return desc_fail(p, e, "over the limit of %" PRIu64 "%s%s", max,
	    *unit != '\0' ? " " : "", unit);
}

int
desc_check_text(const struct desc_path *p, const char *s, size_t len,
    uint64_t max, struct err *e)
{
	if (len > max)
		return desc_over(p, max, "bytes", e);
	if (utf8_span(s, len) != len)
		return desc_fail(p, e, "not UTF-8 text");
	return 0;
}

static int check(
    const struct desc *d, const void *s, struct desc_path *p, struct err *e);

static int
check_field(const struct desc_field *f, const void *at, struct desc_path *p,
    struct err *e)
{
	const char *text;
	const struct desc_bin *bin;
	const struct desc_strs *strs;
	const struct desc_u32s *u32s;
	const struct desc_list *list;

	switch (f->type) {
	case DESC_STR:
		text = *(const char *const *)at;
		if (text != NULL)
			return desc_check_text(
			    p, text, strlen(text), f->max, e);
		break;
	case DESC_BIN:
		bin = at;
		if (bin->len > f->max)
			return desc_over(p, f->max, "bytes", e);
		if (bin->data != NULL)
			return 0;
		break;
	case DESC_U64:
		if (*(const uint64_t *)at > f->max)
			return desc_over(p, f->max, "", e);
		return 0;
	case DESC_STRS:
		strs = at;
		if (strs->n > f->max)
			return desc_over(p, f->max, "items", e);
		for (size_t i = 0; i < strs->n; i++) {
			desc_index(p, i);
			if (strs->items[i] == NULL)
				return desc_fail(p, e, "missing");
			if (desc_check_text(p, strs->items[i],
			        strlen(strs->items[i]), DESC_STRS_LEN, e))
				return -1;
		}
		return 0;
	case DESC_U32S:
		u32s = at;
		return u32s->n > f->max ? desc_over(p, f->max, "items", e) : 0;
	case DESC_LIST:
		list = at;
		if (list->n > f->max)
			return desc_over(p, f->max, "items", e);
		for (size_t i = 0; i < list->n; i++) {
			desc_index(p, i);
			if (check(f->sub,
			        (const char *)list->items + i * f->sub->size, p,
			        e))
				return -1;
		}
		return 0;
	case DESC_OBJ:
		return check(f->sub, at, p, e);
	case DESC_HEX:
	case DESC_I64:
	case DESC_BOOL:
		return 0;
	}
	/* A string or bytes that are absent. */
	return f->flags & DESC_REQUIRED ? desc_fail(p, e, "missing") : 0;
}

static int
check(const struct desc *d, const void *s, struct desc_path *p, struct err *e)
{
	desc_enter(p);
	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f = &d->fields[i];
		desc_at(p, f);
		if (check_field(f, (const char *)s + f->offset, p, e))
			return -1;
	}
	desc_leave(p);
	return 0;
}

int
desc_check(const struct desc *d, const void *s, struct err *e)
{
	struct desc_path p = { 0 };

	return check(d, s, &p, e);
}
