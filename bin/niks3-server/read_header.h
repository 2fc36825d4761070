/*
 * What a reader's request may say in its headers about the answer it wants (RFC
 * 9110). Pure: text in, facts out.
 */
#ifndef SERVER_READ_HEADER_H
#define SERVER_READ_HEADER_H

#include <stddef.h>
#include <stdint.h>

#define READ_ETAG_MAX 264 /* W/, quotes, and a text of http_answer */

/* An entity tag in its quotes, also where S3 forgot them; "" for none. */
void read_etag(char out[READ_ETAG_MAX], const char *from_s3);
/* Does If-None-Match name it? Compared weakly (13.1.2); "*" is any. */
int read_etag_listed(const char *list, const char *etag);
/* If-Range: an entity tag, which must be strong, or a date (13.1.5). */
int read_if_range(
    const char *value, const char *etag, const char *last_modified);
/* If-Modified-Since is not earlier (13.1.3). What is no date says nothing. */
int read_not_modified_since(const char *value, const char *last_modified);

/* Accept-Encoding names zstd, and not with a weight of 0 (12.5.3). */
int read_accepts_zstd(const char *value);

/*
 * A single range of bytes (14.1.2). Several of them, other units and what is
 * malformed are as good as none.
 */
struct read_range {
	enum {
		RANGE_NONE,
		RANGE_FROM,  /* [from, to]; to is UINT64_MAX for the end */
		RANGE_SUFFIX /* the last so many: from */
	} kind;
	uint64_t from, to;
};
struct read_range read_range(const char *value);

/* "bytes 5-9/100", "bytes * / 100" (without blanks): 0, or -1 for anything else. A
 * size of "*" is UINT64_MAX; from and to are left alone where there is none. */
int read_content_range(
    const char *value, uint64_t *from, uint64_t *to, uint64_t *size);

#endif
