#include "arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

#define BLOCK_FIRST ((size_t)4096)
#define BLOCK_MAX   ((size_t)1 << 20) /* blocks double up to this */
#define ALIGN       ((size_t)16)

struct block {
	struct block *next;
	size_t size; /* of data */
	size_t used;
	_Alignas(16) unsigned char data[];
};

struct arena {
	struct block *blocks; /* the newest first */
	size_t used;          /* bytes given out */
	size_t max;
	size_t next_size;
};

struct arena *
arena_new(size_t max)
{
	struct arena *a = xcalloc(1, sizeof *a);

	a->max = max;
	a->next_size = BLOCK_FIRST;
	return a;
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	for (struct block *b = a->blocks, *next; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

void
arena_reset(struct arena *a)
{
	struct block *keep = NULL;

	for (struct block *b = a->blocks, *next; b != NULL; b = next) {
		next = b->next;
		if (b->size == BLOCK_FIRST)
			keep = b; /* only the first one is so small */
		else
			free(b);
	}
	if (keep != NULL) {
		memset(keep->data, 0, keep->used);
		keep->next = NULL;
		keep->used = 0;
	}
	a->blocks = keep;
	a->next_size = keep != NULL ? 2 * BLOCK_FIRST : BLOCK_FIRST;
	a->used = 0;
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct block *b = a->blocks;
	void *p;

	if (size == 0)
		size = 1;
	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGN - 1) & ~(ALIGN - 1);
	if (size > a->max - a->used)
		return NULL;
	if (b == NULL || size > b->size - b->used) {
		size_t want = size > a->next_size ? size : a->next_size;
		/* calloc: fresh pages are zero already and cost nothing. */
		b = calloc(1, sizeof *b + want);
		if (b == NULL)
			err_die("out of memory: %zu bytes", want);
		b->size = want;
		b->next = a->blocks;
		a->blocks = b;
		if (a->next_size < BLOCK_MAX)
			a->next_size *= 2;
	}
	p = b->data + b->used;
	b->used += size;
	a->used += size;
	return p;
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return arena_alloc(a, total);
}

void *
arena_dup(struct arena *a, const void *p, size_t n)
{
	void *to = arena_alloc(a, n);

	if (to != NULL && n > 0)
		memcpy(to, p, n);
	return to;
}

char *
arena_strn(struct arena *a, const char *s, size_t n)
{
	char *to;

	if (n == SIZE_MAX || (to = arena_alloc(a, n + 1)) == NULL)
		return NULL;
	memcpy(to, s, n);
	return to; /* zeroed, so terminated */
}

char *
arena_str(struct arena *a, const char *s)
{
	return arena_strn(a, s, strlen(s));
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *to;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (to = arena_alloc(a, (size_t)n + 1)) == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return to;
}

int
arena_full(const struct arena *a, struct err *e)
{
	return err_set(e, ERR_TOO_LARGE,
	    "over the limit of %zu bytes for one request", a->max);
}
