/*
 * A hand tool for NARs, used by tests and benchmarks:
 *
 *	nar_tool dump PATH            its NAR on standard output
 *	nar_tool ls PATH              its listing
 *	nar_tool check [SEED] <NAR    the listing of a NAR, fed in pieces whose
 *	                              sizes depend on SEED; 8 if it is rejected
 *	nar_tool tree PATH SEED       makes a random tree; odd seeds also have
 *	                              names that are no text
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"
#include "../../libcommon/nix/listing.h"
#include "../../libcommon/nix/nar.h"

#define LISTING_MAX ((size_t)1 << 30)
#define PIECE_MAX   ((size_t)1 << 20)

static int
to_stdout(void *ctx, const void *p, size_t n, struct err *e)
{
	(void)ctx;
	return file_write_fd(STDOUT_FILENO, p, n, e);
}

static int
to_nowhere(void *ctx, const void *p, size_t n, struct err *e)
{
	(void)ctx, (void)p, (void)n, (void)e;
	return 0;
}

static int
dump(char **argv, struct err *e)
{
	struct nar_dumper *d = nar_dumper_new();
	int rc = nar_dump(d, argv[0], to_stdout, NULL, NULL, NULL, NULL, e);

	nar_dumper_free(d);
	return rc;
}

static int
put_listing(struct listing *l, struct buf *out, struct err *e)
{
	if (listing_end(l, e) != 0 || buf_putc(out, '\n', e) != 0)
		return -1;
	return file_write_fd(STDOUT_FILENO, out->data, out->len, e);
}

static int
ls(char **argv, struct err *e)
{
	struct nar_dumper *d = nar_dumper_new();
	struct listing *l;
	struct buf out;
	int rc;

	buf_init(&out, LISTING_MAX);
	l = listing_new(&out);
	rc = nar_dump(d, argv[0], to_nowhere, NULL, &listing_visit, l, NULL, e);
	if (rc == 0)
		rc = put_listing(l, &out, e);
	listing_free(l);
	buf_done(&out);
	nar_dumper_free(d);
	return rc;
}

/* Small numbers are more likely than large ones. */
static size_t
random_size(size_t max)
{
	size_t n = (size_t)1 << random() % 20;

	n = random() % n + 1;
	return n < max ? n : max;
}

static int
check(char **argv, struct err *e)
{
	static char piece[PIECE_MAX];
	struct nar_reader *r;
	struct listing *l;
	struct buf out;
	ssize_t n;
	int rc = -1;

	srandom(argv[0] != NULL ? atoi(argv[0]) : 0);
	buf_init(&out, LISTING_MAX);
	l = listing_new(&out);
	r = nar_reader_new(&listing_visit, l, NULL, NULL);
	while ((n = read(STDIN_FILENO, piece,
	            argv[0] != NULL ? random_size(PIECE_MAX) : PIECE_MAX)) > 0)
		if (nar_reader_feed(r, piece, n, e) != 0)
			goto out;
	if (n < 0)
		err_sys(e, "read standard input");
	else if (nar_reader_end(r, e) == 0)
		rc = put_listing(l, &out, e);
out:
	nar_reader_free(r);
	listing_free(l);
	buf_done(&out);
	return rc;
}

/* ---- random trees ---- */

/* Sizes around the padding and around the buffers of a serialiser. */
static const size_t sizes[] = { 0, 1, 7, 8, 9, 15, 16, 17, 4095, 4096, 4097,
	32767, 32768, 65535, 65536, 65537, 131072, 262000, 262143, 262144,
	262145, 270336, 524287, 524288, 524289, 1048577 };

static const char *const odd_names[] = { "with space", "new\nline", "tab\t",
	"quote\"s", "back\\slash", "ümläut", "日本語", "A", "a", "Z", "z", "_",
	"-", "~", "a.b", "a-b", "aB", "ab", "a b", "...", ".hidden", "..x",
	"{}", "\x01", "12345678", "123456789", "1234567", "12345678\x01" };

static const char *const not_text[] = { "\xff", "\x80x", "a\xfe", "\xc3",
	"12345678\xff", "1234567\xff" };

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static void
random_name(int text, char out[NAR_NAME_MAX + 1])
{
	size_t n;

	switch (random() % (text ? 4 : 5)) {
	case 0:
		strcpy(out, odd_names[random() % COUNT(odd_names)]);
		break;
	case 1:
		sprintf(out, "libpython3.11-%ld.so", random() % 100000);
		break;
	case 2:
		n = random() % 8 == 0 ? NAR_NAME_MAX : random() % 20 + 1;
		for (size_t i = 0; i < n; i++)
			out[i] = "abAB01._-+?="[random() % 12];
		out[n] = '\0';
		if (out[0] == '.')
			out[0] = ',';
		break;
	case 3:
		sprintf(out, "%lx", random());
		break;
	default:
		strcpy(out, not_text[random() % COUNT(not_text)]);
		break;
	}
}

static int
random_file(int dirfd, const char *name, size_t n, struct err *e)
{
	static char bytes[2 << 20];
	int fd =
	    openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0) /* that name is taken: it stays as it is */
		return 0;
	for (size_t i = 0; i < n; i += 64)
		bytes[i] = random();
	rc = file_write_fd(fd, bytes, n, e);
	if (rc == 0)
		/* Only the owner's x counts. */
		rc = fchmod(fd,
		    (mode_t[]){
		        0644, 0755, 0500, 0411, 0700, 0444 }[random() % 6]);
	close(fd);
	return rc;
}

static void
random_symlink(int dirfd, const char *name)
{
	char target[NAR_TARGET_MAX + 1] = "/nowhere";

	if (random() % 4 == 0) {
		size_t n = random() % 4 == 0 ? NAR_TARGET_MAX : random_size(60);
		memset(target, 'x', n);
		target[n] = '\0';
	} else if (random() % 2 == 0) {
		random_name(1, target);
	}
	if (symlinkat(target, dirfd, name) != 0)
		return; /* taken */
}

static int
random_tree(int dirfd, const char *name, int depth, int text, struct err *e)
{
	char entry[NAR_NAME_MAX + 1];
	int n = random() % 4 == 0 ? 0 : random() % 24;
	int fd, rc = 0;

	if (mkdirat(dirfd, name, 0755) != 0)
		return 0;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, "open %s", name);
	if (depth == 0)
		n += 20;
	for (int i = 0; i < n && rc == 0; i++) {
		random_name(text, entry);
		switch (random() % 6) {
		case 0:
			random_symlink(fd, entry);
			break;
		case 1:
			/* now and then a deep one */
			if (depth < 4 || (depth < 100 && random() % 4 == 0))
				rc = random_tree(fd, entry, depth + 1, text, e);
			break;
		default:
			rc = random_file(fd, entry,
			    random() % 4 == 0 ? sizes[random() % COUNT(sizes)]
			                      : random_size(20000) - 1,
			    e);
			break;
		}
	}
	close(fd);
	return rc;
}

/* A chain of directories as deep as allowed, and one with many entries. */
static int
extreme_trees(const char *path, struct err *e)
{
	char name[32];
	int fd, next, rc = 0;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < NAR_DEPTH_MAX - 1 && fd >= 0; i++) {
		mkdirat(fd, "deep", 0755);
		next = openat(fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(fd, "many", 0755);
	next = openat(fd, "many", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(fd);
	for (int i = 0; i < 5000 && rc == 0; i++) {
		sprintf(name, "file-%ld", random());
		rc = random_file(next, name, random() % 5000, e);
	}
	close(next);
	return rc;
}

static int
tree(char **argv, struct err *e)
{
	int seed = argv[1] != NULL ? atoi(argv[1]) : 0;

	srandom(seed);
	if (random_tree(AT_FDCWD, argv[0], 0, seed % 2 == 0, e) != 0)
		return -1;
	return seed == 0 ? extreme_trees(argv[0], e) : 0;
}

static const struct command {
	const char *name;
	int args;
	int (*run)(char **argv, struct err *e);
} commands[] = {
	{ "dump", 1, dump },
	{ "ls", 1, ls },
	{ "check", 0, check },
	{ "tree", 1, tree },
};

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; argc > 1 && i < COUNT(commands); i++) {
		const struct command *c = &commands[i];
		if (strcmp(argv[1], c->name) != 0 || argc < 2 + c->args)
			continue;
		if (c->run(argv + 2, &e) == 0)
			return 0;
		fprintf(stderr, "%s\n", e.msg);
		return err_exit(e.kind);
	}
	fprintf(stderr,
	    "usage: nar_tool dump|ls PATH | check [SEED] | "
	    "tree PATH SEED\n");
	return 2;
}
