/*
 * The bearer token that the server is shown, from the first of these that is
 * there:
 *
 *	1. --auth-token-script: a command that prints {"token": …, "expires_at": …};
 *	   kept for 75 % of its life, or not at all when it has no end;
 *	2. a file (--auth-token-path, NIKS3_AUTH_TOKEN_FILE, or
 *	   $XDG_CONFIG_HOME/niks3/auth-token): read again after CREDENTIAL_FILE_MS;
 *	3. none, with --client-cert: the certificate says who we are;
 *	4. GitHub Actions, in a job that may ask for an OIDC token
 *	   (ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN): asked for the audience that
 *	   the server names, and kept for 75 % of its life.
 *
 * Thread-safe. Tokens are in locked memory and in no text.
 */
#ifndef NIKS3_CREDENTIAL_H
#define NIKS3_CREDENTIAL_H

#include "../../libcommon/core/clock.h"

struct credential;
struct err;
struct remote_config;
struct secret;

#define CREDENTIAL_FILE_MS   60000
#define CREDENTIAL_SCRIPT_MS 60000 /* it may take so long */
#define CREDENTIAL_GITHUB_MS 30000
#define CREDENTIAL_MAX       16384 /* characters of a token */

/*
 * Finds out which it is; a file is read at once, so that what is wrong with it is
 * said at the start. config must outlive it.
 */
int credential_new(
    const struct remote_config *config, struct credential **out, struct err *e);
void credential_free(struct credential *c); /* takes NULL */
/* Of the file; NULL when the token comes from elsewhere. */
const char *credential_path(const struct credential *c);
/* For people: "a file", "a script", "a client certificate", "GitHub Actions". */
const char *credential_source(const struct credential *c);
/* A copy of the token as of now, empty when there is none. Asks whoever has it
 * when ours is too old, at most until d. */
int credential_get(
    struct credential *c, deadline_t d, struct secret *out, struct err *e);

/* For the implementations: a token, and how long it may be used. */
struct credential_news {
	char token[CREDENTIAL_MAX + 1];
	int64_t ms; /* 0: for this once */
};
/* 75 % of what is left until then; 0 when that has passed. */
int64_t credential_keep_ms(int64_t expires_us);

/* credential_github.c: is this a job that may ask? */
int github_there(void);
int github_token(const struct remote_config *config, deadline_t d,
    struct credential_news *out, struct err *e);
/* The time at which a JWT ends, in microseconds; -1 when it is none or has no
 * end. Nothing is checked. */
int64_t github_expiry(const char *jwt);

#endif
