/*
 * Errors are values on the caller's stack.
 *
 * A function that can fail returns 0 or -1 (or a pointer or NULL), takes a
 * struct err * as its last parameter and fills it on failure; its other outputs
 * are then untouched. Libraries neither log nor exit, except when memory runs
 * out or an invariant is broken (err_die).
 *
 * The text is lower case and says what was attempted, on what and what came of
 * it, outermost first: "narinfo 26xb...: NarSize: not a number". The hint is
 * present only when the user can do something about it. Foreign bytes in a text
 * are escaped by whoever prints it (log.h).
 */
#ifndef CORE_ERR_H
#define CORE_ERR_H

enum err_kind {
#define E(name, http, exit, retryable, text) ERR_##name,
#include "../../proto/errors.def"
#undef E
	ERR__MAX
};

#define ERR_MSG_MAX  512 /* bytes with the NUL; longer texts are cut */
#define ERR_HINT_MAX 256

struct err {
	enum err_kind kind;
	char msg[ERR_MSG_MAX];
	char hint[ERR_HINT_MAX]; /* "" when there is nothing to advise */
};

/* An error that has not happened. */
#define ERR_INIT                 \
	{                        \
		.kind = ERR_NONE \
	}

/* Fills e (which may be NULL) and clears its hint. Always returns -1. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Like err_set with ": " and the text of errno appended. The kind follows
 * errno: ENOENT is NOT_FOUND, EACCES and EPERM FORBIDDEN, ETIMEDOUT TIMEOUT,
 * ECONNREFUSED and its like UNAVAILABLE, ENOMEM and EMFILE IO, the rest IO.
 */
int err_sys(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Puts "text: " before the message. Always returns -1. */
int err_prefix(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Says what the user can do. Always returns -1. */
int err_hint(struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void err_clear(struct err *e);

const char *err_name(enum err_kind kind); /* "not_found" */
const char *err_text(enum err_kind kind); /* the meaning in the table */
int err_http(enum err_kind kind);         /* HTTP status */
int err_exit(enum err_kind kind);         /* exit status of a program */
int err_retryable(enum err_kind kind);

/* ERR_INTERNAL for a name that is not in the table. */
enum err_kind err_kind_by_name(const char *name);
/* The kind that fits best an HTTP status which somebody else answered. */
enum err_kind err_kind_by_http(int status);

/* A broken invariant or no memory: prints to standard error and aborts. */
void err_die(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* malloc and friends that never return NULL. xcalloc checks the product. */
void *xmalloc(unsigned long size);
void *xcalloc(unsigned long n, unsigned long size);
void *xrealloc(void *p, unsigned long size);
char *xstrdup(const char *s);

#endif
