/*
 * Numbered migrations: NNNN_name.sql in goose's annotation format ("-- +goose
 * Up", "Down", "StatementBegin", "StatementEnd"), recorded in goose's own table
 * goose_db_version, so that goose itself can run them too. Each file is one
 * transaction, all under one advisory lock.
 */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct db;
struct err;

/* The newest migration this build knows; what db_schema_check asks for. */
#define MIGRATE_SCHEMA_VERSION 6

struct migration {
	int64_t version;
	const char *name; /* "0001_init.sql" */
	const char *path;
	int applied;
	const char *applied_at; /* as the database prints it, or NULL */
};

/* All files of dir sorted by version, with what the database says of each.
 * Versions in the database without a file are ERR_VERSION. */
int migrate_status(struct db *db, const char *dir, struct arena *a,
    struct migration **out, size_t *n, struct err *e);
/* Applies all that are not yet, in order; calls said after each. */
int migrate_up(struct db *db, const char *dir,
    void (*said)(void *ctx, const struct migration *m), void *ctx,
    struct err *e);
/* Undoes the newest one. NOT_FOUND when there is none. */
int migrate_down(struct db *db, const char *dir,
    void (*said)(void *ctx, const struct migration *m), void *ctx,
    struct err *e);

/*
 * The statements of a file; pure, for the tests too. As goose has it, a statement
 * ends with a line that ends in a semicolon, or with StatementEnd; comments
 * between statements are left out. Other annotations than those four are
 * ERR_INVALID.
 */
struct migrate_script {
	const char **up;
	size_t nup;
	const char **down;
	size_t ndown;
};
int migrate_parse(const char *text, size_t len, struct arena *a,
    struct migrate_script *out, struct err *e);

#endif
