#include "s3_internal.h"

#include <stdlib.h>
#include <string.h>

#include "../core/err.h"
#include "s3_cred_internal.h"
#include "sigv4.h"

#define TELLING 16 /* bytes of a secret that are not in a text by chance */

/* These go into header lines. */
static int
check_secret(const struct secret *s, const char *what, struct err *e)
{
	if (s == NULL || s->len == 0)
		return err_set(e, ERR_INVALID, "S3 %s: missing", what);
	for (size_t i = 0; i < s->len; i++)
		if (s->data[i] <= ' ' || s->data[i] > '~')
			return err_set(e, ERR_INVALID,
			    "S3 %s: not visible ASCII only", what);
	return 0;
}

int
s3_keys_new(const struct secret *access_key, const struct secret *secret_key,
    const struct secret *session_token, int64_t expires_s, struct s3_keys **out,
    struct err *e)
{
	struct s3_keys *k;
	int token = session_token != NULL && session_token->len > 0;

	if (check_secret(access_key, "access key", e) != 0 ||
	    check_secret(secret_key, "secret key", e) != 0 ||
	    (token && check_secret(session_token, "session token", e) != 0))
		return -1;
	if (secret_key->len > SIGV4_SECRET_MAX)
		return err_set(e, ERR_INVALID, "S3 secret key: over %d bytes",
		    SIGV4_SECRET_MAX);
	if (token && session_token->len > S3_KEYS_TOKEN_MAX)
		return err_set(e, ERR_INVALID,
		    "S3 session token: over %d bytes", S3_KEYS_TOKEN_MAX);
	k = xcalloc(1, sizeof *k);
	k->holders = 1;
	k->expires_s = expires_s;
	if (secret_set(&k->access_key, access_key->data, access_key->len, e) !=
	        0 ||
	    secret_set(&k->secret_key, secret_key->data, secret_key->len, e) !=
	        0 ||
	    (token &&
	        secret_set(&k->session_token, session_token->data,
	            session_token->len, e) != 0)) {
		s3_keys_drop(k);
		return -1;
	}
	*out = k;
	return 0;
}

struct s3_keys *
s3_keys_hold(struct s3_keys *k)
{
	atomic_fetch_add(&k->holders, 1);
	return k;
}

void
s3_keys_drop(struct s3_keys *k)
{
	if (k == NULL || atomic_fetch_sub(&k->holders, 1) > 1)
		return;
	secret_done(&k->access_key);
	secret_done(&k->secret_key);
	secret_done(&k->session_token);
	free(k);
}

int64_t
s3_keys_life_s(const struct s3_keys *k)
{
	if (k->expires_s == INT64_MAX)
		return INT64_MAX;
	return k->expires_s - clock_wall_us() / 1000000;
}

int
s3_keys_tells(const char *text, const struct secret *s)
{
	size_t n = s->len < TELLING ? s->len : TELLING;

	return n > 0 && memmem(text, strlen(text), s->data, n) != NULL;
}

struct sigv4_credentials
s3_keys_sigv4(const struct s3_keys *k)
{
	return (struct sigv4_credentials){
		.access_key = k->access_key.data,
		.secret_key = k->secret_key.data,
		.session_token = k->session_token.data,
	};
}

int
s3_keys_get(struct s3 *s, deadline_t d, struct s3_keys **out, struct err *e)
{
	if (s->cred != NULL)
		return s3_cred_get(s->cred, d, out, e);
	*out = s3_keys_hold(s->keys);
	return 0;
}
