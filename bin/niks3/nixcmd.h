/*
 * Asking Nix: runs the nix command and reads what it prints.
 */
#ifndef NIKS3_NIXCMD_H
#define NIKS3_NIXCMD_H

#include <stddef.h>

struct arena;
struct buf;
struct err;
struct pathinfo;

/*
 * The base name of the store path that arg is, is in, or is a symlink to.
 * Symlinks are followed one at a time until they lead into the store, not in it.
 */
int nixcmd_resolve(const char *store_dir, const char *arg, struct arena *a,
    const char **base, struct err *e);

/* Everything the paths (base names) refer to, themselves included. */
int nixcmd_closure(const char *store_dir, const char *const *bases, size_t n,
    struct arena *a, struct pathinfo **out, size_t *nout, struct err *e);

#endif
