/*
 * How a push is going: a bar on a terminal, a line now and then elsewhere.
 */
#ifndef NIKS3_PROGRESS_H
#define NIKS3_PROGRESS_H

struct progress;
struct push;

/* Starts a thread that looks at p until progress_end. */
struct progress *progress_begin(struct push *p);
void progress_end(struct progress *g); /* takes NULL */

#endif
