#include "sandbox.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "err.h"
#include "sandbox_internal.h"

#define SCHEME   "ipc://"
#define DNS_PORT 53 /* of answers that do not fit into a datagram */

void
sandbox_init(struct sandbox *s, const char *name)
{
	*s = (struct sandbox){ .name = name };
}

void
sandbox_done(struct sandbox *s)
{
	while (s->npaths > 0)
		free(s->paths[--s->npaths].path);
}

/* ---- paths ---- */

static void
allow(struct sandbox *s, const char *path, enum sandbox_path may)
{
	for (size_t i = 0; i < s->npaths; i++)
		if (strcmp(s->paths[i].path, path) == 0) {
			s->paths[i].may |= may;
			return;
		}
	if (s->npaths == SANDBOX_PATHS_MAX)
		err_die("%s: a sandbox with more than %d paths", s->name,
		    SANDBOX_PATHS_MAX);
	s->paths[s->npaths].path = xstrdup(path);
	s->paths[s->npaths++].may = may;
}

/* The directory of path; but never "/", which would be everything. */
static void
allow_parent(struct sandbox *s, const char *path, enum sandbox_path may)
{
	char *copy = xstrdup(path);
	const char *dir = dirname(copy);

	allow(s, strcmp(dir, "/") == 0 ? path : dir, may);
	free(copy);
}

void
sandbox_read(struct sandbox *s, const char *path)
{
	if (path == NULL)
		return;
	s->reads = 1;
	allow(s, path, SANDBOX_READ);
}

void
sandbox_reread(struct sandbox *s, const char *path)
{
	char target[PATH_MAX];

	if (path == NULL)
		return;
	s->reads = 1;
	allow_parent(s, path, SANDBOX_READ);
	if (realpath(path, target) != NULL)
		allow_parent(s, target, SANDBOX_READ);
}

void
sandbox_socket(struct sandbox *s, const char *address)
{
	if (address == NULL)
		return;
	if (strncmp(address, SCHEME, strlen(SCHEME)) == 0)
		address += strlen(SCHEME);
	s->serves = 1;
	allow_parent(s, address, SANDBOX_SOCKET);
}

static const char *const name_files[] = { "/etc/resolv.conf",
	"/etc/nsswitch.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf",
	"/etc/passwd" };
#define NAME_FILES (sizeof name_files / sizeof name_files[0])

void
sandbox_users(struct sandbox *s)
{
	static const char *const dirs[] = { "/lib", "/lib64", "/usr/lib",
		"/usr/lib64", "/usr/local/lib", "/nix/store",
		"/run/systemd/resolve", "/run/resolvconf",
		"/run/NetworkManager" };

	for (size_t i = 0; i < NAME_FILES; i++)
		sandbox_reread(s, name_files[i]);
	for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
		sandbox_read(s, dirs[i]);
	/* nscd and systemd's services are asked over unix sockets. */
	sandbox_dial(s);
}

/* ---- sockets ---- */

static void
add_port(struct sandbox *s, struct sandbox_ports *p, uint16_t port)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->ports[i] == port)
			return;
	if (p->n == SANDBOX_PORTS_MAX)
		err_die("%s: a sandbox with more than %d ports", s->name,
		    SANDBOX_PORTS_MAX);
	p->ports[p->n++] = port;
}

void
sandbox_dial(struct sandbox *s)
{
	s->dials = 1;
}

void
sandbox_serve(struct sandbox *s)
{
	s->serves = 1;
}

void
sandbox_bind(struct sandbox *s, uint16_t port)
{
	s->serves = 1;
	add_port(s, &s->bind, port);
}

void
sandbox_connect(struct sandbox *s, uint16_t port)
{
	add_port(s, &s->connect, port);
}

void
sandbox_hosts(struct sandbox *s)
{
	sandbox_users(s);
	sandbox_connect(s, DNS_PORT);
}

void
sandbox_hosts_first(struct sandbox *s)
{
	for (size_t i = 0; i < NAME_FILES; i++)
		sandbox_read(s, name_files[i]);
}

void
sandbox_connect_any(struct sandbox *s)
{
	s->connect_any = 1;
}

void
sandbox_fds(struct sandbox *s, uint64_t n)
{
	s->fds = n;
}

/* ---- taking the rest away ---- */

/* As many as it needs, and never more again; fewer, where we may not have more.
 */
static void
limit_fds(uint64_t n)
{
	struct rlimit l;

	if (n == 0 || getrlimit(RLIMIT_NOFILE, &l) != 0)
		return;
	if (l.rlim_max > n)
		l.rlim_max = n;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

/* Something is not to be had: an error where it must be, else remembered. */
static int
lacking(struct sandbox *s, const struct err *why, struct err *e)
{
	size_t len = strlen(s->why);

	if (why->kind != ERR_UNAVAILABLE || s->required) {
		if (e != NULL)
			*e = *why;
		err_prefix(e, "sandbox");
		if (why->kind == ERR_UNAVAILABLE)
			err_hint(e, "%s%srun without --require-sandbox",
			    why->hint, why->hint[0] != '\0' ? ", or " : "");
		return -1;
	}
	snprintf(s->why + len, sizeof s->why - len, "%s%s", len > 0 ? "; " : "",
	    why->msg);
	return 0;
}

int
sandbox_begin(struct sandbox *s, struct err *e)
{
	struct err why = ERR_INIT;

	limit_fds(s->fds);
	if (SANDBOX_SANITIZED) /* LeakSanitizer looks for our threads */
		sandbox_read(s, "/proc/self");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(e, "sandbox: no_new_privs");
	if (landlock_apply(s, &s->landlock, &why) != 0)
		return lacking(s, &why, e);
	return 0;
}

int
sandbox_seal(struct sandbox *s, struct err *e)
{
	struct err why = ERR_INIT;

	if (seccomp_apply(s, &why) != 0)
		return lacking(s, &why, e);
	s->seccomp = 1;
	return 0;
}

const char *
sandbox_missing(const struct sandbox *s)
{
	return s->why[0] != '\0' ? s->why : NULL;
}

/* ---- text ---- */

__attribute__((format(printf, 2, 3))) static void
put(char out[SANDBOX_TEXT_MAX], const char *fmt, ...)
{
	size_t len = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + len, SANDBOX_TEXT_MAX - len, fmt, ap);
	va_end(ap);
}

static void
tell_paths(
    const struct sandbox *s, enum sandbox_path may, char out[SANDBOX_TEXT_MAX])
{
	for (size_t i = 0; i < s->npaths; i++)
		if (s->paths[i].may & may)
			put(out, "%s%s", out[0] != '\0' ? " " : "",
			    s->paths[i].path);
	if (out[0] == '\0')
		put(out, "none");
}

static void
tell_ports(const struct sandbox_ports *p, char out[SANDBOX_TEXT_MAX])
{
	for (size_t i = 0; i < p->n; i++)
		put(out, "%s%u", i > 0 ? " " : "", p->ports[i]);
	if (p->n == 0)
		put(out, "none");
}

void
sandbox_tell(const struct sandbox *s, struct sandbox_told *out)
{
	*out = (struct sandbox_told){ .reads = "" };
	tell_paths(s, SANDBOX_READ, out->reads);
	tell_paths(s, SANDBOX_SOCKET, out->sockets);
	tell_ports(&s->bind, out->listens);
	if (s->connect_any)
		put(out->connects, "any");
	else
		tell_ports(&s->connect, out->connects);
}
