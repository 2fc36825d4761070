#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "fake_bucket.h"

static void
open_place(struct s3_places *s, const char *endpoint, const char *region,
    enum s3_lookup lookup)
{
	err_clear(&e);
	ok(s3_place_init(s,
	    &(struct s3_options){ .use_tls = 1,
	        .bucket = "b",
	        .region = region,
	        .lookup = lookup },
	    endpoint, &e));
}

static void
finds_the_region_by_name(void **state)
{
	static const struct {
		const char *endpoint, *region;
	} cases[] = {
		{ "s3.us-west-004.backblazeb2.com", "us-west-004" },
		{ "https://0123abcd.r2.cloudflarestorage.com", "auto" },
		{ "https://0123abcd.eu.r2.cloudflarestorage.com/", "auto" },
		{ "s3.eu-central-1.amazonaws.com", "eu-central-1" },
		{ "s3.cn-north-1.amazonaws.com.cn", "cn-north-1" },
		{ "storage.googleapis.com", "us-east-1" },
		{ "play.min.io:9000", "us-east-1" },
		{ "r2.cloudflarestorage.com.example.org", "us-east-1" },
	};
	struct s3_places s;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		open_place(&s, cases[i].endpoint, "", S3_LOOKUP_AUTO);
		assert_string_equal(s.now->region, cases[i].region);
		s3_place_done(&s);
		open_place(&s, cases[i].endpoint, "mine", S3_LOOKUP_AUTO);
		assert_string_equal(s.now->region, "mine");
		s3_place_done(&s);
	}
}

static void
says_what_is_wrong_with_an_endpoint(void **state)
{
	static const struct {
		const char *endpoint, *why;
	} cases[] = {
		{ "https://0123.r2.cloudflarestorage.com/bucket",
		    "a path behind the host (the bucket has an option" },
		{ "h:9000/bucket/", "a path behind" },
		{ "https://h/?x=verySecret", "a query" },
		{ "https://h?x=verySecret", "a query" },
		{ "h#verySecret", "a query" },
		{ "s3://verySecret", "a scheme that is not http or https" },
		{ "https://verySecret:x@h/", "a user before the host" },
		{ "h:65536", "a port that is none" },
		{ "h:", "a port that is none" },
		{ "[::1", "an unclosed address" },
		{ "", "no host" },
		{ "https:///b", "no host" },
		{ "h h", "odd characters" },
	};
	struct s3_places s = { .name = NULL };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct s3_options o = { .endpoint = cases[i].endpoint,
			.bucket = "b" };
		fails(ERR_INVALID, s3_place_init(&s, &o, o.endpoint, &e));
		if (strstr(e.msg, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].endpoint, e.msg);
		assert_null(s.name);
	}
}

static void
learns_once(void **state)
{
	const struct s3_place *first, *found;
	struct s3_places s;

	(void)state;
	open_place(&s, "s3.amazonaws.com", NULL, S3_LOOKUP_AUTO);
	first = s.now;
	assert_int_equal(s3_place_learn(&s, first, "us-east-1"), 0);
	assert_int_equal(s3_place_learn(&s, first, ""), 0);
	assert_int_equal(s3_place_learn(&s, first, "evil.example.org/"), 0);
	assert_int_equal(s3_place_learn(&s, first, "a\r\nb"), 0);
	assert_int_equal(s3_place_learn(&s, first,
	                     "a-region-that-has-a-name-of-more-than-sixty-"
	                     "three-letters-and-so-on"),
	    0);
	assert_ptr_equal(s.now, first);
	assert_int_equal(s3_place_learn(&s, first, "eu-west-1"), 1);
	found = s.now;
	assert_string_equal(found->region, "eu-west-1");
	assert_string_equal(
	    found->base, "https://b.s3.eu-west-1.amazonaws.com");
	assert_string_equal(found->host, "b.s3.eu-west-1.amazonaws.com");
	/* Who asked at the old place before may ask again, whatever it heard;
	 * who asked at the new one is told that it stays. */
	assert_int_equal(s3_place_learn(&s, first, "us-west-2"), 1);
	assert_int_equal(s3_place_learn(&s, found, "us-west-2"), 0);
	assert_ptr_equal(s.now, found);
	assert_string_equal(found->region, "eu-west-1");
	assert_string_equal(first->region, "us-east-1");
	s3_place_done(&s);
}

static void
learns_nothing_else(void **state)
{
	static const struct {
		const char *endpoint, *region;
		enum s3_lookup lookup;
		int learns;
		const char *base;
	} cases[] = {
		/* What was given is believed. */
		{ "s3.amazonaws.com", "us-east-1", S3_LOOKUP_PATH, 0,
		    "https://s3.amazonaws.com" },
		/* Every region has its endpoint. */
		{ "s3.eu-west-2.amazonaws.com", "", S3_LOOKUP_PATH, 1,
		    "https://s3.eu-west-1.amazonaws.com" },
		/* One that somebody chose by name stays. */
		{ "s3.dualstack.eu-west-2.amazonaws.com", "", S3_LOOKUP_PATH, 1,
		    "https://s3.dualstack.eu-west-2.amazonaws.com" },
		{ "h:9000", "", S3_LOOKUP_PATH, 1, "https://h:9000" },
		{ "h:9000", "", S3_LOOKUP_DNS, 1, "https://b.h:9000" },
	};
	struct s3_places s;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		open_place(
		    &s, cases[i].endpoint, cases[i].region, cases[i].lookup);
		assert_int_equal(
		    s3_place_learn(&s, s.now, "eu-west-1"), cases[i].learns);
		assert_string_equal(s.now->base, cases[i].base);
		s3_place_done(&s);
	}
}

#define WRONG(region)                                                \
	"<Error><Code>AuthorizationHeaderMalformed</Code><Message>m" \
	"</Message><Region>" region "</Region></Error>"

static int
is_signed_for(size_t i, const char *region)
{
	char scope[64];

	snprintf(scope, sizeof scope, "/%s/s3/aws4_request,", region);
	return strstr(fake_s3_get(fake, i)->head, scope) != NULL;
}

static void
asks_again_in_the_right_region(void **state)
{
	const char *url;

	begin({ 400, WRONG("garage") }, { 200 }, { 200 },
	    { 400, WRONG("other") });
	ok(put("k", 1, soon())); /* nothing was done, so this is safe */
	assert_true(is_signed_for(0, "us-east-1"));
	assert_true(is_signed_for(1, "garage"));
	/* It is remembered, also for what is signed without asking. */
	ok(put("k", 0, soon()));
	assert_true(is_signed_for(2, "garage"));
	ok(s3_presign_get(s3, "GET", "k", 60, arena, &url, &e));
	assert_non_null(strstr(url, "%2Fgarage%2Fs3%2F"));
	/* And the region does not change again. */
	fails(ERR_INVALID, put("k", 0, soon()));
	assert_string_equal(
	    e.hint, "set the region to other, as the server says");
	end(4);
}

/* HEAD has no body, so AWS has a header. */
static void
reads_the_header(void **state)
{
	struct s3_stat stat;

	begin({ 400, NULL, "x-amz-bucket-region: eu-west-1\r\n" },
	    { 200, "12345" },
	    /* No reason to move: the bucket is where we are. */
	    { 403, NULL, "x-amz-bucket-region: eu-west-1\r\n" },
	    { 400, NULL, "x-amz-bucket-region: eu-west-1\r\n" });
	ok(s3_head(conn, "k", soon(), &stat, &e));
	assert_true(is_signed_for(1, "eu-west-1"));
	fails(ERR_FORBIDDEN, s3_head(conn, "k", soon(), &stat, &e));
	fails(ERR_INVALID, s3_head(conn, "k", soon(), &stat, &e));
	end(4);
}

static void
follows_no_redirect_but_this(void **state)
{
	begin({ 301, FAULT("PermanentRedirect"),
	          "x-amz-bucket-region: eu-west-1\r\n"
	          "Location: http://127.0.0.1:1/\r\n" },
	    { 301, FAULT("PermanentRedirect") });
	/* To the endpoint that was given, for the new region. */
	fails(ERR_INVALID, put("k", 0, soon()));
	assert_true(is_signed_for(1, "eu-west-1"));
	assert_non_null(strstr(e.hint, "endpoint"));
	end(2);
}

static void
hints_when_a_region_was_given(void **state)
{
	static const struct fake_answer script[] = { { 400,
	    WRONG("eu-west-1") } };
	char endpoint[64];
	struct s3_options o;

	(void)state;
	fake = fake_s3_new(script, 1, NULL, NULL);
	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u",
	    fake_s3_port(fake));
	o = options(endpoint);
	o.region = "us-west-2";
	open_with(&o);
	fails(ERR_INVALID, put("k", 0, soon()));
	assert_string_equal(
	    e.hint, "set the region to eu-west-1, as the server says");
	end(1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_region_by_name),
		cmocka_unit_test(says_what_is_wrong_with_an_endpoint),
		cmocka_unit_test(learns_once),
		cmocka_unit_test(learns_nothing_else),
		cmocka_unit_test(asks_again_in_the_right_region),
		cmocka_unit_test(reads_the_header),
		cmocka_unit_test(follows_no_redirect_but_this),
		cmocka_unit_test(hints_when_a_region_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
