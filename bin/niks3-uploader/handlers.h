/*
 * What niks3-uploader does for the server and the garbage collection.
 */
#ifndef UPLOADER_HANDLERS_H
#define UPLOADER_HANDLERS_H

#include "../../libcommon/ipc/ipc.h"

struct fan;
struct s3;
struct s3_conn;
struct zstream;

/* Shared by all threads. */
struct uploader {
	struct s3 *s3;
	struct fan *fan;
};

/* A thread that answers calls. */
struct worker {
	struct uploader *u;
	struct s3_conn *conn;
	struct zstream *z; /* made when it is first needed */
};

extern ipc_handler *const handlers[CALL__MAX];

/* ctx is the struct uploader. */
void *handlers_worker_new(void *ctx);
void handlers_worker_free(void *worker);

/* staged.c: what clients of the compatible API write. */
ipc_handler handle_puts_presign;
ipc_handler handle_staged_place;
ipc_handler handle_staged_read;
ipc_handler handle_staged_delete;

/* probe.c: what we are allowed. */
ipc_handler handle_bucket_probe;

/* read.c: what readers of the cache need. */
ipc_handler handle_get_authorize;
ipc_handler handle_narinfos_get;
ipc_handler handle_page_put;

#endif
