/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to the code of a sandbox, in the frames of wire/serve.h. All that comes from there is
 * hostile: a frame is bounded, its head is a strict JSON object with an "op", and code that asks for
 * more than is done, or does not read, is not read any more itself.
 *
 * Whoever has one has it as a member, and sets take and ended before it is opened.
 */
#ifndef SUPERVISOR_FRONT_RUN_CHANNEL_H
#define SUPERVISOR_FRONT_RUN_CHANNEL_H

#include <jansson.h>

#include "supervisor/front/base/base.h"
#include "wire/serve.h"

struct channel {
	int fd; /* -1: none */
	sd_event_source *io;
	struct serve_in in;
	struct serve_out out;
	size_t held; /* bytes of what was asked by it, in what is not done yet */
	bool dead;   /* it is ended when the function that runs now has returned */
	/* A frame has come: its head, strict and an object, and in.body. Not called again after it has
	 * ended the channel. */
	void (*take)(struct channel *c, const char *op, json_t *head);
	/* It has ended, for this reason: what it had is freed. */
	void (*ended)(struct channel *c, const char *why);
};
/* fd is taken, also on failure. body_max: of a frame that comes. */
int channel_open(struct front *f, struct channel *c, int fd, uint32_t body_max);
/* head is stolen. What cannot be sent ends the channel, later. */
void channel_send(struct channel *c, json_t *head, const void *body, size_t len);
/* body, which free(3) must take, is sent as it is, and taken. */
void channel_send_taken(struct channel *c, json_t *head, void *body, size_t len);
/* head NULL: out of memory. */
void channel_send_text(struct channel *c, const char *head, size_t head_len, const void *body,
		       size_t len);
/* Takes what has come already, before the channel is closed: the last words of a run that has ended. */
void channel_drain(struct channel *c);
/* ended is not called. */
void channel_close(struct channel *c);

#endif
