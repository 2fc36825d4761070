#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/http/client.h"
#include "fake_s3.h"

/* A server that plays a script, a client, and room for the answer. */
struct scene {
	struct fake_s3 *fake;
	struct http_client *client;
	char url[128];
	struct buf body;
	struct http_answer answer;
	struct err e;
};

static void
begin(struct scene *s, const struct fake_answer *script, size_t n)
{
	*s = (struct scene){ .fake = fake_s3_new(script, n, NULL, NULL),
		.client = http_client_new(
		    &(struct http_client_options){ .user_agent = "test/1" }) };
	snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u/a?secret=1",
	    fake_s3_port(s->fake));
	buf_init(&s->body, 1000);
}

static void
end(struct scene *s)
{
	http_client_free(s->client);
	fake_s3_free(s->fake);
	buf_done(&s->body);
}

static int
call(struct scene *s, struct http_call c)
{
	if (c.url == NULL)
		c.url = s->url;
	if (c.method == NULL)
		c.method = "GET";
	if (c.deadline == 0)
		c.deadline = deadline_in(5000);
	if (c.response == NULL && c.sink == NULL)
		c.response = &s->body;
	return http_call(s->client, &c, &s->answer, &s->e);
}

#define CALL(s, ...) call(s, (struct http_call){ __VA_ARGS__ })

#define assert_fails(s, want, ...)                                             \
	do {                                                                   \
		assert_int_equal(CALL(s, __VA_ARGS__), -1);                    \
		if ((s)->e.kind != (want))                                     \
			fail_msg("%s: %s", err_name((s)->e.kind), (s)->e.msg); \
		assert_null(strstr((s)->e.msg, "secret"));                     \
	} while (0)

static void
reads_an_answer(void **state)
{
	static const struct fake_answer script[] = {
		{ 200, "hello",
		    "ETag: \"abc\"\r\nContent-Type: text/plain\r\n"
		    "content-encoding: zstd\r\nRetry-After: 7\r\n"
		    "Last-Modified: today \r\nX-Amz-Request-Id: 17\r\n"
		    "Date: now\r\n"
		    "x-amz-bucket-region: eu-west-1\r\n" },
		{ 404, "gone" },
	};
	struct scene s;

	(void)state;
	begin(&s, script, 2);
	assert_int_equal(CALL(&s, .method = "GET"), 0);
	assert_int_equal(s.answer.status, 200);
	assert_string_equal(buf_str(&s.body), "hello");
	assert_string_equal(s.answer.etag, "\"abc\"");
	assert_string_equal(s.answer.content_type, "text/plain");
	assert_string_equal(s.answer.content_encoding, "zstd");
	assert_string_equal(s.answer.last_modified, "today");
	assert_string_equal(s.answer.date, "now");
	assert_string_equal(s.answer.request_id, "17");
	assert_string_equal(s.answer.bucket_region, "eu-west-1");
	assert_int_equal(s.answer.retry_after_ms, 7000);
	assert_int_equal(s.answer.content_length, 5);
	assert_true(s.answer.sent);
	/* Nothing of it stays, and the connection is used again. */
	buf_reset(&s.body);
	assert_int_equal(CALL(&s, .method = "GET"), 0);
	assert_int_equal(s.answer.status, 404);
	assert_string_equal(s.answer.etag, "");
	assert_int_equal(s.answer.retry_after_ms, -1);
	assert_string_equal(buf_str(&s.body), "gone");
	assert_int_equal(fake_s3_connections(s.fake), 1);
	end(&s);
}

static void
sends_methods_and_bodies(void **state)
{
	static const struct fake_answer script[] = { { 200 }, { 200 }, { 200 },
		{ 200, "12345" }, { 204 }, { 200 }, { 200, "x" } };
	static const char *const lines[] = { "x-one: 1", "x-two:  two  2" };
	struct scene s;
	char *big = xcalloc(1, 3 << 20);

	(void)state;
	begin(&s, script, 7);
	assert_int_equal(
	    CALL(&s, .method = "PUT", .body = "data", .body_len = 4,
	        .headers = lines, .nheaders = 2, .bearer = "tok"),
	    0);
	assert_true(fake_s3_has(s.fake, 0, "PUT /a?secret=1 HTTP/1.1"));
	assert_true(fake_s3_has(s.fake, 0, "x-one: 1"));
	assert_true(fake_s3_has(s.fake, 0, "x-two:  two  2"));
	assert_true(fake_s3_has(s.fake, 0, "Content-Length: 4"));
	assert_true(fake_s3_has(s.fake, 0, "Authorization: Bearer tok"));
	assert_true(fake_s3_has(s.fake, 0, "User-Agent: test/1"));
	assert_string_equal(fake_s3_get(s.fake, 0)->body, "data");
	assert_null(strcasestr(fake_s3_get(s.fake, 0)->head, "content-type"));
	/* Nothing is left of the last call. */
	assert_int_equal(CALL(&s, .method = "PUT"), 0);
	assert_true(fake_s3_has(s.fake, 1, "Content-Length: 0"));
	assert_null(strstr(fake_s3_get(s.fake, 1)->head, "Bearer"));
	assert_null(strstr(fake_s3_get(s.fake, 1)->head, "x-one"));
	memset(big, 'b', (3 << 20) - 1);
	assert_int_equal(
	    CALL(&s, .method = "POST", .body = big, .body_len = 3 << 20), 0);
	assert_int_equal(fake_s3_get(s.fake, 2)->len, 3 << 20);
	assert_memory_equal(fake_s3_get(s.fake, 2)->body, big, 3 << 20);
	assert_null(strcasestr(fake_s3_get(s.fake, 2)->head, "expect"));
	assert_int_equal(CALL(&s, .method = "HEAD"), 0);
	assert_int_equal(s.answer.content_length, 5);
	assert_int_equal(s.body.len, 0);
	assert_int_equal(CALL(&s, .method = "DELETE"), 0);
	assert_int_equal(s.answer.status, 204);
	assert_true(fake_s3_has(s.fake, 4, "DELETE /a?secret=1 HTTP/1.1"));
	assert_int_equal(
	    CALL(&s, .method = "POST", .body = "", .body_len = 0), 0);
	assert_int_equal(CALL(&s, .method = "GET"), 0);
	assert_null(strcasestr(fake_s3_get(s.fake, 6)->head, "content-length"));
	assert_int_equal(fake_s3_connections(s.fake), 1);
	free(big);
	end(&s);
}

static void
keeps_the_path(void **state)
{
	static const struct fake_answer script[] = { { 200 } };
	struct scene s;
	char url[128];

	(void)state;
	begin(&s, script, 1);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/b/../%%2E%%3A//.",
	    fake_s3_port(s.fake));
	assert_int_equal(CALL(&s, .url = url), 0);
	assert_true(fake_s3_has(s.fake, 0, "GET /b/../%2E%3A//. HTTP/1.1"));
	end(&s);
}

static void
follows_nothing(void **state)
{
	static const struct fake_answer script[] = { { 302, "",
	    "Location: /elsewhere\r\n" } };
	struct scene s;

	(void)state;
	begin(&s, script, 1);
	assert_int_equal(CALL(&s, .method = "GET"), 0);
	assert_int_equal(s.answer.status, 302);
	assert_int_equal(fake_s3_count(s.fake), 1);
	end(&s);
}

static void
skips_interim_answers(void **state)
{
	static const struct fake_answer script[] = { { .how = FAKE_RAW,
	    .body = "HTTP/1.1 103 Early\r\nETag: \"early\"\r\n\r\n"
		    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" } };
	struct scene s;

	(void)state;
	begin(&s, script, 1);
	assert_int_equal(CALL(&s, .method = "GET"), 0);
	assert_int_equal(s.answer.status, 200);
	assert_string_equal(s.answer.etag, "");
	assert_string_equal(buf_str(&s.body), "ok");
	end(&s);
}

static void
says_when_nothing_was_sent(void **state)
{
	struct scene s;
	char url[64];

	(void)state;
	begin(&s, NULL, 0);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/?secret",
	    fake_s3_port(s.fake));
	fake_s3_free(s.fake);
	s.fake = fake_s3_new(NULL, 0, NULL, NULL);
	assert_fails(&s, ERR_UNAVAILABLE, .url = url, .body = "x",
	    .body_len = 1, .method = "PUT");
	assert_false(s.answer.sent);
	assert_fails(
	    &s, ERR_UNAVAILABLE, .url = "http://nowhere.invalid/?secret");
	assert_false(s.answer.sent);
	assert_fails(&s, ERR_INVALID, .url = "ftp://127.0.0.1/?secret");
	assert_fails(&s, ERR_INVALID, .url = "http://[::/?secret");
	assert_fails(&s, ERR_INVALID, .url = "");
	assert_fails(&s, ERR_TIMEOUT, .deadline = clock_mono_ms() - 1);
	assert_false(s.answer.sent);
	assert_fails(
	    &s, ERR_UNAVAILABLE, .url = "http://me:secret@127.0.0.1:1/");
	assert_int_equal(fake_s3_count(s.fake), 0);
	end(&s);
}

static void
refuses_bad_headers(void **state)
{
	static const char *const bad[] = { "a: b\r\nc: d", "noColon", ": x",
		"empty:", "blank:  ", "a: b\n" };
	static const char *many[HTTP_HEADERS_MAX + 1];
	struct scene s;

	(void)state;
	begin(&s, NULL, 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_fails(
		    &s, ERR_INVALID, .headers = &bad[i], .nheaders = 1);
	assert_fails(
	    &s, ERR_INVALID, .headers = many, .nheaders = HTTP_HEADERS_MAX + 1);
	assert_int_equal(fake_s3_connections(s.fake), 0);
	end(&s);
}

static void
says_when_the_answer_was_lost(void **state)
{
	static const struct fake_answer script[] = {
		{ .how = FAKE_CLOSE },
		{ 200, "first" },
		/* Over a kept connection libcurl would ask again. */
		{ .how = FAKE_CLOSE },
		{ 200, "cut", .how = FAKE_CUT },
		{ .how = FAKE_RAW, .body = "SSH-2.0-OpenSSH_9.2\r\n" },
		{ .how = FAKE_HANG },
	};
	struct scene s;

	(void)state;
	begin(&s, script, 6);
	assert_fails(&s, ERR_UNAVAILABLE, .method = "PUT");
	assert_true(s.answer.sent);
	assert_int_equal(CALL(&s, .method = "GET"), 0);
	assert_fails(
	    &s, ERR_UNAVAILABLE, .method = "POST", .body = "x", .body_len = 1);
	assert_true(s.answer.sent);
	assert_int_equal(fake_s3_count(s.fake), 3);
	assert_fails(&s, ERR_CORRUPT, .method = "GET");
	assert_fails(&s, ERR_CORRUPT, .method = "GET");
	assert_true(s.answer.sent);
	assert_fails(&s, ERR_TIMEOUT, .deadline = deadline_in(100));
	assert_true(s.answer.sent);
	assert_int_equal(fake_s3_count(s.fake), 6);
	end(&s);
}

static void
bounds_the_answer(void **state)
{
	static const struct fake_answer script[] = {
		{ 200, "0123456789", .how = FAKE_ENDLESS },
	};
	struct scene s;

	(void)state;
	begin(&s, script, 1);
	assert_fails(&s, ERR_TOO_LARGE, .method = "GET");
	assert_in_range(s.body.len, 0, 1000);
	end(&s);
}

struct counting {
	const struct http_answer *answer;
	size_t n, most;
};

static int
counting_sink(void *ctx, const void *p, size_t n, struct err *e)
{
	struct counting *c = ctx;

	(void)p;
	assert_int_equal(c->answer->status, 200);
	assert_string_equal(c->answer->etag, "\"t\"");
	c->n += n;
	return c->n > c->most ? err_set(e, ERR_CONFLICT, "enough") : 0;
}

static void
feeds_a_sink(void **state)
{
	static const struct fake_answer script[] = {
		{ 200, "0123456789", "ETag: \"t\"\r\n" },
		{ 200, "0123456789", "ETag: \"t\"\r\n", FAKE_ENDLESS },
	};
	struct scene s;
	struct counting c = { &s.answer, 0, 100000 };

	(void)state;
	begin(&s, script, 2);
	assert_int_equal(CALL(&s, .sink = counting_sink, .sink_ctx = &c), 0);
	assert_int_equal(c.n, 10);
	assert_fails(&s, ERR_CONFLICT, .sink = counting_sink, .sink_ctx = &c);
	assert_non_null(strstr(s.e.msg, "enough"));
	end(&s);
}

static volatile int cancel;

static void *
cancel_soon(void *arg)
{
	usleep(50000);
	cancel = 1;
	return arg;
}

static void
is_cancelled(void **state)
{
	static const struct fake_answer script[] = { { .how = FAKE_HANG } };
	struct scene s;
	pthread_t thread;
	int64_t begun = clock_mono_ms();

	(void)state;
	begin(&s, script, 1);
	cancel = 0;
	pthread_create(&thread, NULL, cancel_soon, NULL);
	assert_fails(&s, ERR_CANCELED, .cancel = &cancel);
	assert_in_range(clock_mono_ms() - begun, 0, 2500);
	pthread_join(thread, NULL);
	end(&s);
}

/* ---- TLS ---- */

static char dir[] = "/tmp/http-client-test-XXXXXX";
static char cert[64], key[64], other[64];

static int
make_certificates(void **state)
{
	char cmd[512];

	(void)state;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(cert, sizeof cert, "%s/cert.pem", dir);
	snprintf(other, sizeof other, "%s/other.pem", dir);
	snprintf(key, sizeof key, "%s/key.pem", dir);
	for (int i = 0; i < 2; i++) {
		snprintf(cmd, sizeof cmd,
		    "openssl req -x509 -newkey ec -pkeyopt "
		    "ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test "
		    "-addext subjectAltName=IP:127.0.0.1 -keyout %s -out %s "
		    "2>/dev/null",
		    key, i == 0 ? other : cert);
		if (system(cmd) != 0)
			return -1;
	}
	return 0;
}

static int
remove_certificates(void **state)
{
	(void)state;
	unlink(cert);
	unlink(other);
	unlink(key);
	return rmdir(dir);
}

static void
trusts_only_its_ca(void **state)
{
	static const struct fake_answer script[] = { { 200, "hello" } };
	struct http_client_options o[] = { { .ca_file = NULL },
		{ .ca_file = other }, { .ca_file = "/nonexistent" },
		{ .ca_file = cert } };
	static const enum err_kind want[] = { ERR_UNAUTHORIZED,
		ERR_UNAUTHORIZED, ERR_INTERNAL, ERR_NONE };
	struct scene s;

	(void)state;
	begin(&s, NULL, 0);
	fake_s3_free(s.fake);
	s.fake = fake_s3_new(script, 1, cert, key);
	snprintf(s.url, sizeof s.url, "https://127.0.0.1:%u/?secret",
	    fake_s3_port(s.fake));
	for (size_t i = 0; i < 4; i++) {
		http_client_free(s.client);
		s.client = http_client_new(&o[i]);
		if (want[i] != ERR_NONE) {
			assert_fails(&s, want[i], .method = "GET");
			assert_false(s.answer.sent);
		} else
			assert_int_equal(CALL(&s, .method = "GET"), 0);
	}
	assert_string_equal(buf_str(&s.body), "hello");
	assert_int_equal(fake_s3_count(s.fake), 1);
	/* The name counts too. */
	snprintf(
	    s.url, sizeof s.url, "https://localhost:%u/", fake_s3_port(s.fake));
	assert_fails(&s, ERR_UNAUTHORIZED, .method = "GET");
	end(&s);
}

static void
knows_when_to_take_a_proxy(void **state)
{
	static const struct fake_answer script[] = { { 200 }, { 200 } };
	struct http_client *direct = http_client_new(
	    &(struct http_client_options){ .user_agent = "t", .direct = 1 });
	struct scene s;
	char url[128];

	(void)state;
	begin(&s, script, 2);
	snprintf(url, sizeof url, "http://127.0.0.1:%u", fake_s3_port(s.fake));
	setenv("http_proxy", url, 1);
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	assert_int_equal(
	    call(&s, (struct http_call){ .url = "http://far.invalid/x" }), 0);
	assert_true(
	    fake_s3_has(s.fake, 0, "GET http://far.invalid/x HTTP/1.1"));
	/* Not for what is on this machine, */
	snprintf(
	    url, sizeof url, "http://a.LOCALHOST:%u/x", fake_s3_port(s.fake));
	assert_int_equal(call(&s, (struct http_call){ .url = url }), 0);
	assert_true(fake_s3_has(s.fake, 1, "GET /x HTTP/1.1"));
	/* and never if told so. */
	assert_int_equal(http_call(direct,
	                     &(struct http_call){ .method = "GET",
	                         .url = "http://far.invalid/x",
	                         .deadline = deadline_in(5000) },
	                     &s.answer, &s.e),
	    -1);
	assert_int_equal(fake_s3_count(s.fake), 2);
	unsetenv("http_proxy");
	http_client_free(direct);
	end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_answer),
		cmocka_unit_test(sends_methods_and_bodies),
		cmocka_unit_test(keeps_the_path),
		cmocka_unit_test(follows_nothing),
		cmocka_unit_test(skips_interim_answers),
		cmocka_unit_test(says_when_nothing_was_sent),
		cmocka_unit_test(refuses_bad_headers),
		cmocka_unit_test(says_when_the_answer_was_lost),
		cmocka_unit_test(bounds_the_answer),
		cmocka_unit_test(feeds_a_sink),
		cmocka_unit_test(is_cancelled),
		cmocka_unit_test(trusts_only_its_ca),
		cmocka_unit_test(knows_when_to_take_a_proxy),
	};

	return cmocka_run_group_tests(
	    tests, make_certificates, remove_certificates);
}
