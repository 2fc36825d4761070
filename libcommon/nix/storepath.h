/*
 * Store paths: <store dir>/<32 characters of nix32>-<name>, name 1 to 211
 * characters of [A-Za-z0-9+._?=-], not "." or "..", not starting with ".-" or
 * "..-" (Nix, src/libstore/path.cc). Nothing may follow the name.
 */
#ifndef NIX_STOREPATH_H
#define NIX_STOREPATH_H

#include <stddef.h>

struct err;

#define STOREPATH_HASH_LEN    32
#define STOREPATH_NAME_MAX    211
#define STOREPATH_BASE_MAX    (STOREPATH_HASH_LEN + 1 + STOREPATH_NAME_MAX)
#define STOREPATH_DIR_MAX     255
#define STOREPATH_MAX         (STOREPATH_DIR_MAX + 1 + STOREPATH_BASE_MAX)
#define STOREPATH_DIR_DEFAULT "/nix/store"

/* A store directory: absolute, no empty, "." or ".." component, no trailing
 * slash, no white space, at most STOREPATH_DIR_MAX bytes. */
int storepath_check_dir(const char *dir, struct err *e);
/* "hash-name" */
int storepath_check_base(const char *base, size_t len, struct err *e);
/* A full store path directly under dir; *base points into path. */
int storepath_parse(
    const char *dir, const char *path, const char **base, struct err *e);
/* What is a full path or a base name alone, as newer Nix prints it; *base points
 * into text. */
int storepath_parse_either(
    const char *dir, const char *text, const char **base, struct err *e);
/* The base name of what path is, or is inside of: "/nix/store/x-y/bin/z" gives
 * "x-y" and *len. Fails when path is not under dir or has a ".."
 * component. */
int storepath_enclosing(const char *dir, const char *path, const char **base,
    size_t *len, struct err *e);

#endif
