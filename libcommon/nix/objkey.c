#include "objkey.h"

#include <stdio.h>
#include <string.h>

#include "../core/err.h"
#include "hash.h"
#include "nix32.h"
#include "storepath.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZ" LOWER "0123456789"
#define NAME  ALNUM "+._?=-" /* what store path names consist of */

static const struct kind {
	const char *name;
	const char *type;
	const char *encoding;
} kinds[OBJKEY__MAX] = {
	[OBJKEY_NARINFO] = { "narinfo", "text/x-nix-narinfo", "zstd" },
	[OBJKEY_NAR] = { "nar", "application/octet-stream", NULL },
	[OBJKEY_LISTING] = { "listing", "application/octet-stream", "zstd" },
	[OBJKEY_LOG] = { "build_log", "text/plain; charset=utf-8", "zstd" },
	[OBJKEY_REALISATION] = { "realisation", "application/octet-stream",
	    "zstd" },
};

/* A part of a key that is still to be read. */
struct rest {
	const char *s;
	size_t len;
};

static int
take_prefix(struct rest *r, const char *prefix)
{
	size_t n = strlen(prefix);

	if (r->len < n || memcmp(r->s, prefix, n) != 0)
		return 0;
	r->s += n;
	r->len -= n;
	return 1;
}

static int
take_suffix(struct rest *r, const char *suffix)
{
	size_t n = strlen(suffix);

	if (r->len < n || memcmp(r->s + r->len - n, suffix, n) != 0)
		return 0;
	r->len -= n;
	return 1;
}

/* Takes the characters of a set, at least one. */
static int
take_span(struct rest *r, const char *set)
{
	size_t n = 0, size = strlen(set);

	while (n < r->len && memchr(set, r->s[n], size) != NULL)
		n++;
	r->s += n;
	r->len -= n;
	return n > 0;
}

static int
is_nix32(const struct rest *r, size_t len)
{
	return r->len == len && nix32_check(r->s, len);
}

/* No pattern matches a component "." or "..": no key can climb. */
static enum objkey_kind
kind_of(struct rest r)
{
	if (take_prefix(&r, "nar/")) {
		(void)(take_suffix(&r, ".zst") || take_suffix(&r, ".xz") ||
		    take_suffix(&r, ".bz2"));
		if (take_suffix(&r, ".nar") &&
		    is_nix32(&r, NIX32_LEN(HASH_LEN)))
			return OBJKEY_NAR;
	} else if (take_prefix(&r, "log/")) {
		if (take_suffix(&r, ".drv") && take_span(&r, NAME) &&
		    r.len == 0)
			return OBJKEY_LOG;
	} else if (take_prefix(&r, "realisations/")) {
		if (take_suffix(&r, ".doi") &&
		    take_span(&r, LOWER "0123456789") && take_prefix(&r, ":") &&
		    take_span(&r, ALNUM "+/=") && take_prefix(&r, "!") &&
		    take_span(&r, NAME) && r.len == 0)
			return OBJKEY_REALISATION;
	} else if (take_suffix(&r, ".narinfo")) {
		if (is_nix32(&r, STOREPATH_HASH_LEN))
			return OBJKEY_NARINFO;
	} else if (take_suffix(&r, ".ls")) {
		if (is_nix32(&r, STOREPATH_HASH_LEN))
			return OBJKEY_LISTING;
	}
	return OBJKEY__MAX;
}

int
objkey_parse(const char *key, size_t len, enum objkey_kind *out, struct err *e)
{
	enum objkey_kind kind;

	if (len > OBJKEY_MAX)
		return err_set(e, ERR_INVALID,
		    "object key of %zu bytes: over the limit of %d", len,
		    OBJKEY_MAX);
	kind = kind_of((struct rest){ key, len });
	if (kind == OBJKEY__MAX)
		return err_set(e, ERR_INVALID,
		    "object key %.*s: not a key of a binary cache", (int)len,
		    key);
	*out = kind;
	return 0;
}

const char *
objkey_kind_name(enum objkey_kind kind)
{
	return kinds[kind].name;
}

int
objkey_kind_by_name(const char *name, enum objkey_kind *out)
{
	for (int k = OBJKEY_NARINFO; k < OBJKEY__MAX; k++)
		if (strcmp(kinds[k].name, name) == 0) {
			*out = k;
			return 0;
		}
	return -1;
}

const char *
objkey_compression(const char *nar_key)
{
	struct rest r = { nar_key, strlen(nar_key) };

	if (take_suffix(&r, ".zst"))
		return "zstd";
	if (take_suffix(&r, ".xz"))
		return "xz";
	return take_suffix(&r, ".bz2") ? "bzip2" : "none";
}

const char *
objkey_content_type(enum objkey_kind kind)
{
	return kinds[kind].type;
}

const char *
objkey_content_encoding(enum objkey_kind kind)
{
	return kinds[kind].encoding;
}

void
objkey_fmt_narinfo(char out[OBJKEY_TEXT_MAX], const char *base)
{
	snprintf(
	    out, OBJKEY_TEXT_MAX, "%.*s.narinfo", STOREPATH_HASH_LEN, base);
}

void
objkey_fmt_listing(char out[OBJKEY_TEXT_MAX], const char *base)
{
	snprintf(out, OBJKEY_TEXT_MAX, "%.*s.ls", STOREPATH_HASH_LEN, base);
}

void
objkey_fmt_nar(char out[OBJKEY_TEXT_MAX], const struct hash *nar)
{
	char text[NIX32_LEN(HASH_LEN) + 1];

	snprintf(
	    out, OBJKEY_TEXT_MAX, "nar/%s.nar.zst", hash_fmt_nix32(text, nar));
}

int
objkey_fmt_log(char out[OBJKEY_TEXT_MAX], const char *drv_base, struct err *e)
{
	struct rest r = { drv_base, strlen(drv_base) };

	if (storepath_check_base(drv_base, r.len, e) < 0)
		return -1;
	if (!take_suffix(&r, ".drv"))
		return err_set(e, ERR_INVALID,
		    "store path %s: not a derivation", drv_base);
	snprintf(out, OBJKEY_TEXT_MAX, "log/%s", drv_base);
	return 0;
}

int
objkey_fmt_realisation(char out[OBJKEY_TEXT_MAX], const char *id, struct err *e)
{
	char key[OBJKEY_TEXT_MAX];
	enum objkey_kind kind;
	int n = snprintf(key, sizeof key, "realisations/%s.doi", id);

	if (n < 0 || n >= (int)sizeof key ||
	    objkey_parse(key, n, &kind, NULL) < 0)
		return err_set(e, ERR_INVALID,
		    "realisation id %.256s: not <algorithm>:<hash>!<output>",
		    id);
	memcpy(out, key, (size_t)n + 1);
	return 0;
}

int
objkey_fmt_staged(char out[OBJKEY_TEXT_MAX], const char *token, const char *key,
    struct err *e)
{
	struct rest r = { token, strlen(token) };
	enum objkey_kind kind;

	if (r.len > OBJKEY_TOKEN_MAX || !take_span(&r, LOWER "0123456789") ||
	    r.len > 0)
		return err_set(e, ERR_INVALID, "not the name of an upload");
	if (objkey_parse(key, strlen(key), &kind, e) < 0)
		return -1;
	if (sizeof OBJKEY_STAGING + strlen(token) + strlen(key) > OBJKEY_MAX)
		return err_set(e, ERR_INVALID, "object key %s: too long", key);
	snprintf(out, OBJKEY_TEXT_MAX, "%s%s/%s", OBJKEY_STAGING, token, key);
	return 0;
}

int
objkey_parse_staged(const char *staged, char token[OBJKEY_TOKEN_MAX + 1],
    const char **key, struct err *e)
{
	struct rest r = { staged, strlen(staged) };
	enum objkey_kind kind;
	const char *from;
	size_t len;

	if (r.len > OBJKEY_MAX || !take_prefix(&r, OBJKEY_STAGING))
		goto other;
	from = r.s;
	if (!take_span(&r, LOWER "0123456789"))
		goto other;
	len = r.s - from;
	if (len > OBJKEY_TOKEN_MAX || !take_prefix(&r, "/") ||
	    objkey_parse(r.s, r.len, &kind, NULL) < 0)
		goto other;
	memcpy(token, from, len);
	token[len] = '\0';
	*key = r.s;
	return 0;
other:
	return err_set(
	    e, ERR_INVALID, "object key %s: not one that is staged", staged);
}

int
objkey_is_probe(const char *staged)
{
	static const char begin[] = OBJKEY_STAGING OBJKEY_PROBE;

	return strncmp(staged, begin, sizeof begin - 1) == 0;
}

int
objkey_check_pin(const char *name, struct err *e)
{
	struct rest r = { name, strlen(name) };

	if (r.len > OBJKEY_PIN_MAX)
		return err_set(e, ERR_INVALID,
		    "pin name of %zu bytes: over the limit of %d", r.len,
		    OBJKEY_PIN_MAX);
	if (!take_span(&r, ALNUM "._-") || r.len > 0)
		return err_set(e, ERR_INVALID,
		    "pin name \"%s\": not made of letters, digits, \".\", "
		    "\"_\" and \"-\"",
		    name);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(
		    e, ERR_INVALID, "pin name \"%s\": reserved", name);
	return 0;
}
