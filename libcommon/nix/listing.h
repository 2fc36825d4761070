/*
 * Listings (.ls): what is in a NAR and where, as JSON (Nix, "nar listing"),
 * so that `nix store ls --store` need not fetch the NAR.
 *
 *	{"version":1,"root":{"type":"directory","entries":{...}}}
 *
 * A node has "type": "regular" with "size", "executable":true if it is, and
 * "narOffset"; "directory" with "entries"; "symlink" with "target". In names and
 * targets, bytes that are no UTF-8 become U+FFFD.
 *
 * Written in one pass beside the serialisation: give listing_visit and the
 * listing to nar_dump or nar_reader_new.
 */
#ifndef NIX_LISTING_H
#define NIX_LISTING_H

#include <stddef.h>

struct buf;
struct err;
struct listing;
struct nar_visit;

extern const struct nar_visit listing_visit;

/* out receives the JSON; its maximum is the limit. Never NULL. */
struct listing *listing_new(struct buf *out);
void listing_free(struct listing *l); /* takes NULL */
/* Closes the JSON; ERR_CORRUPT when the walk was not complete. */
int listing_end(struct listing *l, struct err *e);

#endif
