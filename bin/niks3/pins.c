/*
 * niks3 pins create|list|delete: closures that are kept by name.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/nix/objkey.h"
#include "../../proto/bodies.h"
#include "command.h"
#include "nixcmd.h"
#include "remote.h"

#define MEMORY_MAX ((size_t)1 << 30) /* a million pins */

struct config {
	struct opt_common common;
	struct remote_config remote;
	int names_only, json;
};

#define O(field) offsetof(struct config, field)

static const struct opt plain_options[] = {
	REMOTE_OPTIONS(O(remote)),
	{ NULL },
};

static const struct opt list_options[] = {
	REMOTE_OPTIONS(O(remote)),
	{ "names-only", NULL, OPT_BOOL, O(names_only), 0, NULL, NULL,
	    "print only the names, one a line", 0, 0 },
	{ "json", NULL, OPT_BOOL, O(json), 0, NULL, NULL, "print a JSON array",
	    0, 0 },
	{ NULL },
};

struct run {
	const struct config *c;
	struct remote_conn *conn;
	struct arena *a;
	char **args;
};

static int
call(struct remote_conn *conn, struct arena *a, const char *method,
    const char *name, const struct pin_request *body, struct err *e)
{
	char path[OBJKEY_PIN_MAX + 32];

	if (objkey_check_pin(name, e) != 0)
		return -1;
	snprintf(path, sizeof path, "/api/v2/pins/%s", name);
	return remote_call(conn,
	    &(struct remote_call){
	        .method = method,
	        .path = path,
	        .request_desc = &pin_request_desc,
	        .request = body,
	        .deadline = deadline_in(REMOTE_CALL_MS),
	    },
	    a, e);
}

int
pins_create(struct remote_conn *conn, struct arena *a, const char *name,
    const char *store_dir, const char *base, struct err *e)
{
	struct pin_request body;

	body.store_path = arena_printf(a, "%s/%s", store_dir, base);
	if (body.store_path == NULL)
		return arena_full(a, e);
	if (call(conn, a, "PUT", name, &body, e) != 0)
		return err_prefix(e, "pin %s", name);
	log_info("Created pin", LOG_S("name", name),
	    LOG_S("store_path", body.store_path));
	return 0;
}

static int
create(struct run *r, struct err *e)
{
	const char *store_dir, *base;

	if (nixcmd_store_dir(&store_dir, e) != 0 ||
	    nixcmd_resolve(store_dir, r->args[1], r->a, &base, e) != 0)
		return -1;
	return pins_create(r->conn, r->a, r->args[0], store_dir, base, e);
}

static int
drop(struct run *r, struct err *e)
{
	if (call(r->conn, r->a, "DELETE", r->args[0], NULL, e) != 0)
		return -1;
	log_info("Deleted pin", LOG_S("name", r->args[0]));
	return 0;
}

static int
print_json(const struct pin_list *list, struct err *e)
{
	struct buf out;
	int rc = 0;

	buf_init(&out, MEMORY_MAX);
	for (size_t i = 0; rc == 0 && i < list->pins.n; i++) {
		rc = buf_puts(&out, i == 0 ? "[\n  " : ",\n  ", e);
		if (rc == 0)
			rc = json_encode(
			    &pin_entry_desc, &list->pins.items[i], &out, e);
	}
	if (rc == 0)
		printf(
		    "%s%s\n", buf_str(&out), list->pins.n == 0 ? "[]" : "\n]");
	buf_done(&out);
	return rc;
}

static void
print_table(const struct pin_list *list)
{
	int name = strlen("NAME"), path = strlen("STORE PATH");

	if (list->pins.n == 0) {
		printf("No pins found\n");
		return;
	}
	for (size_t i = 0; i < list->pins.n; i++) {
		int n = strlen(list->pins.items[i].name);
		int p = strlen(list->pins.items[i].store_path);

		name = n > name ? n : name;
		path = p > path ? p : path;
	}
	printf("%-*s  %-*s  UPDATED AT\n", name, "NAME", path, "STORE PATH");
	for (size_t i = 0; i < list->pins.n; i++)
		printf("%-*s  %-*s  %s\n", name, list->pins.items[i].name, path,
		    list->pins.items[i].store_path,
		    list->pins.items[i].updated_at);
}

static int
list(struct run *r, struct err *e)
{
	struct pin_list body;

	if (remote_call(r->conn,
	        &(struct remote_call){
	            .method = "GET",
	            .path = "/api/v2/pins",
	            .reply_desc = &pin_list_desc,
	            .reply = &body,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        r->a, e) != 0)
		return -1;
	if (r->c->json)
		return print_json(&body, e);
	if (!r->c->names_only)
		print_table(&body);
	else
		for (size_t i = 0; i < body.pins.n; i++)
			printf("%s\n", body.pins.items[i].name);
	return 0;
}

static const struct action {
	const char *name;
	int (*run)(struct run *r, struct err *e);
	struct opt_program program;
} actions[] = {
	{ "create", create,
	    { "niks3 pins create", "niks3 pins create [OPTION]... NAME PATH",
	        "Keeps the closure of PATH, which was pushed, by NAME.",
	        plain_options, 2, 2 } },
	{ "list", list,
	    { "niks3 pins list", "niks3 pins list [OPTION]...",
	        "Lists the pins by name.", list_options, 0, 0 } },
	{ "delete", drop,
	    { "niks3 pins delete", "niks3 pins delete [OPTION]... NAME",
	        "Lets go what NAME keeps.", plain_options, 1, 1 } },
};

#define ACTIONS (sizeof actions / sizeof actions[0])

static int
run_action(const struct action *action, int argc, char **argv)
{
	struct config c = { 0 };
	struct run r = { .c = &c };
	struct remote *remote = NULL;
	struct err e = ERR_INIT;
	size_t nargs;
	int status;

	if ((status = opt_start(
	         &action->program, &c, argc, argv, &r.args, &nargs)) >= 0)
		return status;
	if (remote_new(&c.remote, &remote, &e) == 0 && !c.common.check) {
		r.a = arena_new(MEMORY_MAX);
		r.conn = remote_conn_new(remote);
		action->run(&r, &e);
	}
	status = e.kind == ERR_NONE ? 0 : command_fail(&e);
	remote_conn_free(r.conn);
	remote_free(remote);
	arena_free(r.a);
	opt_done(&action->program, &c);
	return status;
}

int
command_pins(int argc, char **argv)
{
	int help = argc > 1 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);

	for (size_t i = 0; argc > 1 && i < ACTIONS; i++)
		if (strcmp(argv[1], actions[i].name) == 0)
			return run_action(&actions[i], argc - 1, argv + 1);
	fprintf(help ? stdout : stderr,
	    "usage: niks3 pins create NAME PATH\n"
	    "       niks3 pins list [--names-only] [--json]\n"
	    "       niks3 pins delete NAME\n");
	return help ? 0 : err_exit(ERR_USAGE);
}
