/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_ADDRESS_H
#define LIB_ADDRESS_H

#include <netinet/in.h>
#include <sys/types.h>

#define HTTP_ADDRESS_MAX (INET6_ADDRSTRLEN + 16)

/* Writes the address on which a socket listens: "127.0.0.1:8080", "[::1]:8080". 0 or -errno. */
int http_address_of(int fd, char text[HTTP_ADDRESS_MAX]);

#endif
