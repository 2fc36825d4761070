/*
 * Credentials of a container (AWS SDKs and Tools Reference Guide, "Container
 * credential provider"): of an ECS task, or of a pod of EKS. Over plain http only
 * addresses are asked that do not leave the machine, since neither the
 * authorisation nor the keys may.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/err.h"
#include "../http/client.h"
#include "s3_cred_internal.h"

#define RELATIVE  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
#define FULL      "AWS_CONTAINER_CREDENTIALS_FULL_URI"
#define TOKEN     "AWS_CONTAINER_AUTHORIZATION_TOKEN"
#define ECS       "169.254.170.2"
#define EKS_4     "169.254.170.23"
#define EKS_6     "fd00:ec2::23"
#define TOKEN_MAX 16384 /* bytes */

static int
is_allowed(const struct s3_cred_url *u)
{
	return u->tls || s3_cred_loopback(u->host) ||
	    strcmp(u->host, ECS) == 0 || strcmp(u->host, EKS_4) == 0 ||
	    strcmp(u->host, EKS_6) == 0;
}

static int
open_url(
    struct s3_source *s, const char *relative, const char *full, struct err *e)
{
	static const char ecs[] = "http://" ECS;
	struct s3_cred_url u;

	if (relative != NULL) {
		/* What follows the address must not become part of it. */
		if (relative[0] != '/')
			return err_set(
			    e, ERR_INVALID, RELATIVE ": does not begin with /");
		s->url = xmalloc(sizeof ecs + strlen(relative));
		strcpy(s->url, ecs);
		strcat(s->url, relative);
		return 0;
	}
	if (s3_cred_url(full, &u, e) != 0)
		return err_prefix(e, FULL);
	if (!is_allowed(&u)) {
		err_set(e, ERR_INVALID,
		    FULL ": %s: over http, credentials are "
		         "asked from this machine only",
		    u.host);
		return err_hint(e,
		    "use https, loopback, or the addresses of "
		    "ECS and EKS");
	}
	s->url = xstrdup(full);
	return 0;
}

int
s3_container_open(struct s3_source *s, struct err *e)
{
	const char *relative = s3_cred_env(RELATIVE);
	const char *full = s3_cred_env(FULL);
	const char *file = s3_cred_env(TOKEN "_FILE");
	const char *token = s3_cred_env(TOKEN);

	if (relative == NULL && full == NULL)
		return 0;
	if (open_url(s, relative, full, e) != 0)
		return -1;
	if (file != NULL)
		s->token_file = xstrdup(file);
	else if (token != NULL &&
	    secret_set(&s->token, token, strlen(token), e) != 0)
		return err_prefix(e, TOKEN);
	return 1;
}

int
s3_container_fetch(const struct s3_source *s, struct http_client *http,
    const volatile int *cancel, struct s3_keys **out, struct err *e)
{
	struct secret token = { 0 }, line = { 0 }, answer = { 0 };
	const struct secret *shown = &s->token;
	const char *lines[1];
	struct s3_cred_ask q = { .method = "GET",
		.url = s->url,
		.headers = lines,
		.cancel = cancel };
	int status, rc = -1;

	if (s->token_file != NULL) {
		if (secret_load(&token, s->token_file, TOKEN_MAX, NULL, e) != 0)
			goto out;
		shown = &token;
	}
	if (shown->len > 0) {
		if (s3_cred_line(&line, "Authorization", shown, e) != 0)
			goto out;
		lines[0] = line.data;
		q.nheaders = 1;
	}
	if (s3_cred_ask(http, &q, &answer, &status, e) != 0)
		goto out;
	if (status == 200)
		rc = s3_cred_parse(&answer, out, e);
	else
		err_set(e, ERR_UNAVAILABLE, "status %d", status);
out:
	secret_done(&token);
	secret_done(&line);
	secret_done(&answer);
	return rc;
}
