#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/log.h"
#include "../../libcommon/core/num.h"
#include "push.h"

#define DRAW_MS 100   /* between two drawings of the bar */
#define LINE_MS 10000 /* between two lines */
#define BAR_MAX 40

struct progress {
	struct push *p;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int ended, terminal;
};

static void
draw(struct push *p)
{
	uint64_t nar = atomic_load(&p->nar_bytes);
	unsigned percent = p->want_bytes > 0 ? nar * 100 / p->want_bytes : 100;
	char have[NUM_SIZE_MAX], all[NUM_SIZE_MAX], sent[NUM_SIZE_MAX];
	char bar[BAR_MAX + 1];
	struct winsize ws = { 0 };
	int width = 20;

	if (percent > 100)
		percent = 100;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
		width = ws.ws_col - 60;
	width = width < 5 ? 5 : width > BAR_MAX ? BAR_MAX : width;
	for (int i = 0; i < width; i++)
		bar[i] = i * 100 < (int)percent * width ? '#' : '.';
	bar[width] = '\0';
	fprintf(stderr, "\r[%s] %3u %% %zu/%zu paths %s/%s sent %s\033[K", bar,
	    percent, (size_t)atomic_load(&p->packed), (size_t)p->want_paths,
	    num_fmt_size(have, nar), num_fmt_size(all, p->want_bytes),
	    num_fmt_size(sent, atomic_load(&p->sent_bytes)));
	fflush(stderr);
}

static void
line(struct push *p)
{
	char sent[NUM_SIZE_MAX];

	log_info("uploading", LOG_U("paths", atomic_load(&p->packed)),
	    LOG_U("of", p->want_paths),
	    LOG_S("sent", num_fmt_size(sent, atomic_load(&p->sent_bytes))));
}

static void *
progress_thread(void *arg)
{
	struct progress *g = arg;
	int64_t period = g->terminal ? DRAW_MS : LINE_MS;

	pthread_mutex_lock(&g->lock);
	while (!g->ended) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += period % 1000 * 1000000;
		until.tv_sec += period / 1000 + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&g->changed, &g->lock, &until);
		if (g->ended)
			break;
		if (g->terminal)
			draw(g->p);
		else
			line(g->p);
	}
	pthread_mutex_unlock(&g->lock);
	if (g->terminal)
		fprintf(stderr, "\r\033[K");
	return NULL;
}

struct progress *
progress_begin(struct push *p)
{
	struct progress *g = xcalloc(1, sizeof *g);

	g->p = p;
	g->terminal = isatty(STDERR_FILENO);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	if (pthread_create(&g->thread, NULL, progress_thread, g) != 0)
		err_die("cannot start a thread");
	return g;
}

void
progress_end(struct progress *g)
{
	if (g == NULL)
		return;
	pthread_mutex_lock(&g->lock);
	g->ended = 1;
	pthread_cond_signal(&g->changed);
	pthread_mutex_unlock(&g->lock);
	pthread_join(g->thread, NULL);
	pthread_mutex_destroy(&g->lock);
	pthread_cond_destroy(&g->changed);
	free(g);
}
