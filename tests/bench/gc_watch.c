/*
 * gc_watch DB MS: how long the roots lock is held exclusively, as pg_locks shows
 * it every MS milliseconds, until SIGTERM. Prints "HOLDERS LONGEST AT-MOST GAP":
 * how many transactions were seen holding it; for how long one of them was seen,
 * from the first look to the last; how long it can have been, from the look before
 * to the look after; and the longest time between two looks. In milliseconds.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/num.h"
#include "../../libcommon/core/service.h"
#include "../../libcommon/db/db_internal.h"

#define WAIT_MS  30000
#define NAME_LEN 64

/* The holder of the moment. */
struct holder {
	char name[NAME_LEN]; /* its transaction; "" is nobody */
	int64_t before, first, last;
};

struct watch {
	struct holder holder;
	uint64_t n;
	int64_t longest, at_most, gap;
};

/* The advisory lock is LOCK_ROOTS in db.c. */
static const char holder_sql[] =
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'advisory'"
    " AND classid = 1852402547 AND objid = 1 AND objsubid = 2"
    " AND mode = 'ExclusiveLock' AND granted"
    " AND database = (SELECT oid FROM pg_database"
    " WHERE datname = current_database())";

static int64_t
larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* What was seen at now, after a look at before. */
static void
note(struct watch *w, const char *name, int64_t before, int64_t now)
{
	struct holder *h = &w->holder;

	w->gap = larger(w->gap, now - before);
	if (strcmp(h->name, name) == 0) {
		h->last = now;
		return;
	}
	if (h->name[0] != '\0') {
		w->n++;
		w->longest = larger(w->longest, h->last - h->first);
		w->at_most = larger(w->at_most, now - h->before);
	}
	*h = (struct holder){ .before = before, .first = now, .last = now };
	snprintf(h->name, sizeof h->name, "%s", name);
}

static int
look(struct db *db, struct watch *w, int64_t *before, struct err *e)
{
	PGresult *r;
	int64_t now;

	db_deadline(db, deadline_in(WAIT_MS));
	if (db_query(db, holder_sql, P_NONE, &r, e) != 0)
		return -1;
	now = clock_mono_us();
	note(w, PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "", *before, now);
	*before = now;
	PQclear(r);
	return 0;
}

int
main(int argc, char **argv)
{
	struct err e = ERR_INIT;
	struct watch w = { 0 };
	struct db *db;
	int64_t before = 0;
	uint64_t ms;

	if (argc != 3)
		err_die("usage: gc_watch DB MS");
	if (num_parse_u64(argv[2], strlen(argv[2]), 1000, &ms, &e) != 0)
		err_die("%s", e.msg);
	service_init("gc_watch", "info");
	if (db_open(argv[1], "gc_watch", deadline_in(WAIT_MS), &db, &e) != 0)
		err_die("%s", e.msg);
	if (look(db, &w, &before, &e) != 0) /* the first one takes longer */
		err_die("%s", e.msg);
	w = (struct watch){ 0 };
	while (service_wait(deadline_in(ms), NULL, NULL) != 0)
		if (look(db, &w, &before, &e) != 0)
			err_die("%s", e.msg);
	note(&w, "", before, clock_mono_us());
	printf("%llu %.1f %.1f %.1f\n", (unsigned long long)w.n,
	    w.longest / 1e3, w.at_most / 1e3, w.gap / 1e3);
	db_close(db);
	return 0;
}
