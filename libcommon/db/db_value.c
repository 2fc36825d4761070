/*
 * Values in PostgreSQL's binary format: what *_send and *_recv of each type in
 * src/backend/utils/adt write and read. Numbers are big-endian.
 */
#include <string.h>

#include "../core/arena.h"
#include "db_internal.h"

/*
 * An array: dimensions (0 when empty, else 1), a flag that readers ignore, the
 * type of the elements, then of the one dimension its length and first index.
 * Each element is its length (-1 for NULL) and its bytes.
 */
#define EMPTY_HEAD 12
#define HEAD       20
#define NULL_LEN   UINT32_MAX

static void
put_u32(uint8_t *p, uint32_t v)
{
	p[0] = v >> 24;
	p[1] = v >> 16;
	p[2] = v >> 8;
	p[3] = v;
}

static enum db_type
element(enum db_type array)
{
	switch (array) {
	case DB_BOOLS:
		return DB_BOOL;
	case DB_BYTEAS:
		return DB_BYTEA;
	case DB_TEXTS:
		return DB_TEXT;
	case DB_INT8S:
		return DB_INT8;
	default:
		err_die("type %d is no array", array);
	}
}

/* ---- writing ---- */

void
array_init(struct db_array *a, enum db_type type)
{
	static const uint8_t head[HEAD];

	*a = (struct db_array){ .type = type };
	buf_init(&a->data, DB_BYTES_MAX);
	buf_append(&a->data, head, sizeof head, &a->error);
}

void
array_done(struct db_array *a)
{
	buf_done(&a->data);
}

static void
append(struct db_array *a, const void *p, uint32_t len)
{
	size_t bytes = len == NULL_LEN ? 0 : len;
	uint8_t *to;

	if (a->error.kind != ERR_NONE ||
	    (to = buf_reserve(&a->data, 4 + bytes, &a->error)) == NULL)
		return;
	put_u32(to, len);
	if (bytes > 0)
		memcpy(to + 4, p, bytes);
	a->data.len += 4 + bytes;
	a->n++;
}

void
array_i64(struct db_array *a, int64_t v)
{
	uint8_t bytes[8];

	put_u32(bytes, (uint64_t)v >> 32);
	put_u32(bytes + 4, v);
	append(a, bytes, sizeof bytes);
}

void
array_i64s(struct db_array *a, const int64_t *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		array_i64(a, v[i]);
}

int
i64_order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void
array_bool(struct db_array *a, int v)
{
	append(a, v ? "\1" : "", 1);
}

void
array_bytes(struct db_array *a, const void *p, size_t n)
{
	if (n > DB_BYTES_MAX)
		err_set(&a->error, ERR_TOO_LARGE, "an element of %zu bytes", n);
	else
		append(a, p, n);
}

void
array_text(struct db_array *a, const char *s)
{
	if (s == NULL)
		append(a, NULL, NULL_LEN);
	else
		array_bytes(a, s, strlen(s));
}

struct db_param
db_param_text(const char *s)
{
	return (struct db_param){
		.type = DB_TEXT,
		.p = s,
		.len = s != NULL ? strlen(s) : 0,
	};
}

struct db_param
db_param_array(struct db_array *a)
{
	struct db_param p = { .type = a->type, .p = a->data.data };

	if (a->error.kind != ERR_NONE) {
		p.error = &a->error;
		return p;
	}
	put_u32(a->data.data, a->n > 0);
	put_u32(a->data.data + 4, 0);
	put_u32(a->data.data + 8, element(a->type));
	put_u32(a->data.data + 12, a->n);
	put_u32(a->data.data + 16, 1);
	p.len = a->n > 0 ? a->data.len : EMPTY_HEAD;
	return p;
}

/* ---- reading ---- */

uint64_t
rows_affected(const PGresult *r)
{
	/* libpq only reads it, though its signature does not say so. */
	const char *n = PQcmdTuples((PGresult *)(uintptr_t)r);
	uint64_t v = 0;

	for (; *n >= '0' && *n <= '9'; n++)
		v = v * 10 + (*n - '0');
	return v;
}

int
row_null(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col);
}

static const uint8_t *
value(const PGresult *r, int row, int col, size_t *len)
{
	*len = PQgetlength(r, row, col);
	return (const uint8_t *)PQgetvalue(r, row, col);
}

int64_t
row_i64(const PGresult *r, int row, int col)
{
	size_t len;
	const uint8_t *p = value(r, row, col, &len);

	if (row_null(r, row, col))
		return 0;
	switch (len) {
	case 1:
		return p[0];
	case 2:
		return (int16_t)(p[0] << 8 | p[1]);
	case 4:
		return (int32_t)get_u32(p);
	case 8:
		return get_i64(p);
	default:
		err_die("column %d of %zu bytes is no number", col, len);
	}
}

const char *
row_text(const PGresult *r, int row, int col, struct arena *a, int *full)
{
	size_t len;
	const uint8_t *p = value(r, row, col, &len);
	char *s;

	if (row_null(r, row, col))
		return NULL;
	if ((s = arena_strn(a, (const char *)p, len)) == NULL)
		*full = 1;
	return s;
}

/* The elements of an array, and how many: 0 for NULL. */
static const uint8_t *
elements(const PGresult *r, int row, int col, size_t *n)
{
	size_t len;
	const uint8_t *p = value(r, row, col, &len);

	if (row_null(r, row, col) || len < HEAD) {
		*n = 0;
		return NULL;
	}
	if (get_u32(p) != 1)
		err_die("column %d is no array of one dimension", col);
	*n = get_u32(p + 12);
	return p + HEAD;
}

int64_t *
row_i64s(
    const PGresult *r, int row, int col, struct arena *a, size_t *n, int *full)
{
	const uint8_t *p = elements(r, row, col, n);
	int64_t *v = arena_array(a, *n, sizeof *v);

	if (v == NULL) {
		*full = 1;
		return NULL;
	}
	for (size_t i = 0; i < *n; i++)
		v[i] = get_i64(p + i * 12 + 4);
	return v;
}

const char **
row_texts(
    const PGresult *r, int row, int col, struct arena *a, size_t *n, int *full)
{
	const uint8_t *p = elements(r, row, col, n);
	const char **v = arena_array(a, *n, sizeof *v);

	if (v == NULL) {
		*full = 1;
		return NULL;
	}
	for (size_t i = 0; i < *n; i++) {
		uint32_t len = get_u32(p);

		v[i] = arena_strn(a, (const char *)p + 4, len);
		if (v[i] == NULL) {
			*full = 1;
			return NULL;
		}
		p += 4 + len;
	}
	return v;
}

void
row_bytes(const PGresult *r, int row, int col, void *out, size_t n)
{
	size_t len;
	const uint8_t *p = value(r, row, col, &len);

	if (len == n)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}
