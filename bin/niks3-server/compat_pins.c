/* /api/pins, in the shapes that clients of the compatible API know. */
#include <string.h>

#include "../../libcommon/codec/json.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/db/pins.h"
#include "../../proto/bodies.h"
#include "compat.h"

/* A list without a frame, which our descriptors do not have. */
int
handle_compat_pins(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct server *s = worker;
	struct pin *pins;
	struct db *db;
	size_t n;
	int rc;

	if (server_db(s, &db, e) != 0)
		return -1;
	rc = pins_list(db, q->arena, &pins, &n, e);
	db_put(s->pool, db);
	if (rc != 0 || buf_putc(&r->body, '[', e) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct pin_entry entry = server_pin_entry(q->arena, &pins[i]);

		if ((i > 0 && buf_putc(&r->body, ',', e) != 0) ||
		    json_encode(&pin_entry_desc, &entry, &r->body, e) != 0)
			return -1;
	}
	return buf_puts(&r->body, "]\n", e);
}

int
handle_compat_pin_set(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	struct pin_request body;
	struct err why = ERR_INIT;

	if (json_decode(&pin_request_desc, q->body, q->body_len, q->arena,
	        &body, &why) != 0 &&
	    strstr(why.msg, "store_path: missing") != NULL)
		return err_set(e, ERR_INVALID, "missing store_path");
	if (handle_pin_set(worker, q, r, e) == 0)
		return 0;
	if (e->kind == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND,
		    "closure not found: store path must be pushed before "
		    "pinning");
	return -1;
}

int
handle_compat_pin_delete(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	if (handle_pin_delete(worker, q, r, e) == 0)
		return 0;
	if (e->kind == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND, "pin not found");
	return -1;
}
