/*
 * Claims of a token: JSON objects of foreign make, already bounded.
 */
#ifndef OIDC_CLAIMS_H
#define OIDC_CLAIMS_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct json_t;

/* A text, or NULL. */
const char *claims_text(const struct json_t *claims, const char *name);

/*
 * Any value of the claim fits any of the patterns (core/glob.h). The name is
 * looked up as it stands, then as a path into nested objects, whose steps may have
 * dots too ("kubernetes.io.namespace"). A list
 * has the values of its texts; a number is its digits (of reals, 15 of them), true
 * and false are these words; null and objects fit
 * nothing.
 */
int claims_match(const struct json_t *claims, const char *name,
    const char *const *patterns, size_t n);

/* aud (RFC 7519, 4.1.3): a text or a list of texts. */
int claims_for_audience(const struct json_t *claims, const char *audience);

/*
 * exp, which must be there, nbf and iat (RFC 7519, 4.1.4 to 4.1.6) in seconds,
 * against a wall clock in microseconds. Clocks differ: exp may have passed for
 * CLAIMS_EXP_LEEWAY_S, the others may come within CLAIMS_NBF_LEEWAY_S. *left_us
 * gets the time until exp with its leeway. UNAUTHORIZED says which is wrong.
 */
#define CLAIMS_EXP_LEEWAY_S 30
#define CLAIMS_NBF_LEEWAY_S 300
int claims_check_time(const struct json_t *claims, int64_t now_us,
    int64_t *left_us, struct err *e);

#endif
