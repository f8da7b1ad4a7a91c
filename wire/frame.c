// SPDX-License-Identifier: Apache-2.0
#include "wire/frame.h"

#include <endian.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "lib/fdpass.h"

#define FIRST_ALLOCATION 4096u

int frame_room(struct frame *frame, void **ret, size_t *ret_len)
{
	size_t have = frame->got - sizeof(frame->head), size;
	char *body;

	if (frame->got < sizeof(frame->head)) {
		*ret = frame->head + frame->got;
		*ret_len = sizeof(frame->head) - frame->got;
		return 0;
	}
	if (have == frame->allocated) {
		size = frame->allocated ? frame->allocated * 2 : FIRST_ALLOCATION;
		if (size > frame->len)
			size = frame->len;
		body = realloc(frame->body, size);
		if (!body)
			return -ENOMEM;
		frame->body = body;
		frame->allocated = size;
	}
	*ret = frame->body + have;
	*ret_len = frame->allocated - have;
	return 0;
}

int frame_took(struct frame *frame, size_t n)
{
	uint32_t len;

	frame->got += n;
	if (frame->got < sizeof(frame->head))
		return 0;
	if (frame->len == 0) {
		memcpy(&len, frame->head, sizeof(len));
		frame->len = le32toh(len);
		if (frame->len < 1 || frame->len > CONTROL_FRAME_MAX)
			return -EPROTO;
	}
	return frame->got == sizeof(frame->head) + frame->len;
}

void frame_clear(struct frame *frame)
{
	for (unsigned i = 0; i < frame->n_fds; i++)
		util_close_fd(&frame->fds[i]);
	free(frame->body);
	*frame = (struct frame){0};
}

/* Adds the descriptors that came while the frame was read; 0 or -EPROTO. */
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

void frame_put_head(uint8_t head[FRAME_HEAD], size_t len)
{
	const uint32_t le = htole32((uint32_t)len);

	memcpy(head, &le, sizeof(le));
}

/* Waits until the socket takes more. */
static int wait_for_room(int sock, int stop_fd)
{
	struct pollfd p[] = {{sock, POLLOUT, 0}, {stop_fd, POLLIN, 0}};

	while (poll(p, ARRAY_SIZE(p), -1) < 0)
		if (errno != EINTR)
			return -errno;
	return p[1].revents ? -EINTR : 0;
}

int frame_send(int sock, const char *text, size_t len, const int *fds, unsigned n_fds, int stop_fd)
{
	uint8_t head[FRAME_HEAD];
	struct iovec iov[2] = {{head, sizeof(head)}, {(void *)text, len}};

	frame_put_head(head, len);
	while (iov[0].iov_len + iov[1].iov_len > 0) {
		ssize_t n = fds_sendv(sock, iov, 2, fds, n_fds, MSG_DONTWAIT);

		if (n == -EAGAIN) {
			n = wait_for_room(sock, stop_fd);
			if (n == 0)
				continue;
		}
		if (n < 0)
			return (int)n;
		/* The descriptors were sent with the first bytes. */
		n_fds = 0;
		for (int i = 0; i < 2; i++) {
			size_t part = MIN((size_t)n, iov[i].iov_len);

			iov[i].iov_base = (char *)iov[i].iov_base + part;
			iov[i].iov_len -= part;
			n -= (ssize_t)part;
		}
	}
	return 0;
}
