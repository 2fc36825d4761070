#include "zstream.h"

#include <stdlib.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "../core/buf.h"
#include "../core/err.h"

struct zstream {
	ZSTD_CCtx *ctx;
	zstream_sink *sink; /* NULL when no stream is under way */
	void *sink_ctx;
	size_t size; /* of out */
	uint8_t out[];
};

/* Fails only on parameters that zstd does not know: a broken invariant. */
static void
set(ZSTD_CCtx *ctx, ZSTD_cParameter name, int value)
{
	size_t rc = ZSTD_CCtx_setParameter(ctx, name, value);

	if (ZSTD_isError(rc))
		err_die(
		    "zstd: parameter %d: %s", (int)name, ZSTD_getErrorName(rc));
}

struct zstream *
zstream_new(int level, int workers)
{
	size_t size = ZSTD_CStreamOutSize();
	struct zstream *z = xcalloc(1, sizeof *z + size);

	z->size = size;
	z->ctx = ZSTD_createCCtx();
	if (z->ctx == NULL)
		err_die("out of memory: zstd");
	set(z->ctx, ZSTD_c_compressionLevel, level);
	set(z->ctx, ZSTD_c_checksumFlag, 1);
	set(z->ctx, ZSTD_c_nbWorkers, workers);
	return z;
}

void
zstream_free(struct zstream *z)
{
	if (z == NULL)
		return;
	ZSTD_freeCCtx(z->ctx);
	free(z);
}

/* Ends a stream that failed. */
static int
fail(struct zstream *z)
{
	z->sink = NULL;
	return -1;
}

int
zstream_begin(struct zstream *z, uint64_t size, zstream_sink *sink, void *ctx,
    struct err *e)
{
	size_t rc;

	ZSTD_CCtx_reset(z->ctx, ZSTD_reset_session_only);
	rc = ZSTD_CCtx_setPledgedSrcSize(
	    z->ctx, size == UINT64_MAX ? ZSTD_CONTENTSIZE_UNKNOWN : size);
	if (ZSTD_isError(rc))
		return err_set(
		    e, ERR_INVALID, "zstd: size: %s", ZSTD_getErrorName(rc));
	z->sink = sink;
	z->sink_ctx = ctx;
	return 0;
}

/* Feeds all of in; with ZSTD_e_end until everything is flushed. */
static int
run(struct zstream *z, const void *p, size_t n, ZSTD_EndDirective how,
    struct err *e)
{
	ZSTD_inBuffer in = { p, n, 0 };
	size_t left;

	if (z->sink == NULL)
		return err_set(e, ERR_INTERNAL, "zstd: no stream was begun");
	do {
		ZSTD_outBuffer out = { z->out, z->size, 0 };
		left = ZSTD_compressStream2(z->ctx, &out, &in, how);
		if (ZSTD_isError(left)) {
			err_set(e,
			    ZSTD_getErrorCode(left) == ZSTD_error_srcSize_wrong
			        ? ERR_INVALID
			        : ERR_INTERNAL,
			    "zstd: %s", ZSTD_getErrorName(left));
			return fail(z);
		}
		if (out.pos > 0 && z->sink(z->sink_ctx, z->out, out.pos, e))
			return fail(z);
	} while (in.pos < in.size || (how == ZSTD_e_end && left > 0));
	return 0;
}

int
zstream_write(struct zstream *z, const void *p, size_t n, struct err *e)
{
	return n > 0 ? run(z, p, n, ZSTD_e_continue, e) : 0;
}

int
zstream_end(struct zstream *z, struct err *e)
{
	if (run(z, NULL, 0, ZSTD_e_end, e))
		return -1;
	z->sink = NULL;
	return 0;
}

static int
to_buf(void *ctx, const void *p, size_t n, struct err *e)
{
	return buf_append(ctx, p, n, e);
}

int
zstream_pack(
    struct zstream *z, const void *p, size_t n, struct buf *out, struct err *e)
{
	size_t before = out->len;

	if (zstream_begin(z, n, to_buf, out, e) || zstream_write(z, p, n, e) ||
	    zstream_end(z, e)) {
		out->len = before;
		return -1;
	}
	return 0;
}

/*
 * The window that a frame asks for is allocated by zstd, at most 128 MiB (its
 * own default), but only touched as far as bytes come out: out's maximum bounds
 * that too.
 */
int
zstream_unpack(const void *p, size_t n, struct buf *out, struct err *e)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	ZSTD_inBuffer in = { p, n, 0 };
	size_t before = out->len, step = ZSTD_DStreamOutSize();
	size_t left = 1; /* 0 at the end of a frame */
	int rc = -1;

	if (ctx == NULL)
		err_die("out of memory: zstd");
	for (;;) {
		/* One byte over the rest of room would be a bomb: to see it,
		 * zstd gets a byte that is not the buffer's. */
		uint8_t over;
		size_t room = out->max - out->len;
		ZSTD_outBuffer to = { &over, 1, 0 };
		if (room > 0) {
			to.size = room < step ? room : step;
			to.dst = buf_reserve(out, to.size, e);
		}
		if (in.pos == in.size && left == 0)
			break;
		left = ZSTD_decompressStream(ctx, &to, &in);
		if (ZSTD_isError(left)) {
			err_set(e, ERR_CORRUPT, "zstd: %s",
			    ZSTD_getErrorName(left));
			goto out;
		}
		if (room == 0 && to.pos > 0) {
			err_set(e, ERR_TOO_LARGE,
			    "zstd: more than the limit of %zu bytes", out->max);
			goto out;
		}
		if (room > 0)
			out->len += to.pos;
		if (in.pos == in.size && to.pos < to.size && left > 0) {
			err_set(
			    e, ERR_CORRUPT, "zstd: cut off after %zu bytes", n);
			goto out;
		}
	}
	rc = 0;
out:
	if (rc)
		out->len = before;
	ZSTD_freeDCtx(ctx);
	return rc;
}
