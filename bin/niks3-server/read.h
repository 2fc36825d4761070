/*
 * The reading side: objects of the cache, fetched from S3 by URLs that an
 * uploader signs. We hold no credential: with such a URL nothing can be done but
 * read one object for a while.
 *
 * A read is one request to S3. What breaks off there goes on where it was, as
 * long as the object is the same; otherwise the reader's connection is cut, so
 * that nobody takes a part for the whole.
 */
#ifndef SERVER_READ_H
#define SERVER_READ_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../libcommon/http/client.h"
#include "../../libcommon/nix/objkey.h"
#include "read_header.h"

struct arena;
struct buf;
struct err;
struct ipc_client;
struct reads;
struct source;

struct reads_options {
	struct ipc_client *uploader;
	const char *ca_file;    /* for S3, or NULL */
	size_t narinfo_max;     /* bytes of narinfos in memory */
	int64_t narinfo_ttl_ms; /* how long one is kept */
};
struct reads *reads_new(const struct reads_options *o);
void reads_free(struct reads *rd); /* no source may be open; takes NULL */

/* ---- read_source.c: one object, as it is stored ---- */

struct source_ask {
	const char *key;
	struct read_range range;
	const char *if_none_match;     /* one strong entity tag, or NULL */
	const char *if_modified_since; /* or NULL */
};

struct source_head {
	int status;               /* 200, 206, 304, 416 */
	char etag[READ_ETAG_MAX]; /* "" when S3 gave none */
	char last_modified[64];
	char encoding[32]; /* Content-Encoding, "" for none */
	/* What is given is [from, end) of size bytes; UINT64_MAX where S3 did not
	 * say. */
	uint64_t from, end, size;
};

/*
 * Opens an object. NOT_FOUND only when S3 itself says that there is no such key;
 * THROTTLED when it asks to slow down; anything else is its failure, or the
 * uploader's. *head is filled.
 */
int source_open(struct reads *rd, const struct source_ask *q,
    struct source **out, struct source_head *head, struct err *e);
/* As http_read; goes on by itself when S3 breaks off. */
ssize_t source_read(struct source *s, void *buf, size_t max, struct err *e);
/* Goes on at this byte of the object, if it is not there already. */
void source_seek(struct source *s, uint64_t at);
/*
 * Like source_read, but when it can it also gives up the rest, for
 * source_take_fd: a socket on which the bytes behind those can be read, once; -1
 * without. max is HTTP_READ_MIN + HTTP_DETACH_MIN at least.
 */
ssize_t source_read_detach(
    struct source *s, void *buf, size_t max, struct err *e);
int source_take_fd(struct source *s);
/* The whole of a small object, appended to out. */
int source_read_all(struct source *s, struct buf *out, struct err *e);
void source_close(struct source *s); /* takes NULL */

/* ---- read_narinfo.c: narinfos, from memory while they are fresh ---- */

struct narinfo_copy {
	const char *etag, *last_modified,
	    *encoding;       /* "" where there is none */
	const uint8_t *data; /* as it is stored */
	size_t len;
};
/* Points into room, which is filled. */
int narinfo_fetch(struct reads *rd, const char *key, struct buf *room,
    struct narinfo_copy *out, struct err *e);
/* What memory has of it, decoded and appended to text: 1, or 0. */
int narinfo_remembered(struct reads *rd, const char *key, struct buf *text);
/* The text, appended. */
int narinfo_unpack(
    const struct narinfo_copy *n, struct buf *text, struct err *e);

#endif
