// SPDX-License-Identifier: Apache-2.0
/* The HTTP server's address as text; the monitor writes it to a file, and the front tells it to
 * clients. */
#include "lib/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

int http_address_of(int fd, char text[HTTP_ADDRESS_MAX])
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr = {.in6 = {0}};
	char host[INET6_ADDRSTRLEN];
	socklen_t len = sizeof(addr);

	if (getsockname(fd, &addr.any, &len) < 0)
		return -errno;
	if (addr.any.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &addr.in6.sin6_addr, host, sizeof(host));
		(void)snprintf(text, HTTP_ADDRESS_MAX, "[%s]:%u", host, ntohs(addr.in6.sin6_port));
		return 0;
	}
	(void)inet_ntop(AF_INET, &addr.in.sin_addr, host, sizeof(host));
	(void)snprintf(text, HTTP_ADDRESS_MAX, "%s:%u", host, ntohs(addr.in.sin_port));
	return 0;
}
