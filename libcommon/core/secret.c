#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"

/* Locked memory between guard pages. sodium_init() is cheap when repeated. */
static char *
locked(size_t size)
{
	char *p;

	if (sodium_init() == -1 || (p = sodium_malloc(size)) == NULL)
		err_die("out of memory: %zu locked bytes", size);
	return p;
}

int
secret_zero(struct secret *s, size_t len, struct err *e)
{
	if (len > SECRET_MAX)
		return err_set(e, ERR_TOO_LARGE,
		    "a secret of more than %d bytes", SECRET_MAX);
	secret_done(s);
	s->data = locked(len + 1);
	memset(s->data, 0, len + 1);
	s->len = len;
	return 0;
}

int
secret_set(struct secret *s, const void *p, size_t len, struct err *e)
{
	struct secret new = { 0 };

	if (secret_zero(&new, len, e) != 0)
		return -1;
	if (len > 0)
		memcpy(new.data, p, len);
	secret_done(s);
	*s = new;
	return 0;
}

static int
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

int
secret_load(struct secret *s, const char *path, size_t max, unsigned *mode,
    struct err *e)
{
	char *text = NULL, *start, *end;
	size_t len = 0;
	struct stat st;
	int fd, rc = -1;

	if (max > SECRET_MAX)
		max = SECRET_MAX;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd == -1 || fstat(fd, &st) == -1) {
		err_sys(e, "%s", path);
		goto out;
	}
	text = locked(max + 1); /* one more, to see that a file is too long */
	while (len <= max) {
		ssize_t n = read(fd, text + len, max + 1 - len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			err_sys(e, "%s", path);
			goto out;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len > max) {
		err_set(e, ERR_TOO_LARGE, "%s: more than %zu bytes", path, max);
		goto out;
	}
	for (start = text, end = text + len; end > start && is_space(end[-1]);)
		end--;
	while (start < end && is_space(*start))
		start++;
	if (start == end) {
		err_set(e, ERR_INVALID, "%s: empty", path);
		goto out;
	}
	if ((rc = secret_set(s, start, (size_t)(end - start), e)) == 0 &&
	    mode != NULL)
		*mode = st.st_mode & 07777;
out:
	sodium_free(text);
	if (fd != -1)
		close(fd);
	return rc;
}

void
secret_done(struct secret *s)
{
	sodium_free(s->data); /* wipes; takes NULL */
	*s = (struct secret){ 0 };
}

int
secret_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void
secret_random(void *out, size_t len)
{
	if (sodium_init() == -1)
		err_die("no source of random bytes");
	randombytes_buf(out, len);
}

void
secret_harden_process(void)
{
	struct rlimit none = { 0, 0 };

	/* Neither can fail for a process that only gives rights away. */
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
}
