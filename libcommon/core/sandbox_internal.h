/*
 * The two mechanisms of a sandbox, for sandbox.c.
 */
#ifndef CORE_SANDBOX_INTERNAL_H
#define CORE_SANDBOX_INTERNAL_H

/* A build with a sanitizer that has a run-time of its own, by GCC or by clang. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
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
