#include "derivation.h"

#include <string.h>

#include "../core/arena.h"
#include "../core/err.h"
#include "storepath.h"

#define WORD_MAX 4096

struct reader {
	const char *p, *end;
};

static int
take(struct reader *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
		return 0;
	r->p += len;
	return 1;
}

/* A string; NULL, with an error, when there is none. Names and paths need no
 * escapes, so there are none. */
static const char *
string(struct reader *r, struct arena *a, struct err *e)
{
	const char *from;
	char *s;

	if (!take(r, "\"")) {
		err_set(e, ERR_INVALID, "a string was expected");
		return NULL;
	}
	from = r->p;
	while (r->p < r->end && *r->p != '"' && *r->p != '\\' && *r->p != '\0')
		r->p++;
	if (r->p == r->end || *r->p != '"' || r->p - from > WORD_MAX) {
		err_set(e, ERR_INVALID, "a string without its end");
		return NULL;
	}
	if ((s = arena_strn(a, from, r->p++ - from)) == NULL)
		arena_full(a, e);
	return s;
}

/* ("out","/nix/store/…","",""): name, path, method and hash. */
static int
output(struct reader *r, const char *store_dir, struct arena *a,
    struct derivation_output *out, struct err *e)
{
	const char *words[4];

	for (int i = 0; i < 4; i++) {
		if (!take(r, i == 0 ? "(" : ","))
			return err_set(
			    e, ERR_INVALID, "an output was expected");
		if ((words[i] = string(r, a, e)) == NULL)
			return -1;
	}
	if (!take(r, ")"))
		return err_set(e, ERR_INVALID, "an output without its end");
	out->name = words[0];
	out->base = NULL;
	if (words[1][0] == '\0')
		return 0;
	return storepath_parse(store_dir, words[1], &out->base, e);
}

int
derivation_outputs(const char *text, size_t len, const char *store_dir,
    struct arena *a, struct derivation_output **out, size_t *n, struct err *e)
{
	struct derivation_output *all =
	    arena_array(a, DERIVATION_OUTPUTS_MAX, sizeof *all);
	struct reader r = { text, text + len };
	size_t at = 0;

	if (all == NULL)
		return arena_full(a, e);
	if (!take(&r, "Derive(["))
		return err_set(e, ERR_INVALID, "not a derivation");
	do {
		if (at == DERIVATION_OUTPUTS_MAX)
			return err_set(e, ERR_TOO_LARGE, "more than %d outputs",
			    DERIVATION_OUTPUTS_MAX);
		if (output(&r, store_dir, a, &all[at++], e) != 0)
			return -1;
	} while (take(&r, ","));
	if (!take(&r, "]"))
		return err_set(e, ERR_INVALID, "outputs without their end");
	*out = all;
	*n = at;
	return 0;
}
