#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "../../bin/niks3-server/auth_cache.h"

static int
setup(void **state)
{
	*state = auth_cache_new();
	return 0;
}

static int
teardown(void **state)
{
	auth_cache_free(*state);
	return 0;
}

static const uint8_t *
key_of(unsigned n)
{
	static uint8_t key[SHA256_LEN];

	memcpy(key, &n, sizeof n);
	return key;
}

static void
put(struct auth_cache *c, unsigned n, int64_t token, int64_t ms)
{
	struct auth_identity id = { .scopes = n, .token_id = token };

	auth_cache_put(c, key_of(n), &id, ms, auth_cache_epoch(c));
}

static int
has(struct auth_cache *c, unsigned n)
{
	struct auth_identity id = { .scopes = 0 };
	int rc = auth_cache_get(c, key_of(n), &id);

	if (rc)
		assert_int_equal(id.scopes, n);
	else
		assert_int_equal(id.scopes, 0);
	return rc;
}

static void
test_time(void **state)
{
	assert_false(has(*state, 1));
	put(*state, 1, 0, 60000);
	put(*state, 2, 0, 1);
	put(*state, 3, 0, 0);
	assert_false(has(*state, 3));
	usleep(5000);
	assert_true(has(*state, 1));
	assert_false(has(*state, 2));
	put(*state, 2, 0, 60000);
	assert_true(has(*state, 2));
	put(*state, 2, 0, 0); /* the newest word counts */
	assert_false(has(*state, 2));
}

static void
test_full(void **state)
{
	for (unsigned n = 1; n <= AUTH_CACHE_MAX + 10; n++)
		put(*state, n, 0, 60000);
	for (unsigned n = 1; n <= AUTH_CACHE_MAX + 10; n++)
		assert_int_equal(has(*state, n), n > 10);
}

static void
test_forget(void **state)
{
	struct auth_identity id = { .scopes = 3, .token_id = 7 };
	uint64_t before = auth_cache_epoch(*state);

	put(*state, 1, 7, 60000);
	put(*state, 2, 8, 60000);
	auth_cache_forget(*state, 7);
	assert_false(has(*state, 1));
	assert_true(has(*state, 2));
	/* What was looked up before it was revoked does not come back. */
	auth_cache_put(*state, key_of(3), &id, 60000, before);
	assert_false(has(*state, 3));
	auth_cache_free(NULL);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_time),
		T(test_full),
		T(test_forget),
	};

	return cmocka_run_group_tests_name("auth_cache", tests, NULL, NULL);
}
