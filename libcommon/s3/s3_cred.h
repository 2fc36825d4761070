/*
 * Credentials that nobody wrote into a configuration: the machine, the container
 * or the cluster hands them out, and they end after some hours.
 *
 * Where they come from is decided once, by the environment, in the order of the
 * AWS SDKs (AWS SDKs and Tools Reference Guide, "Standardized credential
 * providers"). The first source that is configured is used, and no other one
 * when it fails, so that nobody works with rights that he does not expect:
 *
 *	environment		AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
 *				AWS_SESSION_TOKEN; never renewed
 *	web identity		AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN,
 *				AWS_ROLE_SESSION_NAME; STS is asked in the region
 *				of AWS_REGION or AWS_DEFAULT_REGION, or at
 *				AWS_ENDPOINT_URL_STS
 *	container		AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or
 *				AWS_CONTAINER_CREDENTIALS_FULL_URI, with
 *				AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or
 *				AWS_CONTAINER_AUTHORIZATION_TOKEN
 *	instance metadata	of EC2, version 2 only; AWS_EC2_METADATA_DISABLED
 *				and AWS_EC2_METADATA_SERVICE_ENDPOINT
 *
 * Files under ~/.aws are not read. AWS_CA_BUNDLE names the authorities for https.
 *
 * Invariants: all but the environment's are renewed by one thread, 20 minutes
 * before they end, or at half their life when that is shorter: an authorisation
 * of 15 minutes fits in. The old ones serve as long as they are valid. A source
 * that fails is asked again after 1 to 61 seconds, for ever. Whatever comes from
 * it, and whatever is shown to it, lies in locked memory and is in no text.
 */
#ifndef S3_CRED_H
#define S3_CRED_H

#include <stdint.h>

struct err;
struct s3_cred;
struct sandbox;

/* What the program may want to log: credentials were renewed, or not. */
struct s3_cred_news {
	const char *source;  /* "instance metadata" */
	const struct err *e; /* why there are no new ones; NULL: there are */
	unsigned failures;   /* in a row */
	/* How long those at hand are good for; 0: there are none. */
	int64_t life_s;
};

struct s3_cred_options {
	/* Called by the thread. May be NULL. */
	void (*told)(void *ctx, const struct s3_cred_news *n);
	void *ctx;
};

/* Reads the environment; nobody is asked yet. USAGE: a source is configured by
 * half. INVALID: an address that credentials must not be asked from. */
int s3_cred_new(
    const struct s3_cred_options *o, struct s3_cred **out, struct err *e);
/* Begins to ask. */
void s3_cred_start(struct s3_cred *c);
/* No struct s3 may use them any more. Takes NULL. */
void s3_cred_free(struct s3_cred *c);
const char *s3_cred_source(const struct s3_cred *c);
/* What asking needs in a sandbox. */
void s3_cred_needs(const struct s3_cred *c, struct sandbox *s);

#endif
