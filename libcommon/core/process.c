#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "num.h"

#define HOST_MAX 64

static int64_t started_us;

static pthread_once_t opened = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int statm_fd = -1;
static DIR *fds; /* under the lock */

/* Before main. */
__attribute__((constructor)) static void
note_start(void)
{
	started_us = clock_wall_us();
}

static int64_t
timeval_us(struct timeval t)
{
	return (int64_t)t.tv_sec * 1000000 + t.tv_usec;
}

/* The number at *s, of which text is left after it. */
static int64_t
pages(const char **s)
{
	size_t len = strspn(*s, "0123456789");
	uint64_t n = 0;

	num_parse_u64(*s, len, INT64_MAX >> 20, &n, NULL);
	*s += len + strspn(*s + len, " ");
	return (int64_t)n * sysconf(_SC_PAGESIZE);
}

static void
open_proc(void)
{
	statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	fds = opendir("/proc/self/fd");
}

void
process_open(void)
{
	pthread_once(&opened, open_proc);
}

static void
read_memory(struct process *out)
{
	char text[256];
	const char *s = text;
	ssize_t n = pread(statm_fd, text, sizeof text - 1, 0);

	if (n <= 0)
		return;
	text[n] = '\0';
	out->virtual_bytes = pages(&s);
	out->resident_bytes = pages(&s);
}

static int64_t
count_fds(void)
{
	const struct dirent *d;
	int64_t n = 0;

	if (fds == NULL)
		return 0;
	pthread_mutex_lock(&lock);
	rewinddir(fds);
	while ((d = readdir(fds)) != NULL)
		n += d->d_name[0] != '.';
	pthread_mutex_unlock(&lock);
	return n;
}

void
process_read(struct process *out)
{
	struct rlimit limit;
	struct rusage usage;

	process_open();
	*out = (struct process){ .started_us = started_us };
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		out->cpu_us =
		    timeval_us(usage.ru_utime) + timeval_us(usage.ru_stime);
	read_memory(out);
	out->open_fds = count_fds();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		out->max_fds = limit.rlim_cur < INT64_MAX
		    ? (int64_t)limit.rlim_cur
		    : INT64_MAX;
}

const char *
process_id(char out[PROCESS_ID_MAX])
{
	char host[HOST_MAX + 1] = "";

	gethostname(host, sizeof host - 1);
	snprintf(out, PROCESS_ID_MAX, "%s:%ld:%lld", host, (long)getpid(),
	    (long long)(started_us / 1000));
	return out;
}
