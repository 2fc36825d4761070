#include "metric.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "err.h"

#define NUMBER_MAX  32
#define LABELS_SIZE 1024 /* bytes of all labels of one series */

typedef _Atomic int64_t
    cell; /* no struct: an atomic number has no other name */

struct metrics {
	const struct metric *table;
	size_t n;
	size_t ncells;
	size_t *first; /* of each metric; ncells where m has it not */
	cell *cells;
};

/* ---- the table ---- */

/* Cells of one series: the buckets, the one of all that is beyond them, and the
 * sum. */
static size_t
width(const struct metric *t)
{
	return t->type == METRIC_HISTOGRAM ? t->nbounds + 2 : 1;
}

static size_t
series_count(const struct metric *t)
{
	size_t n = 1;

	for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
		if (t->labels[i].name != NULL)
			n *= t->labels[i].n;
	return n;
}

static int
name_ok(const char *s)
{
	return s != NULL && s[0] != '\0' &&
	    strchr("0123456789", s[0]) == NULL &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(s);
}

static int
unit_ok(int64_t unit)
{
	while (unit > 9 && unit % 10 == 0)
		unit /= 10;
	return unit == 0 || unit == 1;
}

static void
check(const struct metric *t)
{
	int named = 1;

	if (!name_ok(t->name) || t->help == NULL || !unit_ok(t->unit))
		err_die("metric %s: name, help or unit",
		    t->name != NULL ? t->name : "?");
	if ((t->type == METRIC_HISTOGRAM) != (t->nbounds > 0))
		err_die("metric %s: bounds are a histogram's", t->name);
	for (size_t i = 1; i < t->nbounds; i++)
		if (t->bounds[i - 1] >= t->bounds[i])
			err_die("metric %s: bounds do not ascend", t->name);
	for (size_t i = 0; i < METRIC_LABELS_MAX; i++) {
		const struct metric_label *l = &t->labels[i];

		if (l->name == NULL)
			named = 0;
		else if (!named || !name_ok(l->name) || l->n == 0 ||
		    l->value == NULL || strcmp(l->name, "le") == 0)
			err_die("metric %s: label %s", t->name, l->name);
	}
}

struct metrics *
metrics_new(const struct metric *table, size_t n, unsigned who)
{
	struct metrics *m = xcalloc(1, sizeof *m);

	m->table = table;
	m->n = n;
	m->first = xcalloc(n, sizeof *m->first);
	for (size_t i = 0; i < n; i++) {
		check(&table[i]);
		m->first[i] = m->ncells;
		m->ncells += series_count(&table[i]) * width(&table[i]);
		if (m->ncells > METRIC_CELLS_MAX)
			err_die("metric %s: over %zu cells", table[i].name,
			    METRIC_CELLS_MAX);
	}
	for (size_t i = 0; i < n; i++)
		if (table[i].who != 0 && !(table[i].who & who))
			m->first[i] = m->ncells;
	m->cells = xcalloc(m->ncells, sizeof *m->cells);
	return m;
}

void
metrics_free(struct metrics *m)
{
	if (m == NULL)
		return;
	free(m->first);
	free(m->cells);
	free(m);
}

/* ---- updates ---- */

/* The cells of a series, or NULL when m has no such metric. */
static cell *
find(const struct metrics *m, unsigned id, const unsigned at[])
{
	const struct metric *t;
	size_t series = 0;

	if (m == NULL)
		return NULL;
	if (id >= m->n)
		err_die("there is no metric %u", id);
	if (m->first[id] == m->ncells)
		return NULL;
	t = &m->table[id];
	for (size_t i = 0; i < METRIC_LABELS_MAX && t->labels[i].name != NULL;
	     i++) {
		if (at[i] >= t->labels[i].n)
			err_die("metric %s: %s has no value %u", t->name,
			    t->labels[i].name, at[i]);
		series = series * t->labels[i].n + at[i];
	}
	return &m->cells[m->first[id] + series * width(t)];
}

static void
add(cell *c, int64_t n)
{
	atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static int64_t
get(cell *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

void
metric_add(struct metrics *m, unsigned id, const unsigned at[], int64_t n)
{
	cell *c = find(m, id, at);

	if (c != NULL)
		add(c, n);
}

void
metric_set(struct metrics *m, unsigned id, const unsigned at[], int64_t value)
{
	cell *c = find(m, id, at);
	int64_t old;

	if (c == NULL)
		return;
	old = get(c);
	while ((m->table[id].type == METRIC_GAUGE || old < value) &&
	    !atomic_compare_exchange_weak(c, &old, value))
		;
}

void
metric_observe(
    struct metrics *m, unsigned id, const unsigned at[], int64_t value)
{
	cell *c = find(m, id, at);
	const struct metric *t;
	size_t i = 0;

	if (c == NULL)
		return;
	t = &m->table[id];
	while (i < t->nbounds && value > t->bounds[i])
		i++;
	add(&c[i], 1);
	add(&c[t->nbounds + 1], value);
}

int64_t
metric_get(const struct metrics *m, unsigned id, const unsigned at[])
{
	cell *c = find(m, id, at);
	int64_t n = 0;

	if (c == NULL)
		return 0;
	if (m->table[id].type != METRIC_HISTOGRAM)
		return get(c);
	for (size_t i = 0; i <= m->table[id].nbounds; i++)
		n += get(&c[i]);
	return n;
}

/* ---- writing ---- */

/* What is counted in units, in ones: exact, without zeros at the end. */
static const char *
number(char out[NUMBER_MAX], int64_t value, int64_t unit)
{
	uint64_t n = value < 0 ? -(uint64_t)value : (uint64_t)value;
	uint64_t part;
	int len;

	if (unit == 0)
		unit = 1;
	len = snprintf(out, NUMBER_MAX, "%s%llu", value < 0 ? "-" : "",
	    (unsigned long long)(n / unit));
	part = n % unit;
	if (part > 0)
		out[len++] = '.';
	for (; part > 0; part %= unit) {
		unit /= 10;
		out[len++] = '0' + part / unit;
	}
	out[len] = '\0';
	return out;
}

/* s with what is special in a help text or, quoted, in a label's value
 * escaped. */
static int
escape(struct buf *out, const char *s, int quoted, struct err *e)
{
	for (; *s != '\0'; s++) {
		const char *as = NULL;

		if (*s == '\\')
			as = "\\\\";
		else if (*s == '\n')
			as = "\\n";
		else if (*s == '"' && quoted)
			as = "\\\"";
		if ((as != NULL ? buf_puts(out, as, e)
		                : buf_putc(out, *s, e)) != 0)
			return -1;
	}
	return 0;
}

static int
label(struct buf *out, const char *name, const char *value, struct err *e)
{
	if (out->len > 0 && buf_putc(out, ',', e) != 0)
		return -1;
	if (buf_printf(out, e, "%s=\"", name) != 0 ||
	    escape(out, value, 1, e) != 0)
		return -1;
	return buf_putc(out, '"', e);
}

/* A metric being written. */
struct writer {
	const struct metric *t;
	int begun;         /* its head is written */
	struct buf labels; /* of the series at hand */
	struct buf *out;
};

static int
head(struct writer *w, struct err *e)
{
	static const char *const types[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
	};

	if (w->begun)
		return 0;
	w->begun = 1;
	if (buf_printf(w->out, e, "# HELP %s ", w->t->name) != 0 ||
	    escape(w->out, w->t->help, 0, e) != 0)
		return -1;
	return buf_printf(
	    w->out, e, "\n# TYPE %s %s\n", w->t->name, types[w->t->type]);
}

/* One line; le is the bucket's upper end, or NULL. */
static int
sample(struct writer *w, const char *suffix, const char *le, int64_t value,
    int64_t unit, struct err *e)
{
	int any = w->labels.len > 0 || le != NULL;
	char text[NUMBER_MAX];

	return buf_printf(w->out, e, "%s%s%s%s%s%s%s%s%s %s\n", w->t->name,
	    suffix, any ? "{" : "", buf_str(&w->labels),
	    w->labels.len > 0 && le != NULL ? "," : "",
	    le != NULL ? "le=\"" : "", le != NULL ? le : "",
	    le != NULL ? "\"" : "", any ? "}" : "", number(text, value, unit));
}

static int
histogram(struct writer *w, cell *c, struct err *e)
{
	const struct metric *t = w->t;
	int64_t sum = get(&c[t->nbounds + 1]), n = 0;
	char le[NUMBER_MAX];

	for (size_t i = 0; i <= t->nbounds; i++) {
		n += get(&c[i]);
		if (sample(w, "_bucket",
		        i < t->nbounds ? number(le, t->bounds[i], t->unit)
		                       : "+Inf",
		        n, 1, e) != 0)
			return -1;
	}
	if (sample(w, "_sum", NULL, sum, t->unit, e) != 0)
		return -1;
	return sample(w, "_count", NULL, n, 1, e);
}

/* Nothing of it is known yet. */
static int
is_zero(const struct metric *t, cell *c)
{
	for (size_t i = 0; i < width(t); i++)
		if (get(&c[i]) != 0)
			return 0;
	return 1;
}

/* Puts the labels of series number i together. Returns 1 when there is no such
 * series. */
static int
labels(struct writer *w, const struct metric_source *s, size_t i, struct err *e)
{
	const struct metric *t = w->t;
	size_t left = series_count(t);

	buf_reset(&w->labels);
	for (size_t k = 0; k < METRIC_LABELS_MAX && t->labels[k].name != NULL;
	     k++) {
		const char *value;

		left /= t->labels[k].n;
		value = t->labels[k].value(i / left % t->labels[k].n);
		if (value == NULL)
			return 1;
		if (label(&w->labels, t->labels[k].name, value, e) != 0)
			return -1;
	}
	for (size_t k = 0; k < s->nlabels; k++)
		if (label(&w->labels, s->labels[k][0], s->labels[k][1], e) != 0)
			return -1;
	return 0;
}

static int
write_source(
    struct writer *w, const struct metric_source *s, size_t id, struct err *e)
{
	const struct metrics *m = s->metrics;
	const struct metric *t = w->t;
	size_t n = series_count(t);
	int rc;

	if (m->first[id] == m->ncells)
		return 0;
	for (size_t i = 0; i < n; i++) {
		cell *c = &m->cells[m->first[id] + i * width(t)];

		if (t->flags & METRIC_SPARSE && is_zero(t, c))
			continue;
		if ((rc = labels(w, s, i, e)) == 1)
			continue;
		if (rc == -1 || head(w, e) != 0)
			return -1;
		if ((t->type == METRIC_HISTOGRAM
		            ? histogram(w, c, e)
		            : sample(w, "", NULL, get(c), t->unit, e)) != 0)
			return -1;
	}
	return 0;
}

int
metrics_write(const struct metric_source *sources, size_t n, struct buf *out,
    struct err *e)
{
	struct writer w = { .out = out };
	int rc = 0;

	buf_init(&w.labels, LABELS_SIZE);
	for (size_t id = 0; rc == 0 && n > 0 && id < sources[0].metrics->n;
	     id++) {
		w.t = &sources[0].metrics->table[id];
		w.begun = 0;
		for (size_t i = 0; rc == 0 && i < n; i++)
			rc = write_source(&w, &sources[i], id, e);
	}
	buf_done(&w.labels);
	return rc;
}

/* ---- between processes ---- */

size_t
metrics_cells(const struct metrics *m)
{
	return m->ncells;
}

int64_t
metrics_cell(const struct metrics *m, size_t i)
{
	return get(&m->cells[i]);
}

void
metrics_cell_set(struct metrics *m, size_t i, int64_t value)
{
	atomic_store_explicit(&m->cells[i], value, memory_order_relaxed);
}

/* FNV-1a. */
static uint64_t
hash_bytes(uint64_t h, const void *p, size_t n)
{
	const uint8_t *bytes = p;

	for (size_t i = 0; i < n; i++)
		h = (h ^ bytes[i]) * 0x100000001b3;
	return h;
}

static uint64_t
hash_text(uint64_t h, const char *s)
{
	return hash_bytes(h, s, strlen(s) + 1);
}

uint64_t
metric_table_hash(const struct metric *table, size_t n, uint64_t seed)
{
	uint64_t h = seed;

	for (const struct metric *t = table; t < table + n; t++) {
		uint32_t type = t->type;

		h = hash_text(h, t->name);
		h = hash_bytes(h, &type, sizeof type);
		h = hash_bytes(h, &t->unit, sizeof t->unit);
		h = hash_bytes(h, t->bounds, t->nbounds * sizeof *t->bounds);
		for (size_t i = 0; i < METRIC_LABELS_MAX; i++) {
			const struct metric_label *l = &t->labels[i];

			if (l->name == NULL)
				continue;
			h = hash_text(h, l->name);
			for (unsigned k = 0; k < l->n; k++) {
				const char *value = l->value(k);

				h = hash_text(h, value != NULL ? value : "");
			}
		}
	}
	return h;
}
