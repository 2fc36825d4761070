/*
 * Patterns of whole texts: '*' is any run of bytes, '?' any one, and every other
 * byte itself. Nothing can be escaped, and '/' is nothing special. A '*' in the
 * text is a byte like any other. Time is at most the product of both lengths.
 */
#ifndef CORE_GLOB_H
#define CORE_GLOB_H

#include <stddef.h>

int glob_match(const char *pattern, const char *text);
/* Any of them; none does when there is none. */
int glob_match_any(const char *const *patterns, size_t n, const char *text);

#endif
