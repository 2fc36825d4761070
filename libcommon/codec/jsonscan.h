/*
 * Foreign JSON in one pass, for large texts of which little is kept: nothing is
 * allocated and no tree is made. The caller asks for what it expects next.
 *
 * What is read is checked; what is skipped is only looked at for its words,
 * strings and brackets, so this accepts a little more than JSON. Use json_load
 * where a text must be JSON.
 *
 *	if (!jsonscan_take(&s, '{'))
 *		return err_set(e, ERR_INVALID, "not an object");
 *	while ((rc = jsonscan_member(&s, &key, &n, e)) > 0)
 *		if (jsonscan_is(key, "size") ? read_size(&s, …) < 0
 *					     : jsonscan_skip(&s, e) < 0)
 *			return -1;
 *	return rc;
 *
 * Functions that take a struct err return 0 or -1 with ERR_INVALID.
 */
#ifndef CODEC_JSONSCAN_H
#define CODEC_JSONSCAN_H

#include <stddef.h>

struct err;

/* What is not read yet; the text must outlive it. */
struct jsonscan {
	const char *p, *end;
};

/* Bytes inside the text: a number, or a string without its quotes but with its
 * escapes as they stand there. */
struct jsonscan_raw {
	const char *p;
	size_t len;
};

/* The next byte that is not white space, '\0' at the end. */
char jsonscan_peek(struct jsonscan *s);
/* Takes c, if it comes next: 1, otherwise 0. */
int jsonscan_take(struct jsonscan *s, char c);
/* Takes null, if it comes next: 1, otherwise 0. */
int jsonscan_null(struct jsonscan *s);
/* Fails unless only white space is left. */
int jsonscan_end(struct jsonscan *s, struct err *e);

/*
 * Goes on in a list whose '[' was taken, or in an object whose '{' was taken: 1
 * when an item comes next, 0 when the bracket came and was taken, -1. *n, from
 * 0, counts the items.
 */
int jsonscan_item(struct jsonscan *s, size_t *n, struct err *e);
int jsonscan_member(
    struct jsonscan *s, struct jsonscan_raw *key, size_t *n, struct err *e);

int jsonscan_string(
    struct jsonscan *s, struct jsonscan_raw *out, struct err *e);
/* A number, true, false or null. */
int jsonscan_word(struct jsonscan *s, struct jsonscan_raw *out, struct err *e);
/* A value of any kind, nested to JSON_DEPTH_MAX. */
int jsonscan_skip(struct jsonscan *s, struct err *e);

int jsonscan_is(struct jsonscan_raw v, const char *text);
/* The text of a string, NUL-terminated; fails when it has no room or holds a
 * NUL. */
int jsonscan_text(struct jsonscan_raw v, char *out, size_t size, struct err *e);

#endif
