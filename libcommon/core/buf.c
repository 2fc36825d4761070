#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

#define BUF_FIRST 256 /* the first allocation; most texts fit */

void
buf_init(struct buf *b, size_t max)
{
	/* One more byte, for the NUL, is always a size. */
	*b = (struct buf){ .max = max < SIZE_MAX ? max : SIZE_MAX - 1 };
}

void
buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
}

void *
buf_reserve(struct buf *b, size_t n, struct err *e)
{
	size_t want, cap;

	if (n > b->max - b->len) {
		err_set(e, ERR_TOO_LARGE, "more than the limit of %zu bytes",
		    b->max);
		return NULL;
	}
	want = b->len + n + 1;
	if (want > b->cap) {
		cap = b->cap > 0 ? b->cap : BUF_FIRST;
		while (cap < want)
			cap = cap > SIZE_MAX / 2 ? want : cap * 2;
		if (cap > b->max + 1)
			cap = b->max + 1;
		b->data = xrealloc(b->data, cap);
		b->cap = cap;
	}
	return b->data + b->len;
}

int
buf_append(struct buf *b, const void *p, size_t n, struct err *e)
{
	void *to = buf_reserve(b, n, e);

	if (to == NULL)
		return -1;
	if (n > 0)
		memcpy(to, p, n);
	b->len += n;
	return 0;
}

int
buf_puts(struct buf *b, const char *s, struct err *e)
{
	return buf_append(b, s, strlen(s), e);
}

int
buf_putc(struct buf *b, int c, struct err *e)
{
	uint8_t byte = c;

	return buf_append(b, &byte, 1, e);
}

int
buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
{
	va_list ap;
	int n;
	void *to;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_set(e, ERR_INTERNAL, "bad format");
	if ((to = buf_reserve(b, n, e)) == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += n;
	return 0;
}

const char *
buf_str(struct buf *b)
{
	if (b->data == NULL)
		return "";
	b->data[b->len] = '\0';
	return (const char *)b->data;
}

char *
buf_steal(struct buf *b, size_t *len)
{
	char *p;

	if (b->data == NULL)
		b->data = xcalloc(1, 1);
	b->data[b->len] = '\0';
	p = (char *)b->data;
	if (len != NULL)
		*len = b->len;
	*b = (struct buf){ .max = b->max };
	return p;
}
