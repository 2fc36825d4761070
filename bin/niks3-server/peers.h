/*
 * What uploaders, the signer and the gc worker say of themselves: asked for every
 * few seconds, never by a request.
 *
 * Several uploaders answer on one socket, and a call goes to whichever is free.
 * So as many are asked as are connected, and some more, until each has
 * answered; who is busy may be missed. Each answer names its process, and the last
 * one of each process is kept for PEERS_KEEP_MS. So a figure may be so old, but
 * every one is true of its process and its moment: nothing is added up here, a
 * counter never goes down while a process lives, and a process that was started
 * anew has series of its own. With several servers each shows the same
 * uploaders: take max by (process_id), not sum, over servers.
 */
#ifndef SERVER_PEERS_H
#define SERVER_PEERS_H

#define PEERS_EVERY_MS 5000
#define PEERS_KEEP_MS  60000
#define PEERS_MAX      64 /* that are kept at once */

struct buf;
struct err;
struct ipc_client;
struct peers;

struct peers_options {
	struct ipc_client *signer, *uploader, *gc;
};

/* Never NULL. */
struct peers *peers_new(const struct peers_options *o);
void peers_free(struct peers *p); /* takes NULL */
/* Appends all that is known, as Prometheus reads it. */
int peers_write(struct peers *p, struct buf *out, struct err *e);

#endif
