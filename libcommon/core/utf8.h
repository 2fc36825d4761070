/*
 * UTF-8 (RFC 3629): shortest forms only, no surrogates, at most U+10FFFF.
 */
#ifndef CORE_UTF8_H
#define CORE_UTF8_H

#include <stddef.h>

/* Bytes (1 to 4) of the character at p, of n bytes; 0 when it is none. */
size_t utf8_len(const void *p, size_t n);
/* How many bytes from p on are UTF-8 without NUL: n when all are text. */
size_t utf8_span(const void *p, size_t n);

#endif
