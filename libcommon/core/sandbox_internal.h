/*
 * The two mechanisms of a sandbox, for sandbox.c.
 */
#ifndef CORE_SANDBOX_INTERNAL_H
#define CORE_SANDBOX_INTERNAL_H

/* A build with a sanitizer that has a run-time of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#else
#define SANDBOX_SANITIZED 0
#endif

struct err;
struct sandbox;

/* Returns the ABI that is in force. UNAVAILABLE: this kernel has none. */
int landlock_apply(const struct sandbox *s, int *abi, struct err *e);
/* For all threads. UNAVAILABLE: this kernel, or this build, has none. */
int seccomp_apply(const struct sandbox *s, struct err *e);

#endif
