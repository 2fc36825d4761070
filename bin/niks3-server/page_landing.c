/* GET / and /index.html: what the cache is and how to use it. */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/stats.h"
#include "../../libcommon/ipc/ipc.h"
#include "html.h"
#include "page.h"
#include "server.h"

#define PUBLISH_ARENA ((size_t)4 << 20)
#define PUBLISH_MS    5000

int
page_facts_get(
    struct server *s, struct arena *a, struct page_facts *out, struct err *e)
{
	struct page_facts f = {
		.cache_url = s->cache_url,
		.store_dir = s->store_dir,
		.now_us = clock_wall_us(),
	};
	struct stats stats;
	struct db *db;
	int rc;

	if (server_public_keys(s, a, &f.public_keys, e) != 0 ||
	    server_db(s, &db, e) != 0)
		return -1;
	rc = stats_get(db, &stats, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	f.objects = stats.objects;
	f.bytes = stats.bytes;
	*out = f;
	return 0;
}

/* All keys, each between these. */
static void
keys(struct html *h, const struct page_facts *f, const char *before,
    const char *after)
{
	for (size_t i = 0; i < f->public_keys.n; i++) {
		html_raw(h, before);
		html_add(h, "%s", f->public_keys.items[i]);
		html_raw(h, after);
	}
}

static void
usage(struct html *h, const struct page_facts *f)
{
	html_add(h,
	    "<h2>On the command line</h2>\n<pre>nix build \\\n"
	    "  --extra-substituters '%s' \\\n"
	    "  --extra-trusted-public-keys '",
	    f->cache_url);
	for (size_t i = 0; i < f->public_keys.n; i++)
		html_add(h, "%s%s", i > 0 ? " " : "", f->public_keys.items[i]);
	html_add(h,
	    "' \\\n  nixpkgs#hello</pre>\n"
	    "<h2>In nix.conf</h2>\n<pre>extra-substituters = %s\n"
	    "extra-trusted-public-keys =",
	    f->cache_url);
	keys(h, f, " ", "");
	html_add(h,
	    "</pre>\n<h2>In a NixOS configuration</h2>\n<pre>"
	    "nix.settings = {\n  substituters = [ &quot;%s&quot; ];\n"
	    "  trusted-public-keys = [",
	    f->cache_url);
	keys(h, f, "\n    &quot;", "&quot;");
	html_add(h,
	    "\n  ];\n};</pre>\n<h2>In a flake</h2>\n<pre>{\n"
	    "  nixConfig = {\n    extra-substituters = [ &quot;%s&quot; ];\n"
	    "    extra-trusted-public-keys = [",
	    f->cache_url);
	keys(h, f, "\n      &quot;", "&quot;");
	html_add(h, "\n    ];\n  };\n}</pre>\n");
}

int
page_landing(const struct page_facts *f, struct buf *out, struct err *e)
{
	struct html h = { .out = out, .e = e };
	char size[NUM_SIZE_MAX], at[CLOCK_RFC3339_MAX];

	page_begin(&h, "Nix binary cache");
	html_add(&h, "<h1>Nix binary cache</h1>\n");
	if (f->cache_url != NULL)
		html_add(&h, "<p><code>%s</code></p>\n", f->cache_url);
	html_add(&h,
	    "<dl>\n<div><dt>Objects</dt><dd>%jd</dd></div>\n"
	    "<div><dt>Size</dt><dd>%s</dd></div>\n"
	    "<div><dt>Store</dt><dd><code>%s</code></dd></div>\n</dl>\n",
	    (intmax_t)f->objects, num_fmt_size(size, f->bytes), f->store_dir);
	html_add(&h, "<h2>Public keys</h2>\n");
	if (f->public_keys.n == 0)
		html_add(&h, "<p>This cache signs nothing.</p>\n");
	keys(&h, f, "<pre>", "</pre>\n");
	if (f->cache_url != NULL)
		usage(&h, f);
	html_add(&h, "<p class=\"dim\">As of %s.</p>\n",
	    clock_fmt_rfc3339(at, f->now_us - f->now_us % 1000000));
	page_end(&h);
	return html_end(&h);
}

int
page_publish(struct server *s, struct err *e)
{
	struct arena *a = arena_new(PUBLISH_ARENA);
	struct page_facts f;
	struct page_put ask;
	struct done done;
	struct buf html;
	int rc;

	buf_init(&html, PAGE_MAX);
	rc = page_facts_get(s, a, &f, e);
	if (rc == 0)
		rc = page_landing(&f, &html, e);
	ask.html = (struct desc_bin){ html.data, html.len };
	if (rc == 0)
		rc = ipc_call(s->uploader, CALL_page_put, &ask, a, &done,
		    deadline_in(PUBLISH_MS), e);
	buf_done(&html);
	arena_free(a);
	return rc;
}

int
handle_landing(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct page_facts f;

	if (page_facts_get(s, q->arena, &f, e) != 0 ||
	    page_headers(q, r, "no-cache", e) != 0)
		return -1;
	return page_landing(&f, &r->body, e);
}

int
handle_root(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;

	if (s->cache_url == NULL) {
		r->content_type = "text/plain; charset=utf-8";
		return buf_puts(&r->body, "niks3 binary cache server\n", e);
	}
	r->status = 301;
	return http_res_header(
	    q, r, "Location", s->read_proxy ? "/index.html" : s->cache_url, e);
}
