// SPDX-License-Identifier: Apache-2.0
/* Sockets in the folder of the edge, by which it and the front reach runs. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/util.h"
#include "supervisor/front/edge/edge.h"

#define LISTEN_BACKLOG 1024

/* In the folder of the edge, through the front's descriptor of it: no folder above it has to be
 * searchable by this role. */
static void socket_name(const struct front *f, const char *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/i/%.60s.sock",
		       f->cfg.edge_dirfd, name);
}

void edge_socket_remove(struct front *f, const char *name)
{
	char path[EDGE_SOCKET_MAX + 16];

	(void)snprintf(path, sizeof(path), "i/%.60s.sock", name);
	(void)unlinkat(f->cfg.edge_dirfd, path, 0);
}

int edge_socket_make(struct front *f, const char *name, int *ret, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;

	socket_name(f, name, &addr);
	/* The folder lets the edge in and nobody else. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    chmod(addr.sun_path, 0666) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot make an instance's socket");
	*ret = TAKE_FD(fd);
	return 0;
}

int edge_socket_connect(const struct front *f, const char *name)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un addr;

	socket_name(f, name, &addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	return TAKE_FD(fd);
}
