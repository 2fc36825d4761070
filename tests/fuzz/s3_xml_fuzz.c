/*
 * What S3 answers with: each reader of ours is given the input as the body of an
 * answer, by a stand-in for s3_request. A line that is "--" parts the input into
 * the answers of several requests, of which the last one comes again and again.
 *
 * Lists are as s3.h has them; a try that failed leaves nothing behind for the
 * next one; nothing counts as deleted without a word about it.
 */
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/s3/s3_internal.h"
#include "fuzz.h"

#define ARENA_MAX (8 << 20)
#define PAGE      3 /* keys: a few more are a short text */
#define UNTOUCHED 0x5a

/* ---- the stand-ins ---- */

static struct s3 s3;
static struct s3_conn conn = { .s3 = &s3 };
static const uint8_t *next, *end;
static const char *cut; /* an answer that comes before each, and is no good */

static int
read_one(const struct s3_request *r, const void *p, size_t n, struct err *e)
{
	struct buf body;
	int rc;

	buf_init(&body, n + 1);
	buf_append(&body, p, n, NULL);
	rc = r->read(r->ctx, &body, e);
	buf_done(&body);
	return rc;
}

/* expat's tables are not random, so that a run can be repeated. */
XML_Parser __real_XML_ParserCreate(const char *encoding);
XML_Parser __wrap_XML_ParserCreate(const char *encoding);

XML_Parser
__wrap_XML_ParserCreate(const char *encoding)
{
	XML_Parser p = __real_XML_ParserCreate(encoding);

	XML_SetHashSalt(p, 1);
	return p;
}

int __wrap_s3_request(struct s3_conn *c, const struct s3_request *r,
    deadline_t d, struct s3_reply *out, struct err *e);

int
__wrap_s3_request(struct s3_conn *c, const struct s3_request *r, deadline_t d,
    struct s3_reply *out, struct err *e)
{
	const uint8_t *line = memmem(next, end - next, "\n--\n", 4);
	size_t n = (line != NULL ? line : end) - next;
	int rc;

	(void)c, (void)d, (void)out;
	if (r->read == NULL)
		return err_set(e, ERR_UNAVAILABLE, "no answer");
	if (cut != NULL)
		FUZZ_CHECK(read_one(r, cut, strlen(cut), NULL) == -1);
	rc = read_one(r, next, n, e);
	if (line != NULL)
		next = line + 4;
	return rc;
}

/* ---- lists ---- */

static int
is_same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static int
is_untouched(const void *p, size_t n)
{
	const uint8_t *s = p;

	for (size_t i = 0; i < n; i++)
		if (s[i] != UNTOUCHED)
			return 0;
	return 1;
}

/* Each takes an answer apart; the results of both ways of asking are compared. */
struct result {
	int rc;
	struct s3_list list;
	struct s3_mpu_list uploads;
	struct s3_part *parts;
	uint64_t *sizes;
	size_t n;
};

static void
list(struct arena *a, struct result *r, struct err *e)
{
	r->rc = s3_list(&conn, "p", "token", PAGE, a, &r->list, 0, e);
	if (r->rc < 0) {
		FUZZ_CHECK(is_untouched(&r->list, sizeof r->list));
		return;
	}
	FUZZ_CHECK(r->list.n <= PAGE);
	FUZZ_CHECK(r->list.next == NULL || strcmp(r->list.next, "token") != 0);
	for (size_t i = 0; i < r->list.n; i++) {
		FUZZ_CHECK(r->list.items[i].key != NULL);
		FUZZ_CHECK(r->list.items[i].etag != NULL);
		FUZZ_CHECK(r->list.items[i].size <= INT64_MAX);
	}
}

static void
list_same(const struct result *x, const struct result *y)
{
	FUZZ_CHECK(x->list.n == y->list.n);
	FUZZ_CHECK(is_same(x->list.next, y->list.next));
	for (size_t i = 0; i < x->list.n; i++) {
		const struct s3_item *a = &x->list.items[i];
		const struct s3_item *b = &y->list.items[i];

		FUZZ_CHECK(
		    is_same(a->key, b->key) && is_same(a->etag, b->etag));
		FUZZ_CHECK(
		    a->size == b->size && a->modified_s == b->modified_s);
	}
}

static void
uploads(struct arena *a, struct result *r, struct err *e)
{
	r->rc = s3_mpu_list(&conn, "key", "id", a, &r->uploads, 0, e);
	if (r->rc < 0) {
		FUZZ_CHECK(is_untouched(&r->uploads, sizeof r->uploads));
		return;
	}
	FUZZ_CHECK(
	    (r->uploads.next_key == NULL) == (r->uploads.next_id == NULL));
	for (size_t i = 0; i < r->uploads.n; i++)
		FUZZ_CHECK(r->uploads.items[i].key != NULL &&
		    r->uploads.items[i].upload_id != NULL);
}

static void
uploads_same(const struct result *x, const struct result *y)
{
	FUZZ_CHECK(x->uploads.n == y->uploads.n);
	FUZZ_CHECK(is_same(x->uploads.next_key, y->uploads.next_key));
	FUZZ_CHECK(is_same(x->uploads.next_id, y->uploads.next_id));
	for (size_t i = 0; i < x->uploads.n; i++) {
		const struct s3_mpu *a = &x->uploads.items[i];
		const struct s3_mpu *b = &y->uploads.items[i];

		FUZZ_CHECK(is_same(a->key, b->key));
		FUZZ_CHECK(is_same(a->upload_id, b->upload_id));
		FUZZ_CHECK(a->initiated_s == b->initiated_s);
	}
}

static void
parts(struct arena *a, struct result *r, struct err *e)
{
	r->rc = s3_mpu_parts(
	    &conn, "k", "id", a, &r->parts, &r->sizes, &r->n, 0, e);
	if (r->rc < 0) {
		FUZZ_CHECK(is_untouched(&r->n, sizeof r->n));
		return;
	}
	FUZZ_CHECK(r->n <= S3_PARTS_MAX);
	for (size_t i = 0; i < r->n; i++) {
		FUZZ_CHECK(r->parts[i].number >= 1);
		FUZZ_CHECK(r->parts[i].number <= S3_PARTS_MAX);
		FUZZ_CHECK(r->parts[i].etag != NULL);
		FUZZ_CHECK(r->sizes[i] <= INT64_MAX);
	}
}

static void
parts_same(const struct result *x, const struct result *y)
{
	FUZZ_CHECK(x->n == y->n);
	for (size_t i = 0; i < x->n; i++) {
		FUZZ_CHECK(x->parts[i].number == y->parts[i].number);
		FUZZ_CHECK(is_same(x->parts[i].etag, y->parts[i].etag));
		FUZZ_CHECK(x->sizes[i] == y->sizes[i]);
	}
}

/* Asked once, and after tries that were no good: the same comes out. */
static void
asks(void (*ask)(struct arena *a, struct result *r, struct err *e),
    void (*same)(const struct result *x, const struct result *y),
    const char *bad, const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(ARENA_MAX);
	struct result once, again;
	struct err e = ERR_INIT;

	memset(&once, UNTOUCHED, sizeof once);
	memset(&again, UNTOUCHED, sizeof again);
	next = data, end = data + size, cut = NULL;
	ask(a, &once, &e);
	FUZZ_CHECK((once.rc == 0) == (e.kind == ERR_NONE));
	next = data, cut = bad;
	ask(a, &again, &e);
	FUZZ_CHECK(once.rc == again.rc);
	if (once.rc == 0)
		same(&once, &again);
	arena_free(a);
}

/* Answers with all that they may have, but for their end. */
static const char cut_list[] =
    "<ListBucketResult><EncodingType>url</EncodingType>"
    "<IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>n</NextContinuationToken><Contents><Key>k</Key>"
    "<LastModified>2009-10-12T17:50:30Z</LastModified><ETag>e</ETag>"
    "<Size>3</Size></Contents><Contents><Key>l</Key><Size>4</Size>";
static const char cut_uploads[] =
    "<ListMultipartUploadsResult><EncodingType>url</EncodingType>"
    "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>"
    "<NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>k</Key>"
    "<UploadId>u</UploadId><Initiated>2010-11-10T20:48:33Z</Initiated>"
    "</Upload><Upload><Key>l</Key><UploadId>v</UploadId>";
static const char cut_parts[] =
    "<ListPartsResult><IsTruncated>true</IsTruncated>"
    "<NextPartNumberMarker>9</NextPartNumberMarker><Part>"
    "<PartNumber>8</PartNumber><ETag>e</ETag><Size>3</Size></Part><Part>"
    "<PartNumber>9</PartNumber><ETag>f</ETag><Size>4</Size>";

/* ---- the rest ---- */

static void
deletes(const uint8_t *data, size_t size)
{
	static const char *const keys[] = { "a", "log/x y", "b&c", "a" };
	struct s3_delete_result results[4];
	struct arena *a = arena_new(ARENA_MAX);
	struct err e = ERR_INIT;
	int rc;

	next = data, end = data + size, cut = NULL;
	rc = s3_delete(&conn, keys, 4, a, results, 0, &e);
	for (size_t i = 0; i < 4; i++) {
		int gone = results[i].state == S3_DELETED;

		FUZZ_CHECK(gone == (results[i].message == NULL));
		FUZZ_CHECK(rc == 0 || results[i].state == S3_DELETE_UNKNOWN);
		/* Not in UTF-16, where every other byte is NUL. */
		if (gone && memchr(data, '\0', size) == NULL)
			FUZZ_CHECK(memmem(data, size, "Deleted", 7) != NULL ||
			    memmem(data, size, "Error", 5) != NULL);
	}
	FUZZ_CHECK(results[0].state == results[3].state);
	arena_free(a);
}

static void
faults(const uint8_t *data, size_t size)
{
	struct s3_fault f;
	struct buf body;

	memset(&f, UNTOUCHED, sizeof f);
	buf_init(&body, size + 1);
	buf_append(&body, data, size, NULL);
	if (s3_fault_parse(&body, &f) < 0) {
		FUZZ_CHECK(is_untouched(&f, sizeof f));
	} else {
		FUZZ_CHECK(f.code[0] != '\0' && strlen(f.code) < sizeof f.code);
		FUZZ_CHECK(strlen(f.message) < sizeof f.message);
		FUZZ_CHECK(strlen(f.region) < sizeof f.region);
	}
	buf_done(&body);
}

static int
is_text(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	(void)parent, (void)name, (void)e;
	FUZZ_CHECK(strcmp(text, ctx) == 0);
	return 0;
}

/* A text that XML can carry comes back; escaped as a key, too. */
static void
texts(const uint8_t *data, size_t size)
{
	static const struct s3_xml x = { "R", is_text, NULL };
	char *text = xmalloc(size + 1);
	struct buf b;

	memcpy(text, data, size);
	text[size] = '\0';
	buf_init(&b, 6 * size + 16);
	if (s3_xml_can_carry(text) && strlen(text) <= S3_XML_TEXT_MAX) {
		buf_puts(&b, "<R>", NULL);
		FUZZ_CHECK(s3_xml_escape(&b, text, NULL) == 0);
		buf_puts(&b, "</R>", NULL);
		FUZZ_CHECK(s3_xml_parse(&b, &x, text, NULL) == 0);
	}
	buf_reset(&b);
	http_escape(&b, text, strlen(text), 0, NULL);
	buf_putc(&b, '\0', NULL);
	FUZZ_CHECK(s3_unescape((char *)b.data, NULL) == 0);
	FUZZ_CHECK(strcmp((char *)b.data, text) == 0);
	buf_done(&b);
	free(text);
}

static void
times(const uint8_t *data, size_t size)
{
	char text[64], plain[64];
	int64_t t = UNTOUCHED, again;
	time_t seconds;
	struct tm tm;

	if (size >= sizeof text)
		return;
	memcpy(text, data, size);
	text[size] = '\0';
	if (s3_time_parse(text, &t, NULL) < 0) {
		FUZZ_CHECK(t == UNTOUCHED);
		return;
	}
	seconds = t;
	gmtime_r(&seconds, &tm);
	strftime(plain, sizeof plain, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
	FUZZ_CHECK(s3_time_parse(plain, &again, NULL) == 0 && again == t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* No input leaves anything behind for the next. */
	s3_rate_init(&s3.rate, S3_RATE_MAX / 2);
	asks(list, list_same, cut_list, data, size);
	asks(uploads, uploads_same, cut_uploads, data, size);
	asks(parts, parts_same, cut_parts, data, size);
	deletes(data, size);
	faults(data, size);
	texts(data, size);
	times(data, size);
	s3_rate_done(&s3.rate);
	return 0;
}
