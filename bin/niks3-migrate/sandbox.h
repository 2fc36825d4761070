/*
 * What niks3-migrate may still do: read the migrations and talk to the database.
 */
#ifndef MIGRATE_SANDBOX_H
#define MIGRATE_SANDBOX_H

struct sandbox;

/* Fills an empty one. */
void migrate_sandbox(
    struct sandbox *s, const char *conninfo, const char *migrations);

#endif
