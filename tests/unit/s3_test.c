#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/core/arena.h"
#include "fake_bucket.h"

/* ---- options and addresses ---- */

static int
begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static void
finds_the_address(void **state)
{
	static const struct {
		const char *endpoint, *bucket;
		enum s3_lookup lookup;
		int tls;
		const char *url;
	} cases[] = {
		{ "h", "b", S3_LOOKUP_AUTO, 1, "https://h/b/k?" },
		{ "h", "b", S3_LOOKUP_AUTO, 0, "http://h/b/k?" },
		{ "h:9000", "b", S3_LOOKUP_PATH, 0, "http://h:9000/b/k?" },
		{ "h:9000", "b", S3_LOOKUP_DNS, 0, "http://b.h:9000/k?" },
		/* The scheme wins, and its port is left out. */
		{ "http://h", "b", S3_LOOKUP_AUTO, 1, "http://h/b/k?" },
		{ "HTTPS://H.Example/", "b", S3_LOOKUP_AUTO, 0,
		    "https://h.example/b/k?" },
		{ "https://h:443/", "b", S3_LOOKUP_AUTO, 0, "https://h/b/k?" },
		{ "http://h:80", "b", S3_LOOKUP_AUTO, 0, "http://h/b/k?" },
		{ "http://h:443", "b", S3_LOOKUP_AUTO, 0, "http://h:443/b/k?" },
		{ "[::1]:9000", "b", S3_LOOKUP_AUTO, 0,
		    "http://[::1]:9000/b/k?" },
		{ "s3.amazonaws.com", "b", S3_LOOKUP_AUTO, 1,
		    "https://b.s3.amazonaws.com/k?" },
		{ "s3.amazonaws.com", "b", S3_LOOKUP_PATH, 1,
		    "https://s3.amazonaws.com/b/k?" },
		{ "storage.googleapis.com", "b", S3_LOOKUP_AUTO, 1,
		    "https://b.storage.googleapis.com/k?" },
		{ "notamazonaws.com", "b", S3_LOOKUP_AUTO, 1,
		    "https://notamazonaws.com/b/k?" },
		/* No certificate covers the dot. */
		{ "s3.amazonaws.com", "b.c", S3_LOOKUP_AUTO, 1,
		    "https://s3.amazonaws.com/b.c/k?" },
		{ "s3.amazonaws.com", "b.c", S3_LOOKUP_AUTO, 0,
		    "http://b.c.s3.amazonaws.com/k?" },
	};
	const char *url;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct s3_options o = options(cases[i].endpoint);
		o.bucket = cases[i].bucket;
		o.lookup = cases[i].lookup;
		o.use_tls = cases[i].tls;
		open_with(&o);
		ok(s3_presign_get(s3, "GET", "k", 60, arena, &url, &e));
		if (!begins(url, cases[i].url))
			fail_msg("%s: %s", cases[i].endpoint, url);
		close_it();
	}
}

/* Clients put elsewhere than we; in the bucket's own region. */
static void
sends_clients_elsewhere(void **state)
{
	static const char *const bad[] = { "cdn.example", "ftp://h",
		"https://h/path", "https://u@h", "https://" };
	const uint8_t hash[SHA256_LEN] = { 0 };
	const char *url, *headers[S3_AUTHORIZE_HEADERS_MAX];
	struct s3_options o = options("127.0.0.1:9000");
	size_t n;

	(void)state;
	o.region = "here";
	o.public_url = "https://s3.example:8443/";
	open_with(&o);
	ok(s3_authorize_put(s3,
	    &(struct s3_authorize){ .key = "k", .sha256 = hash }, arena, &url,
	    headers, &n, &e));
	assert_string_equal(url, "https://s3.example:8443/bucket/k");
	assert_non_null(strstr(headers[2], "/here/s3/"));
	ok(s3_presign_put(s3, "k", NULL, 0, 60, arena, &url, &e));
	assert_true(begins(url, "https://s3.example:8443/bucket/k?"));
	ok(s3_presign_get(s3, "GET", "k", 60, arena, &url, &e));
	assert_true(begins(url, "http://127.0.0.1:9000/bucket/k?"));
	close_it();
	o.lookup = S3_LOOKUP_DNS;
	open_with(&o);
	ok(s3_presign_put(s3, "k", NULL, 0, 60, arena, &url, &e));
	assert_true(begins(url, "https://bucket.s3.example:8443/k?"));
	close_it();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		o.public_url = bad[i];
		fails(ERR_INVALID, s3_new(&o, &s3, &e));
	}
}

static void
finds_the_region(void **state)
{
	static const struct {
		const char *endpoint, *region, *want;
	} cases[] = {
		{ "h", NULL, "us-east-1" },
		{ "h", "", "us-east-1" },
		{ "h", "garage", "garage" },
		{ "s3.amazonaws.com", "", "us-east-1" },
		{ "s3.eu-west-1.amazonaws.com", "", "eu-west-1" },
		{ "s3.dualstack.eu-west-1.amazonaws.com", "", "eu-west-1" },
		{ "s3-eu-west-1.amazonaws.com", NULL, "eu-west-1" },
		{ "s3.eu-west-1.amazonaws.com", "eu-west-2", "eu-west-2" },
	};
	const char *url;
	char want[64];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct s3_options o = options(cases[i].endpoint);
		o.region = cases[i].region;
		open_with(&o);
		ok(s3_presign_get(s3, "GET", "k", 60, arena, &url, &e));
		snprintf(want, sizeof want, "%%2F%s%%2Fs3%%2F", cases[i].want);
		if (strstr(url, want) == NULL)
			fail_msg("%s: %s", cases[i].endpoint, url);
		close_it();
	}
}

static void
refuses_bad_options(void **state)
{
	static const char *const endpoints[] = { NULL, "", "http://",
		"h:", "h:0x50", "h:65536", "h:80:80", "h/path", "http://h/path",
		"ftp://h", "h?q", "verySecret:verySecret@h", "::1", "[::1",
		"[h]", "h h", "h\r\n" };
	static const char *const buckets[] = { NULL, "", "a/b", "..", "a?b",
		"a b", "a\n" };
	struct secret empty = { NULL, 0 }, space = { NULL, 0 },
	              longer = { NULL, 0 };
	struct s3_options o;
	char many[300];

	(void)state;
	memset(many, 'x', sizeof many);
	s3 = NULL;
	ok(secret_set(&space, "verySecret\r\nx: y", 16, &e));
	ok(secret_set(&longer, many, sizeof many, &e));
	for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
		o = options(endpoints[i]);
		fails(ERR_INVALID, s3_new(&o, &s3, &e));
	}
	for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++) {
		o = options("h");
		o.bucket = buckets[i];
		fails(ERR_INVALID, s3_new(&o, &s3, &e));
	}
	o = options("h");
	o.access_key = NULL;
	fails(ERR_INVALID, s3_new(&o, &s3, &e));
	o = options("h");
	o.secret_key = &empty;
	fails(ERR_INVALID, s3_new(&o, &s3, &e));
	o.secret_key = &space;
	fails(ERR_INVALID, s3_new(&o, &s3, &e));
	o.secret_key = &longer;
	fails(ERR_INVALID, s3_new(&o, &s3, &e));
	o = options("h");
	o.session_token = &space;
	fails(ERR_INVALID, s3_new(&o, &s3, &e));
	assert_null(s3);
	secret_done(&space);
	secret_done(&longer);
}

static void
refuses_bad_keys(void **state)
{
	char key[1026];
	const char *url, *headers[S3_AUTHORIZE_HEADERS_MAX];
	uint8_t hash[SHA256_LEN] = { 0 };
	size_t n;

	begin({ 200 });
	memset(key, 'k', sizeof key);
	key[1025] = '\0';
	fails(ERR_INVALID, put("", 0, soon()));
	fails(ERR_INVALID, put(key, 0, soon()));
	fails(ERR_INVALID, s3_presign_get(s3, "GET", key, 60, arena, &url, &e));
	fails(ERR_INVALID,
	    s3_authorize_put(s3,
	        &(struct s3_authorize){ .key = "", .sha256 = hash }, arena,
	        &url, headers, &n, &e));
	key[1024] = '\0';
	ok(put(key, 0, soon()));
	end(1);
}

static void
trusts_no_strange_certificate(void **state)
{
	static const struct fake_answer script[] = { { 200 } };
	struct fake_cert made;
	char endpoint[64];
	struct s3_options o;

	(void)state;
	fake_cert_make(&made);
	fake = fake_s3_new(script, 1, made.cert, made.key);
	snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", fake_s3_port(fake));
	o = options(endpoint);
	o.use_tls = 1;
	open_with(&o);
	fails(ERR_UNAUTHORIZED, put("k", 0, soon()));
	assert_int_equal(counts().retries, 0);
	close_it();
	o.ca_file = made.cert;
	open_with(&o);
	ok(put("k", 0, soon()));
	fake_cert_drop(&made);
	end(1);
}

/* ---- requests ---- */

static void
sends_what_it_signed(void **state)
{
	struct secret token = { NULL, 0 };
	struct s3_options o;
	const char *head;
	char endpoint[64];

	begin({ 200 });
	close_it();
	ok(secret_set(&token, TOKEN, strlen(TOKEN), &e));
	snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", fake_s3_port(fake));
	o = options(endpoint);
	o.session_token = &token;
	open_with(&o);
	ok(s3_put(conn,
	    &(struct s3_put){ .key = "realisations/sha256:0!out.doi",
	        .data = "hello",
	        .len = 5,
	        .content_type = "text/plain",
	        .content_encoding = "zstd",
	        .if_none_match = 1 },
	    soon(), &e));
	assert_true(fake_s3_has(
	    fake, 0, "PUT /bucket/realisations/sha256%3A0%21out.doi HTTP/1.1"));
	assert_true(fake_s3_has(fake, 0, "content-type: text/plain"));
	assert_true(fake_s3_has(fake, 0, "content-encoding: zstd"));
	assert_true(fake_s3_has(fake, 0, "if-none-match: *"));
	assert_true(fake_s3_has(fake, 0, "Content-Length: 5"));
	assert_true(fake_s3_has(fake, 0, "x-amz-security-token: " TOKEN));
	assert_true(fake_s3_has(fake, 0,
	    "x-amz-content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e"
	    "1b161e5c1fa7425e73043362938b9824"));
	head = fake_s3_get(fake, 0)->head;
	assert_non_null(strstr(head, "Credential=" ACCESS "/"));
	assert_non_null(strstr(head,
	    "SignedHeaders=content-encoding;content-type;host;if-none-match;"
	    "x-amz-content-sha256;x-amz-date;x-amz-security-token, "));
	assert_null(strstr(head, SECRET));
	assert_string_equal(fake_s3_get(fake, 0)->body, "hello");
	secret_done(&token);
	end(1);
}

static void
asks_again_after_a_failure(void **state)
{
	begin({ 500, FAULT("InternalError") }, { 200 }, { 502 }, { 200 },
	    { 504, "<html>" }, { 200 }, { 400, FAULT("RequestTimeout") },
	    { 200 }, { 409, FAULT("OperationAborted") }, { 200 },
	    { .how = FAKE_CLOSE }, { 200 });
	for (size_t i = 1; i < 12; i += 2) {
		ok(put("k", 0, soon()));
		/* The whole request is sent each time. */
		assert_string_equal(fake_s3_get(fake, i)->body, "hello");
	}
	assert_int_equal(counts().retries, 6);
	assert_int_equal(counts().requests, 12);
	assert_int_equal(counts().bytes_out, 60);
	assert_int_equal(counts().throttled, 0);
	assert_true(s3_rate_get(&s3->rate) == 0);
	end(12);
}

static void
does_not_ask_again_when_refused(void **state)
{
	static const enum err_kind want[] = { ERR_FORBIDDEN, ERR_FORBIDDEN,
		ERR_INVALID, ERR_INTERNAL, ERR_TOO_LARGE, ERR_INVALID,
		ERR_INVALID };

	begin({ 403, FAULT("AccessDenied") }, { 403 },
	    { 400, FAULT("Strange") }, { 404, FAULT("NoSuchBucket") },
	    { 400, FAULT("EntityTooLarge") }, { 501 },
	    { 301, FAULT("PermanentRedirect") });
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		fails(want[i], put("k", 0, soon()));
	assert_non_null(strstr(e.msg, "PUT k: PermanentRedirect: m"));
	assert_string_not_equal(e.hint, "");
	assert_int_equal(counts().retries, 0);
	end(7);
}

static struct {
	unsigned n;
	enum s3_op op[16];
	enum err_kind result[16];
} tries;

static void
on_tried(void *ctx, enum s3_op op, enum err_kind result, int64_t us)
{
	assert_ptr_equal(ctx, &tries);
	assert_true(us >= 0 && tries.n < 16);
	tries.op[tries.n] = op;
	tries.result[tries.n++] = result;
}

/* Each try is told of, with what was asked and what came of it. */
static void
tells_of_tries(void **state)
{
	static const struct fake_answer script[] = {
		{ 500, FAULT("InternalError") },
		{ 200 },
		{ 503, FAULT("SlowDown") },
		{ 200 },
		{ 412, FAULT("PreconditionFailed") },
		{ 404 },
		{ .how = FAKE_CLOSE },
		{ 404, FAULT("NoSuchUpload") },
	};
	static const struct {
		enum s3_op op;
		enum err_kind result;
	} want[] = {
		{ S3_OP_PUT, ERR_UNAVAILABLE },
		{ S3_OP_PUT, ERR_NONE },
		{ S3_OP_PUT, ERR_THROTTLED },
		{ S3_OP_PUT, ERR_NONE },
		{ S3_OP_PUT, ERR_CONFLICT },
		{ S3_OP_HEAD, ERR_NOT_FOUND },
		{ S3_OP_MPU_ABORT, ERR_UNAVAILABLE },
		{ S3_OP_MPU_ABORT, ERR_NOT_FOUND },
	};
	struct s3_options o;
	struct s3_stat stat;
	char endpoint[64];

	(void)state;
	tries.n = 0;
	fake = fake_s3_new(script, 8, NULL, NULL);
	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u",
	    fake_s3_port(fake));
	o = options(endpoint);
	o.tried = on_tried;
	o.ctx = &tries;
	open_with(&o);
	ok(put("k", 0, soon()));
	ok(put("k", 0, soon()));
	forget_rate();
	fails(ERR_CONFLICT, put("k", 1, soon()));
	fails(ERR_NOT_FOUND, s3_head(conn, "k", soon(), &stat, &e));
	ok(s3_mpu_abort(conn, "k", "u", soon(), &e));
	assert_int_equal(tries.n, 8);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(tries.op[i], want[i].op);
		assert_int_equal(tries.result[i], want[i].result);
	}
	assert_int_equal(counts().requests, 8);
	end(8);
}

static void
slows_down(void **state)
{
	begin({ 503, FAULT("SlowDown") }, { 200 }, { 429 }, { 503, "<html>" });
	ok(put("k", 1, soon())); /* not carried out, so safe to repeat */
	assert_int_equal(counts().throttled, 1);
	/* At the floor, and one success above it. */
	assert_true(s3_rate_get(&s3->rate) > S3_RATE_MIN);
	assert_true(s3_rate_get(&s3->rate) < S3_RATE_MIN + 1);
	forget_rate();
	fails(ERR_THROTTLED, put("k", 1, deadline_in(60)));
	assert_int_equal(counts().throttled, 2);
	assert_true(s3_rate_get(&s3->rate) > 0);
	forget_rate();
	fails(ERR_UNAVAILABLE, put("k", 0, deadline_in(60)));
	assert_int_equal(counts().throttled, 3);
	assert_true(s3_rate_get(&s3->rate) > 0);
	end(4);
}

static void
gives_up_at_the_deadline(void **state)
{
	int64_t begun;

	begin({ 503, FAULT("SlowDown"), "Retry-After: 60\r\n" },
	    { .how = FAKE_HANG });
	/* Waiting would be too long: it says so at once. */
	begun = clock_mono_ms();
	fails(ERR_THROTTLED, put("k", 0, soon()));
	assert_in_range(clock_mono_ms() - begun, 0, 1000);
	forget_rate();
	begun = clock_mono_ms();
	fails(ERR_TIMEOUT, put("k", 0, deadline_in(200)));
	assert_in_range(clock_mono_ms() - begun, 190, 1000);
	/* Nobody is left to ask, and no time to be admitted. */
	fails(ERR_TIMEOUT, put("k", 0, deadline_in(0)));
	s3_rate_done(&s3->rate);
	s3_rate_init(&s3->rate, 0.1);
	assert_int_equal(s3_rate_take(&s3->rate, clock_mono_us(), 0), 0);
	fails(ERR_THROTTLED, put("k", 0, deadline_in(100)));
	end(2);
}

static void
waits_as_long_as_it_is_told(void **state)
{
	int64_t begun = clock_mono_ms();
	struct s3_reply last = { .http.retry_after_ms = 150 };

	begin({ 200 });
	assert_int_equal(s3_pause(conn, 0, &last, soon()), 0);
	assert_in_range(clock_mono_ms() - begun, 150, 1000);
	begun = clock_mono_ms();
	last.http.retry_after_ms = 6000;
	assert_int_equal(s3_pause(conn, 0, &last, soon()), -1);
	assert_in_range(clock_mono_ms() - begun, 0, 100);
	end(0);
}

/* A refusal says nothing of an earlier try whose answer was lost. */
static void
stays_unsure(void **state)
{
	begin({ .how = FAKE_CLOSE }, { 403, FAULT("AccessDenied") });
	fails(ERR_UNAVAILABLE, put("k", 0, soon()));
	assert_non_null(strstr(e.msg, "AccessDenied"));
	end(2);
}

static void
repeats_no_secret(void **state)
{
	struct secret token = { NULL, 0 };
	struct s3_options o;
	char endpoint[64];

	begin({ 400,
	    "<Error><Code>InvalidToken</Code><Message>bad token: " TOKEN
	    "</Message></Error>" });
	close_it();
	ok(secret_set(&token, TOKEN, strlen(TOKEN), &e));
	snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", fake_s3_port(fake));
	o = options(endpoint);
	o.session_token = &token;
	open_with(&o);
	fails(ERR_FORBIDDEN, put("k", 0, soon()));
	assert_non_null(strstr(e.msg, "InvalidToken"));
	secret_done(&token);
	end(1);
}

/* ---- conditional put ---- */

static void
tells_who_was_first(void **state)
{
	begin({ 412, FAULT("PreconditionFailed") },
	    { 409, FAULT("ConditionalRequestConflict") }, { 200 },
	    /* Lost, and then there is: */
	    { .how = FAKE_CLOSE }, { 200, "other" }, { .how = FAKE_CLOSE },
	    { 200, "hello, world" }, { .how = FAKE_CLOSE }, { 200, "hell" },
	    { .how = FAKE_CLOSE }, { 200, "hello" }, { .how = FAKE_CLOSE },
	    { 404, FAULT("NoSuchKey") }, { 500, FAULT("InternalError") },
	    { 403, FAULT("AccessDenied") });
	fails(ERR_CONFLICT, put("k", 1, soon()));
	ok(put("k", 1, soon()));
	fails(ERR_CONFLICT, put("k", 1, soon()));
	fails(ERR_CONFLICT, put("k", 1, soon()));
	fails(ERR_CONFLICT, put("k", 1, soon()));
	fails(ERR_UNAVAILABLE, put("k", 1, soon()));
	fails(ERR_UNAVAILABLE, put("k", 1, soon()));
	fails(ERR_UNAVAILABLE, put("k", 1, soon()));
	end(15);
}

/* ---- head ---- */

static void
knows_key_from_bucket(void **state)
{
	struct s3_stat st = { .size = 7 };

	begin({ 404 }, { 200 }, { 404 }, /* the bucket is known now */
	    { 404 }, { 404 }, { 404 }, { 403 },
	    { 200, "12345", "ETag: \"abc\"\r\n" });
	fails(ERR_NOT_FOUND, s3_head(conn, "k", soon(), &st, &e));
	assert_true(fake_s3_has(fake, 0, "HEAD /bucket/k HTTP/1.1"));
	assert_true(fake_s3_has(fake, 1, "HEAD /bucket/ HTTP/1.1"));
	fails(ERR_NOT_FOUND, s3_head(conn, "k", soon(), &st, &e));
	assert_int_equal(fake_s3_count(fake), 3);
	s3->seen_ms = clock_mono_ms() - 60000; /* was long ago */
	fails(ERR_INTERNAL, s3_head(conn, "k", soon(), &st, &e));
	fails(ERR_FORBIDDEN, s3_head(conn, "k", soon(), &st, &e));
	assert_int_equal(st.size, 7);
	ok(s3_head(conn, "k", soon(), &st, &e));
	assert_int_equal(st.size, 5);
	assert_string_equal(st.etag, "abc");
	end(8);
}

static void
checks_the_bucket(void **state)
{
	begin({ 200 }, { 404 }, { 403 }, { .how = FAKE_HANG });
	ok(s3_bucket_check(conn, soon(), &e));
	fails(ERR_NOT_FOUND, s3_bucket_check(conn, soon(), &e));
	fails(ERR_FORBIDDEN, s3_bucket_check(conn, soon(), &e));
	fails(ERR_TIMEOUT, s3_bucket_check(conn, deadline_in(100), &e));
	end(4);
}

static void
tells_the_servers_clock(void **state)
{
	static char date[64];
	time_t later = time(NULL) + 100;
	struct tm tm;
	int64_t ahead_s = 7;

	(void)state;
	strftime(date, sizeof date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
	    gmtime_r(&later, &tm));
	/* Also of one that does not let us in. */
	begin({ 200, NULL, date }, { 403, NULL, date }, { 200 },
	    { 200, NULL, "Date: soon\r\n" }, { .how = FAKE_HANG });
	ok(s3_clock(conn, soon(), &ahead_s, &e));
	assert_in_range(ahead_s, 90, 100);
	ahead_s = 7;
	ok(s3_clock(conn, soon(), &ahead_s, &e));
	assert_in_range(ahead_s, 90, 100);
	fails(ERR_CORRUPT, s3_clock(conn, soon(), &ahead_s, &e));
	fails(ERR_CORRUPT, s3_clock(conn, soon(), &ahead_s, &e));
	fails(ERR_TIMEOUT, s3_clock(conn, deadline_in(100), &ahead_s, &e));
	assert_in_range(ahead_s, 90, 100); /* untouched */
	end(5);
}

/* ---- get ---- */

static void
goes_on_where_it_broke_off(void **state)
{
	struct buf b;

	begin({ 200, "hello ", "ETag: \"t\"\r\n", FAKE_CUT },
	    { 206, "wor", "ETag: \"t\"\r\n", FAKE_CUT },
	    { 500, FAULT("InternalError") }, { 206, "ld", "ETag: \"t\"\r\n" });
	buf_init(&b, 100);
	ok(buf_puts(&b, "> ", &e));
	ok(s3_get(conn, "k", 0, 0, &b, NULL, NULL, soon(), &e));
	assert_string_equal(buf_str(&b), "> hello world");
	assert_null(strstr(fake_s3_get(fake, 0)->head, "range"));
	assert_true(fake_s3_has(fake, 1, "range: bytes=6-"));
	assert_true(fake_s3_has(fake, 1, "if-match: \"t\""));
	assert_true(fake_s3_has(fake, 3, "range: bytes=9-"));
	buf_done(&b);
	end(4);
}

static void
goes_on_within_a_range(void **state)
{
	struct buf b;

	begin({ 206, "cd", "ETag: \"t\"\r\n", FAKE_CUT },
	    { 206, "ef", "ETag: \"t\"\r\n" });
	buf_init(&b, 100);
	ok(s3_get(conn, "k", 2, 5, &b, NULL, NULL, soon(), &e));
	assert_string_equal(buf_str(&b), "cdef");
	assert_true(fake_s3_has(fake, 0, "range: bytes=2-5"));
	assert_true(fake_s3_has(fake, 1, "range: bytes=4-5"));
	buf_done(&b);
	end(2);
}

static int
refusing_sink(void *ctx, const void *p, size_t n, struct err *why)
{
	(void)ctx, (void)p, (void)n;
	return err_set(why, ERR_UNAVAILABLE, "the reader went away");
}

static void
does_not_mix_objects(void **state)
{
	struct buf b;

	begin({ 200, "hello ", "ETag: \"t\"\r\n", FAKE_CUT },
	    { 412, FAULT("PreconditionFailed") },
	    /* Range is ignored. */
	    { 200, "hello ", "ETag: \"t\"\r\n", FAKE_CUT },
	    { 200, "hello world", "ETag: \"t\"\r\n" }, { 200, "hello world" },
	    { 206, "more than asked" },
	    /* No tag. */
	    { 200, "hello ", .how = FAKE_CUT },
	    /* No S3. */
	    { 404, "<html>Not Found</html>" }, { 404, FAULT("NoSuchKey") },
	    { 200, "12345678901" }, { 200, "x" });
	buf_init(&b, 10);
	ok(buf_puts(&b, "> ", &e));
	fails(
	    ERR_CONFLICT, s3_get(conn, "k", 0, 0, &b, NULL, NULL, soon(), &e));
	fails(ERR_CORRUPT, s3_get(conn, "k", 0, 0, &b, NULL, NULL, soon(), &e));
	fails(ERR_CORRUPT, s3_get(conn, "k", 0, 4, &b, NULL, NULL, soon(), &e));
	fails(ERR_CORRUPT, s3_get(conn, "k", 0, 4, &b, NULL, NULL, soon(), &e));
	fails(ERR_UNAVAILABLE,
	    s3_get(conn, "k", 0, 0, &b, NULL, NULL, soon(), &e));
	fails(
	    ERR_NOT_FOUND, s3_get(conn, "k", 0, 0, &b, NULL, NULL, soon(), &e));
	/* The caller's own limit, and the caller's own trouble. */
	fails(
	    ERR_TOO_LARGE, s3_get(conn, "k", 0, 0, &b, NULL, NULL, soon(), &e));
	fails(ERR_UNAVAILABLE,
	    s3_get(conn, "k", 0, 0, NULL, refusing_sink, NULL, soon(), &e));
	fails(ERR_INVALID, s3_get(conn, "k", 5, 4, &b, NULL, NULL, soon(), &e));
	assert_string_equal(buf_str(&b), "> ");
	buf_done(&b);
	end(11);
}

/* ---- delete ---- */

#define DELETED(key) "<Deleted><Key>" key "</Key></Deleted>"
#define NOT_DELETED(key, code)                 \
	"<Error><Key>" key "</Key><Code>" code \
	"</Code><Message>m</Message></Error>"
#define RESULT(x) "<DeleteResult>" x "</DeleteResult>"

static void
reports_each_key(void **state)
{
	static const char *const keys[] = { "gone", "denied", "slow", "absent",
		"silent", "a&b<c>", "odd", "gone" };
	static const struct {
		enum s3_deleted state;
		const char *message;
	} want[] = {
		{ S3_DELETED, NULL },
		{ S3_DELETE_REFUSED, "AccessDenied m" },
		{ S3_DELETE_UNKNOWN, "SlowDown m" },
		{ S3_DELETED, NULL },
		{ S3_DELETE_UNKNOWN, "the server said nothing about this key" },
		{ S3_DELETED, NULL },
		{ S3_DELETE_UNKNOWN, "Strange m" },
		{ S3_DELETED, NULL },
	};
	struct s3_delete_result r[8];
	const struct fake_request *q;

	begin({ 200,
	    RESULT(DELETED("gone") NOT_DELETED("denied", "AccessDenied")
	            NOT_DELETED("slow", "SlowDown") NOT_DELETED("absent",
	                "NoSuchKey") DELETED("a&amp;b&lt;"
	                                     "c&gt;") DELETED("never asked for")
	                NOT_DELETED("odd", "Strange")) });
	ok(s3_delete(conn, keys, 8, arena, r, soon(), &e));
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(r[i].state, want[i].state);
		if (want[i].message != NULL)
			assert_string_equal(r[i].message, want[i].message);
		else
			assert_null(r[i].message);
	}
	assert_true(s3_rate_get(&s3->rate) > 0); /* SlowDown, for one key */
	q = fake_s3_get(fake, 0);
	assert_true(fake_s3_has(fake, 0, "POST /bucket/?delete= HTTP/1.1"));
	assert_string_equal(q->body,
	    "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
	    "<Object><Key>gone</Key></Object><Object><Key>denied</Key></Object>"
	    "<Object><Key>slow</Key></Object><Object><Key>absent</Key></Object>"
	    "<Object><Key>silent</Key></Object>"
	    "<Object><Key>a&#38;b&#60;c&#62;</Key></Object>"
	    "<Object><Key>odd</Key></Object></Delete>");
	assert_non_null(strstr(q->head, "\r\ncontent-md5: "));
	end(1);
}

static void
deletes_singly_if_it_must(void **state)
{
	static const char *const keys[] = { "a", "b", "c\x01" };
	struct s3_delete_result r[3];

	begin({ 501 }, { 204 }, { 403, FAULT("AccessDenied") },
	    { 404, FAULT("NoSuchKey") }, { 400, FAULT("MalformedXML") },
	    { 204 }, { 204 }, { 204 }, { 405, FAULT("MethodNotAllowed") },
	    { 204 }, { 204 }, { 204 },
	    { 200, RESULT(DELETED("a") DELETED("b")) }, { 204 });
	ok(s3_delete(conn, keys, 3, arena, r, soon(), &e));
	assert_true(fake_s3_has(fake, 1, "DELETE /bucket/a HTTP/1.1"));
	assert_true(fake_s3_has(fake, 3, "DELETE /bucket/c%01 HTTP/1.1"));
	assert_int_equal(r[0].state, S3_DELETED);
	assert_int_equal(r[1].state, S3_DELETE_REFUSED);
	assert_non_null(strstr(r[1].message, "AccessDenied"));
	assert_int_equal(r[2].state, S3_DELETED);
	for (int round = 0; round < 3; round++) {
		ok(s3_delete(conn, keys, 3, arena, r, soon(), &e));
		for (int i = 0; i < 3; i++)
			assert_int_equal(r[i].state, S3_DELETED);
	}
	end(14);
}

static void
knows_nothing_without_an_answer(void **state)
{
	static const char *const keys[] = { "a", "b" };
	struct s3_delete_result r[2];

	begin({ 403, FAULT("AccessDenied") }, { 503, FAULT("SlowDown") },
	    { 200, RESULT(DELETED("b")) },
	    { 200, RESULT(DELETED("a")), .how = FAKE_CUT },
	    { 200, "<DeleteResult>" DELETED("a") },
	    { 200, FAULT("InternalError") }, { .how = FAKE_CLOSE });
	fails(ERR_FORBIDDEN, s3_delete(conn, keys, 2, arena, r, soon(), &e));
	assert_int_equal(r[0].state, S3_DELETE_UNKNOWN);
	/* What was not begun is asked for again. */
	ok(s3_delete(conn, keys, 2, arena, r, soon(), &e));
	assert_int_equal(r[0].state, S3_DELETE_UNKNOWN);
	assert_int_equal(r[1].state, S3_DELETED);
	/* What may be under way is not. */
	for (int i = 0; i < 4; i++) {
		fails(ERR_UNAVAILABLE,
		    s3_delete(conn, keys, 2, arena, r, soon(), &e));
		assert_int_equal(r[0].state, S3_DELETE_UNKNOWN);
		assert_int_equal(r[1].state, S3_DELETE_UNKNOWN);
	}
	/* No keys, no request. */
	ok(s3_delete(conn, keys, 0, arena, r, soon(), &e));
	fails(ERR_INVALID,
	    s3_delete(conn, keys, S3_DELETE_MAX + 1, arena, r, soon(), &e));
	end(7);
}

/* ---- list ---- */

#define LIST(x) "<ListBucketResult>" x "</ListBucketResult>"
#define ITEM(key, size)                                                      \
	"<Contents><Key>" key "</Key><LastModified>2026-01-02T03:04:05.678Z" \
	"</LastModified><ETag>&quot;e&quot;</ETag><Size>" size               \
	"</Size><Owner><ID>i</ID></Owner></Contents>"

static void
lists(void **state)
{
	struct s3_list l;

	begin({ 200,
	          LIST("<Name>bucket</Name><Prefix/><IsTruncated>true"
	               "</IsTruncated><NextContinuationToken>t+/=&amp;"
	               "</NextContinuationToken>" ITEM("a%2Bb+c%3A", "5")
	                   ITEM("d", "18446744073709551") "<EncodingType>url"
	                                                  "</EncodingType>") },
	    { 200, LIST("<IsTruncated>false</IsTruncated>" ITEM("e%2B", "0")) },
	    { 200, LIST("") });
	ok(s3_list(conn, "p/", NULL, 2, arena, &l, soon(), &e));
	assert_int_equal(l.n, 2);
	assert_string_equal(l.items[0].key, "a+b c:");
	assert_int_equal(l.items[0].size, 5);
	assert_int_equal(l.items[0].modified_s, 1767323045);
	assert_string_equal(l.items[0].etag, "e");
	assert_int_equal(l.items[1].size, 18446744073709551);
	assert_string_equal(l.next, "t+/=&");
	assert_true(fake_s3_has(fake, 0,
	    "GET /bucket/?encoding-type=url"
	    "&list-type=2&max-keys=2&prefix=p%2F HTTP/1.1"));
	ok(s3_list(conn, NULL, l.next, 2, arena, &l, soon(), &e));
	assert_true(fake_s3_has(fake, 1,
	    "GET /bucket/?continuation-token="
	    "t%2B%2F%3D%26&encoding-type=url&list-type=2&max-keys=2&prefix="
	    " HTTP/1.1"));
	/* Not said to be escaped, so it is not. */
	assert_string_equal(l.items[0].key, "e%2B");
	assert_null(l.next);
	ok(s3_list(conn, "", NULL, 1000, arena, &l, soon(), &e));
	assert_int_equal(l.n, 0);
	end(3);
}

static void
distrusts_lists(void **state)
{
	static const char *const bad[] = {
		LIST("<IsTruncated>true</IsTruncated>"),
		LIST(ITEM("a", "1") ITEM("b", "2")),
		LIST(ITEM("a", "-1")),
		LIST(ITEM("a", "99999999999999999999")),
		LIST("<Contents><Size>1</Size></Contents>"),
		LIST("<EncodingType>url</EncodingType>" ITEM("%0", "1")),
		LIST("<Contents><LastModified>now</LastModified></Contents>"),
		"<ListBucketResult>",
		"",
		"<html/>",
		FAULT("InternalError"),
	};
	struct fake_answer script[sizeof bad / sizeof *bad];
	size_t n = sizeof bad / sizeof *bad;
	struct s3_list l = { .n = 99 };

	(void)state;
	for (size_t i = 0; i < n; i++)
		script[i] =
		    (struct fake_answer){ 200, bad[i], "Retry-After: 60\r\n" };
	begin_n(script, n);
	for (size_t i = 0; i < n; i++)
		fails(ERR_UNAVAILABLE,
		    s3_list(conn, "", NULL, 1, arena, &l, soon(), &e));
	assert_int_equal(l.n, 99);
	fails(ERR_INVALID, s3_list(conn, "", NULL, 0, arena, &l, soon(), &e));
	fails(
	    ERR_INVALID, s3_list(conn, "", NULL, 1001, arena, &l, soon(), &e));
	end(n);
}

static void
bounds_answers(void **state)
{
	static char much[65537];
	struct s3_list l;
	struct arena *small = arena_new(100);
	const char *id;
	struct fake_answer script[] = {
		{ 200, much, .how = FAKE_ENDLESS },
		{ 200,
		    LIST("<IsTruncated>true</IsTruncated>"
		         "<NextContinuationToken>t</NextContinuationToken>") },
		{ 200, much, .how = FAKE_ENDLESS },
	};

	(void)state;
	memset(much, ' ', sizeof much - 1);
	begin_n(script, 3);
	fails(
	    ERR_TOO_LARGE, s3_list(conn, "", NULL, 10, arena, &l, soon(), &e));
	fails(
	    ERR_TOO_LARGE, s3_list(conn, "", NULL, 10, small, &l, soon(), &e));
	fails(
	    ERR_UNAVAILABLE, s3_list(conn, "", "t", 10, arena, &l, soon(), &e));
	/* Something may have been done, so it is unknown, not refused. */
	fails(ERR_UNAVAILABLE,
	    s3_mpu_create(conn, "k", NULL, arena, &id, soon(), &e));
	arena_free(small);
	end(3);
}

/* ---- multipart ---- */

#define CREATED(id)                                    \
	"<InitiateMultipartUploadResult><UploadId>" id \
	"</UploadId></InitiateMultipartUploadResult>"

static void
creates_once(void **state)
{
	const char *id = "untouched";

	begin({ 503, FAULT("SlowDown") }, { 200, CREATED("id+/=") },
	    { .how = FAKE_CLOSE }, { 500, FAULT("InternalError") },
	    { 200, CREATED("") }, { 200, "<html/>" },
	    { 200, "<InitiateMultipartUploadResult/>" });
	ok(s3_mpu_create(conn, "k", "text/plain", arena, &id, soon(), &e));
	assert_string_equal(id, "id+/=");
	assert_true(fake_s3_has(fake, 1, "POST /bucket/k?uploads= HTTP/1.1"));
	assert_true(fake_s3_has(fake, 1, "content-type: text/plain"));
	forget_rate();
	id = "untouched";
	for (int i = 0; i < 5; i++)
		fails(ERR_UNAVAILABLE,
		    s3_mpu_create(conn, "k", NULL, arena, &id, soon(), &e));
	assert_string_equal(id, "untouched");
	end(7);
}

static void
puts_parts(void **state)
{
	char etag[256] = "untouched";

	begin({ 500 }, { 200, "", "ETag: \"abc\"\r\n" }, { 200 },
	    { 404, FAULT("NoSuchUpload") });
	ok(s3_mpu_put_part(conn, "k", "i d", 7, "x", 1, etag, soon(), &e));
	assert_string_equal(etag, "abc");
	assert_true(fake_s3_has(
	    fake, 1, "PUT /bucket/k?partNumber=7&uploadId=i%20d HTTP/1.1"));
	fails(ERR_UNAVAILABLE,
	    s3_mpu_put_part(conn, "k", "id", 7, "x", 1, etag, soon(), &e));
	fails(ERR_NOT_FOUND,
	    s3_mpu_put_part(conn, "k", "id", 7, "x", 1, etag, soon(), &e));
	assert_string_equal(etag, "abc");
	end(4);
}

#define COMPLETED                                \
	"<CompleteMultipartUploadResult><ETag/>" \
	"</CompleteMultipartUploadResult>"
#define PARTS(x) "<ListPartsResult>" x "</ListPartsResult>"

static int
complete(void)
{
	static const struct s3_part parts[] = { { 10, "\"c\"" }, { 2, "b" },
		{ 1, "a&" } };

	return s3_mpu_complete(conn, "k", "id", parts, 3, soon(), &e);
}

static void
completes(void **state)
{
	static const struct s3_part bad[][2] = { { { 0, "a" }, { 1, "b" } },
		{ { 1, "a" }, { 1, "b" } }, { { 10001, "a" }, { 1, "b" } } };

	begin({ 200, "  \n " COMPLETED },
	    /* An error behind a status of 200; the upload is still there. */
	    { 200, FAULT("InternalError") }, { 200, PARTS("") },
	    { 200, COMPLETED }, { 200, FAULT("InvalidPart") },
	    { 404, FAULT("NoSuchUpload") });
	ok(complete());
	assert_true(
	    fake_s3_has(fake, 0, "POST /bucket/k?uploadId=id HTTP/1.1"));
	assert_string_equal(fake_s3_get(fake, 0)->body,
	    "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/"
	    "2006-03-01/\"><Part><PartNumber>1</PartNumber><ETag>\"a&#38;\""
	    "</ETag></Part><Part><PartNumber>2</PartNumber><ETag>\"b\"</ETag>"
	    "</Part><Part><PartNumber>10</PartNumber><ETag>\"c\"</ETag></Part>"
	    "</CompleteMultipartUpload>");
	ok(complete());
	assert_string_equal(
	    fake_s3_get(fake, 3)->body, fake_s3_get(fake, 0)->body);
	fails(ERR_INVALID, complete());
	fails(ERR_NOT_FOUND, complete());
	for (int i = 0; i < 3; i++)
		fails(ERR_INVALID,
		    s3_mpu_complete(conn, "k", "id", bad[i], 2, soon(), &e));
	fails(
	    ERR_INVALID, s3_mpu_complete(conn, "k", "id", NULL, 0, soon(), &e));
	end(6);
}

static void
is_unsure_of_uploads_that_are_gone(void **state)
{
	begin({ .how = FAKE_CLOSE }, { 404, FAULT("NoSuchUpload") },
	    { 500, FAULT("InternalError") }, { 404, FAULT("NoSuchKey") },
	    { 200, "" }, { 404, FAULT("NoSuchUpload") },
	    { 200, COMPLETED, .how = FAKE_CUT }, { 200, PARTS("") },
	    { 404, FAULT("NoSuchUpload") });
	for (int i = 0; i < 4; i++)
		fails(ERR_UNAVAILABLE, complete());
	/* It looked for the upload, and did not try in vain. */
	for (size_t i = 1; i < 8; i += 2)
		assert_true(fake_s3_has(
		    fake, i, "GET /bucket/k?max-parts=1&uploadId=id HTTP/1.1"));
	end(9);
}

static void
aborts(void **state)
{
	begin({ 204 }, { 404, FAULT("NoSuchUpload") }, { 500 }, { 204 },
	    { 404, FAULT("NoSuchBucket") }, { 403, FAULT("AccessDenied") });
	ok(s3_mpu_abort(conn, "k", "id", soon(), &e));
	ok(s3_mpu_abort(conn, "k", "id", soon(), &e));
	ok(s3_mpu_abort(conn, "k", "id", soon(), &e));
	fails(ERR_INTERNAL, s3_mpu_abort(conn, "k", "id", soon(), &e));
	fails(ERR_FORBIDDEN, s3_mpu_abort(conn, "k", "id", soon(), &e));
	end(6);
}

#define PART(n, etag, size)                                 \
	"<Part><PartNumber>" n "</PartNumber><ETag>\"" etag \
	"\"</ETag><Size>" size "</Size></Part>"
#define NO_SIZE(n, etag) \
	"<Part><PartNumber>" n "</PartNumber><ETag>" etag "</ETag></Part>"
#define MORE(n)                                                   \
	"<IsTruncated>true</IsTruncated><NextPartNumberMarker>" n \
	"</NextPartNumberMarker>"

static void
lists_parts(void **state)
{
	struct s3_part *parts;
	uint64_t *sizes;
	size_t n = 99;

	begin(
	    { 200, PARTS(MORE("2") PART("1", "a", "10") PART("2", "b", "20")) },
	    /* The page is read anew, not twice. */
	    { 200, PARTS(PART("3", "c", "3")), .how = FAKE_CUT },
	    { 200, PARTS(PART("3", "c", "30") PART("4", "d", "40")) "<" },
	    /* Nor does anything of it come from the answer before. */
	    { 200, PARTS(PART("3", "c", "30") NO_SIZE("4", "d")) },
	    /* Never ends. */
	    { 200, PARTS(MORE("2") PART("1", "a", "10")) },
	    { 200, PARTS(MORE("2") PART("1", "a", "10")) },
	    { 200, PARTS(PART("0", "a", "1")), "Retry-After: 60\r\n" },
	    { 200, PARTS(PART("10001", "a", "1")), "Retry-After: 60\r\n" },
	    { 404, FAULT("NoSuchUpload") });
	for (int i = 0; i < 4; i++)
		if (i == 0)
			ok(s3_mpu_parts(conn, "k", "id", arena, &parts, &sizes,
			    &n, soon(), &e));
		else
			fails(ERR_UNAVAILABLE,
			    s3_mpu_parts(conn, "k", "id", arena, &parts, &sizes,
			        &n, soon(), &e));
	fails(ERR_NOT_FOUND,
	    s3_mpu_parts(
	        conn, "k", "id", arena, &parts, &sizes, &n, soon(), &e));
	assert_int_equal(n, 4);
	assert_int_equal(parts[2].number, 3);
	assert_string_equal(parts[2].etag, "c");
	assert_int_equal(sizes[0], 10);
	assert_int_equal(sizes[2], 30);
	assert_string_equal(parts[3].etag, "d");
	assert_int_equal(sizes[3], 0);
	assert_true(fake_s3_has(fake, 1,
	    "GET /bucket/k?part-number-marker=2&uploadId=id HTTP/1.1"));
	end(9);
}

#define UPLOADS(x) \
	"<ListMultipartUploadsResult>" x "</ListMultipartUploadsResult>"
#define UPLOAD(key, id)                                                        \
	"<Upload><Key>" key "</Key><UploadId>" id "</UploadId><Initiator><ID>" \
	"i</ID></Initiator><Initiated>2026-01-02T03:04:05.000Z</Initiated>"    \
	"</Upload>"

static void
lists_uploads(void **state)
{
	struct s3_mpu_list m;

	begin({ 200,
	          UPLOADS("<EncodingType>url</EncodingType><KeyMarker/>"
	                  "<NextKeyMarker>b%3A</NextKeyMarker>"
	                  "<NextUploadIdMarker>2~x+</NextUploadIdMarker>"
	                  "<IsTruncated>true</IsTruncated>" UPLOAD(
	                      "a%2B", "1~x") UPLOAD("b%3A", "2~x+")) },
	    { 200,
	        UPLOADS("<NextKeyMarker/><IsTruncated>false</IsTruncated>") },
	    /* The same page for ever. */
	    { 200,
	        UPLOADS("<NextKeyMarker>b</NextKeyMarker>"
	                "<NextUploadIdMarker>2</NextUploadIdMarker>"
	                "<IsTruncated>true</IsTruncated>") },
	    { 200, UPLOADS("<IsTruncated>true</IsTruncated>"),
	        "Retry-After: 60\r\n" },
	    { 200, UPLOADS("<Upload><Key>k</Key></Upload>"),
	        "Retry-After: 60\r\n" });
	ok(s3_mpu_list(conn, NULL, NULL, arena, &m, soon(), &e));
	assert_int_equal(m.n, 2);
	assert_string_equal(m.items[0].key, "a+");
	assert_string_equal(m.items[1].upload_id, "2~x+");
	assert_int_equal(m.items[1].initiated_s, 1767323045);
	assert_string_equal(m.next_key, "b:");
	ok(s3_mpu_list(conn, m.next_key, m.next_id, arena, &m, soon(), &e));
	assert_true(fake_s3_has(fake, 1,
	    "GET /bucket/?encoding-type=url&key-marker=b%3A&upload-id-marker="
	    "2~x%2B&uploads= HTTP/1.1"));
	assert_int_equal(m.n, 0);
	assert_null(m.next_key);
	for (int i = 0; i < 3; i++)
		fails(ERR_UNAVAILABLE,
		    s3_mpu_list(conn, "b", "2", arena, &m, soon(), &e));
	end(5);
}

/* ---- for others ---- */

/* How many seconds ago "x-amz-date: 20130524T000000Z" was; 2 may pass here. */
static void
check_age(const char *line, int64_t want)
{
	struct tm tm = { .tm_isdst = 0 };
	int64_t age;

	assert_non_null(strptime(line, "x-amz-date: %Y%m%dT%H%M%SZ", &tm));
	age = clock_wall_us() / 1000000 - timegm(&tm);
	assert_in_range(age, want, want + 2);
}

static void
authorises(void **state)
{
	const char *url, *headers[S3_AUTHORIZE_HEADERS_MAX];
	uint8_t hash[SHA256_LEN];
	size_t n;
	struct s3_authorize p = { .key = "nar/a:b",
		.size = 5,
		.sha256 = hash,
		.content_type = "text/plain",
		.content_encoding = "zstd",
		.if_none_match = 1,
		.upload_id = "i&d",
		.part = 3 };
	struct arena *small = arena_new(300);

	begin({ 200 });
	sha256("hello", 5, hash);
	ok(s3_authorize_put(s3, &p, arena, &url, headers, &n, &e));
	assert_non_null(
	    strstr(url, "/bucket/nar/a%3Ab?partNumber=3&uploadId=i%26d"));
	assert_int_equal(n, 6);
	assert_memory_equal(headers[0], "x-amz-date: ", 12);
	assert_string_equal(headers[1],
	    "x-amz-content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e"
	    "1b161e5c1fa7425e73043362938b9824");
	assert_non_null(strstr(headers[2],
	    "SignedHeaders=content-encoding;content-length;content-type;host;"
	    "if-none-match;x-amz-content-sha256;x-amz-date, "));
	assert_string_equal(headers[3], "content-type: text/plain");
	assert_string_equal(headers[4], "content-encoding: zstd");
	assert_string_equal(headers[5], "if-none-match: *");
	for (size_t i = 0; i < n; i++)
		assert_null(strstr(headers[i], SECRET));
	check_age(headers[0], 0);
	/* A short life is the end of a long one that began in the past. */
	p.lifetime_s = 60;
	ok(s3_authorize_put(s3, &p, arena, &url, headers, &n, &e));
	check_age(headers[0], 900 - 60);
	p.lifetime_s = 100000;
	ok(s3_authorize_put(s3, &p, arena, &url, headers, &n, &e));
	check_age(headers[0], 0);
	fails(ERR_INVALID, s3_presign_get(s3, "GET", "k", 0, arena, &url, &e));
	fails(ERR_INVALID,
	    s3_presign_get(s3, "GET", "k", 604801, arena, &url, &e));
	n = 99;
	fails(ERR_TOO_LARGE,
	    s3_authorize_put(s3, &p, small, &url, headers, &n, &e));
	assert_int_equal(n, 99);
	arena_free(small);
	end(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_address),
		cmocka_unit_test(sends_clients_elsewhere),
		cmocka_unit_test(finds_the_region),
		cmocka_unit_test(refuses_bad_options),
		cmocka_unit_test(refuses_bad_keys),
		cmocka_unit_test(trusts_no_strange_certificate),
		cmocka_unit_test(sends_what_it_signed),
		cmocka_unit_test(asks_again_after_a_failure),
		cmocka_unit_test(does_not_ask_again_when_refused),
		cmocka_unit_test(tells_of_tries),
		cmocka_unit_test(slows_down),
		cmocka_unit_test(gives_up_at_the_deadline),
		cmocka_unit_test(waits_as_long_as_it_is_told),
		cmocka_unit_test(stays_unsure),
		cmocka_unit_test(repeats_no_secret),
		cmocka_unit_test(tells_who_was_first),
		cmocka_unit_test(knows_key_from_bucket),
		cmocka_unit_test(checks_the_bucket),
		cmocka_unit_test(tells_the_servers_clock),
		cmocka_unit_test(goes_on_where_it_broke_off),
		cmocka_unit_test(goes_on_within_a_range),
		cmocka_unit_test(does_not_mix_objects),
		cmocka_unit_test(reports_each_key),
		cmocka_unit_test(deletes_singly_if_it_must),
		cmocka_unit_test(knows_nothing_without_an_answer),
		cmocka_unit_test(lists),
		cmocka_unit_test(distrusts_lists),
		cmocka_unit_test(bounds_answers),
		cmocka_unit_test(creates_once),
		cmocka_unit_test(puts_parts),
		cmocka_unit_test(completes),
		cmocka_unit_test(is_unsure_of_uploads_that_are_gone),
		cmocka_unit_test(aborts),
		cmocka_unit_test(lists_parts),
		cmocka_unit_test(lists_uploads),
		cmocka_unit_test(authorises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
