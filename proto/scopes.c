#include "scopes.h"

#include <string.h>

#include "../libcommon/core/err.h"

/* The oldest first. */
static const struct {
	const char *name;
	unsigned bit;
} table[SCOPES_MAX] = {
	{ "read", SCOPE_READ },
	{ "write", SCOPE_WRITE },
	{ "admin", SCOPE_ADMIN },
	{ "pin", SCOPE_PIN },
	{ "gc", SCOPE_GC },
};

unsigned
scopes_implied(unsigned scopes)
{
	return scopes & (SCOPE_WRITE | SCOPE_ADMIN) ? scopes | SCOPE_READ
	                                            : scopes;
}

int
scopes_parse(const char *name, unsigned *out, struct err *e)
{
	for (size_t i = 0; i < SCOPES_MAX; i++)
		if (strcmp(name, table[i].name) == 0) {
			*out = table[i].bit;
			return 0;
		}
	err_set(e, ERR_INVALID, "%.64s: no such scope", name);
	return err_hint(e, "there are read, write, pin, gc and admin");
}

int
scopes_parse_list(
    const char *const *names, size_t n, unsigned *out, struct err *e)
{
	unsigned all = 0, one;

	for (size_t i = 0; i < n; i++) {
		if (scopes_parse(names[i], &one, e) != 0)
			return -1;
		all |= one;
	}
	if (all == 0)
		return err_set(e, ERR_INVALID, "no scope");
	*out = all;
	return 0;
}

size_t
scopes_names(unsigned scopes, const char *out[SCOPES_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < SCOPES_MAX; i++)
		if (scopes & table[i].bit)
			out[n++] = table[i].name;
	return n;
}

const char *
scopes_wanted(unsigned scopes)
{
	const char *names[SCOPES_MAX];

	return scopes_names(scopes, names) > 0 ? names[0] : "none";
}
