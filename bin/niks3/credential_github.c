/*
 * OIDC tokens in a job of GitHub Actions, as GitHub documents it ("OpenID Connect
 * reference"): a GET of ACTIONS_ID_TOKEN_REQUEST_URL&audience=…, with
 * ACTIONS_ID_TOKEN_REQUEST_TOKEN as bearer token, answers {"value": JWT}. For
 * whom it must be made, our server knows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/base64.h"
#include "../../libcommon/codec/json.h"
#include "../../libcommon/codec/jsonscan.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/http/client.h"
#include "../../proto/bodies.h"
#include "credential.h"
#include "remote.h"

#define URL_VAR    "ACTIONS_ID_TOKEN_REQUEST_URL"
#define TOKEN_VAR  "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
#define GITHUB     "https://github.com"
#define ISSUER     "https://token.actions.githubusercontent.com"
#define URL_MAX    8192
#define ANSWER_MAX ((size_t)64 << 10)
#define MEMORY     ((size_t)1 << 20)

/* A variable that is there and not empty, or NULL. */
static const char *
variable(const char *name)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : NULL;
}

int
github_there(void)
{
	return variable(URL_VAR) != NULL && variable(TOKEN_VAR) != NULL;
}

/* ---- HTTP ---- */

static int
get(struct http_client *http, const char *url, const char *bearer, deadline_t d,
    struct buf *out, struct err *e)
{
	struct http_answer answer;
	struct http_call call = {
		.method = "GET",
		.url = url,
		.bearer = bearer,
		.deadline = deadline_min(d, deadline_in(CREDENTIAL_GITHUB_MS)),
		.response = out,
	};

	if (http_call(http, &call, &answer, e) != 0)
		return -1;
	if (answer.status != 200)
		return err_set(e, err_kind_by_http(answer.status),
		    "%.*s answered %d", (int)strcspn(url, "?"), url,
		    answer.status);
	return 0;
}

/* Asks, over a connection of its own. */
static int
ask(const struct http_client_options *o, const char *url, const char *bearer,
    deadline_t d, struct buf *out, struct err *e)
{
	struct http_client *http;
	int rc;

	http_client_global_init();
	http = http_client_new(o);
	rc = get(http, url, bearer, d, out, e);
	http_client_free(http);
	return rc;
}

/* ---- for whom ---- */

/* GitHub Enterprise Server has an issuer of its own. */
static int
put_issuer(struct buf *url, struct err *e)
{
	const char *server = variable("GITHUB_SERVER_URL");
	char issuer[1024];

	if (server == NULL || strcmp(server, GITHUB) == 0)
		snprintf(issuer, sizeof issuer, "%s", ISSUER);
	else
		snprintf(
		    issuer, sizeof issuer, "%.900s/_services/token", server);
	return http_escape(url, issuer, strlen(issuer), 0, e);
}

static int
read_audience(const struct buf *answer, struct arena *a, const char **audience,
    struct err *e)
{
	struct cache_info info;

	if (json_decode(
	        &cache_info_desc, answer->data, answer->len, a, &info, e) != 0)
		return -1;
	if (info.oidc_audience == NULL) {
		err_set(e, ERR_UNAUTHORIZED,
		    "the server accepts no tokens of GitHub Actions");
		return err_hint(e,
		    "give --auth-token-path, or have the server accept them "
		    "(--oidc-config)");
	}
	*audience = info.oidc_audience;
	return 0;
}

static int
find_audience(const struct remote_config *c, deadline_t d, struct arena *a,
    const char **audience, struct err *e)
{
	const struct http_client_options o = {
		.ca_file = c->ca_cert,
		.client_cert = c->client_cert,
		.client_key = c->client_key,
		.user_agent = "niks3/" NIKS3_VERSION,
	};
	size_t len = strlen(c->server_url);
	struct buf url, answer;
	int rc = -1;

	while (len > 0 && c->server_url[len - 1] == '/')
		len--;
	buf_init(&url, URL_MAX);
	buf_init(&answer, ANSWER_MAX);
	if (buf_printf(&url, e, "%.*s/api/v2/cache?issuer=", (int)len,
	        c->server_url) == 0 &&
	    put_issuer(&url, e) == 0 &&
	    ask(&o, buf_str(&url), NULL, d, &answer, e) == 0)
		rc = read_audience(&answer, a, audience, e);
	buf_done(&url);
	buf_done(&answer);
	return rc;
}

/* ---- the token ---- */

static int
read_value(const struct buf *answer, struct credential_news *out, struct err *e)
{
	const char *text = (const char *)answer->data;
	struct jsonscan s = { text, text + answer->len };
	struct jsonscan_raw key, value;
	size_t n = 0;
	int rc;

	out->token[0] = '\0';
	if (!jsonscan_take(&s, '{'))
		return err_set(e, ERR_CORRUPT, "the answer is no JSON object");
	while ((rc = jsonscan_member(&s, &key, &n, NULL)) > 0) {
		if (!jsonscan_is(key, "value"))
			rc = jsonscan_skip(&s, NULL);
		else if (jsonscan_string(&s, &value, NULL) != 0)
			rc = -1;
		else
			rc = jsonscan_text(
			    value, out->token, sizeof out->token, NULL);
		if (rc != 0)
			break;
	}
	if (rc != 0 || out->token[0] == '\0')
		return err_set(e, ERR_CORRUPT, "the answer has no token");
	return 0;
}

/* The number behind "exp" in the claims. */
static int64_t
read_exp(const char *text, size_t len)
{
	struct jsonscan s = { text, text + len };
	struct jsonscan_raw key, value;
	int64_t seconds = -1;
	size_t n = 0;

	if (!jsonscan_take(&s, '{'))
		return -1;
	while (jsonscan_member(&s, &key, &n, NULL) > 0) {
		if (!jsonscan_is(key, "exp")) {
			if (jsonscan_skip(&s, NULL) != 0)
				return -1;
			continue;
		}
		if (jsonscan_word(&s, &value, NULL) != 0 ||
		    num_parse_i64(value.p, value.len, &seconds, NULL) != 0 ||
		    seconds < 0 || seconds > INT64_MAX / 1000000)
			return -1;
		return seconds * 1000000;
	}
	return -1;
}

int64_t
github_expiry(const char *jwt)
{
	const char *dot = strchr(jwt, '.');
	char text[CREDENTIAL_MAX], claims[CREDENTIAL_MAX];
	size_t len, n;
	int64_t us = -1;

	if (dot == NULL || (len = strcspn(dot + 1, ".")) > CREDENTIAL_MAX)
		return -1;
	memcpy(text, dot + 1, len);
	/* The alphabet for URLs (RFC 4648, section 5), without padding. */
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '-')
			text[i] = '+';
		else if (text[i] == '_')
			text[i] = '/';
	}
	if (base64_parse(text, len, claims, sizeof claims, &n, NULL) == 0)
		us = read_exp(claims, n);
	explicit_bzero(text, sizeof text);
	explicit_bzero(claims, sizeof claims);
	return us;
}

int
github_token(const struct remote_config *config, deadline_t d,
    struct credential_news *out, struct err *e)
{
	/* Not the certificates that are for our server. */
	const struct http_client_options o = {
		.user_agent = "niks3/" NIKS3_VERSION,
	};
	const char *base = variable(URL_VAR), *audience = NULL;
	struct arena *a = arena_new(MEMORY);
	struct buf url, answer;
	int rc = -1;

	buf_init(&url, URL_MAX);
	buf_init(&answer, ANSWER_MAX);
	if (find_audience(config, d, a, &audience, e) == 0 &&
	    buf_printf(&url, e, "%s%caudience=", base,
	        strchr(base, '?') != NULL ? '&' : '?') == 0 &&
	    http_escape(&url, audience, strlen(audience), 0, e) == 0 &&
	    buf_reserve(&answer, ANSWER_MAX, e) != NULL &&
	    ask(&o, buf_str(&url), variable(TOKEN_VAR), d, &answer, e) == 0)
		rc = read_value(&answer, out, e);
	if (rc == 0)
		out->ms = credential_keep_ms(github_expiry(out->token));
	if (answer.data != NULL)
		explicit_bzero(answer.data, answer.cap);
	buf_done(&answer);
	buf_done(&url);
	arena_free(a);
	return rc;
}
