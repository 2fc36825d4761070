/*
 * Runs of the garbage collection: asked for, joined, taken, listed, forgotten.
 */
#include "db_live.h"

#include <pthread.h>
#include <stdio.h>

static const struct gcrun_tally nothing;

static struct gcrun_params
collect_params(void)
{
	return (struct gcrun_params){ .kind = GCRUN_COLLECT,
		.older_than_us = HOUR,
		.pending_older_than_us = HOUR / 2,
		.max_share = GCRUN_SHARE_DEFAULT };
}

static struct gcrun
start(const struct gcrun_params *p)
{
	struct gcrun run;

	OK(gcruns_start(server, p, live_arena, &run, &e));
	return run;
}

static struct gcrun
take(void)
{
	struct gcrun run;

	OK(gcruns_take(gc, live_arena, &run, &e));
	return run;
}

static struct gcrun
get(int64_t id)
{
	struct gcrun run;

	OK(gcruns_get(server, id, live_arena, &run, &e));
	return run;
}

struct add {
	int64_t run;
	const struct gcrun_tally *t;
};

static int
add_in(struct db *db, void *ctx, struct err *e)
{
	const struct add *a = ctx;

	return gcruns_add(db, a->run, a->t, e);
}

static void
add(int64_t run, const struct gcrun_tally *t)
{
	struct add a = { run, t };

	OK(db_transaction(gc, DB_READ_COMMITTED, add_in, &a, &e));
}

/* One from its beginning to its end. */
static int64_t
run_once(const struct gcrun_params *p)
{
	struct gcrun run;

	start(p);
	run = take();
	OK(gcruns_finish(gc, &run, NULL, &e));
	return run.id;
}

static void
test_run(void **state)
{
	struct gcrun_params p = collect_params();
	struct gcrun a, b, run;

	(void)state;
	FAILS(ERR_NOT_FOUND, gcruns_get(server, 0, live_arena, &a, &e));
	assert_int_equal(take().id, 0);
	a = start(&p);
	assert_string_equal(a.state, "queued");
	assert_int_equal(a.started_us, 0);
	assert_int_equal(a.params.max_share, GCRUN_SHARE_DEFAULT);
	assert_null(a.params.target);

	run = take();
	assert_int_equal(run.id, a.id);
	assert_string_equal(run.state, "running");
	assert_false(run.resumed);
	run.phase = "mark";
	run.objects_live = 1;
	run.objects_garbage = 2;
	run.bytes_garbage = 3;
	run.objects_deleted = 99; /* is not written by it */
	OK(gcruns_progress(gc, &run, &e));
	add(run.id, &(struct gcrun_tally){ 4, 5, 6, 7, 8, INT64_MAX - 1, 9 });
	add(run.id, &(struct gcrun_tally){ 10, 20, 30, 40, 50, 1, 60 });
	/* Its worker died. */
	b = take();
	assert_int_equal(b.id, a.id);
	assert_true(b.resumed);
	assert_string_equal(b.phase, "mark");
	assert_int_equal(b.objects_live, 1);
	assert_int_equal(b.objects_garbage, 2);
	assert_int_equal(b.bytes_garbage, 3);
	assert_int_equal(b.failed_uploads_deleted, 14);
	assert_int_equal(b.old_closures_deleted, 25);
	assert_int_equal(b.objects_marked, 36);
	assert_int_equal(b.objects_revived, 47);
	assert_int_equal(b.objects_deleted, 58);
	assert_int_equal(b.bytes_deleted, INT64_MAX);
	assert_int_equal(b.objects_failed, 69);
	assert_int_equal(b.started_us, run.started_us);
	OK(gcruns_finish(gc, &b, NULL, &e));
	b = get(0);
	assert_int_equal(b.id, a.id);
	assert_string_equal(b.state, "succeeded");
	assert_null(b.error);
	assert_null(b.error_kind);
	assert_true(b.finished_us >= b.started_us);
	assert_int_equal(take().id, 0);
	FAILS(ERR_NOT_FOUND, gcruns_get(server, 1 << 30, live_arena, &b, &e));
}

/* Each batch adds what it did to the figures of its run. */
static void
test_figures(void **state)
{
	enum reap_answer answers[] = { REAP_GONE, REAP_REFUSED, REAP_UNKNOWN };
	struct gcrun_params p = collect_params();
	char pin[EXPIRE_PIN_MAX];
	size_t finished = 0;
	struct reap_object *o;
	const int64_t *ids;
	struct graph *g;
	struct gcrun run;
	int64_t until;
	uint64_t n, done;

	(void)state;
	push("app", "app", "lib");
	push("tool", "tool", NULL);
	OK(begin(server, closure("late", "late", NULL), &e));
	start(&p);
	run = take();
	OK(expire_uploads(gc, -2 * LEASE, run.id, &n, &e));
	OK(expire_closure(gc, "tool.narinfo", run.id, &n, pin, &e));
	until = CLOCK_US;
	g = snapshot_expiring(until);
	n = graph_expiring(g, &ids);
	OK(graph_expire(gc, g, ids, n, until, run.id, &done, &e));
	n = graph_garbage(g, &ids);
	OK(graph_tombstone(gc, g, 0, n, run.id, &done, &e));
	ids = (int64_t[]){ id_of("nar/lib") };
	OK(graph_revive(gc, g, ids, 1, run.id, &done, &e));
	graph_free(g);
	n = claim(0, &o);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++)
		o[i].run = run.id;
	OK(reap_finish(gc, o, answers, n, 0, &finished, &e));
	/* An answer that comes twice is not counted twice. */
	finished = 0;
	OK(reap_finish(gc, o, answers, 1, 0, &finished, &e));
	OK(gcruns_finish(gc, &run, NULL, &e));
	run = get(run.id);
	assert_int_equal(run.failed_uploads_deleted, 1);
	assert_int_equal(run.old_closures_deleted, 2);
	assert_int_equal(run.objects_marked, 6);
	assert_int_equal(run.objects_revived, 1);
	assert_int_equal(run.objects_deleted, 1);
	assert_int_equal(run.bytes_deleted, 10);
	assert_int_equal(run.objects_failed, 2);
}

static void
test_failed(void **state)
{
	struct gcrun_params p = collect_params();
	struct err failure = ERR_INIT, bare = ERR_INIT;
	struct gcrun run;

	(void)state;
	start(&p);
	run = take();
	err_set(&failure, ERR_CONFLICT, "it broke");
	err_hint(&failure, "mend it");
	OK(gcruns_finish(gc, &run, &failure, &e));
	/* What has ended stays so. */
	OK(gcruns_finish(gc, &run, NULL, &e));
	run = get(run.id);
	assert_string_equal(run.state, "failed");
	assert_string_equal(run.error, "it broke");
	assert_string_equal(run.error_kind, err_name(ERR_CONFLICT));
	assert_string_equal(run.error_hint, "mend it");

	start(&p);
	run = take();
	err_set(&bare, ERR_UNAVAILABLE, "gone");
	OK(gcruns_finish(gc, &run, &bare, &e));
	assert_null(get(0).error_hint);
}

/* Joins the run that is there when all is the same, and nothing else. */
static void
test_join(void **state)
{
	struct gcrun_params want = collect_params(), p[9];
	size_t n = sizeof p / sizeof p[0];
	struct gcrun a, b;

	(void)state;
	want.target = "app.narinfo";
	for (size_t i = 0; i < n; i++)
		p[i] = want;
	p[0].kind = GCRUN_DRY_RUN;
	p[1].kind = GCRUN_DELETE;
	p[2].older_than_us++;
	p[3].pending_older_than_us++;
	p[4].force = 1;
	p[5].max_share = 0;
	p[6].target = NULL;
	p[7].target = "lib.narinfo";
	p[8].at_once = 1;
	a = start(&want);
	for (int running = 0; running < 2; running++) {
		assert_int_equal(start(&want).id, a.id);
		for (size_t i = 0; i < n; i++) {
			b = (struct gcrun){ 0 };
			FAILS(ERR_CONFLICT,
			    gcruns_start(server, &p[i], live_arena, &b, &e));
			assert_int_equal(b.id, a.id);
			assert_string_equal(
			    b.state, running ? "running" : "queued");
			assert_string_equal(b.params.target, "app.narinfo");
		}
		a = take();
	}
	OK(gcruns_finish(gc, &a, NULL, &e));
	for (size_t i = 0; i < n; i++) {
		int64_t id = run_once(&p[i]);

		b = get(id);
		assert_true(id > a.id);
		assert_int_equal(b.params.kind, p[i].kind);
		assert_int_equal(b.params.force, p[i].force);
		assert_int_equal(b.params.max_share, p[i].max_share);
		assert_int_equal(b.params.at_once, p[i].at_once);
		assert_int_equal(b.params.older_than_us, p[i].older_than_us);
		assert_int_equal(
		    b.params.pending_older_than_us, p[i].pending_older_than_us);
	}
}

static void *
start_run(void *arg)
{
	struct db *db = live_open("niks3_server");
	struct gcrun_params p = collect_params();
	struct arena *a = arena_new(65536);
	struct gcrun run = { 0 };
	struct err e = ERR_INIT;

	if (gcruns_start(db, &p, a, &run, &e) != 0)
		fprintf(stderr, "%s\n", e.msg);
	*(int64_t *)arg = run.id;
	arena_free(a);
	db_close(db);
	return NULL;
}

static void
test_together(void **state)
{
	pthread_t t[4];
	int64_t ids[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, start_run, &ids[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 4; i++) {
		assert_true(ids[i] > 0);
		assert_int_equal(ids[i], ids[0]);
	}
}

static void
test_list(void **state)
{
	struct gcrun_params p = collect_params();
	struct gcrun *runs;
	int64_t ids[5], before = 0;
	size_t n;

	(void)state;
	OK(gcruns_list(server, 0, 2, live_arena, &runs, &n, &e));
	assert_int_equal(n, 0);
	for (int i = 0; i < 5; i++)
		ids[i] = run_once(&p);
	for (int from = 4; from >= 0; from -= 2) {
		OK(gcruns_list(server, before, 2, live_arena, &runs, &n, &e));
		assert_int_equal(n, from > 0 ? 2 : 1);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(runs[i].id, ids[from - i]);
		before = runs[n - 1].id;
	}
	OK(gcruns_list(server, before, 2, live_arena, &runs, &n, &e));
	assert_int_equal(n, 0);
}

/* Page by page; the one that is not over is not there yet. */
static void
test_finished(void **state)
{
	struct gcrun_params p = collect_params();
	int64_t ids[3], after = 0;
	struct gcrun *runs;
	size_t n;

	(void)state;
	OK(gcruns_finished(server, 0, 2, live_arena, &runs, &n, &e));
	assert_int_equal(n, 0);
	for (int i = 0; i < 3; i++)
		ids[i] = run_once(&p);
	start(&p);
	OK(gcruns_finished(server, after, 2, live_arena, &runs, &n, &e));
	assert_int_equal(n, 2);
	assert_int_equal(runs[0].id, ids[0]);
	assert_int_equal(runs[1].id, ids[1]);
	after = runs[1].id;
	OK(gcruns_finished(server, after, 2, live_arena, &runs, &n, &e));
	assert_int_equal(n, 1);
	assert_int_equal(runs[0].id, ids[2]);
	assert_string_equal(runs[0].state, "succeeded");
	after = runs[0].id;
	OK(gcruns_finished(server, after, 2, live_arena, &runs, &n, &e));
	assert_int_equal(n, 0);
}

static void
test_roots(void **state)
{
	struct gcrun_params p = collect_params();
	const struct gcrun_root roots[] = {
		{ 1, STORE "/small", 1700000000123456, 2, 10 },
		{ 2, STORE "/large", 1700000000123457, 3, 1000 },
		{ 0, "", 0, 4, 100 },
	};
	struct gcrun_root *got;
	struct gcrun run;
	size_t n;

	(void)state;
	p.kind = GCRUN_DRY_RUN;
	start(&p);
	run = take();
	OK(gcruns_set_roots(
	    gc, run.id, roots, 3, &(struct gcrun_tally){ 7, 8 }, &e));
	/* A worker that comes after one that died writes them anew. */
	OK(gcruns_set_roots(
	    gc, run.id, roots, 3, &(struct gcrun_tally){ 7, 8 }, &e));
	run = get(run.id);
	assert_int_equal(run.failed_uploads_deleted, 7);
	assert_int_equal(run.old_closures_deleted, 8);
	OK(gcruns_roots(server, run.id, live_arena, &got, &n, &e));
	assert_int_equal(n, 3);
	assert_int_equal(got[0].object_id, 2);
	assert_string_equal(got[0].store_path, STORE "/large");
	assert_int_equal(got[0].updated_us, 1700000000123457);
	assert_int_equal(got[0].objects, 3);
	assert_int_equal(got[0].bytes, 1000);
	assert_string_equal(got[1].store_path, "");
	assert_int_equal(got[1].updated_us, 0);
	assert_int_equal(got[2].object_id, 1);
	OK(gcruns_roots(server, run.id + 1, live_arena, &got, &n, &e));
	assert_int_equal(n, 0);
}

static void
test_too_many_roots(void **state)
{
	size_t many = GCRUN_ROOTS_MAX + 1, n;
	struct gcrun_params p = collect_params();
	struct gcrun_root *roots, *got;
	struct gcrun run;

	(void)state;
	roots = arena_array(live_arena, many, sizeof *roots);
	for (size_t i = 0; i < many; i++)
		roots[i] = (struct gcrun_root){ i, "", 0, 1, many - i };
	p.kind = GCRUN_DRY_RUN;
	start(&p);
	run = take();
	OK(gcruns_set_roots(gc, run.id, roots, many, &nothing, &e));
	OK(gcruns_roots(server, run.id, live_arena, &got, &n, &e));
	assert_int_equal(n, GCRUN_ROOTS_MAX);
	assert_int_equal(got[n - 1].bytes, 2);
}

static void
test_prune(void **state)
{
	struct gcrun_params p = collect_params(), dry = p;
	struct gcrun_root root = { 1, "", 0, 1, 1 };
	int64_t first, second;

	(void)state;
	dry.kind = GCRUN_DRY_RUN;
	for (int i = 0; i < 12; i++) {
		struct gcrun run;

		start(&dry);
		run = take();
		OK(gcruns_set_roots(gc, run.id, &root, 1, &nothing, &e));
		OK(gcruns_finish(gc, &run, NULL, &e));
	}
	OK(gcruns_prune(gc, &e));
	assert_int_equal(COUNT("gc_runs"), 12);
	assert_int_equal(COUNT("gc_run_roots"), 10);
	assert_int_equal(COUNT("gc_run_roots WHERE run_id <= (SELECT min(id)"
	                       " + 1 FROM gc_runs)"),
	    0);

	first = number("SELECT min(id) FROM gc_runs");
	second = number("SELECT min(id) + 1 FROM gc_runs");
	sql("SELECT setval(pg_get_serial_sequence('gc_runs', 'id'),"
	    " (SELECT min(id) + 9999 FROM gc_runs))");
	run_once(&p);
	assert_int_equal(get(0).id, first + GCRUNS_KEPT);
	OK(gcruns_prune(gc, &e));
	FAILS(ERR_NOT_FOUND,
	    gcruns_get(server, first, live_arena, &(struct gcrun){ 0 }, &e));
	assert_int_equal(get(second).id, second);
	assert_int_equal(COUNT("gc_runs"), 12);
}

static const struct CMUnitTest tests[] = {
	LIVE_TEST(test_run),
	LIVE_TEST(test_figures),
	LIVE_TEST(test_failed),
	LIVE_TEST(test_join),
	LIVE_TEST(test_together),
	LIVE_TEST(test_list),
	LIVE_TEST(test_finished),
	LIVE_TEST(test_roots),
	LIVE_TEST(test_too_many_roots),
	LIVE_TEST(test_prune),
};

LIVE_GROUP(gcruns);
