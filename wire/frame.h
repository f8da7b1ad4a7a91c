/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of the control socket between sandboxctl and the front (SOCK_STREAM), for both ends. A
 * frame is a little-endian u32 length and a JSON object of that length; descriptors travel with its
 * first byte. Requests: {"op": ..., ...}. Answers: {"ok": true, ...}, or {"ok": false, "code":
 * err_code_name, "error": text}. The table of ops is in supervisor/front/serve/control.h.
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "lib/util.h"
#include "wire/proto.h"

#define CONTROL_FRAME_MAX (8u << 20)
#define FRAME_HEAD 4

/* The part of a frame that has been read; it owns its memory and its descriptors. frame_room and
 * frame_took do not touch a socket. */
struct frame {
	uint8_t head[FRAME_HEAD];
	/* ours; it grows with the bytes that arrive, whatever length was announced */
	char *body;
	/* got: bytes of header and body; len: of the body, 0 until it is known */
	size_t got, len, allocated;
	int fds[PROTO_FDS_MAX];
	unsigned n_fds;
};
/* Where to put the next bytes, and at most how many: not beyond this frame's end. 0, or -ENOMEM. */
int frame_room(struct frame *frame, void **ret, size_t *ret_len);
/* Says that n bytes were put there. 1: the frame is whole; 0: more is to come; -EPROTO: its length
 * is out of bounds. */
int frame_took(struct frame *frame, size_t n);
/* Closes the frame's descriptors and frees its memory. */
void frame_clear(struct frame *frame);

/* Reads what has arrived, without waiting; returns as frame_took does. -EAGAIN: nothing has
 * arrived; -ECONNRESET: the connection has ended; -EPROTO: also for more descriptors than a frame
 * may have; else -errno. */
int frame_recv(struct frame *frame, int sock);

/* Writes the header of a frame with a body of len bytes. */
void frame_put_head(uint8_t head[FRAME_HEAD], size_t len);
/* Sends a whole frame; waits until there is room, or until stop_fd can be read (-1: there is none):
 * -EINTR then. 0 or -errno. The descriptors stay the caller's. */
int frame_send(int sock, const char *text, size_t len, const int *fds, unsigned n_fds, int stop_fd);

#endif
