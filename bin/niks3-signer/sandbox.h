/*
 * What the signer may still do: answer at its socket.
 */
#ifndef SIGNER_SANDBOX_H
#define SIGNER_SANDBOX_H

struct sandbox;

/* Fills an empty one. The keys have been read by then. */
void signer_sandbox(struct sandbox *s, const char *listen);

#endif
