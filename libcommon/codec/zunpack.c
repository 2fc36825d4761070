#include "zunpack.h"

#include <stdlib.h>
#include <zstd.h>

#include "../core/err.h"

struct zunpack {
	ZSTD_DCtx *ctx;
	size_t left; /* 0 behind a frame */
};

struct zunpack *
zunpack_new(void)
{
	struct zunpack *z = xcalloc(1, sizeof *z);

	if ((z->ctx = ZSTD_createDCtx()) == NULL)
		err_die("out of memory: zstd");
	ZSTD_DCtx_setParameter(z->ctx, ZSTD_d_windowLogMax, ZUNPACK_WINDOW_LOG);
	z->left = 1;
	return z;
}

void
zunpack_free(struct zunpack *z)
{
	if (z == NULL)
		return;
	ZSTD_freeDCtx(z->ctx);
	free(z);
}

long
zunpack_run(struct zunpack *z, const uint8_t **in, size_t *n, void *out,
    size_t max, struct err *e)
{
	ZSTD_inBuffer from = { *in, *n, 0 };
	ZSTD_outBuffer to = { out, max, 0 };
	size_t before, left;

	do {
		before = from.pos + to.pos;
		/* With nothing to take, it would begin a frame. */
		if (from.pos == from.size && z->left == 0)
			break;
		left = ZSTD_decompressStream(z->ctx, &to, &from);
		if (ZSTD_isError(left))
			return err_set(e, ERR_CORRUPT, "zstd: %s",
			    ZSTD_getErrorName(left));
		z->left = left;
	} while (to.pos < to.size && from.pos + to.pos > before);
	*in += from.pos;
	*n -= from.pos;
	return to.pos;
}

int
zunpack_whole(const struct zunpack *z)
{
	return z->left == 0;
}
