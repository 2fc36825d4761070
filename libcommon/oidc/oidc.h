/*
 * OIDC tokens: whose they are and what they may do. GitHub Actions, GitLab and
 * Kubernetes service accounts are providers like any other (oidc_config.h).
 *
 * A token is accepted when its iss is a configured issuer, that signed it
 * (oidc_keys.h), its aud is or contains the provider's audience, its time is now
 * (claims.h), it has a sub, and a rule of the provider fits. Thread-safe.
 */
#ifndef OIDC_OIDC_H
#define OIDC_OIDC_H

#include <stddef.h>
#include <stdint.h>

#include "oidc_config.h"

struct err;
struct oidc;
struct sandbox;
struct oidc_times;

#define OIDC_WHO_MAX 256

struct oidc_identity {
	const struct oidc_provider *provider;
	uint64_t rules; /* those that fit, a bit each */
	unsigned scopes;
	int64_t left_us; /* until it must not be believed any more */
	/* "oidc:PROVIDER:SUBJECT" (codec/shortname.h) */
	char who[OIDC_WHO_MAX];
};

/* Reads the configuration and asks no provider. times may be NULL. */
int oidc_new(const char *config, const struct oidc_times *times,
    struct oidc **out, struct err *e);
void oidc_free(struct oidc *o); /* takes NULL */
const struct oidc_config *oidc_config(const struct oidc *o);

/*
 * UNAUTHORIZED when it is refused; UNAVAILABLE when that cannot be told now. The
 * text has no part of the token. May block for a few seconds.
 */
int oidc_check(struct oidc *o, const char *token, struct oidc_identity *out,
    struct err *e);

/* What asking the providers needs in a sandbox: any port, since where their keys are
 * is theirs to say. */
void oidc_needs(const struct oidc *o, struct sandbox *s);

/* For whom tokens of the issuer must be made; NULL when it is no provider. */
const char *oidc_audience(const struct oidc *o, const char *issuer);
/* Some rule gives read, so reading is not for everybody. */
int oidc_gates_reads(const struct oidc *o);
/* Some rule has the name of a pin for itself. */
int oidc_pin_reserved(const struct oidc *o, const char *name);
/* One that fits id does. */
int oidc_pin_allowed(const struct oidc_identity *id, const char *name);

#endif
