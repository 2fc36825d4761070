#include "print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"

#define DOCUMENT_MAX ((size_t)512 << 20)
#define ESCAPED      4 /* bytes that one byte may become */

static int
encode(const char *before, const struct desc *d, const void *s,
    const char *after, struct err *e)
{
	struct buf out;
	int rc;

	buf_init(&out, DOCUMENT_MAX);
	rc = json_encode(d, s, &out, e);
	if (rc == 0)
		printf("%s%s%s", before, buf_str(&out), after);
	buf_done(&out);
	return rc;
}

int
print_json(const struct desc *d, const void *s, struct err *e)
{
	return encode("", d, s, "\n", e);
}

static int
put_error(struct buf *out, const struct err *what)
{
	if (buf_printf(out, NULL, "{\"error\":{\"kind\":\"%s\",\"message\":",
	        err_name(what->kind)) != 0 ||
	    json_put_str(out, what->msg, strlen(what->msg), NULL) != 0)
		return -1;
	if (what->hint[0] != '\0' &&
	    (buf_puts(out, ",\"hint\":", NULL) != 0 ||
	        json_put_str(out, what->hint, strlen(what->hint), NULL) != 0))
		return -1;
	return buf_puts(out, "}}\n", NULL);
}

void
print_error(const struct err *what)
{
	struct buf out;

	buf_init(&out, DOCUMENT_MAX);
	/* Its text is not always UTF-8. */
	if (put_error(&out, what) == 0)
		fputs(buf_str(&out), stdout);
	buf_done(&out);
}

int
print_item(size_t *n, const struct desc *d, const void *s, struct err *e)
{
	return encode((*n)++ == 0 ? "[\n  " : ",\n  ", d, s, "", e);
}

void
print_items_end(size_t n)
{
	puts(n == 0 ? "[]" : "\n]");
}

void
print_text(const char *s)
{
	size_t size = strlen(s) * ESCAPED + 1;
	char *text = xmalloc(size);

	fputs(log_escape(text, size, s), stdout);
	free(text);
}

int64_t
print_time(const char *rfc3339)
{
	int64_t us;

	if (rfc3339 == NULL || clock_parse_rfc3339(rfc3339, &us) != 0)
		return -1;
	return us - us % 1000000;
}

void
print_when(const char *rfc3339)
{
	char text[CLOCK_RFC3339_MAX];
	int64_t us = print_time(rfc3339);

	fputs(us < 0 ? "-" : clock_fmt_rfc3339(text, us), stdout);
}

const char *
print_span(char out[PRINT_SPAN_MAX], int64_t seconds)
{
	static const struct {
		int64_t seconds;
		char name;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	if (seconds < 0)
		seconds = 0; /* another machine's clock */
	/* "100m" says more than "1h", "47h" more than "1d". */
	while (i < 3 && seconds < 2 * units[i].seconds)
		i++;
	snprintf(out, PRINT_SPAN_MAX, "%lld%c",
	    (long long)(seconds / units[i].seconds), units[i].name);
	return out;
}

const char *
print_age(char out[PRINT_SPAN_MAX], const char *rfc3339)
{
	int64_t us = print_time(rfc3339);

	if (us < 0)
		return "-";
	return print_span(out, (clock_wall_us() - us) / 1000000);
}
