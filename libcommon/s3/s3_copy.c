#include "s3_internal.h"

#include <string.h>

#include "../core/err.h"
#include "../nix/objkey.h"

/* "/BUCKET/KEY", each byte of it escaped at worst. */
#define SOURCE_MAX (3 * ((size_t)OBJKEY_MAX + 256) + 2)

static int
copy_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	(void)ctx, (void)parent, (void)name, (void)text, (void)e;
	return 0; /* that it is no <Error> is all that counts */
}

static int
copy_read(void *ctx, const struct buf *body, struct err *e)
{
	static const struct s3_xml x = { "CopyObjectResult", copy_leaf, NULL };

	return s3_xml_parse(body, &x, ctx, e);
}

int
s3_copy(struct s3_conn *c, const char *from_key, const char *to_key,
    deadline_t d, struct s3_stat *out, struct err *e)
{
	const char *headers[][2] = { { "x-amz-copy-source" },
		{ "x-amz-metadata-directive", "COPY" } };
	struct s3_request r = { .op = S3_OP_COPY,
		.method = "PUT",
		.key = to_key,
		.headers = headers,
		.nheaders = 2,
		.read = copy_read };
	struct buf source;
	int rc = -1;

	buf_init(&source, SOURCE_MAX);
	if (from_key[0] == '\0' || strlen(from_key) > OBJKEY_MAX ||
	    strcmp(from_key, to_key) == 0) {
		err_set(e, ERR_INVALID, "copy a key of %zu bytes to %s",
		    strlen(from_key), to_key);
		goto out;
	}
	if (buf_putc(&source, '/', e) != 0 ||
	    buf_puts(&source, c->s3->where.bucket, e) != 0 ||
	    buf_putc(&source, '/', e) != 0 ||
	    http_escape(&source, from_key, strlen(from_key), 1, e) != 0)
		goto out;
	headers[0][1] = buf_str(&source);
	rc = s3_request(c, &r, d, NULL, e);
	if (rc != 0)
		err_prefix(e, "copy of %s", from_key);
	else if (out != NULL && (rc = s3_head(c, to_key, d, out, e)) != 0)
		err_prefix(e, "after the copy of %s", from_key);
out:
	buf_done(&source);
	return rc;
}
