/*
 * A bounded queue of pointers between threads. Pushing waits while it is full,
 * popping while it is empty; closing wakes everybody.
 */
#ifndef CORE_QUEUE_H
#define CORE_QUEUE_H

#include <stddef.h>

#include "clock.h"

struct queue;

struct queue *queue_new(size_t max);
void queue_free(struct queue *q); /* takes NULL; items are the caller's */
/* 0, or -1 when closed or (deadline) still full. item is not NULL. */
int queue_push(struct queue *q, void *item, deadline_t d);
/* The oldest, or NULL when the deadline passed, or when closed and empty. */
void *queue_pop(struct queue *q, deadline_t d);
/* Up to max items that are there, at least one unless NULL would be popped. */
size_t queue_pop_many(struct queue *q, void **items, size_t max, deadline_t d);
size_t queue_len(struct queue *q);
/* No more pushes; what is in it can still be popped. Idempotent. */
void queue_close(struct queue *q);

#endif
