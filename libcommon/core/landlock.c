/*
 * Landlock by its system calls (landlock(7), and the kernel's
 * Documentation/userspace-api/landlock.rst), since the C library has no wrappers
 * and the headers of a distribution may be older than its kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "err.h"
#include "sandbox.h"
#include "sandbox_internal.h"

#define GET_VERSION  1
#define RULE_PATH    1
#define RULE_PORT    2

#define READ_FILE    (UINT64_C(1) << 2)
#define READ_DIR     (UINT64_C(1) << 3)
#define REMOVE_FILE  (UINT64_C(1) << 5)
#define MAKE_SOCK    (UINT64_C(1) << 9)
#define BIND_TCP     UINT64_C(1)
#define CONNECT_TCP  UINT64_C(2)
#define SCOPE_SOCKET UINT64_C(1) /* abstract ones */
#define SCOPE_SIGNAL UINT64_C(2)

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

struct port_rule {
	uint64_t allowed, port;
};

/* What each ABI can take away; later ones add rights to these only in words that
 * we do not use. */
static const struct {
	unsigned fs; /* so many rights, from bit 0 on */
	size_t size; /* of struct ruleset */
} abis[] = {
	[1] = { 13, 8 },
	[2] = { 14, 8 },  /* and renaming into another directory */
	[3] = { 15, 8 },  /* truncate(2) */
	[4] = { 15, 16 }, /* TCP */
	[5] = { 16, 16 }, /* ioctl(2) on devices */
	[6] = { 16, 24 }, /* scopes */
};
#define ABI_MAX ((int)(sizeof abis / sizeof abis[0]) - 1)

static int
create(const struct ruleset *r, size_t size, unsigned flags)
{
	return (int)syscall(SYS_landlock_create_ruleset, r, size, flags);
}

static int
unavailable(struct err *e)
{
	switch (errno) {
	case EOPNOTSUPP:
		err_set(e, ERR_UNAVAILABLE, "Landlock: switched off");
		return err_hint(
		    e, "start the kernel with landlock in its lsm=");
	case EPERM:
		err_set(e, ERR_UNAVAILABLE, "Landlock: not permitted");
		return err_hint(
		    e, "allow landlock_* in the container's filter");
	case ENOSYS:
		return err_set(
		    e, ERR_UNAVAILABLE, "Landlock: this kernel has none");
	default:
		return err_set(
		    e, ERR_UNAVAILABLE, "Landlock: %s", strerror(errno));
	}
}

static int
allow_path(int fd, const char *path, enum sandbox_path may, struct err *e)
{
	struct path_rule rule = { .allowed = 0 };
	struct stat st;
	int rc = 0;

	rule.parent = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent == -1) /* nothing to be allowed */
		return 0;
	if (fstat(rule.parent, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (may & SANDBOX_READ)
			rule.allowed |= READ_FILE | READ_DIR;
		if (may & SANDBOX_SOCKET)
			rule.allowed |= MAKE_SOCK | REMOVE_FILE;
	} else if (may & SANDBOX_READ)
		rule.allowed |= READ_FILE;
	if (rule.allowed != 0 &&
	    syscall(SYS_landlock_add_rule, fd, RULE_PATH, &rule, 0) == -1)
		rc = err_sys(e, "Landlock: %s", path);
	close(rule.parent);
	return rc;
}

static int
allow_ports(int fd, const struct sandbox_ports *p, uint64_t what, struct err *e)
{
	for (size_t i = 0; i < p->n; i++) {
		struct port_rule rule = { what, p->ports[i] };

		if (syscall(SYS_landlock_add_rule, fd, RULE_PORT, &rule, 0) ==
		    -1)
			return err_sys(e, "Landlock: port %u", p->ports[i]);
	}
	return 0;
}

static int
fill(int fd, const struct sandbox *s, const struct ruleset *r, struct err *e)
{
	for (size_t i = 0; i < s->npaths; i++)
		if (allow_path(fd, s->paths[i].path, s->paths[i].may, e) != 0)
			return -1;
	if (r->net & BIND_TCP && allow_ports(fd, &s->bind, BIND_TCP, e) != 0)
		return -1;
	if (r->net & CONNECT_TCP &&
	    allow_ports(fd, &s->connect, CONNECT_TCP, e) != 0)
		return -1;
	if (syscall(SYS_landlock_restrict_self, fd, 0) == -1)
		return err_sys(e, "Landlock");
	return 0;
}

int
landlock_apply(const struct sandbox *s, int *abi, struct err *e)
{
	int has = create(NULL, 0, GET_VERSION), use, fd, rc;
	struct ruleset r;

	if (has == -1)
		return unavailable(e);
	use = has < ABI_MAX ? has : ABI_MAX;
	r = (struct ruleset){
		.fs = (UINT64_C(1) << abis[use].fs) - 1,
		.net = s->connect_any ? BIND_TCP : BIND_TCP | CONNECT_TCP,
		.scoped = SCOPE_SOCKET | SCOPE_SIGNAL,
	};
	if ((fd = create(&r, abis[use].size, 0)) == -1)
		return unavailable(e);
	if (use < 4)
		r.net = 0;
	rc = fill(fd, s, &r, e);
	close(fd);
	if (rc == 0)
		*abi = has;
	return rc;
}
