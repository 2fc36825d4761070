#include "fake_aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../libcommon/core/err.h"

void
aws_env_clear(void)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
		"AWS_DEFAULT_REGION", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ENDPOINT_URL_STS",
		"AWS_CA_BUNDLE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_EC2_METADATA_DISABLED",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unsetenv(names[i]);
}

void
aws_env_url(const char *name, unsigned port, const char *path)
{
	char url[256];

	snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
	setenv(name, url, 1);
}

const char *
aws_time(long seconds)
{
	static char text[32];
	time_t t = time(NULL) + seconds;
	struct tm tm;

	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	return text;
}

static const char *
keep(const char *fmt, const char *id, const char *token, long seconds)
{
	static char *kept[64]; /* so that nothing looks lost */
	static size_t n;
	char *text;

	if (n == sizeof kept / sizeof *kept ||
	    asprintf(&text, fmt, id, id, token, aws_time(seconds)) < 0)
		err_die("fake AWS: too many answers");
	return kept[n++] = text;
}

const char *
aws_json(const char *id, const char *token, long seconds)
{
	return keep("{ \"Code\" : \"Success\", \"Type\" : \"AWS-HMAC\",\n"
	            "\"AccessKeyId\" : \"%s\", \"SecretAccessKey\" : "
	            "\"verySecretKey\\/%s\", \"Token\" : \"%s\", "
	            "\"Expiration\" : \"%s\", \"More\": [{}] }",
	    id, token, seconds);
}

const char *
aws_sts(const char *id, const char *token, long seconds)
{
	return keep("<AssumeRoleWithWebIdentityResponse xmlns=\"https://"
	            "sts.amazonaws.com/doc/2011-06-15/\">"
	            "<AssumeRoleWithWebIdentityResult><Audience>a</Audience>"
	            "<AssumedRoleUser><Arn>a</Arn></AssumedRoleUser>"
	            "<Credentials><AccessKeyId>%s</AccessKeyId>"
	            "<SecretAccessKey>verySecretKey/%s</SecretAccessKey>"
	            "<SessionToken>%s</SessionToken>"
	            "<Expiration>%s</Expiration></Credentials>"
	            "</AssumeRoleWithWebIdentityResult></"
	            "AssumeRoleWithWebIdentityResponse>",
	    id, token, seconds);
}
