/*
 * Credentials that were found good a moment ago, by the hash of what was sent. An
 * entry lives for AUTH_CACHE_MS, or as long as the credential if that is shorter.
 * At most AUTH_CACHE_MAX of them: then the oldest gives way. Thread-safe.
 */
#ifndef SERVER_AUTH_CACHE_H
#define SERVER_AUTH_CACHE_H

#include <stdint.h>

#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/oidc/oidc.h"

#define AUTH_CACHE_MAX 1024

struct auth_cache;

/* A credential; the scopes are those that it implies, too. */
struct auth_identity {
	char who[OIDC_WHO_MAX];
	unsigned scopes;
	int64_t token_id;          /* of a token that we made; or 0 */
	int64_t expires_us;        /* wall clock; 0: not known to end */
	struct oidc_identity oidc; /* provider NULL: it is none of OIDC */
};

struct auth_cache *auth_cache_new(void);
void auth_cache_free(struct auth_cache *c); /* takes NULL */
/* 1 and *out, or 0. */
int auth_cache_get(struct auth_cache *c, const uint8_t key[SHA256_LEN],
    struct auth_identity *out);
void auth_cache_put(struct auth_cache *c, const uint8_t key[SHA256_LEN],
    const struct auth_identity *id, int64_t ms, uint64_t epoch);
/*
 * Forgets a token. What was looked up before must not come back after it: epoch
 * counts these calls, and a put with that of another one is dropped.
 */
void auth_cache_forget(struct auth_cache *c, int64_t token_id);
uint64_t auth_cache_epoch(struct auth_cache *c);

#endif
