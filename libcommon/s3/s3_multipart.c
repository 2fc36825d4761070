#include "s3_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/arena.h"
#include "../core/err.h"
#include "../core/num.h"

#define LIST_MAX 1000 /* uploads, or parts, a page: S3's own limit */

/* ---- create ---- */

struct creation {
	struct arena *a;
	const char *id;
};

static int
create_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	struct creation *c = ctx;

	(void)parent;
	if (strcmp(name, "UploadId") != 0)
		return 0;
	if (text[0] == '\0' || strlen(text) > S3_UPLOADID_MAX)
		return err_set(
		    e, ERR_CORRUPT, "an upload id of %zu bytes", strlen(text));
	if ((c->id = arena_str(c->a, text)) == NULL)
		return arena_full(c->a, e);
	return 0;
}

static int
create_read(void *ctx, const struct buf *body, struct err *e)
{
	static const struct s3_xml x = { "InitiateMultipartUploadResult",
		create_leaf, NULL };
	struct creation *c = ctx;

	if (s3_xml_parse(body, &x, c, e) != 0)
		return -1;
	return c->id != NULL ? 0 : err_set(e, ERR_CORRUPT, "no upload id");
}

int
s3_mpu_create(struct s3_conn *c, const char *key, const char *content_type,
    struct arena *a, const char **upload_id, deadline_t d, struct err *e)
{
	static const char *const query[][2] = { { "uploads", "" } };
	const char *const headers[][2] = { { "content-type", content_type } };
	struct creation made = { .a = a };
	struct s3_request r = { .op = S3_OP_MPU_CREATE,
		.method = "POST",
		.key = key,
		.query = query,
		.nquery = 1,
		.headers = headers,
		.nheaders = content_type != NULL,
		.once = 1,
		.read = create_read,
		.ctx = &made };

	if (s3_request(c, &r, d, NULL, e) != 0)
		return -1;
	*upload_id = made.id;
	return 0;
}

/* ---- parts ---- */

int
s3_mpu_put_part(struct s3_conn *c, const char *key, const char *upload_id,
    uint32_t number, const void *data, size_t len, char etag[256], deadline_t d,
    struct err *e)
{
	char part[16];
	const char *const query[][2] = { { "partNumber", part },
		{ "uploadId", upload_id } };
	struct s3_request r = { .op = S3_OP_MPU_PART,
		.method = "PUT",
		.key = key,
		.query = query,
		.nquery = 2,
		.body = data,
		.len = len };
	struct s3_reply reply;

	snprintf(part, sizeof part, "%u", (unsigned)number);
	if (s3_request(c, &r, d, &reply, e) != 0)
		return -1;
	if (reply.http.etag[0] == '\0')
		return err_set(e, ERR_UNAVAILABLE,
		    "PUT %s: part %s: answer without an ETag", key, part);
	s3_etag_trim(etag, reply.http.etag);
	return 0;
}

struct part_list {
	struct arena *a;
	struct s3_part *parts; /* room for S3_PARTS_MAX */
	uint64_t *sizes;
	size_t n, page; /* page: where the one under way began */
	int more;
	uint64_t next;
	/* The <Part> under way. */
	uint64_t number, size;
	char *etag;
};

static int
parts_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	struct part_list *l = ctx;
	size_t len = strlen(text);

	if (strcmp(parent, "ListPartsResult") == 0) {
		if (strcmp(name, "IsTruncated") == 0)
			l->more = strcmp(text, "true") == 0;
		else if (strcmp(name, "NextPartNumberMarker") == 0)
			return num_parse_u64(
			    text, len, S3_PARTS_MAX, &l->next, e);
		return 0;
	}
	if (strcmp(parent, "Part") != 0)
		return 0;
	if (strcmp(name, "PartNumber") == 0)
		return num_parse_u64(text, len, S3_PARTS_MAX, &l->number, e);
	if (strcmp(name, "Size") == 0)
		return num_parse_u64(text, len, INT64_MAX, &l->size, e);
	if (strcmp(name, "ETag") == 0) {
		char etag[256];
		s3_etag_trim(etag, text);
		if ((l->etag = arena_str(l->a, etag)) == NULL)
			return arena_full(l->a, e);
	}
	return 0;
}

static int
parts_end(void *ctx, const char *name, struct err *e)
{
	struct part_list *l = ctx;

	if (strcmp(name, "Part") != 0)
		return 0;
	if (l->n == S3_PARTS_MAX)
		return err_set(
		    e, ERR_CORRUPT, "more than %d parts", S3_PARTS_MAX);
	if (l->etag == NULL || l->number == 0)
		return err_set(e, ERR_CORRUPT, "a part without number or ETag");
	l->parts[l->n] = (struct s3_part){ l->number, l->etag };
	l->sizes[l->n++] = l->size;
	l->etag = NULL;
	l->number = l->size = 0;
	return 0;
}

static int
parts_read(void *ctx, const struct buf *body, struct err *e)
{
	static const struct s3_xml x = { "ListPartsResult", parts_leaf,
		parts_end };
	struct part_list *l = ctx;

	l->n = l->page;
	l->more = 0;
	l->next = l->number = l->size = 0;
	l->etag = NULL;
	return s3_xml_parse(body, &x, l, e);
}

int
s3_mpu_parts(struct s3_conn *c, const char *key, const char *upload_id,
    struct arena *a, struct s3_part **parts, uint64_t **sizes, size_t *n,
    deadline_t d, struct err *e)
{
	char marker[24] = "0";
	const char *const query[][2] = { { "part-number-marker", marker },
		{ "uploadId", upload_id } };
	struct part_list l = { .a = a };
	struct s3_request r = { .op = S3_OP_MPU_PARTS,
		.method = "GET",
		.key = key,
		.query = query,
		.nquery = 2,
		.read = parts_read,
		.ctx = &l };
	uint64_t last = 0;

	l.parts = arena_array(a, S3_PARTS_MAX, sizeof *l.parts);
	l.sizes = arena_array(a, S3_PARTS_MAX, sizeof *l.sizes);
	if (l.parts == NULL || l.sizes == NULL)
		return arena_full(a, e);
	do {
		l.page = l.n;
		if (s3_request(c, &r, d, NULL, e) != 0)
			return -1;
		if (l.more && l.next <= last)
			return err_set(e, ERR_UNAVAILABLE,
			    "GET %s: the same parts again", key);
		last = l.next;
		snprintf(
		    marker, sizeof marker, "%llu", (unsigned long long)last);
	} while (l.more);
	*parts = l.parts;
	*sizes = l.sizes;
	*n = l.n;
	return 0;
}

/* ---- complete, abort ---- */

static int
complete_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	(void)ctx, (void)parent, (void)name, (void)text, (void)e;
	return 0; /* some servers leave even the ETag empty */
}

static int
complete_read(void *ctx, const struct buf *body, struct err *e)
{
	static const struct s3_xml x = { "CompleteMultipartUploadResult",
		complete_leaf, NULL };

	return s3_xml_parse(body, &x, ctx, e);
}

static int
by_number(const void *a, const void *b)
{
	const struct s3_part *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int
complete_body(struct s3_part *parts, size_t n, struct buf *out, struct err *e)
{
	char etag[256];

	qsort(parts, n, sizeof *parts, by_number);
	if (buf_puts(out,
	        "<CompleteMultipartUpload xmlns=\"http://"
	        "s3.amazonaws.com/doc/2006-03-01/\">",
	        e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].number == 0 || parts[i].number > S3_PARTS_MAX ||
		    (i > 0 && parts[i].number == parts[i - 1].number))
			return err_set(e, ERR_INVALID,
			    "part %u: out of range, or there twice",
			    (unsigned)parts[i].number);
		s3_etag_trim(etag, parts[i].etag);
		if (buf_printf(out, e,
		        "<Part><PartNumber>%u</PartNumber><ETag>\"",
		        (unsigned)parts[i].number) != 0 ||
		    s3_xml_escape(out, etag, e) != 0 ||
		    buf_puts(out, "\"</ETag></Part>", e) != 0)
			return -1;
	}
	return buf_puts(out, "</CompleteMultipartUpload>", e);
}

/* Is the upload known not to be there? */
static int
is_gone(struct s3_conn *c, const char *key, const char *upload_id, deadline_t d)
{
	const char *const query[][2] = { { "max-parts", "1" },
		{ "uploadId", upload_id } };
	struct s3_request r = { .op = S3_OP_MPU_PARTS,
		.method = "GET",
		.key = key,
		.query = query,
		.nquery = 2 };
	struct err e;

	return s3_request(c, &r, d, NULL, &e) != 0 && e.kind == ERR_NOT_FOUND;
}

int
s3_mpu_complete(struct s3_conn *c, const char *key, const char *upload_id,
    const struct s3_part *parts, size_t n, deadline_t d, struct err *e)
{
	const char *const query[][2] = { { "uploadId", upload_id } };
	const char *const headers[][2] = { { "content-type",
	    "application/xml" } };
	struct s3_request r = { .op = S3_OP_MPU_COMPLETE,
		.method = "POST",
		.key = key,
		.query = query,
		.nquery = 1,
		.headers = headers,
		.nheaders = 1,
		.once = 1,
		.read = complete_read };
	struct s3_part *sorted;
	struct s3_reply reply;
	struct err inner;
	struct buf xml;
	int rc = -1, unsure = 0;

	if (n == 0 || n > S3_PARTS_MAX)
		return err_set(
		    e, ERR_INVALID, "complete %s: %zu parts", key, n);
	sorted = xcalloc(n, sizeof *sorted);
	memcpy(sorted, parts, n * sizeof *sorted);
	buf_init(&xml, S3_ANSWER_MAX);
	if (complete_body(sorted, n, &xml, e) != 0) {
		err_prefix(e, "complete %s", key);
		goto out;
	}
	r.body = xml.data;
	r.len = xml.len;
	/*
	 * An upload that is gone was completed by a try of ours or aborted by
	 * somebody. Some servers call that an internal error, which would be
	 * repeated in vain: so the upload is looked for between the tries.
	 */
	for (unsigned round = 0;; round++) {
		rc = s3_request(c, &r, d, &reply, &inner);
		unsure |= reply.unsure;
		if (rc == 0 || !reply.unsure || is_gone(c, key, upload_id, d))
			break;
		if (s3_pause(c, round, &reply, d) != 0)
			break;
	}
	if (rc != 0 && unsure && inner.kind == ERR_NOT_FOUND)
		inner.kind = ERR_UNAVAILABLE;
	if (rc != 0 && e != NULL)
		*e = inner;
out:
	buf_done(&xml);
	free(sorted);
	return rc;
}

int
s3_mpu_abort(struct s3_conn *c, const char *key, const char *upload_id,
    deadline_t d, struct err *e)
{
	const char *const query[][2] = { { "uploadId", upload_id } };
	struct s3_request r = { .op = S3_OP_MPU_ABORT,
		.method = "DELETE",
		.key = key,
		.query = query,
		.nquery = 1 };
	struct err inner;

	if (s3_request(c, &r, d, NULL, &inner) == 0 ||
	    inner.kind == ERR_NOT_FOUND)
		return 0;
	if (e != NULL)
		*e = inner;
	return -1;
}

/* ---- list ---- */

struct upload_list {
	struct arena *a;
	struct s3_mpu *items; /* room for LIST_MAX */
	char **keys;          /* the items', to be unescaped at the end */
	size_t n;
	char *next_key, *next_id;
	int escaped, more;
	struct s3_mpu item; /* the <Upload> under way */
	char *key;
};

static int
uploads_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	struct upload_list *l = ctx;
	int top = strcmp(parent, "ListMultipartUploadsResult") == 0;
	char *copy;

	if (!top && strcmp(parent, "Upload") != 0)
		return 0;
	if (top && strcmp(name, "EncodingType") == 0) {
		l->escaped = strcmp(text, "url") == 0;
		return 0;
	}
	if (top && strcmp(name, "IsTruncated") == 0) {
		l->more = strcmp(text, "true") == 0;
		return 0;
	}
	if (!top && strcmp(name, "Initiated") == 0)
		return s3_time_parse(text, &l->item.initiated_s, e);
	if ((copy = arena_str(l->a, text)) == NULL)
		return arena_full(l->a, e);
	if (top && strcmp(name, "NextKeyMarker") == 0)
		l->next_key = copy;
	else if (top && strcmp(name, "NextUploadIdMarker") == 0)
		l->next_id = copy;
	else if (!top && strcmp(name, "Key") == 0)
		l->key = copy;
	else if (!top && strcmp(name, "UploadId") == 0)
		l->item.upload_id = copy;
	return 0;
}

static int
uploads_end(void *ctx, const char *name, struct err *e)
{
	struct upload_list *l = ctx;

	if (strcmp(name, "Upload") != 0)
		return 0;
	if (l->n == LIST_MAX)
		return err_set(e, ERR_CORRUPT, "more uploads than asked for");
	if (l->key == NULL || l->item.upload_id == NULL)
		return err_set(e, ERR_CORRUPT, "an upload without key or id");
	l->keys[l->n] = l->key;
	l->items[l->n++] = l->item;
	l->key = NULL;
	l->item = (struct s3_mpu){ .key = NULL };
	return 0;
}

static int
uploads_read(void *ctx, const struct buf *body, struct err *e)
{
	static const struct s3_xml x = { "ListMultipartUploadsResult",
		uploads_leaf, uploads_end };
	struct upload_list *l = ctx;

	*l = (struct upload_list){
		.a = l->a, .items = l->items, .keys = l->keys
	};
	if (s3_xml_parse(body, &x, l, e) != 0)
		return -1;
	if (l->more && (l->next_key == NULL || l->next_id == NULL))
		return err_set(
		    e, ERR_CORRUPT, "cut, without markers for the rest");
	if (l->escaped && l->more && s3_unescape(l->next_key, e) != 0)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		if (l->escaped && s3_unescape(l->keys[i], e) != 0)
			return -1;
		l->items[i].key = l->keys[i];
	}
	return 0;
}

int
s3_mpu_list(struct s3_conn *c, const char *key_marker, const char *id_marker,
    struct arena *a, struct s3_mpu_list *out, deadline_t d, struct err *e)
{
	const char *const query[][2] = { { "uploads", "" },
		{ "encoding-type", "url" }, { "key-marker", key_marker },
		{ "upload-id-marker", id_marker } };
	int first = key_marker == NULL || id_marker == NULL;
	struct upload_list l = { .a = a };
	struct s3_request r = { .op = S3_OP_MPU_LIST,
		.method = "GET",
		.query = query,
		.nquery = first ? 2 : 4,
		.read = uploads_read,
		.ctx = &l };

	l.items = arena_array(a, LIST_MAX, sizeof *l.items);
	l.keys = arena_array(a, LIST_MAX, sizeof *l.keys);
	if (l.items == NULL || l.keys == NULL)
		return arena_full(a, e);
	if (s3_request(c, &r, d, NULL, e) != 0)
		return -1;
	if (l.more && !first && strcmp(l.next_key, key_marker) == 0 &&
	    strcmp(l.next_id, id_marker) == 0)
		return err_set(
		    e, ERR_UNAVAILABLE, "list of uploads: the same page again");
	*out = (struct s3_mpu_list){ l.items, l.n, l.more ? l.next_key : NULL,
		l.more ? l.next_id : NULL };
	return 0;
}
