/*
 * Against a real S3 server:
 *
 *	NIKS3_TEST_S3_ENDPOINT, NIKS3_TEST_S3_ACCESS_KEY,
 *	NIKS3_TEST_S3_SECRET_KEY, NIKS3_TEST_S3_SESSION_TOKEN; with
 *	NIKS3_TEST_S3_DNS the bucket stands in the name of the host
 *
 * A bucket of its own is made and removed. Without the variables nothing runs.
 */
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

#include "../../libcommon/codec/base64.h"
#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/s3/s3.h"
#include "../../libcommon/s3/sigv4.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MIB   ((size_t)1 << 20)

static const char *endpoint, *access_key, *secret_key;
static const char *session_token; /* or NULL */
static char bucket[64];
static struct s3 *s3;
static struct s3_conn *conn;
static struct arena *arena;

static deadline_t
soon(void)
{
	return deadline_in(20000);
}

static int
open_s3(const char *name, const char *secret, struct s3 **out, struct err *e)
{
	struct secret a = { NULL, 0 }, b = { NULL, 0 }, t = { NULL, 0 };
	int rc;

	assert_int_equal(secret_set(&a, access_key, strlen(access_key), e), 0);
	assert_int_equal(secret_set(&b, secret, strlen(secret), e), 0);
	if (session_token != NULL)
		assert_int_equal(
		    secret_set(&t, session_token, strlen(session_token), e), 0);
	rc = s3_new(
	    &(struct s3_options){ .endpoint = endpoint,
	        .bucket = name,
	        .lookup = getenv("NIKS3_TEST_S3_DNS") != NULL ? S3_LOOKUP_DNS
	                                                      : S3_LOOKUP_PATH,
	        .access_key = &a,
	        .secret_key = &b,
	        .session_token = &t },
	    out, e);
	secret_done(&a);
	secret_done(&b);
	secret_done(&t);
	return rc;
}

/* A request for the bucket, or for what is in it, made by hand. */
static int
raw(const char *method, const char *path, int64_t wall_s)
{
	const char *host = strstr(endpoint, "//");
	struct sigv4_credentials keys = { access_key, secret_key,
		session_token };
	struct sigv4_request q = { .method = method,
		.path = path,
		.payload_sha256 = EMPTY,
		.region = "us-east-1",
		.service = "s3",
		.wall_s = wall_s };
	struct http_client *http = http_client_new(
	    &(struct http_client_options){ .user_agent = "test" });
	struct http_answer answer;
	struct sigv4_headers h;
	struct err e = ERR_INIT;
	char url[512];

	q.host = host != NULL ? host + 2 : endpoint;
	snprintf(url, sizeof url, "http://%s%s", q.host, path);
	if (sigv4_sign(&keys, &q, arena, &h, &e) != 0 ||
	    http_call(http,
	        &(struct http_call){ .method = method,
	            .url = url,
	            .headers = (const char *const *)h.lines,
	            .nheaders = h.n,
	            .deadline = soon() },
	        &answer, &e) != 0)
		fail_msg("%s", e.msg);
	http_client_free(http);
	return answer.status;
}

#define ok(call)                                                             \
	do {                                                                 \
		struct err e_ = ERR_INIT, *e = &e_;                          \
		if ((call) != 0)                                             \
			fail_msg(                                            \
			    "%s: %s: %s", #call, err_name(e_.kind), e_.msg); \
	} while (0)

#define fails(want, call)                                                    \
	do {                                                                 \
		struct err e_ = ERR_INIT, *e = &e_;                          \
		if ((call) == 0)                                             \
			fail_msg("%s: succeeded", #call);                    \
		if (e_.kind != (want))                                       \
			fail_msg(                                            \
			    "%s: %s: %s", #call, err_name(e_.kind), e_.msg); \
		assert_null(strstr(e_.msg, secret_key));                     \
		assert_null(strstr(e_.hint, secret_key));                    \
	} while (0)

static int
begin(void **state)
{
	char path[80];
	struct err e = ERR_INIT;

	(void)state;
	arena = arena_new(64 * MIB);
	snprintf(bucket, sizeof bucket, "niks3-test-%d-%lld", (int)getpid(),
	    (long long)clock_wall_us());
	snprintf(path, sizeof path, "/%s", bucket);
	if (raw("PUT", path, clock_wall_us() / 1000000) / 100 != 2 ||
	    open_s3(bucket, secret_key, &s3, &e) != 0)
		return -1;
	conn = s3_conn_new(s3);
	return 0;
}

/* Deletes whatever is left. */
static void
empty_bucket(void)
{
	struct s3_list l;
	struct s3_mpu_list m;
	struct s3_delete_result results[1000];
	const char *keys[1000];

	do {
		ok(s3_list(conn, "", NULL, 1000, arena, &l, soon(), e));
		for (size_t i = 0; i < l.n; i++)
			keys[i] = l.items[i].key;
		if (l.n > 0)
			ok(s3_delete(
			    conn, keys, l.n, arena, results, soon(), e));
	} while (l.next != NULL);
	ok(s3_mpu_list(conn, NULL, NULL, arena, &m, soon(), e));
	for (size_t i = 0; i < m.n; i++)
		ok(s3_mpu_abort(
		    conn, m.items[i].key, m.items[i].upload_id, soon(), e));
	arena_reset(arena);
}

static int
end(void **state)
{
	char path[80];
	int status;

	(void)state;
	empty_bucket();
	s3_conn_free(conn);
	s3_free(s3);
	snprintf(path, sizeof path, "/%s", bucket);
	status = raw("DELETE", path, clock_wall_us() / 1000000);
	arena_free(arena);
	return status / 100 == 2 ? 0 : -1;
}

static int
put_text(const char *key, const char *text, struct err *e)
{
	return s3_put(conn,
	    &(struct s3_put){ .key = key, .data = text, .len = strlen(text) },
	    soon(), e);
}

static void
check_content(const char *key, const void *data, size_t len)
{
	struct buf b;

	buf_init(&b, 64 * MIB);
	ok(s3_get(conn, key, 0, 0, &b, NULL, NULL, soon(), e));
	assert_int_equal(b.len, len);
	assert_memory_equal(
	    b.data != NULL ? b.data : (const void *)"", data, len);
	buf_done(&b);
}

static void
puts_heads_gets(void **state)
{
	struct s3_stat st;
	struct buf b;

	(void)state;
	ok(s3_put(conn,
	    &(struct s3_put){ .key = "x.narinfo",
	        .data = "hello world",
	        .len = 11,
	        .content_type = "text/x-nix-narinfo",
	        .content_encoding = "zstd" },
	    soon(), e));
	ok(s3_head(conn, "x.narinfo", soon(), &st, e));
	assert_int_equal(st.size, 11);
	assert_string_equal(st.etag, "5eb63bbbe01eeed093cb22bb8f5acdc3");
	check_content("x.narinfo", "hello world", 11);

	buf_init(&b, 100);
	ok(buf_puts(&b, "> ", e));
	ok(s3_get(conn, "x.narinfo", 6, 8, &b, NULL, NULL, soon(), e));
	assert_string_equal(buf_str(&b), "> wor");
	ok(s3_get(conn, "x.narinfo", 6, 1000, &b, NULL, NULL, soon(), e));
	assert_string_equal(buf_str(&b), "> worworld");
	fails(ERR_INVALID,
	    s3_get(conn, "x.narinfo", 11, 12, &b, NULL, NULL, soon(), e));
	assert_string_equal(buf_str(&b), "> worworld");
	buf_done(&b);

	ok(put_text("empty", "", e));
	check_content("empty", "", 0);
	ok(s3_head(conn, "empty", soon(), &st, e));
	assert_int_equal(st.size, 0);
}

static void
absent_is_not_found(void **state)
{
	struct s3_stat st;
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	fails(ERR_NOT_FOUND, s3_head(conn, "absent", soon(), &st, e));
	fails(ERR_NOT_FOUND,
	    s3_get(conn, "absent", 0, 0, &b, NULL, NULL, soon(), e));
	fails(ERR_NOT_FOUND,
	    s3_get(conn, "absent", 1, 2, &b, NULL, NULL, soon(), e));
	assert_int_equal(b.len, 0);
}

static void
an_unknown_bucket_is_no_unknown_key(void **state)
{
	struct s3 *other;
	struct s3_conn *c;
	struct s3_stat st;
	struct s3_list l;
	const char *id, *key = "k";
	struct s3_delete_result result;
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	ok(open_s3("niks3-test-no-such-bucket", secret_key, &other, e));
	c = s3_conn_new(other);
	fails(ERR_NOT_FOUND, s3_bucket_check(c, soon(), e));
	fails(ERR_INTERNAL, s3_head(c, "k", soon(), &st, e));
	fails(ERR_INTERNAL, s3_get(c, "k", 0, 0, &b, NULL, NULL, soon(), e));
	fails(ERR_INTERNAL, s3_list(c, "", NULL, 10, arena, &l, soon(), e));
	fails(
	    ERR_INTERNAL, s3_put(c, &(struct s3_put){ .key = "k" }, soon(), e));
	fails(ERR_INTERNAL, s3_mpu_create(c, "k", NULL, arena, &id, soon(), e));
	fails(ERR_INTERNAL, s3_delete(c, &key, 1, arena, &result, soon(), e));
	assert_int_equal(result.state, S3_DELETE_UNKNOWN);
	s3_conn_free(c);
	s3_free(other);
}

static void
a_wrong_secret_is_forbidden(void **state)
{
	struct s3 *other;
	struct s3_conn *c;
	struct s3_stat st;
	struct s3_counts n;

	(void)state;
	ok(open_s3(bucket, "wrong", &other, e));
	c = s3_conn_new(other);
	fails(ERR_FORBIDDEN, s3_bucket_check(c, soon(), e));
	fails(ERR_FORBIDDEN, s3_head(c, "x", soon(), &st, e));
	fails(ERR_FORBIDDEN,
	    s3_put(c, &(struct s3_put){ .key = "k" }, soon(), e));
	s3_counts(other, &n);
	assert_int_equal(n.retries, 0);
	assert_int_equal(n.errors, 3);
	s3_conn_free(c);
	s3_free(other);
}

static const char *const odd[] = {
	"realisations/sha256:0123!out.doi",
	"log/a+b=c?d&e#f-1.0.drv",
	"odd/%41%2F+ %",
	"odd/../up/./here//twice",
	"odd/\"quotes'<and>&amp;",
	"odd/\xc3\xa4\xe2\x82\xac",
	"odd/~tilde(paren)*[x]{y}|z^`\\$,;@",
	"odd/tab\tand\x7f",
	"odd/new\nline\rfeed",
	"odd/trailing/",
	".",
	"..",
};
#define ODD (sizeof odd / sizeof *odd)

static void
takes_odd_keys(void **state)
{
	struct s3_stat st;
	struct s3_list l;
	const char *token = NULL, *id, *url, *headers[10];
	struct s3_delete_result results[ODD];
	char etag[256];
	uint8_t hash[SHA256_LEN];
	size_t n, seen = 0;

	(void)state;
	empty_bucket();
	for (size_t i = 0; i < ODD; i++) {
		struct s3_authorize p = {
			.key = odd[i], .size = 1, .sha256 = hash
		};
		ok(put_text(odd[i], odd[i], e));
		ok(s3_head(conn, odd[i], soon(), &st, e));
		assert_int_equal(st.size, strlen(odd[i]));
		check_content(odd[i], odd[i], strlen(odd[i]));
		ok(s3_mpu_create(conn, odd[i], NULL, arena, &id, soon(), e));
		ok(s3_mpu_put_part(conn, odd[i], id, 1, odd[i], strlen(odd[i]),
		    etag, soon(), e));
		ok(s3_mpu_complete(conn, odd[i], id,
		    &(struct s3_part){ 1, etag }, 1, soon(), e));
		check_content(odd[i], odd[i], strlen(odd[i]));
		ok(s3_authorize_put(s3, &p, arena, &url, headers, &n, e));
	}
	/* Page by page, so each of them is a mark too. */
	do {
		ok(s3_list(conn, "", token, 1, arena, &l, soon(), e));
		assert_int_equal(l.n, 1);
		for (size_t i = 0; i < ODD; i++)
			if (strcmp(odd[i], l.items[0].key) == 0) {
				seen++;
				assert_int_equal(
				    l.items[0].size, strlen(odd[i]));
			}
		token = l.next;
	} while (token != NULL);
	assert_int_equal(seen, ODD);
	ok(s3_list(conn, "odd/..", NULL, 10, arena, &l, soon(), e));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.items[0].key, odd[3]);
	assert_true(
	    llabs(l.items[0].modified_s - clock_wall_us() / 1000000) < 60);

	ok(s3_delete(conn, odd, ODD, arena, results, soon(), e));
	for (size_t i = 0; i < ODD; i++)
		if (results[i].state != S3_DELETED)
			fail_msg("%s: %s", odd[i], results[i].message);
	ok(s3_list(conn, "", NULL, 1000, arena, &l, soon(), e));
	assert_int_equal(l.n, 0);
	assert_null(l.next);
}

/* XML cannot hold them, so no list; a batch delete takes them all the same. */
static void
takes_control_characters(void **state)
{
	const char *keys[] = { "control/\x01\x1f", "control/none" };
	struct s3_delete_result results[2];
	struct s3_stat st;

	(void)state;
	for (int i = 0; i < 2; i++) {
		ok(put_text(keys[i], "text", e));
		check_content(keys[i], "text", 4);
	}
	ok(s3_delete(conn, keys, 2, arena, results, soon(), e));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(results[i].state, S3_DELETED);
		fails(ERR_NOT_FOUND, s3_head(conn, keys[i], soon(), &st, e));
	}
}

static void
deletes_in_batches(void **state)
{
	enum {
		N = 1203
	};
	static char keys[N][32];
	const char *p[N];
	static struct s3_delete_result results[N];
	struct s3_list l;
	const char *token = NULL;
	size_t seen = 0;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		snprintf(keys[i], sizeof keys[i], "batch/%04zu", i);
		p[i] = keys[i];
		/* Of the first thousand every tenth never existed. */
		if (i > 1000 || i % 10 != 0)
			ok(put_text(keys[i], "", e));
	}
	do {
		ok(s3_list(conn, "batch/", token, 1000, arena, &l, soon(), e));
		seen += l.n;
		token = l.next;
	} while (token != NULL);
	assert_int_equal(seen, N - 101);
	fails(ERR_INVALID, s3_delete(conn, p, N, arena, results, soon(), e));
	ok(s3_delete(conn, p, 1000, arena, results, soon(), e));
	p[1202] = p[1000]; /* twice in one request */
	ok(s3_delete(
	    conn, p + 1000, N - 1000, arena, results + 1000, soon(), e));
	for (size_t i = 0; i < N; i++)
		assert_int_equal(results[i].state, S3_DELETED);
	ok(s3_list(conn, "batch/", NULL, 1000, arena, &l, soon(), e));
	assert_int_equal(l.n, 1);
	assert_string_equal(l.items[0].key, "batch/1202");
}

struct part_job {
	const char *id;
	uint32_t number;
	const char *data;
	size_t len;
	char etag[256];
};

static void *
put_part(void *arg)
{
	struct part_job *j = arg;
	struct s3_conn *c = s3_conn_new(s3);
	struct err e;
	int rc = s3_mpu_put_part(c, "nar/big", j->id, j->number, j->data,
	    j->len, j->etag, soon(), &e);

	s3_conn_free(c);
	return rc == 0 ? NULL : j;
}

static void
uploads_in_parts(void **state)
{
	size_t len = 12 * MIB, n;
	char *data = xmalloc(len);
	struct part_job jobs[3];
	struct s3_part parts[3], *listed;
	uint64_t *sizes;
	pthread_t threads[3];
	const char *id;
	struct s3_mpu_list m;
	struct s3_stat st;
	void *failed;

	(void)state;
	for (size_t i = 0; i < len; i++)
		data[i] = i * 2654435761u >> 24;
	ok(s3_mpu_create(conn, "nar/big", "application/octet-stream", arena,
	    &id, soon(), e));
	ok(s3_mpu_list(conn, NULL, NULL, arena, &m, soon(), e));
	assert_int_equal(m.n, 1);
	assert_null(m.next_key);
	assert_string_equal(m.items[0].key, "nar/big");
	assert_string_equal(m.items[0].upload_id, id);
	assert_true(
	    llabs(m.items[0].initiated_s - clock_wall_us() / 1000000) < 60);
	for (int i = 0; i < 3; i++) {
		jobs[i] = (struct part_job){ id, i + 1, data + i * 5 * MIB,
			i < 2 ? 5 * MIB : 2 * MIB, "" };
		pthread_create(&threads[i], NULL, put_part, &jobs[i]);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
		parts[2 - i] = (struct s3_part){ i + 1, jobs[i].etag };
	}
	ok(s3_mpu_parts(
	    conn, "nar/big", id, arena, &listed, &sizes, &n, soon(), e));
	assert_int_equal(n, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(listed[i].number, i + 1);
		assert_string_equal(listed[i].etag, jobs[i].etag);
		assert_int_equal(sizes[i], jobs[i].len);
	}
	ok(s3_mpu_complete(conn, "nar/big", id, parts, 3, soon(), e));
	ok(s3_head(conn, "nar/big", soon(), &st, e));
	assert_int_equal(st.size, len);
	check_content("nar/big", data, len);
	ok(s3_mpu_list(conn, NULL, NULL, arena, &m, soon(), e));
	assert_int_equal(m.n, 0);
	free(data);
}

static void
aborts(void **state)
{
	const char *id;
	char etag[256];
	struct s3_part *listed;
	uint64_t *sizes;
	size_t n;
	struct err why;
	int64_t begun;

	(void)state;
	ok(s3_mpu_create(conn, "nar/gone", NULL, arena, &id, soon(), e));
	ok(s3_mpu_put_part(conn, "nar/gone", id, 1, "x", 1, etag, soon(), e));
	fails(ERR_INVALID,
	    s3_mpu_complete(conn, "nar/gone", id,
	        &(struct s3_part){ 1, "00000000000000000000000000000000" }, 1,
	        soon(), e));
	ok(s3_mpu_abort(conn, "nar/gone", id, soon(), e));
	ok(s3_mpu_abort(conn, "nar/gone", id, soon(), e));
	fails(ERR_NOT_FOUND,
	    s3_mpu_parts(
	        conn, "nar/gone", id, arena, &listed, &sizes, &n, soon(), e));
	/* Ceph's gateway calls it an internal error, so nothing is certain. */
	begun = clock_mono_ms();
	assert_int_equal(s3_mpu_complete(conn, "nar/gone", id,
	                     &(struct s3_part){ 1, etag }, 1, soon(), &why),
	    -1);
	assert_true(why.kind == ERR_NOT_FOUND || why.kind == ERR_UNAVAILABLE);
	assert_in_range(clock_mono_ms() - begun, 0, 2000);
	fails(ERR_NOT_FOUND,
	    s3_mpu_put_part(conn, "nar/gone", id, 1, "x", 1, etag, soon(), e));
}

static void
lists_uploads_and_parts_by_pages(void **state)
{
	enum {
		N = 1003
	};
	const char *id, *key = NULL, *mark = NULL;
	struct s3_mpu_list m;
	struct s3_part *listed;
	uint64_t *sizes;
	char name[32], etag[256];
	size_t n, seen = 0;

	(void)state;
	for (size_t i = 0; i < N; i++) {
		snprintf(name, sizeof name, "mpu/%zu+:!", i / 2);
		ok(s3_mpu_create(conn, name, NULL, arena, &id, soon(), e));
	}
	for (uint32_t i = 1; i <= N; i++)
		ok(s3_mpu_put_part(
		    conn, name, id, i, &i, sizeof i, etag, soon(), e));
	ok(s3_mpu_parts(conn, name, id, arena, &listed, &sizes, &n, soon(), e));
	assert_int_equal(n, N);
	assert_int_equal(listed[N - 1].number, N);
	do {
		ok(s3_mpu_list(conn, key, mark, arena, &m, soon(), e));
		for (size_t i = 0; i < m.n; i++) {
			ok(s3_mpu_abort(conn, m.items[i].key,
			    m.items[i].upload_id, soon(), e));
			seen++;
		}
		key = m.next_key;
		mark = m.next_id;
	} while (key != NULL);
	assert_int_equal(seen, N);
}

static void *
race(void *arg)
{
	struct s3_conn *c = s3_conn_new(s3);
	struct err e;
	int rc = s3_put(c,
	    &(struct s3_put){
	        .key = "race", .data = arg, .len = 1, .if_none_match = 1 },
	    soon(), &e);

	s3_conn_free(c);
	return rc == 0 ? arg : e.kind == ERR_CONFLICT ? NULL : "?";
}

static void
one_writer_wins(void **state)
{
	static char data[] = "abcdefgh";
	pthread_t threads[8];
	void *got;
	char *winner = NULL;

	(void)state;
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, race, data + i);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], &got);
		if (got == NULL)
			continue;
		assert_null(winner);
		winner = got;
		assert_ptr_equal(winner, data + i);
	}
	assert_non_null(winner);
	check_content("race", winner, 1);
}

/* What a stranger can do with an authorised PUT; 0 when there is no answer. */
static int
send_as(const char *url, const char *const *headers, size_t n, const char *body,
    size_t len)
{
	struct http_client *http = http_client_new(
	    &(struct http_client_options){ .user_agent = "test" });
	struct http_answer answer;
	int rc = http_call(http,
	    &(struct http_call){ .method = "PUT",
	        .url = url,
	        .headers = headers,
	        .nheaders = n,
	        .body = body,
	        .body_len = len,
	        .deadline = deadline_in(2000) },
	    &answer, NULL);

	http_client_free(http);
	return rc == 0 ? answer.status : 0;
}

/* The same, with something else in the URL. */
static int
use(const struct s3_authorize *p, const char *from, const char *to,
    const char *body, size_t len)
{
	const char *url, *headers[S3_AUTHORIZE_HEADERS_MAX], *at;
	char changed[1024];
	size_t n;

	ok(s3_authorize_put(s3, p, arena, &url, headers, &n, e));
	at = strstr(url, from);
	assert_non_null(at);
	snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - url), url, to,
	    at + strlen(from));
	return send_as(changed, headers, n, body, len);
}

static void
authorises_exactly_these_bytes(void **state)
{
	uint8_t hash[SHA256_LEN];
	struct s3_authorize p = { .key = "auth/a:b!c+d",
		.size = 5,
		.sha256 = hash,
		.content_type = "text/x-nix-narinfo",
		.content_encoding = "zstd" };
	struct s3_stat st;
	const char *id;

	(void)state;
	sha256("hello", 5, hash);
	assert_int_not_equal(use(&p, "", "", "jello", 5), 200);
	assert_int_not_equal(use(&p, "", "", "hell", 4), 200);
	assert_int_not_equal(use(&p, "", "", "hello!", 6), 200);
	assert_int_equal(use(&p, "auth", "other", "hello", 5), 403);
	fails(ERR_NOT_FOUND, s3_head(conn, p.key, soon(), &st, e));
	fails(ERR_NOT_FOUND, s3_head(conn, "other/a:b!c+d", soon(), &st, e));
	assert_int_equal(use(&p, "", "", "hello", 5), 200);
	check_content(p.key, "hello", 5);
	/* With a length that lies about the bytes that are right. */
	p.size = 6;
	assert_int_not_equal(use(&p, "", "", "hello", 5), 200);
	p.size = 5;
	p.if_none_match = 1;
	assert_int_equal(use(&p, "", "", "hello", 5), 412);
	p.key = "auth/fresh";
	assert_int_equal(use(&p, "", "", "hello", 5), 200);

	p = (struct s3_authorize){
		.key = "auth/parts", .size = 5, .sha256 = hash, .part = 1
	};
	ok(s3_mpu_create(conn, p.key, NULL, arena, &id, soon(), e));
	p.upload_id = id;
	assert_int_equal(
	    use(&p, "partNumber=1", "partNumber=2", "hello", 5), 403);
	assert_int_not_equal(use(&p, "", "", "jello", 5), 200);
	assert_int_equal(use(&p, "", "", "hello", 5), 200);
	ok(s3_mpu_complete(conn, p.key, id,
	    &(struct s3_part){ 1, "5d41402abc4b2a76b9719d911017c592" }, 1,
	    soon(), e));
	check_content(p.key, "hello", 5);
}

static void
old_signatures_are_refused(void **state)
{
	uint8_t hash[SHA256_LEN];
	struct s3_authorize p = {
		.key = "auth/late", .size = 5, .sha256 = hash, .lifetime_s = 1
	};
	const char *url, *headers[S3_AUTHORIZE_HEADERS_MAX];
	char path[80];
	size_t n;

	(void)state;
	snprintf(path, sizeof path, "/%s/late", bucket);
	assert_int_equal(
	    raw("PUT", path, clock_wall_us() / 1000000 - 1000), 403);
	assert_int_equal(
	    raw("PUT", path, clock_wall_us() / 1000000 - 600), 200);
	sha256("hello", 5, hash);
	ok(s3_authorize_put(s3, &p, arena, &url, headers, &n, e));
	clock_sleep(2500, deadline_in(5000));
	assert_int_equal(send_as(url, headers, n, "hello", 5), 403);
	p.lifetime_s = 20;
	assert_int_equal(use(&p, "", "", "hello", 5), 200);
}

static void
presigns(void **state)
{
	struct http_client *http = http_client_new(
	    &(struct http_client_options){ .user_agent = "test" });
	struct http_answer answer;
	const char *url, *key = "pre/a:b!c+d e?.nar";
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	ok(put_text(key, "presigned", e));
	ok(s3_presign_get(s3, "GET", key, 60, arena, &url, e));
	ok(http_call(http,
	    &(struct http_call){ .method = "GET",
	        .url = url,
	        .response = &b,
	        .deadline = soon() },
	    &answer, e));
	assert_int_equal(answer.status, 200);
	assert_string_equal(buf_str(&b), "presigned");
	/* Signed for GET only. */
	ok(http_call(http,
	    &(struct http_call){ .method = "PUT",
	        .url = url,
	        .response = &b,
	        .deadline = soon() },
	    &answer, e));
	assert_int_equal(answer.status, 403);
	buf_done(&b);
	http_client_free(http);
}

static void
check_type(const char *key, const char *type, const char *encoding)
{
	struct http_client *http = http_client_new(
	    &(struct http_client_options){ .user_agent = "test" });
	struct http_answer answer;
	const char *url;

	ok(s3_presign_get(s3, "HEAD", key, 60, arena, &url, e));
	ok(http_call(http,
	    &(struct http_call){
	        .method = "HEAD", .url = url, .deadline = soon() },
	    &answer, e));
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.content_type, type);
	assert_string_equal(answer.content_encoding, encoding);
	http_client_free(http);
}

static void
copies(void **state)
{
	static const char from[] = "copy/a:b!c+d e?%2F.narinfo";
	char *big = calloc(1, 9 * MIB);
	struct s3_stat st = { 0 };

	(void)state;
	ok(s3_put(conn,
	    &(struct s3_put){ .key = from,
	        .data = "hello world",
	        .len = 11,
	        .content_type = "text/x-nix-narinfo",
	        .content_encoding = "zstd" },
	    soon(), e));
	ok(put_text("copy/to", "what was there", e));
	ok(s3_copy(conn, from, "copy/to", soon(), &st, e));
	assert_int_equal(st.size, 11);
	assert_string_equal(st.etag, "5eb63bbbe01eeed093cb22bb8f5acdc3");
	check_content("copy/to", "hello world", 11);
	check_content(from, "hello world", 11);
	check_type("copy/to", "text/x-nix-narinfo", "zstd");
	/* Again, and of one that takes the server some time. */
	ok(s3_copy(conn, from, "copy/to", soon(), NULL, e));
	memset(big, 'x', 9 * MIB);
	ok(s3_put(conn,
	    &(struct s3_put){ .key = "copy/big", .data = big, .len = 9 * MIB },
	    soon(), e));
	ok(s3_copy(conn, "copy/big", "copy/big2", soon(), &st, e));
	assert_int_equal(st.size, 9 * MIB);
	check_content("copy/big2", big, 9 * MIB);
	fails(ERR_NOT_FOUND,
	    s3_copy(conn, "copy/absent", "copy/to", soon(), NULL, e));
	check_content("copy/to", "hello world", 11);
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_heads_gets),
		cmocka_unit_test(absent_is_not_found),
		cmocka_unit_test(an_unknown_bucket_is_no_unknown_key),
		cmocka_unit_test(a_wrong_secret_is_forbidden),
		cmocka_unit_test(takes_odd_keys),
		cmocka_unit_test(takes_control_characters),
		cmocka_unit_test(deletes_in_batches),
		cmocka_unit_test(uploads_in_parts),
		cmocka_unit_test(aborts),
		cmocka_unit_test(lists_uploads_and_parts_by_pages),
		cmocka_unit_test(one_writer_wins),
		cmocka_unit_test(authorises_exactly_these_bytes),
		cmocka_unit_test(old_signatures_are_refused),
		cmocka_unit_test(presigns),
		cmocka_unit_test(copies),
	};

	endpoint = getenv("NIKS3_TEST_S3_ENDPOINT");
	access_key = getenv("NIKS3_TEST_S3_ACCESS_KEY");
	secret_key = getenv("NIKS3_TEST_S3_SECRET_KEY");
	session_token = getenv("NIKS3_TEST_S3_SESSION_TOKEN");
	if (endpoint == NULL || access_key == NULL || secret_key == NULL) {
		printf("1..0 # SKIP no NIKS3_TEST_S3_* in the environment\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, begin, end);
}
