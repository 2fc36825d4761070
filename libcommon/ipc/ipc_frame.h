/*
 * Frames of the calls, without any socket: how they are written and read, and
 * who may send which. Internal to this layer.
 *
 * A frame is eight bytes of the schema's version, big-endian, and then msgpack:
 * an array of the head and a body. The version stands outside, so that two
 * versions never need to understand each other's heads.
 */
#ifndef IPC_FRAME_H
#define IPC_FRAME_H

#include <stddef.h>

#include "../../proto/messages.h"

struct arena;
struct buf;
struct err;

/* out is emptied first. ERR_TOO_LARGE when the frame would be over out's
 * maximum. */
int ipc_frame_encode(const struct ipc_head *head, const struct desc *bd,
    const void *body, struct buf *out, struct err *e);
/* The reply that says what went wrong; never fails. Bytes of the texts that are
 * no UTF-8 become '?'. again: see struct ipc_head. */
void ipc_frame_encode_error(enum call call, enum role self,
    const struct err *what, int again, struct buf *out);

/* The head lives in a; *body points into p. ERR_VERSION for a frame of another
 * version. */
int ipc_frame_decode(const void *p, size_t n, struct arena *a,
    struct ipc_head *head, const void **body, size_t *body_len, struct err *e);
/* Fails with the error that a reply carries. */
int ipc_frame_check_reply(const struct ipc_head *head, struct err *e);

/* The permission table: may caller ask self for this? */
int ipc_frame_allow(
    unsigned call, enum role caller, enum role self, struct err *e);

#endif
