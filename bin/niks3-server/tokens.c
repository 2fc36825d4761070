/*
 * /api/v2/tokens: tokens with scopes, a name and an end. What is made here is
 * shown in the answer and is nowhere afterwards.
 */
#include <stdio.h>
#include <string.h>

#include "../../libcommon/codec/base64.h"
#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/secret.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/tokens.h"
#include "../../proto/bodies.h"
#include "auth.h"
#include "server.h"

#define SECRET_BYTES 32

static int
entry_fill(struct token_entry *to, const struct token *t, struct arena *a,
    struct err *e)
{
	const char *names[SCOPES_MAX];
	size_t n = scopes_names(t->scopes, names);

	*to = (struct token_entry){
		.id = t->id,
		.name = t->name,
		.created_by = t->created_by,
		.created_at = server_time(a, t->created_us),
		.expires_at = server_time(a, t->expires_us),
		.last_used_at = server_time(a, t->last_used_us),
		.revoked_at = server_time(a, t->revoked_us),
	};
	to->scopes.items = arena_dup(a, names, n * sizeof *names);
	to->scopes.n = n;
	return to->scopes.items != NULL ? 0 : arena_full(a, e);
}

static int
create_check(const struct http_req *q, const struct token_request *body,
    unsigned *scopes, struct err *e)
{
	const char *lacking;

	if (scopes_parse_list(body->scopes.items, body->scopes.n, scopes, e) !=
	        0 ||
	    (body->name != NULL && tokens_check_name(body->name, e) != 0))
		return -1;
	if ((*scopes & ~q->scopes) == 0)
		return 0;
	lacking = scopes_wanted(*scopes & ~q->scopes);
	return err_set(e, ERR_FORBIDDEN,
	    "the scope %s cannot be given by who lacks it", lacking);
}

int
handle_token_create(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct token_request body;
	struct token t = { .created_by = q->who };
	struct token_created reply = { 0 };
	uint8_t random[SECRET_BYTES], digest[SHA256_LEN];
	char text[AUTH_TOKEN_PREFIX_LEN + 2 * SECRET_BYTES + 1] =
	    AUTH_TOKEN_PREFIX;
	struct db *db;
	int rc;

	if (server_decode(q, &token_request_desc, &body, e) != 0 ||
	    create_check(q, &body, &t.scopes, e) != 0 ||
	    server_db(s, &db, e) != 0)
		return -1;
	t.name = body.name;
	secret_random(random, sizeof random);
	hex_fmt(text + AUTH_TOKEN_PREFIX_LEN, random, sizeof random);
	sha256(text, strlen(text), digest);
	rc = tokens_create(
	    db, digest, (int64_t)body.expires_in_s * 1000000, &t, e);
	db_put(s->pool, db);
	if (rc == 0)
		rc = entry_fill(&reply.entry, &t, q->arena, e);
	if (rc == 0) {
		log_info("token created", LOG_I("id", t.id),
		    LOG_S("name", t.name != NULL ? t.name : ""),
		    LOG_S("by", q->who));
		reply.token = text;
		rc = server_encode(r, 201, &token_created_desc, &reply, e);
	}
	explicit_bzero(random, sizeof random);
	explicit_bzero(text, sizeof text);
	return rc;
}

int
handle_tokens_list(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct token_list body = { 0 };
	struct token *tokens;
	struct db *db;
	size_t n;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = tokens_list(db, q->arena, &tokens, &n, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	body.tokens.n = n;
	body.tokens.items = arena_array(q->arena, n, sizeof *body.tokens.items);
	if (body.tokens.items == NULL)
		return arena_full(q->arena, e);
	for (size_t i = 0; i < n; i++)
		if (entry_fill(
		        &body.tokens.items[i], &tokens[i], q->arena, e) != 0)
			return -1;
	return server_encode(r, 200, &token_list_desc, &body, e);
}

int
handle_token_revoke(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct db *db;
	int64_t id;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = tokens_revoke(db, q->params[0], &id, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	auth_forget_token(s->auth, id);
	log_info("token revoked", LOG_I("id", id), LOG_S("by", q->who));
	r->status = 204;
	return 0;
}
