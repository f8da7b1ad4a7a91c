/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the front and the code of a sandbox that serves or builds something say to each other, over a
 * Unix stream socket, each way. A frame is two little-endian u32, the lengths of its head and of its
 * body, and these two: the head is a JSON object with a key "op", the body is bytes. The front never
 * takes descriptors from a sandbox: it reads by recv(2), which drops them.
 */
#ifndef WIRE_SERVE_H
#define WIRE_SERVE_H

#include "lib/util.h"

#define SERVE_LENGTHS 8u
#define SERVE_HEAD_MAX (64u << 10) /* of what a sandbox sends */
#define SERVE_OUT_HEAD_MAX                                                                         \
	(4u << 20) /* of what it is sent: a page of 1,000 keys with their metadata */
#define SERVE_BODY_MAX (26u << 20) /* a value of KV may have 25 MiB */

/* Frames that come in. It owns its memory. */
struct serve_in {
	uint32_t body_max; /* set once, before the first byte */
	uint8_t lengths[SERVE_LENGTHS];
	char *head; /* a NUL follows it when the frame is whole */
	uint8_t *body;
	uint32_t head_len, body_len;
	size_t got, head_size, body_size; /* got: of the whole frame; sizes: allocated */
};
/* Where to put the next bytes, and at most how many: not beyond this frame's end. 0 or -errno. */
int serve_in_room(struct serve_in *in, void **ret, size_t *ret_len);
/* Says that n bytes were put there. 1: the frame is whole, and is the caller's to look at until
 * serve_in_next. 0: more is to come. -EPROTO: it is longer than a frame may be. */
int serve_in_took(struct serve_in *in, size_t n);
/* The next frame begins. A long body's memory is given back. */
void serve_in_next(struct serve_in *in);
void serve_in_clear(struct serve_in *in);
/* Reads what has arrived, without waiting; returns as serve_in_took does. -EAGAIN: nothing has
 * arrived. -ECONNRESET: the other end has closed. */
int serve_in_recv(struct serve_in *in, int sock);

/* Frames that wait to be sent. It owns its memory. */
struct serve_out {
	struct serve_piece *first, **last;
	size_t bytes; /* that wait */
};
/* body is copied. -ENOMEM; -EMSGSIZE: the frame is longer than one may be. */
int serve_out_add(struct serve_out *out, const char *head, size_t head_len, const void *body,
		  size_t body_len);
/* The same, but that body, which free(3) must take, is the queue's from now on: also on failure. */
int serve_out_take(struct serve_out *out, const char *head, size_t head_len, void *body,
		   size_t body_len);
/* Sends what goes without waiting. 0: nothing waits any more; 1: something does, until the socket
 * can be written to; -errno. */
int serve_out_send(struct serve_out *out, int sock);
/* The same, with fd, which stays the caller's, beside the first byte. -errno: nothing was
 * sent. There must be something to send. */
int serve_out_pass(struct serve_out *out, int sock, int fd);
void serve_out_clear(struct serve_out *out);

#endif
