/*
 * What every daemon shares: its start, its stop and its word to the service
 * manager.
 *
 *	service_init("niks3-signer");        signals blocked, hardening, log
 *	... open, check, load ...
 *	sandbox_begin(&sandbox);             files and ports: before any thread
 *	... threads, listen ...
 *	service_seal(&sandbox);              system calls
 *	service_ready("signing with 2 keys");
 *	service_wait();                      until SIGTERM, SIGINT; watchdog fed
 *	service_stopping();
 *	... drain, at most SERVICE_DRAIN_MS ...
 *
 * sd_notify(3)'s datagrams are sent by ourselves (NOTIFY_SOCKET, also
 * abstract); failures are ignored. Every descriptor is opened by service_init,
 * so a program may give up the right to open more: afterwards only read, poll,
 * send and write are called on them.
 */
#ifndef CORE_SERVICE_H
#define CORE_SERVICE_H

#include "clock.h"

struct err;
struct sandbox;

#define SERVICE_DRAIN_MS 10000

/*
 * Blocks SIGTERM, SIGINT, SIGHUP for the process, ignores SIGPIPE, hardens the
 * process (secret.h) and begins the log (log.h; log_level NULL is "info"). To
 * be called before any thread starts.
 */
void service_init(const char *name, const char *log_level);
/* sandbox_seal (sandbox.h), with a line in the log that says what is in force,
 * and a warning when something is not. */
int service_seal(struct sandbox *s, struct err *e);
void service_ready(const char *status);
void service_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void service_stopping(void);
/*
 * Waits for SIGTERM or SIGINT (returns 0), SIGHUP (returns 1), or until d
 * (returns 2); once stopped, returns 0 at once. Feeds the watchdog meanwhile as
 * long as alive(ctx) returns nonzero; alive may be NULL.
 */
int service_wait(deadline_t d, int (*alive)(void *), void *ctx);
/* From now on a signal that stops ends the process at once: for those who have
 * nothing to lose by it, and may take long. */
void service_impatient(void);
/* 1 once SIGTERM or SIGINT was seen by service_wait, or service_stop called. */
int service_stopped(void);
void service_stop(void);
/* The listening sockets of socket activation: returns how many (fd 3 ...). */
int service_listen_fds(void);

#endif
