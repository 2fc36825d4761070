#include "nixcmd.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/spawn.h"
#include "../../libcommon/nix/pathinfo.h"
#include "../../libcommon/nix/storepath.h"

#define OUTPUT_MAX   ((size_t)2 << 30) /* 2 M paths at 1 KiB each */
#define STDERR_MAX   ((size_t)64 << 10)
#define SYMLINKS_MAX 255
#define ARGS_MAX     4000 /* paths in one command line */

/* One step along a symlink: path becomes what it points to. */
static int
follow(char path[PATH_MAX], const char *arg, struct err *e)
{
	char target[PATH_MAX], next[2 * PATH_MAX];
	ssize_t n = readlink(path, target, sizeof target - 1);
	char *slash;
	int len;

	if (n < 0)
		return err_sys(e, "%s: read link", arg);
	target[n] = '\0';
	slash = strrchr(path, '/');
	if (target[0] == '/')
		len = snprintf(next, sizeof next, "%s", target);
	else
		len = snprintf(next, sizeof next, "%.*s/%s",
		    (int)(slash - path), path, target);
	if (len >= PATH_MAX)
		return err_set(e, ERR_INVALID, "%s: link too long", arg);
	memcpy(path, next, len + 1);
	return 0;
}

int
nixcmd_resolve(const char *store_dir, const char *arg, struct arena *a,
    const char **base, struct err *e)
{
	char path[PATH_MAX], cwd[PATH_MAX];
	size_t dirlen = strlen(store_dir), len;
	const char *found;
	struct stat st;
	int n;

	if (arg[0] == '/')
		n = snprintf(path, sizeof path, "%s", arg);
	else if (getcwd(cwd, sizeof cwd) == NULL)
		return err_sys(e, "current directory");
	else
		n = snprintf(path, sizeof path, "%s/%s", cwd, arg);
	if (n >= (int)sizeof path)
		return err_set(e, ERR_INVALID, "%s: path too long", arg);
	for (n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	for (int i = 0; i < SYMLINKS_MAX; i++) {
		if (strncmp(path, store_dir, dirlen) == 0 &&
		    path[dirlen] == '/')
			break;
		if (lstat(path, &st) != 0) {
			if (errno == ENOENT || errno == ENOTDIR)
				return err_set(e, ERR_NOT_FOUND,
				    "%s: path does not exist", arg);
			return err_sys(e, "%s", arg);
		}
		if (!S_ISLNK(st.st_mode)) {
			/* A link may stand further up in the path. */
			char real[PATH_MAX];

			if (realpath(path, real) == NULL)
				return err_sys(e, "%s", arg);
			if (strcmp(real, path) == 0) {
				err_set(e, ERR_INVALID,
				    "%s: not in the store %s", arg, store_dir);
				return err_hint(e,
				    "build it first, or set "
				    "NIX_STORE_DIR");
			}
			memcpy(path, real, strlen(real) + 1);
			continue;
		}
		if (follow(path, arg, e) != 0)
			return -1;
	}
	if (storepath_enclosing(store_dir, path, &found, &len, e) != 0)
		return err_prefix(e, "%s", arg);
	if ((*base = arena_strn(a, found, len)) == NULL)
		return arena_full(a, e);
	return 0;
}

/* ---- running nix ---- */

/* What nix said last, without its "error: ". */
static const char *
last_words(struct buf *text)
{
	const char *s = buf_str(text), *at = strstr(s, "error: ");

	if (at != NULL)
		s = at + strlen("error: ");
	for (size_t n = strlen(s); n > 0 && s[n - 1] == '\n'; n--)
		text->data[s - (char *)text->data + n - 1] = '\0';
	return s;
}

/* What nix said goes into the error when it fails. */
static int
run(char *const argv[], struct buf *out, struct err *e)
{
	struct buf words;
	int status, rc;

	buf_init(&words, STDERR_MAX);
	rc = spawn_read(argv, INT64_MAX, out, &words, &status, e);
	if (rc != 0) {
		e->kind = ERR_INTERNAL; /* no path is to blame */
		err_hint(e, "is Nix installed and in PATH?");
	} else if (status != 0)
		rc = err_set(e, ERR_NOT_FOUND, "nix %s: %s", argv[3],
		    words.len > 0 ? last_words(&words) : "failed");
	buf_done(&words);
	return rc;
}

/* nix <fixed...> <store_dir>/<base>... into out. */
static int
run_on_paths(const char *const *fixed, const char *store_dir,
    const char *const *bases, size_t n, struct arena *a, struct buf *out,
    struct err *e)
{
	size_t at = 0;
	char **argv;

	while (fixed[at] != NULL)
		at++;
	if ((argv = arena_array(a, at + n + 1, sizeof *argv)) == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < at; i++)
		if ((argv[i] = arena_str(a, fixed[i])) == NULL)
			return arena_full(a, e);
	for (size_t i = 0; i < n; i++) {
		argv[at + i] = arena_printf(a, "%s/%s", store_dir, bases[i]);
		if (argv[at + i] == NULL)
			return arena_full(a, e);
	}
	return run(argv, out, e);
}

static int
by_base(const void *a, const void *b)
{
	const struct pathinfo *x = a, *y = b;

	return strcmp(x->base, y->base);
}

int
nixcmd_closure(const char *store_dir, const char *const *bases, size_t n,
    struct arena *a, struct pathinfo **out, size_t *nout, struct err *e)
{
	static const char *const fixed[] = { "nix",
		"--extra-experimental-features", "nix-command", "path-info",
		"--recursive", "--json", "--", NULL };
	struct pathinfo *all = NULL, *some;
	size_t nall = 0, nsome, kept = 0;
	struct buf text;
	int rc = -1;

	buf_init(&text, OUTPUT_MAX);
	for (size_t i = 0; i < n; i += ARGS_MAX) {
		size_t k = n - i < ARGS_MAX ? n - i : ARGS_MAX;

		buf_reset(&text);
		if (run_on_paths(fixed, store_dir, bases + i, k, a, &text, e) !=
		        0 ||
		    pathinfo_parse((const char *)text.data, text.len, store_dir,
		        a, &some, &nsome, e) != 0)
			goto out;
		all = xrealloc(all, (nall + nsome) * sizeof *all);
		memcpy(all + nall, some, nsome * sizeof *all);
		nall += nsome;
	}
	/* The closures of two command lines may overlap. */
	if (n > ARGS_MAX)
		qsort(all, nall, sizeof *all, by_base);
	for (size_t i = 0; i < nall; i++)
		if (i == 0 || strcmp(all[i].base, all[kept - 1].base) != 0)
			all[kept++] = all[i];
	if ((*out = arena_dup(a, all, kept * sizeof *all)) == NULL) {
		arena_full(a, e);
		goto out;
	}
	*nout = kept;
	rc = 0;
out:
	free(all);
	buf_done(&text);
	return rc;
}
