#include "../../libcommon/nix/realisation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"

/* What `nix realisation info --json` of Nix 2.8 printed, ... */
#define LIB_ID                                                                \
	"sha256:49651faba17a1c4bedd268ee613fe797715b935b733b2ac0fb467bf3397e" \
	"2904!out"
#define LIB_PATH "l69y51b8xzrl7cnhwmjk0ix2jfh9ld85-lib"
#define APP_ID                                                                \
	"sha256:c7e020d18cede56c135e6de9c6540cfcfa1cb405246b286475de0d212bcb" \
	"2370!out"
#define APP_PATH "cd4hkf84ply3lq24gnm0s6c6np4ni8kz-app"
/* ... and the .doi files that it wrote into a cache. */
#define LIB                                              \
	"{\"dependentRealisations\":{},\"id\":\"" LIB_ID \
	"\",\"outPath\":\"" LIB_PATH "\",\"signatures\":[]}"
#define APP                                                      \
	"{\"dependentRealisations\":{\"" LIB_ID "\":\"" LIB_PATH \
	"\"},\"id\":\"" APP_ID "\",\"outPath\":\"" APP_PATH      \
	"\",\"signatures\":[]}"
#define OPAQUE "{\"opaquePath\":\"/srv/nix/store/" APP_PATH "\"}"

#define DIR    "/srv/nix/store"
#define OUT    "\",\"outPath\":\"" LIB_PATH "\""

static int
setup(void **state)
{
	*state = arena_new(1 << 20);
	return 0;
}

static int
teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static int
parse(const char *text, struct arena *a, struct realisation **out, size_t *n,
    struct err *e)
{
	return realisation_parse(text, strlen(text), DIR, a, out, n, e);
}

static void
stored_as_nix_does(void **state)
{
	struct realisation *r;
	size_t n;

	assert_int_equal(
	    parse("[" OPAQUE "," LIB "," APP "]\n", *state, &r, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_string_equal(r[0].id, LIB_ID);
	assert_string_equal(r[0].out_path, LIB_PATH);
	assert_string_equal(r[0].json, LIB);
	assert_string_equal(r[1].id, APP_ID);
	assert_string_equal(r[1].out_path, APP_PATH);
	assert_string_equal(r[1].json, APP);

	assert_int_equal(parse("[]", *state, &r, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(parse("[" OPAQUE "]", *state, &r, &n, NULL), 0);
	assert_int_equal(n, 0);
}

/* Another order, white space, full paths, what is missing or unknown. */
static void
made_canonical(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "[ { \"signatures\" : [ ] , \"x\": 1, \"outPath\":\"" DIR
		  "/" APP_PATH "\", \"id\":\"" APP_ID "\",\n"
		  "\"dependentRealisations\":{\"" LIB_ID "\":\"" DIR
		  "/" LIB_PATH "\"}} ]",
		    APP },
		{ "[{\"id\":\"" LIB_ID OUT "}]", LIB },
		{ "[{\"id\":\"" LIB_ID OUT ",\"dependentRealisations\":null,"
		  "\"signatures\":null}]",
		    LIB },
		{ "[{\"id\":\"a:b!c" OUT ",\"signatures\":[\"k:b/+\\/=\","
		  "\"a\"],\"dependentRealisations\":{\"b:b!c\":\"" LIB_PATH
		  "\",\"a:b!c\":\"" APP_PATH "\"}}]",
		    "{\"dependentRealisations\":{\"a:b!c\":\"" APP_PATH
		    "\",\"b:b!c\":\"" LIB_PATH "\"},\"id\":\"a:b!c" OUT
		    ",\"signatures\":[\"k:b/+/=\",\"a\"]}" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct realisation *r;
		struct err e = ERR_INIT;
		size_t n;

		if (parse(cases[i].in, *state, &r, &n, &e) < 0)
			fail_msg("%zu: %s", i, e.msg);
		assert_int_equal(n, 1);
		assert_string_equal(r[0].json, cases[i].out);
	}
}

static void
refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"[",
		"null",
		"{}",
		LIB,
		"[" LIB "] x",
		"[" LIB ",]",
		"[null]",
		"[\"x\"]",
		"[[" LIB "]]",
		"[{\"id\":null}]",
		"[{\"id\":1"
		"}]",
		"[{\"id\":\"" LIB_ID "\"}]",
		"[{\"id\":\"" LIB_ID "\",\"outPath\":null}]",
		"[{\"id\":\"" LIB_ID "\",\"outPath\":\"x\"}]",
		"[{\"id\":\"" LIB_ID "\",\"outPath\":\"/nix/store/" LIB_PATH
		"\"}]",
		"[{\"id\":\"" LIB_ID "\",\"outPath\":\"" LIB_PATH "/bin\"}]",
		"[{\"id\":\"" OUT "}]",
		"[{\"id\":\"sha256:ab" OUT "}]",
		"[{\"id\":\"sha256:ab!../x" OUT "}]",
		"[{\"id\":\"sha256:ab!out\\u0000" OUT "}]",
		"[{\"id\":\"sha256:ab!out\\n" OUT "}]",
		"[{\"id\":\"a:b!c" OUT ",\"id\":\"a:b!d\"}]",
		"[{\"id\":\"a:b!c" OUT ",\"dependentRealisations\":[]}]",
		"[{\"id\":\"a:b!c" OUT
		",\"dependentRealisations\":{\"x\":\"" LIB_PATH "\"}}]",
		"[{\"id\":\"a:b!c" OUT
		",\"dependentRealisations\":{\"a:b!c\":\"x\"}}]",
		"[{\"id\":\"a:b!c" OUT
		",\"dependentRealisations\":{\"a:b!c\":1}}]",
		"[{\"id\":\"a:b!c" OUT ",\"signatures\":\"k:x\"}]",
		"[{\"id\":\"a:b!c" OUT ",\"signatures\":[1]}]",
		"[{\"id\":\"a:b!c" OUT ",\"signatures\":[\"a\",null]}]",
		/* a good one does not save a bad one */
		"[" LIB ",{\"id\":1}]",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct realisation *r = NULL;
		struct err e = ERR_INIT;
		size_t n = 77;

		if (parse(bad[i], *state, &r, &n, &e) == 0)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_memory_equal(e.msg, "realisations: ", 14);
		assert_null(r);
		assert_int_equal(n, 77);
	}
}

static void
small_arena(void **state)
{
	struct realisation *r;
	size_t n;
	struct err e;

	(void)state;
	for (size_t max = 0; max < 512; max += 16) {
		struct arena *a = arena_new(max);

		if (parse("[" LIB "]", a, &r, &n, &e) == 0) {
			assert_true(max > strlen(LIB));
			arena_free(a);
			return;
		}
		assert_int_equal(e.kind, ERR_TOO_LARGE);
		arena_free(a);
	}
	fail();
}

static void
ids(void **state)
{
	(void)state;
	assert_int_equal(realisation_check_id(LIB_ID, NULL), 0);
	assert_int_equal(realisation_check_id("sha256:ab!out-1.0", NULL), 0);
	assert_int_equal(realisation_check_id("", NULL), -1);
	assert_int_equal(realisation_check_id("sha256:ab!", NULL), -1);
	assert_int_equal(realisation_check_id("sha256:ab!a/b", NULL), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    stored_as_nix_does, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    made_canonical, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
		cmocka_unit_test(small_arena),
		cmocka_unit_test(ids),
	};

	return cmocka_run_group_tests_name("realisation", tests, NULL, NULL);
}
