#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/nix/derivation.h"

#define H "anj5c8397px1wgr8c1q3n7bxpnhjba8p"
#define P "/nix/store/" H

/* Outputs as name=base, with spaces between them; NULL: an error. */
static const struct {
	const char *text, *outputs;
} table[] = {
	{ "Derive([(\"out\",\"" P "-a\",\"\",\"\")],[],[],\"x\",\"/bin/sh\"",
	    "out=" H "-a" },
	{ "Derive([(\"dev\",\"" P "-a-dev\",\"\",\"\"),(\"out\",\"" P
	  "-a\",\"\",\"\")],",
	    "dev=" H "-a-dev out=" H "-a" },
	/* Of a known hash; addressed by content; what depends on such. */
	{ "Derive([(\"out\",\"" P "-s\",\"r:sha256\",\"00ff\")],",
	    "out=" H "-s" },
	{ "Derive([(\"out\",\"\",\"r:sha256\",\"\")],", "out=" },
	{ "Derive([(\"out\",\"\",\"\",\"\")],", "out=" },
	{ "", NULL },
	{ "Derive", NULL },
	{ "Derive([],[", NULL },
	{ "DrvWithVersion(\"xp-dyn-drv\",[(\"out\"", NULL },
	{ "Derive([(\"out\",\"" P "-a\",\"\")],", NULL },
	{ "Derive([(\"out\",\"" P "-a\",\"\",\"\")", NULL },
	{ "Derive([(\"out\",\"" P "-a\",\"\",\"\"),],", NULL },
	{ "Derive([(\"out\",\"" P "-a", NULL },
	{ "Derive([(\"o\\\"ut\",\"" P "-a\",\"\",\"\")],", NULL },
	{ "Derive([(\"out\",\"/elsewhere/" H "-a\",\"\",\"\")],", NULL },
	{ "Derive([(\"out\",\"" P "\",\"\",\"\")],", NULL },
};

static void
test_table(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct derivation_output *out;
	struct err e = ERR_INIT;
	char text[512];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		int rc = derivation_outputs(table[i].text,
		    strlen(table[i].text), "/nix/store", a, &out, &n, &e);

		if ((rc == 0) != (table[i].outputs != NULL))
			fail_msg("%s: %s", table[i].text, e.msg);
		if (rc != 0)
			continue;
		text[0] = '\0';
		for (size_t k = 0; k < n; k++)
			sprintf(text + strlen(text), "%s%s=%s",
			    k > 0 ? " " : "", out[k].name,
			    out[k].base != NULL ? out[k].base : "");
		assert_string_equal(text, table[i].outputs);
	}
	arena_free(a);
}

/* Every beginning of a good one is an error, and reads no further. */
static void
test_cut(void **state)
{
	struct arena *a = arena_new(4 << 20);
	struct derivation_output *out;
	size_t n, len = strlen(table[1].text);

	(void)state;
	for (size_t i = 0; i + 1 < len; i++) {
		char *cut = strndup(table[1].text, i);

		assert_int_equal(
		    derivation_outputs(cut, i, "/nix/store", a, &out, &n, NULL),
		    -1);
		free(cut);
		arena_reset(a);
	}
	arena_free(a);
}

static void
test_many(void **state)
{
	struct arena *a = arena_new(4 << 20);
	struct derivation_output *out;
	struct err e = ERR_INIT;
	struct buf text;
	size_t n;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_puts(&text, "Derive([", NULL);
	for (int i = 0; i <= DERIVATION_OUTPUTS_MAX; i++)
		buf_printf(&text, NULL, "%s(\"o%d\",\"\",\"\",\"\")",
		    i > 0 ? "," : "", i);
	buf_puts(&text, "],", NULL);
	assert_int_equal(derivation_outputs((const char *)text.data, text.len,
	                     "/nix/store", a, &out, &n, &e),
	    -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_done(&text);
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
