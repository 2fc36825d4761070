#include "s3_internal.h"

#include <expat.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../codec/base64.h"
#include "../core/err.h"

#define TAG_MAX 64 /* S3's longest is 27 bytes */

struct reader {
	XML_Parser parser;
	const struct s3_xml *x;
	void *ctx;
	char names[S3_XML_DEPTH_MAX][TAG_MAX]; /* the open elements */
	int parent[S3_XML_DEPTH_MAX];          /* 1 when it has children */
	size_t depth;
	struct buf text; /* of the innermost element */
	struct err *e;
	int failed;
};

static void
fail(struct reader *r)
{
	r->failed = 1;
	XML_StopParser(r->parser, XML_FALSE);
}

static void
on_start(void *arg, const char *name, const char **attributes)
{
	struct reader *r = arg;

	(void)attributes;
	if (r->depth == S3_XML_DEPTH_MAX || strlen(name) >= TAG_MAX) {
		err_set(r->e, ERR_TOO_LARGE,
		    "elements too deep, or with long names");
		fail(r);
		return;
	}
	if (r->depth == 0 && strcmp(name, r->x->root) != 0) {
		err_set(r->e, ERR_CORRUPT, "<%s> where <%s> was expected", name,
		    r->x->root);
		fail(r);
		return;
	}
	if (r->depth > 0)
		r->parent[r->depth - 1] = 1;
	strcpy(r->names[r->depth], name);
	r->parent[r->depth++] = 0;
	buf_reset(&r->text);
}

static void
on_text(void *arg, const char *s, int len)
{
	struct reader *r = arg;

	/* White space between elements is of no interest. */
	if (r->depth > 0 && !r->parent[r->depth - 1] &&
	    buf_append(&r->text, s, len, r->e) != 0)
		fail(r);
}

static void
on_end(void *arg, const char *name)
{
	struct reader *r = arg;
	int rc = 0;

	/* expat ends what it began, even if stopped in between. */
	if (r->failed)
		return;
	r->depth--;
	if (!r->parent[r->depth])
		rc = r->x->leaf(r->ctx,
		    r->depth > 0 ? r->names[r->depth - 1] : "", name,
		    buf_str(&r->text), r->e);
	else if (r->x->end != NULL)
		rc = r->x->end(r->ctx, name, r->e);
	buf_reset(&r->text);
	if (rc != 0)
		fail(r);
}

static void
on_doctype(void *arg, const char *name, const char *sysid, const char *pubid,
    int internal)
{
	struct reader *r = arg;

	(void)name, (void)sysid, (void)pubid, (void)internal;
	err_set(r->e, ERR_CORRUPT, "a document type is not allowed");
	fail(r);
}

int
s3_xml_parse(
    const struct buf *xml, const struct s3_xml *x, void *ctx, struct err *e)
{
	struct reader r = { .x = x, .ctx = ctx, .e = e };
	const char *text = (const char *)xml->data;
	size_t len = xml->len;
	int rc = 0;

	/* A server that is slow to answer sends white space first. */
	while (len > 0 && strchr(" \t\r\n", *text) != NULL && *text != '\0')
		text++, len--;
	if ((r.parser = XML_ParserCreate(NULL)) == NULL)
		err_die("out of memory for XML");
	/* All at once: an answer with keys must leave no copies behind. */
	buf_init(&r.text, S3_XML_TEXT_MAX);
	(void)buf_reserve(&r.text, S3_XML_TEXT_MAX, NULL);
	XML_SetUserData(r.parser, &r);
	XML_SetElementHandler(r.parser, on_start, on_end);
	XML_SetCharacterDataHandler(r.parser, on_text);
	XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
	if (len > S3_ANSWER_MAX)
		rc = err_set(e, ERR_TOO_LARGE, "XML of %zu bytes", len);
	else if (XML_Parse(r.parser, text, len, XML_TRUE) != XML_STATUS_OK) {
		rc = -1;
		if (!r.failed)
			err_set(e, ERR_CORRUPT, "no XML: %s",
			    XML_ErrorString(XML_GetErrorCode(r.parser)));
	}
	XML_ParserFree(r.parser);
	explicit_bzero(r.text.data, r.text.cap);
	buf_done(&r.text);
	return rc;
}

int
s3_xml_escape(struct buf *out, const char *s, struct err *e)
{
	for (;;) {
		size_t n = strcspn(s, "&<>\"'\r\n\t");
		if (buf_append(out, s, n, e) != 0)
			return -1;
		s += n;
		if (*s == '\0')
			return 0;
		if (buf_printf(out, e, "&#%d;", *s++) != 0)
			return -1;
	}
}

int
s3_xml_can_carry(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	/* Beyond ASCII it would have to be valid UTF-8; no key of ours is. */
	for (; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			return 0;
	return 1;
}

int
s3_unescape(char *s, struct err *e)
{
	char *to = s;

	for (; *s != '\0'; s++) {
		uint8_t byte;
		if (*s == '+')
			*to++ = ' ';
		else if (*s != '%')
			*to++ = *s;
		else if (strlen(s) < 3 ||
		    hex_parse(s + 1, 2, &byte, 1, NULL) != 0 || byte == 0)
			return err_set(
			    e, ERR_CORRUPT, "a key is badly escaped");
		else {
			*to++ = byte;
			s += 2;
		}
	}
	*to = '\0';
	return 0;
}

int
s3_time_parse(const char *s, int64_t *wall_s, struct err *e)
{
	struct tm tm = { .tm_isdst = 0 };
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);

	if (rest != NULL && *rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (rest == NULL || strcmp(rest, "Z") != 0)
		return err_set(e, ERR_CORRUPT, "a date that is none");
	*wall_s = timegm(&tm);
	return 0;
}

static int
fault_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	struct s3_fault *f = ctx;

	(void)e;
	if (strcmp(parent, "Error") != 0)
		return 0;
	if (strcmp(name, "Code") == 0)
		snprintf(f->code, sizeof f->code, "%s", text);
	else if (strcmp(name, "Message") == 0)
		snprintf(f->message, sizeof f->message, "%s", text);
	else if (strcmp(name, "Region") == 0)
		snprintf(f->region, sizeof f->region, "%s", text);
	return 0;
}

int
s3_fault_parse(const struct buf *xml, struct s3_fault *out)
{
	static const struct s3_xml x = { "Error", fault_leaf, NULL };
	static const struct s3_xml wrapped = { "ErrorResponse", fault_leaf,
		NULL };
	struct s3_fault f = { "" };

	if ((s3_xml_parse(xml, &x, &f, NULL) != 0 &&
	        s3_xml_parse(xml, &wrapped, &f, NULL) != 0) ||
	    f.code[0] == '\0')
		return -1;
	*out = f;
	return 0;
}
