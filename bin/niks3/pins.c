/*
 * niks3 pins create|list|delete: closures that are kept by name.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../libcommon/local/nixenv.h"
#include "../../libcommon/nix/objkey.h"
#include "../../proto/bodies.h"
#include "action.h"
#include "command.h"
#include "nixcmd.h"
#include "print.h"

#define MEMORY_MAX ((size_t)1 << 30) /* a million pins */

struct config {
	struct action_config base;
	int names_only, json;
};

#define O(field) offsetof(struct config, field)

static const struct opt plain_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ NULL },
};

static const struct opt list_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ "names-only", NULL, OPT_BOOL, O(names_only), 0, NULL, NULL,
	    "print only the names, one a line", 0, 0 },
	{ "json", NULL, OPT_BOOL, O(json), 0, NULL, NULL, "print a JSON array",
	    0, 0 },
	{ NULL },
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
create(struct action_run *r, struct err *e)
{
	const char *store_dir, *base;

	if (nixenv_store_dir(&store_dir, e) != 0 ||
	    nixcmd_resolve(store_dir, r->args[1], r->a, &base, e) != 0)
		return -1;
	return pins_create(r->conn, r->a, r->args[0], store_dir, base, e);
}

static int
drop(struct action_run *r, struct err *e)
{
	if (call(r->conn, r->a, "DELETE", r->args[0], NULL, e) != 0)
		return -1;
	log_info("Deleted pin", LOG_S("name", r->args[0]));
	return 0;
}

static int
print_array(const struct pin_list *list, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < list->pins.n; i++)
		if (print_item(&n, &pin_entry_desc, &list->pins.items[i], e) !=
		    0)
			return -1;
	print_items_end(n);
	return 0;
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
list(struct action_run *r, struct err *e)
{
	const struct config *c = r->config;
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
	if (c->json)
		return print_array(&body, e);
	if (!c->names_only)
		print_table(&body);
	else
		for (size_t i = 0; i < body.pins.n; i++)
			printf("%s\n", body.pins.items[i].name);
	return 0;
}

static const struct action actions[] = {
	{ "create", create,
	    { "niks3 pins create", "niks3 pins create [OPTION]... NAME PATH",
	        "Keeps the closure of PATH, which was pushed, by NAME.",
	        plain_options, 2, 2 } },
	{ "list", list,
	    { "niks3 pins list", "niks3 pins list [OPTION]...",
	        "Lists the pins by name.", list_options, 0, 0 } },
	{ "delete", drop,
	    { "niks3 pins delete", "niks3 pins delete [OPTION]... NAME",
	        "Lets go what NAME keeps.", plain_options, 1, 1, "" } },
};

const struct action_set pins_actions = {
	.actions = actions,
	.n = sizeof actions / sizeof actions[0],
	.config_size = sizeof(struct config),
	.memory = MEMORY_MAX,
};

int
command_pins(int argc, char **argv)
{
	return action_main(&pins_actions, argc, argv);
}
