/*
 * Where a connection string leads, as libpq would understand it.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/num.h"
#include "../core/sandbox.h"
#include "db_internal.h"

#define PORT_DEFAULT 5432

/* What the string says, or else the environment and libpq itself; "" for
 * nothing. */
struct params {
	PQconninfoOption *given, *defaults;
};

static const char *
find(const PQconninfoOption *o, const char *name)
{
	for (; o != NULL && o->keyword != NULL; o++)
		if (strcmp(o->keyword, name) == 0)
			return o->val != NULL ? o->val : "";
	return "";
}

static const char *
param(const struct params *p, const char *name)
{
	const char *value = find(p->given, name);

	return *value != '\0' ? value : find(p->defaults, name);
}

/* Does one of the hosts, which are parted by commas, speak TCP? */
static int
is_tcp(const struct params *p)
{
	const char *host = param(p, "host");

	if (*param(p, "hostaddr") != '\0')
		return 1;
	if (*host == '\0') /* libpq's own socket */
		return 0;
	for (;; host++) {
		if (*host != '/' && *host != '@')
			return 1;
		if ((host = strchr(host, ',')) == NULL)
			return 0;
	}
}

static void
need_ports(const struct params *p, struct sandbox *s)
{
	const char *list = param(p, "port");

	for (;;) {
		size_t len = strcspn(list, ",");
		uint64_t port = PORT_DEFAULT;

		num_parse_u64(list, len, UINT16_MAX, &port, NULL);
		sandbox_connect(s, (uint16_t)port);
		if (list[len] == '\0')
			return;
		list += len + 1;
	}
}

/* Below the home directory, of which nothing else is needed. */
static void
need_home(const char *name, struct sandbox *s)
{
	const char *home = getenv("HOME");
	char path[PATH_MAX];

	if (home == NULL)
		return;
	snprintf(path, sizeof path, "%s/%s", home, name);
	sandbox_read(s, path);
}

static void
need_files(const struct params *p, struct sandbox *s)
{
	static const char *const names[] = { "passfile", "sslrootcert",
		"sslcert", "sslkey", "sslcrl", "sslcrldir" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *path = param(p, names[i]);

		if (*path == '/')
			sandbox_reread(s, path);
	}
	need_home(".pgpass", s);
	need_home(".postgresql", s);
}

void
db_needs(const char *conninfo, struct sandbox *s)
{
	struct params p = { PQconninfoParse(conninfo, NULL), PQconndefaults() };

	sandbox_dial(s);
	need_files(&p, s);
	if (*param(&p, "service") != '\0') { /* a file that says the rest */
		sandbox_hosts(s);
		sandbox_connect_any(s);
		need_home(".pg_service.conf", s);
		sandbox_reread(s, getenv("PGSERVICEFILE"));
	} else if (is_tcp(&p)) {
		sandbox_hosts(s);
		need_ports(&p, s);
	}
	/* Whom libpq takes who is not named, and the user that a local server
	 * must run as. */
	if ((*find(p.given, "user") == '\0' && getenv("PGUSER") == NULL) ||
	    *param(&p, "requirepeer") != '\0')
		sandbox_users(s);
	PQconninfoFree(p.given);
	PQconninfoFree(p.defaults);
}
