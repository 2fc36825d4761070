/*
 * HTML, built so that no text from outside can become markup: whatever is put in
 * for a %s is escaped, and only the format itself, a literal, is not.
 */
#ifndef SERVER_HTML_H
#define SERVER_HTML_H

struct buf;
struct err;

/* The first error is kept, and nothing is added after it. */
struct html {
	struct buf *out;
	struct err *e;
	int failed;
};

/*
 * Adds. %s (without flags) is text, in an element or between quotes in an
 * attribute; %d, %u, %f and their like are numbers as printf has them.
 */
void html_add(struct html *h, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds markup of our own, as it is. */
void html_raw(struct html *h, const char *literal);
/* 0, or -1 with e filled when out was too small. */
int html_end(const struct html *h);

#endif
