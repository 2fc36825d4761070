#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/s3/s3_internal.h"

/* Writes down what it is told. */
static int
leaf(void *ctx, const char *parent, const char *name, const char *text,
    struct err *e)
{
	if (strcmp(text, "stop") == 0)
		return err_set(e, ERR_CONFLICT, "stopped");
	return buf_printf(ctx, e, "%s/%s=%s;", parent, name, text);
}

static int
end(void *ctx, const char *name, struct err *e)
{
	return buf_printf(ctx, e, "/%s;", name);
}

static const struct s3_xml handler = { "R", leaf, end };

static int
parse(const char *xml, size_t len, struct buf *seen, struct err *e)
{
	struct buf in;
	int rc;

	buf_init(&in, len);
	assert_int_equal(buf_append(&in, xml, len, NULL), 0);
	buf_reset(seen);
	rc = s3_xml_parse(&in, &handler, seen, e);
	buf_done(&in);
	return rc;
}

static void
reads_shallow_trees(void **state)
{
	static const struct {
		const char *xml, *seen;
	} cases[] = {
		{ "<R/>", "/R=;" },
		{ "<R></R>", "/R=;" },
		{ "\n \t\r\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<R/>",
		    "/R=;" },
		{ "<R xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		  "<A>1</A> <B> 2 </B>\n</R>",
		    "R/A=1;R/B= 2 ;/R;" },
		{ "<R><C><K>a</K><O><I>x</I></O><K/></C><C/></R>",
		    "C/K=a;O/I=x;/O;C/K=;/C;R/C=;/R;" },
		{ "<R><K>&lt;&amp;&#39;&quot;&#x20AC;<![CDATA[<&>]]></K></R>",
		    "R/K=<&'\"\u20ac<&>;/R;" },
		{ "<R>text<!-- and --><K>1</K>more<?pi?></R>", "R/K=1;/R;" },
	};
	struct buf seen;

	(void)state;
	buf_init(&seen, 1000);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;
		if (parse(cases[i].xml, strlen(cases[i].xml), &seen, &e) != 0)
			fail_msg("%s: %s", cases[i].xml, e.msg);
		assert_string_equal(buf_str(&seen), cases[i].seen);
	}
	buf_done(&seen);
}

#define BOMB                                      \
	"<!DOCTYPE R [<!ENTITY a \"aaaaaaaaaa\">" \
	"<!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]><R><K>&b;</K></R>"
#define NINE(x) x x x x x x x x x

static void
refuses_the_rest(void **state)
{
	static const struct {
		const char *xml;
		enum err_kind kind;
	} cases[] = {
		{ "", ERR_CORRUPT },
		{ "  \n", ERR_CORRUPT },
		{ "not xml", ERR_CORRUPT },
		{ "{\"json\":1}", ERR_CORRUPT },
		{ "<R>", ERR_CORRUPT },
		{ "<R><K>1</R>", ERR_CORRUPT },
		{ "<R/><R/>", ERR_CORRUPT },
		{ "<html><R/></html>", ERR_CORRUPT },
		{ "<Q/>", ERR_CORRUPT },
		{ "<R>&#1;</R>", ERR_CORRUPT },
		{ "<R>\xff</R>", ERR_CORRUPT },
		{ "<R>&undefined;</R>", ERR_CORRUPT },
		{ BOMB, ERR_CORRUPT },
		{ "<!DOCTYPE R SYSTEM \"file:///etc/passwd\"><R/>",
		    ERR_CORRUPT },
		{ "<R>" NINE("<D>") NINE("</D>") "</R>", ERR_TOO_LARGE },
		{ "<R><K" NINE("123456789") "/></R>", ERR_TOO_LARGE },
		{ "<R><K>stop</K></R>", ERR_CONFLICT },
	};
	struct buf seen;

	(void)state;
	buf_init(&seen, 1000);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = ERR_INIT;
		if (parse(cases[i].xml, strlen(cases[i].xml), &seen, &e) == 0)
			fail_msg("accepted: %s", cases[i].xml);
		if (e.kind != cases[i].kind)
			fail_msg("%s: %s: %s", cases[i].xml, err_name(e.kind),
			    e.msg);
	}
	buf_done(&seen);
}

static void
bounds_texts(void **state)
{
	char xml[S3_XML_TEXT_MAX + 100] = "<R>";
	struct buf seen;
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&seen, S3_XML_TEXT_MAX + 100);
	memset(xml + 3, 'x', S3_XML_TEXT_MAX);
	strcpy(xml + 3 + S3_XML_TEXT_MAX, "</R>");
	assert_int_equal(parse(xml, strlen(xml), &seen, &e), 0);
	strcpy(xml + 3 + S3_XML_TEXT_MAX, "x</R>");
	assert_int_equal(parse(xml, strlen(xml), &seen, &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_done(&seen);
}

/* Whatever is cut off or changed, it must end with an answer. */
static void
survives_damage(void **state)
{
	static const char good[] = "<?xml version=\"1.0\"?><R><C><K>a&amp;</K>"
	                           "<S>1</S></C><T>true</T></R>";
	char bad[sizeof good];
	struct buf seen;

	(void)state;
	buf_init(&seen, 1000);
	for (size_t i = 0; i < sizeof good - 1; i++) {
		assert_int_equal(parse(good, i, &seen, NULL), -1);
		for (int c = 0; c < 256; c += 5) {
			memcpy(bad, good, sizeof bad);
			bad[i] = c;
			(void)parse(bad, sizeof bad - 1, &seen, NULL);
		}
	}
	buf_done(&seen);
}

static void
escapes(void **state)
{
	struct buf b;
	struct err e = ERR_INIT;

	(void)state;
	buf_init(&b, 50);
	assert_int_equal(s3_xml_escape(&b, "a<b>&\"c'\r\n\td", &e), 0);
	assert_string_equal(
	    buf_str(&b), "a&#60;b&#62;&#38;&#34;c&#39;&#13;&#10;&#9;d");
	assert_int_equal(s3_xml_escape(&b, "", &e), 0);
	assert_int_equal(s3_xml_escape(&b, "&&&&&&&&&", &e), -1);
	assert_int_equal(e.kind, ERR_TOO_LARGE);
	buf_done(&b);
	assert_true(s3_xml_can_carry("realisations/sha256:0!out.doi"));
	assert_true(s3_xml_can_carry("<&'\"> ~"));
	assert_false(s3_xml_can_carry("a\x01"));
	assert_false(s3_xml_can_carry("a\rb"));
	assert_false(s3_xml_can_carry("\x7f"));
	assert_false(s3_xml_can_carry("\xff"));
}

static void
unescapes(void **state)
{
	static const char *const bad[] = { "%", "%4", "a%", "%zz", "%00",
		"a%0" };
	char text[] = "a+b%2Bc%2f%E2%82%AC%25", copy[8];
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(s3_unescape(text, &e), 0);
	assert_string_equal(text, "a b+c/\u20ac%");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		strcpy(copy, bad[i]);
		assert_int_equal(s3_unescape(copy, &e), -1);
		assert_int_equal(e.kind, ERR_CORRUPT);
	}
}

static void
reads_dates(void **state)
{
	static const char *const bad[] = { "", "2009-10-12", "yesterday",
		"2009-10-12T17:50:30", "2009-10-12T17:50:30.000",
		"2009-13-12T17:50:30Z", "2009-10-12T17:50:30Zulu",
		"2009-10-12T17:50:30+01:00" };
	struct err e = ERR_INIT;
	int64_t t = 7;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(s3_time_parse(bad[i], &t, &e), -1);
		assert_int_equal(e.kind, ERR_CORRUPT);
		assert_int_equal(t, 7);
	}
	assert_int_equal(s3_time_parse("2009-10-12T17:50:30.000Z", &t, &e), 0);
	assert_int_equal(t, 1255369830);
	assert_int_equal(s3_time_parse("1970-01-01T00:00:00Z", &t, &e), 0);
	assert_int_equal(t, 0);
}

static void
reads_faults(void **state)
{
	static const char *const none[] = { "", "<html/>", "<Error/>",
		"<Error><Code></Code></Error>",
		"<Error><Message>x</Message></Error>",
		"<Error><A><Code>nested</Code></A></Error>",
		"<Other><Code>SlowDown</Code></Other>" };
	struct s3_fault f = { "untouched", "" };
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		buf_reset(&b);
		assert_int_equal(buf_puts(&b, none[i], NULL), 0);
		assert_int_equal(s3_fault_parse(&b, &f), -1);
		assert_string_equal(f.code, "untouched");
	}
	buf_reset(&b);
	assert_int_equal(
	    buf_puts(&b,
	        "<?xml version=\"1.0\"?><Error>"
	        "<Code>NoSuchKey</Code><Message/><Key>k</Key></Error>",
	        NULL),
	    0);
	assert_int_equal(s3_fault_parse(&b, &f), 0);
	assert_string_equal(f.code, "NoSuchKey");
	assert_string_equal(f.message, "");
	assert_string_equal(f.region, "");
	buf_reset(&b);
	assert_int_equal(
	    buf_puts(&b,
	        "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type>"
	        "<Code>C</Code><Message>m</Message><Region>r</Region></Error>"
	        "<RequestId>1</RequestId></ErrorResponse>",
	        NULL),
	    0);
	assert_int_equal(s3_fault_parse(&b, &f), 0);
	assert_string_equal(f.code, "C");
	assert_string_equal(f.message, "m");
	assert_string_equal(f.region, "r");
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_shallow_trees),
		cmocka_unit_test(refuses_the_rest),
		cmocka_unit_test(bounds_texts),
		cmocka_unit_test(survives_damage),
		cmocka_unit_test(escapes),
		cmocka_unit_test(unescapes),
		cmocka_unit_test(reads_dates),
		cmocka_unit_test(reads_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
