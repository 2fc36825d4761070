/*
 * S3 as a cache needs it (Amazon S3 API Reference). One struct s3 per bucket,
 * shared by threads, holds the endpoint, the credentials and the adaptive rate;
 * one struct s3_conn per thread holds a connection.
 *
 * Every answer is one of three: done (0); a definite refusal (-1, NOT_FOUND,
 * FORBIDDEN, INVALID, CONFLICT ...); or unknown (-1 with a retryable kind:
 * UNAVAILABLE, TIMEOUT, THROTTLED). An operation is retried here, with jitter
 * and until its deadline, when that is safe: all but mpu_create and the
 * conditional put, which are retried only when the request cannot have been
 * carried out. SlowDown, 429 and 503 lower the rate of the whole struct s3
 * (down to 5/s), successes raise it again until it is off.
 *
 * With credentials that change (s3_cred.h), a request waits until its deadline
 * for valid ones; what is only signed does not wait, and is UNAVAILABLE.
 *
 * NOT_FOUND always speaks of the key or the upload, and only S3's own word
 * counts: a 404 that is no S3 error is unknown, and a bucket that is not there
 * is INTERNAL for all but s3_bucket_check.
 */
#ifndef S3_S3_H
#define S3_S3_H

#include <stddef.h>
#include <stdint.h>

#include "../core/clock.h"
#include "../core/err.h"

struct arena;
struct buf;
struct s3_cred;
struct sandbox;
struct secret;

enum s3_op {
#define O(name, text) S3_OP_##name,
#include "../../proto/s3_ops.def"
#undef O
};

enum s3_lookup {
	S3_LOOKUP_AUTO,
	S3_LOOKUP_PATH,
	S3_LOOKUP_DNS
};

struct s3_options {
	const char *endpoint; /* "host[:port]", or with "http://", "https://" */
	int use_tls;          /* when the endpoint has no scheme */
	/* Where clients reach the same server, "http[s]://host[:port]": what is
	 * signed for them to put goes there. NULL or "": the endpoint. */
	const char *public_url;
	const char *bucket;
	/* "" or NULL: what the endpoint's name tells (AWS, Backblaze B2), "auto"
	 * for Cloudflare R2, else "us-east-1"; and when the first answer names
	 * another one, that, from then on. */
	const char *region;
	enum s3_lookup lookup; /* auto: DNS for amazonaws.com and Google, else
				  path */
	const char *ca_file;   /* or NULL */
	/* Copied into locked memory. */
	const struct secret *access_key, *secret_key, *session_token;
	/* Instead of these: credentials that change. It outlives the struct s3
	 * and must be started (s3_cred.h). */
	struct s3_cred *cred;
	double rate;      /* requests a second to start with; 0: unlimited */
	int64_t stall_ms; /* see http_client_options; 0: its default */
	/* After each try of a request, in the thread that made it; ERR_NONE
	 * when it was done. May be NULL. */
	void (*tried)(
	    void *ctx, enum s3_op op, enum err_kind result, int64_t us);
	void *ctx;
};

struct s3;
struct s3_conn;

int s3_new(const struct s3_options *o, struct s3 **out, struct err *e);
void s3_free(struct s3 *s);
struct s3_conn *s3_conn_new(struct s3 *s); /* never NULL */
void s3_conn_free(struct s3_conn *c);

/* What its connections and credentials need in a sandbox. */
void s3_needs(const struct s3 *s, struct sandbox *box);

/* Counters since the start, for metrics and benchmarks. */
struct s3_counts {
	uint64_t requests, errors, throttled, retries, bytes_out, bytes_in;
	double rate; /* requests a second that are allowed now; 0: any number */
};
void s3_counts(struct s3 *s, struct s3_counts *out);

struct s3_stat {
	uint64_t size;
	char etag[256]; /* without quotes */
};

struct s3_put {
	const char *key;
	const void *data;
	size_t len;
	const char *content_type;     /* or NULL */
	const char *content_encoding; /* or NULL */
	int if_none_match; /* ERR_CONFLICT when the key exists already */
	/* Set, also on success, when a try was sent whose answer did not come:
	 * it may yet be carried out. Or NULL. */
	int *unsure;
};

/*
 * When the answer to a conditional put was lost, what is there now is compared:
 * other bytes are CONFLICT, the same bytes or none stay unknown.
 */
int s3_put(
    struct s3_conn *c, const struct s3_put *p, deadline_t d, struct err *e);
/*
 * Does the server do what if_none_match asks for? "there" is an object that it
 * holds, exactly as it is there. 0: yes. INVALID: no; it says so (501, or 400 as
 * Backblaze B2), or it wrote the same bytes once more. A program that must not
 * overwrite anything asks this before it relies on it: some servers ignore the
 * header, and then two writers of one key would not know of each other.
 *
 * Nothing here ever leaves the condition out: on a server without it, s3_put
 * fails, and what s3_authorize_put signs is refused, as INVALID.
 */
int s3_create_check(
    struct s3_conn *c, const struct s3_put *there, deadline_t d, struct err *e);
/* NOT_FOUND only when the bucket is there and the key is not. */
int s3_head(struct s3_conn *c, const char *key, deadline_t d,
    struct s3_stat *out, struct err *e);
/*
 * The whole object, or [from, to] when to != 0; appended to out, or into sink.
 * A transfer that breaks off goes on where it was, as long as the object is the
 * same (CONFLICT otherwise). INVALID: from is beyond the end. What the sink
 * says is returned as it is. On failure the sink may have seen a beginning.
 */
int s3_get(struct s3_conn *c, const char *key, uint64_t from, uint64_t to,
    struct buf *out,
    int (*sink)(void *ctx, const void *p, size_t n, struct err *e),
    void *sink_ctx, deadline_t d, struct err *e);

/*
 * Copies an object within the bucket, with its content type, encoding and other
 * metadata; what was at to_key is replaced. NOT_FOUND: there is no from_key.
 * INVALID: both are one key, or the object is over the 5 GiB that S3 copies at
 * once. Answers 200 with an <Error> are read as the errors they are. Retried
 * like an unconditional put. *out, unless it is NULL, gets what stands at to_key
 * afterwards; it costs a request of its own, as the answer tells no size.
 */
int s3_copy(struct s3_conn *c, const char *from_key, const char *to_key,
    deadline_t d, struct s3_stat *out, struct err *e);

#define S3_DELETE_MAX 1000
enum s3_deleted {
	S3_DELETED,        /* definitely gone (also when it never was there) */
	S3_DELETE_REFUSED, /* this request did not delete it: see the message */
	S3_DELETE_UNKNOWN, /* no word about this key, or an uncertain one */
};
struct s3_delete_result {
	enum s3_deleted state;
	const char *message; /* in the arena; NULL when deleted */
};
/*
 * One DeleteObjects request of at most S3_DELETE_MAX keys; results[i] is for
 * keys[i]. It is not sent a second time when the answer did not come: the first
 * may be on its way yet, and delete what is stored after the second. Returns -1
 * only when the whole request got no usable answer (then every result is
 * unknown). A server without batch delete (501, or MalformedXML or
 * MethodNotAllowed) is served by single deletes, and so are keys that XML cannot
 * carry.
 */
int s3_delete(struct s3_conn *c, const char *const *keys, size_t n,
    struct arena *a, struct s3_delete_result *results, deadline_t d,
    struct err *e);

struct s3_item {
	const char *key;
	uint64_t size;
	int64_t modified_s; /* wall clock */
	const char *etag;
};
struct s3_list {
	struct s3_item *items;
	size_t n;
	const char *next; /* token for the next page; NULL at the end */
};
/* ListObjectsV2, at most max keys (1 to 1000) a page. */
int s3_list(struct s3_conn *c, const char *prefix, const char *token,
    size_t max, struct arena *a, struct s3_list *out, deadline_t d,
    struct err *e);

struct s3_mpu {
	const char *key;
	const char *upload_id;
	int64_t initiated_s;
};
struct s3_mpu_list {
	struct s3_mpu *items;
	size_t n;
	const char *next_key, *next_id; /* NULL at the end */
};
int s3_mpu_list(struct s3_conn *c, const char *key_marker,
    const char *id_marker, struct arena *a, struct s3_mpu_list *out,
    deadline_t d, struct err *e);

#define S3_PARTS_MAX    10000
#define S3_UPLOADID_MAX 1024
struct s3_part {
	uint32_t number;  /* 1 ... S3_PARTS_MAX */
	const char *etag; /* with or without quotes */
};
int s3_mpu_create(struct s3_conn *c, const char *key, const char *content_type,
    struct arena *a, const char **upload_id, deadline_t d, struct err *e);
int s3_mpu_put_part(struct s3_conn *c, const char *key, const char *upload_id,
    uint32_t number, const void *data, size_t len, char etag[256], deadline_t d,
    struct err *e);
/*
 * Parts are sorted by number here. Answers 200 with an <Error> are read as the
 * errors they are. NOT_FOUND: no such upload. After an unknown answer the
 * caller asks s3_head; unknown it is also, and at once, when an upload is gone
 * after a try whose answer was lost.
 */
int s3_mpu_complete(struct s3_conn *c, const char *key, const char *upload_id,
    const struct s3_part *parts, size_t n, deadline_t d, struct err *e);
/* 0 also when there is no such upload any more. */
int s3_mpu_abort(struct s3_conn *c, const char *key, const char *upload_id,
    deadline_t d, struct err *e);
/* ListParts, all pages. */
int s3_mpu_parts(struct s3_conn *c, const char *key, const char *upload_id,
    struct arena *a, struct s3_part **parts, uint64_t **sizes, size_t *n,
    deadline_t d, struct err *e);

/* Is the bucket there and are we let in? NOT_FOUND, FORBIDDEN, or retryable. */
int s3_bucket_check(struct s3_conn *c, deadline_t d, struct err *e);

/*
 * How many seconds the server's clock is ahead of ours, by the date of its answer
 * to a HeadBucket; any answer will do, so what we may do is of no interest. A
 * second or two mean nothing. Retryable when there was none, CORRUPT when it had
 * no date.
 */
int s3_clock(struct s3_conn *c, deadline_t d, int64_t *ahead_s, struct err *e);

/*
 * Authorisation of one PUT for somebody else: the URL and the header lines that
 * must be sent with exactly size bytes whose SHA-256 is given. The signature
 * covers host, date, x-amz-content-sha256, content-length, content-type,
 * content-encoding, the session token and, if asked for, if-none-match. Host and
 * Content-Length are not among the lines, since every HTTP client sends them
 * itself. No network.
 *
 * S3 accepts a signed request for 15 minutes after its date; for a shorter
 * lifetime the date lies in the past by the difference. Nothing is promised
 * beyond the end of the credentials: the lifetime is cut there, and when they
 * live less than S3_GRANT_MIN_S (and than was asked for), it is UNAVAILABLE.
 */
#define S3_GRANT_MIN_S          30
#define S3_AUTHORIZE_LIFETIME_S 900
struct s3_authorize {
	const char *key;
	uint64_t size;
	const uint8_t *sha256;                       /* 32 bytes */
	const char *content_type, *content_encoding; /* or NULL */
	int if_none_match;
	const char *upload_id; /* of a multipart upload, or NULL */
	uint32_t part;
	int64_t lifetime_s; /* 0: the longest, S3_AUTHORIZE_LIFETIME_S */
	int64_t *granted_s; /* gets what became of it; or NULL */
};
#define S3_AUTHORIZE_HEADERS_MAX 10
int s3_authorize_put(struct s3 *s, const struct s3_authorize *p,
    struct arena *a, const char **url,
    const char *headers[S3_AUTHORIZE_HEADERS_MAX], size_t *nheaders,
    struct err *e);
/* A presigned GET (or HEAD) for expires_s seconds; S3 allows a week. Cut to the
 * life of the credentials in the same way: X-Amz-Expires tells. */
#define S3_PRESIGN_MAX_S 604800
int s3_presign_get(struct s3 *s, const char *method, const char *key,
    int64_t expires_s, struct arena *a, const char **url, struct err *e);
/* A presigned PUT of any bytes and any headers: of a whole object, or (upload_id
 * not NULL) of a part. */
int s3_presign_put(struct s3 *s, const char *key, const char *upload_id,
    uint32_t part, int64_t expires_s, struct arena *a, const char **url,
    struct err *e);

#endif
