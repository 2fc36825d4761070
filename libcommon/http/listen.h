/*
 * Listening sockets.
 */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

struct err;
struct sandbox;

/*
 * Listens at "host:port", "[v6]:port" or ":port" (every address, IPv6 and IPv4);
 * host may be a name, port 0 has the system pick one. With a '/' in front it is the
 * path of a unix socket: what is there and nobody listens at is replaced, and who
 * may connect is for the rights of its directory to say. *fd is non-blocking and
 * closed on exec.
 */
int listen_open(const char *address, int *fd, struct err *e);
/* What listen_open needs in a sandbox. */
void listen_needs(const char *address, struct sandbox *s);
/* The port of a listening socket, 0 when it has none. */
unsigned listen_port(int fd);

#endif
