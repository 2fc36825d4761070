/*
 * What servers do differently, each as it was seen: Google Cloud Storage,
 * Backblaze B2, Cloudflare R2, MinIO, Ceph.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../libcommon/core/arena.h"
#include "fake_bucket.h"

/* ---- conditional writes ---- */

static int
check(void)
{
	return s3_create_check(conn,
	    &(struct s3_put){ .key = "nix-cache-info",
	        .data = "hello",
	        .len = 5,
	        .content_type = "text/plain" },
	    soon(), &e);
}

static void
knows_who_creates_only(void **state)
{
	begin({ 412, FAULT("PreconditionFailed") }, { 412 },
	    { 409, FAULT("ConditionalRequestConflict") },
	    { 503, FAULT("SlowDown") }, { 412, FAULT("PreconditionFailed") });
	ok(check());
	assert_true(fake_s3_has(fake, 0, "if-none-match: *"));
	assert_true(fake_s3_has(fake, 0, "content-type: text/plain"));
	assert_string_equal(fake_s3_get(fake, 0)->body, "hello");
	ok(check());
	ok(check());
	end(5);
}

static void
knows_who_overwrites(void **state)
{
	begin({ 200 }, { 501, FAULT("NotImplemented") }, { 501 },
	    { 400, FAULT("InvalidArgument") });
	for (int i = 0; i < 4; i++) {
		fails(ERR_INVALID, check());
		assert_non_null(strstr(e.msg, "If-None-Match"));
		assert_non_null(strstr(e.hint, "conditional writes"));
	}
	end(4);
}

/* No word about If-None-Match. */
static void
does_not_guess(void **state)
{
	begin({ 403, FAULT("AccessDenied") }, { 404, FAULT("NoSuchBucket") },
	    { .how = FAKE_CLOSE }, { 404, FAULT("NoSuchKey") });
	fails(ERR_FORBIDDEN, check());
	assert_null(strstr(e.hint, "If-None-Match"));
	fails(ERR_INTERNAL, check());
	/* The answer was lost, and nothing is there to compare with. */
	fails(ERR_UNAVAILABLE, check());
	end(4);
}

static void
never_leaves_the_condition_out(void **state)
{
	begin({ 501, FAULT("NotImplemented") },
	    { 400, FAULT("InvalidArgument") });
	fails(ERR_INVALID, put("nar/x", 1, soon()));
	fails(ERR_INVALID, put("nar/x", 1, soon()));
	assert_true(fake_s3_has(fake, 0, "if-none-match: *"));
	assert_true(fake_s3_has(fake, 1, "if-none-match: *"));
	end(2);
}

/* ---- Backblaze B2: 503 and 429 are its everyday ---- */

static void
slows_down_for_b2(void **state)
{
	begin({ 503, FAULT("ServiceUnavailable"), "Retry-After: 1\r\n" },
	    { 429, FAULT("TooManyRequests") }, { 200 });
	ok(put("k", 0, soon()));
	assert_true(s3_rate_get(&s3->rate) > 0);
	assert_int_equal(counts().throttled, 2);
	end(3);
}

/* ---- 403 says nothing of a key ---- */

/* Without the right to list, S3 calls a key that is not there forbidden. */
static void
takes_no_403_for_absence(void **state)
{
	struct s3_stat stat;
	struct buf b;

	begin({ 403 }, { 403, FAULT("AccessDenied") },
	    { 403,
	        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>"
	        "AccessDenied</Code><Message>Access denied.</Message>"
	        "<Details>x does not have storage.objects.get access"
	        "</Details></Error>" });
	buf_init(&b, 10);
	fails(ERR_FORBIDDEN, s3_head(conn, "k", soon(), &stat, &e));
	fails(
	    ERR_FORBIDDEN, s3_get(conn, "k", 0, 0, &b, NULL, NULL, soon(), &e));
	fails(
	    ERR_FORBIDDEN, s3_get(conn, "k", 0, 0, &b, NULL, NULL, soon(), &e));
	buf_done(&b);
	end(3);
}

/* ---- Google: no batch delete ---- */

static void
deletes_singly_at_google(void **state)
{
	static const char *const keys[] = { "a", "b" };
	struct s3_delete_result r[2];

	begin(
	    { 400,
	        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>"
	        "NotImplemented</Code><Message>A header or query you provided "
	        "requested a function that is not implemented.</Message>"
	        "</Error>" },
	    { 204 }, { 404, FAULT("NoSuchKey") });
	ok(s3_delete(conn, keys, 2, arena, r, soon(), &e));
	assert_int_equal(r[0].state, S3_DELETED);
	assert_int_equal(r[1].state, S3_DELETED);
	end(3);
}

/* ---- Ceph: no ETag where others have one ---- */

static void
needs_no_etag(void **state)
{
	static const struct s3_part part = { 1, "t" };
	struct s3_stat stat;
	struct s3_list l;

	begin({ 200,
	          "<CompleteMultipartUploadResult><Location></Location>"
	          "<ETag></ETag></CompleteMultipartUploadResult>" },
	    { 200, "12345" },
	    { 200,
	        "<ListBucketResult><Contents><Key>k</Key><LastModified>"
	        "2026-01-02T03:04:05.678Z</LastModified><Size>5</Size>"
	        "<ETag></ETag></Contents></ListBucketResult>" },
	    { 200, "<CopyObjectResult><ETag/></CopyObjectResult>" });
	ok(s3_mpu_complete(conn, "k", "u", &part, 1, soon(), &e));
	ok(s3_head(conn, "k", soon(), &stat, &e));
	assert_int_equal(stat.size, 5);
	assert_string_equal(stat.etag, "");
	ok(s3_list(conn, "", NULL, 10, arena, &l, soon(), &e));
	assert_string_equal(l.items[0].etag, "");
	ok(s3_copy(conn, "a", "b", soon(), NULL, &e));
	end(4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_who_creates_only),
		cmocka_unit_test(knows_who_overwrites),
		cmocka_unit_test(does_not_guess),
		cmocka_unit_test(never_leaves_the_condition_out),
		cmocka_unit_test(slows_down_for_b2),
		cmocka_unit_test(takes_no_403_for_absence),
		cmocka_unit_test(deletes_singly_at_google),
		cmocka_unit_test(needs_no_etag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
