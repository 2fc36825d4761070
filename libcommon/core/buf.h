/*
 * Growing bytes with a mandatory maximum.
 *
 * Invariants: len <= cap <= max + 1; data[len] may be written (one byte is kept
 * for a terminating NUL). A buffer belongs to whoever called buf_init; buf_done
 * frees its bytes. Growing is amortised O(1) a byte.
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include <stddef.h>
#include <stdint.h>

struct err;

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t max;
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
/* Forgets the content and keeps the memory. */
void buf_reset(struct buf *b);

/* Each fails with ERR_TOO_LARGE when max would be exceeded; b is then as it
 * was. */
int buf_append(struct buf *b, const void *p, size_t n, struct err *e);
int buf_puts(struct buf *b, const char *s, struct err *e);
int buf_putc(struct buf *b, int c, struct err *e);
int buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Makes room for n more bytes and returns where they go, or NULL. The caller
 * writes them and adds to len.
 */
void *buf_reserve(struct buf *b, size_t n, struct err *e);

/* The content with a NUL behind it; valid until b changes. */
const char *buf_str(struct buf *b);

/*
 * Hands the bytes (NUL-terminated, malloc'ed) to the caller and leaves b empty.
 */
char *buf_steal(struct buf *b, size_t *len);

#endif
