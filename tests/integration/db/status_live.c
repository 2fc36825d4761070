/*
 * What operators look at.
 */
#include "db_live.h"

#include <string.h>

#include "../../../libcommon/db/status.h"

static void
test_uploads(void **state)
{
	struct status_upload *all;
	int64_t total;
	size_t n;

	OK(status_uploads(server, 10, live_arena, &all, &n, &total, &e));
	assert_int_equal(n, 0);
	assert_int_equal(total, 0);
	sql("INSERT INTO uploads (id, token, owner, state, store_dir, "
	    "created_at,"
	    " lease_until, narinfos) VALUES"
	    " (1, 'a', 'ci', 'open', '/s', now() - interval '2 h', now(), 3),"
	    " (2, 'b', 'you', 'open', '/s', now() - interval '3 h', now(), 0),"
	    " (3, 'c', 'ci', 'open', '/s', now(), now(), 0),"
	    " (4, 'd', 'ci', 'committed', '/s', now() - interval '9 h', now(), "
	    "0)");
	sql("INSERT INTO upload_writes SELECT 1, i, 7, '', now()"
	    " FROM generate_series(1, 10010) i;"
	    "INSERT INTO upload_writes VALUES (2, 1, 5, '', now()),"
	    " (2, 2, 6, '', now())");
	OK(status_uploads(server, 2, live_arena, &all, &n, &total, &e));
	assert_int_equal(total, 3);
	assert_int_equal(n, 2);
	assert_string_equal(all[0].owner, "you");
	assert_int_equal(all[0].objects, 2);
	assert_int_equal(all[0].bytes, 11);
	assert_string_equal(all[1].owner, "ci");
	assert_int_equal(all[1].narinfos, 3);
	assert_int_equal(all[1].objects, STATUS_WRITES_MAX);
	assert_int_equal(all[1].bytes, 7 * STATUS_WRITES_MAX);
	assert_true(all[0].created_us < all[1].created_us);
	live_setup(state); /* what was made up breaks the rules */
}

static void
test_closures(void **state)
{
	int64_t ages[STATUS_AGES], sum = 0;
	struct status_closure *all;
	int sampled;
	size_t n;

	sql("INSERT INTO closures (object_id, store_path, updated_at, objects,"
	    " bytes) SELECT i, '/s/' || i, now() - d * interval '1 day', i,"
	    " nullif(i * 10, 50) FROM unnest(ARRAY[0, 0, 2, 20, 60, 120, 300,"
	    " 400, 999]) WITH ORDINALITY u (d, i)");
	OK(status_ages(server, ages, &sampled, &e));
	assert_false(sampled);
	assert_int_equal(ages[0], 2);
	for (int i = 1; i < 6; i++)
		assert_int_equal(ages[i], 1);
	assert_int_equal(ages[6], 2);
	OK(status_largest(server, 3, live_arena, &all, &n, &e));
	assert_int_equal(n, 3);
	assert_string_equal(all[0].store_path, "/s/9");
	assert_int_equal(all[2].bytes, 70);
	OK(status_largest(server, 100, live_arena, &all, &n, &e));
	assert_int_equal(n, 8); /* of one it is not known */

	/* Of very many, a sample stands for all. */
	sql("INSERT INTO closures (object_id, store_path, updated_at)"
	    " SELECT i, '/s/' || i, now() - interval '10 days'"
	    " FROM generate_series(100, 700000) i;"
	    "ANALYZE closures");
	OK(status_ages(server, ages, &sampled, &e));
	assert_true(sampled);
	for (int i = 0; i < STATUS_AGES; i++)
		sum += ages[i];
	assert_true(sum > 650000 && sum < 750000);
	assert_true(ages[2] > 650000);
	live_setup(state);
}

static void
test_sizes(void **state)
{
	struct status_size *all;
	size_t n;

	OK(status_sizes(server, live_arena, &all, &n, &e));
	assert_int_equal(n, 0);
	sql("INSERT INTO stat_deltas (objects, bytes) VALUES (3, 40), (1, 2)");
	OK(status_size_note(server, &e));
	sql("INSERT INTO stat_deltas (objects, bytes) VALUES (-1, -2)");
	OK(status_size_note(server, &e));
	OK(status_sizes(server, live_arena, &all, &n, &e));
	assert_int_equal(n, 1);
	assert_int_equal(all[0].objects, 3);
	assert_int_equal(all[0].bytes, 40);
	/* One of six hours, the last; nothing that is too old to be drawn, and
	 * what is very old is forgotten. */
	sql("INSERT INTO cache_sizes SELECT date_bin('6 hours', now(), 'epoch')"
	    " - interval '6 hours' + i * interval '1 hour', 1, 100 + i"
	    " FROM generate_series(0, 5) i;"
	    "INSERT INTO cache_sizes VALUES (now() - interval '91 days', 1, 1),"
	    " (now() - interval '3 years', 1, 1)");
	OK(status_sizes(server, live_arena, &all, &n, &e));
	assert_int_equal(n, 2);
	assert_int_equal(all[0].bytes, 105);
	assert_int_equal(all[1].bytes, 40);
	OK(status_size_note(server, &e));
	assert_int_equal(COUNT("cache_sizes"), 8);
	live_setup(state);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_uploads),
	LIVE_TEST(test_closures),
	LIVE_TEST(test_sizes),
};

LIVE_GROUP(status);
