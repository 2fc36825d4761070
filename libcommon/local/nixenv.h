/*
 * Where Nix keeps things on this machine, by its variables.
 */
#ifndef LOCAL_NIXENV_H
#define LOCAL_NIXENV_H

struct arena;
struct err;

/* NIX_STORE_DIR, or /nix/store; checked. */
int nixenv_store_dir(const char **out, struct err *e);
/* NIX_LOG_DIR, or var/log/nix beside the store. */
int nixenv_log_dir(
    const char *store_dir, struct arena *a, const char **out, struct err *e);
/* The directory of the database: db in NIX_STATE_DIR, or in var/nix beside the
 * store. */
int nixenv_db_dir(
    const char *store_dir, struct arena *a, const char **out, struct err *e);

#endif
