#include "../../libcommon/nix/pathinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"

#define DIR "/srv/nix/store"

/* JSON is written with ' for " here, to keep it readable. */
static const char *
json(const char *text)
{
	static char out[16384];
	size_t n = strlen(text);

	assert_true(n < sizeof out);
	for (size_t i = 0; i <= n; i++)
		out[i] = text[i] == '\'' ? '"' : text[i];
	return out;
}

static int
setup(void **state)
{
	*state = arena_new(64 << 20);
	return 0;
}

static int
teardown(void **state)
{
	arena_free(*state);
	return 0;
}

static int
parse(const char *text, struct arena *a, struct pathinfo **out, size_t *n,
    struct err *e)
{
	const char *s = json(text);

	return pathinfo_parse(s, strlen(s), DIR, a, out, n, e);
}

/*
 * The same four paths as Nix 2.8, 2.26 and 2.34 (both formats) print them:
 * content-addressed, fixed-output by SHA-512, plain, referring to itself.
 */
#define LIB       "l69y51b8xzrl7cnhwmjk0ix2jfh9ld85-lib"
#define FIXED     "mnad740a3r1xv76ds35s9rvhpic5jxnx-fixed"
#define DEP       "pzqw2ibb0y91w561ncwga8iv6q8pihkf-dep-1.0+b?=_x"
#define SELF      "rd84mywg0yw4nar63p7zlk667h3fdc47-self"
#define LIB_DRV   "kxipi6wkix8ayk8k3ff1mc69mki0v4pf-lib.drv"
#define FIXED_DRV "jkl53jfpcdgyg9amk8wpqiz85cgw96dk-fixed.drv"
#define DEP_DRV   "jpzy4qx53n2m4am4vvjvfharg4y6vy1n-dep-1.0+b?=_x.drv"
#define SELF_DRV  "cdwgr8xnz4sqa6z8339a7x37km2pf71b-self.drv"
#define LIB_SIG                                                             \
	"niks3-test-1:2NficBVXELPHPwSkGch9VpRv0bq4/YpdI6VLgbd+7P4zpBEYdnfb" \
	"ZkMsR90yskPAxvCcmx7ufelUpXF5NFDpCw=="
#define FIXED_SIG                                                           \
	"niks3-test-1:lmFJZ1uUn51kPjeOOoUUzaVr41OxVVk0BYLsSl/5M8znFnT1tTFu" \
	"lAjKAEZKZGqlYzJMBq/5H/LNGXwOKAS0Dg=="
#define DEP_SIG                                                             \
	"niks3-test-1:bfmaWECEp//+7NowO5ucOIULa6W9tOWps/JPrgoKTbPx1GcjuWuM" \
	"amW5SCKI0Y8LvVXpIhwz9cXYu7n3XPNLBw=="
#define SELF_SIG                                                            \
	"niks3-test-1:cIgNoQHWTLzfjrDhNNZWZB3G1KsJMyrFzk0vXtA/IANLTeEiC958" \
	"WJZGeUZaGBd0m5bJeVdr7ujLjZGmSlj8DQ=="
#define LIB_NAR   "sha256-I79ABM/MuMklSzsTwQ5m1xiPdq97No4hi6vpgVmYnw8="
#define FIXED_NAR "sha256-CkMIecJm+LV/QJKg+TXPP6zUi7zN5XYNR0jKQFFx6Wk="
#define DEP_NAR   "sha256-e9vJ5kB9nT7UCtxk10a+Y2a19Y7maMawKGYAi771cgI="
#define SELF_NAR  "sha256-4kYckCSVpsfIypiqphewEnRlmpxLKgSaRYtAHeaoudU="
#define LIB_CA                                                         \
	"fixed:r:sha256:03wzk1cq3sdbichqwdkvmxv8y66pcq7c24rv9cjwkf6cr" \
	"w241gr3"
#define FIXED_CA                                                            \
	"fixed:sha512:11w1pmwfdpz9pisbhp5qiv38q6dmidq2ipcqykw3p0sb6yrqcij7" \
	"9rwcwcjbxyzwbdal349qbxrncbk7pmd6snljrfpiwv2pljd4wcv"
#define FIXED_SRI                                                           \
	"sha512-m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG" \
	"4UuMXaDEZjR1wuXDre9G9zvN7AQw=="

static const char nix_2_8[] =
    "[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR "','narSize':120,"
    "'references':[],'ca':'" LIB_CA "','deriver':'" DIR "/" LIB_DRV "',"
    "'registrationTime':1795373632,'ultimate':true,'signatures':['" LIB_SIG
    "']},{'path':'" DIR "/" FIXED "','narHash':'" FIXED_NAR "',"
    "'narSize':120,'references':[],'ca':'" FIXED_CA "','deriver':'" DIR
    "/" FIXED_DRV "','registrationTime':1795373632,'ultimate':true,"
    "'signatures':['" FIXED_SIG "']},{'path':'" DIR "/" DEP
    "','narHash':'" DEP_NAR "','narSize':120,'references':[],'deriver':'" DIR
    "/" DEP_DRV
    "','registrationTime':1795373632,'ultimate':true,'signatures':['" DEP_SIG
    "']},{'path':'" DIR "/" SELF "','narHash':'" SELF_NAR "',"
    "'narSize':232,'references':['" DIR "/" DEP "','" DIR "/" SELF "'],"
    "'deriver':'" DIR "/" SELF_DRV "','registrationTime':1795373632,"
    "'ultimate':true,'signatures':['" SELF_SIG "']}]";

static const char nix_2_26[] =
    "{'" DIR "/" LIB "':{'ca':'" LIB_CA "','deriver':'" DIR "/" LIB_DRV "',"
    "'narHash':'" LIB_NAR "','narSize':120,'references':[],"
    "'registrationTime':1795373633,'signatures':['" LIB_SIG "'],"
    "'ultimate':true},'" DIR "/" FIXED "':{'ca':'" FIXED_CA "',"
    "'deriver':'" DIR "/" FIXED_DRV "','narHash':'" FIXED_NAR "',"
    "'narSize':120,'references':[],'registrationTime':1795373633,"
    "'signatures':['" FIXED_SIG "'],'ultimate':true},'" DIR "/" DEP "':{"
    "'ca':null,'deriver':'" DIR "/" DEP_DRV "','narHash':'" DEP_NAR "',"
    "'narSize':120,'references':[],'registrationTime':1795373632,"
    "'signatures':['" DEP_SIG "'],'ultimate':true},'" DIR "/" SELF "':{"
    "'ca':null,'deriver':'" DIR "/" SELF_DRV "','narHash':'" SELF_NAR "',"
    "'narSize':232,'references':['" DIR "/" DEP "','" DIR "/" SELF "'],"
    "'registrationTime':1795373633,'signatures':['" SELF_SIG "'],"
    "'ultimate':true}}\n";

static const char nix_2_34_format_2[] =
    "{'info':{'" LIB "':{'ca':{'hash':'" LIB_NAR "','method':'nar'},"
    "'deriver':'" LIB_DRV "','narHash':'" LIB_NAR "','narSize':120,"
    "'references':[],'registrationTime':1795373633,'signatures':['" LIB_SIG
    "'],'storeDir':'" DIR "','ultimate':true,'version':2},'" FIXED "':{"
    "'ca':{'hash':'" FIXED_SRI "','method':'flat'},'deriver':'" FIXED_DRV
    "','narHash':'" FIXED_NAR "','narSize':120,'references':[],"
    "'registrationTime':1795373633,'signatures':['" FIXED_SIG "'],"
    "'storeDir':'" DIR "','ultimate':true,'version':2},'" DEP "':{"
    "'ca':null,'deriver':'" DEP_DRV "','narHash':'" DEP_NAR "',"
    "'narSize':120,'references':[],'registrationTime':1795373633,"
    "'signatures':['" DEP_SIG "'],'storeDir':'" DIR "','ultimate':true,"
    "'version':2},'" SELF "':{'ca':null,'deriver':'" SELF_DRV "',"
    "'narHash':'" SELF_NAR "','narSize':232,'references':['" DEP "','" SELF
    "'],'registrationTime':1795373633,'signatures':['" SELF_SIG "'],"
    "'storeDir':'" DIR "','ultimate':true,'version':2}},'storeDir':'" DIR
    "','version':2}\n";

static void
same_in_every_form(void **state)
{
	const char *const forms[] = { nix_2_8, nix_2_26, nix_2_34_format_2 };
	char hash[HASH_TEXT_MAX];

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct pathinfo *p;
		struct err e = ERR_INIT;
		size_t n;

		if (parse(forms[i], *state, &p, &n, &e) < 0)
			fail_msg("%zu: %s", i, e.msg);
		assert_int_equal(n, 4);
		assert_string_equal(p[0].base, LIB);
		assert_string_equal(hash_fmt(hash, &p[0].nar_hash),
		    LIB_CA + strlen("fixed:r:"));
		assert_int_equal(p[0].nar_size, 120);
		assert_int_equal(p[0].nrefs, 0);
		assert_string_equal(p[0].deriver, LIB_DRV);
		assert_int_equal(p[0].nsigs, 1);
		assert_string_equal(p[0].sigs[0], LIB_SIG);
		assert_string_equal(p[0].ca, LIB_CA);
		assert_string_equal(p[1].base, FIXED);
		assert_string_equal(p[1].ca, FIXED_CA);
		assert_string_equal(p[2].base, DEP);
		assert_null(p[2].ca);
		assert_string_equal(p[3].base, SELF);
		assert_int_equal(p[3].nar_size, 232);
		assert_int_equal(p[3].nrefs, 2);
		assert_string_equal(p[3].refs[0], DEP);
		assert_string_equal(p[3].refs[1], SELF);
		assert_string_equal(p[3].sigs[0], SELF_SIG);
		assert_null(p[3].ca);
	}
}

/* What belongs to every path. */
#define REST "'narSize':120,'references':[]"

/* Forms that are documented but that none of those versions prints. */
static void
single_fields(void **state)
{
	static const struct {
		const char *fields; /* beside REST */
		const char *ca;
		const char *deriver;
		const char *sig;
	} cases[] = {
		{ "'narHash':'" LIB_NAR "'", NULL, NULL, NULL },
		{ "'narHash':'sha256:03wzk1cq3sdbichqwdkvmxv8y66pcq7c24rv9cjwk"
		  "f6crw241gr3','ca':'','deriver':null,'signatures':null",
		    NULL, NULL, NULL },
		/* the structured hash of 2.33 */
		{ "'narHash':{'algorithm':'sha256','format':'base64','hash':"
		  "'I79ABM/MuMklSzsTwQ5m1xiPdq97No4hi6vpgVmYnw8='}",
		    NULL, NULL, NULL },
		{ "'narHash':{'algorithm':'sha256','format':'base16','hash':"
		  "'23bf4004cfccb8c9254b3b13c10e66d7188f76af7b368e218babe98159"
		  "989f0f'}",
		    NULL, NULL, NULL },
		{ "'narHash':{'algorithm':'sha256','format':'nix32','hash':"
		  "'03wzk1cq3sdbichqwdkvmxv8y66pcq7c24rv9cjwkf6crw241gr3'},"
		  "'ca':{'method':'nar','hash':{'algorithm':'sha256','format':"
		  "'base64','hash':'I79ABM/MuMklSzsTwQ5m1xiPdq97No4hi6vpgVmYnw"
		  "8='}}",
		    LIB_CA, NULL, NULL },
		{ "'narHash':'" LIB_NAR "','ca':{'method':'text','hash':"
		  "'" LIB_NAR "'},'deriver':'" LIB_DRV "'",
		    "text:sha256:03wzk1cq3sdbichqwdkvmxv8y66pcq7c24rv9cjwkf6cr"
		    "w241gr3",
		    LIB_DRV, NULL },
		/* SHA-1 and MD5 of the empty text */
		{ "'narHash':'" LIB_NAR "','ca':{'method':'git','hash':"
		  "'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk='}",
		    "fixed:git:sha1:143xibwh31h9bvxzalr0sjvbbvpa6ffs", NULL,
		    NULL },
		{ "'narHash':'" LIB_NAR "','ca':{'method':'flat','hash':"
		  "'md5:d41d8cd98f00b204e9800998ecf8427e'}",
		    "fixed:md5:3y8bwfr609h3lh9ch0izcqq7fl", NULL, NULL },
		/* the structured signature of 2.36; kinds that are unknown */
		{ "'narHash':'" LIB_NAR "','signatures':["
		  "{'keyName':'niks3-test-1','sig':'2NficBVXELPHPwSkGch9VpRv0bq"
		  "4/YpdI6VLgbd+7P4zpBEYdnfbZkMsR90yskPAxvCcmx7ufelUpXF5NFDpCw="
		  "='}]",
		    NULL, NULL, LIB_SIG },
		{ "'narHash':'" LIB_NAR "','signatures':['pq-1:AAAA',7,null,{},"
		  "'" LIB_SIG "',{'keyName':'x'},'" LIB_SIG "']",
		    NULL, NULL, LIB_SIG },
		/* escapes, in what matters and in what does not */
		{ "'n\\u0061rX':0,'x':'\\'}]\\\\','\\'':{'y':[{},[]"
		  ",'{',1.5e3,null]},'narHash':'sha256-I79ABM\\/MuMklSzsTwQ5m1"
		  "xiPdq97No4hi6vpgVmYnw8\\u003d','deriver':'\\/srv\\/nix\\/"
		  "store\\/" LIB_DRV "','signatures':[{'sig':7,'x':[{}]}]",
		    NULL, LIB_DRV, NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[2048], hash[HASH_TEXT_MAX];
		struct pathinfo *p;
		struct err e = ERR_INIT;
		size_t n;

		snprintf(text, sizeof text,
		    " [ { 'path' : '" DIR "/" LIB
		    "' , 'valid' : true , %s , " REST " } ] ",
		    cases[i].fields);
		if (parse(text, *state, &p, &n, &e) < 0)
			fail_msg("%zu: %s", i, e.msg);
		assert_int_equal(n, 1);
		assert_string_equal(
		    hash_fmt(hash, &p->nar_hash), LIB_CA + strlen("fixed:r:"));
		assert_int_equal(p->nsigs, cases[i].sig != NULL);
		if (cases[i].sig != NULL)
			assert_string_equal(p->sigs[0], cases[i].sig);
		if (cases[i].ca != NULL)
			assert_string_equal(p->ca, cases[i].ca);
		else
			assert_null(p->ca);
		if (cases[i].deriver != NULL)
			assert_string_equal(p->deriver, cases[i].deriver);
		else
			assert_null(p->deriver);
	}
}

static void
nothing_at_all(void **state)
{
	static const char *const texts[] = { "[]", "{}", " [ ] \n",
		"{'info':{},'storeDir':'" DIR "','version':2}",
		"{'version':2,'storeDir':'" DIR "','info':{}}" };

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct pathinfo *p;
		size_t n = 77;

		assert_int_equal(parse(texts[i], *state, &p, &n, NULL), 0);
		assert_int_equal(n, 0);
	}
}

/* More beside "info", before it and after it; escapes in keys. */
static void
wrapped_and_escaped(void **state)
{
	static const char *const texts[] = {
		"{'a':[{'b':'}'}],'info':{'" LIB "':{'narHash':'" LIB_NAR
		"'," REST "}},'storeDir':'" DIR "','version':3,'z':null}",
		"{'\\/srv\\/nix/store/" LIB "':{'narHash':'" LIB_NAR "'," REST
		"}}",
		"{'" DIR "/" LIB "':{'path':'" LIB "','narHash':'" LIB_NAR
		"'," REST "}}",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct pathinfo *p;
		struct err e = ERR_INIT;
		size_t n;

		if (parse(texts[i], *state, &p, &n, &e) < 0)
			fail_msg("%zu: %s", i, e.msg);
		assert_int_equal(n, 1);
		assert_string_equal(p->base, LIB);
	}
}

static void
order_and_duplicates(void **state)
{
	const char *refs =
	    "[{'path':'" DIR "/" SELF "','narHash':'" LIB_NAR
	    "','narSize':1,'references':['" DIR "/" SELF "','" DIR "/" DEP
	    "','" DIR "/" SELF "']},{'path':'" DIR "/" DEP
	    "','narHash':'" LIB_NAR "'," REST "}]";
	struct pathinfo *p;
	size_t n;

	assert_int_equal(parse(refs, *state, &p, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_string_equal(p[0].base, DEP);
	assert_string_equal(p[1].base, SELF);
	assert_int_equal(p[1].nrefs, 2);
	assert_string_equal(p[1].refs[0], DEP);
	/* A name is kept once. */
	assert_ptr_equal(p[1].refs[0], p[0].base);
	assert_ptr_equal(p[1].refs[1], p[1].base);
}

static void
invalid_paths_are_not_found(void **state)
{
	static const char *const texts[] = {
		"[{'path':'" DIR "/" LIB "','valid':false}]",
		"{'" DIR "/" LIB "':null}",
		"{'" DIR "/" LIB "' : null }",
		"{'info':{'" LIB "':null},'storeDir':'" DIR "','version':2}",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct pathinfo *p = NULL;
		struct err e = ERR_INIT;
		size_t n;

		assert_int_equal(parse(texts[i], *state, &p, &n, &e), -1);
		assert_int_equal(e.kind, ERR_NOT_FOUND);
		assert_non_null(strstr(e.msg, LIB));
		assert_null(p);
	}
}

#define ENTRY "{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR "'," REST "}"
#define WITH(fields)                                                          \
	"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR "'," REST "," fields \
	"}]"

static void
refuses(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"null",
		"true",
		"'x'",
		"7",
		"[",
		"{",
		"[" ENTRY,
		"[" ENTRY ",",
		"[" ENTRY ",]",
		"[," ENTRY "]",
		"[" ENTRY " " ENTRY "]",
		"[" ENTRY "}",
		"[" ENTRY "]]",
		"[" ENTRY "]x",
		"[" ENTRY "," ENTRY "]",
		"[null]",
		"['x']",
		"[[]]",
		"[{}]",
		"[{'path':7}]",
		"[{'path':'x'}]",
		"[{'path':'/nix/store/" LIB "','narHash':'" LIB_NAR "'," REST
		"}]",
		"[{'path':'" DIR "/" LIB "/bin','narHash':'" LIB_NAR "'," REST
		"}]",
		"[{'path':'" DIR "/../" LIB "','narHash':'" LIB_NAR "'," REST
		"}]",
		"{'" DIR "/" LIB "':7}",
		"{'" DIR "/" LIB "':'null'}",
		"{'" DIR "/" LIB "':nul}",
		"{'" DIR "/" LIB "':}",
		"{'" DIR "/" LIB "'}",
		"{'" DIR "/" LIB "'",
		"{'" DIR "/" LIB,
		"{'" DIR "/" LIB "\\",
		"{" DIR "/" LIB ":" ENTRY "}",
		"{'" DIR "/" LIB "':" ENTRY ",'" DIR "/" LIB "':" ENTRY "}",
		"{'" DIR "\\/" LIB "\\q':" ENTRY "}",
		"{'" DIR "/" DEP "':" ENTRY "}",
		"{'/nix/store/" LIB "':" ENTRY "}",
		"{'x':" ENTRY "}",
		"{'info':7}",
		"{'info':null}",
		"{'info':{'" LIB "':" ENTRY "}",
		"{'info':{},'storeDir':'/nix/store'}",
		"{'info':{},'storeDir':'" DIR "2'}",
		"{'info':{},'storeDir':7}",
		"{'info':{}} x",
		"{'info':{},'x':}",
		"{'info':{},'x':[}",
		"{'info':{},'x':[1}",
		"{'info':{},'x'}",
		"{'info':{},'x':'y}",
		"{'x':{}}",
		/* fields */
		"[{'path':'" DIR "/" LIB "'," REST "}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','references':[]}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','narSize':1}]",
		"[{'path':'" DIR "/" LIB "','narHash':null," REST "}]",
		"[{'path':'" DIR "/" LIB "','narHash':'md5-x'," REST "}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" FIXED_SRI "'," REST
		"}]",
		"[{'path':'" DIR "/" LIB "','narHash':{'algorithm':'sha1',"
		"'hash':'2jmj7l5rSw0yVb/vlWAYkK/YBwk='}," REST "}]",
		"[{'path':'" DIR "/" LIB "','narHash':{'algorithm':'sha256',"
		"'hash':'2jmj7l5rSw0yVb/vlWAYkK/YBwk='}," REST "}]",
		"[{'path':'" DIR "/" LIB "','narHash':{'algorithm':'x',"
		"'hash':'00'}," REST "}]",
		"[{'path':'" DIR "/" LIB "','narHash':{'hash':'00'}," REST "}]",
		"[{'path':'" DIR "/" LIB
		"','narHash':{'algorithm':'sha256'}," REST "}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','references':[],'narSize':0}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','references':[],'narSize':-1}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','references':[],'narSize':1.5}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','references':[],'narSize':'1'}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','references':[],'narSize':9223372036854775808}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','narSize':1,'references':null}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','narSize':1,'references':{}}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','narSize':1,'references':[7]}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','narSize':1,'references':['" DIR "']}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','narSize':1,'references':['" LIB "\\u0000']}]",
		"[{'path':'" DIR "/" LIB "','narHash':'" LIB_NAR
		"','narSize':1,'references':['" LIB "\\n']}]",
		WITH("'narSize':2"),
		WITH("'valid'"),
		WITH("'valid':}"),
		WITH("'x':{'y':[1,2}"),
		WITH("x:1"),
		WITH("'x' 1"),
		WITH(""),
		WITH("'x':1 'y':2"),
		WITH("'deriver':7"),
		WITH("'deriver':''"),
		WITH("'deriver':'unknown'"),
		WITH("'deriver':'/nix/store/" LIB_DRV "'"),
		WITH("'signatures':'" LIB_SIG "'"),
		WITH("'signatures':{}"),
		WITH("'signatures':['" LIB_SIG "'"),
		WITH("'signatures':[,]"),
		WITH("'signatures':[{'sig'}]"),
		WITH("'signatures':[{'x':[}]"),
		WITH("'signatures':[}]"),
		WITH("'ca':7"),
		WITH("'ca':'x'"),
		WITH("'ca':'fixed:\\nSig: x'"),
		WITH("'ca':{}"),
		WITH("'ca':{'method':7,'hash':'" LIB_NAR "'}"),
		WITH("'ca':{'method':'blob','hash':'" LIB_NAR "'}"),
		WITH("'ca':{'method':'nar'}"),
		WITH("'ca':{'hash':'" LIB_NAR "'}"),
		WITH("'ca':{'method':'a method of seventeen'}"),
		WITH("'ca':{'x':[},'method':'nar','hash':'" LIB_NAR "'}"),
		WITH("'ca':{'method':'nar','hash':'sha256- AAAA'}"),
		WITH("'ca':{'method':'nar','hash':'" LIB_NAR " '}"),
		WITH("'ca':{'method':'nar','hash':7}"),
		WITH("'ca':{'method':'nar','hash':'sha256sha256-AAAA'}"),
		WITH("'ca':{'method':'nar','hash':'sha256'}"),
		WITH("'ca':{'method':'nar','hash':'crc32-AAAA'}"),
		WITH("'ca':{'method':'nar','hash':'sha256-AAAA'}"),
		WITH("'ca':{'method':'nar','hash':'sha256-****'}"),
		WITH("'ca':{'method':'flat','hash':'md5:g41d8cd98f00b204e98009"
		     "98ecf8427e'}"),
		WITH("'ca':{'method':'flat','hash':'md5:"
		     "zy8bwfr609h3lh9ch0izcqq7fl'}"),
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct pathinfo *p = NULL;
		struct err e = ERR_INIT;
		size_t n = 77;

		if (parse(bad[i], *state, &p, &n, &e) == 0)
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_memory_equal(e.msg, "path info: ", 11);
		assert_null(p);
		assert_int_equal(n, 77);
	}
}

static void
every_prefix_fails(void **state)
{
	const char *const forms[] = { nix_2_8, nix_2_26, nix_2_34_format_2 };

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		const char *s = json(forms[i]);
		size_t whole = strrchr(s, s[0] == '[' ? ']' : '}') - s;

		for (size_t len = 0; len <= whole; len++) {
			/* Of its own, so that reading beyond it shows. */
			char *cut = strndup(s, len);
			struct pathinfo *p;
			size_t n;

			assert_int_equal(
			    pathinfo_parse(cut, len, DIR, *state, &p, &n, NULL),
			    -1);
			free(cut);
			arena_reset(*state);
		}
	}
}

static void
limits(void **state)
{
	struct arena *small;
	struct pathinfo *p;
	struct err e;
	struct buf b;
	size_t n;

	buf_init(&b, 4 << 20);
	for (int i = 0; i < 2; i++) {
		buf_reset(&b);
		buf_puts(&b,
		    "[{\"path\":\"" DIR "/" LIB "\",\"narHash\":\"" LIB_NAR
		    "\",\"narSize\":1,\"references\":[",
		    NULL);
		for (int r = 0; r < 10000 + i; r++)
			buf_printf(&b, NULL,
			    "%s\"" DIR "/000000000000000000000000000%05d-x\"",
			    r > 0 ? "," : "", r);
		buf_puts(&b, "]}]", NULL);
		assert_int_equal(pathinfo_parse((char *)b.data, b.len, DIR,
		                     *state, &p, &n, &e),
		    -i);
	}
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(p->nrefs, 10000);

	for (int i = 0; i < 2; i++) {
		buf_reset(&b);
		buf_puts(&b,
		    "[{\"path\":\"" DIR "/" LIB "\",\"narHash\":\"" LIB_NAR
		    "\",\"narSize\":1,\"references\":[],"
		    "\"signatures\":[\"" LIB_SIG "\"",
		    NULL);
		for (int s = 0; s < 63 + i; s++)
			buf_puts(&b, ",\"" SELF_SIG "\"", NULL);
		buf_puts(&b, "]}]", NULL);
		assert_int_equal(pathinfo_parse((char *)b.data, b.len, DIR,
		                     *state, &p, &n, &e),
		    -i);
	}
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	assert_int_equal(p->nsigs, 2);

	/* A signature too long for us is one of an unknown kind. */
	buf_reset(&b);
	buf_puts(&b,
	    "[{\"path\":\"" DIR "/" LIB "\",\"narHash\":\"" LIB_NAR
	    "\",\"narSize\":1,\"references\":[],"
	    "\"signatures\":[\"pq-1:",
	    NULL);
	for (int i = 0; i < 4000; i++)
		buf_putc(&b, 'A', NULL);
	buf_puts(&b, "\",\"" LIB_SIG "\"]}]", NULL);
	assert_int_equal(
	    pathinfo_parse((char *)b.data, b.len, DIR, *state, &p, &n, NULL),
	    0);
	assert_int_equal(p->nsigs, 1);

	/* Depth: within one path, and of what is between. */
	for (int object = 0; object < 2; object++) {
		buf_reset(&b);
		buf_puts(&b, object ? "{\"info\":" : "[", NULL);
		for (int i = 0; i < 100000; i++)
			buf_puts(&b, object ? "{\"info\":" : "[", NULL);
		assert_int_equal(pathinfo_parse((char *)b.data, b.len, DIR,
		                     *state, &p, &n, &e),
		    -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	buf_done(&b);

	for (size_t max = 0; max < 600; max += 16) {
		small = arena_new(max);
		if (parse("[" ENTRY "]", small, &p, &n, &e) == 0) {
			assert_true(max >= sizeof *p);
			arena_free(small);
			return;
		}
		assert_int_equal(e.kind, ERR_TOO_LARGE);
		arena_free(small);
	}
	fail();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    same_in_every_form, setup, teardown),
		cmocka_unit_test_setup_teardown(single_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    nothing_at_all, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    wrapped_and_escaped, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    order_and_duplicates, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    invalid_paths_are_not_found, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    every_prefix_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
	};

	return cmocka_run_group_tests_name("pathinfo", tests, NULL, NULL);
}
