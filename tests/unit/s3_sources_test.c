#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libcommon/http/client.h"
#include "../../libcommon/s3/s3_cred_internal.h"
#include "fake_aws.h"
#include "fake_bucket.h"

#define TOKEN_FILE "/tmp/niks3-s3-sources-test.token"
#define JWT        "verySecretJwt.eyJhbGciOiJSUzI1NiJ9.sig_-"

static struct s3_source source;
static struct http_client *http;
static struct s3_keys *keys;
static volatile int cancel;

#define play(...)                                                    \
	static const struct fake_answer script_[] = { __VA_ARGS__ }; \
	play_n(script_, sizeof script_ / sizeof *script_)

static void
play_n(const struct fake_answer *script, size_t n)
{
	fake = fake_s3_new(script, n, NULL, NULL);
}

static int
begin_source(void **state)
{
	(void)state;
	aws_env_clear();
	err_clear(&e);
	cancel = 0;
	http = http_client_new(&(struct http_client_options){
	    .user_agent = "test", .direct = 1, .connect_ms = 500 });
	return 0;
}

static void
forget(void)
{
	free(source.url);
	free(source.token_file);
	free(source.role);
	free(source.session);
	secret_done(&source.token);
	source = (struct s3_source){ 0 };
	s3_keys_drop(keys);
	keys = NULL;
}

static int
end_source(void **state)
{
	(void)state;
	forget();
	http_client_free(http);
	if (fake != NULL)
		fake_s3_free(fake);
	fake = NULL;
	unlink(TOKEN_FILE);
	aws_env_clear();
	return 0;
}

static void
write_token(const char *text)
{
	int fd = open(TOKEN_FILE, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void
has_keys(const char *id, const char *token)
{
	char secret[64];

	snprintf(secret, sizeof secret, "verySecretKey/%s", id);
	assert_non_null(keys);
	assert_string_equal(keys->access_key.data, id);
	assert_string_equal(keys->secret_key.data, secret);
	if (token[0] != '\0')
		assert_string_equal(keys->session_token.data, token);
	else
		assert_null(keys->session_token.data);
	assert_in_range(s3_keys_life_s(keys), 3500, 3600);
}

/* ---- instance metadata ---- */

static int
imds(void)
{
	aws_env_url(
	    "AWS_EC2_METADATA_SERVICE_ENDPOINT", fake_s3_port(fake), "/");
	assert_int_equal(s3_imds_open(&source, &e), 1);
	return s3_imds_fetch(&source, http, &cancel, &keys, &e);
}

static void
asks_the_instance(void **state)
{
	struct fake_answer script[] = { { 200, "verySecretSession==" },
		{ 200, "my+role\n" },
		{ 200, aws_json("ID1", "verySecretToken", 3600) } };

	(void)state;
	play_n(script, 3);
	ok(imds());
	has_keys("ID1", "verySecretToken");
	assert_true(fake_s3_has(fake, 0, "PUT /latest/api/token HTTP/1.1"));
	assert_true(
	    fake_s3_has(fake, 0, "X-aws-ec2-metadata-token-ttl-seconds: 60"));
	assert_true(fake_s3_has(fake, 1,
	    "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1"));
	assert_true(fake_s3_has(fake, 2,
	    "GET /latest/meta-data/iam/security-credentials/my%2Brole "
	    "HTTP/1.1"));
	for (int i = 1; i < 3; i++)
		assert_true(fake_s3_has(
		    fake, i, "X-aws-ec2-metadata-token: verySecretSession=="));
	assert_int_equal(fake_s3_count(fake), 3);
}

/* Version 1 would answer without a token; it is not asked. */
static void
asks_version_2_only(void **state)
{
	(void)state;
	play({ 404 }, { 403 });
	fails(ERR_UNAVAILABLE, imds());
	assert_string_equal(e.hint, "");
	forget();
	fails(ERR_UNAVAILABLE, imds());
	assert_int_equal(fake_s3_count(fake), 2);
}

static void
tells_what_the_instance_lacks(void **state)
{
	(void)state;
	play({ 200, "t" }, { 404 }, { 200, "t" }, { 200, "" }, { 200, "t" },
	    { 200,
	        "a-name-of-65-bytes-which-is-more-than-iam-allows-for-a-role-"
	        "name-xx" },
	    { 200, "t\r\nx: y" }, { 200, "t" }, { 200, "r" },
	    { 200,
	        "{\"Code\": \"AssumeRoleUnauthorizedAccess\", \"Message\": "
	        "\"m\"}" });
	fails(ERR_UNAVAILABLE, imds());
	assert_string_equal(e.hint, "give the instance a role");
	forget();
	fails(ERR_CORRUPT, imds());
	forget();
	fails(ERR_CORRUPT, imds());
	forget();
	fails(ERR_INVALID, imds()); /* a token that would be two headers */
	forget();
	fails(ERR_CORRUPT, imds());
	assert_non_null(strstr(e.msg, "AssumeRoleUnauthorizedAccess"));
	assert_int_equal(fake_s3_count(fake), 10);
}

static void
finds_the_instance(void **state)
{
	static const struct {
		const char *endpoint, *mode, *url;
	} cases[] = {
		{ "", "", "http://169.254.169.254" },
		{ "", "IPv4", "http://169.254.169.254" },
		{ "", "IPv6", "http://[fd00:ec2::254]" },
		{ "http://h:1//", "IPv6", "http://h:1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		setenv(
		    "AWS_EC2_METADATA_SERVICE_ENDPOINT", cases[i].endpoint, 1);
		setenv(
		    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", cases[i].mode, 1);
		assert_int_equal(s3_imds_open(&source, &e), 1);
		assert_string_equal(source.url, cases[i].url);
		forget();
	}
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "h", 1);
	fails(ERR_INVALID, s3_imds_open(&source, &e));
	setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
	assert_int_equal(s3_imds_open(&source, &e), 0);
}

/* ---- container ---- */

static int
container(void)
{
	aws_env_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", fake_s3_port(fake),
	    "/v2/x?id=1");
	assert_int_equal(s3_container_open(&source, &e), 1);
	return s3_container_fetch(&source, http, &cancel, &keys, &e);
}

static void
asks_the_container(void **state)
{
	struct fake_answer script[] = { { 200, aws_json("ID1", "t", 3600) },
		{ 200, aws_json("ID2", "", 3600) },
		{ 200, aws_json("ID3", "t", 3600) },
		{ 200, aws_json("ID4", "t", 3600) } };

	(void)state;
	play_n(script, 4);
	ok(container());
	has_keys("ID1", "t");
	assert_true(fake_s3_has(fake, 0, "GET /v2/x?id=1 HTTP/1.1"));
	assert_null(strstr(fake_s3_get(fake, 0)->head, "Authorization"));
	forget();
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic verySecretA", 1);
	ok(container());
	has_keys("ID2", "");
	assert_true(fake_s3_has(fake, 1, "Authorization: Basic verySecretA"));
	forget();
	/* The file wins, and is read each time: the cluster renews it. */
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", TOKEN_FILE, 1);
	write_token("verySecretB\n");
	ok(container());
	assert_true(fake_s3_has(fake, 2, "Authorization: verySecretB"));
	write_token("verySecretC");
	s3_keys_drop(keys);
	keys = NULL;
	ok(s3_container_fetch(&source, http, &cancel, &keys, &e));
	assert_true(fake_s3_has(fake, 3, "Authorization: verySecretC"));
	write_token("verySecretD\r\nHost: evil");
	fails(
	    ERR_INVALID, s3_container_fetch(&source, http, &cancel, &keys, &e));
	unlink(TOKEN_FILE);
	fails(ERR_NOT_FOUND,
	    s3_container_fetch(&source, http, &cancel, &keys, &e));
	assert_int_equal(fake_s3_count(fake), 4);
}

static void
asks_nobody_far_away(void **state)
{
	static const char *const good[] = { "https://example.org/x",
		"https://example.org", "http://127.0.0.1/x",
		"http://127.1.2.3:80/x", "http://LOCALHOST:1?x",
		"http://[::1]:80/x", "http://169.254.170.2/x",
		"http://169.254.170.23/v1/credentials",
		"http://[fd00:ec2::23]/v1/credentials" };
	static const char *const bad[] = { "http://example.org/x",
		"http://169.254.169.254/x", "http://169.254.170.3/x",
		"http://169.254.170.23.example.org/",
		"http://127.0.0.1.nip.io/", "http://127.0.0.1@example.org/x",
		"https://u:verySecret@h/x", "http://localhost.example.org/",
		"http://[::2]/x", "http://[::1/", "ftp://127.0.0.1/x",
		"127.0.0.1/x", "http:///x", "http://", "http://0177.0.0.1/",
		"http://2130706433/", "http://127.0.0.1\\@example.org/",
		"http://127.0.0.1#@h/", "http://127.0.0.1:x/" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", good[i], 1);
		if (s3_container_open(&source, &e) != 1)
			fail_msg("%s: %s", good[i], e.msg);
		assert_string_equal(source.url, good[i]);
		forget();
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", bad[i], 1);
		if (s3_container_open(&source, &e) != -1)
			fail_msg("%s", bad[i]);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_null(strstr(e.msg, "verySecret"));
		forget();
	}
	/* The relative one wins, and stays with its host. */
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/u?id=1", 1);
	assert_int_equal(s3_container_open(&source, &e), 1);
	assert_string_equal(source.url, "http://169.254.170.2/v2/u?id=1");
	forget();
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@example.org/", 1);
	fails(ERR_INVALID, s3_container_open(&source, &e));
	aws_env_clear();
	assert_int_equal(s3_container_open(&source, &e), 0);
}

/* ---- web identity ---- */

static int
sts(void)
{
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", TOKEN_FILE, 1);
	setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r", 1);
	aws_env_url("AWS_ENDPOINT_URL_STS", fake_s3_port(fake), "/");
	assert_int_equal(s3_sts_open(&source, &e), 1);
	return s3_sts_fetch(&source, http, &cancel, &keys, &e);
}

static void
assumes_a_role(void **state)
{
	struct fake_answer script[] = { { 200, aws_sts("ID1", "t", 3600) },
		{ 200, aws_sts("ID2", "t+/=", 3600) } };

	(void)state;
	play_n(script, 2);
	write_token(JWT "\n");
	ok(sts());
	has_keys("ID1", "t");
	assert_true(fake_s3_has(fake, 0, "POST / HTTP/1.1"));
	assert_true(fake_s3_has(
	    fake, 0, "Content-Type: application/x-www-form-urlencoded"));
	assert_string_equal(fake_s3_get(fake, 0)->body,
	    "Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
	    "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=niks3"
	    "&WebIdentityToken=" JWT);
	forget();
	setenv("AWS_ROLE_SESSION_NAME", "a&b", 1);
	write_token("renewed");
	ok(sts());
	has_keys("ID2", "t+/=");
	assert_non_null(strstr(fake_s3_get(fake, 1)->body,
	    "&RoleSessionName=a%26b&WebIdentityToken=renewed"));
}

static void
tells_why_a_role_is_refused(void **state)
{
	(void)state;
	play({ 403,
	         "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type>"
	         "<Code>AccessDenied</Code><Message>no such trust</Message>"
	         "</Error><RequestId>1</RequestId></ErrorResponse>" },
	    { 400,
	        "<ErrorResponse><Error><Code>InvalidIdentityToken</Code>"
	        "<Message>cannot read verySecretJwt.eyJhbGciOiJSU</Message>"
	        "</Error></ErrorResponse>" },
	    { 500, "oh" }, { 200, "<html/>" },
	    { 200,
	        "<AssumeRoleWithWebIdentityResponse>"
	        "</AssumeRoleWithWebIdentityResponse>" });
	write_token(JWT);
	fails(ERR_UNAVAILABLE, sts());
	assert_non_null(strstr(e.msg, "AccessDenied: no such trust"));
	forget();
	fails(ERR_UNAVAILABLE, sts()); /* and repeats no part of the token */
	assert_non_null(strstr(e.msg, "InvalidIdentityToken"));
	forget();
	fails(ERR_UNAVAILABLE, sts());
	forget();
	fails(ERR_CORRUPT, sts());
	forget();
	fails(ERR_CORRUPT, sts());
	unlink(TOKEN_FILE);
	forget();
	fails(ERR_NOT_FOUND, sts());
	assert_int_equal(fake_s3_count(fake), 5);
}

static void
finds_sts(void **state)
{
	static const struct {
		const char *region, *fallback, *endpoint, *url;
	} cases[] = {
		{ "", "", "", "https://sts.amazonaws.com/" },
		{ "eu-west-1", "us-west-2", "",
		    "https://sts.eu-west-1.amazonaws.com/" },
		{ "", "us-west-2", "", "https://sts.us-west-2.amazonaws.com/" },
		{ "cn-north-1", "", "",
		    "https://sts.cn-north-1.amazonaws.com.cn/" },
		{ "eu-west-1", "", "https://sts.example.org/x",
		    "https://sts.example.org/x" },
		{ "evil.org/", "", "", NULL },
		{ "", "", "http://sts.example.org/", NULL },
		{ "", "", "sts.example.org", NULL },
	};

	(void)state;
	setenv("AWS_ROLE_ARN", "arn", 1);
	assert_int_equal(s3_sts_open(&source, &e), 0);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", TOKEN_FILE, 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		setenv("AWS_REGION", cases[i].region, 1);
		setenv("AWS_DEFAULT_REGION", cases[i].fallback, 1);
		setenv("AWS_ENDPOINT_URL_STS", cases[i].endpoint, 1);
		if (cases[i].url != NULL) {
			assert_int_equal(s3_sts_open(&source, &e), 1);
			assert_string_equal(source.url, cases[i].url);
		} else
			fails(ERR_INVALID, s3_sts_open(&source, &e));
		forget();
	}
	setenv("AWS_ROLE_ARN", "", 1);
	fails(ERR_USAGE, s3_sts_open(&source, &e));
}

/* ---- whatever they answer ---- */

static void
bounds_an_answer(void **state)
{
	static char big[S3_CRED_ANSWER_MAX + 2];
	struct fake_answer script[] = { { 200, big },
		{ 200, "0123456789", .how = FAKE_ENDLESS },
		{ 200, "{}", .how = FAKE_CUT }, { .how = FAKE_CLOSE },
		{ .body = "garbage", .how = FAKE_RAW },
		{ 302, "", "Location: http://127.0.0.1:1/\r\n" } };

	(void)state;
	memset(big, ' ', sizeof big - 1);
	play_n(script, 6);
	fails(ERR_TOO_LARGE, container());
	forget();
	fails(ERR_TOO_LARGE, container());
	forget();
	fails(ERR_CORRUPT, container());
	forget();
	fails(ERR_UNAVAILABLE, container());
	forget();
	assert_int_equal(container(), -1);
	forget();
	fails(ERR_UNAVAILABLE, container()); /* is not followed */
	assert_int_equal(fake_s3_count(fake), 6);
}

static void
gives_up_when_told(void **state)
{
	(void)state;
	play({ .how = FAKE_HANG });
	cancel = 1;
	fails(ERR_CANCELED, container());
}

static void
takes_no_garbage(void **state)
{
#define ID      "\"AccessKeyId\": \"ID\", "
#define KEY     "\"SecretAccessKey\": \"verySecretKey\", "
#define EXPIRES "\"Expiration\": \"2026-01-02T03:04:05Z\""
	static const char *const bad[] = { "", "{", "[]", "null",
		"<html>verySecret</html>", "{}", "{" KEY EXPIRES "}",
		"{" ID EXPIRES "}", "{" ID KEY "\"Token\": null}",
		"{" ID KEY EXPIRES "} x", "{" ID KEY EXPIRES,
		"{" ID "\"SecretAccessKey\": 1, " EXPIRES "}",
		"{" ID "\"SecretAccessKey\": \"verySecret\\r\\nx\", " EXPIRES
		"}",
		"{" ID "\"SecretAccessKey\": \"verySecret\\u0000\", " EXPIRES
		"}",
		"{" ID KEY "\"Expiration\": \"soon\"}",
		"{" ID KEY "\"Expiration\": 1234}" };
	char text[1024];
	struct secret s = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ok(secret_set(&s, bad[i], strlen(bad[i]), &e));
		if (s3_cred_parse(&s, &keys, &e) == 0)
			fail_msg("%s", bad[i]);
		assert_int_equal(e.kind, ERR_CORRUPT);
		assert_null(strstr(e.msg, "verySecret"));
		assert_null(keys);
	}
	/* Over the limit of an access key. */
	snprintf(text, sizeof text,
	    "{\"AccessKeyId\": \"%0129d\", " KEY EXPIRES "}", 1);
	ok(secret_set(&s, text, strlen(text), &e));
	fails(ERR_CORRUPT, s3_cred_parse(&s, &keys, &e));
	snprintf(text, sizeof text,
	    "{\"AccessKeyId\": \"%0128d\", " KEY EXPIRES "}", 1);
	ok(secret_set(&s, text, strlen(text), &e));
	ok(s3_cred_parse(&s, &keys, &e));
	assert_null(keys->session_token.data);
	secret_done(&s);
}

#define test(name) \
	cmocka_unit_test_setup_teardown(name, begin_source, end_source)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(asks_the_instance),
		test(asks_version_2_only),
		test(tells_what_the_instance_lacks),
		test(finds_the_instance),
		test(asks_the_container),
		test(asks_nobody_far_away),
		test(assumes_a_role),
		test(tells_why_a_role_is_refused),
		test(finds_sts),
		test(bounds_an_answer),
		test(gives_up_when_told),
		test(takes_no_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
