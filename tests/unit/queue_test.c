#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "../../libcommon/core/queue.h"

static int items[10];

static void
test_order_and_bound(void **state)
{
	struct queue *q = queue_new(3);

	(void)state;
	/* More than once round the ring. */
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 3; i++)
			assert_int_equal(
			    queue_push(q, &items[i], deadline_in(0)), 0);
		assert_int_equal(queue_len(q), 3);
		assert_int_equal(queue_push(q, &items[3], deadline_in(0)), -1);
		assert_int_equal(queue_len(q), 3);
		assert_ptr_equal(queue_pop(q, deadline_in(0)), &items[0]);
		assert_int_equal(queue_push(q, &items[3], deadline_in(0)), 0);
		for (int i = 1; i < 4; i++)
			assert_ptr_equal(
			    queue_pop(q, deadline_in(0)), &items[i]);
	}
	assert_null(queue_pop(q, deadline_in(0)));
	assert_int_equal(queue_len(q), 0);
	queue_free(q);
	queue_free(NULL);
}

static void
test_deadlines(void **state)
{
	struct queue *q = queue_new(1);
	int64_t before = clock_mono_ms();
	clock_t cpu = clock();

	(void)state;
	assert_null(queue_pop(q, deadline_in(30)));
	assert_true(clock_mono_ms() - before >= 29);
	assert_int_equal(queue_push(q, &items[0], deadline_in(30)), 0);
	before = clock_mono_ms();
	assert_int_equal(queue_push(q, &items[1], deadline_in(30)), -1);
	assert_true(clock_mono_ms() - before >= 29);
	/* Asleep meanwhile, not looking again and again. */
	assert_true((clock() - cpu) * 1000 / CLOCKS_PER_SEC < 30);
	/* What has passed long ago does not wait, but takes what is there. */
	assert_int_equal(queue_push(q, &items[1], INT64_MIN), -1);
	assert_ptr_equal(queue_pop(q, INT64_MIN), &items[0]);
	assert_null(queue_pop(q, INT64_MIN));
	queue_free(q);
}

static void
test_pop_many(void **state)
{
	struct queue *q = queue_new(10);
	void *got[10] = { 0 };

	(void)state;
	assert_int_equal(queue_pop_many(q, got, 10, deadline_in(0)), 0);
	for (int i = 0; i < 7; i++)
		queue_push(q, &items[i], deadline_in(0));
	assert_int_equal(queue_pop_many(q, got, 5, deadline_in(0)), 5);
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(got[i], &items[i]);
	assert_int_equal(queue_pop_many(q, got, 10, deadline_in(0)), 2);
	assert_ptr_equal(got[0], &items[5]);
	assert_ptr_equal(got[1], &items[6]);
	queue_free(q);
}

static void
test_close(void **state)
{
	struct queue *q = queue_new(3);
	void *got[3];

	(void)state;
	queue_push(q, &items[0], deadline_in(0));
	queue_push(q, &items[1], deadline_in(0));
	queue_close(q);
	queue_close(q);
	assert_int_equal(queue_push(q, &items[2], deadline_in(60000)), -1);
	assert_ptr_equal(queue_pop(q, deadline_in(0)), &items[0]);
	assert_int_equal(queue_pop_many(q, got, 3, deadline_in(60000)), 1);
	assert_ptr_equal(got[0], &items[1]);
	/* At once, though the deadline is far. */
	assert_null(queue_pop(q, deadline_in(INT64_MAX)));
	assert_int_equal(queue_pop_many(q, got, 3, deadline_in(60000)), 0);
	queue_free(q);
}

static void *
pop_forever(void *q)
{
	return queue_pop(q, deadline_in(INT64_MAX));
}

static void *
push_forever(void *q)
{
	return queue_push(q, &items[9], deadline_in(INT64_MAX)) == 0 ? q : NULL;
}

static void
test_wakes(void **state)
{
	struct queue *q = queue_new(1);
	pthread_t t, u;
	void *got;

	(void)state;
	/* A push wakes who pops, a pop wakes who pushes. */
	pthread_create(&t, NULL, pop_forever, q);
	clock_sleep(10, deadline_in(10));
	queue_push(q, &items[1], deadline_in(0));
	pthread_join(t, &got);
	assert_ptr_equal(got, &items[1]);

	queue_push(q, &items[1], deadline_in(0));
	pthread_create(&t, NULL, push_forever, q);
	clock_sleep(10, deadline_in(10));
	assert_ptr_equal(queue_pop(q, deadline_in(0)), &items[1]);
	pthread_join(t, &got);
	assert_ptr_equal(got, q);
	assert_ptr_equal(queue_pop(q, deadline_in(0)), &items[9]);

	/* Closing wakes all. */
	pthread_create(&t, NULL, pop_forever, q);
	pthread_create(&u, NULL, pop_forever, q);
	clock_sleep(10, deadline_in(10));
	queue_close(q);
	pthread_join(t, &got);
	assert_null(got);
	pthread_join(u, &got);
	assert_null(got);
	queue_free(q);

	q = queue_new(1);
	queue_push(q, &items[1], deadline_in(0));
	pthread_create(&t, NULL, push_forever, q);
	clock_sleep(10, deadline_in(10));
	queue_close(q);
	pthread_join(t, &got);
	assert_null(got);
	queue_free(q);
}

/* Several on each side, a queue that is nearly always full or empty. */
#define SIDE 3
#define EACH 5000

static struct queue *shared;
static atomic_long popped_sum, popped_n;

static void *
producer(void *arg)
{
	for (uintptr_t i = 1; i <= EACH; i++)
		if (queue_push(shared, (void *)i, deadline_in(60000)) == -1)
			return NULL;
	return arg;
}

static void *
consumer(void *arg)
{
	void *got[4];
	size_t n;

	while ((n = queue_pop_many(
	            shared, got, arg != NULL ? 4 : 1, deadline_in(60000))) > 0)
		for (size_t i = 0; i < n; i++) {
			popped_sum += (long)(uintptr_t)got[i];
			popped_n++;
		}
	return NULL;
}

static void
test_many_threads(void **state)
{
	pthread_t producers[SIDE], consumers[SIDE];
	void *ok;

	(void)state;
	shared = queue_new(4);
	for (int i = 0; i < SIDE; i++) {
		pthread_create(
		    &consumers[i], NULL, consumer, i > 0 ? &items[0] : NULL);
		pthread_create(&producers[i], NULL, producer, &items[0]);
	}
	for (int i = 0; i < SIDE; i++) {
		pthread_join(producers[i], &ok);
		assert_non_null(ok);
	}
	queue_close(shared);
	for (int i = 0; i < SIDE; i++)
		pthread_join(consumers[i], NULL);
	assert_int_equal(popped_n, SIDE * EACH);
	assert_int_equal(popped_sum, SIDE * (long)EACH * (EACH + 1) / 2);
	assert_int_equal(queue_len(shared), 0);
	queue_free(shared);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_bound),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_pop_many),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_wakes),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
