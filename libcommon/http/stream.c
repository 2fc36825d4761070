/* Bodies that are pulled (client.h). */
#include "client_internal.h"

#include <fcntl.h>
#include <string.h>

#include "../core/err.h"

/* What has no room is refused as a whole: libcurl keeps it, and receives
 * nothing more until it is asked to go on. */
size_t
client_stream_body(struct http_client *c, const char *p, size_t n)
{
	if (n > c->room - c->got) {
		c->paused = 1;
		return CURL_WRITEFUNC_PAUSE;
	}
	memcpy(c->to + c->got, p, n);
	c->got += n;
	return n;
}

/* Goes on until there is no room, the end, or no time. */
static void
run(struct http_client *c, deadline_t d)
{
	int running, queued;
	CURLMsg *msg;

	if (c->paused) {
		c->paused = 0;
		curl_easy_pause(c->easy, CURLPAUSE_CONT);
	}
	while (!c->paused && !c->over) {
		int64_t left = deadline_left(d);

		curl_multi_perform(c->multi, &running);
		while ((msg = curl_multi_info_read(c->multi, &queued)) != NULL)
			if (msg->msg == CURLMSG_DONE) {
				c->over = 1;
				c->code = msg->data.result;
			}
		if (c->paused || c->over || left == 0)
			break;
		curl_multi_poll(
		    c->multi, NULL, 0, left < 1000 ? (int)left : 1000, NULL);
	}
}

static void
stop(struct http_client *c)
{
	if (!c->streaming)
		return;
	curl_multi_remove_handle(c->multi, c->easy);
	client_end(c);
	c->streaming = 0;
}

static int
fail(struct http_client *c, CURLcode code, struct err *e)
{
	client_fail(c, code, c->asked.method, c->asked.url, e);
	stop(c);
	return -1;
}

int
http_open(struct http_client *c, const struct http_call *call,
    struct http_answer *out, struct err *e)
{
	http_close(c);
	if (c->multi == NULL && (c->multi = curl_multi_init()) == NULL)
		err_die("out of memory for an HTTP client");
	/* One connection: that of the stream (http_detach). */
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, 1L);
	c->asked = *call;
	c->asked.sink = NULL;
	c->asked.response = NULL;
	c->asked.cancel = NULL;
	c->streaming = 1;
	c->paused = c->over = 0;
	c->room = c->got = 0;
	if (client_begin(c, &c->asked, &c->head, e) != 0) {
		client_end(c);
		c->streaming = 0;
		return client_fail(c, CURLE_OK, call->method, call->url, e);
	}
	curl_multi_add_handle(c->multi, c->easy);
	/* Without room, the first byte of the body ends this. */
	run(c, call->deadline);
	out->sent = c->head.sent;
	if (!c->paused && !c->over) {
		err_set(e, ERR_TIMEOUT, "no answer in time");
		return fail(c, CURLE_OK, e);
	}
	if (c->over && c->code != CURLE_OK)
		return fail(c, c->code, e);
	client_head(c);
	*out = c->head;
	return 0;
}

ssize_t
http_read(
    struct http_client *c, void *buf, size_t max, deadline_t d, struct err *e)
{
	c->to = buf;
	c->room = max;
	c->got = 0;
	run(c, d);
	c->room = 0;
	if (c->got > 0)
		return c->got;
	if (c->over && c->code != CURLE_OK)
		return fail(c, c->code, e);
	if (c->over)
		return 0;
	err_set(e, ERR_TIMEOUT, "no more bytes in time");
	return fail(c, CURLE_OK, e);
}

int
http_detach(struct http_client *c, void *buf, size_t max, size_t *n, int *fd)
{
	int copy = -1;

	c->to = buf;
	c->room = max;
	c->got = 0;
	/* Gives what was kept back, and asks the socket for nothing. */
	if (c->paused && !c->over) {
		c->paused = 0;
		curl_easy_pause(c->easy, CURLPAUSE_CONT);
	}
	*n = c->got;
	c->room = 0;
	if (c->paused || c->over || c->head.content_length < 0 ||
	    strncmp(c->asked.url, "http://", 7) != 0 || c->nfds != 1)
		return -1;
	if ((copy = fcntl(c->fds[0], F_DUPFD_CLOEXEC, 0)) == -1)
		return -1;
	*fd = copy;
	stop(c);
	return 0;
}

void
http_close(struct http_client *c)
{
	stop(c);
}
