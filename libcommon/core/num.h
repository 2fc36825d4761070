/*
 * Numbers, durations and sizes as people and protocols write them. The only
 * parser of numbers in the project: the whole text must be the number.
 */
#ifndef CORE_NUM_H
#define CORE_NUM_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* Decimal digits only, no sign, no white space, no leading zero but "0". */
int num_parse_u64(
    const char *s, size_t len, uint64_t max, uint64_t *out, struct err *e);
/* The same, with an optional '-'. */
int num_parse_i64(const char *s, size_t len, int64_t *out, struct err *e);
/* "true", "t", "1", "yes", "on" and their opposites, in any case. */
int num_parse_bool(const char *s, int *out, struct err *e);

/*
 * A duration in microseconds. Go's grammar ("1h30m", "1.5s", "0", units ns us
 * µs ms s m h, fractions) and d (24 h) and w (7 d). Negative ones are refused;
 * what is less than a microsecond is cut off.
 */
int num_parse_duration(const char *s, int64_t *us, struct err *e);
/* The exact value as Go prints it, without trailing zeros: "720h", "1h30m",
 * "1.5s", "250ms", "0s". */
#define NUM_DURATION_MAX 48
const char *num_fmt_duration(char out[NUM_DURATION_MAX], int64_t us);

/* Bytes: "4096", "64K", "16M", "2G", "1T" (powers of 1024, optional iB/B; also
 * P, E and k). */
int num_parse_size(const char *s, uint64_t *out, struct err *e);
/* For people: "999 B", "12.3 MiB". */
#define NUM_SIZE_MAX 24
const char *num_fmt_size(char out[NUM_SIZE_MAX], uint64_t bytes);

#endif
