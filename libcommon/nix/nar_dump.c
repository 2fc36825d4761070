#include "nar.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../core/buf.h"
#include "../core/err.h"
#include "nar_words.h"

/*
 * Pieces for the sink: large enough that a call costs nothing a byte, small
 * enough that what was read is still in the processor's cache when the sink
 * hashes or compresses it.
 */
#define OUT_SIZE ((size_t)512 << 10)
/* Room behind OUT_SIZE for the end of one node and the head of the next, so
 * that only one place a node asks whether the buffer is full. */
#define OUT_SLACK   ((size_t)8 << 10)
#define DENTS_SIZE  ((size_t)64 << 10) /* of one getdents64 */
#define DENTS_MAX   ((size_t)2 << 30)  /* of all directories that are open */
#define ADVISE_SIZE ((uint64_t)4 << 20)
#define HELD_MAX    32 /* files that wait to be closed */

/*
 * An entry of a directory. The first eight bytes of the name as a number decide
 * nearly every comparison without a look at the name.
 */
struct entry {
	uint64_t key;
	uint32_t name; /* where it stands in dents */
	uint8_t len;
	uint8_t type; /* DT_* */
};

/* A directory whose entries are being written. */
struct frame {
	int fd;
	size_t dents; /* length of dents without it */
	size_t first; /* its entries: [first, end); up to next they are done */
	size_t next;
	size_t end;
};

struct nar_dumper {
	nar_sink *sink;
	void *sink_ctx;
	const struct nar_visit *visit;
	void *visit_ctx;
	const char *path;
	uint64_t sunk; /* bytes given to the sink */
	int noatime;   /* O_NOATIME, until somebody else's file refuses it */
	/*
	 * The kernel's directory entries and, sorted, ours: both are stacks, in
	 * which each frame's stand behind those of the frame below.
	 */
	struct buf dents;
	struct buf entries;
	int held_first; /* descriptors [held_first, held_first + held) */
	int held;
	size_t depth;
	struct frame frames[NAR_DEPTH_MAX];
	size_t len;
	char out[OUT_SIZE + OUT_SLACK];
};

static const struct nar_visit no_visit;

struct nar_dumper *
nar_dumper_new(void)
{
	struct nar_dumper *d = xmalloc(sizeof *d);

	d->held = 0;
	buf_init(&d->dents, DENTS_MAX);
	buf_init(&d->entries, NAR_ENTRIES_MAX * sizeof(struct entry));
	return d;
}

void
nar_dumper_free(struct nar_dumper *d)
{
	if (d == NULL)
		return;
	buf_done(&d->dents);
	buf_done(&d->entries);
	free(d);
}

static struct entry *
entry_at(const struct nar_dumper *d, size_t i)
{
	return (struct entry *)d->entries.data + i;
}

static const char *
entry_name(const struct nar_dumper *d, const struct entry *entry)
{
	return (const char *)d->dents.data + entry->name;
}

/* ---- errors ---- */

/* What is being dumped; a long path loses its end, not the reason behind it. */
#define WHERE_MAX (ERR_MSG_MAX - 128)

static const char *
where(const struct nar_dumper *d, char out[WHERE_MAX])
{
	size_t n = snprintf(out, WHERE_MAX, "%s", d->path);

	for (size_t i = 0; i < d->depth && n < WHERE_MAX; i++) {
		const struct frame *f = &d->frames[i];
		if (f->next > f->first)
			n += snprintf(out + n, WHERE_MAX - n, "/%s",
			    entry_name(d, entry_at(d, f->next - 1)));
	}
	if (n >= WHERE_MAX)
		memcpy(out + WHERE_MAX - 4, "...", 4);
	return out;
}

static int
fail(const struct nar_dumper *d, struct err *e, enum err_kind kind,
    const char *why)
{
	char path[WHERE_MAX];

	return err_set(e, kind, "nar: %s: %s", where(d, path), why);
}

static int
fail_sys(const struct nar_dumper *d, struct err *e, const char *what)
{
	char path[WHERE_MAX];
	int no = errno;

	where(d, path);
	errno = no;
	return err_sys(e, "nar: %s: %s", path, what);
}

/* ---- output ---- */

static int
flush(struct nar_dumper *d, struct err *e)
{
	size_t n = d->len;

	if (n == 0)
		return 0;
	d->len = 0;
	d->sunk += n;
	return d->sink(d->sink_ctx, d->out, n, e);
}

static int
flush_full(struct nar_dumper *d, struct err *e)
{
	return d->len < OUT_SIZE ? 0 : flush(d, e);
}

#define PUT(d, words) put((d), "" words, sizeof(words) - 1)

static inline void
put(struct nar_dumper *d, const char *p, size_t n)
{
	memcpy(d->out + d->len, p, n);
	d->len += n;
}

static inline void
put_u64(struct nar_dumper *d, uint64_t v)
{
	v = htole64(v);
	memcpy(d->out + d->len, &v, sizeof v);
	d->len += sizeof v;
}

static inline void
put_padding(struct nar_dumper *d, uint64_t n)
{
	memset(d->out + d->len, 0, 8);
	d->len += PADDING(n);
}

static void
put_str(struct nar_dumper *d, const char *s, size_t n)
{
	put_u64(d, n);
	put(d, s, n);
	put_padding(d, n);
}

/* ---- descriptors ---- */

static void
close_held(struct nar_dumper *d)
{
	int first = d->held_first, last = first + d->held - 1;

	if (d->held == 0)
		return;
	d->held = 0;
	if (close_range(first, last, 0) != 0)
		for (int fd = first; fd <= last; fd++)
			close(fd);
}

/*
 * Closes a file soon. One close_range for a run of descriptors costs a good deal
 * less than a close for each; only neighbours that are all ours make a run, so
 * other threads may open what they like meanwhile.
 */
static void
release(struct nar_dumper *d, int fd)
{
	if (d->held > 0 && fd != d->held_first + d->held)
		close_held(d);
	if (d->held == 0)
		d->held_first = fd;
	if (++d->held == HELD_MAX)
		close_held(d);
}

/*
 * O_NONBLOCK is for the FIFO that took a file's place since we looked: it must
 * not hang us.
 */
static int
open_at(struct nar_dumper *d, int dirfd, const char *name, int flags)
{
	flags |= O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	for (;;) {
		int fd = openat(dirfd, name, flags | d->noatime);
		if (fd >= 0)
			return fd;
		if (errno == EPERM && d->noatime != 0)
			d->noatime = 0;
		else if (errno == EMFILE && d->held > 0)
			close_held(d);
		else if (errno != EINTR)
			return -1;
	}
}

/* ---- nodes ---- */

/*
 * Puts size bytes of fd. Asking for one byte more than there should be tells by
 * the same call whether there is more.
 */
static int
put_contents(struct nar_dumper *d, int fd, uint64_t size, struct err *e)
{
	uint64_t left = size;
	size_t want;
	ssize_t n;

	if (size >= ADVISE_SIZE)
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	/* One read for a small file, aligned ones for a large file. */
	if (d->len + size >= OUT_SIZE && flush(d, e) != 0)
		return -1;
	do {
		if (flush_full(d, e) != 0)
			return -1;
		want = OUT_SIZE - d->len;
		if (left < want)
			want = left + 1;
		do
			n = read(fd, d->out + d->len, want);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return fail_sys(d, e, "read");
		if (n > left)
			return fail(
			    d, e, ERR_CORRUPT, "grew while it was read");
		if (n == 0 && left > 0)
			return fail(
			    d, e, ERR_CORRUPT, "shrank while it was read");
		d->len += n;
		left -= n;
	} while (left > 0 || n == want);
	put_padding(d, size);
	return 0;
}

static int
put_file(struct nar_dumper *d, int dirfd, const char *name,
    const char *visit_name, struct err *e)
{
	struct stat st;
	int executable, rc = -1;
	int fd = open_at(d, dirfd, name, 0);

	if (fd < 0)
		return fail_sys(d, e, "open");
	if (fstat(fd, &st) != 0) {
		fail_sys(d, e, "stat");
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		fail(d, e, ERR_CORRUPT, "changed its type while it was read");
		goto out;
	}
	executable = (st.st_mode & S_IXUSR) != 0;
	if (executable)
		PUT(d, OPEN TYPE REGULAR EXECUTABLE EMPTY CONTENTS);
	else
		PUT(d, OPEN TYPE REGULAR CONTENTS);
	put_u64(d, st.st_size);
	if (d->visit->file != NULL &&
	    d->visit->file(d->visit_ctx, visit_name, executable, st.st_size,
	        d->sunk + d->len, e) != 0)
		goto out;
	if (put_contents(d, fd, st.st_size, e) != 0)
		goto out;
	PUT(d, CLOSE);
	rc = 0;
out:
	release(d, fd);
	return rc;
}

static int
put_symlink(struct nar_dumper *d, int dirfd, const char *name,
    const char *visit_name, struct err *e)
{
	char *target;
	ssize_t n;

	PUT(d, OPEN TYPE SYMLINK TARGET);
	target = d->out + d->len + 8; /* behind its length */
	n = readlinkat(dirfd, name, target, NAR_TARGET_MAX + 1);
	if (n < 0)
		return fail_sys(d, e, "readlink");
	if (n > NAR_TARGET_MAX)
		return fail(
		    d, e, ERR_TOO_LARGE, "the link's target is too long");
	target[n] = '\0';
	if (d->visit->symlink != NULL &&
	    d->visit->symlink(d->visit_ctx, visit_name, target, e) != 0)
		return -1;
	put_u64(d, n);
	d->len += n;
	put_padding(d, n);
	PUT(d, CLOSE);
	return 0;
}

/* ---- directories ---- */

/* Appends an entry that stands in dents, but for "." and "..". */
static int
add_entry(struct nar_dumper *d, const struct dirent64 *dent, struct err *e)
{
	const char *name = dent->d_name;
	size_t len = strlen(name);
	struct entry *entry;

	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return 0;
	if (len == 0 || len > NAR_NAME_MAX)
		return fail(d, e, ERR_TOO_LARGE,
		    "an entry's name is empty or too long");
	entry = buf_reserve(&d->entries, sizeof *entry, NULL);
	if (entry == NULL)
		return fail(d, e, ERR_TOO_LARGE, "too many entries");
	d->entries.len += sizeof *entry;
	memcpy(&entry->key, name, sizeof entry->key);
	entry->key = be64toh(entry->key);
	if (len < sizeof entry->key) /* without what follows the name */
		entry->key &= ~UINT64_C(0) << 8 * (sizeof entry->key - len);
	entry->name = name - (const char *)d->dents.data;
	entry->len = len;
	entry->type = dent->d_type;
	return 0;
}

/* Order of bytes, whatever the locale. */
static int
entry_cmp(const void *pa, const void *pb, void *dents)
{
	const struct entry *a = pa, *b = pb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return strcmp((char *)dents + a->name, (char *)dents + b->name);
}

static int
read_entries(struct nar_dumper *d, struct frame *f, struct err *e)
{
	const struct dirent64 *dent;
	struct entry *entry;
	size_t off;
	ssize_t n;
	void *to;

	for (;;) {
		/* Some bytes more, as add_entry reads names by eight. */
		to = buf_reserve(&d->dents, DENTS_SIZE + 8, NULL);
		if (to == NULL)
			return fail(d, e, ERR_TOO_LARGE, "too many entries");
		n = getdents64(f->fd, to, DENTS_SIZE);
		if (n < 0)
			return fail_sys(d, e, "read directory");
		if (n == 0)
			break;
		off = d->dents.len;
		d->dents.len += n;
		for (; off < d->dents.len; off += dent->d_reclen) {
			dent = (const void *)(d->dents.data + off);
			if (add_entry(d, dent, e) != 0)
				return -1;
		}
	}
	f->end = d->entries.len / sizeof *entry;
	if (f->end == f->first)
		return 0;
	entry = entry_at(d, f->first);
	qsort_r(
	    entry, f->end - f->first, sizeof *entry, entry_cmp, d->dents.data);
	/* The kernel repeats a name when somebody renames things meanwhile. */
	for (size_t i = f->first + 1; i < f->end; i++, entry++)
		if (entry_cmp(entry, entry + 1, d->dents.data) == 0)
			return fail(
			    d, e, ERR_CORRUPT, "changed while it was read");
	return 0;
}

static void
pop(struct nar_dumper *d)
{
	struct frame *f = &d->frames[--d->depth];

	d->dents.len = f->dents;
	d->entries.len = f->first * sizeof(struct entry);
	close(f->fd);
}

static int
enter(struct nar_dumper *d, int dirfd, const char *name, const char *visit_name,
    struct err *e)
{
	struct frame *f = &d->frames[d->depth];
	int fd;

	if (d->depth == NAR_DEPTH_MAX)
		return fail(d, e, ERR_TOO_LARGE, "too deep in directories");
	fd = open_at(d, dirfd, name, O_DIRECTORY);
	if (fd < 0)
		return fail_sys(d, e, "open");
	if (d->visit->enter != NULL &&
	    d->visit->enter(d->visit_ctx, visit_name, e) != 0) {
		close(fd);
		return -1;
	}
	PUT(d, OPEN TYPE DIRECTORY);
	*f = (struct frame){ .fd = fd, .dents = d->dents.len };
	f->first = f->next = f->end = d->entries.len / sizeof(struct entry);
	d->depth++;
	return read_entries(d, f, e);
}

static int
leave(struct nar_dumper *d, struct err *e)
{
	pop(d);
	PUT(d, CLOSE);
	if (d->depth > 0)
		PUT(d, CLOSE); /* the entry that it was */
	return d->visit->leave != NULL ? d->visit->leave(d->visit_ctx, e) : 0;
}

/* Puts a node; a directory's entries come later, from the top frame. */
static int
put_node(struct nar_dumper *d, int dirfd, const char *name,
    const char *visit_name, int type, struct err *e)
{
	struct stat st;

	if (type == DT_UNKNOWN) {
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			return fail_sys(d, e, "stat");
		type = IFTODT(st.st_mode);
	}
	switch (type) {
	case DT_REG:
		return put_file(d, dirfd, name, visit_name, e);
	case DT_LNK:
		return put_symlink(d, dirfd, name, visit_name, e);
	case DT_DIR:
		return enter(d, dirfd, name, visit_name, e);
	default:
		return fail(d, e, ERR_CORRUPT,
		    "neither a file, a directory nor a symlink");
	}
}

static int
put_entry(struct nar_dumper *d, struct frame *f, struct err *e)
{
	const struct entry *entry = entry_at(d, f->next++);
	const char *name = entry_name(d, entry);
	size_t depth = d->depth;

	PUT(d, ENTRY OPEN NAME);
	put_str(d, name, entry->len);
	PUT(d, NODE);
	if (put_node(d, f->fd, name, name, entry->type, e) != 0)
		return -1;
	if (d->depth == depth)
		PUT(d, CLOSE); /* a directory's entry is closed when we leave */
	return 0;
}

int
nar_dump(struct nar_dumper *d, const char *path, nar_sink *sink, void *sink_ctx,
    const struct nar_visit *visit, void *visit_ctx, uint64_t *size,
    struct err *e)
{
	int rc = -1;

	d->sink = sink;
	d->sink_ctx = sink_ctx;
	d->visit = visit != NULL ? visit : &no_visit;
	d->visit_ctx = visit_ctx;
	d->path = path;
	d->sunk = 0;
	d->noatime = O_NOATIME;
	d->depth = 0;
	d->len = 0;
	PUT(d, MAGIC);
	if (put_node(d, AT_FDCWD, path, "", DT_UNKNOWN, e) != 0)
		goto out;
	while (d->depth > 0) {
		struct frame *f = &d->frames[d->depth - 1];
		if (flush_full(d, e) != 0)
			goto out;
		if ((f->next < f->end ? put_entry(d, f, e) : leave(d, e)) != 0)
			goto out;
	}
	if (flush(d, e) != 0)
		goto out;
	if (size != NULL)
		*size = d->sunk;
	rc = 0;
out:
	while (d->depth > 0)
		pop(d);
	close_held(d);
	return rc;
}
