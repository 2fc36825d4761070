#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/nix/listing.h"
#include "../../libcommon/nix/nar.h"
/* What it checks of any input, it checks of ours too. */
#include "../fuzz/nar_fuzz.c"

#define NAR_MAX ((size_t)64 << 20)

struct fixture {
	char dir[64];
	char path[8192]; /* the last one that at() made */
	struct nar_dumper *d;
	struct buf nar;
	struct err e;
};

static int
setup(void **state)
{
	static struct fixture f;

	strcpy(f.dir, "/tmp/nar_test.XXXXXX");
	if (mkdtemp(f.dir) == NULL)
		return -1;
	f.d = nar_dumper_new();
	f.e = (struct err)ERR_INIT;
	buf_init(&f.nar, NAR_MAX);
	*state = &f;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	nar_dumper_free(f->d);
	buf_done(&f->nar);
	return nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- trees ---- */

static const char *
at(struct fixture *f, const char *name)
{
	snprintf(f->path, sizeof f->path, "%s/%s", f->dir, name);
	return f->path;
}

static void
make_file(
    struct fixture *f, const char *name, const void *p, size_t n, mode_t mode)
{
	FILE *file = fopen(at(f, name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(p, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(f->path, mode), 0);
}

static void
make_dir(struct fixture *f, const char *name)
{
	assert_int_equal(mkdir(at(f, name), 0755), 0);
}

static void
make_link(struct fixture *f, const char *target, const char *name)
{
	assert_int_equal(symlink(target, at(f, name)), 0);
}

static int
to_buf(void *ctx, const void *p, size_t n, struct err *e)
{
	return buf_append(ctx, p, n, e);
}

/* Dumps dir/name into f->nar. */
static int
dump(struct fixture *f, const char *name, const struct nar_visit *visit,
    void *ctx)
{
	char path[sizeof f->path]; /* of its own: visitors call at() */
	uint64_t size = 0;
	int rc;

	strcpy(path, at(f, name));
	buf_reset(&f->nar);
	rc = nar_dump(f->d, path, to_buf, &f->nar, visit, ctx, &size, &f->e);
	assert_int_equal(size, rc == 0 ? f->nar.len : 0);
	return rc;
}

static void
assert_error(const struct err *e, enum err_kind kind, const char *text)
{
	if (e->kind != kind || strstr(e->msg, text) == NULL)
		fail_msg("%s: \"%s\", not %s: \"%s\"", err_name(e->kind),
		    e->msg, err_name(kind), text);
}

static void
assert_dump_fails(
    struct fixture *f, const char *name, enum err_kind kind, const char *text)
{
	assert_int_equal(dump(f, name, NULL, NULL), -1);
	assert_error(&f->e, kind, text);
}

/* Puts words up to NULL, with length and padding reckoned here. */
static void
put_words(struct buf *b, ...)
{
	const char *word;
	va_list ap;

	va_start(ap, b);
	while ((word = va_arg(ap, const char *)) != NULL) {
		uint64_t n = strlen(word);
		for (int i = 0; i < 64; i += 8)
			buf_putc(b, n >> i & 0xff, NULL);
		buf_puts(b, word, NULL);
		for (; n % 8 != 0; n++)
			buf_putc(b, 0, NULL);
	}
	va_end(ap);
}

static void
assert_same(const struct buf *a, const struct buf *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

static int
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

/* ---- dumping ---- */

static void
test_dump_words(void **state)
{
	struct fixture *f = *state;
	struct buf want;

	make_dir(f, "t");
	make_file(f, "t/b", "eight by", 8, 0644);
	make_file(f, "t/B", "", 0, 0500);
	make_file(f, "t/b1", "nine byte", 9, 0411); /* not the owner's x */
	make_dir(f, "t/\xc3\xbc");
	make_link(f, "/not there", "t/a.link");
	assert_int_equal(dump(f, "t", NULL, NULL), 0);

	buf_init(&want, 4096);
	put_words(&want, "nix-archive-1", "(", "type", "directory", NULL);
	put_words(&want, "entry", "(", "name", "B", "node", "(", "type",
	    "regular", "executable", "", "contents", "", ")", ")", NULL);
	put_words(&want, "entry", "(", "name", "a.link", "node", "(", "type",
	    "symlink", "target", "/not there", ")", ")", NULL);
	put_words(&want, "entry", "(", "name", "b", "node", "(", "type",
	    "regular", "contents", "eight by", ")", ")", NULL);
	put_words(&want, "entry", "(", "name", "b1", "node", "(", "type",
	    "regular", "contents", "nine byte", ")", ")", NULL);
	put_words(&want, "entry", "(", "name", "\xc3\xbc", "node", "(", "type",
	    "directory", ")", ")", ")", NULL);
	assert_same(&f->nar, &want);

	assert_int_equal(dump(f, "t/a.link", NULL, NULL), 0);
	buf_reset(&want);
	put_words(&want, "nix-archive-1", "(", "type", "symlink", "target",
	    "/not there", ")", NULL);
	assert_same(&f->nar, &want);

	assert_int_equal(dump(f, "t/b", NULL, NULL), 0);
	buf_reset(&want);
	put_words(&want, "nix-archive-1", "(", "type", "regular", "contents",
	    "eight by", ")", NULL);
	assert_same(&f->nar, &want);
	buf_done(&want);
}

/* Files that end near the end of the dumper's buffer. */
static void
test_dump_sizes(void **state)
{
	struct fixture *f = *state;
	size_t max = (512 << 10) + 16;
	char *bytes = xmalloc(max);
	struct buf out;

	for (size_t i = 0; i < max; i++)
		bytes[i] = i * 31 >> 3;
	make_dir(f, "t");
	make_file(f, "t/z", "z", 1, 0755);
	for (size_t n = max - 320; n <= max; n += 7) {
		make_file(f, "t/a", bytes, n, 0644);
		assert_int_equal(dump(f, "t", NULL, NULL), 0);
		assert_int_equal(nar_rebuild(f->nar.data, f->nar.len,
		                     (size_t)1 << 16, &out, &f->e),
		    0);
		assert_same(&f->nar, &out);
		assert_non_null(memmem(out.data, out.len, bytes, n));
		buf_done(&out);
	}
	free(bytes);
}

static void
test_dump_depth(void **state)
{
	struct fixture *f = *state;
	struct buf out;
	char path[NAR_DEPTH_MAX * 2 + 8];
	int fds = count_fds();

	strcpy(path, "d");
	make_dir(f, path);
	for (int i = 1; i < NAR_DEPTH_MAX; i++) {
		strcat(path, "/d");
		make_dir(f, path);
	}
	assert_int_equal(dump(f, "d", NULL, NULL), 0);
	assert_int_equal(
	    nar_rebuild(f->nar.data, f->nar.len, 64, &out, &f->e), 0);
	assert_same(&f->nar, &out);
	buf_done(&out);

	strcat(path, "/d");
	make_dir(f, path);
	assert_dump_fails(f, "d", ERR_TOO_LARGE, "too deep");
	/* The path was cut, the reason was not. */
	assert_non_null(strstr(f->e.msg, "/d/d/d"));
	assert_int_equal(count_fds(), fds);
}

/* Files that wait to be closed give way where descriptors are scarce. */
static void
test_dump_few_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, few;
	char name[16];
	int rc;

	make_dir(f, "t");
	for (int i = 0; i < 100; i++) {
		sprintf(name, "t/%d", i);
		make_file(f, name, name, strlen(name), 0644);
	}
	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = count_fds() + 2;
	setrlimit(RLIMIT_NOFILE, &few);
	rc = dump(f, "t", NULL, NULL);
	few.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &few);
	assert_int_equal(dump(f, "t/1", NULL, NULL), -1);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(rc, 0);
	assert_error(&f->e, ERR_IO, "/t/1: open: Too many open files");
}

static void
test_dump_no_such_path(void **state)
{
	assert_dump_fails(*state, "nothing", ERR_NOT_FOUND, "/nothing: ");
}

static void
test_dump_special_files(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	make_dir(f, "t");
	make_dir(f, "t/sub");
	assert_int_equal(mkfifo(at(f, "t/sub/pipe"), 0600), 0);
	assert_dump_fails(f, "t", ERR_CORRUPT, "/t/sub/pipe: neither");
	assert_dump_fails(f, "t/sub/pipe", ERR_CORRUPT, "/t/sub/pipe: neither");
	assert_int_equal(unlink(at(f, "t/sub/pipe")), 0);
	strcpy(sun.sun_path, at(f, "t/sub/sock"));
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof sun), 0);
	assert_dump_fails(f, "t", ERR_CORRUPT, "/t/sub/sock: neither");
	close(fd);
	assert_int_equal(nar_dump(f->d, "/dev/null", to_buf, &f->nar, NULL,
	                     NULL, NULL, &f->e),
	    -1);
	assert_int_equal(f->e.kind, ERR_CORRUPT);
}

/* What somebody else does between our look at t/f and our reading it. */
struct meddler {
	struct fixture *f;
	void (*meddle)(struct fixture *f);
};

static int
meddle(void *ctx, const char *name, int executable, uint64_t size,
    uint64_t offset, struct err *e)
{
	struct meddler *m = ctx;

	(void)name, (void)executable, (void)size, (void)offset, (void)e;
	m->meddle(m->f);
	return 0;
}

static void
grow(struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(at(f, "t/f"), &st), 0);
	assert_int_equal(truncate(f->path, st.st_size + 1), 0);
}

static void
shrink(struct fixture *f)
{
	struct stat st;

	assert_int_equal(stat(at(f, "t/f"), &st), 0);
	assert_int_equal(truncate(f->path, st.st_size - 1), 0);
}

static void
become_fifo(struct fixture *f)
{
	unlink(at(f, "t/g"));
	assert_int_equal(mkfifo(f->path, 0600), 0);
}

static void
become_link(struct fixture *f)
{
	unlink(at(f, "t/g"));
	make_link(f, "/etc/passwd", "t/g");
}

static void
vanish(struct fixture *f)
{
	unlink(at(f, "t/g"));
}

static void
test_dump_changes(void **state)
{
	static const struct {
		void (*meddle)(struct fixture *f);
		enum err_kind kind;
		const char *text;
	} cases[] = {
		{ grow, ERR_CORRUPT, "/t/f: grew" },
		{ shrink, ERR_CORRUPT, "/t/f: shrank" },
		{ become_fifo, ERR_CORRUPT, "/t/g: changed its type" },
		{ become_link, ERR_IO, "/t/g: open" },
		{ vanish, ERR_NOT_FOUND, "/t/g: open" },
	};
	static const size_t sizes[] = { 1, 4096, 512 << 10, 3 << 20 };
	static const struct nar_visit visit = { .file = meddle };
	struct fixture *f = *state;
	char *bytes = xcalloc(1, 3 << 20);
	int fds = count_fds();

	make_dir(f, "t");
	for (size_t i = 0; i < 4; i++) {
		for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
			struct meddler m = { f, cases[c].meddle };
			make_file(f, "t/f", bytes, sizes[i], 0644);
			unlink(at(f, "t/g"));
			make_file(f, "t/g", "", 0, 0644);
			assert_int_equal(dump(f, "t", &visit, &m), -1);
			assert_error(&f->e, cases[c].kind, cases[c].text);
		}
	}
	make_file(f, "t/f", "", 0, 0644);
	assert_int_equal(
	    dump(f, "t", &visit, &(struct meddler){ f, grow }), -1);
	assert_int_equal(count_fds(), fds);
	free(bytes);
}

/* Counts down and fails at zero; it stands for sinks and visitors. */
static int
countdown(int *n, struct err *e)
{
	return (*n)-- > 0 ? 0 : err_set(e, ERR_CANCELED, "stop");
}

static int
stop_enter(void *ctx, const char *name, struct err *e)
{
	(void)name;
	return countdown(ctx, e);
}

static int
stop_leave(void *ctx, struct err *e)
{
	return countdown(ctx, e);
}

static int
stop_file(void *ctx, const char *name, int executable, uint64_t size,
    uint64_t offset, struct err *e)
{
	(void)name, (void)executable, (void)size, (void)offset;
	return countdown(ctx, e);
}

static int
stop_symlink(void *ctx, const char *name, const char *target, struct err *e)
{
	(void)name, (void)target;
	return countdown(ctx, e);
}

static int
stop_sink(void *ctx, const void *p, size_t n, struct err *e)
{
	(void)p, (void)n;
	return countdown(ctx, e);
}

static const struct nar_visit stop_visit = { stop_enter, stop_leave, stop_file,
	stop_symlink };

/* An error of a sink or visitor ends the walk and comes out as it is. */
static void
test_dump_stopped(void **state)
{
	struct fixture *f = *state;
	char *bytes = xcalloc(1, 2 << 20);
	int fds = count_fds(), left = 0;
	uint64_t size = 42;

	make_dir(f, "t");
	make_dir(f, "t/d");
	make_file(f, "t/d/big", bytes, 2 << 20, 0644);
	make_file(f, "t/f", "1", 1, 0755);
	make_link(f, "x", "t/l");
	for (int n = 0; left <= 0; n++) {
		left = n;
		f->e.kind = ERR_NONE;
		if (nar_dump(f->d, at(f, "t"), stop_sink, &left, &stop_visit,
		        &left, &size, &f->e) == 0)
			break;
		assert_string_equal(f->e.msg, "stop");
		assert_int_equal(size, 42);
		assert_int_equal(count_fds(), fds);
	}
	/* Seven visits, and the sink at least for the big file. */
	assert_true(size > 2 << 20);
	assert_int_equal(left, 0);
	free(bytes);
}

/* ---- random trees ---- */

static void
random_name(char out[NAR_NAME_MAX + 1])
{
	size_t n = random() % 12 == 0 ? NAR_NAME_MAX : random() % 12 + 1;

	for (size_t i = 0; i < n; i++)
		do
			out[i] = random() % 3 == 0 ? random() % 255 + 1
			                           : "ab.-A "[random() % 6];
		while (out[i] == '/');
	out[n] = '\0';
}

static void
random_tree(struct fixture *f, const char *path, int depth)
{
	static char bytes[70000];
	char name[NAR_NAME_MAX + 1], entry[4096];
	size_t size;
	int n = random() % 12;

	make_dir(f, path);
	for (int i = 0; i < n; i++) {
		random_name(name);
		snprintf(entry, sizeof entry, "%s/%s", path, name);
		if (access(at(f, entry), F_OK) == 0)
			continue; /* taken; "." and ".." always are */
		switch (random() % 5) {
		case 0:
			if (depth < 4)
				random_tree(f, entry, depth + 1);
			break;
		case 1:
			make_link(f, name, entry);
			i = n; /* access() would follow it */
			break;
		default:
			size = random() % 4 == 0 ? random() % sizeof bytes
			                         : random() % 20;
			for (size_t j = 0; j < size; j++)
				bytes[j] = random();
			make_file(f, entry, bytes, size,
			    random() % 2 == 0 ? 0644 : 0755);
			break;
		}
	}
}

/* A file that the dumper reported. */
struct seen {
	char *path;
	int executable;
	uint64_t size;
	uint64_t offset;
};

struct seen_files {
	char path[4096]; /* of the directory where we are */
	size_t n;
	struct seen files[4096];
};

static int
see_enter(void *ctx, const char *name, struct err *e)
{
	struct seen_files *s = ctx;

	(void)e;
	if (name[0] != '\0') {
		strcat(s->path, "/");
		strcat(s->path, name);
	}
	return 0;
}

static int
see_leave(void *ctx, struct err *e)
{
	struct seen_files *s = ctx;
	char *slash = strrchr(s->path, '/');

	(void)e;
	if (slash != NULL)
		*slash = '\0';
	return 0;
}

static int
see_file(void *ctx, const char *name, int executable, uint64_t size,
    uint64_t offset, struct err *e)
{
	struct seen_files *s = ctx;
	struct seen *seen = &s->files[s->n++];

	(void)e;
	assert_true(s->n < 4096);
	seen->path = xmalloc(strlen(s->path) + strlen(name) + 2);
	sprintf(seen->path, "%s/%s", s->path, name);
	seen->executable = executable;
	seen->size = size;
	seen->offset = offset;
	return 0;
}

static const struct nar_visit see_visit = {
	.enter = see_enter, .leave = see_leave, .file = see_file
};

static void
check_seen(struct fixture *f, const struct seen *seen)
{
	struct stat st;
	char *bytes = xmalloc(seen->size + 1);
	FILE *file = fopen(at(f, seen->path), "r");

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	assert_int_equal(seen->executable, (st.st_mode & S_IXUSR) != 0);
	assert_int_equal(fread(bytes, 1, seen->size + 1, file), seen->size);
	assert_true(seen->offset + seen->size <= f->nar.len);
	assert_memory_equal(f->nar.data + seen->offset, bytes, seen->size);
	fclose(file);
	free(bytes);
}

/*
 * For any tree: what is dumped is read again, whatever the pieces, as the same;
 * every file's content stands where it was said to stand.
 */
static void
test_random_trees(void **state)
{
	static struct seen_files seen;
	struct fixture *f = *state;
	struct buf out;
	char name[16];

	for (int seed = 0; seed < 16; seed++) {
		srandom(seed);
		sprintf(name, "%d", seed);
		random_tree(f, name, 0);
		strcpy(seen.path, name);
		seen.n = 0;
		assert_int_equal(dump(f, name, &see_visit, &seen), 0);
		for (size_t i = 0; i < seen.n; i++) {
			check_seen(f, &seen.files[i]);
			free(seen.files[i].path);
		}
		for (size_t most = 1; most <= 100000; most = most * 7 + 2) {
			assert_int_equal(nar_rebuild(f->nar.data, f->nar.len,
			                     most, &out, &f->e),
			    0);
			assert_same(&f->nar, &out);
			buf_done(&out);
		}
	}
}

/* ---- reading ---- */

#define ZEROS7     "\0\0\0\0\0\0\0"
#define STR1(c)    LEN("\1") c ZEROS7
#define LINK       OPEN TYPE SYMLINK TARGET STR1("x") CLOSE
#define FILE_HEAD  OPEN TYPE REGULAR CONTENTS
#define ONE(name)  ENTRY OPEN NAME name NODE LINK CLOSE
#define DIR0       MAGIC OPEN TYPE DIRECTORY
#define DIR1(a)    DIR0 ONE(a) CLOSE
#define DIR2(a, b) DIR0 ONE(a) ONE(b) CLOSE
#define FFFF       "\xff\xff\xff\xff\xff\xff\xff"

static const struct nar_case {
	const char *p;
	size_t n;
	const char *text; /* of the error; NULL: it is a good one */
} cases[] = {
#define GOOD(nar)                          \
	{                                  \
		nar, sizeof(nar) - 1, NULL \
	}
#define BAD(nar, text)                     \
	{                                  \
		nar, sizeof(nar) - 1, text \
	}
	GOOD(MAGIC LINK),
	GOOD(MAGIC FILE_HEAD EMPTY CLOSE),
	GOOD(MAGIC FILE_HEAD LEN("\10") "12345678" CLOSE),
	GOOD(MAGIC OPEN TYPE REGULAR EXECUTABLE EMPTY CONTENTS STR1("a") CLOSE),
	GOOD(DIR0 CLOSE),
	GOOD(DIR2(STR1("a"), STR1("\xff"))),
	GOOD(DIR2(STR1("A"), STR1("a"))),
	GOOD(DIR2(STR1("a"), LEN("\2") "a\x01\0\0\0\0\0\0")),
	GOOD(DIR1(LEN("\3") "...\0\0\0\0\0")),
	GOOD(DIR0 ENTRY OPEN NAME STR1("d")
	        NODE OPEN TYPE DIRECTORY CLOSE CLOSE ONE(STR1("e")) CLOSE),

	BAD("", "cut off after 0 bytes"),
	BAD("<!doctype html><title>Not found</title>", "byte 0: not a NAR"),
	BAD(LEN("\15") "nix-archive-2\0\0\0" LINK, "byte 0: not a NAR"),
	BAD(LEN("\15") "nix-archive-1\0\0\1" LINK, "byte 0: not a NAR"),
	BAD(MAGIC LINK "\0", "more after the end"),
	BAD(MAGIC LINK MAGIC LINK, "more after the end"),
	BAD(MAGIC OPEN CLOSE, "byte 24: not a file, dir"),
	BAD(MAGIC OPEN TYPE STR1("f") CLOSE, "not a file, dir"),
	BAD(MAGIC OPEN TYPE REGULAR CLOSE, "not a file, dir"),
	BAD(MAGIC OPEN TYPE REGULAR EXECUTABLE CONTENTS EMPTY CLOSE,
	    "not a file, dir"),
	BAD(MAGIC OPEN TYPE REGULAR EXECUTABLE STR1("1") CONTENTS EMPTY CLOSE,
	    "not a file, dir"),
	BAD(MAGIC OPEN TYPE REGULAR CONTENTS EMPTY EXECUTABLE EMPTY CLOSE,
	    "not the end of a node"),
	BAD(MAGIC OPEN TYPE SYMLINK CLOSE, "not a file, dir"),
	BAD(MAGIC FILE_HEAD LEN("\2") "ab\0\0\0\0\0\1" CLOSE, "padding"),
	BAD(MAGIC FILE_HEAD LEN("\2") "ab\0\0\1\0\0\0" CLOSE, "padding"),
	BAD(MAGIC FILE_HEAD LEN("\2") "ab" CLOSE, "padding"),
	BAD(MAGIC FILE_HEAD "\x01" FFFF "a", "impossible size"),
	BAD(MAGIC FILE_HEAD "\xff\xff\xff\xff\xff\xff\xff\x7f", "impossible"),
	BAD(MAGIC FILE_HEAD "\0\0\0\0\0\1\0\0a", "cut off"),
	BAD(MAGIC OPEN TYPE SYMLINK TARGET EMPTY CLOSE, "empty target"),
	BAD(MAGIC OPEN TYPE SYMLINK TARGET LEN("\3") "a\0b\0\0\0\0\0" CLOSE,
	    "NUL"),
	BAD(MAGIC OPEN TYPE SYMLINK TARGET LEN("\2") "a\0\0\0\0\0\0\0" CLOSE,
	    "NUL"),
	BAD(MAGIC OPEN TYPE SYMLINK TARGET LEN("\1") "a\0\0\0\0\0\0\1" CLOSE,
	    "padding"),
	BAD(MAGIC OPEN TYPE SYMLINK TARGET "\0\20\0\0\0\0\0\0", "too long"),
	BAD(MAGIC OPEN TYPE SYMLINK TARGET "\1" FFFF, "too long"),
	BAD(DIR1(EMPTY), "empty name"),
	BAD(DIR1(STR1(".")), "forbidden name"),
	BAD(DIR1(LEN("\2") "..\0\0\0\0\0\0"), "forbidden name"),
	BAD(DIR1(STR1("/")), "forbidden name"),
	BAD(DIR1(LEN("\3") "a/b\0\0\0\0\0"), "forbidden name"),
	BAD(DIR1(LEN("\3") "a\0b\0\0\0\0\0"), "NUL"),
	BAD(DIR1(LEN("\1") "a\0\0\1\0\0\0\0"), "padding"),
	BAD(DIR0 ENTRY OPEN NAME "\0\1\0\0\0\0\0\0", "name too long"),
	BAD(DIR0 ENTRY OPEN NAME "\1" FFFF, "name too long"),
	BAD(DIR2(STR1("a"), STR1("a")), "twice"),
	BAD(DIR2(STR1("b"), STR1("a")), "not sorted"),
	BAD(DIR2(STR1("a"), STR1("B")), "not sorted"),
	BAD(DIR2(STR1("\xff"), STR1("a")), "not sorted"),
	BAD(DIR2(LEN("\2") "ab\0\0\0\0\0\0", STR1("a")), "not sorted"),
	BAD(DIR0 ENTRY CLOSE, "not an entry or the end"),
	BAD(DIR0 ENTRY OPEN NODE LINK, "not an entry or the end"),
	BAD(DIR0 ENTRY OPEN NAME STR1("a") CLOSE CLOSE, "not the node"),
	BAD(DIR0 ENTRY OPEN NAME STR1("a") NODE LINK NAME, "end of an entry"),
	BAD(DIR0 LINK CLOSE, "not an entry or the end"),
};

static void
test_read_cases(void **state)
{
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct nar_case *c = &cases[i];
		const uint8_t *p = (const uint8_t *)c->p;
		struct err e = ERR_INIT;
		LLVMFuzzerTestOneInput(p, c->n);
		if (nar_rebuild(p, c->n, 64, &out, &e) == 0) {
			buf_done(&out);
			if (c->text != NULL)
				fail_msg("%zu: not \"%s\"", i, c->text);
		} else if (c->text == NULL || strstr(e.msg, c->text) == NULL) {
			fail_msg("%zu: \"%s\", not \"%s\"", i, e.msg, c->text);
		}
	}
}

/* No beginning of a good one is one. */
static void
test_read_truncated(void **state)
{
	struct err e = ERR_INIT;
	struct buf out;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct nar_case *c = &cases[i];
		for (size_t n = 0; c->text == NULL && n < c->n; n++) {
			assert_int_equal(
			    nar_rebuild((const uint8_t *)c->p, n, 64, &out, &e),
			    -1);
			assert_error(&e, ERR_CORRUPT, "cut off");
		}
	}
}

/* One bit wrong: rejected, or another NAR that is right. */
static void
test_read_bit_flips(void **state)
{
	struct fixture *f = *state;

	make_dir(f, "t");
	make_dir(f, "t/d");
	make_file(f, "t/d/f", "content", 7, 0755);
	make_link(f, "target", "t/l");
	make_file(f, "t/x", "", 0, 0644);
	assert_int_equal(dump(f, "t", NULL, NULL), 0);
	for (size_t bit = 0; bit < f->nar.len * 8; bit++) {
		f->nar.data[bit / 8] ^= 1 << bit % 8;
		LLVMFuzzerTestOneInput(f->nar.data, f->nar.len);
		f->nar.data[bit / 8] ^= 1 << bit % 8;
	}
}

/* The longest name and target, and one byte more. */
static void
test_read_long_strings(void **state)
{
	struct fixture *f = *state;
	char name[NAR_NAME_MAX + 2], target[NAR_TARGET_MAX + 2];
	struct buf out;

	for (int over = 0; over < 3; over++) {
		memset(name, 'n', sizeof name);
		memset(target, 't', sizeof target);
		name[NAR_NAME_MAX + (over == 1)] = '\0';
		target[NAR_TARGET_MAX + (over == 2)] = '\0';
		buf_reset(&f->nar);
		put_words(&f->nar, "nix-archive-1", "(", "type", "directory",
		    "entry", "(", "name", name, "node", "(", "type", "symlink",
		    "target", target, ")", ")", ")", NULL);
		LLVMFuzzerTestOneInput(f->nar.data, f->nar.len);
		if (nar_rebuild(f->nar.data, f->nar.len, 64, &out, &f->e) ==
		    0) {
			assert_int_equal(over, 0);
			buf_done(&out);
		} else {
			assert_int_equal(f->e.kind, ERR_TOO_LARGE);
		}
	}
}

static void
test_read_too_deep(void **state)
{
	struct fixture *f = *state;
	struct buf out;

	put_words(&f->nar, "nix-archive-1", NULL);
	for (int i = 0; i <= NAR_DEPTH_MAX; i++)
		put_words(&f->nar, "(", "type", "directory", "entry", "(",
		    "name", "d", "node", NULL);
	assert_int_equal(
	    nar_rebuild(f->nar.data, f->nar.len, 64, &out, &f->e), -1);
	assert_error(&f->e, ERR_TOO_LARGE, "too deep");
}

static void
test_read_stopped(void **state)
{
	static const char nar[] = DIR0 ENTRY OPEN NAME STR1("a")
	    NODE FILE_HEAD STR1("c") CLOSE CLOSE ONE(STR1("b")) CLOSE;
	struct fixture *f = *state;
	int calls;

	for (calls = 0; calls < 10; calls++) {
		int left = calls;
		struct nar_reader *r =
		    nar_reader_new(&stop_visit, &left, stop_sink, &left);
		int rc = nar_reader_feed(r, nar, sizeof nar - 1, &f->e);
		if (rc != 0) {
			assert_string_equal(f->e.msg, "stop");
			/* From then on it takes no more. */
			assert_int_equal(nar_reader_feed(r, "", 0, &f->e), -1);
			assert_int_equal(f->e.kind, ERR_CORRUPT);
		}
		assert_int_equal(nar_reader_end(r, &f->e), rc);
		nar_reader_free(r);
		if (rc == 0)
			break;
	}
	assert_int_equal(calls, 5); /* enter, file, its content, symlink,
				       leave */
	nar_reader_free(NULL);
	nar_dumper_free(NULL);
}

/* A listing made from the tree is the one made from its NAR. */
static void
test_listings_agree(void **state)
{
	struct fixture *f = *state;
	struct listing *l;
	struct nar_reader *r;
	struct buf dumped, read;

	srandom(42);
	random_tree(f, "t", 0);
	make_file(f, "t/file", "", 0, 0755);
	buf_init(&dumped, NAR_MAX);
	l = listing_new(&dumped);
	assert_int_equal(dump(f, "t", &listing_visit, l), 0);
	assert_int_equal(listing_end(l, &f->e), 0);
	listing_free(l);

	buf_init(&read, NAR_MAX);
	l = listing_new(&read);
	r = nar_reader_new(&listing_visit, l, NULL, NULL);
	for (size_t i = 0; i < f->nar.len; i++)
		assert_int_equal(
		    nar_reader_feed(r, f->nar.data + i, 1, &f->e), 0);
	assert_int_equal(nar_reader_end(r, &f->e), 0);
	assert_int_equal(listing_end(l, &f->e), 0);
	assert_same(&dumped, &read);
	assert_non_null(strstr(buf_str(&read), "\"executable\":true"));
	nar_reader_free(r);
	listing_free(l);
	buf_done(&read);
	buf_done(&dumped);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_dump_words),
		TEST(test_dump_sizes),
		TEST(test_dump_depth),
		TEST(test_dump_few_descriptors),
		TEST(test_dump_no_such_path),
		TEST(test_dump_special_files),
		TEST(test_dump_changes),
		TEST(test_dump_stopped),
		TEST(test_random_trees),
		TEST(test_read_cases),
		TEST(test_read_truncated),
		TEST(test_read_bit_flips),
		TEST(test_read_long_strings),
		TEST(test_read_too_deep),
		TEST(test_read_stopped),
		TEST(test_listings_agree),
	};

	return cmocka_run_group_tests_name("nar", tests, NULL, NULL);
}
