/*
 * zstd, streaming: bytes in, compressed bytes out through a callback, or whole
 * buffers. One frame, content checksum on (RFC 8878).
 */
#ifndef CODEC_ZSTREAM_H
#define CODEC_ZSTREAM_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;
struct zstream;

#define ZSTREAM_LEVEL 3

/* Takes n bytes; returns 0 or -1 with e filled, which ends the stream. */
typedef int zstream_sink(void *ctx, const void *p, size_t n, struct err *e);

/*
 * A compressor that can be reused for one stream after another. workers > 0
 * compresses in that many threads (the result then differs from that of 0, but
 * is the same for every number of workers > 0). Never NULL.
 */
struct zstream *zstream_new(int level, int workers);
void zstream_free(struct zstream *z); /* takes NULL */
/* Begins a stream. size is the number of bytes that will come, or UINT64_MAX
 * when it is not known. */
int zstream_begin(struct zstream *z, uint64_t size, zstream_sink *sink,
    void *ctx, struct err *e);
int zstream_write(struct zstream *z, const void *p, size_t n, struct err *e);
int zstream_end(struct zstream *z, struct err *e);

/* Whole buffers; out is appended to. */
int zstream_pack(
    struct zstream *z, const void *p, size_t n, struct buf *out, struct err *e);
/* All frames of a text of n bytes; stops at out's maximum with ERR_TOO_LARGE:
 * no bomb grows past it. */
int zstream_unpack(const void *p, size_t n, struct buf *out, struct err *e);

#endif
