/*
 * Names of foreign make in a room that is bounded: PREFIX:NAME, or, where that
 * does not fit, PREFIX:sha256:HEX. Stable, and no two names become one, but by a
 * name that itself begins with "sha256:" and is the hash of another.
 */
#ifndef CODEC_SHORTNAME_H
#define CODEC_SHORTNAME_H

#include <stddef.h>

/* Prefix, colons and hash must fit. Returns out. */
const char *shortname_fmt(
    char *out, size_t size, const char *prefix, const char *name);

#endif
