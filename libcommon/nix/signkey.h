/*
 * Nix signing keys: "name:base64" with an Ed25519 seed (32 bytes) or the full
 * form of `nix key generate-secret` (64 bytes: seed and public key, which must
 * belong together). Signatures are "name:base64".
 */
#ifndef NIX_SIGNKEY_H
#define NIX_SIGNKEY_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct secret;
struct signkey; /* the secret half lies in locked memory */

#define SIGNKEY_NAME_MAX 128
#define SIGNKEY_TEXT_MAX (SIGNKEY_NAME_MAX + 1 + 88 + 1)

/*
 * text is the content of a key file; white space around it and around the base64
 * does not matter. Errors never quote it.
 */
int signkey_parse(
    const struct secret *text, struct signkey **out, struct err *e);
void signkey_free(struct signkey *k); /* takes NULL; wipes */
const char *signkey_name(const struct signkey *k);
/* "name:base64" of the public key. */
const char *signkey_public(const struct signkey *k);
/* "name:base64" of the signature over n bytes. */
void signkey_sign(const struct signkey *k, const void *p, size_t n,
    char out[SIGNKEY_TEXT_MAX]);
/* 0 when sig ("name:base64") by public key pub ("name:base64") holds;
 * ERR_CORRUPT when it does not or has another name, ERR_INVALID when one of
 * them is malformed. */
int signkey_verify(
    const char *pub, const char *sig, const void *p, size_t n, struct err *e);
/* Checks the shape of a signature: a name, a colon, base64 of 64 bytes. */
int signkey_check_sig(const char *sig, struct err *e);

#endif
