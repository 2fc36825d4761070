/* What the files of the reading side share. */
#ifndef SERVER_READ_INTERNAL_H
#define SERVER_READ_INTERNAL_H

#include <pthread.h>

#include "read.h"

struct http_client;
struct lru;

#define READ_IDLE_MAX 32 /* connections to S3 that are kept */

struct reads {
	struct reads_options o;
	struct lru *urls;
	struct lru *narinfos;
	pthread_mutex_t lock; /* of the clients */
	struct http_client *idle[READ_IDLE_MAX];
	size_t nidle;
};

#endif
