/*
 * What the tests of libcommon/db share (../live.h tells what they need):
 * connections with the rights of each program, requests, and the steps of an
 * upload and of a collection.
 *
 *	db_live [GROUP]   runs all tests, or those of one file: "reap"
 *
 * After every test the rules that the headers of db/ promise are checked (see
 * db_live.c), and the statistics recounted. Whatever fails here fails the test.
 */
#ifndef INTEGRATION_DB_LIVE_H
#define INTEGRATION_DB_LIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../../libcommon/core/arena.h"
#include "../../../libcommon/db/closures.h"
#include "../../../libcommon/db/commit.h"
#include "../../../libcommon/db/expire.h"
#include "../../../libcommon/db/gcruns.h"
#include "../../../libcommon/db/graph.h"
#include "../../../libcommon/db/migrate.h"
#include "../../../libcommon/db/pins.h"
#include "../../../libcommon/db/reap.h"
#include "../../../libcommon/db/vacuum.h"
#include "../../../libcommon/db/stats.h"
#include "../../../libcommon/db/uploads.h"
#include "../../../libcommon/nix/objkey.h"
#include "../live.h"

#define FAILS(want, call)                                                  \
	do {                                                               \
		struct err e = ERR_INIT;                                   \
		if ((call) == 0)                                           \
			fail_msg("%s: did not fail", #call);               \
		if (e.kind != (want))                                      \
			fail_msg(                                          \
			    "%s: %s: %s", #call, err_name(e.kind), e.msg); \
	} while (0)

/* ---- the tests, a group for each file ---- */

struct live_group {
	const char *name;
	const struct CMUnitTest *tests;
	size_t n;
};
#define LIVE_TEST(f) cmocka_unit_test_setup_teardown(f, live_setup, live_check)
#define LIVE_GROUP(name)                                      \
	const struct live_group name##_live = { #name, tests, \
		sizeof tests / sizeof tests[0] }
extern const struct live_group uploads_live, attached_live, commit_live,
    publish_live, measure_live, mark_live, reap_live, answers_live,
    closures_live, gcruns_live, conn_live, race_live, deadlock_live,
    tokens_live, migrate_live, status_live;

int live_setup(void **state); /* empties the database */
int live_check(void **state);
/* The same in the middle of a test. */
void check_rules(void);
/* The rules look at this view, which hinders migrations. */
void live_view(int there);
void deadlines(void);

/* ---- the database ---- */

extern struct db *server, *server2, *gc; /* with the rights of these */
const char *live_migrations(void);
/* Statements of a transaction, of that connection or of the owner. */
int script(struct db *db, const char *sql, struct err *e);
void sql(const char *text);
/* The first field as a number, -1 when there is no row. Statements are kept by
 * their text, which must last: a key is a parameter. */
int64_t number(const char *sql);
int64_t number_of(const char *sql, const char *key);
int64_t id_of(const char *key);
#define COUNT(from) number("SELECT count(*) FROM " from)
#define CLOCK_US                                                          \
	number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)" \
	       "::bigint")

/* "gone", "live", "pending", "tombstone" or "deleting". */
const char *state_of(const char *key);
#define STATE(key, want) assert_string_equal(state_of(key), want)

/* ---- uploads ---- */

#define OWNER     "ci"
#define STORE     "/nix/store"
#define LEASE     ((int64_t)600 * 1000000)
#define MINUTE    ((int64_t)60 * 1000000)
#define HOUR      ((int64_t)3600 * 1000000)
#define PATHS_MAX 64

/* The right to write, in microseconds: 0, it ends at once, unless a test is about
 * it. */
extern int64_t auth_us;

/* A closure of a few paths, in the making. */
struct req {
	struct upload_begin b;
	struct upload_object objects[2 * PATHS_MAX + 8];
	struct upload_path paths[PATHS_MAX];
	struct upload_root roots[PATHS_MAX];
	uint32_t refs[PATHS_MAX][PATHS_MAX];
	const char *names[PATHS_MAX][PATHS_MAX];
	char token[UPLOAD_TOKEN_MAX];
};
struct req *req_new(void);
/* Each adds something, or finds it, and returns its position. */
uint32_t req_object(struct req *q, const char *key, int kind);
/* A path "name" with the NAR "nar/nar"; after it names of paths, up to a NULL. */
uint32_t req_path(struct req *q, const char *name, const char *nar, ...);
/* What hangs on a path: a log, a realisation, a listing. */
uint32_t req_attach(struct req *q, uint32_t info, const char *key, int kind);
void req_root(struct req *q, uint32_t object);
/* name (with that NAR) as root; and ref, when it is not NULL, with one NAR. */
struct req *closure(const char *name, const char *nar, const char *ref);
struct req *closure_with_log(
    const char *name, const char *nar, const char *ref, const char *log);

/* The steps of an upload. Every object has 100 bytes, every narinfo 10. */
int begin(struct db *db, struct req *q, struct err *e);
size_t missing(const struct req *q);
int authorize(struct db *db, const struct req *q, const char *key,
    uint64_t size, struct err *e);
void authorize_all(struct db *db, const struct req *q);
int load(struct db *db, const struct req *q, struct commit *c, struct err *e);
enum commit_claim publish(struct db *db, struct commit *c);
/* As if the narinfos were stored. */
void fill(struct commit *c);
int finish(struct db *db, const struct commit *c, struct err *e);
/* Several of them: all after the beginning; up to the writing of narinfos; all. */
void commit(struct db *db, const struct req *q);
void commit_until_published(struct db *db, struct req *q, struct commit *c);
struct req *push(const char *name, const char *nar, const char *ref);
void push_req(struct req *q);
void abort_upload(struct req *q);
/* All that was allowed to be written, and is pending, is over. */
void let_time_pass(void);

/* ---- collecting ---- */

/* The run that all this is done by; it need not exist. */
#define RUN 1
/* What the worker reads. The second one leaves out closures that were pushed
 * until then, and have no pin. */
struct graph *snapshot(void);
struct graph *snapshot_expiring(int64_t until_us);
/* Deletes the closures that are so old and have no pin. */
uint64_t expire_closures(int64_t older_than_us);
/* Tombstones all garbage. */
uint64_t mark_all(void);
/* All that can be claimed. */
/* So long before now, by the database's clock; and a time that all tombstones have
 * passed. */
int64_t ago(int64_t us);
#define ALL_DUE ((int64_t)1 << 52)
size_t claim(int64_t grace_us, struct reap_object **out);
size_t claim_pending(struct reap_object **out);
size_t claim_leftover(struct reap_object **out);
void answer(const struct reap_object *o, size_t n, enum reap_answer a);
void answer_each(const struct reap_object *o, size_t n,
    const enum reap_answer *answers, int leftover);
void answer_leftover(const struct reap_object *o, size_t n, enum reap_answer a);
/* Marks and deletes, without any grace. */
void collect(void);

#endif
