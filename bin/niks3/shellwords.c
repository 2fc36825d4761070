#include "shellwords.h"

#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"

#define SPACE " \t\r\n"

/* One word from *s into to, which has room for all that is left. Returns the end
 * of what was written, NULL on an error. POSIX, 2.2: within double quotes a
 * backslash stands for itself but before these. */
static char *
take_word(const char **s, char *to, struct err *e)
{
	const char *p = *s;
	char quote = '\0';

	for (; *p != '\0' && (quote != '\0' || strchr(SPACE, *p) == NULL);
	     p++) {
		if (quote != '\'' && *p == '\\') {
			if (p[1] == '\0') {
				err_set(e, ERR_INVALID, "backslash at the end");
				return NULL;
			}
			if (quote == '\0' || strchr("\"\\$`", p[1]) != NULL)
				p++;
			*to++ = *p;
		} else if (*p == quote) {
			quote = '\0';
		} else if (quote == '\0' && (*p == '\'' || *p == '"')) {
			quote = *p;
		} else {
			*to++ = *p;
		}
	}
	if (quote != '\0') {
		err_set(e, ERR_INVALID, "a quote is not closed");
		return NULL;
	}
	*s = p;
	return to;
}

int
shellwords_split(const char *s, struct arena *a, char ***out, struct err *e)
{
	size_t len = strlen(s), n = 0;
	/* Every word has a byte, and a byte between it and the next. */
	char **words = arena_array(a, len / 2 + 2, sizeof *words);
	char *to = arena_alloc(a, 2 * len + 2);

	if (words == NULL || to == NULL)
		return arena_full(a, e);
	for (s += strspn(s, SPACE); *s != '\0'; s += strspn(s, SPACE)) {
		words[n++] = to;
		if ((to = take_word(&s, to, e)) == NULL)
			return -1;
		*to++ = '\0';
	}
	if (n == 0)
		return err_set(e, ERR_INVALID, "no command");
	*out = words;
	return 0;
}
