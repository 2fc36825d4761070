#include "credential.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libcommon/codec/jsonscan.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/core/spawn.h"
#include "remote.h"
#include "shellwords.h"

#define SCRIPT_OUTPUT_MAX ((size_t)64 << 10)
#define SCRIPT_MEMORY     ((size_t)1 << 20)
#define TIME_MAX_LEN      64

enum source {
	SOURCE_NONE,
	SOURCE_FILE,
	SOURCE_SCRIPT,
	SOURCE_GITHUB
};

struct credential {
	const struct remote_config *config;
	enum source source;
	char *path;           /* of the file */
	struct arena *memory; /* of the words */
	char **words;         /* of the script */
	pthread_mutex_t lock;
	struct secret token;
	deadline_t until; /* of token */
};

int64_t
credential_keep_ms(int64_t expires_us)
{
	int64_t left_ms = (expires_us - clock_wall_us()) / 1000;

	return left_ms > 0 ? left_ms / 4 * 3 : 0;
}

/* ---- where it comes from ---- */

/* A token goes into a header as it is. */
static int
check_token(const char *s, size_t len, struct err *e)
{
	if (len == 0)
		return err_set(e, ERR_INVALID, "it is empty");
	if (len > CREDENTIAL_MAX)
		return err_set(e, ERR_INVALID, "it is too long");
	for (size_t i = 0; i < len; i++)
		if (s[i] < 0x21 || s[i] > 0x7e)
			return err_set(
			    e, ERR_INVALID, "it holds more than one word");
	return 0;
}

static int
from_file(struct credential *c, struct credential_news *out, struct err *e)
{
	struct secret s = { 0 };

	if (secret_load(&s, c->path, SECRET_MAX, NULL, e) != 0)
		return -1;
	if (check_token(s.data, s.len, e) != 0) {
		secret_done(&s);
		return err_prefix(e, "%s", c->path);
	}
	memcpy(out->token, s.data, s.len + 1);
	secret_done(&s);
	out->ms = CREDENTIAL_FILE_MS;
	return 0;
}

static int
read_text(struct jsonscan *s, char *out, size_t size, struct err *e)
{
	struct jsonscan_raw value;

	if (jsonscan_string(s, &value, e) != 0)
		return -1;
	return jsonscan_text(value, out, size, e);
}

/* {"token": …, "expires_at": …}; nothing of it goes anywhere else. */
static int
read_reply(
    const char *text, size_t len, struct credential_news *out, struct err *e)
{
	struct jsonscan s = { text, text + len };
	struct jsonscan_raw key;
	char when[TIME_MAX_LEN] = "";
	int64_t us;
	size_t n = 0;
	int rc;

	if (!jsonscan_take(&s, '{'))
		return err_set(e, ERR_INVALID, "not a JSON object");
	while ((rc = jsonscan_member(&s, &key, &n, e)) > 0) {
		if (jsonscan_is(key, "token"))
			rc = read_text(&s, out->token, sizeof out->token, e);
		else if (!jsonscan_is(key, "expires_at"))
			rc = jsonscan_skip(&s, e);
		else if (!jsonscan_null(&s))
			rc = read_text(&s, when, sizeof when, e);
		else
			rc = 0;
		if (rc != 0)
			return -1;
	}
	if (rc != 0 || jsonscan_end(&s, e) != 0)
		return -1;
	out->ms = 0;
	if (when[0] == '\0')
		return 0;
	if (clock_parse_rfc3339(when, &us) != 0)
		return err_set(e, ERR_INVALID, "expires_at: not RFC 3339");
	out->ms = credential_keep_ms(us);
	return 0;
}

static int
from_script(struct credential *c, struct credential_news *out, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf text;
	int status, rc;

	/* All of its room at once, so that no copy is left behind. */
	buf_init(&text, SCRIPT_OUTPUT_MAX);
	if (buf_reserve(&text, SCRIPT_OUTPUT_MAX, e) == NULL)
		return -1;
	rc = spawn_read(c->words, deadline_in(CREDENTIAL_SCRIPT_MS), &text,
	    NULL, &status, e);
	if (rc == 0 && status != 0)
		rc = err_set(
		    e, ERR_UNAUTHORIZED, "it ended with status %d", status);
	/* What is wrong with the text must not be said with the text. */
	if (rc == 0 &&
	    read_reply((const char *)text.data, text.len, out, &why) != 0)
		rc = err_set(e, ERR_INVALID,
		    "it printed something else than a JSON object with a "
		    "token");
	if (rc == 0)
		rc = check_token(out->token, strlen(out->token), e);
	explicit_bzero(text.data, text.cap);
	buf_done(&text);
	return rc;
}

static int
ask(struct credential *c, deadline_t d, struct credential_news *out,
    struct err *e)
{
	switch (c->source) {
	case SOURCE_FILE:
		if (from_file(c, out, e) != 0)
			return err_prefix(e, "API token");
		return 0;
	case SOURCE_SCRIPT:
		if (from_script(c, out, e) != 0)
			return err_prefix(e, "token script");
		return 0;
	case SOURCE_GITHUB:
		if (github_token(c->config, d, out, e) != 0 ||
		    check_token(out->token, strlen(out->token), e) != 0)
			return err_prefix(e, "token of GitHub Actions");
		return 0;
	default:
		out->token[0] = '\0';
		out->ms = INT64_MAX / 2000;
		return 0;
	}
}

/* ---- keeping it ---- */

/* Under the lock. */
static int
renew(struct credential *c, deadline_t d, struct err *e)
{
	struct credential_news news = { .ms = 0 };
	int rc = ask(c, d, &news, e);

	if (rc == 0)
		rc = secret_set(&c->token, news.token, strlen(news.token), e);
	if (rc == 0)
		c->until = deadline_in(news.ms);
	explicit_bzero(&news, sizeof news);
	return rc;
}

int
credential_get(
    struct credential *c, deadline_t d, struct secret *out, struct err *e)
{
	int rc = 0;

	if (c->source == SOURCE_NONE)
		return secret_set(out, "", 0, e);
	pthread_mutex_lock(&c->lock);
	if (c->token.len == 0 || deadline_left(c->until) == 0)
		rc = renew(c, d, e);
	if (rc == 0)
		rc = secret_set(out, c->token.data, c->token.len, e);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

/* ---- finding it ---- */

/* $XDG_CONFIG_HOME/niks3/auth-token; NULL when there is none. */
static char *
default_path(struct err *e)
{
	const char *dir = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	struct buf path;
	char *found = NULL;
	int rc;

	buf_init(&path, 4096);
	if (dir != NULL && dir[0] == '/')
		rc = buf_printf(&path, e, "%s/niks3/auth-token", dir);
	else
		rc = buf_printf(&path, e, "%s/.config/niks3/auth-token",
		    home != NULL ? home : "");
	if (rc == 0 && access(buf_str(&path), F_OK) == 0)
		found = buf_steal(&path, NULL);
	buf_done(&path);
	return found;
}

static int
find(struct credential *c, struct err *e)
{
	const struct remote_config *config = c->config;

	if (config->token_script != NULL) {
		c->source = SOURCE_SCRIPT;
		c->memory = arena_new(SCRIPT_MEMORY);
		if (shellwords_split(
		        config->token_script, c->memory, &c->words, e) != 0)
			return err_prefix(e, "--auth-token-script");
		return 0;
	}
	if (config->token_path != NULL)
		c->path = xstrdup(config->token_path);
	else
		c->path = default_path(e);
	if (c->path != NULL) {
		c->source = SOURCE_FILE;
		return renew(c, INT64_MAX, e);
	}
	if (config->client_cert != NULL)
		return 0; /* the certificate says who we are */
	if (github_there()) {
		c->source = SOURCE_GITHUB;
		return 0;
	}
	err_set(e, ERR_USAGE, "no API token");
	return err_hint(e,
	    "give --auth-token-path or NIKS3_AUTH_TOKEN_FILE, or put it into "
	    "~/.config/niks3/auth-token");
}

const char *
credential_path(const struct credential *c)
{
	return c->path;
}

const char *
credential_source(const struct credential *c)
{
	switch (c->source) {
	case SOURCE_FILE:
		return "a file";
	case SOURCE_SCRIPT:
		return "a script";
	case SOURCE_GITHUB:
		return "GitHub Actions";
	default:
		return "a client certificate";
	}
}

int
credential_new(
    const struct remote_config *config, struct credential **out, struct err *e)
{
	struct credential *c = xcalloc(1, sizeof *c);

	c->config = config;
	pthread_mutex_init(&c->lock, NULL);
	if (find(c, e) != 0) {
		credential_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

void
credential_free(struct credential *c)
{
	if (c == NULL)
		return;
	secret_done(&c->token);
	arena_free(c->memory);
	free(c->path);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
