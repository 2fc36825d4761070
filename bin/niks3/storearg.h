/*
 * A store path as people name it on a command line, when it need not be in the
 * store at hand any more.
 */
#ifndef NIKS3_STOREARG_H
#define NIKS3_STOREARG_H

struct arena;
struct err;

/* The base name of a store path, of what is in one or a symlink to one
 * (nixcmd_resolve), or of a base name alone. */
int storearg_base(
    const char *arg, struct arena *a, const char **base, struct err *e);
/* The key of its narinfo; the hash alone will do, and any key of the bucket. */
int storearg_key(
    const char *arg, struct arena *a, const char **key, struct err *e);

#endif
