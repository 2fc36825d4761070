/*
 * Signed tokens (JWT, RFC 7519) in the compact form of JWS (RFC 7515), and the
 * keys that a provider publishes (JWK sets, RFC 7517). Only the implementation of
 * this file knows cjose.
 *
 * Algorithms (RFC 7518): RS, PS and ES with 256, 384 and 512; those with a shared
 * secret and "none" do not exist here. A key serves the algorithms of its type
 * alone, ES those of its curve, and only the one that it names if it names one.
 *
 * Error texts hold no part of a token. One struct belongs to one thread at a
 * time, for cjose counts references without locks.
 */
#ifndef OIDC_JWT_H
#define OIDC_JWT_H

#include <stddef.h>

struct err;
struct json_t;
struct jwt;
struct jwt_keys;

#define JWT_MAX         16384 /* bytes of a token */
#define JWT_KEYS_MAX    64    /* of a set; what is beyond is not looked at */
#define JWT_KID_MAX     256
#define JWT_RSA_MIN     2048 /* bits */
#define JWT_RSA_MAX     8192
#define JWT_ALG_DEFAULT "RS256"

/* Three words with dots between them. */
int jwt_looks_like(const char *token);
/* The bit of an algorithm in a set of them; 0 when we do not have it. */
unsigned jwt_alg(const char *name);
#define JWT_ALGS_ALL 0x1ffu

/* Takes a token apart and believes nothing. ERR_INVALID when it is none, or names
 * an algorithm that we do not have, or an extension that must be understood. */
int jwt_parse(const char *token, size_t len, struct jwt **out, struct err *e);
void jwt_free(struct jwt *t); /* takes NULL */
/* An object; owned by t. */
const struct json_t *jwt_claims(const struct jwt *t);

/* Keys that we cannot use (other types, weak, for encryption) are left out;
 * ERR_CORRUPT when none is left. */
int jwt_keys_parse(
    const void *p, size_t n, struct jwt_keys **out, struct err *e);
void jwt_keys_free(struct jwt_keys *k); /* takes NULL */

/*
 * The signature is by one of the keys: that of the token's kid, or any when it
 * has none, with one of these algorithms. NOT_FOUND when there is no such key, so
 * newer keys might do; UNAUTHORIZED when there is and it did not sign this.
 */
int jwt_verify(const struct jwt *t, const struct jwt_keys *k, unsigned algs,
    struct err *e);

#endif
