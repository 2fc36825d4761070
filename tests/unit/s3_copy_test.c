#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "fake_bucket.h"

#define COPIED                                                     \
	"<CopyObjectResult><LastModified>2026-01-02T03:04:05.000Z" \
	"</LastModified><ETag>&quot;t&quot;</ETag></CopyObjectResult>"

static int
copy(struct s3_stat *out)
{
	return s3_copy(conn, "a/b c+", "to", soon(), out, &e);
}

static void
asks_for_a_copy(void **state)
{
	struct s3_stat stat = { 0 };

	begin({ 200, COPIED }, { 200, COPIED },
	    { 200, "12345", "ETag: \"u\"\r\n" });
	ok(copy(NULL));
	assert_true(fake_s3_has(fake, 0, "PUT /bucket/to HTTP/1.1"));
	assert_true(
	    fake_s3_has(fake, 0, "x-amz-copy-source: /bucket/a/b%20c%2B"));
	assert_true(fake_s3_has(fake, 0, "x-amz-metadata-directive: COPY"));
	assert_non_null(strstr(fake_s3_get(fake, 0)->head,
	    "SignedHeaders=host;x-amz-content-sha256;x-amz-copy-source;"
	    "x-amz-date;x-amz-metadata-directive,"));
	ok(copy(&stat));
	assert_true(fake_s3_has(fake, 2, "HEAD /bucket/to HTTP/1.1"));
	assert_int_equal(stat.size, 5);
	assert_string_equal(stat.etag, "u");
	end(3);
}

/* The status of a copy is sent before it is begun. */
static void
believes_no_200_alone(void **state)
{
	struct s3_stat stat = { .size = 7 };

	begin({ 200, " \n" FAULT("InternalError") }, { 200, COPIED },
	    { 200, FAULT("AccessDenied") }, { 200, FAULT("NoSuchKey") },
	    { 200, "<CopyObjectResult>" }, { 200, "" }, { 200, COPIED });
	ok(copy(NULL)); /* the second time */
	fails(ERR_FORBIDDEN, copy(&stat));
	fails(ERR_NOT_FOUND, copy(&stat));
	assert_int_equal(stat.size, 7);
	ok(copy(NULL)); /* half an answer is none, nor is an empty one */
	end(7);
}

static void
tells_what_is_not_there(void **state)
{
	begin({ 404, FAULT("NoSuchKey") }, { 404, FAULT("NoSuchBucket") },
	    { 404, "<html>not here</html>" }, { 404, FAULT("NoSuchKey") },
	    { 400, FAULT("InvalidRequest") });
	fails(ERR_NOT_FOUND, copy(NULL));
	assert_non_null(strstr(e.msg, "copy of a/b c+"));
	fails(ERR_INTERNAL, copy(NULL));
	/* Some proxy's page is no word of S3, so it is asked again. */
	fails(ERR_NOT_FOUND, copy(NULL));
	fails(ERR_INVALID, copy(NULL));
	end(5);
}

static void
tries_again(void **state)
{
	begin({ 503, FAULT("SlowDown") }, { 200, COPIED }, { 500 },
	    { 200, COPIED }, { .how = FAKE_CLOSE }, { 200, COPIED },
	    { .how = FAKE_CLOSE }, { 403, FAULT("AccessDenied") });
	ok(copy(NULL));
	forget_rate();
	ok(copy(NULL));
	ok(copy(NULL));
	/* What became of the first try is not known. */
	fails(ERR_UNAVAILABLE, copy(NULL));
	end(8);
}

static void
refuses_bad_keys(void **state)
{
	char key[1026];

	begin({ 200, COPIED });
	memset(key, '%', sizeof key);
	key[1025] = '\0';
	fails(ERR_INVALID, s3_copy(conn, "", "to", soon(), NULL, &e));
	fails(ERR_INVALID, s3_copy(conn, key, "to", soon(), NULL, &e));
	fails(ERR_INVALID, s3_copy(conn, "from", "", soon(), NULL, &e));
	fails(ERR_INVALID, s3_copy(conn, "from", key, soon(), NULL, &e));
	/* S3 refuses it, as nothing would change. */
	fails(ERR_INVALID, s3_copy(conn, "same", "same", soon(), NULL, &e));
	key[1024] = '\0';
	ok(s3_copy(conn, key, "to", soon(), NULL, &e));
	end(1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_for_a_copy),
		cmocka_unit_test(believes_no_200_alone),
		cmocka_unit_test(tells_what_is_not_there),
		cmocka_unit_test(tries_again),
		cmocka_unit_test(refuses_bad_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
