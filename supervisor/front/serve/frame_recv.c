// SPDX-License-Identifier: Apache-2.0
/* A frame, from the socket that it comes by. */
#include <sys/socket.h>

#include "lib/fdpass.h"
#include "supervisor/front/serve/control.h"

/* fds of a frame are those that come while it is read; 0 or -EPROTO. */
static int take_fds(struct frame *frame, int *fds, unsigned n)
{
	int r = 0;

	for (unsigned i = 0; i < n; i++) {
		if (frame->n_fds < PROTO_FDS_MAX) {
			frame->fds[frame->n_fds++] = fds[i];
			continue;
		}
		util_close_fd(&fds[i]);
		r = -EPROTO;
	}
	return r;
}

int frame_recv(struct frame *frame, int sock)
{
	int fds[PROTO_FDS_MAX], flags, r;
	unsigned n_fds = PROTO_FDS_MAX;
	size_t len;
	ssize_t n;
	void *to;

	if (frame_room(frame, &to, &len) < 0)
		return -ENOMEM;
	n = fds_recvv(sock, to, len, fds, &n_fds, MSG_DONTWAIT, &flags);
	if (n < 0)
		return (int)n;
	r = take_fds(frame, fds, n_fds);
	if (flags & MSG_CTRUNC)
		r = -EPROTO;
	if (r < 0 || n == 0)
		return r < 0 ? r : -ECONNRESET;
	return frame_took(frame, (size_t)n);
}
