/*
 * niks3 doctor: the cache as a Nix without credentials reads it, from the bucket or
 * what stands before it.
 */
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/codec/zstream.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/http/client.h"
#include "../../libcommon/nix/narinfo.h"
#include "../../libcommon/nix/nix32.h"
#include "../../libcommon/nix/storepath.h"
#include "doctor.h"
#include "storearg.h"

#define HASH_BYTES 20 /* of a store path */

struct read {
	struct doctor *d;
	struct http_client *http;
	struct http_answer answer;
	struct buf body;
};

/* GET or HEAD of what the cache has there. */
static int
fetch(struct read *r, const char *method, const char *name, struct err *e)
{
	const char *url = arena_printf(r->d->a, "%.*s/%s",
	    (int)strcspn(r->d->cache_url, "?"), r->d->cache_url, name);

	if (url == NULL)
		return arena_full(r->d->a, e);
	buf_reset(&r->body);
	return doctor_ask(r->d, r->http, method, url,
	    strcmp(method, "HEAD") != 0 ? &r->body : NULL, &r->answer, e);
}

/* What it means that a reader got this status for something that is there. */
static void
say_status(struct read *r, const char *check, const char *name)
{
	int status = r->answer.status;
	const char *advice =
	    "see that the cache URL leads to the bucket, or to "
	    "what serves it";

	if (status == 401)
		advice = "readers need a credential, which Nix takes from its "
		         "netrc-file; nothing more is checked without one";
	else if (status == 403)
		advice = "let everybody read: s3:GetObject on the bucket's "
		         "objects for anybody, or niks3-server "
		         "--enable-read-proxy";
	else if (status >= 300 && status < 400)
		advice = "Nix follows; give the URL that it leads to by "
		         "--cache-url, to have that checked";
	else if (status == 404)
		advice = "see that the cache URL leads to the bucket of this "
		         "server, and that nothing between them keeps old "
		         "answers";
	doctor_say(r->d, check,
	    status == 401 || status / 100 == 3 ? FINDING_WARNING
	                                       : FINDING_PROBLEM,
	    advice, "GET %s: status %d", name, status);
}

/* ---- nix-cache-info ---- */

/* The value of a line, in the arena; NULL when there is none. */
static const char *
line_of(struct read *r, const char *name)
{
	const char *p = buf_str(&r->body);
	size_t n = strlen(name);

	for (; p != NULL && *p != '\0'; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, n) == 0)
			return arena_strn(r->d->a, p + n, strcspn(p + n, "\n"));
	}
	return NULL;
}

/* 0 when it can be read. */
static int
check_info(struct read *r)
{
	struct doctor *d = r->d;
	struct err e = ERR_INIT;
	const char *dir;
	char plain[TRUST_URL_MAX];

	if (fetch(r, "GET", "nix-cache-info", &e) != 0) {
		doctor_fail(d, "cache", &e,
		    "see that the cache URL is right, and its certificate");
		return -1;
	}
	if (r->answer.status != 200) {
		say_status(r, "cache", "nix-cache-info");
		return -1;
	}
	if ((dir = line_of(r, "StoreDir: ")) == NULL)
		doctor_say(d, "cache", FINDING_PROBLEM,
		    "see that the cache URL leads to the bucket; its "
		    "nix-cache-info is written by niks3-uploader, when there "
		    "is none",
		    "nix-cache-info has no StoreDir");
	else if (d->has_info && strcmp(dir, d->info.store_dir) != 0)
		doctor_say(d, "cache", FINDING_PROBLEM,
		    "give niks3-server and niks3-uploader one --store-dir; "
		    "nix-cache-info is written anew when it was deleted",
		    "it is for the store %s, the server for %s", dir,
		    d->info.store_dir);
	else
		doctor_say(d, "cache", FINDING_OK, NULL,
		    "%s can be read by everybody, for the store %s",
		    trust_plain_url(plain, d->cache_url), dir);
	return 0;
}

/* ---- what is not there ---- */

static void
check_absent(struct read *r)
{
	struct doctor *d = r->d;
	char name[NIX32_LEN(HASH_BYTES) + sizeof ".narinfo"];
	uint8_t random[HASH_BYTES];
	struct err e = ERR_INIT;

	secret_random(random, sizeof random);
	nix32_fmt(name, random, sizeof random);
	strcat(name, ".narinfo");
	if (fetch(r, "GET", name, &e) != 0)
		doctor_fail(
		    d, "cache-absent", &e, "see that the cache URL is right");
	else if (r->answer.status == 404)
		doctor_say(d, "cache-absent", FINDING_OK, NULL,
		    "what is not there is a 404");
	else if (r->answer.status == 403)
		doctor_say(d, "cache-absent", FINDING_WARNING,
		    "give readers s3:ListBucket too, or have what stands "
		    "before the bucket answer 404",
		    "what is not there is a 403: Nix takes it for absent, but "
		    "cannot tell it from a bucket that is closed");
	else
		doctor_say(d, "cache-absent", FINDING_PROBLEM,
		    "have what serves the cache answer 404: for Nix this is "
		    "an error, or a narinfo that is none",
		    "what is not there is a %d", r->answer.status);
}

/* ---- a real path ---- */

/* Which one: named by the user, or the first that the server has; NULL. */
static const char *
find_path(struct doctor *d)
{
	const char *base = NULL;
	struct closure_list list;
	struct err e = ERR_INIT;

	if (d->path != NULL) {
		if (storearg_base(d->path, d->a, &base, &e) == 0)
			return base;
		doctor_fail(
		    d, "cache-path", &e, "name a store path of the cache");
		return NULL;
	}
	if (!doctor_may(d, "read")) {
		doctor_say(d, "cache-path", FINDING_SKIPPED, NULL,
		    "not checked: needs read, or a store path as argument");
		return NULL;
	}
	if (remote_call(d->conn,
	        &(struct remote_call){
	            .method = "GET",
	            .path = "/api/v2/closures?limit=1",
	            .reply_desc = &closure_list_desc,
	            .reply = &list,
	            .deadline = doctor_deadline(d),
	        },
	        d->a, &e) != 0) {
		doctor_fail(d, "cache-path", &e, "see the log of niks3-server");
		return NULL;
	}
	if (list.closures.n == 0) {
		doctor_say(d, "cache-path", FINDING_SKIPPED, NULL,
		    "nothing was pushed yet");
		return NULL;
	}
	if (storepath_parse(d->info.store_dir != NULL ? d->info.store_dir
	                                              : STOREPATH_DIR_DEFAULT,
	        list.closures.items[0].store_path, &base, &e) != 0)
		doctor_fail(
		    d, "cache-path", &e, "see --store-dir of niks3-server");
	return base;
}

/* The text, as Nix would see it: it undoes what Content-Encoding names. */
static int
plain_text(struct read *r, struct buf *out, struct err *e)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
	const char *coding = r->answer.content_encoding;

	if (strcasecmp(coding, "zstd") == 0)
		return zstream_unpack(r->body.data, r->body.len, out, e);
	if (coding[0] != '\0')
		return err_set(e, ERR_INVALID,
		    "it comes with the encoding %s, which was not asked for",
		    coding);
	if (r->body.len >= sizeof magic &&
	    memcmp(r->body.data, magic, sizeof magic) == 0) {
		err_set(e, ERR_CORRUPT,
		    "it is compressed, but has no Content-Encoding");
		return err_hint(e,
		    "have what serves the cache pass the header "
		    "Content-Encoding on");
	}
	return buf_append(out, r->body.data, r->body.len, e);
}

static int
read_narinfo(struct read *r, struct narinfo *out, struct err *e)
{
	struct doctor *d = r->d;
	struct buf text, print;
	int rc;

	buf_init(&text, NARINFO_MAX);
	buf_init(&print, NARINFO_MAX);
	rc = plain_text(r, &text, e);
	if (rc == 0)
		rc = narinfo_parse(
		    (const char *)text.data, text.len, d->a, out, e);
	if (rc == 0)
		rc = narinfo_fingerprint(out->store_dir, out->base,
		    &out->nar_hash, out->nar_size, out->refs, out->nrefs,
		    &print, e);
	if (rc == 0 &&
	    (d->fingerprint = arena_str(d->a, buf_str(&print))) == NULL)
		rc = arena_full(d->a, e);
	buf_done(&text);
	buf_done(&print);
	return rc;
}

static void
check_signature(struct read *r)
{
	struct doctor *d = r->d;
	const struct narinfo *n = d->narinfo;
	const char *key;

	if (!d->has_info || d->info.public_keys.n == 0) {
		doctor_say(d, "signature", FINDING_SKIPPED, NULL,
		    "the server did not tell its public keys");
		return;
	}
	key = trust_signer(
	    &d->info.public_keys, n->sigs, n->nsigs, d->fingerprint);
	if (key != NULL)
		doctor_say(d, "signature", FINDING_OK, NULL, "by %s", key);
	else
		doctor_say(d, "signature", FINDING_PROBLEM,
		    "the server may have got another key since, or the cache "
		    "URL may be that of another cache; keep signing with the "
		    "old key too (niks3-signer --sign-key-path, more than "
		    "once), or push the path again",
		    "%s has no signature by a key that the server signs with",
		    n->base);
}

static void
check_nar(struct read *r)
{
	struct doctor *d = r->d;
	const struct narinfo *n = d->narinfo;
	struct err e = ERR_INIT;

	if (fetch(r, "HEAD", n->url, &e) != 0)
		doctor_fail(d, "cache-nar", &e, "see what serves the cache");
	else if (r->answer.status != 200)
		say_status(r, "cache-nar", n->url);
	else if (n->has_file && r->answer.content_length >= 0 &&
	    (uint64_t)r->answer.content_length != n->file_size)
		doctor_say(d, "cache-nar", FINDING_PROBLEM,
		    "see that nothing between bucket and readers changes what "
		    "it serves",
		    "%s has %lld bytes, its narinfo says %llu", n->url,
		    (long long)r->answer.content_length,
		    (unsigned long long)n->file_size);
	else
		doctor_say(
		    d, "cache-nar", FINDING_OK, NULL, "%s is there", n->url);
}

static void
check_path(struct read *r)
{
	struct doctor *d = r->d;
	const char *base = find_path(d), *name;
	struct narinfo *n = arena_alloc(d->a, sizeof *n);
	struct err e = ERR_INIT;

	if (base == NULL || n == NULL)
		return;
	name = arena_printf(d->a, "%.*s.narinfo", STOREPATH_HASH_LEN, base);
	if (fetch(r, "GET", name, &e) != 0) {
		doctor_fail(d, "cache-path", &e, "see what serves the cache");
	} else if (r->answer.status != 200) {
		say_status(r, "cache-path", name);
	} else if (read_narinfo(r, n, &e) != 0) {
		err_prefix(&e, "%s", name);
		doctor_fail(d, "cache-path", &e, "see what serves the cache");
	} else {
		d->narinfo = n;
		doctor_say(
		    d, "cache-path", FINDING_OK, NULL, "%s can be read", base);
		check_signature(r);
		check_nar(r);
	}
}

void
doctor_cache(struct doctor *d)
{
	/* As Nix does: its own variable, or the system's authorities. */
	const char *roots = getenv("NIX_SSL_CERT_FILE");
	struct read r = { .d = d };
	char plain[TRUST_URL_MAX];

	d->cache_url = d->config->cache_url != NULL ? d->config->cache_url
	                                            : d->info.cache_url;
	if (d->cache_url == NULL) {
		doctor_say(d, "cache", FINDING_SKIPPED, NULL,
		    "its URL is not known: give --cache-url here, or to "
		    "niks3-server");
		return;
	}
	if (strncmp(d->cache_url, "http://", 7) != 0 &&
	    strncmp(d->cache_url, "https://", 8) != 0) {
		doctor_say(d, "cache", FINDING_SKIPPED, NULL,
		    "%s is not read by HTTP",
		    trust_plain_url(plain, d->cache_url));
		return;
	}
	r.http = http_client_new(&(struct http_client_options){
	    .ca_file = roots != NULL && roots[0] != '\0' ? roots : NULL,
	    .user_agent = "niks3/" NIKS3_VERSION,
	});
	buf_init(&r.body, DOCTOR_BODY_MAX);
	if (check_info(&r) == 0) {
		check_absent(&r);
		check_path(&r);
	}
	buf_done(&r.body);
	http_client_free(r.http);
}
