#include "pathinfo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../codec/base64.h"
#include "../codec/jsonscan.h"
#include "../core/arena.h"
#include "../core/err.h"
#include "../core/map.h"
#include "../core/num.h"
#include "narinfo.h"
#include "nix32.h"
#include "signkey.h"
#include "storepath.h"

/* ---- values ---- */

static int
read_string(struct jsonscan *s, char *out, size_t size, struct err *e)
{
	struct jsonscan_raw v;

	if (jsonscan_string(s, &v, e) < 0)
		return -1;
	return jsonscan_text(v, out, size, e);
}

/*
 * An object of which two members matter. One that is missing, no string or too
 * long leaves an empty text.
 */
static int
read_two(struct jsonscan *s, const char *key_a, char *a, size_t size_a,
    const char *key_b, char *b, size_t size_b, struct err *e)
{
	struct jsonscan_raw key, v;
	size_t n = 0;
	int rc;

	a[0] = b[0] = '\0';
	if (!jsonscan_take(s, '{'))
		return err_set(
		    e, ERR_INVALID, "neither a string nor an object");
	while ((rc = jsonscan_member(s, &key, &n, e)) > 0) {
		if (jsonscan_peek(s) != '"') {
			if (jsonscan_skip(s, e) < 0)
				return -1;
			continue;
		}
		if (jsonscan_string(s, &v, e) < 0)
			return -1;
		if (jsonscan_is(key, key_a))
			jsonscan_text(v, a, size_a, NULL);
		else if (jsonscan_is(key, key_b))
			jsonscan_text(v, b, size_b, NULL);
	}
	return rc;
}

#define HASH_NAME_MAX   8
#define HASH_DIGITS_MAX 128 /* of SHA-512 in base16 */
#define HASH_ANY_MAX    (HASH_NAME_MAX + 1 + HASH_DIGITS_MAX + 1)

/*
 * A hash of any algorithm as "algorithm:nix32", from "algorithm-base64" (SRI),
 * "algorithm:..." or {"algorithm", "format", "hash"}; the length alone tells
 * the format.
 */
static int
read_hash(struct jsonscan *s, char out[HASH_ANY_MAX], struct err *e)
{
	static const struct {
		const char *name;
		size_t size;
	} algorithms[] = { { "sha256", 32 }, { "sha512", 64 }, { "sha1", 20 },
		{ "md5", 16 }, { "blake3", 32 } };
	char text[HASH_ANY_MAX], name[HASH_NAME_MAX + 1];
	const char *digits = text;
	uint8_t bytes[64];
	size_t size = 0, len, n;
	int rc;

	if (jsonscan_peek(s) == '"') {
		if (read_string(s, text, sizeof text, e) < 0)
			return -1;
		len = strcspn(text, ":-");
		if (len > HASH_NAME_MAX || text[len] == '\0')
			return err_set(e, ERR_INVALID, "not a hash");
		memcpy(name, text, len);
		name[len] = '\0';
		digits += len + 1;
	} else if (read_two(s, "algorithm", name, sizeof name, "hash", text,
	               sizeof text, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
		if (strcmp(algorithms[i].name, name) == 0)
			size = algorithms[i].size;
	if (size == 0)
		return err_set(e, ERR_INVALID, "a hash of an unknown kind");
	n = size;
	len = strlen(digits);
	if (len == NIX32_LEN(size))
		rc = nix32_parse(digits, len, bytes, size, e);
	else if (len == 2 * size)
		rc = hex_parse(digits, len, bytes, size, e);
	else
		rc = base64_parse(digits, len, bytes, sizeof bytes, &n, e);
	if (rc < 0)
		return -1;
	if (n != size)
		return err_set(e, ERR_INVALID,
		    "a hash of %zu bytes instead of %zu", n, size);
	len = strlen(name);
	memcpy(out, name, len);
	out[len] = ':';
	nix32_fmt(out + len + 1, bytes, size);
	return 0;
}

/* ---- one path ---- */

struct parse {
	struct jsonscan s;
	const char *store_dir;
	struct arena *a;
	struct map *names; /* every base name once */
	const char **refs; /* room for NARINFO_REFS_MAX */
	struct pathinfo *list;
	size_t n, cap;
};

/* A copy in the arena. */
static int
keep(struct parse *p, const char *text, const char **out, struct err *e)
{
	const char *copy = arena_str(p->a, text);

	if (copy == NULL)
		return arena_full(p->a, e);
	*out = copy;
	return 0;
}

/* The base name of a store path; the arena has one copy of each. */
static int
keep_base(struct parse *p, const char *path, const char **out, struct err *e)
{
	const char *base, *known;
	char *copy;
	size_t len;

	if (storepath_parse_either(p->store_dir, path, &base, e) < 0)
		return -1;
	len = strlen(base);
	if ((known = map_get(p->names, base, len)) == NULL) {
		if ((copy = arena_strn(p->a, base, len)) == NULL)
			return arena_full(p->a, e);
		map_put(p->names, copy, len, copy);
		known = copy;
	}
	*out = known;
	return 0;
}

static int
read_base(struct parse *p, const char **out, struct err *e)
{
	char path[STOREPATH_MAX + 1];

	if (read_string(&p->s, path, sizeof path, e) < 0)
		return -1;
	return keep_base(p, path, out, e);
}

static int
read_nar_hash(struct jsonscan *s, struct hash *out, struct err *e)
{
	char text[HASH_ANY_MAX];

	if (read_hash(s, text, e) < 0)
		return -1;
	return hash_parse(text, strlen(text), out, e);
}

static int
read_nar_size(struct jsonscan *s, uint64_t *out, struct err *e)
{
	struct jsonscan_raw v;
	uint64_t size;

	if (jsonscan_word(s, &v, e) < 0)
		return -1;
	if (num_parse_u64(v.p, v.len, INT64_MAX, &size, e) < 0)
		return -1;
	if (size == 0)
		return err_set(e, ERR_INVALID, "no NAR is empty");
	*out = size;
	return 0;
}

static int
read_refs(struct parse *p, struct pathinfo *out, struct err *e)
{
	size_t n = 0;
	int rc;

	if (!jsonscan_take(&p->s, '['))
		return err_set(e, ERR_INVALID, "not a list");
	while ((rc = jsonscan_item(&p->s, &n, e)) > 0) {
		if (n > NARINFO_REFS_MAX)
			return err_set(e, ERR_TOO_LARGE, "over the limit of %d",
			    NARINFO_REFS_MAX);
		if (read_base(p, &p->refs[n - 1], e) < 0)
			return -1;
	}
	if (rc < 0)
		return -1;
	n = narinfo_sort(p->refs, n);
	out->refs = arena_dup(p->a, p->refs, n * sizeof *p->refs);
	if (out->refs == NULL)
		return arena_full(p->a, e);
	out->nrefs = n;
	return 0;
}

#define SIG_DIGITS_MAX 96 /* more than the base64 of an Ed25519 signature */
#define SIG_ANY_MAX    (SIGNKEY_NAME_MAX + 1 + SIG_DIGITS_MAX + 1)

/*
 * "name:base64" or {"keyName", "sig"}. A signature of a kind that we do not know
 * becomes an empty text: it must not keep a path from being pushed.
 */
static int
read_sig(struct jsonscan *s, char out[SIG_ANY_MAX], struct err *e)
{
	char name[SIGNKEY_NAME_MAX + 1], digits[SIG_DIGITS_MAX + 1];
	struct jsonscan_raw v;

	out[0] = '\0';
	if (jsonscan_peek(s) == '{') {
		if (read_two(s, "keyName", name, sizeof name, "sig", digits,
		        sizeof digits, e) < 0)
			return -1;
		snprintf(out, SIG_ANY_MAX, "%s:%s", name, digits);
	} else if (jsonscan_peek(s) == '"') {
		if (jsonscan_string(s, &v, e) < 0)
			return -1;
		jsonscan_text(v, out, SIG_ANY_MAX, NULL);
	} else if (jsonscan_skip(s, e) < 0) {
		return -1;
	}
	if (signkey_check_sig(out, NULL) < 0)
		out[0] = '\0';
	return 0;
}

static int
read_sigs(struct parse *p, struct pathinfo *out, struct err *e)
{
	const char *sigs[NARINFO_SIGS_MAX];
	char sig[SIG_ANY_MAX];
	size_t n = 0, kept = 0;
	int rc;

	if (jsonscan_null(&p->s))
		return 0;
	if (!jsonscan_take(&p->s, '['))
		return err_set(e, ERR_INVALID, "not a list");
	while ((rc = jsonscan_item(&p->s, &n, e)) > 0) {
		if (read_sig(&p->s, sig, e) < 0)
			return -1;
		if (sig[0] == '\0')
			continue;
		if (kept == NARINFO_SIGS_MAX)
			return err_set(e, ERR_TOO_LARGE, "over the limit of %d",
			    NARINFO_SIGS_MAX);
		if (keep(p, sig, &sigs[kept], e) < 0)
			return -1;
		kept++;
	}
	if (rc < 0)
		return -1;
	kept = narinfo_sort(sigs, kept);
	out->sigs = arena_dup(p->a, sigs, kept * sizeof *sigs);
	if (out->sigs == NULL)
		return arena_full(p->a, e);
	out->nsigs = kept;
	return 0;
}

/* {"method", "hash"} */
static int
read_ca_object(struct jsonscan *s, char out[NARINFO_CA_MAX + 1], struct err *e)
{
	static const char *const methods[][2] = { { "text", "text:" },
		{ "flat", "fixed:" }, { "nar", "fixed:r:" },
		{ "git", "fixed:git:" } };
	char method[16] = "", hash[HASH_ANY_MAX] = "";
	struct jsonscan_raw key;
	size_t n = 0;
	int rc;

	if (!jsonscan_take(s, '{'))
		return err_set(
		    e, ERR_INVALID, "neither a string nor an object");
	while ((rc = jsonscan_member(s, &key, &n, e)) > 0) {
		if (jsonscan_is(key, "method"))
			rc = read_string(s, method, sizeof method, e);
		else if (jsonscan_is(key, "hash"))
			rc = read_hash(s, hash, e);
		else
			rc = jsonscan_skip(s, e);
		if (rc < 0)
			return -1;
	}
	if (rc < 0)
		return -1;
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (strcmp(methods[i][0], method) == 0 && hash[0] != '\0') {
			snprintf(out, NARINFO_CA_MAX + 1, "%s%s", methods[i][1],
			    hash);
			return 0;
		}
	return err_set(e, ERR_INVALID, "without a hash or a known method");
}

/* Text as narinfos have it, or an object. */
static int
read_ca(struct parse *p, const char **out, struct err *e)
{
	char ca[NARINFO_CA_MAX + 1];

	if (jsonscan_null(&p->s))
		return 0;
	if (jsonscan_peek(&p->s) != '"') {
		if (read_ca_object(&p->s, ca, e) < 0)
			return -1;
	} else {
		if (read_string(&p->s, ca, sizeof ca, e) < 0)
			return -1;
		if (ca[0] == '\0')
			return 0;
		if (narinfo_check_ca(ca, e) < 0)
			return -1;
	}
	return keep(p, ca, out, e);
}

enum field {
	FIELD_PATH,
	FIELD_VALID,
	FIELD_NAR_HASH,
	FIELD_NAR_SIZE,
	FIELD_REFERENCES,
	FIELD_DERIVER,
	FIELD_SIGNATURES,
	FIELD_CA,
	FIELD__MAX
};

static const char *const field_names[FIELD__MAX] = {
	[FIELD_PATH] = "path",
	[FIELD_VALID] = "valid",
	[FIELD_NAR_HASH] = "narHash",
	[FIELD_NAR_SIZE] = "narSize",
	[FIELD_REFERENCES] = "references",
	[FIELD_DERIVER] = "deriver",
	[FIELD_SIGNATURES] = "signatures",
	[FIELD_CA] = "ca",
};

static int
read_field(struct parse *p, enum field f, struct pathinfo *out, int *valid,
    struct err *e)
{
	struct jsonscan_raw word;
	const char *base;

	switch (f) {
	case FIELD_PATH:
		if (read_base(p, &base, e) < 0)
			return -1;
		/* The arena has one copy of each. */
		if (out->base != NULL && out->base != base)
			return err_set(e, ERR_INVALID, "another one: %s", base);
		out->base = base;
		return 0;
	case FIELD_VALID:
		if (jsonscan_word(&p->s, &word, e) < 0)
			return -1;
		*valid = jsonscan_is(word, "true");
		return 0;
	case FIELD_NAR_HASH:
		return read_nar_hash(&p->s, &out->nar_hash, e);
	case FIELD_NAR_SIZE:
		return read_nar_size(&p->s, &out->nar_size, e);
	case FIELD_REFERENCES:
		return read_refs(p, out, e);
	case FIELD_DERIVER:
		return jsonscan_null(&p->s) ? 0
		                            : read_base(p, &out->deriver, e);
	case FIELD_SIGNATURES:
		return read_sigs(p, out, e);
	case FIELD_CA:
		return read_ca(p, &out->ca, e);
	case FIELD__MAX:
		break;
	}
	return jsonscan_skip(&p->s, e);
}

/* The members of an entry. seen gets a bit for each field. */
static int
read_fields(struct parse *p, struct pathinfo *out, int *valid, unsigned *seen,
    struct err *e)
{
	struct jsonscan_raw key;
	size_t n = 0;
	int rc;

	if (!jsonscan_take(&p->s, '{'))
		return err_set(e, ERR_INVALID, "not an object");
	while ((rc = jsonscan_member(&p->s, &key, &n, e)) > 0) {
		int f = 0;

		while (f < FIELD__MAX && !jsonscan_is(key, field_names[f]))
			f++;
		if (f < FIELD__MAX && *seen & 1U << f)
			return err_set(e, ERR_INVALID, "%s: stands there twice",
			    field_names[f]);
		*seen |= 1U << f;
		if (read_field(p, f, out, valid, e) < 0)
			return f < FIELD__MAX
			    ? err_prefix(e, "%s", field_names[f])
			    : -1;
	}
	return rc;
}

static int
check_fields(
    const struct pathinfo *info, int valid, unsigned seen, struct err *e)
{
	static const enum field required[] = { FIELD_NAR_HASH, FIELD_NAR_SIZE,
		FIELD_REFERENCES };

	if (info->base == NULL)
		return err_set(e, ERR_INVALID, "an entry without its path");
	if (!valid)
		return err_set(e, ERR_NOT_FOUND, "not valid in the store");
	for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
		if (!(seen & 1U << required[i]))
			return err_set(e, ERR_INVALID, "%s: missing",
			    field_names[required[i]]);
	return 0;
}

/* ---- all of them ---- */

static int
add(struct parse *p, const struct pathinfo *info, struct err *e)
{
	if (p->n == PATHINFO_MAX)
		return err_set(e, ERR_TOO_LARGE, "over the limit of %d paths",
		    PATHINFO_MAX);
	if (p->n == p->cap) {
		p->cap = p->cap > 0 ? 2 * p->cap : 64;
		p->list = xrealloc(p->list, p->cap * sizeof *p->list);
	}
	p->list[p->n++] = *info;
	return 0;
}

/* An entry of an object, by its key, or of a list: base is NULL. */
static int
read_entry(struct parse *p, const char *base, struct err *e)
{
	struct pathinfo info = { .base = base };
	unsigned seen = 0;
	int valid = 1;

	if (base != NULL && jsonscan_null(&p->s))
		valid = 0;
	else if (read_fields(p, &info, &valid, &seen, e) < 0)
		goto bad;
	if (check_fields(&info, valid, seen, e) < 0)
		goto bad;
	return add(p, &info, e);
bad:
	return info.base == NULL ? -1 : err_prefix(e, "path %s", info.base);
}

static int
read_keyed(struct parse *p, struct jsonscan_raw key, struct err *e)
{
	char path[STOREPATH_MAX + 1];
	const char *base;

	if (jsonscan_text(key, path, sizeof path, e) < 0 ||
	    keep_base(p, path, &base, e) < 0)
		return -1;
	return read_entry(p, base, e);
}

/* [{"path": ...}, ...] */
static int
read_list(struct parse *p, struct err *e)
{
	size_t n = 0;
	int rc;

	while ((rc = jsonscan_item(&p->s, &n, e)) > 0)
		if (read_entry(p, NULL, e) < 0)
			return -1;
	return rc;
}

/* {"<base name>": {...}, ...} inside of "info" */
static int
read_info(struct parse *p, struct err *e)
{
	struct jsonscan_raw key;
	size_t n = 0;
	int rc;

	if (!jsonscan_take(&p->s, '{'))
		return err_set(e, ERR_INVALID, "info: not an object");
	while ((rc = jsonscan_member(&p->s, &key, &n, e)) > 0)
		if (read_keyed(p, key, e) < 0)
			return -1;
	return rc;
}

static int
read_store_dir(struct parse *p, struct err *e)
{
	char dir[STOREPATH_DIR_MAX + 1];

	if (read_string(&p->s, dir, sizeof dir, e) < 0)
		return err_prefix(e, "storeDir");
	if (strcmp(dir, p->store_dir) != 0)
		return err_set(e, ERR_INVALID, "storeDir: %s instead of %s",
		    dir, p->store_dir);
	return 0;
}

/* {"<path>": {...}, ...} or {"info": {...}, "storeDir": ..., "version": 2} */
static int
read_object(struct parse *p, struct err *e)
{
	struct jsonscan_raw key;
	size_t n = 0;
	int rc, wrapped = 0, others = 0;

	while ((rc = jsonscan_member(&p->s, &key, &n, e)) > 0) {
		if (key.len > 0 && (key.p[0] == '/' || key.p[0] == '\\')) {
			rc = read_keyed(p, key, e);
		} else if (jsonscan_is(key, "info")) {
			wrapped = 1;
			rc = read_info(p, e);
		} else if (jsonscan_is(key, "storeDir")) {
			rc = read_store_dir(p, e);
		} else {
			others = 1;
			rc = jsonscan_skip(&p->s, e);
		}
		if (rc < 0)
			return -1;
	}
	if (rc == 0 && others && !wrapped)
		return err_set(e, ERR_INVALID, "neither store paths nor info");
	return rc;
}

static int
read_all(struct parse *p, struct err *e)
{
	int rc;

	if (jsonscan_take(&p->s, '['))
		rc = read_list(p, e);
	else if (jsonscan_take(&p->s, '{'))
		rc = read_object(p, e);
	else
		rc = err_set(e, ERR_INVALID, "neither a list nor an object");
	return rc < 0 ? -1 : jsonscan_end(&p->s, e);
}

static int
cmp_base(const void *a, const void *b)
{
	const struct pathinfo *x = a, *y = b;

	return strcmp(x->base, y->base);
}

static int
finish(struct parse *p, struct pathinfo **out, size_t *n, struct err *e)
{
	struct pathinfo *list;

	if (p->n > 1)
		qsort(p->list, p->n, sizeof *p->list, cmp_base);
	for (size_t i = 1; i < p->n; i++)
		if (p->list[i - 1].base == p->list[i].base)
			return err_set(e, ERR_INVALID,
			    "path %s: stands there twice", p->list[i].base);
	list = arena_dup(p->a, p->list, p->n * sizeof *list);
	if (list == NULL)
		return arena_full(p->a, e);
	*out = list;
	*n = p->n;
	return 0;
}

int
pathinfo_parse(const char *json, size_t len, const char *store_dir,
    struct arena *a, struct pathinfo **out, size_t *n, struct err *e)
{
	struct parse p = {
		.s = { json, json + len }, .store_dir = store_dir, .a = a
	};
	int rc = -1;

	p.names = map_new(0);
	p.refs = xcalloc(NARINFO_REFS_MAX, sizeof *p.refs);
	if (read_all(&p, e) == 0)
		rc = finish(&p, out, n, e);
	map_free(p.names);
	free(p.refs);
	free(p.list);
	return rc < 0 ? err_prefix(e, "path info") : 0;
}
