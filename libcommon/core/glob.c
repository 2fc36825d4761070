#include "glob.h"

int
glob_match(const char *pattern, const char *text)
{
	const char *star = NULL, *rest = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			rest = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL) {
			/* The last '*' takes one byte more. */
			pattern = star;
			text = ++rest;
		} else {
			return 0;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

int
glob_match_any(const char *const *patterns, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (glob_match(patterns[i], text))
			return 1;
	return 0;
}
