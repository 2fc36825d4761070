/* niks3 doctor: which caches and keys a Nix trusts. Pure. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "../../libcommon/codec/jsonscan.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/nix/signkey.h"
#include "doctor.h"

#define WORD_MAX 4096 /* bytes of a URL or key */
#define LIST_MAX 1000

/* ---- URLs ---- */

/* Without settings and slashes at the end. */
static size_t
url_len(const char *url)
{
	size_t n = strcspn(url, "?");

	while (n > 0 && url[n - 1] == '/')
		n--;
	return n;
}

/* Where the path begins. */
static size_t
url_path(const char *url, size_t n)
{
	const char *host = memmem(url, n, "://", 3);
	size_t at = host != NULL ? host + 3 - url : 0;

	while (at < n && url[at] != '/')
		at++;
	return at;
}

int
trust_same_url(const char *a, const char *b)
{
	size_t n = url_len(a), path = url_path(a, n);

	return n == url_len(b) && strncasecmp(a, b, path) == 0 &&
	    memcmp(a + path, b + path, n - path) == 0;
}

const char *
trust_plain_url(char out[TRUST_URL_MAX], const char *url)
{
	const char *host = strstr(url, "://"), *at;

	host = host != NULL ? host + 3 : url;
	at = memrchr(host, '@', strcspn(host, "/?#"));
	snprintf(out, TRUST_URL_MAX, "%.*s%s", (int)(host - url), url,
	    at != NULL ? at + 1 : host);
	return out;
}

/* ---- keys ---- */

enum trust
trust_key(const char *key, const struct desc_strs *trusted)
{
	size_t name = strcspn(key, ":") + 1;
	enum trust found = TRUST_NONE;

	for (size_t i = 0; i < trusted->n; i++) {
		if (strcmp(trusted->items[i], key) == 0)
			return TRUST_SAME;
		if (strncmp(trusted->items[i], key, name) == 0)
			found = TRUST_OTHER;
	}
	return found;
}

const char *
trust_signer(const struct desc_strs *keys, const char **sigs, size_t nsigs,
    const char *fingerprint)
{
	for (size_t k = 0; k < keys->n; k++)
		for (size_t s = 0; s < nsigs; s++)
			if (signkey_verify(keys->items[k], sigs[s], fingerprint,
			        strlen(fingerprint), NULL) == 0)
				return keys->items[k];
	return NULL;
}

/* ---- nix.conf ---- */

static int
read_list(
    struct jsonscan *s, struct arena *a, struct desc_strs *out, struct err *e)
{
	const char **items = arena_array(a, LIST_MAX, sizeof *items);
	struct jsonscan_raw raw;
	char word[WORD_MAX];
	size_t n = 0;
	int rc;

	if (items == NULL)
		return arena_full(a, e);
	if (!jsonscan_take(s, '['))
		return err_set(e, ERR_INVALID, "not a list");
	while ((rc = jsonscan_item(s, &n, e)) > 0) {
		if (n > LIST_MAX)
			return err_set(
			    e, ERR_TOO_LARGE, "a list of over %d", LIST_MAX);
		if (jsonscan_string(s, &raw, e) != 0 ||
		    jsonscan_text(raw, word, sizeof word, e) != 0)
			return -1;
		if ((items[n - 1] = arena_str(a, word)) == NULL)
			return arena_full(a, e);
	}
	*out = (struct desc_strs){ items, n };
	return rc;
}

static int
read_bool(struct jsonscan *s, int *out, struct err *e)
{
	struct jsonscan_raw word;

	if (jsonscan_word(s, &word, e) != 0)
		return -1;
	*out = jsonscan_is(word, "true");
	return 0;
}

/* {"value": …, …}; one of them is not NULL. */
static int
read_setting(struct jsonscan *s, struct arena *a, struct desc_strs *list,
    int *truth, struct err *e)
{
	struct jsonscan_raw key;
	size_t n = 0;
	int rc;

	if (!jsonscan_take(s, '{'))
		return err_set(e, ERR_INVALID, "a setting is not an object");
	while ((rc = jsonscan_member(s, &key, &n, e)) > 0) {
		if (!jsonscan_is(key, "value"))
			rc = jsonscan_skip(s, e);
		else if (list != NULL)
			rc = read_list(s, a, list, e);
		else
			rc = read_bool(s, truth, e);
		if (rc != 0)
			return -1;
	}
	return rc;
}

int
trust_parse_nix(const char *text, size_t len, struct arena *a,
    struct trust_nix *out, struct err *e)
{
	struct jsonscan s = { text, text + len };
	struct trust_nix nix = { .require_sigs = 1 };
	struct jsonscan_raw key;
	size_t n = 0;
	int rc;

	if (!jsonscan_take(&s, '{'))
		return err_set(e, ERR_INVALID, "not a JSON object");
	while ((rc = jsonscan_member(&s, &key, &n, e)) > 0) {
		if (jsonscan_is(key, "substituters"))
			rc = read_setting(&s, a, &nix.substituters, NULL, e);
		else if (jsonscan_is(key, "trusted-public-keys"))
			rc = read_setting(&s, a, &nix.keys, NULL, e);
		else if (jsonscan_is(key, "require-sigs"))
			rc = read_setting(&s, a, NULL, &nix.require_sigs, e);
		else
			rc = jsonscan_skip(&s, e);
		if (rc != 0)
			return -1;
	}
	if (rc != 0 || jsonscan_end(&s, e) != 0)
		return -1;
	*out = nix;
	return 0;
}
