/*
 * What niks3-uploader does for the server and the garbage collection.
 */
#ifndef UPLOADER_HANDLERS_H
#define UPLOADER_HANDLERS_H

#include "../../libcommon/ipc/ipc.h"

struct fan;
struct s3;

/* Shared by all threads. */
struct uploader {
	struct s3 *s3;
	struct fan *fan;
};

extern ipc_handler *const handlers[CALL__MAX];

/* A thread that answers calls has a connection of its own. ctx is the struct
 * uploader. */
void *handlers_worker_new(void *ctx);
void handlers_worker_free(void *worker);

#endif
