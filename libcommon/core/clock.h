/*
 * Time. Deadlines are points on the monotonic clock in milliseconds, so that a
 * budget can be handed down through calls; wall time is used only for what
 * leaves the process. Every blocking call in the project takes a deadline.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

typedef int64_t deadline_t;

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_wall_us(void); /* since 1970 */

/* INT64_MAX is never. */
deadline_t deadline_in(int64_t ms);
/* The earlier of two. */
deadline_t deadline_min(deadline_t a, deadline_t b);
/* Milliseconds left, never negative. */
int64_t deadline_left(deadline_t d);

/* Sleeps at most ms, at most until d; a signal that is handled ends it. */
void clock_sleep(int64_t ms, deadline_t d);

/*
 * The pause before try number n (from 0): exponential from base_ms to cap_ms,
 * with full jitter, so that many clients do not come back together.
 */
int64_t clock_backoff(unsigned n, int64_t base_ms, int64_t cap_ms);

/* "2026-06-30T12:00:00Z", or with microseconds when us % 1000000 != 0. */
#define CLOCK_RFC3339_MAX 40
const char *clock_fmt_rfc3339(char out[CLOCK_RFC3339_MAX], int64_t wall_us);

/* RFC 3339, section 5.6, with any offset; fractions beyond microseconds are cut
 * off. 0 or -1. */
int clock_parse_rfc3339(const char *s, int64_t *wall_us);

/* Seconds since 1970 of a date of HTTP in any of its three forms (RFC 9110,
 * section 5.6.7); -1 for none of them. */
int64_t clock_parse_http(const char *s);

#endif
