/*
 * What the files of this folder share.
 */
#ifndef S3_INTERNAL_H
#define S3_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/buf.h"
#include "../core/clock.h"
#include "../core/secret.h"
#include "../http/client.h"
#include "s3.h"

struct arena;
struct err;
struct sigv4_credentials;
struct sigv4_request;

/* ---- s3_rate.c ---- */

/*
 * The adaptive rate: a token bucket that is off until the server asks to slow
 * down. It then starts at 0.7 of what was sent in the last second; each further
 * demand takes it to 0.7 of what it is, down to S3_RATE_MIN; each success adds
 * 0.1 requests a second, so it grows by a tenth a second, and at S3_RATE_MAX it
 * is off again. Many requests that are refused together count as one demand.
 * Times are of the monotonic clock, in microseconds. Thread-safe.
 */
#define S3_RATE_MIN 5.0
#define S3_RATE_MAX 5000.0

struct s3_rate {
	pthread_mutex_t lock;
	double rate;   /* requests a second; 0: off */
	double tokens; /* negative: so many are waiting for theirs */
	int64_t refilled_us;
	int64_t lowered_us;
	/* Requests begun in this second and in the one before it. */
	int64_t second_us;
	unsigned now, before;
};

void s3_rate_init(struct s3_rate *r, double rate);
void s3_rate_done(struct s3_rate *r);
/*
 * Takes a token; the request may begin after so many microseconds. -1, and
 * nothing is taken, when that would be more than most_us.
 */
int64_t s3_rate_take(struct s3_rate *r, int64_t now_us, int64_t most_us);
/* begun_us: when the request that was refused began. */
void s3_rate_lower(struct s3_rate *r, int64_t begun_us, int64_t now_us);
void s3_rate_raise(struct s3_rate *r);
double s3_rate_get(struct s3_rate *r);

/* ---- s3_xml.c ---- */

#define S3_XML_DEPTH_MAX 8
#define S3_XML_TEXT_MAX  8192 /* keys have 1024 bytes, escaped 3072 */

/*
 * Bounded reading of the XML that S3 answers with: shallow trees whose leaves
 * are texts. No document types, so no entities but XML's own five.
 */
struct s3_xml {
	const char *root; /* how the root must be called */
	/* The end of an element without children; parent is "" for the root. */
	int (*leaf)(void *ctx, const char *parent, const char *name,
	    const char *text, struct err *e);
	/* The end of an element with children; may be NULL. */
	int (*end)(void *ctx, const char *name, struct err *e);
};
/* ERR_CORRUPT, ERR_TOO_LARGE, or what a callback said. */
int s3_xml_parse(
    const struct buf *xml, const struct s3_xml *x, void *ctx, struct err *e);
/* Appends s with the characters that are special in XML escaped. */
int s3_xml_escape(struct buf *out, const char *s, struct err *e);
/* Can s be the text of an element in XML 1.0 and come back unchanged? */
int s3_xml_can_carry(const char *s);

/* Undoes "encoding-type=url" in place: %XX, and '+' for a space. */
int s3_unescape(char *s, struct err *e);
/* "2009-10-12T17:50:30.000Z" */
int s3_time_parse(const char *s, int64_t *wall_s, struct err *e);

#define S3_REGION_MAX     63
#define S3_REGION_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789-"

struct s3_fault { /* an <Error> */
	char code[64];
	char message[256];
	char region[S3_REGION_MAX + 1]; /* "" when it tells none */
};
/* 0 when xml is an <Error> with a <Code>, also within an <ErrorResponse>, as
 * AWS's other services put it. */
int s3_fault_parse(const struct buf *xml, struct s3_fault *out);

/* ---- s3_place.c ---- */

/*
 * Where the bucket is. When no region is given, one is guessed from the
 * endpoint, and the first server that names another one is believed; once, since
 * it will not move again. A place that was in use stays as it is.
 */
struct s3_place {
	char *base; /* "https://host:port", with the bucket when it is there */
	char *host; /* base without the scheme */
	char *region;
	const char *root; /* "/bucket" or ""; of struct s3_places */
};

struct s3_places {
	int tls, dns, given_region;
	char *name, port[8]; /* of the endpoint */
	char *bucket, *root;
	struct s3_place first, found;
	pthread_mutex_t lock; /* for whoever finds */
	const struct s3_place *_Atomic now;
};

int s3_place_init(struct s3_places *out, const struct s3_options *o,
    const char *endpoint, struct err *e);
void s3_place_done(struct s3_places *s);
/* A server that was asked at the place "used" says that the bucket is in
 * region. 1 when it is worth to ask again, at the place that is now. */
int s3_place_learn(
    struct s3_places *s, const struct s3_place *used, const char *region);

/* ---- s3_keys.c ---- */

/* One set of credentials. It does not change; who holds it may use it. */
/* Bytes of a session token: its header goes through messages, where a line has
 * DESC_STRS_LEN. AWS's have one or two thousand. */
#define S3_KEYS_TOKEN_MAX 4000

struct s3_keys {
	_Atomic unsigned holders;
	struct secret access_key, secret_key, session_token;
	int64_t expires_s; /* wall clock; INT64_MAX: nobody said when */
	/* Of struct s3_cred, under its lock: S3 refused them, and until then
	 * they are not doubted again. */
	deadline_t doubted;
};

/* Copies into locked memory. session_token may be NULL or empty. */
int s3_keys_new(const struct secret *access_key,
    const struct secret *secret_key, const struct secret *session_token,
    int64_t expires_s, struct s3_keys **out, struct err *e);
struct s3_keys *s3_keys_hold(struct s3_keys *k);
void s3_keys_drop(struct s3_keys *k); /* takes NULL */
/* How many seconds are left; INT64_MAX when nobody said. */
int64_t s3_keys_life_s(const struct s3_keys *k);
struct sigv4_credentials s3_keys_sigv4(const struct s3_keys *k);
/* Is the secret, or its beginning, in a text that somebody else wrote? */
int s3_keys_tells(const char *text, const struct secret *s);
/* Those that are valid now; waits for them until d. To be dropped. */
int s3_keys_get(
    struct s3 *s, deadline_t d, struct s3_keys **out, struct err *e);

/* ---- s3.c ---- */

struct s3 {
	struct s3_places where;
	struct s3_places *clients; /* as they reach it; NULL: in the same way */
	char *ca_file;
	int64_t stall_ms;
	void (*tried)(
	    void *ctx, enum s3_op op, enum err_kind result, int64_t us);
	void *ctx;
	struct s3_keys *keys; /* NULL with cred */
	struct s3_cred *cred;
	struct s3_rate rate;
	_Atomic int64_t seen_ms; /* when the bucket was last known to exist */
	_Atomic uint64_t requests, errors, throttled, retries, bytes_out,
	    bytes_in;
};

struct s3_conn {
	struct s3 *s3;
	struct http_client *http;
	struct arena *scratch; /* of one try */
	struct buf answer;     /* the last answer's body, unless it was sunk */
};

#define S3_ANSWER_MAX ((size_t)16 << 20) /* 1000 keys of 1 KiB, escaped */

struct s3_request {
	enum s3_op op; /* as it is counted */
	const char *method;
	const char *key; /* NULL: the bucket */
	const char *const (*query)[2];
	size_t nquery;
	/* Lower-case names; signed and sent. */
	const char *const (*headers)[2];
	size_t nheaders;
	const void *body;
	size_t len;
	/* A second try could do harm: only when the first was not carried out
	 * for sure. */
	int once;
	/* Called before every try: may change the headers. May be NULL. */
	void (*begin)(void *ctx);
	/* Understands the body of a 2xx answer; NULL when it does not matter.
	 * A failure means that the outcome is unknown. */
	int (*read)(void *ctx, const struct buf *body, struct err *e);
	/* Takes the body of a 2xx answer instead. */
	int (*sink)(void *ctx, const struct http_answer *a, const void *p,
	    size_t n, struct err *e);
	void *ctx;
};

struct s3_reply {
	struct http_answer http; /* the last answer; status 0 when none */
	char code[64];           /* of S3's error, or "" */
	int unsure; /* a try may have been carried out, and we don't know */
};

/*
 * Signs, sends and repeats until done, refused, or the deadline. The error's
 * kind is retryable exactly when the outcome is unknown. out may be NULL and is
 * filled on failure too.
 */
int s3_request(struct s3_conn *c, const struct s3_request *r, deadline_t d,
    struct s3_reply *out, struct err *e);

/* Sleeps before try n + 1. -1, and no sleep, when that would be too late. */
int s3_pause(
    struct s3_conn *c, unsigned n, const struct s3_reply *last, deadline_t d);

/* The kind for a code in an <Error>; status is the answer's, 0 in a list. */
enum err_kind s3_code_kind(const char *code, int status);
/* Does the code ask to slow down? */
int s3_code_throttles(const char *code);

/* An opaque tag without its quotes. */
void s3_etag_trim(char out[256], const char *etag);

/* Fills what all requests to a place have in common. path (in the arena) is
 * decoded. */
int s3_sigv4(const struct s3_place *where, const char *method, const char *key,
    struct arena *a, struct sigv4_request *out, struct err *e);
/* Appends the URL, without the query. */
int s3_url(const struct s3_place *where, const char *path, struct buf *out,
    struct err *e);

#endif
