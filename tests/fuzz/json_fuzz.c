/*
 * Whatever is decoded as one of our larger bodies is JSON and says what another
 * parser reads there, keeps to its descriptor, and is written and decoded again
 * to the same. What is refused leaves the struct alone.
 */
#include <string.h>

#include <jansson.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../proto/bodies.h"
#include "../unit/desc_gen.h"
#include "fuzz.h"

#define STRUCT_MAX 1024 /* bytes of the largest struct */
#define UNTOUCHED  0x5a

static const struct desc *const bodies[] = { &upload_request_desc,
	&upload_reply_desc, &authorize_request_desc, &authorize_reply_desc,
	&complete_request_desc, &commit_request_desc, &gc_plan_desc,
	&gc_history_desc, &closure_list_desc, &why_reply_desc, &pin_list_desc,
	&narinfos_reply_desc, &token_created_desc, &cache_config_desc,
	&api_error_desc };

static void says(const struct desc *d, const void *s, const json_t *json);

static int
is_text(const char *text, const json_t *json)
{
	return json_is_string(json) &&
	    strcmp(text, json_string_value(json)) == 0;
}

static int
is_hex(const uint8_t *data, size_t n, const json_t *json)
{
	const char *text = json_string_value(json);

	if (text == NULL || strlen(text) != 2 * n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		char digits[3] = { text[2 * i], text[2 * i + 1], '\0' };

		if (strtoul(digits, NULL, 16) != data[i])
			return 0;
	}
	return 1;
}

/* The field has what json has; no body has the types that are not here. */
static void
field_says(const struct desc_field *f, const void *at, const json_t *json)
{
	const struct desc_strs *strs = at;
	const struct desc_u32s *u32s = at;
	const struct desc_list *list = at;

	switch (f->type) {
	case DESC_STR:
		FUZZ_CHECK(is_text(*(const char *const *)at, json));
		break;
	case DESC_HEX:
		FUZZ_CHECK(is_hex(at, f->max, json));
		break;
	case DESC_U64:
		FUZZ_CHECK(json_is_integer(json));
		FUZZ_CHECK(*(const uint64_t *)at ==
		    (uint64_t)json_integer_value(json));
		break;
	case DESC_BOOL:
		FUZZ_CHECK(json_is_boolean(json));
		FUZZ_CHECK(*(const int *)at == json_is_true(json));
		break;
	case DESC_STRS:
		FUZZ_CHECK(json_is_array(json));
		FUZZ_CHECK(strs->n == json_array_size(json));
		for (size_t i = 0; i < strs->n; i++)
			FUZZ_CHECK(
			    is_text(strs->items[i], json_array_get(json, i)));
		break;
	case DESC_U32S:
		FUZZ_CHECK(json_is_array(json));
		FUZZ_CHECK(u32s->n == json_array_size(json));
		for (size_t i = 0; i < u32s->n; i++)
			FUZZ_CHECK((json_int_t)u32s->items[i] ==
			    json_integer_value(json_array_get(json, i)));
		break;
	case DESC_LIST:
		FUZZ_CHECK(json_is_array(json));
		FUZZ_CHECK(list->n == json_array_size(json));
		for (size_t i = 0; i < list->n; i++)
			says(f->sub, (char *)list->items + i * f->sub->size,
			    json_array_get(json, i));
		break;
	case DESC_OBJ:
		says(f->sub, at, json);
		break;
	default:
		err_die("%s: a type that is not compared", f->name);
	}
}

/* Nothing is there that json lacks, and the other way round. */
static void
says(const struct desc *d, const void *s, const json_t *json)
{
	static const char nothing[STRUCT_MAX];

	FUZZ_CHECK(json_is_object(json));
	for (size_t i = 0; i < d->nfields; i++) {
		const struct desc_field *f = &d->fields[i];
		const void *at = (const char *)s + f->offset;
		const json_t *value = json_object_get(json, f->name);

		if (value != NULL && !json_is_null(value)) {
			field_says(f, at, value);
			continue;
		}
		FUZZ_CHECK(!(f->flags & DESC_REQUIRED));
		FUZZ_CHECK(memcmp(at, nothing,
		               f->type == DESC_BOOL ? sizeof(int) : 8) == 0);
	}
}

/* jansson has limits for numbers that nobody asked for; what it says of those
 * texts is no word about us. */
static void
is_json(const struct desc *d, const void *s, const uint8_t *data, size_t size)
{
	json_error_t error;
	json_t *json = json_loadb((const char *)data, size, 0, &error);

	if (json != NULL)
		says(d, s, json);
	else
		FUZZ_CHECK(
		    json_error_code(&error) == json_error_numeric_overflow);
	json_decref(json);
}

static void
comes_back(const struct desc *d, const void *s, struct arena *a)
{
	struct buf first, second;
	_Alignas(max_align_t) char again[STRUCT_MAX];
	struct err e = ERR_INIT;

	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	FUZZ_CHECK(json_encode(d, s, &first, &e) == 0);
	FUZZ_CHECK(json_decode(d, first.data, first.len, a, again, &e) == 0);
	FUZZ_CHECK(gen_equal(d, s, again));
	FUZZ_CHECK(json_encode(d, again, &second, &e) == 0);
	FUZZ_CHECK(first.len == second.len &&
	    memcmp(first.data, second.data, first.len) == 0);
	is_json(d, s, first.data, first.len);
	buf_done(&second);
	buf_done(&first);
}

static void
try(const struct desc *d, const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(16 << 20);
	_Alignas(max_align_t) char s[STRUCT_MAX];
	char before[STRUCT_MAX];
	struct err e = ERR_INIT;

	FUZZ_CHECK(d->size <= STRUCT_MAX);
	memset(s, UNTOUCHED, sizeof s);
	memset(before, UNTOUCHED, sizeof before);
	if (json_decode(d, data, size, a, s, &e) == 0) {
		FUZZ_CHECK(e.kind == ERR_NONE);
		FUZZ_CHECK(desc_check(d, s, &e) == 0);
		is_json(d, s, data, size);
		comes_back(d, s, a);
	} else {
		FUZZ_CHECK(e.kind == ERR_INVALID || e.kind == ERR_TOO_LARGE);
		FUZZ_CHECK(e.msg[0] != '\0');
		FUZZ_CHECK(memcmp(s, before, sizeof s) == 0);
	}
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		try(bodies[i], data, size);
	return 0;
}
