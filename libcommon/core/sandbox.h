/*
 * What a program may still do once it runs. It says beforehand what it needs;
 * all else is taken from it, for good, and from whoever breaks into it.
 *
 *	sandbox_init(&s, "niks3-signer");
 *	sandbox_socket(&s, "ipc:///run/niks3/signer.sock");
 *	sandbox_begin(&s, &e);		before the first thread
 *	... threads, listen ...
 *	sandbox_seal(&s, &e);		last
 *
 * Each layer adds what it needs itself (db_needs, s3_needs, http_client_needs ...),
 * and each program has its list in sandbox.c beside its main.c.
 *
 * sandbox_begin: no_new_privs, as few descriptors as it needs, and Landlock
 * (landlock(7)): which files can be opened or made, and, from ABI 4 on,
 * at which TCP ports it may listen and to which it may connect; from 6 on, no
 * abstract socket and no signal to others. Landlock holds for this thread and
 * those that it starts, so it comes first. What is not there, or comes later
 * (a file that is replaced), is allowed by the directory that it is in.
 *
 * sandbox_seal: a seccomp filter for all threads. Groups of system calls follow
 * from the needs: who reads nothing cannot open, who connects nowhere has no
 * socket(2), nobody can bind any more. What is plainly an attack (execve, ptrace,
 * mount ...) kills the process; what needs a right that was given up gets EPERM,
 * EACCES or EAFNOSUPPORT; every other call gets ENOSYS, which libraries know how
 * to do without. It names no file and no address: that is Landlock's part.
 *
 * Where the kernel has neither, the program runs without, and sandbox_missing
 * tells; where it must not (required), both fail.
 *
 * A build with the address or thread sanitizer has no seccomp filter, and may read
 * its own /proc: their run-time needs calls, such as ptrace, that nothing here may
 * have.
 */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

#include "opt.h"

struct err;

#define SANDBOX_PATHS_MAX 128
#define SANDBOX_PORTS_MAX 32
#define SANDBOX_TEXT_MAX  512

/* What may be done to a path and, when it is a directory, all below it. */
enum sandbox_path {
	SANDBOX_READ = 1,
	SANDBOX_SOCKET = 2, /* make and remove sockets */
};

struct sandbox_ports {
	uint16_t ports[SANDBOX_PORTS_MAX];
	size_t n;
};

struct sandbox {
	const char *name;
	struct {
		char *path;
		enum sandbox_path may;
	} paths[SANDBOX_PATHS_MAX];
	size_t npaths;
	struct sandbox_ports bind, connect;
	int connect_any;
	int reads, serves, dials; /* groups of system calls */
	uint64_t fds;             /* 0: what the system allows */
	int required;
	/* What is in force. */
	int landlock; /* the ABI; 0: nothing */
	int seccomp;
	char why[SANDBOX_TEXT_MAX]; /* something is not; "" when all is */
};

/* The row of every program's option table for a struct sandbox_config at o. */
struct sandbox_config {
	int required;
};
#define SANDBOX_OPTIONS(o)                                                     \
	{                                                                      \
		"require-sandbox", "NIKS3_REQUIRE_SANDBOX", OPT_BOOL,          \
		    (o) + offsetof(struct sandbox_config, required), OPT_RARE, \
		    "false", "BOOL",                                           \
		    "do not run where Landlock or seccomp is missing", 0, 0,   \
	}

/* ---- needs; what is given as NULL is none ---- */

void sandbox_init(struct sandbox *s, const char *name);
void sandbox_done(struct sandbox *s);
/* A file, or a directory with all below it, as it is now. */
void sandbox_read(struct sandbox *s, const char *path);
/*
 * A file that is read again later, and may be another one by then: the directory
 * it stands in, and, when it is a link, that of what it leads to. Kubernetes and
 * certbot replace links.
 */
void sandbox_reread(struct sandbox *s, const char *path);
/* A socket to be made: "ipc://PATH" or PATH. Removed again at the end. */
void sandbox_socket(struct sandbox *s, const char *address);
/* Connects to unix sockets. Which ones, the sockets' modes decide. */
void sandbox_dial(struct sandbox *s);
void sandbox_bind(struct sandbox *s, uint16_t port); /* TCP; 0: any free one */
void sandbox_connect(struct sandbox *s, uint16_t port);
void sandbox_connect_any(struct sandbox *s);
/* Accepts connections, of a socket that was handed over or is made. */
void sandbox_serve(struct sandbox *s);
/*
 * Looks up users, or hosts, by name, and so needs what glibc may read for that:
 * all of /etc, since its files there are replaced by others; and the libraries
 * that nsswitch.conf may name.
 */
void sandbox_users(struct sandbox *s);
void sandbox_hosts(struct sandbox *s);
/* Hosts before sandbox_seal, but not later. */
void sandbox_hosts_first(struct sandbox *s);
/* Open descriptors at most. */
void sandbox_fds(struct sandbox *s, uint64_t n);

/* ---- taking the rest away ---- */

/* UNAVAILABLE: required, and not to be had. The process then has lost some of its
 * rights and should end. */
int sandbox_begin(struct sandbox *s, struct err *e);
int sandbox_seal(struct sandbox *s, struct err *e);
/* What of it is not in force and why; NULL when all is. */
const char *sandbox_missing(const struct sandbox *s);

/* For the log: lists, or "none". */
struct sandbox_told {
	char reads[SANDBOX_TEXT_MAX], sockets[SANDBOX_TEXT_MAX];
	char listens[SANDBOX_TEXT_MAX], connects[SANDBOX_TEXT_MAX];
};
void sandbox_tell(const struct sandbox *s, struct sandbox_told *out);

#endif
