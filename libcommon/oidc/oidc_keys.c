#include "oidc_keys.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../codec/json.h"
#include "../core/buf.h"
#include "../core/clock.h"
#include "../core/err.h"
#include "../core/opt.h"
#include "../core/secret.h"
#include "../http/client.h"
#include "claims.h"
#include "jwt.h"
#include "oidc_config.h"

struct oidc_keys {
	const struct oidc_provider *provider;
	struct oidc_times times;
	pthread_mutex_t lock;
	pthread_cond_t fetched;
	/* All under the lock. cjose is only used under it as well. */
	struct jwt_keys *keys; /* or NULL */
	unsigned algs;
	deadline_t fresh_until, good_until; /* of keys */
	deadline_t next;                    /* when it may be fetched again */
	int failed;                         /* the last try did */
	int fetching;
	unsigned waiting;
	struct err why; /* it failed */
};

/* What a fetch brings. */
struct news {
	struct jwt_keys *keys;
	unsigned algs;
};

struct oidc_keys *
oidc_keys_new(const struct oidc_provider *p, const struct oidc_times *times)
{
	struct oidc_keys *k = xcalloc(1, sizeof *k);

	k->provider = p;
	if (times != NULL)
		k->times = *times;
	if (k->times.fresh_ms == 0)
		k->times.fresh_ms = OIDC_FRESH_MS;
	if (k->times.good_ms == 0)
		k->times.good_ms = OIDC_GOOD_MS;
	if (k->times.pause_ms == 0)
		k->times.pause_ms = OIDC_PAUSE_MS;
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->fetched, NULL);
	return k;
}

void
oidc_keys_free(struct oidc_keys *k)
{
	if (k == NULL)
		return;
	jwt_keys_free(k->keys);
	pthread_cond_destroy(&k->fetched);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

/* ---- fetching, without the lock ---- */

struct fetch {
	const struct oidc_provider *provider;
	struct http_client *http;
	struct secret bearer;
	deadline_t deadline;
};

static int
get(struct fetch *f, const char *url, struct buf *out, struct err *e)
{
	static const char *const headers[] = { "Accept: application/json" };
	struct http_answer answer;
	struct http_call call = {
		.method = "GET",
		.url = url,
		.headers = headers,
		.nheaders = 1,
		.bearer = f->bearer.data,
		.deadline = f->deadline,
		.response = out,
	};

	if (http_call(f->http, &call, &answer, e) != 0)
		return -1;
	if (answer.status != 200)
		return err_set(e, ERR_UNAVAILABLE, "GET %s: answered %d", url,
		    answer.status);
	return 0;
}

/* What its discovery document says it signs with; RS256 if it says nothing. */
static unsigned
read_algs(const json_t *doc)
{
	const json_t *list =
	    json_object_get(doc, "id_token_signing_alg_values_supported");
	unsigned algs = 0;

	if (json_array_size(list) == 0)
		return jwt_alg(JWT_ALG_DEFAULT);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s != NULL)
			algs |= jwt_alg(s);
	}
	return algs;
}

static int
read_discovery(struct fetch *f, const struct buf *text, char *url, size_t size,
    unsigned *algs, struct err *e)
{
	json_t *doc = json_load(text->data, text->len, e);
	const char *issuer = claims_text(doc, "issuer");
	const char *keys = claims_text(doc, "jwks_uri");
	int rc;

	if (doc == NULL)
		return err_prefix(e, "discovery document");
	if (issuer == NULL || strcmp(issuer, f->provider->issuer) != 0)
		rc = err_set(e, ERR_CORRUPT, "it is that of another issuer");
	else if (keys == NULL || strlen(keys) >= size)
		rc = err_set(e, ERR_CORRUPT, "jwks_uri: missing");
	else if (oidc_check_url(keys, f->provider->insecure, e) != 0)
		rc = err_prefix(e, "jwks_uri");
	else {
		strcpy(url, keys);
		*algs = read_algs(doc);
		rc = 0;
	}
	json_decref(doc);
	return rc == 0 ? 0 : err_prefix(e, "discovery document");
}

static int
discover(struct fetch *f, char *url, size_t size, unsigned *algs, struct err *e)
{
	static const char path[] = "/.well-known/openid-configuration";
	size_t len = strlen(f->provider->issuer);
	char at[OIDC_URL_MAX + sizeof path];
	struct buf text;
	int rc;

	/* As the standard has it: less a slash at the end. */
	if (f->provider->issuer[len - 1] == '/')
		len--;
	snprintf(at, sizeof at, "%.*s%s", (int)len, f->provider->issuer, path);
	buf_init(&text, OIDC_DISCOVERY_MAX);
	rc = get(f, at, &text, e);
	if (rc == 0)
		rc = read_discovery(f, &text, url, size, algs, e);
	buf_done(&text);
	return rc;
}

static int
fetch_keys(struct fetch *f, struct news *out, struct err *e)
{
	char url[OIDC_URL_MAX + 1];
	unsigned algs = JWT_ALGS_ALL;
	struct buf text;
	int rc = 0;

	if (f->provider->jwks_url != NULL)
		snprintf(url, sizeof url, "%s", f->provider->jwks_url);
	else
		rc = discover(f, url, sizeof url, &algs, e);
	if (rc != 0)
		return -1;
	buf_init(&text, OIDC_KEYS_BYTES);
	rc = get(f, url, &text, e);
	if (rc == 0)
		rc = jwt_keys_parse(text.data, text.len, &out->keys, e);
	buf_done(&text);
	out->algs = algs;
	return rc;
}

static int
fetch(const struct oidc_provider *p, struct news *out, struct err *e)
{
	struct fetch f = { .provider = p,
		.deadline = deadline_in(OIDC_FETCH_MS) };
	int rc = 0;

	if (p->bearer_token_file != NULL)
		rc = secret_load(
		    &f.bearer, p->bearer_token_file, SECRET_MAX, NULL, e);
	if (rc == 0) {
		f.http = http_client_new(&(struct http_client_options){
		    .ca_file = p->ca_file,
		    .user_agent = "niks3-server/" NIKS3_VERSION,
		    .connect_ms = OIDC_CONNECT_MS,
		});
		rc = fetch_keys(&f, out, e);
	}
	http_client_free(f.http);
	secret_done(&f.bearer);
	return rc;
}

/* ---- under the lock ---- */

static void
fetch_here(struct oidc_keys *k)
{
	struct news news = { 0 };
	struct err e = ERR_INIT;
	int rc;

	k->fetching = 1;
	pthread_mutex_unlock(&k->lock);
	rc = fetch(k->provider, &news, &e);
	pthread_mutex_lock(&k->lock);
	k->fetching = 0;
	k->next = deadline_in(k->times.pause_ms);
	k->failed = rc != 0;
	if (rc == 0) {
		jwt_keys_free(k->keys);
		k->keys = news.keys;
		k->algs = news.algs;
		k->fresh_until = deadline_in(k->times.fresh_ms);
		k->good_until = deadline_in(k->times.good_ms);
	} else {
		k->why = e;
	}
	pthread_cond_broadcast(&k->fetched);
}

static void
wait_for_fetch(struct oidc_keys *k)
{
	deadline_t d = deadline_in(OIDC_FETCH_MS);
	struct timespec ts = { d / 1000, d % 1000 * 1000000 };
	int rc = 0;

	k->waiting++;
	while (k->fetching && rc == 0)
		rc = pthread_cond_clockwait(
		    &k->fetched, &k->lock, CLOCK_MONOTONIC, &ts);
	k->waiting--;
}

/* Newer keys, if they may be fetched now. */
static void
refresh(struct oidc_keys *k)
{
	if (k->fetching) {
		if (k->waiting < OIDC_WAITERS_MAX)
			wait_for_fetch(k);
	} else if (deadline_left(k->next) == 0) {
		fetch_here(k);
	}
}

static int
unavailable(const struct oidc_keys *k, struct err *e)
{
	if (k->fetching || !k->failed)
		return err_set(
		    e, ERR_UNAVAILABLE, "its keys are being fetched");
	return err_set(
	    e, ERR_UNAVAILABLE, "its keys cannot be had: %s", k->why.msg);
}

static int
verify(struct oidc_keys *k, const struct jwt *t, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	if (k->keys != NULL && deadline_left(k->good_until) == 0) {
		jwt_keys_free(k->keys);
		k->keys = NULL;
	}
	/* Old keys will do while somebody else fetches new ones. */
	if (k->keys == NULL ||
	    (deadline_left(k->fresh_until) == 0 && !k->fetching))
		refresh(k);
	if (k->keys == NULL)
		return unavailable(k, e);
	rc = jwt_verify(t, k->keys, k->algs, &why);
	if (rc != 0 && why.kind == ERR_NOT_FOUND) {
		refresh(k);
		rc = jwt_verify(t, k->keys, k->algs, &why);
		/* Ours may be too old to tell. */
		if (rc != 0 && why.kind == ERR_NOT_FOUND &&
		    (k->fetching || k->failed))
			return unavailable(k, e);
	}
	return rc == 0 ? 0 : err_set(e, ERR_UNAUTHORIZED, "%s", why.msg);
}

int
oidc_keys_verify(struct oidc_keys *k, const struct jwt *t, struct err *e)
{
	int rc;

	pthread_mutex_lock(&k->lock);
	rc = verify(k, t, e);
	pthread_mutex_unlock(&k->lock);
	return rc;
}
