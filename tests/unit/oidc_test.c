/*
 * OIDC tokens against a provider that is played here: an HTTP server of our own
 * with a discovery document and keys that the test changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/http/server.h"
#include "../../libcommon/oidc/oidc.h"
#include "../../libcommon/oidc/oidc_keys.h"
#include "../../proto/scopes.h"
#include "jwt_make.h"

static EVP_PKEY *one, *two;
static struct http_server *server;
static char issuer[64], config_path[] = "/tmp/oidc_test.XXXXXX";
static char bearer_path[] = "/tmp/oidc_test.XXXXXX";
static struct oidc *oidc;

/* ---- the provider ---- */

static struct {
	pthread_mutex_t lock;
	char *keys;
	const char *algs;   /* of discovery, or NULL */
	const char *iss;    /* instead of the right one, or NULL */
	const char *bearer; /* that it asks for, or NULL */
	int status;         /* of both documents */
	atomic_int discoveries, fetches;
	int slow; /* the keys wait for the gate */
	sem_t entered, leave;
} play = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int
refuses(const struct http_req *q, struct http_res *r)
{
	const char *got = http_req_header(q, "Authorization");

	if (play.bearer != NULL &&
	    (got == NULL || strcmp(got, play.bearer) != 0)) {
		r->status = 401;
		return 1;
	}
	r->status = play.status;
	return 0;
}

static int
discovery(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	play.discoveries++;
	if (refuses(q, r))
		return 0;
	return buf_printf(&r->body, e,
	    "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/keys\"%s%s}",
	    play.iss != NULL ? play.iss : issuer, issuer,
	    play.algs != NULL ? ",\"id_token_signing_alg_values_supported\":"
	                      : "",
	    play.algs != NULL ? play.algs : "");
}

static int
keys(void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	int rc;

	(void)worker;
	play.fetches++;
	if (refuses(q, r))
		return 0;
	if (play.slow) {
		sem_post(&play.entered);
		sem_wait(&play.leave);
	}
	pthread_mutex_lock(&play.lock);
	rc = buf_puts(&r->body, play.keys, e);
	pthread_mutex_unlock(&play.lock);
	return rc;
}

static const struct http_route routes[] = {
	{ "GET", "/.well-known/openid-configuration", discovery },
	{ "GET", "/keys", keys },
	{ NULL },
};

static void
publish(char *jwks)
{
	pthread_mutex_lock(&play.lock);
	free(play.keys);
	play.keys = jwks;
	pthread_mutex_unlock(&play.lock);
}

static void
provider_start(const char *address)
{
	struct err e = ERR_INIT;

	if (http_server_new(
	        &(struct http_server_options){
	            .address = address, .routes = routes, .workers = 2 },
	        &server, &e) != 0)
		fail_msg("%s", e.msg);
}

static void
provider_stop(void)
{
	http_server_stop(server, 1000);
	http_server_free(server);
	server = NULL;
}

static int
setup(void **state)
{
	(void)state;
	http_client_global_init();
	close(mkstemp(config_path));
	close(mkstemp(bearer_path));
	one = jwt_key("RSA", 2048);
	two = jwt_key("P-256", 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(config_path);
	unlink(bearer_path);
	EVP_PKEY_free(one);
	EVP_PKEY_free(two);
	return 0;
}

static int
begin(void **state)
{
	(void)state;
	play.algs = play.iss = play.bearer = NULL;
	play.status = 200;
	play.discoveries = play.fetches = play.slow = 0;
	sem_init(&play.entered, 0, 0);
	sem_init(&play.leave, 0, 0);
	publish(jwt_jwks(jwt_jwk(one, "one", ""), NULL));
	provider_start("127.0.0.1:0");
	snprintf(issuer, sizeof issuer, "http://127.0.0.1:%u",
	    http_server_port(server));
	return 0;
}

static int
end(void **state)
{
	(void)state;
	oidc_free(oidc);
	oidc = NULL;
	if (server != NULL)
		provider_stop();
	publish(NULL);
	return 0;
}

/* ---- the configuration, and tokens ---- */

static void
put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* A provider "p" with more members. */
static void
configure(const char *more, const struct oidc_times *times)
{
	struct err e = ERR_INIT;
	char text[4096];

	snprintf(text, sizeof text,
	    "{\"allow_insecure\":true,\"providers\":{\"p\":{"
	    "\"issuer\":\"%s\",\"audience\":\"us\"%s}}}",
	    issuer, more);
	put_file(config_path, text);
	oidc_free(oidc);
	oidc = NULL;
	if (oidc_new(config_path, times, &oidc, &e) != 0)
		fail_msg("%s", e.msg);
}

/* A token with these claims beside those that it must have. */
static char *
token_of(EVP_PKEY *key, const char *kid, const char *more)
{
	char claims[4096];

	snprintf(claims, sizeof claims, "{\"iss\":\"%s\",\"exp\":%lld%s%s}",
	    issuer, (long long)time(NULL) + 600, more[0] != '\0' ? "," : "",
	    more);
	return jwt_make(key, key == one ? "RS256" : "ES256", kid, NULL, claims);
}

#define BASIC "\"aud\":\"us\",\"sub\":\"repo:o/r\""

static struct oidc_identity id;

static enum err_kind
check(char *token)
{
	struct err e = ERR_INIT;

	oidc_check(oidc, token, &id, &e);
	free(token);
	/* Claims are parts of the token. */
	assert_null(strstr(e.msg, "repo:"));
	return e.kind;
}

static enum err_kind
check_one(const char *more)
{
	return check(token_of(one, "one", more));
}

/* ---- tests ---- */

static void
test_accepted(void **state)
{
	(void)state;
	configure("", NULL);
	assert_int_equal(play.discoveries, 0); /* nobody asked yet */
	assert_int_equal(check_one(BASIC), ERR_NONE);
	assert_string_equal(id.who, "oidc:p:repo:o/r");
	assert_int_equal(id.scopes, SCOPE_WRITE);
	assert_true(id.left_us > 600 * 1000000LL);
	assert_string_equal(id.provider->name, "p");
	for (int i = 0; i < 5; i++)
		assert_int_equal(
		    check_one("\"aud\":[\"x\",\"us\"],\"sub\":\"s\""),
		    ERR_NONE);
	assert_int_equal(play.discoveries, 1);
	assert_int_equal(play.fetches, 1);
}

static void
test_refused(void **state)
{
	char claims[512], *big;

	(void)state;
	configure("", NULL);
	assert_int_equal(check_one("\"sub\":\"s\""), ERR_UNAUTHORIZED);
	assert_int_equal(
	    check_one("\"aud\":\"them\",\"sub\":\"s\""), ERR_UNAUTHORIZED);
	assert_int_equal(check_one("\"aud\":\"us\""), ERR_UNAUTHORIZED);
	assert_int_equal(
	    check_one("\"aud\":\"us\",\"sub\":\"\""), ERR_UNAUTHORIZED);
	assert_int_equal(
	    check_one("\"aud\":\"us\",\"sub\":7"), ERR_UNAUTHORIZED);
	assert_int_equal(
	    check_one(BASIC ",\"nbf\":99999999999"), ERR_UNAUTHORIZED);
	assert_int_equal(check(strdup("a.b.c")), ERR_UNAUTHORIZED);
	/* Nobody's, and of nobody we know: the provider is not asked. */
	play.fetches = 0;
	assert_int_equal(
	    check(jwt_make(one, "RS256", "one", NULL,
	        "{\"iss\":\"http://x\"," BASIC ",\"exp\":99999999999}")),
	    ERR_UNAUTHORIZED);
	assert_int_equal(play.fetches, 0);
	snprintf(claims, sizeof claims,
	    "{\"iss\":\"%s/\"," BASIC ",\"exp\":99999999999}", issuer);
	assert_int_equal(check(jwt_make(one, "RS256", "one", NULL, claims)),
	    ERR_UNAUTHORIZED);
	snprintf(claims, sizeof claims,
	    "{\"iss\":\"%s\"," BASIC ",\"exp\":%lld}", issuer,
	    (long long)time(NULL) - 60);
	assert_int_equal(check(jwt_make(one, "RS256", "one", NULL, claims)),
	    ERR_UNAUTHORIZED);
	/* A long subject has a name all the same. */
	big = malloc(1024);
	strcpy(big, "\"aud\":\"us\",\"sub\":\"");
	memset(big + strlen(big), 'x', 800);
	strcpy(big + 18 + 800, "\"");
	assert_int_equal(check_one(big), ERR_NONE);
	assert_memory_equal(id.who, "oidc:p:sha256:", 14);
	free(big);
}

/* Algorithms are those of the discovery document, RS256 if it names none. */
static void
test_algorithms(void **state)
{
	(void)state;
	publish(
	    jwt_jwks(jwt_jwk(one, "one", ""), jwt_jwk(two, "two", ""), NULL));
	configure("", NULL);
	assert_int_equal(check_one(BASIC), ERR_NONE);
	assert_int_equal(check(token_of(two, "two", BASIC)), ERR_UNAUTHORIZED);
	play.algs = "[\"ES256\",\"none\",\"HS256\"]";
	configure("", NULL);
	assert_int_equal(check_one(BASIC), ERR_UNAUTHORIZED);
	assert_int_equal(check(token_of(two, "two", BASIC)), ERR_NONE);
	assert_int_equal(check(jwt_make_none("{}")), ERR_UNAUTHORIZED);
}

static void
test_rules(void **state)
{
	static const char rules[] =
	    ",\"rules\":["
	    "{\"bound_claims\":{\"repository_owner\":[\"o\"]},"
	    "\"scopes\":[\"read\"]},"
	    "{\"bound_claims\":{\"repository_owner\":[\"o\"],"
	    "\"ref\":[\"refs/heads/main\",\"refs/tags/*\"]},"
	    "\"scopes\":[\"write\",\"pin\"],\"pins\":[\"rel-*\"]},"
	    "{\"bound_subject\":[\"repo:o/ops:*\"],\"scopes\":[\"admin\"],"
	    "\"pins\":[\"ops\"]},"
	    "{\"bound_claims\":{\"never\":[]},\"scopes\":[\"gc\"]}]";

	(void)state;
	configure(rules, NULL);
	assert_int_equal(check_one("\"aud\":\"us\",\"sub\":\"repo:o/r\","
	                           "\"repository_owner\":\"o\",\"never\":1"),
	    ERR_NONE);
	assert_int_equal(id.scopes, SCOPE_READ);
	assert_false(oidc_pin_allowed(&id, "rel-1"));
	assert_int_equal(check_one("\"aud\":\"us\",\"sub\":\"repo:o/r\","
	                           "\"repository_owner\":\"o\","
	                           "\"ref\":\"refs/tags/1\""),
	    ERR_NONE);
	assert_int_equal(id.scopes, SCOPE_READ | SCOPE_WRITE | SCOPE_PIN);
	assert_int_equal(id.rules, 3);
	assert_true(oidc_pin_allowed(&id, "rel-1"));
	assert_false(oidc_pin_allowed(&id, "ops"));
	assert_int_equal(
	    check_one("\"aud\":\"us\",\"sub\":\"repo:o/ops:x\""), ERR_NONE);
	assert_int_equal(id.scopes, SCOPE_ADMIN);
	assert_true(oidc_pin_allowed(&id, "ops"));
	assert_int_equal(check_one(BASIC ",\"never\":\"\""), ERR_UNAUTHORIZED);
	assert_int_equal(check_one("\"aud\":\"us\",\"sub\":\"repo:o/x\","
	                           "\"ref\":\"refs/tags/1\""),
	    ERR_UNAUTHORIZED);
	assert_true(oidc_pin_reserved(oidc, "rel-9"));
	assert_true(oidc_pin_reserved(oidc, "ops"));
	assert_false(oidc_pin_reserved(oidc, "other"));
	assert_true(oidc_gates_reads(oidc));
	assert_string_equal(oidc_audience(oidc, issuer), "us");
	assert_null(oidc_audience(oidc, "http://x"));
	configure("", NULL);
	assert_false(oidc_gates_reads(oidc));
}

/* A key that is new is fetched; one that is made up only now and then. */
static void
test_rotation(void **state)
{
	const struct oidc_times often = { .pause_ms = 1 };

	(void)state;
	play.algs = "[\"RS256\",\"ES256\"]";
	configure("", &often);
	assert_int_equal(check_one(BASIC), ERR_NONE);
	assert_int_equal(check(token_of(two, "two", BASIC)), ERR_UNAUTHORIZED);
	publish(jwt_jwks(jwt_jwk(two, "two", ""), NULL));
	usleep(5000);
	assert_int_equal(check(token_of(two, "two", BASIC)), ERR_NONE);
	/* And the old one is gone. */
	usleep(5000);
	assert_int_equal(check_one(BASIC), ERR_UNAUTHORIZED);
	configure("", NULL);
	play.fetches = 0;
	for (int i = 0; i < 20; i++)
		assert_int_equal(check_one(BASIC), ERR_UNAUTHORIZED);
	assert_int_equal(play.fetches, 1);
}

/* Keys that are old are fetched again; a withdrawn one then ends. */
static void
test_fresh(void **state)
{
	const struct oidc_times old = { .fresh_ms = 1, .pause_ms = 1 };

	(void)state;
	play.algs = "[\"RS256\",\"ES256\"]";
	configure("", &old);
	assert_int_equal(check_one(BASIC), ERR_NONE);
	publish(jwt_jwks(jwt_jwk(two, "two", ""), NULL));
	usleep(5000);
	assert_int_equal(check_one(BASIC), ERR_UNAUTHORIZED);
}

/* Its tokens fail, for now; those of before go on while its keys are good. */
static void
test_down(void **state)
{
	const struct oidc_times times = { .fresh_ms = 1, .pause_ms = 1 },
	                        bad = { .fresh_ms = 1,
		                        .good_ms = 20,
		                        .pause_ms = 1 };
	char address[64];

	(void)state;
	configure("", &times);
	play.status = 500;
	assert_int_equal(check_one(BASIC), ERR_UNAVAILABLE);
	play.status = 200;
	usleep(5000);
	assert_int_equal(check_one(BASIC), ERR_NONE);
	snprintf(address, sizeof address, "%s", issuer + strlen("http://"));
	provider_stop();
	usleep(5000);
	assert_int_equal(check_one(BASIC), ERR_NONE);
	/* A new kid cannot be told from a made up one now. */
	assert_int_equal(check(token_of(two, "two", BASIC)), ERR_UNAUTHORIZED);
	assert_int_equal(check(token_of(one, "new", BASIC)), ERR_UNAVAILABLE);
	provider_start(address);
	usleep(5000);
	assert_int_equal(check_one(BASIC), ERR_NONE);
	configure("", &bad);
	assert_int_equal(check_one(BASIC), ERR_NONE);
	provider_stop();
	usleep(30000);
	assert_int_equal(check_one(BASIC), ERR_UNAVAILABLE);
}

/* It is asked once in the pause, however many come. */
static void
test_down_pause(void **state)
{
	(void)state;
	configure("", NULL);
	play.status = 500;
	for (int i = 0; i < 10; i++)
		assert_int_equal(check_one(BASIC), ERR_UNAVAILABLE);
	assert_int_equal(play.discoveries, 1);
}

static void
test_discovery(void **state)
{
	char more[256];

	(void)state;
	/* Of somebody else. */
	play.iss = "http://127.0.0.1:1";
	configure("", NULL);
	assert_int_equal(check_one(BASIC), ERR_UNAVAILABLE);
	play.iss = NULL;
	/* None at all: jwks_url. */
	snprintf(more, sizeof more, ",\"jwks_url\":\"%s/keys\"", issuer);
	play.discoveries = 0;
	configure(more, NULL);
	assert_int_equal(check_one(BASIC), ERR_NONE);
	assert_int_equal(play.discoveries, 0);
	publish(strdup("{\"keys\":[]}"));
	configure(more, NULL);
	assert_int_equal(check_one(BASIC), ERR_UNAVAILABLE);
}

/* As the API server of Kubernetes: keys only for who has a token. */
static void
test_bearer(void **state)
{
	char more[256], *token = token_of(one, "one", BASIC);
	struct err e = ERR_INIT;
	char text[1024], header[4096];

	(void)state;
	put_file(bearer_path, token);
	snprintf(header, sizeof header, "Bearer %s", token);
	play.bearer = header;
	configure("", NULL);
	assert_int_equal(check_one(BASIC), ERR_UNAVAILABLE);
	snprintf(
	    more, sizeof more, ",\"bearer_token_file\":\"%s\"", bearer_path);
	configure(more, NULL);
	assert_int_equal(check_one(BASIC), ERR_NONE);
	/* The issuer is that of the file. */
	snprintf(text, sizeof text,
	    "{\"allow_insecure\":true,\"providers\":{\"k8s\":{"
	    "\"audience\":\"us\"%s,\"bound_claims\":{"
	    "\"kubernetes.io.namespace\":[\"ci\"]}}}}",
	    more);
	put_file(config_path, text);
	oidc_free(oidc);
	assert_int_equal(oidc_new(config_path, NULL, &oidc, &e), 0);
	assert_string_equal(oidc_audience(oidc, issuer), "us");
	assert_int_equal(check_one(BASIC ",\"kubernetes.io\":{"
	                                 "\"namespace\":\"ci\"}"),
	    ERR_NONE);
	assert_string_equal(id.who, "oidc:k8s:repo:o/r");
	free(token);
	play.bearer = NULL;
}

struct ask {
	pthread_t thread;
	char *token;
	struct err e;
};

static void *
ask_main(void *arg)
{
	struct ask *a = arg;
	struct oidc_identity mine;

	oidc_check(oidc, a->token, &mine, &a->e);
	return NULL;
}

/* One fetches, a few wait; who comes then is sent away at once. */
static void
test_slow(void **state)
{
	enum {
		N = OIDC_WAITERS_MAX + 4
	};
	struct ask asks[N] = { 0 };
	int good = 0, away = 0;

	(void)state;
	play.slow = 1;
	configure("", NULL);
	for (size_t i = 0; i < N; i++)
		asks[i].token = token_of(one, "one", BASIC);
	pthread_create(&asks[0].thread, NULL, ask_main, &asks[0]);
	sem_wait(&play.entered);
	for (size_t i = 1; i < N; i++)
		pthread_create(&asks[i].thread, NULL, ask_main, &asks[i]);
	usleep(100000);
	play.slow = 0;
	sem_post(&play.leave);
	for (size_t i = 0; i < N; i++) {
		pthread_join(asks[i].thread, NULL);
		good += asks[i].e.kind == ERR_NONE;
		away += asks[i].e.kind == ERR_UNAVAILABLE;
		free(asks[i].token);
	}
	assert_int_equal(good, 1 + OIDC_WAITERS_MAX);
	assert_int_equal(away, N - good);
	assert_int_equal(play.fetches, 1);
}

/* ---- the file ---- */

static void
test_config(void **state)
{
#define P(members) "{\"providers\":{\"p\":{" members "}}}"
#define OK_ISS     "\"issuer\":\"https://i\",\"audience\":\"a\""
	static const char *const bad[][2] = {
		{ "", "" },
		{ "[]", "not an object" },
		{ "{}", "providers" },
		{ "{\"providers\":{}}", "providers" },
		{ "{\"providers\":[]}", "providers" },
		{ "{\"provider\":{}}", "provider: unknown" },
		{ "{\"allow_insecure\":1," OK_ISS "}", "unknown member" },
		{ P("\"audience\":\"a\""), "issuer: missing" },
		{ P("\"issuer\":\"https://i\""), "audience: missing" },
		{ P("\"issuer\":\"https://i\",\"audience\":\"\""), "audience" },
		{ P("\"issuer\":\"http://i\",\"audience\":\"a\""), "https" },
		{ P("\"issuer\":\"i\",\"audience\":\"a\""), "not a URL" },
		{ P("\"issuer\":\"https://i?x\",\"audience\":\"a\""),
		    "not a URL" },
		{ P(OK_ISS ",\"bound_claim\":{}"), "unknown member" },
		{ P(OK_ISS ",\"bound_claims\":[]"), "bound_claims" },
		{ P(OK_ISS ",\"bound_claims\":{\"a\":\"b\"}"), "not a list" },
		{ P(OK_ISS ",\"bound_subject\":\"b\""), "not a list" },
		{ P(OK_ISS ",\"bound_subject\":[1]"), "texts" },
		{ P(OK_ISS ",\"scopes\":[]"), "no scope" },
		{ P(OK_ISS ",\"scopes\":[\"root\"]"), "no such scope" },
		{ P(OK_ISS ",\"scopes\":[\"read\"],\"pins\":[\"a\"]"),
		    "pins need the write or admin scope" },
		{ P(OK_ISS ",\"pins\":[\"a/b\"]"), "invalid pin pattern" },
		{ P(OK_ISS ",\"rules\":[]"), "rules" },
		{ P(OK_ISS ",\"rules\":[{}]"), "rules[0]: scopes" },
		{ P(OK_ISS ",\"rules\":[{\"scopes\":[\"read\"],\"x\":1}]"),
		    "x: unknown" },
		{ P(OK_ISS ",\"rules\":[{\"scopes\":[\"read\"]}],"
		           "\"scopes\":[\"read\"]"),
		    "belongs into the rules" },
		{ P(OK_ISS ",\"jwks_url\":\"http://i/k\""), "jwks_url" },
		{ "{\"providers\":{\"p\":{" OK_ISS "},\"q\":{" OK_ISS "}}}",
		    "issuer: also that of" },
		{ "{\"providers\":{\"p:q\":{" OK_ISS "}}}", "a name is" },
		{ P(OK_ISS "," OK_ISS), "" },
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put_file(config_path, bad[i][0]);
		e = (struct err)ERR_INIT;
		if (oidc_new(config_path, NULL, &oidc, &e) == 0)
			fail_msg("%s is accepted", bad[i][0]);
		if (strstr(e.msg, bad[i][1]) == NULL ||
		    strstr(e.msg, config_path) == NULL)
			fail_msg("%s: %s", bad[i][0], e.msg);
	}
	put_file(config_path, P(OK_ISS));
	assert_int_equal(oidc_new(config_path, NULL, &oidc, &e), 0);
	assert_int_equal(oidc_config(oidc)->n, 1);
	oidc_free(oidc);
	oidc = NULL;
	assert_int_equal(oidc_new("/nonexistent", NULL, &oidc, &e), -1);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(test_accepted),
		T(test_refused),
		T(test_algorithms),
		T(test_rules),
		T(test_rotation),
		T(test_fresh),
		T(test_down),
		T(test_down_pause),
		T(test_discovery),
		T(test_bearer),
		T(test_slow),
		cmocka_unit_test(test_config),
	};

	return cmocka_run_group_tests_name("oidc", tests, setup, teardown);
}
