#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../bin/niks3-server/read.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/ipc/ipc.h"
#include "fake_s3.h"

#define TAG       "ETag: \"v1\"\r\n"
#define OTHER     "ETag: \"v2\"\r\n"
#define KEY       "nar/key"

#define XML(code) "<?xml version=\"1.0\"?><Error><Code>" code "</Code></Error>"

static struct fake_s3 *fake;
static struct reads *reads;
static int signed_urls;

/* The uploader: it signs whatever it is asked for. */
int
ipc_call(struct ipc_client *c, enum call id, const void *request,
    struct arena *a, void *reply, deadline_t d, struct err *e)
{
	const struct get_authorize *q = request;
	struct get_authorized *r = reply;

	(void)c;
	(void)d;
	(void)e;
	assert_int_equal(id, CALL_get_authorize);
	assert_int_equal(q->keys.n, 1);
	r->urls.items = arena_array(a, 1, sizeof *r->urls.items);
	r->urls.items[0] = arena_printf(a, "http://127.0.0.1:%u/%s?signed=%d",
	    fake_s3_port(fake), q->keys.items[0], ++signed_urls);
	r->urls.n = 1;
	return 0;
}

static void
begin(const struct fake_answer *script, size_t n)
{
	signed_urls = 0;
	fake = fake_s3_new(script, n, NULL, NULL);
	reads = reads_new(&(struct reads_options){ .narinfo_max = 1 << 20 });
}

static void
end(void)
{
	reads_free(reads);
	fake_s3_free(fake);
}

#define BEGIN(...)                                           \
	const struct fake_answer script[] = { __VA_ARGS__ }; \
	(void)state;                                         \
	begin(script, sizeof script / sizeof script[0])

static struct source *
open_ok(const struct source_ask *q, struct source_head *h)
{
	struct err e = ERR_INIT;
	struct source *s;

	if (source_open(reads, q, &s, h, &e) != 0)
		fail_msg("%s", e.msg);
	return s;
}

static enum err_kind
open_fails(void)
{
	const struct source_ask q = { .key = KEY };
	struct source_head h;
	struct source *s;
	struct err e = ERR_INIT;

	assert_int_equal(source_open(reads, &q, &s, &h, &e), -1);
	assert_null(strstr(e.msg, "signed="));
	return e.kind;
}

/* All there is, or the kind of the error. */
static enum err_kind
read_to(struct source *s, struct buf *out)
{
	struct err e = ERR_INIT;

	buf_init(out, 1 << 20);
	return source_read_all(s, out, &e) == 0 ? ERR_NONE : e.kind;
}

static void
reads_and_remembers_the_url(void **state)
{
	BEGIN({ 200, "hello",
	          TAG "Last-Modified: then\r\n"
	              "Content-Encoding: zstd\r\n" },
	    { 206, "ell", TAG "Content-Range: bytes 1-3/5\r\n" },
	    { 304, NULL, TAG },
	    { 206, "lo", "ETag: v1\r\nContent-Range: bytes 3-4/5\r\n" });
	struct source_head h;
	struct source *s;
	struct buf b;

	s = open_ok(&(struct source_ask){ .key = KEY }, &h);
	assert_int_equal(h.status, 200);
	assert_string_equal(h.etag, "\"v1\"");
	assert_string_equal(h.last_modified, "then");
	assert_string_equal(h.encoding, "zstd");
	assert_int_equal(h.from, 0);
	assert_int_equal(h.end, 5);
	assert_int_equal(h.size, 5);
	assert_int_equal(read_to(s, &b), ERR_NONE);
	assert_string_equal(buf_str(&b), "hello");
	buf_done(&b);
	source_close(s);

	s = open_ok(
	    &(struct source_ask){ .key = KEY, .range = { RANGE_FROM, 1, 3 } },
	    &h);
	assert_int_equal(h.status, 206);
	assert_int_equal(h.from, 1);
	assert_int_equal(h.end, 4);
	assert_int_equal(h.size, 5);
	assert_int_equal(read_to(s, &b), ERR_NONE);
	assert_string_equal(buf_str(&b), "ell");
	buf_done(&b);
	source_close(s);
	assert_true(fake_s3_has(fake, 1, "Range: bytes=1-3"));

	s = open_ok(&(struct source_ask){ .key = KEY,
	                .if_none_match = "\"v1\"",
	                .if_modified_since = "now" },
	    &h);
	assert_int_equal(h.status, 304);
	source_close(s);
	assert_true(fake_s3_has(fake, 2, "If-None-Match: \"v1\""));
	assert_true(fake_s3_has(fake, 2, "If-Modified-Since: now"));

	s = open_ok(
	    &(struct source_ask){ .key = KEY, .range = { RANGE_SUFFIX, 2, 0 } },
	    &h);
	assert_string_equal(h.etag, "\"v1\"");
	source_close(s);
	assert_true(fake_s3_has(fake, 3, "Range: bytes=-2"));
	assert_int_equal(signed_urls, 1);
	end();
}

/* Only what S3 says of the key is a definite answer. */
static void
tells_absent_from_unknown(void **state)
{
	static const struct {
		struct fake_answer answer;
		enum err_kind kind;
	} cases[] = {
		{ { 404, XML("NoSuchKey") }, ERR_NOT_FOUND },
		{ { 404, XML("NoSuchBucket") }, ERR_INTERNAL },
		{ { 404, "not found" }, ERR_INTERNAL },
		{ { 404, NULL }, ERR_INTERNAL },
		{ { 403, XML("AccessDenied") }, ERR_INTERNAL },
		{ { 301, XML("PermanentRedirect") }, ERR_INTERNAL },
		{ { 503, XML("SlowDown") }, ERR_THROTTLED },
		{ { 503, XML("SlowDownRead") }, ERR_THROTTLED },
		{ { 400, XML("ThrottlingException") }, ERR_THROTTLED },
		{ { 503, XML("RequestLimitExceeded") }, ERR_THROTTLED },
		{ { 429, NULL }, ERR_THROTTLED },
		{ { 503, NULL }, ERR_UNAVAILABLE },
		{ { 500, XML("InternalError") }, ERR_UNAVAILABLE },
		{ { 206, "abc", "Content-Range: nonsense\r\n" }, ERR_CORRUPT },
		{ { 206, "abc", "Content-Range: bytes 0-9/10\r\n" },
		    ERR_CORRUPT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum err_kind kind;

		begin(&cases[i].answer, 1);
		if ((kind = open_fails()) != cases[i].kind)
			fail_msg("case %zu: %s", i, err_name(kind));
		assert_int_equal(fake_s3_count(fake), 1);
		end();
	}
}

static void
asks_once_more_where_that_helps(void **state)
{
	BEGIN({ 200, "a" }, { .how = FAKE_CLOSE }, { 200, "b" },
	    { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE },
	    { 403, XML("AccessDenied") }, { 200, "c" });
	struct source_head h;

	for (int i = 0; i < 2; i++)
		source_close(open_ok(&(struct source_ask){ .key = KEY }, &h));
	assert_int_equal(fake_s3_count(fake), 3);
	assert_int_equal(open_fails(), ERR_UNAVAILABLE);
	assert_int_equal(fake_s3_count(fake), 5);
	/* A URL that was kept, and has become worthless. */
	assert_int_equal(signed_urls, 1);
	source_close(open_ok(&(struct source_ask){ .key = KEY }, &h));
	assert_int_equal(signed_urls, 2);
	assert_true(strstr(fake_s3_get(fake, 6)->head, "signed=2") != NULL);
	end();
}

static void
goes_on_where_it_broke_off(void **state)
{
	/* What is cut has announced 100 bytes more. */
	static char part[101];
	BEGIN({ 200, "0123456789", TAG, FAKE_CUT }, { .how = FAKE_CLOSE },
	    { .how = FAKE_CLOSE },
	    { 206, part, TAG "Content-Range: bytes 10-109/110\r\n" });
	struct source_head h;
	struct source *s;
	struct buf b;

	memset(part, 'x', 100);
	s = open_ok(&(struct source_ask){ .key = KEY }, &h);
	assert_int_equal(h.end, 110);
	assert_int_equal(read_to(s, &b), ERR_NONE);
	assert_int_equal(b.len, 110);
	assert_memory_equal(b.data, "0123456789xxx", 13);
	buf_done(&b);
	source_close(s);
	for (size_t i = 1; i < 4; i++) {
		assert_true(fake_s3_has(fake, i, "Range: bytes=10-109"));
		assert_true(fake_s3_has(fake, i, "If-Match: \"v1\""));
	}
	end();
}

/* Rather than to put two objects together, it ends. */
static void
never_mixes_versions(void **state)
{
	static char part[101];
	static const struct {
		struct fake_answer first, then;
		size_t asked; /* at least */
	} cases[] = {
		{ { 200, "0123456789", TAG, FAKE_CUT },
		    { 206, part, OTHER "Content-Range: bytes 10-109/110\r\n" },
		    2 },
		{ { 200, "0123456789", TAG, FAKE_CUT },
		    { 206, part, TAG "Content-Range: bytes 11-110/111\r\n" },
		    2 },
		{ { 200, "0123456789", TAG, FAKE_CUT }, { 200, part, TAG }, 2 },
		{ { 200, "0123456789", TAG, FAKE_CUT },
		    { 412, XML("PreconditionFailed") }, 2 },
		{ { 200, "0123456789", TAG, FAKE_CUT },
		    { 404, XML("NoSuchKey") }, 2 },
		/* Nothing to tell them apart by. */
		{ { 200, "0123456789", NULL, FAKE_CUT }, { 200, part, TAG },
		    1 },
		{ { 200, "0123456789", "ETag: W/\"v1\"\r\n", FAKE_CUT },
		    { 200, part, TAG }, 1 },
	};

	(void)state;
	memset(part, 'x', 100);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct fake_answer script[] = { cases[i].first,
			cases[i].then };
		struct source_head h;
		struct source *s;
		struct buf b;

		begin(script, 2);
		s = open_ok(&(struct source_ask){ .key = KEY }, &h);
		if (read_to(s, &b) == ERR_NONE)
			fail_msg("case %zu", i);
		assert_int_equal(b.len, 10);
		assert_int_equal(fake_s3_count(fake), cases[i].asked);
		buf_done(&b);
		source_close(s);
		end();
	}
}

static void
gives_up_in_the_end(void **state)
{
	BEGIN({ 200, "0123456789", TAG, FAKE_CUT }, { .how = FAKE_CLOSE },
	    { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE },
	    { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE },
	    { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE },
	    { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE },
	    { .how = FAKE_CLOSE }, { .how = FAKE_CLOSE },
	    { .how = FAKE_CLOSE });
	struct source_head h;
	struct source *s;
	struct buf b;

	s = open_ok(&(struct source_ask){ .key = KEY }, &h);
	assert_int_equal(read_to(s, &b), ERR_UNAVAILABLE);
	assert_true(fake_s3_count(fake) < 16);
	buf_done(&b);
	source_close(s);
	end();
}

/* A socket for the rest; and when that ends too soon, the rest of the rest. */
static void
gives_its_socket_and_goes_on(void **state)
{
	static char big[1000001];
	BEGIN({ 200, big, TAG },
	    { 206, big + 600000,
	        TAG "Content-Range: bytes 600000-999999/1000000\r\n" });
	struct source_head h;
	struct source *s;
	struct err e = ERR_INIT;
	char *got = malloc(1000000);
	ssize_t n, at;
	int fd;

	for (size_t i = 0; i < 1000000; i++)
		big[i] = 'a' + (i * 7 + i / 1000) % 26;
	s = open_ok(&(struct source_ask){ .key = KEY }, &h);
	at = source_read_detach(s, got, 262144, &e);
	assert_true(at > 0);
	fd = source_take_fd(s);
	assert_true(fd >= 0);
	assert_int_equal(source_take_fd(s), -1);
	while (at < 600000 && (n = read(fd, got + at, 600000 - at)) > 0)
		at += n;
	close(fd);
	source_seek(s, at);
	while ((n = source_read(s, got + at, 1000000 - at, &e)) > 0)
		at += n;
	assert_int_equal(at, 1000000);
	assert_memory_equal(got, big, 1000000);
	assert_true(fake_s3_has(fake, 1, "Range: bytes=600000-999999"));
	source_close(s);
	source_close(NULL);
	free(got);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_remembers_the_url),
		cmocka_unit_test(tells_absent_from_unknown),
		cmocka_unit_test(asks_once_more_where_that_helps),
		cmocka_unit_test(goes_on_where_it_broke_off),
		cmocka_unit_test(never_mixes_versions),
		cmocka_unit_test(gives_up_in_the_end),
		cmocka_unit_test(gives_its_socket_and_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
