/*
 * Things that are put aside for a while: a thread hands each back when its time
 * has come.
 */
#ifndef HTTP_PARK_H
#define HTTP_PARK_H

#include <stdint.h>

struct park;

/* wake(item) is called in the park's thread. */
struct park *park_new(void (*wake)(void *item));
/* item comes back after ms, or now when the park is closed (in this thread). */
void park_put(struct park *p, void *item, int64_t ms);
/* All that is there comes back before this returns. Idempotent. */
void park_close(struct park *p);
void park_free(struct park *p); /* closes; takes NULL */

#endif
