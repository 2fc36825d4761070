/*
 * Tokens and key sets for tests, made with OpenSSL alone: what reads them is not
 * what wrote them.
 */
#ifndef UNIT_JWT_MAKE_H
#define UNIT_JWT_MAKE_H

#include <stddef.h>

typedef struct evp_pkey_st EVP_PKEY;

/* "RSA" with bits, or "P-256", "P-384", "P-521". */
EVP_PKEY *jwt_key(const char *type, int bits);
/* A JWK of its public half, with more members ("\"use\":\"sig\"", or ""). All
 * texts are the caller's to free. */
char *jwt_jwk(EVP_PKEY *key, const char *kid, const char *more);
/* {"keys":[…]} of JWKs, ended by NULL. */
char *jwt_jwks(char *jwk, ...);
/* Signed as alg says; alg "HS256" signs with secret. header has the whole JSON,
 * or is NULL: made of alg and kid (or no kid). */
char *jwt_make(EVP_PKEY *key, const char *alg, const char *kid,
    const char *header, const char *claims);
char *jwt_make_hs256(const void *secret, size_t len, const char *claims);
/* Without a signature: alg "none". */
char *jwt_make_none(const char *claims);

#endif
