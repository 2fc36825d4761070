/*
 * A thread that does something every so often.
 */
#ifndef SERVER_TICKER_H
#define SERVER_TICKER_H

#include <stdint.h>

struct ticker;

/* At once, and again ms after each end. Never NULL. */
struct ticker *ticker_new(int64_t ms, void (*fn)(void *ctx), void *ctx);
/* Waits for what it does just now. Takes NULL. */
void ticker_free(struct ticker *t);

#endif
