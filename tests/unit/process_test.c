#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/process.h"

#define BLOCK ((size_t)32 << 20)

static void
test_fds(void **state)
{
	struct process before, after;
	struct rlimit limit;
	int fd[3];

	(void)state;
	process_read(&before);
	for (int i = 0; i < 3; i++)
		fd[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	process_read(&after);
	assert_int_equal(after.open_fds, before.open_fds + 3);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	process_read(&after);
	assert_int_equal(after.open_fds, before.open_fds);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(after.max_fds, limit.rlim_cur);
}

static void
test_memory(void **state)
{
	struct process before, after;
	char *block;

	(void)state;
	process_read(&before);
	assert_true(before.resident_bytes > 0);
	assert_true(before.virtual_bytes >= before.resident_bytes);
	block = xmalloc(BLOCK);
	memset(block, 1, BLOCK);
	process_read(&after);
	/* Some of the rest may have gone meanwhile. */
	assert_true(
	    after.resident_bytes - before.resident_bytes > (int64_t)BLOCK / 2);
	free(block);
}

static void
test_time(void **state)
{
	struct process p, again;
	clock_t until = clock() + CLOCKS_PER_SEC / 50;

	(void)state;
	process_read(&p);
	assert_true(p.started_us <= clock_wall_us());
	assert_true(p.started_us > clock_wall_us() - 600 * 1000000LL);
	while (clock() < until)
		;
	process_read(&again);
	assert_true(again.cpu_us >= p.cpu_us + 10000);
	assert_int_equal(again.started_us, p.started_us);
}

static void
test_id(void **state)
{
	char a[PROCESS_ID_MAX], b[PROCESS_ID_MAX], pid[32];

	(void)state;
	assert_string_equal(process_id(a), process_id(b));
	snprintf(pid, sizeof pid, ":%ld:", (long)getpid());
	assert_non_null(strstr(a, pid));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
