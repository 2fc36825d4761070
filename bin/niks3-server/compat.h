/*
 * The compatible API (/api): what the clients of the Go server call, in its words
 * and with its statuses, on what the native API is made of.
 *
 *	compat_begin.c      POST /api/pending_closures, /api/pushes
 *	compat_sign.c       …/{id}/sign
 *	compat_commit.c     …/{id}/complete
 *	compat_parts.c      /api/multipart/…
 *	compat_objects.c    /api/objects/…, /api/uploads/…, /api/closures/{key}
 *	compat_gc.c         DELETE /api/closures, /api/pending_closures, gc/status
 *	compat_pins.c       /api/pins
 *
 * What clients write by the URLs they are given is staged (db/staged.h): they hold
 * them for hours, and whatever they write there late can harm nothing that is
 * published.
 */
#ifndef SERVER_COMPAT_H
#define SERVER_COMPAT_H

#include <stddef.h>
#include <stdint.h>

#include "server.h"

struct presign_item;
struct staged_refs;
struct upload_path;

/* NARs up to this size are written by one PUT, larger ones in parts. */
#define COMPAT_SINGLE_MAX ((uint64_t)10 << 20)

/* A body that cannot be read is a 400 in the words of the clients. */
int compat_decode(
    const struct http_req *q, const struct desc *d, void *out, struct err *e);
/* {id}: ERR_INVALID "invalid id: …". */
int compat_id(const struct http_req *q, int64_t *id, struct err *e);

/* URLs for any number of items; token may be NULL when all are parts. *urls is in
 * the arena. */
int compat_presign(struct server *s, struct arena *a, const char *token,
    struct presign_item *items, size_t n, const char ***urls, struct err *e);

/*
 * Is what a narinfo says of its path what the upload was begun with? key is the
 * narinfo's, refs what the upload needs for it; the NAR and every reference must be
 * among them, so nothing can be published whose closure is not whole. Sorts
 * p->refs. *nar gets the place of the NAR's key in refs.
 */
int compat_check_path(const char *key, const struct staged_refs *refs,
    struct upload_path *p, size_t *nar, struct err *e);

http_handler handle_compat_closure_begin;
http_handler handle_compat_push_begin;
http_handler handle_compat_sign;
http_handler handle_compat_closure_complete;
http_handler handle_compat_push_complete;
http_handler handle_compat_part_urls;
http_handler handle_compat_parts_complete;
http_handler handle_compat_object;
http_handler handle_compat_present;
http_handler handle_compat_written;
http_handler handle_compat_skipped;
http_handler handle_compat_closure;
http_handler handle_compat_gc_start;
http_handler handle_compat_gc_status;
http_handler handle_compat_cleanup;
http_handler handle_compat_pins;
http_handler handle_compat_pin_set;
http_handler handle_compat_pin_delete;

#endif
