/*
 * Percent-encoding is undone as it was done. Of a path the router says what its
 * header promises: a pattern with its parameters put in is the path, a 405 names
 * the methods that do have a route, and a 404 means that no method has one.
 */
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/utf8.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/http/router.h"
#include "fuzz.h"

#define UNTOUCHED 0x5a

static const struct http_route routes[] = {
	{ "GET", "/" },
	{ "GET", "/{name}" },
	{ "PUT", "/{name}" },
	{ "GET", "/nar/{key...}" },
	{ "HEAD", "/nar/{key...}" },
	{ "GET", "/log/{drv}" },
	{ "POST", "/api/v2/uploads" },
	{ "DELETE", "/api/v2/uploads/{id}" },
	{ "POST", "/api/v2/uploads/{id}/commit" },
	{ "POST", "/api/v2/uploads/{id}/{verb}" },
	{ "GET", "/api/v2/pins/{name...}" },
	{ NULL },
};
static const char *const methods[] = { "GET", "HEAD", "PUT", "POST", "DELETE" };

#define METHODS (sizeof methods / sizeof *methods)

static struct router *router;

/* ---- percent-encoding ---- */

/* Escaped bytes come back, and are made of what a URL may hold. */
static void
escapes(const char *s, size_t n, int slash)
{
	struct buf b;
	ssize_t len;

	buf_init(&b, 3 * n);
	FUZZ_CHECK(http_escape(&b, s, n, slash, NULL) == 0);
	for (size_t i = 0; i < b.len; i++)
		FUZZ_CHECK(b.data[i] == '%' || http_unreserved(b.data[i]) ||
		    (slash && b.data[i] == '/'));
	/* In place. */
	len = router_unescape((char *)b.data, (char *)b.data, b.len);
	if (memchr(s, '\0', n) != NULL)
		FUZZ_CHECK(len == -1);
	else
		FUZZ_CHECK((size_t)len == n && memcmp(b.data, s, n) == 0);
	buf_done(&b);
}

static void
unescapes(const char *s, size_t n)
{
	char *out = xmalloc(n + 1); /* malloc(0) may be NULL */
	ssize_t len = router_unescape(out, s, n);

	if (memchr(s, '%', n) == NULL && memchr(s, '\0', n) == NULL)
		FUZZ_CHECK((size_t)len == n && memcmp(out, s, n) == 0);
	if (len >= 0) {
		FUZZ_CHECK((size_t)len <= n);
		FUZZ_CHECK(memchr(out, '\0', len) == NULL);
		escapes(out, len, 0);
	}
	free(out);
}

/* ---- the router ---- */

static int
find(const char *method, const char *path, size_t len, struct arena *a,
    struct router_match *m)
{
	memset(m, UNTOUCHED, sizeof *m);
	return router_find(router, method, path, len, a, m);
}

static int
is_untouched(const void *p, size_t n)
{
	const uint8_t *s = p;

	for (size_t i = 0; i < n; i++)
		if (s[i] != UNTOUCHED)
			return 0;
	return 1;
}

/* The path that a pattern is with these parameters. */
static void
is_filled(const struct router_match *m)
{
	const char *path = m->path, *p = m->route->pattern;
	size_t n = 0, len;

	while (*p != '\0') {
		if (*p != '{') {
			FUZZ_CHECK(*path++ == *p++);
			continue;
		}
		FUZZ_CHECK(n < HTTP_PARAMS_MAX && m->params[n] != NULL);
		len = strlen(m->params[n]);
		FUZZ_CHECK(len > 0 || strstr(p, "...}") != NULL);
		FUZZ_CHECK(strncmp(path, m->params[n++], len) == 0);
		path += len;
		p = strchr(p, '}') + 1;
	}
	FUZZ_CHECK(*path == '\0');
	FUZZ_CHECK(n == HTTP_PARAMS_MAX || m->params[n] == NULL);
}

static void
is_found(const struct router_match *m, const char *method)
{
	const char *has = m->route->method;

	FUZZ_CHECK(strcmp(has, method) == 0 ||
	    (strcmp(has, "GET") == 0 && strcmp(method, "HEAD") == 0));
	FUZZ_CHECK(is_untouched(m->allow, sizeof m->allow));
	is_filled(m);
}

/* Is the method in a list like "GET, HEAD"? */
static int
is_allowed(const char *allow, const char *method)
{
	const char *at = strstr(allow, method);
	char end = at != NULL ? at[strlen(method)] : 'x';

	return at != NULL && (at == allow || at[-1] == ' ') &&
	    (end == '\0' || end == ',');
}

static void
routes_path(const char *path, size_t len)
{
	struct arena *a = arena_new(1 << 20);
	struct router_match m[METHODS];
	int status[METHODS], some = 0;
	char *text = xmalloc(len + 1);
	ssize_t n = router_unescape(text, path, len);
	int good = len > 0 && path[0] == '/' && n != -1 &&
	    utf8_span(text, n) == (size_t)n;

	for (size_t i = 0; i < METHODS; i++) {
		status[i] = find(methods[i], path, len, a, &m[i]);
		some |= status[i] == 200;
	}
	for (size_t i = 0; i < METHODS; i++) {
		FUZZ_CHECK((status[i] == 400) == !good);
		if (status[i] == 400) {
			FUZZ_CHECK(is_untouched(&m[i], sizeof m[i]));
			continue;
		}
		FUZZ_CHECK(strlen(m[i].path) == (size_t)n);
		FUZZ_CHECK(memcmp(m[i].path, text, n) == 0);
		FUZZ_CHECK(status[i] == 200 || status[i] == (some ? 405 : 404));
		if (status[i] == 200)
			is_found(&m[i], methods[i]);
		else
			FUZZ_CHECK(
			    is_untouched(m[i].params, sizeof m[i].params));
		for (size_t k = 0; status[i] == 405 && k < METHODS; k++)
			FUZZ_CHECK(is_allowed(m[i].allow, methods[k]) ==
			    (status[k] == 200));
	}
	free(text);
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	struct err e;

	if (router == NULL && (router = router_new(routes, &e)) == NULL)
		err_die("%s", e.msg);
	escapes(s, size, 0);
	escapes(s, size, 1);
	unescapes(s, size);
	routes_path(s, size);
	return 0;
}
