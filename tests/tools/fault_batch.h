/*
 * DeleteObjects that is half done: some of the keys are deleted, and what is
 * answered fits that more or less.
 */
#ifndef TOOLS_FAULT_BATCH_H
#define TOOLS_FAULT_BATCH_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct fault_message;
struct s3_conn;

/* The keys that a DeleteObjects request names, in the arena. */
int fault_batch_keys(const struct fault_message *request, struct arena *a,
    const char ***keys, size_t *n, struct err *e);

/*
 * Deletes about half of the keys. Then, by chance: an answer that says so and
 * calls the others errors; one that calls all of them errors; an error without
 * any word of a key; or no answer, which is -1.
 */
int fault_batch_half(struct s3_conn *s3, const char *const *keys, size_t n,
    struct arena *a, uint64_t *random, struct fault_message *answer);

#endif
