/*
 * What the two halves of the HTTP client share: client.c makes whole calls,
 * stream.c lets a body be pulled.
 */
#ifndef HTTP_CLIENT_INTERNAL_H
#define HTTP_CLIENT_INTERNAL_H

#include <curl/curl.h>

#include "../core/err.h"
#include "client.h"

#define CLIENT_FDS_MAX 8 /* connections; libcurl keeps 5 */

struct http_client {
	CURL *easy;
	int direct;              /* goes by no proxy */
	CURLM *multi;            /* of streams, once there was one */
	int fds[CLIENT_FDS_MAX]; /* open sockets; those beyond are just not
	                            here */
	size_t nfds;
	char why[CURL_ERROR_SIZE];
	/* Of the call under way: */
	const struct http_call *call;
	struct curl_slist *lines;
	struct http_answer *answer;
	struct err inner; /* what the sink or the response's limit said */
	int head_done;    /* *answer is complete but for the body */
	unsigned tries;   /* how often a connection was given the request */
	/* Of the stream under way: */
	int streaming;
	int paused; /* libcurl keeps bytes back that had no room */
	int over;   /* code is the end of it */
	CURLcode code;
	struct http_answer head;
	struct http_call asked;
	uint8_t *to; /* where bytes go */
	size_t room, got;
};

/* Everything up to the start of a transfer; to be followed by client_end. */
int client_begin(struct http_client *c, const struct http_call *call,
    struct http_answer *out, struct err *e);
void client_end(struct http_client *c);
/* Completes *answer: the head is there. */
void client_head(struct http_client *c);
/* What libcurl's code means (e is filled already when that is CURLE_OK). */
int client_fail(const struct http_client *c, CURLcode code, const char *method,
    const char *url, struct err *e);
/* Bytes of a stream, as CURLOPT_WRITEFUNCTION has it. */
size_t client_stream_body(struct http_client *c, const char *p, size_t n);

#endif
