#include "auth.h"
#include "basic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/codec/shortname.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/tokens.h"
#include "../../libcommon/http/server.h"
#include "../../libcommon/oidc/jwt.h"
#include "../../libcommon/oidc/oidc.h"
#include "auth_cache.h"
#include "auth_fail.h"
#include "auth_mtls.h"
#include "server.h"

struct auth {
	uint8_t api_token[SHA256_LEN];
	struct db_pool *pool;
	struct auth_mtls *mtls;
	struct oidc *oidc; /* or NULL */
	struct auth_cache *cache;
	struct auth_fail *fails;
	struct auth_counters counters;
};

#define COUNT(a, name) atomic_fetch_add(&(a)->counters.name, 1)

/* ---- start ---- */

/* Whoever has an account with the provider gets in; that should be meant. */
static void
warn_open(const struct oidc_config *c)
{
	for (size_t i = 0; i < c->n; i++)
		for (size_t j = 0; j < c->providers[i].nrules; j++)
			if (c->providers[i].rules[j].nbounds == 0 &&
			    c->providers[i].rules[j].subjects.n == 0)
				log_warn("every token of an OIDC provider is "
				         "accepted: a rule has no bounds",
				    LOG_S("provider", c->providers[i].name));
}

/* Keeps the hash and forgets the token. */
static int
hash_token(const struct secret *t, uint8_t out[SHA256_LEN], struct err *e)
{
	if (t->len == 0)
		return err_set(e, ERR_USAGE,
		    "no API token: give --api-token-path or "
		    "NIKS3_API_TOKEN_PATH");
	if (t->len < AUTH_TOKEN_MIN) {
		err_set(e, ERR_USAGE,
		    "the API token has %zu characters, fewer than %d", t->len,
		    AUTH_TOKEN_MIN);
		return err_hint(e, "make one with: openssl rand -hex 32");
	}
	sha256(t->data, t->len, out);
	return 0;
}

int
auth_new(const struct auth_config *c, const struct secret *api_token,
    struct db_pool *pool, struct auth **out, struct err *e)
{
	struct auth *a = xcalloc(1, sizeof *a);

	a->pool = pool;
	a->cache = auth_cache_new();
	a->fails = auth_fail_new();
	if (hash_token(api_token, a->api_token, e) != 0 ||
	    auth_mtls_new(c, &a->mtls, e) != 0 ||
	    (c->oidc_config != NULL &&
	        oidc_new(c->oidc_config, NULL, &a->oidc, e) != 0)) {
		auth_free(a);
		return -1;
	}
	if (a->oidc != NULL)
		warn_open(oidc_config(a->oidc));
	*out = a;
	return 0;
}

void
auth_needs(const struct auth *a, struct sandbox *s)
{
	if (a->oidc != NULL)
		oidc_needs(a->oidc, s);
}

void
auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	oidc_free(a->oidc);
	auth_mtls_free(a->mtls);
	auth_cache_free(a->cache);
	auth_fail_free(a->fails);
	free(a);
}

/* ---- refusals ---- */

/* The compatible API says no more than its Go original. */
static int
is_native(const struct http_req *q)
{
	return strncmp(q->path, "/api/v2/", strlen("/api/v2/")) == 0;
}

static int
unauthorized(const struct http_req *q, const char *why, struct err *e)
{
	if (!is_native(q))
		return err_set(e, ERR_UNAUTHORIZED, "Unauthorized");
	err_set(e, ERR_UNAUTHORIZED, "%s", why);
	return err_hint(e, "send the header Authorization: Bearer TOKEN");
}

/* A login that failed: known to us, and slowed. why has no part of it. */
static int
failed(struct auth *a, struct http_req *q, const char *why, struct err *e)
{
	q->delay_ms = auth_fail_note(a->fails, q->remote, clock_mono_ms());
	if (q->delay_ms > 0)
		COUNT(a, slowed);
	log_warn("login failed", LOG_S("reason", why), LOG_S("from", q->remote),
	    LOG_I("held_ms", q->delay_ms));
	unauthorized(q, "the token is not accepted", e);
	if (is_native(q))
		e->hint[0] = '\0';
	return -1;
}

static int
lacks(struct auth *a, const struct http_req *q, const struct http_route *route,
    struct err *e)
{
	COUNT(a, lacking);
	log_info("not allowed", LOG_S("who", q->who),
	    LOG_S("route", route->pattern), LOG_S("from", q->remote));
	return err_set(e, ERR_FORBIDDEN, "Forbidden: token lacks scope %s",
	    scopes_wanted(route->scope & SCOPE_ALL));
}

/* ---- what a credential may do ---- */

/* A name that a rule has for itself is for that rule, and for administrators. */
static int
check_pin(struct auth *a, const struct http_req *q,
    const struct auth_identity *id, struct err *e)
{
	const char *name = q->params[0];

	if (a->oidc == NULL || (q->scopes & SCOPE_ADMIN) ||
	    !oidc_pin_reserved(a->oidc, name) ||
	    (id != NULL && id->oidc.provider != NULL &&
	        oidc_pin_allowed(&id->oidc, name)))
		return 0;
	COUNT(a, lacking);
	return err_set(e, ERR_FORBIDDEN,
	    "Forbidden: the pin name is reserved for another credential");
}

static int
let_in(struct auth *a, struct http_req *q, const struct http_route *route,
    const struct auth_identity *id, struct err *e)
{
	snprintf(q->who, sizeof q->who, "%s", id->who);
	q->scopes = scopes_implied(id->scopes);
	q->expires_us = id->expires_us;
	if ((q->scopes & route->scope) == 0)
		return lacks(a, q, route, e);
	if ((route->scope & SCOPE_PIN_SET) && check_pin(a, q, id, e) != 0)
		return -1;
	COUNT(a, good);
	return 0;
}

/* ---- in the epoll thread ---- */

static int
check_certificate(
    struct auth *a, const struct http_req *q, struct auth_identity *id)
{
	const char *subject;

	id->scopes = auth_mtls_scopes(a->mtls, q, &subject);
	if (id->scopes == 0) {
		if (subject != NULL)
			COUNT(a, certificate);
		return -1;
	}
	shortname_fmt(id->who, sizeof id->who, "mtls", subject);
	return 0;
}

/* NULL when none was sent. Where people come with a browser, it may be a password,
 * which is put into buf: to be wiped. */
static const char *
token_of(const struct http_req *q, const struct http_route *route,
    char buf[BASIC_PASSWORD_MAX + 1])
{
	static const char scheme[] = "Bearer ";
	const char *header = http_req_header(q, "Authorization");

	if (header == NULL)
		return NULL;
	if (strncmp(header, scheme, sizeof scheme - 1) == 0)
		return header + sizeof scheme - 1;
	return route->challenge != NULL && basic_password(header, buf) == 0
	    ? buf
	    : NULL;
}

static int
is_ours(const char *token)
{
	return strncmp(token, AUTH_TOKEN_PREFIX, AUTH_TOKEN_PREFIX_LEN) == 0;
}

/* Hashes are compared, so that the time tells nothing about the token, not even
 * its length. */
static int
check_bearer(struct auth *a, struct http_req *q, const struct http_route *route,
    const char *token, struct err *e)
{
	struct auth_identity id = { .scopes = SCOPE_ALL };
	uint8_t digest[SHA256_LEN];

	sha256(token, strlen(token), digest);
	if (secret_equal(digest, a->api_token, sizeof digest)) {
		strcpy(id.who, "api-token");
		return let_in(a, q, route, &id, e);
	}
	if (auth_cache_get(a->cache, digest, &id)) {
		COUNT(a, cached);
		return let_in(a, q, route, &id, e);
	}
	if (strlen(token) > AUTH_BEARER_MAX) {
		COUNT(a, malformed);
		return failed(a, q, "token too long", e);
	}
	if (is_ours(token) || (a->oidc != NULL && jwt_looks_like(token)))
		return HTTP_ASK_WORKER;
	COUNT(a, unknown);
	return failed(a, q, "unknown token", e);
}

int
auth_check(struct auth *a, struct http_req *q, const struct http_route *route,
    struct err *e)
{
	struct auth_identity id = { 0 };
	char password[BASIC_PASSWORD_MAX + 1] = "";
	const char *token;
	int rc;

	if ((route->scope & SCOPE_ALL) == SCOPE_NONE ||
	    ((route->scope & SCOPE_PUBLIC) && auth_reads_are_public(a)))
		return 0;
	token = token_of(q, route, password);
	/* A certificate that may not do this does not stand in the way of a
	 * token that may. */
	if (check_certificate(a, q, &id) == 0 &&
	    (token == NULL ||
	        (scopes_implied(id.scopes) & route->scope) != 0)) {
		rc = let_in(a, q, route, &id, e);
	} else if (token != NULL) {
		rc = check_bearer(a, q, route, token, e);
	} else {
		COUNT(a, missing);
		rc = unauthorized(q, "no bearer token", e);
	}
	explicit_bzero(password, sizeof password);
	return rc;
}

/* ---- in a worker ---- */

static int
check_made(struct auth *a, const uint8_t digest[SHA256_LEN],
    struct auth_identity *id, int64_t *left_us, struct err *e)
{
	struct db *db;
	int rc;

	if (db_get(a->pool, deadline_in(AUTH_DB_MS), &db, e) != 0)
		return -1;
	rc = tokens_use(db, digest, &id->token_id, &id->scopes, left_us, e);
	db_put(a->pool, db);
	if (rc == 0)
		snprintf(id->who, sizeof id->who, "token:%lld",
		    (long long)id->token_id);
	return rc;
}

static int
check_oidc(struct auth *a, const char *token, struct auth_identity *id,
    int64_t *left_us, struct err *e)
{
	if (oidc_check(a->oidc, token, &id->oidc, e) != 0)
		return -1;
	id->scopes = id->oidc.scopes;
	*left_us = id->oidc.left_us;
	memcpy(id->who, id->oidc.who, sizeof id->who);
	return 0;
}

static int
cannot_tell(struct auth *a, struct err *e)
{
	COUNT(a, unavailable);
	log_err(LOG_LEVEL_WARN, "login cannot be checked", e);
	/* What is wrong with our parts is not for strangers. */
	return err_set(
	    e, ERR_UNAVAILABLE, "the token cannot be checked now; try again");
}

int
auth_check_slow(struct auth *a, struct http_req *q,
    const struct http_route *route, struct err *e)
{
	char password[BASIC_PASSWORD_MAX + 1] = "";
	const char *token = token_of(q, route, password);
	struct auth_identity id = { 0 };
	uint8_t digest[SHA256_LEN];
	uint64_t epoch = auth_cache_epoch(a->cache);
	char why[ERR_MSG_MAX];
	int64_t left_us;
	int ours, rc;

	sha256(token, strlen(token), digest);
	if (is_ours(token))
		rc = check_made(a, digest, &id, &left_us, e);
	else
		rc = check_oidc(a, token, &id, &left_us, e);
	ours = is_ours(token);
	explicit_bzero(password, sizeof password);
	if (rc == 0) {
		int64_t ms = left_us / 1000;

		if (left_us != INT64_MAX)
			id.expires_us = clock_wall_us() + left_us;
		auth_cache_put(a->cache, digest, &id,
		    ms < AUTH_CACHE_MS ? ms : AUTH_CACHE_MS, epoch);
		return let_in(a, q, route, &id, e);
	}
	if (e->kind != ERR_UNAUTHORIZED)
		return cannot_tell(a, e);
	if (ours)
		COUNT(a, unknown);
	else
		COUNT(a, oidc_refused);
	snprintf(why, sizeof why, "%s", e->msg);
	return failed(a, q, why, e);
}

/* ---- what others ask ---- */

void
auth_forget_token(struct auth *a, int64_t id)
{
	auth_cache_forget(a->cache, id);
}

int
auth_reads_are_public(const struct auth *a)
{
	return !auth_mtls_gates_reads(a->mtls) &&
	    (a->oidc == NULL || !oidc_gates_reads(a->oidc));
}

const char *
auth_oidc_audience(const struct auth *a, const char *issuer)
{
	return a->oidc != NULL ? oidc_audience(a->oidc, issuer) : NULL;
}

struct auth_counters *
auth_counters(struct auth *a)
{
	return &a->counters;
}
