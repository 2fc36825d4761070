#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "sandbox.h"
#include "sandbox_internal.h"

#ifndef PR_SET_VMA /* malloc of newer C libraries names its memory */
#define PR_SET_VMA 0x53564d41
#endif

/* Names, because a kernel or an architecture may not have all of them. */
typedef const char *const names[];

/* Memory, threads, time, and what is open already. */
static names always = { "read", "write", "readv", "writev", "pread64",
	"pwrite64", "close", "lseek", "_llseek", "fstat", "fstat64", "fcntl",
	"fcntl64", "dup", "getdents64", "munmap", "mremap", "madvise", "brk",
	"mlock", "mlock2", "munlock", "membarrier", "futex", "futex_time64",
	"futex_waitv", "set_robust_list", "rseq", "sched_yield",
	"sched_getaffinity", "getcpu", "exit", "exit_group", "rt_sigaction",
	"rt_sigprocmask", "rt_sigreturn", "sigreturn", "rt_sigpending",
	"rt_sigtimedwait", "sigaltstack", "restart_syscall", "clock_gettime",
	"clock_gettime64", "clock_getres", "clock_nanosleep",
	"clock_nanosleep_time64", "nanosleep", "gettimeofday", "time",
	"getrandom", "getpid", "gettid", "getuid", "geteuid", "getgid",
	"getegid", "getrusage", "uname", "sysinfo", "poll", "ppoll",
	"ppoll_time64", "select", "pselect6", "epoll_create1", "epoll_ctl",
	"epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "pipe2",
	"socketpair", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg",
	"recvmmsg", "getsockopt", "setsockopt", "getsockname", "getpeername",
	"shutdown" };

static names reading = { "stat", "stat64", "lstat", "lstat64", "newfstatat",
	"fstatat64", "statx", "access", "faccessat", "faccessat2", "readlink",
	"readlinkat", "getcwd", "statfs", "fstatfs" };

/* unlink: nng removes its sockets at the end, in a directory that Landlock
 * knows. splice: the relay of the read proxy. */
static names serving = { "accept4", "accept", "splice", "sendfile",
	"sendfile64", "unlink", "unlinkat" };

/* There is no honest reason to be here. */
static names killed = { "execve", "execveat", "ptrace", "process_vm_readv",
	"process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp", "bpf",
	"perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
	"io_uring_register", "mount", "umount", "umount2", "move_mount",
	"open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
	"pivot_root", "chroot", "unshare", "setns", "init_module",
	"finit_module", "delete_module", "kexec_load", "kexec_file_load",
	"reboot", "swapon", "swapoff", "settimeofday", "clock_settime",
	"adjtimex", "clock_adjtime", "sethostname", "setdomainname", "iopl",
	"ioperm", "modify_ldt", "keyctl", "add_key", "request_key",
	"personality", "acct", "quotactl", "quotactl_fd", "open_by_handle_at",
	"fanotify_init", "setuid", "setgid", "setreuid", "setregid",
	"setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "capset",
	"mknod", "mknodat", "memfd_secret", "syslog" };

/* Libraries try these, and must be told that they may not: a call that the
 * kernel lacks would have them try another one. */
static names changing = { "creat", "rename", "renameat", "renameat2", "link",
	"linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "rmdir", "chmod",
	"fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat",
	"truncate", "ftruncate", "utimensat" };
static names acting = { "fork", "vfork", "kill", "tkill", "bind", "listen" };

struct filter {
	scmp_filter_ctx ctx;
	int rc; /* the first failure */
};

static void
add(struct filter *f, uint32_t action, const char *name, unsigned nargs,
    const struct scmp_arg_cmp *args)
{
	int nr = seccomp_syscall_resolve_name(name), rc;

	if (nr == __NR_SCMP_ERROR || f->rc != 0)
		return;
	rc = seccomp_rule_add_array(f->ctx, action, nr, nargs, args);
	/* A call that this architecture has not need not be spoken of. */
	if (rc != 0 && rc != -EDOM)
		f->rc = rc;
}

/* Where the bits of mask in argument arg are those of value. */
static void
add_if(struct filter *f, uint32_t action, const char *name, unsigned arg,
    uint64_t mask, uint64_t value)
{
	add(f, action, name, 1,
	    &(struct scmp_arg_cmp){ .arg = arg,
	        .op = SCMP_CMP_MASKED_EQ,
	        .datum_a = mask,
	        .datum_b = value });
}

#define ADD(f, action, list)                                                \
	do {                                                                \
		for (size_t i = 0; i < sizeof(list) / sizeof(list)[0]; i++) \
			add(f, action, (list)[i], 0, NULL);                 \
	} while (0)

#define ALL UINT64_MAX

/* No fork: clone3(2), whose flags a filter cannot see, is one that the kernel
 * lacks, and the C library starts its threads by clone(2) then. */
static void
add_threads(struct filter *f)
{
	add_if(f, SCMP_ACT_ALLOW, "clone", 0, CLONE_THREAD, CLONE_THREAD);
	add_if(f, SCMP_ACT_ERRNO(EPERM), "clone", 0, CLONE_THREAD, 0);
	/* abort(3) */
	add_if(f, SCMP_ACT_ALLOW, "tgkill", 0, ALL, (uint64_t)getpid());
	add_if(f, SCMP_ACT_ALLOW, "prctl", 0, ALL, PR_SET_NAME);
	add_if(f, SCMP_ACT_ALLOW, "prctl", 0, ALL, PR_SET_VMA);
	/* getrlimit(3) of ourselves, and no new limit. */
	add(f, SCMP_ACT_ALLOW, "prlimit64", 2,
	    (struct scmp_arg_cmp[]){
	        { .arg = 0, .op = SCMP_CMP_EQ, .datum_a = 0 },
	        { .arg = 2, .op = SCMP_CMP_EQ, .datum_a = 0 } });
}

/* Libraries may be loaded, but nothing that was written becomes code. */
static void
add_memory(struct filter *f)
{
	const uint64_t both = PROT_WRITE | PROT_EXEC;

	for (int i = 0; i < 2; i++) {
		const char *name = i == 0 ? "mmap" : "mmap2";

		add_if(f, SCMP_ACT_ALLOW, name, 2, PROT_EXEC, 0);
		add_if(f, SCMP_ACT_ALLOW, name, 2, both, PROT_EXEC);
		add_if(f, SCMP_ACT_ERRNO(EACCES), name, 2, both, both);
	}
	add_if(f, SCMP_ACT_ALLOW, "mprotect", 2, PROT_EXEC, 0);
	add_if(f, SCMP_ACT_ERRNO(EACCES), "mprotect", 2, PROT_EXEC, PROT_EXEC);
}

/* Reading, or none at all; never writing. */
static void
add_files(struct filter *f, int reads)
{
	static const struct {
		const char *name;
		unsigned flags;
	} opens[] = { { "open", 1 }, { "openat", 2 } };
	const uint32_t no = SCMP_ACT_ERRNO(EACCES);

	ADD(f, no, changing);
	if (!reads) {
		ADD(f, no, reading);
		for (size_t i = 0; i < 2; i++)
			add(f, no, opens[i].name, 0, NULL);
		return;
	}
	ADD(f, SCMP_ACT_ALLOW, reading);
	for (size_t i = 0; i < 2; i++) {
		const char *name = opens[i].name;
		unsigned flags = opens[i].flags;

		add_if(f, SCMP_ACT_ALLOW, name, flags,
		    O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY);
		add_if(f, no, name, flags, O_CREAT, O_CREAT);
		add_if(f, no, name, flags, O_TRUNC, O_TRUNC);
		add_if(f, no, name, flags, O_ACCMODE, O_WRONLY);
		add_if(f, no, name, flags, O_ACCMODE, O_RDWR);
		add_if(f, no, name, flags, O_ACCMODE, O_ACCMODE);
	}
}

static void
add_sockets(struct filter *f, int dials, int inet)
{
	const uint32_t no = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	const struct {
		int family, allowed;
	} families[] = {
		{ AF_UNIX, dials },
		{ AF_INET, inet },
		{ AF_INET6, inet },
		{ AF_NETLINK, 0 }, /* glibc asks which addresses we have */
		{ AF_PACKET, 0 },
	};

	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
		add_if(f, families[i].allowed ? SCMP_ACT_ALLOW : no, "socket",
		    0, ALL, families[i].family);
	add(f, dials || inet ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM),
	    "connect", 0, NULL);
}

static void
add_ioctls(struct filter *f)
{
	static const unsigned long commands[] = { FIONBIO, FIONREAD, FIOCLEX,
		TCGETS };

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		add_if(f, SCMP_ACT_ALLOW, "ioctl", 1, ALL, commands[i]);
}

static void
fill(struct filter *f, const struct sandbox *s)
{
	ADD(f, SCMP_ACT_ALLOW, always);
	ADD(f, SCMP_ACT_KILL_PROCESS, killed);
	ADD(f, SCMP_ACT_ERRNO(EPERM), acting);
	add_threads(f);
	add_memory(f);
	add_ioctls(f);
	add_files(f, s->reads);
	add_sockets(f, s->dials, s->connect.n > 0 || s->connect_any);
	if (s->serves)
		ADD(f, SCMP_ACT_ALLOW, serving);
}

/* TSYNC is also how libseccomp tells that there is no seccomp(2). */
static int
set_up(scmp_filter_ctx ctx)
{
	static const struct {
		enum scmp_filter_attr attr;
		uint32_t value;
	} attrs[] = {
		{ SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS },
		{ SCMP_FLTATR_CTL_OPTIMIZE, 2 }, /* a tree, no list */
		{ SCMP_FLTATR_API_SYSRAWRC, 1 }, /* the kernel's own error */
		{ SCMP_FLTATR_CTL_TSYNC, 1 },    /* all threads */
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof attrs / sizeof attrs[0] && rc == 0; i++)
		rc = seccomp_attr_set(ctx, attrs[i].attr, attrs[i].value);
	return rc;
}

int
seccomp_apply(const struct sandbox *s, struct err *e)
{
	struct filter f = { .rc = 0 };
	int rc;

	if (SANDBOX_SANITIZED)
		return err_set(e, ERR_UNAVAILABLE,
		    "seccomp: this is a build with sanitizers");
	if ((f.ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS))) == NULL)
		err_die("out of memory: seccomp");
	if ((rc = set_up(f.ctx)) == 0) {
		fill(&f, s);
		if (f.rc != 0)
			err_die("seccomp: a rule: %s", strerror(-f.rc));
		rc = seccomp_load(f.ctx);
	}
	seccomp_release(f.ctx);
	if (rc == 0)
		return 0;
	return err_set(e, ERR_UNAVAILABLE, "seccomp: %s",
	    rc == -EINVAL || rc == -ENOSYS || rc == -EOPNOTSUPP
	        ? "this kernel has none"
	        : strerror(-rc));
}
