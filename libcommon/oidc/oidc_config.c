#include "oidc_config.h"

#include <stdint.h>
#include <string.h>

#include <jansson.h>

#include "../../proto/scopes.h"
#include "../codec/json.h"
#include "../core/arena.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../core/file.h"
#include "../core/secret.h"
#include "claims.h"
#include "jwt.h"

#define WORDS \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static int
wrong(struct err *e, const char *member, const char *what)
{
	return err_set(e, ERR_INVALID, "%.64s: %s", member, what);
}

/* No members but these, a list ended by NULL. */
static int
check_members(const json_t *o, const char *const *known, struct err *e)
{
	const char *name;
	json_t *v;

	if (!json_is_object(o))
		return err_set(e, ERR_INVALID, "not an object");
	json_object_foreach((json_t *)(uintptr_t)o, name, v)
	{
		size_t i = 0;

		while (known[i] != NULL && strcmp(known[i], name) != 0)
			i++;
		if (known[i] == NULL)
			return wrong(e, name, "unknown member");
	}
	return 0;
}

/* A text that is not empty; *out is left alone when there is none. */
static int
read_text(const json_t *o, const char *name, struct arena *a, const char **out,
    struct err *e)
{
	const json_t *v = json_object_get(o, name);
	const char *s = json_string_value(v);

	if (v == NULL)
		return 0;
	if (s == NULL || s[0] == '\0')
		return wrong(e, name, "not a text");
	return (*out = arena_str(a, s)) != NULL ? 0 : arena_full(a, e);
}

static int
read_globs(const json_t *v, const char *name, struct arena *a,
    struct oidc_globs *out, struct err *e)
{
	size_t n = json_array_size(v);

	if (v == NULL)
		return 0;
	if (!json_is_array(v))
		return wrong(e, name, "not a list");
	if ((out->items = arena_array(a, n, sizeof *out->items)) == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(v, i));

		if (s == NULL)
			return wrong(e, name, "not a list of texts");
		if ((out->items[i] = arena_str(a, s)) == NULL)
			return arena_full(a, e);
	}
	out->n = n;
	return 0;
}

/* ---- rules ---- */

static int
read_bounds(
    const json_t *o, struct arena *a, struct oidc_rule *r, struct err *e)
{
	const json_t *list = json_object_get(o, "bound_claims");
	const char *name;
	json_t *v;

	if (list == NULL)
		return 0;
	if (!json_is_object(list))
		return wrong(e, "bound_claims", "not an object");
	r->bounds = arena_array(a, json_object_size(list), sizeof *r->bounds);
	if (r->bounds == NULL)
		return arena_full(a, e);
	json_object_foreach((json_t *)(uintptr_t)list, name, v)
	{
		struct oidc_bound *b = &r->bounds[r->nbounds++];

		if ((b->claim = arena_str(a, name)) == NULL)
			return arena_full(a, e);
		if (read_globs(v, name, a, &b->globs, e) != 0)
			return err_prefix(e, "bound_claims");
	}
	return 0;
}

static int
read_scopes(const json_t *o, struct arena *a, unsigned *out, struct err *e)
{
	struct oidc_globs names = { 0 };

	if (read_globs(json_object_get(o, "scopes"), "scopes", a, &names, e) !=
	    0)
		return -1;
	if (scopes_parse_list(names.items, names.n, out, e) != 0)
		return err_prefix(e, "scopes");
	return 0;
}

static int
read_pins(const json_t *o, struct arena *a, struct oidc_rule *r, struct err *e)
{
	struct oidc_globs *pins = &r->pins;

	if (read_globs(json_object_get(o, "pins"), "pins", a, pins, e) != 0)
		return -1;
	for (size_t i = 0; i < pins->n; i++)
		if (pins->items[i][0] == '\0' ||
		    pins->items[i][strspn(pins->items[i], WORDS "*?")] != '\0')
			return wrong(e, "pins", "invalid pin pattern");
	if (pins->n > 0 && !(r->scopes & (SCOPE_WRITE | SCOPE_ADMIN)))
		return wrong(e, "pins", "pins need the write or admin scope");
	return 0;
}

static int
read_rule(const json_t *o, struct arena *a, struct oidc_rule *r, struct err *e)
{
	if (read_bounds(o, a, r, e) != 0 ||
	    read_globs(json_object_get(o, "bound_subject"), "bound_subject", a,
	        &r->subjects, e) != 0 ||
	    read_scopes(o, a, &r->scopes, e) != 0)
		return -1;
	return read_pins(o, a, r, e);
}

static int
read_rules(
    const json_t *o, struct arena *a, struct oidc_provider *p, struct err *e)
{
	static const char *const members[] = { "bound_claims", "bound_subject",
		"scopes", "pins", NULL };
	const json_t *list = json_object_get(o, "rules"), *rule;

	p->nrules = json_array_size(list);
	if (p->nrules == 0 || p->nrules > OIDC_RULES_MAX)
		return wrong(e, "rules", "not a list of 1 to 64 rules");
	for (size_t i = 0; members[i] != NULL; i++)
		if (json_object_get(o, members[i]) != NULL)
			return wrong(e, members[i], "belongs into the rules");
	if ((p->rules = arena_array(a, p->nrules, sizeof *p->rules)) == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < p->nrules; i++) {
		rule = json_array_get(list, i);
		if (check_members(rule, members, e) != 0 ||
		    read_rule(rule, a, &p->rules[i], e) != 0)
			return err_prefix(e, "rules[%zu]", i);
	}
	return 0;
}

/* The bounds of the provider itself are its only rule. */
static int
read_single(json_t *o, struct arena *a, struct oidc_provider *p, struct err *e)
{
	if (json_object_get(o, "scopes") == NULL)
		json_object_set_new(o, "scopes", json_pack("[s]", "write"));
	if ((p->rules = arena_alloc(a, sizeof *p->rules)) == NULL)
		return arena_full(a, e);
	p->nrules = 1;
	return read_rule(o, a, p->rules, e);
}

/* ---- providers ---- */

int
oidc_check_url(const char *url, int insecure, struct err *e)
{
	const char *host = strstr(url, "://");
	size_t len = strlen(url);

	if (host == NULL || host[3] == '\0' || host[3] == '/' ||
	    len > OIDC_URL_MAX || strpbrk(url, " \t\r\n?#@") != NULL)
		return err_set(e, ERR_INVALID, "not a URL");
	if (strncmp(url, "https://", 8) == 0 ||
	    (insecure && strncmp(url, "http://", 7) == 0))
		return 0;
	return err_set(e, ERR_INVALID, "not an https URL");
}

/* Whose token is that file? */
static int
issuer_of_file(struct arena *a, struct oidc_provider *p, struct err *e)
{
	struct secret token = { 0 };
	struct jwt *t = NULL;
	const char *iss = NULL;
	int rc;

	rc = secret_load(&token, p->bearer_token_file, SECRET_MAX, NULL, e);
	if (rc == 0)
		rc = jwt_parse(token.data, token.len, &t, e);
	if (rc == 0 && (iss = claims_text(jwt_claims(t), "iss")) == NULL)
		rc = err_set(e, ERR_INVALID, "the token names no issuer");
	if (rc == 0 && (p->issuer = arena_str(a, iss)) == NULL)
		rc = arena_full(a, e);
	jwt_free(t);
	secret_done(&token);
	return rc == 0 ? 0 : err_prefix(e, "bearer_token_file");
}

static int
read_texts(
    const json_t *o, struct arena *a, struct oidc_provider *p, struct err *e)
{
	if (read_text(o, "issuer", a, &p->issuer, e) != 0 ||
	    read_text(o, "audience", a, &p->audience, e) != 0 ||
	    read_text(o, "jwks_url", a, &p->jwks_url, e) != 0 ||
	    read_text(o, "ca_file", a, &p->ca_file, e) != 0 ||
	    read_text(o, "bearer_token_file", a, &p->bearer_token_file, e) != 0)
		return -1;
	if (p->audience == NULL)
		return wrong(e, "audience", "missing");
	if (p->issuer == NULL && p->bearer_token_file == NULL)
		return wrong(e, "issuer", "missing");
	if (p->issuer == NULL && issuer_of_file(a, p, e) != 0)
		return -1;
	if (oidc_check_url(p->issuer, p->insecure, e) != 0)
		return err_prefix(e, "issuer");
	if (p->jwks_url != NULL &&
	    oidc_check_url(p->jwks_url, p->insecure, e) != 0)
		return err_prefix(e, "jwks_url");
	return 0;
}

static int
read_provider(
    json_t *o, struct arena *a, struct oidc_provider *p, struct err *e)
{
	static const char *const members[] = { "issuer", "audience", "jwks_url",
		"ca_file", "bearer_token_file", "bound_claims", "bound_subject",
		"scopes", "pins", "rules", NULL };
	size_t len = strlen(p->name);

	if (len == 0 || len > OIDC_NAME_MAX || strspn(p->name, WORDS) != len)
		return err_set(e, ERR_INVALID,
		    "a name is 1 to %d letters, digits and \"._-\"",
		    OIDC_NAME_MAX);
	if (check_members(o, members, e) != 0 || read_texts(o, a, p, e) != 0)
		return -1;
	return json_object_get(o, "rules") != NULL ? read_rules(o, a, p, e)
	                                           : read_single(o, a, p, e);
}

static int
check_issuer(const struct oidc_config *c, struct err *e)
{
	const struct oidc_provider *last = &c->providers[c->n - 1];

	for (const struct oidc_provider *p = c->providers; p < last; p++)
		if (strcmp(p->issuer, last->issuer) == 0)
			return err_set(e, ERR_INVALID,
			    "issuer: also that of provider %s", p->name);
	return 0;
}

static int
read_config(json_t *root, struct arena *a, struct oidc_config *c, struct err *e)
{
	static const char *const members[] = { "providers", "allow_insecure",
		NULL };
	json_t *list = json_object_get(root, "providers");
	json_t *insecure = json_object_get(root, "allow_insecure"), *v;
	size_t n = json_object_size(list);
	const char *name;

	if (check_members(root, members, e) != 0)
		return -1;
	if (n == 0 || n > OIDC_PROVIDERS_MAX)
		return wrong(e, "providers", "not an object of 1 to 64");
	if (insecure != NULL && !json_is_boolean(insecure))
		return wrong(e, "allow_insecure", "not true or false");
	if ((c->providers = arena_array(a, n, sizeof *c->providers)) == NULL)
		return arena_full(a, e);
	json_object_foreach(list, name, v)
	{
		struct oidc_provider *p = &c->providers[c->n++];

		p->insecure = json_is_true(insecure);
		if ((p->name = arena_str(a, name)) == NULL)
			return arena_full(a, e);
		if (read_provider(v, a, p, e) != 0 || check_issuer(c, e) != 0)
			return err_prefix(e, "provider %.64s", name);
	}
	return 0;
}

int
oidc_config_load(
    const char *path, struct arena *a, struct oidc_config *out, struct err *e)
{
	struct oidc_config c = { 0 };
	json_t *root = NULL;
	struct buf text;
	int rc = -1;

	buf_init(&text, OIDC_FILE_MAX);
	if (file_read(path, &text, e) == 0 &&
	    (root = json_load(text.data, text.len, e)) != NULL)
		rc = read_config(root, a, &c, e);
	json_decref(root);
	buf_done(&text);
	if (rc != 0)
		return err_prefix(e, "OIDC configuration %s", path);
	*out = c;
	return 0;
}
