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

extern ipc_handler *const handlers[CALL__MAX];

/* A thread that answers calls has a connection of its own. ctx is the struct
 * uploader. */
struct worker {
	struct uploader *u;
	struct s3_conn *conn;
	struct zstream *z; /* made when it is first needed */
};
void *handlers_worker_new(void *ctx);
void handlers_worker_free(void *worker);

/* read.c: what readers of the cache need. */
ipc_handler handle_get_authorize;
ipc_handler handle_narinfos_get;
ipc_handler handle_page_put;

#endif
