/* POST /api/v2/present: which closures need no push. */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/db/closures.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/bodies.h"
#include "server.h"

int
handle_present(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct present_request body;
	struct present_reply reply = { 0 };
	const char **keys;
	char key[OBJKEY_TEXT_MAX];
	struct db *db;
	int *present;
	size_t n;
	int rc;

	if (server_decode(q, &present_request_desc, &body, e) != 0)
		return -1;
	n = body.roots.n;
	keys = arena_array(q->arena, n, sizeof *keys);
	present = arena_array(q->arena, n, sizeof *present);
	reply.present.items =
	    arena_array(q->arena, n, sizeof *reply.present.items);
	if (keys == NULL || present == NULL || reply.present.items == NULL)
		return arena_full(q->arena, e);
	for (size_t i = 0; i < n; i++) {
		const char *base = body.roots.items[i];

		if (storepath_check_base(base, strlen(base), e) != 0)
			return err_prefix(e, "roots[%zu]", i);
		objkey_fmt_narinfo(key, base);
		if ((keys[i] = arena_str(q->arena, key)) == NULL)
			return arena_full(q->arena, e);
	}
	if (server_db(s, &db, e) != 0)
		return -1;
	rc = closures_present(db, keys, n, present, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (present[i])
			reply.present.items[reply.present.n++] =
			    body.roots.items[i];
	return server_encode(r, 200, &present_reply_desc, &reply, e);
}
