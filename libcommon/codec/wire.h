/*
 * Described structs in msgpack, for the frames between our processes.
 *
 * A struct is an array of its fields in order; absent strings are nil. Decoding
 * first walks the frame with a bounded check (depth, counts and lengths against
 * the bytes that are left; nothing may trail), because msgpack-c allocates by
 * the numbers it reads, and only then lets msgpack-c unpack it.
 */
#ifndef CODEC_WIRE_H
#define CODEC_WIRE_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct buf;
struct desc;
struct err;

#define WIRE_DEPTH_MAX 8
/* Elements in one frame: msgpack-c takes 24 bytes for each. The largest frame
 * that our own schema makes has a fifth of that. */
#define WIRE_ITEMS_MAX ((size_t)1 << 20)

/*
 * Checks that p holds exactly one well-formed msgpack object of bounded depth
 * and at most max_items elements in all. O(n), allocates nothing.
 */
int wire_check(const void *p, size_t n, size_t max_items, struct err *e);

/* Appends. Fails with ERR_TOO_LARGE over the buffer's maximum and ERR_INVALID
 * when a field is over its own: a sender notices before its peer does. */
int wire_encode(
    const struct desc *d, const void *s, struct buf *out, struct err *e);
/* *s is untouched on failure; what it points to lives in a. Unread bytes and
 * fields too many or too few are errors. */
int wire_decode(const struct desc *d, const void *p, size_t n, struct arena *a,
    void *s, struct err *e);

/* A frame is an array of a header struct and a body: both by descriptors. The
 * body is decoded later, when the header told what it is. */
int wire_encode_frame(const struct desc *hd, const void *header,
    const struct desc *bd, const void *body, struct buf *out, struct err *e);
/* *body and *body_len are the body's bytes inside p. */
int wire_decode_frame(const struct desc *hd, const void *p, size_t n,
    struct arena *a, void *header, const void **body, size_t *body_len,
    struct err *e);

/* Text of a struct for a trace, secrets as "***", cut at the buffer's max. */
void wire_trace(const struct desc *d, const void *s, struct buf *out);

/* A 64-bit hash of a descriptor's own text, with all it nests: the version of a
 * schema that nobody has to bump. */
uint64_t wire_desc_hash(const struct desc *d, uint64_t seed);

#endif
