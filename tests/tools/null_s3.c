/*
 * null_s3 [HOST:PORT]: an S3 server that stores nothing and never says no, for
 * benchmarks of what stands before one. Deletes are done, objects are there
 * (so that none can be created),
 * lists are empty; signatures are not looked at. It logs its port, and when it
 * is stopped how many requests came and how many keys they deleted.
 */
#include <stdatomic.h>
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/http/server.h"

#define WORKERS  4
#define BODY_MAX ((size_t)64 << 20)

static atomic_ullong requests, deleted;

static int
answer(struct http_res *r, const char *xml, struct err *e)
{
	atomic_fetch_add(&requests, 1);
	r->content_type = "application/xml";
	return buf_puts(&r->body, xml, e);
}

/* A GET or HEAD of an object, of a bucket or of one of its lists. */
static int
handle_get(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	if (http_req_query(q, "uploads") != NULL)
		return answer(r,
		    "<ListMultipartUploadsResult><IsTruncated>false"
		    "</IsTruncated></ListMultipartUploadsResult>",
		    e);
	if (http_req_query(q, "list-type") != NULL)
		return answer(r,
		    "<ListBucketResult><IsTruncated>false</IsTruncated>"
		    "</ListBucketResult>",
		    e);
	return answer(r, "", e);
}

/* A PUT or DELETE of anything. */
static int
handle_change(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	if (strcmp(q->method, "DELETE") == 0)
		r->status = 204;
	/* Objects are there. */
	if (http_req_header(q, "if-none-match") != NULL)
		r->status = 412;
	return answer(r, "", e);
}

/* Each <Key> of the request is one that is <Deleted>; it stays escaped. */
static int
delete_keys(const struct http_req *q, struct http_res *r, struct err *e)
{
	static const char open[] = "<Key>", close[] = "</Key>";
	const char *p = (const char *)q->body, *end = p + q->body_len, *to;

	if (answer(r, "<DeleteResult>", e) != 0)
		return -1;
	while ((p = memmem(p, end - p, open, strlen(open))) != NULL &&
	    (to = memmem(p, end - p, close, strlen(close))) != NULL) {
		to += strlen(close);
		if (buf_puts(&r->body, "<Deleted>", e) != 0 ||
		    buf_append(&r->body, p, to - p, e) != 0 ||
		    buf_puts(&r->body, "</Deleted>", e) != 0)
			return -1;
		atomic_fetch_add(&deleted, 1);
		p = to;
	}
	return buf_puts(&r->body, "</DeleteResult>", e);
}

static int
handle_post(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	if (http_req_query(q, "delete") != NULL)
		return delete_keys(q, r, e);
	return err_set(e, ERR_INVALID, "null_s3: POST %s", q->path);
}

static const struct http_route routes[] = {
	{ "GET", "/{path...}", handle_get, 0, 0 },
	{ "PUT", "/{path...}", handle_change, BODY_MAX, 0 },
	{ "DELETE", "/{path...}", handle_change, 0, 0 },
	{ "POST", "/{path...}", handle_post, BODY_MAX, 0 },
	{ NULL },
};

int
main(int argc, char **argv)
{
	struct http_server_options o = {
		.address = argc > 1 ? argv[1] : "127.0.0.1:0",
		.routes = routes,
		.workers = WORKERS,
	};
	struct http_server *server;
	struct err e = ERR_INIT;

	service_init("null_s3", "info");
	if (http_server_new(&o, &server, &e) != 0) {
		log_err(LOG_LEVEL_ERROR, "cannot start", &e);
		return err_exit(e.kind);
	}
	log_info("listening", LOG_U("port", http_server_port(server)));
	while (service_wait(deadline_in(INT32_MAX), NULL, NULL) != 0)
		;
	http_server_stop(server, SERVICE_DRAIN_MS);
	http_server_free(server);
	log_info(
	    "stopped", LOG_U("requests", requests), LOG_U("deleted", deleted));
	return 0;
}
