/*
 * What commands print on standard output. Text that came from elsewhere is
 * escaped.
 */
#ifndef NIKS3_PRINT_H
#define NIKS3_PRINT_H

#include <stddef.h>
#include <stdint.h>

struct desc;
struct err;

/* One document in JSON, on a line. */
int print_json(const struct desc *d, const void *s, struct err *e);

/* An error as the API has it: {"error":{"kind":…,"message":…,"hint":…}}. */
void print_error(const struct err *what);

/* An array in JSON, an item at a time: begins with *n at 0. */
int print_item(size_t *n, const struct desc *d, const void *s, struct err *e);
void print_items_end(size_t n);

void print_text(const char *s);

/* A time of the API in microseconds since 1970; -1 when it is NULL or none. */
int64_t print_time(const char *rfc3339);
/* The same for people, to the second. */
void print_when(const char *rfc3339);
/* Spans for people: "45s", "3h", "41d"; of an age, "-" when it is not known. */
#define PRINT_SPAN_MAX 24
const char *print_span(char out[PRINT_SPAN_MAX], int64_t seconds);
const char *print_age(char out[PRINT_SPAN_MAX], const char *rfc3339);

#endif
