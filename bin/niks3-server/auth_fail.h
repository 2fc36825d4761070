/*
 * Failed logins, by address: how long the answer to one is held back.
 *
 * The first AUTH_FAIL_FREE of an address are answered at once; each one more
 * doubles the wait, from AUTH_FAIL_FIRST_MS up to AUTH_FAIL_MOST_MS. One is
 * forgiven every AUTH_FAIL_FORGIVE_MS. Only refusals wait, and they hold no
 * worker: a credential that is good is looked at and let in as fast as ever, so
 * one bad client behind a NAT harms no good one. With this a guesser has some
 * tries a second for each connection, against 256 random bits.
 *
 * An IPv6 address counts as its /64. Of AUTH_FAIL_MAX addresses, the one that
 * failed longest ago is forgotten for a new one. Thread-safe.
 */
#ifndef SERVER_AUTH_FAIL_H
#define SERVER_AUTH_FAIL_H

#include <stdint.h>

#define AUTH_FAIL_FREE       5
#define AUTH_FAIL_FIRST_MS   100
#define AUTH_FAIL_MOST_MS    5000
#define AUTH_FAIL_FORGIVE_MS 10000
#define AUTH_FAIL_MAX        1024

struct auth_fail;

struct auth_fail *auth_fail_new(void);
void auth_fail_free(struct auth_fail *f); /* takes NULL */
/* One more from that address, at that time (clock_mono_ms): how many
 * milliseconds its answer is to wait. */
int64_t auth_fail_note(struct auth_fail *f, const char *remote, int64_t now);

#endif
