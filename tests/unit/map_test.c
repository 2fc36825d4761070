#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/map.h"

static void
test_basic(void **state)
{
	struct map *m = map_new(0);
	int one, two;

	(void)state;
	assert_int_equal(map_len(m), 0);
	assert_null(map_get(m, "a", 1));
	assert_null(map_del(m, "a", 1));
	assert_null(map_put(m, "a", 1, &one));
	assert_ptr_equal(map_get(m, "a", 1), &one);
	assert_ptr_equal(map_put(m, "a", 1, &two), &one);
	assert_int_equal(map_len(m), 1);
	assert_ptr_equal(map_del(m, "a", 1), &two);
	assert_int_equal(map_len(m), 0);
	assert_null(map_get(m, "a", 1));
	map_free(m);
	map_free(NULL);
}

/* Keys are bytes: NULs count, the length counts, and none is a key too. */
static void
test_keys_are_bytes(void **state)
{
	struct map *m = map_new(4);
	int v[5];

	(void)state;
	map_put(m, "a", 1, &v[0]);
	map_put(m, "a\0", 2, &v[1]);
	map_put(m, "a\0b", 3, &v[2]);
	map_put(m, "", 0, &v[3]);
	map_put(m, "a\0c", 3, &v[4]);
	assert_int_equal(map_len(m), 5);
	assert_ptr_equal(map_get(m, "a", 1), &v[0]);
	assert_ptr_equal(map_get(m, "a\0", 2), &v[1]);
	assert_ptr_equal(map_get(m, "a\0b", 3), &v[2]);
	assert_ptr_equal(map_get(m, NULL, 0), &v[3]);
	assert_ptr_equal(map_get(m, "a\0c", 3), &v[4]);
	assert_null(map_get(m, "b", 1));
	map_free(m);
}

/* A key may lie in the value that is replaced and freed. */
static void
test_put_takes_the_new_key(void **state)
{
	struct map *m = map_new(4);
	char *old = strdup("key"), *new = strdup("key");

	(void)state;
	map_put(m, old, 3, old);
	assert_ptr_equal(map_put(m, new, 3, new), old);
	memset(old, 'x', 3);
	free(old);
	assert_ptr_equal(map_get(m, "key", 3), new);
	map_free(m);
	free(new);
}

#define KEYS 2000

/*
 * The same steps on the map and on a plain array, which must agree at the end of
 * each round: growth, collisions, and runs that wrap round the end of the table
 * and have holes closed in them.
 */
static void
test_against_an_array(void **state)
{
	static uint32_t keys[KEYS];
	static void *model[KEYS];
	struct map *m = map_new(0);
	uint64_t x = 42;
	size_t len = 0;

	(void)state;
	for (uint32_t i = 0; i < KEYS; i++)
		keys[i] = i;
	for (int step = 1; step <= 200000; step++) {
		uint32_t k;
		void *value;

		x = x * 6364136223846793005 + 1442695040888963407;
		k = (uint32_t)(x >> 33) % KEYS;
		/* Waves of growing and shrinking. */
		if ((x >> 60) < (step / 20000 % 2 ? 5 : 11)) {
			value = &model[(x >> 20) % KEYS];
			len += model[k] == NULL;
			assert_ptr_equal(
			    map_put(m, &keys[k], sizeof keys[k], value),
			    model[k]);
			model[k] = value;
		} else {
			len -= model[k] != NULL;
			assert_ptr_equal(
			    map_del(m, &keys[k], sizeof keys[k]), model[k]);
			model[k] = NULL;
		}
		assert_int_equal(map_len(m), len);
		if (step % 10000 == 0)
			for (uint32_t i = 0; i < KEYS; i++)
				assert_ptr_equal(
				    map_get(m, &i, sizeof i), model[i]);
	}
	map_free(m);
}

static void
test_next_visits_each_once(void **state)
{
	static uint32_t keys[1000];
	struct map *m = map_new(1000);
	size_t i = 0, n = 0;
	uint32_t *v;

	(void)state;
	assert_null(map_next(m, &i));
	for (uint32_t k = 0; k < 1000; k++) {
		keys[k] = k;
		map_put(m, &keys[k], sizeof keys[k], &keys[k]);
	}
	for (i = 0; (v = map_next(m, &i)) != NULL; n++) {
		assert_true(*v < 1000); /* not yet visited */
		*v += 1000;
	}
	assert_int_equal(n, 1000);
	assert_null(map_next(m, &i));
	map_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_keys_are_bytes),
		cmocka_unit_test(test_put_takes_the_new_key),
		cmocka_unit_test(test_against_an_array),
		cmocka_unit_test(test_next_visits_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
