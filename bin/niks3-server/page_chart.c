#include <string.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/num.h"
#include "../../libcommon/db/status.h"
#include "html.h"
#include "page.h"

/* Of the drawing, in its own units. */
#define WIDTH  720
#define HEIGHT 220
#define LEFT   70
#define RIGHT  12
#define TOP    12
#define BOTTOM 26
#define LINES  4 /* that stand for amounts */

struct scale {
	int64_t first_us, span_us;
	int64_t max;
};

static double
x_of(const struct scale *s, int64_t at_us)
{
	return LEFT +
	    (double)(at_us - s->first_us) * (WIDTH - LEFT - RIGHT) / s->span_us;
}

static double
y_of(const struct scale *s, int64_t bytes)
{
	return HEIGHT - BOTTOM -
	    (double)bytes * (HEIGHT - TOP - BOTTOM) / s->max;
}

static void
points(struct html *h, const struct scale *s, const struct status_size *sizes,
    size_t n)
{
	for (size_t i = 0; i < n; i++)
		html_add(h, "%.1f,%.1f ", x_of(s, sizes[i].at_us),
		    y_of(s, sizes[i].bytes));
}

/* "2026-06-30" */
static const char *
day(char out[CLOCK_RFC3339_MAX], int64_t us)
{
	clock_fmt_rfc3339(out, us);
	out[strcspn(out, "T")] = '\0';
	return out;
}

void
page_chart(struct html *h, const struct status_size *sizes, size_t n)
{
	char size[NUM_SIZE_MAX], from[CLOCK_RFC3339_MAX], to[CLOCK_RFC3339_MAX];
	struct scale s = { .max = 1 };

	if (n < 2) {
		html_add(h,
		    "<p class=\"dim\">There is nothing to draw yet: the size "
		    "is "
		    "noted every hour.</p>\n");
		return;
	}
	s.first_us = sizes[0].at_us;
	s.span_us = sizes[n - 1].at_us - s.first_us;
	if (s.span_us < 1)
		s.span_us = 1;
	for (size_t i = 0; i < n; i++)
		if (sizes[i].bytes > s.max)
			s.max = sizes[i].bytes;
	day(from, s.first_us);
	day(to, sizes[n - 1].at_us);
	html_add(h,
	    "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"Size of the "
	    "cache from %s to %s\">\n",
	    WIDTH, HEIGHT, from, to);
	for (int i = 0; i <= LINES; i++) {
		int64_t bytes = s.max / LINES * i;

		html_add(h,
		    "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" "
		    "y2=\"%.1f\"/>"
		    "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
		    LEFT, WIDTH - RIGHT, y_of(&s, bytes), y_of(&s, bytes),
		    LEFT - 8, y_of(&s, bytes) + 4, num_fmt_size(size, bytes));
	}
	html_add(h, "<polygon class=\"area\" points=\"%.1f,%.1f ",
	    x_of(&s, s.first_us), y_of(&s, 0));
	points(h, &s, sizes, n);
	html_add(h, "%.1f,%.1f\"/>\n<polyline class=\"curve\" points=\"",
	    x_of(&s, sizes[n - 1].at_us), y_of(&s, 0));
	points(h, &s, sizes, n);
	html_add(h,
	    "\"/>\n<text x=\"%d\" y=\"%d\">%s</text>"
	    "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n</svg>\n",
	    LEFT, HEIGHT - 6, from, WIDTH - RIGHT, HEIGHT - 6, to);
}
