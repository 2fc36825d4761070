#include "page.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../libcommon/codec/base64.h"
#include "../../libcommon/codec/sha256.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/http/server.h"
#include "html.h"

/* clang-format off */
static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1c2330;--dim:#5b6472;"
    "--line:#d9dee6;--box:#f4f6f9;--mark:#3b6fb6;--link:#22508f}"
    "@media(prefers-color-scheme:dark){:root{--bg:#11151c;--fg:#e3e8f0;"
    "--dim:#9aa5b5;--line:#2d3542;--box:#1a202a;--mark:#7aa8e6;"
    "--link:#9cc1f5}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:58rem;padding:1.5rem 1rem 3rem;"
    "background:var(--bg);color:var(--fg);"
    "font:1rem/1.55 system-ui,sans-serif}"
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem}"
    "h2{font-size:1.15rem;margin:2.2rem 0 .6rem}"
    "a{color:var(--link)}"
    "p{margin:.5rem 0}"
    ".dim,footer,th{color:var(--dim)}"
    "code,pre{font:.875rem/1.5 ui-monospace,monospace}"
    "code{overflow-wrap:anywhere}"
    "pre{background:var(--box);border:1px solid var(--line);"
    "border-radius:.4rem;padding:.75rem .9rem;margin:.4rem 0;"
    "overflow-x:auto}"
    "dl{display:grid;gap:.6rem;margin:1.2rem 0;"
    "grid-template-columns:repeat(auto-fit,minmax(11rem,1fr))}"
    "dl div{background:var(--box);border:1px solid var(--line);"
    "border-radius:.4rem;padding:.6rem .9rem}"
    "dt{color:var(--dim);font-size:.875rem}"
    "dd{margin:0;font-size:1.3rem;font-variant-numeric:tabular-nums}"
    ".wide{overflow-x:auto}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem}"
    "th,td{text-align:left;padding:.35rem .8rem .35rem 0;"
    "border-bottom:1px solid var(--line);vertical-align:top;"
    "white-space:nowrap}"
    "th{font-weight:600}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "td.path{white-space:normal;min-width:14rem}"
    "svg{display:block;width:100%;height:auto}"
    "svg text{fill:var(--dim);font:12px system-ui,sans-serif}"
    ".area{fill:var(--mark);opacity:.18}"
    ".curve{fill:none;stroke:var(--mark);stroke-width:2}"
    ".grid{stroke:var(--line)}"
    ".bar{fill:var(--mark)}"
    "footer{margin-top:3rem;border-top:1px solid var(--line);"
    "padding-top:.8rem;font-size:.875rem}";
/* clang-format on */

#define POLICY                                                       \
	"default-src 'none'; style-src 'sha256-%s'; img-src data:; " \
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static char policy[sizeof POLICY + BASE64_LEN(SHA256_LEN)];

static void
policy_make(void)
{
	uint8_t digest[SHA256_LEN];
	char text[BASE64_LEN(SHA256_LEN) + 1];

	sha256(style, sizeof style - 1, digest);
	base64_fmt(text, digest, sizeof digest);
	snprintf(policy, sizeof policy, POLICY, text);
}

void
page_begin(struct html *h, const char *title)
{
	html_add(h,
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
	    "<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width, "
	    "initial-scale=1\">\n"
	    "<title>%s</title>\n"
	    /* Browsers ask for one, if they are not told that there is none. */
	    "<link rel=\"icon\" href=\"data:,\">\n<style>",
	    title);
	html_raw(h, style);
	html_add(h, "</style>\n</head>\n<body>\n");
}

void
page_end(struct html *h)
{
	html_add(h,
	    "<footer>niks3 %s</footer>\n"
	    "</body>\n</html>\n",
	    NIKS3_VERSION);
}

int
page_headers(const struct http_req *q, struct http_res *r,
    const char *cache_control, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, policy_make);
	r->content_type = "text/html; charset=utf-8";
	return http_res_header(q, r, "Content-Security-Policy", policy, e) !=
	            0 ||
	        http_res_header(q, r, "X-Content-Type-Options", "nosniff", e) !=
	            0 ||
	        http_res_header(q, r, "Referrer-Policy", "no-referrer", e) !=
	            0 ||
	        http_res_header(q, r, "Cache-Control", cache_control, e) != 0
	    ? -1
	    : 0;
}

const char *
page_age(char out[PAGE_AGE_MAX], int64_t then_us, int64_t now_us)
{
	static const struct {
		const char *name;
		int64_t s;
	} units[] = { { "day", 86400 }, { "hour", 3600 }, { "minute", 60 },
		{ "second", 1 } };
	int64_t s = (now_us - then_us) / 1000000;

	if (then_us == 0)
		return strcpy(out, "never");
	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		int64_t n = s / units[i].s;

		if (n < 1)
			continue;
		snprintf(out, PAGE_AGE_MAX, "%jd %s%s ago", (intmax_t)n,
		    units[i].name, n == 1 ? "" : "s");
		return out;
	}
	return strcpy(out, "just now");
}
