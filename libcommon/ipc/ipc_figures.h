/*
 * The figures of a process in a message. Internal to this layer.
 */
#ifndef IPC_FIGURES_H
#define IPC_FIGURES_H

struct arena;
struct err;
struct figures_told;
struct metrics;

/* ERR_NOT_FOUND when m is NULL. */
int ipc_figures_tell(struct metrics *m, struct figures_told *out,
    struct arena *a, struct err *e);

#endif
