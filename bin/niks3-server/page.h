/*
 * The pages that people look at: plain HTML, without scripts and without anything
 * from elsewhere, for dark and light, wide and narrow. Their one style sheet is
 * in each of them, and the content security policy allows that one and nothing
 * else.
 */
#ifndef SERVER_PAGE_H
#define SERVER_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "../../libcommon/codec/desc.h"

struct arena;
struct buf;
struct err;
struct html;
struct http_req;
struct http_res;
struct server;
struct status_size;

#define PAGE_MAX ((size_t)1 << 20)

void page_begin(struct html *h, const char *title);
void page_end(struct html *h);
/* The content type, and the headers that keep a page to itself. */
int page_headers(const struct http_req *q, struct http_res *r,
    const char *cache_control, struct err *e);

/* "3 days ago", of a time on the wall clock; "never" for 0. */
#define PAGE_AGE_MAX 32
const char *page_age(char out[PAGE_AGE_MAX], int64_t then_us, int64_t now_us);

/* page_landing.c: what the cache is, for whoever comes across it. */
struct page_facts {
	const char *cache_url; /* or NULL */
	const char *store_dir;
	struct desc_strs public_keys;
	int64_t objects, bytes;
	int64_t now_us;
};
int page_facts_get(
    struct server *s, struct arena *a, struct page_facts *out, struct err *e);
int page_landing(const struct page_facts *f, struct buf *out, struct err *e);
/* Has it written to the bucket's index.html. */
int page_publish(struct server *s, struct err *e);

/* page_chart.c: sizes over time, drawn (SVG). */
void page_chart(struct html *h, const struct status_size *sizes, size_t n);

/* page_status.c: the operators' page is kept for PAGE_STATUS_MS, so however often
 * it is looked at, the database is asked no more often. */
#define PAGE_STATUS_MS 5000
struct page_cache;
struct page_cache *page_cache_new(void);
void page_cache_free(struct page_cache *c); /* takes NULL */

#endif
