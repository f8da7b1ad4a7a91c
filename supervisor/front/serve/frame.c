// SPDX-License-Identifier: Apache-2.0
/* One frame of the control protocol, as it arrives piece by piece. */
#include <endian.h>
#include <string.h>

#include "supervisor/front/serve/control.h"

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
