#include "fault_batch.h"

#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/s3/s3_internal.h"
#include "fault_http.h"
#include "fault_plan.h"

#define DELETE_MS 10000

struct keys {
	struct arena *a;
	const char **items;
	size_t n;
};

static int
on_leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	struct keys *k = ctx;

	if (strcmp(parent, "Object") != 0 || strcmp(name, "Key") != 0)
		return 0;
	if (k->n == S3_DELETE_MAX)
		return err_set(
		    e, ERR_TOO_LARGE, "more than %d keys", S3_DELETE_MAX);
	k->items[k->n] = arena_str(k->a, text);
	return k->items[k->n++] != NULL ? 0 : arena_full(k->a, e);
}

int
fault_batch_keys(const struct fault_message *request, struct arena *a,
    const char ***keys, size_t *n, struct err *e)
{
	static const struct s3_xml x = { "Delete", on_leaf, NULL };
	struct buf xml = {
		.data = request->raw.data + request->head,
		.len = request->raw.len - request->head,
	};
	struct keys k = { .a = a };

	k.items = arena_array(a, S3_DELETE_MAX, sizeof *k.items);
	if (k.items == NULL)
		return arena_full(a, e);
	if (s3_xml_parse(&xml, &x, &k, e) != 0)
		return -1;
	*keys = k.items;
	*n = k.n;
	return 0;
}

/* A random half goes to the front; returns how many. */
static size_t
choose(const char **keys, size_t n, uint64_t *random)
{
	size_t chosen = 0;

	for (size_t i = 0; i < n; i++)
		if (fault_random(random, 2) == 0) {
			const char *key = keys[i];

			keys[i] = keys[chosen];
			keys[chosen++] = key;
		}
	return chosen;
}

static int
put_result(struct buf *xml, const char *key, const char *code)
{
	struct err e;

	if (buf_puts(xml, code == NULL ? "<Deleted>" : "<Error>", &e) != 0 ||
	    buf_puts(xml, "<Key>", &e) != 0 ||
	    s3_xml_escape(xml, key, &e) != 0 ||
	    buf_puts(xml, "</Key>", &e) != 0)
		return -1;
	return code == NULL
	    ? buf_puts(xml, "</Deleted>", &e)
	    : buf_printf(xml, &e, "<Code>%s</Code></Error>", code);
}

static int
put_results(struct buf *xml, const char *const *keys, size_t n, size_t deleted,
    const char *code)
{
	struct err e;

	if (buf_puts(xml, "<DeleteResult>", &e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (put_result(xml, keys[i], i < deleted ? NULL : code) != 0)
			return -1;
	return buf_puts(xml, "</DeleteResult>", &e);
}

int
fault_batch_half(struct s3_conn *s3, const char *const *keys, size_t n,
    struct arena *a, uint64_t *random, struct fault_message *answer)
{
	struct s3_delete_result *results = arena_array(a, n, sizeof *results);
	const char **mine = arena_dup(a, keys, n * sizeof *keys);
	const char *status = "200 OK";
	struct err e = ERR_INIT;
	struct buf xml;
	size_t done;
	int rc;

	if (results == NULL || mine == NULL)
		return -1;
	done = choose(mine, n, random);
	for (size_t i = 0; i < done; i++)
		fault_log("delete %s", mine[i]);
	if (s3_delete(s3, mine, done, a, results, deadline_in(DELETE_MS), &e) !=
	    0)
		fault_log("broken half: %s", e.msg);
	buf_init(&xml, FAULT_MESSAGE_MAX);
	switch (fault_random(random, 5)) {
	case 0:
		rc = put_results(&xml, mine, n, done, "InternalError");
		break;
	case 1:
		rc = put_results(&xml, mine, n, done, "AccessDenied");
		break;
	case 2:
		rc = put_results(&xml, mine, n, 0, "InternalError");
		break;
	case 3:
		status = "500 Internal Server Error";
		rc = buf_puts(
		    &xml, "<Error><Code>InternalError</Code></Error>", &e);
		break;
	default:
		rc = -1;
	}
	if (rc == 0) {
		buf_reset(&answer->raw);
		rc = buf_printf(&answer->raw, &e,
		    "HTTP/1.1 %s\r\nContent-Type: application/xml\r\n"
		    "Content-Length: %zu\r\n\r\n",
		    status, xml.len);
		answer->head = answer->raw.len;
		answer->last = 0;
	}
	if (rc == 0)
		rc = buf_append(&answer->raw, xml.data, xml.len, &e);
	buf_done(&xml);
	return rc;
}
