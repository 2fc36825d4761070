/*
 * Instance metadata of EC2, version 2 (EC2 User Guide, "Use the Instance
 * Metadata Service", "Retrieve security credentials"): a PUT gives a session
 * token, with which the name of the instance's role and then its credentials are
 * read. Version 1, without the token, is not used: whoever can make a program
 * send a GET could use it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../core/buf.h"
#include "../core/err.h"
#include "../http/client.h"
#include "s3_cred_internal.h"

#define ADDRESS_4   "http://169.254.169.254"
#define ADDRESS_6   "http://[fd00:ec2::254]"
#define ROLES       "/latest/meta-data/iam/security-credentials/"
#define ROLE_MAX    64 /* bytes: IAM's limit */
#define ADDRESS_MAX 1024
#define URL_MAX     (ADDRESS_MAX + sizeof ROLES + 3 * ROLE_MAX)

int
s3_imds_open(struct s3_source *s, struct err *e)
{
	const char *off = s3_cred_env("AWS_EC2_METADATA_DISABLED");
	const char *url = s3_cred_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode =
	    s3_cred_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	struct s3_cred_url u;
	size_t len;

	if (off != NULL && strcasecmp(off, "true") == 0)
		return 0;
	if (url == NULL)
		url = mode != NULL && strcasecmp(mode, "ipv6") == 0 ? ADDRESS_6
		                                                    : ADDRESS_4;
	len = strlen(url);
	if (s3_cred_url(url, &u, e) != 0 ||
	    (len > ADDRESS_MAX &&
	        err_set(e, ERR_INVALID, "%zu bytes", len) != 0))
		return err_prefix(e, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
	while (url[len - 1] == '/')
		len--;
	s->url = xstrdup(url);
	s->url[len] = '\0';
	return 1;
}

/* One question whose answer must be 200. */
static int
ask(struct http_client *http, const struct s3_cred_ask *q,
    struct secret *answer, struct err *e)
{
	int status;

	if (s3_cred_ask(http, q, answer, &status, e) != 0)
		return -1;
	if (status == 200)
		return 0;
	err_set(
	    e, ERR_UNAVAILABLE, "%s %s: status %d", q->method, q->url, status);
	if (status == 404 && strcmp(q->method, "GET") == 0)
		err_hint(e, "give the instance a role");
	return -1;
}

/* The session token that the other questions must show, as a header line. */
static int
begin(const struct s3_source *s, struct http_client *http,
    const volatile int *cancel, struct secret *line, struct err *e)
{
	static const char *const ttl[] = {
		"X-aws-ec2-metadata-token-ttl-seconds: 60"
	};
	struct secret token = { 0 };
	char url[URL_MAX];
	int rc;

	snprintf(url, sizeof url, "%s/latest/api/token", s->url);
	rc = ask(http,
	    &(struct s3_cred_ask){ .method = "PUT",
	        .url = url,
	        .headers = ttl,
	        .nheaders = 1,
	        .cancel = cancel },
	    &token, e);
	if (rc != 0 && e != NULL && e->kind == ERR_TIMEOUT)
		err_hint(e,
		    "in a container, the instance's hop limit for "
		    "metadata must be 2");
	if (rc == 0)
		rc = s3_cred_line(line, "X-aws-ec2-metadata-token", &token, e);
	secret_done(&token);
	return rc;
}

/* The first line of the list of roles; there is never more than one. */
static int
role_url(const struct s3_source *s, const struct secret *list,
    char url[URL_MAX], struct err *e)
{
	size_t len = strcspn(list->data, "\r\n");
	struct buf b;
	int rc = -1;

	buf_init(&b, URL_MAX - 1);
	if (len == 0 || len > ROLE_MAX)
		err_set(e, ERR_CORRUPT, "a role's name of %zu bytes", len);
	else if (buf_puts(&b, s->url, e) == 0 && buf_puts(&b, ROLES, e) == 0 &&
	    http_escape(&b, list->data, len, 0, e) == 0) {
		strcpy(url, buf_str(&b));
		rc = 0;
	}
	buf_done(&b);
	return rc;
}

int
s3_imds_fetch(const struct s3_source *s, struct http_client *http,
    const volatile int *cancel, struct s3_keys **out, struct err *e)
{
	struct secret session = { 0 }, answer = { 0 };
	char url[URL_MAX];
	const char *lines[1];
	struct s3_cred_ask q = { .method = "GET",
		.url = url,
		.headers = lines,
		.nheaders = 1,
		.cancel = cancel };
	int rc = -1;

	if (begin(s, http, cancel, &session, e) != 0)
		goto out;
	lines[0] = session.data;
	snprintf(url, sizeof url, "%s" ROLES, s->url);
	if (ask(http, &q, &answer, e) != 0 ||
	    role_url(s, &answer, url, e) != 0 || ask(http, &q, &answer, e) != 0)
		goto out;
	rc = s3_cred_parse(&answer, out, e);
out:
	secret_done(&session);
	secret_done(&answer);
	return rc;
}
