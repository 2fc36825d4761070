/*
 * Tokens of the API: hashes with scopes, a name and an end.
 */
#include "db_live.h"

#include <string.h>

#include "../../../libcommon/db/tokens.h"
#include "../../../proto/scopes.h"

static const uint8_t hash_a[SHA256_LEN] = { 1 }, hash_b[SHA256_LEN] = { 2 },
                     hash_c[SHA256_LEN] = { 3 };

static struct token
make(const uint8_t *hash, const char *name, unsigned scopes, int64_t life)
{
	struct token t = {
		.name = name, .scopes = scopes, .created_by = "api-token"
	};

	OK(tokens_create(server, hash, life, &t, &e));
	return t;
}

static int
use(const uint8_t *hash, struct err *e)
{
	unsigned scopes;
	int64_t id, left;

	return tokens_use(server, hash, &id, &scopes, &left, e);
}

static void
test_use(void **state)
{
	struct token t = make(hash_a, "ci", SCOPE_WRITE | SCOPE_PIN, HOUR);
	struct token u = make(hash_b, NULL, SCOPE_READ, 0);
	unsigned scopes = 0;
	int64_t id = 0, left = 0;

	(void)state;
	assert_int_equal(t.expires_us - t.created_us, HOUR);
	assert_int_equal(u.expires_us, 0);
	OK(tokens_use(server, hash_a, &id, &scopes, &left, &e));
	assert_int_equal(id, t.id);
	assert_int_equal(scopes, SCOPE_WRITE | SCOPE_PIN);
	assert_true(left <= HOUR && left > HOUR - MINUTE);
	OK(tokens_use(server, hash_b, &id, &scopes, &left, &e));
	assert_int_equal(id, u.id);
	assert_int_equal(left, INT64_MAX);
	id = -1;
	FAILS(ERR_UNAUTHORIZED,
	    tokens_use(server, hash_c, &id, &scopes, &left, &e));
	assert_int_equal(id, -1);
	/* A scope of the future gives no right today. */
	sql("UPDATE tokens SET scopes = '{read,fly}' WHERE name = 'ci'");
	OK(tokens_use(server, hash_a, &id, &scopes, &left, &e));
	assert_int_equal(scopes, SCOPE_READ);
	sql("UPDATE tokens SET scopes = '{}' WHERE name = 'ci'");
	OK(tokens_use(server, hash_a, &id, &scopes, &left, &e));
	assert_int_equal(scopes, 0);
}

static void
test_last_used(void **state)
{
	(void)state;
	make(hash_a, "ci", SCOPE_READ, 0);
	assert_int_equal(COUNT("tokens WHERE last_used_at IS NULL"), 1);
	OK(use(hash_a, &e));
	assert_int_equal(COUNT("tokens WHERE last_used_at > now() - interval"
	                       " '10 s'"),
	    1);
	/* Once a minute is enough. */
	sql("UPDATE tokens SET last_used_at = now() - interval '50 s'");
	OK(use(hash_a, &e));
	assert_int_equal(COUNT("tokens WHERE last_used_at < now() - interval"
	                       " '40 s'"),
	    1);
	sql("UPDATE tokens SET last_used_at = now() - interval '61 s'");
	OK(use(hash_a, &e));
	assert_int_equal(COUNT("tokens WHERE last_used_at > now() - interval"
	                       " '10 s'"),
	    1);
}

static void
test_end(void **state)
{
	struct token t = make(hash_a, "ci", SCOPE_READ, HOUR);
	int64_t id = 0;

	(void)state;
	OK(tokens_revoke(server, "ci", &id, &e));
	assert_int_equal(id, t.id);
	FAILS(ERR_UNAUTHORIZED, use(hash_a, &e));
	FAILS(ERR_NOT_FOUND, tokens_revoke(server, "ci", &id, &e));
	/* The name is free again; an id works too. */
	t = make(hash_b, "ci", SCOPE_READ, HOUR);
	OK(tokens_revoke(server,
	    arena_printf(live_arena, "%lld", (long long)t.id), &id, &e));
	assert_int_equal(id, t.id);
	FAILS(ERR_UNAUTHORIZED, use(hash_b, &e));
	FAILS(ERR_NOT_FOUND, tokens_revoke(server, "999999", &id, &e));
	FAILS(ERR_INVALID, tokens_revoke(server, "a b", &id, &e));
	FAILS(ERR_INVALID, tokens_revoke(server, "", &id, &e));
	make(hash_c, "late", SCOPE_READ, HOUR);
	OK(use(hash_c, &e));
	sql("UPDATE tokens SET expires_at = now() WHERE name = 'late'");
	FAILS(ERR_UNAUTHORIZED, use(hash_c, &e));
}

static void
test_create(void **state)
{
	struct token t = {
		.name = "ci", .scopes = SCOPE_READ, .created_by = "x"
	};

	(void)state;
	make(hash_a, "ci", SCOPE_READ, 0);
	FAILS(ERR_CONFLICT, tokens_create(server, hash_b, 0, &t, &e));
	assert_int_equal(t.id, 0);
	assert_int_equal(COUNT("tokens"), 1);
	/* Those without a name are no bother. */
	make(hash_b, NULL, SCOPE_READ, 0);
	make(hash_c, NULL, SCOPE_READ, 0);
	/* Old ones make room, and what is in use stays. */
	sql("UPDATE tokens SET revoked_at = now() - interval '91 d'"
	    " WHERE name = 'ci'");
	sql("UPDATE tokens SET expires_at = now() - interval '89 d'"
	    " WHERE sha256 = '\\x0200000000000000000000000000000000000000000000"
	    "000000000000000000'");
	OK(tokens_create(server, (const uint8_t[SHA256_LEN]){ 4 }, 0, &t, &e));
	assert_int_equal(COUNT("tokens"), 3);
	/* There is an end. */
	sql("INSERT INTO tokens (sha256, scopes, created_by)"
	    " SELECT sha256(i::text::bytea), '{read}', 'x'"
	    " FROM generate_series(4, 10000) i");
	t.name = "more";
	FAILS(ERR_CONFLICT,
	    tokens_create(server, (const uint8_t[SHA256_LEN]){ 5 }, 0, &t, &e));
}

static void
test_list(void **state)
{
	struct token *all;
	size_t n;

	(void)state;
	OK(tokens_list(server, live_arena, &all, &n, &e));
	assert_int_equal(n, 0);
	make(hash_a, "one", SCOPE_ALL, HOUR);
	make(hash_b, NULL, SCOPE_GC, 0);
	sql("UPDATE tokens SET revoked_at = 'epoch', last_used_at = 'epoch'"
	    " WHERE name = 'one'");
	sql("UPDATE tokens SET revoked_at = revoked_at + interval '2 us',"
	    " last_used_at = last_used_at + interval '1 us'"
	    " WHERE name = 'one'");
	OK(tokens_list(server, live_arena, &all, &n, &e));
	assert_int_equal(n, 2);
	assert_string_equal(all[0].name, "one");
	assert_int_equal(all[0].scopes, SCOPE_ALL);
	assert_string_equal(all[0].created_by, "api-token");
	assert_int_equal(all[0].revoked_us, 2);
	assert_int_equal(all[0].last_used_us, 1);
	assert_null(all[1].name);
	assert_int_equal(all[1].revoked_us, 0);
	assert_int_equal(all[1].expires_us, 0);
}

static void
test_names(void **state)
{
	char name[TOKENS_NAME_MAX + 2];

	(void)state;
	assert_int_equal(tokens_check_name("a.B-9_", NULL), 0);
	assert_int_equal(tokens_check_name("7a", NULL), 0);
	assert_int_equal(tokens_check_name("", NULL), -1);
	assert_int_equal(tokens_check_name("77", NULL), -1);
	assert_int_equal(tokens_check_name("a b", NULL), -1);
	assert_int_equal(tokens_check_name("a/b", NULL), -1);
	memset(name, 'x', sizeof name);
	name[TOKENS_NAME_MAX + 1] = '\0';
	assert_int_equal(tokens_check_name(name, NULL), -1);
	name[TOKENS_NAME_MAX] = '\0';
	assert_int_equal(tokens_check_name(name, NULL), 0);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_use),
	LIVE_TEST(test_last_used),
	LIVE_TEST(test_end),
	LIVE_TEST(test_create),
	LIVE_TEST(test_list),
	LIVE_TEST(test_names),
};
LIVE_GROUP(tokens);
