#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include "../../libcommon/codec/wire.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/metric.h"
#include "../../libcommon/core/process.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/ipc/ipc_frame.h"
#include "../../libcommon/ipc/ipc_peers.h"
#include "../../proto/metrics.h"

#define WAIT_MS 10000 /* for what must come */
#define SOON_MS 100   /* for what must not */
#define BLOB    ((size_t)1 << 20)

static char dir[] = "/tmp/ipc_test.XXXXXX";
static char address[100]; /* another one in each test */
static struct arena *arena;

/* ---- a server for the tests ---- */

static int executed; /* requests that a handler of this process got */

/*
 * What a handler does is in the request: "die" ends the process, "sleep N"
 * takes N ms, "fail" fails. Behind a name and a colon only the server of that
 * name does so: "bad: die".
 */
static int
obey(const char *name, const char *key, struct err *e)
{
	const char *colon = strstr(key, ": ");

	__atomic_add_fetch(&executed, 1, __ATOMIC_SEQ_CST);
	if (colon != NULL) {
		if (strncmp(key, name, colon - key) != 0)
			return 0;
		key = colon + 2;
	}
	if (strcmp(key, "die") == 0)
		_exit(0);
	if (strncmp(key, "sleep ", 6) == 0)
		clock_sleep(strtol(key + 6, NULL, 10), INT64_MAX);
	if (strcmp(key, "fail") == 0) {
		err_set(e, ERR_CONFLICT, "the key \xff is taken");
		return err_hint(e, "take another one");
	}
	return 0;
}

static int
on_ping(void *worker, const void *request, void *to, struct arena *a,
    deadline_t d, struct err *e)
{
	struct pong *reply = to;

	(void)request;
	(void)e;
	reply->program = worker;
	reply->version = arena_printf(
	    a, "%s %lld", log_request_get(), (long long)deadline_left(d));
	return 0;
}

/* Idempotent. The size is the process. */
static int
on_object_hash(void *worker, const void *request, void *to, struct arena *a,
    deadline_t d, struct err *e)
{
	const struct object_hash *q = request;
	struct object_hashed *reply = to;

	(void)a;
	(void)d;
	reply->size = getpid();
	return obey(worker, q->key, e);
}

/* Not idempotent. */
static int
on_mpu_create(void *worker, const void *request, void *to, struct arena *a,
    deadline_t d, struct err *e)
{
	const struct mpu_create *q = request;
	struct mpu_created *reply = to;

	(void)a;
	(void)d;
	if (strcmp(q->key, "no id") != 0)
		reply->upload_id = q->key;
	return obey(worker, q->key, e);
}

/* Answers with more than fits a frame. */
static int
on_put_authorize(void *worker, const void *request, void *to, struct arena *a,
    deadline_t d, struct err *e)
{
	struct put_authorized *reply = to;
	char *text = arena_alloc(a, DESC_STRS_LEN + 1);
	const char **headers = arena_array(a, 16, sizeof *headers);

	(void)worker;
	(void)request;
	(void)d;
	(void)e;
	memset(text, 'x', MSG_URL_MAX);
	for (int i = 0; i < 16; i++)
		headers[i] = text;
	reply->items.n = MSG_AUTHORIZE_MAX;
	reply->items.items =
	    arena_array(a, reply->items.n, sizeof *reply->items.items);
	for (size_t i = 0; i < reply->items.n; i++)
		reply->items.items[i] = (struct authorized_item){ .url = text,
			.headers = { headers, 16 } };
	return 0;
}

static int
on_other(void *worker, const void *request, void *to, struct arena *a,
    deadline_t d, struct err *e)
{
	(void)worker;
	(void)request;
	(void)to;
	(void)a;
	(void)d;
	return err_set(e, ERR_NOT_FOUND, "nothing here");
}

static ipc_handler *handlers[CALL__MAX];

static void
fill_handlers(void)
{
	for (unsigned id = 0; id < CALL__MAX; id++)
		handlers[id] = on_other;
	handlers[CALL_ping] = on_ping;
	handlers[CALL_object_hash] = on_object_hash;
	handlers[CALL_mpu_create] = on_mpu_create;
	handlers[CALL_put_authorize] = on_put_authorize;
}

/* What the last request to a server of this process came to. */
static struct {
	unsigned n;
	enum call id;
	enum role caller;
	enum err_kind kind;
} seen;

static void
on_done(void *ctx, enum call id, enum role caller, const char *request_id,
    const struct err *e, int64_t us)
{
	(void)ctx;
	(void)request_id;
	if (us < 0)
		abort();
	seen.id = id;
	seen.caller = caller;
	seen.kind = e->kind;
	__atomic_add_fetch(&seen.n, 1, __ATOMIC_SEQ_CST);
}

static void *
worker_new(void *ctx)
{
	return ctx;
}

static void
worker_free(void *worker)
{
	(void)worker;
}

static struct ipc_server *
serve(int listen, const char *name, const struct ipc_peers *peers)
{
	const char *addresses[] = { address };
	struct ipc_server_options o = {
		.self = ROLE_UPLOADER,
		.addresses = addresses,
		.naddresses = 1,
		.listen = listen,
		.mode = 0600,
		.peers = peers,
		.workers = 4,
		.stuck_ms = 100,
		.handlers = handlers,
		.ctx = (void *)(uintptr_t)name,
		.worker_new = worker_new,
		.worker_free = worker_free,
		.done = on_done,
	};
	struct ipc_server *s = NULL;
	struct err e = ERR_INIT;

	if (ipc_server_new(&o, &s, &e))
		fail_msg("%s", e.msg);
	return s;
}

/* A server in a process of its own, that dials. */
static pid_t
spawn(const char *what, const char *name)
{
	char self[] = "/proc/self/exe", to[sizeof address], a[20], b[20];
	char *argv[] = { self, a, to, b, NULL };
	pid_t pid;

	strcpy(to, address);
	snprintf(a, sizeof a, "%s", what);
	snprintf(b, sizeof b, "%s", name);
	assert_int_equal(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
	return pid;
}

static _Noreturn void
spawned(char **argv)
{
	fill_handlers();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(address, sizeof address, "%s", argv[2]);
	if (strcmp(argv[1], "incomplete") == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		handlers[CALL_pin_put] = NULL;
	}
	serve(0, argv[3], NULL);
	for (;;)
		pause();
}

static void
reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- a client for the tests ---- */

static struct ipc_client *
connect_as(enum role self, int listen, const struct ipc_peers *peers)
{
	struct ipc_client_options o = { .self = self,
		.peer = ROLE_UPLOADER,
		.address = address,
		.listen = listen,
		.mode = 0600,
		.peers = peers };
	struct ipc_client *c = NULL;
	struct err e = ERR_INIT;

	if (ipc_client_new(&o, &c, &e))
		fail_msg("%s", e.msg);
	return c;
}

static void
wait_peers(struct ipc_client *c, unsigned n)
{
	deadline_t d = deadline_in(WAIT_MS);

	while (ipc_client_peers(c) != n) {
		assert_true(deadline_left(d) > 0);
		clock_sleep(2, d);
	}
}

static int
ping(struct ipc_client *c, int64_t ms, struct pong *reply, struct err *e)
{
	return ipc_call(c, CALL_ping, &(struct ping){ 0 }, arena, reply,
	    deadline_in(ms), e);
}

/* The answering process, or -1. */
static pid_t
object_hash(struct ipc_client *c, const char *key, int64_t ms, struct err *e)
{
	struct object_hashed reply;

	if (ipc_call(c, CALL_object_hash, &(struct object_hash){ key }, arena,
	        &reply, deadline_in(ms), e))
		return -1;
	return reply.size;
}

static int
mpu_create(struct ipc_client *c, const char *key, int64_t ms, struct err *e)
{
	struct mpu_created reply;

	return ipc_call(c, CALL_mpu_create, &(struct mpu_create){ key }, arena,
	    &reply, deadline_in(ms), e);
}

static struct ipc_peers *
peers_of(const char *one, const char *two)
{
	const char *items[] = { one, two };
	struct ipc_peers *p = NULL;
	struct err e = ERR_INIT;

	if (ipc_peers_parse(items, two != NULL ? 2 : 1, &p, &e))
		fail_msg("%s", e.msg);
	return p;
}

static int
setup(void **state)
{
	static int n;

	(void)state;
	snprintf(address, sizeof address, "ipc://%s/%d.sock", dir, n++);
	arena = arena_new((size_t)64 << 20);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

/* ---- without sockets ---- */

static void
frames(void **state)
{
	struct ipc_head head = { .call = CALL_mpu_create,
		.role = ROLE_SERVER,
		.budget_ms = 7,
		.request_id = "r" },
	                back;
	struct mpu_create body = { "k" };
	struct err e = ERR_INIT;
	const void *p;
	struct buf out;
	size_t n;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(
	    ipc_frame_encode(&head, &mpu_create_desc, &body, &out, NULL), 0);
	assert_int_equal(
	    ipc_frame_decode(out.data, out.len, arena, &back, &p, &n, NULL), 0);
	assert_int_equal(back.call, CALL_mpu_create);
	assert_int_equal(back.role, ROLE_SERVER);
	assert_string_equal(back.request_id, "r");
	assert_int_equal(ipc_frame_check_reply(&back, &e), 0);
	body.key = NULL;
	assert_int_equal(
	    wire_decode(&mpu_create_desc, p, n, arena, &body, NULL), 0);
	assert_string_equal(body.key, "k");

	for (size_t i = 0; i < out.len; i++) {
		assert_int_equal(
		    ipc_frame_decode(out.data, i, arena, &back, &p, &n, &e),
		    -1);
		assert_int_equal(e.kind, i < 8 ? ERR_VERSION : ERR_INVALID);
	}
	for (size_t i = 0; i < 8; i++) {
		out.data[i] ^= 1;
		assert_int_equal(ipc_frame_decode(out.data, out.len, arena,
		                     &back, &p, &n, &e),
		    -1);
		assert_int_equal(e.kind, ERR_VERSION);
		assert_string_not_equal(e.hint, "");
		out.data[i] ^= 1;
	}
	out.max = 20;
	assert_int_equal(
	    ipc_frame_encode(&head, &mpu_create_desc, &body, &out, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_done(&out);
}

static void
error_frames(void **state)
{
	struct err what, e = ERR_INIT;
	struct ipc_head head;
	struct buf out;
	const void *p;
	size_t n;

	(void)state;
	buf_init(&out, 10000);
	/* Longer than an error's text, cut in the middle of a character, and
	 * bytes that are no text at all. */
	err_set(&what, ERR_NOT_FOUND, "%0*d\xc3\xa9", ERR_MSG_MAX - 2, 0);
	err_hint(&what,
	    "a\xff\xfe"
	    "b\xc3");
	ipc_frame_encode_error(CALL_ping, ROLE_GC, &what, 1, &out);
	assert_int_equal(
	    ipc_frame_decode(out.data, out.len, arena, &head, &p, &n, NULL), 0);
	assert_int_equal(head.again, 1);
	assert_int_equal(ipc_frame_check_reply(&head, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
	assert_int_equal(e.msg[ERR_MSG_MAX - 2], '?');
	assert_string_equal(e.hint, "a??b?");
	/* A kind that we do not know, and a failure that says "none". */
	head.kind = "new_kind";
	assert_int_equal(ipc_frame_check_reply(&head, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	head.kind = "none";
	assert_int_equal(ipc_frame_check_reply(&head, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	buf_done(&out);
}

static void
the_permission_table(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	for (unsigned id = 0; id < CALL__MAX + 3; id++)
		for (int by = 0; by < ROLE__MAX; by++)
			for (int to = 0; to < ROLE__MAX; to++) {
				int ok = id < CALL__MAX &&
				    call_table[id].name != NULL &&
				    call_table[id].served >> to & 1 &&
				    call_table[id].callers >> by & 1;
				assert_int_equal(
				    ipc_frame_allow(id, by, to, &e),
				    ok ? 0 : -1);
			}
	assert_int_equal(ipc_frame_allow(CALL_objects_delete, ROLE_SERVER,
	                     ROLE_UPLOADER, &e),
	    -1);
	assert_int_equal(e.kind, ERR_FORBIDDEN);
	assert_string_equal(e.msg, "objects_delete: not allowed to the server");
	assert_int_equal(
	    ipc_frame_allow(CALL_nar_sign, ROLE_SERVER, ROLE_UPLOADER, &e), -1);
	assert_string_equal(e.msg, "nar_sign: not a call of the uploader");
	assert_int_equal(ipc_frame_allow(0xffff, ROLE_SERVER, ROLE_GC, &e), -1);
	assert_string_equal(e.msg, "call 0xffff: not known");
}

static void
lists_of_peers(void **state)
{
	static const char *const wrong[] = { "server", "server=", "=0",
		"servers=0", "serve=0", "server=-1", "server=4294967295",
		"server=no such user", "Server=0" };
	const char *many[65];
	struct ipc_peers *p = peers_of("server=root", "gc=17");
	struct err e = ERR_INIT;

	(void)state;
	assert_true(ipc_peers_allow(p, 0, BY_SERVER));
	assert_true(ipc_peers_allow(p, 0, BY_ANY));
	assert_false(ipc_peers_allow(p, 0, BY_GC));
	assert_true(ipc_peers_allow(p, 17, BY_GC | BY_SIGNER));
	assert_false(ipc_peers_allow(p, 17, BY_SERVER));
	assert_false(ipc_peers_allow(p, 18, BY_ANY));
	ipc_peers_free(p);

	assert_int_equal(ipc_peers_parse(NULL, 0, &p, NULL), 0);
	assert_true(ipc_peers_allow(p, geteuid(), BY_GC));
	assert_false(ipc_peers_allow(p, geteuid() + 1, BY_ANY));
	ipc_peers_free(p);
	assert_true(ipc_peers_allow(NULL, geteuid(), BY_GC));
	assert_false(ipc_peers_allow(NULL, geteuid() + 1, BY_ANY));
	ipc_peers_free(NULL);

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(ipc_peers_parse(&wrong[i], 1, &p, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_non_null(strstr(e.msg, wrong[i]));
	}
	for (size_t i = 0; i < 65; i++)
		many[i] = "gc=1";
	assert_int_equal(ipc_peers_parse(many, 65, &p, &e), -1);
}

/* ---- calls ---- */

static void
a_call_and_its_answer(void **state)
{
	struct ipc_server *s = serve(1, "it", NULL);
	struct ipc_client *c = connect_as(ROLE_SERVER, 0, NULL);
	struct pong reply;
	struct err e = ERR_INIT;
	unsigned long long budget;
	unsigned before = seen.n;

	(void)state;
	log_request("req-7");
	if (ping(c, WAIT_MS, &reply, &e))
		fail_msg("%s", e.msg);
	log_request(NULL);
	assert_string_equal(reply.program, "it");
	assert_int_equal(sscanf(reply.version, "req-7 %llu", &budget), 1);
	assert_in_range(budget, WAIT_MS / 2, WAIT_MS);
	assert_int_equal(ipc_client_peers(c), 1);
	assert_int_equal(seen.n, before + 1);
	assert_int_equal(seen.id, CALL_ping);
	assert_int_equal(seen.caller, ROLE_SERVER);
	assert_int_equal(seen.kind, ERR_NONE);
	/* The id is not that of the next call. */
	assert_int_equal(ping(c, WAIT_MS, &reply, &e), 0);
	assert_int_equal(reply.version[0], ' ');
	ipc_client_free(c);
	ipc_client_free(NULL);
	assert_int_equal(ipc_server_free(s, WAIT_MS), 0);
	assert_int_equal(ipc_server_free(NULL, 0), 0);
}

static void *
ask_and_give_up(void *c)
{
	struct arena *a = arena_new(1 << 20);
	struct object_hashed reply;

	ipc_call(c, CALL_object_hash, &(struct object_hash){ "sleep 800" }, a,
	    &reply, deadline_in(50), NULL);
	arena_free(a);
	return NULL;
}

/* What the watchdog is told: somebody can still answer, or nobody can. */
static void
stuck_is_seen(void **state)
{
	struct ipc_server *s = serve(1, "it", NULL);
	struct ipc_client *c = connect_as(ROLE_SERVER, 0, NULL);
	pthread_t threads[4];

	(void)state;
	assert_int_equal(ipc_server_alive(s), 1);
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, ask_and_give_up, c);
	clock_sleep(300, INT64_MAX);
	assert_int_equal(ipc_server_alive(s), 1);
	pthread_create(&threads[3], NULL, ask_and_give_up, c);
	clock_sleep(50, INT64_MAX);
	assert_int_equal(ipc_server_alive(s), 1);
	clock_sleep(250, INT64_MAX);
	assert_int_equal(ipc_server_alive(s), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	clock_sleep(900, INT64_MAX);
	assert_int_equal(ipc_server_alive(s), 1);
	ipc_client_free(c);
	assert_int_equal(ipc_server_free(s, WAIT_MS), 0);
}

static void
errors_come_across(void **state)
{
	struct ipc_server *s = serve(1, "it", NULL);
	struct ipc_client *c = connect_as(ROLE_SERVER, 0, NULL);
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(object_hash(c, "fail", WAIT_MS, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_string_equal(e.msg, "the key ? is taken");
	assert_string_equal(e.hint, "take another one");
	assert_int_equal(seen.kind, ERR_CONFLICT);
	/* What the handler forgot to fill. */
	assert_int_equal(mpu_create(c, "no id", WAIT_MS, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	assert_string_equal(e.msg, "answering mpu_create: upload_id: missing");
	/* What we forgot. */
	assert_int_equal(mpu_create(c, NULL, WAIT_MS, &e), -1);
	assert_string_equal(e.msg, "asking the uploader: key: missing");
	assert_int_equal(object_hash(c, "fine", WAIT_MS, &e), getpid());
	ipc_client_free(c);
	ipc_server_free(s, WAIT_MS);
}

static void
frames_too_large(void **state)
{
	struct ipc_server *s = serve(1, "it", NULL);
	struct ipc_client *c = connect_as(ROLE_SERVER, 0, NULL);
	uint8_t *blob = calloc(1, BLOB);
	struct narinfo_put items[9];
	struct narinfos_put put = { .items = { items, 9 } };
	struct narinfos_written written;
	struct put_authorized authorized;
	struct err e = ERR_INIT;
	int rc;

	(void)state;
	for (int i = 0; i < 9; i++)
		items[i] = (struct narinfo_put){ "k", { blob, BLOB } };
	assert_int_equal(ipc_call(c, CALL_narinfos_put, &put, arena, &written,
	                     deadline_in(WAIT_MS), &e),
	    -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	/* Just under it goes through, and gets the handler's error. */
	put.items.n = 8;
	items[7].text.len = BLOB - 1000;
	assert_int_equal(ipc_call(c, CALL_narinfos_put, &put, arena, &written,
	                     deadline_in(WAIT_MS), &e),
	    -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	rc = ipc_call(c, CALL_put_authorize, &(struct put_authorize){ 0 },
	    arena, &authorized, deadline_in(WAIT_MS), &e);
	assert_int_equal(rc, -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_non_null(strstr(e.msg, "answering put_authorize"));
	free(blob);
	ipc_client_free(c);
	ipc_server_free(s, WAIT_MS);
}

/* ---- who may ask ---- */

/* Sends raw bytes and returns what kind of error came back. */
static enum err_kind
send_raw(nng_socket socket, const void *p, size_t n, struct err *e)
{
	struct ipc_head head;
	const void *body;
	void *answer;
	size_t len, body_len;

	assert_int_equal(nng_send(socket, (void *)(uintptr_t)p, n, 0), 0);
	assert_int_equal(nng_recv(socket, &answer, &len, NNG_FLAG_ALLOC), 0);
	assert_int_equal(
	    ipc_frame_decode(answer, len, arena, &head, &body, &body_len, e),
	    0);
	assert_int_equal(head.role, ROLE_UPLOADER);
	nng_free(answer, len);
	return ipc_frame_check_reply(&head, e) ? e->kind : ERR_NONE;
}

static enum err_kind
send_as(nng_socket socket, enum role role, unsigned call, const struct desc *bd,
    const void *body, struct err *e)
{
	struct ipc_head head = { .call = call, .role = role };
	enum err_kind kind;
	struct buf out;

	buf_init(&out, 1000);
	assert_int_equal(ipc_frame_encode(&head, bd, body, &out, NULL), 0);
	kind = send_raw(socket, out.data, out.len, e);
	buf_done(&out);
	return kind;
}

static nng_socket
raw_client(void)
{
	nng_socket socket;

	assert_int_equal(nng_req0_open(&socket), 0);
	assert_int_equal(
	    nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, WAIT_MS), 0);
	assert_int_equal(
	    nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, WAIT_MS), 0);
	assert_int_equal(nng_dial(socket, address, NULL, 0), 0);
	return socket;
}

static void
requests_that_are_not_allowed(void **state)
{
	char own[40];
	struct ipc_peers *p;
	struct ipc_server *s;
	struct object_hash q = { "k" };
	struct pin_put pin = { "n", "p" };
	nng_socket raw;
	struct err e = ERR_INIT;
	int before = executed;

	(void)state;
	snprintf(own, sizeof own, "server=%u", (unsigned)geteuid());
	p = peers_of(own, "gc=54321");
	s = serve(1, "it", p);
	raw = raw_client();

	/* The uid is the server's; it says that it is the gc. */
	assert_int_equal(
	    send_as(raw, ROLE_GC, CALL_objects_list, &objects_list_desc,
	        &(struct objects_list){ 0 }, &e),
	    ERR_FORBIDDEN);
	assert_non_null(strstr(e.msg, "is not the gc"));
	assert_int_equal(seen.id, 0);
	assert_int_equal(seen.caller, ROLE__MAX);
	assert_int_equal(seen.kind, ERR_FORBIDDEN);
	/* The server may not delete. */
	assert_int_equal(
	    send_as(raw, ROLE_SERVER, CALL_objects_delete, &objects_delete_desc,
	        &(struct objects_delete){ 0 }, &e),
	    ERR_FORBIDDEN);
	assert_int_equal(seen.caller, ROLE_SERVER);
	/* Nor ask the uploader for a signature, nor for anything unknown. */
	assert_int_equal(send_as(raw, ROLE_SERVER, CALL_sign_keys,
	                     &sign_keys_desc, &(struct sign_keys){ 0 }, &e),
	    ERR_INVALID);
	assert_int_equal(
	    send_as(raw, ROLE_SERVER, 0x3f, &object_hash_desc, &q, &e),
	    ERR_INVALID);
	/* The body of another call: a field too many. */
	assert_int_equal(send_as(raw, ROLE_SERVER, CALL_object_hash,
	                     &pin_put_desc, &pin, &e),
	    ERR_INVALID);
	assert_int_equal(executed, before);
	assert_int_equal(send_as(raw, ROLE_SERVER, CALL_object_hash,
	                     &object_hash_desc, &q, &e),
	    ERR_NONE);
	assert_int_equal(executed, before + 1);
	nng_close(raw);
	ipc_server_free(s, WAIT_MS);
	ipc_peers_free(p);
}

static void
frames_that_are_none(void **state)
{
	struct ipc_server *s = serve(1, "it", NULL);
	struct ipc_head head = { .call = CALL_object_hash,
		.role = ROLE_SERVER };
	struct object_hash q = { "k" };
	nng_socket raw = raw_client();
	struct err e = ERR_INIT;
	int before = executed;
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(send_raw(raw, "", 0, &e), ERR_VERSION);
	assert_int_equal(
	    send_raw(raw, "GET / HTTP/1.1\r\n", 16, &e), ERR_VERSION);
	ipc_frame_encode(&head, &object_hash_desc, &q, &out, NULL);
	out.data[7]++;
	assert_int_equal(send_raw(raw, out.data, out.len, &e), ERR_VERSION);
	assert_string_not_equal(e.hint, "");
	out.data[7]--;
	/* Cut off, a byte too many, a length that is not there. */
	assert_int_equal(send_raw(raw, out.data, out.len - 1, &e), ERR_INVALID);
	buf_putc(&out, 0, NULL);
	assert_int_equal(send_raw(raw, out.data, out.len, &e), ERR_INVALID);
	out.len -= 2 + 1 + 1; /* "k", its length, its struct */
	buf_append(&out, "\xdd\x0f\xff\xff\xff", 5, NULL);
	assert_int_equal(send_raw(raw, out.data, out.len, &e), ERR_INVALID);
	assert_int_equal(executed, before);
	/* The server is as before. */
	assert_int_equal(send_as(raw, ROLE_SERVER, CALL_object_hash,
	                     &object_hash_desc, &q, &e),
	    ERR_NONE);
	nng_close(raw);
	buf_done(&out);
	ipc_server_free(s, WAIT_MS);
}

/*
 * Speaks nng's protocol by hand: greets as what it is (0x30 asks, 0x31 answers)
 * and, to ask, sends a ping whose length is said to be that much more. Returns
 * whether more came back than the other's greeting before it hung up.
 */
static int
by_hand(int what, uint32_t more)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval wait = { 0, SOON_MS * 1000 };
	struct ipc_head head = { .call = CALL_ping, .role = ROLE_SERVER };
	struct buf frame, out;
	uint32_t len;
	char answer[64];
	size_t got = 0;
	ssize_t n = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(
	    to.sun_path, sizeof to.sun_path, "%s", address + strlen("ipc://"));
	buf_init(&frame, 200);
	buf_init(&out, 300);
	ipc_frame_encode(&head, &ping_desc, &(struct ping){ 0 }, &frame, NULL);
	buf_append(&out, "\0SP\0\0", 5, NULL);
	buf_putc(&out, what, NULL);
	buf_append(&out, "\0\0", 2, NULL);
	if (what == 0x30) {
		/* Type, length, number of the request. */
		buf_append(&out, "\1\0\0\0\0", 5, NULL);
		len = htobe32(4 + frame.len + more);
		buf_append(&out, &len, 4, NULL);
		buf_append(&out, "\x80\0\0\1", 4, NULL);
		buf_append(&out, frame.data, frame.len, NULL);
	}
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	assert_int_equal(send(fd, out.data, out.len, MSG_NOSIGNAL), out.len);
	while (got <= 8 &&
	    (n = recv(fd, answer + got, sizeof answer - got, 0)) > 0)
		got += n;
	if (got <= 8 && n < 0)
		assert_int_equal(errno, ECONNRESET); /* not a timeout */
	close(fd);
	buf_done(&frame);
	buf_done(&out);
	return got > 8;
}

static void
strangers_are_not_heard(void **state)
{
	struct ipc_peers *strangers = peers_of("server=54321", "uploader=1");
	struct ipc_server *s = serve(1, "it", NULL);
	struct ipc_client *c;
	struct pong reply;
	struct err e = ERR_INIT;
	unsigned before = seen.n;

	(void)state;
	assert_true(by_hand(0x30, 0));
	assert_int_equal(seen.n, before + 1);
	ipc_server_free(s, WAIT_MS);
	s = serve(1, "it", strangers);
	assert_false(by_hand(0x30, 0));
	assert_int_equal(seen.n, before + 1);
	ipc_server_free(s, WAIT_MS);

	/* Nor asked. */
	c = connect_as(ROLE_SERVER, 1, strangers);
	assert_false(by_hand(0x31, 0));
	assert_int_equal(ping(c, 20, &reply, &e), -1);
	assert_string_equal(e.msg, "uploader: not connected");
	ipc_client_free(c);
	ipc_peers_free(strangers);
}

/* What claims to be over the limit is not even received. */
static void
a_long_message_is_hung_up_on(void **state)
{
	struct ipc_server *s = serve(1, "it", NULL);
	unsigned before = seen.n;

	(void)state;
	assert_false(by_hand(0x30, IPC_FRAME_MAX + 1000));
	assert_false(by_hand(0x30, UINT32_MAX - 100));
	assert_int_equal(seen.n, before);
	assert_true(by_hand(0x30, 0));
	ipc_server_free(s, WAIT_MS);
}

static void
we_do_not_ask_what_we_may_not(void **state)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 1, NULL);
	struct err e = ERR_INIT;
	struct objects_deleted reply;

	(void)state;
	assert_int_equal(
	    ipc_call(c, CALL_objects_delete, &(struct objects_delete){ 0 },
	        arena, &reply, deadline_in(WAIT_MS), &e),
	    -1);
	assert_int_equal(e.kind, ERR_FORBIDDEN);
	ipc_client_free(c);
}

/* ---- peers that answer wrongly ---- */

struct liar {
	nng_socket socket;
	struct buf answer;
	int times; /* how often it answers */
};

static void *
lie(void *arg)
{
	struct liar *liar = arg;
	void *p;
	size_t n;

	for (int i = 0; i < liar->times; i++) {
		if (nng_recv(liar->socket, &p, &n, NNG_FLAG_ALLOC) != 0)
			abort();
		nng_free(p, n);
		nng_send(liar->socket, liar->answer.data, liar->answer.len, 0);
	}
	return NULL;
}

/* A mpu_create that is answered with these bytes. */
static void
ask_liar(struct liar *liar, struct err *e)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 0, NULL);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, lie, liar), 0);
	assert_int_equal(mpu_create(c, "k", WAIT_MS, e), -1);
	pthread_join(thread, NULL);
	ipc_client_free(c);
}

static void
wrong_answers(void **state)
{
	struct ipc_head head = { .call = CALL_mpu_create,
		.role = ROLE_UPLOADER };
	struct mpu_created reply = { "id" };
	struct liar liar = { .times = 1 };
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&liar.answer, 1000);
	assert_int_equal(nng_rep0_open(&liar.socket), 0);
	assert_int_equal(nng_listen(liar.socket, address, NULL, 0), 0);

	head.role = ROLE_SIGNER;
	ipc_frame_encode(&head, &mpu_created_desc, &reply, &liar.answer, NULL);
	ask_liar(&liar, &e);
	assert_int_equal(e.kind, ERR_INTERNAL);
	assert_string_equal(
	    e.msg, "the signer answers in place of the uploader");

	head = (struct ipc_head){ .call = CALL_ping, .role = ROLE_UPLOADER };
	ipc_frame_encode(&head, &mpu_created_desc, &reply, &liar.answer, NULL);
	ask_liar(&liar, &e);
	assert_string_equal(e.msg, "uploader: an answer to another call");

	/* Another body, and bytes that nobody reads. */
	head.call = CALL_mpu_create;
	ipc_frame_encode(
	    &head, &done_desc, &(struct done){ 0 }, &liar.answer, NULL);
	ask_liar(&liar, &e);
	assert_int_equal(e.kind, ERR_INTERNAL);
	ipc_frame_encode(&head, &mpu_created_desc, &reply, &liar.answer, NULL);
	buf_putc(&liar.answer, 0xc0, NULL);
	ask_liar(&liar, &e);
	assert_string_equal(
	    e.msg, "uploader: frame: msgpack: 1 bytes too many");

	ipc_frame_encode(&head, &mpu_created_desc, &reply, &liar.answer, NULL);
	/* Of another version: it did nothing, and another one may be there. */
	liar.answer.data[0] ^= 0x80;
	liar.times = 4;
	ask_liar(&liar, &e);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	assert_string_equal(e.msg, "uploader: is of another version");
	assert_string_equal(
	    e.hint, "run all programs of niks3 from the same release");

	nng_close(liar.socket);
	buf_done(&liar.answer);
}

/* ---- peers that are not there, or go away ---- */

static void
nobody_there(void **state)
{
	struct err e = ERR_INIT;
	struct pong reply;

	(void)state;
	for (int listen = 0; listen < 2; listen++) {
		struct ipc_client *c = connect_as(ROLE_SERVER, listen, NULL);
		int64_t begun = clock_mono_ms();
		assert_int_equal(ping(c, SOON_MS, &reply, &e), -1);
		assert_int_equal(e.kind, ERR_UNAVAILABLE);
		assert_string_equal(e.msg, "uploader: not connected");
		assert_in_range(
		    clock_mono_ms() - begun, SOON_MS - 5, SOON_MS * 10);
		assert_int_equal(ping(c, 0, &reply, &e), -1);
		assert_int_equal(ping(c, -5, &reply, &e), -1);
		assert_int_equal(ipc_client_peers(c), 0);
		ipc_client_free(c);
	}
}

static void *
serve_later(void *arg)
{
	clock_sleep(20, INT64_MAX);
	*(struct ipc_server **)arg = serve(1, "late", NULL);
	return NULL;
}

/* Whichever end is there first waits for the other, and for its return. */
static void
the_other_end_comes_later(void **state)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 0, NULL);
	struct ipc_server *s = NULL;
	struct pong reply;
	struct err e = ERR_INIT;
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 2; i++) {
		pthread_create(&thread, NULL, serve_later, &s);
		if (ping(c, WAIT_MS, &reply, &e))
			fail_msg("%s", e.msg);
		pthread_join(thread, NULL);
		assert_int_equal(ipc_server_free(s, WAIT_MS), 0);
		wait_peers(c, 0);
		s = NULL;
	}
	ipc_client_free(c);

	/* A server that dials. */
	s = serve(0, "dials", NULL);
	for (int i = 0; i < 2; i++) {
		c = connect_as(ROLE_SERVER, 1, NULL);
		assert_int_equal(ping(c, WAIT_MS, &reply, &e), 0);
		ipc_client_free(c);
	}
	ipc_server_free(s, WAIT_MS);
}

static void
no_answer_in_time(void **state)
{
	struct ipc_server *s = serve(1, "it", NULL);
	struct ipc_client *c = connect_as(ROLE_SERVER, 0, NULL);
	int64_t begun = clock_mono_ms();
	struct pong reply;
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(object_hash(c, "sleep 150", SOON_MS, &e), -1);
	assert_int_equal(e.kind, ERR_TIMEOUT);
	assert_string_equal(
	    e.msg, "uploader: no answer to object_hash in time");
	assert_in_range(clock_mono_ms() - begun, SOON_MS - 5, 145);
	/* The late answer is not that to the next call. */
	for (int i = 0; i < 8; i++) {
		assert_int_equal(ping(c, WAIT_MS, &reply, &e), 0);
		assert_string_equal(reply.program, "it");
		clock_sleep(10, INT64_MAX);
	}
	ipc_client_free(c);
	assert_int_equal(ipc_server_free(s, WAIT_MS), 0);
}

static void
a_killed_peer_is_replaced(void **state)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 1, NULL);
	pid_t bad = spawn("peer", "bad");
	struct ipc_server *good;
	struct err e = ERR_INIT;
	int64_t begun;

	(void)state;
	wait_peers(c, 1);
	good = serve(0, "good", NULL);
	wait_peers(c, 2);
	/* They take turns, so one of two calls gets to the bad one. */
	begun = clock_mono_ms();
	for (int i = 0; i < 2; i++)
		if (object_hash(c, "bad: die", WAIT_MS, &e) != getpid())
			fail_msg("%s", e.msg);
	assert_true(clock_mono_ms() - begun < 1000);
	wait_peers(c, 1);
	reap(bad);
	ipc_client_free(c);
	ipc_server_free(good, WAIT_MS);
}

static void
what_is_not_idempotent_is_sent_once(void **state)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 1, NULL);
	pid_t bad = spawn("peer", "bad");
	struct ipc_server *good;
	struct err e = ERR_INIT;
	int before = executed, failed = 0;

	(void)state;
	wait_peers(c, 1);
	good = serve(0, "good", NULL);
	wait_peers(c, 2);
	for (int i = 0; i < 4; i++)
		if (mpu_create(c, "bad: die", WAIT_MS, &e)) {
			failed++;
			assert_int_equal(e.kind, ERR_UNAVAILABLE);
			assert_string_equal(
			    e.msg, "uploader: went away during mpu_create");
		}
	assert_int_equal(failed, 1);
	assert_int_equal(executed, before + 3);
	reap(bad);
	ipc_client_free(c);
	ipc_server_free(good, WAIT_MS);
}

/* A request that kills its peer kills no more than a few of them. */
static void
a_deadly_request_ends(void **state)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 1, NULL);
	pid_t pids[6];
	struct err e = ERR_INIT;
	int left = 0;

	(void)state;
	for (int i = 0; i < 6; i++)
		pids[i] = spawn("peer", "bad");
	wait_peers(c, 6);
	assert_int_equal(object_hash(c, "die", WAIT_MS, &e), -1);
	assert_int_equal(e.kind, ERR_UNAVAILABLE);
	wait_peers(c, 2);
	for (int i = 0; i < 6; i++) {
		left += waitpid(pids[i], NULL, WNOHANG) == 0;
		reap(pids[i]);
	}
	assert_in_range(left, 2, 6); /* a dead one may not be reaped yet */
	ipc_client_free(c);
}

static void
a_peer_that_hangs_does_not_get_all_the_time(void **state)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 1, NULL);
	pid_t bad = spawn("peer", "bad");
	struct ipc_server *good;
	struct err e = ERR_INIT;

	(void)state;
	wait_peers(c, 1);
	good = serve(0, "good", NULL);
	wait_peers(c, 2);
	for (int i = 0; i < 2; i++)
		if (object_hash(c, "bad: sleep 5000", 450, &e) != getpid())
			fail_msg("%s", e.msg);
	reap(bad);
	ipc_client_free(c);
	ipc_server_free(good, WAIT_MS);
}

static void
three_peers_share_the_work(void **state)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 1, NULL);
	pid_t pids[3];
	int count[3] = { 0 };
	struct err e = ERR_INIT;

	(void)state;
	for (int i = 0; i < 3; i++)
		pids[i] = spawn("peer", "one of three");
	wait_peers(c, 3);
	for (int i = 0; i < 60; i++) {
		pid_t pid = object_hash(c, "k", WAIT_MS, &e);
		for (int k = 0; k < 3; k++)
			count[k] += pids[k] == pid;
	}
	assert_int_equal(count[0] + count[1] + count[2], 60);
	for (int i = 0; i < 3; i++) {
		assert_in_range(count[i], 5, 50);
		reap(pids[i]);
	}
	ipc_client_free(c);
}

static void *
call_in_thread(void *arg)
{
	struct ipc_client *c = arg;
	struct arena *own = arena_new(1 << 20);
	struct object_hashed reply;
	intptr_t failed = 0;

	for (int i = 0; i < 50; i++)
		failed +=
		    ipc_call(c, CALL_object_hash, &(struct object_hash){ "k" },
		        own, &reply, deadline_in(WAIT_MS), NULL) != 0;
	arena_free(own);
	return (void *)failed;
}

static void
many_threads_call_at_once(void **state)
{
	struct ipc_server *s = serve(1, "it", NULL);
	struct ipc_client *c = connect_as(ROLE_SERVER, 0, NULL);
	pthread_t threads[8];
	void *failed;
	int before = executed;

	(void)state;
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, call_in_thread, c);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(executed, before + 400);
	ipc_client_free(c);
	ipc_server_free(s, WAIT_MS);
}

/* ---- the end of a server ---- */

struct slow_call {
	struct ipc_client *c;
	const char *key;
	int rc;
	struct err e;
};

static void *
slow_call(void *arg)
{
	struct slow_call *call = arg;
	struct arena *own = arena_new(1 << 20);
	struct mpu_created reply;

	err_clear(&call->e);
	call->rc = ipc_call(call->c, CALL_mpu_create,
	    &(struct mpu_create){ call->key }, own, &reply,
	    deadline_in(WAIT_MS), &call->e);
	arena_free(own);
	return NULL;
}

static void
wait_executed(int n)
{
	deadline_t d = deadline_in(WAIT_MS);

	while (__atomic_load_n(&executed, __ATOMIC_SEQ_CST) < n) {
		assert_true(deadline_left(d) > 0);
		clock_sleep(2, d);
	}
}

static void *
replace_later(void *arg)
{
	clock_sleep(80, INT64_MAX);
	*(struct ipc_server **)arg = serve(0, "new", NULL);
	return NULL;
}

static void *
call_later(void *arg)
{
	clock_sleep(30, INT64_MAX);
	return slow_call(arg);
}

/* A stopping server finishes what it began and refuses the rest, which then
 * goes to its successor; even calls that are not idempotent. */
static void
a_server_drains(void **state)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 1, NULL);
	struct ipc_server *old = serve(0, "old", NULL), *new = NULL;
	struct slow_call running = { c, "old: sleep 150" };
	struct slow_call next = { c, "old: sleep 5000" };
	pthread_t threads[3];
	int before = executed;
	int64_t begun = clock_mono_ms();

	(void)state;
	wait_peers(c, 1);
	pthread_create(&threads[0], NULL, slow_call, &running);
	wait_executed(before + 1);
	pthread_create(&threads[1], NULL, call_later, &next);
	pthread_create(&threads[2], NULL, replace_later, &new);
	assert_int_equal(ipc_server_free(old, WAIT_MS), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	if (running.rc != 0 || next.rc != 0)
		fail_msg("%s; %s", running.e.msg, next.e.msg);
	assert_true(clock_mono_ms() - begun < 4000);
	ipc_client_free(c);
	ipc_server_free(new, WAIT_MS);
}

static struct ipc_server *abandoned; /* still reachable for leak checkers */

static void
a_call_that_does_not_end_is_abandoned(void **state)
{
	struct ipc_client *c = connect_as(ROLE_SERVER, 0, NULL);
	struct slow_call call = { c, "sleep 150" };
	int before = executed;
	int64_t begun;
	pthread_t thread;

	(void)state;
	abandoned = serve(1, "slow", NULL);
	pthread_create(&thread, NULL, slow_call, &call);
	wait_executed(before + 1);
	begun = clock_mono_ms();
	assert_int_equal(ipc_server_free(abandoned, 20), -1);
	assert_true(clock_mono_ms() - begun < 140);
	pthread_join(thread, NULL);
	assert_int_equal(call.rc, 0); /* nobody cut it off either */
	ipc_client_free(c);
	unlink(address + strlen("ipc://"));
}

/* ---- sockets ---- */

static void
sockets(void **state)
{
	const char *path = address + strlen("ipc://");
	struct ipc_client_options o = { .self = ROLE_SERVER,
		.peer = ROLE_UPLOADER,
		.listen = 1,
		.mode = 0620 };
	struct ipc_client *c, *other;
	struct err e = ERR_INIT;
	struct stat st;
	char missing[120];
	FILE *f;

	(void)state;
	o.address = address;
	assert_int_equal(ipc_client_new(&o, &c, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0620);
	assert_int_equal(ipc_client_new(&o, &other, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, address));
	ipc_client_free(c);
	assert_int_equal(stat(path, &st), -1);

	/* A file that is no socket stays. */
	f = fopen(path, "w");
	fclose(f);
	assert_int_equal(ipc_client_new(&o, &c, &e), -1);
	assert_int_equal(e.kind, ERR_CONFLICT);
	assert_int_equal(stat(path, &st), 0);
	unlink(path);

	snprintf(missing, sizeof missing, "ipc://%s/none/s.sock", dir);
	o.address = missing;
	assert_int_equal(ipc_client_new(&o, &c, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	o.address = "tcp://127.0.0.1:1";
	assert_int_equal(ipc_client_new(&o, &c, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_non_null(strstr(e.msg, "only ipc://"));
	o.address = "tls+tcp://127.0.0.1:1";
	assert_int_equal(ipc_client_new(&o, &c, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
}

/* What a killed process leaves behind does not keep the next one out. */
static void
a_stale_socket_is_replaced(void **state)
{
	const char *path = address + strlen("ipc://");
	struct ipc_client *c = connect_as(ROLE_SERVER, 1, NULL);
	char kept[120];
	struct stat st;

	(void)state;
	snprintf(kept, sizeof kept, "%s.kept", path);
	assert_int_equal(link(path, kept), 0);
	ipc_client_free(c);
	assert_int_equal(rename(kept, path), 0);
	assert_int_equal(stat(path, &st), 0);
	c = connect_as(ROLE_SERVER, 1, NULL);
	ipc_client_free(c);
}

static void
several_addresses(void **state)
{
	char second[120];
	const char *addresses[] = { address, second, "tcp://x" };
	struct ipc_server_options o = { .self = ROLE_UPLOADER,
		.addresses = addresses,
		.naddresses = 2,
		.workers = 1,
		.handlers = handlers };
	struct ipc_client *one, *two;
	struct ipc_server *s;
	struct pong reply;
	struct err e = ERR_INIT;

	(void)state;
	snprintf(second, sizeof second, "%s.gc", address);
	one = connect_as(ROLE_SERVER, 1, NULL);
	assert_int_equal(
	    ipc_client_new(&(struct ipc_client_options){ .self = ROLE_GC,
	                       .peer = ROLE_UPLOADER,
	                       .address = second,
	                       .listen = 1 },
	        &two, &e),
	    0);
	assert_int_equal(ipc_server_new(&o, &s, &e), 0);
	/* on_ping has no name to tell: what is required is missing. */
	assert_int_equal(ping(one, WAIT_MS, &reply, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	assert_int_equal(ping(two, WAIT_MS, &reply, &e), -1);
	assert_int_equal(e.kind, ERR_INTERNAL);
	assert_int_equal(ipc_server_free(s, WAIT_MS), 0);
	ipc_client_free(one);
	ipc_client_free(two);
	/* One that is wrong undoes them all. */
	o.naddresses = 3;
	assert_int_equal(ipc_server_new(&o, &s, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
}

/* What a client was told of its calls. */
static struct {
	unsigned n;
	enum role peer;
	enum call id;
	enum err_kind kind;
} called;

static void
on_called(
    void *ctx, enum role peer, enum call id, enum err_kind kind, int64_t us)
{
	assert_ptr_equal(ctx, &called);
	assert_true(us >= 0);
	called.peer = peer;
	called.id = id;
	called.kind = kind;
	called.n++;
}

/* Each call is reported once, to whoever does not want its error too. */
static void
calls_are_reported(void **state)
{
	struct ipc_client_options o = { .self = ROLE_SERVER,
		.peer = ROLE_UPLOADER,
		.address = address,
		.done = on_called,
		.ctx = &called };
	struct err e = ERR_INIT;
	struct ipc_server *s;
	struct ipc_client *c;
	struct pong reply;

	(void)state;
	s = serve(1, "x", NULL);
	assert_int_equal(ipc_client_new(&o, &c, NULL), 0);
	assert_int_equal(ping(c, WAIT_MS, &reply, &e), 0);
	assert_int_equal(called.n, 1);
	assert_int_equal(called.peer, ROLE_UPLOADER);
	assert_int_equal(called.id, CALL_ping);
	assert_int_equal(called.kind, ERR_NONE);
	assert_int_equal(
	    ipc_call(c, CALL_pin_delete, &(struct pin_delete){ "p" }, arena,
	        &(struct done){ 0 }, deadline_in(WAIT_MS), NULL),
	    -1);
	assert_int_equal(called.n, 2);
	assert_int_equal(called.id, CALL_pin_delete);
	assert_int_equal(called.kind, ERR_NOT_FOUND);
	assert_int_equal(ipc_client_calls(c), 0);
	/* Nobody counts here. */
	assert_int_equal(
	    ipc_call(c, CALL_figures, &(struct figures){ 0 }, arena,
	        &(struct figures_told){ 0 }, deadline_in(WAIT_MS), &e),
	    -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(ipc_server_free(s, WAIT_MS), 0);
	ipc_client_free(c);
}

static void
on_collect(void *ctx, struct metrics *m)
{
	assert_string_equal(ctx, "x");
	metric_set(m, DAEMON_S3_RETRIES, AT(0), 77);
	metric_set(m, DAEMON_SIGN_KEYS, AT(0), 5); /* no uploader has that */
}

static void
figures_come_across(void **state)
{
	const char *addresses[] = { address };
	struct metrics *own = daemon_metrics_new(ROLE_UPLOADER);
	struct metrics *seen_there = daemon_metrics_new(ROLE_UPLOADER);
	struct ipc_server_options o = {
		.self = ROLE_UPLOADER,
		.addresses = addresses,
		.naddresses = 1,
		.listen = 1,
		.mode = 0600,
		.workers = 2,
		.handlers = handlers,
		.ctx = (void *)(uintptr_t) "x",
		.worker_new = worker_new,
		.metrics = own,
		.collect = on_collect,
	};
	char id[PROCESS_ID_MAX];
	struct figures_told told;
	struct err e = ERR_INIT;
	struct ipc_server *s;
	struct ipc_client *c;

	(void)state;
	assert_int_equal(ipc_server_new(&o, &s, NULL), 0);
	c = connect_as(ROLE_SERVER, 0, NULL);
	for (int i = 0; i < 3; i++)
		ipc_call(c, CALL_pin_delete, &(struct pin_delete){ "p" }, arena,
		    &(struct done){ 0 }, deadline_in(WAIT_MS), NULL);
	if (ipc_call(c, CALL_figures, &(struct figures){ 0 }, arena, &told,
	        deadline_in(WAIT_MS), &e) != 0)
		fail_msg("%s", e.msg);
	assert_string_equal(told.process_id, process_id(id));
	metric_set(seen_there, DAEMON_S3_SENT, AT(0), 1); /* not told: 0 */
	assert_int_equal(ipc_figures_take(&told, seen_there, &e), 0);
	assert_int_equal(metric_get(seen_there, DAEMON_CALLS,
	                     AT(CALL_pin_delete, ERR_NOT_FOUND)),
	    3);
	assert_int_equal(
	    metric_get(seen_there, DAEMON_CALL_TIME, AT(CALL_pin_delete)), 3);
	assert_int_equal(metric_get(seen_there, DAEMON_S3_RETRIES, AT(0)), 77);
	assert_int_equal(metric_get(seen_there, DAEMON_S3_SENT, AT(0)), 0);
	/* The one that asks. */
	assert_int_equal(
	    metric_get(seen_there, DAEMON_CALLS_UNDER_WAY, AT(0)), 1);
	assert_true(metric_get(seen_there, DAEMON_RESIDENT, AT(0)) > 0);
	/* Only the server may ask. */
	assert_int_equal(call_table[CALL_figures].callers, BY_SERVER);

	/* Cells that there are not, and in disorder: nothing is taken. */
	told.cells.items[told.cells.n - 1].at = metrics_cells(own);
	assert_int_equal(ipc_figures_take(&told, seen_there, &e), -1);
	assert_int_equal(e.kind, ERR_CORRUPT);
	told.cells.items[told.cells.n - 1].at = 0;
	assert_int_equal(ipc_figures_take(&told, seen_there, &e), -1);
	assert_int_equal(metric_get(seen_there, DAEMON_S3_RETRIES, AT(0)), 77);
	assert_int_equal(ipc_server_free(s, WAIT_MS), 0);
	ipc_client_free(c);
	metrics_free(own);
	metrics_free(seen_there);
}

static void
a_missing_handler_is_fatal(void **state)
{
	pid_t pid = spawn("incomplete", "x");
	int status;

	(void)state;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(frames),
		TEST(error_frames),
		TEST(the_permission_table),
		TEST(lists_of_peers),
		TEST(a_call_and_its_answer),
		TEST(stuck_is_seen),
		TEST(errors_come_across),
		TEST(frames_too_large),
		TEST(requests_that_are_not_allowed),
		TEST(frames_that_are_none),
		TEST(strangers_are_not_heard),
		TEST(a_long_message_is_hung_up_on),
		TEST(we_do_not_ask_what_we_may_not),
		TEST(wrong_answers),
		TEST(nobody_there),
		TEST(the_other_end_comes_later),
		TEST(no_answer_in_time),
		TEST(a_killed_peer_is_replaced),
		TEST(what_is_not_idempotent_is_sent_once),
		TEST(a_deadly_request_ends),
		TEST(a_peer_that_hangs_does_not_get_all_the_time),
		TEST(three_peers_share_the_work),
		TEST(many_threads_call_at_once),
		TEST(a_server_drains),
		TEST(a_call_that_does_not_end_is_abandoned),
		TEST(sockets),
		TEST(a_stale_socket_is_replaced),
		TEST(several_addresses),
		TEST(calls_are_reported),
		TEST(figures_come_across),
		TEST(a_missing_handler_is_fatal),
	};
	int rc;

	if (argc > 1)
		spawned(argv);
	if (mkdtemp(dir) == NULL)
		return 1;
	fill_handlers();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	nng_fini(); /* it frees closed sockets in a thread of its own */
	if (rmdir(dir) != 0) {
		fprintf(stderr, "sockets are left in %s\n", dir);
		rc = 1;
	}
	return rc;
}
