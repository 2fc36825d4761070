/* GET /status: what operators look at. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/gcruns.h"
#include "../../libcommon/db/stats.h"
#include "../../libcommon/db/status.h"
#include "html.h"
#include "page.h"
#include "server.h"

#define UPLOADS_SHOWN  20
#define RUNS_SHOWN     10
#define CLOSURES_SHOWN 20

struct page_cache {
	pthread_mutex_t lock;
	struct buf html;
	deadline_t until;
};

/* Everything that is shown. */
struct view {
	int64_t now_us;
	struct stats stats;
	struct status_upload *uploads;
	size_t nuploads;
	int64_t uploads_total;
	struct gcrun *runs;
	size_t nruns;
	struct status_size *sizes;
	size_t nsizes;
	int64_t ages[STATUS_AGES];
	int sampled;
	struct status_closure *largest;
	size_t nlargest;
};

struct page_cache *
page_cache_new(void)
{
	struct page_cache *c = xcalloc(1, sizeof *c);

	pthread_mutex_init(&c->lock, NULL);
	buf_init(&c->html, PAGE_MAX);
	return c;
}

void
page_cache_free(struct page_cache *c)
{
	if (c == NULL)
		return;
	buf_done(&c->html);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static int
view_get(struct server *s, struct arena *a, struct view *v, struct err *e)
{
	struct db *db;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	v->now_us = clock_wall_us();
	rc = stats_get(db, &v->stats, e) != 0 ||
	        status_uploads(db, UPLOADS_SHOWN, a, &v->uploads, &v->nuploads,
	            &v->uploads_total, e) != 0 ||
	        gcruns_list(db, 0, RUNS_SHOWN, a, &v->runs, &v->nruns, e) !=
	            0 ||
	        status_sizes(db, a, &v->sizes, &v->nsizes, e) != 0 ||
	        status_ages(db, v->ages, &v->sampled, e) != 0 ||
	        status_largest(
	            db, CLOSURES_SHOWN, a, &v->largest, &v->nlargest, e) != 0
	    ? -1
	    : 0;
	db_put(s->pool, db);
	return rc;
}

static void
draw_uploads(struct html *h, const struct view *v)
{
	char age[PAGE_AGE_MAX], size[NUM_SIZE_MAX];

	html_add(
	    h, "<h2>Uploads under way: %jd</h2>\n", (intmax_t)v->uploads_total);
	if (v->nuploads == 0)
		return;
	html_add(h,
	    "<div class=\"wide\"><table>\n<tr><th>Owner<th>Begun"
	    "<th class=\"n\">Narinfos<th class=\"n\">Objects authorised"
	    "<th class=\"n\">Bytes<th>Lease</tr>\n");
	for (size_t i = 0; i < v->nuploads; i++) {
		const struct status_upload *u = &v->uploads[i];
		const char *more = u->objects == STATUS_WRITES_MAX ? "≥ " : "";

		html_add(h,
		    "<tr><td>%s<td>%s<td class=\"n\">%jd"
		    "<td class=\"n\">%s%jd<td class=\"n\">%s%s<td>%s</tr>\n",
		    u->owner, page_age(age, u->created_us, v->now_us),
		    (intmax_t)u->narinfos, more, (intmax_t)u->objects, more,
		    num_fmt_size(size, u->bytes),
		    u->lease_until_us < v->now_us ? "over" : "held");
	}
	html_add(h, "</table></div>\n");
	if (v->uploads_total > (int64_t)v->nuploads)
		html_add(
		    h, "<p class=\"dim\">The oldest %zu.</p>\n", v->nuploads);
}

static void
draw_runs(struct html *h, const struct view *v)
{
	char age[PAGE_AGE_MAX], size[NUM_SIZE_MAX], took[NUM_DURATION_MAX];

	html_add(h, "<h2>Garbage collections</h2>\n");
	if (v->nruns == 0) {
		html_add(h, "<p class=\"dim\">None so far.</p>\n");
		return;
	}
	html_add(h,
	    "<div class=\"wide\"><table>\n<tr><th class=\"n\">Run<th>Kind"
	    "<th>State<th>Asked for<th>Took<th class=\"n\">Live"
	    "<th class=\"n\">Marked<th class=\"n\">Deleted"
	    "<th class=\"n\">Freed<th class=\"n\">Failed</tr>\n");
	for (size_t i = 0; i < v->nruns; i++) {
		const struct gcrun *g = &v->runs[i];
		int64_t us = g->finished_us - g->started_us;

		html_add(h,
		    "<tr><td class=\"n\">%jd<td>%s<td>%s%s%s<td>%s<td>%s"
		    "<td class=\"n\">%jd<td class=\"n\">%jd<td class=\"n\">%jd"
		    "<td class=\"n\">%s<td class=\"n\">%jd</tr>\n",
		    (intmax_t)g->id, gcrun_kind_name(g->params.kind), g->state,
		    g->error != NULL ? ": " : "",
		    g->error != NULL ? g->error : "",
		    page_age(age, g->created_us, v->now_us),
		    g->finished_us == 0
		        ? "–"
		        : num_fmt_duration(took, us - us % 1000),
		    (intmax_t)g->objects_live, (intmax_t)g->objects_marked,
		    (intmax_t)g->objects_deleted,
		    num_fmt_size(size, g->bytes_deleted),
		    (intmax_t)g->objects_failed);
	}
	html_add(h, "</table></div>\n");
}

static void
draw_ages(struct html *h, const struct view *v)
{
	static const char *const names[STATUS_AGES] = { "under a day",
		"1–7 days", "7–30 days", "30–90 days", "90–180 days",
		"180–365 days", "over a year" };
	int64_t max = 1;

	for (int i = 0; i < STATUS_AGES; i++)
		if (v->ages[i] > max)
			max = v->ages[i];
	html_add(h,
	    "<h2>Closures by age</h2>\n<svg viewBox=\"0 0 720 %d\" "
	    "role=\"img\" aria-label=\"Closures by days since they were last "
	    "pushed\">\n",
	    STATUS_AGES * 26);
	for (int i = 0; i < STATUS_AGES; i++)
		html_add(h,
		    "<text x=\"104\" y=\"%d\" text-anchor=\"end\">%s</text>"
		    "<rect class=\"bar\" x=\"112\" y=\"%d\" width=\"%.1f\" "
		    "height=\"18\"/>"
		    "<text x=\"%.1f\" y=\"%d\">%jd</text>\n",
		    i * 26 + 17, names[i], i * 26 + 4, 510.0 * v->ages[i] / max,
		    120 + 510.0 * v->ages[i] / max, i * 26 + 17,
		    (intmax_t)v->ages[i]);
	html_add(h,
	    "</svg>\n<p class=\"dim\">Since they were last pushed%s"
	    "</p>\n",
	    v->sampled ? "; from a sample." : ".");
}

static void
draw_largest(struct html *h, const struct view *v)
{
	char age[PAGE_AGE_MAX], size[NUM_SIZE_MAX];

	html_add(h, "<h2>Largest paths, with all they need</h2>\n");
	if (v->nlargest == 0) {
		html_add(h, "<p class=\"dim\">None so far.</p>\n");
		return;
	}
	html_add(h,
	    "<div class=\"wide\"><table>\n<tr><th>Path<th class=\"n\">Size"
	    "<th class=\"n\">Objects<th>Pushed</tr>\n");
	for (size_t i = 0; i < v->nlargest; i++) {
		const struct status_closure *c = &v->largest[i];

		html_add(h,
		    "<tr><td class=\"path\"><code>%s</code><td class=\"n\">%s"
		    "<td class=\"n\">%jd<td>%s</tr>\n",
		    c->store_path, num_fmt_size(size, c->bytes),
		    (intmax_t)c->objects,
		    page_age(age, c->updated_us, v->now_us));
	}
	html_add(h, "</table></div>\n");
}

static int
draw(const struct view *v, struct buf *out, struct err *e)
{
	struct html h = { .out = out, .e = e };
	char size[NUM_SIZE_MAX], at[CLOCK_RFC3339_MAX];

	page_begin(&h, "niks3: status");
	html_add(&h,
	    "<h1>Status</h1>\n<p class=\"dim\">As of %s.</p>\n<dl>\n"
	    "<div><dt>Objects</dt><dd>%jd</dd></div>\n"
	    "<div><dt>Size</dt><dd>%s</dd></div>\n"
	    "<div><dt>Uploads under way</dt><dd>%jd</dd></div>\n</dl>\n",
	    clock_fmt_rfc3339(at, v->now_us - v->now_us % 1000000),
	    (intmax_t)v->stats.objects, num_fmt_size(size, v->stats.bytes),
	    (intmax_t)v->uploads_total);
	draw_uploads(&h, v);
	html_add(&h, "<h2>Size over time</h2>\n");
	page_chart(&h, v->sizes, v->nsizes);
	draw_runs(&h, v);
	draw_ages(&h, v);
	draw_largest(&h, v);
	page_end(&h);
	return html_end(&h);
}

/* Under the lock: whoever comes meanwhile waits for the same page. */
static int
refresh(struct server *s, struct arena *a, struct err *e)
{
	struct page_cache *c = s->status;
	struct view v = { 0 };

	buf_reset(&c->html);
	c->until = 0;
	if (view_get(s, a, &v, e) != 0 || draw(&v, &c->html, e) != 0)
		return -1;
	c->until = deadline_in(PAGE_STATUS_MS);
	return 0;
}

int
handle_status(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct page_cache *c = s->status;
	int rc = 0;

	if (page_headers(q, r, "no-store", e) != 0)
		return -1;
	pthread_mutex_lock(&c->lock);
	if (deadline_left(c->until) == 0)
		rc = refresh(s, q->arena, e);
	if (rc == 0)
		rc = buf_append(&r->body, c->html.data, c->html.len, e);
	pthread_mutex_unlock(&c->lock);
	return rc;
}
