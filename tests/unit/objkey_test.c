#include "../../libcommon/nix/objkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/nix/hash.h"

#define H   "26xbg1ndr7hbcncrlf9nhx5is2b25d13"
#define N52 "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
#define R   "realisations/"

static void
good_keys(void **state)
{
	static const struct {
		const char *key;
		enum objkey_kind kind;
	} good[] = {
		{ H ".narinfo", OBJKEY_NARINFO },
		{ "nar/" N52 ".nar", OBJKEY_NAR },
		{ "nar/" N52 ".nar.zst", OBJKEY_NAR },
		{ "nar/" N52 ".nar.xz", OBJKEY_NAR },
		{ "nar/" N52 ".nar.bz2", OBJKEY_NAR },
		{ H ".ls", OBJKEY_LISTING },
		{ "log/" H "-hello-2.12.drv", OBJKEY_LOG },
		{ "log/" H "-hm_..zlogout.drv", OBJKEY_LOG },
		{ "log/a+b?c=d_e-f.g.drv", OBJKEY_LOG },
		{ "log/x.drv.drv", OBJKEY_LOG },
		{ "log/...drv", OBJKEY_LOG },
		{ R "sha256:" N52 "!out.doi", OBJKEY_REALISATION },
		{ R "sha256:aB0+/=!dev-1.0.doi", OBJKEY_REALISATION },
		{ R "a:b!c.doi", OBJKEY_REALISATION },
		{ R "a:b!..doi", OBJKEY_REALISATION },
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		enum objkey_kind kind = 0;

		assert_int_equal(
		    objkey_parse(good[i].key, strlen(good[i].key), &kind, NULL),
		    0);
		assert_int_equal(kind, good[i].kind);
	}
}

static void
bad_keys(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		".narinfo",
		"narinfo",
		H,
		"/" H ".narinfo",
		"./" H ".narinfo",
		"../" H ".narinfo",
		"x/../" H ".narinfo",
		H ".narinfo/..",
		H ".narinfo\n",
		H ".narinfo ",
		" " H ".narinfo",
		H ".Narinfo",
		H "-name.narinfo",
		"0" H ".narinfo",
		"26xbg1ndr7hbcncrlf9nhx5is2b25d1.narinfo",
		"e6xbg1ndr7hbcncrlf9nhx5is2b25d13.narinfo",
		"26Xbg1ndr7hbcncrlf9nhx5is2b25d13.narinfo",
		H ".ls.zst",
		"0" H ".ls",
		"nar/" H ".nar.zst",
		"nar/" N52,
		"nar/" N52 ".zst",
		"nar/" N52 ".nar.gz",
		"nar/" N52 ".nar.zst.zst",
		"nar/" N52 ".nar.xz.zst",
		"nar/" N52 ".nar.",
		"nar/" N52 "0.nar",
		"nar/../" N52 ".nar",
		"nar//" N52 ".nar",
		"nar/" N52 ".nar?x",
		"NAR/" N52 ".nar",
		"nar/0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c7u.nar",
		"log/",
		"log/.drv",
		"log/x",
		"log/x.drv.bz2",
		"log/x.drv\n",
		"log/a b.drv",
		"log/a/b.drv",
		"log/../x.drv",
		"log/x\xc3\xa4.drv",
		"log/a:b.drv",
		R ".doi",
		R "sha256:ab!out",
		R "sha256:ab!.doi",
		R "sha256:!out.doi",
		R ":ab!out.doi",
		R "sha256!out.doi",
		R "sha256:about.doi",
		R "SHA256:ab!out.doi",
		R "sha256:a.b!out.doi",
		R "sha256:../x!out.doi",
		R "sha256:ab!o/ut.doi",
		R "sha256:ab!../x.doi",
		R "sha256:ab!o!ut.doi",
		R "sha256:a b!out.doi",
		R "sha256:ab!out.doi\n",
		"realisations",
		"nix-cache-info",
		"index.html",
		"pins/x",
		"build-trace-v2/x",
		"debuginfo/x",
		H,
	};
	char nul[] = H ".narinfo", inside[] = "log/axb.drv";
	enum objkey_kind kind = 77;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(
		    objkey_parse(bad[i], strlen(bad[i]), &kind, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_int_equal(objkey_parse(nul, sizeof nul, &kind, &e), -1);
	inside[5] = '\0';
	assert_int_equal(
	    objkey_parse(inside, sizeof inside - 1, &kind, &e), -1);
	assert_int_equal(kind, 77);
}

static void
longest_key(void **state)
{
	char key[OBJKEY_MAX + 2];
	enum objkey_kind kind;

	(void)state;
	memset(key, 'x', sizeof key);
	memcpy(key, "log/", 4);
	memcpy(key + OBJKEY_MAX - 4, ".drv", 4);
	assert_int_equal(objkey_parse(key, OBJKEY_MAX, &kind, NULL), 0);
	memcpy(key + OBJKEY_MAX - 4, "x.drv", 5);
	assert_int_equal(objkey_parse(key, OBJKEY_MAX + 1, &kind, NULL), -1);
}

static void
kinds(void **state)
{
	static const char *const names[] = { NULL, "narinfo", "nar", "listing",
		"build_log", "realisation" };
	enum objkey_kind kind = 77;

	(void)state;
	for (int k = OBJKEY_NARINFO; k < OBJKEY__MAX; k++) {
		assert_string_equal(objkey_kind_name(k), names[k]);
		assert_int_equal(objkey_kind_by_name(names[k], &kind), 0);
		assert_int_equal(kind, k);
		assert_non_null(objkey_content_type(k));
	}
	assert_int_equal(objkey_kind_by_name("", &kind), -1);
	assert_int_equal(objkey_kind_by_name("log", &kind), -1);
	assert_int_equal(kind, OBJKEY_REALISATION);
	assert_string_equal(
	    objkey_content_type(OBJKEY_NARINFO), "text/x-nix-narinfo");
	assert_string_equal(objkey_content_encoding(OBJKEY_LOG), "zstd");
	assert_null(objkey_content_encoding(OBJKEY_NAR));
}

static void
writing(void **state)
{
	static const char *const bad_logs[] = { "", H "-x", H "-x.drv.bz2",
		"x.drv", H "-../x.drv", H "-.drv/..", H "-a b.drv" };
	static const char *const bad_ids[] = { "", "sha256:ab", "ab!out",
		"sha256:ab!", "sha256:ab!../x", "sha256:ab!out.doi\n" };
	const struct hash zero = { { 0 } };
	char key[OBJKEY_TEXT_MAX], id[OBJKEY_TEXT_MAX];
	enum objkey_kind kind;
	struct err e;

	(void)state;
	objkey_fmt_narinfo(key, H "-x.narinfo");
	assert_string_equal(key, H ".narinfo");
	objkey_fmt_listing(key, H "-x");
	assert_string_equal(key, H ".ls");
	objkey_fmt_nar(key, &zero);
	assert_string_equal(key,
	    "nar/0000000000000000000000000000000000000000"
	    "000000000000.nar.zst");
	assert_int_equal(objkey_parse(key, strlen(key), &kind, NULL), 0);
	assert_int_equal(objkey_fmt_log(key, H "-a..b.drv", NULL), 0);
	assert_string_equal(key, "log/" H "-a..b.drv");
	assert_int_equal(objkey_fmt_realisation(key, "sha256:ab!out", NULL), 0);
	assert_string_equal(key, R "sha256:ab!out.doi");
	for (size_t i = 0; i < sizeof bad_logs / sizeof bad_logs[0]; i++) {
		assert_int_equal(objkey_fmt_log(key, bad_logs[i], &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	for (size_t i = 0; i < sizeof bad_ids / sizeof bad_ids[0]; i++) {
		assert_int_equal(
		    objkey_fmt_realisation(key, bad_ids[i], &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_string_equal(key, R "sha256:ab!out.doi");

	/* The longest id, and one more. */
	memset(id, 'a', sizeof id);
	memcpy(id, "a:b!", 4);
	id[OBJKEY_MAX - strlen(R ".doi")] = '\0';
	assert_int_equal(objkey_fmt_realisation(key, id, NULL), 0);
	assert_int_equal(strlen(key), OBJKEY_MAX);
	id[OBJKEY_MAX - strlen(R ".doi")] = 'a';
	id[OBJKEY_MAX - strlen(R ".doi") + 1] = '\0';
	assert_int_equal(objkey_fmt_realisation(key, id, &e), -1);
}

static void
pins(void **state)
{
	static const char *const good[] = { "a", "release-1.0_x", "...", "-",
		".a", "..a", "A.9" };
	static const char *const bad[] = { "", ".", "..", "a/b", "../a", "a b",
		"a\n", "a+b", "\xc3\xa4", "a:b" };
	char name[OBJKEY_PIN_MAX + 2];
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_int_equal(objkey_check_pin(good[i], NULL), 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(objkey_check_pin(bad[i], &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	memset(name, 'a', sizeof name);
	name[OBJKEY_PIN_MAX + 1] = '\0';
	assert_int_equal(objkey_check_pin(name, &e), -1);
	name[OBJKEY_PIN_MAX] = '\0';
	assert_int_equal(objkey_check_pin(name, &e), 0);
}

static void
staged(void **state)
{
	static const char *const tokens[] = { "", "a/b", "..", "A", "a-b",
		"a b" };
	static const char *const others[] = { "staging/", "staging/a",
		"staging/a/", "staging/a/nix-cache-info", "staging//log/x.drv",
		"staging/A/log/x.drv", "staging/a/b/log/x.drv", "log/x.drv",
		"xstaging/a/log/x.drv" };
	char key[OBJKEY_TEXT_MAX], token[OBJKEY_TOKEN_MAX + 1];
	char longest[OBJKEY_MAX + 1], name[OBJKEY_TOKEN_MAX + 2];
	char more[OBJKEY_MAX + 20];
	const char *of;
	struct err e;

	(void)state;
	assert_int_equal(objkey_fmt_staged(key, "0a1", "log/x.drv", NULL), 0);
	assert_string_equal(key, "staging/0a1/log/x.drv");
	assert_int_equal(objkey_parse_staged(key, token, &of, NULL), 0);
	assert_string_equal(token, "0a1");
	assert_string_equal(of, "log/x.drv");
	assert_false(objkey_is_probe(key));
	assert_false(objkey_is_probe("log/probe.drv"));
	assert_false(objkey_is_probe(""));
	assert_true(objkey_is_probe("staging/probe0a1/log/x.drv"));

	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
		assert_int_equal(
		    objkey_fmt_staged(key, tokens[i], "log/x.drv", &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_int_equal(objkey_fmt_staged(key, "a", "index.html", &e), -1);
	assert_int_equal(
	    objkey_fmt_staged(key, "a", "staging/a/log/x.drv", &e), -1);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		assert_int_equal(
		    objkey_parse_staged(others[i], token, &of, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_string_equal(token, "0a1"); /* untouched */

	/* The longest name of an upload, and one more. */
	memset(name, 'a', sizeof name);
	name[OBJKEY_TOKEN_MAX] = '\0';
	assert_int_equal(objkey_fmt_staged(key, name, "log/x.drv", NULL), 0);
	assert_int_equal(objkey_parse_staged(key, token, &of, NULL), 0);
	assert_string_equal(token, name);
	name[OBJKEY_TOKEN_MAX] = 'a';
	name[OBJKEY_TOKEN_MAX + 1] = '\0';
	assert_int_equal(objkey_fmt_staged(key, name, "log/x.drv", &e), -1);

	/* The longest key that fits, and one more. */
	memset(longest, 'a', sizeof longest);
	memcpy(longest, "log/", 4);
	strcpy(longest + OBJKEY_MAX - strlen("staging/a/") - 4, ".drv");
	assert_int_equal(objkey_fmt_staged(key, "a", longest, NULL), 0);
	assert_int_equal(strlen(key), OBJKEY_MAX);
	assert_int_equal(objkey_parse_staged(key, token, &of, NULL), 0);
	assert_int_equal(objkey_fmt_staged(key, "ab", longest, &e), -1);
	snprintf(more, sizeof more, "staging/ab/%s", longest);
	assert_int_equal(objkey_parse_staged(more, token, &of, &e), -1);
	assert_string_equal(token, "a");
}

static void
compression(void **state)
{
	(void)state;
	assert_string_equal(objkey_compression("nar/x.nar.zst"), "zstd");
	assert_string_equal(objkey_compression("nar/x.nar.xz"), "xz");
	assert_string_equal(objkey_compression("nar/x.nar.bz2"), "bzip2");
	assert_string_equal(objkey_compression("nar/x.nar"), "none");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_keys),
		cmocka_unit_test(bad_keys),
		cmocka_unit_test(longest_key),
		cmocka_unit_test(kinds),
		cmocka_unit_test(writing),
		cmocka_unit_test(pins),
		cmocka_unit_test(staged),
		cmocka_unit_test(compression),
	};

	return cmocka_run_group_tests_name("objkey", tests, NULL, NULL);
}
