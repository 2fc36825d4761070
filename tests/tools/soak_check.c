/*
 * soak_check: does the bucket hold what the database promises?
 *
 * Shares nothing with the garbage collection: it believes the bucket alone about
 * what refers to what, reads everything that a closure reaches, and computes
 * every hash and signature anew. Facts come on standard input, one a line:
 *
 *	closure STORE-PATH              its whole closure can be read (I1)
 *	pin NAME STORE-PATH             the same, and pins/NAME says so (I1)
 *	live KIND SIZE SHA256 KEY       the object of a live row is there, and is
 *	                                what the row says (I2)
 *	need KEY                        an open upload counts on this object (I3)
 *	row KEY                         all there is: with --rest, what lies in
 *	                                the bucket without a row (I5)
 *
 * What is not so is printed, "I1 ..." and so on, one line each. Exits with 0
 * when all is well, 1 when something is not so, and 2 when it could not tell.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/base64.h"
#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/map.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/signkey.h"
#include "../../libcommon/nix/storepath.h"
#include "../../libcommon/s3/s3.h"

#define LINE_MAX_BYTES 4096
#define FIELDS_MAX     5
#define MEMORY_MAX     ((size_t)1 << 30)
#define FILE_MAX       ((size_t)512 << 20)
#define NAR_MAX        ((size_t)1 << 30)
#define PAGE           1000
#define ASK_MS         60000

struct config {
	struct opt_common common;
	const char *endpoint, *bucket, *store_dir, *public_key;
	struct secret access_key, secret_key;
	int rest;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	{ "endpoint", "AWS_ENDPOINT_URL", OPT_STR, O(endpoint), OPT_REQUIRED,
	    NULL, "URL", "the S3 server", 0, 0 },
	{ "bucket", NULL, OPT_STR, O(bucket), OPT_REQUIRED, NULL, "NAME",
	    "the bucket", 0, 0 },
	{ "store-dir", "NIX_STORE_DIR", OPT_STR, O(store_dir), OPT_REQUIRED,
	    NULL, "DIR", "the store directory of the cache", 0, 0 },
	{ "public-key", "NIKS3_PUBLIC_KEY", OPT_STR, O(public_key),
	    OPT_REQUIRED, NULL, "KEY", "every path must be signed with", 0, 0 },
	{ "access-key", "AWS_ACCESS_KEY_ID", OPT_SECRET, O(access_key),
	    OPT_REQUIRED, NULL, "KEY", "for the S3 server", 0, 0 },
	{ "secret-key", "AWS_SECRET_ACCESS_KEY", OPT_SECRET, O(secret_key),
	    OPT_REQUIRED, NULL, "KEY", "and its secret", 0, 0 },
	{ "rest", NULL, OPT_BOOL, O(rest), 0, NULL, NULL,
	    "nothing is in the bucket but what has a row", 0, 0 },
	{ NULL },
};

static const struct opt_program program = {
	.name = "soak_check",
	.synopsis = "soak_check [OPTION]... <FACTS",
	.summary = "Compares a bucket with what a database promises.",
	.opts = options,
};

/* An object of the bucket, by its key. */
struct object {
	const char *key;
	int listed; /* the list of the bucket has it */
	uint64_t listed_size;
	int known; /* the list of rows has it */
	enum {
		UNREAD,
		READ,
		ABSENT,
	} state;
	/* When it was read: */
	uint64_t size;
	uint8_t sha256[SHA256_LEN];
	/* Of a NAR, decompressed: */
	int is_zstd;
	uint64_t nar_size;
	struct hash nar_hash;
};

/* A store path that some closure reaches. */
struct path {
	const char *base, *root; /* one of the closures that need it */
	struct path *next;
};

static struct {
	const struct config *c;
	struct s3_conn *s3;
	struct arena *a;
	struct map *objects, *paths;
	struct path *todo;
	unsigned long long bad, unknown, closures, read, bytes;
} check;

/* ---- results ---- */

static void bad(const char *rule, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
bad(const char *rule, const char *fmt, ...)
{
	va_list ap;

	printf("%s ", rule);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	check.bad++;
}

static void
unknown(const struct err *e)
{
	printf("unknown: %s\n", e->msg);
	check.unknown++;
}

static void *
must(void *p)
{
	if (p == NULL)
		err_die("out of the memory that is meant for this");
	return p;
}

/* ---- objects ---- */

static struct object *
object_get(const char *key)
{
	struct object *o = map_get(check.objects, key, strlen(key));

	if (o == NULL) {
		o = must(arena_alloc(check.a, sizeof *o));
		o->key = must(arena_str(check.a, key));
		map_put(check.objects, o->key, strlen(o->key), o);
	}
	return o;
}

/* Reads the whole object into out; -1 when it is absent or nothing is known. */
static int
object_read(struct object *o, struct buf *out)
{
	struct err e = ERR_INIT;

	buf_reset(out);
	if (s3_get(check.s3, o->key, 0, 0, out, NULL, NULL, deadline_in(ASK_MS),
	        &e) != 0) {
		if (e.kind == ERR_NOT_FOUND)
			o->state = ABSENT;
		else
			unknown(&e);
		return -1;
	}
	o->state = READ;
	o->size = out->len;
	sha256(out->data, out->len, o->sha256);
	check.read++;
	check.bytes += out->len;
	return 0;
}

static void
nar_read(struct object *o)
{
	struct buf file, nar;
	struct err e;

	buf_init(&file, FILE_MAX);
	buf_init(&nar, NAR_MAX);
	if (object_read(o, &file) == 0 &&
	    zstream_unpack(file.data, file.len, &nar, &e) == 0) {
		o->is_zstd = 1;
		o->nar_size = nar.len;
		sha256(nar.data, nar.len, o->nar_hash.sha256);
	}
	buf_done(&file);
	buf_done(&nar);
}

/* ---- I1: closures, as a reader sees them ---- */

static void
reach(const char *base, const char *root)
{
	struct path *p;

	if (map_get(check.paths, base, strlen(base)) != NULL)
		return;
	p = must(arena_alloc(check.a, sizeof *p));
	p->base = must(arena_str(check.a, base));
	p->root = root;
	p->next = check.todo;
	check.todo = p;
	map_put(check.paths, p->base, strlen(p->base), p);
}

static int
is_signed(const struct narinfo *n)
{
	struct buf text;
	struct err e;
	int good = 0;

	buf_init(&text, NARINFO_MAX);
	if (narinfo_fingerprint(n->store_dir, n->base, &n->nar_hash,
	        n->nar_size, n->refs, n->nrefs, &text, &e) == 0)
		for (size_t i = 0; i < n->nsigs && !good; i++)
			good = signkey_verify(check.c->public_key, n->sigs[i],
			           text.data, text.len, &e) == 0;
	buf_done(&text);
	return good;
}

static void
check_nar(const struct path *p, const struct narinfo *n)
{
	struct object *o = object_get(n->url);
	const char *what = NULL;

	if (o->state == UNREAD)
		nar_read(o);
	if (o->state == UNREAD)
		return;
	if (o->state == ABSENT)
		what = "is not in the bucket";
	else if (o->size != n->file_size)
		what = "is not of FileSize";
	else if (memcmp(o->sha256, n->file_hash.sha256, SHA256_LEN) != 0)
		what = "is not FileHash";
	else if (!o->is_zstd)
		what = "is no zstd";
	else if (o->nar_size != n->nar_size)
		what = "is not of NarSize";
	else if (!hash_equal(&o->nar_hash, &n->nar_hash))
		what = "is not NarHash";
	if (what != NULL)
		bad("I1", "%s: %s of %s %s", p->root, n->url, p->base, what);
}

static void
check_narinfo(const struct path *p, const struct narinfo *n)
{
	if (strcmp(n->base, p->base) != 0 ||
	    strcmp(n->store_dir, check.c->store_dir) != 0) {
		bad("I1", "%s: the narinfo of %s is that of %s/%s", p->root,
		    p->base, n->store_dir, n->base);
		return;
	}
	if (!is_signed(n))
		bad("I1", "%s: %s has no good signature", p->root, p->base);
	if (!n->has_file || strcmp(n->compression, "zstd") != 0)
		bad("I1", "%s: %s does not tell its file", p->root, p->base);
	else
		check_nar(p, n);
	for (size_t i = 0; i < n->nrefs; i++)
		reach(n->refs[i], p->root);
}

static void
check_path(const struct path *p)
{
	char key[OBJKEY_TEXT_MAX];
	struct object *o;
	struct narinfo n;
	struct buf packed, text;
	struct err e = ERR_INIT;

	objkey_fmt_narinfo(key, p->base);
	o = object_get(key);
	buf_init(&packed, NARINFO_MAX);
	buf_init(&text, NARINFO_MAX);
	if (object_read(o, &packed) != 0) {
		if (o->state == ABSENT)
			bad("I1", "%s: the narinfo of %s is not in the bucket",
			    p->root, p->base);
	} else if (zstream_unpack(packed.data, packed.len, &text, &e) != 0 ||
	    narinfo_parse(buf_str(&text), text.len, check.a, &n, &e) != 0) {
		bad("I1", "%s: the narinfo of %s: %s", p->root, p->base, e.msg);
	} else {
		check_narinfo(p, &n);
	}
	buf_done(&packed);
	buf_done(&text);
}

static void
check_closure(const char *store_path)
{
	const char *base, *root = must(arena_str(check.a, store_path));
	struct path *p;
	struct err e;

	check.closures++;
	if (storepath_parse(check.c->store_dir, store_path, &base, &e) != 0) {
		bad("I1", "%s", e.msg);
		return;
	}
	reach(base, root);
	while ((p = check.todo) != NULL) {
		check.todo = p->next;
		check_path(p);
	}
}

static void
check_pin(const char *name, const char *store_path)
{
	char *key = must(arena_printf(check.a, "pins/%s", name));
	struct object *o = object_get(key);
	struct buf text;

	buf_init(&text, LINE_MAX_BYTES);
	if (object_read(o, &text) == 0 &&
	    strcmp(buf_str(&text), store_path) != 0)
		bad("I1", "%s says %s and not %s", key, buf_str(&text),
		    store_path);
	else if (o->state == ABSENT)
		bad("I1", "%s is not in the bucket", key);
	buf_done(&text);
	check_closure(store_path);
}

/* ---- I2, I3: rows ---- */

static int
list_bucket(struct err *e)
{
	struct arena *a = arena_new(MEMORY_MAX);
	const char *token = NULL;
	struct s3_list list;
	int rc;

	do {
		rc = s3_list(check.s3, NULL, token, PAGE, a, &list,
		    deadline_in(ASK_MS), e);
		for (size_t i = 0; rc == 0 && i < list.n; i++) {
			struct object *o = object_get(list.items[i].key);

			o->listed = 1;
			o->listed_size = list.items[i].size;
		}
		token = list.next;
	} while (rc == 0 && token != NULL);
	arena_free(a);
	return rc;
}

/* Narinfos and NARs are what the row says; of the others it may be that
 * somebody else's was written, of another compression. */
static void
check_live(int kind, const char *size, const char *sha256_hex, const char *key)
{
	struct object *o = object_get(key);
	char hex[2 * SHA256_LEN + 1];

	if (!o->listed) {
		bad("I2", "%s is live and not in the bucket", key);
		return;
	}
	if (kind != OBJKEY_NARINFO && kind != OBJKEY_NAR)
		return;
	if (o->listed_size != strtoull(size, NULL, 10))
		bad("I2", "%s has %llu bytes and not %s", key,
		    (unsigned long long)o->listed_size, size);
	if (o->state != READ)
		return;
	hex_fmt(hex, o->sha256, SHA256_LEN);
	if (strcmp(hex, sha256_hex) != 0)
		bad("I2", "%s is not what was recorded", key);
}

static void
check_need(const char *key)
{
	if (!object_get(key)->listed)
		bad("I3",
		    "%s is needed by an open upload and not in the bucket",
		    key);
}

/* ---- I5 ---- */

static void
check_rest(void)
{
	struct object *o;
	size_t i = 0;

	while ((o = map_next(check.objects, &i)) != NULL)
		if (o->listed && !o->known &&
		    strcmp(o->key, "nix-cache-info") != 0 &&
		    strcmp(o->key, "index.html") != 0)
			bad("I5", "%s is in the bucket and has no row", o->key);
}

/* ---- facts ---- */

static const struct fact {
	const char *name;
	size_t fields; /* behind the name */
	int later;     /* when all closures were read */
} facts[] = {
	{ "closure", 1, 0 },
	{ "pin", 2, 0 },
	{ "live", 4, 1 },
	{ "need", 1, 1 },
	{ "row", 1, 1 },
};

struct line {
	struct line *next;
	const struct fact *fact;
	char *fields[FIELDS_MAX];
};

static void
check_fact(const struct line *l)
{
	char *const *f = l->fields;

	switch (l->fact - facts) {
	case 0:
		check_closure(f[0]);
		break;
	case 1:
		check_pin(f[0], f[1]);
		break;
	case 2:
		check_live(atoi(f[0]), f[1], f[2], f[3]);
		break;
	case 3:
		check_need(f[0]);
		break;
	default:
		object_get(f[0])->known = 1;
	}
}

static int
parse_line(char *text, struct line *l)
{
	char *save, *word = strtok_r(text, " \n", &save);
	size_t n = 0;

	for (size_t i = 0; word != NULL && i < sizeof facts / sizeof *facts;
	     i++)
		if (strcmp(facts[i].name, word) == 0)
			l->fact = &facts[i];
	if (l->fact == NULL)
		return -1;
	while (n < FIELDS_MAX && (word = strtok_r(NULL, " \n", &save)) != NULL)
		l->fields[n++] = must(arena_str(check.a, word));
	return n == l->fact->fields ? 0 : -1;
}

/* All lines, in their order. */
static int
read_facts(struct line **out, struct err *e)
{
	char text[LINE_MAX_BYTES];
	struct line **end = out;

	while (fgets(text, sizeof text, stdin) != NULL) {
		struct line *l = must(arena_alloc(check.a, sizeof *l));

		if (parse_line(text, l) != 0)
			return err_set(e, ERR_USAGE, "\"%s\" is no fact", text);
		*end = l;
		end = &l->next;
	}
	return 0;
}

static int
run(struct err *e)
{
	struct line *all = NULL;
	int listing = check.c->rest;

	if (read_facts(&all, e) != 0)
		return -1;
	for (struct line *l = all; l != NULL; l = l->next)
		listing |= l->fact->later;
	if (listing && list_bucket(e) != 0)
		return -1;
	for (int later = 0; later < 2; later++)
		for (struct line *l = all; l != NULL; l = l->next)
			if (l->fact->later == later)
				check_fact(l);
	if (check.c->rest)
		check_rest();
	printf("# read %llu closures of %zu paths: %llu objects, %llu bytes\n",
	    check.closures, map_len(check.paths), check.read, check.bytes);
	return 0;
}

static int
check_bucket(const struct config *c, struct err *e)
{
	struct s3 *s3;
	int rc;

	http_client_global_init();
	if (s3_new(
	        &(struct s3_options){
	            .endpoint = c->endpoint,
	            .bucket = c->bucket,
	            .lookup = S3_LOOKUP_PATH,
	            .access_key = &c->access_key,
	            .secret_key = &c->secret_key,
	        },
	        &s3, e) != 0)
		return -1;
	check.c = c;
	check.s3 = s3_conn_new(s3);
	check.a = arena_new(MEMORY_MAX);
	check.objects = map_new(1000);
	check.paths = map_new(1000);
	rc = run(e);
	map_free(check.paths);
	map_free(check.objects);
	arena_free(check.a);
	s3_conn_free(check.s3);
	s3_free(s3);
	return rc;
}

int
main(int argc, char **argv)
{
	struct config c = { 0 };
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(&program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	if (!c.common.check && check_bucket(&c, &e) != 0)
		unknown(&e);
	opt_done(&program, &c);
	return check.unknown > 0 ? 2 : check.bad > 0;
}
