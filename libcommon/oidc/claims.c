#include "claims.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "../core/err.h"
#include "../core/glob.h"

#define STEP_MAX    256 /* bytes of one step of a path */
#define NUMBER_MAX  400 /* bytes: the largest double has 309 digits */
#define SECONDS_MAX 253402300799.0 /* the year 9999 */

const char *
claims_text(const struct json_t *claims, const char *name)
{
	return json_string_value(json_object_get(claims, name));
}

/* A step may have dots itself: "kubernetes.io.namespace". */
static const json_t *
look_up(const json_t *claims, const char *name)
{
	const json_t *found = json_object_get(claims, name);
	char step[STEP_MAX];

	for (const char *dot = strchr(name, '.'); found == NULL && dot != NULL;
	     dot = strchr(dot + 1, '.')) {
		const json_t *inner;

		if ((size_t)(dot - name) >= sizeof step)
			break;
		memcpy(step, name, dot - name);
		step[dot - name] = '\0';
		inner = json_object_get(claims, step);
		if (json_is_object(inner))
			found = look_up(inner, dot + 1);
	}
	return found;
}

static int
value_match(const json_t *v, const char *const *patterns, size_t n)
{
	char number[NUMBER_MAX];

	switch (json_typeof(v)) {
	case JSON_STRING:
		return glob_match_any(patterns, n, json_string_value(v));
	case JSON_TRUE:
		return glob_match_any(patterns, n, "true");
	case JSON_FALSE:
		return glob_match_any(patterns, n, "false");
	case JSON_INTEGER:
		snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT,
		    json_integer_value(v));
		return glob_match_any(patterns, n, number);
	case JSON_REAL:
		snprintf(number, sizeof number, "%.15g", json_real_value(v));
		return glob_match_any(patterns, n, number);
	default:
		return 0;
	}
}

int
claims_match(const struct json_t *claims, const char *name,
    const char *const *patterns, size_t n)
{
	const json_t *v = look_up(claims, name);

	if (v == NULL)
		return 0;
	if (!json_is_array(v))
		return value_match(v, patterns, n);
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *one = json_array_get(v, i);

		if (json_is_string(one) && value_match(one, patterns, n))
			return 1;
	}
	return 0;
}

int
claims_for_audience(const struct json_t *claims, const char *audience)
{
	const json_t *aud = json_object_get(claims, "aud"), *one;

	if (json_is_string(aud))
		return strcmp(json_string_value(aud), audience) == 0;
	for (size_t i = 0; i < json_array_size(aud); i++) {
		one = json_array_get(aud, i);
		if (json_is_string(one) &&
		    strcmp(json_string_value(one), audience) == 0)
			return 1;
	}
	return 0;
}

/* 1 when it is there, 0 when not, -1 when it is no time. */
static int
read_seconds(const json_t *claims, const char *name, double *out)
{
	const json_t *v = json_object_get(claims, name);

	if (v == NULL)
		return 0;
	*out = json_number_value(v);
	return json_is_number(v) && *out >= 0 && *out <= SECONDS_MAX ? 1 : -1;
}

int
claims_check_time(const struct json_t *claims, int64_t now_us, int64_t *left_us,
    struct err *e)
{
	static const char *const starts[] = { "nbf", "iat" };
	double now = now_us / 1e6, at, end;

	if (read_seconds(claims, "exp", &end) != 1)
		return err_set(e, ERR_UNAUTHORIZED, "the token has no end");
	end += CLAIMS_EXP_LEEWAY_S;
	if (now >= end)
		return err_set(e, ERR_UNAUTHORIZED, "the token has expired");
	for (size_t i = 0; i < 2; i++) {
		int rc = read_seconds(claims, starts[i], &at);

		if (rc == -1 || (rc == 1 && at > now + CLAIMS_NBF_LEEWAY_S))
			return err_set(e, ERR_UNAUTHORIZED,
			    "the token is not valid yet (%s)", starts[i]);
	}
	*left_us = (int64_t)((end - now) * 1e6);
	return 0;
}
