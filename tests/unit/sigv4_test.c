/*
 * The vectors are published ones: those of the signature version 4 test suite
 * (service "service"), and the examples of the Amazon S3 API Reference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/s3/sigv4.h"

#define EMPTY     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ALL       "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define TOKEN     "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"

#define PAIRS_MAX 4

struct vector {
	const char *name, *method, *path;
	const char *query[PAIRS_MAX][2];
	const char *headers[PAIRS_MAX][2];
	const char *sha256; /* EMPTY when NULL */
	const char *token;
	const char *signed_headers, *signature;
};

static const struct vector suite[] = {
	{ "get-vanilla", "GET", "/", .signed_headers = "host;x-amz-date",
	    "5fa00fa31553b73ebf1942676e86291e"
	    "8372ff2a2260956d9b8aae1d763fbf31" },
	{ "post-vanilla", "POST", "/", .signed_headers = "host;x-amz-date",
	    "5da7c1a2acd57cee7505fc6676e4e544"
	    "621c30862966e37dddb68e92efbe5d6b" },
	{ "get-vanilla-query-order-key-case", "GET", "/",
	    { { "Param2", "value2" }, { "Param1", "value1" } },
	    .signed_headers = "host;x-amz-date",
	    "b97d918cfa904a5beff61c982a1b6f45"
	    "8b799221646efd99d3219ec94cdf2500" },
	{ "get-vanilla-query-order-value", "GET", "/",
	    { { "Param1", "value2" }, { "Param1", "value1" } },
	    .signed_headers = "host;x-amz-date",
	    "5772eed61e12b33fae39ee5e7012498b"
	    "51d56abc0abb7c60486157bd471c4694" },
	{ "get-vanilla-empty-query-key", "GET", "/", { { "Param1", "value1" } },
	    .signed_headers = "host;x-amz-date",
	    "a67d582fa61cc504c4bae71f336f98b9"
	    "7f1ea3c7a6bfe1b6e45aec72011b9aeb" },
	{ "post-vanilla-query", "POST", "/", { { "Param1", "value1" } },
	    .signed_headers = "host;x-amz-date",
	    "28038455d6de14eafc1f9222cf5aa6f1"
	    "a96197d7deb8263271d420d138af7f11" },
	{ "get-vanilla-query-unreserved", "GET", "/", { { ALL, ALL } },
	    .signed_headers = "host;x-amz-date",
	    "9c3e54bfcdf0b19771a7f523ee5669cd"
	    "f59bc7cc0884027167c21bb143a40197" },
	{ "get-vanilla-utf8-query", "GET", "/", { { "\u1234", "bar" } },
	    .signed_headers = "host;x-amz-date",
	    "2cdec8eed098649ff3a119c94853b13c"
	    "643bcf08f8b0a1d91e12c9027818dd04" },
	{ "get-unreserved", "GET", "/" ALL, .signed_headers = "host;x-amz-date",
	    "07ef7494c76fa4850883e2b006601f94"
	    "0f8a34d404d0cfa977f52a65bbf5f24f" },
	{ "get-utf8", "GET", "/\u1234", .signed_headers = "host;x-amz-date",
	    "8318018e0b0f223aa2bbf98705b62bb7"
	    "87dc9c0e678f255a891fd03141be5d85" },
	{ "get-space", "GET", "/example space/",
	    .signed_headers = "host;x-amz-date",
	    "652487583200325589f1fba4c7e578f7"
	    "2c47cb61beeca81406b39ddec1366741" },
	{ "get-header-value-trim", "GET", "/",
	    .headers = { { "my-header2", " \"a   b   c\"" },
	        { "my-header1", " value1" } },
	    .signed_headers = "host;my-header1;my-header2;x-amz-date",
	    "acc3ed3afb60bb290fc8d2dd0098b991"
	    "1fcaa05412b367055dee359757a9c736" },
	{ "post-header-key-sort", "POST", "/",
	    .headers = { { "my-header1", "value1" } },
	    .signed_headers = "host;my-header1;x-amz-date",
	    "c5410059b04c1ee005303aed430f6e66"
	    "45f61f4dc9e1461ec8f8916fdf18852c" },
	{ "get-vanilla-with-session-token", "GET", "/", .token = TOKEN,
	    .signed_headers = "host;x-amz-date;x-amz-security-token",
	    "07ec1639c89043aa0e3e2de82b96708f"
	    "198cceab042d4a97044c66dd9f74e7f8" },
};

static const struct vector s3_examples[] = {
	{ "get object", "GET", "/test.txt",
	    .headers = { { "range", "bytes=0-9" } },
	    .signed_headers = "host;range;x-amz-content-sha256;x-amz-date",
	    "f0e8bdb87c964420e857bd35b5d6ed31"
	    "0bd44f0170aba48dd91039c6036bdb41" },
	{ "put object", "PUT", "/test$file.text",
	    .headers = { { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
	        { "date", "Fri, 24 May 2013 00:00:00 GMT" } },
	    .sha256 = "44ce7dd67c959e0d3524ffac1771dfbb"
	              "a87d2b6b4b4e99e42034a8b803f8b072",
	    .signed_headers = "date;host;x-amz-content-sha256;x-amz-date;"
	                      "x-amz-storage-class",
	    "98ad721746da40c64f1a55b78f14c238"
	    "d841ea1380cd77a1b5971af0ece108bd" },
	{ "get bucket lifecycle", "GET", "/", { { "lifecycle", "" } },
	    .signed_headers = "host;x-amz-content-sha256;x-amz-date",
	    "fea454ca298b7da1c68078a5d1bdbfbb"
	    "e0d65c699e0f91ac7a200a0136783543" },
	{ "list objects", "GET", "/",
	    { { "prefix", "J" }, { "max-keys", "2" } },
	    .signed_headers = "host;x-amz-content-sha256;x-amz-date",
	    "34b48302e7b5fa45bde8084f4b7868a8"
	    "6f0a534bc59db6670ed5711ef69dc6f7" },
};

static const struct sigv4_credentials suite_keys = {
	.access_key = "AKIDEXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};
static const struct sigv4_credentials s3_keys = {
	.access_key = "AKIAIOSFODNN7EXAMPLE",
	.secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
};

static size_t
count(const char *const (*pairs)[2])
{
	size_t n = 0;

	while (n < PAIRS_MAX && pairs[n][0] != NULL)
		n++;
	return n;
}

static struct sigv4_request
request_of(const struct vector *v, const char *service)
{
	int s3 = strcmp(service, "s3") == 0;

	return (struct sigv4_request){
		.method = v->method,
		.host = s3 ? "examplebucket.s3.amazonaws.com"
		           : "example.amazonaws.com",
		.path = v->path,
		.query = v->query,
		.nquery = count(v->query),
		.headers = v->headers,
		.nheaders = count(v->headers),
		.payload_sha256 = v->sha256 != NULL ? v->sha256 : EMPTY,
		.region = "us-east-1",
		.service = service,
		.wall_s = s3 ? 1369353600 : 1440938160,
	};
}

static void
check(const struct vector *v, const char *service,
    const struct sigv4_credentials *keys)
{
	struct sigv4_credentials c = *keys;
	struct sigv4_request r = request_of(v, service);
	struct sigv4_headers h;
	struct arena *a = arena_new(1 << 16);
	struct err e = ERR_INIT;
	const char *want;

	c.session_token = v->token;
	if (sigv4_sign(&c, &r, a, &h, &e) != 0)
		fail_msg("%s: %s", v->name, e.msg);
	want = arena_printf(a,
	    "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s/us-east-1/%s/"
	    "aws4_request, SignedHeaders=%s, Signature=%s",
	    c.access_key, strcmp(service, "s3") == 0 ? "20130524" : "20150830",
	    service, v->signed_headers, v->signature);
	if (strcmp(h.lines[h.n - 1], want) != 0)
		fail_msg("%s:\n%s\n%s", v->name, h.lines[h.n - 1], want);
	arena_free(a);
}

static void
signs_the_test_suite(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof suite / sizeof *suite; i++)
		check(&suite[i], "service", &suite_keys);
}

static void
signs_the_examples_of_s3(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof s3_examples / sizeof *s3_examples; i++)
		check(&s3_examples[i], "s3", &s3_keys);
}

static void
adds_the_lines_that_were_signed(void **state)
{
	struct sigv4_credentials c = s3_keys;
	struct sigv4_request r = request_of(&s3_examples[0], "s3");
	struct sigv4_headers h;
	struct arena *a = arena_new(1 << 16);

	(void)state;
	c.session_token = "tok";
	assert_int_equal(sigv4_sign(&c, &r, a, &h, NULL), 0);
	assert_int_equal(h.n, 4);
	assert_string_equal(h.lines[0], "x-amz-date: 20130524T000000Z");
	assert_string_equal(h.lines[1], "x-amz-content-sha256: " EMPTY);
	assert_string_equal(h.lines[2], "x-amz-security-token: tok");
	assert_non_null(strstr(h.lines[3], "x-amz-date;x-amz-security-token,"));
	arena_free(a);
}

static void
makes_the_canonical_request(void **state)
{
	struct sigv4_request r = request_of(&s3_examples[1], "s3");
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(sigv4_canonical(&r, &b, NULL), 0);
	assert_string_equal(buf_str(&b),
	    "PUT\n"
	    "/test%24file.text\n"
	    "\n"
	    "date:Fri, 24 May 2013 00:00:00 GMT\n"
	    "host:examplebucket.s3.amazonaws.com\n"
	    "x-amz-content-sha256:44ce7dd67c959e0d3524ffac1771dfbb"
	    "a87d2b6b4b4e99e42034a8b803f8b072\n"
	    "x-amz-date:20130524T000000Z\n"
	    "x-amz-storage-class:REDUCED_REDUNDANCY\n"
	    "\n"
	    "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class\n"
	    "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
	buf_done(&b);
}

/* Sorting is by the escaped text, and by names before values. */
static void
sorts_what_is_escaped(void **state)
{
	static const char *const query[][2] = { { "a-b", "1" }, { "a", "2" },
		{ "a", "~" }, { "a", "/" }, { "aa", "" }, { "\xff", "" },
		{ "!", "" }, { "-", "" } };
	struct sigv4_request r = request_of(&s3_examples[0], "s3");
	struct buf b;

	(void)state;
	r.query = query;
	r.nquery = sizeof query / sizeof *query;
	buf_init(&b, 4096);
	assert_int_equal(sigv4_query(&r, &b, NULL), 0);
	assert_string_equal(
	    buf_str(&b), "%21=&%FF=&-=&a=%2F&a=2&a=~&a-b=1&aa=");
	buf_done(&b);
}

static void
check_presigned(const struct vector *v, const char *service,
    const struct sigv4_credentials *keys, int64_t expires, const char *want)
{
	struct sigv4_credentials c = *keys;
	struct sigv4_request r = request_of(v, service);
	struct buf b;

	c.session_token = v->token;
	if (strcmp(service, "s3") == 0)
		r.payload_sha256 = "UNSIGNED-PAYLOAD";
	buf_init(&b, 4096);
	assert_int_equal(sigv4_presign(&c, &r, expires, &b, NULL), 0);
	assert_string_equal(buf_str(&b), want);
	buf_done(&b);
}

static void
presigns(void **state)
{
	static const struct vector get = { "", "GET", "/test.txt" };
	static const struct vector token = { "", "GET", "/", .token = TOKEN };

	(void)state;
	check_presigned(&get, "s3", &s3_keys, 86400,
	    "X-Amz-Algorithm=AWS4-HMAC-SHA256"
	    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1"
	    "%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
	    "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
	    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
	check_presigned(&token, "service", &suite_keys, 3600,
	    "X-Amz-Algorithm=AWS4-HMAC-SHA256"
	    "&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fservice"
	    "%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-Expires=3600"
	    "&X-Amz-Security-Token=" TOKEN
	    "&X-Amz-SignedHeaders=host&X-Amz-Signature="
	    "7ff2b50b376cb4d151970630573d6291dc128cc5c2a12ffb237f73cc53f67b6c");
}

static void
refuses_what_it_cannot_sign(void **state)
{
	static const char *const many[SIGV4_QUERY_MAX + 1][2];
	struct sigv4_credentials c = s3_keys;
	struct sigv4_request r = request_of(&s3_examples[0], "s3"), bad;
	struct sigv4_headers h = { .n = 99 };
	struct arena *a = arena_new(1 << 16), *small = arena_new(64);
	struct err e = ERR_INIT;
	char secret[SIGV4_SECRET_MAX + 2], region[200];

	(void)state;
	memset(secret, 'S', sizeof secret - 1);
	secret[sizeof secret - 1] = '\0';
	c.secret_key = secret;
	assert_int_equal(sigv4_sign(&c, &r, a, &h, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_null(strstr(e.msg, "SSS"));

	bad = r;
	bad.query = many;
	bad.nquery = SIGV4_QUERY_MAX + 1;
	assert_int_equal(sigv4_sign(&s3_keys, &bad, a, &h, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);

	bad = r;
	memset(region, 'r', sizeof region - 1);
	region[sizeof region - 1] = '\0';
	bad.region = region;
	assert_int_equal(sigv4_sign(&s3_keys, &bad, a, &h, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);

	bad = r;
	bad.wall_s = INT64_MAX;
	assert_int_equal(sigv4_sign(&s3_keys, &bad, a, &h, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);

	assert_int_equal(sigv4_sign(&s3_keys, &r, small, &h, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(h.n, 99); /* untouched */
	arena_free(a);
	arena_free(small);
}

static void
escapes(void **state)
{
	struct buf b;
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&b, 24);
	assert_int_equal(http_escape(&b, "a/b!\xc3 ~", 7, 1, &e), 0);
	assert_string_equal(buf_str(&b), "a/b%21%C3%20~");
	buf_reset(&b);
	assert_int_equal(http_escape(&b, "a/+", 3, 0, &e), 0);
	assert_string_equal(buf_str(&b), "a%2F%2B");
	assert_int_equal(http_escape(&b, "//////", 6, 0, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_string_equal(buf_str(&b), "a%2F%2B");
	/* Exactly what fits is not refused. */
	buf_reset(&b);
	assert_int_equal(
	    http_escape(&b, "aaaaaaaaaaaaaaaaaaaaaaaa", 24, 0, &e), 0);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_the_test_suite),
		cmocka_unit_test(signs_the_examples_of_s3),
		cmocka_unit_test(adds_the_lines_that_were_signed),
		cmocka_unit_test(makes_the_canonical_request),
		cmocka_unit_test(sorts_what_is_escaped),
		cmocka_unit_test(presigns),
		cmocka_unit_test(refuses_what_it_cannot_sign),
		cmocka_unit_test(escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
