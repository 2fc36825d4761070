#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../libcommon/codec/base64.h"
#include "../../libcommon/codec/sha256.h"

static void
expect_hex(const uint8_t *got, size_t n, const char *want)
{
	char text[2 * SHA256_LEN + 1];

	hex_fmt(text, got, n);
	assert_string_equal(text, want);
}

static void
published_vectors(void **state) /* FIPS 180-2, RFC 1321 */
{
	uint8_t out[SHA256_LEN];
	char *million = malloc(1000000);

	(void)state;
	sha256("", 0, out);
	expect_hex(out, SHA256_LEN,
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256("abc", 3, out);
	expect_hex(out, SHA256_LEN,
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	memset(million, 'a', 1000000);
	sha256(million, 1000000, out);
	expect_hex(out, SHA256_LEN,
	    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	md5("abc", 3, out);
	expect_hex(out, MD5_LEN, "900150983cd24fb0d6963f7d28e17f72");
	md5("", 0, out);
	expect_hex(out, MD5_LEN, "d41d8cd98f00b204e9800998ecf8427e");
	free(million);
}

static void
pieces_are_the_whole(void **state)
{
	uint8_t in[1000], want[SHA256_LEN], got[SHA256_LEN];
	struct sha256 *h = sha256_new();

	(void)state;
	for (size_t i = 0; i < sizeof in; i++)
		in[i] = i * 31;
	sha256(in, sizeof in, want);
	for (size_t step = 1; step < 200; step += 17) {
		sha256_reset(h);
		for (size_t at = 0; at < sizeof in; at += step)
			sha256_update(h, in + at,
			    sizeof in - at < step ? sizeof in - at : step);
		sha256_update(h, NULL, 0);
		sha256_final(h, got);
		assert_memory_equal(got, want, SHA256_LEN);
	}
	/* A half hash leaves nothing behind. */
	sha256_reset(h);
	sha256_update(h, "junk", 4);
	sha256_reset(h);
	sha256_update(h, in, sizeof in);
	sha256_final(h, got);
	assert_memory_equal(got, want, SHA256_LEN);
	sha256_free(h);
	sha256_free(NULL);
}

static void
hmac_vectors(void **state) /* RFC 4231 */
{
	uint8_t key[131], out[SHA256_LEN];
	const char *large =
	    "Test Using Larger Than Block-Size Key - Hash Key First";

	(void)state;
	memset(key, 0x0b, 20);
	hmac_sha256(key, 20, "Hi There", 8, out);
	expect_hex(out, SHA256_LEN,
	    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
	expect_hex(out, SHA256_LEN,
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	hmac_sha256(key, sizeof key, large, strlen(large), out);
	expect_hex(out, SHA256_LEN,
	    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	/* No key, no text. */
	hmac_sha256(NULL, 0, "", 0, out);
	expect_hex(out, SHA256_LEN,
	    "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_vectors),
		cmocka_unit_test(pieces_are_the_whole),
		cmocka_unit_test(hmac_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
