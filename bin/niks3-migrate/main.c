/*
 * niks3-migrate: brings the schema of the database up to date, as its owner.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/core/sandbox.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/migrate.h"
#include "sandbox.h"

#define MEMORY ((size_t)16 << 20)

struct config {
	struct opt_common common;
	struct sandbox_config sandbox;
	struct secret db;
	const char *dir;
	int64_t timeout_us;
};

static const struct opt options[] = {
	{ "db", "NIKS3_DB", OPT_SECRET, offsetof(struct config, db),
	    OPT_REQUIRED, NULL, "CONNINFO",
	    "the database, as its owner: a connection string of libpq", 0, 0 },
	{ "migrations-dir", "NIKS3_MIGRATIONS_DIR", OPT_PATH,
	    offsetof(struct config, dir), 0, MIGRATIONS_DIR, "DIR",
	    "where the migrations are", 0, 0 },
	{ "timeout", "NIKS3_MIGRATE_TIMEOUT", OPT_DURATION,
	    offsetof(struct config, timeout_us), 0, "10m", "DURATION",
	    "give up after so long", 1000, 0 },
	SANDBOX_OPTIONS(offsetof(struct config, sandbox)),
	{ NULL },
};

static const struct opt_program program = {
	.name = "niks3-migrate",
	.synopsis = "niks3-migrate [OPTION]... up|down|status",
	.summary = "Applies, undoes or lists the migrations of the database.",
	.opts = options,
	.min_args = 1,
	.max_args = 1,
	.words = "up|down|status",
};

static void
say_applied(void *ctx, const struct migration *m)
{
	*(int *)ctx += 1;
	printf("applied %s\n", m->name);
}

static void
say_undone(void *ctx, const struct migration *m)
{
	(void)ctx;
	printf("undone %s\n", m->name);
}

static int
up(struct db *db, const char *dir, struct err *e)
{
	int n = 0;

	if (migrate_up(db, dir, say_applied, &n, e) != 0)
		return -1;
	if (n == 0)
		printf("nothing to do: the schema is up to date\n");
	return 0;
}

static int
down(struct db *db, const char *dir, struct err *e)
{
	return migrate_down(db, dir, say_undone, NULL, e);
}

static int
status(struct db *db, const char *dir, struct err *e)
{
	struct arena *a = arena_new(MEMORY);
	struct migration *all;
	size_t n;
	int rc = migrate_status(db, dir, a, &all, &n, e);

	if (rc == 0) {
		printf("%-28s  %s\n", "APPLIED AT (UTC)", "MIGRATION");
		for (size_t i = 0; i < n; i++)
			printf("%-28s  %s\n",
			    all[i].applied ? all[i].applied_at : "pending",
			    all[i].name);
	}
	arena_free(a);
	return rc;
}

static const struct command {
	const char *name;
	int (*run)(struct db *db, const char *dir, struct err *e);
} commands[] = {
	{ "up", up },
	{ "down", down },
	{ "status", status },
};

static const struct command *
find_command(const char *name, struct err *e)
{
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	err_set(e, ERR_USAGE, "no command %s: say up, down or status", name);
	return NULL;
}

/* It has no threads and listens nowhere, so all of it at once. */
static int
confine(const struct config *c, struct err *e)
{
	struct sandbox box;
	int rc;

	migrate_sandbox(&box, c->db.data, c->dir);
	box.required = c->sandbox.required;
	rc = sandbox_begin(&box, e);
	if (rc == 0)
		rc = sandbox_seal(&box, e);
	if (rc == 0 && sandbox_missing(&box) != NULL)
		fprintf(stderr, "%s: warning: the sandbox is not whole: %s\n",
		    program.name, sandbox_missing(&box));
	sandbox_done(&box);
	return rc;
}

static int
run(const struct config *c, const char *name, struct err *e)
{
	const struct command *command = find_command(name, e);
	struct db *db;
	int rc;

	if (command == NULL)
		return -1;
	if (c->common.check)
		return 0;
	if (confine(c, e) != 0)
		return -1;
	if (db_open(c->db.data, program.name, deadline_in(c->timeout_us / 1000),
	        &db, e) != 0)
		return -1;
	rc = command->run(db, c->dir, e);
	db_close(db);
	return rc;
}

int
main(int argc, char **argv)
{
	struct config c = { 0 };
	struct err e = ERR_INIT;
	char **args;
	size_t nargs;
	int rc;

	if ((rc = opt_start(&program, &c, argc, argv, &args, &nargs)) >= 0)
		return rc;
	secret_harden_process();
	if (run(&c, args[0], &e) != 0) {
		fprintf(stderr, "%s: %s\n", program.name, e.msg);
		if (e.hint[0] != '\0')
			fprintf(stderr, "hint: %s\n", e.hint);
	}
	opt_done(&program, &c);
	return err_exit(e.kind);
}
