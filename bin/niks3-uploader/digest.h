/*
 * What an object in the bucket is: its size and hash, by reading it.
 */
#ifndef UPLOADER_DIGEST_H
#define UPLOADER_DIGEST_H

#include <stdint.h>

#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/core/clock.h"

struct err;
struct s3_conn;

/* Errors are those of s3_get. In constant memory. */
int digest_object(struct s3_conn *conn, const char *key, uint64_t *size,
    uint8_t digest[SHA256_LEN], deadline_t d, struct err *e);

#endif
