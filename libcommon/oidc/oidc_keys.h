/*
 * The keys of one provider: found by discovery (OpenID Connect Discovery 1.0,
 * section 4) or at its jwks_url, fetched when first needed and kept.
 *
 * They are fetched anew when they are older than OIDC_FRESH_MS, and when a token
 * names one that is not there; but OIDC_PAUSE_MS apart at least, so made up
 * tokens make us ask a provider no oftener. A provider that does not answer is
 * no trouble while its keys are younger than OIDC_GOOD_MS; then, and if there
 * never were any, its tokens cannot be checked. One thread fetches, a few wait
 * for it, and who comes then is told to come again: a provider that is slow
 * cannot hold up all workers.
 */
#ifndef OIDC_KEYS_H
#define OIDC_KEYS_H

#include <stdint.h>

struct err;
struct jwt;
struct oidc_keys;
struct oidc_provider;

#define OIDC_FRESH_MS      (3600 * 1000)
#define OIDC_GOOD_MS       (24 * 3600 * 1000)
#define OIDC_PAUSE_MS      10000
#define OIDC_FETCH_MS      8000 /* of both requests together */
#define OIDC_CONNECT_MS    4000
#define OIDC_WAITERS_MAX   3
#define OIDC_DISCOVERY_MAX ((size_t)64 << 10)
#define OIDC_KEYS_BYTES    ((size_t)512 << 10)

/* Times, for tests; 0 is the value above. */
struct oidc_times {
	int64_t fresh_ms, good_ms, pause_ms;
};

/* p must outlive it. Fetches nothing yet. */
struct oidc_keys *oidc_keys_new(
    const struct oidc_provider *p, const struct oidc_times *times);
void oidc_keys_free(struct oidc_keys *k); /* takes NULL */
/*
 * Was t signed by the provider? UNAUTHORIZED when not, UNAVAILABLE when that
 * cannot be told because its keys cannot be had. Blocks for OIDC_FETCH_MS and
 * some at most.
 */
int oidc_keys_verify(struct oidc_keys *k, const struct jwt *t, struct err *e);

#endif
