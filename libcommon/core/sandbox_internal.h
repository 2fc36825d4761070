/*
 * The two mechanisms of a sandbox, for sandbox.c.
 */
#ifndef CORE_SANDBOX_INTERNAL_H
#define CORE_SANDBOX_INTERNAL_H

struct err;
struct sandbox;

/* Returns the ABI that is in force. UNAVAILABLE: this kernel has none. */
int landlock_apply(const struct sandbox *s, int *abi, struct err *e);
/* For all threads. UNAVAILABLE: this kernel, or this build, has none. */
int seccomp_apply(const struct sandbox *s, struct err *e);

#endif
