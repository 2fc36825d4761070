/*
 * Scopes: what a credential may do. A route names those of which a credential
 * must have one; none is for everybody.
 */
#ifndef PROTO_SCOPES_H
#define PROTO_SCOPES_H

#include <stddef.h>

struct err;

enum {
	SCOPE_NONE = 0,
	SCOPE_READ = 1,
	SCOPE_WRITE = 2,  /* push, and create pins */
	SCOPE_PIN = 4,    /* create and delete pins */
	SCOPE_GC = 8,     /* start collections and look at them */
	SCOPE_ADMIN = 16, /* collections, closures, pins: what deletes */
	SCOPE_ALL = 31
};

#define SCOPES_MAX 5

/* Write and admin imply read, and nothing else implies anything. */
unsigned scopes_implied(unsigned scopes);
/* "write"; ERR_INVALID names what is none. */
int scopes_parse(const char *name, unsigned *out, struct err *e);
/* Those of a list; ERR_INVALID when it is empty. */
int scopes_parse_list(
    const char *const *names, size_t n, unsigned *out, struct err *e);
/* Their names, which are literals; returns how many. */
size_t scopes_names(unsigned scopes, const char *out[SCOPES_MAX]);
/* The one to name where any of them would do: of those that every generation of
 * clients knows, if there is one. "none" for no scope. */
const char *scopes_wanted(unsigned scopes);

#endif
