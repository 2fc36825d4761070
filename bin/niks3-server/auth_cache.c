#include "auth_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/map.h"

struct entry {
	uint8_t key[SHA256_LEN];
	struct auth_identity id;
	deadline_t until;
	int used;
};

struct auth_cache {
	pthread_mutex_t lock;
	struct map *map;    /* of the entries that are used */
	struct entry *ring; /* AUTH_CACHE_MAX */
	size_t next;        /* the oldest */
	uint64_t epoch;
};

struct auth_cache *
auth_cache_new(void)
{
	struct auth_cache *c = xcalloc(1, sizeof *c);

	pthread_mutex_init(&c->lock, NULL);
	c->map = map_new(AUTH_CACHE_MAX);
	c->ring = xcalloc(AUTH_CACHE_MAX, sizeof *c->ring);
	return c;
}

void
auth_cache_free(struct auth_cache *c)
{
	if (c == NULL)
		return;
	map_free(c->map);
	free(c->ring);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void
drop(struct auth_cache *c, struct entry *it)
{
	map_del(c->map, it->key, sizeof it->key);
	it->used = 0;
}

int
auth_cache_get(struct auth_cache *c, const uint8_t key[SHA256_LEN],
    struct auth_identity *out)
{
	struct entry *it;

	pthread_mutex_lock(&c->lock);
	it = map_get(c->map, key, SHA256_LEN);
	if (it != NULL && deadline_left(it->until) == 0) {
		drop(c, it);
		it = NULL;
	}
	if (it != NULL)
		*out = it->id;
	pthread_mutex_unlock(&c->lock);
	return it != NULL;
}

void
auth_cache_put(struct auth_cache *c, const uint8_t key[SHA256_LEN],
    const struct auth_identity *id, int64_t ms, uint64_t epoch)
{
	struct entry *it;

	pthread_mutex_lock(&c->lock);
	if (epoch == c->epoch) {
		it = map_get(c->map, key, SHA256_LEN);
		if (it == NULL) {
			it = &c->ring[c->next++ % AUTH_CACHE_MAX];
			if (it->used)
				drop(c, it);
			memcpy(it->key, key, SHA256_LEN);
			it->used = 1;
			map_put(c->map, it->key, SHA256_LEN, it);
		}
		it->id = *id;
		it->until = deadline_in(ms);
	}
	pthread_mutex_unlock(&c->lock);
}

void
auth_cache_forget(struct auth_cache *c, int64_t token_id)
{
	pthread_mutex_lock(&c->lock);
	c->epoch++;
	for (size_t i = 0; i < AUTH_CACHE_MAX; i++)
		if (c->ring[i].used && c->ring[i].id.token_id == token_id)
			drop(c, &c->ring[i]);
	pthread_mutex_unlock(&c->lock);
}

uint64_t
auth_cache_epoch(struct auth_cache *c)
{
	uint64_t epoch;

	pthread_mutex_lock(&c->lock);
	epoch = c->epoch;
	pthread_mutex_unlock(&c->lock);
	return epoch;
}
