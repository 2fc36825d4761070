/*
 * Which realisations lead to the content-addressed paths of a closure.
 *
 * A build of a derivation with content-addressed inputs leaves two: one of the
 * derivation as it was written and one with its inputs resolved. `nix
 * realisation info` is asked by derivation, and a path's deriver is only the
 * resolved one; the Nix database knows all of them by path, so that is where
 * they are read from, read-only.
 */
#ifndef LOCAL_REALISATIONS_H
#define LOCAL_REALISATIONS_H

#include <stddef.h>

struct arena;
struct err;
struct pathinfo;
struct realisation;

/* Of the paths that have a ca. Empty, without an error, where this Nix has none
 * registered. */
int realisations_find(const char *store_dir, const struct pathinfo *paths,
    size_t n, struct arena *a, struct realisation **out, size_t *nout,
    struct err *e);

#endif
