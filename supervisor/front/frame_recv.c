// SPDX-License-Identifier: Apache-2.0
/* A frame, from the socket that it comes by. */
#include <string.h>
#include <sys/socket.h>

#include "supervisor/front/control.h"

/* fds of a frame are those that come while it is read; 0 or -EPROTO. */
static int take_fds(struct frame *frame, struct msghdr *msg)
{
	int r = msg->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
		unsigned n = (unsigned)((m->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
			continue;
		for (unsigned i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(m) + i * sizeof(int), sizeof(int));
			if (frame->n_fds < PROTO_FDS_MAX) {
				frame->fds[frame->n_fds++] = fd;
			} else {
				util_close_fd(&fd);
				r = -EPROTO;
			}
		}
	}
	return r;
}

int frame_recv(struct frame *frame, int sock)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * PROTO_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	ssize_t n;
	int r;

	if (frame_room(frame, &iov.iov_base, &iov.iov_len) < 0)
		return -ENOMEM;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r = take_fds(frame, &msg);
	if (r < 0 || n == 0)
		return r < 0 ? r : -ECONNRESET;
	return frame_took(frame, (size_t)n);
}
