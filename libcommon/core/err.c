#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kind {
	const char *name;
	const char *text;
	int http;
	int exit;
	int retryable;
} kinds[ERR__MAX] = {
#define E(name, http, exit, retryable, text) \
	[ERR_##name] = { #name, text, http, exit, retryable },
#include "../../proto/errors.def"
#undef E
};

/* The names in lower case, made once from the table at the first call. */
static char names[ERR__MAX][16];

__attribute__((constructor)) static void
names_init(void)
{
	for (int k = 0; k < ERR__MAX; k++) {
		size_t i;
		for (i = 0; kinds[k].name[i] != '\0' && i < 15; i++) {
			char c = kinds[k].name[i];
			names[k][i] = c >= 'A' && c <= 'Z' ? c + 32 : c;
		}
		names[k][i] = '\0';
	}
}

static void
set(struct err *e, enum err_kind kind, const char *fmt, va_list ap)
{
	char text[ERR_MSG_MAX]; /* an argument may be e's own text */

	vsnprintf(text, sizeof text, fmt, ap);
	e->kind = kind;
	memcpy(e->msg, text, sizeof text);
	e->hint[0] = '\0';
}

int
err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	set(e, kind, fmt, ap);
	va_end(ap);
	return -1;
}

static enum err_kind
kind_of_errno(int no)
{
	switch (no) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EACCES:
	case EPERM:
		return ERR_FORBIDDEN;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case ENETUNREACH:
	case EHOSTUNREACH:
	case EPIPE:
		return ERR_UNAVAILABLE;
	default:
		return ERR_IO;
	}
}

int
err_sys(struct err *e, const char *fmt, ...)
{
	int no = errno;
	char text[128];
	size_t len;
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	set(e, kind_of_errno(no), fmt, ap);
	va_end(ap);
	len = strlen(e->msg);
	snprintf(e->msg + len, sizeof e->msg - len, ": %s",
	    strerror_r(no, text, sizeof text));
	errno = no;
	return -1;
}

int
err_prefix(struct err *e, const char *fmt, ...)
{
	char prefix[ERR_MSG_MAX], text[2 * ERR_MSG_MAX + 2] = "";
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(prefix, sizeof prefix, fmt, ap);
	va_end(ap);
	snprintf(text, sizeof text, "%s: %s", prefix, e->msg);
	memcpy(e->msg, text, sizeof e->msg - 1);
	e->msg[sizeof e->msg - 1] = '\0';
	return -1;
}

int
err_hint(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(e->hint, sizeof e->hint, fmt, ap);
	va_end(ap);
	return -1;
}

void
err_clear(struct err *e)
{
	e->kind = ERR_NONE;
	e->msg[0] = '\0';
	e->hint[0] = '\0';
}

const char *
err_name(enum err_kind kind)
{
	return names[kind];
}

const char *
err_text(enum err_kind kind)
{
	return kinds[kind].text;
}

int
err_http(enum err_kind kind)
{
	return kinds[kind].http;
}

int
err_exit(enum err_kind kind)
{
	return kinds[kind].exit;
}

int
err_retryable(enum err_kind kind)
{
	return kinds[kind].retryable;
}

enum err_kind
err_kind_by_name(const char *name)
{
	for (int k = 0; k < ERR__MAX; k++)
		if (strcmp(names[k], name) == 0)
			return k;
	return ERR_INTERNAL;
}

enum err_kind
err_kind_by_http(int status)
{
	switch (status) {
	case 400:
		return ERR_INVALID;
	case 408:
		return ERR_TIMEOUT;
	case 500:
	case 502:
	case 503:
	case 507:
		return ERR_UNAVAILABLE;
	default:
		break;
	}
	for (int k = 1; k < ERR__MAX; k++)
		if (kinds[k].http == status && k != ERR_USAGE)
			return k;
	return status >= 500 ? ERR_UNAVAILABLE : ERR_INVALID;
}

void
err_die(const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s\n", text);
	abort();
}

void *
xmalloc(unsigned long size)
{
	void *p = malloc(size > 0 ? size : 1);

	if (p == NULL)
		err_die("out of memory: %lu bytes", size);
	return p;
}

void *
xcalloc(unsigned long n, unsigned long size)
{
	void *p = calloc(n > 0 ? n : 1, size > 0 ? size : 1);

	if (p == NULL)
		err_die("out of memory: %lu times %lu bytes", n, size);
	return p;
}

void *
xrealloc(void *old, unsigned long size)
{
	void *p = realloc(old, size > 0 ? size : 1);

	if (p == NULL)
		err_die("out of memory: %lu bytes", size);
	return p;
}

char *
xstrdup(const char *s)
{
	size_t size = strlen(s) + 1;

	return memcpy(xmalloc(size), s, size);
}
