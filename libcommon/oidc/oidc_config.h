/*
 * Which OIDC tokens are accepted: a file in JSON.
 *
 *	{ "providers": { "github": {
 *	    "issuer": "https://token.actions.githubusercontent.com",
 *	    "audience": "https://cache.example.org",
 *	    "rules": [
 *	      { "bound_claims": { "repository_owner": ["example"] },
 *	        "scopes": ["read"] },
 *	      { "bound_subject": ["repo:example/app:ref:refs/heads/main"],
 *	        "scopes": ["write"], "pins": ["app-*"] } ] } },
 *	  "allow_insecure": false }
 *
 * A provider has bound_claims, bound_subject, scopes (["write"]) and pins itself,
 * or rules that have them. A rule fits a token when each of its bound_claims
 * fits (claims.h), and, if there is one, bound_subject; the token has the scopes
 * of all rules that fit. Beside those: jwks_url (instead of discovery), ca_file
 * and bearer_token_file (to fetch keys from, say, a Kubernetes API server). The
 * issuer may be left out where bearer_token_file is a token of it. Unknown
 * members are errors: a misspelt bound would open a door.
 */
#ifndef OIDC_CONFIG_H
#define OIDC_CONFIG_H

#include <stddef.h>

struct arena;
struct err;

#define OIDC_PROVIDERS_MAX 64
#define OIDC_RULES_MAX     64 /* of a provider: their set is a word */
#define OIDC_FILE_MAX      ((size_t)1 << 20)
#define OIDC_NAME_MAX      64
#define OIDC_URL_MAX       1024

struct oidc_globs {
	const char **items;
	size_t n;
};

struct oidc_bound {
	const char *claim;
	struct oidc_globs globs;
};

struct oidc_rule {
	struct oidc_bound *bounds;
	size_t nbounds;
	struct oidc_globs subjects; /* none: any */
	unsigned scopes;            /* proto/scopes.h */
	struct oidc_globs pins;     /* names that are reserved for this rule */
};

struct oidc_provider {
	const char *name; /* letters, digits and "._-" */
	const char *issuer;
	const char *audience;
	const char *jwks_url;          /* or NULL: discovery */
	const char *ca_file;           /* or NULL */
	const char *bearer_token_file; /* or NULL */
	int insecure;                  /* plain HTTP will do */
	struct oidc_rule *rules;
	size_t nrules;
};

struct oidc_config {
	struct oidc_provider *providers;
	size_t n;
};

/* Into a. Errors name the file and the member. */
int oidc_config_load(
    const char *path, struct arena *a, struct oidc_config *out, struct err *e);
/* http:// only where that is allowed; without user, query and fragment. */
int oidc_check_url(const char *url, int insecure, struct err *e);

#endif
