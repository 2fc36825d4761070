/*
 * What the worker of the garbage collection may still do: answer and ask at its
 * sockets, and talk to the database, over a network only when that is remote.
 */
#ifndef GC_SANDBOX_H
#define GC_SANDBOX_H

struct sandbox;

/* Fills an empty one. */
void gc_sandbox(struct sandbox *s, const char *conninfo, const char *listen,
    const char *uploads);

#endif
