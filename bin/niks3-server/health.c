#include "health.h"

#include <pthread.h>
#include <stdlib.h>

#include "../../libcommon/core/err.h"
#include "../../libcommon/db/db.h"
#include "../../libcommon/ipc/ipc.h"
#include "server.h"

#define KEEP_MS  1000
#define STALE_MS 10000 /* while somebody looks, others get an older answer */
#define PART_MS  1000  /* for each part to answer */

enum part {
	DATABASE = 1,
	SIGNER = 2,
	UPLOADER = 4,
	ALL = 7
};

struct health {
	pthread_mutex_t lock;
	int looking;
	int known;      /* somebody has looked */
	int64_t at_ms;  /* when that was */
	unsigned there; /* a set of enum part */
};

struct health *
health_new(void)
{
	struct health *h = xcalloc(1, sizeof *h);

	pthread_mutex_init(&h->lock, NULL);
	return h;
}

void
health_free(struct health *h)
{
	if (h == NULL)
		return;
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int
health_database(struct server *s, deadline_t d, struct err *e)
{
	struct db *db;
	int rc;

	if (db_get(s->pool, d, &db, e) != 0)
		return err_prefix(e, "database");
	rc = db_schema_check(db, e);
	db_put(s->pool, db);
	return rc;
}

int
health_peer(struct ipc_client *c, const char *name, struct arena *a,
    deadline_t d, const char **version, struct err *e)
{
	struct ping ping = { 0 };
	struct pong pong;

	if (ipc_client_peers(c) == 0)
		return err_set(e, ERR_UNAVAILABLE, "%s: not connected", name);
	if (ipc_call(c, CALL_ping, &ping, a, &pong, d, e) != 0)
		return -1;
	*version = pong.version;
	return 0;
}

static int
peer_there(struct ipc_client *c, struct arena *a)
{
	const char *version;

	return health_peer(c, "", a, deadline_in(PART_MS), &version, NULL) == 0;
}

/* Looks. */
static unsigned
probe(struct server *s, struct arena *a)
{
	return (health_database(s, deadline_in(PART_MS), NULL) == 0 ? DATABASE
	                                                            : 0) |
	    (peer_there(s->signer, a) ? SIGNER : 0) |
	    (peer_there(s->uploader, a) ? UPLOADER : 0);
}

/* The answer that is kept, or a new one. -1: there is none yet. */
static int
parts_there(struct server *s, struct arena *a)
{
	struct health *h = s->health;
	int64_t now = clock_mono_ms(), keep;
	int there;

	pthread_mutex_lock(&h->lock);
	keep = h->looking ? STALE_MS : KEEP_MS;
	there = h->known && now - h->at_ms < keep ? (int)h->there : -1;
	if (there != -1 || h->looking) {
		pthread_mutex_unlock(&h->lock);
		return there;
	}
	h->looking = 1;
	pthread_mutex_unlock(&h->lock);

	there = probe(s, a);
	pthread_mutex_lock(&h->lock);
	h->looking = 0;
	h->known = 1;
	h->at_ms = clock_mono_ms();
	h->there = there;
	pthread_mutex_unlock(&h->lock);
	return there;
}

int
handle_readyz(
    void *worker, const struct http_req *q, struct http_res *r, struct err *e)
{
	static const struct {
		enum part part;
		const char *name;
	} parts[] = { { DATABASE, "database" }, { SIGNER, "signer" },
		{ UPLOADER, "uploader" } };
	int there = parts_there(worker, q->arena);

	r->content_type = "text/plain; charset=utf-8";
	if (http_res_header(q, r, "Cache-Control", "no-store", e) != 0)
		return -1;
	if (there == ALL)
		return buf_puts(&r->body, "ready\n", e);
	r->status = 503;
	if (there == -1)
		return buf_puts(&r->body, "not known yet\n", e);
	if (buf_puts(&r->body, "missing:", e) != 0)
		return -1;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (!(there & parts[i].part) &&
		    buf_printf(&r->body, e, " %s", parts[i].name) != 0)
			return -1;
	return buf_putc(&r->body, '\n', e);
}
