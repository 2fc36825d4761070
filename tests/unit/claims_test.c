#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/oidc/claims.h"

#define NOW ((int64_t)1700000000 * 1000000)

static json_t *
load(const char *text)
{
	json_t *v = json_loads(text, 0, NULL);

	assert_non_null(v);
	return v;
}

static int
match(const char *text, const char *name, const char *pattern)
{
	json_t *v = load(text);
	int rc = claims_match(v, name, &pattern, 1);

	json_decref(v);
	return rc;
}

static void
test_match(void **state)
{
	static const char nested[] =
	    "{\"kubernetes.io\":{\"namespace\":\"ci\",\"pod\":{\"name\":\"p\"},"
	    "\"a.b\":\"dots\"},\"x\":{\"y\":{\"z\":[\"one\",2,\"three\"]}},"
	    "\"x.y\":\"literal\"}";

	(void)state;
	assert_true(match("{\"a\":\"bcd\"}", "a", "b*"));
	assert_false(match("{\"a\":\"bcd\"}", "a", "c*"));
	assert_false(match("{\"a\":\"bcd\"}", "b", "*"));
	assert_true(match("{\"a\":true}", "a", "true"));
	assert_true(match("{\"a\":false}", "a", "false"));
	assert_true(match("{\"a\":123456789012}", "a", "123456789012"));
	assert_true(match("{\"a\":-7}", "a", "-7"));
	assert_true(match("{\"a\":1.5}", "a", "1.5"));
	assert_false(match("{\"a\":null}", "a", "*"));
	assert_false(match("{\"a\":{}}", "a", "*"));
	assert_true(match("{\"a\":\"\"}", "a", ""));
	/* The texts of a list, and nothing else of it. */
	assert_true(match("{\"a\":[\"x\",\"y\"]}", "a", "y"));
	assert_false(match("{\"a\":[1,true,[\"y\"]]}", "a", "*"));
	assert_false(match("{\"a\":[]}", "a", "*"));
	/* The name as it stands comes first, then as a path. */
	assert_true(match(nested, "x.y", "literal"));
	assert_true(match(nested, "x.y.z", "three"));
	assert_false(match(nested, "x.y.z", "2"));
	assert_true(match(nested, "kubernetes.io.namespace", "ci"));
	assert_true(match(nested, "kubernetes.io.pod.name", "p"));
	assert_true(match(nested, "kubernetes.io.a.b", "dots"));
	assert_false(match(nested, "kubernetes.namespace", "*"));
	assert_false(match(nested, "x.z", "*"));
	assert_false(match(nested, "x.y.z.w", "*"));
	assert_false(match(nested, "", "*"));
	assert_false(match(nested, "x.", "*"));
	/* No pattern, no match. */
	assert_false(claims_match(NULL, "a", NULL, 0));
}

static void
test_audience(void **state)
{
	static const struct {
		const char *text;
		int fits;
	} table[] = {
		{ "{\"aud\":\"us\"}", 1 },
		{ "{\"aud\":\"us2\"}", 0 },
		{ "{\"aud\":[\"them\",\"us\"]}", 1 },
		{ "{\"aud\":[\"them\"]}", 0 },
		{ "{\"aud\":[]}", 0 },
		{ "{\"aud\":[1,null]}", 0 },
		{ "{\"aud\":{\"us\":1}}", 0 },
		{ "{}", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		json_t *v = load(table[i].text);

		assert_int_equal(claims_for_audience(v, "us"), table[i].fits);
		json_decref(v);
	}
}

/* Seconds beside now; "" for absent. */
static int
try_times(const char *exp, const char *nbf, const char *iat, int64_t *left)
{
	const char *const names[] = { "exp", "nbf", "iat" };
	const char *const values[] = { exp, nbf, iat };
	struct err e = ERR_INIT;
	json_t *v = json_object();
	int rc;

	for (size_t i = 0; i < 3; i++)
		if (strcmp(values[i], "x") == 0)
			json_object_set_new(v, names[i], json_string("x"));
		else if (values[i][0] != '\0')
			json_object_set_new(v, names[i],
			    json_integer(NOW / 1000000 + atoll(values[i])));
	rc = claims_check_time(v, NOW, left, &e);
	if (rc != 0)
		assert_int_equal(e.kind, ERR_UNAUTHORIZED);
	json_decref(v);
	return rc;
}

static void
test_time(void **state)
{
	int64_t left = -1;
	json_t *v;

	(void)state;
	assert_int_equal(try_times("60", "", "", &left), 0);
	assert_int_equal(left, (60 + CLAIMS_EXP_LEEWAY_S) * 1000000);
	assert_int_equal(try_times("-29", "", "", &left), 0);
	assert_int_equal(left, 1000000);
	assert_int_equal(try_times("-30", "", "", &left), -1);
	assert_int_equal(left, 1000000);
	assert_int_equal(try_times("", "", "", &left), -1);
	assert_int_equal(try_times("x", "", "", &left), -1);
	assert_int_equal(try_times("600", "300", "300", &left), 0);
	assert_int_equal(try_times("600", "301", "", &left), -1);
	assert_int_equal(try_times("600", "", "301", &left), -1);
	assert_int_equal(try_times("600", "-1000", "-1000", &left), 0);
	assert_int_equal(try_times("600", "x", "", &left), -1);
	assert_int_equal(try_times("600", "", "x", &left), -1);
	/* Times that are none. */
	v = load("{\"exp\":1e300}");
	assert_int_equal(claims_check_time(v, NOW, &left, NULL), -1);
	json_decref(v);
	v = load("{\"exp\":1700000060.5}");
	assert_int_equal(claims_check_time(v, NOW, &left, NULL), 0);
	assert_true(left > 60 * 1000000);
	json_decref(v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_audience),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests_name("claims", tests, NULL, NULL);
}
