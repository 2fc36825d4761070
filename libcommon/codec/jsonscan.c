#include "jsonscan.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "../core/err.h"
#include "json.h"

static int
malformed(struct err *e)
{
	return err_set(e, ERR_INVALID, "malformed or cut off");
}

static int
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '+' || c == '.' || c == 'E';
}

char
jsonscan_peek(struct jsonscan *s)
{
	while (s->p < s->end && is_white(*s->p))
		s->p++;
	return s->p < s->end ? *s->p : '\0';
}

int
jsonscan_take(struct jsonscan *s, char c)
{
	if (jsonscan_peek(s) != c || s->p == s->end)
		return 0;
	s->p++;
	return 1;
}

int
jsonscan_null(struct jsonscan *s)
{
	struct jsonscan ahead = *s;
	struct jsonscan_raw word;

	if (jsonscan_word(&ahead, &word, NULL) < 0 ||
	    !jsonscan_is(word, "null"))
		return 0;
	*s = ahead;
	return 1;
}

int
jsonscan_end(struct jsonscan *s, struct err *e)
{
	jsonscan_peek(s);
	if (s->p < s->end)
		return err_set(e, ERR_INVALID, "more after the end");
	return 0;
}

static int
next(struct jsonscan *s, char close, size_t *n, struct err *e)
{
	if (jsonscan_take(s, close))
		return 0;
	if (*n > 0 && !jsonscan_take(s, ','))
		return malformed(e);
	++*n;
	return 1;
}

int
jsonscan_item(struct jsonscan *s, size_t *n, struct err *e)
{
	return next(s, ']', n, e);
}

int
jsonscan_member(
    struct jsonscan *s, struct jsonscan_raw *key, size_t *n, struct err *e)
{
	int rc = next(s, '}', n, e);

	if (rc > 0 && jsonscan_string(s, key, e) < 0)
		return -1;
	if (rc > 0 && !jsonscan_take(s, ':'))
		return malformed(e);
	return rc;
}

int
jsonscan_string(struct jsonscan *s, struct jsonscan_raw *out, struct err *e)
{
	const char *start, *quote, *escape;

	if (!jsonscan_take(s, '"'))
		return err_set(e, ERR_INVALID, "not a string");
	for (start = s->p;; s->p = escape + 2) {
		quote = memchr(s->p, '"', s->end - s->p);
		if (quote == NULL)
			return malformed(e);
		escape = memchr(s->p, '\\', quote - s->p);
		if (escape == NULL)
			break;
	}
	*out = (struct jsonscan_raw){ start, quote - start };
	s->p = quote + 1;
	return 0;
}

int
jsonscan_word(struct jsonscan *s, struct jsonscan_raw *out, struct err *e)
{
	const char *start;

	jsonscan_peek(s);
	start = s->p;
	while (s->p < s->end && is_word(*s->p))
		s->p++;
	if (s->p == start)
		return malformed(e);
	*out = (struct jsonscan_raw){ start, s->p - start };
	return 0;
}

int
jsonscan_skip(struct jsonscan *s, struct err *e)
{
	struct jsonscan_raw ignored;
	uint32_t open = 0; /* a bit for each bracket: 1 for an object's */
	unsigned depth = 0;

	_Static_assert(JSON_DEPTH_MAX <= 32, "a bit for each");
	do {
		char c = jsonscan_peek(s);
		if (c == '"') {
			if (jsonscan_string(s, &ignored, e) < 0)
				return -1;
		} else if (c == '{' || c == '[') {
			if (depth++ == JSON_DEPTH_MAX)
				return err_set(e, ERR_INVALID,
				    "nested over the limit of %d",
				    JSON_DEPTH_MAX);
			open = open << 1 | (c == '{');
			s->p++;
		} else if (depth > 0 && c == (open & 1 ? '}' : ']')) {
			depth--;
			open >>= 1;
			s->p++;
		} else if (depth > 0 && (c == ',' || c == ':')) {
			s->p++;
		} else if (jsonscan_word(s, &ignored, e) < 0) {
			return -1;
		}
	} while (depth > 0);
	return 0;
}

int
jsonscan_is(struct jsonscan_raw v, const char *text)
{
	return v.len == strlen(text) && memcmp(v.p, text, v.len) == 0;
}

int
jsonscan_text(struct jsonscan_raw v, char *out, size_t size, struct err *e)
{
	json_t *json = NULL;
	int rc = 0;

	/* Escapes are rare where this is used: jansson may do them. */
	if (memchr(v.p, '\\', v.len) != NULL) {
		json = json_load(v.p - 1, v.len + 2, e); /* with its quotes */
		if (json == NULL)
			return -1;
		v.p = json_string_value(json);
		v.len = json_string_length(json);
	}
	if (v.len >= size || memchr(v.p, '\0', v.len) != NULL) {
		rc = err_set(e, ERR_INVALID,
		    "a string of %zu bytes: over the limit, or with a NUL",
		    v.len);
	} else {
		memcpy(out, v.p, v.len);
		out[v.len] = '\0';
	}
	json_decref(json);
	return rc;
}
