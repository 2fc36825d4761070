#include "bucket.h"

#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/s3/s3.h"

#define CACHE_INFO     "nix-cache-info"
#define CACHE_INFO_MAX ((size_t)1 << 20)
#define BUCKET_WAIT_MS 10000 /* for one answer of S3 at the start */

/* Does it say "Name: value", and where? NULL when it does not. */
static const char *
info_line(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *s = text; *s != '\0'; s++) {
		if (strncmp(s, name, len) == 0 &&
		    strncmp(s + len, ": ", 2) == 0)
			return s + len + 2;
		if ((s = strchr(s, '\n')) == NULL)
			break;
	}
	return NULL;
}

static int
info_says(const char *text, const char *name, const char *value)
{
	const char *s = info_line(text, name);
	size_t len = strlen(value);

	return s != NULL && strncmp(s, value, len) == 0 &&
	    (s[len] == '\n' || s[len] == '\0');
}

/* Gets it, or writes it; of several uploaders, one. */
static int
info_read(struct s3_conn *conn, const struct s3_put *ours, struct buf *text,
    deadline_t d, struct err *e)
{
	int rc = s3_get(conn, CACHE_INFO, 0, 0, text, NULL, NULL, d, e);

	if (rc == 0 || e->kind != ERR_NOT_FOUND)
		return rc;
	err_clear(e);
	buf_reset(text);
	if (s3_put(conn, ours, d, e) == 0)
		return buf_append(text, ours->data, ours->len, e);
	if (e->kind != ERR_CONFLICT)
		return -1;
	err_clear(e);
	return s3_get(conn, CACHE_INFO, 0, 0, text, NULL, NULL, d, e);
}

/* Nobody's store but ours; and the priority is the one that was set last. */
static int
info_match(struct s3_conn *conn, const struct bucket *b,
    const struct s3_put *ours, struct buf *text, deadline_t d, struct err *e)
{
	struct s3_put put = *ours;
	char priority[24];

	if (info_line(buf_str(text), "StoreDir") != NULL &&
	    !info_says(buf_str(text), "StoreDir", b->store_dir)) {
		err_set(e, ERR_CONFLICT,
		    "bucket %s is the cache of another store than %s", b->name,
		    b->store_dir);
		return err_hint(e,
		    "see its " CACHE_INFO
		    ", and give --store-dir or another bucket");
	}
	snprintf(
	    priority, sizeof priority, "%llu", (unsigned long long)b->priority);
	if (info_says(buf_str(text), "Priority", priority))
		return 0;
	put.if_none_match = 0;
	if (s3_put(conn, &put, d, e) != 0)
		return -1;
	log_info("wrote " CACHE_INFO " anew", LOG_U("priority", b->priority));
	buf_reset(text);
	return buf_append(text, ours->data, ours->len, e);
}

/* nix-cache-info is asked for by GET, whose refusal says why. It also serves to
 * see whether the server lets nothing be overwritten when it is told so. */
static int
check(struct s3_conn *conn, const struct bucket *b, struct err *e)
{
	deadline_t d = deadline_in(BUCKET_WAIT_MS);
	struct s3_put info = { .key = CACHE_INFO,
		.content_type = "text/plain",
		.if_none_match = 1 };
	struct buf ours, text;
	int rc;

	buf_init(&ours, CACHE_INFO_MAX);
	buf_init(&text, CACHE_INFO_MAX);
	rc = buf_printf(&ours, e,
	    "StoreDir: %s\nWantMassQuery: 1\nPriority: %llu\n", b->store_dir,
	    (unsigned long long)b->priority);
	info.data = ours.data;
	info.len = ours.len;
	if (rc == 0 && (rc = info_read(conn, &info, &text, d, e)) == 0 &&
	    (rc = info_match(conn, b, &info, &text, d, e)) == 0) {
		info.data = text.data;
		info.len = text.len;
		rc = s3_create_check(conn, &info, d, e);
	}
	buf_done(&ours);
	buf_done(&text);
	return rc;
}

int
bucket_open(struct s3 *s3, const struct bucket *b, struct err *e)
{
	struct s3_conn *conn = s3_conn_new(s3);
	int rc;

	for (unsigned n = 0;; n++) {
		err_clear(e);
		rc = check(conn, b, e);
		if (rc == 0 || !err_retryable(e->kind))
			break;
		log_err(LOG_LEVEL_WARN, "waiting for S3", e);
		service_status("waiting for S3: %s", e->msg);
		if (service_wait(deadline_in(clock_backoff(n, 200, 10000)),
		        NULL, NULL) == 0) {
			err_clear(e); /* nothing is wrong with a stop */
			break;
		}
	}
	s3_conn_free(conn);
	return rc;
}
