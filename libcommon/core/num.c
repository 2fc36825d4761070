#include "num.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "err.h"

static int
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int
num_parse_u64(
    const char *s, size_t len, uint64_t max, uint64_t *out, struct err *e)
{
	uint64_t n = 0;

	if (len == 0)
		return err_set(e, ERR_INVALID, "empty where a number belongs");
	for (size_t i = 0; i < len; i++)
		if (!is_digit(s[i]))
			return err_set(e, ERR_INVALID, "not a number");
	if (len > 1 && s[0] == '0')
		return err_set(e, ERR_INVALID, "a number with a leading zero");
	for (size_t i = 0; i < len; i++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, s[i] - '0', &n) || n > max)
			return err_set(e, ERR_INVALID, "larger than %llu",
			    (unsigned long long)max);
	*out = n;
	return 0;
}

int
num_parse_i64(const char *s, size_t len, int64_t *out, struct err *e)
{
	int minus = len > 0 && s[0] == '-';
	uint64_t n;

	if (num_parse_u64(s + minus, len - minus, (uint64_t)INT64_MAX + minus,
	        &n, e) == -1)
		return -1;
	if (minus && n == 0)
		return err_set(e, ERR_INVALID, "minus zero");
	/* Negated as unsigned, since -INT64_MIN is no int64_t. */
	*out = (int64_t)(minus ? -n : n);
	return 0;
}

int
num_parse_bool(const char *s, int *out, struct err *e)
{
	static const char *const words[][2] = {
		{ "false", "true" },
		{ "0", "1" },
		{ "no", "yes" },
		{ "off", "on" },
		{ "f", "t" },
	};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		for (int value = 0; value < 2; value++)
			if (strcasecmp(s, words[i][value]) == 0) {
				*out = value;
				return 0;
			}
	return err_set(e, ERR_INVALID, "neither true nor false");
}

#define NS_PER_US 1000
#define NS_MAX    ((__int128)INT64_MAX * NS_PER_US)
/* Digits of a fraction beyond this change no nanosecond even of weeks. */
#define SCALE_MAX ((int64_t)1000000000000000000)

static const struct unit {
	const char *name;
	int64_t ns;
} units[] = {
	{ "ns", 1 },
	{ "us", NS_PER_US },
	{ "\u00b5s", NS_PER_US }, /* the micro sign */
	{ "\u03bcs", NS_PER_US }, /* the Greek letter */
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", 60000000000 },
	{ "h", 3600000000000 },
	{ "d", 86400000000000 },
	{ "w", 604800000000000 },
};

/* The unit at *s, which runs up to the next digit or dot; advances *s. */
static const struct unit *
unit_parse(const char **s, struct err *e)
{
	size_t len = 0;

	while ((*s)[len] != '\0' && (*s)[len] != '.' && !is_digit((*s)[len]))
		len++;
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
		if (strlen(units[i].name) == len &&
		    memcmp(units[i].name, *s, len) == 0) {
			*s += len;
			return &units[i];
		}
	if (len == 0)
		err_set(e, ERR_INVALID, "a duration without a unit, as in 90s");
	else
		err_set(e, ERR_INVALID,
		    "not one of the units ns, us, ms, s, m, h, d, w");
	return NULL;
}

int
num_parse_duration(const char *s, int64_t *us, struct err *e)
{
	__int128 total = 0;

	if (*s == '-')
		return err_set(e, ERR_INVALID, "a negative duration");
	if (*s == '+')
		s++;
	if (strcmp(s, "0") == 0) {
		*us = 0;
		return 0;
	}
	if (*s == '\0')
		return err_set(
		    e, ERR_INVALID, "empty where a duration belongs");
	while (*s != '\0') {
		const struct unit *unit;
		int64_t whole = 0, fraction = 0, scale = 1;
		int digits = 0;

		for (; is_digit(*s); s++, digits++)
			if (__builtin_mul_overflow(whole, 10, &whole) ||
			    __builtin_add_overflow(whole, *s - '0', &whole))
				goto too_long;
		if (*s == '.')
			for (s++; is_digit(*s); s++)
				if (++digits, scale < SCALE_MAX) {
					fraction = fraction * 10 + (*s - '0');
					scale *= 10;
				}
		if (digits == 0)
			return err_set(e, ERR_INVALID, "not a duration");
		if ((unit = unit_parse(&s, e)) == NULL)
			return -1;
		total += (__int128)whole * unit->ns +
		    (__int128)fraction * unit->ns / scale;
		if (total > NS_MAX)
			goto too_long;
	}
	*us = total / NS_PER_US;
	return 0;

too_long:
	return err_set(e, ERR_INVALID, "a duration of more than 292,000 years");
}

/* "1.5" for 1500 thousandths: n / 10^digits without trailing zeros. */
static int
fmt_fraction(char *out, size_t size, uint64_t n, int digits, const char *unit)
{
	uint64_t scale = 1;

	for (int i = 0; i < digits; i++)
		scale *= 10;
	for (; digits > 0 && n % 10 == 0; digits--) {
		n /= 10;
		scale /= 10;
	}
	if (digits == 0)
		return snprintf(
		    out, size, "%llu%s", (unsigned long long)n, unit);
	return snprintf(out, size, "%llu.%0*llu%s",
	    (unsigned long long)(n / scale), digits,
	    (unsigned long long)(n % scale), unit);
}

const char *
num_fmt_duration(char out[NUM_DURATION_MAX], int64_t us)
{
	const uint64_t second = 1000000, minute = 60 * second,
	               hour = 60 * minute;
	uint64_t n = us < 0 ? -(uint64_t)us : (uint64_t)us;
	char *p = out, *end = out + NUM_DURATION_MAX;

	if (us < 0)
		*p++ = '-';
	if (n == 0)
		snprintf(p, end - p, "0s");
	else if (n < 1000)
		fmt_fraction(p, end - p, n, 0, "us");
	else if (n < second)
		fmt_fraction(p, end - p, n, 3, "ms");
	else {
		if (n >= hour)
			p += fmt_fraction(p, end - p, n / hour, 0, "h");
		if (n % hour >= minute)
			p +=
			    fmt_fraction(p, end - p, n % hour / minute, 0, "m");
		if (n % minute > 0)
			fmt_fraction(p, end - p, n % minute, 6, "s");
	}
	return out;
}

static const char prefixes[] = "KMGTPE";

int
num_parse_size(const char *s, uint64_t *out, struct err *e)
{
	size_t digits = strspn(s, "0123456789");
	const char *unit = s + digits, *prefix = NULL;
	unsigned shift = 0;
	uint64_t n;

	if (*unit != '\0')
		prefix = strchr(prefixes, *unit == 'k' ? 'K' : *unit);
	if (prefix != NULL) {
		shift = 10 * (unsigned)(prefix - prefixes + 1);
		unit++;
		if (unit[0] == 'i' && unit[1] == 'B')
			unit++;
	}
	if (*unit == 'B')
		unit++;
	if (digits == 0 || *unit != '\0')
		return err_set(
		    e, ERR_INVALID, "not a size such as 4096, 64K, 16M, 2G");
	if (num_parse_u64(s, digits, UINT64_MAX >> shift, &n, e) == -1)
		return -1;
	*out = n << shift;
	return 0;
}

const char *
num_fmt_size(char out[NUM_SIZE_MAX], uint64_t bytes)
{
	unsigned shift = 10, i = 0;
	uint64_t tenths;

	if (bytes < 1024) {
		snprintf(out, NUM_SIZE_MAX, "%u B", (unsigned)bytes);
		return out;
	}
	/* Rounding may reach 1024.0, which belongs to the next prefix. */
	for (;; shift += 10, i++) {
		tenths = ((unsigned __int128)bytes * 10 +
		             ((uint64_t)1 << (shift - 1))) >>
		    shift;
		if (tenths < 10240 || prefixes[i + 1] == '\0')
			break;
	}
	snprintf(out, NUM_SIZE_MAX, "%u.%u %ciB", (unsigned)(tenths / 10),
	    (unsigned)(tenths % 10), prefixes[i]);
	return out;
}
