#include "fault_plan.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libcommon/core/buf.h"
#include "../../libcommon/core/clock.h"
#include "../../libcommon/core/err.h"
#include "../../libcommon/core/file.h"
#include "../../libcommon/core/num.h"

#define RATES_MAX 4096
#define THOUSAND  1000

static const struct {
	const char *name;
	unsigned classes;
} faults[] = { [FAULT_NONE] = { "none", 0 },
#define F(name, classes) [FAULT_##name] = { #name, classes },
	FAULTS(F)
#undef F
};

static const char *const classes[] = {
#define C(name) #name,
	FAULT_CLASS_LIST(C)
#undef C
};

struct rates {
	unsigned of[FAULT_CLASSES][FAULT__MAX]; /* per mille */
};

static struct {
	uint64_t seed;
	const char *path;
	FILE *log;
	pthread_mutex_t lock; /* guards what follows, and the log */
	struct rates rates;
	uint64_t drawn[FAULT_CLASSES];
} plan = { .lock = PTHREAD_MUTEX_INITIALIZER };

const char *
fault_name(enum fault f)
{
	return faults[f].name;
}

/* ---- rates ---- */

/* "CLASS FAULT PER-MILLE"; -1 when it is none. */
static int
parse_rate(const char *line, struct rates *out)
{
	char class[16], name[16], number[16], rest;
	uint64_t rate;
	int known = -1;

	if (sscanf(line, "%15s %15s %15s %c", class, name, number, &rest) !=
	        3 ||
	    num_parse_u64(number, strlen(number), THOUSAND, &rate, NULL) != 0)
		return -1;
	for (int c = 0; c < FAULT_CLASSES; c++)
		for (int f = FAULT_NONE + 1; f < FAULT__MAX; f++)
			if ((strcmp(class, "all") == 0 ||
			        strcmp(class, classes[c]) == 0) &&
			    strcmp(name, faults[f].name) == 0 &&
			    (faults[f].classes & 1u << c) != 0) {
				out->of[c][f] = rate;
				known = 0;
			}
	return known;
}

static int
parse_rates(char *text, struct rates *out, struct err *e)
{
	char *save, *line = strtok_r(text, "\n", &save);

	for (; line != NULL; line = strtok_r(NULL, "\n", &save))
		if (parse_rate(line, out) != 0)
			return err_set(e, ERR_INVALID,
			    "%s: \"%s\" is no class, fault and rate", plan.path,
			    line);
	return 0;
}

int
fault_plan_reload(struct err *e)
{
	struct rates rates = { 0 };
	struct buf text;
	char *bytes;
	int rc;

	buf_init(&text, RATES_MAX);
	rc = file_read(plan.path, &text, e);
	bytes = buf_steal(&text, NULL);
	if (rc == 0)
		rc = parse_rates(bytes, &rates, e);
	free(bytes);
	if (rc != 0)
		return -1;
	pthread_mutex_lock(&plan.lock);
	plan.rates = rates;
	pthread_mutex_unlock(&plan.lock);
	fault_log("rates");
	return 0;
}

int
fault_plan_open(
    uint64_t seed, const char *rates, const char *log, struct err *e)
{
	plan.seed = seed;
	plan.path = rates;
	plan.log = fopen(log, "ae");
	if (plan.log == NULL)
		return err_sys(e, "open %s", log);
	return fault_plan_reload(e);
}

/* ---- chance ---- */

/* SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
 * generators"). */
static uint64_t
mix(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t
fault_random(uint64_t *random, uint64_t n)
{
	return mix(random) % n;
}

enum fault
fault_draw(enum fault_class class, uint64_t *random)
{
	enum fault drawn = FAULT_NONE;
	uint64_t state, number;

	pthread_mutex_lock(&plan.lock);
	state = plan.seed ^ (uint64_t) class << 56 ^ plan.drawn[class]++;
	number = fault_random(&state, THOUSAND);
	for (int f = FAULT_NONE + 1; f < FAULT__MAX; f++) {
		if (number < plan.rates.of[class][f]) {
			drawn = f;
			break;
		}
		number -= plan.rates.of[class][f];
	}
	pthread_mutex_unlock(&plan.lock);
	*random = state;
	return drawn;
}

/* ---- log ---- */

void
fault_log(const char *fmt, ...)
{
	int64_t now;
	va_list ap;

	va_start(ap, fmt);
	pthread_mutex_lock(&plan.lock);
	now = clock_wall_us();
	fprintf(plan.log, "%lld.%06lld ", (long long)(now / 1000000),
	    (long long)(now % 1000000));
	vfprintf(plan.log, fmt, ap);
	fputc('\n', plan.log);
	fflush(plan.log);
	pthread_mutex_unlock(&plan.lock);
	va_end(ap);
}
