#include "json.h"

#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "../core/arena.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../core/utf8.h"
#include "base64.h"
#include "desc.h"

/* ---- reading: the lexer ---- */

struct reader {
	const char *begin, *p, *end;
	struct arena *a;
	struct desc_path path;
	struct err *e;
};

static int
malformed(struct reader *r)
{
	return desc_fail(
	    &r->path, r->e, "malformed JSON at byte %td", r->p - r->begin);
}

static int
fail(struct reader *r, const char *want)
{
	return desc_fail(&r->path, r->e, "not %s", want);
}

/* The next byte that is no white space, -1 at the end. */
static int
peek(struct reader *r)
{
	while (r->p < r->end &&
	    (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
		r->p++;
	return r->p < r->end ? (unsigned char)*r->p : -1;
}

static int
expect(struct reader *r, char c)
{
	if (peek(r) != c)
		return malformed(r);
	r->p++;
	return 0;
}

static int
literal(struct reader *r, const char *word)
{
	size_t len = strlen(word);

	if (len > (size_t)(r->end - r->p) || memcmp(r->p, word, len) != 0)
		return malformed(r);
	r->p += len;
	return 0;
}

/* A string as it stands between its quotes. */
struct raw {
	const char *p;
	size_t len;
	int escaped;
};

static int
read_raw(struct reader *r, struct raw *out)
{
	const char *s;
	int escaped = 0;

	if (expect(r, '"'))
		return -1;
	for (s = r->p; s < r->end && *s != '"'; s++) {
		if ((unsigned char)*s < 0x20)
			break;
		if (*s == '\\') {
			escaped = 1;
			if (++s == r->end)
				break;
		}
	}
	if (s == r->end || *s != '"') {
		r->p = s;
		return malformed(r);
	}
	if (utf8_span(r->p, s - r->p) != (size_t)(s - r->p))
		return fail(r, "UTF-8 text");
	*out = (struct raw){ r->p, s - r->p, escaped };
	r->p = s + 1;
	return 0;
}

/* The four digits of \uXXXX, -1 when they are none. */
static int32_t
unit(const char *s, const char *end)
{
	uint8_t b[2];

	if (end - s < 4 || hex_parse(s, 4, b, 2, NULL))
		return -1;
	return b[0] << 8 | b[1];
}

static size_t
put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = 0xc0 | c >> 6;
		out[1] = 0x80 | (c & 63);
		return 2;
	}
	if (c < 0x10000) {
		out[0] = 0xe0 | c >> 12;
		out[1] = 0x80 | (c >> 6 & 63);
		out[2] = 0x80 | (c & 63);
		return 3;
	}
	out[0] = 0xf0 | c >> 18;
	out[1] = 0x80 | (c >> 12 & 63);
	out[2] = 0x80 | (c >> 6 & 63);
	out[3] = 0x80 | (c & 63);
	return 4;
}

/*
 * Resolves the escapes; out holds raw->len bytes, which always suffice, or is
 * NULL when only the escapes are to be checked. A NUL is refused: our strings
 * end at one.
 */
static int
unescape(struct reader *r, const struct raw *raw, char *out, size_t *len)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *s = raw->p, *end = s + raw->len, *known;
	size_t n = 0;
	char c[4];

	while (s < end) {
		size_t size = 1;
		if (*s != '\\') {
			c[0] = *s++;
		} else if (s[1] != 'u') {
			known = memchr(from, s[1], sizeof from - 1);
			if (known == NULL)
				return fail(r, "a known escape");
			c[0] = to[known - from];
			s += 2;
		} else {
			int32_t u = unit(s + 2, end), low = -1;
			s += 6;
			if (u >= 0xd800 && u < 0xdc00 && end - s >= 6 &&
			    s[0] == '\\' && s[1] == 'u')
				low = unit(s + 2, end);
			if (low >= 0xdc00 && low < 0xe000) {
				u = 0x10000 + ((u - 0xd800) << 10) +
				    (low - 0xdc00);
				s += 6;
			}
			if (u <= 0 || (u >= 0xd800 && u < 0xe000))
				return fail(r, "a character of text");
			size = put_utf8(c, u);
		}
		if (out != NULL)
			memcpy(out + n, c, size);
		n += size;
	}
	*len = n;
	return 0;
}

/* A string in the arena. */
static int
read_text(struct reader *r, uint64_t max, const char **out, size_t *out_len)
{
	struct raw raw;
	char *text;
	size_t len;

	if (peek(r) != '"')
		return fail(r, "a text");
	if (read_raw(r, &raw))
		return -1;
	/* The longest escape is six bytes for one. */
	len = raw.escaped ? raw.len / 6 : raw.len;
	if (len > max)
		return desc_over(&r->path, max, "bytes", r->e);
	text = arena_strn(r->a, raw.p, raw.len);
	if (text == NULL)
		return arena_full(r->a, r->e);
	if (raw.escaped) {
		if (unescape(r, &raw, text, &len))
			return -1;
		text[len] = '\0';
		if (len > max)
			return desc_over(&r->path, max, "bytes", r->e);
	}
	*out = text;
	*out_len = len;
	return 0;
}

/* A whole number from -max - 1 or 0 to max. */
static int
read_number(struct reader *r, int signed_, uint64_t max, uint64_t *out)
{
	int c = peek(r), negative = c == '-';
	const char *digits;
	uint64_t v = 0;

	if (!negative && (c < '0' || c > '9'))
		return fail(r, "a number");
	if (negative && !signed_)
		return desc_fail(&r->path, r->e, "negative");
	r->p += negative;
	for (digits = r->p; r->p < r->end && *r->p >= '0' && *r->p <= '9';
	     r->p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *r->p - '0', &v))
			return desc_over(&r->path, max, "", r->e);
	if (r->p == digits || (*digits == '0' && r->p - digits > 1))
		return malformed(r);
	if (r->p < r->end && (*r->p == '.' || *r->p == 'e' || *r->p == 'E'))
		return fail(r, "a whole number");
	if (v > max + negative)
		return desc_over(&r->path, max, "", r->e);
	*out = negative ? -v : v;
	return 0;
}

/* ---- reading: what nobody asked for ---- */

static int
skip_digits(struct reader *r)
{
	const char *first = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return r->p > first ? 0 : malformed(r);
}

static int
skip_number(struct reader *r)
{
	if (*r->p == '-')
		r->p++;
	if (r->p < r->end && *r->p == '0')
		r->p++;
	else if (skip_digits(r))
		return -1;
	if (r->p < r->end && *r->p == '.') {
		r->p++;
		if (skip_digits(r))
			return -1;
	}
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		return skip_digits(r);
	}
	return 0;
}

static int
skip_string(struct reader *r)
{
	struct raw raw;
	size_t len;

	return read_raw(r, &raw) ||
	        (raw.escaped && unescape(r, &raw, NULL, &len))
	    ? -1
	    : 0;
}

static int
skip_value(struct reader *r, unsigned depth)
{
	int c = peek(r), close = c == '{' ? '}' : ']';

	switch (c) {
	case '"':
		return skip_string(r);
	case 't':
		return literal(r, "true");
	case 'f':
		return literal(r, "false");
	case 'n':
		return literal(r, "null");
	case '{':
	case '[':
		break;
	default:
		return c < 0 ? malformed(r) : skip_number(r);
	}
	if (depth == JSON_DEPTH_MAX)
		return desc_fail(&r->path, r->e, "nested over the limit of %d",
		    JSON_DEPTH_MAX);
	r->p++;
	if (peek(r) == close) {
		r->p++;
		return 0;
	}
	for (;;) {
		if (c == '{' && (skip_string(r) || expect(r, ':')))
			return -1;
		if (skip_value(r, depth + 1))
			return -1;
		if (peek(r) == close) {
			r->p++;
			return 0;
		}
		if (expect(r, ','))
			return -1;
	}
}

/* ---- reading: by descriptors ---- */

/* From the opening quote to the closing one, or the last byte of all. */
static const char *
string_end(const char *s, const char *end)
{
	for (s++; s < end && *s != '"'; s++)
		if (*s == '\\' && ++s == end)
			break;
	return s < end ? s : end - 1;
}

/*
 * How many items the array that begins at r->p (behind its bracket) has. Stops
 * at max + 1. What is malformed counts as anything: reading it fails later.
 */
static size_t
count_items(struct reader *r, uint64_t max)
{
	size_t n = 1;
	unsigned depth = 0;

	if (peek(r) == ']')
		return 0;
	for (const char *s = r->p; s < r->end && n <= max; s++) {
		switch (*s) {
		case '"':
			s = string_end(s, r->end);
			break;
		case '[':
		case '{':
			depth++;
			break;
		case ']':
		case '}':
			if (depth-- == 0)
				return n;
			break;
		case ',':
			n += depth == 0;
			break;
		}
	}
	return n;
}

/* Begins an array: zeroed memory for its items, NULL when there are none. */
static int
open_array(struct reader *r, uint64_t max, size_t size, void **items, size_t *n)
{
	if (peek(r) != '[')
		return fail(r, "a list");
	r->p++;
	*n = count_items(r, max);
	if (*n > max)
		return desc_over(&r->path, max, "items", r->e);
	*items = NULL;
	if (*n > 0 && (*items = arena_array(r->a, *n, size)) == NULL)
		return arena_full(r->a, r->e);
	return 0;
}

/* Before item i of n: steps over the comma. */
static int
next_item(struct reader *r, size_t i)
{
	desc_index(&r->path, i);
	return i > 0 ? expect(r, ',') : 0;
}

static int read_object(struct reader *r, const struct desc *d, void *s);

static int
read_strs(struct reader *r, const struct desc_field *f, struct desc_strs *to)
{
	void *items;
	size_t len;

	if (open_array(r, f->max, sizeof *to->items, &items, &to->n))
		return -1;
	to->items = items;
	for (size_t i = 0; i < to->n; i++)
		if (next_item(r, i) ||
		    read_text(r, DESC_STRS_LEN, &to->items[i], &len))
			return -1;
	return expect(r, ']');
}

static int
read_u32s(struct reader *r, const struct desc_field *f, struct desc_u32s *to)
{
	void *items;
	uint64_t v;

	if (open_array(r, f->max, sizeof *to->items, &items, &to->n))
		return -1;
	to->items = items;
	for (size_t i = 0; i < to->n; i++) {
		if (next_item(r, i) || read_number(r, 0, UINT32_MAX, &v))
			return -1;
		to->items[i] = v;
	}
	return expect(r, ']');
}

static int
read_list(struct reader *r, const struct desc_field *f, struct desc_list *to)
{
	if (open_array(r, f->max, f->sub->size, &to->items, &to->n))
		return -1;
	for (size_t i = 0; i < to->n; i++)
		if (next_item(r, i) ||
		    read_object(
		        r, f->sub, (char *)to->items + i * f->sub->size))
			return -1;
	return expect(r, ']');
}

static int
read_bool(struct reader *r, int *out)
{
	int c = peek(r);

	if (c != 't' && c != 'f')
		return fail(r, "true or false");
	if (literal(r, c == 't' ? "true" : "false"))
		return -1;
	*out = c == 't';
	return 0;
}

static int
read_bin(struct reader *r, const struct desc_field *f, struct desc_bin *out)
{
	const char *text;
	uint8_t *data;
	size_t len, n;

	if (read_text(r, BASE64_LEN(f->max), &text, &len))
		return -1;
	if ((data = arena_alloc(r->a, len)) == NULL)
		return arena_full(r->a, r->e);
	if (base64_parse(text, len, data, f->max, &n, NULL))
		return fail(r, "base64, or over the limit");
	*out = (struct desc_bin){ data, n };
	return 0;
}

static int
read_hex(struct reader *r, const struct desc_field *f, uint8_t *out)
{
	struct raw raw;

	if (peek(r) != '"')
		return fail(r, "a text");
	if (read_raw(r, &raw))
		return -1;
	if (hex_parse(raw.p, raw.len, out, f->max, NULL))
		return desc_fail(&r->path, r->e,
		    "not %" PRIu64 " digits of base16", 2 * f->max);
	return 0;
}

static int
read_value(struct reader *r, const struct desc_field *f, void *at)
{
	size_t len;

	switch (f->type) {
	case DESC_STR:
		return read_text(r, f->max, at, &len);
	case DESC_BIN:
		return read_bin(r, f, at);
	case DESC_HEX:
		return read_hex(r, f, at);
	case DESC_U64:
		return read_number(r, 0, f->max, at);
	case DESC_I64:
		return read_number(r, 1, INT64_MAX, at);
	case DESC_BOOL:
		return read_bool(r, at);
	case DESC_STRS:
		return read_strs(r, f, at);
	case DESC_U32S:
		return read_u32s(r, f, at);
	case DESC_LIST:
		return read_list(r, f, at);
	case DESC_OBJ:
		return read_object(r, f->sub, at);
	}
	return -1;
}

/* The field of that name, or NULL. Most writers keep the order of the table, so
 * the one after the last is tried first. */
static const struct desc_field *
find(const struct desc *d, size_t guess, const char *name, size_t len)
{
	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f =
		    &d->fields[(guess + i) % d->nfields];
		if (strncmp(f->name, name, len) == 0 && f->name[len] == '\0')
			return f;
	}
	return NULL;
}

static int
read_key(struct reader *r, const char **name, size_t *len)
{
	struct raw raw;
	char *text;

	if (read_raw(r, &raw))
		return -1;
	*name = raw.p;
	*len = raw.len;
	if (raw.escaped) {
		if ((text = arena_alloc(r->a, raw.len)) == NULL)
			return arena_full(r->a, r->e);
		if (unescape(r, &raw, text, len))
			return -1;
		*name = text;
	}
	return expect(r, ':');
}

/* One name and its value. seen and given are sets of fields: null is seen, but
 * not given. */
static int
read_member(struct reader *r, const struct desc *d, void *s, size_t *guess,
    uint64_t *seen, uint64_t *given)
{
	const struct desc_field *f;
	const char *name;
	size_t len;
	uint64_t bit;

	if (read_key(r, &name, &len))
		return -1;
	f = find(d, *guess, name, len);
	if (f == NULL)
		return skip_value(r, r->path.depth);
	desc_at(&r->path, f);
	*guess = f - d->fields + 1;
	bit = (uint64_t)1 << (f - d->fields);
	if (*seen & bit)
		return desc_fail(&r->path, r->e, "given twice");
	*seen |= bit;
	if (peek(r) == 'n')
		return literal(r, "null");
	*given |= bit;
	return read_value(r, f, (char *)s + f->offset);
}

static int
read_object(struct reader *r, const struct desc *d, void *s)
{
	uint64_t seen = 0, given = 0;
	size_t guess = 0;

	if (d->nfields > 64)
		err_die("%s: over 64 fields", d->name);
	if (peek(r) != '{')
		return fail(r, "an object");
	r->p++;
	desc_enter(&r->path);
	if (peek(r) != '}') {
		for (;;) {
			desc_at(&r->path, NULL);
			if (read_member(r, d, s, &guess, &seen, &given))
				return -1;
			if (peek(r) != ',')
				break;
			r->p++;
		}
	}
	desc_at(&r->path, NULL);
	if (expect(r, '}'))
		return -1;
	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f = &d->fields[i];
		desc_at(&r->path, f);
		if (f->flags & DESC_REQUIRED && !(given >> i & 1))
			return desc_fail(&r->path, r->e, "missing");
	}
	desc_leave(&r->path);
	return 0;
}

int
json_decode(const struct desc *d, const void *p, size_t n, struct arena *a,
    void *s, struct err *e)
{
	struct reader r = { p, p, (const char *)p + n, a, { 0 }, e };
	void *to = arena_alloc(a, d->size);

	if (to == NULL)
		return arena_full(a, e);
	if (read_object(&r, d, to))
		return -1;
	if (peek(&r) != -1)
		return malformed(&r);
	memcpy(s, to, d->size);
	return 0;
}

/* ---- writing ---- */

/* Appends until the first failure, which is kept. */
struct writer {
	struct buf *out;
	struct err *e;
	int failed;
};

static void
put(struct writer *w, const void *p, size_t n)
{
	if (!w->failed && buf_append(w->out, p, n, w->e))
		w->failed = 1;
}

static void
put_str(struct writer *w, const char *s)
{
	put(w, s, strlen(s));
}

static void
put_char(struct writer *w, char c)
{
	put(w, &c, 1);
}

static void
put_u64(struct writer *w, uint64_t v)
{
	char digits[20], *p = digits + sizeof digits;

	do
		*--p = '0' + v % 10;
	while ((v /= 10) > 0);
	put(w, p, digits + sizeof digits - p);
}

static void
put_i64(struct writer *w, int64_t v)
{
	if (v < 0)
		put_char(w, '-');
	put_u64(w, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

/* How many bytes from s on stand for themselves in a string. */
static size_t
span(const char *s, const char *end)
{
	const char *p = s;

	while (p < end) {
		unsigned char c = *p;
		size_t len = 1;
		if (c < 0x20 || c == '"' || c == '\\')
			break;
		if (c >= 0x80 && (len = utf8_len(p, end - p)) == 0)
			break;
		p += len;
	}
	return p - s;
}

static void
put_quoted(struct writer *w, const char *s, size_t len)
{
	const char *end = s + len;
	char code[4] = "00";

	put_char(w, '"');
	while (s < end) {
		size_t plain = span(s, end);
		put(w, s, plain);
		s += plain;
		if (s == end)
			break;
		if (*s == '"' || *s == '\\') {
			put_char(w, '\\');
			put_char(w, *s);
		} else if (*s == '\n') {
			put_str(w, "\\n");
		} else if ((unsigned char)*s < 0x20) {
			hex_fmt(code, s, 1);
			put_str(w, "\\u00");
			put_str(w, code);
		} else {
			put_str(w, "\xef\xbf\xbd"); /* U+FFFD */
		}
		s++;
	}
	put_char(w, '"');
}

static void put_object(struct writer *w, const struct desc *d, const void *s);

static void
put_bin(struct writer *w, const uint8_t *data, size_t len,
    void (*fmt)(char *, const void *, size_t), size_t text_len)
{
	char *to;

	put_char(w, '"');
	if (!w->failed && (to = buf_reserve(w->out, text_len, w->e)) != NULL) {
		fmt(to, data, len);
		w->out->len += text_len;
	} else {
		w->failed = 1;
	}
	put_char(w, '"');
}

static void
put_value(struct writer *w, const struct desc_field *f, const void *at)
{
	const struct desc_bin *bin = at;
	const struct desc_strs *strs = at;
	const struct desc_u32s *u32s = at;
	const struct desc_list *list = at;
	const char *text;

	switch (f->type) {
	case DESC_STR:
		text = *(const char *const *)at;
		if (text != NULL)
			put_quoted(w, text, strlen(text));
		else
			put_str(w, "null");
		break;
	case DESC_BIN:
		if (bin->data != NULL)
			put_bin(w, bin->data, bin->len, base64_fmt,
			    BASE64_LEN(bin->len));
		else
			put_str(w, "null");
		break;
	case DESC_HEX:
		put_bin(w, at, f->max, hex_fmt, f->max * 2);
		break;
	case DESC_U64:
		put_u64(w, *(const uint64_t *)at);
		break;
	case DESC_I64:
		put_i64(w, *(const int64_t *)at);
		break;
	case DESC_BOOL:
		put_str(w, *(const int *)at ? "true" : "false");
		break;
	case DESC_STRS:
		for (size_t i = 0; i < strs->n; i++) {
			put_char(w, i > 0 ? ',' : '[');
			put_quoted(w, strs->items[i], strlen(strs->items[i]));
		}
		put_str(w, strs->n > 0 ? "]" : "[]");
		break;
	case DESC_U32S:
		for (size_t i = 0; i < u32s->n; i++) {
			put_char(w, i > 0 ? ',' : '[');
			put_u64(w, u32s->items[i]);
		}
		put_str(w, u32s->n > 0 ? "]" : "[]");
		break;
	case DESC_LIST:
		for (size_t i = 0; i < list->n; i++) {
			put_char(w, i > 0 ? ',' : '[');
			put_object(w, f->sub,
			    (const char *)list->items + i * f->sub->size);
		}
		put_str(w, list->n > 0 ? "]" : "[]");
		break;
	case DESC_OBJ:
		put_object(w, f->sub, at);
		break;
	}
}

/* Zero, absent or empty. */
static int
is_empty(const struct desc_field *f, const void *at)
{
	switch (f->type) {
	case DESC_STR:
		return *(const char *const *)at == NULL;
	case DESC_BIN:
		return ((const struct desc_bin *)at)->data == NULL;
	case DESC_U64:
	case DESC_I64:
		return *(const uint64_t *)at == 0;
	case DESC_BOOL:
		return *(const int *)at == 0;
	case DESC_STRS:
		return ((const struct desc_strs *)at)->n == 0;
	case DESC_U32S:
		return ((const struct desc_u32s *)at)->n == 0;
	case DESC_LIST:
		return ((const struct desc_list *)at)->n == 0;
	case DESC_HEX:
	case DESC_OBJ:
		break;
	}
	return 0;
}

static void
put_object(struct writer *w, const struct desc *d, const void *s)
{
	char before = '{';

	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f = &d->fields[i];
		const void *at = (const char *)s + f->offset;
		if (f->flags & DESC_OMIT && is_empty(f, at))
			continue;
		put_char(w, before);
		put_char(w, '"');
		put_str(w, f->name);
		put_str(w, "\":");
		put_value(w, f, at);
		before = ',';
	}
	put_str(w, before == ',' ? "}" : "{}");
}

/* Ends what began when out had the length before. */
static int
finish(struct writer *w, size_t before)
{
	if (!w->failed)
		return 0;
	w->out->len = before;
	return -1;
}

int
json_encode(const struct desc *d, const void *s, struct buf *out, struct err *e)
{
	struct writer w = { out, e, 0 };
	size_t before = out->len;

	if (desc_check(d, s, e))
		return -1;
	put_object(&w, d, s);
	return finish(&w, before);
}

int
json_put_str(struct buf *out, const char *s, size_t len, struct err *e)
{
	struct writer w = { out, e, 0 };
	size_t before = out->len;

	put_quoted(&w, s, len);
	return finish(&w, before);
}

/* ---- foreign JSON ---- */

/* jansson's parser recurses by the text's depth. */
static int
check_depth(const char *s, const char *end, struct err *e)
{
	unsigned depth = 0;

	for (; s < end; s++) {
		switch (*s) {
		case '"':
			s = string_end(s, end);
			break;
		case '[':
		case '{':
			if (++depth > JSON_DEPTH_MAX)
				return err_set(e, ERR_INVALID,
				    "JSON: nested over the limit of %d",
				    JSON_DEPTH_MAX);
			break;
		case ']':
		case '}':
			depth -= depth > 0;
			break;
		}
	}
	return 0;
}

struct json_t *
json_load(const void *p, size_t n, struct err *e)
{
	json_error_t error;
	json_t *json;

	if (check_depth(p, (const char *)p + n, e))
		return NULL;
	json =
	    json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	/* jansson's own text quotes what it read, which may be secret. */
	if (json == NULL)
		err_set(e, ERR_INVALID, "malformed JSON in line %d, column %d",
		    error.line, error.column);
	return json;
}
