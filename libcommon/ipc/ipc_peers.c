#include "ipc_peers.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/err.h"
#include "../core/num.h"
#include "ipc.h"

#define PEERS_MAX 64
#define PWD_MAX   16384 /* a line of passwd */

struct ipc_peers {
	size_t n;
	struct {
		enum role role;
		uid_t uid;
	} items[PEERS_MAX];
};

static int
find_role(const char *name, size_t len, enum role *out, struct err *e)
{
	for (int role = 0; role < ROLE__MAX; role++)
		if (strncmp(role_names[role], name, len) == 0 &&
		    role_names[role][len] == '\0') {
			*out = role;
			return 0;
		}
	return err_set(e, ERR_INVALID, "no such role");
}

/* A number, or the name of a user. */
static int
find_uid(const char *name, uid_t *out, struct err *e)
{
	char *space;
	struct passwd pw, *found = NULL;
	uint64_t n;
	int no;

	/* (uid_t)-1 means "none" to the system. */
	if (num_parse_u64(name, strlen(name), UINT32_MAX - 1, &n, NULL) == 0) {
		*out = n;
		return 0;
	}
	space = xmalloc(PWD_MAX);
	no = getpwnam_r(name, &pw, space, PWD_MAX, &found);
	if (found != NULL)
		*out = found->pw_uid;
	free(space);
	if (found != NULL)
		return 0;
	if (no != 0 && no != ENOENT) {
		errno = no;
		return err_sys(e, "looking up the user");
	}
	return err_set(e, ERR_INVALID, "no such user");
}

int
ipc_peers_parse(
    const char *const *items, size_t n, struct ipc_peers **out, struct err *e)
{
	struct ipc_peers *p = xcalloc(1, sizeof *p);

	if (n > PEERS_MAX) {
		err_set(
		    e, ERR_INVALID, "peers: over the limit of %d", PEERS_MAX);
		goto fail;
	}
	for (; p->n < n; p->n++) {
		const char *item = items[p->n], *sign = strchr(item, '=');
		if (sign == NULL) {
			err_set(e, ERR_INVALID, "peer %s: not role=user", item);
			goto fail;
		}
		if (find_role(item, sign - item, &p->items[p->n].role, e) ||
		    find_uid(sign + 1, &p->items[p->n].uid, e)) {
			err_prefix(e, "peer %s", item);
			goto fail;
		}
	}
	*out = p;
	return 0;
fail:
	free(p);
	return -1;
}

void
ipc_peers_free(struct ipc_peers *p)
{
	free(p);
}

int
ipc_peers_allow(const struct ipc_peers *p, uid_t uid, unsigned roles)
{
	if (p == NULL || p->n == 0)
		return uid == geteuid();
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i].uid == uid && roles & 1u << p->items[i].role)
			return 1;
	return 0;
}
