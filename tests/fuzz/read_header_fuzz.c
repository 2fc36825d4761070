/*
 * What the headers of a reader's request mean. A line of input each: what is
 * accepted is read alike when it is written anew, in the form that the RFC gives
 * it; what is refused changes nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../bin/niks3-server/read_header.h"
#include "../../libcommon/core/clock.h"
#include "fuzz.h"

#define TAG_MAX   256 /* of an ETag as the HTTP client hands it on, with NUL */
#define UNTOUCHED 7

static void
ranges(const char *text)
{
	struct read_range r = read_range(text), again;
	char plain[64];

	if (r.kind == RANGE_NONE)
		return;
	FUZZ_CHECK(r.from <= INT64_MAX);
	if (r.kind == RANGE_SUFFIX) {
		snprintf(plain, sizeof plain, "bytes=-%" PRIu64, r.from);
	} else {
		FUZZ_CHECK(r.kind == RANGE_FROM && r.from <= r.to);
		FUZZ_CHECK(r.to <= INT64_MAX || r.to == UINT64_MAX);
		if (r.to == UINT64_MAX)
			snprintf(
			    plain, sizeof plain, "bytes=%" PRIu64 "-", r.from);
		else
			snprintf(plain, sizeof plain,
			    "bytes=%" PRIu64 "-%" PRIu64, r.from, r.to);
	}
	again = read_range(plain);
	FUZZ_CHECK(again.kind == r.kind && again.from == r.from);
	FUZZ_CHECK(again.to == r.to);
}

static void
content_ranges(const char *text)
{
	uint64_t from = UNTOUCHED, to = UNTOUCHED, size = UNTOUCHED;

	if (read_content_range(text, &from, &to, &size) < 0) {
		FUZZ_CHECK(from == UNTOUCHED && to == UNTOUCHED);
		FUZZ_CHECK(size == UNTOUCHED);
		return;
	}
	FUZZ_CHECK(size <= INT64_MAX || size == UINT64_MAX);
	if (strchr(text, '-') == NULL)
		FUZZ_CHECK(from == UNTOUCHED && to == UNTOUCHED);
	else
		FUZZ_CHECK(from <= to && to < size);
}

static void
dates(const char *text)
{
	time_t at = clock_parse_http(text);
	char plain[64];
	struct tm tm;

	if (at == -1)
		return;
	gmtime_r(&at, &tm);
	FUZZ_CHECK(strftime(plain, sizeof plain, "%a, %d %b %Y %H:%M:%S GMT",
	               &tm) > 0);
	FUZZ_CHECK(clock_parse_http(plain) == at);
	FUZZ_CHECK(read_not_modified_since(text, plain));
	FUZZ_CHECK(read_not_modified_since(plain, text));
	FUZZ_CHECK(!read_not_modified_since("soon", text));
}

static void
encodings(const char *text)
{
	size_t len = strlen(text);
	char *more = xmalloc(len + sizeof ",zstd");

	if (read_accepts_zstd(text))
		FUZZ_CHECK(strcasestr(text, "zstd") != NULL);
	memcpy(more, text, len);
	memcpy(more + len, ",zstd", sizeof ",zstd");
	FUZZ_CHECK(read_accepts_zstd(more));
	free(more);
}

static void
tags(const char *text)
{
	char etag[READ_ETAG_MAX], again[READ_ETAG_MAX], weak[READ_ETAG_MAX + 2];

	if (strlen(text) >= TAG_MAX)
		return;
	memset(etag, 'x', sizeof etag);
	read_etag(etag, text);
	FUZZ_CHECK(memchr(etag, '\0', sizeof etag) != NULL);
	FUZZ_CHECK((etag[0] == '\0') == (text[0] == '\0'));
	FUZZ_CHECK(text[0] == '\0' || strchr(etag, '"') != NULL);
	read_etag(again, etag);
	FUZZ_CHECK(strcmp(again, etag) == 0);
	if (text[0] == '\0' || strchr(text, '"') != NULL)
		return;
	snprintf(weak, sizeof weak, "W/%s", etag);
	FUZZ_CHECK(read_etag_listed(etag, etag));
	FUZZ_CHECK(read_etag_listed(weak, etag));
	FUZZ_CHECK(read_etag_listed(etag, weak));
	FUZZ_CHECK(read_etag_listed("*", etag));
	FUZZ_CHECK(read_if_range(etag, etag, ""));
	FUZZ_CHECK(!read_if_range(weak, weak, ""));
}

/* As a list it names what stands in it, or is "*". */
static void
lists(const char *text)
{
	static const char etag[] = "\"b-1\"";
	static const char weak[] = "W/\"b-1\"";

	FUZZ_CHECK(
	    read_etag_listed(text, etag) == read_etag_listed(text, weak));
	if (read_etag_listed(text, etag))
		FUZZ_CHECK(
		    strstr(text, etag) != NULL || strchr(text, '*') != NULL);
	if (read_if_range(text, etag, "Sun, 06 Nov 1994 08:49:37 GMT"))
		FUZZ_CHECK(strcmp(text, etag) == 0 ||
		    clock_parse_http(text) == 784111777);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xmalloc(size + 1), *rest = text, *line;

	memcpy(text, data, size);
	text[size] = '\0';
	while ((line = strsep(&rest, "\n")) != NULL) {
		ranges(line);
		content_ranges(line);
		dates(line);
		encodings(line);
		tags(line);
		lists(line);
	}
	free(text);
	return 0;
}
