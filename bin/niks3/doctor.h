/*
 * niks3 doctor: what its parts share. A part runs its checks and says what each
 * found; none of them stops the others.
 */
#ifndef NIKS3_DOCTOR_H
#define NIKS3_DOCTOR_H

#include <stddef.h>
#include <stdint.h>

#include "../../libcommon/codec/desc.h"
#include "../../libcommon/core/opt.h"
#include "../../proto/bodies.h"
#include "../../proto/findings.h"
#include "remote.h"

struct arena;
struct buf;
struct err;
struct http_answer;
struct http_client;
struct narinfo;

#define DOCTOR_BODY_MAX ((size_t)4 << 20) /* of any answer */

struct doctor_config {
	struct opt_common common;
	struct remote_config remote;
	const char *cache_url;
	int64_t timeout_us;
	int json;
};

struct doctor {
	const struct doctor_config *config;
	const char *path; /* a store path of the cache, or NULL */
	struct arena *a;
	struct findings all;
	size_t count[FINDING__MAX];
	int colour;

	struct http_client *http; /* to the server */
	struct remote *remote;    /* NULL without URL or credential */
	struct remote_conn *conn;
	const char *url;        /* of the server, without a slash at the end;
				   NULL when there is none */
	int answers;            /* the server does */
	int has_info;           /* what it told of the cache */
	struct cache_info info; /* empty without */
	int known;              /* it knows who we are: */
	struct identity identity;
	const char *cache_url; /* what is read; or NULL */
	/* Of a path in the cache: what its signatures are over. NULL when no
	 * narinfo was read. */
	const struct narinfo *narinfo;
	const char *fingerprint;
};

/* Notes what a check found, and tells it at once unless it is to be JSON. advice,
 * what to do about it, may be NULL. */
void doctor_say(struct doctor *d, const char *check, enum finding_state state,
    const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* A problem, with the hint of the error as advice, or else the one given. */
void doctor_fail(struct doctor *d, const char *check, const struct err *e,
    const char *advice);
/* When a check that begins now has to end. */
deadline_t doctor_deadline(const struct doctor *d);
/* One request, without a credential, and within the time of a check. body may be
 * NULL for a HEAD. */
int doctor_ask(struct doctor *d, struct http_client *c, const char *method,
    const char *url, struct buf *body, struct http_answer *out, struct err *e);
/* Has the credential this scope? 0 also when it is not known. */
int doctor_may(const struct doctor *d, const char *scope);

/* doctor_setup.c: options and files of the command line. */
void doctor_setup(struct doctor *d);
/* doctor_server.c: the server, who we are to it, and what it finds itself. */
void doctor_server(struct doctor *d);
/* doctor_cache.c: the cache as Nix reads it, and its signatures. */
void doctor_cache(struct doctor *d);
/* doctor_nix.c: the Nix that is installed here. */
void doctor_nix(struct doctor *d);

/* ---- doctor_trust.c: pure ---- */

/* The URL without a user and a password in it. */
#define TRUST_URL_MAX 1024
const char *trust_plain_url(char out[TRUST_URL_MAX], const char *url);

/* Are these one cache? The settings of a store behind "?" and a slash at the end
 * make no difference, nor do large letters in scheme and host. */
int trust_same_url(const char *a, const char *b);

enum trust {
	TRUST_NONE,  /* no key of that name */
	TRUST_OTHER, /* the name is there with another key */
	TRUST_SAME
};
/* Is the key ("name:base64") among these? */
enum trust trust_key(const char *key, const struct desc_strs *trusted);
/* The first of the keys by which one of the signatures is right; NULL: none. */
const char *trust_signer(const struct desc_strs *keys, const char **sigs,
    size_t nsigs, const char *fingerprint);
/* The settings of nix.conf that matter, from what "nix config show --json" prints;
 * strings are in the arena. Those that are missing are empty. */
struct trust_nix {
	struct desc_strs substituters, keys;
	int require_sigs; /* 1 unless it is switched off */
};
int trust_parse_nix(const char *text, size_t len, struct arena *a,
    struct trust_nix *out, struct err *e);

#endif
