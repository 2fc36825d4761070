/*
 * What an uploader may still do: answer at sockets that others made, and talk to
 * S3 and to where its credentials come from.
 */
#ifndef UPLOADER_SANDBOX_H
#define UPLOADER_SANDBOX_H

#include <stdint.h>

struct s3;
struct sandbox;

/* Fills an empty one. requests: as many to S3 at once. */
void uploader_sandbox(
    struct sandbox *s, const struct s3 *s3, uint64_t requests);

#endif
