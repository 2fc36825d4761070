/*
 * niks3-hook: Nix's post-build hook.
 *
 *	send.c     what Nix runs after each build: hands paths to the daemon,
 *	           and never fails
 *	outputs.c  which paths those are
 *	serve.c    the daemon: takes paths, answers when they are on disk, and
 *	           has them pushed (libcommon/local/spool.h, pusher.h)
 *	queue.c    what people ask: status, retry, drop
 */
#ifndef NIKS3_HOOK_H
#define NIKS3_HOOK_H

#include "../../libcommon/codec/desc.h"
#include "../../libcommon/core/clock.h"

struct arena;
struct err;
struct opt_program;

#define HOOK_SOCKET  "/run/niks3/upload-to-cache.sock"
#define HOOK_QUEUE   "/var/lib/niks3-hook/upload-queue.db"
#define HOOK_WAIT_MS 5000 /* for the answer, and for what a sender sends */

/* Each takes what follows its name in front of its own, and returns the exit
 * status. */
int hook_send(int argc, char **argv);
int hook_serve(int argc, char **argv);
int hook_status(int argc, char **argv);
int hook_retry(int argc, char **argv);
int hook_drop(int argc, char **argv);

extern const struct opt_program hook_send_program, hook_serve_program,
    hook_status_program, hook_retry_program, hook_drop_program;

/* Prints "niks3-hook: text" and the hint; returns the exit status. */
int hook_fail(const struct err *e);

/* send.c: hands paths over and waits, at most until d, for the answer. */
int hook_hand_over(const char *socket, const struct desc_strs *paths,
    deadline_t d, struct err *e);

/* outputs.c: what was built, by the variables that Nix sets; maybe nothing. */
int hook_outputs(struct arena *a, struct desc_strs *out, struct err *e);

#endif
