#include "gcrun.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "print.h"
#include "remote.h"

#define POLL_MS     100
#define POLL_MAX_MS 2000
#define QUEUED_MS   60000   /* a worker takes a run up within seconds */
#define QUIET_MS    7200000 /* reading a large cache tells nothing meanwhile */
#define LOST_MS     60000   /* a server that restarts */
#define LINE_MS     10000   /* between two lines of the log */
#define POLL_MEMORY ((size_t)1 << 20)
#define LINE_MAX    256
#define QUEUED      "queued" /* a state, shown like a phase */

struct watch {
	struct remote_conn *conn;
	uint64_t id;
	int terminal;
	int64_t began;
	char phase[64], updated[40];
	deadline_t taken; /* until then it should have begun */
	deadline_t quiet; /* until then it should say something */
	deadline_t lost;  /* until then the server should answer again */
	deadline_t line;
};

int
gcrun_get(struct remote_conn *conn, uint64_t id, struct arena *a,
    struct gc_status *out, struct err *e)
{
	char path[64] = "/api/v2/gc/latest";

	if (id != 0)
		snprintf(path, sizeof path, "/api/v2/gc/%llu",
		    (unsigned long long)id);
	return remote_call(conn,
	    &(struct remote_call){
	        .method = "GET",
	        .path = path,
	        .reply_desc = &gc_status_desc,
	        .reply = out,
	        .deadline = deadline_in(REMOTE_CALL_MS),
	    },
	    a, e);
}

/* ---- progress ---- */

static int
is_kind(const struct gc_status *s, const char *kind)
{
	return strcmp(s->kind, kind) == 0;
}

static int
in_state(const struct gc_status *s, const char *state)
{
	return strcmp(s->state, state) == 0;
}

static const char *
phase_of(const struct gc_status *s)
{
	if (in_state(s, QUEUED))
		return QUEUED;
	return s->phase != NULL ? s->phase : s->state;
}

/* Redraws the line of a terminal. */
static void
draw(const struct watch *w, const struct gc_status *s)
{
	char text[LINE_MAX], safe[LINE_MAX], bytes[NUM_SIZE_MAX];
	char took[PRINT_SPAN_MAX];
	struct winsize ws = { 0 };
	int width = 79, n;

	n = snprintf(text, sizeof text,
	    "run %llu: %s, %s: ", (unsigned long long)s->id, phase_of(s),
	    print_span(took, (clock_mono_ms() - w->began) / 1000));
	if (is_kind(s, "dry-run"))
		snprintf(text + n, sizeof text - n,
		    "%llu of %llu objects would go",
		    (unsigned long long)s->objects_garbage,
		    (unsigned long long)s->objects_live);
	else
		snprintf(text + n, sizeof text - n,
		    "uploads %llu, closures %llu, marked %llu/%llu, "
		    "deleted %llu (%s)",
		    (unsigned long long)s->failed_uploads_deleted,
		    (unsigned long long)s->old_closures_deleted,
		    (unsigned long long)s->objects_marked,
		    (unsigned long long)s->objects_garbage,
		    (unsigned long long)s->objects_deleted,
		    num_fmt_size(bytes, s->bytes_deleted));
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 1)
		width = ws.ws_col - 1;
	fprintf(
	    stderr, "\r%.*s\033[K", width, log_escape(safe, sizeof safe, text));
	fflush(stderr);
}

static void
tell(const struct gc_status *s)
{
	if (is_kind(s, "dry-run"))
		log_info("Dry run progress", LOG_S("phase", phase_of(s)),
		    LOG_U("objects_live", s->objects_live),
		    LOG_U("objects_that_would_go", s->objects_garbage));
	else
		log_info("Garbage collection progress",
		    LOG_S("phase", phase_of(s)),
		    LOG_U("failed_uploads_deleted", s->failed_uploads_deleted),
		    LOG_U("old_closures_deleted", s->old_closures_deleted),
		    LOG_U("objects_marked", s->objects_marked),
		    LOG_U("objects_deleted", s->objects_deleted),
		    LOG_U("objects_failed", s->objects_failed));
}

static void
progress(struct watch *w, const struct gc_status *s)
{
	int changed = strcmp(phase_of(s), w->phase) != 0;

	if (w->terminal) {
		draw(w, s);
	} else if (changed || deadline_left(w->line) == 0) {
		tell(s);
		w->line = deadline_in(LINE_MS);
	}
	snprintf(w->phase, sizeof w->phase, "%s", phase_of(s));
}

static void
progress_end(const struct watch *w)
{
	if (w->terminal)
		fprintf(stderr, "\r\033[K");
}

/* ---- following ---- */

/* Does somebody work on it? */
static int
check_alive(struct watch *w, const struct gc_status *s, struct err *e)
{
	const char *updated = s->updated_at != NULL ? s->updated_at : "";

	if (strcmp(updated, w->updated) != 0) {
		snprintf(w->updated, sizeof w->updated, "%s", updated);
		w->quiet = deadline_in(QUIET_MS);
	}
	if (in_state(s, QUEUED) && deadline_left(w->taken) == 0)
		err_set(e, ERR_UNAVAILABLE,
		    "garbage collection %llu is queued, but no worker "
		    "takes it up",
		    (unsigned long long)w->id);
	else if (deadline_left(w->quiet) == 0)
		err_set(e, ERR_TIMEOUT,
		    "garbage collection %llu says nothing any more",
		    (unsigned long long)w->id);
	else
		return 0;
	return err_hint(e, "is niks3-gc running? the run stays as it is");
}

/* Returns 1 when it has ended, whatever came of it. */
static int
look(struct watch *w, struct arena *a, struct err *e)
{
	struct gc_status s;

	if (gcrun_get(w->conn, w->id, a, &s, e) != 0) {
		/* The run goes on without us and without that server. */
		if (!err_retryable(e->kind) || deadline_left(w->lost) == 0)
			return -1;
		err_clear(e);
		return 0;
	}
	w->lost = deadline_in(LOST_MS);
	if (in_state(&s, "succeeded") || in_state(&s, "failed"))
		return 1;
	if (check_alive(w, &s, e) != 0)
		return -1;
	progress(w, &s);
	return 0;
}

static int
failure(const struct gc_status *s, struct err *e)
{
	err_set(e,
	    s->error_kind != NULL ? err_kind_by_name(s->error_kind)
	                          : ERR_INTERNAL,
	    "garbage collection %llu failed: %s", (unsigned long long)s->id,
	    s->error != NULL ? s->error : "no reason given");
	if (s->error_hint != NULL)
		err_hint(e, "%s", s->error_hint);
	return -1;
}

int
gcrun_follow(struct remote_conn *conn, uint64_t id, struct arena *a,
    struct gc_status *out, struct err *e)
{
	struct watch w = {
		.conn = conn,
		.id = id,
		.terminal =
		    isatty(STDERR_FILENO) && log_enabled(LOG_LEVEL_INFO),
		.began = clock_mono_ms(),
		.taken = deadline_in(QUEUED_MS),
		.quiet = deadline_in(QUIET_MS),
		.lost = deadline_in(LOST_MS),
		.line = deadline_in(LINE_MS),
		.phase = QUEUED,
	};
	struct arena *poll = arena_new(POLL_MEMORY);
	struct gc_status s;
	int rc;

	for (int64_t pause = POLL_MS; (rc = look(&w, poll, e)) == 0;
	     pause = pause * 3 / 2) {
		if (pause > POLL_MAX_MS)
			pause = POLL_MAX_MS;
		clock_sleep(pause, deadline_in(POLL_MAX_MS));
		arena_reset(poll);
	}
	progress_end(&w);
	arena_free(poll);
	if (rc < 0 || gcrun_get(conn, id, a, &s, e) != 0)
		return -1;
	if (in_state(&s, "failed"))
		return failure(&s, e);
	*out = s;
	return 0;
}
