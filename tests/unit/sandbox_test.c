/*
 * What each program may no longer do. An act is tried by a child that has that
 * program's sandbox, from the same list as the program's, and by one without:
 * there it must succeed (or, where it takes a right that we lack, at least come
 * to an end), so none of this passes by chance.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../bin/niks3-gc/sandbox.h"
#include "../../bin/niks3-migrate/sandbox.h"
#include "../../bin/niks3-server/auth.h"
#include "../../bin/niks3-server/sandbox.h"
#include "../../bin/niks3-signer/sandbox.h"
#include "../../bin/niks3-uploader/sandbox.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/http/listen.h"
#include "../../libcommon/s3/s3.h"
#include "../../libcommon/s3/s3_cred.h"

#define TOKEN "0123456789abcdef0123456789abcdef0123"

static char dir[] = "/tmp/sandbox_test.XXXXXX";
static char cert[64];
/* Where the database, S3 and something else listen. */
static int db_port, s3_port, other_port;
static char abstract[32];

static const char *
path(const char *name)
{
	static _Thread_local char text[128];

	snprintf(text, sizeof text, "%s/%s", dir, name);
	return text;
}

/* ---- acts: 0, or why it failed ---- */

static int
outcome(int rc)
{
	return rc == -1 ? errno : 0;
}

static int
read_file(const char *name)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	char c;

	if (fd == -1)
		return errno;
	return outcome((int)read(fd, &c, 1));
}

static int
read_key(void)
{
	return read_file(path("secrets/key"));
}

static int
read_cert(void)
{
	return read_file(cert);
}

/* The next one, which certbot would have the link lead to. */
static int
read_new_cert(void)
{
	return read_file(path("archive/cert2.pem"));
}

static int
read_migration(void)
{
	return read_file(path("migrations/1.sql"));
}

static int
read_etc(void)
{
	return read_file("/etc/passwd");
}

static int
list_directory(void)
{
	return outcome(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int
look_at_file(void)
{
	struct stat st;

	return outcome(stat(path("secrets/key"), &st));
}

static int
create_file(void)
{
	return outcome(open(path("run/new"), O_WRONLY | O_CREAT, 0600));
}

static int
write_file(void)
{
	return outcome(open(path("run/old"), O_WRONLY | O_CLOEXEC));
}

static int
rename_file(void)
{
	return outcome(rename(path("run/old"), cert));
}

static int
change_mode(void)
{
	return outcome(chmod(path("run/old"), 0644));
}

static int
remove_file(void)
{
	return outcome(unlink(path("secrets/other")));
}

static int
remove_socket(void)
{
	return outcome(unlink(path("run/mine.sock")));
}

static int
inet_socket(void)
{
	return outcome(socket(AF_INET, SOCK_STREAM, 0));
}

static int
connect_to(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1)
		return errno;
	return outcome(connect(fd, (struct sockaddr *)&to, sizeof to));
}

static int
connect_to_db(void)
{
	return connect_to(db_port);
}

static int
connect_to_s3(void)
{
	return connect_to(s3_port);
}

static int
connect_elsewhere(void)
{
	return connect_to(other_port);
}

static int
send_datagram(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd == -1)
		return errno;
	return outcome(
	    (int)sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
}

static int
listen_tcp(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&at, sizeof at) == -1)
		return errno;
	return outcome(listen(fd, 1));
}

static int
raw_socket(void)
{
	return outcome(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int
dial(const char *name, size_t len)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd == -1)
		return errno;
	memcpy(to.sun_path, name, len);
	return outcome(connect(fd, (struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)));
}

static int
dial_peer(void)
{
	const char *name = path("run/peer.sock");

	return dial(name, strlen(name) + 1);
}

static int
dial_abstract(void)
{
	return dial(abstract, 1 + strlen(abstract + 1));
}

static int
make_socket(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd == -1)
		return errno;
	strcpy(at.sun_path, name);
	return outcome(bind(fd, (struct sockaddr *)&at, sizeof at));
}

static int
make_socket_elsewhere(void)
{
	return make_socket(path("secrets/x.sock"));
}

static int
make_socket_here(void)
{
	return make_socket(path("run/x.sock"));
}

static int
run_program(void)
{
	char *argv[] = { (char *)(uintptr_t) "true", NULL };

	execve("/bin/true", argv, argv + 1);
	return errno;
}

static int
fork_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return outcome(pid);
}

static pid_t helper; /* a child of the child, which it may trace by itself */

static int
trace_process(void)
{
	return outcome((int)ptrace(PTRACE_SEIZE, helper, NULL, NULL));
}

static int
read_memory(void)
{
	char c;
	struct iovec to = { &c, 1 }, from = { abstract, 1 };

	return outcome((int)process_vm_readv(helper, &to, 1, &from, 1, 0));
}

static int
read_memory_by_proc(void)
{
	char name[64];

	snprintf(name, sizeof name, "/proc/%d/environ", (int)helper);
	return read_file(name);
}

static int
signal_process(void)
{
	return outcome(kill(helper, 0));
}

static int
own_core(void)
{
	struct rlimit l = { 1 << 20, 1 << 20 };

	return outcome(setrlimit(RLIMIT_CORE, &l));
}

static int
be_dumpable(void)
{
	return outcome(prctl(PR_SET_DUMPABLE, 1));
}

static int
more_descriptors(void)
{
	int fd = -1;

	for (int i = 0; i < 900; i++)
		if ((fd = dup(0)) == -1)
			return errno;
	return 0;
}

static int
write_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static int
make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return outcome(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

/* Those take a right that the test may lack; then they fail without the sandbox
 * too, but do not kill. */
#define CALL(name, ...)                     \
	static int name(void)               \
	{                                   \
		(void)syscall(__VA_ARGS__); \
		return 0;                   \
	}
CALL(mount_something, SYS_mount, NULL, NULL, NULL, 0, NULL)
CALL(unshare_something, SYS_unshare, 0)
CALL(load_bpf, SYS_bpf, -1, NULL, 0)
CALL(open_ring, SYS_io_uring_setup, 0, NULL)
CALL(change_user, SYS_setresuid, -1, -1, -1)
CALL(load_module, SYS_finit_module, -1, NULL, 0)
CALL(set_clock, SYS_clock_settime, 0, NULL)
CALL(use_keyring, SYS_keyctl, -1)

static void *
do_nothing(void *arg)
{
	return arg;
}

static int
start_thread(void)
{
	pthread_t t;
	int rc = pthread_create(&t, NULL, do_nothing, NULL);

	return rc != 0 ? rc : pthread_join(t, NULL);
}

static int
look_up_localhost(void)
{
	struct addrinfo *list;
	int rc = getaddrinfo("localhost", "80", NULL, &list);

	if (rc != 0)
		return EIO;
	freeaddrinfo(list);
	return 0;
}

/* ---- programs ---- */

static char unix_db[128], tcp_db[128];

static void
box_signer(struct sandbox *s)
{
	signer_sandbox(s, path("run/signer.sock"));
}

static void
box_gc(struct sandbox *s)
{
	gc_sandbox(s, unix_db, path("run/gc.sock"), path("run/gc-up.sock"));
}

static void
box_gc_remote(struct sandbox *s)
{
	gc_sandbox(s, tcp_db, path("run/gc.sock"), path("run/gc-up.sock"));
}

static void
box_server_with(struct sandbox *s, struct server_needs *n)
{
	static struct auth_config config = { .subject_header = "X-Dn" };
	struct secret token = { 0 };
	struct auth *auth;
	struct err e = ERR_INIT;

	secret_set(&token, TOKEN, strlen(TOKEN), NULL);
	if (auth_new(&config, &token, NULL, &auth, &e) != 0)
		fail_msg("%s", e.msg);
	n->db = unix_db;
	n->uploads = path("run/upload.sock");
	n->address = "127.0.0.1:0";
	n->auth = auth;
	n->connections = 1000;
	n->workers = 16;
	server_sandbox(s, n);
	auth_free(auth);
	secret_done(&token);
}

static void
box_server(struct sandbox *s)
{
	struct server_needs n = { 0 };

	box_server_with(s, &n);
}

/* All that it can be told to do. */
static void
box_server_full(struct sandbox *s)
{
	struct server_needs n = { .tls_cert = cert, .read_proxy = 1 };

	box_server_with(s, &n);
}

static void
box_uploader(struct sandbox *s)
{
	struct secret key = { 0 };
	struct err e = ERR_INIT;
	char endpoint[64];
	struct s3 *s3;

	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", s3_port);
	secret_set(&key, "key", 3, NULL);
	if (s3_new(&(struct s3_options){ .endpoint = endpoint,
	               .bucket = "cache",
	               .access_key = &key,
	               .secret_key = &key },
	        &s3, &e) != 0)
		fail_msg("%s", e.msg);
	uploader_sandbox(s, s3, 32);
	s3_free(s3);
	secret_done(&key);
}

static void
box_migrate(struct sandbox *s)
{
	migrate_sandbox(s, unix_db, path("migrations"));
}

static const struct program {
	const char *name;
	void (*box)(struct sandbox *s);
} programs[] = {
	{ "signer", box_signer },
	{ "gc", box_gc },
	{ "gc with a remote database", box_gc_remote },
	{ "server", box_server },
	{ "server with TLS and read proxy", box_server_full },
	{ "uploader", box_uploader },
	{ "migrate", box_migrate },
};
#define PROGRAMS (sizeof programs / sizeof programs[0])

/*
 * Which of these programs may ('+'), may not ('-'), or are killed ('k'). abi: what
 * takes it from those that have the system calls for it is Landlock from this ABI
 * on.
 */
static const struct act {
	const char *name;
	int (*act)(void);
	const char
	    *may; /* signer, gc, gc remote, server, full, uploader, migrate */
	int abi;
} acts[] = {
	{ "read a key", read_key, "-------", 1 },
	{ "read its certificate", read_cert, "----+--", 1 },
	{ "read the next certificate", read_new_cert, "----+--", 1 },
	{ "read a migration", read_migration, "------+", 1 },
	{ "read /etc", read_etc, "--+-++-", 1 },
	{ "list a directory", list_directory, "-------", 1 },
	{ "look at a file", look_at_file, "-++++++", 0 },
	{ "create a file", create_file, "-------", 0 },
	{ "write a file", write_file, "-------", 0 },
	{ "rename a file", rename_file, "-------", 0 },
	{ "change a mode", change_mode, "-------", 0 },
	{ "remove a file", remove_file, "-------", 1 },
	{ "remove its socket", remove_socket, "+++++--", 0 },
	{ "make an inet socket", inet_socket, "--+-++-", 0 },
	{ "connect to the database", connect_to_db, "--+-+--", 4 },
	{ "connect to S3", connect_to_s3, "----++-", 4 },
	{ "connect elsewhere", connect_elsewhere, "----+--", 4 },
	{ "send a datagram", send_datagram, "--+-++-", 0 },
	{ "look up a host", look_up_localhost, "--+-++-", 0 },
	{ "listen", listen_tcp, "-------", 0 },
	{ "make a netlink socket", raw_socket, "-------", 0 },
	{ "connect to a unix socket", dial_peer, "-++++++", 0 },
	{ "connect to an abstract one", dial_abstract, "-------", 6 },
	{ "make a socket later", make_socket_here, "-------", 0 },
	{ "run a program", run_program, "kkkkkkk", 0 },
	{ "fork", fork_child, "-------", 0 },
	{ "trace a process", trace_process, "kkkkkkk", 0 },
	{ "read its memory", read_memory, "kkkkkkk", 0 },
	{ "read its environment", read_memory_by_proc, "-------", 1 },
	{ "signal it", signal_process, "-------", 0 },
	{ "have core dumps", own_core, "-------", 0 },
	{ "be dumpable", be_dumpable, "-------", 0 },
	{ "open 900 descriptors", more_descriptors, "---++-+", 0 },
	{ "write code", write_code, "-------", 0 },
	{ "make code of data", make_code, "-------", 0 },
	{ "mount", mount_something, "kkkkkkk", 0 },
	{ "unshare", unshare_something, "kkkkkkk", 0 },
	{ "load BPF", load_bpf, "kkkkkkk", 0 },
	{ "use io_uring", open_ring, "kkkkkkk", 0 },
	{ "change its user", change_user, "kkkkkkk", 0 },
	{ "load a module", load_module, "kkkkkkk", 0 },
	{ "set the clock", set_clock, "kkkkkkk", 0 },
	{ "use keyrings", use_keyring, "kkkkkkk", 0 },
	{ "start a thread", start_thread, "+++++++", 0 },
};
#define ACTS (sizeof acts / sizeof acts[0])

/* ---- children ---- */

static void
put_file(const char *name)
{
	int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd != -1);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

/* What an act may have changed. */
static void
restore(void)
{
	static const char *const names[] = { "secrets/key", "secrets/other",
		"run/old", "archive/cert1.pem", "archive/cert2.pem",
		"migrations/1.sql", "run/mine.sock" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		put_file(names[i]);
	unlink(path("run/new"));
	unlink(path("run/x.sock"));
	unlink(path("secrets/x.sock"));
	unlink(cert);
	assert_int_equal(symlink("../archive/cert1.pem", cert), 0);
}

#define NO_SANDBOX 253 /* exit status: there is none to be had */
#define BROKEN     254

static int no_seccomp, landlock_abi; /* of this kernel and build */

/* Runs fn in a child; returns its exit status, or minus the signal. */
static int
in_child(void (*fn)(void *), void *arg)
{
	int status;
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid == 0) {
		fn(arg);
		_exit(BROKEN);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void
start_helper(void)
{
	pid_t parent = getpid();

	if ((helper = fork()) != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		sleep(1);
	_exit(0);
}

static void
leave_out(const char *why)
{
	print_message("# skipped: %s\n", why);
	skip();
}

struct attempt {
	const struct program *program; /* NULL: without a sandbox */
	const struct act *act;
};

static void
attempt(void *arg)
{
	const struct attempt *t = arg;
	struct sandbox s;
	struct err e = ERR_INIT;

	start_helper();
	if (t->program != NULL) {
		t->program->box(&s);
		if (sandbox_begin(&s, &e) != 0 || sandbox_seal(&s, &e) != 0) {
			dprintf(2, "%s\n", e.msg);
			_exit(BROKEN);
		}
	}
	_exit(t->act->act());
}

static void
test_act(void **state)
{
	const struct attempt *t = *state;
	char may = t->act->may[t->program - programs];
	struct attempt without = { NULL, t->act };
	int rc;

	if (no_seccomp && t->act->abi == 0) {
		leave_out("no seccomp in this build, or this kernel");
	}
	if (t->act->abi > landlock_abi) {
		leave_out("this kernel has an older Landlock, or none");
	}
	restore();
	rc = in_child(attempt, &without);
	if (rc != 0)
		fail_msg("without a sandbox: %d", rc);
	restore();
	rc = in_child(attempt, (void *)(uintptr_t)t);
	if (may == '+' && rc != 0)
		fail_msg("error %d (%s)", rc, strerror(rc));
	if (may == '-' && (rc <= 0 || rc >= NO_SANDBOX))
		fail_msg("status %d: it can", rc);
	if (may == 'k' && rc != -SIGSYS)
		fail_msg("status %d", rc);
}

/* ---- one step after the other ---- */

static void
begin_signer(void *arg)
{
	int (*act)(void) = *(int (**)(void))arg;
	struct sandbox s;

	box_signer(&s);
	if (sandbox_begin(&s, NULL) != 0)
		_exit(BROKEN);
	_exit(act());
}

/* Landlock alone, before listening. */
static void
test_begin(void **state)
{
	int (*here)(void) = make_socket_here;
	int (*elsewhere)(void) = make_socket_elsewhere;
	int (*tcp)(void) = listen_tcp;

	(void)state;
	if (landlock_abi < 4)
		leave_out("this kernel has an older Landlock, or none");
	restore();
	assert_int_equal(make_socket_elsewhere(), 0);
	restore();
	assert_int_equal(in_child(begin_signer, &here), 0);
	assert_int_equal(in_child(begin_signer, &elsewhere), EACCES);
	assert_int_equal(in_child(begin_signer, &tcp), EACCES);
}

static int start_pipe[2];

static void *
wait_and_act(void *arg)
{
	char c;

	(void)arg;
	if (read(start_pipe[0], &c, 1) != 1)
		_exit(BROKEN);
	_exit(inet_socket());
}

static void
seal_with_thread(void *arg)
{
	struct sandbox s;
	pthread_t t;

	(void)arg;
	box_signer(&s);
	if (sandbox_begin(&s, NULL) != 0 || pipe(start_pipe) != 0 ||
	    pthread_create(&t, NULL, wait_and_act, NULL) != 0 ||
	    sandbox_seal(&s, NULL) != 0 || write(start_pipe[1], "x", 1) != 1)
		_exit(BROKEN);
	pthread_join(t, NULL);
}

/* Threads that were there before have the filter too. */
static void
test_threads(void **state)
{
	(void)state;
	if (no_seccomp)
		leave_out("no seccomp in this build, or this kernel");
	assert_int_equal(in_child(seal_with_thread, NULL), EAFNOSUPPORT);
}

/* ---- kernels that have less ---- */

static void
lose_calls(const char *const *names, int error)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	for (; *names != NULL; names++)
		if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(error),
		        seccomp_syscall_resolve_name(*names), 0) != 0)
			_exit(BROKEN);
	if (seccomp_load(ctx) != 0)
		_exit(BROKEN);
	seccomp_release(ctx);
}

struct kernel {
	const char *lacks[2];
	int error;
	int required;
	const char *says;
};

/* Ends with 0 when it says what it should: as a warning, or as an error. */
static void
on_kernel(void *arg)
{
	const struct kernel *k = arg;
	struct err e = ERR_INIT;
	struct sandbox s;
	const char *text;
	int rc;

	box_signer(&s);
	s.required = k->required;
	lose_calls(k->lacks, k->error);
	rc = sandbox_begin(&s, &e);
	if (rc == 0)
		rc = sandbox_seal(&s, &e);
	if ((rc != 0) != k->required)
		_exit(1);
	if (rc != 0 && (e.kind != ERR_UNAVAILABLE || e.hint[0] == '\0'))
		_exit(2);
	text = rc != 0 ? e.msg : sandbox_missing(&s);
	_exit(text != NULL && strstr(text, k->says) != NULL ? 0 : 3);
}

static void
test_missing(void **state)
{
	static struct kernel kernels[] = {
		{ { "landlock_create_ruleset" }, ENOSYS, 0,
		    "Landlock: this kernel has none" },
		{ { "landlock_create_ruleset" }, EOPNOTSUPP, 0,
		    "Landlock: switched off" },
		{ { "landlock_create_ruleset" }, EPERM, 0,
		    "Landlock: not permitted" },
		{ { "seccomp" }, EINVAL, 0, "seccomp: this kernel has none" },
	};

	(void)state;
	if (no_seccomp)
		leave_out("no seccomp in this build, or this kernel");
	for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++)
		for (int required = 0; required < 2; required++) {
			kernels[i].required = required;
			assert_int_equal(in_child(on_kernel, &kernels[i]), 0);
		}
}

static int notify_fd;

/* Answers the question for the ABI with *arg. */
static void *
answer(void *arg)
{
	struct seccomp_notif *q;
	struct seccomp_notif_resp *r;

	if (seccomp_notify_alloc(&q, &r) != 0 ||
	    seccomp_notify_receive(notify_fd, q) != 0)
		_exit(BROKEN);
	r->id = q->id;
	r->val = *(int *)arg;
	r->error = 0;
	r->flags = 0;
	if (seccomp_notify_respond(notify_fd, r) != 0)
		_exit(BROKEN);
	return NULL;
}

struct older {
	int abi;
	int (*act)(void);
};

/* Landlock as an older kernel has it: what it is told then must fit. */
static void
on_older_kernel(void *arg)
{
	struct older *o = arg;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	struct sandbox s;
	pthread_t t;

	box_gc(&s);
	if (seccomp_rule_add(ctx, SCMP_ACT_NOTIFY,
	        seccomp_syscall_resolve_name("landlock_create_ruleset"), 1,
	        SCMP_A2(SCMP_CMP_EQ, 1)) != 0 ||
	    seccomp_load(ctx) != 0)
		_exit(BROKEN);
	notify_fd = seccomp_notify_fd(ctx);
	if (pthread_create(&t, NULL, answer, &o->abi) != 0 ||
	    sandbox_begin(&s, NULL) != 0 || s.landlock != o->abi)
		_exit(BROKEN);
	_exit(o->act());
}

static void
test_older(void **state)
{
	(void)state;
	if (no_seccomp || landlock_abi < 6)
		leave_out("it takes seccomp, and Landlock's ABI 6");
	restore();
	for (int abi = 1; abi <= 6; abi++) {
		struct older file = { abi, read_key };
		struct older tcp = { abi, connect_elsewhere };
		struct older abstract_socket = { abi, dial_abstract };

		assert_int_equal(in_child(on_older_kernel, &file), EACCES);
		assert_int_equal(
		    in_child(on_older_kernel, &tcp), abi < 4 ? 0 : EACCES);
		assert_int_equal(in_child(on_older_kernel, &abstract_socket),
		    abi < 6 ? 0 : EPERM);
	}
}

/* ---- what is told of it ---- */

static void
test_told(void **state)
{
	struct sandbox s;
	struct sandbox_told t;

	(void)state;
	box_signer(&s);
	sandbox_tell(&s, &t);
	assert_string_equal(t.reads, "none");
	assert_string_equal(t.sockets, path("run"));
	assert_string_equal(t.listens, "none");
	assert_string_equal(t.connects, "none");
	sandbox_done(&s);
	box_gc_remote(&s);
	sandbox_tell(&s, &t);
	assert_non_null(strstr(t.reads, "/etc"));
	assert_non_null(strstr(t.connects, "53"));
	sandbox_done(&s);
	box_server_full(&s);
	sandbox_tell(&s, &t);
	assert_string_equal(t.listens, "0");
	assert_string_equal(t.connects, "any");
	sandbox_done(&s);
}

/* ---- what the layers need ---- */

/* Is the word among those of the list? */
static int
has(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)) != NULL; p += len)
		if ((p == list || p[-1] == ' ') &&
		    (p[len] == '\0' || p[len] == ' '))
			return 1;
	return 0;
}

static void
test_db_needs(void **state)
{
	static const struct {
		const char *conninfo, *connects;
		int etc;
	} cases[] = {
		{ "host=/run/postgresql user=u", "none", 0 },
		{ "dbname=niks3 user=u", "none", 0 },
		/* libpq asks for our own name. */
		{ "dbname=niks3", "none", 1 },
		{ "user=u requirepeer=postgres", "none", 1 },
		{ "host=db.example.org user=u", "53 5432", 1 },
		{ "hostaddr=10.0.0.1 user=u", "53 5432", 1 },
		{ "host=db port=5433 user=u", "53 5433", 1 },
		{ "postgresql://u@a:1,b:2/niks3", "53 1 2", 1 },
		{ "host=/run/postgresql,b port=1,2 user=u", "53 1 2", 1 },
		{ "service=niks3", "any", 1 },
	};
	struct sandbox_told t;
	struct sandbox s;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		sandbox_init(&s, "test");
		db_needs(cases[i].conninfo, &s);
		sandbox_tell(&s, &t);
		assert_string_equal(t.connects, cases[i].connects);
		assert_int_equal(has(t.reads, "/etc"), cases[i].etc);
		assert_true(s.dials);
		sandbox_done(&s);
	}
	setenv("PGHOST", "db.example.org", 1);
	setenv("PGPORT", "7", 1);
	setenv("PGUSER", "u", 1);
	sandbox_init(&s, "test");
	db_needs("dbname=niks3", &s);
	sandbox_tell(&s, &t);
	assert_string_equal(t.connects, "53 7");
	sandbox_done(&s);
	unsetenv("PGHOST");
	unsetenv("PGPORT");
	unsetenv("PGUSER");
}

static void
test_listen_needs(void **state)
{
	static const struct {
		const char *address, *listens, *sockets;
		int hosts;
	} cases[] = {
		{ ":5751", "5751", "none", 0 },
		{ "127.0.0.1:80", "80", "none", 0 },
		{ "[::1]:80", "80", "none", 0 },
		{ "localhost:80", "80", "none", 1 },
		{ "/run/niks3/http.sock", "none", "/run/niks3", 0 },
		{ "nonsense", "none", "none", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct sandbox_told t;
		struct sandbox s;

		sandbox_init(&s, "test");
		listen_needs(cases[i].address, &s);
		sandbox_tell(&s, &t);
		assert_string_equal(t.listens, cases[i].listens);
		assert_string_equal(t.sockets, cases[i].sockets);
		assert_int_equal(has(t.reads, "/etc/hosts"), cases[i].hosts);
		assert_false(has(t.reads, "/etc"));
		sandbox_done(&s);
	}
}

static void
test_client_needs(void **state)
{
	struct sandbox_told t;
	struct sandbox s;

	(void)state;
	sandbox_init(&s, "test");
	http_client_needs("https://s3.example.org", NULL, &s);
	http_client_needs("http://[::1]:9000/bucket", cert, &s);
	sandbox_tell(&s, &t);
	assert_string_equal(t.connects, "53 443 9000");
	assert_true(has(t.reads, path("live")));
	assert_true(has(t.reads, path("archive")));
	/* A proxy is anywhere. */
	setenv("https_proxy", "http://proxy.example.org:3128", 1);
	http_client_needs("https://s3.example.org", NULL, &s);
	unsetenv("https_proxy");
	sandbox_tell(&s, &t);
	assert_string_equal(t.connects, "any");
	sandbox_done(&s);
}

/* Tokens that a cluster replaces, and who is asked with them. */
static void
test_cred_needs(void **state)
{
	struct sandbox_told t;
	struct sandbox s;
	struct s3_cred *c;
	struct err e = ERR_INIT;

	(void)state;
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", cert, 1);
	setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/cache", 1);
	setenv("AWS_ENDPOINT_URL_STS", "https://sts.example.org:8443", 1);
	if (s3_cred_new(&(struct s3_cred_options){ .told = NULL }, &c, &e) != 0)
		fail_msg("%s", e.msg);
	sandbox_init(&s, "test");
	s3_cred_needs(c, &s);
	sandbox_tell(&s, &t);
	assert_string_equal(t.connects, "53 8443");
	assert_true(has(t.reads, path("live")));
	assert_true(has(t.reads, path("archive")));
	sandbox_done(&s);
	s3_cred_free(c);
	unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	unsetenv("AWS_ROLE_ARN");
	unsetenv("AWS_ENDPOINT_URL_STS");
}

/* A file in the root would open all of it. */
static void
test_root(void **state)
{
	struct sandbox s;

	(void)state;
	sandbox_init(&s, "test");
	sandbox_reread(&s, "/certificate.pem");
	assert_int_equal(s.npaths, 1);
	assert_string_equal(s.paths[0].path, "/certificate.pem");
	sandbox_done(&s);
}

/* ---- the surroundings ---- */

static int
listen_at_port(int *fd)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(*fd, (struct sockaddr *)&at, sizeof at) != 0 ||
	    listen(*fd, 1024) != 0 ||
	    getsockname(*fd, (struct sockaddr *)&at, &len) != 0)
		abort();
	return ntohs(at.sin_port);
}

static void
listen_at_name(const char *name, size_t len)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, name, len);
	if (bind(fd, (struct sockaddr *)&at,
	        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) !=
	        0 ||
	    listen(fd, 1024) != 0)
		abort();
}

static void
make_surroundings(void)
{
	static const char *const dirs[] = { "secrets", "run", "live", "archive",
		"migrations", "home" };
	int fd;

	if (mkdtemp(dir) == NULL)
		abort();
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
		if (mkdir(path(dirs[i]), 0755) != 0)
			abort();
	setenv("HOME", path("home"), 1);
	snprintf(cert, sizeof cert, "%s/live/cert.pem", dir);
	db_port = listen_at_port(&fd);
	s3_port = listen_at_port(&fd);
	other_port = listen_at_port(&fd);
	snprintf(unix_db, sizeof unix_db, "host=%s/run user=u", dir);
	snprintf(
	    tcp_db, sizeof tcp_db, "host=127.0.0.1 port=%d user=u", db_port);
	listen_at_name(path("run/peer.sock"), strlen(path("run/peer.sock")));
	snprintf(
	    abstract + 1, sizeof abstract - 1, "niks3-test-%d", (int)getpid());
	listen_at_name(abstract, 1 + strlen(abstract + 1));
}

/* What this kernel, and this build, have: in a child, which keeps it. */
static void
probe(void *arg)
{
	struct sandbox s;

	(void)arg;
	sandbox_init(&s, "test");
	if (sandbox_begin(&s, NULL) != 0 || sandbox_seal(&s, NULL) != 0)
		_exit(BROKEN);
	_exit(s.landlock * 2 + s.seccomp);
}

int
main(void)
{
	static struct attempt attempts[PROGRAMS * ACTS];
	static struct CMUnitTest tests[PROGRAMS * ACTS + 16];
	static char names[PROGRAMS * ACTS][128];
	size_t n = 0;
	int got, rc;

	make_surroundings();
	restore();
	got = in_child(probe, NULL);
	landlock_abi = got / 2;
	no_seccomp = got % 2 == 0;
	for (size_t p = 0; p < PROGRAMS; p++)
		for (size_t a = 0; a < ACTS; a++, n++) {
			char may = acts[a].may[p];

			attempts[n] =
			    (struct attempt){ &programs[p], &acts[a] };
			snprintf(names[n], sizeof names[n], "%s %s: %s",
			    programs[p].name,
			    may == '+'       ? "may"
			        : may == '-' ? "may not"
			                     : "is killed",
			    acts[a].name);
			tests[n] = (struct CMUnitTest){ names[n], test_act,
				NULL, NULL, &attempts[n] };
		}
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_begin);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_threads);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_missing);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_older);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_told);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_db_needs);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_listen_needs);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_client_needs);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_cred_needs);
	tests[n++] = (struct CMUnitTest)cmocka_unit_test(test_root);
	rc = _cmocka_run_group_tests("sandbox", tests, n, NULL, NULL);
	if (strncmp(dir, "/tmp/sandbox_test.", 18) == 0) {
		char command[64];

		snprintf(command, sizeof command, "rm -rf %s", dir);
		if (system(command) != 0)
			rc++;
	}
	return rc;
}
