/*
 * Where the client's token comes from, and for how long it is kept. A server of
 * our own plays the niks3 server and GitHub Actions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../bin/niks3/credential.h"
#include "../../bin/niks3/remote.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/http/server.h"
#include "jwt_make.h"

static char dir[] = "/tmp/credential_test.XXXXXX";
static char path[64], script[64], runs[64], url[64], job[96];
static struct http_server *server;
static struct remote_config config;
static struct credential *cred;
static struct err e;

/* What was asked, and what is answered. */
static char asked[4096], seen_token[256];
static const char *audience;
static char *answer;
static int status, asks;

static int
cache(
    void *worker, const struct http_req *q, struct http_res *r, struct err *er)
{
	(void)worker;
	snprintf(asked, sizeof asked, "%s", http_req_query(q, "issuer"));
	if (audience == NULL)
		return buf_puts(&r->body,
		    "{\"version\":\"1\",\"store_dir\":\"/nix/store\"}", er);
	return buf_printf(&r->body, er,
	    "{\"version\":\"1\",\"store_dir\":\"/nix/store\","
	    "\"oidc_audience\":\"%s\"}",
	    audience);
}

static int
give(void *worker, const struct http_req *q, struct http_res *r, struct err *er)
{
	const char *bearer = http_req_header(q, "Authorization");

	(void)worker;
	asks++;
	snprintf(asked + strlen(asked), sizeof asked - strlen(asked),
	    " x=%s audience=%s", http_req_query(q, "x"),
	    http_req_query(q, "audience"));
	snprintf(seen_token, sizeof seen_token, "%s", bearer ? bearer : "-");
	r->status = status;
	return buf_puts(&r->body, answer, er);
}

static const struct http_route routes[] = {
	{ "GET", "/api/v2/cache", cache },
	{ "GET", "/job", give },
	{ NULL },
};

static int
setup(void **state)
{
	(void)state;
	http_client_global_init();
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/token", dir);
	snprintf(script, sizeof script, "%s/script", dir);
	snprintf(runs, sizeof runs, "%s/runs", dir);
	setenv("HOME", dir, 1);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("GITHUB_SERVER_URL");
	if (http_server_new(
	        &(struct http_server_options){
	            .address = "127.0.0.1:0", .routes = routes, .workers = 2 },
	        &server, &e) != 0)
		fail_msg("%s", e.msg);
	snprintf(
	    url, sizeof url, "http://127.0.0.1:%u//", http_server_port(server));
	snprintf(job, sizeof job, "http://127.0.0.1:%u/job?x=y",
	    http_server_port(server));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	http_server_stop(server, 1000);
	http_server_free(server);
	unlink(path);
	unlink(script);
	unlink(runs);
	rmdir(dir);
	return 0;
}

static int
begin(void **state)
{
	(void)state;
	config = (struct remote_config){ .server_url = url };
	audience = "us & them";
	answer = NULL;
	status = 200;
	asks = 0;
	asked[0] = '\0';
	unlink(path);
	unlink(runs);
	unsetenv("ACTIONS_ID_TOKEN_REQUEST_URL");
	unsetenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
	return 0;
}

static int
end(void **state)
{
	(void)state;
	credential_free(cred);
	cred = NULL;
	free(answer);
	return 0;
}

static void
put(const char *at, const char *text)
{
	FILE *f = fopen(at, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int
make(void)
{
	credential_free(cred);
	cred = NULL;
	e = (struct err)ERR_INIT;
	return credential_new(&config, &cred, &e);
}

/* The token, NULL on failure. */
static const char *
get(void)
{
	static char text[CREDENTIAL_MAX + 1];
	struct secret s = { 0 };

	e = (struct err)ERR_INIT;
	if (credential_get(cred, deadline_in(20000), &s, &e) != 0)
		return NULL;
	snprintf(text, sizeof text, "%s", s.data);
	secret_done(&s);
	return text;
}

static void
test_file(void **state)
{
	(void)state;
	assert_int_equal(make(), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	config.token_path = path;
	assert_int_equal(make(), -1); /* at once */
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	put(path, "two words");
	assert_int_equal(make(), -1);
	assert_null(strstr(e.msg, "two"));
	put(path, " one\n");
	assert_int_equal(make(), 0);
	assert_string_equal(get(), "one");
	/* It is not read for each request. */
	put(path, "two");
	assert_string_equal(get(), "one");
	/* A certificate needs none. */
	config.token_path = NULL;
	config.client_cert = "x";
	assert_int_equal(make(), 0);
	assert_string_equal(get(), "");
}

static void
write_script(const char *reply)
{
	char text[1024];

	snprintf(text, sizeof text, "#!/bin/sh\necho >>%s\nprintf '%%s' '%s'\n",
	    runs, reply);
	put(script, text);
	chmod(script, 0755);
}

static int
nruns(void)
{
	struct stat st;

	return stat(runs, &st) == 0 ? (int)st.st_size : 0;
}

static void
test_script(void **state)
{
	static const char *const bad[] = { "", "token", "[]", "{}",
		"{\"token\":7}", "{\"token\":\"\"}", "{\"token\":\"a b\"}",
		"{\"token\":\"a\"", "{\"token\":\"a\"} x",
		"{\"token\":\"a\",\"expires_at\":\"soon\"}",
		"{\"token\":\"a\",\"expires_at\":7}" };

	(void)state;
	config.token_script = script;
	config.token_path = path; /* of no interest */
	write_script("{\"token\":\"a\",\"more\":[{}]}");
	assert_int_equal(make(), 0);
	for (int i = 1; i <= 3; i++) {
		assert_string_equal(get(), "a");
		assert_int_equal(nruns(), i); /* without an end, each time */
	}
	write_script("{\"token\":\"b\",\"expires_at\":null}");
	assert_string_equal(get(), "b");
	write_script("{\"expires_at\":\"2099-01-01T00:00:00Z\","
	             "\"token\":\"c\"}");
	assert_string_equal(get(), "c");
	assert_int_equal(nruns(), 5);
	assert_string_equal(get(), "c");
	assert_int_equal(nruns(), 5);
	assert_int_equal(make(), 0);
	write_script(
	    "{\"token\":\"d\",\"expires_at\":\"2001-01-01T00:00:00Z\"}");
	assert_string_equal(get(), "d");
	assert_string_equal(get(), "d");
	assert_int_equal(nruns(), 7);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		write_script(bad[i]);
		if (get() != NULL)
			fail_msg("%s is accepted", bad[i]);
	}
	config.token_script = "'";
	assert_int_equal(make(), -1);
	config.token_script = "/nonexistent/script";
	assert_int_equal(make(), 0);
	assert_null(get());
}

static void
test_keep(void **state)
{
	int64_t now = clock_wall_us(), ms;

	(void)state;
	ms = credential_keep_ms(now + 400 * 1000000LL);
	assert_true(ms > 299000 && ms <= 300000);
	assert_int_equal(credential_keep_ms(now - 1), 0);
	assert_int_equal(credential_keep_ms(-1), 0);
}

/* A token with that end, in the answer of GitHub. */
static void
answer_token(EVP_PKEY *key, long seconds)
{
	char claims[256], *token;

	snprintf(claims, sizeof claims,
	    "{\"sub\":\"\xc3\xbf\xc3\xbe?>>\",\"exp\":%ld}",
	    (long)time(NULL) + seconds);
	token = jwt_make(key, "ES256", "k", NULL, claims);
	free(answer);
	answer = malloc(strlen(token) + 64);
	sprintf(answer, "{\"count\":1,\"value\":\"%s\"}", token);
	assert_int_equal(
	    github_expiry(token) / 1000000, (long)time(NULL) + seconds);
	free(token);
}

static void
test_github(void **state)
{
	EVP_PKEY *key = jwt_key("P-256", 0);
	const char *token;

	(void)state;
	setenv("ACTIONS_ID_TOKEN_REQUEST_URL", job, 1);
	assert_int_equal(make(), -1); /* one of both is not enough */
	setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job-secret", 1);
	assert_int_equal(make(), 0);
	answer_token(key, 600);
	token = get();
	assert_non_null(token);
	assert_memory_equal(answer + 20, token, 20);
	assert_string_equal(seen_token, "Bearer job-secret");
	assert_string_equal(asked,
	    "https://token.actions.githubusercontent.com x=y "
	    "audience=us & them");
	/* Kept while it is good, and not longer. */
	get();
	assert_int_equal(asks, 1);
	assert_int_equal(make(), 0);
	answer_token(key, 0);
	get();
	get();
	assert_int_equal(asks, 3);
	/* An enterprise server has an issuer of its own. */
	setenv("GITHUB_SERVER_URL", "https://gh.example", 1);
	get();
	assert_memory_equal(asked, "https://gh.example/_services/token ", 35);
	setenv("GITHUB_SERVER_URL", "https://github.com", 1);
	get();
	assert_memory_equal(asked, "https://token.actions", 21);
	/* What goes wrong. */
	status = 403;
	assert_null(get());
	assert_int_equal(e.kind, ERR_FORBIDDEN);
	assert_null(strstr(e.msg, "job-secret"));
	assert_null(strstr(e.msg, "x=y"));
	status = 200;
	free(answer);
	answer = strdup("{\"value\":\"\"}");
	assert_null(get());
	audience = NULL;
	asks = 0;
	assert_null(get());
	assert_int_equal(e.kind, ERR_UNAUTHORIZED);
	assert_non_null(strstr(e.msg, "accepts no tokens of GitHub Actions"));
	assert_int_equal(asks, 0);
	/* A file goes first. */
	put(path, "mine");
	config.token_path = path;
	assert_int_equal(make(), 0);
	assert_string_equal(get(), "mine");
	EVP_PKEY_free(key);
}

static void
test_expiry(void **state)
{
	static const char *const none[] = { "", "a", "a.b.c", "a.e30.c",
		"a.!.c", "a.eyJleHAiOiJ4In0.c" };

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_int_equal(github_expiry(none[i]), -1);
	/* {"exp":7} */
	assert_int_equal(github_expiry("a.eyJleHAiOjd9.c"), 7000000);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(test_file),
		T(test_script),
		T(test_keep),
		T(test_github),
		T(test_expiry),
	};

	return cmocka_run_group_tests_name(
	    "credential", tests, setup, teardown);
}
