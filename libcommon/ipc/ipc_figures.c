#include "ipc_figures.h"

#include "../core/arena.h"
#include "../core/err.h"
#include "../core/metric.h"
#include "../core/process.h"
#include "../../proto/metrics.h"
#include "ipc.h"

static void
collect_process(struct metrics *m)
{
	struct process p;

	process_read(&p);
	metric_set(m, DAEMON_CPU, AT(0), p.cpu_us);
	metric_set(m, DAEMON_STARTED, AT(0), p.started_us);
	metric_set(m, DAEMON_RESIDENT, AT(0), p.resident_bytes);
	metric_set(m, DAEMON_FDS, AT(0), p.open_fds);
	metric_set(m, DAEMON_FDS_MAX, AT(0), p.max_fds);
}

int
ipc_figures_tell(
    struct metrics *m, struct figures_told *out, struct arena *a, struct err *e)
{
	char id[PROCESS_ID_MAX];
	size_t n = 0;

	if (m == NULL)
		return err_set(e, ERR_NOT_FOUND, "nothing is counted here");
	collect_process(m);
	out->process_id = arena_str(a, process_id(id));
	out->cells.items =
	    arena_array(a, metrics_cells(m), sizeof *out->cells.items);
	if (out->process_id == NULL || out->cells.items == NULL)
		return arena_full(a, e);
	for (size_t i = 0; i < metrics_cells(m); i++) {
		int64_t value = metrics_cell(m, i);

		if (value != 0)
			out->cells.items[n++] =
			    (struct figure_cell){ .at = i, .value = value };
	}
	out->cells.n = n;
	return 0;
}

int
ipc_figures_take(
    const struct figures_told *told, struct metrics *out, struct err *e)
{
	const struct figure_cell *cells = told->cells.items;
	size_t n = metrics_cells(out), k = 0;

	for (size_t i = 0; i < told->cells.n; i++)
		if (cells[i].at >= n ||
		    (i > 0 && cells[i - 1].at >= cells[i].at))
			return err_set(e, ERR_CORRUPT, "figures: cell %llu",
			    (unsigned long long)cells[i].at);
	for (size_t i = 0; i < n; i++) {
		int told_of = k < told->cells.n && cells[k].at == i;

		metrics_cell_set(out, i, told_of ? cells[k++].value : 0);
	}
	return 0;
}
