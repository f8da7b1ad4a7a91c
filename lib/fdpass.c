// SPDX-License-Identifier: Apache-2.0
#include "lib/fdpass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

union control {
	char buf[CMSG_SPACE(sizeof(int) * FDS_SEND_MAX)];
	struct cmsghdr align;
};

ssize_t fds_sendv(int sock, const struct iovec *iov, size_t n_iov, const int *fds, unsigned n,
		  int flags)
{
	union control control = {0};
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n_iov};
	ssize_t sent;

	if (n > FDS_SEND_MAX)
		return -EINVAL;
	if (n > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	do
		sent = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

int fds_send(int sock, const void *buf, size_t len, const int *fds, int n, int flags)
{
	const struct iovec iov = {(void *)buf, len};
	ssize_t sent = fds_sendv(sock, &iov, 1, fds, (unsigned)n, flags);

	return sent < 0 ? (int)sent : 0;
}

ssize_t fds_recvv(int sock, void *buf, size_t len, int *fds, unsigned *n, int flags, int *ret_flags)
{
	const unsigned room = *n < FDS_SEND_MAX ? *n : FDS_SEND_MAX;
	union control control;
	struct iovec iov = {buf, len};
	/* CMSG_LEN, because CMSG_SPACE has room for one more where the number is odd, and the kernel
	 * fills whatever is there (scm_max_fds in net/core/scm.c). */
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = room ? CMSG_LEN(sizeof(int) * room) : 0};
	ssize_t got;

	*n = 0;
	do
		got = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		/* The kernel has cut the list to the room that there is, and has set MSG_CTRUNC. */
		if (count > room - *n)
			count = room - *n;
		memcpy(fds + *n, CMSG_DATA(c), sizeof(int) * count);
		*n += count;
	}
	if (ret_flags)
		*ret_flags = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC);
	return got;
}

ssize_t fds_receive(int sock, void *buf, size_t len, int *fds, int *n, int flags)
{
	unsigned count = (unsigned)*n;
	ssize_t got = fds_recvv(sock, buf, len, fds, &count, flags, NULL);

	*n = (int)count;
	return got;
}
