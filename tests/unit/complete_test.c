#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/complete.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/opt.h"

static const struct opt opts[] = {
	{ "mode", "T_MODE", OPT_STR, 0, OPT_REQUIRED, "slow", "slow|fast",
	    "how it's done: [so]" },
	{ "file", NULL, OPT_LIST, 0, OPT_RARE, NULL, "FILE", "what to read" },
	{ "old", NULL, OPT_BOOL, 0, OPT_HIDDEN },
	{ NULL },
};

static const struct opt_program prog = { "prog", "prog", "Has commands.", NULL,
	0, 0 };
static const struct opt_program sub = { "prog sub", "prog sub", "Does a thing.",
	opts, 0, 1, "up|down" };
static const struct opt_program inner = { "prog sub in", "prog sub in",
	"Does another.", opts, 0, 1 };
static const struct opt_program *const all[] = { &prog, &sub, &inner };

static char *text;

static int
print(const char *format, struct err *e)
{
	size_t size;
	FILE *f;
	int rc;

	free(text);
	f = open_memstream(&text, &size);
	assert_non_null(f);
	rc = complete_print(format, "prog", all, 3, f, e);
	fclose(f);
	return rc;
}

static void
has(const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void
has_not(const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("\"%s\" in:\n%s", part, text);
}

static void
test_list(void **state)
{
	(void)state;
	assert_int_equal(print("list", NULL), 0);
	has("prog sub\t--mode\tT_MODE\ttext\tslow\tslow|fast\trequired,\t"
	    "how it's done: [so]\n");
	has("\nprog sub\t--file\t-\tlist\t-\tFILE\trare,\twhat to read\n");
	has("\nprog sub\t--old\t-\tbool\t-\t-\thidden,\t-\n");
	has("\nprog sub in\t-n\t-\tbool\t-\t-\taction,\tcheck ");
	has_not("prog\t");
}

static void
test_bash(void **state)
{
	(void)state;
	assert_int_equal(print("bash", NULL), 0);
	has("\t'prog')\n\t\tcommands=' sub '\n");
	has("\t'prog sub')\n\t\tcommands=' in '\n\t\tvalued=' --mode --file ");
	has("\n\t\tchoices=' --mode=slow|fast ");
	has("\n\t\tfiles=' --file '\n");
	has("\n\t\targuments='up down'\n\t\tanyfile= ;;\n");
	has("\n\t\targuments=''\n\t\tanyfile=yes ;;\n");
	has("\ncomplete -F _prog prog\n");
	has_not("--old");
	has_not("--completion");
}

/* What stands in quotes stays there. */
static void
test_zsh(void **state)
{
	(void)state;
	assert_int_equal(print("zsh", NULL), 0);
	assert_memory_equal(text, "#compdef prog\n", 14);
	has("\n\t\t\t'--mode=[how it'\\''s done\\: \\[so\\]]"
	    ":mode:(slow fast)'\n");
	has("\n\t\t\t'*--file=[what to read]:FILE:_files'\n");
	has("\n\t\t\t'sub:Does a thing.'\n");
	has("\n\t\t\t'*:argument:_files'\n");
	has_not("--old");
}

static void
test_fish(void **state)
{
	(void)state;
	assert_int_equal(print("fish", NULL), 0);
	has("\ncomplete -c prog -n '__prog_at prog' -a sub -d 'Does a "
	    "thing.'\n");
	has("\ncomplete -c prog -n '__prog_at prog sub' -l mode -x "
	    "-a 'slow fast' -d 'how it\\'s done: [so]'\n");
	has(" -l file -r -F -d 'what to read'\n");
	has(" -s n -d 'check ");
	has("\ncomplete -c prog -n '__prog_at prog sub' -a 'up down'\n");
	has("\t\tcase 'prog sub in --mode' 'prog sub in --file' ");
	has_not("--old");
}

static void
test_format(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(print("csh", &e), -1);
	assert_int_equal(e.kind, ERR_USAGE);
	assert_string_equal(e.msg, "no completion for csh");
	assert_string_equal(text, "");
}

static int
teardown(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_bash),
		cmocka_unit_test(test_zsh),
		cmocka_unit_test(test_fish),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
