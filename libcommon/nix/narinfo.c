#include "narinfo.h"

#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "../core/num.h"
#include "signkey.h"
#include "storepath.h"

enum field {
	FIELD_STORE_PATH,
	FIELD_URL,
	FIELD_COMPRESSION,
	FIELD_FILE_HASH,
	FIELD_FILE_SIZE,
	FIELD_NAR_HASH,
	FIELD_NAR_SIZE,
	FIELD_REFERENCES,
	FIELD_DERIVER,
	FIELD_SIG,
	FIELD_CA,
	FIELD__MAX
};

static const char *const field_names[FIELD__MAX] = {
	[FIELD_STORE_PATH] = "StorePath",
	[FIELD_URL] = "URL",
	[FIELD_COMPRESSION] = "Compression",
	[FIELD_FILE_HASH] = "FileHash",
	[FIELD_FILE_SIZE] = "FileSize",
	[FIELD_NAR_HASH] = "NarHash",
	[FIELD_NAR_SIZE] = "NarSize",
	[FIELD_REFERENCES] = "References",
	[FIELD_DERIVER] = "Deriver",
	[FIELD_SIG] = "Sig",
	[FIELD_CA] = "CA",
};

/* Those without which a narinfo is of no use to Nix. */
static const enum field required[] = { FIELD_STORE_PATH, FIELD_URL,
	FIELD_NAR_HASH, FIELD_NAR_SIZE };

struct reading {
	struct arena *a;
	struct narinfo n;
	unsigned seen; /* a bit a field */
	const char *sigs[NARINFO_SIGS_MAX];
};

static int
cmp_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t
narinfo_sort(const char **names, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(names, n, sizeof *names, cmp_names);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
			names[kept++] = names[i];
	return kept;
}

/* ---- checks ---- */

static int
is_printable(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s <= ' ' || *s > '~')
			return 0;
	return 1;
}

int
narinfo_check_ca(const char *ca, struct err *e)
{
	if (strlen(ca) > NARINFO_CA_MAX)
		return err_set(e, ERR_INVALID,
		    "CA of %zu bytes: over the limit of %d", strlen(ca),
		    NARINFO_CA_MAX);
	if ((strncmp(ca, "text:", 5) != 0 && strncmp(ca, "fixed:", 6) != 0) ||
	    !is_printable(ca))
		return err_set(e, ERR_INVALID,
		    "CA %s: not text:<hash> or fixed:<method><hash>", ca);
	return 0;
}

static int
check_refs(const char *const *refs, size_t nrefs, struct err *e)
{
	if (nrefs > NARINFO_REFS_MAX)
		return err_set(e, ERR_TOO_LARGE,
		    "%zu references: over the limit of %d", nrefs,
		    NARINFO_REFS_MAX);
	for (size_t i = 0; i < nrefs; i++)
		if (storepath_check_base(refs[i], strlen(refs[i]), e) < 0)
			return err_prefix(e, "References");
	return 0;
}

static int
check_nar_size(uint64_t size, struct err *e)
{
	/* No NAR is empty; Nix takes 0 for a missing line. */
	if (size == 0 || size > INT64_MAX)
		return err_set(e, ERR_INVALID, "NarSize: out of range");
	return 0;
}

/*
 * Every rule in one place, for what is read and for what is written: nothing
 * that passes can end its line or be taken for another field.
 */
static int
check(const struct narinfo *n, struct err *e)
{
	if (storepath_check_dir(n->store_dir, e) < 0 ||
	    storepath_check_base(n->base, strlen(n->base), e) < 0)
		return err_prefix(e, "StorePath");
	if (n->url[0] == '\0' || strlen(n->url) > NARINFO_URL_MAX ||
	    !is_printable(n->url))
		return err_set(
		    e, ERR_INVALID, "URL: empty, too long or with white space");
	if (n->compression[0] == '\0' ||
	    strlen(n->compression) > NARINFO_COMPRESSION_MAX ||
	    !is_printable(n->compression))
		return err_set(e, ERR_INVALID, "Compression: not a name");
	if (check_nar_size(n->nar_size, e) < 0 ||
	    check_refs(n->refs, n->nrefs, e) < 0)
		return -1;
	if (n->deriver != NULL &&
	    storepath_check_base(n->deriver, strlen(n->deriver), e) < 0)
		return err_prefix(e, "Deriver");
	if (n->nsigs > NARINFO_SIGS_MAX)
		return err_set(e, ERR_TOO_LARGE,
		    "%zu signatures: over the limit of %d", n->nsigs,
		    NARINFO_SIGS_MAX);
	for (size_t i = 0; i < n->nsigs; i++)
		if (signkey_check_sig(n->sigs[i], e) < 0)
			return err_prefix(e, "Sig");
	return n->ca == NULL ? 0 : narinfo_check_ca(n->ca, e);
}

/* ---- reading ---- */

static int
read_store_path(struct reading *r, char *v, struct err *e)
{
	char *slash = strrchr(v, '/');

	if (slash == NULL)
		return err_set(e, ERR_INVALID, "not a path");
	*slash = '\0';
	r->n.store_dir = v;
	r->n.base = slash + 1;
	return 0;
}

/* Splits v, which is written to, at its spaces. */
static int
read_refs(struct reading *r, char *v, struct err *e)
{
	const char **refs;
	size_t n = 1;
	char *ref, *next = v;

	for (const char *p = v; *p != '\0'; p++)
		n += *p == ' ';
	if (n > NARINFO_REFS_MAX)
		return err_set(e, ERR_TOO_LARGE,
		    "%zu references: over the limit of %d", n,
		    NARINFO_REFS_MAX);
	if ((refs = arena_array(r->a, n, sizeof *refs)) == NULL)
		return arena_full(r->a, e);
	n = 0;
	while ((ref = strsep(&next, " ")) != NULL)
		if (ref[0] != '\0')
			refs[n++] = ref;
	r->n.refs = refs;
	r->n.nrefs = narinfo_sort(refs, n);
	return 0;
}

static int
read_field(struct reading *r, enum field f, const char *value, size_t len,
    struct err *e)
{
	struct narinfo *n = &r->n;
	char *v;

	if (f != FIELD_SIG && (r->seen & 1U << f))
		return err_set(e, ERR_INVALID, "stands there twice");
	r->seen |= 1U << f;
	if ((v = arena_strn(r->a, value, len)) == NULL)
		return arena_full(r->a, e);
	switch (f) {
	case FIELD_STORE_PATH:
		return read_store_path(r, v, e);
	case FIELD_URL:
		n->url = v;
		return 0;
	case FIELD_COMPRESSION:
		if (len > 0)
			n->compression = v;
		return 0;
	case FIELD_FILE_HASH:
		return hash_parse(v, len, &n->file_hash, e);
	case FIELD_FILE_SIZE:
		return num_parse_u64(v, len, INT64_MAX, &n->file_size, e);
	case FIELD_NAR_HASH:
		return hash_parse(v, len, &n->nar_hash, e);
	case FIELD_NAR_SIZE:
		return num_parse_u64(v, len, INT64_MAX, &n->nar_size, e);
	case FIELD_REFERENCES:
		return read_refs(r, v, e);
	case FIELD_DERIVER:
		if (len > 0 && strcmp(v, "unknown-deriver") != 0)
			n->deriver = v;
		return 0;
	case FIELD_SIG:
		if (n->nsigs == NARINFO_SIGS_MAX)
			return err_set(e, ERR_TOO_LARGE,
			    "over the limit of %d signatures",
			    NARINFO_SIGS_MAX);
		r->sigs[n->nsigs++] = v;
		return 0;
	case FIELD_CA:
		if (len > 0)
			n->ca = v;
		return 0;
	case FIELD__MAX:
		break;
	}
	return err_set(e, ERR_INTERNAL, "no such field");
}

/* "Name: value", or "Name:" for an empty value. */
static int
read_line(struct reading *r, const char *line, size_t len, struct err *e)
{
	const char *colon = memchr(line, ':', len), *value;
	size_t name_len;

	if (colon == NULL || colon == line)
		return err_set(e, ERR_INVALID, "a line without a name");
	name_len = colon - line;
	value = colon + 1;
	if (value < line + len && *value++ != ' ')
		return err_set(e, ERR_INVALID, "%.*s: no space after the colon",
		    name_len < 32 ? (int)name_len : 32, line);
	for (int f = 0; f < FIELD__MAX; f++)
		if (strlen(field_names[f]) == name_len &&
		    memcmp(field_names[f], line, name_len) == 0) {
			if (read_field(r, f, value, line + len - value, e) < 0)
				return err_prefix(e, "%s", field_names[f]);
			break;
		}
	return 0;
}

static int
read_all(struct reading *r, const char *text, size_t len, struct err *e)
{
	const char *end = text + len, *nl;

	if (len > NARINFO_MAX)
		return err_set(e, ERR_TOO_LARGE,
		    "%zu bytes: over the limit of %d", len, NARINFO_MAX);
	for (size_t i = 0; i < len; i++)
		if ((text[i] >= 0 && text[i] < ' ' && text[i] != '\n') ||
		    text[i] == 0x7f)
			return err_set(e, ERR_INVALID,
			    "a control character (0x%02x) in the text",
			    (unsigned)text[i]);
	for (; text < end; text = nl + 1) {
		if ((nl = memchr(text, '\n', end - text)) == NULL)
			return err_set(
			    e, ERR_INVALID, "the last line has no end");
		if (read_line(r, text, nl - text, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
		if (!(r->seen & 1U << required[i]))
			return err_set(e, ERR_INVALID, "%s: missing",
			    field_names[required[i]]);
	return check(&r->n, e);
}

int
narinfo_parse(const char *text, size_t len, struct arena *a,
    struct narinfo *out, struct err *e)
{
	struct reading r = { .a = a, .n.compression = "bzip2" };
	const unsigned file = 1U << FIELD_FILE_HASH | 1U << FIELD_FILE_SIZE;

	r.n.sigs = r.sigs;
	if (read_all(&r, text, len, e) < 0)
		return r.n.base == NULL ? err_prefix(e, "narinfo")
		                        : err_prefix(e, "narinfo %.*s",
		                              STOREPATH_HASH_LEN, r.n.base);
	r.n.nsigs = narinfo_sort(r.sigs, r.n.nsigs);
	r.n.sigs = arena_dup(a, r.sigs, r.n.nsigs * sizeof *r.sigs);
	if (r.n.sigs == NULL)
		return arena_full(a, e);
	r.n.has_file = (r.seen & file) == file;
	*out = r.n;
	return 0;
}

/* ---- writing ---- */

static int
put(const struct narinfo *n, struct buf *out, struct err *e)
{
	char hash[HASH_TEXT_MAX];

	if (buf_printf(out, e, "StorePath: %s/%s\nURL: %s\nCompression: %s\n",
	        n->store_dir, n->base, n->url, n->compression) < 0)
		return -1;
	if (n->has_file &&
	    buf_printf(out, e, "FileHash: %s\nFileSize: %llu\n",
	        hash_fmt(hash, &n->file_hash),
	        (unsigned long long)n->file_size) < 0)
		return -1;
	if (buf_printf(out, e, "NarHash: %s\nNarSize: %llu\nReferences:",
	        hash_fmt(hash, &n->nar_hash),
	        (unsigned long long)n->nar_size) < 0)
		return -1;
	if (n->nrefs == 0 && buf_putc(out, ' ', e) < 0)
		return -1;
	for (size_t i = 0; i < n->nrefs; i++)
		if (buf_printf(out, e, " %s", n->refs[i]) < 0)
			return -1;
	if (buf_putc(out, '\n', e) < 0)
		return -1;
	if (n->deriver != NULL &&
	    buf_printf(out, e, "Deriver: %s\n", n->deriver) < 0)
		return -1;
	for (size_t i = 0; i < n->nsigs; i++)
		if (buf_printf(out, e, "Sig: %s\n", n->sigs[i]) < 0)
			return -1;
	if (n->ca != NULL && buf_printf(out, e, "CA: %s\n", n->ca) < 0)
		return -1;
	return 0;
}

int
narinfo_fmt(const struct narinfo *n, struct buf *out, struct err *e)
{
	size_t before = out->len;

	if (check(n, e) < 0 || put(n, out, e) < 0) {
		out->len = before;
		return err_prefix(
		    e, "narinfo %.*s", STOREPATH_HASH_LEN, n->base);
	}
	return 0;
}

static int
put_fingerprint(const char *store_dir, const char *base,
    const struct hash *nar_hash, uint64_t nar_size, const char *const *refs,
    size_t nrefs, struct buf *out, struct err *e)
{
	char hash[HASH_TEXT_MAX];

	if (buf_printf(out, e, "1;%s/%s;%s;%llu;", store_dir, base,
	        hash_fmt(hash, nar_hash), (unsigned long long)nar_size) < 0)
		return -1;
	for (size_t i = 0; i < nrefs; i++)
		if (buf_printf(out, e, "%s%s/%s", i > 0 ? "," : "", store_dir,
		        refs[i]) < 0)
			return -1;
	return 0;
}

int
narinfo_fingerprint(const char *store_dir, const char *base,
    const struct hash *nar_hash, uint64_t nar_size, const char *const *refs,
    size_t nrefs, struct buf *out, struct err *e)
{
	size_t before = out->len;

	if (storepath_check_dir(store_dir, e) < 0 ||
	    storepath_check_base(base, strlen(base), e) < 0 ||
	    check_nar_size(nar_size, e) < 0 || check_refs(refs, nrefs, e) < 0)
		return err_prefix(e, "fingerprint");
	for (size_t i = 1; i < nrefs; i++)
		if (strcmp(refs[i - 1], refs[i]) >= 0)
			return err_set(e, ERR_INVALID,
			    "fingerprint: references not in order: %s",
			    refs[i]);
	if (put_fingerprint(
	        store_dir, base, nar_hash, nar_size, refs, nrefs, out, e) < 0) {
		out->len = before;
		return err_prefix(e, "fingerprint");
	}
	return 0;
}
