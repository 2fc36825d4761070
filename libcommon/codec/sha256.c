#include "sha256.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "../core/err.h"

/* Looking an algorithm up costs more than hashing a narinfo: done once. */
static EVP_MD *algorithm, *algorithm_md5;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
fetch(void)
{
	algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	algorithm_md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	if (algorithm == NULL)
		err_die("OpenSSL has no SHA-256");
}

struct sha256 {
	EVP_MD_CTX *ctx;
};

struct sha256 *
sha256_new(void)
{
	struct sha256 *h = xmalloc(sizeof *h);

	pthread_once(&once, fetch);
	h->ctx = EVP_MD_CTX_new();
	if (h->ctx == NULL)
		err_die("out of memory: SHA-256");
	sha256_reset(h);
	return h;
}

void
sha256_free(struct sha256 *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void
sha256_reset(struct sha256 *h)
{
	if (EVP_DigestInit_ex2(h->ctx, algorithm, NULL) != 1)
		err_die("SHA-256: cannot begin");
}

void
sha256_update(struct sha256 *h, const void *p, size_t n)
{
	if (EVP_DigestUpdate(h->ctx, p, n) != 1)
		err_die("SHA-256: cannot go on");
}

void
sha256_final(struct sha256 *h, uint8_t out[SHA256_LEN])
{
	if (EVP_DigestFinal_ex(h->ctx, out, NULL) != 1)
		err_die("SHA-256: cannot end");
}

void
sha256(const void *p, size_t n, uint8_t out[SHA256_LEN])
{
	pthread_once(&once, fetch);
	if (EVP_Digest(p, n, out, NULL, algorithm, NULL) != 1)
		err_die("SHA-256: failed");
}

void
hmac_sha256(const void *key, size_t keylen, const void *p, size_t n,
    uint8_t out[SHA256_LEN])
{
	pthread_once(&once, fetch);
	/* HMAC takes a NULL key as "the same key as before". */
	if (HMAC(algorithm, keylen > 0 ? key : "", keylen, p, n, out, NULL) ==
	    NULL)
		err_die("HMAC-SHA-256: failed");
}

void
md5(const void *p, size_t n, uint8_t out[MD5_LEN])
{
	pthread_once(&once, fetch);
	if (algorithm_md5 == NULL ||
	    EVP_Digest(p, n, out, NULL, algorithm_md5, NULL) != 1)
		err_die("OpenSSL does not allow MD5");
}
