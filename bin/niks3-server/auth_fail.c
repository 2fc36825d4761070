#include "auth_fail.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/err.h"

struct address {
	char name[INET6_ADDRSTRLEN];
	int64_t last;     /* when it failed last */
	int64_t forgiven; /* up to when what was failed is forgiven */
	unsigned failed;
};

struct auth_fail {
	pthread_mutex_t lock;
	struct address table[AUTH_FAIL_MAX];
	size_t n;
};

struct auth_fail *
auth_fail_new(void)
{
	struct auth_fail *f = xcalloc(1, sizeof *f);

	pthread_mutex_init(&f->lock, NULL);
	return f;
}

void
auth_fail_free(struct auth_fail *f)
{
	if (f == NULL)
		return;
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static void
name_of(char name[INET6_ADDRSTRLEN], const char *remote)
{
	struct in6_addr in;

	snprintf(name, INET6_ADDRSTRLEN, "%s", remote);
	if (inet_pton(AF_INET6, remote, &in) != 1)
		return;
	memset(&in.s6_addr[8], 0, 8);
	inet_ntop(AF_INET6, &in, name, INET6_ADDRSTRLEN);
}

/* A scan of the table takes some microseconds, and only failures pay it. */
static struct address *
find(struct auth_fail *f, const char *name, int64_t now)
{
	struct address *oldest = &f->table[0];

	for (size_t i = 0; i < f->n; i++) {
		if (strcmp(f->table[i].name, name) == 0)
			return &f->table[i];
		if (f->table[i].last < oldest->last)
			oldest = &f->table[i];
	}
	if (f->n < AUTH_FAIL_MAX)
		oldest = &f->table[f->n++];
	*oldest = (struct address){ .forgiven = now };
	memcpy(oldest->name, name, INET6_ADDRSTRLEN);
	return oldest;
}

static void
forgive(struct address *a, int64_t now)
{
	int64_t n = (now - a->forgiven) / AUTH_FAIL_FORGIVE_MS;

	a->forgiven += n * AUTH_FAIL_FORGIVE_MS;
	a->failed -= n < a->failed ? (unsigned)n : a->failed;
}

int64_t
auth_fail_note(struct auth_fail *f, const char *remote, int64_t now)
{
	char name[INET6_ADDRSTRLEN] = "";
	int64_t ms = 0;
	struct address *a;

	name_of(name, remote);
	pthread_mutex_lock(&f->lock);
	a = find(f, name, now);
	forgive(a, now);
	a->last = now;
	if (a->failed >= AUTH_FAIL_FREE) {
		ms = AUTH_FAIL_FIRST_MS;
		for (unsigned i = AUTH_FAIL_FREE;
		     i < a->failed && ms < AUTH_FAIL_MOST_MS; i++)
			ms *= 2;
	}
	if (ms >= AUTH_FAIL_MOST_MS)
		ms = AUTH_FAIL_MOST_MS; /* and counts no further */
	else
		a->failed++;
	pthread_mutex_unlock(&f->lock);
	return ms;
}
