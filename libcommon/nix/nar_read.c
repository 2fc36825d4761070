#include "nar.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/err.h"
#include "nar_words.h"

/*
 * What must come next. A NAR has so little freedom that whole runs of words are
 * compared at once: in most states there are one or two texts that may follow.
 */
enum state {
	START,
	KIND,   /* of a node */
	SIZE,   /* of a file */
	SIZE_X, /* of an executable file */
	DATA,
	DATA_PAD,
	TARGET_LEN,
	TARGET_STR,
	NODE_END, /* of a file or symlink */
	DIR_NEXT, /* an entry or the end of the directory */
	NAME_LEN,
	NAME_STR,
	NAME_END,
	ENTRY_END,
	END,
	BROKEN,
	STATE__MAX
};

struct run {
	const char *text;
	size_t len;
	enum state next;
};

#define RUN(words, next)                          \
	{                                         \
		"" words, sizeof(words) - 1, next \
	}

/*
 * Where several may follow, the shorter stand first: match() never needs to
 * give bytes back.
 */
static const struct run runs[STATE__MAX][5] = {
	[START] = { RUN(MAGIC, KIND) },
	[KIND] = {
		RUN(OPEN TYPE DIRECTORY, DIR_NEXT),
		RUN(OPEN TYPE SYMLINK TARGET, TARGET_LEN),
		RUN(OPEN TYPE REGULAR CONTENTS, SIZE),
		RUN(OPEN TYPE REGULAR EXECUTABLE EMPTY CONTENTS, SIZE_X),
	},
	[NODE_END] = { RUN(CLOSE, ENTRY_END) },
	[DIR_NEXT] = {
		RUN(CLOSE, ENTRY_END),
		RUN(ENTRY OPEN NAME, NAME_LEN),
	},
	[NAME_END] = { RUN(NODE, KIND) },
	[ENTRY_END] = { RUN(CLOSE, DIR_NEXT) },
};

static const char *const expected[STATE__MAX] = {
	[START] = "a NAR",
	[KIND] = "a file, directory or symlink",
	[NODE_END] = "the end of a node",
	[DIR_NEXT] = "an entry or the end of a directory",
	[NAME_END] = "the node of an entry",
	[ENTRY_END] = "the end of an entry",
};

/* A directory that is open. */
struct level {
	uint32_t entries;
	char name[NAR_NAME_MAX + 1]; /* of its last entry, or "" */
};

struct nar_reader {
	const struct nar_visit *visit;
	void *ctx;
	nar_sink *content;
	void *content_ctx;
	enum state state;
	uint64_t fed;  /* bytes of the feeds before this one */
	uint64_t left; /* of the file or string that comes */
	uint64_t size; /* of the file */
	size_t depth;
	struct level levels[NAR_DEPTH_MAX];
	/* The beginning of what did not come whole. */
	size_t held;
	char hold[NAR_TARGET_MAX + 1 + 8];
};

/* The piece that is fed. */
struct input {
	const char *start;
	const char *p;
	size_t n;
};

enum step {
	STEP_DONE,
	STEP_MORE,
	STEP_FAILED
};

static const struct nar_visit no_visit;

struct nar_reader *
nar_reader_new(const struct nar_visit *visit, void *ctx, nar_sink *content,
    void *content_ctx)
{
	struct nar_reader *r = xmalloc(sizeof *r);

	r->visit = visit != NULL ? visit : &no_visit;
	r->ctx = ctx;
	r->content = content;
	r->content_ctx = content_ctx;
	r->state = START;
	r->fed = 0;
	r->depth = 0;
	r->held = 0;
	return r;
}

void
nar_reader_free(struct nar_reader *r)
{
	free(r);
}

/* Where the next thing to be looked at begins. */
static uint64_t
position(const struct nar_reader *r, const struct input *in)
{
	return r->fed + (in->p - in->start) - r->held;
}

static enum step
fail(const struct nar_reader *r, const struct input *in, struct err *e,
    enum err_kind kind, const char *what)
{
	err_set(e, kind, "nar: at byte %llu: %s",
	    (unsigned long long)position(r, in), what);
	return STEP_FAILED;
}

/* The name of the node that comes or has come. */
static const char *
name(const struct nar_reader *r)
{
	return r->depth > 0 ? r->levels[r->depth - 1].name : "";
}

/* Copies to hold until it has n bytes or the input is used up. */
static void
stash(struct nar_reader *r, struct input *in, size_t n)
{
	size_t take = n - r->held < in->n ? n - r->held : in->n;

	memcpy(r->hold + r->held, in->p, take);
	r->held += take;
	in->p += take;
	in->n -= take;
}

/* The next n bytes, from the input itself if they are all there; or NULL. They
 * are not used up until accept(). */
static const char *
peek(struct nar_reader *r, struct input *in, size_t n)
{
	if (r->held == 0 && in->n >= n)
		return in->p;
	stash(r, in, n);
	return r->held == n ? r->hold : NULL;
}

static void
accept(struct nar_reader *r, struct input *in, size_t n)
{
	if (r->held > 0) {
		r->held = 0;
	} else {
		in->p += n;
		in->n -= n;
	}
}

static int
zeros(const char *p, size_t n)
{
	while (n > 0 && p[n - 1] == 0)
		n--;
	return n == 0;
}

/* ---- steps ---- */

static int
enter(struct nar_reader *r, struct err *e)
{
	struct level *level = &r->levels[r->depth];

	if (r->visit->enter != NULL && r->visit->enter(r->ctx, name(r), e) != 0)
		return -1;
	level->entries = 0;
	level->name[0] = '\0';
	r->depth++;
	return 0;
}

static int
leave(struct nar_reader *r, struct err *e)
{
	r->depth--;
	return r->visit->leave != NULL ? r->visit->leave(r->ctx, e) : 0;
}

/* One of the runs of words that may come now. */
static enum step
match(struct nar_reader *r, struct input *in, struct err *e)
{
	enum state state = r->state;
	const struct run *run;
	const char *p;

	for (run = runs[state]; run->text != NULL; run++) {
		if (run->len < r->held)
			continue; /* looked at before */
		p = peek(r, in, run->len);
		if (p != NULL && memcmp(p, run->text, run->len) == 0)
			break;
		if (p == NULL && memcmp(r->hold, run->text, r->held) == 0)
			return STEP_MORE;
	}
	if (run->text == NULL) {
		char what[80];
		snprintf(what, sizeof what, "not %s", expected[state]);
		return fail(r, in, e, ERR_CORRUPT, what);
	}
	if (run->next == DIR_NEXT && state == KIND && r->depth == NAR_DEPTH_MAX)
		return fail(r, in, e, ERR_TOO_LARGE, "too deep in directories");
	if (run->next == NAME_LEN &&
	    ++r->levels[r->depth - 1].entries > NAR_ENTRIES_MAX)
		return fail(r, in, e, ERR_TOO_LARGE, "too many entries");
	accept(r, in, run->len);
	r->state = run->next;
	if (state == KIND && run->next == DIR_NEXT && enter(r, e) != 0)
		return STEP_FAILED;
	if (state == DIR_NEXT && run->next == ENTRY_END && leave(r, e) != 0)
		return STEP_FAILED;
	if (r->state == ENTRY_END && r->depth == 0)
		r->state = END;
	return STEP_DONE;
}

static enum step
number(struct nar_reader *r, struct input *in, uint64_t *v)
{
	const char *p = peek(r, in, 8);

	if (p == NULL)
		return STEP_MORE;
	memcpy(v, p, sizeof *v);
	*v = le64toh(*v);
	return STEP_DONE;
}

static enum step
file_size(struct nar_reader *r, struct input *in, struct err *e)
{
	uint64_t size;

	if (number(r, in, &size) == STEP_MORE)
		return STEP_MORE;
	if (size > INT64_MAX - position(r, in) - 16)
		return fail(r, in, e, ERR_CORRUPT, "impossible size of a file");
	accept(r, in, 8);
	if (r->visit->file != NULL &&
	    r->visit->file(r->ctx, name(r), r->state == SIZE_X, size,
	        position(r, in), e) != 0)
		return STEP_FAILED;
	r->size = r->left = size;
	r->state = DATA;
	return STEP_DONE;
}

static enum step
file_data(struct nar_reader *r, struct input *in, struct err *e)
{
	size_t n = r->left < in->n ? r->left : in->n;

	if (n > 0 && r->content != NULL &&
	    r->content(r->content_ctx, in->p, n, e) != 0)
		return STEP_FAILED;
	in->p += n;
	in->n -= n;
	r->left -= n;
	if (r->left > 0)
		return STEP_MORE;
	r->state = DATA_PAD;
	return STEP_DONE;
}

static enum step
file_padding(struct nar_reader *r, struct input *in, struct err *e)
{
	size_t n = PADDING(r->size);
	const char *p = peek(r, in, n);

	if (p == NULL)
		return STEP_MORE;
	if (!zeros(p, n))
		return fail(r, in, e, ERR_CORRUPT, "padding is not zero");
	accept(r, in, n);
	r->state = NODE_END;
	return STEP_DONE;
}

static enum step
string_len(struct nar_reader *r, struct input *in, struct err *e)
{
	int is_name = r->state == NAME_LEN;
	uint64_t len;

	if (number(r, in, &len) == STEP_MORE)
		return STEP_MORE;
	if (len == 0)
		return fail(r, in, e, ERR_CORRUPT,
		    is_name ? "empty name" : "empty target");
	if (len > (is_name ? NAR_NAME_MAX : NAR_TARGET_MAX))
		return fail(r, in, e, ERR_TOO_LARGE,
		    is_name ? "name too long" : "target too long");
	accept(r, in, 8);
	r->left = len;
	r->state = is_name ? NAME_STR : TARGET_STR;
	return STEP_DONE;
}

static const char *
name_fault(const char *s, const char *before)
{
	int cmp;

	if (strchr(s, '/') != NULL || strcmp(s, ".") == 0 ||
	    strcmp(s, "..") == 0)
		return "forbidden name of an entry";
	cmp = strcmp(s, before);
	if (cmp == 0)
		return "the same name twice";
	return cmp < 0 ? "names are not sorted" : NULL;
}

/* An entry's name or a link's target, with its padding. */
static enum step
string(struct nar_reader *r, struct input *in, struct err *e)
{
	size_t len = r->left, padding = PADDING(len);
	const char *p = peek(r, in, len + padding), *fault;
	char s[NAR_TARGET_MAX + 1];

	if (p == NULL)
		return STEP_MORE;
	if (memchr(p, 0, len) != NULL)
		return fail(r, in, e, ERR_CORRUPT, "NUL in a name or target");
	if (!zeros(p + len, padding))
		return fail(r, in, e, ERR_CORRUPT, "padding is not zero");
	memcpy(s, p, len);
	s[len] = '\0';
	if (r->state == NAME_STR) {
		char *last = r->levels[r->depth - 1].name;
		if ((fault = name_fault(s, last)) != NULL)
			return fail(r, in, e, ERR_CORRUPT, fault);
		memcpy(last, s, len + 1);
		r->state = NAME_END;
	} else {
		if (r->visit->symlink != NULL &&
		    r->visit->symlink(r->ctx, name(r), s, e) != 0)
			return STEP_FAILED;
		r->state = NODE_END;
	}
	accept(r, in, len + padding);
	return STEP_DONE;
}

static enum step
step(struct nar_reader *r, struct input *in, struct err *e)
{
	switch (r->state) {
	case SIZE:
	case SIZE_X:
		return file_size(r, in, e);
	case DATA:
		return file_data(r, in, e);
	case DATA_PAD:
		return file_padding(r, in, e);
	case NAME_LEN:
	case TARGET_LEN:
		return string_len(r, in, e);
	case NAME_STR:
	case TARGET_STR:
		return string(r, in, e);
	case END:
		if (in->n == 0)
			return STEP_MORE;
		return fail(r, in, e, ERR_CORRUPT, "more after the end");
	case BROKEN:
		return fail(r, in, e, ERR_CORRUPT, "was rejected before");
	default:
		return match(r, in, e);
	}
}

int
nar_reader_feed(struct nar_reader *r, const void *p, size_t n, struct err *e)
{
	const char *start = n > 0 ? p : "";
	struct input in = { .start = start, .p = start, .n = n };
	enum step s;

	do
		s = step(r, &in, e);
	while (s == STEP_DONE);
	if (s == STEP_FAILED) {
		r->state = BROKEN;
		return -1;
	}
	r->fed += n;
	return 0;
}

int
nar_reader_end(struct nar_reader *r, struct err *e)
{
	if (r->state == END)
		return 0;
	if (r->state == BROKEN)
		return err_set(e, ERR_CORRUPT, "nar: was rejected");
	return err_set(e, ERR_CORRUPT, "nar: cut off after %llu bytes",
	    (unsigned long long)r->fed);
}
