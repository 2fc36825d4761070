#include "../../libcommon/nix/narinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"

/* Written by Nix 2.8 itself, in a store of its own. */
#define DEP  "pzqw2ibb0y91w561ncwga8iv6q8pihkf-dep-1.0+b?=_x"
#define SELF "rd84mywg0yw4nar63p7zlk667h3fdc47-self"
#define SIG1                                                              \
	"fx-1:51McgaCRzczQ8sUErOLo/6r27bhx2HjiWc5xq+msElOjgE0NJxs+q+r5Mv" \
	"PpaHLvoeOYnSjmAKEeh3CQx0wMCw=="
#define SIG2                                                              \
	"niks3-test-1:cIgNoQHWTLzfjrDhNNZWZB3G1KsJMyrFzk0vXtA/IANLTeEiC9" \
	"58WJZGeUZaGBd0m5bJeVdr7ujLjZGmSlj8DQ=="
#define PATH_LINE "StorePath: /srv/nix/store/" SELF "\n"
#define URL_LINE                                                            \
	"URL: nar/0gkwls675j8kak9ixsxp7kkmimsliq3z9684lnvnsfk8mqgadr8g.nar" \
	".xz\n"
#define FILE_LINES                                                    \
	"FileHash: "                                                  \
	"sha256:0gkwls675j8kak9ixsxp7kkmimsliq3z9684lnvnsfk8mqgadr8g" \
	"\nFileSize: 220\n"
#define NAR_HASH     "sha256:1mdrm3k1sh4b8nd08ajbkjd6ax0jn0bsdalqrb4cg9lm4j81qip2"
#define NAR_LINES    "NarHash: " NAR_HASH "\nNarSize: 232\n"
#define REFS_LINE    "References: " DEP " " SELF "\n"
#define DERIVER_LINE "Deriver: cdwgr8xnz4sqa6z8339a7x37km2pf71b-self.drv\n"
#define SIG_LINES    "Sig: " SIG1 "\nSig: " SIG2 "\n"
#define GENUINE                                                               \
	PATH_LINE URL_LINE "Compression: xz\n" FILE_LINES NAR_LINES REFS_LINE \
	    DERIVER_LINE SIG_LINES
/* A content-addressed one without references. */
#define GENUINE_CA                                                           \
	"StorePath: /srv/nix/store/l69y51b8xzrl7cnhwmjk0ix2jfh9ld85-lib\n"   \
	"URL: nar/1pchzxghjcgh3x127pdpcdyqw4dk3j7hzwr9s66h738jizaakkqr.nar"  \
	".xz\nCompression: xz\nFileHash: "                                   \
	"sha256:1pchzxghjcgh3x127pdpcdyqw4dk3j7hzwr9s66h738jizaakkqr\n"      \
	"FileSize: 128\nNarHash: "                                           \
	"sha256:03wzk1cq3sdbichqwdkvmxv8y66pcq7c24rv9cjwkf6crw241gr3\n"      \
	"NarSize: 120\nReferences: \n"                                       \
	"Deriver: kxipi6wkix8ayk8k3ff1mc69mki0v4pf-lib.drv\n"                \
	"Sig: niks3-test-1:2NficBVXELPHPwSkGch9VpRv0bq4/YpdI6VLgbd+7P4zpBEY" \
	"dnfbZkMsR90yskPAxvCcmx7ufelUpXF5NFDpCw==\n"                         \
	"CA: fixed:r:"                                                       \
	"sha256:03wzk1cq3sdbichqwdkvmxv8y66pcq7c24rv9cjwkf6crw241gr3\n"

static int
setup(void **state)
{
	*state = arena_new(4 << 20);
	return 0;
}

static int
teardown(void **state)
{
	arena_free(*state);
	return 0;
}

/* The text of what was parsed, in a buffer that lives until the next call. */
static const char *
reformat(const struct narinfo *n)
{
	static struct buf b;

	buf_done(&b);
	buf_init(&b, NARINFO_MAX);
	assert_int_equal(narinfo_fmt(n, &b, NULL), 0);
	return buf_str(&b);
}

static void
genuine(void **state)
{
	struct narinfo n;

	assert_int_equal(
	    narinfo_parse(GENUINE, strlen(GENUINE), *state, &n, NULL), 0);
	assert_string_equal(n.store_dir, "/srv/nix/store");
	assert_string_equal(n.base, SELF);
	assert_string_equal(n.compression, "xz");
	assert_true(n.has_file);
	assert_int_equal(n.file_size, 220);
	assert_int_equal(n.nar_size, 232);
	assert_int_equal(n.nrefs, 2);
	assert_string_equal(n.refs[0], DEP);
	assert_string_equal(n.refs[1], SELF);
	assert_string_equal(
	    n.deriver, "cdwgr8xnz4sqa6z8339a7x37km2pf71b-self.drv");
	assert_int_equal(n.nsigs, 2);
	assert_string_equal(n.sigs[1], SIG2);
	assert_null(n.ca);
	assert_string_equal(reformat(&n), GENUINE);

	assert_int_equal(
	    narinfo_parse(GENUINE_CA, strlen(GENUINE_CA), *state, &n, NULL), 0);
	assert_int_equal(n.nrefs, 0);
	assert_string_equal(reformat(&n), GENUINE_CA);
}

/* What other tools write comes out in our order. */
static void
lenient(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		/* any order, unknown fields, unsorted and repeated values */
		{ "X-Foo: bar: baz\nSystem:\n" SIG_LINES "Sig: " SIG1 "\n"
		  "References:  " SELF " " DEP "  " SELF
		  " \n" DERIVER_LINE NAR_LINES FILE_LINES
		  "Compression: xz\n" URL_LINE PATH_LINE,
		    GENUINE },
		/* what may be missing */
		{ PATH_LINE URL_LINE NAR_LINES,
		    PATH_LINE URL_LINE "Compression: bzip2\n" NAR_LINES
		                       "References: \n" },
		/* what may be empty, without its space, too */
		{ PATH_LINE URL_LINE "Compression:\n" NAR_LINES
		                     "References:\nDeriver: \nCA:\n",
		    PATH_LINE URL_LINE "Compression: bzip2\n" NAR_LINES
		                       "References: \n" },
		{ PATH_LINE URL_LINE "Compression: none\n" NAR_LINES
		                     "Deriver: unknown-deriver\n",
		    PATH_LINE URL_LINE "Compression: none\n" NAR_LINES
		                       "References: \n" },
		/* half of the two is none */
		{ PATH_LINE URL_LINE NAR_LINES "FileSize: 12\n",
		    PATH_LINE URL_LINE "Compression: bzip2\n" NAR_LINES
		                       "References: \n" },
		/* a hash in base16; a URL with a query */
		{ PATH_LINE "URL: nar/x.nar.xz?sha256=1w1f\nNarHash: "
		            "sha256:e2461c902495a6c7c8ca98aaa617b0127465"
		            "9a9c4b2a049a458b401de6a8b9d5\nNarSize: 232\n",
		    PATH_LINE "URL: nar/x.nar.xz?sha256=1w1f\n"
		              "Compression: bzip2\n" NAR_LINES
		              "References: \n" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct narinfo n;
		struct err e = ERR_INIT;

		if (narinfo_parse(
		        cases[i].in, strlen(cases[i].in), *state, &n, &e) < 0)
			fail_msg("%zu: %s", i, e.msg);
		assert_string_equal(reformat(&n), cases[i].out);
	}
}

static void
refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"x",
		/* one of the four is missing */
		URL_LINE NAR_LINES,
		PATH_LINE NAR_LINES,
		PATH_LINE URL_LINE "NarSize: 1\n",
		PATH_LINE URL_LINE "NarHash: " NAR_HASH "\n",
		/* lines */
		PATH_LINE URL_LINE NAR_LINES "Compression: xz",
		PATH_LINE URL_LINE NAR_LINES "\n",
		PATH_LINE URL_LINE NAR_LINES "no colon here\n",
		PATH_LINE URL_LINE NAR_LINES ": no name\n",
		PATH_LINE URL_LINE NAR_LINES "Compression:xz\n",
		PATH_LINE URL_LINE NAR_LINES "Compression: xz\r\n",
		PATH_LINE URL_LINE NAR_LINES "X:\ty\n",
		PATH_LINE URL_LINE NAR_LINES "X: \x7f\n",
		/* twice */
		GENUINE PATH_LINE,
		GENUINE URL_LINE,
		GENUINE "Compression: xz\n",
		GENUINE "FileSize: 1\n",
		GENUINE "NarHash: " NAR_HASH "\n",
		GENUINE "NarSize: 232\n",
		GENUINE REFS_LINE,
		GENUINE DERIVER_LINE,
		GENUINE_CA "CA: text:sha256:x\n",
		/* StorePath */
		"StorePath: " SELF "\n" URL_LINE NAR_LINES,
		"StorePath: /" SELF "\n" URL_LINE NAR_LINES,
		"StorePath: nix/store/" SELF "\n" URL_LINE NAR_LINES,
		"StorePath: /nix/../store/" SELF "\n" URL_LINE NAR_LINES,
		"StorePath: /nix/store/" SELF "/\n" URL_LINE NAR_LINES,
		"StorePath: /nix/store/" SELF "/bin\n" URL_LINE NAR_LINES,
		"StorePath: /nix/store/x-y\n" URL_LINE NAR_LINES,
		"StorePath: \n" URL_LINE NAR_LINES,
		/* URL, Compression */
		PATH_LINE "URL: \n" NAR_LINES,
		PATH_LINE "URL: nar/a b\n" NAR_LINES,
		PATH_LINE "URL: nar/\xc3\xa4\n" NAR_LINES,
		PATH_LINE URL_LINE NAR_LINES "Compression: a b\n",
		PATH_LINE URL_LINE NAR_LINES "Compression: aaaaaaaaaaaaaaaaa\n",
		/* hashes and sizes */
		PATH_LINE URL_LINE "NarHash: \nNarSize: 232\n",
		PATH_LINE URL_LINE "NarHash: md5:00\nNarSize: 232\n",
		PATH_LINE URL_LINE "NarHash: " NAR_HASH " \nNarSize: 232\n",
		PATH_LINE URL_LINE "NarHash: " NAR_HASH "\nNarSize: 0\n",
		PATH_LINE URL_LINE "NarHash: " NAR_HASH "\nNarSize: -1\n",
		PATH_LINE URL_LINE "NarHash: " NAR_HASH "\nNarSize: 1x\n",
		PATH_LINE URL_LINE "NarHash: " NAR_HASH "\nNarSize: \n",
		PATH_LINE URL_LINE "NarHash: " NAR_HASH
		                   "\nNarSize: 9223372036854775808\n",
		PATH_LINE URL_LINE NAR_LINES "FileSize: x\n",
		PATH_LINE URL_LINE NAR_LINES "FileHash: sha256:x\n",
		/* References, Deriver, Sig, CA */
		PATH_LINE URL_LINE NAR_LINES "References: x-y\n",
		PATH_LINE URL_LINE NAR_LINES "References: /nix/store/" DEP "\n",
		PATH_LINE URL_LINE NAR_LINES "References: " DEP "," SELF "\n",
		PATH_LINE URL_LINE NAR_LINES "Deriver: x.drv\n",
		PATH_LINE URL_LINE NAR_LINES "Deriver: /nix/store/" DEP "\n",
		PATH_LINE URL_LINE NAR_LINES "Sig: \n",
		PATH_LINE URL_LINE NAR_LINES "Sig: name\n",
		PATH_LINE URL_LINE NAR_LINES "Sig: name:AAAA\n",
		PATH_LINE URL_LINE NAR_LINES "Sig: " SIG1 " \n",
		PATH_LINE URL_LINE NAR_LINES "CA: x\n",
		PATH_LINE URL_LINE NAR_LINES "CA: fixed: x\n",
	};
	char nul[] = GENUINE;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct narinfo n = { .nar_size = 77 };
		struct err e = ERR_INIT;

		if (narinfo_parse(bad[i], strlen(bad[i]), *state, &n, &e) == 0)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_memory_equal(e.msg, "narinfo", 7);
		assert_int_equal(n.nar_size, 77);
	}
	nul[sizeof nul / 2] = '\0';
	assert_int_equal(narinfo_parse(nul, sizeof nul - 1, *state,
	                     &(struct narinfo){ 0 }, NULL),
	    -1);
}

static void
every_prefix_fails_or_is_whole(void **state)
{
	const size_t needed =
	    strlen(PATH_LINE URL_LINE "Compression: xz\n" FILE_LINES NAR_LINES);

	for (size_t len = 0; len < strlen(GENUINE); len++) {
		struct narinfo n;
		int rc = narinfo_parse(GENUINE, len, *state, &n, NULL);

		/* It may end after any line behind the last required one. */
		assert_int_equal(
		    rc == 0, len >= needed && GENUINE[len - 1] == '\n');
		arena_reset(*state);
	}
}

static void
errors_name_path_and_field(void **state)
{
	const char *text =
	    PATH_LINE URL_LINE "NarHash: " NAR_HASH "\nNarSize: many\n";
	struct narinfo n;
	struct err e;

	assert_int_equal(narinfo_parse(text, strlen(text), *state, &n, &e), -1);
	assert_string_equal(e.msg,
	    "narinfo rd84mywg0yw4nar63p7zlk667h3fdc47: "
	    "NarSize: not a number");
}

static void
limits(void **state)
{
	struct arena *small = arena_new(64);
	struct narinfo n;
	struct err e;
	struct buf b;

	buf_init(&b, 2 * NARINFO_MAX);
	assert_int_equal(
	    narinfo_parse(GENUINE, strlen(GENUINE), small, &n, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	arena_free(small);

	buf_puts(&b, PATH_LINE URL_LINE NAR_LINES, NULL);
	for (int i = 0; i < NARINFO_SIGS_MAX; i++)
		buf_printf(&b, NULL, "Sig: %c%s\n", 'a' + i % 26, SIG1);
	assert_int_equal(
	    narinfo_parse((char *)b.data, b.len, *state, &n, NULL), 0);
	assert_int_equal(n.nsigs, 26);
	buf_puts(&b, "Sig: " SIG1 "\n", NULL);
	assert_int_equal(
	    narinfo_parse((char *)b.data, b.len, *state, &n, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);

	buf_reset(&b);
	buf_puts(&b, PATH_LINE URL_LINE NAR_LINES "References:", NULL);
	for (int i = 0; i < NARINFO_REFS_MAX; i++)
		buf_printf(&b, NULL, " 000000000000000000000000000%05d-x",
		    NARINFO_REFS_MAX - 1 - i);
	buf_putc(&b, '\n', NULL);
	assert_int_equal(
	    narinfo_parse((char *)b.data, b.len, *state, &n, NULL), 0);
	assert_int_equal(n.nrefs, NARINFO_REFS_MAX);
	assert_string_equal(n.refs[0], "00000000000000000000000000000000-x");
	b.len--;
	buf_puts(&b, " " DEP "\n", NULL);
	assert_int_equal(
	    narinfo_parse((char *)b.data, b.len, *state, &n, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);

	buf_reset(&b);
	buf_puts(&b, GENUINE, NULL);
	while (b.len <= NARINFO_MAX)
		buf_puts(&b, "X: y\n", NULL);
	assert_int_equal(
	    narinfo_parse((char *)b.data, b.len, *state, &n, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_done(&b);
}

/* Nothing that could end its line gets written. */
static void
no_forged_lines(void **state)
{
	struct narinfo good, n;
	const char *evil[] = { "x\nSig: " SIG1 };
	struct err e;
	struct buf b;

	buf_init(&b, NARINFO_MAX);
	assert_int_equal(
	    narinfo_parse(GENUINE, strlen(GENUINE), *state, &good, NULL), 0);
	buf_puts(&b, "before", NULL);
	for (int i = 0; i < 9; i++) {
		n = good;
		switch (i) {
		case 0:
			n.store_dir = "/nix\nX: /store";
			break;
		case 1:
			n.base = DEP "\nX: y";
			break;
		case 2:
			n.url = "nar/x\nX: y";
			break;
		case 3:
			n.compression = "xz\nX: y";
			break;
		case 4:
			n.nar_size = 0;
			break;
		case 5:
			n.refs = evil, n.nrefs = 1;
			break;
		case 6:
			n.deriver = DEP "\nX: y";
			break;
		case 7:
			n.sigs = evil, n.nsigs = 1;
			break;
		case 8:
			n.ca = "text:sha256:x\nX: y";
			break;
		}
		assert_int_equal(narinfo_fmt(&n, &b, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(b.len, 6);
	}
	n = good;
	n.nsigs = NARINFO_SIGS_MAX + 1;
	assert_int_equal(narinfo_fmt(&n, &b, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_done(&b);

	/* A buffer that is too small is left as it was. */
	for (size_t max = 0; max < strlen(GENUINE); max += 50) {
		buf_init(&b, max);
		assert_int_equal(narinfo_fmt(&good, &b, &e), -1);
		assert_int_equal(e.kind, ERR_TOO_LARGE);
		assert_int_equal(b.len, 0);
		buf_done(&b);
	}
}

static void
content_addresses(void **state)
{
	char ca[NARINFO_CA_MAX + 2];

	(void)state;
	assert_int_equal(narinfo_check_ca("text:sha256:x", NULL), 0);
	assert_int_equal(narinfo_check_ca("fixed:git:sha1:x", NULL), 0);
	assert_int_equal(narinfo_check_ca("", NULL), -1);
	assert_int_equal(narinfo_check_ca("fixed", NULL), -1);
	assert_int_equal(narinfo_check_ca("Text:sha256:x", NULL), -1);
	assert_int_equal(narinfo_check_ca("text:\n", NULL), -1);
	memset(ca, 'a', sizeof ca);
	memcpy(ca, "text:", 5);
	ca[NARINFO_CA_MAX + 1] = '\0';
	assert_int_equal(narinfo_check_ca(ca, NULL), -1);
	ca[NARINFO_CA_MAX] = '\0';
	assert_int_equal(narinfo_check_ca(ca, NULL), 0);
}

static void
fingerprint(void **state)
{
	const char *refs[] = { DEP, SELF }, *wrong[] = { SELF, DEP },
	           *twice[] = { DEP, DEP }, *bad[] = { "x" };
	struct hash h;
	struct err e;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(hash_parse(NAR_HASH, strlen(NAR_HASH), &h, NULL), 0);
	assert_int_equal(narinfo_fingerprint("/srv/nix/store", SELF, &h, 232,
	                     refs, 2, &b, NULL),
	    0);
	assert_string_equal(buf_str(&b),
	    "1;/srv/nix/store/" SELF ";" NAR_HASH ";232;/srv/nix/store/" DEP
	    ",/srv/nix/store/" SELF);
	buf_reset(&b);
	assert_int_equal(narinfo_fingerprint("/nix/store", SELF, &h, INT64_MAX,
	                     NULL, 0, &b, NULL),
	    0);
	assert_string_equal(buf_str(&b),
	    "1;/nix/store/" SELF ";" NAR_HASH ";9223372036854775807;");

	buf_reset(&b);
	assert_int_equal(
	    narinfo_fingerprint("nix", SELF, &h, 1, refs, 2, &b, &e), -1);
	assert_int_equal(
	    narinfo_fingerprint("/nix/store", "x;y", &h, 1, refs, 2, &b, &e),
	    -1);
	assert_int_equal(
	    narinfo_fingerprint("/nix/store", SELF, &h, 0, refs, 2, &b, &e),
	    -1);
	assert_int_equal(narinfo_fingerprint("/nix/store", SELF, &h, UINT64_MAX,
	                     refs, 2, &b, &e),
	    -1);
	assert_int_equal(
	    narinfo_fingerprint("/nix/store", SELF, &h, 1, wrong, 2, &b, &e),
	    -1);
	assert_int_equal(
	    narinfo_fingerprint("/nix/store", SELF, &h, 1, twice, 2, &b, &e),
	    -1);
	assert_int_equal(
	    narinfo_fingerprint("/nix/store", SELF, &h, 1, bad, 1, &b, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_int_equal(narinfo_fingerprint("/nix/store", SELF, &h, 1, refs,
	                     NARINFO_REFS_MAX + 1, &b, &e),
	    -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(b.len, 0);
	buf_done(&b);
	buf_init(&b, 150);
	assert_int_equal(
	    narinfo_fingerprint("/nix/store", SELF, &h, 1, refs, 2, &b, &e),
	    -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void
sorting(void **state)
{
	const char *names[] = { "b", "a", "aa", "b", "B", "a", "" };

	(void)state;
	assert_int_equal(narinfo_sort(names, 0), 0);
	assert_int_equal(narinfo_sort(names, 1), 1);
	assert_int_equal(narinfo_sort(names, 7), 5);
	assert_string_equal(names[0], "");
	assert_string_equal(names[1], "B");
	assert_string_equal(names[2], "a");
	assert_string_equal(names[3], "aa");
	assert_string_equal(names[4], "b");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(genuine, setup, teardown),
		cmocka_unit_test_setup_teardown(lenient, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    every_prefix_fails_or_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    errors_name_path_and_field, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    no_forged_lines, setup, teardown),
		cmocka_unit_test(content_addresses),
		cmocka_unit_test(fingerprint),
		cmocka_unit_test(sorting),
	};

	return cmocka_run_group_tests_name("narinfo", tests, NULL, NULL);
}
