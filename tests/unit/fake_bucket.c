#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "fake_bucket.h"

struct fake_s3 *fake;
struct s3 *s3;
struct s3_conn *conn;
struct arena *arena;
struct err e;

struct s3_options
options(const char *endpoint)
{
	static struct secret a, b;

	assert_int_equal(secret_set(&a, ACCESS, strlen(ACCESS), NULL), 0);
	assert_int_equal(secret_set(&b, SECRET, strlen(SECRET), NULL), 0);
	return (struct s3_options){ .endpoint = endpoint,
		.bucket = "bucket",
		.access_key = &a,
		.secret_key = &b,
		.stall_ms = STALL };
}

void
open_with(const struct s3_options *o)
{
	err_clear(&e);
	if (s3_new(o, &s3, &e) != 0)
		fail_msg("%s", e.msg);
	conn = s3_conn_new(s3);
	arena = arena_new(1 << 24);
}

void
close_it(void)
{
	s3_conn_free(conn);
	s3_free(s3);
	arena_free(arena);
}

void
begin_n(const struct fake_answer *script, size_t n)
{
	char endpoint[64];
	struct s3_options o;

	fake = fake_s3_new(script, n, NULL, NULL);
	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u",
	    fake_s3_port(fake));
	o = options(endpoint);
	open_with(&o);
}

void
end(size_t requests)
{
	assert_int_equal(fake_s3_count(fake), requests);
	close_it();
	fake_s3_free(fake);
}

void
forget_rate(void)
{
	s3_rate_done(&s3->rate);
	s3_rate_init(&s3->rate, 0);
}

deadline_t
soon(void)
{
	return deadline_in(5000);
}

struct s3_counts
counts(void)
{
	struct s3_counts n;

	s3_counts(s3, &n);
	return n;
}

int
put(const char *key, int once, deadline_t d)
{
	return s3_put(conn,
	    &(struct s3_put){
	        .key = key, .data = "hello", .len = 5, .if_none_match = once },
	    d, &e);
}
