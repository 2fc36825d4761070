#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../proto/bodies.h"
#include "desc_gen.h"

#define ARENA ((size_t)64 << 20)

#define LEAF_FIELDS(S, F, L, O)           \
	F(S, STR, key, 10, DESC_REQUIRED) \
	F(S, STRS, tags, 3, DESC_OMIT)
DESC_DECLARE(leaf, LEAF_FIELDS)
DESC_DEFINE(leaf, LEAF_FIELDS)
/* All field types in one. */
#define TREE_FIELDS(S, F, L, O)        \
	F(S, STR, name, 20, DESC_OMIT) \
	F(S, BIN, blob, 70, 0)         \
	F(S, HEX, hash, 4, 0)          \
	F(S, U64, size, 1000, 0)       \
	F(S, I64, when, 0, 0)          \
	F(S, BOOL, on, 1, 0)           \
	F(S, U32S, refs, 5, 0)         \
	L(S, leaf, leaves, 4, 0)       \
	O(S, leaf, one, DESC_REQUIRED)
DESC_DECLARE(tree, TREE_FIELDS)
DESC_DEFINE(tree, TREE_FIELDS)

static const struct desc *const bodies[] = { &present_request_desc,
	&present_reply_desc, &path_entry_desc, &upload_request_desc,
	&upload_reply_desc, &authorize_object_desc, &authorize_request_desc,
	&authorized_put_desc, &authorize_reply_desc, &multipart_request_desc,
	&multipart_reply_desc, &complete_part_desc, &complete_request_desc,
	&complete_reply_desc, &commit_request_desc, &commit_reply_desc,
	&gc_request_desc, &gc_status_desc, &gc_history_desc, &gc_root_desc,
	&gc_plan_desc, &closure_entry_desc, &closure_list_desc, &keeper_desc,
	&why_reply_desc, &pin_request_desc, &pin_entry_desc, &pin_list_desc,
	&cache_info_desc, &api_error_body_desc, &api_error_desc, &tree_desc };

#define BODIES (sizeof bodies / sizeof bodies[0])

static struct arena *arena;
static struct buf out;

static int
setup(void **state)
{
	(void)state;
	arena = arena_new(ARENA);
	buf_init(&out, (size_t)8 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(arena);
	buf_done(&out);
	return 0;
}

/* Encodes a random struct to out and reads it back. */
static void
round_trip(const struct desc *d)
{
	void *in = arena_alloc(arena, d->size);
	void *back = arena_alloc(arena, d->size);
	struct err e = ERR_INIT;

	gen_struct(d, arena, in);
	buf_reset(&out);
	if (json_encode(d, in, &out, &e))
		fail_msg("%s", e.msg);
	if (json_decode(d, out.data, out.len, arena, back, &e))
		fail_msg("%s: %s", e.msg, buf_str(&out));
	if (!gen_equal(d, in, back))
		fail_msg("%s", buf_str(&out));
}

static void
every_body_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < BODIES; i++)
		for (int k = 0; k < 50; k++) {
			round_trip(bodies[i]);
			arena_reset(arena);
		}
}

/* What we write, a parser of others reads; what we read, it would read too. */
static void
others_agree(void **state)
{
	(void)state;
	for (size_t i = 0; i < BODIES; i++) {
		void *s = arena_alloc(arena, bodies[i]->size);
		size_t step;
		json_t *json;
		round_trip(bodies[i]);
		json = json_load(out.data, out.len, NULL);
		assert_non_null(json);
		json_decref(json);
		step = 1 + out.len / 2000;
		for (size_t at = 0; at < out.len; at += step) {
			uint8_t old = out.data[at];
			out.data[at] = gen_below(2)
			    ? gen_next() >> 32
			    : (uint8_t) "{}[],:\"\\u0-9.etn"[gen_below(16)];
			if (json_decode(bodies[i], out.data, out.len, arena, s,
			        NULL) == 0) {
				json_error_t error;
				json = json_loadb(
				    (const char *)out.data, out.len, 0, &error);
				if (json == NULL)
					fail_msg("%s: %s", error.text,
					    buf_str(&out));
				json_decref(json);
			}
			out.data[at] = old;
		}
		arena_reset(arena);
	}
}

static void
cut_off_everywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < BODIES; i++) {
		void *s = arena_alloc(arena, bodies[i]->size);
		size_t step;
		round_trip(bodies[i]);
		step = 1 + out.len / 500;
		for (size_t n = 0; n < out.len; n += step) {
			struct err e = ERR_INIT;
			char *cut = malloc(n > 0 ? n : 1);
			memcpy(cut, out.data, n);
			assert_int_equal(
			    json_decode(bodies[i], cut, n, arena, s, &e), -1);
			assert_int_equal(e.kind, ERR_INVALID);
			free(cut);
		}
		arena_reset(arena);
	}
}

#define ONE "\"one\":{\"key\":\"k\"}"

static void
what_is_accepted(void **state)
{
	static const char nulls[] =
	    "{\"name\":null,\"size\":null,\"refs\":null," ONE "}";
	static const char text[] =
	    " {\t\"name\" : \"a\\u00e9\\ud83d\\ude00\\n\\/\\\"\" ,\r\n"
	    "\"blob\":\"Zm9v\", \"hash\":\"DEADbeef\", \"size\":1000,"
	    "\"when\":-9223372036854775808,\"on\":true,"
	    "\"refs\":[0,4294967295 ] , \"leaves\" : [ {\"key\":\"\"} ],"
	    "\"unknown\":{\"a\":[1,-2.5e+3,\"\\u0041\",null,{}],\"b\":[]},"
	    "\"\\u006fne\":{\"tags\":[\"x\",\"y\"],\"key\":\"k\"}} \n";
	struct tree s;
	struct err e = ERR_INIT;

	(void)state;
	if (json_decode(&tree_desc, text, sizeof text - 1, arena, &s, &e))
		fail_msg("%s", e.msg);
	assert_string_equal(s.name, "a\xc3\xa9\xf0\x9f\x98\x80\n/\"");
	assert_int_equal(s.blob.len, 3);
	assert_memory_equal(s.blob.data, "foo", 3);
	assert_memory_equal(s.hash, "\xde\xad\xbe\xef", 4);
	assert_int_equal(s.size, 1000);
	assert_true(s.when == INT64_MIN);
	assert_int_equal(s.on, 1);
	assert_int_equal(s.refs.n, 2);
	assert_true(s.refs.items[1] == UINT32_MAX);
	assert_int_equal(s.leaves.n, 1);
	assert_string_equal(s.leaves.items[0].key, "");
	assert_int_equal(s.one.tags.n, 2);

	/* Absent and null are the same. */
	assert_int_equal(
	    json_decode(&tree_desc, nulls, sizeof nulls - 1, arena, &s, &e), 0);
	assert_null(s.name);
	assert_null(s.blob.data);
	assert_int_equal(s.size, 0);
	assert_int_equal(s.refs.n, 0);
}

static const struct {
	const char *text, *why; /* NULL: accepted */
} texts[] = {
	{ "", "not an object" },
	{ "null", "not an object" },
	{ "[]", "not an object" },
	{ "{", "malformed JSON at byte 1" },
	{ "{}", "one: missing" },
	{ "{\"one\":null}", "one: missing" },
	{ "{\"one\":{}}", "one.key: missing" },
	{ "{\"one\":{\"key\":null}}", "one.key: missing" },
	{ "{" ONE ",}", "malformed" },
	{ "{," ONE "}", "malformed" },
	{ "{" ONE "", "malformed" },
	{ "{" ONE "}x", "malformed JSON at byte 19" },
	{ "{" ONE "}{}", "malformed" },
	{ "{" ONE "}", NULL },
	{ "{one:{}}", "malformed" },
	{ "{'one':{}}", "malformed" },
	{ "{\"one\" {}}", "malformed" },
	{ "{" ONE "," ONE "}", "one: given twice" },
	{ "{" ONE ",\"name\":null,\"name\":\"x\"}", "name: given twice" },
	{ "{" ONE ",\"name\":1}", "name: not a text" },
	{ "{" ONE ",\"name\":nul}", "name: malformed" },
	{ "{" ONE ",\"name\":\"x}", "name: malformed" },
	{ "{" ONE ",\"name\":\"x\\\"}", "name: malformed" },
	{ "{" ONE ",\"name\":\"\\u0000\"}", "name: not a character" },
	{ "{" ONE ",\"name\":\"\\ud800\"}", "name: not a character" },
	{ "{" ONE ",\"name\":\"\\udc00\"}", "name: not a character" },
	{ "{" ONE ",\"name\":\"\\ud800\\u0041\"}", "name: not a character" },
	{ "{" ONE ",\"name\":\"\\u12g4\"}", "name: not a character" },
	{ "{" ONE ",\"name\":\"\\u12\"}", "name: not a character" },
	{ "{" ONE ",\"name\":\"\\x\"}", "name: not a known escape" },
	{ "{" ONE ",\"name\":\"a\nb\"}", "name: malformed" },
	{ "{" ONE ",\"name\":\"\xff\"}", "name: not UTF-8" },
	{ "{" ONE ",\"name\":\"\xc0\x80\"}", "name: not UTF-8" },
	{ "{" ONE ",\"name\":\"\xed\xa0\x80\"}", "name: not UTF-8" },
	{ "{" ONE ",\"name\":\"123456789012345678901\"}",
	    "name: over the limit of 20 bytes" },
	{ "{" ONE ",\"name\":\"\\u006112345678901234567890\"}",
	    "name: over the limit of 20 bytes" },
	{ "{" ONE ",\"blob\":\"Zm8\"}", NULL },
	{ "{" ONE ",\"blob\":\"Zm9v!\"}", "blob: not base64" },
	{ "{" ONE ",\"hash\":\"deadbee\"}", "hash: not 8 digits of base16" },
	{ "{" ONE ",\"hash\":\"deadbeeg\"}", "hash: not 8 digits" },
	{ "{" ONE ",\"hash\":1}", "hash: not a text" },
	{ "{" ONE ",\"size\":1001}", "size: over the limit of 1000" },
	{ "{" ONE ",\"size\":99999999999999999999}", "size: over the limit" },
	{ "{" ONE ",\"size\":-1}", "size: negative" },
	{ "{" ONE ",\"size\":1.0}", "size: not a whole number" },
	{ "{" ONE ",\"size\":1e2}", "size: not a whole number" },
	{ "{" ONE ",\"size\":01}", "size: malformed" },
	{ "{" ONE ",\"size\":+1}", "size: not a number" },
	{ "{" ONE ",\"size\":\"1\"}", "size: not a number" },
	{ "{" ONE ",\"size\":true}", "size: not a number" },
	{ "{" ONE ",\"size\":}", "size: not a number" },
	{ "{" ONE ",\"size\":1 2}", "malformed" },
	{ "{" ONE ",\"when\":9223372036854775808}", "when: over the limit" },
	{ "{" ONE ",\"when\":-9223372036854775809}", "when: over the limit" },
	{ "{" ONE ",\"when\":-}", "when: malformed" },
	{ "{" ONE ",\"on\":1}", "on: not true or false" },
	{ "{" ONE ",\"on\":truth}", "on: malformed" },
	{ "{" ONE ",\"refs\":{}}", "refs: not a list" },
	{ "{" ONE ",\"refs\":[1,2,3,4,5,6]}", "refs: over the limit of 5" },
	{ "{" ONE ",\"refs\":[1,-2]}", "refs[1]: negative" },
	{ "{" ONE ",\"refs\":[4294967296]}",
	    "refs[0]: over the limit of 4294967295" },
	{ "{" ONE ",\"refs\":[1,]}", "refs[1]: not a number" },
	{ "{" ONE ",\"refs\":[,]}", "refs[0]: not a number" },
	{ "{" ONE ",\"refs\":[1 2]}", "refs[0]: malformed" },
	{ "{" ONE ",\"refs\":[1,2}", "malformed" },
	{ "{" ONE ",\"refs\":[", "refs[0]: not a number" },
	{ "{" ONE ",\"refs\":[null]}", "refs[0]: not a number" },
	{ "{" ONE ",\"leaves\":[{\"key\":\"a\"},{}]}",
	    "leaves[1].key: missing" },
	{ "{" ONE ",\"leaves\":[1]}", "leaves[0]: not an object" },
	{ "{" ONE ",\"leaves\":[{\"key\":\"12345678901\"}]}",
	    "leaves[0].key: over the limit of 10 bytes" },
	{ "{" ONE ",\"leaves\":[{\"key\":\"a\",\"tags\":[\"a\",2]}]}",
	    "leaves[0].tags[1]: not a text" },
	{ "{" ONE ",\"x\":[1,2,}", "malformed" },
	{ "{" ONE ",\"x\":[1,2,]}", "malformed" },
	{ "{" ONE ",\"x\":{\"a\":1,}}", "malformed" },
	{ "{" ONE ",\"x\":{\"a\" 1}}", "malformed" },
	{ "{" ONE ",\"x\":tru}", "malformed" },
	{ "{" ONE ",\"x\":-}", "malformed" },
	{ "{" ONE ",\"x\":1.}", "malformed" },
	{ "{" ONE ",\"x\":1e}", "malformed" },
	{ "{" ONE ",\"x\":01}", "malformed" },
	{ "{" ONE ",\"x\":.5}", "malformed" },
	{ "{" ONE ",\"x\":NaN}", "malformed" },
	{ "{" ONE ",\"x\":\"\\q\"}", "not a known escape" },
	{ "{" ONE ",\"x\":\"\xfe\"}", "not UTF-8" },
	{ "{" ONE ",\"\\u0000\":1}", "not a character" },
	{ "\xef\xbb\xbf{" ONE "}", "not an object" },
};

static void
what_is_refused(void **state)
{
	struct tree s = { .size = 12345 };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		size_t n = strlen(texts[i].text);
		struct err e = ERR_INIT;
		char *p = malloc(n > 0 ? n : 1);
		struct tree ok;
		memcpy(p, texts[i].text, n);
		if (texts[i].why == NULL) {
			if (json_decode(&tree_desc, p, n, arena, &ok, &e))
				fail_msg("%s: %s", texts[i].text, e.msg);
		} else {
			if (json_decode(&tree_desc, p, n, arena, &s, &e) == 0)
				fail_msg("accepted: %s", texts[i].text);
			if (strstr(e.msg, texts[i].why) == NULL)
				fail_msg("%s: %s", texts[i].text, e.msg);
			assert_int_equal(e.kind, ERR_INVALID);
		}
		free(p);
	}
	assert_int_equal(s.size, 12345); /* untouched */
	/* A NUL behind the object. */
	assert_int_equal(json_decode(&tree_desc, "{" ONE "}",
	                     sizeof "{" ONE "}", arena, &s, NULL),
	    -1);
}

static void
nesting_is_bounded(void **state)
{
	size_t n = 1000000;
	char *bomb = malloc(n + 32);
	struct tree s;
	struct err e = ERR_INIT;

	(void)state;
	memcpy(bomb, "{\"x\":", 5);
	memset(bomb + 5, '[', n);
	assert_int_equal(json_decode(&tree_desc, bomb, n, arena, &s, &e), -1);
	assert_string_equal(e.msg, "nested over the limit of 32");
	assert_null(json_load(bomb + 5, n, &e));
	assert_string_equal(e.msg, "JSON: nested over the limit of 32");
	/* Brackets in a string are text. */
	bomb[1000] = '\0';
	assert_int_equal(
	    buf_printf(&out, NULL, "{\"x\":\"%s\\\"\"," ONE "}", bomb + 5), 0);
	assert_int_equal(
	    json_decode(&tree_desc, out.data, out.len, arena, &s, &e), 0);
	free(bomb);
}

/* An array that claims more than its limit, or fills the arena, ends early. */
static void
memory_is_bounded(void **state)
{
	struct arena *little = arena_new(8192);
	struct commit_request s;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(buf_puts(&out, "{\"found\":[", NULL), 0);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(buf_puts(&out, "\"k\",", NULL), 0);
	assert_int_equal(buf_puts(&out, "\"k\"]}", NULL), 0);
	assert_int_equal(json_decode(&commit_request_desc, out.data, out.len,
	                     little, &s, &e),
	    -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(
	    json_decode(&commit_request_desc, out.data, out.len, arena, &s, &e),
	    0);
	assert_int_equal(s.found.n, 10001);
	arena_free(little);
}

static void
what_is_written(void **state)
{
	const char *tags[] = { "t" };
	uint32_t refs[] = { 0, 10, UINT32_MAX };
	struct leaf leaves[] = { { .key = "a" },
		{ .key = "b", .tags = { tags, 1 } } };
	struct tree s = { .name = "q\"\\\n\t\x7f\xc3\xa9",
		.blob = { (const uint8_t *)"f", 1 },
		.hash = { 1, 2, 3, 255 },
		.size = 7,
		.when = -5,
		.on = 1,
		.refs = { refs, 3 },
		.leaves = { leaves, 2 },
		.one = { .key = "k" } };
	struct buf small;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(json_encode(&tree_desc, &s, &out, NULL), 0);
	assert_string_equal(buf_str(&out),
	    "{\"name\":\"q\\\"\\\\\\n\\u0009\x7f\xc3\xa9\",\"blob\":\"Zg==\","
	    "\"hash\":\"010203ff\",\"size\":7,\"when\":-5,\"on\":true,"
	    "\"refs\":[0,10,4294967295],\"leaves\":[{\"key\":\"a\"},"
	    "{\"key\":\"b\",\"tags\":[\"t\"]}],\"one\":{\"key\":\"k\"}}");
	buf_reset(&out);
	s = (struct tree){ .one = { .key = "" } };
	assert_int_equal(json_encode(&tree_desc, &s, &out, NULL), 0);
	assert_string_equal(buf_str(&out),
	    "{\"blob\":null,\"hash\":\"00000000\",\"size\":0,\"when\":0,"
	    "\"on\":false,\"refs\":[],\"leaves\":[],\"one\":{\"key\":\"\"}}");
	for (size_t max = 0; max < out.len; max++) {
		buf_init(&small, max);
		assert_int_equal(json_encode(&tree_desc, &s, &small, &e), -1);
		assert_int_equal(e.kind, ERR_TOO_LARGE);
		assert_int_equal(small.len, 0);
		buf_done(&small);
	}
	s.one.key = NULL;
	assert_int_equal(json_encode(&tree_desc, &s, &out, &e), -1);
	assert_string_equal(e.msg, "one.key: missing");
	buf_reset(&out);
	assert_int_equal(
	    json_encode(&multipart_request_desc,
	        &(struct multipart_request){ .key = "\xff" }, &out, &e),
	    -1);
	assert_string_equal(e.msg, "key: not UTF-8 text");
}

static void
single_strings(void **state)
{
	struct err e = ERR_INIT;
	struct buf small;

	(void)state;
	assert_int_equal(
	    json_put_str(&out, "a\0\xff\x80\xe2\x82z", 7, NULL), 0);
	assert_string_equal(buf_str(&out),
	    "\"a\\u0000\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
	buf_init(&small, 4);
	assert_int_equal(json_put_str(&small, "abc", 3, &e), -1);
	assert_int_equal(small.len, 0);
	assert_int_equal(json_put_str(&small, "ab", 2, &e), 0);
	assert_string_equal(buf_str(&small), "\"ab\"");
	buf_done(&small);
}

static void
foreign_json(void **state)
{
	static const char *const wrong[] = { "", "{", "{\"a\":1,\"a\":2}",
		"{} x", "[1,]", "\"\xff\"", "{\"secret\":\"hunter2\",}",
		"\"\\u0000\"", "nul" };
	json_t *json = json_load("[{\"a\":1.5},\"b\",null]", 20, NULL);

	(void)state;
	assert_non_null(json);
	assert_int_equal(json_array_size(json), 3);
	json_decref(json);
	json = json_load(" 17 ", 4, NULL);
	assert_int_equal(json_integer_value(json), 17);
	json_decref(json);
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		struct err e = ERR_INIT;
		json = json_load(wrong[i], strlen(wrong[i]), &e);
		assert_null(json);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_null(strstr(e.msg, "hunter2"));
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_body_comes_back),
		TEST(others_agree),
		TEST(cut_off_everywhere),
		TEST(what_is_accepted),
		TEST(what_is_refused),
		TEST(nesting_is_bounded),
		TEST(memory_is_bounded),
		TEST(what_is_written),
		TEST(single_strings),
		TEST(foreign_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
