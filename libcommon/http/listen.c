#include "listen.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../core/err.h"
#include "../core/num.h"
#include "../core/sandbox.h"
#include "../core/unixsock.h"

#define BACKLOG     1024
#define SOCKET_MODE 0666 /* the directory guards it */

static int
address_split(const char *address, char host[NI_MAXHOST], const char **port,
    struct err *e)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon != NULL ? colon - address : 0;
	uint64_t n;

	if (colon == NULL)
		return err_set(e, ERR_INVALID, "address %s: no port", address);
	if (num_parse_u64(colon + 1, strlen(colon + 1), 65535, &n, e) == -1)
		return err_prefix(e, "address %s: port", address);
	if (len > 2 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	} else if (memchr(address, ':', len) || memchr(address, '[', len))
		return err_set(e, ERR_INVALID,
		    "address %s: an IPv6 address stands in brackets", address);
	if (len >= NI_MAXHOST)
		return err_set(e, ERR_INVALID, "address: host name too long");
	memcpy(host, address, len);
	host[len] = '\0';
	*port = colon + 1;
	return 0;
}

/* Returns the socket, or -1 with errno. */
static int
socket_open(const struct addrinfo *ai)
{
	int fd = socket(
	    ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (ai->ai_family == AF_INET6)
		setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == -1 ||
	    listen(fd, BACKLOG) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

int
listen_open(const char *address, int *fd, struct err *e)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	char host[NI_MAXHOST];
	const char *port = NULL;
	int rc, got = -1;

	if (address[0] == '/')
		return unixsock_listen(address, SOCKET_MODE, -1, fd, e);
	if (address_split(address, host, &port, e) == -1)
		return -1;
	rc = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &list);
	if (rc != 0)
		return err_set(e, ERR_INVALID, "address %s: %s", address,
		    gai_strerror(rc));
	/* Without a host, the wildcard of IPv6 takes IPv4 too; it goes first. */
	for (int any = host[0] == '\0'; any >= 0 && got == -1; any--)
		for (struct addrinfo *ai = list; ai && got == -1;
		     ai = ai->ai_next)
			if (!any || ai->ai_family == AF_INET6)
				got = socket_open(ai);
	freeaddrinfo(list);
	if (got == -1)
		return err_sys(e, "cannot listen at %s", address);
	*fd = got;
	return 0;
}

static int
is_numeric(const char *host)
{
	struct in6_addr a;

	return host[0] == '\0' || inet_pton(AF_INET, host, &a) == 1 ||
	    inet_pton(AF_INET6, host, &a) == 1;
}

void
listen_needs(const char *address, struct sandbox *s)
{
	char host[NI_MAXHOST];
	const char *port;

	if (address[0] == '/') {
		sandbox_socket(s, address);
		return;
	}
	if (address_split(address, host, &port, NULL) == -1)
		return; /* listen_open will say why */
	sandbox_bind(s, (uint16_t)atoi(port));
	if (!is_numeric(host))
		sandbox_hosts_first(s);
}

unsigned
listen_port(int fd)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof at;

	if (getsockname(fd, (struct sockaddr *)&at, &len) == -1)
		return 0;
	if (at.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&at)->sin_port);
	if (at.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&at)->sin6_port);
	return 0;
}
