#include "auth_mtls.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/glob.h"
#include "../../libcommon/http/server.h"
#include "../../proto/scopes.h"
#include "auth.h"

/* What http_req has for the peer of a unix socket. */
#define LOCAL "local"

/* Its strings and lists are those of the configuration, which are copied: the
 * configuration may go. */
struct auth_mtls {
	int native;
	char *header, *subject_header;
	char **addresses;
	size_t naddresses;
	char **writers, **readers;
	size_t nwriters, nreaders;
};

static char **
copy_list(const struct opt_list *l)
{
	char **copy = xcalloc(l->n + 1, sizeof *copy);

	for (size_t i = 0; i < l->n; i++)
		copy[i] = xstrdup(l->items[i]);
	return copy;
}

static void
free_list(char **list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

/* Into the form in which http_req has them. */
static int
read_addresses(const struct auth_config *c, struct auth_mtls *m, struct err *e)
{
	static const char *const here[] = { "127.0.0.1", "::1", LOCAL };
	const struct opt_list *l = &c->proxy_addresses;
	char in[sizeof(struct in6_addr)], text[INET6_ADDRSTRLEN];

	m->addresses = xcalloc(l->n + 4, sizeof *m->addresses);
	for (size_t i = 0; i < l->n; i++) {
		int family = strchr(l->items[i], ':') ? AF_INET6 : AF_INET;

		if (inet_pton(family, l->items[i], in) != 1)
			return err_set(e, ERR_USAGE,
			    "--mtls-proxy-address %s: not an IP address",
			    l->items[i]);
		inet_ntop(family, in, text, sizeof text);
		m->addresses[m->naddresses++] = xstrdup(text);
	}
	if (c->proxy_socket != NULL)
		m->addresses[m->naddresses++] = xstrdup(LOCAL);
	for (size_t i = 0; m->naddresses == 0 && i < 3; i++)
		m->addresses[i] = xstrdup(here[i]);
	if (m->naddresses == 0)
		m->naddresses = 3;
	return 0;
}

static int
check(const struct auth_config *c, struct err *e)
{
	if (c->proxy_header != NULL && c->tls_client_ca != NULL)
		return err_set(e, ERR_USAGE,
		    "--mtls-proxy-header and --tls-client-ca exclude each "
		    "other: either a proxy ends TLS, or we do");
	if (c->proxy_header == NULL &&
	    (c->proxy_socket != NULL || c->proxy_addresses.n > 0))
		return err_set(e, ERR_USAGE,
		    "--mtls-proxy-socket and --mtls-proxy-address need "
		    "--mtls-proxy-header");
	if (c->proxy_header == NULL && c->tls_client_ca == NULL &&
	    c->bound_subjects.n + c->bound_subjects_read.n > 0)
		return err_set(e, ERR_USAGE,
		    "bound subjects need --tls-client-ca or "
		    "--mtls-proxy-header");
	return 0;
}

int
auth_mtls_new(
    const struct auth_config *c, struct auth_mtls **out, struct err *e)
{
	struct auth_mtls *m;

	if (check(c, e) != 0)
		return -1;
	m = xcalloc(1, sizeof *m);
	m->native = c->tls_client_ca != NULL;
	if (c->proxy_header != NULL) {
		m->header = xstrdup(c->proxy_header);
		m->subject_header = xstrdup(c->subject_header);
	}
	m->writers = copy_list(&c->bound_subjects);
	m->nwriters = c->bound_subjects.n;
	m->readers = copy_list(&c->bound_subjects_read);
	m->nreaders = c->bound_subjects_read.n;
	if (read_addresses(c, m, e) != 0) {
		auth_mtls_free(m);
		return -1;
	}
	*out = m;
	return 0;
}

void
auth_mtls_free(struct auth_mtls *m)
{
	if (m == NULL)
		return;
	free_list(m->addresses);
	free_list(m->writers);
	free_list(m->readers);
	free(m->header);
	free(m->subject_header);
	free(m);
}

static const char *
find_subject(const struct auth_mtls *m, const struct http_req *q)
{
	const char *said;
	size_t i = 0;

	if (m->native)
		return q->subject;
	if (m->header == NULL)
		return NULL;
	while (i < m->naddresses && strcmp(m->addresses[i], q->remote) != 0)
		i++;
	said = http_req_header(q, m->header);
	if (i == m->naddresses || said == NULL || strcmp(said, "SUCCESS") != 0)
		return NULL;
	/* A subject is needed only where one is asked for. */
	said = http_req_header(q, m->subject_header);
	return said != NULL ? said : "";
}

unsigned
auth_mtls_scopes(
    const struct auth_mtls *m, const struct http_req *q, const char **subject)
{
	const char *s = find_subject(m, q);

	*subject = s;
	if (s == NULL)
		return 0;
	if ((m->nwriters == 0 && m->nreaders == 0) ||
	    glob_match_any((const char *const *)m->writers, m->nwriters, s))
		return SCOPE_ALL;
	if (glob_match_any((const char *const *)m->readers, m->nreaders, s))
		return SCOPE_READ;
	return 0;
}

int
auth_mtls_gates_reads(const struct auth_mtls *m)
{
	return m->nreaders > 0;
}
