#include "clock.h"

#include <stdio.h>
#include <time.h>

#include "secret.h"

static int64_t
now_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return now_us(CLOCK_MONOTONIC);
}

int64_t
clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t
clock_wall_us(void)
{
	return now_us(CLOCK_REALTIME);
}

deadline_t
deadline_in(int64_t ms)
{
	deadline_t d;

	if (__builtin_add_overflow(clock_mono_ms(), ms, &d))
		return INT64_MAX;
	return d;
}

deadline_t
deadline_min(deadline_t a, deadline_t b)
{
	return a < b ? a : b;
}

int64_t
deadline_left(deadline_t d)
{
	int64_t now = clock_mono_ms();

	return d > now ? d - now : 0;
}

void
clock_sleep(int64_t ms, deadline_t d)
{
	int64_t left = deadline_left(d);
	struct timespec ts;

	if (left < ms)
		ms = left;
	if (ms <= 0)
		return;
	ts.tv_sec = ms / 1000;
	ts.tv_nsec = ms % 1000 * 1000000;
	nanosleep(&ts, NULL);
}

int64_t
clock_backoff(unsigned n, int64_t base_ms, int64_t cap_ms)
{
	int64_t most = base_ms;
	uint64_t r;

	for (; n > 0 && most < cap_ms; n--)
		if (__builtin_mul_overflow(most, 2, &most))
			most = cap_ms;
	if (most > cap_ms)
		most = cap_ms;
	if (most <= 0)
		return 0;
	secret_random(&r, sizeof r);
	return (int64_t)(r % ((uint64_t)most + 1));
}

const char *
clock_fmt_rfc3339(char out[CLOCK_RFC3339_MAX], int64_t wall_us)
{
	int64_t us = wall_us % 1000000;
	time_t t = wall_us / 1000000;
	struct tm tm;
	size_t len;

	if (us < 0) { /* before 1970, the second begins earlier */
		us += 1000000;
		t--;
	}
	gmtime_r(&t, &tm);
	len = strftime(out, CLOCK_RFC3339_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	if (us != 0)
		snprintf(out + len, CLOCK_RFC3339_MAX - len, ".%06dZ", (int)us);
	else
		snprintf(out + len, CLOCK_RFC3339_MAX - len, "Z");
	return out;
}
