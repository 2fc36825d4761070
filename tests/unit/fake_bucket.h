/*
 * A bucket on a server that plays a script (fake_s3.h), and one connection to
 * it: what the tests of the S3 client begin and end with.
 *
 *	begin({ 503, FAULT("SlowDown") }, { 200 });
 *	ok(s3_head(conn, "k", soon(), &stat, &e));
 *	end(2);
 */
#ifndef TESTS_FAKE_BUCKET_H
#define TESTS_FAKE_BUCKET_H

#include "../../libcommon/core/err.h"
#include "../../libcommon/s3/s3_internal.h"
#include "fake_s3.h"

#define ACCESS "AKIDEXAMPLE"
#define SECRET "verySecretKey+/="
#define TOKEN  "verySecretToken+/="
#define STALL  20000 /* ms; no test may come near it */

#define FAULT(code)                                 \
	"<?xml version=\"1.0\"?><Error><Code>" code \
	"</Code><Message>m</Message></Error>"

extern struct fake_s3 *fake;
extern struct s3 *s3;
extern struct s3_conn *conn;
extern struct arena *arena;
extern struct err e;

/* Of "bucket" with the keys above, which stay the function's. */
struct s3_options options(const char *endpoint);
void open_with(const struct s3_options *o);
void close_it(void);
void begin_n(const struct fake_answer *script, size_t n);
/* All of the script must have been played. */
void end(size_t requests);

#define begin(...)                                                   \
	static const struct fake_answer script_[] = { __VA_ARGS__ }; \
	(void)state;                                                 \
	begin_n(script_, sizeof script_ / sizeof *script_)

/* As if nobody had asked to slow down. */
void forget_rate(void);
deadline_t soon(void);
struct s3_counts counts(void);
/* "hello", conditionally when once is set. */
int put(const char *key, int once, deadline_t d);

#define ok(call)                                                           \
	do {                                                               \
		if ((call) != 0)                                           \
			fail_msg(                                          \
			    "%s: %s: %s", #call, err_name(e.kind), e.msg); \
	} while (0)

/* No text may tell a secret. */
#define fails(want, call)                                                  \
	do {                                                               \
		assert_int_equal((call), -1);                              \
		if (e.kind != (want))                                      \
			fail_msg(                                          \
			    "%s: %s: %s", #call, err_name(e.kind), e.msg); \
		assert_null(strstr(e.msg, "verySecret"));                  \
		assert_null(strstr(e.hint, "verySecret"));                 \
	} while (0)

#endif
