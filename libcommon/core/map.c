#include "map.h"

#include <pthread.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "secret.h"

#define SLOTS_MIN ((size_t)16)

/*
 * Linear probing. A slot is free when its value is NULL; there are no
 * tombstones, since map_del moves later slots of the run back. At least a
 * quarter of the slots are free, so every probe ends.
 */
struct slot {
	const void *key;
	void *value;
	uint32_t len;
	uint32_t hash;
};

struct map {
	struct slot *slots;
	size_t mask; /* number of slots - 1; a power of two - 1 */
	size_t len;
};

static unsigned char hash_key[crypto_shorthash_KEYBYTES];

static void
hash_key_init(void)
{
	secret_random(hash_key, sizeof hash_key);
}

static uint32_t
hash(const void *key, size_t len)
{
	uint32_t h[crypto_shorthash_BYTES / 4];

	crypto_shorthash((unsigned char *)h, key, len, hash_key);
	return h[0];
}

/* Enough slots for n entries. */
static size_t
slots_for(size_t n)
{
	size_t slots = SLOTS_MIN;

	while (slots / 4 * 3 < n)
		if (__builtin_mul_overflow(slots, 2, &slots))
			err_die("map of %zu entries", n);
	return slots;
}

struct map *
map_new(size_t expected)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct map *m = xmalloc(sizeof *m);
	size_t slots = slots_for(expected);

	pthread_once(&once, hash_key_init);
	m->slots = xcalloc(slots, sizeof *m->slots);
	m->mask = slots - 1;
	m->len = 0;
	return m;
}

void
map_free(struct map *m)
{
	if (m == NULL)
		return;
	free(m->slots);
	free(m);
}

size_t
map_len(const struct map *m)
{
	return m->len;
}

/* The slot that holds the key, or the free one where it belongs. */
static struct slot *
find(const struct map *m, const void *key, size_t len, uint32_t h)
{
	for (size_t i = h & m->mask;; i = (i + 1) & m->mask) {
		struct slot *s = &m->slots[i];

		if (s->value == NULL ||
		    (s->hash == h && s->len == len &&
		        (len == 0 || memcmp(s->key, key, len) == 0)))
			return s;
	}
}

static void
grow(struct map *m)
{
	struct slot *old = m->slots;
	size_t n = m->mask + 1;

	m->slots = xcalloc(n, 2 * sizeof *m->slots);
	m->mask = 2 * n - 1;
	for (size_t i = 0; i < n; i++) {
		size_t to = old[i].hash & m->mask;

		if (old[i].value == NULL)
			continue;
		while (m->slots[to].value != NULL)
			to = (to + 1) & m->mask;
		m->slots[to] = old[i];
	}
	free(old);
}

void *
map_get(const struct map *m, const void *key, size_t len)
{
	return find(m, key, len, hash(key, len))->value;
}

void *
map_put(struct map *m, const void *key, size_t len, void *value)
{
	uint32_t h = hash(key, len);
	struct slot *s = find(m, key, len, h);
	void *before = s->value;

	if (value == NULL || len > UINT32_MAX)
		err_die("map_put: no value, or a key of %zu bytes", len);
	if (before == NULL && slots_for(m->len + 1) > m->mask + 1) {
		grow(m);
		s = find(m, key, len, h);
	}
	m->len += before == NULL;
	*s = (struct slot){ key, value, (uint32_t)len, h };
	return before;
}

void *
map_del(struct map *m, const void *key, size_t len)
{
	struct slot *s = find(m, key, len, hash(key, len));
	size_t hole = (size_t)(s - m->slots);
	void *before = s->value;

	if (before == NULL)
		return NULL;
	/*
	 * Close the hole: whatever behind it in the run may stand there, that
	 * is, whose own place is not between the hole and where it stands.
	 */
	for (size_t i = (hole + 1) & m->mask; m->slots[i].value != NULL;
	     i = (i + 1) & m->mask) {
		size_t home = m->slots[i].hash & m->mask;

		if (((i - home) & m->mask) >= ((i - hole) & m->mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct slot){ 0 };
	m->len--;
	return before;
}

void *
map_next(const struct map *m, size_t *i)
{
	while (*i <= m->mask) {
		void *value = m->slots[(*i)++].value;

		if (value != NULL)
			return value;
	}
	return NULL;
}
