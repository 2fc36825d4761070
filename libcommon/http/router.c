#include "router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "../core/err.h"
#include "../core/utf8.h"

/* In the order of precedence. */
enum kind {
	KIND_TEXT,
	KIND_NAME,
	KIND_REST
};

struct segment {
	enum kind kind;
	const char *text; /* in the pattern, not terminated */
	size_t len;
};

struct entry {
	const struct http_route *route;
	size_t n;
	struct segment segments[ROUTER_SEGMENTS_MAX];
};

struct router {
	size_t n;
	struct entry entries[]; /* the most specific first */
};

/* A decoded path. Segments past ROUTER_SEGMENTS_MAX are only counted. */
struct path {
	char *text;
	size_t len;
	size_t n;
	struct {
		size_t at, len;
	} segments[ROUTER_SEGMENTS_MAX];
};

static int
segment_parse(struct segment *s, const char *text, size_t len)
{
	int braces =
	    memchr(text, '{', len) != NULL || memchr(text, '}', len) != NULL;

	*s = (struct segment){ KIND_TEXT, text, len };
	if (!braces)
		return 0;
	if (len < 3 || text[0] != '{' || text[len - 1] != '}' ||
	    memchr(text + 1, '{', len - 1) != NULL ||
	    memchr(text, '}', len - 1) != NULL)
		return -1;
	s->kind = len > 5 && memcmp(text + len - 4, "...", 3) == 0 ? KIND_REST
	                                                           : KIND_NAME;
	return 0;
}

static int
entry_parse(struct entry *x, const struct http_route *route, struct err *e)
{
	const char *p = route->pattern;
	size_t params = 0;

	x->route = route;
	for (x->n = 0; *p == '/' && x->n < ROUTER_SEGMENTS_MAX; x->n++) {
		struct segment *s = &x->segments[x->n];
		size_t len = strcspn(++p, "/");
		if (segment_parse(s, p, len) == -1)
			return err_set(e, ERR_INVALID,
			    "route %s: misplaced brace", route->pattern);
		if (s->kind == KIND_REST && p[len] != '\0')
			return err_set(e, ERR_INVALID,
			    "route %s: {name...} is not last", route->pattern);
		params += s->kind != KIND_TEXT;
		p += len;
	}
	if (x->n == 0 || *p != '\0' || params > HTTP_PARAMS_MAX)
		return err_set(e, ERR_INVALID, "route %s: %s", route->pattern,
		    x->n == 0 ? "no '/' at its start" : "too many segments");
	return 0;
}

static int
segment_compare(const struct segment *a, const struct segment *b)
{
	int c;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if (a->kind != KIND_TEXT)
		return 0;
	c = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
	return c != 0 ? c : (a->len > b->len) - (a->len < b->len);
}

/* The more specific first; 0 for two that fit the same requests. Any order will
 * do for patterns that never fit the same path. HEAD comes before GET. */
static int
entry_compare(const void *va, const void *vb)
{
	const struct entry *a = va, *b = vb;
	int c;

	for (size_t i = 0; i < a->n && i < b->n; i++)
		if ((c = segment_compare(&a->segments[i], &b->segments[i])))
			return c;
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	return -strcmp(a->route->method, b->route->method);
}

struct router *
router_new(const struct http_route *routes, struct err *e)
{
	struct router *r;
	size_t n = 0;

	while (routes[n].method != NULL)
		n++;
	r = xcalloc(1, sizeof *r + n * sizeof r->entries[0]);
	for (; r->n < n; r->n++)
		if (entry_parse(&r->entries[r->n], &routes[r->n], e) == -1)
			goto fail;
	qsort(r->entries, n, sizeof r->entries[0], entry_compare);
	for (size_t i = 1; i < n; i++)
		if (entry_compare(&r->entries[i - 1], &r->entries[i]) == 0) {
			err_set(e, ERR_INVALID, "routes %s %s and %s collide",
			    r->entries[i].route->method,
			    r->entries[i - 1].route->pattern,
			    r->entries[i].route->pattern);
			goto fail;
		}
	return r;
fail:
	free(r);
	return NULL;
}

void
router_free(struct router *r)
{
	free(r);
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

ssize_t
router_unescape(char *out, const char *s, size_t n)
{
	char *to = out;

	for (size_t i = 0; i < n; i++) {
		int c = s[i];
		if (c == '%') {
			int hi = n - i > 2 ? hex(s[i + 1]) : -1;
			int lo = n - i > 2 ? hex(s[i + 2]) : -1;
			if (hi == -1 || lo == -1)
				return -1;
			c = hi << 4 | lo;
			i += 2;
		}
		if (c == '\0')
			return -1;
		*to++ = c;
	}
	return to - out;
}

static int
path_decode(struct path *p, const char *raw, size_t len, struct arena *a)
{
	const char *end = raw + len;

	if (len == 0 || raw[0] != '/' ||
	    (p->text = arena_alloc(a, len + 1)) == NULL)
		return -1;
	p->len = 0;
	for (p->n = 0; raw < end; p->n++) {
		const char *from = raw + 1;
		const char *slash = memchr(from, '/', end - from);
		ssize_t got;

		raw = slash != NULL ? slash : end;
		p->text[p->len++] = '/';
		got = router_unescape(p->text + p->len, from, raw - from);
		if (got == -1 ||
		    utf8_span(p->text + p->len, got) != (size_t)got)
			return -1;
		if (p->n < ROUTER_SEGMENTS_MAX) {
			p->segments[p->n].at = p->len;
			p->segments[p->n].len = got;
		}
		p->len += got;
	}
	return 0;
}

static int
entry_fits(const struct entry *x, const struct path *p)
{
	for (size_t i = 0; i < x->n; i++) {
		const struct segment *s = &x->segments[i];
		if (i >= p->n)
			return 0;
		if (s->kind == KIND_REST)
			return 1;
		if (s->kind == KIND_NAME && p->segments[i].len == 0)
			return 0;
		if (s->kind == KIND_TEXT &&
		    (s->len != p->segments[i].len ||
		        memcmp(s->text, p->text + p->segments[i].at, s->len)))
			return 0;
	}
	return x->n == p->n;
}

static int
params_take(const struct entry *x, const struct path *p, struct arena *a,
    const char **params)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n; i++) {
		const char *at = p->text + p->segments[i].at;
		if (x->segments[i].kind == KIND_TEXT)
			continue;
		/* The rest is terminated as the path is. */
		params[n] = x->segments[i].kind == KIND_REST
		    ? at
		    : arena_strn(a, at, p->segments[i].len);
		if (params[n++] == NULL)
			return -1;
	}
	return 0;
}

static void
allow_add(char allow[ROUTER_ALLOW_MAX], const char *method)
{
	size_t len = strlen(allow);

	if (strstr(allow, method) == NULL)
		snprintf(allow + len, ROUTER_ALLOW_MAX - len, "%s%s",
		    len > 0 ? ", " : "", method);
}

int
router_find(const struct router *r, const char *method, const char *path,
    size_t len, struct arena *a, struct router_match *m)
{
	const char *params[HTTP_PARAMS_MAX] = { NULL };
	char allow[ROUTER_ALLOW_MAX] = "";
	int head = strcmp(method, "HEAD") == 0;
	struct path p;

	if (path_decode(&p, path, len, a) == -1)
		return 400;
	m->path = p.text;
	for (const struct entry *x = r->entries; x < r->entries + r->n; x++) {
		int get = strcmp(x->route->method, "GET") == 0;
		if (!entry_fits(x, &p))
			continue;
		if (strcmp(x->route->method, method) == 0 || (head && get)) {
			if (params_take(x, &p, a, params) == -1)
				return 400;
			m->route = x->route;
			memcpy(m->params, params, sizeof params);
			return 200;
		}
		allow_add(allow, x->route->method);
		if (get)
			allow_add(allow, "HEAD");
	}
	if (allow[0] == '\0')
		return 404;
	memcpy(m->allow, allow, sizeof allow);
	return 405;
}
