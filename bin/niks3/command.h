/*
 * The commands of niks3, one file each.
 */
#ifndef NIKS3_COMMAND_H
#define NIKS3_COMMAND_H

/* Each takes what follows the command's name in front of its own, and returns
 * the exit status. */
int command_push(int argc, char **argv);
int command_watch_store(int argc, char **argv);
int command_gc(int argc, char **argv);
int command_pins(int argc, char **argv);
int command_closures(int argc, char **argv);
int command_why(int argc, char **argv);
int command_token(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_completion(int argc, char **argv);

struct action_set;
struct opt_program;

extern const struct opt_program push_program, watch_store_program,
    doctor_program, completion_program;
extern const struct action_set gc_actions, pins_actions, closures_actions,
    why_actions, token_actions;

/* Ended by a NULL name. Of a command one of the last two says which options it
 * has. */
struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
	const struct opt_program *program;
	const struct action_set *actions;
};
extern const struct command commands[];

struct arena;
struct err;
struct remote_conn;

/* Pins the store path (a base name) and says so; for push --pin too. */
int pins_create(struct remote_conn *conn, struct arena *a, const char *name,
    const char *store_dir, const char *base, struct err *e);

struct opt_common;
/* What is logged from now on: --log-level. */
void command_log(const struct opt_common *c);
/* Prints "niks3: text" and the hint to standard error; returns the exit status
 * of the kind. */
int command_fail(const struct err *e);

#endif
