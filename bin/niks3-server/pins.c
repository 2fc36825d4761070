/*
 * /api/v2/pins: roots by name. The row comes before the bucket's pins/NAME when
 * a pin is set, and goes after it when it is deleted, so every such object has
 * a row. What may be written late, the gc worker writes once more (db/pins.h).
 */
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/pins.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../libcommon/nix/objkey.h"
#include "../../libcommon/nix/storepath.h"
#include "../../proto/bodies.h"
#include "server.h"

struct pin_entry
server_pin_entry(struct arena *a, const struct pin *pin)
{
	return (struct pin_entry){
		.name = pin->name,
		.store_path = pin->store_path,
		.created_at = server_time(a, pin->created_us),
		.updated_at = server_time(a, pin->updated_us),
	};
}

int
handle_pins_list(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct pin_list body = { 0 };
	struct pin *pins;
	struct db *db;
	size_t n;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = pins_list(db, q->arena, &pins, &n, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	body.pins.n = n;
	body.pins.items = arena_array(q->arena, n, sizeof *body.pins.items);
	if (body.pins.items == NULL)
		return arena_full(q->arena, e);
	for (size_t i = 0; i < n; i++)
		body.pins.items[i] = server_pin_entry(q->arena, &pins[i]);
	return server_encode(r, 200, &pin_list_desc, &body, e);
}

int
handle_pin_set(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct pin_request body;
	struct pin_put ask = { .name = q->params[0] };
	struct pin_written written;
	char key[OBJKEY_TEXT_MAX];
	const char *base;
	struct db *db;
	int rc;

	if (server_decode(q, &pin_request_desc, &body, e) != 0 ||
	    objkey_check_pin(ask.name, e) != 0 ||
	    storepath_parse(s->store_dir, body.store_path, &base, e) != 0)
		return -1;
	objkey_fmt_narinfo(key, base);
	if (server_db(s, &db, e) != 0)
		return -1;
	rc = pins_set(db, ask.name, key, body.store_path, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	ask.store_path = body.store_path;
	if (ipc_call(s->uploader, CALL_pin_put, &ask, q->arena, &written,
	        deadline_in(PINS_WRITE_MS), e) != 0) {
		err_prefix(
		    e, "the pin holds, but pins/%s was not written", ask.name);
		return err_hint(e, "it will be, in a minute");
	}
	log_info(
	    "pinned", LOG_S("name", ask.name), LOG_S("path", body.store_path));
	r->status = 204;
	return 0;
}

int
handle_pin_delete(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct pin_delete ask = { .name = q->params[0] };
	struct pin pin;
	struct done done;
	struct db *db;
	int rc;

	if (objkey_check_pin(ask.name, e) != 0 || server_db(s, &db, e) != 0)
		return -1;
	rc = pins_get(db, ask.name, q->arena, &pin, e);
	db_put(s->pool, db);
	if (rc != 0 ||
	    ipc_call(s->uploader, CALL_pin_delete, &ask, q->arena, &done,
	        deadline_in(PINS_WRITE_MS), e) != 0 ||
	    server_db(s, &db, e) != 0)
		return -1;
	rc = pins_delete(db, ask.name, e);
	db_put(s->pool, db);
	if (rc != 0)
		return -1;
	log_info("unpinned", LOG_S("name", ask.name));
	r->status = 204;
	return 0;
}
