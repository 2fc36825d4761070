#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../libcommon/s3/sigv4.h"
#include "fake_bucket.h"

static struct secret a, b, t;

static void
set(struct secret *s, const char *text)
{
	ok(secret_set(s, text, strlen(text), &e));
}

static int
begin_keys(void **state)
{
	(void)state;
	set(&a, ACCESS);
	set(&b, SECRET);
	set(&t, TOKEN);
	return 0;
}

static int
end_keys(void **state)
{
	(void)state;
	secret_done(&a);
	secret_done(&b);
	secret_done(&t);
	return 0;
}

static void
keeps_copies(void **state)
{
	struct sigv4_credentials c;
	struct s3_keys *k, *same;

	(void)state;
	ok(s3_keys_new(&a, &b, &t, INT64_MAX, &k, &e));
	set(&a, "other");
	same = s3_keys_hold(k);
	s3_keys_drop(k);
	c = s3_keys_sigv4(same);
	assert_string_equal(c.access_key, ACCESS);
	assert_string_equal(c.secret_key, SECRET);
	assert_string_equal(c.session_token, TOKEN);
	s3_keys_drop(same);
	s3_keys_drop(NULL);
	/* An empty token is none, and is not sent. */
	set(&t, "");
	ok(s3_keys_new(&a, &b, &t, INT64_MAX, &k, &e));
	assert_null(s3_keys_sigv4(k).session_token);
	s3_keys_drop(k);
	ok(s3_keys_new(&a, &b, NULL, INT64_MAX, &k, &e));
	assert_null(s3_keys_sigv4(k).session_token);
	s3_keys_drop(k);
}

static void
refuses_what_breaks_a_header(void **state)
{
	static const char *const bad[] = { "", "verySecret key",
		"verySecret\r\nx: y", "verySecret\x7f", "verySecret\xc3\xa9" };
	char many[S3_KEYS_TOKEN_MAX + 2];
	struct s3_keys *k = NULL;
	struct secret s = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		set(&s, bad[i]);
		fails(ERR_INVALID, s3_keys_new(&s, &b, &t, 1, &k, &e));
		fails(ERR_INVALID, s3_keys_new(&a, &s, &t, 1, &k, &e));
		if (i > 0)
			fails(ERR_INVALID, s3_keys_new(&a, &b, &s, 1, &k, &e));
	}
	fails(ERR_INVALID, s3_keys_new(NULL, &b, &t, 1, &k, &e));
	memset(many, 'x', sizeof many);
	many[S3_KEYS_TOKEN_MAX + 1] = '\0';
	set(&s, many);
	fails(ERR_INVALID, s3_keys_new(&a, &b, &s, 1, &k, &e));
	s.len--;
	ok(s3_keys_new(&a, &b, &s, 1, &k, &e));
	s3_keys_drop(k);
	k = NULL;
	many[SIGV4_SECRET_MAX + 1] = '\0';
	set(&s, many);
	fails(ERR_INVALID, s3_keys_new(&a, &s, &t, 1, &k, &e));
	assert_null(k);
	s.len--;
	ok(s3_keys_new(&a, &s, &t, 1, &k, &e));
	s3_keys_drop(k);
	secret_done(&s);
}

static void
knows_its_end(void **state)
{
	int64_t now = clock_wall_us() / 1000000;
	struct s3_keys *k;

	(void)state;
	ok(s3_keys_new(&a, &b, &t, now + 100, &k, &e));
	assert_in_range(s3_keys_life_s(k), 90, 100);
	s3_keys_drop(k);
	ok(s3_keys_new(&a, &b, &t, now - 100, &k, &e));
	assert_true(s3_keys_life_s(k) <= -100);
	s3_keys_drop(k);
	ok(s3_keys_new(&a, &b, &t, INT64_MAX, &k, &e));
	assert_true(s3_keys_life_s(k) == INT64_MAX);
	s3_keys_drop(k);
}

static void
sees_itself_in_a_text(void **state)
{
	struct secret none = { 0 };

	(void)state;
	assert_true(s3_keys_tells("bad token " TOKEN "!", &t));
	/* What is cut off still tells most of it. */
	assert_true(s3_keys_tells("bad token verySecretToken+", &t));
	assert_false(s3_keys_tells("bad token verySecret", &t));
	assert_false(s3_keys_tells("", &t));
	assert_false(s3_keys_tells("anything", &none));
	set(&t, "ab");
	assert_true(s3_keys_tells("xaby", &t));
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin_keys, end_keys)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(keeps_copies),
		test(refuses_what_breaks_a_header),
		test(knows_its_end),
		test(sees_itself_in_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
