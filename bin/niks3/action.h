/*
 * Commands with commands of their own: niks3 gc status, niks3 closures delete.
 * The name may stand anywhere among the flags.
 */
#ifndef NIKS3_ACTION_H
#define NIKS3_ACTION_H

#include <stddef.h>

#include "../../libcommon/core/opt.h"
#include "remote.h"

struct arena;
struct err;

/* The first member of every configuration. */
struct action_config {
	struct opt_common common;
	struct remote_config remote;
};

struct action_run {
	const void *config;
	struct remote_conn *conn;
	struct arena *a;
	char **args;
	size_t nargs;
};

struct action {
	const char *name; /* NULL: what is done when no other is named */
	int (*run)(struct action_run *r, struct err *e);
	struct opt_program program;
};

struct action_set {
	const struct action *actions;
	size_t n;
	size_t config_size;
	size_t memory; /* bytes of the arena */
};

/* Finds the action, reads its options, connects and runs it; returns the exit
 * status. */
int action_main(const struct action_set *set, int argc, char **argv);

#endif
