/*
 * Which route serves a method and path.
 *
 * A pattern is a path of segments: text, which must be equal; {name}, which
 * takes any one segment that is not empty; and, last only, {name...}, which
 * takes all the rest, slashes and nothing included. "/nar/{key...}" serves
 * "/nar/" but not "/nar". Of several patterns that fit, the most specific wins:
 * the first segment in which they differ decides, text before {name} before
 * {name...}. A GET route also serves HEAD where no HEAD route does.
 *
 * Paths come as they were sent: they are split at '/' and then percent-decoded
 * (RFC 3986, 2.1), so %2F never splits. Nothing is cleaned: "//" is an empty
 * segment and ".." is text.
 */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include <stddef.h>
#include <sys/types.h>

#include "server.h"

struct arena;
struct err;
struct router;

#define ROUTER_SEGMENTS_MAX 16 /* of a pattern; paths may have more */
#define ROUTER_ALLOW_MAX    64

/* routes are ended by a NULL method and must outlive the router. Fails on a
 * malformed pattern, and on two that fit the same requests. */
struct router *router_new(const struct http_route *routes, struct err *e);
void router_free(struct router *r); /* takes NULL */

struct router_match {
	const struct http_route *route;
	const char *path;                    /* decoded */
	const char *params[HTTP_PARAMS_MAX]; /* decoded; NULL past the last */
	char allow[ROUTER_ALLOW_MAX];        /* of a 405: "GET, HEAD" */
};

/*
 * Returns the HTTP status: 200 when there is a route; 404; 405 when the path
 * has routes, but none for this method; 400 when the path does not begin with
 * '/', holds a malformed escape, a NUL or what is not UTF-8, or a fills up. m is
 * then untouched but for path (404, 405) and allow (405). Texts are put into a.
 */
int router_find(const struct router *r, const char *method, const char *path,
    size_t len, struct arena *a, struct router_match *m);

/*
 * Undoes percent-encoding of n bytes; out has room for n and may be the same
 * memory. Returns how many bytes came out (no NUL is added), or -1 on a
 * malformed escape or a NUL.
 */
ssize_t router_unescape(char *out, const char *s, size_t n);

#endif
