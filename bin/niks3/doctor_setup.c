/* niks3 doctor: what the command line itself is given. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/http/tls.h"
#include "credential.h"
#include "doctor.h"

#define OTHERS     077 /* of the mode of a file */
#define CERT_END_S (14 * 86400)

static void
check_url(struct doctor *d)
{
	const char *url = d->config->remote.server_url;
	size_t len = url != NULL ? strlen(url) : 0;
	char plain[TRUST_URL_MAX];

	if (url == NULL) {
		doctor_say(d, "server-url", FINDING_PROBLEM,
		    "give --server-url or NIKS3_SERVER_URL", "none is given");
		return;
	}
	while (len > 0 && url[len - 1] == '/')
		len--;
	if (remote_check_url(url) != 0) {
		doctor_say(d, "server-url", FINDING_PROBLEM,
		    "give one as https://HOST, by --server-url or "
		    "NIKS3_SERVER_URL",
		    "%s: not an http(s) URL", trust_plain_url(plain, url));
		return;
	}
	if ((d->url = arena_strn(d->a, url, len)) == NULL)
		err_die("out of memory for the URL");
	doctor_say(d, "server-url", FINDING_OK, NULL, "%s",
	    trust_plain_url(plain, d->url));
}

static void
check_mode(struct doctor *d, const char *path)
{
	char advice[512];
	struct stat st;

	/* It was read a moment ago. */
	if (stat(path, &st) != 0)
		return;
	snprintf(advice, sizeof advice, "run: chmod go= %s", path);
	if (st.st_mode & OTHERS)
		doctor_say(d, "credential", FINDING_WARNING, advice,
		    "token in %s: others than its owner may open it (mode "
		    "%03o)",
		    path, (unsigned)st.st_mode & 0777);
	else
		doctor_say(
		    d, "credential", FINDING_OK, NULL, "token in %s", path);
}

static int
check_credential(struct doctor *d)
{
	const struct remote_config *r = &d->config->remote;
	struct credential *c;
	struct err e = ERR_INIT;

	if (credential_new(&d->config->remote, &c, &e) != 0) {
		/* Who only reads needs none. */
		if (e.kind == ERR_USAGE && r->token_path == NULL &&
		    r->token_script == NULL)
			doctor_say(d, "credential", FINDING_WARNING, e.hint,
			    "%s: nothing can be pushed", e.msg);
		else
			doctor_fail(d, "credential", &e,
			    "put a token there: niks3 token create makes one");
		return -1;
	}
	if (credential_path(c) != NULL)
		check_mode(d, credential_path(c));
	else
		doctor_say(d, "credential", FINDING_OK, NULL, "by %s",
		    credential_source(c));
	credential_free(c);
	return 0;
}

static void
check_certificates(struct doctor *d, const char *check, const char *path)
{
	int64_t expires_s, left_s;
	struct err e = ERR_INIT;
	unsigned n;

	if (tls_file_check(path, &n, &expires_s, &e) != 0) {
		doctor_fail(d, check, &e, "give a readable file in PEM");
		return;
	}
	left_s = expires_s - clock_wall_us() / 1000000;
	if (left_s <= 0)
		doctor_say(d, check, FINDING_PROBLEM, "renew it",
		    "%s: a certificate ended %lld days ago", path,
		    (long long)(-left_s / 86400));
	else if (left_s < CERT_END_S)
		doctor_say(d, check, FINDING_WARNING, "renew it",
		    "%s: a certificate ends in %lld days", path,
		    (long long)(left_s / 86400));
	else
		doctor_say(d, check, FINDING_OK, NULL,
		    "%s: certificates: %u, good for %lld days", path, n,
		    (long long)(left_s / 86400));
}

static void
check_client_cert(struct doctor *d)
{
	const struct remote_config *r = &d->config->remote;
	struct err e = ERR_INIT;
	struct tls *t;

	if (r->client_cert == NULL && r->client_key == NULL)
		return;
	if (r->client_cert == NULL || r->client_key == NULL) {
		doctor_say(d, "client-cert", FINDING_PROBLEM,
		    "give both, or none",
		    "--client-cert and --client-key go together");
		return;
	}
	if (tls_new(r->client_cert, r->client_key, NULL, &t, &e) != 0) {
		doctor_fail(d, "client-cert", &e,
		    "give a certificate and its key, in PEM");
		return;
	}
	tls_free(t);
	check_certificates(d, "client-cert", r->client_cert);
}

void
doctor_setup(struct doctor *d)
{
	const struct remote_config *r = &d->config->remote;
	int has_credential;

	http_client_global_init();
	check_url(d);
	has_credential = check_credential(d) == 0;
	if (r->ca_cert != NULL)
		check_certificates(d, "ca-cert", r->ca_cert);
	check_client_cert(d);
	d->http = http_client_new(&(struct http_client_options){
	    .ca_file = r->ca_cert,
	    .client_cert = r->client_cert,
	    .client_key = r->client_key,
	    .user_agent = "niks3/" NIKS3_VERSION,
	});
	if (d->url != NULL && has_credential &&
	    remote_new(r, &d->remote, NULL) == 0)
		d->conn = remote_conn_new(d->remote);
}
