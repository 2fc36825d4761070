/*
 * Secrets: locked memory that is wiped when freed, kept out of core dumps and
 * never copied into logs, errors, argv or arenas.
 */
#ifndef CORE_SECRET_H
#define CORE_SECRET_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* Bytes in sodium_malloc'ed memory; data[len] is a NUL. */
struct secret {
	char *data; /* NULL when empty */
	size_t len;
};

#define SECRET_MAX 65536 /* no credential or key file is larger */

/* Copies. s is empty or holds a secret, which is wiped and replaced. */
int secret_set(struct secret *s, const void *p, size_t len, struct err *e);
/* The same with len zeros, which the caller then writes over. */
int secret_zero(struct secret *s, size_t len, struct err *e);
/*
 * Reads a whole file (at most max bytes), white space at both ends removed.
 * Empty is an error. Warn-worthy permissions are the caller's business:
 * *mode gets the file's permission bits when mode is not NULL.
 */
int secret_load(struct secret *s, const char *path, size_t max, unsigned *mode,
    struct err *e);
void secret_done(struct secret *s); /* takes an empty one */

/* 1 when equal; time depends only on len. */
int secret_equal(const void *a, const void *b, size_t len);

/* Random bytes from the system. */
void secret_random(void *out, size_t len);

/* Once at the start of every program: no core dumps, no ptrace by others. */
void secret_harden_process(void);

#endif
