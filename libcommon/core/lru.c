#include "lru.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "map.h"

#define SHARE 8 /* of the cache that one entry may take */

struct entry {
	struct entry *newer, *older;
	deadline_t until;
	size_t key_len, len;
	char bytes[]; /* the key, then the value */
};

struct lru {
	pthread_mutex_t lock;
	struct map *map;
	struct entry *newest, *oldest;
	size_t max, bytes;
	uint64_t hits, misses;
};

static size_t
cost(const struct entry *n)
{
	return n->key_len + n->len + LRU_OVERHEAD;
}

static void
unlink_entry(struct lru *c, struct entry *n)
{
	*(n->newer != NULL ? &n->newer->older : &c->newest) = n->older;
	*(n->older != NULL ? &n->older->newer : &c->oldest) = n->newer;
}

static void
link_newest(struct lru *c, struct entry *n)
{
	n->newer = NULL;
	n->older = c->newest;
	*(n->older != NULL ? &n->older->newer : &c->oldest) = n;
	c->newest = n;
}

static void
drop(struct lru *c, struct entry *n)
{
	map_del(c->map, n->bytes, n->key_len);
	unlink_entry(c, n);
	c->bytes -= cost(n);
	free(n);
}

struct lru *
lru_new(size_t max)
{
	struct lru *c = xcalloc(1, sizeof *c);

	pthread_mutex_init(&c->lock, NULL);
	c->map = map_new(0);
	c->max = max;
	return c;
}

void
lru_free(struct lru *c)
{
	if (c == NULL)
		return;
	while (c->oldest != NULL)
		drop(c, c->oldest);
	map_free(c->map);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int
lru_get(struct lru *c, const char *key, struct buf *out)
{
	struct entry *n;
	int hit = 0;

	pthread_mutex_lock(&c->lock);
	n = map_get(c->map, key, strlen(key));
	if (n != NULL && deadline_left(n->until) == 0) {
		drop(c, n);
		n = NULL;
	}
	if (n != NULL) {
		unlink_entry(c, n);
		link_newest(c, n);
		hit = buf_append(out, n->bytes + n->key_len, n->len, NULL) == 0;
	}
	*(hit ? &c->hits : &c->misses) += 1;
	pthread_mutex_unlock(&c->lock);
	return hit;
}

void
lru_put(struct lru *c, const char *key, const void *value, size_t len,
    deadline_t until)
{
	size_t key_len = strlen(key);
	struct entry *n, *old;

	if (len > c->max / SHARE || key_len + LRU_OVERHEAD > c->max / SHARE) {
		lru_del(c, key);
		return;
	}
	n = xmalloc(sizeof *n + key_len + len);
	n->until = until;
	n->key_len = key_len;
	n->len = len;
	memcpy(n->bytes, key, key_len);
	memcpy(n->bytes + key_len, value, len);
	pthread_mutex_lock(&c->lock);
	if ((old = map_get(c->map, key, key_len)) != NULL)
		drop(c, old);
	map_put(c->map, n->bytes, key_len, n);
	link_newest(c, n);
	c->bytes += cost(n);
	while (c->bytes > c->max)
		drop(c, c->oldest);
	pthread_mutex_unlock(&c->lock);
}

void
lru_del(struct lru *c, const char *key)
{
	struct entry *n;

	pthread_mutex_lock(&c->lock);
	if ((n = map_get(c->map, key, strlen(key))) != NULL)
		drop(c, n);
	pthread_mutex_unlock(&c->lock);
}

void
lru_counts(struct lru *c, struct lru_counts *out)
{
	pthread_mutex_lock(&c->lock);
	*out = (struct lru_counts){
		.hits = c->hits,
		.misses = c->misses,
		.entries = map_len(c->map),
		.bytes = c->bytes,
	};
	pthread_mutex_unlock(&c->lock);
}
