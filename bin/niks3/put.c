/*
 * Writing to S3: a put thread takes what is ready, has it authorised in one
 * request, and sends each with the signed headers. An authorisation is for
 * exactly these bytes; for a second try it asks for a new one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/queue.h"
#include "../../libcommon/http/client.h"
#include "push.h"
#include "remote.h"

#define BATCH_MAX    64
#define TRIES_MAX    6
#define PUT_MS       3600000 /* a part on a slow line; a stall ends sooner */
#define ANSWER_MAX   ((size_t)64 << 10)
#define BATCH_MEMORY ((size_t)4 << 20)

struct putter {
	struct push *p;
	struct remote_conn *conn;
	struct http_client *s3;
	struct arena *a;     /* of a batch */
	struct arena *again; /* of a second try of one of its objects */
	struct buf answer;
};

/* The reply lies in the arena, which is emptied first. */
static int
authorize(struct putter *t, struct item *const *items, size_t n,
    struct arena *a, struct authorize_reply *reply, struct err *e)
{
	struct authorize_object objects[BATCH_MAX] = { 0 };
	struct authorize_request body = { .objects = { objects, n } };
	char path[128];

	for (size_t i = 0; i < n; i++) {
		objects[i].key = items[i]->key;
		objects[i].size = items[i]->len;
		memcpy(objects[i].sha256, items[i]->sha256,
		    sizeof objects[i].sha256);
		if (items[i]->parts != NULL) {
			objects[i].upload_id = items[i]->parts->upload_id;
			objects[i].part = items[i]->number;
		}
	}
	snprintf(
	    path, sizeof path, "/api/v2/uploads/%s/authorize", t->p->upload);
	arena_reset(a);
	if (remote_call(t->conn,
	        &(struct remote_call){
	            .method = "POST",
	            .path = path,
	            .request_desc = &authorize_request_desc,
	            .request = &body,
	            .reply_desc = &authorize_reply_desc,
	            .reply = reply,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        a, e) != 0)
		return err_prefix(e, "authorize %s", items[0]->key);
	if (reply->puts.n != n)
		return err_set(e, ERR_VERSION,
		    "the server authorised %zu of %zu objects", reply->puts.n,
		    n);
	return 0;
}

/* The <Code> of an error that S3 answered. */
static void
refusal(struct putter *t, const struct item *it, int status, struct err *e)
{
	const char *code = strstr(buf_str(&t->answer), "<Code>");
	int len = code != NULL ? strcspn(code + 6, "<") : 0;

	err_set(e, status == 429 ? ERR_THROTTLED : err_kind_by_http(status),
	    "write %s: S3 answered %d%s%.*s", it->key, status,
	    len > 0 ? " " : "", len > 64 ? 64 : len,
	    code != NULL ? code + 6 : "");
}

static void
found(struct push *p, const char *key)
{
	pthread_mutex_lock(&p->lock);
	p->found[p->nfound++] = key;
	pthread_mutex_unlock(&p->lock);
}

/* One try. */
static int
put_once(struct putter *t, struct item *it, const struct authorized_put *auth,
    int64_t *pause, struct err *e)
{
	struct http_answer answer;
	char *etag;

	buf_reset(&t->answer);
	if (http_call(t->s3,
	        &(struct http_call){
	            .method = "PUT",
	            .url = auth->url,
	            .headers = auth->headers.items,
	            .nheaders = auth->headers.n,
	            .body = it->data,
	            .body_len = it->len,
	            .deadline = deadline_in(PUT_MS),
	            .response = &t->answer,
	            .cancel = &t->p->stop,
	        },
	        &answer, e) != 0) {
		/* An answer that was cut short says nothing of the object. */
		if (answer.sent && !err_retryable(e->kind) &&
		    e->kind != ERR_CANCELED)
			e->kind = ERR_UNAVAILABLE;
		return err_prefix(e, "write %s", it->key);
	}
	if (answer.status == 412 && it->parts == NULL) {
		found(t->p, it->key);
		return 0;
	}
	if (answer.status / 100 != 2) {
		if (answer.retry_after_ms > *pause)
			*pause = answer.retry_after_ms;
		refusal(t, it, answer.status, e);
		return -1;
	}
	atomic_fetch_add(&t->p->sent_bytes, it->len);
	if (it->parts == NULL)
		return 0;
	if (answer.etag[0] == '\0')
		return err_set(
		    e, ERR_CORRUPT, "write %s: S3 gave no ETag", it->key);
	etag = xstrdup(answer.etag);
	pthread_mutex_lock(&it->parts->lock);
	it->parts->etags[it->number - 1] = etag;
	it->parts->done++;
	pthread_mutex_unlock(&it->parts->lock);
	return 0;
}

/* An authorisation that waited for its turn until stale is renewed. */
static int
put_item(struct putter *t, struct item *it, const struct authorized_put *auth,
    deadline_t stale, struct err *e)
{
	struct authorize_reply again;

	for (unsigned n = 0;; n++) {
		int64_t pause = clock_backoff(n, 200, 10000);

		err_clear(e);
		if (n > 0 || deadline_left(stale) == 0) {
			if (authorize(t, &it, 1, t->again, &again, e) != 0)
				return -1;
			auth = &again.puts.items[0];
		}
		if (put_once(t, it, auth, &pause, e) == 0)
			return 0;
		if (!err_retryable(e->kind) || n + 1 == TRIES_MAX)
			return -1;
		clock_sleep(pause, deadline_in(PUT_MS));
		if (t->p->stop)
			return err_set(e, ERR_CANCELED, "interrupted");
	}
}

void
put_free_parts(struct push *p)
{
	struct parts *parts;

	while ((parts = p->multiparts) != NULL) {
		p->multiparts = parts->next;
		for (uint32_t i = 0; i < parts->room; i++)
			free(parts->etags[i]);
		free(parts->etags);
		free(parts->upload_id);
		pthread_mutex_destroy(&parts->lock);
		free(parts);
	}
}

int
put_complete(
    struct push *p, struct remote_conn *c, struct parts *parts, struct err *e)
{
	struct complete_request body = { 0 };
	struct complete_reply reply;
	struct complete_part *list;
	struct arena *a;
	char path[128];
	int ours, rc;

	pthread_mutex_lock(&parts->lock);
	ours =
	    parts->closed && parts->done == parts->begun && !parts->completing;
	if (ours)
		parts->completing = 1;
	pthread_mutex_unlock(&parts->lock);
	if (!ours)
		return 0;
	list = xcalloc(parts->begun, sizeof *list);
	for (uint32_t i = 0; i < parts->begun; i++) {
		list[i].number = i + 1;
		list[i].etag = parts->etags[i];
	}
	body.key = parts->key;
	body.upload_id = parts->upload_id;
	body.size = parts->size;
	memcpy(body.sha256, parts->sha256, sizeof body.sha256);
	body.parts.items = list;
	body.parts.n = parts->begun;
	snprintf(path, sizeof path, "/api/v2/uploads/%s/multipart/complete",
	    p->upload);
	a = arena_new(BATCH_MEMORY);
	rc = remote_call(c,
	    &(struct remote_call){
	        .method = "POST",
	        .path = path,
	        .request_desc = &complete_request_desc,
	        .request = &body,
	        .reply_desc = &complete_reply_desc,
	        .reply = &reply,
	        .deadline = deadline_in(REMOTE_CALL_MS),
	    },
	    a, e);
	if (rc != 0)
		err_prefix(e, "complete %s", parts->key);
	else if (reply.existed)
		found(p, parts->key);
	if (rc == 0)
		atomic_fetch_add(&p->objects, 1);
	arena_free(a);
	free(list);
	return rc;
}

static int
put_batch(struct putter *t, struct item **items, size_t n, struct err *e)
{
	struct authorize_reply reply;
	deadline_t stale;

	if (authorize(t, items, n, t->a, &reply, e) != 0)
		return -1;
	stale = deadline_in(reply.lifetime_ms / 3);
	for (size_t i = 0; i < n; i++) {
		struct parts *parts = items[i]->parts;
		struct authorized_put auth = reply.puts.items[i];

		if (put_item(t, items[i], &auth, stale, e) != 0)
			return -1;
		item_free(t->p, items[i]);
		items[i] = NULL;
		if (parts == NULL)
			atomic_fetch_add(&t->p->objects, 1);
		else if (put_complete(t->p, t->conn, parts, e) != 0)
			return -1;
	}
	return 0;
}

void *
put_thread(void *arg)
{
	struct push *p = arg;
	struct putter t = { .p = p };
	struct item *items[BATCH_MAX];
	struct err e = ERR_INIT;
	size_t n;

	t.conn = remote_conn_new(p->remote);
	t.s3 = http_client_new(&(struct http_client_options){
	    .ca_file = p->s3_ca_cert,
	    .user_agent = "niks3/" NIKS3_VERSION,
	});
	t.a = arena_new(BATCH_MEMORY);
	t.again = arena_new(BATCH_MEMORY);
	buf_init(&t.answer, ANSWER_MAX);
	for (;;) {
		n = queue_pop_many(p->queue, (void **)items,
		    queue_len(p->queue) / 8 + 1 < BATCH_MAX
		        ? queue_len(p->queue) / 8 + 1
		        : BATCH_MAX,
		    deadline_in(INT32_MAX));
		if (n == 0)
			break;
		if (!p->stop && put_batch(&t, items, n, &e) != 0)
			push_fail(p, &e);
		for (size_t i = 0; i < n; i++)
			item_free(p, items[i]);
	}
	remote_conn_free(t.conn);
	http_client_free(t.s3);
	arena_free(t.a);
	arena_free(t.again);
	buf_done(&t.answer);
	return NULL;
}
