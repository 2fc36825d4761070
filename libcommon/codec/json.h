/*
 * Described structs in JSON, for HTTP bodies; and bounded loading of foreign
 * JSON.
 *
 * Our own bodies are read straight into their structs: a closure of 15,000
 * paths takes a tenth of the time that jansson's tree takes, and no memory but
 * the structs. Foreign JSON is jansson's business; depth is checked before it
 * sees a byte.
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct buf;
struct desc;
struct err;

#define JSON_DEPTH_MAX 32

/*
 * Decodes one JSON object. Unknown fields are ignored (newer clients), wrong
 * types, numbers out of range, strings over their maximum, NUL in a string and
 * anything after the object are ERR_INVALID with the field's path:
 * "objects[3].size: over the limit of ...". *s is untouched on failure.
 */
int json_decode(const struct desc *d, const void *p, size_t n, struct arena *a,
    void *s, struct err *e);

/* Compact JSON, appended. Absent strings are null, or left out with DESC_OMIT;
 * so are zeros and empty lists with it. */
int json_encode(
    const struct desc *d, const void *s, struct buf *out, struct err *e);

/* A JSON string with its quotes and escapes, appended. Bytes that are no valid
 * UTF-8 become U+FFFD. */
int json_put_str(struct buf *out, const char *s, size_t len, struct err *e);

/*
 * Loads foreign JSON of any shape into a jansson value (a json_t *, to be given
 * back with json_decref). Fails on depth over JSON_DEPTH_MAX, duplicate keys
 * and trailing bytes. O(n).
 */
struct json_t;
struct json_t *json_load(const void *p, size_t n, struct err *e);

#endif
