/*
 * SHA-256 and HMAC-SHA-256 by OpenSSL's EVP, which uses the processor's
 * instructions.
 */
#ifndef CODEC_SHA256_H
#define CODEC_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32
#define MD5_LEN    16

struct sha256;

struct sha256 *sha256_new(void); /* never NULL */
void sha256_free(struct sha256 *h);
void sha256_reset(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *p, size_t n);
/* Ends the hash; h must be reset before it is used again. */
void sha256_final(struct sha256 *h, uint8_t out[SHA256_LEN]);

void sha256(const void *p, size_t n, uint8_t out[SHA256_LEN]);
void hmac_sha256(const void *key, size_t keylen, const void *p, size_t n,
    uint8_t out[SHA256_LEN]);
/* Content-MD5 of S3's batch delete; not for anything that must be secure. */
void md5(const void *p, size_t n, uint8_t out[MD5_LEN]);

#endif
