/*
 * A command line in one text, as a shell would split it: white space, quotes of
 * both kinds, backslashes. Nothing is expanded: no variables, no globs, no
 * operators.
 */
#ifndef NIKS3_SHELLWORDS_H
#define NIKS3_SHELLWORDS_H

#include <stddef.h>

struct arena;
struct err;

/* The words, ended by NULL. ERR_INVALID for a quote that is not closed, a
 * backslash at the end, and when there is no word. */
int shellwords_split(
    const char *s, struct arena *a, char ***out, struct err *e);

#endif
