/*
 * What a client needs in a sandbox. A file of its own, so that who is in none is
 * not linked with libseccomp.
 */
#include <stdlib.h>

#include "../core/err.h"
#include "../core/sandbox.h"
#include "client_internal.h"

/* Does libcurl go through a proxy that the environment names? */
static int
has_proxy(void)
{
	static const char *const names[] = { "http_proxy", "https_proxy",
		"HTTPS_PROXY", "all_proxy", "ALL_PROXY" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (getenv(names[i]) != NULL)
			return 1;
	return 0;
}

/* -1: it has none, so it will not be asked. */
static int
url_port(const char *url)
{
	CURLU *u = curl_url();
	char *text = NULL;
	int port = -1;

	if (u == NULL)
		err_die("out of memory for a URL");
	if (curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) ==
	        CURLUE_OK)
		port = atoi(text);
	curl_free(text);
	curl_url_cleanup(u);
	return port;
}

/* The system's. Those of a directory are links. */
static void
authorities_need(struct sandbox *s)
{
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);

	sandbox_reread(s, v->cainfo);
	sandbox_read(s, v->capath);
	sandbox_read(s, "/usr/share/ca-certificates");
	sandbox_read(s, "/usr/local/share/ca-certificates");
	/* Some builds of libcurl and OpenSSL look there first. */
	sandbox_reread(s, getenv("SSL_CERT_FILE"));
	sandbox_reread(s, getenv("NIX_SSL_CERT_FILE"));
	sandbox_read(s, getenv("SSL_CERT_DIR"));
}

void
http_client_needs(const char *url, const char *ca_file, struct sandbox *s)
{
	int port = url != NULL ? url_port(url) : -1;

	http_client_global_init();
	sandbox_hosts(s);
	if (ca_file != NULL)
		sandbox_reread(s, ca_file);
	else
		authorities_need(s);
	if (url == NULL || has_proxy())
		sandbox_connect_any(s);
	else if (port >= 0)
		sandbox_connect(s, (uint16_t)port);
}
