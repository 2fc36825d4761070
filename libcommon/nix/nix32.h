/*
 * Nix's base-32: the alphabet 0123456789abcdfghijklmnpqrsvwxyz (no e, o, t, u),
 * the bits taken from the end of the bytes (Nix, src/libutil/hash.cc).
 */
#ifndef NIX_NIX32_H
#define NIX_NIX32_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* Characters for n bytes, without the NUL. 32 bytes take 52, 20 take 32. */
#define NIX32_LEN(n) (((n)*8 + 4) / 5)

void nix32_fmt(char *out, const void *p, size_t n); /* NIX32_LEN(n) + 1 */
/* Exactly NIX32_LEN(n) characters; unused bits must be zero. */
int nix32_parse(const char *s, size_t len, void *out, size_t n, struct err *e);
/* 1 when every one of the len characters is of the alphabet. */
int nix32_check(const char *s, size_t len);

#endif
