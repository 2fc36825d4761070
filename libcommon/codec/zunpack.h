/*
 * zstd undone while it comes (RFC 8878): bytes in, as many as there are, bytes
 * out, as many as there is room for. Frames may follow each other.
 */
#ifndef CODEC_ZUNPACK_H
#define CODEC_ZUNPACK_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct zunpack;

/* What one may take: frames that need a larger window are CORRUPT. Readers have
 * to do with 8 MiB (RFC 8878, 3.1.1.1.2). */
#define ZUNPACK_WINDOW_LOG 23

struct zunpack *zunpack_new(void);    /* never NULL */
void zunpack_free(struct zunpack *z); /* takes NULL */

/*
 * Takes from *in, which is moved, and *n, which is lowered; writes at most max
 * bytes to out and returns how many. 0 when it wants more input, -1 with e filled
 * (CORRUPT).
 */
long zunpack_run(struct zunpack *z, const uint8_t **in, size_t *n, void *out,
    size_t max, struct err *e);
/* 1 where a text may end: behind a whole frame. */
int zunpack_whole(const struct zunpack *z);

#endif
