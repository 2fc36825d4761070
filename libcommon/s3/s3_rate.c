#include "s3_internal.h"

#define SECOND 1000000
#define LOWER  0.7
#define RAISE  0.1
#define BURST  0.25 /* seconds' worth of tokens that may be saved */

void
s3_rate_init(struct s3_rate *r, double rate)
{
	*r = (struct s3_rate){ .rate = rate };
	pthread_mutex_init(&r->lock, NULL);
}

void
s3_rate_done(struct s3_rate *r)
{
	pthread_mutex_destroy(&r->lock);
}

static void
count(struct s3_rate *r, int64_t now_us)
{
	int64_t past = now_us - r->second_us;

	if (past >= SECOND) {
		r->before = past < 2 * SECOND ? r->now : 0;
		r->now = 0;
		r->second_us = now_us - past % SECOND;
	}
	r->now++;
}

/* Requests begun in the second that ends now, the older part estimated. */
static double
observed(const struct s3_rate *r, int64_t now_us)
{
	int64_t past = now_us - r->second_us;

	if (past >= SECOND)
		return past < 2 * SECOND ? r->now : 0;
	return r->now + r->before * (1.0 - (double)past / SECOND);
}

static void
refill(struct s3_rate *r, int64_t now_us)
{
	double most = r->rate * BURST > 1 ? r->rate * BURST : 1;

	r->tokens += r->rate * (now_us - r->refilled_us) / SECOND;
	if (r->tokens > most)
		r->tokens = most;
	r->refilled_us = now_us;
}

int64_t
s3_rate_take(struct s3_rate *r, int64_t now_us, int64_t most_us)
{
	int64_t wait = 0;

	pthread_mutex_lock(&r->lock);
	if (r->rate > 0) {
		refill(r, now_us);
		if (r->tokens < 1)
			wait = (1 - r->tokens) / r->rate * SECOND;
		if (wait > most_us)
			wait = -1;
		else
			r->tokens--;
	}
	if (wait >= 0)
		count(r, now_us);
	pthread_mutex_unlock(&r->lock);
	return wait;
}

void
s3_rate_lower(struct s3_rate *r, int64_t begun_us, int64_t now_us)
{
	double rate;

	pthread_mutex_lock(&r->lock);
	/* One that began before the last lowering tells nothing new. */
	if (begun_us > r->lowered_us) {
		rate = observed(r, now_us);
		if (r->rate > 0 && r->rate < rate)
			rate = r->rate;
		rate *= LOWER;
		r->rate = rate > S3_RATE_MIN ? rate : S3_RATE_MIN;
		if (r->tokens > 0)
			r->tokens = 0;
		r->refilled_us = now_us;
		r->lowered_us = now_us;
	}
	pthread_mutex_unlock(&r->lock);
}

void
s3_rate_raise(struct s3_rate *r)
{
	pthread_mutex_lock(&r->lock);
	if (r->rate > 0 && (r->rate += RAISE) >= S3_RATE_MAX) {
		r->rate = 0;
		r->tokens = 0;
	}
	pthread_mutex_unlock(&r->lock);
}

double
s3_rate_get(struct s3_rate *r)
{
	double rate;

	pthread_mutex_lock(&r->lock);
	rate = r->rate;
	pthread_mutex_unlock(&r->lock);
	return rate;
}
