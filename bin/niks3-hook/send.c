/*
 * The hook itself. Nix waits for it after every build and fails the build when
 * it fails: so whatever happens, it is soon over and exits with 0.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/unixsock.h"
#include "../../proto/hook.h"
#include "hook.h"

#define MEMORY_MAX ((size_t)32 << 20)

struct config {
	struct opt_common common;
	const char *socket;
	int64_t wait_us;
};

#define O(field) offsetof(struct config, field)

static const struct opt options[] = {
	{ "socket", "NIKS3_HOOK_SOCKET", OPT_PATH, O(socket), 0, HOOK_SOCKET,
	    "PATH", "where niks3-hook serve listens", 0, 0 },
	{ "timeout", "NIKS3_HOOK_TIMEOUT", OPT_DURATION, O(wait_us), 0, "5s",
	    "DURATION", "give up after so long", 1, 600000 },
	{ NULL },
};

const struct opt_program hook_send_program = {
	.name = "niks3-hook send",
	.synopsis = "niks3-hook send [OPTION]...",
	.summary = "Hands the paths that Nix has built (OUT_PATHS, or the "
	           "outputs of DRV_PATH) to niks3-hook serve. Exits with 0 "
	           "whatever happens, so that no build fails.",
	.opts = options,
	.words = "",
};

/* Where no deadline reaches: a file system that hangs, say. */
static void
on_alarm(int sig)
{
	static const char text[] =
	    "niks3-hook: warning: what was built will not be pushed: "
	    "it took too long\n";

	(void)sig;
	if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
		_exit(0);
	_exit(0);
}

static int
exchange(int fd, const struct desc_strs *paths, deadline_t d, struct arena *a,
    struct buf *text, struct err *e)
{
	struct hook_request request = { .paths = *paths };
	struct hook_answer answer = { 0 };

	if (json_encode(&hook_request_desc, &request, text, e) != 0 ||
	    buf_putc(text, '\n', e) != 0)
		return -1;
	/* Who is not let in gets an answer, and is not read from. */
	if (unixsock_write(fd, d, text->data, text->len, e) != 0 &&
	    e->kind != ERR_UNAVAILABLE)
		return -1;
	buf_reset(text);
	if (unixsock_read_line(fd, d, text, e) != 0)
		return -1;
	if (text->len == 0)
		return err_set(e, ERR_UNAVAILABLE, "no answer");
	if (json_decode(
	        &hook_answer_desc, text->data, text->len, a, &answer, e) != 0)
		return err_prefix(e, "answer");
	if (strcmp(answer.status, "ok") == 0)
		return 0;
	return err_set(e, ERR_CONFLICT, "%s",
	    answer.message != NULL ? answer.message : answer.status);
}

int
hook_hand_over(const char *socket, const struct desc_strs *paths, deadline_t d,
    struct err *e)
{
	struct arena *a = arena_new(MEMORY_MAX);
	struct buf text;
	int fd = -1, rc;

	buf_init(&text, HOOK_MESSAGE_MAX);
	rc = unixsock_connect(socket, d, &fd, e);
	if (rc != 0) {
		err_hint(e, "is niks3-hook.socket or niks3-hook serve up?");
	} else {
		rc = exchange(fd, paths, d, a, &text, e);
		close(fd);
		if (rc != 0)
			err_prefix(e, "niks3-hook serve");
	}
	buf_done(&text);
	arena_free(a);
	return rc;
}

static void
send_outputs(const struct config *c, struct err *e)
{
	deadline_t d = deadline_in(c->wait_us / 1000);
	struct arena *a = arena_new(MEMORY_MAX);
	struct desc_strs paths;

	if (hook_outputs(a, &paths, e) == 0 && paths.n > 0)
		hook_hand_over(c->socket, &paths, d, e);
	arena_free(a);
}

int
hook_send(int argc, char **argv)
{
	struct config c = { 0 };
	struct sigaction act = { .sa_handler = on_alarm };
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGALRM, &act, NULL);
	if (opt_start(&hook_send_program, &c, argc, argv, &args, &nargs) >= 0)
		return 0;
	alarm(c.wait_us / 1000000 + 2);
	if (!c.common.check)
		send_outputs(&c, &e);
	if (e.kind != ERR_NONE) {
		err_prefix(&e, "warning: what was built will not be pushed");
		hook_fail(&e);
	}
	opt_done(&hook_send_program, &c);
	return 0;
}
