#include "digest.h"

#include <stddef.h>

#include "../../libcommon/s3/s3.h"

struct digest {
	struct sha256 *hash;
	uint64_t size;
};

static int
sink(void *ctx, const void *p, size_t n, struct err *e)
{
	struct digest *g = ctx;

	(void)e;
	sha256_update(g->hash, p, n);
	g->size += n;
	return 0;
}

int
digest_object(struct s3_conn *conn, const char *key, uint64_t *size,
    uint8_t digest[SHA256_LEN], deadline_t d, struct err *e)
{
	struct digest g = { .hash = sha256_new() };
	int rc = s3_get(conn, key, 0, 0, NULL, sink, &g, d, e);

	if (rc == 0) {
		sha256_final(g.hash, digest);
		*size = g.size;
	}
	sha256_free(g.hash);
	return rc;
}
