/*
 * What this process takes, as the system counts it (getrusage(2), proc(5)).
 */
#ifndef CORE_PROCESS_H
#define CORE_PROCESS_H

#include <stdint.h>

struct process {
	int64_t cpu_us;     /* user and system time */
	int64_t started_us; /* wall clock */
	int64_t resident_bytes, virtual_bytes;
	int64_t open_fds;
	int64_t max_fds; /* the soft limit; INT64_MAX: none */
};

/* Opens what process_read needs of /proc, and keeps it open: for programs that give
 * up the right to open anything. Otherwise the first process_read does. */
void process_open(void);
/* What cannot be read is 0. Thread-safe. */
void process_read(struct process *out);

/* Names this process among all that there were, on any host: host, pid and when
 * it began. */
#define PROCESS_ID_MAX 128
const char *process_id(char out[PROCESS_ID_MAX]);

#endif
