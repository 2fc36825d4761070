#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/lru.h"
#include "../../libcommon/ipc/ipc.h"
#include "read_internal.h"

#define OPEN_MS     20000 /* until the head of an answer is there */
#define CHUNK_MS    30000 /* for some bytes of its body */
#define URL_LIFE_S  900
#define URL_KEEP_MS 300000 /* of that: who gets one has time to use it */
#define URLS_MAX    ((size_t)2 << 20) /* bytes of them */
#define IPC_MS      10000
#define IPC_ARENA   ((size_t)64 << 10)
#define REFUSAL_MAX ((size_t)64 << 10) /* bytes of what S3 says about it */
#define BREAKS_MAX  6 /* without a byte in between; about five seconds */

struct source {
	struct reads *rd;
	struct http_client *client; /* NULL: not connected */
	struct source_head head;
	uint64_t at; /* of the object, what comes next */
	unsigned breaks;
	int fd; /* given up by the client, or -1 */
	char key[OBJKEY_TEXT_MAX];
	char url[MSG_URL_MAX + 1];
};

struct reads *
reads_new(const struct reads_options *o)
{
	struct reads *rd = xcalloc(1, sizeof *rd);

	http_client_global_init();
	rd->o = *o;
	rd->urls = lru_new(URLS_MAX);
	rd->narinfos = lru_new(o->narinfo_max);
	pthread_mutex_init(&rd->lock, NULL);
	return rd;
}

void
reads_free(struct reads *rd)
{
	if (rd == NULL)
		return;
	while (rd->nidle > 0)
		http_client_free(rd->idle[--rd->nidle]);
	pthread_mutex_destroy(&rd->lock);
	lru_free(rd->narinfos);
	lru_free(rd->urls);
	free(rd);
}

/* ---- connections ---- */

static struct http_client *
client_get(struct reads *rd)
{
	struct http_client *c = NULL;

	pthread_mutex_lock(&rd->lock);
	if (rd->nidle > 0)
		c = rd->idle[--rd->nidle];
	pthread_mutex_unlock(&rd->lock);
	if (c != NULL)
		return c;
	return http_client_new(&(struct http_client_options){
	    .ca_file = rd->o.ca_file, .user_agent = "niks3-server" });
}

static void
client_put(struct source *s)
{
	struct reads *rd = s->rd;
	struct http_client *c = s->client;

	if (c == NULL)
		return;
	s->client = NULL;
	http_close(c);
	pthread_mutex_lock(&rd->lock);
	if (rd->nidle < READ_IDLE_MAX) {
		rd->idle[rd->nidle++] = c;
		c = NULL;
	}
	pthread_mutex_unlock(&rd->lock);
	http_client_free(c);
}

/* ---- URLs ---- */

static int
url_ask(struct source *s, struct err *e)
{
	struct arena *a = arena_new(IPC_ARENA);
	const char *key = s->key;
	struct get_authorize ask = { .lifetime_s = URL_LIFE_S,
		.keys = { &key, 1 } };
	struct get_authorized answer;
	deadline_t until = deadline_in(URL_KEEP_MS);
	int rc;

	rc = ipc_call(s->rd->o.uploader, CALL_get_authorize, &ask, a, &answer,
	    deadline_in(IPC_MS), e);
	if (rc == 0 && answer.urls.n != 1)
		rc = err_set(e, ERR_INTERNAL, "the uploader gave %zu URLs",
		    answer.urls.n);
	if (rc == 0) {
		const char *url = answer.urls.items[0];

		snprintf(s->url, sizeof s->url, "%s", url);
		lru_put(s->rd->urls, s->key, url, strlen(url), until);
	}
	arena_free(a);
	return rc;
}

/* *kept: it was in memory, and may have become worthless. */
static int
url_get(struct source *s, int *kept, struct err *e)
{
	struct buf b;

	buf_init(&b, MSG_URL_MAX);
	*kept = lru_get(s->rd->urls, s->key, &b);
	if (*kept)
		snprintf(s->url, sizeof s->url, "%s", buf_str(&b));
	buf_done(&b);
	return *kept ? 0 : url_ask(s, e);
}

/* ---- asking S3 ---- */

static int
has_code(const char *xml, const char *code)
{
	const char *at = strstr(xml, "<Code>");

	return at != NULL && strncmp(at + 6, code, strlen(code)) == 0;
}

/* What S3 means by a refusal: its own words count, not the status alone. */
static int
refused(const struct source *s, int status, const char *xml, struct err *e)
{
	if (status == 404 && has_code(xml, "NoSuchKey"))
		return err_set(e, ERR_NOT_FOUND, "%s is not here", s->key);
	if (status == 429 || has_code(xml, "SlowDown") ||
	    has_code(xml, "Throttling") || has_code(xml, "RequestThrottled") ||
	    has_code(xml, "RequestLimitExceeded"))
		return err_set(
		    e, ERR_THROTTLED, "S3 rate limit exceeded, please retry");
	if (status == 412)
		return err_set(
		    e, ERR_CONFLICT, "%s changed while it was read", s->key);
	return err_set(e, status >= 500 ? ERR_UNAVAILABLE : ERR_INTERNAL,
	    "S3 answered %d for %s", status, s->key);
}

/* The body of an answer that is none of an object. */
static void
drain(struct source *s, struct buf *out)
{
	char piece[HTTP_READ_MIN];
	ssize_t n;

	while ((n = http_read(s->client, piece, sizeof piece,
	            deadline_in(CHUNK_MS), NULL)) > 0)
		if (buf_append(out, piece, n, NULL) != 0)
			break;
}

static int
request(struct source *s, const char *const *headers, size_t n, int fresh,
    struct http_answer *answer, struct err *e)
{
	struct http_call call = {
		.method = "GET",
		.url = s->url,
		.headers = headers,
		.nheaders = n,
		.deadline = deadline_in(OPEN_MS),
		.fresh = fresh,
	};

	if (s->client == NULL)
		s->client = client_get(s->rd);
	return http_open(s->client, &call, answer, e);
}

/* Asks, and once more where that may help: over a new connection, or by a new
 * URL. Statuses that are not in the list of source_head are errors. */
static int
ask(struct source *s, const char *const *headers, size_t n,
    struct http_answer *answer, struct err *e)
{
	struct buf xml;
	int kept, rc, status;

	for (int try = 0;; try++) {
		if (url_get(s, &kept, e) != 0)
			return -1;
		if (request(s, headers, n, try > 0, answer, e) != 0) {
			if (try > 0 || e->kind != ERR_UNAVAILABLE)
				return -1;
			err_clear(e);
			continue;
		}
		status = answer->status;
		if (status == 200 || status == 206)
			return 0;
		buf_init(&xml, REFUSAL_MAX);
		drain(s, &xml);
		rc = status == 304 || status == 416
		    ? 0
		    : refused(s, status, buf_str(&xml), e);
		buf_done(&xml);
		if (status != 403 || !kept || try > 0)
			return rc;
		lru_del(s->rd->urls, s->key);
		err_clear(e);
	}
}

static void
range_fmt(char *out, size_t size, const struct read_range *r)
{
	if (r->kind == RANGE_SUFFIX)
		snprintf(out, size, "Range: bytes=-%ju", (uintmax_t)r->from);
	else if (r->to == UINT64_MAX)
		snprintf(out, size, "Range: bytes=%ju-", (uintmax_t)r->from);
	else
		snprintf(out, size, "Range: bytes=%ju-%ju", (uintmax_t)r->from,
		    (uintmax_t)r->to);
}

/* Which bytes an answer holds. */
static int
extent(struct source_head *h, const struct http_answer *answer, struct err *e)
{
	uint64_t last, length = answer->content_length;

	h->from = 0;
	h->end = h->size = answer->content_length < 0 ? UINT64_MAX : length;
	if (h->status == 416)
		h->size = UINT64_MAX;
	if (h->status == 416)
		(void)read_content_range(
		    answer->content_range, &h->from, &last, &h->size);
	if (h->status != 206)
		return 0;
	if (read_content_range(
	        answer->content_range, &h->from, &last, &h->size) != 0 ||
	    (answer->content_length >= 0 && last - h->from + 1 != length))
		return err_set(e, ERR_CORRUPT, "S3 answered a range by \"%s\"",
		    answer->content_range);
	h->end = last + 1;
	return 0;
}

static int
fill_head(
    struct source_head *h, const struct http_answer *answer, struct err *e)
{
	*h = (struct source_head){ .status = answer->status };
	read_etag(h->etag, answer->etag);
	snprintf(h->last_modified, sizeof h->last_modified, "%s",
	    answer->last_modified);
	snprintf(
	    h->encoding, sizeof h->encoding, "%s", answer->content_encoding);
	return extent(h, answer, e);
}

int
source_open(struct reads *rd, const struct source_ask *q, struct source **out,
    struct source_head *head, struct err *e)
{
	struct source *s = xcalloc(1, sizeof *s);
	char range[80], match[READ_ETAG_MAX + 20], since[100];
	const char *headers[3];
	struct http_answer answer;
	size_t n = 0;

	s->rd = rd;
	s->fd = -1;
	snprintf(s->key, sizeof s->key, "%s", q->key);
	if (q->range.kind != RANGE_NONE) {
		range_fmt(range, sizeof range, &q->range);
		headers[n++] = range;
	}
	if (q->if_none_match != NULL) {
		snprintf(
		    match, sizeof match, "If-None-Match: %s", q->if_none_match);
		headers[n++] = match;
	}
	if (q->if_modified_since != NULL) {
		snprintf(since, sizeof since, "If-Modified-Since: %s",
		    q->if_modified_since);
		headers[n++] = since;
	}
	if (ask(s, headers, n, &answer, e) != 0 ||
	    fill_head(&s->head, &answer, e) != 0) {
		source_close(s);
		return -1;
	}
	s->at = s->head.from;
	*head = s->head;
	*out = s;
	return 0;
}

/* ---- reading ---- */

/* Asks for the rest of what it broke off in. */
static int
resume(struct source *s, struct err *e)
{
	char range[80], match[READ_ETAG_MAX + 20];
	const char *headers[] = { range, match };
	struct http_answer answer;
	struct source_head h;

	range_fmt(range, sizeof range,
	    &(struct read_range){ RANGE_FROM, s->at, s->head.end - 1 });
	snprintf(match, sizeof match, "If-Match: %s", s->head.etag);
	if (ask(s, headers, 2, &answer, e) != 0)
		return -1;
	if (fill_head(&h, &answer, e) != 0)
		return -1;
	if (h.status != 206 || h.from != s->at || h.end != s->head.end ||
	    strcmp(h.etag, s->head.etag) != 0)
		return err_set(
		    e, ERR_CONFLICT, "%s changed while it was read", s->key);
	return 0;
}

static ssize_t
read_once(struct source *s, void *buf, size_t max, struct err *e)
{
	ssize_t n;

	if (s->client == NULL && resume(s, e) != 0)
		return -1;
	n = http_read(s->client, buf, max, deadline_in(CHUNK_MS), e);
	if (n == 0 && s->head.end != UINT64_MAX)
		return err_set(e, ERR_CORRUPT, "%s ended too early", s->key);
	return n;
}

ssize_t
source_read(struct source *s, void *buf, size_t max, struct err *e)
{
	ssize_t n;

	if (s->at == s->head.end || max == 0)
		return 0;
	while ((n = read_once(s, buf, max, e)) == -1) {
		client_put(s);
		/* Only what S3 can tell from another version can go on. */
		if (s->head.etag[0] != '"' || s->head.end == UINT64_MAX ||
		    e->kind == ERR_CONFLICT || e->kind == ERR_NOT_FOUND ||
		    s->breaks++ == BREAKS_MAX)
			return -1;
		clock_sleep(
		    clock_backoff(s->breaks, 50, 2000), deadline_in(2000));
	}
	err_clear(e);
	s->breaks = 0;
	s->at += n;
	return n;
}

void
source_seek(struct source *s, uint64_t at)
{
	if (at == s->at)
		return;
	client_put(s);
	s->at = at;
}

ssize_t
source_read_detach(struct source *s, void *buf, size_t max, struct err *e)
{
	ssize_t n = source_read(s, buf, max - HTTP_DETACH_MIN, e);
	size_t more;

	if (n <= 0)
		return n;
	if (http_detach(s->client, (char *)buf + n, max - n, &more, &s->fd) !=
	    0)
		s->fd = -1;
	s->at += more;
	return n + more;
}

int
source_take_fd(struct source *s)
{
	int fd = s->fd;

	s->fd = -1;
	return fd;
}

int
source_read_all(struct source *s, struct buf *out, struct err *e)
{
	char piece[HTTP_READ_MIN];
	ssize_t n;

	while ((n = source_read(s, piece, sizeof piece, e)) > 0)
		if (buf_append(out, piece, n, e) != 0)
			return -1;
	return n;
}

void
source_close(struct source *s)
{
	if (s == NULL)
		return;
	if (s->fd != -1)
		close(s->fd);
	client_put(s);
	free(s);
}
