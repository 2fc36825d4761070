/*
 * Who is let in by what can be told at once: the API token, certificates and what
 * is remembered; and what those who are not are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <strings.h>

#include "../../bin/niks3-server/auth.h"
#include "../../bin/niks3-server/auth_fail.h"
#include "../../bin/niks3-server/server.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/secret.h"

#define TOKEN "0123456789abcdef0123456789abcdef0123"

static struct auth *auth;
static struct auth_config config;
static struct http_req req;
static struct err e;
static const char *authorization, *verify;

const char *__wrap_http_req_header(const struct http_req *q, const char *name);
const char *
__wrap_http_req_header(const struct http_req *q, const char *name)
{
	(void)q;
	if (strcasecmp(name, "Authorization") == 0)
		return authorization;
	if (strcasecmp(name, "X-Verify") == 0)
		return verify;
	if (strcasecmp(name, "X-Dn") == 0)
		return "CN=ci";
	return NULL;
}

static void
make(void)
{
	struct secret token = { 0 };

	auth_free(auth);
	auth = NULL;
	secret_set(&token, TOKEN, strlen(TOKEN), NULL);
	if (auth_new(&config, &token, NULL, &auth, &e) != 0)
		fail_msg("%s", e.msg);
	secret_done(&token);
}

static int
begin(void **state)
{
	(void)state;
	config = (struct auth_config){ .subject_header = "X-Dn" };
	authorization = verify = NULL;
	make();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	auth_free(auth);
	auth = NULL;
	return 0;
}

static int
check(const char *path, unsigned scope)
{
	const struct http_route route = { "GET", path, NULL, 0, scope };

	req = (struct http_req){ .remote = "127.0.0.1", .path = path };
	e = (struct err)ERR_INIT;
	return auth_check(auth, &req, &route, &e);
}

static void
test_api_token(void **state)
{
	(void)state;
	authorization = "Bearer " TOKEN;
	for (unsigned s = 1; s <= SCOPE_ADMIN; s *= 2)
		assert_int_equal(check("/api/v2/x", s), 0);
	assert_string_equal(req.who, "api-token");
	assert_int_equal(req.scopes, SCOPE_ALL);
	assert_int_equal(
	    check("/api/v2/pins/x", SCOPE_WRITE | SCOPE_PIN_SET), 0);
	assert_int_equal(auth_counters(auth)->good, 6);
}

static void
test_open(void **state)
{
	(void)state;
	assert_int_equal(check("/health", SCOPE_NONE), 0);
	authorization = "Bearer wrong"; /* of no interest */
	assert_int_equal(check("/health", SCOPE_NONE), 0);
	assert_int_equal(req.who[0], '\0');
	assert_int_equal(check("/nar/x", SCOPE_READ | SCOPE_PUBLIC), 0);
	assert_int_equal(auth_counters(auth)->unknown, 0);
}

/* The compatible API says exactly what the Go server says. */
static void
test_words(void **state)
{
	static const char *const no[] = { NULL, "", "bearer " TOKEN,
		"Basic " TOKEN, "Bearer wrong", "Bearer ", "Bearer  " TOKEN,
		"Bearer " TOKEN " " };

	(void)state;
	for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
		authorization = no[i];
		assert_int_equal(check("/api/pins", SCOPE_WRITE), -1);
		assert_int_equal(e.kind, ERR_UNAUTHORIZED);
		assert_string_equal(e.msg, "Unauthorized");
		assert_string_equal(e.hint, "");
		assert_int_equal(check("/api/v2/pins", SCOPE_WRITE), -1);
		assert_int_equal(e.kind, ERR_UNAUTHORIZED);
		assert_string_not_equal(e.msg, "Unauthorized");
	}
	assert_int_equal(auth_counters(auth)->missing, 8);
	assert_int_equal(auth_counters(auth)->unknown, 8);
}

static void
test_lacking(void **state)
{
	(void)state;
	config.proxy_header = "X-Verify";
	config.bound_subjects_read =
	    (struct opt_list){ (const char *[]){ "CN=ci" }, 1 };
	make();
	verify = "SUCCESS";
	assert_int_equal(check("/api/v2/closures", SCOPE_READ), 0);
	assert_string_equal(req.who, "mtls:CN=ci");
	assert_int_equal(req.scopes, SCOPE_READ);
	assert_int_equal(check("/api/pins", SCOPE_WRITE), -1);
	assert_int_equal(e.kind, ERR_FORBIDDEN);
	assert_string_equal(e.msg, "Forbidden: token lacks scope write");
	assert_int_equal(check("/api/gc", SCOPE_GC | SCOPE_ADMIN), -1);
	assert_string_equal(e.msg, "Forbidden: token lacks scope admin");
	assert_int_equal(auth_counters(auth)->lacking, 2);
	/* A token may do what the certificate may not. */
	authorization = "Bearer " TOKEN;
	assert_int_equal(check("/api/pins", SCOPE_WRITE), 0);
	assert_string_equal(req.who, "api-token");
	assert_int_equal(check("/api/v2/closures", SCOPE_READ), 0);
	assert_string_equal(req.who, "mtls:CN=ci");
}

/* With a list of readers, reading is theirs, and that of tokens. */
static void
test_gated(void **state)
{
	(void)state;
	assert_true(auth_reads_are_public(auth));
	config.proxy_header = "X-Verify";
	config.bound_subjects_read =
	    (struct opt_list){ (const char *[]){ "CN=ci" }, 1 };
	make();
	assert_false(auth_reads_are_public(auth));
	assert_int_equal(check("/nar/x", SCOPE_READ | SCOPE_PUBLIC), -1);
	assert_int_equal(e.kind, ERR_UNAUTHORIZED);
	assert_string_equal(e.msg, "Unauthorized");
	verify = "SUCCESS";
	assert_int_equal(check("/nar/x", SCOPE_READ | SCOPE_PUBLIC), 0);
	verify = NULL;
	authorization = "Bearer " TOKEN;
	assert_int_equal(check("/nar/x", SCOPE_READ | SCOPE_PUBLIC), 0);
}

/* What must be looked up is left to a worker, and nothing else. */
static void
test_slow(void **state)
{
	char big[AUTH_BEARER_MAX + 32];

	(void)state;
	authorization = "Bearer niks3_x";
	assert_int_equal(check("/api/v2/pins", SCOPE_WRITE), HTTP_ASK_WORKER);
	authorization = "Bearer a.b.c"; /* there is no provider */
	assert_int_equal(check("/api/v2/pins", SCOPE_WRITE), -1);
	memset(big, 'x', sizeof big);
	memcpy(big, "Bearer niks3_", 13);
	big[sizeof big - 1] = '\0';
	authorization = big;
	assert_int_equal(check("/api/v2/pins", SCOPE_WRITE), -1);
	assert_int_equal(auth_counters(auth)->malformed, 1);
}

/* Bad ones wait, good ones from the same address never do. */
static void
test_held_back(void **state)
{
	(void)state;
	authorization = "Bearer wrong";
	for (int i = 0; i < AUTH_FAIL_FREE; i++) {
		check("/api/v2/pins", SCOPE_WRITE);
		assert_int_equal(req.delay_ms, 0);
	}
	check("/api/v2/pins", SCOPE_WRITE);
	assert_int_equal(req.delay_ms, AUTH_FAIL_FIRST_MS);
	authorization = "Bearer " TOKEN;
	assert_int_equal(check("/api/v2/pins", SCOPE_WRITE), 0);
	assert_int_equal(req.delay_ms, 0);
	/* Nothing was tried. */
	authorization = NULL;
	check("/api/v2/pins", SCOPE_WRITE);
	assert_int_equal(req.delay_ms, 0);
	assert_int_equal(auth_counters(auth)->slowed, 1);
}

static void
test_start(void **state)
{
	struct secret token = { 0 };
	struct auth *none = NULL;

	(void)state;
	assert_int_equal(auth_new(&config, &token, NULL, &none, &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	secret_set(&token, TOKEN, strlen(TOKEN) - 1, NULL);
	assert_int_equal(auth_new(&config, &token, NULL, &none, &e), -1);
	assert_null(strstr(e.msg, "0123"));
	secret_done(&token);
	assert_null(none);
	auth_free(NULL);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(test_api_token),
		T(test_open),
		T(test_words),
		T(test_lacking),
		T(test_gated),
		T(test_slow),
		T(test_held_back),
		T(test_start),
	};

	return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
