#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/http/client.h"
#include "fake_s3.h"

#define BODY 1000000

/* A server that plays a script, and a client that reads from it. */
struct scene {
	struct fake_s3 *fake;
	struct http_client *client;
	char url[128];
	struct http_answer answer;
	struct err e;
	char *got;
};

static char body[BODY + 1];

static void
begin(struct scene *s, const struct fake_answer *script, size_t n)
{
	*s = (struct scene){ .fake = fake_s3_new(script, n, NULL, NULL),
		.client = http_client_new(
		    &(struct http_client_options){ .user_agent = "test/1" }) };
	snprintf(s->url, sizeof s->url, "http://127.0.0.1:%u/a?secret=1",
	    fake_s3_port(s->fake));
	s->got = malloc(2 * BODY);
	for (size_t i = 0; i < BODY; i++)
		body[i] = 'a' + (i * 7 + i / 1000) % 26;
}

static void
end(struct scene *s)
{
	http_client_free(s->client);
	fake_s3_free(s->fake);
	free(s->got);
}

static int
open_it(struct scene *s, const char *const *headers, size_t n)
{
	return http_open(s->client,
	    &(struct http_call){ .method = "GET",
	        .url = s->url,
	        .headers = headers,
	        .nheaders = n,
	        .deadline = deadline_in(5000) },
	    &s->answer, &s->e);
}

/* Reads in pieces of max, to the end; -1 on an error. */
static ssize_t
read_all(struct scene *s, size_t max)
{
	size_t got = 0;
	ssize_t n;

	while ((n = http_read(s->client, s->got + got, max, deadline_in(5000),
	            &s->e)) > 0) {
		assert_true((size_t)n <= max);
		got += n;
	}
	return n < 0 ? -1 : (ssize_t)got;
}

static void
pulls_a_body(void **state)
{
	static const size_t pieces[] = { HTTP_READ_MIN, 100000, BODY };
	const struct fake_answer script[] = { { 200, body, "ETag: \"x\"\r\n" },
		{ 200, body }, { 200, body }, { 200, "" }, { 204, NULL },
		{ 404, "gone" } };
	static const char *const headers[] = { "Range: bytes=0-" };
	struct scene s;

	(void)state;
	begin(&s, script, 6);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(open_it(&s, headers, 1), 0);
		assert_int_equal(s.answer.status, 200);
		assert_int_equal(s.answer.content_length, BODY);
		assert_true(fake_s3_has(s.fake, i, "Range: bytes=0-"));
		memset(s.got, 0, BODY);
		assert_int_equal(read_all(&s, pieces[i]), BODY);
		assert_memory_equal(s.got, body, BODY);
		http_close(s.client);
	}
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(open_it(&s, NULL, 0), 0);
		assert_int_equal(read_all(&s, BODY), 0);
		http_close(s.client);
	}
	assert_int_equal(open_it(&s, NULL, 0), 0);
	assert_int_equal(s.answer.status, 404);
	assert_int_equal(read_all(&s, BODY), 4);
	http_close(s.client);
	http_close(s.client);
	/* Read to the end, a connection is used again. */
	assert_int_equal(fake_s3_connections(s.fake), 1);
	end(&s);
}

/* Nothing is read ahead of who reads, and who stops costs a connection. */
static void
stops_anywhere(void **state)
{
	const struct fake_answer script[] = { { 200, body, NULL, FAKE_ENDLESS },
		{ 200, body } };
	struct scene s;

	(void)state;
	begin(&s, script, 2);
	assert_int_equal(open_it(&s, NULL, 0), 0);
	assert_true(http_read(s.client, s.got, BODY, deadline_in(5000), &s.e) >
	    BODY - 20000);
	assert_memory_equal(s.got, body, BODY - 20000);
	http_close(s.client);
	assert_int_equal(open_it(&s, NULL, 0), 0);
	assert_int_equal(read_all(&s, BODY), BODY);
	assert_int_equal(fake_s3_connections(s.fake), 2);
	end(&s);
}

static void
tells_what_went_wrong(void **state)
{
	const struct fake_answer script[] = { { 200, body, NULL, FAKE_CUT },
		{ .how = FAKE_CLOSE }, { .how = FAKE_HANG } };
	struct scene s;
	ssize_t n;

	(void)state;
	begin(&s, script, 3);
	assert_int_equal(open_it(&s, NULL, 0), 0);
	while (
	    (n = http_read(s.client, s.got, BODY, deadline_in(5000), &s.e)) > 0)
		;
	assert_int_equal(n, -1);
	assert_int_equal(s.e.kind, ERR_CORRUPT);
	assert_null(strstr(s.e.msg, "secret"));
	assert_int_equal(open_it(&s, NULL, 0), -1);
	assert_int_equal(s.e.kind, ERR_UNAVAILABLE);
	assert_int_equal(http_open(s.client,
	                     &(struct http_call){ .method = "GET",
	                         .url = s.url,
	                         .deadline = deadline_in(100) },
	                     &s.answer, &s.e),
	    -1);
	assert_int_equal(s.e.kind, ERR_TIMEOUT);
	assert_null(strstr(s.e.msg, "secret"));
	end(&s);
}

/* All bytes, those from the client and those from the socket, are the body. */
static void
gives_its_socket_away(void **state)
{
	static const size_t reads[] = { 0, HTTP_READ_MIN, 300000 };
	const struct fake_answer script[] = { { 200, body }, { 200, body },
		{ 200, body }, { 200, body } };
	struct scene s;

	(void)state;
	begin(&s, script, 4);
	for (size_t i = 0; i < 3; i++) {
		size_t got = 0, more;
		ssize_t n;
		int fd;

		assert_int_equal(open_it(&s, NULL, 0), 0);
		if (reads[i] > 0)
			got = http_read(
			    s.client, s.got, reads[i], deadline_in(5000), &s.e);
		assert_int_equal(http_detach(s.client, s.got + got,
		                     HTTP_DETACH_MIN, &more, &fd),
		    0);
		got += more;
		/* It is open while the client does something else. */
		if (i == 2) {
			char *other = malloc(BODY), *kept = s.got;

			s.got = other;
			assert_int_equal(open_it(&s, NULL, 0), 0);
			assert_int_equal(read_all(&s, 100000), BODY);
			s.got = kept;
			free(other);
		}
		while (got < BODY) {
			struct pollfd p = { .fd = fd, .events = POLLIN };

			assert_int_equal(poll(&p, 1, 5000), 1);
			n = read(fd, s.got + got, BODY - got);
			if (n <= 0)
				break;
			got += n;
		}
		assert_int_equal(got, BODY);
		assert_memory_equal(s.got, body, BODY);
		close(fd);
		http_close(s.client);
	}
	end(&s);
}

static void
keeps_it_where_bytes_are_coded(void **state)
{
	static const char chunked[] =
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
	static const struct fake_answer script[] = { { .body = chunked,
	    .how = FAKE_RAW } };
	struct scene s;
	size_t n;
	int fd = -1;

	(void)state;
	begin(&s, script, 1);
	assert_int_equal(open_it(&s, NULL, 0), 0);
	assert_int_equal(s.answer.content_length, -1);
	assert_int_equal(
	    http_detach(s.client, s.got, HTTP_DETACH_MIN, &n, &fd), -1);
	assert_int_equal(fd, -1);
	assert_int_equal(
	    n + http_read(s.client, s.got + n, BODY, deadline_in(5000), &s.e),
	    11);
	assert_memory_equal(s.got, "hello world", 11);
	assert_int_equal(read_all(&s, BODY), 0);
	end(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pulls_a_body),
		cmocka_unit_test(stops_anywhere),
		cmocka_unit_test(tells_what_went_wrong),
		cmocka_unit_test(gives_its_socket_away),
		cmocka_unit_test(keeps_it_where_bytes_are_coded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
