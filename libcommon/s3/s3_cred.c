#include "s3_cred.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../core/err.h"
#include "../core/sandbox.h"
#include "../http/client.h"
#include "s3_cred_internal.h"
#include "s3_internal.h"

#define AHEAD_S    1200  /* over S3_AUTHORIZE_LIFETIME_S, with time to try */
#define AGAIN_MS   60000 /* between questions that brought nothing new */
#define RETRY_MS   1000  /* after a failure, and as much again at random: */
#define RETRY_CAP  60000 /* more each time, up to this */
#define CONNECT_MS 2000  /* all sources are near */
#define LOOK_MS    60000 /* the wall clock may jump while we wait */

static const struct kind {
	const char *name;
	int (*open)(struct s3_source *s, struct err *e);
	int (*fetch)(const struct s3_source *s, struct http_client *http,
	    const volatile int *cancel, struct s3_keys **out, struct err *e);
} kinds[] = {
	/* After the environment, in this order. */
	{ "web identity", s3_sts_open, s3_sts_fetch },
	{ "container", s3_container_open, s3_container_fetch },
	{ "instance metadata", s3_imds_open, s3_imds_fetch },
};

struct s3_cred {
	struct s3_cred_options o;
	const struct kind *kind; /* NULL: the environment's, for ever */
	struct s3_source source;
	struct http_client *http; /* of the thread */
	pthread_t thread;
	int started;
	volatile int stop;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct s3_keys *keys; /* or NULL; perhaps no longer valid */
	struct err why;       /* the last question failed; ERR_NONE: not */
	unsigned failures;    /* in a row */
	int asked;            /* S3 refused the keys: others first */
	int64_t due_s;        /* wall clock: new ones are wanted */
	deadline_t rest;      /* until then nobody is asked */
};

const char *
s3_cred_env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* ---- the choice ---- */

static int
from_environment(struct s3_keys **out, struct err *e)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN" };
	struct secret s[3] = { { 0 } };
	int rc = 0;

	for (size_t i = 0; i < 3; i++) {
		const char *value = s3_cred_env(names[i]);
		if (rc == 0 && value != NULL)
			rc = secret_set(&s[i], value, strlen(value), e);
	}
	if (rc == 0 && (s[0].len > 0) != (s[1].len > 0))
		rc = err_set(e, ERR_USAGE, "%s is set, %s is not",
		    names[s[0].len == 0], names[s[0].len > 0]);
	if (rc == 0 && s[0].len > 0)
		rc = s3_keys_new(&s[0], &s[1], &s[2], INT64_MAX, out, e);
	for (size_t i = 0; i < 3; i++)
		secret_done(&s[i]);
	return rc;
}

/* NULL in *kind when the environment has keys, which are then in *keys. */
static int
choose(struct s3_source *source, struct s3_keys **keys,
    const struct kind **kind, struct err *e)
{
	int rc;

	if (from_environment(keys, e) != 0)
		return -1;
	if (*keys != NULL)
		return 0;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		*kind = &kinds[i];
		if ((rc = kinds[i].open(source, e)) != 0)
			return rc > 0 ? 0 : -1;
	}
	return err_set(e, ERR_USAGE,
	    "no source of credentials: nothing of AWS's is in the environment, "
	    "and AWS_EC2_METADATA_DISABLED is");
}

static void
source_done(struct s3_source *s)
{
	free(s->url);
	free(s->token_file);
	free(s->role);
	free(s->session);
	secret_done(&s->token);
}

int
s3_cred_new(
    const struct s3_cred_options *o, struct s3_cred **out, struct err *e)
{
	struct s3_source source = { 0 };
	struct s3_keys *keys = NULL;
	const struct kind *kind = NULL;
	pthread_condattr_t attr;
	struct s3_cred *c;

	if (choose(&source, &keys, &kind, e) != 0) {
		source_done(&source);
		return err_prefix(e, "credentials");
	}
	c = xcalloc(1, sizeof *c);
	c->o = *o;
	c->kind = kind;
	c->source = source;
	c->keys = keys;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	*out = c;
	return 0;
}

const char *
s3_cred_source(const struct s3_cred *c)
{
	return c->kind != NULL ? c->kind->name : "environment";
}

void
s3_cred_needs(const struct s3_cred *c, struct sandbox *s)
{
	if (c->source.url != NULL)
		http_client_needs(
		    c->source.url, s3_cred_env("AWS_CA_BUNDLE"), s);
	sandbox_reread(s, c->source.token_file);
}

/* ---- the thread ---- */

static int64_t
wall_s(void)
{
	return clock_wall_us() / 1000000;
}

static int
fetch(struct s3_cred *c, struct s3_keys **out, struct err *e)
{
	struct s3_keys *k;

	if (c->kind->fetch(&c->source, c->http, &c->stop, &k, e) != 0)
		return -1;
	if (s3_keys_life_s(k) <= 0) {
		s3_keys_drop(k);
		err_set(e, ERR_UNAVAILABLE, "what it gives has ended already");
		return err_hint(e, "set the clock");
	}
	*out = k;
	return 0;
}

static int
are_same(const struct s3_keys *a, const struct s3_keys *b)
{
	return a->expires_s == b->expires_s &&
	    strcmp(a->access_key.data, b->access_key.data) == 0 &&
	    a->session_token.len == b->session_token.len &&
	    (a->session_token.len == 0 ||
	        secret_equal(a->session_token.data, b->session_token.data,
	            a->session_token.len));
}

/* Takes over k. 1 when it is new. */
static int
take_over(struct s3_cred *c, struct s3_keys *k)
{
	int64_t life_s = s3_keys_life_s(k);

	c->asked = 0;
	if (c->keys != NULL && are_same(c->keys, k)) {
		s3_keys_drop(k);
		c->rest = deadline_in(AGAIN_MS);
		return 0;
	}
	s3_keys_drop(c->keys);
	c->keys = k;
	c->due_s = k->expires_s - (life_s / 2 < AHEAD_S ? life_s / 2 : AHEAD_S);
	c->rest = deadline_in(RETRY_MS);
	return 1;
}

static void
renew(struct s3_cred *c)
{
	struct s3_cred_news news = { .source = s3_cred_source(c) };
	struct s3_keys *k = NULL;
	struct err e = ERR_INIT;
	int rc = fetch(c, &k, &e), is_new = 0;

	pthread_mutex_lock(&c->lock);
	if (rc == 0) {
		c->failures = 0;
		err_clear(&c->why);
		is_new = take_over(c, k);
	} else {
		c->why = e;
		c->rest = deadline_in(RETRY_MS +
		    clock_backoff(c->failures++, RETRY_MS, RETRY_CAP));
		news.e = &e;
	}
	news.failures = c->failures;
	if (c->keys != NULL && (news.life_s = s3_keys_life_s(c->keys)) < 0)
		news.life_s = 0;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	if (c->o.told != NULL && !c->stop && (is_new || news.e != NULL))
		c->o.told(c->o.ctx, &news);
}

/* Under the lock. */
static void
wait_until(struct s3_cred *c, deadline_t d)
{
	struct timespec ts = { d / 1000, d % 1000 * 1000000 };

	pthread_cond_timedwait(&c->changed, &c->lock, &ts);
}

/* Waits until new ones are due: 1; or the end: 0. */
static int
next(struct s3_cred *c)
{
	int64_t left_s;

	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		left_s = c->asked ? 0 : c->due_s - wall_s();
		if (left_s <= 0 && deadline_left(c->rest) == 0)
			break;
		wait_until(c,
		    left_s > 0 ? deadline_min(deadline_in(left_s * 1000),
		                     deadline_in(LOOK_MS))
		               : c->rest);
	}
	pthread_mutex_unlock(&c->lock);
	return !c->stop;
}

static void *
keep(void *arg)
{
	struct s3_cred *c = arg;

	while (next(c))
		renew(c);
	return NULL;
}

void
s3_cred_start(struct s3_cred *c)
{
	if (c->kind == NULL)
		return;
	c->http = http_client_new(&(struct http_client_options){
	    .ca_file = s3_cred_env("AWS_CA_BUNDLE"),
	    .user_agent = "niks3",
	    .direct = 1,
	    .connect_ms = CONNECT_MS });
	if (pthread_create(&c->thread, NULL, keep, c) != 0)
		err_die("no thread for the credentials");
	c->started = 1;
}

void
s3_cred_free(struct s3_cred *c)
{
	if (c == NULL)
		return;
	if (c->started) {
		pthread_mutex_lock(&c->lock);
		c->stop = 1;
		pthread_cond_broadcast(&c->changed);
		pthread_mutex_unlock(&c->lock);
		pthread_join(c->thread, NULL);
		http_client_free(c->http);
	}
	s3_keys_drop(c->keys);
	source_done(&c->source);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- for the requests ---- */

int
s3_cred_get(
    struct s3_cred *c, deadline_t d, struct s3_keys **out, struct err *e)
{
	struct s3_keys *k;
	int rc = -1;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		k = c->keys;
		if (k != NULL && s3_keys_life_s(k) > 0 && !c->asked) {
			*out = s3_keys_hold(k);
			rc = 0;
			break;
		}
		if (deadline_left(d) == 0) {
			err_set(e, ERR_UNAVAILABLE,
			    "no credentials from %s%s%s", s3_cred_source(c),
			    c->why.kind != ERR_NONE ? ": " : " yet",
			    c->why.kind != ERR_NONE ? c->why.msg : "");
			if (c->why.hint[0] != '\0')
				err_hint(e, "%s", c->why.hint);
			break;
		}
		wait_until(c, d);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int
s3_cred_reject(struct s3_cred *c, struct s3_keys *k)
{
	int again;

	pthread_mutex_lock(&c->lock);
	again = c->keys != k;
	if (!again && c->kind != NULL && deadline_left(k->doubted) == 0) {
		k->doubted = deadline_in(AGAIN_MS);
		c->asked = 1;
		c->rest = deadline_in(0);
		pthread_cond_broadcast(&c->changed);
		again = 1;
	}
	pthread_mutex_unlock(&c->lock);
	return again;
}
