/*
 * Web identity: a token that the cluster wrote into a file (IRSA) is given to
 * the Security Token Service for credentials of a role (STS API Reference,
 * "AssumeRoleWithWebIdentity"). The request is not signed; the token is all it
 * needs, so it goes over https, or to this machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/buf.h"
#include "../core/err.h"
#include "../http/client.h"
#include "s3_cred_internal.h"
#include "s3_internal.h"

#define TOKEN_FILE  "AWS_WEB_IDENTITY_TOKEN_FILE"
#define ROLE        "AWS_ROLE_ARN"
#define SESSION     "AWS_ROLE_SESSION_NAME"
#define ENDPOINT    "AWS_ENDPOINT_URL_STS"
#define ROLE_MAX    2048 /* bytes: STS's limits */
#define SESSION_MAX 64
#define TOKEN_MAX   20000

static int
open_url(struct s3_source *s, struct err *e)
{
	const char *url = s3_cred_env(ENDPOINT);
	const char *region = s3_cred_env("AWS_REGION");
	char text[sizeof "https://sts..amazonaws.com.cn/" + S3_REGION_MAX];
	struct s3_cred_url u;

	if (url != NULL) {
		if (s3_cred_url(url, &u, e) != 0)
			return err_prefix(e, ENDPOINT);
		if (!u.tls && !s3_cred_loopback(u.host))
			return err_set(e, ERR_INVALID,
			    ENDPOINT ": %s: must be https", u.host);
		s->url = xstrdup(url);
		return 0;
	}
	if (region == NULL)
		region = s3_cred_env("AWS_DEFAULT_REGION");
	if (region == NULL)
		snprintf(text, sizeof text, "https://sts.amazonaws.com/");
	else if (strlen(region) > S3_REGION_MAX ||
	    region[strspn(region, S3_REGION_LETTERS)] != '\0')
		return err_set(e, ERR_INVALID, "AWS_REGION: no region");
	else
		snprintf(text, sizeof text, "https://sts.%s.amazonaws.com%s/",
		    region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	s->url = xstrdup(text);
	return 0;
}

int
s3_sts_open(struct s3_source *s, struct err *e)
{
	const char *file = s3_cred_env(TOKEN_FILE), *role = s3_cred_env(ROLE);
	const char *session = s3_cred_env(SESSION);

	if (file == NULL)
		return 0;
	if (role == NULL)
		return err_set(
		    e, ERR_USAGE, TOKEN_FILE " is set, " ROLE " is not");
	if (session == NULL)
		session = "niks3";
	if (strlen(role) > ROLE_MAX || strlen(session) > SESSION_MAX)
		return err_set(
		    e, ERR_INVALID, ROLE " or " SESSION ": too long");
	if (open_url(s, e) != 0)
		return -1;
	s->token_file = xstrdup(file);
	s->role = xstrdup(role);
	s->session = xstrdup(session);
	return 1;
}

static int
put_field(struct buf *b, const char *name, const char *value, struct err *e)
{
	if (buf_puts(b, name, e) != 0)
		return -1;
	return http_escape(b, value, strlen(value), 0, e);
}

/* Escaped into memory that is locked and does not grow. */
static int
make_body(const struct s3_source *s, const struct secret *token,
    struct secret *out, struct err *e)
{
	struct buf b;

	if (secret_zero(out, SECRET_MAX, e) != 0)
		return -1;
	b = (struct buf){ .data = (uint8_t *)out->data,
		.cap = out->len + 1,
		.max = out->len };
	if (buf_puts(&b, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15",
	        e) != 0 ||
	    put_field(&b, "&RoleArn=", s->role, e) != 0 ||
	    put_field(&b, "&RoleSessionName=", s->session, e) != 0 ||
	    put_field(&b, "&WebIdentityToken=", token->data, e) != 0)
		return -1;
	out->len = b.len;
	return 0;
}

struct assumed {
	struct secret access_key, secret_key, token;
	int64_t expires_s;
};

static int
assumed_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	struct assumed *a = ctx;
	size_t len = strlen(text);

	if (strcmp(parent, "Credentials") != 0)
		return 0;
	if (strcmp(name, "AccessKeyId") == 0)
		return secret_set(&a->access_key, text, len, e);
	if (strcmp(name, "SecretAccessKey") == 0)
		return secret_set(&a->secret_key, text, len, e);
	if (strcmp(name, "SessionToken") == 0)
		return secret_set(&a->token, text, len, e);
	if (strcmp(name, "Expiration") == 0)
		return s3_time_parse(text, &a->expires_s, e);
	return 0;
}

static int
parse(const struct buf *xml, struct s3_keys **out, struct err *e)
{
	static const struct s3_xml x = { "AssumeRoleWithWebIdentityResponse",
		assumed_leaf, NULL };
	struct assumed a = { .expires_s = 0 };
	int rc = s3_xml_parse(xml, &x, &a, e);

	if (rc == 0)
		rc = s3_keys_new(&a.access_key, &a.secret_key, &a.token,
		    a.expires_s, out, e);
	if (rc != 0) {
		if (e != NULL)
			e->kind = ERR_CORRUPT;
		err_prefix(e, "the answer");
	}
	secret_done(&a.access_key);
	secret_done(&a.secret_key);
	secret_done(&a.token);
	return rc;
}

static int
refused(const struct buf *xml, const struct secret *token, int status,
    struct err *e)
{
	struct s3_fault f = { "" };

	(void)s3_fault_parse(xml, &f);
	if (s3_keys_tells(f.message, token))
		f.message[0] = '\0';
	return err_set(e, ERR_UNAVAILABLE, "STS: %s%s%s (status %d)",
	    f.code[0] != '\0' ? f.code : "no reason given",
	    f.message[0] != '\0' ? ": " : "", f.message, status);
}

int
s3_sts_fetch(const struct s3_source *s, struct http_client *http,
    const volatile int *cancel, struct s3_keys **out, struct err *e)
{
	static const char *const lines[] = {
		"Content-Type: application/x-www-form-urlencoded",
		"Accept: application/xml"
	};
	struct secret token = { 0 }, body = { 0 }, answer = { 0 };
	struct buf xml;
	int status, rc = -1;

	if (secret_load(&token, s->token_file, TOKEN_MAX, NULL, e) != 0 ||
	    make_body(s, &token, &body, e) != 0 ||
	    s3_cred_ask(http,
	        &(struct s3_cred_ask){ .method = "POST",
	            .url = s->url,
	            .headers = lines,
	            .nheaders = 2,
	            .body = &body,
	            .cancel = cancel },
	        &answer, &status, e) != 0)
		goto out;
	xml = (struct buf){ .data = (uint8_t *)answer.data,
		.len = answer.len,
		.cap = answer.len + 1,
		.max = answer.len };
	rc = status == 200 ? parse(&xml, out, e)
	                   : refused(&xml, &token, status, e);
out:
	secret_done(&token);
	secret_done(&body);
	secret_done(&answer);
	return rc;
}
