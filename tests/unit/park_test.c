#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <semaphore.h>

#include "../../libcommon/http/park.h"

static char things[4];
static void *woken[8];
static size_t nwoken;
static sem_t came;

static void
wake(void *item)
{
	woken[nwoken++] = item;
	sem_post(&came);
}

static int
setup(void **state)
{
	nwoken = 0;
	sem_init(&came, 0, 0);
	*state = park_new(wake);
	return 0;
}

static int
teardown(void **state)
{
	park_free(*state);
	return 0;
}

/* By their times, not in the order in which they came. */
static void
test_order(void **state)
{
	park_put(*state, &things[0], 300000);
	park_put(*state, &things[1], 60);
	park_put(*state, &things[2], 0);
	park_put(*state, &things[3], 30);
	for (int i = 0; i < 3; i++)
		sem_wait(&came);
	assert_ptr_equal(woken[0], &things[2]);
	assert_ptr_equal(woken[1], &things[3]);
	assert_ptr_equal(woken[2], &things[1]);
	assert_int_equal(nwoken, 3);
}

/* All that is left comes back, and what comes later at once. */
static void
test_close(void **state)
{
	park_put(*state, &things[0], 600000);
	park_put(*state, &things[1], 300000);
	park_close(*state);
	assert_int_equal(nwoken, 2);
	assert_ptr_equal(woken[0], &things[1]);
	park_put(*state, &things[2], 600000);
	assert_int_equal(nwoken, 3);
	park_close(*state);
	park_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close, setup, teardown),
	};

	return cmocka_run_group_tests_name("park", tests, NULL, NULL);
}
