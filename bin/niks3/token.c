/*
 * niks3 token create|list|revoke: tokens of the server, with scopes and an end.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/opt.h"
#include "../../proto/bodies.h"
#include "../../proto/scopes.h"
#include "action.h"
#include "command.h"
#include "print.h"

#define MEMORY_MAX ((size_t)64 << 20)
#define PATH_PART  "/api/v2/tokens"

struct config {
	struct action_config base;
	struct opt_list scopes;
	int64_t expires;
	const char *name;
	int json, all;
};

#define O(field) offsetof(struct config, field)

static const struct opt create_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ "scope", NULL, OPT_LIST, O(scopes), OPT_REQUIRED, NULL,
	    "read|write|pin|gc|admin",
	    "what it may do; repeat, or part with commas", 0, 0 },
	{ "expires", NULL, OPT_DURATION, O(expires), 0, NULL, "DURATION",
	    "it ends after that (default: never)", 1000,
	    API_AGE_MAX * 1000ULL },
	{ "name", NULL, OPT_STR, O(name), 0, NULL, "NAME",
	    "to know it by, and to revoke it", 0, 0 },
	{ "json", NULL, OPT_BOOL, O(json), 0, NULL, NULL, "print a JSON object",
	    0, 0 },
	{ NULL },
};

static const struct opt list_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ "all", NULL, OPT_BOOL, O(all), 0, NULL, NULL,
	    "also those that were revoked or have expired", 0, 0 },
	{ "json", NULL, OPT_BOOL, O(json), 0, NULL, NULL, "print a JSON array",
	    0, 0 },
	{ NULL },
};

static const struct opt revoke_options[] = {
	REMOTE_OPTIONS(O(base.remote)),
	{ NULL },
};

/* ---- create ---- */

/* Adds those of "read,write". */
static int
add_scopes(const char *text, unsigned *scopes, struct arena *a, struct err *e)
{
	char *copy = arena_str(a, text), *save = NULL, *word;
	unsigned one;

	if (copy == NULL)
		return arena_full(a, e);
	for (word = strtok_r(copy, ",", &save); word != NULL;
	     word = strtok_r(NULL, ",", &save)) {
		if (scopes_parse(word, &one, e) != 0)
			return err_prefix(e, "--scope");
		*scopes |= one;
	}
	return 0;
}

static int
create(struct action_run *r, struct err *e)
{
	const struct config *c = r->config;
	const char *names[SCOPES_MAX];
	struct token_request body = { .name = c->name,
		.expires_in_s = (c->expires + 999999) / 1000000 };
	struct token_created reply;
	unsigned scopes = 0;

	for (size_t i = 0; i < c->scopes.n; i++)
		if (add_scopes(c->scopes.items[i], &scopes, r->a, e) != 0)
			return -1;
	body.scopes.items = names;
	body.scopes.n = scopes_names(scopes, names);
	if (body.scopes.n == 0)
		return err_set(e, ERR_USAGE, "--scope: no scope");
	if (remote_call(r->conn,
	        &(struct remote_call){
	            .method = "POST",
	            .path = PATH_PART,
	            .request_desc = &token_request_desc,
	            .request = &body,
	            .reply_desc = &token_created_desc,
	            .reply = &reply,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        r->a, e) != 0)
		return -1;
	if (c->json)
		return print_json(&token_created_desc, &reply, e);
	log_info("Created token; it is shown this once",
	    LOG_U("id", reply.entry.id),
	    LOG_S("expires",
	        reply.entry.expires_at != NULL ? reply.entry.expires_at
	                                       : "never"));
	print_text(reply.token);
	putchar('\n');
	return 0;
}

/* ---- list ---- */

static int
is_over(const struct token_entry *t)
{
	int64_t expires = print_time(t->expires_at);

	return t->revoked_at != NULL ||
	    (expires >= 0 && expires <= clock_wall_us());
}

static void
print_scopes(const struct token_entry *t)
{
	for (size_t i = 0; i < t->scopes.n; i++) {
		if (i > 0)
			putchar(',');
		print_text(t->scopes.items[i]);
	}
}

/* One column after the other, none wide enough to be aligned by hand. */
static void
print_row(const struct token_entry *t)
{
	char age[PRINT_SPAN_MAX];

	printf("%llu\t", (unsigned long long)t->id);
	print_text(t->name != NULL ? t->name : "-");
	putchar('\t');
	print_scopes(t);
	printf("\t%s\t", print_age(age, t->last_used_at));
	if (t->revoked_at != NULL)
		fputs("revoked", stdout);
	else if (is_over(t))
		fputs("expired", stdout);
	else
		print_when(t->expires_at);
	putchar('\n');
}

static int
list(struct action_run *r, struct err *e)
{
	const struct config *c = r->config;
	struct token_list body;
	size_t n = 0;

	if (remote_call(r->conn,
	        &(struct remote_call){
	            .method = "GET",
	            .path = PATH_PART,
	            .reply_desc = &token_list_desc,
	            .reply = &body,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        r->a, e) != 0)
		return -1;
	if (!c->json)
		printf("ID\tNAME\tSCOPES\tUSED\tEXPIRES\n");
	for (size_t i = 0; i < body.tokens.n; i++) {
		const struct token_entry *t = &body.tokens.items[i];

		if (is_over(t) && !c->all)
			continue;
		if (!c->json)
			print_row(t);
		else if (print_item(&n, &token_entry_desc, t, e) != 0)
			return -1;
	}
	if (c->json)
		print_items_end(n);
	return 0;
}

/* ---- revoke ---- */

static int
revoke(struct action_run *r, struct err *e)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "abcdefghijklmnopqrstuvwxyz"
	                              "0123456789._-";
	const char *which = r->args[0];
	char path[sizeof PATH_PART + API_TOKEN_NAME_MAX + 1];

	if (which[0] == '\0' || strlen(which) > API_TOKEN_NAME_MAX ||
	    which[strspn(which, allowed)] != '\0')
		return err_set(e, ERR_INVALID, "not the id or name of a token");
	snprintf(path, sizeof path, PATH_PART "/%s", which);
	if (remote_call(r->conn,
	        &(struct remote_call){
	            .method = "DELETE",
	            .path = path,
	            .deadline = deadline_in(REMOTE_CALL_MS),
	        },
	        r->a, e) != 0)
		return -1;
	log_info("Revoked token", LOG_S("token", which));
	return 0;
}

static const struct action actions[] = {
	{ "create", create,
	    { "niks3 token create",
	        "niks3 token create --scope SCOPE [OPTION]...",
	        "Makes a token and prints it, this once.", create_options, 0,
	        0 } },
	{ "list", list,
	    { "niks3 token list", "niks3 token list [OPTION]...",
	        "Lists tokens, without what they are.", list_options, 0, 0 } },
	{ "revoke", revoke,
	    { "niks3 token revoke", "niks3 token revoke [OPTION]... ID|NAME",
	        "Ends a token.", revoke_options, 1, 1, "" } },
};

const struct action_set token_actions = {
	.actions = actions,
	.n = sizeof actions / sizeof actions[0],
	.config_size = sizeof(struct config),
	.memory = MEMORY_MAX,
};

int
command_token(int argc, char **argv)
{
	return action_main(&token_actions, argc, argv);
}
