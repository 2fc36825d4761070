/*
 * Figures for monitoring: counters, gauges and histograms, declared as data and
 * written in the text format of Prometheus, version 0.0.4
 * (prometheus.io/docs/instrumenting/exposition_formats).
 *
 * A table of struct metric says what there is; a struct metrics, made from it,
 * holds the numbers. The values of a label are numbered from 0 and known
 * beforehand: nothing that comes from outside can make a new series, and all
 * memory is taken by metrics_new.
 *
 * Numbers are whole. A metric of unit 1000000 is kept in millionths, as times
 * are in microseconds, and written in ones without any loss.
 *
 * An update is one atomic addition (two for a histogram), from any thread,
 * without a lock. A reader sees each number as it is at some moment, and not all
 * at the same moment, but of one series it may trust that a counter never goes
 * down, and that the count of a histogram is that of its last bucket: it is the
 * sum of all. _sum may lack an observation that is just being made.
 */
#ifndef CORE_METRIC_H
#define CORE_METRIC_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

enum metric_type {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM
};

struct metric_label {
	const char *name;
	unsigned n;
	/* Of i < n; NULL when there is no such series. */
	const char *(*value)(unsigned i);
};

#define METRIC_LABELS_MAX   3
#define METRIC_CELLS_MAX    ((size_t)1 << 20)
#define METRIC_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* A series that is 0, or was never observed, is not written: it is not known, or
 * there would be too many. */
#define METRIC_SPARSE 1

struct metric {
	const char *name; /* [a-z_][a-z0-9_]* */
	enum metric_type type;
	unsigned flags;
	const char *help;
	int64_t unit; /* a power of ten; 0: 1 */
	struct metric_label labels[METRIC_LABELS_MAX]; /* those with a name */
	/* Of a histogram: the upper ends of its buckets, ascending, without the
	 * one of all. */
	const int64_t *bounds;
	size_t nbounds;
	/* A set of the table's own: who has this metric. 0: everybody. */
	unsigned who;
};

struct metrics;

/* With all numbers 0. table, of n metrics, must outlive it. who chooses those
 * whose set has one of its bits. A table that breaks a rule is err_die. */
struct metrics *metrics_new(const struct metric *table, size_t n, unsigned who);
void metrics_free(struct metrics *m); /* takes NULL */

/* A series: the number of each label's value, in the order of the table; AT(0)
 * where there are no labels. */
#define AT(...) ((const unsigned[METRIC_LABELS_MAX]){ __VA_ARGS__ })

/* id is the position in the table. All of these take NULL for m and then do
 * nothing, as they do for a metric that m has not. A label's number that is out of
 * bounds is err_die. */
void metric_add(struct metrics *m, unsigned id, const unsigned at[], int64_t n);
/* A gauge gets this value. A counter, which something else counts, is raised to
 * it, and never lowered: of two threads the slower one may bring the older
 * number. */
void metric_set(
    struct metrics *m, unsigned id, const unsigned at[], int64_t value);
/* Of a histogram. */
void metric_observe(
    struct metrics *m, unsigned id, const unsigned at[], int64_t value);
/* The number; of a histogram, how many were observed. */
int64_t metric_get(const struct metrics *m, unsigned id, const unsigned at[]);

/* ---- writing ---- */

/* labels are added to every series: pairs of a name and any text. */
struct metric_source {
	const struct metrics *metrics;
	const char *const (*labels)[2];
	size_t nlabels;
};

/* Appends what sources of one table say, all of a metric together, as the format
 * wants it. */
int metrics_write(const struct metric_source *sources, size_t n,
    struct buf *out, struct err *e);

/* ---- between processes ---- */

/* The numbers as one row of cells; those of two processes mean the same when
 * their tables have the same hash. */
size_t metrics_cells(const struct metrics *m);
int64_t metrics_cell(const struct metrics *m, size_t i);
void metrics_cell_set(struct metrics *m, size_t i, int64_t value);
uint64_t metric_table_hash(const struct metric *table, size_t n, uint64_t seed);

#endif
