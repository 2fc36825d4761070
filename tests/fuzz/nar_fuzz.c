/*
 * Whatever the input: fed whole and in pieces it is judged alike, with the same
 * words; and one that is accepted is, written again from what was reported, the
 * same bytes. So nothing is accepted that has two spellings. Names are in order,
 * and none leads out of its directory.
 */
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/nix/nar.h"
#include "../../libcommon/nix/nar_words.h"
#include "fuzz.h"

/* Writes a NAR from the visits of a walk over one. */
struct rebuild {
	struct buf out;
	size_t depth;
	uint64_t size; /* of the file whose content comes */
	uint64_t left;
};

/* The last name in each directory that is open; of one walk at a time. */
static char last[NAR_DEPTH_MAX + 1][NAR_NAME_MAX + 1];

#define PUT(b, words) buf_append((b), "" words, sizeof(words) - 1, NULL)

static void
put_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_append(b, &v, sizeof v, NULL);
}

static void
put_str(struct buf *b, const char *s, size_t len)
{
	put_u64(b, len);
	buf_append(b, s, len, NULL);
	buf_append(b, EMPTY, PADDING(len), NULL);
}

static void
begin(struct rebuild *r, const char *name)
{
	if (r->depth == 0) {
		PUT(&r->out, MAGIC);
	} else {
		FUZZ_CHECK(r->depth <= NAR_DEPTH_MAX);
		FUZZ_CHECK(strlen(name) <= NAR_NAME_MAX);
		FUZZ_CHECK(strcmp(last[r->depth], name) < 0);
		FUZZ_CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
		FUZZ_CHECK(strchr(name, '/') == NULL);
		strcpy(last[r->depth], name);
		PUT(&r->out, ENTRY OPEN NAME);
		put_str(&r->out, name, strlen(name));
		PUT(&r->out, NODE);
	}
}

static void
end(struct rebuild *r)
{
	PUT(&r->out, CLOSE);
	if (r->depth > 0)
		PUT(&r->out, CLOSE);
}

static int
rebuild_enter(void *ctx, const char *name, struct err *e)
{
	struct rebuild *r = ctx;

	(void)e;
	begin(r, name);
	r->depth++;
	FUZZ_CHECK(r->depth <= NAR_DEPTH_MAX);
	last[r->depth][0] = '\0';
	return PUT(&r->out, OPEN TYPE DIRECTORY);
}

static int
rebuild_leave(void *ctx, struct err *e)
{
	struct rebuild *r = ctx;

	(void)e;
	r->depth--;
	end(r);
	return 0;
}

static int
rebuild_content(void *ctx, const void *p, size_t n, struct err *e)
{
	struct rebuild *r = ctx;

	(void)e;
	if (n > r->left)
		err_die("more content than the file is large");
	buf_append(&r->out, p, n, NULL);
	r->left -= n;
	if (r->left == 0) {
		buf_append(&r->out, EMPTY, PADDING(r->size), NULL);
		end(r);
	}
	return 0;
}

static int
rebuild_file(void *ctx, const char *name, int executable, uint64_t size,
    uint64_t offset, struct err *e)
{
	struct rebuild *r = ctx;

	begin(r, name);
	PUT(&r->out, OPEN TYPE REGULAR);
	if (executable)
		PUT(&r->out, EXECUTABLE EMPTY);
	PUT(&r->out, CONTENTS);
	put_u64(&r->out, size);
	if (offset != r->out.len)
		err_die("wrong offset of %s", name);
	r->size = r->left = size;
	return size == 0 ? rebuild_content(r, "", 0, e) : 0;
}

static int
rebuild_symlink(void *ctx, const char *name, const char *target, struct err *e)
{
	struct rebuild *r = ctx;

	(void)e;
	begin(r, name);
	PUT(&r->out, OPEN TYPE SYMLINK TARGET);
	put_str(&r->out, target, strlen(target));
	end(r);
	return 0;
}

static const struct nar_visit rebuild_visit = {
	.enter = rebuild_enter,
	.leave = rebuild_leave,
	.file = rebuild_file,
	.symlink = rebuild_symlink,
};

/*
 * Reads a NAR in pieces of at most `most` bytes. 0 and *out (to be given back
 * with buf_done) the same NAR as it was reported, or -1.
 */
static int
nar_rebuild(
    const uint8_t *p, size_t n, size_t most, struct buf *out, struct err *e)
{
	struct rebuild r = { .depth = 0 };
	struct nar_reader *reader;
	size_t piece;
	int rc = 0;

	buf_init(&r.out, n + 4096);
	reader = nar_reader_new(&rebuild_visit, &r, rebuild_content, &r);
	for (size_t at = 0; at < n && rc == 0; at += piece) {
		/* Exactly so much memory, so that reading over it is seen. */
		uint8_t *copy;
		piece = most == 1 ? 1 : 1 + p[at] * most / 256;
		piece = piece < n - at ? piece : n - at;
		copy = xmalloc(piece);
		memcpy(copy, p + at, piece);
		rc = nar_reader_feed(reader, copy, piece, e);
		free(copy);
	}
	if (rc == 0)
		rc = nar_reader_end(reader, e);
	nar_reader_free(reader);
	if (rc == 0)
		*out = r.out;
	else
		buf_done(&r.out);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const size_t most[] = { 1, 13, 64, 512 };
	struct err whole = ERR_INIT;
	struct buf out;
	int rc = nar_rebuild(p, n, n * 256, &out, &whole);

	if (rc == 0) {
		if (out.len != n || memcmp(out.data, p, n) != 0)
			err_die("accepted, but not as Nix writes it");
		buf_done(&out);
	}
	for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
		struct err e = ERR_INIT;
		if (nar_rebuild(p, n, most[i], &out, &e) != rc)
			err_die("judged otherwise in pieces of %zu", most[i]);
		if (rc == 0)
			buf_done(&out);
		else if (e.kind != whole.kind || strcmp(e.msg, whole.msg) != 0)
			err_die(
			    "\"%s\", and in pieces \"%s\"", whole.msg, e.msg);
	}
	return 0;
}
