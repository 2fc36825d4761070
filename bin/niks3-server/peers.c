#include "peers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/arena.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/process.h"
#include "../../libcommon/ipc/ipc.h"
#include "../../proto/metrics.h"
#include "ticker.h"

#define ASK_MS 1000
#define MEMORY ((size_t)4 << 20)

struct peer {
	struct metrics *metrics; /* NULL: a free place */
	char id[PROCESS_ID_MAX];
	enum role role;
	deadline_t until; /* when it is forgotten */
	unsigned turn;    /* in which it answered last */
};

struct peers {
	struct peers_options o;
	struct ticker *ticker;
	struct arena *arena;
	unsigned turn;
	pthread_mutex_t lock; /* of the list */
	struct peer list[PEERS_MAX];
};

/* Its place, or a new one; NULL when there is none left. */
static struct peer *
find(struct peers *p, enum role role, const char *id)
{
	struct peer *place = NULL;

	for (struct peer *x = p->list; x < p->list + PEERS_MAX; x++) {
		if (x->metrics == NULL)
			place = place != NULL ? place : x;
		else if (x->role == role && strcmp(x->id, id) == 0)
			return x;
	}
	if (place == NULL || strlen(id) >= sizeof place->id)
		return NULL;
	*place =
	    (struct peer){ .role = role, .metrics = daemon_metrics_new(role) };
	strcpy(place->id, id);
	return place;
}

/* Returns 1 when this one had not answered in this turn yet. */
static int
note(struct peers *p, enum role role, const struct figures_told *told,
    struct err *e)
{
	struct peer *x;
	int rc = -1;

	pthread_mutex_lock(&p->lock);
	if ((x = find(p, role, told->process_id)) == NULL) {
		err_set(e, ERR_TOO_LARGE, "over %d processes", PEERS_MAX);
	} else if (ipc_figures_take(told, x->metrics, e) == 0) {
		rc = x->turn != p->turn;
		x->turn = p->turn;
		x->until = deadline_in(PEERS_KEEP_MS);
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static void
ask(struct peers *p, struct ipc_client *client, enum role role)
{
	unsigned n = ipc_client_peers(client), most, known = 0;
	struct figures q = { 0 };
	struct figures_told told;
	struct err e = ERR_INIT;

	n = n < PEERS_MAX ? n : PEERS_MAX;
	most = n > 1 ? 2 * n : n;
	for (unsigned i = 0; known < n && i < most; i++) {
		int rc;

		arena_reset(p->arena);
		rc = ipc_call(client, CALL_figures, &q, p->arena, &told,
		    deadline_in(ASK_MS), &e);
		if (rc == 0)
			rc = note(p, role, &told, &e);
		if (rc == -1) {
			log_err(LOG_LEVEL_INFO, "no figures", &e);
			return;
		}
		known += rc;
	}
}

static void
forget(struct peers *p)
{
	pthread_mutex_lock(&p->lock);
	for (struct peer *x = p->list; x < p->list + PEERS_MAX; x++)
		if (x->metrics != NULL && deadline_left(x->until) == 0) {
			metrics_free(x->metrics);
			x->metrics = NULL;
		}
	pthread_mutex_unlock(&p->lock);
}

static void
ask_all(void *ctx)
{
	struct peers *p = ctx;

	p->turn++;
	ask(p, p->o.signer, ROLE_SIGNER);
	ask(p, p->o.uploader, ROLE_UPLOADER);
	ask(p, p->o.gc, ROLE_GC);
	forget(p);
}

struct peers *
peers_new(const struct peers_options *o)
{
	struct peers *p = xcalloc(1, sizeof *p);

	p->o = *o;
	p->arena = arena_new(MEMORY);
	pthread_mutex_init(&p->lock, NULL);
	p->ticker = ticker_new(PEERS_EVERY_MS, ask_all, p);
	return p;
}

void
peers_free(struct peers *p)
{
	if (p == NULL)
		return;
	ticker_free(p->ticker);
	for (size_t i = 0; i < PEERS_MAX; i++)
		metrics_free(p->list[i].metrics);
	arena_free(p->arena);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int
peers_write(struct peers *p, struct buf *out, struct err *e)
{
	struct metric_source sources[PEERS_MAX];
	const char *labels[PEERS_MAX][2][2];
	size_t n = 0;
	int rc;

	pthread_mutex_lock(&p->lock);
	for (const struct peer *x = p->list; x < p->list + PEERS_MAX; x++) {
		if (x->metrics == NULL)
			continue;
		labels[n][0][0] = "process";
		labels[n][0][1] = role_names[x->role];
		labels[n][1][0] = "process_id";
		labels[n][1][1] = x->id;
		sources[n] = (struct metric_source){ x->metrics, labels[n], 2 };
		n++;
	}
	rc = metrics_write(sources, n, out, e);
	pthread_mutex_unlock(&p->lock);
	return rc;
}
