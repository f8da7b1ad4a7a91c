// SPDX-License-Identifier: Apache-2.0
/*
 * The sockets of the HTTP server and of the edge are made by the monitor, once. So a new front or
 * edge goes on where the last one was killed, and clients that connect meanwhile wait in the kernel's
 * queue.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/address.h"
#include "supervisor/monitor/monitor.h"

/* The address may be in use for a moment: a sandbox's init that was just cloned has a copy of the
 * last daemon's socket. */
#define BIND_FOR_NS (2 * SEC)
#define BIND_EVERY_MS 50

/* "127.0.0.1:8080", "[::1]:0": 0 or -EINVAL. */
static int http_address_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	const char *colon = strrchr(text, ':');
	char host[64], *end;
	unsigned long port;
	size_t len;

	memset(ret, 0, sizeof(*ret));
	if (!colon || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	port = strtoul(colon + 1, &end, 10);
	len = (size_t)(colon - text);
	if (*end || strlen(colon + 1) > 5 || port > 65535 || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		*ret_len = sizeof(*in6);
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	*ret_len = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -EINVAL;
}

static int bind_patiently(int fd, const struct sockaddr_storage *addr, socklen_t len, int backlog)
{
	uint64_t end = util_monotonic_ns() + BIND_FOR_NS;

	while (bind(fd, (const struct sockaddr *)addr, len) < 0 || listen(fd, backlog) < 0) {
		if (errno != EADDRINUSE || util_monotonic_ns() > end)
			return -errno;
		(void)poll(NULL, 0, BIND_EVERY_MS);
	}
	return 0;
}

/* Writes the address into the place's file, for scripts that let the kernel choose a port. */
static int tell_address(const struct config *cfg, const struct listen_place *at, int fd,
			struct err *e)
{
	_cleanup_fd_ int dir = open(cfg->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[HTTP_ADDRESS_MAX + 1];
	int r = http_address_of(fd, text);

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "--%s %s", at->name, at->address);
	(void)strcat(text, "\n");
	r = dir < 0 ? -errno : util_write_file_at(dir, at->name, 0644, text, strlen(text));
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "%s/%s", cfg->run, at->name) : 0;
}

void listen_forget(const struct config *cfg, const char *name)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", cfg->run, name);
	(void)unlink(path);
}

int listen_open(const struct config *cfg, const struct listen_place *at, int *ret, struct err *e)
{
	struct sockaddr_storage addr = {0};
	_cleanup_fd_ int fd = -1;
	socklen_t len = 0;
	int on = 1, r;

	*ret = -1;
	if (strcmp(at->address, "none") == 0) {
		listen_forget(cfg, at->name);
		return 0;
	}
	if (http_address_parse(at->address, &addr, &len) < 0)
		return err_set(e, ERR_USAGE, 0,
			       "--%s %s: must be ADDRESS:PORT with a numeric address, such as "
			       "127.0.0.1:%u or [::1]:%u, or none",
			       at->name, at->address, at->port, at->port);
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "--%s %s", at->name, at->address);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (addr.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	r = bind_patiently(fd, &addr, len, at->backlog);
	if (r == -EADDRINUSE)
		return err_set(e, ERR_CONFLICT, 0,
			       "--%s %s: another program listens there: give another port, or "
			       "--%s none",
			       at->name, at->address, at->name);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "--%s %s", at->name, at->address);
	r = tell_address(cfg, at, fd, e);
	if (r == 0)
		*ret = TAKE_FD(fd);
	return r;
}
