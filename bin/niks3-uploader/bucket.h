/*
 * What is looked at before an uploader serves: that the bucket is there, that it
 * is the cache of our store, what its nix-cache-info says, and that its server
 * lets nothing be overwritten when it is told so.
 */
#ifndef NIKS3_UPLOADER_BUCKET_H
#define NIKS3_UPLOADER_BUCKET_H

#include <stdint.h>

struct err;
struct s3;

struct bucket {
	const char *name;
	const char *store_dir; /* StoreDir of nix-cache-info */
	uint64_t priority;     /* Priority; what it says else is written anew */
};

/* Waits for S3 as long as it takes, but a definite refusal is final. */
int bucket_open(struct s3 *s3, const struct bucket *b, struct err *e);

#endif
