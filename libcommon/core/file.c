#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "buf.h"
#include "err.h"

#define READ_MIN ((size_t)4096)
#define READ_MAX ((size_t)1 << 20)

int
file_read_fd(int fd, struct buf *b, struct err *e)
{
	size_t before = b->len;

	for (;;) {
		size_t room = b->max - b->len, want = b->len - before;
		char beyond; /* a full buffer asks whether the file ends */
		void *to = &beyond;
		ssize_t n;

		if (want < READ_MIN)
			want = READ_MIN;
		if (want > READ_MAX)
			want = READ_MAX;
		if (want > room)
			want = room;
		if (want > 0)
			to = buf_reserve(b, want, e);
		n = read(fd, to, want > 0 ? want : 1);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			return 0;
		if (n == -1) {
			b->len = before;
			return err_sys(e, "read");
		}
		if (want == 0) {
			b->len = before;
			return err_set(e, ERR_TOO_LARGE,
			    "more than the limit of %zu bytes", b->max);
		}
		b->len += (size_t)n;
	}
}

int
file_read(const char *path, struct buf *b, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int rc;

	if (fd == -1)
		return err_sys(e, "%s", path);
	if ((rc = file_read_fd(fd, b, e)) == -1)
		err_prefix(e, "%s", path);
	close(fd);
	return rc;
}

int
file_write_fd(int fd, const void *p, size_t n, struct err *e)
{
	const char *from = p;

	while (n > 0) {
		ssize_t done = write(fd, from, n);

		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return err_sys(e, "write");
		from += done;
		n -= (size_t)done;
	}
	return 0;
}
