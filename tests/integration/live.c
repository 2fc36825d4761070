#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/db/graph.h"
#include "../../libcommon/db/migrate.h"

#define SOON_MS 60000
#define MEMORY  ((size_t)1 << 28)

struct db *live_owner, *live_gc;
struct arena *live_arena;
unsigned live_seed;

deadline_t
live_soon(void)
{
	return deadline_in(SOON_MS);
}

int
live_skip(void)
{
	if (getenv("NIKS3_TEST_DB") != NULL)
		return 0;
	printf("1..0 # SKIP NIKS3_TEST_DB is not set\n");
	return 1;
}

struct db *
live_open(const char *role)
{
	char text[1024];
	struct db *db;

	snprintf(text, sizeof text, "%s%s%s", getenv("NIKS3_TEST_DB"),
	    role[0] != '\0' ? " user=" : "", role);
	OK(db_open(text, "live", live_soon(), &db, &e));
	return db;
}

static int
script(struct db *db, void *text, struct err *e)
{
	return db_script(db, text, e);
}

void
live_sql(const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	assert_in_range(n, 0, sizeof text - 1);
	db_deadline(live_owner, live_soon());
	OK(db_transaction(live_owner, DB_READ_COMMITTED, script, text, &e));
}

static PGresult *
ask(const char *sql, const struct db_param *params, size_t n)
{
	PGresult *r;

	db_deadline(live_owner, live_soon());
	OK(db_query(live_owner, sql, params, n, &r, &e));
	return r;
}

const char *
live_text(const char *sql, const struct db_param *params, size_t n)
{
	PGresult *r = ask(sql, params, n);
	const char *s = NULL;
	int full = 0;

	if (PQntuples(r) > 0)
		s = row_text(r, 0, 0, live_arena, &full);
	PQclear(r);
	assert_false(full);
	return s != NULL ? s : "";
}

int64_t
live_number(const char *sql, const struct db_param *params, size_t n)
{
	PGresult *r = ask(sql, params, n);
	int64_t v;

	assert_int_equal(PQntuples(r), 1);
	v = row_i64(r, 0, 0);
	PQclear(r);
	return v;
}

struct graph *
live_load(int closures_hour, int leases_hour)
{
	struct graph_roots roots = {
		.closures_until_us =
		    closures_hour < 0 ? 0 : LIVE_AT(closures_hour),
		.leases_until_us = leases_hour < 0 ? 0 : LIVE_AT(leases_hour),
	};
	struct graph *g;

	db_deadline(live_gc, live_soon());
	OK(graph_load(live_gc, &roots, &g, &e));
	return g;
}

static void
said(void *ctx, const struct migration *m)
{
	(void)ctx;
	(void)m;
}

int
live_begin(void **state)
{
	const char *dir = getenv("NIKS3_MIGRATIONS_DIR");
	const char *given = getenv("SEED");

	(void)state;
	live_arena = arena_new(MEMORY);
	live_owner = live_open("");
	OK(migrate_up(
	    live_owner, dir != NULL ? dir : "migrations", said, NULL, &e));
	live_gc = live_open("niks3_gc");
	live_seed = given != NULL ? atoi(given) : (unsigned)getpid();
	print_message("SEED=%u\n", live_seed);
	return 0;
}

int
live_empty(void **state)
{
	(void)state;
	live_sql("TRUNCATE cache_sizes, objects, contents, pending, "
	         "tombstones, closures,"
	         " pins, uploads, upload_needs, upload_roots");
	arena_reset(live_arena);
	return 0;
}

int
live_end(void **state)
{
	(void)state;
	db_close(live_gc);
	db_close(live_owner);
	arena_free(live_arena);
	return 0;
}
