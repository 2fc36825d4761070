/*
 * Base64 (RFC 4648, section 4) and base16.
 */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* Bytes of text without the NUL for n bytes of input. */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

/* out holds BASE64_LEN(n) + 1 bytes; NUL-terminated, padded. */
void base64_fmt(char *out, const void *p, size_t n);
/*
 * Strict: canonical padding, or none at all. out holds max bytes; *n gets how
 * many were written.
 */
int base64_parse(
    const char *s, size_t len, void *out, size_t max, size_t *n, struct err *e);

/* out holds 2 * n + 1 bytes; lower case. */
void hex_fmt(char *out, const void *p, size_t n);
/* Exactly 2 * n digits of either case. */
int hex_parse(const char *s, size_t len, void *out, size_t n, struct err *e);

#endif
