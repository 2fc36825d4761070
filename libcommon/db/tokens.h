/*
 * Tokens of the API. The database knows the hash alone: the caller makes the
 * token, shows it once and forgets it.
 *
 * Expiry goes by PostgreSQL's clock. A name is that of at most one token that is
 * not revoked, and no number, so that one word can be an id or a name.
 */
#ifndef DB_TOKENS_H
#define DB_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "../codec/sha256.h"

struct arena;
struct db;
struct err;

#define TOKENS_NAME_MAX 100
#define TOKENS_MAX      10000 /* rows, also of those that ended */
/* How long one that ended is listed; it goes when the next one is created. */
#define TOKENS_KEPT_DAYS 90

struct token {
	int64_t id;
	const char *name; /* or NULL */
	unsigned scopes;  /* proto/scopes.h; of a list also names that are none
			       of ours, which are left out */
	const char *created_by;
	int64_t created_us; /* wall clock; 0 is never */
	int64_t expires_us, last_used_us, revoked_us;
};

/* Letters, digits and "._-", not only digits. */
int tokens_check_name(const char *name, struct err *e);

/*
 * scopes, created_by, name and the life in microseconds (0: for ever) are in;
 * id and times are out. CONFLICT when the name is taken or there are TOKENS_MAX.
 */
int tokens_create(struct db *db, const uint8_t sha256[SHA256_LEN],
    int64_t life_us, struct token *t, struct err *e);
/* By id. */
int tokens_list(struct db *db, struct arena *a, struct token **out, size_t *n,
    struct err *e);
/* By id or name. NOT_FOUND when there is none that is not revoked yet. */
int tokens_revoke(struct db *db, const char *which, int64_t *id, struct err *e);

/*
 * The token of that hash, which notes that it was used. left_us gets how long it
 * will live, INT64_MAX for ever. UNAUTHORIZED when there is none, it was revoked
 * or its time is over; the text says which.
 */
int tokens_use(struct db *db, const uint8_t sha256[SHA256_LEN], int64_t *id,
    unsigned *scopes, int64_t *left_us, struct err *e);

#endif
