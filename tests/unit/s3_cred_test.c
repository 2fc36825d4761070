#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/s3/s3_cred_internal.h"
#include "fake_aws.h"
#include "fake_bucket.h"

static struct fake_s3 *hub; /* hands out the credentials */
static struct s3_cred *cred;

/* What the thread told. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned renewed, failed;
static struct s3_cred_news last;
static struct err last_e;

static void
told(void *ctx, const struct s3_cred_news *n)
{
	assert_ptr_equal(ctx, &last);
	pthread_mutex_lock(&lock);
	last = *n;
	last_e = (struct err)ERR_INIT;
	if (n->e != NULL)
		last_e = *n->e;
	n->e != NULL ? failed++ : renewed++;
	pthread_mutex_unlock(&lock);
}

static void
open_cred(void)
{
	err_clear(&e);
	ok(s3_cred_new(&(struct s3_cred_options){ .told = told, .ctx = &last },
	    &cred, &e));
	s3_cred_start(cred);
}

/* Credentials of a container, by this script. */
static void
hand_out(const struct fake_answer *script, size_t n)
{
	hub = fake_s3_new(script, n, NULL, NULL);
	aws_env_url(
	    "AWS_CONTAINER_CREDENTIALS_FULL_URI", fake_s3_port(hub), "/");
	open_cred();
}

/* And a bucket that is used with them. */
static void
open_bucket(const struct fake_answer *script, size_t n)
{
	char endpoint[64];
	struct s3_options o = { .bucket = "bucket", .stall_ms = STALL };

	fake = fake_s3_new(script, n, NULL, NULL);
	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u",
	    fake_s3_port(fake));
	o.endpoint = endpoint;
	o.cred = cred;
	open_with(&o);
}

static int
begin_cred(void **state)
{
	(void)state;
	aws_env_clear();
	renewed = failed = 0;
	return 0;
}

static int
end_cred(void **state)
{
	(void)state;
	if (fake != NULL) {
		close_it();
		fake_s3_free(fake);
	}
	s3_cred_free(cred);
	if (hub != NULL)
		fake_s3_free(hub);
	fake = hub = NULL;
	cred = NULL;
	aws_env_clear();
	return 0;
}

/* Is it id that requests would be signed with? */
static int
are(const char *id, deadline_t d)
{
	struct s3_keys *k;
	int same;

	if (s3_cred_get(cred, d, &k, &e) != 0)
		return 0;
	same = strcmp(k->access_key.data, id) == 0;
	s3_keys_drop(k);
	return same;
}

static void
become(const char *id)
{
	deadline_t d = deadline_in(20000);

	while (!are(id, d)) {
		if (deadline_left(d) == 0)
			fail_msg("never %s: %s", id, e.msg);
		clock_sleep(20, d);
	}
}

/* ---- the choice ---- */

static void
chooses_as_the_sdks_do(void **state)
{
	static const char *const want[] = { "instance metadata", "container",
		"web identity", "environment" };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		if (i == 1)
			setenv(
			    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x", 1);
		if (i == 2) {
			setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/none", 1);
			setenv("AWS_ROLE_ARN", "arn", 1);
		}
		if (i == 3) {
			setenv("AWS_ACCESS_KEY_ID", "ID", 1);
			setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
		}
		ok(s3_cred_new(&(struct s3_cred_options){ 0 }, &cred, &e));
		assert_string_equal(s3_cred_source(cred), want[i]);
		s3_cred_free(cred); /* nothing was begun */
		cred = NULL;
	}
}

static void
refuses_half_a_source(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "ID", 1);
	fails(
	    ERR_USAGE, s3_cred_new(&(struct s3_cred_options){ 0 }, &cred, &e));
	assert_non_null(strstr(e.msg, "AWS_SECRET_ACCESS_KEY is not"));
	setenv("AWS_ACCESS_KEY_ID", "", 1);
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	fails(
	    ERR_USAGE, s3_cred_new(&(struct s3_cred_options){ 0 }, &cred, &e));
	assert_non_null(strstr(e.msg, "AWS_ACCESS_KEY_ID is not"));
	setenv("AWS_ACCESS_KEY_ID", "a b", 1);
	fails(ERR_INVALID,
	    s3_cred_new(&(struct s3_cred_options){ 0 }, &cred, &e));
	aws_env_clear();
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/none", 1);
	fails(
	    ERR_USAGE, s3_cred_new(&(struct s3_cred_options){ 0 }, &cred, &e));
	aws_env_clear();
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil/", 1);
	fails(ERR_INVALID,
	    s3_cred_new(&(struct s3_cred_options){ 0 }, &cred, &e));
	aws_env_clear();
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	fails(
	    ERR_USAGE, s3_cred_new(&(struct s3_cred_options){ 0 }, &cred, &e));
	assert_null(cred);
}

static void
takes_those_of_the_environment(void **state)
{
	static const struct fake_answer script[] = { { 200 },
		{ 403, FAULT("ExpiredToken") } };

	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "ID0", 1);
	setenv("AWS_SECRET_ACCESS_KEY", SECRET, 1);
	setenv("AWS_SESSION_TOKEN", TOKEN, 1);
	open_cred();
	assert_true(are("ID0", deadline_in(0)));
	open_bucket(script, 2);
	ok(put("k", 0, soon()));
	assert_true(fake_s3_has(fake, 0, "x-amz-security-token: " TOKEN));
	/* There are no others to ask for. */
	fails(ERR_FORBIDDEN, put("k", 0, soon()));
	assert_string_equal(e.hint, "renew the session token");
	assert_int_equal(renewed + failed, 0);
}

/* ---- renewal ---- */

static void
renews_before_the_end(void **state)
{
	struct fake_answer script[] = { { 200, aws_json("ID1", "t1", 4) },
		{ 200, aws_json("ID2", "t2", 3600) } };
	struct s3_keys *held;

	(void)state;
	hand_out(script, 2);
	ok(s3_cred_get(cred, soon(), &held, &e));
	assert_string_equal(held->access_key.data, "ID1");
	become("ID2");
	/* Before: the old ones were never missed. And whoever holds them may
	 * go on reading them. */
	assert_int_equal(failed, 0);
	assert_string_equal(held->session_token.data, "t1");
	s3_keys_drop(held);
	assert_int_equal(fake_s3_count(hub), 2);
	pthread_mutex_lock(&lock);
	assert_int_equal(renewed, 2);
	assert_string_equal(last.source, "container");
	assert_in_range(last.life_s, 3500, 3600);
	pthread_mutex_unlock(&lock);
}

static void
uses_the_old_ones_meanwhile(void **state)
{
	struct fake_answer script[] = { { 200, aws_json("ID1", "t", 8) },
		{ 503, "verySecret" }, { 200, aws_json("ID2", "t", 3600) } };

	(void)state;
	hand_out(script, 3);
	become("ID1");
	while (failed == 0) {
		assert_true(are("ID1", deadline_in(0)));
		clock_sleep(20, soon());
	}
	pthread_mutex_lock(&lock);
	assert_true(last.life_s > 0);
	assert_non_null(strstr(last_e.msg, "status 503"));
	pthread_mutex_unlock(&lock);
	become("ID2");
	assert_int_equal(failed, 1);
	assert_int_equal(last.failures, 0);
}

static void
says_why_there_are_none(void **state)
{
	struct fake_answer script[] = { { 500, "verySecret" },
		{ 200, aws_json("ID1", "t", -10) },
		{ 200, aws_json("ID2", "t", 3600) } };
	deadline_t d = deadline_in(20000);

	(void)state;
	hand_out(script, 3);
	while (fake_s3_count(hub) < 2 || failed < 2) {
		struct s3_keys *k;
		fails(ERR_UNAVAILABLE,
		    s3_cred_get(cred, deadline_in(10), &k, &e));
		assert_true(deadline_left(d) > 0);
		assert_non_null(strstr(e.msg, "no credentials from container"));
	}
	pthread_mutex_lock(&lock);
	assert_int_equal(last.life_s, 0);
	assert_int_equal(last.failures, 2);
	assert_non_null(strstr(last_e.msg, "has ended already"));
	assert_string_equal(last_e.hint, "set the clock");
	pthread_mutex_unlock(&lock);
	become("ID2");
}

static void
trusts_whom_it_is_told_to(void **state)
{
	struct fake_answer script[] = { { 200, aws_json("ID1", "t", 3600) } };
	struct fake_cert made;
	struct s3_keys *k;
	char url[64];

	(void)state;
	fake_cert_make(&made);
	hub = fake_s3_new(script, 1, made.cert, made.key);
	snprintf(url, sizeof url, "https://127.0.0.1:%u/", fake_s3_port(hub));
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	open_cred();
	while (failed == 0)
		clock_sleep(20, soon());
	fails(ERR_UNAVAILABLE, s3_cred_get(cred, deadline_in(0), &k, &e));
	assert_non_null(strstr(e.msg, "certificate"));
	s3_cred_free(cred);
	setenv("AWS_CA_BUNDLE", made.cert, 1);
	open_cred();
	become("ID1");
	fake_cert_drop(&made);
}

static void
does_not_wait_for_a_slow_source(void **state)
{
	static const struct fake_answer script[] = { { .how = FAKE_HANG } },
	                                none[] = { { 200 } };
	const char *url;

	(void)state;
	hand_out(script, 1);
	open_bucket(none, 1);
	fails(ERR_UNAVAILABLE, put("k", 0, deadline_in(100)));
	assert_non_null(strstr(e.msg, "no credentials from container yet"));
	/* And who signs for others does not wait at all. */
	fails(ERR_UNAVAILABLE,
	    s3_presign_get(s3, "GET", "k", 60, arena, &url, &e));
	assert_int_equal(fake_s3_count(fake), 0);
	/* The end does not wait for it either: see end_cred. */
}

/* ---- S3 does not take them ---- */

static void
asks_for_others_when_refused(void **state)
{
	struct fake_answer handed[] = { { 200, aws_json("ID1", "t1", 3600) },
		{ 200, aws_json("ID2", "t2", 3600) },
		{ 200, aws_json("ID3", "t3", 3600) },
		{ 200, aws_json("ID4", "t4", 3600) } };
	static const struct fake_answer script[] = {
		{ 400, FAULT("ExpiredToken") }, { 200 },
		/* HEAD has no code. */
		{ 403 }, { 200, "12345" },
		/* That may be another reason. */
		{ 403, FAULT("AccessDenied") }, { 200 },
		/* No reason to doubt them. */
		{ 403, FAULT("SignatureDoesNotMatch") }
	};
	struct s3_stat stat;

	(void)state;
	hand_out(handed, 4);
	open_bucket(script, 7);
	ok(put("k", 1, soon())); /* also what must not be done twice */
	assert_non_null(strstr(fake_s3_get(fake, 0)->head, "=ID1/"));
	assert_non_null(strstr(fake_s3_get(fake, 1)->head, "=ID2/"));
	assert_true(fake_s3_has(fake, 1, "x-amz-security-token: t2"));
	ok(s3_head(conn, "k", soon(), &stat, &e));
	assert_non_null(strstr(fake_s3_get(fake, 3)->head, "=ID3/"));
	ok(put("k", 0, soon()));
	assert_non_null(strstr(fake_s3_get(fake, 5)->head, "=ID4/"));
	fails(ERR_FORBIDDEN, put("k", 0, soon()));
	assert_int_equal(fake_s3_count(fake), 7);
	assert_int_equal(fake_s3_count(hub), 4);
}

static void
waits_for_the_others(void **state)
{
	struct fake_answer script[] = { { 200, aws_json("ID1", "t", 3600) },
		{ .how = FAKE_HANG } };
	struct s3_keys *k, *none;

	(void)state;
	hand_out(script, 2);
	ok(s3_cred_get(cred, soon(), &k, &e));
	assert_int_equal(s3_cred_reject(cred, k), 1);
	fails(ERR_UNAVAILABLE, s3_cred_get(cred, deadline_in(50), &none, &e));
	/* They were doubted just now. */
	assert_int_equal(s3_cred_reject(cred, k), 0);
	s3_keys_drop(k);
}

static void
believes_a_refusal_of_what_stays(void **state)
{
	const char *same = aws_json("ID1", "t1", 3600);
	struct fake_answer handed[] = { { 200, same }, { 200, same } };
	static const struct fake_answer script[] = {
		{ 403, FAULT("InvalidAccessKeyId") },
		{ 403, FAULT("InvalidAccessKeyId") },
		{ 403, FAULT("AccessDenied") },
		{ 403, FAULT("InvalidAccessKeyId") }
	};

	(void)state;
	hand_out(handed, 2);
	open_bucket(script, 4);
	fails(ERR_FORBIDDEN, put("k", 0, soon()));
	assert_int_equal(fake_s3_count(hub), 2);
	/* Nor is the source asked at each refusal that follows. */
	fails(ERR_FORBIDDEN, put("k", 0, soon()));
	fails(ERR_FORBIDDEN, put("k", 0, soon()));
	assert_int_equal(fake_s3_count(hub), 2);
	assert_int_equal(fake_s3_count(fake), 4);
}

/* ---- what is signed for others ---- */

static int
authorize(int64_t lifetime_s, int64_t *granted_s, const char **token,
    const char **date)
{
	uint8_t hash[SHA256_LEN] = { 0 };
	struct s3_authorize p = { .key = "k",
		.sha256 = hash,
		.lifetime_s = lifetime_s,
		.granted_s = granted_s };
	const char *url, *headers[S3_AUTHORIZE_HEADERS_MAX];
	size_t n;

	if (s3_authorize_put(s3, &p, arena, &url, headers, &n, &e) != 0)
		return -1;
	*token = "";
	for (size_t i = 0; i < n; i++)
		if (strncmp(headers[i], "x-amz-security-token: ", 22) == 0)
			*token = headers[i] + 22;
		else if (strncmp(headers[i], "x-amz-date: ", 12) == 0)
			*date = headers[i] + 12;
		else if (strncmp(headers[i], "Authorization:", 14) == 0)
			assert_non_null(strstr(
			    headers[i], "x-amz-date;x-amz-security-token,"));
	return 0;
}

static int64_t
expires(const char *url)
{
	const char *p = strstr(url, "X-Amz-Expires=");

	assert_non_null(p);
	return atoll(p + 14);
}

/* "20260102T030405Z" of so many seconds from now. */
static const char *
stamp(long seconds)
{
	static char text[32];
	const char *p = aws_time(seconds);
	char *to = text;

	for (; *p != '\0'; p++)
		if (*p != '-' && *p != ':')
			*to++ = *p;
	*to = '\0';
	return text;
}

static void
signs_for_others(void **state)
{
	struct fake_answer handed[] = { { 200,
	    aws_json("ID1", TOKEN, 100000) } };
	const char *token, *date, *url;
	int64_t granted_s;

	(void)state;
	hand_out(handed, 1);
	become("ID1");
	open_bucket(NULL, 0);
	ok(authorize(0, &granted_s, &token, &date));
	assert_int_equal(granted_s, 900);
	assert_string_equal(token, TOKEN);
	ok(authorize(60, &granted_s, &token, &date));
	assert_int_equal(granted_s, 60);
	ok(s3_presign_get(s3, "GET", "k", 50000, arena, &url, &e));
	assert_int_equal(expires(url), 50000);
	assert_non_null(
	    strstr(url, "&X-Amz-Security-Token=verySecretToken%2B%2F%3D&"));
	ok(s3_presign_get(s3, "GET", "k", 200000, arena, &url, &e));
	assert_in_range(expires(url), 99000, 100000);
}

static void
promises_nothing_beyond_the_end(void **state)
{
	struct fake_answer handed[] = { { 200, aws_json("ID1", "t", 300) } };
	const char *token, *date = "", *url;
	int64_t granted_s;

	(void)state;
	hand_out(handed, 1);
	become("ID1");
	open_bucket(NULL, 0);
	ok(authorize(0, &granted_s, &token, &date));
	assert_in_range(granted_s, 280, 300);
	/* S3 takes it for 900 s after its date: that lies before. */
	assert_true(strcmp(date, stamp(-640)) >= 0);
	assert_true(strcmp(date, stamp(-590)) <= 0);
	ok(authorize(100, &granted_s, &token, &date));
	assert_int_equal(granted_s, 100);
	ok(s3_presign_get(s3, "GET", "k", 604800, arena, &url, &e));
	assert_in_range(expires(url), 280, 300);
}

static void
refuses_to_promise_a_moment(void **state)
{
	struct fake_answer handed[] = { { 200, aws_json("ID1", "t", 25) } };
	const char *token, *date, *url;
	int64_t granted_s = 7;

	(void)state;
	hand_out(handed, 1);
	become("ID1");
	open_bucket(NULL, 0);
	fails(ERR_UNAVAILABLE, authorize(0, &granted_s, &token, &date));
	assert_int_equal(granted_s, 7);
	assert_non_null(strstr(e.msg, "the credentials end in"));
	fails(ERR_UNAVAILABLE,
	    s3_presign_get(s3, "GET", "k", 100, arena, &url, &e));
	/* What asks for no more can have it. */
	ok(authorize(10, &granted_s, &token, &date));
	assert_int_equal(granted_s, 10);
	ok(s3_presign_get(s3, "GET", "k", 10, arena, &url, &e));
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin_cred, end_cred)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(chooses_as_the_sdks_do),
		test(refuses_half_a_source),
		test(takes_those_of_the_environment),
		test(renews_before_the_end),
		test(uses_the_old_ones_meanwhile),
		test(says_why_there_are_none),
		test(trusts_whom_it_is_told_to),
		test(does_not_wait_for_a_slow_source),
		test(asks_for_others_when_refused),
		test(waits_for_the_others),
		test(believes_a_refusal_of_what_stays),
		test(signs_for_others),
		test(promises_nothing_beyond_the_end),
		test(refuses_to_promise_a_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
