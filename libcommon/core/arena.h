/*
 * An arena: memory that lives as long as a request and is freed at once, with a
 * limit.
 *
 * Every allocation is zeroed and aligned for any type. A function that takes an
 * arena puts there whatever its outputs point to, so the caller frees nothing
 * else. Secrets never go into an arena (secret.h). Not thread-safe.
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include <stddef.h>

struct arena;

/* An arena that holds at most max bytes. Never NULL. */
struct arena *arena_new(size_t max);
void arena_free(struct arena *a); /* takes NULL */
/* Frees all that was allocated, keeps one small block for reuse. */
void arena_reset(struct arena *a);
size_t arena_used(const struct arena *a);

/* NULL when the limit would be exceeded. arena_array checks the product. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_array(struct arena *a, size_t n, size_t size);
void *arena_dup(struct arena *a, const void *p, size_t n);
/* NUL-terminated copies. */
char *arena_str(struct arena *a, const char *s);
char *arena_strn(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

struct err;
/* Fills e with ERR_TOO_LARGE for an allocation that failed. Returns -1. */
int arena_full(const struct arena *a, struct err *e);

#endif
