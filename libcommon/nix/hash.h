/*
 * SHA-256 hashes in every form that Nix prints: "sha256:<nix32>",
 * "sha256:<base16>", "sha256:<base64>", SRI "sha256-<base64>".
 */
#ifndef NIX_HASH_H
#define NIX_HASH_H

#include <stddef.h>
#include <stdint.h>

struct err;

#define HASH_LEN      32
#define HASH_TEXT_MAX 60 /* "sha256:" + 52 + NUL */

struct hash {
	uint8_t sha256[HASH_LEN];
};

/* Anything but SHA-256 is ERR_INVALID. */
int hash_parse(const char *s, size_t len, struct hash *out, struct err *e);
/* "sha256:<nix32>", as narinfos and fingerprints have it. */
const char *hash_fmt(char out[HASH_TEXT_MAX], const struct hash *h);
/* The 52 characters alone, as NAR keys have them. */
const char *hash_fmt_nix32(char out[53], const struct hash *h);
int hash_equal(const struct hash *a, const struct hash *b);

#endif
