/*
 * What tests of the database's graph share:
 *
 *	NIKS3_TEST_DB          connection string of an empty database, as its
 *	                       owner; the role niks3_gc exists
 *	NIKS3_MIGRATIONS_DIR   "migrations" when not set
 *	SEED                   of what is random; else another each time
 *
 * Whatever fails here fails the test.
 */
#ifndef INTEGRATION_LIVE_H
#define INTEGRATION_LIVE_H

#include <stdint.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/db/db_internal.h"

struct arena;
struct graph;

extern struct db *live_owner; /* may do all */
extern struct db *live_gc;    /* has the rights of the worker */
extern struct arena *live_arena;
extern unsigned live_seed;

/* For cmocka_run_group_tests; live_empty before each test. */
int live_begin(void **state);
int live_empty(void **state);
int live_end(void **state);
/* 1, and it says so, when there is no database to test. */
int live_skip(void);

deadline_t live_soon(void);
struct db *live_open(const char *role); /* "": the owner */

#define OK(call)                                          \
	do {                                              \
		struct err e = ERR_INIT;                  \
		if ((call) != 0)                          \
			fail_msg("%s: %s", #call, e.msg); \
	} while (0)

/* Statements as the owner. */
void live_sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The first field of the first row: text, "" when there is none, or a number.
 * The statement must last as long as the process. */
const char *live_text(const char *sql, const struct db_param *params, size_t n);
int64_t live_number(const char *sql, const struct db_param *params, size_t n);

/* Time in hours since some day; before it nothing happened. */
#define LIVE_DAY   "'2026-01-01 00:00:00+00'::timestamptz"
#define LIVE_AT(n) ((int64_t)1767225600000000 + (n) * (int64_t)3600000000)
#define LIVE_NEVER (-1)
/* As the worker: closures and leases until then are no roots. */
struct graph *live_load(int closures_hour, int leases_hour);

#endif
