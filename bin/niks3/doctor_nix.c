/* niks3 doctor: does the Nix that is installed here use the cache and trust it? */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/spawn.h"
#include "../../libcommon/nix/narinfo.h"
#include "doctor.h"

#define OUTPUT_MAX ((size_t)4 << 20)

/* As new ones call it, and as older ones do. */
static char *const commands[][8] = {
	{ "nix", "--extra-experimental-features", "nix-command", "config",
	    "show", "--json" },
	{ "nix", "--extra-experimental-features", "nix-command", "show-config",
	    "--json" },
};

static int
ask(struct doctor *d, struct trust_nix *out, struct err *e)
{
	struct buf text, words;
	int status = -1, rc = -1;

	buf_init(&text, OUTPUT_MAX);
	for (size_t i = 0; i < 2 && status != 0; i++) {
		buf_reset(&text);
		buf_init(&words, OUTPUT_MAX); /* of no interest */
		rc = spawn_read(
		    commands[i], doctor_deadline(d), &text, &words, &status, e);
		buf_done(&words);
		if (rc != 0)
			break;
	}
	if (rc == 0 && status != 0)
		rc = err_set(e, ERR_INTERNAL,
		    "nix does not tell its settings (status %d)", status);
	if (rc == 0 &&
	    (rc = trust_parse_nix(
	         (const char *)text.data, text.len, d->a, out, e)) != 0)
		err_prefix(e, "settings of nix");
	buf_done(&text);
	return rc;
}

/* Who only pushes needs none: no problem. */
static int
check_substituters(struct doctor *d, const struct trust_nix *nix)
{
	char plain[TRUST_URL_MAX];

	if (d->cache_url == NULL) {
		doctor_say(d, "nix-substituters", FINDING_SKIPPED, NULL,
		    "the URL of the cache is not known");
		return 0;
	}
	for (size_t i = 0; i < nix->substituters.n; i++)
		if (trust_same_url(nix->substituters.items[i], d->cache_url)) {
			doctor_say(d, "nix-substituters", FINDING_OK, NULL,
			    "Nix here reads the cache: %s",
			    trust_plain_url(plain, nix->substituters.items[i]));
			return 1;
		}
	doctor_say(d, "nix-substituters", FINDING_WARNING,
	    "if this machine is to read the cache, add its URL to "
	    "extra-substituters in nix.conf",
	    "Nix here does not read %s", trust_plain_url(plain, d->cache_url));
	return 0;
}

/* used: Nix here reads the cache. It has to be one of the server's keys. */
static void
check_keys(struct doctor *d, const struct trust_nix *nix, int used)
{
	const struct desc_strs *keys = &d->info.public_keys;
	enum finding_state bad = used ? FINDING_PROBLEM : FINDING_WARNING;
	const char *advice, *other = NULL;

	if (!d->has_info || keys->n == 0) {
		doctor_say(d, "nix-keys", FINDING_SKIPPED, NULL,
		    "the server did not tell its public keys");
		return;
	}
	for (size_t i = 0; i < keys->n; i++) {
		enum trust t = trust_key(keys->items[i], &nix->keys);

		if (t == TRUST_SAME) {
			doctor_say(d, "nix-keys", FINDING_OK, NULL,
			    "Nix here trusts %s", keys->items[i]);
			return;
		}
		other = t == TRUST_OTHER ? keys->items[i] : other;
	}
	advice =
	    arena_printf(d->a, "%s extra-trusted-public-keys in nix.conf: %s",
	        other != NULL ? "replace it in" : "add to",
	        other != NULL ? other : keys->items[0]);
	if (other != NULL)
		doctor_say(d, "nix-keys", FINDING_PROBLEM, advice,
		    "Nix here trusts another key by the name %.*s",
		    (int)strcspn(other, ":"), other);
	else if (!nix->require_sigs)
		doctor_say(d, "nix-keys", FINDING_WARNING, advice,
		    "Nix here trusts no key of the server, and takes what is "
		    "not signed: require-sigs is off");
	else
		doctor_say(d, "nix-keys", bad, advice,
		    "Nix here trusts no key that the server signs with");
}

/* What Nix would do with a real path of the cache. */
static void
check_path(struct doctor *d, const struct trust_nix *nix, int used)
{
	const struct narinfo *n = d->narinfo;
	const char *key;

	if (n == NULL) {
		doctor_say(d, "nix-trust", FINDING_SKIPPED, NULL,
		    "no path of the cache was read");
		return;
	}
	key = trust_signer(&nix->keys, n->sigs, n->nsigs, d->fingerprint);
	if (key != NULL)
		doctor_say(d, "nix-trust", FINDING_OK, NULL,
		    "Nix here would take %s, signed by %.*s", n->base,
		    (int)strcspn(key, ":"), key);
	else
		doctor_say(d, "nix-trust",
		    used && nix->require_sigs ? FINDING_PROBLEM
		                              : FINDING_WARNING,
		    "see nix-keys and signature above",
		    "Nix here would not trust %s: no key of its "
		    "trusted-public-keys has signed it",
		    n->base);
}

void
doctor_nix(struct doctor *d)
{
	struct trust_nix nix;
	struct err e = ERR_INIT;
	int used;

	if (ask(d, &nix, &e) != 0) {
		if (e.kind == ERR_NOT_FOUND)
			doctor_say(d, "nix", FINDING_SKIPPED, NULL,
			    "there is no nix here");
		else
			doctor_fail(d, "nix", &e,
			    "run: nix config show --json, or with an older "
			    "Nix: nix show-config --json");
		return;
	}
	used = check_substituters(d, &nix);
	check_keys(d, &nix, used);
	check_path(d, &nix, used);
}
