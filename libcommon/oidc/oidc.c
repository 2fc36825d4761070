#include "oidc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../proto/scopes.h"
#include "../codec/shortname.h"
#include "../core/arena.h"
#include "../core/clock.h"
#include "../core/err.h"
#include "../core/glob.h"
#include "../core/sandbox.h"
#include "../http/client.h"
#include "claims.h"
#include "jwt.h"
#include "oidc_keys.h"

#define CONFIG_MEMORY ((size_t)16 << 20)

struct oidc {
	struct arena *mem;
	struct oidc_config config;
	struct oidc_keys **keys; /* one a provider */
};

int
oidc_new(const char *config, const struct oidc_times *times, struct oidc **out,
    struct err *e)
{
	struct oidc *o = xcalloc(1, sizeof *o);

	o->mem = arena_new(CONFIG_MEMORY);
	if (oidc_config_load(config, o->mem, &o->config, e) != 0) {
		oidc_free(o);
		return -1;
	}
	o->keys = xcalloc(o->config.n, sizeof(struct oidc_keys *));
	for (size_t i = 0; i < o->config.n; i++)
		o->keys[i] = oidc_keys_new(&o->config.providers[i], times);
	*out = o;
	return 0;
}

void
oidc_free(struct oidc *o)
{
	if (o == NULL)
		return;
	for (size_t i = 0; i < o->config.n; i++)
		oidc_keys_free(o->keys[i]);
	free(o->keys);
	arena_free(o->mem);
	free(o);
}

void
oidc_needs(const struct oidc *o, struct sandbox *s)
{
	for (size_t i = 0; i < o->config.n; i++) {
		const struct oidc_provider *p = &o->config.providers[i];

		http_client_needs(NULL, p->ca_file, s);
		sandbox_reread(s, p->bearer_token_file);
	}
}

const struct oidc_config *
oidc_config(const struct oidc *o)
{
	return &o->config;
}

static const struct oidc_provider *
find_provider(const struct oidc *o, const char *issuer)
{
	for (size_t i = 0; issuer != NULL && i < o->config.n; i++)
		if (strcmp(o->config.providers[i].issuer, issuer) == 0)
			return &o->config.providers[i];
	return NULL;
}

/* ---- rules ---- */

static int
fits(const struct oidc_rule *r, const struct json_t *claims)
{
	const char *sub = claims_text(claims, "sub");

	for (size_t i = 0; i < r->nbounds; i++)
		if (!claims_match(claims, r->bounds[i].claim,
		        r->bounds[i].globs.items, r->bounds[i].globs.n))
			return 0;
	return r->subjects.n == 0 ||
	    glob_match_any(r->subjects.items, r->subjects.n, sub);
}

static void
apply_rules(const struct json_t *claims, struct oidc_identity *id)
{
	const struct oidc_provider *p = id->provider;

	for (size_t i = 0; i < p->nrules; i++)
		if (fits(&p->rules[i], claims)) {
			id->rules |= (uint64_t)1 << i;
			id->scopes |= p->rules[i].scopes;
		}
}

/* ---- tokens ---- */

static int
check_claims(
    const struct json_t *claims, struct oidc_identity *id, struct err *e)
{
	const char *sub = claims_text(claims, "sub");
	char prefix[OIDC_NAME_MAX + sizeof "oidc:"];

	if (!claims_for_audience(claims, id->provider->audience))
		return err_set(
		    e, ERR_UNAUTHORIZED, "the token is for another audience");
	if (claims_check_time(claims, clock_wall_us(), &id->left_us, e) != 0)
		return -1;
	if (sub == NULL || sub[0] == '\0')
		return err_set(e, ERR_UNAUTHORIZED, "the token has no subject");
	apply_rules(claims, id);
	if (id->rules == 0)
		return err_set(e, ERR_UNAUTHORIZED, "no rule fits the token");
	snprintf(prefix, sizeof prefix, "oidc:%s", id->provider->name);
	shortname_fmt(id->who, sizeof id->who, prefix, sub);
	return 0;
}

static int
check_token(struct oidc *o, const struct jwt *t, struct oidc_identity *id,
    struct err *e)
{
	const struct json_t *claims = jwt_claims(t);
	const struct oidc_provider *p =
	    find_provider(o, claims_text(claims, "iss"));

	if (p == NULL)
		return err_set(
		    e, ERR_UNAUTHORIZED, "the issuer is no provider");
	id->provider = p;
	/* The signature first: only then are the claims anybody's word. */
	if (oidc_keys_verify(o->keys[p - o->config.providers], t, e) != 0 ||
	    check_claims(claims, id, e) != 0)
		return err_prefix(e, "OIDC provider %s", p->name);
	return 0;
}

int
oidc_check(
    struct oidc *o, const char *token, struct oidc_identity *out, struct err *e)
{
	struct oidc_identity id = { 0 };
	struct jwt *t;
	int rc;

	if (jwt_parse(token, strlen(token), &t, e) != 0) {
		if (e != NULL)
			e->kind = ERR_UNAUTHORIZED;
		return -1;
	}
	rc = check_token(o, t, &id, e);
	jwt_free(t);
	if (rc == 0)
		*out = id;
	return rc;
}

/* ---- what the configuration says ---- */

const char *
oidc_audience(const struct oidc *o, const char *issuer)
{
	const struct oidc_provider *p = find_provider(o, issuer);

	return p != NULL ? p->audience : NULL;
}

int
oidc_gates_reads(const struct oidc *o)
{
	for (size_t i = 0; i < o->config.n; i++)
		for (size_t j = 0; j < o->config.providers[i].nrules; j++)
			if (o->config.providers[i].rules[j].scopes & SCOPE_READ)
				return 1;
	return 0;
}

static int
reserves(const struct oidc_rule *r, const char *name)
{
	return glob_match_any(r->pins.items, r->pins.n, name);
}

int
oidc_pin_reserved(const struct oidc *o, const char *name)
{
	for (size_t i = 0; i < o->config.n; i++)
		for (size_t j = 0; j < o->config.providers[i].nrules; j++)
			if (reserves(&o->config.providers[i].rules[j], name))
				return 1;
	return 0;
}

int
oidc_pin_allowed(const struct oidc_identity *id, const char *name)
{
	for (size_t j = 0; j < id->provider->nrules; j++)
		if ((id->rules >> j & 1) &&
		    reserves(&id->provider->rules[j], name))
			return 1;
	return 0;
}
