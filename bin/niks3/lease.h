/*
 * The lease of an upload: as long as a push works it is renewed, however long a
 * transfer or a compression takes.
 */
#ifndef NIKS3_LEASE_H
#define NIKS3_LEASE_H

struct lease;
struct push;

/* Starts a thread that renews the lease of p's upload until lease_end. */
struct lease *lease_begin(struct push *p);
void lease_end(struct lease *l); /* takes NULL */

#endif
