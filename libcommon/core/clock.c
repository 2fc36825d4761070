#include "clock.h"

#include <stdio.h>
#include <string.h>
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

/* Exactly n digits, from min to max. */
static int
take_digits(const char **s, int n, int min, int max, int *out)
{
	int v = 0;

	for (int i = 0; i < n; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		v = v * 10 + **s - '0';
	}
	*out = v;
	return v >= min && v <= max ? 0 : -1;
}

/* One of the characters. */
static int
take_char(const char **s, const char *any)
{
	if (**s == '\0' || strchr(any, **s) == NULL)
		return -1;
	(*s)++;
	return 0;
}

static int
take_offset(const char **s, int *seconds)
{
	int sign = **s == '-' ? -1 : 1, h = 0, m = 0;

	if (take_char(s, "Zz") == 0) {
		*seconds = 0;
		return 0;
	}
	if (take_char(s, "+-") != 0 || take_digits(s, 2, 0, 23, &h) != 0 ||
	    take_char(s, ":") != 0 || take_digits(s, 2, 0, 59, &m) != 0)
		return -1;
	*seconds = sign * (h * 3600 + m * 60);
	return 0;
}

int
clock_parse_rfc3339(const char *s, int64_t *wall_us)
{
	struct tm tm = { 0 };
	int offset, fraction = 0;

	if (take_digits(&s, 4, 1, 9999, &tm.tm_year) != 0 ||
	    take_char(&s, "-") != 0 ||
	    take_digits(&s, 2, 1, 12, &tm.tm_mon) != 0 ||
	    take_char(&s, "-") != 0 ||
	    take_digits(&s, 2, 1, 31, &tm.tm_mday) != 0 ||
	    take_char(&s, "Tt ") != 0 ||
	    take_digits(&s, 2, 0, 23, &tm.tm_hour) != 0 ||
	    take_char(&s, ":") != 0 ||
	    take_digits(&s, 2, 0, 59, &tm.tm_min) != 0 ||
	    take_char(&s, ":") != 0 ||
	    take_digits(&s, 2, 0, 60, &tm.tm_sec) != 0)
		return -1;
	if (take_char(&s, ".") == 0) {
		if (*s < '0' || *s > '9')
			return -1;
		for (int unit = 100000; *s >= '0' && *s <= '9'; s++, unit /= 10)
			fraction += (*s - '0') * unit;
	}
	if (take_offset(&s, &offset) != 0 || *s != '\0')
		return -1;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*wall_us = ((int64_t)timegm(&tm) - offset) * 1000000 + fraction;
	return 0;
}

int64_t
clock_parse_http(const char *text)
{
	static const char *const forms[] = {
		"%a, %d %b %Y %H:%M:%S GMT", /* the one that is written */
		"%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
		"%a %b %e %H:%M:%S %Y",      /* asctime */
	};

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, forms[i], &tm);

		if (end != NULL && *end == '\0')
			return timegm(&tm);
	}
	return -1;
}
