/*
 * fake_aws DIR [HOST:PORT]: what of AWS's hands out credentials: the metadata of
 * an instance (version 2), a container's endpoint at /container, and STS at POST
 * /. The first two answer with the file DIR/json, STS with DIR/xml, as it is at
 * that moment; without the file they answer 503. It logs its port and each
 * request, without what was shown to it.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/http/server.h"

#define ROLES    "/latest/meta-data/iam/security-credentials/"
#define SESSION  "a-session"
#define BODY_MAX ((size_t)64 << 10)

static const char *dir;

static int
give_file(struct http_res *r, const char *name, struct err *e)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (file_read(path, &r->body, e) == 0)
		return 0;
	e->kind = ERR_UNAVAILABLE;
	return -1;
}

static int
is_in_session(const struct http_req *q)
{
	const char *shown = http_req_header(q, "x-aws-ec2-metadata-token");

	return shown != NULL && strcmp(shown, SESSION) == 0;
}

static int
handle_get(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	log_info("asked", LOG_S("path", q->path));
	if (strcmp(q->path, "/container") == 0)
		return give_file(r, "json", e);
	if (!is_in_session(q))
		return err_set(e, ERR_UNAUTHORIZED, "version 2 only");
	r->content_type = "text/plain";
	if (strcmp(q->path, ROLES) == 0)
		return buf_puts(&r->body, "role", e);
	if (strcmp(q->path, ROLES "role") == 0)
		return give_file(r, "json", e);
	return err_set(e, ERR_NOT_FOUND, "%s", q->path);
}

static int
handle_token(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	(void)worker;
	if (http_req_header(q, "x-aws-ec2-metadata-token-ttl-seconds") == NULL)
		return err_set(e, ERR_INVALID, "no lifetime");
	r->content_type = "text/plain";
	return buf_puts(&r->body, SESSION, e);
}

static int
handle_sts(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	static const char action[] = "Action=AssumeRoleWithWebIdentity&";

	(void)worker;
	log_info("asked", LOG_S("path", "sts"));
	if (memmem(q->body, q->body_len, action, strlen(action)) == NULL)
		return err_set(e, ERR_INVALID, "another action");
	r->content_type = "text/xml";
	return give_file(r, "xml", e);
}

static const struct http_route routes[] = {
	{ "GET", "/{path...}", handle_get, 0, 0 },
	{ "PUT", "/latest/api/token", handle_token, 0, 0 },
	{ "POST", "/", handle_sts, BODY_MAX, 0 },
	{ NULL },
};

int
main(int argc, char **argv)
{
	struct http_server_options o = {
		.address = argc > 2 ? argv[2] : "127.0.0.1:0",
		.routes = routes,
		.workers = 1,
	};
	struct http_server *server;
	struct err e = ERR_INIT;

	service_init("fake_aws", "info");
	if (argc < 2)
		err_die("fake_aws DIR [HOST:PORT]");
	dir = argv[1];
	if (http_server_new(&o, &server, &e) != 0) {
		log_err(LOG_LEVEL_ERROR, "cannot start", &e);
		return err_exit(e.kind);
	}
	log_info("listening", LOG_U("port", http_server_port(server)));
	while (service_wait(deadline_in(INT32_MAX), NULL, NULL) != 0)
		;
	http_server_stop(server, SERVICE_DRAIN_MS);
	http_server_free(server);
	return 0;
}
