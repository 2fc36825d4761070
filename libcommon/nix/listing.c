#include "listing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../codec/json.h"
#include "../core/buf.h"
#include "../core/err.h"
#include "nar.h"

struct listing {
	struct buf *out;
	size_t depth;
	int begun;
	int first; /* the next entry is the first of its directory */
};

struct listing *
listing_new(struct buf *out)
{
	struct listing *l = xmalloc(sizeof *l);

	*l = (struct listing){ .out = out };
	return l;
}

void
listing_free(struct listing *l)
{
	free(l);
}

/* Puts what stands before a node. */
static int
begin(struct listing *l, const char *name, struct err *e)
{
	int first = l->first;

	l->first = 0;
	if (!l->begun) {
		l->begun = 1;
		return buf_puts(l->out, "{\"version\":1,\"root\":", e);
	}
	if (!first && buf_putc(l->out, ',', e) != 0)
		return -1;
	if (json_put_str(l->out, name, strlen(name), e) != 0)
		return -1;
	return buf_putc(l->out, ':', e);
}

static int
listing_enter(void *ctx, const char *name, struct err *e)
{
	struct listing *l = ctx;

	if (begin(l, name, e) != 0)
		return -1;
	l->depth++;
	l->first = 1;
	return buf_puts(l->out, "{\"type\":\"directory\",\"entries\":{", e);
}

static int
listing_leave(void *ctx, struct err *e)
{
	struct listing *l = ctx;

	l->depth--;
	l->first = 0;
	return buf_puts(l->out, "}}", e);
}

static int
listing_file(void *ctx, const char *name, int executable, uint64_t size,
    uint64_t offset, struct err *e)
{
	static const char fmt[] = "{\"type\":\"regular\",\"size\":%" PRIu64
	                          "%s,\"narOffset\":%" PRIu64 "}";
	struct listing *l = ctx;
	size_t max = sizeof fmt + 64; /* the numbers, "executable":true */
	char *to;

	if (begin(l, name, e) != 0 ||
	    (to = buf_reserve(l->out, max, e)) == NULL)
		return -1;
	l->out->len += snprintf(to, max, fmt, size,
	    executable ? ",\"executable\":true" : "", offset);
	return 0;
}

static int
listing_symlink(void *ctx, const char *name, const char *target, struct err *e)
{
	struct listing *l = ctx;

	if (begin(l, name, e) != 0 ||
	    buf_puts(l->out, "{\"type\":\"symlink\",\"target\":", e) != 0 ||
	    json_put_str(l->out, target, strlen(target), e) != 0)
		return -1;
	return buf_putc(l->out, '}', e);
}

const struct nar_visit listing_visit = {
	.enter = listing_enter,
	.leave = listing_leave,
	.file = listing_file,
	.symlink = listing_symlink,
};

int
listing_end(struct listing *l, struct err *e)
{
	if (!l->begun || l->depth > 0)
		return err_set(e, ERR_CORRUPT, "listing: the walk broke off");
	return buf_putc(l->out, '}', e);
}
