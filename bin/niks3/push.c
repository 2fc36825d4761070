/*
 * niks3 push: the order of things.
 *
 *	1. which roots are in the cache already? (one request, and often the last)
 *	   and which are another cache's business? (filter.h)
 *	2. what belongs to the closures of the others, by Nix's word
 *	3. begin an upload: the server says what it misses
 *	4. pack and put that, in threads
 *	5. commit
 *
 * Whatever fails after 3, or Ctrl-C, rolls the upload back.
 */
#include "push.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/file.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/map.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/queue.h"
#include "../../libcommon/local/nixenv.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/pathinfo.h"
#include "command.h"
#include "filter.h"
#include "lease.h"
#include "nixcmd.h"
#include "print.h"
#include "progress.h"
#include "remote.h"

#define MEMORY_MAX  ((size_t)4 << 30) /* names of two million paths */
#define STDIN_MAX   ((size_t)64 << 20)
#define QUEUE_MAX   1024
#define ROLLBACK_MS 20000

struct config {
	struct opt_common common;
	struct remote_config remote;
	struct filter_config filter;
	uint64_t uploads, level;
	int from_stdin, json, no_logs;
	const char *pin, *s3_ca_cert;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	REMOTE_OPTIONS(O(remote)),
	{ "stdin", NULL, OPT_BOOL, O(from_stdin), 0, NULL, NULL,
	    "read paths from standard input, one a line (also: -)", 0, 0 },
	{ "s3-ca-cert", "NIKS3_S3_CA_CERT", OPT_PATH, O(s3_ca_cert), 0, NULL,
	    "FILE", "trust these authorities for S3", 0, 0 },
	{ "max-concurrent-uploads", NULL, OPT_U64, O(uploads), 0, "16", "N",
	    "objects written at once", 1, 256 },
	{ "compression-level", NULL, OPT_U64, O(level), 0, "3", "N", "of zstd",
	    1, 19 },
	{ "no-logs", NULL, OPT_BOOL, O(no_logs), 0, NULL, NULL,
	    "leave build logs out", 0, 0 },
	FILTER_OPTIONS(O(filter)),
	{ "pin", NULL, OPT_STR, O(pin), 0, NULL, "NAME",
	    "pin the path (exactly one) afterwards", 0, 0 },
	{ "json", NULL, OPT_BOOL, O(json), 0, NULL, NULL,
	    "tell the result as JSON on standard output", 0, 0 },
	{ NULL },
};

const struct opt_program push_program = {
	.name = "niks3 push",
	.synopsis = "niks3 push [OPTION]... PATH...",
	.summary =
	    "Pushes store paths, with all they refer to, into the cache.",
	.opts = options,
	.max_args = SIZE_MAX,
};

/* ---- shared by the threads ---- */

/* For the signal handler; there is one push in a process. */
static struct push *current;

static void
on_signal(int sig)
{
	(void)sig;
	if (current->stop)
		_exit(err_exit(ERR_CANCELED)); /* the second one: at once */
	current->stop = 1;
}

void
push_fail(struct push *p, const struct err *e)
{
	pthread_mutex_lock(&p->lock);
	if (p->error.kind == ERR_NONE)
		p->error = *e;
	p->stop = 1;
	pthread_cond_broadcast(&p->freed);
	pthread_mutex_unlock(&p->lock);
	queue_close(p->queue);
}

int
push_charge(struct push *p, size_t n)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	while (!p->stop && p->budget < (int64_t)n &&
	    p->budget < (int64_t)BUDGET_BYTES) {
		struct timespec until;

		/* A signal cannot wake us: look now and then. */
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&p->freed, &p->lock, &until);
	}
	rc = p->stop ? -1 : 0;
	if (rc == 0)
		p->budget -= n;
	pthread_mutex_unlock(&p->lock);
	return rc;
}

void
push_release(struct push *p, size_t n)
{
	pthread_mutex_lock(&p->lock);
	p->budget += n;
	pthread_cond_broadcast(&p->freed);
	pthread_mutex_unlock(&p->lock);
}

struct want *
push_wanted(struct push *p, const char *key)
{
	return map_get(p->wants, key, strlen(key));
}

struct want *
push_take(struct push *p, const char *key)
{
	struct want *w = push_wanted(p, key);

	if (w == NULL)
		return NULL;
	pthread_mutex_lock(&p->lock);
	if (w->taken)
		w = NULL;
	else
		w->taken = 1;
	pthread_mutex_unlock(&p->lock);
	return w;
}

/* ---- the steps ---- */

/* Adds the store path of an argument, once. */
static int
add_root(struct push *p, struct map *seen, const char *arg,
    struct desc_strs *roots, struct err *e)
{
	const char *base;

	if (nixcmd_resolve(p->store_dir, arg, p->a, &base, e) != 0)
		return -1;
	if (map_get(seen, base, strlen(base)) != NULL)
		return 0;
	if (roots->n == API_ROOTS_MAX)
		return err_set(e, ERR_TOO_LARGE, "more than %d paths at once",
		    API_ROOTS_MAX);
	map_put(seen, base, strlen(base), roots);
	roots->items[roots->n++] = base;
	return 0;
}

static int
add_stdin(
    struct push *p, struct map *seen, struct desc_strs *roots, struct err *e)
{
	struct buf text;
	char *line, *save;
	int rc;

	buf_init(&text, STDIN_MAX);
	rc = file_read_fd(STDIN_FILENO, &text, e);
	if (rc == 0 && text.len > 0) {
		buf_str(&text);
		for (line = strtok_r((char *)text.data, "\n", &save);
		     rc == 0 && line != NULL;
		     line = strtok_r(NULL, "\n", &save))
			rc = add_root(p, seen, line, roots, e);
	}
	buf_done(&text);
	return rc;
}

static int
find_roots(struct push *p, const struct config *c, char **args, size_t nargs,
    struct desc_strs *roots, struct err *e)
{
	struct map *seen = map_new(nargs);
	int rc = 0, from_stdin = c->from_stdin;

	roots->items = arena_array(p->a, API_ROOTS_MAX, sizeof *roots->items);
	if (roots->items == NULL)
		rc = arena_full(p->a, e);
	for (size_t i = 0; rc == 0 && i < nargs; i++)
		if (strcmp(args[i], "-") == 0)
			from_stdin = 1;
		else
			rc = add_root(p, seen, args[i], roots, e);
	if (rc == 0 && from_stdin)
		rc = add_stdin(p, seen, roots, e);
	map_free(seen);
	if (rc == 0 && roots->n == 0 && !from_stdin)
		return err_set(e, ERR_USAGE, "no path given");
	if (rc == 0 && c->pin != NULL && objkey_check_pin(c->pin, e) != 0)
		return -1;
	if (rc == 0 && c->pin != NULL && roots->n != 1)
		return err_set(e, ERR_USAGE, "--pin takes exactly one path");
	return rc;
}

/* Leaves in roots those that the cache does not have. */
static int
drop_present(struct push *p, struct remote_conn *conn, struct desc_strs *roots,
    struct err *e)
{
	struct present_request body = { .roots = *roots };
	struct present_reply reply;
	struct desc_strs left = { 0 };
	struct map *present;

	if (remote_call(conn,
	        &(struct remote_call){
	            .method = "POST",
	            .path = "/api/v2/present",
	            .request_desc = &present_request_desc,
	            .request = &body,
	            .reply_desc = &present_reply_desc,
	            .reply = &reply,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        p->a, e) != 0)
		return -1;
	left.items = arena_array(p->a, roots->n, sizeof *left.items);
	if (left.items == NULL)
		return arena_full(p->a, e);
	present = map_new(reply.present.n);
	for (size_t i = 0; i < reply.present.n; i++)
		map_put(present, reply.present.items[i],
		    strlen(reply.present.items[i]), roots);
	for (size_t i = 0; i < roots->n; i++)
		if (map_get(present, roots->items[i],
		        strlen(roots->items[i])) == NULL)
			left.items[left.n++] = roots->items[i];
	map_free(present);
	*roots = left;
	return 0;
}

static int
begin(struct push *p, struct remote_conn *conn, struct err *e)
{
	struct upload_reply reply;

	if (remote_call(conn,
	        &(struct remote_call){
	            .method = "POST",
	            .path = "/api/v2/uploads",
	            .request_desc = &upload_request_desc,
	            .request = &p->request,
	            .reply_desc = &upload_reply_desc,
	            .reply = &reply,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        p->a, e) != 0)
		return err_prefix(e, "begin the upload");
	snprintf(p->upload, sizeof p->upload, "%s", reply.id);
	if (strspn(p->upload, "0123456789abcdef") != strlen(p->upload))
		return err_set(e, ERR_VERSION, "the upload's id is malformed");
	p->lease_ms = reply.lease_ms;
	p->want_paths = reply.narinfos;
	return closure_wants(p, &reply, e);
}

/* What there is to be packed, for the progress. */
static void
measure(struct push *p)
{
	for (size_t i = 0; i < p->request.paths.n; i++)
		p->want_bytes += p->paths[i].nar_size;
	if (p->want_paths < p->request.paths.n)
		p->want_bytes =
		    p->want_bytes / p->request.paths.n * p->want_paths;
}

static int
transfer(struct push *p, size_t nputs, struct err *e)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t npacks = cores > 1 ? cores : 1, n = 0;
	pthread_t *threads = xcalloc(nputs + npacks, sizeof *threads);
	struct progress *progress = progress_begin(p);

	atomic_store(&p->packers, npacks);
	while (n < npacks + nputs) {
		if (pthread_create(&threads[n], NULL,
		        n < npacks ? pack_thread : put_thread, p) != 0)
			err_die("cannot start a thread");
		n++;
	}
	while (n > 0)
		pthread_join(threads[--n], NULL);
	free(threads);
	put_free_parts(p);
	progress_end(progress);
	if (p->error.kind != ERR_NONE) {
		*e = p->error;
		return -1;
	}
	if (p->stop)
		return err_set(e, ERR_CANCELED, "interrupted");
	return 0;
}

static int
commit(struct push *p, struct remote_conn *conn, struct err *e)
{
	struct commit_request body = { .found = { p->found, p->nfound } };
	char path[128];

	snprintf(path, sizeof path, "/api/v2/uploads/%s/commit", p->upload);
	if (remote_call(conn,
	        &(struct remote_call){
	            .method = "POST",
	            .path = path,
	            .request_desc = &commit_request_desc,
	            .request = &body,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        p->a, e) != 0)
		return err_prefix(e, "commit");
	return 0;
}

/* Nothing of the upload is to remain. That this fails is not worth an error of
 * its own: the server ends the upload when its lease runs out. */
static void
roll_back(struct push *p, struct remote_conn *conn)
{
	struct err e = ERR_INIT;
	char path[128];

	snprintf(path, sizeof path, "/api/v2/uploads/%s", p->upload);
	if (remote_call(conn,
	        &(struct remote_call){
	            .method = "DELETE",
	            .path = path,
	            .deadline = deadline_in(ROLLBACK_MS),
	            .stubborn = 1,
	        },
	        p->a, &e) != 0)
		log_err(LOG_LEVEL_WARN,
		    "not rolled back; the server will, after the lease", &e);
	else
		log_notice("rolled back");
}

static int
upload(struct push *p, struct remote_conn *conn, const struct config *c,
    const struct desc_strs *roots, struct err *e)
{
	struct lease *lease;
	int rc;

	if (closure_load(p, roots->items, roots->n, !c->no_logs, e) != 0 ||
	    begin(p, conn, e) != 0)
		return -1;
	measure(p);
	log_info("Uploading", LOG_U("paths", p->want_paths),
	    LOG_S("to", remote_host(p->remote)),
	    LOG_U("already-cached", p->request.paths.n - p->want_paths));
	lease = lease_begin(p);
	rc = transfer(p, c->uploads, e);
	if (rc == 0)
		rc = commit(p, conn, e);
	lease_end(lease);
	return rc;
}

struct roots {
	size_t all, cached, left_out;
};

static void
tell(const struct push *p, const struct config *c, const struct roots *n,
    int64_t us)
{
	char took[NUM_DURATION_MAX], sent[NUM_SIZE_MAX];

	num_fmt_duration(took, us / 1000 * 1000);
	log_info("Upload complete", LOG_S("took", took), LOG_U("roots", n->all),
	    LOG_U("cached-roots", n->cached), LOG_U("left-out", n->left_out),
	    LOG_U("paths", p->want_paths),
	    LOG_S("sent", num_fmt_size(sent, atomic_load(&p->sent_bytes))),
	    LOG_U("requests", remote_requests(p->remote)));
	if (c->json)
		printf("{\"roots\":%zu,\"cached_roots\":%zu,"
		       "\"left_out\":%zu,\"paths\":%zu,"
		       "\"uploaded_paths\":%llu,\"objects\":%llu,"
		       "\"bytes\":%llu,\"requests\":%llu,\"ms\":%lld}\n",
		    n->all, n->cached, n->left_out, p->request.paths.n,
		    (unsigned long long)p->want_paths,
		    (unsigned long long)atomic_load(&p->objects),
		    (unsigned long long)atomic_load(&p->sent_bytes),
		    (unsigned long long)remote_requests(p->remote),
		    (long long)us / 1000);
}

static int
push(struct push *p, const struct config *c, char **args, size_t nargs,
    struct err *e)
{
	struct remote_conn *conn = NULL;
	struct desc_strs roots = { 0 }, absent;
	struct roots n;
	int64_t began = clock_mono_us();
	int rc = -1;

	if (nixenv_store_dir(&p->store_dir, e) != 0 ||
	    nixenv_log_dir(p->store_dir, p->a, &p->log_dir, e) != 0 ||
	    find_roots(p, c, args, nargs, &roots, e) != 0)
		return -1;
	conn = remote_conn_new(p->remote);
	absent = roots;
	n = (struct roots){ .all = roots.n };
	if (filter_signed(&c->filter, p->store_dir, p->a, &absent, e) != 0)
		goto out;
	n.left_out = n.all - absent.n;
	if (absent.n > 0 && drop_present(p, conn, &absent, e) != 0)
		goto out;
	n.cached = n.all - n.left_out - absent.n;
	if (filter_upstream(&c->filter, &p->stop, p->a, &absent, e) != 0)
		goto out;
	n.left_out = n.all - n.cached - absent.n;
	if (absent.n > 0 && upload(p, conn, c, &absent, e) != 0) {
		if (p->upload[0] != '\0')
			roll_back(p, conn);
		goto out;
	}
	if (c->pin != NULL &&
	    pins_create(conn, p->a, c->pin, p->store_dir, roots.items[0], e) !=
	        0)
		goto out;
	tell(p, c, &n, clock_mono_us() - began);
	rc = 0;
out:
	remote_conn_free(conn);
	return rc;
}

int
command_push(int argc, char **argv)
{
	struct config c = { 0 };
	struct push p = { .budget = BUDGET_BYTES };
	struct sigaction act = { .sa_handler = on_signal };
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int status;

	if ((status = opt_start(
	         &push_program, &c, argc, argv, &args, &nargs)) >= 0)
		return status;
	command_log(&c.common);
	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.freed, NULL);
	p.a = arena_new(MEMORY_MAX);
	p.s3_ca_cert = c.s3_ca_cert;
	p.queue = queue_new(QUEUE_MAX);
	p.level = c.level;
	if (filter_check(&c.filter, &e) == 0 &&
	    remote_new(&c.remote, &p.remote, &e) == 0 && !c.common.check) {
		current = &p;
		remote_cancel_by(p.remote, &p.stop);
		sigaction(SIGINT, &act, NULL);
		sigaction(SIGTERM, &act, NULL);
		sigaction(SIGHUP, &act, NULL);
		signal(SIGPIPE, SIG_IGN);
		push(&p, &c, args, nargs, &e);
	}
	status = e.kind == ERR_NONE ? 0 : command_fail(&e);
	if (c.json && e.kind != ERR_NONE)
		print_error(&e);
	queue_free(p.queue);
	map_free(p.wants);
	remote_free(p.remote);
	arena_free(p.a);
	opt_done(&push_program, &c);
	return status;
}
