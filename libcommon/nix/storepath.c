#include "storepath.h"

#include <string.h>

#include "../core/err.h"
#include "nix32.h"

static int
is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	    c == '+' || c == '?' || c == '=';
}

/* "." or "..", alone or followed by stop. */
static int
is_dots(const char *s, size_t len, char stop)
{
	size_t dots = 0;

	while (dots < len && s[dots] == '.')
		dots++;
	return (dots == 1 || dots == 2) && (dots == len || s[dots] == stop);
}

int
storepath_check_dir(const char *dir, struct err *e)
{
	size_t len = strlen(dir);

	if (dir[0] != '/')
		return err_set(
		    e, ERR_INVALID, "store directory %s: not absolute", dir);
	if (len > STOREPATH_DIR_MAX)
		return err_set(e, ERR_INVALID,
		    "store directory of %zu bytes: over the limit of %d", len,
		    STOREPATH_DIR_MAX);
	for (size_t i = 0; i < len; i++) {
		const char *part = dir + i + 1;

		if (dir[i] > 0 && (dir[i] <= ' ' || dir[i] == 0x7f))
			return err_set(e, ERR_INVALID,
			    "store directory %s: white space or a control "
			    "character",
			    dir);
		if (dir[i] == '/' &&
		    (part[0] == '/' || part[0] == '\0' ||
		        is_dots(part, strlen(part), '/')))
			return err_set(e, ERR_INVALID,
			    "store directory %s: an empty, \".\" or \"..\" "
			    "component",
			    dir);
	}
	return 0;
}

int
storepath_check_base(const char *base, size_t len, struct err *e)
{
	/* Enough to recognise it by. */
	int shown = len < STOREPATH_BASE_MAX ? (int)len : STOREPATH_BASE_MAX;
	const char *name;
	size_t name_len;

	if (len < STOREPATH_HASH_LEN + 2)
		return err_set(e, ERR_INVALID,
		    "store path %.*s: too short for a hash and a name", shown,
		    base);
	if (!nix32_check(base, STOREPATH_HASH_LEN) ||
	    base[STOREPATH_HASH_LEN] != '-')
		return err_set(e, ERR_INVALID,
		    "store path %.*s: does not begin with %d characters of "
		    "nix32 and \"-\"",
		    shown, base, STOREPATH_HASH_LEN);
	name = base + STOREPATH_HASH_LEN + 1;
	name_len = len - (STOREPATH_HASH_LEN + 1);
	if (name_len > STOREPATH_NAME_MAX)
		return err_set(e, ERR_INVALID,
		    "store path %.*s: a name of %zu bytes is over the limit of "
		    "%d",
		    shown, base, name_len, STOREPATH_NAME_MAX);
	for (size_t i = 0; i < name_len; i++)
		if (!is_name_char(name[i]))
			return err_set(e, ERR_INVALID,
			    "store path %.*s: a character that names cannot "
			    "have",
			    shown, base);
	if (is_dots(name, name_len, '-'))
		return err_set(e, ERR_INVALID,
		    "store path %.*s: the name begins with a \".\" or \"..\" "
		    "component",
		    shown, base);
	return 0;
}

/* What follows "dir/" in path, or NULL. */
static const char *
below(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (strncmp(path, dir, n) != 0 || path[n] != '/')
		return NULL;
	return path + n + 1;
}

int
storepath_parse(
    const char *dir, const char *path, const char **base, struct err *e)
{
	const char *b = below(dir, path);

	if (b == NULL)
		return err_set(
		    e, ERR_INVALID, "store path %s: not in %s", path, dir);
	if (storepath_check_base(b, strlen(b), e) < 0)
		return -1;
	*base = b;
	return 0;
}

int
storepath_parse_either(
    const char *dir, const char *text, const char **base, struct err *e)
{
	if (text[0] == '/')
		return storepath_parse(dir, text, base, e);
	if (storepath_check_base(text, strlen(text), e) < 0)
		return -1;
	*base = text;
	return 0;
}

int
storepath_enclosing(const char *dir, const char *path, const char **base,
    size_t *len, struct err *e)
{
	const char *b = below(dir, path);
	size_t n;

	if (b == NULL)
		return err_set(e, ERR_INVALID, "path %s: not in %s", path, dir);
	n = strcspn(b, "/");
	if (storepath_check_base(b, n, e) < 0)
		return -1;
	/* "x-y/../z" is not inside of x-y. */
	for (const char *p = b + n; (p = strstr(p, "/..")) != NULL; p += 3)
		if (p[3] == '/' || p[3] == '\0')
			return err_set(e, ERR_INVALID,
			    "path %s: a \"..\" component", path);
	*base = b;
	*len = n;
	return 0;
}
