#include "tokens.h"

#include <string.h>

#include "../../proto/scopes.h"
#include "../core/arena.h"
#include "../core/num.h"
#include "db_internal.h"

int
tokens_check_name(const char *name, struct err *e)
{
	static const char digits[] = "0123456789";
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "abcdefghijklmnopqrstuvwxyz"
	                              "0123456789._-";
	size_t len = strlen(name);

	if (len == 0 || len > TOKENS_NAME_MAX || strspn(name, allowed) != len)
		return err_set(e, ERR_INVALID,
		    "name of a token: 1 to %d letters, digits and \"._-\"",
		    TOKENS_NAME_MAX);
	if (strspn(name, digits) == len)
		return err_set(e, ERR_INVALID,
		    "name of a token: a number would be taken for an id");
	return 0;
}

#define US(column) "(extract(epoch FROM " column ") * 1000000)::bigint"

struct create {
	const uint8_t *sha256;
	int64_t life_us;
	struct token *t;
};

static int
prune(struct db *db, struct err *e)
{
	static const char sql[] = "DELETE FROM tokens"
	                          " WHERE least(revoked_at, expires_at) < "
	                          "now() - $1 * interval '1 d'";

	return db_send(db, sql, PARAMS(P_I64(TOKENS_KEPT_DAYS)), e);
}

static int
create(struct db *db, void *ctx, struct err *e)
{
	static const char sql[] =
	    "INSERT INTO tokens (sha256, name, scopes, created_by, expires_at)"
	    " SELECT $1, $2, $3, $4, CASE WHEN $5 > 0"
	    " THEN now() + $5 * interval '1 us' END"
	    " WHERE (SELECT count(*) FROM tokens) < $6"
	    " ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING"
	    " RETURNING id, " US("created_at") ", " US("expires_at");
	const struct create *c = ctx;
	const char *names[SCOPES_MAX];
	size_t n = scopes_names(c->t->scopes, names);
	struct db_array scopes;
	PGresult *r;
	int rc;

	if (prune(db, e) != 0)
		return -1;
	array_init(&scopes, DB_TEXTS);
	for (size_t i = 0; i < n; i++)
		array_text(&scopes, names[i]);
	rc = db_exec(db, sql,
	    PARAMS(P_BYTES(c->sha256, SHA256_LEN), P_TEXT(c->t->name),
	        P_ARRAY(&scopes), P_TEXT(c->t->created_by), P_I64(c->life_us),
	        P_I64(TOKENS_MAX)),
	    &r, e);
	array_done(&scopes);
	if (rc != 0)
		return -1;
	if (PQntuples(r) == 1) {
		c->t->id = row_i64(r, 0, 0);
		c->t->created_us = row_i64(r, 0, 1);
		c->t->expires_us = row_i64(r, 0, 2);
	} else {
		rc = err_set(e, ERR_CONFLICT,
		    "the name is taken, or there are %d tokens", TOKENS_MAX);
		err_hint(e, "revoke the one that has it, or take another name");
	}
	PQclear(r);
	return rc;
}

int
tokens_create(struct db *db, const uint8_t sha256[SHA256_LEN], int64_t life_us,
    struct token *t, struct err *e)
{
	struct create c = { sha256, life_us, t };

	if (db_transaction(db, DB_READ_COMMITTED, create, &c, e) != 0)
		return err_prefix(e, "create a token");
	return 0;
}

/* A name that a newer version wrote gives no right here. */
static unsigned
read_scopes(const PGresult *r, int row, int col, struct arena *a, int *full)
{
	unsigned scopes = 0, one;
	size_t n;
	const char **names = row_texts(r, row, col, a, &n, full);

	for (size_t i = 0; names != NULL && i < n; i++)
		if (scopes_parse(names[i], &one, NULL) == 0)
			scopes |= one;
	return scopes;
}

int
tokens_list(struct db *db, struct arena *a, struct token **out, size_t *n,
    struct err *e)
{
	static const char sql[] =
	    "SELECT id, name, scopes, created_by, " US("created_at") ", " US(
	        "expires_at") ", " US("last_used_at") ", " US("revoked_at") " F"
	                                                                    "RO"
	                                                                    "M "
	                                                                    "to"
	                                                                    "ke"
	                                                                    "ns"
	                                                                    " O"
	                                                                    "RD"
	                                                                    "ER"
	                                                                    " B"
	                                                                    "Y "
	                                                                    "i"
	                                                                    "d";
	struct token *tokens;
	int full = 0;
	PGresult *r;

	if (db_query(db, sql, P_NONE, &r, e) != 0)
		return err_prefix(e, "list tokens");
	tokens = arena_array(a, PQntuples(r), sizeof *tokens);
	for (int i = 0; tokens != NULL && i < PQntuples(r); i++)
		tokens[i] = (struct token){
			.id = row_i64(r, i, 0),
			.name = row_text(r, i, 1, a, &full),
			.scopes = read_scopes(r, i, 2, a, &full),
			.created_by = row_text(r, i, 3, a, &full),
			.created_us = row_i64(r, i, 4),
			.expires_us = row_i64(r, i, 5),
			.last_used_us = row_i64(r, i, 6),
			.revoked_us = row_i64(r, i, 7),
		};
	if (tokens != NULL && !full) {
		*out = tokens;
		*n = PQntuples(r);
	}
	PQclear(r);
	return tokens == NULL || full ? arena_full(a, e) : 0;
}

int
tokens_revoke(struct db *db, const char *which, int64_t *id, struct err *e)
{
	static const char sql[] =
	    "UPDATE tokens SET revoked_at = now()"
	    " WHERE (id = $1 OR name = $2) AND revoked_at IS NULL"
	    " RETURNING id";
	int64_t number = 0;
	PGresult *r;
	int rc = 0;

	if (num_parse_i64(which, strlen(which), &number, NULL) != 0 &&
	    tokens_check_name(which, e) != 0)
		return -1;
	if (db_query(db, sql, PARAMS(P_I64(number), P_TEXT(which)), &r, e) != 0)
		return err_prefix(e, "revoke token %s", which);
	if (PQntuples(r) > 0)
		*id = row_i64(r, 0, 0);
	else
		rc = err_set(e, ERR_NOT_FOUND,
		    "there is no token %s that is not revoked", which);
	PQclear(r);
	return rc;
}

static int
note_use(struct db *db, int64_t id, struct err *e)
{
	static const char sql[] =
	    "UPDATE tokens SET last_used_at = now() WHERE id = $1 AND"
	    " coalesce(last_used_at < now() - interval '1 min', true)";

	return db_query(db, sql, PARAMS(P_I64(id)), NULL, e);
}

#define USE_MEMORY 4096 /* the names of a few scopes */

static int
read_use(const PGresult *r, int64_t *id, unsigned *scopes, int64_t *left_us,
    struct err *e)
{
	struct arena *a;
	int full = 0;

	if (PQntuples(r) == 0)
		return err_set(e, ERR_UNAUTHORIZED, "unknown token");
	if (!row_null(r, 0, 2))
		return err_set(e, ERR_UNAUTHORIZED, "revoked token");
	if (!row_null(r, 0, 3) && row_i64(r, 0, 3) <= 0)
		return err_set(e, ERR_UNAUTHORIZED, "expired token");
	a = arena_new(USE_MEMORY);
	*scopes = read_scopes(r, 0, 1, a, &full);
	arena_free(a);
	if (full)
		return err_set(e, ERR_INTERNAL, "token: too many scopes");
	*id = row_i64(r, 0, 0);
	*left_us = row_null(r, 0, 3) ? INT64_MAX : row_i64(r, 0, 3);
	return 0;
}

int
tokens_use(struct db *db, const uint8_t sha256[SHA256_LEN], int64_t *id,
    unsigned *scopes, int64_t *left_us, struct err *e)
{
	static const char sql[] = "SELECT id, scopes, revoked_at, " US(
	    "expires_at - now()") ","
	                          " coalesce(last_used_at < now() - interval "
	                          "'1 min', true)"
	                          " FROM tokens WHERE sha256 = $1";
	PGresult *r;
	int rc, note;

	if (db_query(db, sql, PARAMS(P_BYTES(sha256, SHA256_LEN)), &r, e) != 0)
		return err_prefix(e, "look up a token");
	rc = read_use(r, id, scopes, left_us, e);
	note = rc == 0 && row_i64(r, 0, 4);
	PQclear(r);
	return note ? note_use(db, *id, e) : rc;
}
